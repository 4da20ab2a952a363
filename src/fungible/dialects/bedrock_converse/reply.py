"""Replies: the wire's answer read into a `Reply`, and a `Reply` written as an answer.

Sources: the API reference (Converse), botocore's service model. An answer says neither an id nor its model:
who asked knows both. What it says beside the message (metrics, trace, service tier, the model's own fields)
rides in the extras of the one choice, where a stream tells it too, at its end.
"""

import msgspec

from ...faults import Fault
from ...ir import Choice, Extras, Json, Reply, Stop, Usage
from ...losses import Kind, Report
from ..checked import BROKEN, may, need, others, parse_answer
from .blocks import Blocks
from .errors import bare, fault_of
from .names import NAME
from .parts import keep_inputs, read_content
from .usage import read_usage_object, write_usage_object

REASONS: dict[str, str] = {
    "end_turn": "end",
    "tool_use": "tool",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "model_context_window_exceeded": "context",
}
OWN_REASONS = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Words that no other dialect has; they ride in `Stop.raw`, as `guardrail_intervened` does."""

NEAREST_REASON: dict[str, str] = {"refusal": "content_filtered", "pause": "end_turn", "other": "end_turn"}

_WORDS = {reason: word for word, reason in REASONS.items() if word != "guardrail_intervened"}
_GUARDED = "guardrail_intervened"

_KNOWN = frozenset({"output", "stopReason", "usage"})
_MESSAGE = frozenset({"role", "content"})

encode = msgspec.json.encode


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, not an answer, or the fault of an error inside a 200."""
    wire = parse_answer(body)
    refuse_error(wire)
    try:
        message = need(need(wire, "output", dict, ""), "message", dict, "output")
        content = may(message, "content", list, "output.message")
        if b'"toolUse"' in body:
            keep_inputs(body, [content])
        fields = others(wire, _KNOWN)
        fields |= {f"output.message.{name}": value for name, value in others(message, _MESSAGE).items()}
        usage = may(wire, "usage", dict, "")
        choice = Choice(
            parts=read_content(content, "output.message.content"),
            stop=read_stop(wire, ""),
            extras=late(fields),
        )
        return Reply(
            id="",
            model="",
            choices=(choice,),
            usage=read_usage_object(usage) if usage is not None else None,
        )
    except Fault as fault:
        raise unlike(fault) from None


def refuse_error(wire: dict[str, Json]) -> None:
    """Raises the fault of an error that came with a good status."""
    if "output" not in wire and ("message" in wire or "__type" in wire):
        word = wire.get("__type") or wire.get("code")
        raise fault_of(bare(word) if type(word) is str else "", wire)


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault(
        "provider_answer", f"The provider's answer is no Converse reply: {fault.message}", path=fault.path
    )


def late(fields: dict[str, Json]) -> Extras | None:
    return Extras(dialect=NAME, fields=fields) if fields else None


def read_stop(node: dict[str, Json], at: str) -> Stop | None:
    """From an answer, or from the event that ends a stream."""
    word = may(node, "stopReason", str, at)
    if word is None:
        return None
    reason = REASONS.get(word, "other")
    raw = word if reason == "other" or word == _GUARDED else None
    return Stop(reason=reason, raw=raw, at="stopReason")  # type: ignore[arg-type]


_ABSENT = msgspec.Raw(b"")


class _UsageOnly(msgspec.Struct, gc=False):
    output: msgspec.Raw = _ABSENT
    usage: dict[str, Json] | None = None


_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def read_usage(body: bytes) -> Usage | None:
    """Raises like `read_reply`, but looks at nothing else of the answer."""
    try:
        seen = _usage_only(body)
    except BROKEN:
        parse_answer(body)
        raise Fault("provider_answer", "The provider's answer is no Converse reply.", path="usage") from None
    if seen.output == _ABSENT:
        refuse_error(parse_answer(body))
    if seen.usage is None:
        return None
    try:
        return read_usage_object(seen.usage)
    except Fault as fault:
        raise unlike(fault) from None


# --- write ---------------------------------------------------------------------------------------

_DOTTED = "output.message."


def write_reply(reply: Reply, report: Report) -> bytes:
    """One answer. Never raises; what the wire cannot carry is told to `report`."""
    choice = reply.choices[0] if reply.choices else Choice()
    for other in reply.choices[1:]:
        report.lose(other, None, "dropped", "choices")
    message: dict[str, Json] = {
        "role": "assistant",
        "content": Blocks(report, asking=False).all(choice.parts),
    }
    wire: dict[str, Json] = {"output": {"message": message}, "stopReason": stop_word(choice.stop, report)}
    wire["usage"] = usage_of(reply.usage, report)
    for name, value in report.extras(choice, NAME).items():
        if name.startswith(_DOTTED):
            message[name.removeprefix(_DOTTED)] = value
        else:
            wire[name] = value
    if choice.logprobs is not None:
        report.lose(choice, "logprobs", "dropped", "logprobs")
    lose_names(reply, report)
    if reply.extras is not None:
        lose_fields(reply.extras, report)
    return encode(wire)


def lose_names(reply: Reply, report: Report) -> None:
    """What an answer on this wire does not say."""
    for field in ("id", "model", "created"):
        if getattr(reply, field) not in (None, ""):
            report.lose(reply, field, "dropped", "unknown_field")
    if reply.service_tier is not None:
        report.lose(reply, "service_tier", "dropped", "service_tier")


def lose_fields(extras: Extras, report: Report, prefix: str = "") -> None:
    """Fields of a reply that have no place here, whoever's they are: ours stand in the choice."""
    for name in extras.fields:
        lose_at(f"{prefix}{name}", report)


def lose_at(path: str, report: Report, why: str = "unknown_field", kind: Kind = "dropped") -> None:
    report.lose(Choice(at=path), None, kind, why)


def usage_of(usage: Usage | None, report: Report) -> dict[str, Json]:
    """Clients count on a usage, so there is always one."""
    if usage is None:
        lose_at(report.names.get("usage", "usage"), report, "usage_detail", "changed")
        return {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    return write_usage_object(usage, report)


def stop_word(stop: Stop | None, report: Report) -> str:
    """An answer on this wire always says why it ended."""
    if stop is None:
        lose_at(report.names.get("Stop.reason", "stop"), report, "stop", "changed")
        return "end_turn"
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    if stop.extras is not None:
        report.extras(stop, NAME)
    if stop.raw == _GUARDED or (stop.reason == "other" and stop.raw in OWN_REASONS):
        return stop.raw
    word = _WORDS.get(stop.reason)
    if word is None:
        report.lose(stop, None, "approximated", "stop")
        return NEAREST_REASON[stop.reason]
    if stop.raw is not None:
        report.lose(stop, "raw", "dropped", "stop")
    return word
