"""The official SDKs of Ollama, Cohere and Mistral as clients, on providers of four dialects.

The providers are scripted with the bytes a real one sends; everything else is real. A name with a tag,
`llama3.2:3b`, is a model's name like any other.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import cohere
import cohere.errors
import ollama
import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from tests.answering import alpha_reply, beta_reply
from tests.answering_more import delta_reply, gamma_reply
from tests.sdks import CHAT_TOOL
from tests.serving import Running
from tests.test_sdks import HELLO, SCHEMA, WEATHER
from tests.upstream import Upstream

PNG = base64.b64encode(bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32).decode()
MORE = """
[provider.gamma]
dialect = "ollama.chat"
base_url = "{gamma}"

[provider.delta]
dialect = "cohere.chat"
base_url = "{delta}"
key = "env:TEST_KEY"

[model."gamma/llama3.2:3b"]
input_usd_per_mtok = 0
output_usd_per_mtok = 0

[model."delta/command-a"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
"""
CITIES = [{"city": "Paris"}, {"city": "Oslo"}]


class Stage:
    """A server, its four providers, and the SDKs that reach it."""

    def __init__(self, running: Running, providers: dict[str, Upstream]) -> None:
        self.running, self.providers = running, providers
        bearer = {"Authorization": f"Bearer {running.key}"}
        self.ollama = ollama.Client(host=running.url, headers=bearer)
        self.cohere = cohere.ClientV2(api_key=running.key, base_url=running.url, max_retries=0)
        self.mistral = Mistral(api_key=running.key, server_url=running.url)
        self.openai = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key=running.key, base_url=running.url, max_retries=0)

    def sent(self, model: str) -> Any:
        return self.providers[model.partition("/")[0]].seen[-1].json


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        Upstream(alpha_reply) as alpha,
        Upstream(beta_reply) as beta,
        Upstream(gamma_reply) as gamma,
        Upstream(delta_reply) as delta,
    ):
        more = MORE.format(gamma=gamma.base, delta=delta.base)
        running = Running(tmp_path_factory.mktemp("more"), alpha.base, beta.base, more=more)
        yield Stage(running, {"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta})
        running.close()


MODELS = ("alpha/one", "beta/two", "gamma/llama3.2:3b", "delta/command-a")
TARGETS = pytest.mark.parametrize("model", MODELS)
NEW = pytest.mark.parametrize("model", MODELS[2:])


def hello(model: str) -> str:
    return f"Hello from {model.partition('/')[0]}"


def squeezed(text: str | None) -> str:
    return (text or "").replace(" ", "")


# --- Ollama's ------------------------------------------------------------------------------------


@TARGETS
def test_ollama_chat(stage: Stage, model: str) -> None:
    reply = stage.ollama.chat(model=model, messages=HELLO, options={"num_predict": 20, "temperature": 0.5})
    assert reply.message.content == hello(model)
    assert (reply.done, reply.done_reason) == (True, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == (11, 7)


@TARGETS
def test_ollama_stream(stage: Stage, model: str) -> None:
    parts = list(stage.ollama.chat(model=model, messages=HELLO, stream=True))
    assert squeezed("".join(p.message.content or "" for p in parts)) == squeezed(hello(model))
    assert [p.done for p in parts][-1] is True and not any(p.done for p in parts[:-1])
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", 7)


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_ollama_parallel_tools_with_results(stage: Stage, model: str, streamed: bool) -> None:
    if streamed:
        parts = stage.ollama.chat(model=model, messages=WEATHER, tools=[CHAT_TOOL], stream=True)
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        message = ollama.Message(role="assistant", content="", tool_calls=calls)
    else:
        message = stage.ollama.chat(model=model, messages=WEATHER, tools=[CHAT_TOOL]).message
        calls = list(message.tool_calls or ())
    assert [dict(c.function.arguments) for c in calls] == CITIES
    results = [
        {"role": "tool", "tool_name": c.function.name, "content": f"sunny in {n}"}
        for n, c in enumerate(calls)
    ]
    reply = stage.ollama.chat(model=model, messages=[*WEATHER, message, *results], tools=[CHAT_TOOL])
    assert reply.message.content == hello(model)
    sent = json.dumps(stage.sent(model)["messages"])
    # The SDK sends no ids, so they were made up: call_0 for the first call, and for its result.
    if model[0] in "abd":
        assert sent.count("call_0") == 2 and sent.count("call_1") == 2
    assert sent.index("sunny in 0") < sent.index("sunny in 1")


@TARGETS
def test_ollama_structured_output(stage: Stage, model: str) -> None:
    reply = stage.ollama.chat(model=model, messages=HELLO, format=SCHEMA)
    assert json.loads(reply.message.content or "") == {"name": "Ann", "age": 30}
    assert json.dumps(SCHEMA) in json.dumps(stage.sent(model))


@TARGETS
def test_ollama_image(stage: Stage, model: str) -> None:
    message = {"role": "user", "content": "What is it?", "images": [base64.b64decode(PNG)]}
    assert stage.ollama.chat(model=model, messages=[message]).message.content == hello(model)
    assert PNG in json.dumps(stage.sent(model))


@pytest.mark.parametrize("model", MODELS[1:])
@pytest.mark.parametrize("streamed", [False, True])
def test_ollama_thinking(stage: Stage, model: str, streamed: bool) -> None:
    if streamed:
        parts = list(stage.ollama.chat(model=model, messages=HELLO, think=True, stream=True))
        thought = "".join(part.message.thinking or "" for part in parts)
    else:
        thought = stage.ollama.chat(model=model, messages=HELLO, think=True).message.thinking or ""
    assert thought == "Let me see"


@TARGETS
def test_ollama_typed_errors(stage: Stage, model: str) -> None:
    for words, status, told in (("limit me", 429, "Slow down"), ("refuse me", 400, "Bad thing")):
        with pytest.raises(ollama.ResponseError, match=told) as caught:
            stage.ollama.chat(model=model, messages=[{"role": "user", "content": words}])
        assert caught.value.status_code == status
    with pytest.raises(ollama.ResponseError, match="nothing/here") as caught:
        stage.ollama.chat(model="nothing/here", messages=HELLO)
    assert caught.value.status_code == 404


def test_ollama_error_inside_a_stream(stage: Stage) -> None:
    broken = [{"role": "user", "content": "break off"}]
    text = ""
    with pytest.raises(ollama.ResponseError, match="runner is gone"):
        for part in stage.ollama.chat(model="gamma/broken", messages=broken, stream=True):
            text += part.message.content or ""
    assert text == "Hello from gamma"
    with pytest.raises(openai.APIError, match="runner is gone"):
        list(stage.openai.chat.completions.create(model="gamma/broken", messages=broken, stream=True))  # type: ignore[arg-type]


def test_ollama_client_without_a_key_is_told_how(stage: Stage) -> None:
    with pytest.raises(ollama.ResponseError, match="Authorization: Bearer") as caught:
        ollama.Client(host=stage.running.url).chat(model="gamma/x", messages=HELLO)
    assert caught.value.status_code == 401


def test_ollama_lists_models_and_version(stage: Stage) -> None:
    names = {model.model for model in stage.ollama.list().models}
    assert {"alpha/one", "gamma/llama3.2:3b", "both"} <= names
    request = urllib.request.Request(
        f"{stage.running.url}/api/version", headers={"authorization": f"Bearer {stage.running.key}"}
    )
    with urllib.request.urlopen(request) as reply:
        assert json.loads(reply.read())["version"].count(".") == 2
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{stage.running.url}/api/tags")


def test_a_stream_is_the_default_of_the_wire(stage: Stage) -> None:
    body = json.dumps({"model": "alpha/one", "messages": HELLO}).encode()
    request = urllib.request.Request(
        f"{stage.running.url}/api/chat", body, {"authorization": f"Bearer {stage.running.key}"}
    )
    with urllib.request.urlopen(request) as reply:
        assert reply.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in reply.read().splitlines()]
    assert lines[-1]["done"] is True and len(lines) > 2


# --- Cohere's ------------------------------------------------------------------------------------


def said_by(reply: Any) -> str:
    return "".join(b.text for b in reply.message.content or () if b.type == "text")


@TARGETS
def test_cohere_chat(stage: Stage, model: str) -> None:
    reply = stage.cohere.chat(model=model, messages=HELLO, max_tokens=20)
    assert (said_by(reply), reply.finish_reason) == (hello(model), "COMPLETE")
    assert reply.usage is not None and reply.usage.billed_units is not None
    assert (reply.usage.billed_units.input_tokens, reply.usage.billed_units.output_tokens) == (11, 7)


@TARGETS
def test_cohere_stream(stage: Stage, model: str) -> None:
    text, last = "", None
    for event in stage.cohere.chat_stream(model=model, messages=HELLO, max_tokens=20):
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""  # type: ignore[union-attr]
        last = event
    assert squeezed(text) == squeezed(hello(model))
    assert last is not None and last.type == "message-end" and last.delta is not None
    assert last.delta.finish_reason == "COMPLETE"
    assert last.delta.usage is not None and last.delta.usage.billed_units is not None
    assert last.delta.usage.billed_units.output_tokens == 7


def streamed_calls(events: Any) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for event in events:
        if event.type == "tool-call-start":
            calls.append(event.delta.message.tool_calls.model_dump())
        elif event.type == "tool-call-delta":
            calls[event.index]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
    return calls


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_cohere_parallel_tools_with_results(stage: Stage, model: str, streamed: bool) -> None:
    if streamed:
        calls = streamed_calls(stage.cohere.chat_stream(model=model, messages=WEATHER, tools=[CHAT_TOOL]))
    else:
        reply = stage.cohere.chat(model=model, messages=WEATHER, tools=[CHAT_TOOL])
        assert reply.finish_reason == "TOOL_CALL"
        calls = [call.model_dump() for call in reply.message.tool_calls or ()]
    assert [json.loads(c["function"]["arguments"]) for c in calls] == CITIES
    history: Any = [*WEATHER, {"role": "assistant", "tool_plan": "I will look.", "tool_calls": calls}]
    history += [{"role": "tool", "tool_call_id": c["id"], "content": "sunny"} for c in reversed(calls)]
    assert said_by(stage.cohere.chat(model=model, messages=history, tools=[CHAT_TOOL])) == hello(model)
    sent = json.dumps(stage.sent(model)["messages"])
    assert all(call["id"] in sent for call in calls)


@TARGETS
def test_cohere_structured_output(stage: Stage, model: str) -> None:
    wanted: Any = {"type": "json_object", "json_schema": SCHEMA}
    reply = stage.cohere.chat(model=model, messages=HELLO, response_format=wanted)
    assert json.loads(said_by(reply)) == {"name": "Ann", "age": 30}
    assert json.dumps(SCHEMA) in json.dumps(stage.sent(model))


@TARGETS
def test_cohere_image(stage: Stage, model: str) -> None:
    url = f"data:image/png;base64,{PNG}"
    content: Any = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    stage.cohere.chat(model=model, messages=[{"role": "user", "content": content}])  # type: ignore[list-item]
    assert PNG in json.dumps(stage.sent(model))


@pytest.mark.parametrize("model", MODELS[1:])
def test_cohere_thinking(stage: Stage, model: str) -> None:
    thinking: Any = {"type": "enabled", "token_budget": 1024}
    reply = stage.cohere.chat(model=model, messages=HELLO, thinking=thinking, max_tokens=2048)
    blocks = [(b.type, getattr(b, b.type)) for b in reply.message.content or ()]
    assert blocks == [("thinking", "Let me see"), ("text", hello(model))]


@TARGETS
def test_cohere_typed_errors(stage: Stage, model: str) -> None:
    limit: Any = [{"role": "user", "content": "limit me"}]
    refuse: Any = [{"role": "user", "content": "refuse me"}]
    with pytest.raises(cohere.errors.TooManyRequestsError):
        stage.cohere.chat(model=model, messages=limit)
    with pytest.raises(cohere.errors.BadRequestError, match="Bad thing"):
        stage.cohere.chat(model=model, messages=refuse)
    with pytest.raises(cohere.errors.NotFoundError):
        stage.cohere.chat(model="nothing/here", messages=HELLO)
    with pytest.raises(cohere.errors.UnauthorizedError, match="not known here"):
        cohere.ClientV2(api_key="wrong", base_url=stage.running.url, max_retries=0).chat(
            model=model, messages=HELLO
        )


# --- Mistral's: a client of openai.chat ----------------------------------------------------------


@TARGETS
def test_mistral_chat(stage: Stage, model: str) -> None:
    reply = stage.mistral.chat.complete(model=model, messages=HELLO, max_tokens=20)
    assert reply.choices[0].message is not None
    assert reply.choices[0].message.content == hello(model)
    assert reply.usage.completion_tokens == 7


@TARGETS
def test_mistral_stream(stage: Stage, model: str) -> None:
    text, reasons = "", []
    for event in stage.mistral.chat.stream(model=model, messages=HELLO, max_tokens=20):
        for choice in event.data.choices:
            text += str(choice.delta.content or "")
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert squeezed(text) == squeezed(hello(model)) and reasons == ["stop"]


@TARGETS
def test_mistral_parallel_tools_with_results(stage: Stage, model: str) -> None:
    first = stage.mistral.chat.complete(
        model=model, messages=WEATHER, tools=[CHAT_TOOL], tool_choice="any", max_tokens=50
    )
    message = first.choices[0].message
    assert message is not None
    calls: Any = message.tool_calls
    assert [json.loads(str(c.function.arguments)) for c in calls] == CITIES
    assert first.choices[0].finish_reason == "tool_calls"
    results = [
        {"role": "tool", "tool_call_id": c.id, "name": "get_weather", "content": "sunny"} for c in calls
    ]
    reply = stage.mistral.chat.complete(
        model=model, messages=[*WEATHER, message, *results], tools=[CHAT_TOOL], max_tokens=50
    )
    assert reply.choices[0].message is not None and reply.choices[0].message.content == hello(model)


@TARGETS
def test_mistral_structured_output_and_image(stage: Stage, model: str) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    content: Any = [
        {"type": "text", "text": "Who?"},
        {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
    ]
    reply = stage.mistral.chat.complete(
        model=model, messages=[{"role": "user", "content": content}], response_format=wanted, max_tokens=50
    )
    assert reply.choices[0].message is not None
    assert json.loads(str(reply.choices[0].message.content)) == {"name": "Ann", "age": 30}
    assert PNG in json.dumps(stage.sent(model))


@TARGETS
def test_mistral_errors(stage: Stage, model: str) -> None:
    for words, status in (("limit me", 429), ("refuse me", 400)):
        with pytest.raises(SDKError) as caught:
            stage.mistral.chat.complete(model=model, messages=[{"role": "user", "content": words}])
        assert caught.value.status_code == status


# --- the clients there were, on the providers of the new dialects ----------------------------------


@NEW
def test_openai_and_anthropic_reach_them(stage: Stage, model: str) -> None:
    reply = stage.openai.chat.completions.create(model=model, messages=HELLO, max_tokens=20)
    assert (reply.choices[0].message.content, reply.model) == (hello(model), model.partition("/")[2])
    events = stage.openai.chat.completions.create(model=model, messages=HELLO, max_tokens=20, stream=True)
    chunks = list(events)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == hello(model)
    assert {chunk.model for chunk in chunks} == {model.partition("/")[2]}
    message = stage.anthropic.messages.create(model=model, messages=HELLO, max_tokens=20)
    assert message.content[0].text == hello(model)  # type: ignore[union-attr]
    with stage.anthropic.messages.stream(model=model, messages=HELLO, max_tokens=20) as told:
        assert "".join(told.text_stream) == hello(model)
        assert told.get_final_message().usage.output_tokens == 7


def test_what_is_billed_is_what_the_ledger_says(stage: Stage) -> None:
    """Not the tokens that the provider adds to a prompt: 11 in and 7 out, at 2.50 and 10 dollars a million."""
    raw = stage.openai.chat.completions.with_raw_response.create(model="delta/command-a", messages=HELLO)
    assert raw.headers["x-fungible-cost-usd"] == "0.0000975"
