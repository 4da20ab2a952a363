"""The official SDKs as clients, against the server and in process, on providers of both dialects.

The providers are scripted with the bytes a real one sends; everything else is real. `test_sdk_matrix` asks
all of them, and the libraries on top of them, for everything; here stands what wants a closer look.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import fungible
from tests.answering import alpha_reply, beta_reply
from tests.sdks import CHAT_TOOL, IMAGE, MESSAGES_TOOL
from tests.serving import Running
from tests.upstream import Upstream

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


# --- the two ways in -----------------------------------------------------------------------------------------


class Way:
    """SDK clients that reach fungible through the server, or in this process."""

    def __init__(
        self, running: Running, client: fungible.Client | None, alpha: Upstream, beta: Upstream
    ) -> None:
        self.running, self.client, self.alpha, self.beta = running, client, alpha, beta
        more = {"http_client": client.http()} if client is not None else {}
        base = "http://fungible" if client is not None else running.url
        key = "x" if client is not None else running.key
        self.openai = openai.OpenAI(api_key=key, base_url=f"{base}/v1", max_retries=0, **more)
        self.anthropic = anthropic.Anthropic(api_key=key, base_url=base, max_retries=0, **more)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Upstream, Upstream]]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        running = Running(tmp_path_factory.mktemp("sdks"), alpha.base, beta.base)
        yield running, alpha, beta
        running.close()


@pytest.fixture(scope="module", params=["server", "process"])
def way(request: pytest.FixtureRequest, stage: tuple[Running, Upstream, Upstream]) -> Iterator[Way]:
    running, alpha, beta = stage
    if request.param == "server":
        yield Way(running, None, alpha, beta)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEST_KEY", "provider-secret")
            with fungible.Client(config=str(running.config)) as client:
                yield Way(running, client, alpha, beta)


TARGETS = pytest.mark.parametrize("model", ["alpha/one", "beta/two"])
HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris and Oslo?"}]


@TARGETS
def test_openai_chat(way: Way, model: str) -> None:
    reply = way.openai.chat.completions.create(model=model, messages=HELLO, max_tokens=20)
    assert reply.choices[0].message.content == f"Hello from {model.split('/', maxsplit=1)[0]}"
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 7)


@TARGETS
def test_anthropic_chat(way: Way, model: str) -> None:
    reply = way.anthropic.messages.create(model=model, messages=HELLO, max_tokens=20, system="Be brief")
    assert (
        reply.content[0].type == "text"
        and reply.content[0].text == f"Hello from {model.split('/', maxsplit=1)[0]}"
    )
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.stop_reason) == (11, 7, "end_turn")


@TARGETS
def test_openai_stream(way: Way, model: str) -> None:
    options: Any = {"include_usage": True}
    with way.openai.chat.completions.create(
        model=model, messages=HELLO, max_tokens=20, stream=True, stream_options=options
    ) as chunks:
        got = list(chunks)
    text = "".join(c.choices[0].delta.content or "" for c in got if c.choices)
    assert text.replace(" ", "") == f"Hellofrom{model.split('/', maxsplit=1)[0]}"
    assert [c.choices[0].finish_reason for c in got if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert got[-1].usage is not None and got[-1].usage.completion_tokens == 7


@TARGETS
def test_openai_stream_without_asking_for_usage_gets_none(way: Way, model: str) -> None:
    with way.openai.chat.completions.create(
        model=model, messages=HELLO, max_tokens=20, stream=True
    ) as chunks:
        got = list(chunks)
    assert all(c.choices for c in got) and all(c.usage is None for c in got)


@TARGETS
def test_anthropic_stream(way: Way, model: str) -> None:
    with way.anthropic.messages.stream(model=model, messages=HELLO, max_tokens=20) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    assert text.replace(" ", "") == f"Hellofrom{model.split('/', maxsplit=1)[0]}"
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 7)


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_openai_parallel_tools_with_results_out_of_order(way: Way, model: str, streamed: bool) -> None:
    if streamed:
        with way.openai.chat.completions.stream(
            model=model, messages=WEATHER, tools=[CHAT_TOOL], max_tokens=50
        ) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = (
            way.openai.chat.completions.create(
                model=model, messages=WEATHER, tools=[CHAT_TOOL], max_tokens=50
            )
            .choices[0]
            .message
        )
    calls = message.tool_calls or []
    assert [json.loads(c.function.arguments) for c in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    history: Any = [*WEATHER, message.model_dump(exclude_none=True, exclude={"parsed"})]
    for call in history[1]["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    history += [
        {"role": "tool", "tool_call_id": c.id, "content": f"sunny in {n}"}
        for n, c in reversed(list(enumerate(calls)))
    ]
    reply = way.openai.chat.completions.create(
        model=model, messages=history, tools=[CHAT_TOOL], max_tokens=50
    )
    assert reply.choices[0].message.content
    sent = (way.alpha if model.startswith("alpha") else way.beta).seen[-1].json["messages"]
    text = json.dumps(sent)
    assert all(c.id in text for c in calls) and text.index("sunny in 1") < text.index("sunny in 0")


@TARGETS
@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_parallel_tools_with_results(way: Way, model: str, streamed: bool) -> None:
    if streamed:
        with way.anthropic.messages.stream(
            model=model, messages=WEATHER, tools=[MESSAGES_TOOL], max_tokens=50
        ) as events:
            first = events.get_final_message()
    else:
        first = way.anthropic.messages.create(
            model=model, messages=WEATHER, tools=[MESSAGES_TOOL], max_tokens=50
        )
    calls = [b for b in first.content if b.type == "tool_use"]
    assert [c.input for c in calls] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ] and first.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": c.id, "content": "sunny"} for c in calls]
    history: Any = [
        *WEATHER,
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        {"role": "user", "content": results},
    ]
    reply = way.anthropic.messages.create(model=model, messages=history, tools=[MESSAGES_TOOL], max_tokens=50)
    assert reply.content[0].type == "text"


@TARGETS
def test_openai_structured_output(way: Way, model: str) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    reply = way.openai.chat.completions.create(
        model=model, messages=HELLO, response_format=wanted, max_tokens=50
    )
    assert json.loads(reply.choices[0].message.content or "") == {"name": "Ann", "age": 30}
    sent = (way.alpha if model.startswith("alpha") else way.beta).seen[-1].json
    assert SCHEMA in (
        sent.get("response_format", {}).get("json_schema", {}).get("schema"),
        sent.get("output_config", {}).get("format", {}).get("schema"),
    )


@TARGETS
def test_anthropic_structured_output(way: Way, model: str) -> None:
    config: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
    reply = way.anthropic.messages.create(model=model, messages=HELLO, output_config=config, max_tokens=50)
    assert json.loads(reply.content[0].text) == {"name": "Ann", "age": 30}  # type: ignore[union-attr]


@TARGETS
def test_openai_image(way: Way, model: str) -> None:
    content: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
    ]
    way.openai.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], max_tokens=20
    )
    assert IMAGE in json.dumps((way.alpha if model.startswith("alpha") else way.beta).seen[-1].json)


@TARGETS
def test_anthropic_image(way: Way, model: str) -> None:
    content: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
        {"type": "text", "text": "What is it?"},
    ]
    way.anthropic.messages.create(model=model, messages=[{"role": "user", "content": content}], max_tokens=20)
    assert IMAGE in json.dumps((way.alpha if model.startswith("alpha") else way.beta).seen[-1].json)


def test_thinking_kept_for_the_provider_that_made_it(way: Way) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    first = way.anthropic.messages.create(
        model="beta/two", messages=HELLO, thinking=thinking, max_tokens=2048
    )
    assert [b.type for b in first.content] == ["thinking", "text"]
    history: Any = [
        *HELLO,
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        *HELLO,
    ]
    way.anthropic.messages.create(model="beta/two", messages=history, thinking=thinking, max_tokens=2048)
    assert way.beta.seen[-1].json["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "Let me see",
        "signature": "sig==",
    }


def test_thinking_reaches_a_client_of_the_other_dialect_and_comes_back(way: Way) -> None:
    first = way.openai.chat.completions.create(
        model="beta/two", messages=HELLO, max_tokens=2048, extra_body={"reasoning_effort": "high"}
    )
    message = first.choices[0].message.model_dump(exclude_none=True)
    if "reasoning_content" not in message:
        pytest.fail(f"the thought is lost: {message}")
    way.openai.chat.completions.create(model="beta/two", messages=[*HELLO, message, *HELLO], max_tokens=2048)
    assert {"type": "thinking", "thinking": "Let me see", "signature": "sig=="} in way.beta.seen[-1].json[
        "messages"
    ][1]["content"]


@TARGETS
def test_typed_errors(way: Way, model: str) -> None:
    limit: Any = [{"role": "user", "content": "limit me"}]
    refuse: Any = [{"role": "user", "content": "refuse me"}]
    with pytest.raises(openai.RateLimitError):
        way.openai.chat.completions.create(model=model, messages=limit, max_tokens=5)
    with pytest.raises(anthropic.RateLimitError):
        way.anthropic.messages.create(model=model, messages=limit, max_tokens=5)
    with pytest.raises(openai.BadRequestError, match="Bad thing"):
        way.openai.chat.completions.create(model=model, messages=refuse, max_tokens=5)
    with pytest.raises(anthropic.BadRequestError, match="Bad thing"):
        way.anthropic.messages.create(model=model, messages=refuse, max_tokens=5)
    with pytest.raises(openai.NotFoundError, match="alpha/one"):
        way.openai.chat.completions.create(model="alpha/one".replace("alpha/", "alpah/"), messages=HELLO)
    with pytest.raises(anthropic.NotFoundError):
        way.anthropic.messages.create(model="nothing/like-it", messages=HELLO, max_tokens=5)


def test_the_client_s_own_version_header_goes_on(way: Way) -> None:
    more = {"anthropic-version": "2027-01-01", "anthropic-beta": "some-beta"}
    way.anthropic.messages.create(model="beta/two", messages=HELLO, max_tokens=20, extra_headers=more)
    sent = way.beta.seen[-1].headers
    assert sent["anthropic-version"] == "2027-01-01" and sent["anthropic-beta"] == "some-beta"


def test_a_header_that_no_other_dialect_has_is_told_as_lost(way: Way) -> None:
    asked: Any = {"model": "alpha/one", "messages": HELLO, "max_tokens": 20}
    create = way.anthropic.messages.with_raw_response.create
    told = create(**asked, extra_headers={"anthropic-beta": "some-beta"})
    assert "headers.anthropic-beta;dropped" in told.headers["x-fungible-losses"]
    assert "headers" not in create(**asked).headers["x-fungible-losses"]
    strict = {"anthropic-beta": "some-beta", "x-fungible-strict": "1"}
    with pytest.raises(anthropic.UnprocessableEntityError, match=r"headers\.anthropic-beta"):
        create(**asked, extra_headers=strict)


def test_count_tokens(way: Way) -> None:
    assert way.anthropic.messages.count_tokens(model="beta/two", messages=HELLO).input_tokens == 42
    assert way.anthropic.messages.count_tokens(model="alpha/one", messages=HELLO).input_tokens > 0


def test_models_are_listed(way: Way) -> None:
    assert {"alpha/one", "beta/two", "both"} <= {m.id for m in way.openai.models.list()}
    assert {"alpha/one", "beta/two", "both"} <= {m.id for m in way.anthropic.models.list()}


def test_async_sdks(stage: tuple[Running, Upstream, Upstream]) -> None:
    running, _, _ = stage

    async def ask() -> list[str]:
        one = openai.AsyncOpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)
        two = anthropic.AsyncAnthropic(api_key=running.key, base_url=running.url, max_retries=0)
        a = await one.chat.completions.create(model="beta/two", messages=HELLO, max_tokens=5)
        b = await two.messages.create(model="alpha/one", messages=HELLO, max_tokens=5)
        async with two.messages.stream(model="alpha/one", messages=HELLO, max_tokens=5) as events:
            c = "".join([t async for t in events.text_stream])
        return [a.choices[0].message.content or "", b.content[0].text, c]  # type: ignore[union-attr]

    assert asyncio.run(ask()) == ["Hello from beta", "Hello from alpha", "Hellofromalpha"]


def test_async_sdks_in_process(
    stage: tuple[Running, Upstream, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, _, _ = stage
    monkeypatch.setenv("TEST_KEY", "provider-secret")

    async def ask() -> list[str]:
        async with fungible.AsyncClient(config=str(running.config)) as client:
            one = openai.AsyncOpenAI(api_key="x", base_url="http://fungible/v1", http_client=client.http())
            two = anthropic.AsyncAnthropic(api_key="x", base_url="http://fungible", http_client=client.http())
            a = await one.chat.completions.create(model="beta/two", messages=HELLO, max_tokens=5)
            async with two.messages.stream(model="alpha/one", messages=HELLO, max_tokens=5) as events:
                b = "".join([t async for t in events.text_stream])
            c = await client.chat("both", "Hello", max_output_tokens=5)
            return [a.choices[0].message.content or "", b, c.text, c.target]

    assert asyncio.run(ask()) == ["Hello from beta", "Hellofromalpha", "Hello from alpha", "alpha/one"]


def test_the_ledger_has_every_attempt_once(stage: tuple[Running, Upstream, Upstream], tmp_path: Path) -> None:
    running, alpha, beta = stage
    rows = running.attempts()
    sent = [s.headers["x-fungible-attempt"] for up in (alpha, beta) for s in up.seen]
    ours = [row["attempt"] for row in rows]
    assert len(set(ours)) == len(ours) and set(sent) == set(ours) and len(sent) == len(ours)
    for row in rows:
        if row["state"] == "settled" and row["input_tokens"]:
            rate = (2_500, 10_000) if row["provider"] == "alpha" else (3_000, 15_000)
            assert row["cost_nanousd"] == row["input_tokens"] * rate[0] + row["output_tokens"] * rate[1]
