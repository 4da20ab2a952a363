"""The dialect openai.responses: what it is known to break on, each by name, and its own oddities."""

import json
from typing import Any

import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects.openai_responses import DIALECT
from fungible.faults import Fault
from fungible.losses import Report
from fungible.translate import translate

from .wires import OBJECT, PNG, claude, function, tool_use
from .wires import user as said_by_user

CHAT, CLAUDE, RESPONSES = "openai.chat", "anthropic.messages", "openai.responses"


def asked(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items)} | more


def call(n: int, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"call_{n}", "name": "look", "arguments": "{}"} | more


def result(n: int, output: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"call_{n}", "output": output} | more


def made(body: Any, source: str, target: str, kind: str = "request", **more: Any) -> tuple[Any, set[str]]:
    done = translate(body, source=source, target=target, kind=kind, **more)
    return done.body, {f"{loss.path} {loss.why}" for loss in done.losses}


def answered(*output: Any, **more: Any) -> dict[str, Any]:
    body = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m"}
    return (
        body
        | {"output": list(output), "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        | more
    )


def spoken(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    } | more


REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": "seal==",
}

# --- requests ------------------------------------------------------------------------------------


def test_parallel_calls_are_one_turn_of_the_assistant() -> None:
    body, _ = made(asked(said_by_user("Look"), call(1), call(2), result(2), result(1)), RESPONSES, CHAT)
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [c["id"] for c in body["messages"][1]["tool_calls"]] == ["call_1", "call_2"]


def test_a_tool_that_is_not_strict_elsewhere_is_not_strict_here() -> None:
    """Where `strict` is not said this API makes a schema strict, so that optional arguments are required."""
    body, losses = made(
        {"model": "m", "messages": [], "tools": [function("f", parameters=OBJECT)]}, CHAT, RESPONSES
    )
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": OBJECT, "strict": False}]
    assert not losses


def test_a_tool_whose_strictness_was_left_to_the_api_stays_so() -> None:
    tool = {"type": "function", "name": "f", "parameters": OBJECT}
    body, losses = made(asked(tools=[tool]), RESPONSES, RESPONSES)
    assert (body["tools"], losses) == ([tool], set())


def test_reasoning_goes_back_as_it_was_and_nowhere_else() -> None:
    items = [said_by_user("Look"), REASONING, call(1, id="fc_1"), result(1)]
    body, losses = made(asked(*items), RESPONSES, RESPONSES)
    assert (body["input"][1], losses) == (REASONING, set())
    for target in (CHAT, CLAUDE):
        body, losses = made(asked(*items), RESPONSES, target)
        assert "seal==" not in json.dumps(body) and "input[1] thinking" in losses


def test_reasoning_without_an_id_keeps_its_seal() -> None:
    """As clients send it that let nothing be stored."""
    bare = {k: v for k, v in REASONING.items() if k != "id"}
    body, losses = made(asked(bare, bare, call(1), result(1)), RESPONSES, RESPONSES)
    assert ([body["input"][0], body["input"][1]], losses) == ([bare, bare], set())


def test_a_thought_from_elsewhere_is_never_sent_to_a_provider_that_would_refuse_it() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = {"role": "assistant", "content": [thought, tool_use("t1", "look", {})]}
    body, losses = made(claude(said_by_user("Look"), said), CLAUDE, RESPONSES)
    assert [item["type"] for item in body["input"][1:]] == ["function_call"]
    assert "messages[1].content[0] thinking" in losses


def test_two_turns_of_the_assistant_become_one_aloud() -> None:
    turns = [{"role": "assistant", "content": "One"}, {"role": "assistant", "content": "Two"}]
    body, losses = made({"model": "m", "messages": turns}, CHAT, RESPONSES)
    assert body["input"] == turns
    assert losses == {"messages[1] message_order"}


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
def test_a_conversation_that_the_provider_keeps_is_refused_elsewhere_when_strict(field: str) -> None:
    body = asked(said_by_user("And now?"), **{field: "x_1"})
    assert made(body, RESPONSES, RESPONSES)[0][field] == "x_1"
    assert f"{field} conversation" in made(body, RESPONSES, CLAUDE)[1]
    with pytest.raises(Fault, match="conversation"):
        translate(body, source=RESPONSES, target=CLAUDE, strict=True)


def test_a_custom_tool_s_result_is_a_custom_tool_s() -> None:
    items = [
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "-x\n+y"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
        {"type": "custom_tool_call_output", "call_id": "call_0", "output": "its call is not here"},
    ]
    body, losses = made(asked(*items), RESPONSES, RESPONSES)
    assert (body["input"], losses) == (items, set())
    body, _ = made(asked(*items), RESPONSES, CHAT)
    assert body["messages"][0]["tool_calls"][0]["custom"] == {"name": "patch", "input": "-x\n+y"}


def test_images_inside_a_tool_s_result_stay_there() -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    body, losses = made(asked(call(1), result(1, [image])), RESPONSES, CLAUDE, model="claude-haiku-4-5")
    block = body["messages"][1]["content"][0]["content"][0]
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
    assert not any(path.startswith("input[1]") for path in losses)


def test_a_failed_tool_says_so_in_words() -> None:
    failed = {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}
    said = {"role": "assistant", "content": [tool_use("t1", "look", {})]}
    body, losses = made(claude(said, said_by_user([failed])), CLAUDE, RESPONSES)
    assert body["input"][1]["output"] == "Error: no"
    assert "messages[1].content[0] tool_result_error" in losses


def test_items_that_only_this_api_knows_stay_where_they_are() -> None:
    """`additional_tools` and `program` items, the provider's own tools, compaction."""
    items = [
        {"type": "additional_tools", "role": "developer", "tools": []},
        said_by_user("Search"),
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "q"},
        },
        {"type": "program", "id": "p_1", "call_id": "c", "code": "x", "fingerprint": "f"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "seal=="},
        {"type": "item_reference", "id": "msg_9"},
    ]
    body, losses = made(asked(*items), RESPONSES, RESPONSES)
    assert (body["input"], losses) == (items, set())
    assert {"input[0] native_block", "input[2] native_block"} & made(asked(*items), RESPONSES, CHAT)[1]


BAD = {
    "no model": ({"input": "x"}, "model"),
    "no item": (asked(7), "input[0]"),
    "an item without a type": (asked({"text": "x"}), "input[0].type"),
    "another role": (asked({"role": "tool", "content": "x"}), "input[0].role"),
    "a text that is none": (
        asked(said_by_user([{"type": "input_text", "text": 7}])),
        "input[0].content[0].text",
    ),
    "an image without a source": (asked(said_by_user([{"type": "input_image"}])), "input[0].content[0]"),
    "no base64": (
        asked(said_by_user([{"type": "input_image", "image_url": "data:image/png;base64,!"}])),
        "input[0].content[0].image_url",
    ),
    "a call without an id": (asked({**call(1), "call_id": None}), "input[0].call_id"),
    "a schema of a string": (
        asked(tools=[{"type": "function", "name": "f", "parameters": {"type": "string"}}]),
        "tools[0].parameters.type",
    ),
    "a temperature in words": (asked(temperature="hot"), "temperature"),
    "a choice that is none": (asked(tool_choice="some"), "tool_choice"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_says_where(case: str) -> None:
    body, path = BAD[case]
    with pytest.raises(Fault) as told:
        DIALECT.read_request(json.dumps(body).encode())
    assert (told.value.kind, told.value.path) == ("bad_request", path)


# --- answers -------------------------------------------------------------------------------------


def test_a_call_beside_completed_means_that_the_model_waits() -> None:
    body, _ = made(answered(call(1, id="fc_1", status="completed")), RESPONSES, CHAT, "response")
    assert body["choices"][0]["finish_reason"] == "tool_calls"


def test_phases_of_an_answer_come_back() -> None:
    items = [spoken("Looking.", phase="commentary"), spoken("Done.", id="msg_2", phase="final_answer")]
    body, losses = made(answered(*items), RESPONSES, RESPONSES, "response")
    assert (body["output"], losses) == (items, set())


def test_an_answer_from_elsewhere_has_ids_of_our_making_that_are_read_as_none() -> None:
    chat = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    message = {"role": "assistant", "content": "Hi", "refusal": None}
    body, _ = made(
        chat | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]},
        CHAT,
        RESPONSES,
        "response",
    )
    assert body["output"][0]["id"] == "msg_fungible_chatcmpl1_0"
    assert made(asked(*body["output"]), RESPONSES, CHAT)[1] == set()


def test_an_error_inside_a_200() -> None:
    body = answered(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down"})
    with pytest.raises(Fault) as told:
        DIALECT.read_reply(json.dumps(body).encode())
    assert (told.value.kind, told.value.message) == ("rate_limited", "Slow down")


def test_no_answer_at_all() -> None:
    for body in (b"", b"{}", b"[]", b'{"output": 7}'):
        with pytest.raises(Fault) as told:
            DIALECT.read_reply(body)
        assert told.value.kind == "provider_answer"


def test_usage_counts_what_the_bill_counts() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    read = DIALECT.read_usage(json.dumps(answered(usage=usage)).encode())
    assert read is not None and (read.input_tokens, read.output_tokens, read.reasoning_tokens) == (10, 5, 3)
    assert read.cache_read_tokens is None  # not told, which is not 0


# --- streams -------------------------------------------------------------------------------------


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps({"sequence_number": n, **e}).encode())
        for n, e in enumerate(events)
    )


def read(data: bytes) -> list[ev.StreamEvent]:
    reader = DIALECT.stream_reader()
    return reader.feed(data) + reader.end()


BEGUN = {"type": "response.created", "response": answered(status="in_progress")}
ENDED = {"type": "response.completed", "response": answered()}


def added(n: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": n, "item": item}


def test_items_that_interleave_are_kept_apart() -> None:
    def piece(n: int, text: str) -> dict[str, Any]:
        return {
            "type": "response.function_call_arguments.delta",
            "output_index": n,
            "item_id": "x",
            "delta": text,
        }

    told = wire(
        BEGUN, added(0, call(0, arguments="")), added(1, call(1, arguments="")),
        piece(1, '{"b":'), piece(0, '{"a":'), piece(1, "2}"), piece(0, "1}"), ENDED,
    )  # fmt: skip
    parts = ev.assemble(read(told)).choices[0].parts
    assert [p.arguments for p in parts if isinstance(p, ir.ToolCall)] == ['{"a":1}', '{"b":2}']


def test_what_the_deltas_leave_out_is_taken_from_the_end() -> None:
    """Servers that imitate the API tell no deltas, or no item at all before the last event."""
    whole = spoken("Hello")
    for told in (
        wire(
            BEGUN,
            added(0, {**whole, "content": []}),
            {"type": "response.output_item.done", "output_index": 0, "item": whole},
            ENDED,
        ),
        wire({"type": "response.completed", "response": answered(whole)}),
    ):
        (part,) = ev.assemble(read(told)).choices[0].parts
        assert isinstance(part, ir.Text) and part.text == "Hello"


def test_padding_and_keepalives_say_nothing() -> None:
    delta = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "m",
        "delta": "Hi",
    }
    plain = wire(BEGUN, added(0, spoken("", content=[])), delta, ENDED)
    padded = wire(
        BEGUN, {"type": "keepalive"}, added(0, spoken("", content=[])), {**delta, "obfuscation": "xyz"}, ENDED
    )
    assert read(plain) == read(padded)
    assert any(plain.startswith(mark) is False for mark in DIALECT.keepalives)
    assert b"event: keepalive\ndata: {}\n\n".startswith(DIALECT.keepalives)


def test_a_stream_that_was_cut_short_says_so() -> None:
    last = read(wire(BEGUN, added(0, spoken("", content=[]))))[-1]
    assert isinstance(last, ev.Failed) and "truncated" in last.fault.message


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"code": "insufficient_quota", "message": "No money"}},
        {"type": "error", "code": "insufficient_quota", "message": "No money", "param": None},
        {"type": "response.failed", "response": answered(status="failed", error={"code": "insufficient_quota", "message": "No money"})},
    ],
)  # fmt: skip
def test_errors_in_a_stream_in_each_of_their_shapes(event: dict[str, Any]) -> None:
    last = read(wire(BEGUN, event))[-1]
    assert isinstance(last, ev.Failed)
    assert (last.fault.kind, last.fault.message) == ("billing", "No money")
    watch = DIALECT.watch(True)
    watch.feed(wire(BEGUN, event))
    assert watch.fault is not None and watch.fault.kind == "billing" and not watch.began


def test_every_event_is_numbered_and_the_whole_answer_told_at_the_end() -> None:
    parts = (
        ir.Thinking(text="Hm.", signature="sig"),
        ir.Text(text="Looking."),
        ir.ToolCall(id="call_1", name="look", arguments='{"a":1}'),
    )
    reply = ir.Reply(id="r", model="m", choices=(ir.Choice(parts=parts, stop=ir.Stop(reason="tool")),))
    frames = DIALECT.stream_writer(Report(), True).write(ev.disassemble(reply)).split(b"\n\n")[:-1]
    told = [json.loads(frame.partition(b"data: ")[2]) for frame in frames]
    assert [e["sequence_number"] for e in told] == list(range(len(told)))
    assert [e["type"] for e in told if e["type"].startswith("response.output_item")] == [
        "response.output_item.added", "response.output_item.done",
    ] * 3  # fmt: skip
    whole = json.loads(DIALECT.write_reply(reply, Report()))
    assert told[-1]["response"]["output"] == whole["output"]


# --- bytes that are moved ------------------------------------------------------------------------


def test_a_body_is_readdressed_and_nothing_else_of_it_changes() -> None:
    body = b'{ "input": "say \\"model\\"", "model" : "a/b", "metadata": {"model": "x"} }'
    moved = DIALECT.readdress(body, DIALECT.peek(body), "b", False)
    assert json.loads(moved) == {**json.loads(body), "model": "b"}
    short = b'{"model":"a/b","input":"hi"}'
    assert DIALECT.readdress(short, DIALECT.peek(short), "b", False) == b'{"model":"b","input":"hi"}'


def test_a_long_body_is_readdressed_too() -> None:
    body = json.dumps(
        {"input": 'the "model" ' * 1_000 + "and nothing else of it", "model": "a/b", "store": False}
    ).encode()
    moved = DIALECT.readdress(body, DIALECT.peek(body), "b", False)
    assert moved == body.replace(b'"a/b"', b'"b"')


def test_a_watch_passes_every_byte_and_knows_the_usage() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    delta = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "m",
        "delta": "Hi",
    }
    data = wire(
        BEGUN, added(0, spoken("", content=[])), delta,
        {"type": "response.completed", "response": answered(spoken('"response.failed"'), usage=usage)},
    )  # fmt: skip
    for size in (1, 7, len(data)):
        watch = DIALECT.watch(True)
        passed = b"".join(watch.feed(data[i : i + size]) for i in range(0, len(data), size)) + watch.end()
        assert passed == data and watch.done and watch.began and watch.fault is None
        assert watch.usage is not None and watch.usage.output_tokens == 2


def test_a_watch_sees_a_stream_that_was_cut_short() -> None:
    watch = DIALECT.watch(True)
    watch.feed(wire(BEGUN))
    watch.end()
    assert watch.fault is not None and not watch.done
