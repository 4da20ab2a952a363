"""The official openai SDK's Responses as client, on providers of all three dialects.

The providers are scripted; `openai` is the table's own row, at a scripted address, and speaks two dialects.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from tests.answering import alpha_reply, beta_reply
from tests.serving import Running
from tests.upstream import JSON, Seen, Upstream, answer, stream

PNG = base64.b64encode(bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32).decode()
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}
WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris and Oslo?"}]
TARGETS = pytest.mark.parametrize("model", ["alpha/one", "beta/two", "openai/three"])
OWN = """
[provider.openai]
base_url = "{gamma}/v1"
key = "env:TEST_KEY"

[model."openai/three"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00
"""


class Person(pydantic.BaseModel):
    name: str
    age: int


def gamma_reply(seen: Seen) -> list:
    """The third provider, in openai.responses; what comes to its other path it answers as alpha does."""
    if seen.path.endswith("/chat/completions"):
        return alpha_reply(seen)
    if seen.path.endswith("/input_tokens"):
        return answer(200, JSON, {"object": "response.input_tokens", "input_tokens": 42})
    body, said = seen.json, json.dumps(seen.json["input"])
    if "limit me" in said or "refuse me" in said:
        status, message = (429, "Slow down") if "limit me" in said else (400, "Bad thing")
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return answer(status, JSON, {"error": error}, {"retry-after": "0"})
    output: list[Any] = [{"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "seal=="}]
    if body.get("tools") and "function_call_output" not in said:
        output += [
            {"id": f"fc_{n}", "type": "function_call", "status": "completed", "call_id": f"call_{n}",
             "name": "get_weather", "arguments": json.dumps({"city": city})}
            for n, city in enumerate(("Paris", "Oslo"))
        ]  # fmt: skip
    else:
        text = '{"name":"Ann","age":30}' if "text" in body else "Hello from openai"
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        output.append(
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
        )
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    usage |= {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    response = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "three",
        "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": usage | {"output_tokens_details": {"reasoning_tokens": 3}},
    }  # fmt: skip
    if not body.get("stream"):
        return answer(200, JSON, response, {"x-request-id": "req_gamma"})
    return stream(*gamma_events(response))


def gamma_events(response: dict[str, Any]) -> list[bytes]:
    told: list[bytes] = []

    def tell(kind: str, **more: Any) -> None:
        body = {"type": kind, "sequence_number": len(told), **more}
        told.append(f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode())

    begun = {**response, "output": [], "status": "in_progress", "usage": None}
    tell("response.created", response=begun)
    tell("response.in_progress", response=begun)
    for n, item in enumerate(response["output"]):
        empty = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {}}[
            item["type"]
        ]
        tell("response.output_item.added", output_index=n, item={**item, **empty})
        at: Any = {"item_id": item["id"], "output_index": n}
        if item["type"] == "message":
            text, at = item["content"][0]["text"], at | {"content_index": 0}
            tell("response.content_part.added", **at, part={**item["content"][0], "text": ""})
            for piece in (text[:6], text[6:]):
                tell("response.output_text.delta", **at, delta=piece, logprobs=[], obfuscation="q")
            tell("response.output_text.done", **at, text=text, logprobs=[])
            tell("response.content_part.done", **at, part=item["content"][0])
        elif item["type"] == "function_call":
            tell("response.function_call_arguments.delta", **at, delta=item["arguments"])
            tell("response.function_call_arguments.done", **at, arguments=item["arguments"])
        tell("response.output_item.done", output_index=n, item=item)
    tell("response.completed", response=response)
    return told


class Stage:
    def __init__(self, running: Running, alpha: Upstream, beta: Upstream, gamma: Upstream) -> None:
        self.running = running
        self.upstreams = {"alpha": alpha, "beta": beta, "openai": gamma}
        self.client = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)

    def sent(self, model: str) -> Seen:
        return self.upstreams[model.partition("/")[0]].seen[-1]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta, Upstream(gamma_reply) as gamma:
        more = OWN.format(gamma=gamma.base)
        running = Running(tmp_path_factory.mktemp("responses"), alpha.base, beta.base, more=more)
        yield Stage(running, alpha, beta, gamma)
        running.close()


def greeting(model: str) -> str:
    return f"Hello from {model.partition('/')[0]}"


@TARGETS
def test_plain(stage: Stage, model: str) -> None:
    reply = stage.client.responses.create(model=model, input="Hello", instructions="Be brief")
    assert (reply.output_text, reply.status, reply.model) == (
        greeting(model),
        "completed",
        model.partition("/")[2],
    )
    usage = reply.usage
    assert usage is not None and (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (11, 7, 18)
    assert "Be brief" in stage.sent(model).body.decode()


@TARGETS
def test_streamed(stage: Stage, model: str) -> None:
    with stage.client.responses.stream(model=model, input="Hello") as events:
        got = list(events)
        final = events.get_final_response()
    text = "".join(e.delta for e in got if e.type == "response.output_text.delta")
    assert text.replace(" ", "") == final.output_text.replace(" ", "") == greeting(model).replace(" ", "")
    kinds = [e.type for e in got]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    raw = list(stage.client.responses.create(model=model, input="Hello", stream=True))
    assert [e.sequence_number for e in raw] == list(range(len(raw)))
    assert final.usage is not None and final.usage.output_tokens == 7


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_with_results_out_of_order(stage: Stage, model: str, streamed: bool) -> None:
    if streamed:
        with stage.client.responses.stream(model=model, input=WEATHER, tools=[TOOL]) as events:
            first: Any = events.get_final_response()
    else:
        first = stage.client.responses.create(model=model, input=WEATHER, tools=[TOOL])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(c.arguments) for c in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    history: Any = [
        *WEATHER,
        *(i.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for i in first.output),
    ]
    history += [
        {"type": "function_call_output", "call_id": c.call_id, "output": f"sunny in {n}"}
        for n, c in reversed(list(enumerate(calls)))
    ]
    reply = stage.client.responses.create(model=model, input=history, tools=[TOOL])
    assert reply.output_text == greeting(model)
    sent = stage.sent(model).body.decode()
    assert all(c.call_id in sent for c in calls) and sent.index("sunny in 1") < sent.index("sunny in 0")


@TARGETS
def test_structured_output_parsed(stage: Stage, model: str) -> None:
    reply = stage.client.responses.parse(model=model, input="Hello", text_format=Person)
    assert reply.output_parsed == Person(name="Ann", age=30)
    assert '"properties"' in stage.sent(model).body.decode()


@pytest.mark.parametrize("model", ["alpha/one", "beta/two"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_repeats_what_was_asked(stage: Stage, model: str, streamed: bool) -> None:
    """Clients read the answer by it: LangChain parses the text only where `text.format` says that it can."""
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {}}}
    asked: Any = {"model": model, "input": "Hello", "instructions": "Be brief", "text": {"format": form}}
    if streamed:
        told = list(stage.client.responses.create(**asked, stream=True))
        replies = [event.response for event in told if hasattr(event, "response")]
        assert len(replies) == 3
    else:
        replies = [stage.client.responses.create(**asked)]
    for reply in replies:
        assert reply.text.format.type == "json_schema" and reply.instructions == "Be brief"
        assert reply.tools == [] and reply.temperature is None


@TARGETS
def test_an_image(stage: Stage, model: str) -> None:
    parts: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
    ]
    reply = stage.client.responses.create(model=model, input=[{"role": "user", "content": parts}])
    assert reply.output_text and PNG in stage.sent(model).body.decode()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_thought_of_another_dialect_goes_home_signed(stage: Stage, streamed: bool) -> None:
    asked: Any = {"model": "beta/two", "input": "Hello", "reasoning": {"effort": "low", "summary": "auto"}}
    if streamed:
        with stage.client.responses.stream(**asked) as events:
            first: Any = events.get_final_response()
    else:
        first = stage.client.responses.create(**asked)
    thought = next(i for i in first.output if i.type == "reasoning")
    assert thought.summary[0].text == "Let me see"
    assert base64.b64decode(thought.encrypted_content).endswith(b":sig==")  # with the name of its maker
    history: Any = [
        {"role": "user", "content": "Hello"},
        *(i.model_dump(exclude_none=True) for i in first.output),
        {"role": "user", "content": "And now?"},
    ]
    stage.client.responses.create(model="beta/two", input=history)
    turn = stage.sent("beta/two").json["messages"][1]["content"]
    assert turn[0] == {"type": "thinking", "thinking": "Let me see", "signature": "sig=="}
    stage.client.responses.create(model="openai/three", input=history)
    assert "Let me see" not in stage.sent("openai/three").body.decode()  # which would refuse it


def test_a_thought_of_its_own_is_moved_untouched(stage: Stage) -> None:
    first = stage.client.responses.create(
        model="openai/three", input="Hello", include=["reasoning.encrypted_content"]
    )
    history: Any = [i.model_dump(exclude_none=True) for i in first.output]
    stage.client.responses.create(model="openai/three", input=history)
    assert stage.sent("openai/three").json["input"] == history
    stage.client.responses.create(model="beta/two", input=history)
    assert "seal==" not in stage.sent("beta/two").body.decode()


@TARGETS
def test_typed_errors(stage: Stage, model: str) -> None:
    with pytest.raises(openai.RateLimitError):
        stage.client.responses.create(model=model, input="limit me")
    with pytest.raises(openai.BadRequestError, match="Bad thing"):
        stage.client.responses.create(model=model, input="refuse me")


def test_bad_input_says_what_and_where(stage: Stage) -> None:
    wrong: Any = [{"role": "user", "content": [{"type": "input_text", "text": 7}]}]
    with pytest.raises(openai.BadRequestError, match=r"input\[0\]\.content\[0\]\.text"):
        stage.client.responses.create(model="alpha/one", input=wrong)


def test_a_client_is_served_in_its_own_dialect_where_the_provider_speaks_it(stage: Stage) -> None:
    stage.client.responses.create(model="openai/three", input="Hello")
    assert stage.sent("openai/three").path == "/v1/responses"
    hello: Any = [{"role": "user", "content": "Hello"}]
    stage.client.chat.completions.create(model="openai/three", messages=hello)
    assert stage.sent("openai/three").path == "/v1/chat/completions"


def test_a_conversation_that_only_a_provider_keeps_is_not_answered_without_it(stage: Stage) -> None:
    asked: Any = {"model": "beta/two", "input": "And now?", "previous_response_id": "resp_1"}
    with pytest.raises(openai.BadRequestError, match="resp_1") as refused:
        stage.client.responses.create(**asked)
    assert (refused.value.param, refused.value.code) == (
        "previous_response_id",
        "previous_response_not_found",
    )
    stage.client.responses.create(**{**asked, "model": "openai/three"})
    assert stage.sent("openai/three").json["previous_response_id"] == "resp_1"


def test_input_tokens_are_counted(stage: Stage) -> None:
    counted = stage.client.responses.input_tokens.count(model="openai/three", input="Hello")
    assert counted.input_tokens == 42
    assert stage.sent("openai/three").path == "/v1/responses/input_tokens"
    assert stage.client.responses.input_tokens.count(model="beta/two", input="Hello").input_tokens > 0
