"""Messages streams: events read and written exactly, however the bytes are cut; and looked on while moved."""

import json
import re
from typing import Any

import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects.anthropic_messages import DIALECT
from fungible.dialects.anthropic_messages.names import NAME
from fungible.faults import Fault
from fungible.losses import Report

from . import recordings
from .test_anthropic_messages_replies import told_to_the_sdk


def frame(body: dict[str, Any], pad: str = "") -> str:
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return f"event: {body['type']}\ndata: {text[:-1]}{pad}}}\n\n"


def start(**more: Any) -> str:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    return frame({"type": "message_start", "message": message | more})


def block(index: int, body: dict[str, Any], *deltas: dict[str, Any]) -> str:
    wire = frame({"type": "content_block_start", "index": index, "content_block": body})
    for delta in deltas:
        wire += frame({"type": "content_block_delta", "index": index, "delta": delta}, pad="    ")
    return wire + frame({"type": "content_block_stop", "index": index})


def text(*pieces: str, index: int = 0) -> str:
    return block(index, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": p} for p in pieces])


def end(reason: str = "end_turn", usage: Any = None, **more: Any) -> str:
    delta = {"stop_reason": reason, "stop_sequence": None}
    body = {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 4}}
    return frame(body | more) + frame({"type": "message_stop"})


PING = 'event: ping\ndata: {"type": "ping"}\n\n'
HELLO = start() + PING + text("Hel", "lo 🌊") + end()


def read(*pieces: str | bytes) -> list[ev.StreamEvent]:
    reader = DIALECT.stream_reader()
    told: list[ev.StreamEvent] = []
    for piece in pieces:
        told += reader.feed(piece.encode() if isinstance(piece, str) else piece)
    return told + reader.end()


def written(*events: ev.StreamEvent, at_once: bool = True) -> tuple[str, set[tuple[str, str, str]]]:
    report = Report()
    writer = DIALECT.stream_writer(report, True)
    wire = writer.write(list(events)) if at_once else b"".join(writer.write([e]) for e in events)
    return wire.decode(), {(loss.path, loss.kind, loss.why) for loss in report.losses}


def bodies(wire: str) -> list[dict[str, Any]]:
    found = []
    for piece in wire.strip("\n").split("\n\n"):
        name, data = piece.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert name == f"event: {body['type']}"
        found.append(body)
    return found


# --- read ----------------------------------------------------------------------------------------


def test_the_events_of_a_stream() -> None:
    assert read(HELLO) == [
        ev.Begin("msg_1", "m"),
        ev.UsageSeen(ir.Usage(input_tokens=3, output_tokens=1)),
        ev.PartBegin(ir.Text(text="")),
        ev.TextDelta("Hel"),
        ev.TextDelta("lo 🌊"),
        ev.PartEnd(),
        ev.UsageSeen(ir.Usage(input_tokens=3, output_tokens=4)),
        ev.End(ir.Stop(reason="end")),
        ev.Done(),
    ]


def variants(wire: str) -> dict[str, str]:
    lines = wire.split("\n")
    return {
        "CRLF": wire.replace("\n", "\r\n"),
        "CR": wire.replace("\n", "\r"),
        "a byte order mark": "\ufeff" + wire,
        "comments": wire.replace("event: content", ": keep-alive\n\nevent: content"),
        "data in several lines": wire.replace(',"index"', '\ndata: ,"index"'),
        "no names": "\n".join(line for line in lines if not line.startswith("event:")),
        "no space after the colon": wire.replace("data: ", "data:").replace("event: ", "event:"),
        "a router's end mark": wire + "event: data\ndata: [DONE]\n\n",
        "no last blank line": wire.removesuffix("\n\n"),
        "spaces inside the JSON": re.sub(r"(data: .*)}$", r"\1      }", wire, flags=re.M),
        "other key order": wire.replace('{"type":"content_block_delta","index":0,', '{"index":0,'),
    }


@pytest.mark.parametrize("name", variants(""))
def test_other_spellings_of_a_stream_give_the_same_events_cut_anywhere(name: str) -> None:
    wire = variants(HELLO)[name].encode()
    assert read(wire) == read(HELLO)
    assert read(*[wire[i : i + 1] for i in range(len(wire))]) == read(HELLO)
    for place in range(len(wire)):
        assert read(wire[:place], wire[place:]) == read(HELLO)


def test_tool_calls_thinking_and_citations() -> None:
    wire = (
        start()
        + block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "signature_delta", "signature": "s=="},
        )
        + block(1, {"type": "redacted_thinking", "data": "r=="})
        + block(
            2,
            {"type": "text", "text": "", "citations": []},
            {"type": "text_delta", "text": "Ho"},
            {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "c"}},
        )
        + block(
            3,
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"a": '},
            {"type": "input_json_delta", "partial_json": "1}"},
        )
        + block(4, {"type": "tool_use", "id": "b", "name": "g", "input": {}})
        + end("tool_use")
    )
    cited = ir.Citation(dialect=NAME, body={"type": "char_location", "cited_text": "c"}, cited_text="c")
    assert ev.assemble(read(wire)).choices[0] == ir.Choice(
        parts=(
            ir.Thinking(text="Hm", signature="s=="),
            ir.Thinking(redacted="r=="),
            ir.Text(text="Ho", citations=(cited,)),
            ir.ToolCall(id="a", name="f", arguments='{"a": 1}'),
            ir.ToolCall(id="b", name="g", arguments="{}"),
        ),
        stop=ir.Stop(reason="tool"),
    )


def test_a_tool_use_without_any_delta_has_empty_arguments() -> None:
    told = read(start() + block(0, {"type": "tool_use", "id": "b", "name": "g", "input": {}}) + end())
    assert ev.ArgumentsDelta("{}") in told


def test_arguments_cut_short_by_the_limit_stay_as_they_are() -> None:
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    wire = (
        start()
        + block(0, call, {"type": "input_json_delta", "partial_json": '{"city": "Par'})
        + end("max_tokens")
    )
    reply = ev.assemble(read(wire))
    assert reply.choices[0].parts == (ir.ToolCall(id="a", name="f", arguments='{"city": "Par'),)
    assert reply.choices[0].stop == ir.Stop(reason="length")


def test_server_tools_and_compaction_are_told_whole_at_their_end() -> None:
    wire = (
        start()
        + block(
            0,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"query": "q"}'},
        )
        + block(
            1,
            {"type": "compaction", "content": None},
            {"type": "compaction_delta", "content": "We spoke"},
            {"type": "compaction_delta", "content": " of tides."},
        )
        + end()
    )
    assert ev.assemble(read(wire)).choices[0].parts == (
        ir.Native(
            dialect=NAME,
            body={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        ),
        ir.Native(dialect=NAME, body={"type": "compaction", "content": "We spoke of tides."}),
    )


def test_usage_is_revised_by_the_last_delta() -> None:
    first = {
        "input_tokens": 1055,
        "output_tokens": 1,
        "cache_read_input_tokens": 5,
        "inference_geo": "global",
    }
    last = {"input_tokens": 3727, "output_tokens": 80, "server_tool_use": {"web_search_requests": 1}}
    wire = start(usage=first) + text("Hi") + end(usage=last)
    assert ev.assemble(read(wire)).usage == ir.Usage(
        input_tokens=3732,
        output_tokens=80,
        cache_read_tokens=5,
        extras=ir.Extras(
            dialect=NAME, fields={"inference_geo": "global", "server_tool_use": {"web_search_requests": 1}}
        ),
    )


def test_an_older_stream_tells_only_output_tokens_at_its_end() -> None:
    assert ev.assemble(read(HELLO)).usage == ir.Usage(input_tokens=3, output_tokens=4)


def test_a_message_that_starts_with_its_content() -> None:
    content = [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}, "caller": {"type": "direct"}}]
    wire = start(content=content, stop_reason="tool_use", container={"id": "c"}) + frame(
        {"type": "message_stop"}
    )
    assert ev.assemble(read(wire)).choices[0] == ir.Choice(
        parts=(
            ir.ToolCall(
                id="a",
                name="f",
                arguments='{"x":1}',
                extras=ir.Extras(dialect=NAME, fields={"caller": {"type": "direct"}}),
            ),
        ),
        stop=ir.Stop(reason="tool"),
        extras=ir.Extras(dialect=NAME, fields={"container": {"id": "c"}}),
    )


def test_what_a_stream_tells_late_is_where_a_plain_reply_has_it() -> None:
    wire = start() + text("Hi") + end(context_management={"applied_edits": []})
    plain = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
        "context_management": {"applied_edits": []}, "usage": {"input_tokens": 3, "output_tokens": 4},
    }  # fmt: skip
    assert ev.assemble(read(wire)) == DIALECT.read_reply(json.dumps(plain).encode())


def test_a_block_whose_start_was_left_out() -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    assert ev.assemble(read(start() + frame(delta) + end())).choices[0].parts == (ir.Text(text="Hi"),)


def test_unknown_events_are_native() -> None:
    body = {"type": "of_tomorrow", "x": 1}
    assert ev.NativeEvent(NAME, body, "of_tomorrow") in read(start() + frame(body) + end())


ERROR = frame({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}})

BROKEN: dict[str, tuple[str, str, str]] = {
    "an error first": (ERROR, "overloaded", "Busy"),
    "an error in the middle": (start() + text("Hi") + ERROR + end(), "overloaded", "Busy"),
    "an error without a name": ("data: " + ERROR.split("data: ")[1], "overloaded", "Busy"),
    "nothing": ("", "provider_answer", "truncated"),
    "cut after a delta": (HELLO[: HELLO.index("event: message_delta")], "provider_answer", "truncated"),
    "cut before the end mark": (HELLO[: HELLO.index("event: message_stop")], "provider_answer", "truncated"),
    "cut in a frame": (HELLO[:-20], "provider_answer", "not JSON"),
    "not JSON": (start() + "event: ping\ndata: {\n\n" + end(), "provider_answer", "not JSON"),
    "no object": (start() + "data: []\n\n" + end(), "provider_answer", "no object"),
    "a wrong type": (start(usage={"input_tokens": "3"}) + end(), "provider_answer", "input_tokens"),
    "a delta of nothing": (
        start() + frame({"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta"}}),
        "provider_answer",
        "block 7",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_fails_ends_with_the_fault(name: str) -> None:
    wire, kind, word = BROKEN[name]
    told = read(wire)
    assert isinstance(told[-1], ev.Failed)
    assert told[-1].fault.kind == kind
    assert word in told[-1].fault.message
    assert sum(isinstance(event, ev.Failed | ev.Done) for event in told) == 1


# --- written -------------------------------------------------------------------------------------


def test_a_stream_as_the_api_writes_it() -> None:
    wire, losses = written(*read(HELLO))
    assert losses == set()
    usage = {"input_tokens": 3, "output_tokens": 4}
    assert bodies(wire) == [
        *bodies(start()),
        *bodies(text("Hel", "lo 🌊")),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]
    assert written(*read(HELLO), at_once=False)[0] == wire


def test_calls_that_interleave_come_out_one_after_the_other() -> None:
    events = [
        ev.Begin("i", "m"),
        ev.PartBegin(ir.ToolCall(id="a", name="f", arguments=""), 0),
        ev.ArgumentsDelta('{"x"', 0),
        ev.PartBegin(ir.ToolCall(id="b", name="g", arguments=""), 1),
        ev.ArgumentsDelta('{"y"', 1),
        ev.ArgumentsDelta(":1}", 0),
        ev.ArgumentsDelta(":2}", 1),
        ev.PartEnd(0),
        ev.PartEnd(1),
        ev.End(ir.Stop(reason="tool")),
        ev.UsageSeen(ir.Usage(input_tokens=1, output_tokens=2)),
        ev.Done(),
    ]
    for at_once in (True, False):
        wire, losses = written(*events, at_once=at_once)
        assert losses == set()
        assert [(b["type"], b["index"]) for b in bodies(wire) if "index" in b] == [
            ("content_block_start", 0),
            ("content_block_delta", 0),
            ("content_block_delta", 0),
            ("content_block_stop", 0),
            ("content_block_start", 1),
            ("content_block_delta", 1),
            ("content_block_delta", 1),
            ("content_block_stop", 1),
        ]
        assert ev.assemble(read(wire)) == ev.assemble(events)


def test_usage_told_after_the_stop_is_in_the_message_delta() -> None:
    wire, _ = written(
        ev.Begin("i", "m"),
        ev.PartBegin(ir.Text(text="")),
        ev.PartEnd(),
        ev.End(ir.Stop(reason="length")),
        ev.UsageSeen(ir.Usage(input_tokens=7, output_tokens=2)),
        ev.Done(),
    )
    first, *_, delta, stop = bodies(wire)
    assert first["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert delta["usage"] == {"input_tokens": 7, "output_tokens": 2}
    assert stop == {"type": "message_stop"}


def test_what_a_stream_has_no_place_for() -> None:
    wire, losses = written(
        ev.Begin("i", "m", created=1),
        ev.PartBegin(ir.Refusal(text="", at="r"), 0),
        ev.TextDelta("No.", 0, logprobs={"content": []}),
        ev.TextDelta("!", 0, logprobs={"content": []}),
        ev.PartBegin(ir.Audio(at="a"), 1),
        ev.AudioDelta(data="xx", index=1),
        ev.PartEnd(0),
        ev.PartBegin(ir.Text(text=""), 0, 1),
        ev.TextDelta("Other", 0, 1),
        ev.NativeEvent("other.wire", {}, "keepalive"),
        ev.End(ir.Stop(reason="end"), 0, ir.Extras(dialect="other.wire", fields={"z": 1})),
        ev.Done(),
    )
    assert ev.assemble(read(wire)).choices[0].parts == (ir.Text(text="No.!"),)
    assert losses == {
        ("created", "dropped", "unknown_field"),
        ("r", "changed", "refusal"),
        ("choices[0].logprobs", "dropped", "logprobs"),
        ("a", "dropped", "audio"),
        ("choices[1]", "dropped", "choices"),
        ("keepalive", "dropped", "stream_event"),
        ("z", "dropped", "unknown_field"),
        ("usage", "changed", "usage_detail"),
    }


def test_a_failure_is_an_error_event_and_no_end_mark() -> None:
    wire, _ = written(
        ev.Begin("i", "m"),
        ev.PartBegin(ir.Text(text="")),
        ev.TextDelta("Hi"),
        ev.Failed(Fault("overloaded", "Busy")),
        ev.Done(),
    )
    last = bodies(wire)[-1]
    assert last["error"] == {"type": "overloaded_error", "message": "Busy"}
    assert "message_stop" not in wire
    assert b'"request_id":"call_1"' in DIALECT.write_stream_error(Fault("overloaded", "Busy"), "call_1")


def test_the_sdk_reads_a_written_stream() -> None:
    parts = (
        ir.Thinking(text="Hm", signature="s=="),
        ir.Text(text="Hi"),
        ir.ToolCall(id="a", name="f", arguments='{"a": 1}'),
        ir.Native(
            dialect=NAME, body={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}
        ),
    )
    usage = ir.Usage(input_tokens=7, output_tokens=2)
    choice = ir.Choice(parts=parts, stop=ir.Stop(reason="tool"))
    reply = ir.Reply(id="i", model="m", choices=(choice,), usage=usage)
    wire, losses = written(*ev.disassemble(reply))
    assert losses == set()
    client = told_to_the_sdk(200, wire.encode(), "text/event-stream")
    with client.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        seen = stream.get_final_message()
    plain = json.loads(DIALECT.write_reply(reply, Report()))
    assert [part.to_dict() for part in seen.content] == plain["content"]
    assert (seen.stop_reason, seen.usage.input_tokens, seen.usage.output_tokens) == ("tool_use", 7, 2)


# --- looked on -----------------------------------------------------------------------------------


def watched(*pieces: bytes) -> tuple[Any, bytes]:
    watch = DIALECT.watch(True)
    moved = b"".join(watch.feed(piece) for piece in pieces)
    return watch, moved + watch.end()


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_stream_that_is_moved_is_moved_whole_and_understood(size: int, ends: str) -> None:
    wire = HELLO.replace("\n", ends).encode()
    watch, moved = watched(*[wire[i : i + size] for i in range(0, len(wire), size)])
    assert moved == wire
    assert (watch.began, watch.done, watch.fault) == (True, True, None)
    assert watch.usage == ir.Usage(input_tokens=3, output_tokens=4)


def test_only_whole_frames_are_passed_on() -> None:
    watch = DIALECT.watch(True)
    wire = HELLO.encode()
    cut = wire.index(b"lo \xf0") + 1
    whole = watch.feed(wire[:cut])
    assert whole.endswith(b"\n\n")
    assert wire.startswith(whole)
    assert whole + watch.feed(wire[cut:]) == wire


def test_nothing_has_begun_before_the_first_piece_of_the_answer() -> None:
    watch = DIALECT.watch(True)
    watch.feed(
        (
            start()
            + PING
            + frame(
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            )
        ).encode()
    )
    assert not watch.began
    watch.feed(
        frame(
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            }
        ).encode()
    )
    assert watch.began


@pytest.mark.parametrize("before", ["", start(), start() + text("Hi")])
def test_an_error_is_seen_wherever_it_comes(before: str) -> None:
    watch, _ = watched((before + ERROR).encode())
    assert watch.fault is not None
    assert (watch.fault.kind, watch.done, watch.began) == ("overloaded", False, "Hi" in before)


def test_a_stream_cut_short_is_no_end() -> None:
    cut = HELLO[: HELLO.index("event: message_stop")]
    watch, moved = watched(cut.encode())
    assert moved == cut.encode()
    assert (watch.done, watch.fault.kind) == (False, "provider_answer")
    watch, moved = watched((cut + "event: message_st").encode())
    assert moved == cut.encode()
    watch, moved = watched(HELLO.removesuffix("\n\n").encode())
    assert (moved, watch.done, watch.fault) == (HELLO.encode(), True, None)


def test_a_text_about_errors_and_usage_is_a_text() -> None:
    wire = (
        start() + text('{"type":"error","usage":{"input_tokens":9}}', "event: error", "message_stop") + end()
    )
    watch, _ = watched(wire.encode())
    assert (watch.fault, watch.done, watch.usage) == (None, True, ir.Usage(input_tokens=3, output_tokens=4))


@recordings.needs_recordings
def test_recorded_streams_looked_on_tell_the_same_as_read() -> None:
    for id_, wire in recordings.streams(NAME):
        told = read(wire)
        usages = [event.usage for event in told if isinstance(event, ev.UsageSeen)]
        data = wire.encode()
        for size in (97, len(data)):
            watch, moved = watched(*[data[i : i + size] for i in range(0, len(data), size)])
            assert moved.strip() == data.strip(), id_
            assert watch.began == any(map(ev.has_content, told)), id_
            assert (watch.done, watch.usage) == (isinstance(told[-1], ev.Done), usages[-1]), id_
