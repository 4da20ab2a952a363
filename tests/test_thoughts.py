"""Signed thoughts across a switch: a conversation that goes A, B, A, and A gets its own back, byte for byte."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import HealthCheck, given, settings

import fungible
from fungible.dialects import DIALECTS
from fungible.dialects.base import SEAL, sealed, unsealed
from fungible.events import PartEnd, StreamEvent, TextDelta, assemble, disassemble, merged
from fungible.ir import Choice, Extras, Message, Part, Reply, Request, Stop, Text, Thinking, ToolCall, Usage
from fungible.losses import Report
from fungible.thoughts import BYTES_MAX, Overhearing, Thoughts
from tests.strategies import streams
from tests.targets import catalogue
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

SIGNATURE = "c2lnbmVkIGJ5IGl0cyBtYWtlcg=="
SEALED = "c2VhbGVkIGJ5IGl0cyBtYWtlcg=="
CALL = ToolCall(id="toolu_1", name="weather", arguments='{"city":"Oslo","days":2}')
THOUGHT = Thinking(text="It asks for the weather.", signature=SIGNATURE)

MAKERS: dict[str, tuple[Part, ...]] = {
    # dialect: what its model answers
    "anthropic.messages": (THOUGHT, Thinking(redacted=SEALED), Text(text="I look."), CALL),
    "gemini.generate_content": (Text(text="I look."), Thinking(signature=SIGNATURE), CALL),
    "openai.responses": (
        Thinking(
            text="Weather.",
            signature=SIGNATURE,
            signer="openai.responses",
            extras=Extras(dialect="openai.responses", fields={"id": "rs_1"}),
        ),
        CALL,
    ),
}
BASES = {"anthropic.messages": "", "gemini.generate_content": "", "openai.responses": "/v1"}
USAGE = Usage(input_tokens=3, output_tokens=5)
CONFIG = """
[server]
state = "state"
"""
PROVIDER = """
[provider.{name}]
dialect = "{dialect}"
base_url = "{base}"
key = "env:TEST_KEY"
"""


class Maker:
    """A provider of a dialect: a signed call first, then a text."""

    def __init__(self, dialect: str, parts: tuple[Part, ...]) -> None:
        self.dialect = DIALECTS[dialect]
        self.parts = parts
        self.up = Upstream(self.reply)

    def reply(self, seen: Seen) -> Sequence[Step]:
        first = "toolu_1" not in seen.body.decode() and "days" not in seen.body.decode()
        parts = self.parts if first else (Text(text="Cold."),)
        stop = Stop(reason="tool" if first else "end")
        reply = Reply(id="r1", model="m", created=1, choices=(Choice(parts=parts, stop=stop),), usage=USAGE)
        if "stream" in seen.path or seen.json.get("stream"):
            return stream(self.dialect.stream_writer(Report(), True).write(disassemble(reply)))
        return answer(200, JSON, self.dialect.write_reply(reply, Report()))


class Stage:
    def __init__(self, folder: Path, makers: dict[str, Maker]) -> None:
        self.makers = makers
        self.config = config = folder / "fungible.toml"
        rows = [
            PROVIDER.format(
                name=name, dialect=m.dialect.name, base=m.up.base + BASES.get(m.dialect.name, "/v1")
            )
            for name, m in makers.items()
        ]
        config.write_text(CONFIG + "".join(rows))
        self.client = fungible.Client(config=str(config))
        self.openai = openai.OpenAI(
            api_key="x", base_url="http://fungible/v1", http_client=self.client.http(), max_retries=0
        )

    def sent(self, name: str) -> Any:
        return self.makers[name].up.seen[-1].json


@pytest.fixture(params=["anthropic.messages", "gemini.generate_content", "openai.responses"])
def stage(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    makers = {
        "maker": Maker(request.param, MAKERS[request.param]),
        "other": Maker("openai.chat", (Text(text="I look."), CALL)),
    }
    with makers["maker"].up, makers["other"].up:
        made = Stage(tmp_path, makers)
        yield made
        made.client.close()


TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
]


def chat(stage: Stage, model: str, messages: list[Any], streamed: bool) -> dict[str, Any]:
    """A client that sends back what the official types have: content and calls, and nothing else."""
    asked: Any = {"model": model, "messages": messages, "tools": TOOLS}
    if not streamed:
        said = stage.openai.chat.completions.create(**asked).choices[0].message
    else:
        with stage.openai.chat.completions.stream(**asked) as events:
            said = events.get_final_completion().choices[0].message  # type: ignore[assignment]
    calls = [
        {
            "id": c.id,
            "type": "function",
            "function": {"name": c.function.name, "arguments": c.function.arguments},
        }  # type: ignore[union-attr]
        for c in said.tool_calls or ()
    ]
    return {"role": "assistant", "content": said.content, **({"tool_calls": calls} if calls else {})}


@pytest.mark.parametrize("streamed", [False, True])
def test_its_maker_gets_a_thought_back_that_the_client_has_no_place_for(stage: Stage, streamed: bool) -> None:
    maker = stage.makers["maker"]
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    messages.append(chat(stage, "maker/m", messages, streamed))
    messages.append({"role": "tool", "tool_call_id": messages[-1]["tool_calls"][0]["id"], "content": "-3"})
    messages += [chat(stage, "other/m", messages, streamed), {"role": "user", "content": "Sure?"}]
    assert SIGNATURE not in json.dumps(stage.sent("other"))
    chat(stage, "maker/m", messages, streamed)
    sent = stage.sent("maker")
    back = maker.dialect.read_request(json.dumps({"model": "m", **sent}).encode())
    (thinking,) = [m for m in back.messages if any(isinstance(p, ToolCall) for p in m.parts)]
    told = [(type(p), getattr(p, "signature", None), getattr(p, "redacted", None)) for p in thinking.parts]
    assert told == [
        (type(p), getattr(p, "signature", None), getattr(p, "redacted", None)) for p in maker.parts
    ]
    texts = [p.text for p in thinking.parts if isinstance(p, Thinking | Text)]
    assert texts == [p.text for p in maker.parts if isinstance(p, Thinking | Text)]


def test_the_client_that_carries_thoughts_itself_is_believed(stage: Stage) -> None:
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    said = chat(stage, "maker/m", messages, False)
    said["reasoning_details"] = [{"type": "reasoning.text", "text": "Mine.", "signature": "b3RoZXI="}]
    messages += [said, {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "-3"}]
    chat(stage, "maker/m", messages, False)
    assert SIGNATURE not in json.dumps(stage.sent("maker"))


@pytest.mark.parametrize("stage", ["openai.responses"], indirect=True)
def test_sealed_reasoning_returns_through_a_client_of_messages(stage: Stage) -> None:
    client = anthropic.Anthropic(
        api_key="x", base_url="http://fungible", http_client=stage.client.http(), max_retries=0
    )
    asked: Any = {
        "model": "maker/m",
        "max_tokens": 2000,
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}],
    }
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = client.messages.create(messages=messages, **asked)
    call = next(block for block in first.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "-3"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    client.messages.create(messages=messages, **asked)
    reasoning = [item for item in stage.sent("maker")["input"] if item.get("type") == "reasoning"]
    assert [item["encrypted_content"] for item in reasoning] == [SIGNATURE]


@pytest.mark.parametrize("stage", ["anthropic.messages"], indirect=True)
def test_a_client_of_responses_carries_the_signature_itself(stage: Stage) -> None:
    asked: Any = {
        "model": "maker/m",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}],
    }
    items: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = stage.openai.responses.create(input=items, **asked)
    call = next(item for item in first.output if item.type == "function_call")
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "-3"})
    stage.makers["maker"].up.seen.clear()
    stage.client._inner._app.local.thoughts = Thoughts()  # type: ignore[union-attr]
    stage.openai.responses.create(input=items, **asked)
    blocks = next(m for m in stage.sent("maker")["messages"] if m["role"] == "assistant")["content"]
    assert blocks[0] == {"type": "thinking", "thinking": THOUGHT.text, "signature": SIGNATURE}
    assert blocks[1] == {"type": "redacted_thinking", "data": SEALED}


def test_thoughts_outlive_the_process_and_are_found_by_another(stage: Stage) -> None:
    """A restart, or the next turn at another worker: the same state, and another memory."""
    messages: list[Any] = [{"role": "user", "content": "Weather?"}]
    messages.append(chat(stage, "maker/m", messages, False))
    messages.append({"role": "tool", "tool_call_id": messages[-1]["tool_calls"][0]["id"], "content": "-3"})
    second = fungible.Client(config=str(stage.config))
    try:
        stage.openai = openai.OpenAI(
            api_key="x", base_url="http://fungible/v1", http_client=second.http(), max_retries=0
        )
        chat(stage, "maker/m", messages, False)
        assert SIGNATURE in json.dumps(stage.sent("maker"))
        kept = b"".join(p.read_bytes() for p in (stage.config.parent / "state").glob("answers.db*"))
        assert SIGNATURE.encode() in kept  # in the file or its journal
        assert b"I look." not in kept and b"Weather?" not in kept
    finally:
        second.close()


def test_who_keeps_nothing_keeps_no_thoughts(stage: Stage) -> None:
    stage.config.write_text(stage.config.read_text().replace("[server]", "[server]\nkeep_days = 0", 1))
    second = fungible.Client(config=str(stage.config))
    try:
        stage.openai = openai.OpenAI(
            api_key="x", base_url="http://fungible/v1", http_client=second.http(), max_retries=0
        )
        chat(stage, "maker/m", [{"role": "user", "content": "Weather?"}], False)
    finally:
        second.close()
    assert not (stage.config.parent / "state" / "answers.db").exists()


# --- whose a signature is, over pairs

HISTORY: dict[str, Any] = {
    # A client's dialect: where it asks, and how it sends what a model thought and said before.
    "anthropic.messages": (
        "/v1/messages",
        lambda s: {
            "max_tokens": 2000,
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": s},
                        {"type": "text", "text": "Cold."},
                    ],
                },
                {"role": "user", "content": "Sure?"},
            ],
        },
    ),
    "gemini.generate_content": (
        "/v1beta/models/{model}:generateContent",
        lambda s: {
            "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]},
                {"role": "model", "parts": [{"text": "Cold.", "thoughtSignature": s}]},
                {"role": "user", "parts": [{"text": "Sure?"}]},
            ]
        },
    ),
    "openai.chat": (
        "/v1/chat/completions",
        lambda s: {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "Cold.",
                    "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": s}],
                },
                {"role": "user", "content": "Sure?"},
            ]
        },
    ),
}
SIGNING = ("anthropic.messages", "gemini.generate_content")


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    makers = {name.partition(".")[0]: Maker(name, (Text(text="Cold."),)) for name in SIGNING}
    with makers["anthropic"].up, makers["gemini"].up:
        made = Stage(tmp_path, makers)
        yield made
        made.client.close()


def asked_again(stage: Stage, client: str, target: str, signature: str) -> tuple[Any, str]:
    """What a client with such a history makes fungible send, and the losses it is told."""
    path, body = HISTORY[client]
    model = f"{target.partition('.')[0]}/m"
    told = stage.client.http().post(
        "http://fungible" + path.replace("{model}", model.replace("/", "%2F")),
        json={"model": model, **body(signature)} if "{model}" not in path else body(signature),
    )
    assert told.status_code == 200, told.text
    return stage.sent(target.partition(".")[0]), told.headers["x-fungible-losses"]


@pytest.mark.parametrize("target", SIGNING)
@pytest.mark.parametrize("client", HISTORY)
@pytest.mark.parametrize("maker", ["", *SIGNING])
def test_a_signature_goes_to_its_maker_and_to_nobody_else(
    pairs: Stage, client: str, target: str, maker: str
) -> None:
    """`maker` "": as the client's own dialect has it, unsealed."""
    signature = sealed(SIGNATURE, maker) if maker else SIGNATURE
    sent, losses = asked_again(pairs, client, target, signature)
    carried = json.dumps(sent)
    if (maker or client) == target:
        assert SIGNATURE in carried and sealed(SIGNATURE, maker or client) not in carried
    else:
        assert SIGNATURE not in carried and signature not in carried
        assert (
            "ignature" in losses
            or "thinking" in losses
            or "reasoning_details" in losses
            or "content" in losses
        )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("client", HISTORY)
@pytest.mark.parametrize("maker", SIGNING)
def test_a_client_carries_a_signature_home_by_itself(
    pairs: Stage, client: str, maker: str, streamed: bool
) -> None:
    """As its dialect lets it: what it was given goes back, and the memory is empty."""
    name = maker.partition(".")[0]
    pairs.makers[name].parts = (Thinking(text="Hm.", signature=SIGNATURE), Text(text="Cold."))
    path, _ = HISTORY[client]
    http = pairs.client.http()
    first: dict[str, Any] = {"messages": [{"role": "user", "content": "Weather?"}], "stream": streamed}
    if client == "anthropic.messages":
        first["max_tokens"] = 2000
    if "{model}" in path:
        first = {"contents": [{"role": "user", "parts": [{"text": "Weather?"}]}]}
        path = path.replace("generateContent", "streamGenerateContent?alt=sse") if streamed else path
        path = path.replace("{model}", f"{name}%2Fm")
    else:
        first["model"] = f"{name}/m"
    told = http.post("http://fungible" + path, json=first)
    reader = DIALECTS[client].stream_reader()
    if streamed:
        reply = assemble(reader.feed(told.content) + reader.end())
    else:
        reply = DIALECTS[client].read_reply(told.content)
    (given,) = [p.signature for p in reply.choices[0].parts if isinstance(p, Thinking) and p.signature]
    assert given == (SIGNATURE if client == maker else sealed(SIGNATURE, maker))
    pairs.client._inner._app.local.thoughts = Thoughts()  # type: ignore[union-attr]
    sent, _ = asked_again(pairs, client, maker, given)
    assert SIGNATURE in json.dumps(sent)


def test_a_seal_is_taken_off_whole_or_not_at_all() -> None:
    assert unsealed(sealed("a:b", "some.maker")) == ("a:b", "some.maker")
    assert unsealed(sealed("a", "m") + sealed("b", "m")) == ("ab", "m")
    for other in ("", SIGNATURE, SEAL, SEAL + "!", SEAL + "YQ=="):
        assert unsealed(other) == (other, "")


# --- what is remembered, by itself


def test_a_key_gets_nothing_of_another_and_the_memory_is_bounded() -> None:
    thoughts = Thoughts()
    target = catalogue().target("b", "two")
    other = catalogue().target("a", "one")
    parts = (THOUGHT, CALL)
    request = Request(model="m", messages=(Message(role="assistant", parts=(CALL,)),))
    thoughts.keep("k1", target, parts)
    assert thoughts.given_back(request, "k1", target).messages[0].parts == parts
    for owner, asked in (("k2", target), ("k1", other)):
        assert thoughts.given_back(request, owner, asked) is request
    renamed = ToolCall(id="call_of_ours", name=CALL.name, arguments=' {"days": 2, "city": "Oslo"}')
    changed = Request(model="m", messages=(Message(role="assistant", parts=(renamed,)),))
    assert thoughts.given_back(changed, "k1", target).messages[0].parts == (THOUGHT, renamed)
    edited = ToolCall(id=CALL.id, name=CALL.name, arguments='{"city":"Rome"}')
    assert thoughts.given_back(
        Request(model="m", messages=(Message(role="assistant", parts=(edited,)),)), "k1", target
    ).messages[0].parts == (edited,)
    for n in range(40):
        big = Thinking(text="x" * 1_000_000, signature=str(n))
        thoughts.keep("k1", target, (big, ToolCall(id=f"c{n}", name="f", arguments=f'{{"n":{n}}}')))
    assert thoughts._bytes <= BYTES_MAX and thoughts.given_back(request, "k1", target) is request


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(told=streams())
def test_a_stream_in_fewer_events_is_the_same_answer(told: tuple[Reply, list[StreamEvent]]) -> None:
    _, events = told
    fewer = merged(events)
    assert assemble(fewer) == assemble(events) and len(fewer) <= len(events)


def test_a_long_stream_is_held_as_its_text_not_as_its_pieces() -> None:
    overheard = Overhearing()
    reply = Reply(
        id="r", model="m", choices=(Choice(parts=(THOUGHT, Text(text="")), stop=Stop(reason="end")),)
    )
    *begun, last = disassemble(reply)
    at = next(n for n, event in enumerate(begun) if isinstance(event, PartEnd) and event.index == 1)
    assert overheard.hear(begun[:at]) == ()
    for n in range(5_000):
        assert overheard.hear([TextDelta(f" word{n}", 1)]) == ()
        assert len(overheard._events) < 600
    assert overheard.hear(begun[at:]) == ()
    assert overheard.hear([last]) == (THOUGHT, Text(text="".join(f" word{n}" for n in range(5_000))))
