"""A stream of openai.chat, read and written: the events exactly, and what the SDK adds up."""

import json
import random
from typing import Any

import httpx2
import openai
import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault
from fungible.losses import Report

from . import recordings

NAME = "openai.chat"
OURS = ir.Extras(dialect=NAME, fields={})
DONE = b"data: [DONE]\n\n"


def event(**more: Any) -> bytes:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    return event(choices=[{"index": index, "delta": fields, "finish_reason": finish}])


def calls(*pieces: Any, **more: Any) -> bytes:
    return delta(tool_calls=list(pieces), **more)


def piece(
    index: int | None, id_: str | None = None, name: str | None = None, arguments: str | None = None
) -> Any:
    held: dict[str, Any] = {"function": {}}
    if index is not None:
        held["index"] = index
    if id_ is not None:
        held |= {"id": id_, "type": "function"}
    if name is not None:
        held["function"]["name"] = name
    if arguments is not None:
        held["function"]["arguments"] = arguments
    return held  # fmt: skip


def read(*pieces: bytes) -> list[ev.StreamEvent]:
    reader = DIALECT.stream_reader()
    return [e for piece in pieces for e in reader.feed(piece)] + reader.end()


def reply(*pieces: bytes) -> ir.Reply:
    """What a stream adds up to, whichever way it is cut."""
    wire = b"".join(pieces)
    whole = read(wire)
    assert read(*(wire[i : i + 1] for i in range(len(wire)))) == whole
    assert read(wire.replace(b"\n", b"\r\n")) == whole
    return ev.assemble(whole)


def parts(*pieces: bytes) -> tuple[ir.Part, ...]:
    return reply(*pieces).choices[0].parts


def fault(*pieces: bytes) -> Fault:
    last = read(b"".join(pieces))[-1]
    assert isinstance(last, ev.Failed)
    return last.fault


# --- read ----------------------------------------------------------------------------------------


def test_the_events_of_a_plain_stream() -> None:
    wire = [
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta("stop"),
        event(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        DONE,
    ]
    assert read(*wire) == [
        ev.Begin("c1", "m", 7),
        ev.PartBegin(ir.Text(text="")),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo"),
        ev.UsageSeen(ir.Usage(input_tokens=3, output_tokens=2)),
        ev.PartEnd(),
        ev.End(ir.Stop(reason="end")),
        ev.Done(),
    ]


def test_where_parts_stand_is_said_as_in_the_plain_answer() -> None:
    wire = [
        delta(content="x", index=1),
        calls(piece(0, "a", "f"), piece(1, "b", "g"), index=1),
        delta("stop", 1),
        DONE,
    ]
    begun = [e.part.at for e in read(*wire) if isinstance(e, ev.PartBegin)]
    assert begun == [
        "choices[1].message.content",
        "choices[1].message.tool_calls[0]",
        "choices[1].message.tool_calls[1]",
    ]


def test_the_quick_way_reads_what_the_long_way_reads() -> None:
    texts = [
        "a",
        "\u00e9",
        'say "x"',
        "back\\slash",
        "line\nbreak",
        "\U0001f30a",
        '","finish_reason":',
        "}]}",
        "\u2028",
        "a",
    ]
    told = [
        e.text
        for e in read(*(delta(content=t) for t in texts), delta("stop"), DONE)
        if isinstance(e, ev.TextDelta)
    ]
    assert told == texts
    padded = [
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"content": t}}], "obfuscation": "x" * n}).encode()
        + b"\n\n"
        for n, t in enumerate(texts)
    ]
    assert [e.text for e in read(*padded, DONE) if isinstance(e, ev.TextDelta)] == texts  # fmt: skip


def test_the_quick_way_stops_where_something_else_changes() -> None:
    wire = [
        delta(content="a"),
        delta(content="b"),
        delta(content="c", index=1),
        event(choices=[{"index": 0, "delta": {"content": "d"}, "finish_reason": "length"}]),
        delta(content="e", index=1),
        delta("stop", 1),
        DONE,
    ]
    first, second = reply(*wire).choices
    assert (first.parts, first.stop) == ((ir.Text(text="abd"),), ir.Stop(reason="length"))
    assert (second.parts, second.stop) == ((ir.Text(text="ce"),), ir.Stop(reason="end"))


def test_comments_pings_named_events_and_several_lines() -> None:
    first, second = json.dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}).split(" ", 1)
    wire = (
        b": ping\n\n"
        + b"data: "
        + first.encode()
        + b"\ndata: "
        + second.encode()
        + b"\n\n"
        + b'event: keepalive\ndata: {"type": "ping"}\n\n'
        + b"id: 5\nretry: 10\n"
        + delta("stop")
        + DONE
    )
    told = read(wire)
    assert ev.NativeEvent(NAME, {"type": "ping"}, "keepalive") in told
    assert ev.assemble(told).choices[0].parts == (ir.Text(text="a"),)


def test_unknown_fields_ride_on_the_begin_the_end_or_by_themselves() -> None:
    wire = [
        event(
            choices=[
                {"index": 0, "delta": {"content": "a", "channel": "final"}, "content_filter_results": {"x": 1}}
            ],
            system_fingerprint="fp",
        ),
        event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], system_fingerprint="fp", timings={"ms": 1}),
        DONE,
    ]  # fmt: skip
    told = read(*wire)
    assert told[0] == ev.Begin(
        "c1", "m", 7, None, ir.Extras(dialect=NAME, fields={"system_fingerprint": "fp"})
    )
    assert ev.NativeEvent(NAME, {"choices": [], "timings": {"ms": 1}}, "timings") in told
    assert told[-2] == ev.End(
        ir.Stop(reason="end"),
        0,
        ir.Extras(dialect=NAME, fields={"content_filter_results": {"x": 1}, "message.channel": "final"}),
    )


def test_thinking_in_its_spellings() -> None:
    for field in ("reasoning_content", "reasoning"):
        assert parts(
            delta(**{field: "H", "content": ""}),
            delta(**{field: "m."}),
            delta(content="Yes."),
            delta("stop"),
            DONE,
        ) == (
            ir.Thinking(text="Hm.", extras=OURS),
            ir.Text(text="Yes."),
        )
    item = {"format": "f", "index": 0}
    assert parts(
        delta(reasoning="H", reasoning_details=[{"type": "reasoning.text", "text": "H", **item}]),
        delta(reasoning="m.", reasoning_details=[{"type": "reasoning.text", "text": "m.", **item}]),
        delta(reasoning_details=[{"type": "reasoning.text", "signature": "c2ln", **item}]),
        delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "eA==", "index": 1}]),
        delta(content="Yes."),
        delta("stop"),
        DONE,
    ) == (
        ir.Thinking(text="Hm.", signature="c2ln", extras=ir.Extras(dialect=NAME, fields={"format": "f"})),
        ir.Thinking(redacted="eA==", extras=OURS),
        ir.Text(text="Yes."),
    )  # fmt: skip


def test_mistral_thinks_among_the_content() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    assert parts(
        delta(role="assistant", content=""),
        delta(content=[thought]),
        delta(content=[thought, {"type": "reference", "reference_ids": [1]}]),
        delta("stop", content="Yes."),
        DONE,
    ) == (
        ir.Thinking(text="HmHm", extras=OURS),
        ir.Native(dialect=NAME, body={"type": "reference", "reference_ids": [1]}),
        ir.Text(text="Yes."),
    )


def test_a_refusal_and_probabilities() -> None:
    odds = {"content": [{"token": "a", "logprob": -1.0}], "refusal": None}
    held = reply(
        event(choices=[{"index": 0, "delta": {"content": "a"}, "logprobs": odds}]),
        event(choices=[{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": None}}]),
        event(choices=[{"index": 0, "delta": {"refusal": "No."}, "finish_reason": "stop"}]),
        DONE,
    ).choices[0]
    assert held == ir.Choice(
        parts=(ir.Text(text="ab"), ir.Refusal(text="No.")), stop=ir.Stop(reason="refusal"), logprobs=odds
    )


def test_annotations_and_sound() -> None:
    web = {"type": "url_citation", "url_citation": {"url": "https://e.com", "title": "T"}}
    assert parts(
        delta(content="See."),
        delta(annotations=[web]),
        delta(audio={"id": "a1", "transcript": "H"}),
        delta(audio={"data": "UklG", "transcript": "i"}),
        delta(audio={"data": "Rg==", "expires_at": 9}),
        delta("stop"),
        DONE,
    ) == (
        ir.Text(
            text="See.",
            citations=(ir.Citation(dialect=NAME, body=web, url="https://e.com", title="T"),),
        ),
        ir.Audio(source=ir.Source(data="UklGRg=="), id="a1", transcript="Hi", expires_at=9),
    )


# --- tool calls ----------------------------------------------------------------------------------


def call(id_: str, name: str, arguments: str = "{}") -> ir.ToolCall:
    return ir.ToolCall(id=id_, name=name, arguments=arguments)


CALLS: dict[str, tuple[list[bytes], tuple[ir.Part, ...]]] = {
    "in pieces, in parallel, interleaved": (
        [
            calls(piece(0, "a", "f", "")),
            calls(piece(0, arguments='{"x"')),
            calls(piece(1, "b", "g", "{")),
            calls(piece(0, arguments=": 1}"), piece(1, arguments="}")),
        ],
        (call("a", "f", '{"x": 1}'), call("b", "g", "{}")),
    ),
    "whole, several in one chunk": (
        [calls(piece(0, "a", "f", '{"x": 1}'), piece(1, "b", "g", "{}"))],
        (call("a", "f", '{"x": 1}'), call("b", "g")),
    ),
    "no index, several in one chunk (Mistral)": (
        [calls(piece(None, "a", "f", "{}"), piece(None, "b", "g", '{"y": 2}'))],
        (call("a", "f"), call("b", "g", '{"y": 2}')),
    ),
    "no index, in pieces": (
        [calls(piece(None, "a", "f", "{")), calls(piece(None, arguments="}")), calls(piece(None, "b", "g"))],
        (call("a", "f"), call("b", "g")),
    ),
    "an empty name in later pieces": (
        [calls(piece(0, "a", "f", "")), calls(piece(0, None, "", "{}"))],
        (call("a", "f"),),
    ),
    "the same id and name again and again": (
        [calls(piece(0, "a", "f", "{")), calls(piece(0, "a", "f", "}"))],
        (call("a", "f"),),
    ),
    "one index for two calls (Cerebras)": (
        [calls(piece(0, "a", "f", "{}")), calls(piece(0, "b", "g", "{"), piece(0, arguments="}"))],
        (call("a", "f"), call("b", "g")),
    ),
    "no ids (Gemini)": (
        [calls(piece(0, "", "f", '{"x": 1}')), calls(piece(0, "", "g", "{}"))],
        (call("call_0", "f", '{"x": 1}'), call("call_1", "g")),
    ),
    "a name that comes late": (
        [calls(piece(0, "a", None, '{"x"')), calls(piece(0, None, "f", ": 1}"))],
        (call("a", "f", '{"x": 1}'),),
    ),
    "no arguments at all": ([calls(piece(0, "a", "f"))], (call("a", "f"),)),
    "arguments as an object (Ollama)": (
        [calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}})],
        (call("a", "f", '{"x":1}'),),
    ),
    "cut short": ([calls(piece(0, "a", "f", '{"x": "Par'))], (call("a", "f", '{"x": "Par'),)),
    "a custom tool": (
        [
            calls({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "sel"}}),
            calls({"index": 0, "custom": {"input": "ect"}}),
        ],
        (ir.ToolCall(id="a", name="f", arguments="select", custom=True),),
    ),
    "between texts": (
        [delta(content="One."), calls(piece(0, "a", "f", "{}")), delta(content="Two.")],
        (ir.Text(text="One."), call("a", "f"), ir.Text(text="Two.")),
    ),
}


@pytest.mark.parametrize("story", CALLS)
def test_tool_calls(story: str) -> None:
    pieces, held = CALLS[story]
    choice = reply(*pieces, delta("tool_calls"), DONE).choices[0]
    assert (choice.parts, choice.stop) == (held, ir.Stop(reason="tool"))


def test_calls_that_end_in_stop_and_a_thought_signature_on_a_call() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    choice = reply(calls(piece(0, "a", "f", "{}") | signed), delta("stop"), DONE).choices[0]
    assert choice.stop == ir.Stop(reason="tool", extras=OURS)
    assert choice.parts[0].extras == ir.Extras(dialect=NAME, fields=signed)


def test_retired_function_calls_add_up() -> None:
    choice = reply(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": "{"}),
        delta(function_call={"arguments": "}"}),
        delta("function_call"),
        DONE,
    ).choices[0]
    assert choice.extras == ir.Extras(
        dialect=NAME, fields={"message.function_call": {"name": "f", "arguments": "{}"}}
    )
    assert choice.stop == ir.Stop(reason="other", raw="function_call", extras=OURS)


# --- ends ----------------------------------------------------------------------------------------


def test_a_stream_without_its_end_mark_is_whole_if_it_told_why_it_ended() -> None:
    assert isinstance(read(delta(content="a"), delta("stop"))[-1], ev.Done)
    assert isinstance(read(delta(content="a"), delta("stop").rstrip())[-1], ev.Done)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b": ping\n\n"],
        [delta(content="a")],
        [delta("stop"), delta(content="b", index=1)],
        [delta("stop")[:-9]],
    ],
)
def test_a_stream_cut_short_fails(pieces: list[bytes]) -> None:
    assert fault(*pieces).kind == "provider_answer"


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (b'data: {"error": {"message": "down", "code": 502}}\n\n', "provider_error"),
        (b'event: error\ndata: {"error": {"message": "down", "status_code": 400}}\n\n', "bad_request"),
        (b'event: error\ndata: {"message": "down"}\n\n', "provider_error"),
        (b'data: {"error": "down"}\n\n', "provider_error"),
        (event(error={"message": "down", "code": 429}), "rate_limited"),
        (b"data: {broken\n\n", "provider_answer"),
        (b"data: [1]\n\n", "provider_answer"),
        (b'data: {"choices": [5]}\n\n', "provider_answer"),
        (b'data: {"choices": [{"delta": {"tool_calls": 5}}]}\n\n', "provider_answer"),
    ],
)
@pytest.mark.parametrize("before", [[], [delta(content="a"), delta(content="b")]])
def test_errors_first_or_later_fail(wire: bytes, kind: str, before: list[bytes]) -> None:
    told = read(*before, wire, delta("stop"), DONE)
    assert isinstance(told[-1], ev.Failed)
    assert told[-1].fault.kind == kind
    assert sum(isinstance(e, ev.Failed) for e in told) == 1


# --- written -------------------------------------------------------------------------------------


def write(events: list[ev.StreamEvent], usage: bool = True) -> tuple[list[Any], list[str]]:
    report = Report()
    wire = DIALECT.stream_writer(report, usage).write(events)
    frames = [json.loads(f[6:]) if f != b"data: [DONE]" else "DONE" for f in wire.split(b"\n\n")[:-1]]
    return frames, [f"{loss.path}: {loss.kind}, {loss.why}" for loss in report.losses]


def test_chunks_as_the_sdk_reads_them() -> None:
    told = [
        ev.Begin("c1", "m", 7),
        ev.PartBegin(ir.Text(text="")),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo"),
        ev.PartEnd(),
        ev.End(ir.Stop(reason="end")),
        ev.UsageSeen(ir.Usage(input_tokens=3, output_tokens=2)),
        ev.Done(),
    ]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}

    def chunk(finish: Any = None, **fields: Any) -> Any:
        return {**head, "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    whole = [
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk("stop"),
        {**head, "choices": [], "usage": usage},
        "DONE",
    ]
    assert write(told) == (whole, [])
    assert write(told, usage=False) == (whole[:4] + whole[5:], [])


def sdk(told: list[ev.StreamEvent]) -> Any:
    """What the official SDK adds up from a written stream."""
    wire = DIALECT.stream_writer(Report(), True).write(told)

    def answer(request: Any) -> Any:
        return httpx2.Response(200, content=wire, headers={"content-type": "text/event-stream"})

    client = openai.OpenAI(
        api_key="x",
        base_url="http://x/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
        return stream.get_final_completion()  # fmt: skip


def test_the_sdk_adds_up_text_calls_and_usage() -> None:
    whole = ir.Reply(
        id="c1",
        model="m",
        choices=(
            ir.Choice(
                parts=(
                    ir.Thinking(text="Hm.", signature="c2ln"),
                    ir.Text(text="Let me see."),
                    ir.Text(text=" Now."),
                    call("a", "f", '{"x": 1}'),
                    call("b", "g", "{}"),
                ),
                stop=ir.Stop(reason="tool"),
            ),
        ),
        usage=ir.Usage(input_tokens=3, output_tokens=2, cache_read_tokens=1),
    )
    final = sdk(ev.disassemble(whole))
    (choice,) = final.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see. Now.")
    assert [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls] == [
        ("a", "f", '{"x": 1}'),
        ("b", "g", "{}"),
    ]
    assert (final.usage.total_tokens, final.usage.prompt_tokens_details.cached_tokens) == (5, 1)


def test_a_call_without_arguments_is_told_an_empty_object() -> None:
    frames, _ = write(
        [
            ev.Begin("c", "m"),
            ev.PartBegin(call("a", "f", "")),
            ev.PartEnd(),
            ev.End(ir.Stop(reason="tool")),
            ev.Done(),
        ]
    )
    pieces = [f["choices"][0]["delta"]["tool_calls"][0] for f in frames[1:3]]
    assert "".join(p["function"].get("arguments", "") for p in pieces) == "{}"  # fmt: skip


def test_interleaved_calls_keep_their_numbers() -> None:
    told = [
        ev.Begin("c", "m"),
        ev.PartBegin(call("a", "f", ""), 0),
        ev.PartBegin(call("b", "g", ""), 1),
        ev.ArgumentsDelta("{1", 1),
        ev.ArgumentsDelta("{0", 0),
        ev.PartEnd(0),
        ev.PartEnd(1),
        ev.End(ir.Stop(reason="tool")),
        ev.Done(),
    ]
    frames, _ = write(told)
    pieces = [f["choices"][0]["delta"]["tool_calls"][0] for f in frames[1:5]]
    assert [(p["index"], p["function"]["arguments"]) for p in pieces] == [
        (0, ""),
        (1, ""),
        (1, "{1"),
        (0, "{0"),
    ]


def test_a_failure_ends_the_stream_without_an_end_mark() -> None:
    frames, _ = write([ev.Begin("c", "m"), ev.Failed(Fault("overloaded", "Busy."))])
    assert frames[-1] == {
        "error": {"message": "Busy.", "type": "server_error", "param": None, "code": "overloaded"}
    }


def test_what_has_no_place_in_a_stream_is_lost() -> None:
    theirs = ir.Extras(dialect="other", fields={"x": 1})
    frames, losses = write(
        [
            ev.Begin("c", "m", None, "standard", theirs),
            ev.PartBegin(ir.Native(dialect="other", body={}, at="content[0]"), 0),
            ev.PartEnd(0),
            ev.PartBegin(ir.Text(text="", extras=theirs, cache=ir.Cache(), at="content[1]"), 1),
            ev.TextDelta("a", 1),
            ev.PartEnd(1),
            ev.NativeEvent("other", {}, "ping"),
            ev.End(ir.Stop(reason="pause", at="stop_reason"), 0, theirs),
            ev.Done(),
        ]
    )
    assert frames[0]["service_tier"] == "default"
    assert losses == [
        "x: dropped, unknown_field",
        "service_tier: approximated, service_tier",
        "content[0]: dropped, native_block",
        "content[1].cache: dropped, cache_mark",
        "content[1].x: dropped, unknown_field",
        "ping: dropped, stream_event",
        "x: dropped, unknown_field",
        "stop_reason.reason: approximated, stop",
    ]


@recordings.needs_recordings
def test_mistrals_streams_are_read_whichever_way_they_are_cut() -> None:
    chance = random.Random(3)
    for id_, text in recordings.streams("mistral.chat"):
        wire = text.encode()
        whole = read(wire)
        assert isinstance(whole[-1], ev.Done), id_
        places = sorted(chance.randrange(len(wire) + 1) for _ in range(8))
        cut = [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]
        assert read(*cut) == whole, id_
