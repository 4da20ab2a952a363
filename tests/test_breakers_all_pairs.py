"""The known breakers of translators, each between every two dialects.

A conversation is written in the source dialect, translated, and read as the target would. What breaks other translators
is looked at by itself, under its name: it has come through, or a loss says so. The bodies themselves, word for word,
are in `test_breakers_across` and `test_converse_across`.
"""

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from fungible import ir
from fungible.dialects import DIALECTS
from fungible.events import Failed, assemble, disassemble
from fungible.faults import Fault
from fungible.losses import Loss, Report
from fungible.translate import translate

from .sdk_types import complaints
from .silence import in_camel_case
from .wires import PDF, PNG

NAMES = sorted(DIALECTS)
pairs = pytest.mark.parametrize(("source", "target"), [(a, b) for a in NAMES for b in NAMES if a != b])

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DEFS = {
    "type": "object",
    "properties": {"who": {"$ref": "#/$defs/Person"}},
    "required": ["who"],
    "additionalProperties": False,
    "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}
TOOLS = (ir.Tool(name="get_weather", parameters=CITY), ir.Tool(name="get_time", parameters=CITY))


def says(role: Any, *parts: ir.Part) -> ir.Message:
    return ir.Message(role=role, parts=parts)


def text(words: str, **more: Any) -> ir.Text:
    return ir.Text(text=words, **more)


def call(id_: str, name: str, arguments: str = '{"city":"Oslo"}') -> ir.ToolCall:
    return ir.ToolCall(id=id_, name=name, arguments=arguments)


def result(id_: str, *parts: ir.Part) -> ir.Message:
    return says("tool", ir.ToolResult(call_id=id_, parts=parts))


ASK = says("user", text("What is the weather, and what is the time?"))
CALLED = says("assistant", call("call_1", "get_weather"), call("call_2", "get_time"))


def request(*messages: ir.Message, **more: Any) -> ir.Request:
    return ir.Request(**({"model": "m", "max_output_tokens": 64, "messages": messages} | more))


class Crossed(NamedTuple):
    """`before`: as the source's reader has it; `after`: as the target's has what it was sent."""

    before: Any
    after: Any
    losses: tuple[Loss, ...]

    def told(self, *whys: str) -> bool:
        return any(loss.why in whys for loss in self.losses)


def crossed(source: str, target: str, asked: ir.Request) -> Crossed:
    body = json.loads(DIALECTS[source].write_request(asked, Report(), frozenset()))
    addressed = None if DIALECTS[source].locate is None else "m"  # whose bodies name no model
    done = translate(body, source=source, target=target, model=addressed)
    assert not complaints(target, "request", named(done.body, target)), done.body
    read = DIALECTS[source].read_request, DIALECTS[target].read_request
    return Crossed(read[0](json.dumps(body).encode()), read[1](json.dumps(done.body).encode()), done.losses)


def named(body: Any, target: str) -> Any:
    return body if DIALECTS[target].locate is None else {k: v for k, v in body.items() if k != "model"}


def parts(asked: ir.Request, kind: Any) -> list[Any]:
    return [part for message in asked.messages for part in message.parts if isinstance(part, kind)]


def words(asked: ir.Request) -> str:
    return " ".join(part.text for part in parts(asked, ir.Text))


def answers(asked: ir.Request) -> list[tuple[str, str]]:
    """Which tool said what, in order."""
    names = {called.id: called.name for called in parts(asked, ir.ToolCall)}
    told = parts(asked, ir.ToolResult)
    return [(names[r.call_id], "".join(p.text for p in r.parts if isinstance(p, ir.Text))) for r in told]


# --- requests ----------------------------------------------------------------------------------------


@pairs
def test_parallel_calls_answered_out_of_order(source: str, target: str) -> None:
    history = ASK, CALLED, result("call_2", text("noon")), result("call_1", text("sunny"))
    found = crossed(source, target, request(*history, tools=TOOLS))
    assert (
        sorted(answers(found.after))
        == sorted(answers(found.before))
        == [("get_time", "noon"), ("get_weather", "sunny")]
    )


@pairs
def test_tool_history_without_tools(source: str, target: str) -> None:
    found = crossed(
        source, target, request(ASK, CALLED, result("call_1", text("sunny")), result("call_2", text("noon")))
    )
    assert answers(found.after) == answers(found.before)


@pairs
@pytest.mark.parametrize("arguments", ["{}", ""])
def test_empty_arguments(source: str, target: str, arguments: str) -> None:
    called = says("assistant", call("call_1", "get_time", arguments))
    found = crossed(source, target, request(ASK, called, result("call_1", text("noon")), tools=TOOLS))
    (kept,) = parts(found.after, ir.ToolCall)
    assert json.loads(kept.arguments or "{}") == {} and (kept.name, len(answers(found.after))) == (
        "get_time",
        1,
    )


@pairs
def test_empty_text_and_a_turn_of_nothing(source: str, target: str) -> None:
    found = crossed(source, target, request(ASK, says("assistant", text("")), says("user", text("Go on"))))
    assert words(found.after).split() == words(found.before).split()


@pairs
def test_text_beside_a_call(source: str, target: str) -> None:
    beside = says("assistant", text("Looking."), call("call_1", "get_weather"))
    found = crossed(source, target, request(ASK, beside, result("call_1", text("sunny")), tools=TOOLS))
    assert ("Looking." in words(found.after)) is ("Looking." in words(found.before))
    assert answers(found.after) == [("get_weather", "sunny")]


@pairs
def test_thinking_through_a_tool_turn(source: str, target: str) -> None:
    thought = says("assistant", ir.Thinking(text="Hm.", signature="c2ln"), call("call_1", "get_weather"))
    found = crossed(source, target, request(ASK, thought, result("call_1", text("sunny")), tools=TOOLS))
    seals = [
        [p.signature for p in parts(asked, ir.Thinking) if p.signature]
        for asked in (found.before, found.after)
    ]
    assert seals[0] == seals[1] or found.told("thinking", "thinking_signature")
    kept = [
        "Hm." in "".join(p.text for p in parts(asked, ir.Thinking)) for asked in (found.before, found.after)
    ]
    assert kept[0] == kept[1] or found.told("thinking")


@pairs
def test_cache_marks_at_every_level(source: str, target: str) -> None:
    mark = ir.Cache()
    marked = request(
        says("system", text("Be brief.", cache=mark)),
        says("user", text("What is the weather?", cache=mark)),
        tools=(msgspec.structs.replace(TOOLS[0], cache=mark),),
    )
    found = crossed(source, target, marked)
    before, after = (
        len([p for p in parts(asked, ir.Text) if p.cache]) + len([t for t in asked.tools if t.cache])
        for asked in (found.before, found.after)
    )
    assert after == before or found.told("cache_mark")


@pairs
def test_an_image_and_a_document_inside_a_result(source: str, target: str) -> None:
    seen = ir.Image(source=ir.Source(data=PNG, media_type="image/png"))
    read = ir.Document(source=ir.Source(data=PDF, media_type="application/pdf"), name="report")
    called = says("assistant", call("call_1", "get_weather"))
    found = crossed(
        source, target, request(ASK, called, result("call_1", text("see"), seen, read), tools=TOOLS)
    )
    for data, why in ((PNG, "image"), (PDF, "document")):
        held = [data in msgspec.json.encode(asked).decode() for asked in (found.before, found.after)]
        assert held[0] == held[1] or found.told(why, "tool_result_media"), found.losses


@pairs
def test_a_failed_tool(source: str, target: str) -> None:
    failed = says("tool", ir.ToolResult(call_id="call_1", parts=(text("no such city"),), is_error=True))
    found = crossed(
        source, target, request(ASK, says("assistant", call("call_1", "get_weather")), failed, tools=TOOLS)
    )
    assert "no such city" in answers(found.after)[0][1]
    marks = [parts(asked, ir.ToolResult)[0].is_error for asked in (found.before, found.after)]
    assert marks[0] == marks[1] or found.told("tool_result_error")


@pairs
def test_a_schema_of_references(source: str, target: str) -> None:
    form = ir.Output(mode="json_schema", name="who", schema=DEFS, strict=True)
    found = crossed(source, target, request(ASK, output=form))
    if found.before.output is not None and found.before.output.schema is not None:
        kept = found.after.output
        assert (kept is not None and kept.schema == found.before.output.schema) or found.told("schema")


@pairs
def test_a_tool_of_references(source: str, target: str) -> None:
    found = crossed(source, target, request(ASK, tools=(ir.Tool(name="f", parameters=DEFS, strict=True),)))
    assert found.after.tools[0].parameters == found.before.tools[0].parameters == DEFS


@pairs
def test_a_json_object_asked_for(source: str, target: str) -> None:
    found = crossed(source, target, request(ASK, output=ir.Output(mode="json_object")))
    if found.before.output is not None:
        kept = found.after.output
        assert (kept is not None and kept.mode == found.before.output.mode) or found.told("schema")


@pairs
def test_system_and_developer_anywhere(source: str, target: str) -> None:
    history = says("system", text("One.")), ASK, says("developer", text("Two.")), says("user", text("Three."))
    found = crossed(source, target, request(*history))
    said = words(found.after)
    assert all(word in said for word in words(found.before).split())
    order = [[m.role for m in asked.messages] for asked in (found.before, found.after)]
    assert order[0] == order[1] or found.told("role", "message_order", "part_order")


@pairs
def test_an_unknown_field(source: str, target: str) -> None:
    body = json.loads(DIALECTS[source].write_request(request(ASK), Report(), frozenset()))
    done = translate(body | {"hologram": {"on": True}}, source=source, target=target)
    assert ("hologram", "dropped") in {(in_camel_case(loss.path), loss.kind) for loss in done.losses}
    assert "hologram" not in json.dumps(done.body)


# --- answers -----------------------------------------------------------------------------------------

REASONS: list[Any] = [
    "end",
    "length",
    "context",
    "stop_sequence",
    "tool",
    "refusal",
    "content_filter",
    "pause",
]
USAGE = ir.Usage(input_tokens=100, output_tokens=20, cache_read_tokens=60, reasoning_tokens=5)


def answer(reason: Any = "end", *said: ir.Part) -> ir.Reply:
    held = said or ((call("call_1", "get_weather"),) if reason == "tool" else (text("Hello"),))
    return ir.Reply(
        id="r-1", model="m", choices=(ir.Choice(parts=held, stop=ir.Stop(reason=reason)),), usage=USAGE
    )


def replied(source: str, target: str, reply: ir.Reply) -> Crossed:
    body = json.loads(DIALECTS[source].write_reply(reply, Report()))
    done = translate(body, source=source, target=target, kind="response")
    assert not complaints(target, "response", done.body), done.body
    read = DIALECTS[source].read_reply, DIALECTS[target].read_reply
    return Crossed(read[0](json.dumps(body).encode()), read[1](json.dumps(done.body).encode()), done.losses)


@pairs
@pytest.mark.parametrize("reason", REASONS)
def test_every_stop_reason(source: str, target: str, reason: Any) -> None:
    found = replied(source, target, answer(reason))
    before, after = (reply.choices[0].stop.reason for reply in (found.before, found.after))
    assert after == before or found.told("stop"), (before, after)


@pairs
def test_arguments_cut_short(source: str, target: str) -> None:
    cut = '{"city": "Os'
    found = replied(source, target, answer("length", call("call_1", "get_weather", cut)))
    (kept,) = [p for p in found.after.choices[0].parts if isinstance(p, ir.ToolCall)]
    assert "Os" in kept.arguments and found.after.choices[0].stop.reason in ("length", "tool")


@pairs
def test_usage_is_a_total_everywhere(source: str, target: str) -> None:
    found = replied(source, target, answer())
    before, after = found.before.usage, found.after.usage
    assert (
        (after.input_tokens, after.output_tokens) == (before.input_tokens, before.output_tokens) == (100, 20)
    )


@pairs
def test_a_stream_is_its_plain_answer(source: str, target: str) -> None:
    reply = answer("tool", text("Looking."), call("call_1", "get_weather"))
    wire = DIALECTS[source].stream_writer(Report(), True).write(disassemble(reply))
    report = Report(DIALECTS[source].names)
    reader = DIALECTS[source].stream_reader()
    told = DIALECTS[target].stream_writer(report, True).write(reader.feed(wire) + reader.end())
    back = DIALECTS[target].stream_reader()
    whole = assemble(back.feed(told) + back.end()).choices[0]
    assert "".join(p.text for p in whole.parts if isinstance(p, ir.Text)) == "Looking."
    assert [(p.name, json.loads(p.arguments)) for p in whole.parts if isinstance(p, ir.ToolCall)] == [
        ("get_weather", {"city": "Oslo"})
    ]
    assert whole.stop is not None and whole.stop.reason == "tool"


@pairs
def test_a_stream_that_breaks_off_is_no_end(source: str, target: str) -> None:
    wire = DIALECTS[source].stream_writer(Report(), True).write(disassemble(answer())[:3])
    reader = DIALECTS[source].stream_reader()
    told = DIALECTS[target].stream_writer(Report(), True).write(reader.feed(wire) + reader.end())
    back = DIALECTS[target].stream_reader()
    assert isinstance((back.feed(told) + back.end())[-1], Failed)


KINDS = (
    "bad_request",
    "authentication",
    "permission",
    "not_found",
    "rate_limited",
    "provider_error",
    "overloaded",
)
NEAR: dict[str, tuple[str, ...]] = {
    "authentication": ("permission",),  # AWS has one word for both
    "overloaded": ("unavailable",),
    "unavailable": ("overloaded",),  # two words for one thing, told apart by a status that few have
    "provider_error": ("internal",),
}


@pairs
@pytest.mark.parametrize("kind", KINDS)
def test_errors_keep_their_kind_and_words(source: str, target: str, kind: str) -> None:
    status, body = DIALECTS[source].write_error(Fault(kind, "It was no good."), "call-1")
    before = DIALECTS[source].read_error(status, {}, body)
    done = translate({"status": status, "body": json.loads(body)}, source=source, target=target, kind="error")
    after = DIALECTS[target].read_error(done.body["status"], {}, json.dumps(done.body["body"]).encode())
    assert "It was no good." in after.message
    assert after.kind == before.kind or after.kind in NEAR.get(before.kind, ()), (before.kind, after.kind)
    if target != "bedrock.converse":  # which tells some of its own failures by a 4xx
        assert (done.body["status"] >= 500) is (kind in ("provider_error", "overloaded")), done.body
