"""The official google-genai SDK as a client, on scripted providers of every dialect."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.answering import CITIES, alpha_reply, beta_reply
from tests.serving import Running
from tests.upstream import JSON, Seen, Upstream, answer, stream

SIGNATURE = base64.b64encode(b"signed").decode()
PNG = bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather",
            parameters=types.Schema(
                type=types.Type.OBJECT,
                properties={"city": types.Schema(type=types.Type.STRING)},
                required=["city"],
            ),
        )
    ]
)
MORE = """
[provider.gamma]
dialect = "gemini.generate_content"
base_url = "{gamma}"
key = "env:TEST_KEY"

[model."gamma/three"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00
"""


def gamma_reply(seen: Seen) -> list:
    """A provider of the SDK's own dialect."""
    if ":countTokens" in seen.path:
        return answer(200, JSON, {"totalTokens": 42})
    body = seen.json
    said = json.dumps(body["contents"][-1])
    if "limit me" in said:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0s"}
        error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
        return answer(429, JSON, {"error": error})
    if "refuse me" in said:
        return answer(
            400, JSON, {"error": {"code": 400, "message": "Bad thing", "status": "INVALID_ARGUMENT"}}
        )
    parts: list[Any] = [{"text": "Hello from gamma"}]
    if "responseMimeType" in body.get("generationConfig", {}):
        parts = [{"text": '{"name":"Ann","age":30}'}]
    if "thinkingConfig" in body.get("generationConfig", {}):
        parts = [
            {"text": "Let me see", "thought": True},
            {"text": "Hello from gamma", "thoughtSignature": SIGNATURE},
        ]
    if body.get("tools") and "functionResponse" not in said and "weather" in said:
        parts = [{"functionCall": {"name": "get_weather", "args": {"city": c}}} for c in CITIES]
        parts[0]["thoughtSignature"] = SIGNATURE
    usage = {
        "promptTokenCount": 11,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 18,
    }
    names = {"modelVersion": "three", "responseId": "r1"}
    if ":stream" not in seen.path:
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
        return answer(200, JSON, {"candidates": [candidate], "usageMetadata": usage, **names})
    frames = [{"candidates": [{"content": {"parts": [p], "role": "model"}}], **names} for p in parts]
    frames.append({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage, **names})
    return stream(*(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n" for frame in frames))


class Stage:
    def __init__(self, running: Running, gamma: Upstream) -> None:
        self.running, self.gamma = running, gamma
        self.client = genai.Client(
            api_key=running.key,
            http_options=types.HttpOptions(
                base_url=running.url, retry_options=types.HttpRetryOptions(attempts=1)
            ),
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta, Upstream(gamma_reply) as gamma:
        folder: Path = tmp_path_factory.mktemp("genai")
        running = Running(folder, alpha.base, beta.base, more=MORE.format(gamma=gamma.base))
        yield Stage(running, gamma)
        running.close()


MODELS = pytest.mark.parametrize("model", ["alpha/one", "beta/two", "gamma/three"])


@MODELS
def test_generate_content(stage: Stage, model: str) -> None:
    reply = stage.client.models.generate_content(model=model, contents="Hello")
    assert reply.text is not None and reply.text.startswith("Hello from")
    assert reply.candidates is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    usage = reply.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.total_token_count) == (11, 18)


@MODELS
def test_generate_content_stream(stage: Stage, model: str) -> None:
    chunks = list(stage.client.models.generate_content_stream(model=model, contents="Hello"))
    assert "".join(chunk.text or "" for chunk in chunks).startswith("Hello")
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 18


@MODELS
@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_with_results(stage: Stage, model: str, streamed: bool) -> None:
    config = types.GenerateContentConfig(
        tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    asked: Any = [types.UserContent("What is the weather in Paris and Oslo?")]
    ask = stage.client.models
    if streamed:
        chunks = ask.generate_content_stream(model=model, contents=asked, config=config)
        calls = [part for chunk in chunks for c in chunk.candidates or () for part in parts_of(c)]
    else:
        candidates = ask.generate_content(model=model, contents=asked, config=config).candidates
        assert candidates is not None
        calls = parts_of(candidates[0])
    called = [part.function_call for part in calls if part.function_call is not None]
    assert [call.args for call in called] == [{"city": city} for city in CITIES]
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": f"{call.args}: rain"}
            )
        )
        for call in called
    ]
    asked += [types.ModelContent(calls), types.UserContent(results)]
    after = ask.generate_content(model=model, contents=asked, config=config)
    assert after.text is not None and after.text.startswith("Hello from")


def parts_of(candidate: types.Candidate) -> list[types.Part]:
    return list(candidate.content.parts or ()) if candidate.content is not None else []


@MODELS
def test_structured_output(stage: Stage, model: str) -> None:
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=SCHEMA, max_output_tokens=64
    )
    reply = stage.client.models.generate_content(model=model, contents="Who?", config=config)
    assert json.loads(reply.text or "") == {"name": "Ann", "age": 30}


@MODELS
def test_an_image(stage: Stage, model: str) -> None:
    image = types.Part.from_bytes(data=PNG, mime_type="image/png")
    reply = stage.client.models.generate_content(model=model, contents=[image, "What is this?"])
    assert reply.text is not None and reply.text.startswith("Hello from")


def test_a_thought_and_its_signature_come_and_go_back(stage: Stage) -> None:
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    reply = stage.client.models.generate_content(model="gamma/three", contents="Think", config=config)
    assert reply.candidates is not None
    thought, said = parts_of(reply.candidates[0])
    assert (thought.thought, thought.text) == (True, "Let me see")
    assert said.thought_signature == b"signed"
    asked: Any = [types.UserContent("Think"), types.ModelContent([thought, said]), types.UserContent("And?")]
    stage.client.models.generate_content(model="gamma/three", contents=asked, config=config)
    sent = stage.gamma.seen[-1].json["contents"][1]["parts"]
    assert sent[1]["thoughtSignature"] == SIGNATURE


def test_thoughts_of_another_dialect(stage: Stage) -> None:
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    )
    reply = stage.client.models.generate_content(model="beta/two", contents="Think", config=config)
    assert reply.candidates is not None
    thought, _ = parts_of(reply.candidates[0])
    assert (thought.thought, thought.text) == (True, "Let me see")


@MODELS
@pytest.mark.parametrize(("said", "code"), [("limit me", 429), ("refuse me", 400)])
def test_typed_errors(stage: Stage, model: str, said: str, code: int) -> None:
    with pytest.raises(errors.ClientError) as caught:
        stage.client.models.generate_content(model=model, contents=said)
    assert caught.value.code == code
    assert caught.value.status in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT")


def test_no_such_model_and_no_such_key(stage: Stage) -> None:
    with pytest.raises(errors.ClientError) as caught:
        stage.client.models.generate_content(model="nobody/none", contents="Hello")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    stranger = genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=stage.running.url))
    with pytest.raises(errors.ClientError) as caught:
        stranger.models.generate_content(model="alpha/one", contents="Hello")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_count_tokens(stage: Stage) -> None:
    counted = stage.client.models.count_tokens(model="gamma/three", contents="Hello")
    assert counted.total_tokens == 42
    estimated = stage.client.models.count_tokens(model="alpha/one", contents="Hello")
    assert estimated.total_tokens is not None and estimated.total_tokens > 0


def test_models_are_listed(stage: Stage) -> None:
    names = [model.name for model in stage.client.models.list()]
    assert "models/gamma/three" in names
