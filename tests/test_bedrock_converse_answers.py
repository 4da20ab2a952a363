"""bedrock.converse: its answers, streams and errors, what recorded traffic shows of them, and bad input."""

import base64
import json
from typing import Any

import msgspec
import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.losses import Report
from fungible.translate import translate
from tests.converse_wire import USAGE, event, exception, frame

from .converse_bodies import (
    ANTHROPIC,
    CONVERSE,
    OPENAI,
    asks,
    converse,
    says,
)

SPOKEN = DIALECTS[CONVERSE]

# --- answers and streams -------------------------------------------------------------------------


def answer(*content: Any, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    return {"output": {"message": says(*content)}, "stopReason": stop, "usage": USAGE} | more


STOPS = {
    "end_turn": ("stop", "end_turn"),
    "tool_use": ("tool_calls", "tool_use"),
    "max_tokens": ("length", "max_tokens"),
    "stop_sequence": ("stop", "stop_sequence"),
    "content_filtered": ("content_filter", "refusal"),
    "guardrail_intervened": ("content_filter", "refusal"),
    "malformed_model_output": ("stop", "end_turn"),
    "malformed_tool_use": ("stop", "end_turn"),
    "model_context_window_exceeded": ("length", "model_context_window_exceeded"),
}


@pytest.mark.parametrize("word", STOPS)
def test_every_stop_reason_crosses_and_comes_home(word: str) -> None:
    body = answer("Hi.", stop=word)
    assert translate(body, source=CONVERSE, target=CONVERSE, kind="response").body == body
    chat_word, claude_word = STOPS[word]
    there = translate(body, source=CONVERSE, target=OPENAI, kind="response").body["choices"][0][
        "finish_reason"
    ]
    assert there == chat_word
    assert (
        translate(body, source=CONVERSE, target=ANTHROPIC, kind="response").body["stop_reason"] == claude_word
    )


def test_cached_input_is_counted_beside_the_rest() -> None:
    usage = {
        "inputTokens": 5,
        "outputTokens": 2,
        "totalTokens": 120,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 13,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 10}],
    }
    read = SPOKEN.read_usage(json.dumps(answer("Hi.") | {"usage": usage}).encode())
    assert read is not None and read.extras is None
    assert (
        read.input_tokens,
        read.cache_read_tokens,
        read.cache_write_tokens,
        read.cache_write_1h_tokens,
    ) == (
        118,
        100,
        13,
        3,
    )


def test_details_that_do_not_add_up_ride_along() -> None:
    usage = USAGE | {
        "cacheWriteInputTokens": 9,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 4}],
        "totalTokens": 99,
    }
    body = answer("Hi.") | {"usage": usage}
    assert translate(body, source=CONVERSE, target=CONVERSE, kind="response").body == body


def read(*frames: bytes) -> list[ev.StreamEvent]:
    reader = SPOKEN.stream_reader()
    return reader.feed(b"".join(frames)) + reader.end()


START, STOP = event("messageStart", {"role": "assistant"}), event("messageStop", {"stopReason": "end_turn"})
META = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 3}})


def delta(index: int, **told: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": told})


def test_text_has_no_start_of_its_own() -> None:
    """Oddity 12 of recorded traffic: a block begins with its first delta, and may have no stop either."""
    reply = ev.assemble(read(START, delta(0, text="Hi"), delta(1, text="there"), STOP, META))
    assert [part.text for part in reply.choices[0].parts if isinstance(part, ir.Text)] == ["Hi", "there"]


def test_padding_is_not_passed_on() -> None:
    """Oddity 5."""
    wire = base64.b64encode(START + delta(0, text="Hi") + STOP + META).decode()
    for target in (OPENAI, ANTHROPIC):
        assert "abcd" not in translate(wire, source=CONVERSE, target=target, kind="stream").body
    home = translate(wire, source=CONVERSE, target=CONVERSE, kind="stream").body
    assert b"abcd" not in base64.b64decode(home)


def test_a_call_cut_short_keeps_its_arguments_as_text() -> None:
    """Oddity 8."""
    called = event(
        "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}
    )
    cut = event("messageStop", {"stopReason": "max_tokens"})
    reply = ev.assemble(read(START, called, delta(0, toolUse={"input": '{"a": "b'}), cut, META))
    (part,) = reply.choices[0].parts
    assert isinstance(part, ir.ToolCall) and part.arguments == '{"a": "b'


def test_a_call_without_input_has_an_empty_object() -> None:
    called = event(
        "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}
    )
    reply = ev.assemble(read(START, called, event("contentBlockStop", {"contentBlockIndex": 0}), STOP, META))
    (part,) = reply.choices[0].parts
    assert isinstance(part, ir.ToolCall) and part.arguments == "{}"


def test_redacted_reasoning_in_pieces_is_one() -> None:
    pieces = [
        delta(0, reasoningContent={"redactedContent": base64.b64encode(p).decode()}) for p in (b"ab", b"c")
    ]
    reply = ev.assemble(read(START, *pieces, delta(1, text="Hi"), STOP, META))
    assert reply.choices[0].parts[0] == ir.Thinking(redacted=base64.b64encode(b"abc").decode())


def test_a_stream_may_end_without_metadata() -> None:
    events = read(START, delta(0, text="Hi"), STOP)
    assert isinstance(events[-1], ev.Done) and ev.assemble(events).usage is None


@pytest.mark.parametrize("end", [b"", STOP[:-1]])
def test_a_stream_cut_short_is_a_fault(end: bytes) -> None:
    last = read(START, delta(0, text="Hi"), end)[-1]
    assert isinstance(last, ev.Failed) and last.fault.kind == "provider_answer"


EXCEPTIONS = {
    "throttlingException": "rate_limited",
    "validationException": "bad_request",
    "internalServerException": "provider_error",
    "modelStreamErrorException": "provider_error",
    "serviceUnavailableException": "unavailable",
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_in_a_stream_is_its_last_event(name: str) -> None:
    """Oddity 1: an error after a good status."""
    events = read(START, delta(0, text="Hi"), exception(name, "It broke"), STOP, META)
    assert isinstance(events[-1], ev.Failed)
    assert (events[-1].fault.kind, events[-1].fault.message) == (EXCEPTIONS[name], "It broke")
    watch = SPOKEN.watch(True)
    assert watch.feed(START + exception(name, "It broke")) and watch.fault == events[-1].fault


def test_an_error_frame_says_it_in_its_headers() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oh"}
    (last,) = read(frame(headers, b""))
    assert isinstance(last, ev.Failed) and (last.fault.kind, last.fault.message) == ("provider_error", "Oh")


def test_a_watch_sees_the_usage_and_the_end_and_changes_nothing() -> None:
    wire = START + delta(0, text="Hi") + STOP + META
    for size in (1, 5, 1000):
        watch = SPOKEN.watch(True)
        passed = b"".join(watch.feed(wire[i : i + size]) for i in range(0, len(wire), size)) + watch.end()
        assert passed == wire and watch.began and watch.done and watch.fault is None
        assert watch.usage is not None and watch.usage.output_tokens == 7
    cut = SPOKEN.watch(True)
    cut.feed(START + delta(0, text="Hi"))
    cut.end()
    assert not cut.done and cut.fault is not None and "truncated" in cut.fault.message


# --- errors --------------------------------------------------------------------------------------


def test_an_error_is_named_in_a_header_or_in_the_body() -> None:
    body = b'{"message":"Slow down"}'
    named = {b"x-amzn-errortype": b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    by_header = SPOKEN.read_error(429, named, body)
    by_type = SPOKEN.read_error(429, {}, b'{"__type":"com.amazon#ThrottlingException","message":"Slow down"}')
    by_status = SPOKEN.read_error(429, {}, body)
    assert by_header == by_type and by_header.kind == by_status.kind == "rate_limited"
    assert by_header.message == "Slow down"


def test_an_error_without_json_is_read_by_its_status() -> None:
    fault = SPOKEN.read_error(503, {}, b"<html>down</html>")
    assert (fault.kind, fault.message) == ("unavailable", "<html>down</html>")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529])
def test_an_error_of_ours_is_read_back_as_no_other_s_fault(status: int) -> None:
    source = SPOKEN.read_error(status, {}, b'{"message":"m"}')
    told, body = SPOKEN.write_error(source, "c1")
    again = SPOKEN.read_error(told, {}, body)
    assert again.retry == source.retry or status in (401, 408, 413, 422)
    assert json.loads(body)["message"] == "m" and 400 <= told < 600


# --- bad input -----------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, str | None]] = {
    "no JSON": ("{", None),
    "a list": ([], None),
    "a message that is a string": (converse("hi"), "messages[0]"),
    "another role": (converse(asks("x") | {"role": "tool"}), "messages[0].role"),
    "content that is a string": (converse({"role": "user", "content": "hi"}), "messages[0].content"),
    "no content": (converse({"role": "user"}), "messages[0].content"),
    "a block that is a string": (converse({"role": "user", "content": ["hi"]}), "messages[0].content[0]"),
    "text that is a number": (converse(asks({"text": 1})), "messages[0].content[0].text"),
    "an image without a source": (
        converse(asks({"image": {"format": "png"}})),
        "messages[0].content[0].image.source",
    ),
    "bytes that are no base64": (
        converse(asks({"image": {"format": "png", "source": {"bytes": "%%"}}})),
        "messages[0].content[0].image.source.bytes",
    ),
    "a call without a name": (
        converse(says({"toolUse": {"toolUseId": "t", "input": {}}})),
        "messages[0].content[0].toolUse.name",
    ),
    "a limit in words": (
        {"messages": [], "inferenceConfig": {"maxTokens": "9"}},
        "inferenceConfig.maxTokens",
    ),
    "a tool without a schema": (
        converse(asks("x"), toolConfig={"tools": [{"toolSpec": {"name": "f"}}]}),
        "toolConfig.tools[0].toolSpec.inputSchema",
    ),
    "a choice of two": (
        converse(asks("x"), toolConfig={"tools": [], "toolChoice": {"auto": {}, "any": {}}}),
        "toolConfig.toolChoice",
    ),
    "a schema that is no JSON": (
        converse(
            asks("x"),
            outputConfig={
                "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}
            },
        ),
        "outputConfig.textFormat.structure.jsonSchema.schema",
    ),
    "another kind of count": ({"input": {"invokeModel": {"body": ""}}}, "input.converse"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_path(name: str) -> None:
    body, path = BAD[name]
    with pytest.raises(Fault) as caught:
        SPOKEN.read_request(body.encode() if isinstance(body, str) else json.dumps(body).encode())
    assert (caught.value.kind, caught.value.path) == ("bad_request", path)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"inferenceConfig":{"maxTokens":"x"}}', b'{"inferenceConfig":3}', b"\xff"]
)
def test_a_peek_refuses_what_it_cannot_read(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        SPOKEN.peek(body)
    assert caught.value.kind == "bad_request"


def test_a_request_to_count_is_its_conversation() -> None:
    inner = {"messages": [asks("Hello")], "system": [{"text": "Be brief."}]}
    counted = SPOKEN.read_request(json.dumps({"input": {"converse": inner}}).encode())
    assert counted == SPOKEN.read_request(json.dumps(inner).encode())


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"no", b'{"output":{}}', b'{"output":{"message":{"content":[1]}}}']
)
def test_an_answer_that_is_none_is_the_provider_s_fault(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        SPOKEN.read_reply(body)
    assert caught.value.kind == "provider_answer"


def test_an_error_inside_a_good_answer_is_one() -> None:
    with pytest.raises(Fault) as caught:
        SPOKEN.read_reply(b'{"__type":"ThrottlingException","message":"Slow down"}')
    assert (caught.value.kind, caught.value.message) == ("rate_limited", "Slow down")


def test_parts_that_interleave_come_out_one_after_another() -> None:
    told: list[ev.StreamEvent] = [
        ev.Begin("", ""),
        ev.PartBegin(ir.Text(text=""), 0),
        ev.PartBegin(ir.ToolCall(id="t", name="f", arguments=""), 1),
        ev.ArgumentsDelta("{", 1),
        ev.TextDelta("Hi", 0),
        ev.ArgumentsDelta("}", 1),
        ev.PartEnd(0),
        ev.PartEnd(1),
        ev.End(ir.Stop(reason="tool")),
        ev.Done(),
    ]
    wire = SPOKEN.stream_writer(Report(), True).write(told)
    kinds = [type(event).__name__ for event in read(wire)]
    assert kinds.index("PartEnd") < kinds.index("ArgumentsDelta")
    assert ev.assemble(read(wire)).choices[0].parts == ev.assemble(told).choices[0].parts


def test_a_remark_at_the_end_of_a_stream_is_passed_over_by_its_readers() -> None:
    events = read(START, delta(0, text="Hi"), SPOKEN.remark("x-fungible-cost-usd: 1"), STOP, META)
    plain = read(START, delta(0, text="Hi"), STOP, META)
    assert msgspec.to_builtins(ev.assemble(events)) == msgspec.to_builtins(ev.assemble(plain))
