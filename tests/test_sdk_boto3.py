"""boto3's bedrock-runtime client against the server: a key in, providers of five dialects behind it.

The providers are scripted with the bytes a real one sends; everything else is real.
"""

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EventStreamError

from fungible.dialects import DIALECTS
from tests.answering import alpha_reply, beta_reply
from tests.answering_more import delta_reply
from tests.answering_more import gamma_reply as ollama_reply
from tests.converse_wire import gamma_reply
from tests.serving import Running
from tests.upstream import Upstream, stream

PNG = bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = {
    "tools": [
        {
            "toolSpec": {
                "name": "get_weather",
                "description": "The weather",
                "inputSchema": {"json": PARAMETERS},
            }
        }
    ]
}
GAMMA = """
[provider.gamma]
dialect = "bedrock.converse"
base_url = "{gamma}"
key = "env:TEST_KEY"

[provider.delta]
dialect = "cohere.chat"
base_url = "{delta}"
key = "env:TEST_KEY"

[provider.epsilon]
dialect = "ollama.chat"
base_url = "{epsilon}"

[model."gamma/us.anthropic.claude-x-v1:0"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00
"""
MODELS = {
    "alpha": "alpha/one",
    "beta": "beta/two",
    "gamma": "gamma/us.anthropic.claude-x-v1:0",
    "delta": "delta/command-a",
    "epsilon": "epsilon/llama3.2:3b",
}
HELLO = {name: f"Hello from {name}" for name in MODELS} | {"epsilon": "Hello from gamma"}  # as it is scripted


class Stage:
    def __init__(self, running: Running, upstreams: dict[str, Upstream]) -> None:
        self.running, self.upstreams = running, upstreams
        self.client = self.signing_with(running.key, running.key)

    def signing_with(self, access: str, secret: str) -> Any:
        """A client that signs its calls, as boto3 does with any endpoint that is no HTTPS."""
        return boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=self.running.url,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        Upstream(alpha_reply) as alpha,
        Upstream(beta_reply) as beta,
        Upstream(gamma_reply) as gamma,
        Upstream(delta_reply) as delta,
        Upstream(ollama_reply) as epsilon,
    ):
        more = GAMMA.format(gamma=gamma.base, delta=delta.base, epsilon=epsilon.base)
        running = Running(tmp_path_factory.mktemp("boto3"), alpha.base, beta.base, more=more)
        upstreams = {"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta, "epsilon": epsilon}
        yield Stage(running, upstreams)
        running.close()


TARGETS = pytest.mark.parametrize("name", MODELS)


def asks(text: str) -> Any:
    return [{"role": "user", "content": [{"text": text}]}]


@TARGETS
def test_converse(stage: Stage, name: str) -> None:
    reply = stage.client.converse(
        modelId=MODELS[name],
        messages=asks("Hello"),
        system=[{"text": "Be brief"}],
        inferenceConfig={"maxTokens": 20, "temperature": 0.5},
    )
    assert reply["output"]["message"] == {"role": "assistant", "content": [{"text": HELLO[name]}]}
    assert (reply["stopReason"], reply["usage"]["inputTokens"], reply["usage"]["outputTokens"]) == (
        "end_turn",
        11,
        7,
    )
    assert reply["ResponseMetadata"]["HTTPHeaders"]["x-fungible-target"] == MODELS[name]
    assert "Be brief" in stage.upstreams[name].seen[-1].body.decode()


@TARGETS
def test_converse_stream(stage: Stage, name: str) -> None:
    reply = stage.client.converse_stream(modelId=MODELS[name], messages=asks("Hello"))
    events = list(reply["stream"])
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    assert text.replace(" ", "") == HELLO[name].replace(" ", "")
    assert [e["messageStop"]["stopReason"] for e in events if "messageStop" in e] == ["end_turn"]
    usage = events[-1]["metadata"]["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (11, 7, 18)


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_with_results_out_of_order(stage: Stage, name: str, streamed: bool) -> None:
    asked = asks("What is the weather in Paris and Oslo?")
    if streamed:
        reply = stage.client.converse_stream(modelId=MODELS[name], messages=asked, toolConfig=TOOLS)
        message = message_of(list(reply["stream"]))
    else:
        reply = stage.client.converse(modelId=MODELS[name], messages=asked, toolConfig=TOOLS)
        assert reply["stopReason"] == "tool_use"
        message = reply["output"]["message"]
    calls = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    assert [call["input"] for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    results = [
        {
            "toolResult": {
                "toolUseId": c["toolUseId"],
                "content": [{"json": {"sunny": n}}],
                "status": "success",
            }
        }
        for n, c in enumerate(calls)
    ]
    history = [*asked, message, {"role": "user", "content": results[::-1]}]
    again = stage.client.converse(modelId=MODELS[name], messages=history, toolConfig=TOOLS)
    assert again["output"]["message"]["content"][0]["text"]
    sent = json.dumps(stage.upstreams[name].seen[-1].json["messages"]).replace("\\", "").replace(" ", "")
    assert all(c["toolUseId"] in sent for c in calls)
    assert 0 < sent.index('"sunny":1') < sent.index('"sunny":0')


def message_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client makes of a stream's blocks, as AWS's examples do."""
    blocks: dict[int, dict[str, Any]] = {}
    for told in events:
        if "contentBlockStart" in told:
            start = told["contentBlockStart"]
            blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
        elif "contentBlockDelta" in told:
            delta = told["contentBlockDelta"]["delta"]
            block = blocks.setdefault(told["contentBlockDelta"]["contentBlockIndex"], {"text": ""})
            if "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            elif "text" in delta:
                block["text"] += delta["text"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {"role": "assistant", "content": [blocks[i] for i in sorted(blocks)]}


@TARGETS
def test_structured_output(stage: Stage, name: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "p"}}}
    reply = stage.client.converse(
        modelId=MODELS[name], messages=asks("Hello"), outputConfig={"textFormat": form}
    )
    assert json.loads(reply["output"]["message"]["content"][0]["text"]) == {"name": "Ann", "age": 30}


@TARGETS
def test_an_image(stage: Stage, name: str) -> None:
    content = [{"text": "What is it?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]
    stage.client.converse(modelId=MODELS[name], messages=[{"role": "user", "content": content}])
    assert base64.b64encode(PNG).decode() in stage.upstreams[name].seen[-1].body.decode()


@TARGETS
def test_thinking_is_asked_for_and_told(stage: Stage, name: str) -> None:
    reply = stage.client.converse(
        modelId=MODELS[name],
        messages=asks("Hello"),
        inferenceConfig={"maxTokens": 2048},
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}},
    )
    first = reply["output"]["message"]["content"][0]
    assert first["reasoningContent"]["reasoningText"]["text"] == "Let me see"


@pytest.mark.parametrize("name", ["beta", "gamma"])
def test_reasoning_is_told_and_taken_back(stage: Stage, name: str) -> None:
    more = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    config = {"maxTokens": 2048}
    first = stage.client.converse(
        modelId=MODELS[name],
        messages=asks("Hello"),
        inferenceConfig=config,
        additionalModelRequestFields=more,
    )["output"]["message"]
    thought = {"text": "Let me see", "signature": "sig=="}
    assert first["content"][0] == {"reasoningContent": {"reasoningText": thought}}
    stage.client.converse(
        modelId=MODELS[name],
        messages=[*asks("Hello"), first, *asks("And?")],
        inferenceConfig=config,
        additionalModelRequestFields=more,
    )
    sent = stage.upstreams[name].seen[-1].json["messages"][1]["content"][0]
    assert thought["signature"] in json.dumps(sent) and thought["text"] in json.dumps(sent)


@TARGETS
def test_typed_errors(stage: Stage, name: str) -> None:
    errors = stage.client.exceptions
    with pytest.raises(errors.ThrottlingException, match="Slow down"):
        stage.client.converse(modelId=MODELS[name], messages=asks("limit me"))
    with pytest.raises(errors.ValidationException, match="Bad thing"):
        stage.client.converse(modelId=MODELS[name], messages=asks("refuse me"))
    with pytest.raises(errors.ValidationException, match="Bad thing"):
        stage.client.converse_stream(modelId=MODELS[name], messages=asks("refuse me"))


def test_errors_of_ours(stage: Stage) -> None:
    with pytest.raises(stage.client.exceptions.ResourceNotFoundException, match="alpha/one"):
        stage.client.converse(modelId="alpah/one", messages=asks("Hello"))
    key = stage.running.key
    for access, secret, why in (
        ("fk-nobody", "fk-nobody", "not known"),
        (key, "another", "does not match"),
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "does not match"),
    ):
        stranger = stage.signing_with(access, secret)
        with pytest.raises(stranger.exceptions.AccessDeniedException, match=why):
            stranger.converse(modelId="alpha/one", messages=asks("Hello"))


def test_a_bedrock_key_is_a_bearer_token(stage: Stage) -> None:
    """As a client sends it to an HTTPS endpoint: boto3 itself refuses to do so without."""
    asked = urllib.request.Request(
        f"{stage.running.url}/model/beta%2Ftwo/converse",
        json.dumps({"messages": asks("Hello")}).encode(),
        {"authorization": f"Bearer {stage.running.key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        told = json.loads(answer.read())
    assert told["output"]["message"]["content"] == [{"text": "Hello from beta"}]


def test_an_error_inside_a_stream(stage: Stage) -> None:
    reply = stage.client.converse_stream(modelId=MODELS["gamma"], messages=asks("break off"))
    with pytest.raises(EventStreamError, match=r"throttlingException.*Too many"):
        list(reply["stream"])


def test_a_stream_of_another_dialect_that_breaks_off_ends_with_an_exception(stage: Stage) -> None:
    alpha = stage.upstreams["alpha"]
    first = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk = {**first, "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}
    alpha.respond = lambda _: stream(b"data: " + json.dumps(chunk).encode() + b"\n\n", "close", end=False)
    try:
        reply = stage.client.converse_stream(modelId=MODELS["alpha"], messages=asks("Hello"))
        with pytest.raises(EventStreamError, match="modelStreamErrorException"):
            list(reply["stream"])
    finally:
        alpha.respond = alpha_reply


def test_tokens_are_counted(stage: Stage) -> None:
    asked = {"converse": {"messages": asks("Hello")}}
    counted = stage.client.count_tokens(modelId=MODELS["gamma"], input=asked)
    assert counted["inputTokens"] == 42
    assert stage.client.count_tokens(modelId=MODELS["alpha"], input=asked)["inputTokens"] > 0


def test_the_same_dialect_is_moved_as_it_is_to_the_model_s_own_address(stage: Stage) -> None:
    stage.client.converse(
        modelId=MODELS["gamma"],
        messages=[
            {"role": "user", "content": [{"text": "Hello"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}
        ],
        guardrailConfig={"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT"},
    )
    seen = stage.upstreams["gamma"].seen[-1]
    assert seen.path == "/model/us.anthropic.claude-x-v1%3A0/converse"
    assert seen.headers["authorization"] == "Bearer provider-secret"
    assert seen.json["guardrailConfig"]["guardrailVersion"] == "DRAFT"
    assert seen.json["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}


def test_losses_are_told_in_a_header(stage: Stage) -> None:
    reply = stage.client.converse(
        modelId=MODELS["alpha"],
        messages=asks("Hello"),
        guardrailConfig={"guardrailIdentifier": "gr1", "guardrailVersion": "1"},
    )
    assert "guardrailConfig;dropped" in reply["ResponseMetadata"]["HTTPHeaders"]["x-fungible-losses"]


def test_what_a_call_cost_is_in_the_ledger(stage: Stage) -> None:
    stage.client.converse(modelId=MODELS["gamma"], messages=asks("Hello"))
    rows = [r for r in stage.running.attempts() if r["provider"] == "gamma" and r["input_tokens"] == 11]
    assert rows and {r["cost_nanousd"] for r in rows if r["state"] == "settled"} == {11 * 1_000 + 7 * 2_000}
    assert {r["model"] for r in rows} == {"us.anthropic.claude-x-v1:0"}


def test_an_arn_with_slashes_is_one_name() -> None:
    spoken = DIALECTS["bedrock.converse"]
    arn = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-3-7-sonnet-v1:0"
    path = spoken.address(arn, stream=True)
    assert path.count("/") == 3 and unquote(path) == f"/model/{arn}/converse-stream"
    assert spoken.locate is not None
    found = spoken.locate(path, b"")
    assert found is not None and (found.model, found.stream, found.operation) == (arn, True, "chat")
