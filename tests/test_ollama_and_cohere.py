"""What breaks between these two wires and the others, each a named test."""

import json
from typing import Any

import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.frames.ndjson import LineReader
from fungible.losses import Report
from fungible.translate import translate

OLLAMA, COHERE, OPENAI, ANTHROPIC = "ollama.chat", "cohere.chat", "openai.chat", "anthropic.messages"


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "llama3.2:3b", "messages": list(messages), "stream": False, **more}


def user(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def called(*names: str, **more: Any) -> dict[str, Any]:
    calls = [{"function": {"name": name, "arguments": {"n": i}}} for i, name in enumerate(names)]
    return {"role": "assistant", "content": "", "tool_calls": calls, **more}


def result(name: str | None, content: str) -> dict[str, Any]:
    named = {} if name is None else {"tool_name": name}
    return {"role": "tool", "content": content, **named}


def read(name: str, *pieces: bytes) -> list[ev.StreamEvent]:
    reader = DIALECTS[name].stream_reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


def line(message: dict[str, Any], **more: Any) -> bytes:
    whole = {"model": "m", "created_at": "2026-01-02T03:04:05Z", "message": message, "done": False, **more}
    return json.dumps(whole).encode() + b"\n"


# --- frames --------------------------------------------------------------------------------------


def test_lines_cut_anywhere() -> None:
    wire = b'{"a":1}\r\n\n{"b":"\xc3\xa9"}\n{"c":3}'
    for place in range(len(wire) + 1):
        reader = LineReader()
        lines = reader.feed(wire[:place]) + reader.feed(wire[place:]) + reader.end()
        assert [json.loads(text) for text in lines] == [{"a": 1}, {"b": "é"}, {"c": 3}]


def test_characters_that_end_a_line_for_the_sdk_are_escaped() -> None:
    events: list[ev.StreamEvent] = [ev.Begin("i", "m"), ev.PartBegin(ir.Text(text=""))]
    events += [ev.TextDelta("a\u2028b\u2029c\x85d"), ev.PartEnd(), ev.End(ir.Stop(reason="end")), ev.Done()]
    wire = DIALECTS[OLLAMA].stream_writer(Report(), True).write(events).decode()
    assert len(wire.splitlines()) == wire.count("\n")
    assert json.loads(wire.splitlines()[0])["message"]["content"] == "a\u2028b\u2029c\x85d"


def test_arguments_written_over_several_lines_stay_on_one() -> None:
    call = ir.ToolCall(id="c", name="f", arguments='{\n  "a": 1\n}')
    events: list[ev.StreamEvent] = [ev.Begin("i", "m"), ev.PartBegin(call), ev.PartEnd(), ev.Done()]
    wire = DIALECTS[OLLAMA].stream_writer(Report(), True).write(events).decode()
    assert [json.loads(text)["done"] for text in wire.splitlines()] == [False, True]


# --- Ollama: calls without ids -------------------------------------------------------------------


def test_results_find_their_calls_by_tool_and_order() -> None:
    body = asked(user("q"), called("f", "g", "f"), result("g", "G"), result("f", "F0"), result("f", "F2"))
    made = translate(body, source=OLLAMA, target=OPENAI).body["messages"]
    assert [call["id"] for call in made[1]["tool_calls"]] == ["call_0", "call_1", "call_2"]
    assert [(m["tool_call_id"], m["content"]) for m in made[2:]] == [
        ("call_1", "G"), ("call_0", "F0"), ("call_2", "F2"),
    ]  # fmt: skip


def test_ids_are_counted_through_the_conversation_and_go_back_as_nothing() -> None:
    body = asked(user("q"), called("f"), result("f", "1"), called("f"), result("f", "2"))
    there = translate(body, source=OLLAMA, target=ANTHROPIC)
    home = translate(there.body, source=ANTHROPIC, target=OLLAMA).body
    assert home["messages"] == body["messages"]


def test_a_result_that_names_no_tool_is_the_first_call_s() -> None:
    made = translate(asked(called("f", "g"), result(None, "F")), source=OLLAMA, target=OPENAI).body
    assert made["messages"][1]["tool_call_id"] == "call_0"


def test_a_result_of_a_tool_that_nobody_called_is_no_other_call_s() -> None:
    made = translate(asked(called("f"), result("h", "H")), source=OLLAMA, target=OPENAI).body
    assert made["messages"][1]["tool_call_id"] == "h"


def test_ids_that_are_given_are_kept() -> None:
    calls = [{"id": "call_x", "function": {"name": "f", "arguments": {}}}]
    said = {"role": "assistant", "content": "", "tool_calls": calls}
    back = {"role": "tool", "content": "1", "tool_call_id": "call_x", "tool_name": "f"}
    made = translate(asked(said, back), source=OLLAMA, target=OPENAI).body["messages"]
    assert made[1]["tool_call_id"] == made[0]["tool_calls"][0]["id"] == "call_x"


def test_an_old_answer_s_call_gets_an_id_of_its_own() -> None:
    whole = {"model": "m", "created_at": "2024-09-16T02:41:57.1Z", "message": called("f"), "done": True}
    ids = []
    for stamp in ("2024-09-16T02:41:57.1Z", "2024-09-16T02:41:57.1Z", "2025-01-01T00:00:00Z"):
        reply = DIALECTS[OLLAMA].read_reply(json.dumps({**whole, "created_at": stamp}).encode())
        call = reply.choices[0].parts[0]
        assert isinstance(call, ir.ToolCall)
        ids.append(call.id)
    assert ids[0] == ids[1] != ids[2]


def test_arguments_are_an_object_and_their_text_is_kept() -> None:
    wire = b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f",'
    wire += b'"arguments":{"big": 12345678901234567890123, "x": 1.0}}}]}]}'
    call = DIALECTS[OLLAMA].read_request(wire).messages[0].parts[0]
    assert isinstance(call, ir.ToolCall) and call.arguments == '{"big": 12345678901234567890123, "x": 1.0}'
    body = asked({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})
    with pytest.raises(Fault, match=r"messages\[0\]\.tool_calls\[0\]\.function\.arguments"):
        translate(body, source=OLLAMA, target=OPENAI)


def test_a_call_that_ends_in_stop_waits_for_results() -> None:
    whole = {"model": "m", "message": called("f"), "done": True, "done_reason": "stop"}
    made = translate(whole, source=OLLAMA, target=OPENAI, kind="response").body
    assert made["choices"][0]["finish_reason"] == "tool_calls"


# --- Ollama: the rest ----------------------------------------------------------------------------


def test_streaming_is_the_default() -> None:
    peek = DIALECTS[OLLAMA].peek
    assert peek(b'{"model":"a:1"}').stream and not peek(b'{"model":"a:1","stream":false}').stream
    assert DIALECTS[OLLAMA].read_request(b'{"model":"a","messages":[]}').stream
    report = Report()
    wire = DIALECTS[OLLAMA].write_request(ir.Request(model="a"), report, frozenset())
    assert json.loads(wire)["stream"] is False


def test_a_tag_is_part_of_the_name_and_readdressed_whole() -> None:
    body = b'{ "messages": [{"role":"user","content":"\\"model\\": 1"}], "model" : "ollama/llama3.2:3b" }'
    spoken = DIALECTS[OLLAMA]
    moved = spoken.readdress(body, spoken.peek(body), "llama3.2:3b", False)
    assert json.loads(moved) == {**json.loads(body), "model": "llama3.2:3b"}


@pytest.mark.parametrize("limit", [-1, -2])
def test_no_limit_is_no_limit(limit: int) -> None:
    body = asked(user("q"), options={"num_predict": limit})
    done = translate(body, source=OLLAMA, target=OPENAI)
    assert "max_completion_tokens" not in done.body
    assert [loss.path for loss in done.losses] == ["options.num_predict"]
    assert translate(body, source=OLLAMA, target=OLLAMA).body == body


@pytest.mark.parametrize("image", ["data:image/png;base64,iVBORw0KGgo=", "/tmp/a.png", "https://x.example/a"])
def test_an_image_that_is_no_base64_is_refused_with_the_mend(image: str) -> None:
    with pytest.raises(Fault, match="bytes in base64") as caught:
        translate(asked(user("q", images=[image])), source=OLLAMA, target=OPENAI)
    assert caught.value.path == "messages[0].images[0]"


def test_an_error_inside_a_200() -> None:
    told = read(OLLAMA, line({"role": "assistant", "content": "a"}), b'{"error":"model runner is gone"}\n')
    assert isinstance(told[-1], ev.Failed) and told[-1].fault.kind == "provider_error"
    with pytest.raises(Fault, match="is gone"):
        DIALECTS[OLLAMA].read_reply(b'{"error":"the model is gone"}')
    watch = DIALECTS[OLLAMA].watch(True)
    watch.feed(line({"role": "assistant", "content": "a"}) + b'{"error":"model runner is gone"}\n')
    assert watch.began and watch.fault is not None and not watch.done


def test_a_stream_without_its_last_line_is_cut_short() -> None:
    told = read(OLLAMA, line({"role": "assistant", "content": "a"}))
    assert isinstance(told[-1], ev.Failed) and "truncated" in told[-1].fault.message
    watch = DIALECTS[OLLAMA].watch(True)
    watch.feed(line({"role": "assistant", "content": "a"}))
    watch.end()
    assert watch.fault is not None


def test_a_text_that_speaks_of_the_end_is_not_the_end() -> None:
    watch = DIALECTS[OLLAMA].watch(True)
    watch.feed(line({"role": "assistant", "content": '"done":true,"error":1'}))
    assert watch.began and not watch.done and watch.fault is None
    last = line({"role": "assistant", "content": ""}, done=True, done_reason="stop", eval_count=3)
    watch.feed(last[:-1])
    watch.end()
    assert watch.done and watch.usage is not None and watch.usage.output_tokens == 3


def test_a_prompt_that_was_cached_whole_counts_nothing() -> None:
    whole = {"model": "m", "message": {"role": "assistant", "content": "a"}, "done": True, "eval_count": 3}
    made = translate(whole, source=OLLAMA, target=OPENAI, kind="response").body
    assert made["usage"] == {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3}


def test_thinking_levels() -> None:
    for level, effort in (("low", "low"), ("max", "max")):
        done = translate(asked(user("q"), think=level), source=OLLAMA, target=OPENAI)
        assert done.body["reasoning_effort"] == effort and not done.losses
    body = {"model": "m", "messages": [user("q")], "reasoning_effort": "xhigh"}
    done = translate(body, source=OPENAI, target=OLLAMA)
    assert done.body["think"] == "high"
    assert [(loss.path, loss.kind) for loss in done.losses] == [("reasoning_effort", "approximated")]


# --- Cohere --------------------------------------------------------------------------------------


def test_what_is_billed_is_counted_and_the_rest_is_said() -> None:
    usage = {
        "billed_units": {"input_tokens": 8, "output_tokens": 10},
        "tokens": {"input_tokens": 503, "output_tokens": 13},
        "cached_tokens": 448,
    }
    whole = {"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant"}, "usage": usage}
    done = translate(whole, source=COHERE, target=OPENAI, kind="response")
    assert done.body["usage"] == {"prompt_tokens": 8, "completion_tokens": 10, "total_tokens": 18}
    assert [loss.path for loss in done.losses] == ["usage.cached_tokens", "usage.tokens"]


def test_a_plan_is_a_thought_and_comes_back_as_a_plan() -> None:
    calls = [{"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "tool_plan": "I will look.", "tool_calls": calls}
    whole = {"id": "c", "finish_reason": "TOOL_CALL", "message": message}
    there = translate(whole, source=COHERE, target=ANTHROPIC, kind="response").body
    assert [block["type"] for block in there["content"]] == ["thinking", "tool_use"]
    again = translate(whole, source=COHERE, target=COHERE, kind="response")
    assert again.body["message"] == message and not again.losses


def test_an_error_that_ends_a_cohere_stream() -> None:
    start = b'event: message-start\ndata: {"type":"message-start","id":"1"}\n\n'
    end = b'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"bad"}}\n\n'
    told = read(COHERE, start, end)
    assert isinstance(told[-1], ev.Failed) and told[-1].fault.message == "bad"
    watch = DIALECTS[COHERE].watch(True)
    watch.feed(start + end)
    assert watch.fault is not None and not watch.done
    written = DIALECTS[COHERE].write_stream_error(Fault("rate_limited", "slow down"), "")
    told = read(COHERE, start, written)
    assert isinstance(told[-1], ev.Failed) and told[-1].fault.kind == "rate_limited"


def test_a_cohere_stream_with_and_without_its_end_mark() -> None:
    end = b'data: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'
    for wire in (end, end + b"data: [DONE]\n\n"):
        assert isinstance(read(COHERE, wire)[-1], ev.Done)
        watch = DIALECTS[COHERE].watch(True)
        watch.feed(wire)
        watch.end()
        assert watch.done and watch.fault is None


def test_one_tool_that_must_be_called_is_the_only_one_sent() -> None:
    tools = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in "fg"]
    choice = {"type": "function", "function": {"name": "g"}}
    body = {"model": "m", "messages": [user("q")], "tools": tools, "tool_choice": choice}
    done = translate(body, source=OPENAI, target=COHERE)
    assert [tool["function"]["name"] for tool in done.body["tools"]] == ["g"]
    assert done.body["tool_choice"] == "REQUIRED"
    assert {(loss.path, loss.kind) for loss in done.losses} == {
        ("tool_choice", "approximated"), ("tools[0].function", "dropped"),
    }  # fmt: skip
