"""What is odd about the Gemini dialect, as its providers and clients were seen to do it."""

from typing import Any

import msgspec

from fungible.dialects import DIALECTS
from fungible.events import Done, Failed, assemble
from fungible.ir import Reply, Stop, Text, Thinking, ToolCall
from fungible.losses import Report

GEMINI = DIALECTS["gemini.generate_content"]
encode = msgspec.json.encode


def told(*frames: dict[str, Any], line: bytes = b"\r\n\r\n") -> list[Any]:
    reader = GEMINI.stream_reader()
    return reader.feed(b"".join(b"data: " + encode(frame) + line for frame in frames)) + reader.end()


def frame(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **more}], "responseId": "r"}


def read(*parts: dict[str, Any], **more: Any) -> Reply:
    return GEMINI.read_reply(encode(frame(*parts, **more)))


def test_a_signature_on_an_empty_text_at_the_end_comes_back() -> None:
    events = told(frame({"text": "Hi"}), frame({"text": "", "thoughtSignature": "c2ln"}, finishReason="STOP"))
    reply = assemble(events)
    assert reply.choices[0].parts == (Text(text="Hi"), Thinking(signature="c2ln"), Text(text=""))
    wire = GEMINI.stream_writer(Report(), True).write(events)
    assert b'{"text":"","thoughtSignature":"c2ln"}' in wire


def test_a_blocked_prompt_has_no_candidates() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    reply = GEMINI.read_reply(encode(blocked))
    assert reply.choices[0].stop == Stop(reason="content_filter")
    events = told(blocked)
    assert isinstance(events[-1], Done)
    assert assemble(events).choices == reply.choices
    assert "candidates" not in msgspec.json.decode(GEMINI.write_reply(reply, Report()))


def test_a_reason_written_as_a_number() -> None:
    assert read({"text": "a"}, finishReason=2).choices[0].stop == Stop(reason="length")


def test_a_call_ends_an_answer_that_says_stop() -> None:
    choice = read({"functionCall": {"name": "f", "args": {"a": 1}}}, finishReason="STOP").choices[0]
    assert choice.stop == Stop(reason="tool")
    kept = read({"functionCall": {"name": "f"}}, finishReason="UNEXPECTED_TOOL_CALL").choices[0]
    assert kept.stop == Stop(reason="other", raw="UNEXPECTED_TOOL_CALL")


def test_calls_without_ids_get_the_same_ones_however_the_answer_comes() -> None:
    calls = [{"functionCall": {"name": "f", "args": {"n": n}}} for n in (1, 2)]
    plain = read(*calls, finishReason="STOP").choices[0].parts
    streamed = assemble(told(frame(calls[0]), frame(calls[1], finishReason="STOP"))).choices[0].parts
    assert plain == streamed
    ids = [part.id for part in plain if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2


def test_candidates_without_a_count_have_none_and_thoughts_are_output() -> None:
    usage = {"promptTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 12}
    counted = GEMINI.read_usage(encode({"candidates": [], "usageMetadata": usage}))
    assert counted is not None
    assert (counted.input_tokens, counted.output_tokens, counted.reasoning_tokens) == (5, 7, 7)


def test_a_stream_that_ends_without_a_reason_was_cut_short() -> None:
    assert isinstance(told(frame({"text": "a"}))[-1], Failed)


def test_arguments_in_pieces_are_put_together() -> None:
    begun = {"functionCall": {"name": "f", "willContinue": True}}
    pieces = [
        {"functionCall": {"partialArgs": [{"jsonPath": "$.a[0].b", "stringValue": v}], "willContinue": True}}
        for v in ("x", "y")
    ]
    events = told(frame(begun), *(frame(p) for p in pieces), frame({"functionCall": {}}, finishReason="STOP"))
    (call,) = assemble(events).choices[0].parts
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"a":[{"b":"xy"}]}'


def test_an_error_says_how_long_to_wait_and_which_field() -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"},
        {"fieldViolations": [{"field": "contents[0]", "description": "bad"}]},
    ]
    error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    fault = GEMINI.read_error(429, {}, encode([{"error": error}]))
    assert (fault.kind, fault.retry_after_ms, fault.path) == ("rate_limited", 34_400, "contents[0]")


def test_a_key_that_is_not_valid_is_told_as_a_bad_request() -> None:
    details = [{"reason": "API_KEY_INVALID"}]
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
    assert GEMINI.read_error(400, {}, encode({"error": error})).kind == "authentication"


def test_where_a_call_is_addressed() -> None:
    assert GEMINI.locate is not None
    found = GEMINI.locate("/v1beta/models/openai/gpt%2Dx:streamGenerateContent", b"alt=sse&key=k")
    assert found is not None
    assert (found.operation, found.model, found.stream, found.spoken) == ("chat", "openai/gpt-x", True, None)
    listed = GEMINI.locate("/v1/models/m:streamGenerateContent", b"")
    assert listed is not None and listed.spoken is not None
    assert listed.spoken.stream_type == "application/json"
    assert GEMINI.locate("/v1/models/m:embedContent", b"") is None


def test_a_stream_as_a_list_is_one_json_list() -> None:
    assert GEMINI.locate is not None
    listed = GEMINI.locate("/v1/models/m:streamGenerateContent", b"")
    assert listed is not None and listed.spoken is not None
    events = told(frame({"text": "a"}), frame({"text": "b"}, finishReason="STOP"))
    wire = listed.spoken.stream_writer(Report(), True)
    body = b"".join(wire.write([event]) for event in events)
    assert [item["candidates"][0].get("finishReason") for item in msgspec.json.decode(body)] == [
        None,
        None,
        "STOP",
    ]
