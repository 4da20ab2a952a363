"""bedrock.converse: what translators are known to break, what its recorded traffic shows, and bad input."""

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

from .wires import (
    OBJECT,
    PDF,
    PNG,
    answered,
    chat,
    claude,
    crosses,
    function,
    function_call,
    said,
    text,
    tool_result,
    tool_use,
    user,
)

CONVERSE, OPENAI, ANTHROPIC = "bedrock.converse", "openai.chat", "anthropic.messages"
SPOKEN = DIALECTS[CONVERSE]
CLAUDE_ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LIMIT = {"inferenceConfig": {"maxTokens": 64}}


def converse(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages)} | LIMIT | more


def asks(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def says(*content: Any) -> dict[str, Any]:
    return asks(*content) | {"role": "assistant"}


def uses(id_: str, name: str, input_: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id_, "name": name, "input": input_}}


def gives(id_: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id_, "content": list(content)} | more}


def spec(name: str, **more: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": OBJECT}} | more}


POINT = {"cachePoint": {"type": "default"}}


def to(source: str, body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(source, CONVERSE, body, expected, losses, kind)


def of(target: str, body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(CONVERSE, target, body, expected, losses, kind)


# --- tools ---------------------------------------------------------------------------------------

USED = says(uses("call_a", "f", {"x": 1}), uses("call_b", "g", {}))
F_AND_G = {"tools": [spec("f"), spec("g")]}
CHAT_CALLS = said(
    None, tool_calls=[function_call("call_a", "f", '{"x":1}'), function_call("call_b", "g", "{}")]
)


def test_parallel_results_are_one_user_message_with_what_the_user_says_next() -> None:
    tools = [function("f", parameters=OBJECT), function("g", parameters=OBJECT)]
    to(
        OPENAI,
        chat(
            user("Go."),
            CHAT_CALLS,
            answered("call_b", "2"),
            answered("call_a", "1"),
            user("And?"),
            tools=tools,
        ),
        converse(
            asks("Go."),
            USED,
            asks(gives("call_b", {"text": "2"}), gives("call_a", {"text": "1"}), "And?"),
            toolConfig=F_AND_G,
        ),
    )


def test_a_history_of_calls_without_tools_gets_stand_ins_for_the_service_refuses_it_otherwise() -> None:
    done = translate(chat(user("Go."), CHAT_CALLS), source=OPENAI, target=CONVERSE)
    assert [t["toolSpec"]["name"] for t in done.body["toolConfig"]["tools"]] == ["f", "g"]
    assert [(loss.path, loss.why) for loss in done.losses] == [("tools", "tool_schema")]


def test_a_failed_tool_is_marked() -> None:
    of(
        ANTHROPIC,
        converse(
            asks("Go."),
            USED,
            asks(
                gives("call_a", {"text": "no"}, status="error"),
                gives("call_b", {"text": "yes"}, status="success"),
            ),
            toolConfig=F_AND_G,
        ),
        {
            "model": "",
            "max_tokens": 64,
            "messages": [
                user("Go."),
                said([tool_use("call_a", "f", {"x": 1}), tool_use("call_b", "g", {})]),
                user(
                    [
                        tool_result("call_a", "no", is_error=True),
                        tool_result("call_b", "yes", is_error=False),
                    ]
                ),
            ],
            "tools": [{"name": "f", "input_schema": OBJECT}, {"name": "g", "input_schema": OBJECT}],
        },
    )


def test_json_in_a_result_is_text_elsewhere_and_json_again_at_home() -> None:
    body = converse(asks("Go."), USED, asks(gives("call_a", {"json": {"n": [1, None]}})), toolConfig=F_AND_G)
    there = translate(body, source=CONVERSE, target=OPENAI)
    assert there.body["messages"][2]["content"][0]["text"] == '{"n":[1,null]}'
    assert there.losses == ()
    assert translate(body, source=CONVERSE, target=CONVERSE).body == body


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("functions.get:0", True),
        ("call_0123456789", True),
        ("a b/c", False),
        ("x" * 65, False),
    ],
)
def test_ids_of_calls_are_mapped_only_where_the_service_refuses_them(sent: str, kept: bool) -> None:
    calls = said(None, tool_calls=[function_call(sent, "f", "{}")])
    body = chat(user("Go."), calls, answered(sent, "1"), tools=[function("f", parameters=OBJECT)])
    done = translate(body, source=OPENAI, target=CONVERSE)
    used = done.body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert used == done.body["messages"][2]["content"][0]["toolResult"]["toolUseId"]
    assert (used == sent) is kept and len(used) <= 64
    assert {loss.why for loss in done.losses} == (set() if kept else {"tool_call_id"})


def test_no_tool_may_be_called_means_no_tools() -> None:
    to(
        OPENAI,
        chat(user("Go."), tools=[function("f", parameters=OBJECT)], tool_choice="none"),
        converse(asks("Go.")),
        ("tool_choice", "dropped", "tool_choice"),
        ("tools[0].function", "dropped", "tool_choice"),
    )


def test_choices_of_tools_cross() -> None:
    tools = [{"name": "f", "input_schema": OBJECT}]
    for theirs, ours in (
        ({"type": "auto"}, {"auto": {}}),
        ({"type": "any"}, {"any": {}}),
        ({"type": "tool", "name": "f"}, {"tool": {"name": "f"}}),
    ):
        to(
            ANTHROPIC,
            claude(user("Go."), tools=tools, tool_choice=theirs),
            converse(asks("Go."), toolConfig={"tools": [spec("f")], "toolChoice": ours}),
        )


# --- marks, media, order -------------------------------------------------------------------------


def test_a_cache_mark_is_a_block_after_what_it_marks_wherever_it_stands() -> None:
    mark = {"type": "ephemeral"}
    body = claude(
        user([text("Long.", cache_control=mark), text("Short.")]),
        said([tool_use("t1", "f", {}, cache_control={"type": "ephemeral", "ttl": "1h"})]),
        user([tool_result("t1", "x", cache_control=mark)]),
        system=[text("Rules.", cache_control=mark)],
        tools=[
            {"name": "f", "input_schema": OBJECT, "cache_control": mark},
            {"name": "g", "input_schema": OBJECT},
        ],
    )
    ours = converse(
        asks("Long.", POINT, "Short."),
        says(uses("t1", "f", {}), {"cachePoint": {"type": "default", "ttl": "1h"}}),
        asks(gives("t1", {"text": "x"}), POINT),
        system=[{"text": "Rules."}, POINT],
        toolConfig={"tools": [spec("f"), POINT, spec("g")]},
    )
    to(ANTHROPIC, body, ours)
    of(ANTHROPIC, ours, body | {"model": ""})


def test_a_lost_cache_point_is_reported_where_it_stands() -> None:
    done = translate(
        converse(asks("Long."), toolConfig={"tools": [spec("f"), POINT]}), source=CONVERSE, target=OPENAI
    )
    assert [loss.path for loss in done.losses] == ["toolConfig.tools[1].cachePoint"]


def test_a_cache_point_with_nothing_before_it_stays_where_it_is() -> None:
    body = converse(asks(POINT, "Hello", POINT, POINT))
    assert translate(body, source=CONVERSE, target=CONVERSE).body == body


@pytest.mark.parametrize(
    "model", ["meta.llama3-8b-instruct-v1:0", "us.meta.llama4-x-v1:0", "openai.gpt-oss-120b-1:0"]
)
def test_models_that_cache_nothing_are_sent_no_cache_points(model: str) -> None:
    body = claude(user([text("Long.", cache_control={"type": "ephemeral"})]))
    done = translate(body, source=ANTHROPIC, target=CONVERSE, model=model)
    assert (
        done.body["messages"] == [asks("Long.")]
        and done.path == f"/model/{model.replace(':', '%3A')}/converse"
    )
    assert [loss.why for loss in done.losses] == ["cache_mark"]


def test_pictures_and_documents_cross_both_ways() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    paper = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    theirs = claude(
        user([{"type": "image", "source": source}, {"type": "document", "source": paper, "title": "a paper"}])
    )
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    document = {"document": {"format": "pdf", "name": "a paper", "source": {"bytes": PDF}}}
    to(ANTHROPIC, theirs, converse(asks(image, document)))
    of(ANTHROPIC, converse(asks(image, document)), theirs | {"model": ""})


def test_a_document_is_given_a_name_that_the_service_takes() -> None:
    paper = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    body = claude(
        user(
            [
                {"type": "document", "source": paper, "title": "a  paper.v2.pdf"},
                {"type": "document", "source": paper},
            ]
        )
    )
    done = translate(body, source=ANTHROPIC, target=CONVERSE)
    names = [block["document"]["name"] for block in done.body["messages"][0]["content"]]
    assert names == ["a paper-v2-pdf", "document 1"]
    assert [loss.why for loss in done.losses] == ["document", "document"]


def test_an_image_at_an_address_is_a_reported_loss() -> None:
    content = [text("What?"), {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    to(OPENAI, chat(user(content)), converse(asks("What?")), ("messages[0].content[1]", "dropped", "image"))


def test_what_lies_in_s3_is_a_block_of_this_dialect_alone() -> None:
    image = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/a.png"}}}}
    of(
        OPENAI,
        converse(asks("What?", image)),
        {"messages": [user([text("What?")])], "max_completion_tokens": 64},
        ("messages[0].content[1]", "dropped", "native_block"),
    )


def test_users_and_assistants_take_turns() -> None:
    done = translate(chat(user("One."), user("Two."), said("A."), said("B.")), source=OPENAI, target=CONVERSE)
    assert done.body["messages"] == [asks("One.", "Two."), says("A.", "B.")]
    assert [(loss.path, loss.kind, loss.why) for loss in done.losses] == [
        ("messages[1]", "changed", "message_order"),
        ("messages[3]", "changed", "message_order"),
    ]


def test_blank_text_is_left_out_for_the_service_refuses_it() -> None:
    to(
        OPENAI,
        chat(
            user("Go."),
            said(" ", tool_calls=[function_call("c", "f", "{}")]),
            tools=[function("f", parameters=OBJECT)],
        ),
        converse(asks("Go."), says(uses("c", "f", {})), toolConfig={"tools": [spec("f")]}),
        ("messages[1].content", "dropped", "empty_text"),
    )


# --- thinking ------------------------------------------------------------------------------------

THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}


def test_signed_thinking_crosses_to_and_from_its_maker() -> None:
    theirs = claude(
        user("Go."),
        said([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, text("Yes.")]),
        user("So?"),
    )
    ours = converse(asks("Go."), says(THOUGHT, "Yes."), asks("So?"))
    to(ANTHROPIC, theirs, ours)
    of(ANTHROPIC, ours, theirs | {"model": ""})


def test_unsigned_thinking_is_not_sent_to_a_claude() -> None:
    body = chat(user("Go."), said("Yes.", reasoning_content="Hm."), user("So?"))
    done = translate(body, source=OPENAI, target=CONVERSE, model=CLAUDE_ON_BEDROCK)
    assert done.body["messages"][1] == says("Yes.")
    assert [loss.why for loss in done.losses] == ["thinking"]


def test_effort_and_budget_go_where_the_model_takes_them() -> None:
    body = claude(user("Go."), thinking={"type": "enabled", "budget_tokens": 1024}, top_k=5, max_tokens=2048)
    more = translate(body, source=ANTHROPIC, target=CONVERSE, model=CLAUDE_ON_BEDROCK)
    assert more.body["additionalModelRequestFields"] == {
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert more.losses == ()
    none = translate(body, source=ANTHROPIC, target=CONVERSE, model="meta.llama3-8b-instruct-v1:0")
    assert "additionalModelRequestFields" not in none.body
    assert {loss.why for loss in none.losses} == {"reasoning", "sampling"}
    effort = translate(
        chat(user("Go."), reasoning_effort="high"),
        source=OPENAI,
        target=CONVERSE,
        model="anthropic.claude-opus-4-8",
    )
    assert effort.body["outputConfig"] == {"effort": "high"}


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
    named = [
        (b"x-amzn-errortype", b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/")
    ]
    by_header = SPOKEN.read_error(429, named, body)
    by_type = SPOKEN.read_error(429, [], b'{"__type":"com.amazon#ThrottlingException","message":"Slow down"}')
    by_status = SPOKEN.read_error(429, [], body)
    assert by_header == by_type and by_header.kind == by_status.kind == "rate_limited"
    assert by_header.message == "Slow down"


def test_an_error_without_json_is_read_by_its_status() -> None:
    fault = SPOKEN.read_error(503, [], b"<html>down</html>")
    assert (fault.kind, fault.message) == ("unavailable", "<html>down</html>")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529])
def test_an_error_of_ours_is_read_back_as_no_other_s_fault(status: int) -> None:
    source = SPOKEN.read_error(status, [], b'{"message":"m"}')
    told, body = SPOKEN.write_error(source, "c1")
    again = SPOKEN.read_error(told, [], body)
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
