"""Replies: the wire's message read into a `Reply`, and a `Reply` written as a message.

Sources: API reference (Messages, Handling stop reasons), the SDK's Message and Usage. What the wire says
beside the message (container, context_management, stop_details, a router's own fields) rides in the
extras of the one choice, where a stream tells it too, at its end.
"""

import msgspec

from ...faults import Fault
from ...ir import Choice, Extras, Json, Reply, Stop, Usage
from ...losses import Kind, Report
from ..checked import BROKEN, may, need, parse_answer
from .blocks import Blocks
from .errors import fault_of
from .names import NAME
from .parts import keep_inputs, read_content
from .shape import others
from .usage import read_usage_object, write_usage_object

REASONS: dict[str, str] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}
NEAREST_REASON: dict[str, str] = {"content_filter": "refusal", "other": "end_turn"}
"""Clients know the words above and no other."""

TIERS = frozenset({"standard", "priority", "batch"})
NEAREST_TIER: dict[str, str] = {"default": "standard", "on_demand": "standard", "scale": "priority"}

_WORDS = {reason: word for word, reason in REASONS.items()}

_KNOWN = frozenset({"type", "role", "id", "model", "content", "stop_reason", "stop_sequence", "usage"})

encode = msgspec.json.encode


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, not a message, or the fault of an error inside a 200."""
    wire = parse_answer(body)
    if "error" in wire or wire.get("type") == "error":
        refuse_error(wire)
    try:
        content, usage = need(wire, "content", list, ""), may(wire, "usage", dict, "")
        if b'"tool_use"' in body:
            keep_inputs(body, [content])
        known = wire.keys() <= _KNOWN
        parts, stop = read_content(content, "content"), read_stop(wire, "")
        return Reply(
            id=need(wire, "id", str, ""),
            model=need(wire, "model", str, ""),
            choices=(Choice(parts=parts, stop=stop, extras=None if known else late(others(wire, _KNOWN))),),
            usage=read_usage_object(usage) if usage is not None else None,
            service_tier=may(usage, "service_tier", str, "usage") if usage else None,
        )
    except Fault as fault:
        raise unlike(fault) from None


def refuse_error(wire: dict[str, Json]) -> None:
    """Raises the fault of an error that came with a good status."""
    if wire.get("type") == "error" or (wire.get("error") is not None and "content" not in wire):
        raise fault_of(wire)


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault(
        "provider_answer", f"The provider's answer is no Messages reply: {fault.message}", path=fault.path
    )


def late(fields: dict[str, Json]) -> Extras | None:
    return Extras(dialect=NAME, fields=fields) if fields else None


def read_stop(node: dict[str, Json], at: str) -> Stop | None:
    """From a message, or from the delta that ends a stream."""
    word = may(node, "stop_reason", str, at)
    if word is None:
        return None
    reason = REASONS.get(word, "other")
    sequence = may(node, "stop_sequence", str, at)
    raw = word if reason == "other" else None
    return Stop(reason=reason, sequence=sequence, raw=raw, at="stop_reason")  # type: ignore[arg-type]


_ABSENT = msgspec.Raw(b"")


class _UsageOnly(msgspec.Struct, gc=False):
    error: msgspec.Raw = _ABSENT
    content: msgspec.Raw = _ABSENT
    usage: dict[str, Json] | None = None


_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def read_usage(body: bytes) -> Usage | None:
    """Raises like `read_reply`, but looks at nothing else of the message."""
    try:
        seen = _usage_only(body)
    except BROKEN:
        parse_answer(body)
        raise Fault("provider_answer", "The provider's answer is no Messages reply.", path="usage") from None
    if seen.content == _ABSENT or seen.error != _ABSENT:
        refuse_error(parse_answer(body))
    if seen.usage is None:
        return None
    try:
        return read_usage_object(seen.usage)
    except Fault as fault:
        raise unlike(fault) from None


# --- write ---------------------------------------------------------------------------------------


def write_reply(reply: Reply, report: Report) -> bytes:
    """One answer. Never raises; what the message cannot carry is told to `report`."""
    choice = reply.choices[0] if reply.choices else Choice()
    for other in reply.choices[1:]:
        report.lose(other, None, "dropped", "choices")
    word, sequence = stop_words(choice.stop, report)
    wire: dict[str, Json] = {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": Blocks(report, asking=False).all(choice.parts),
        "stop_reason": word,
        "stop_sequence": sequence,
        "usage": usage_of(reply, report),
    }
    wire.update(report.extras(choice, NAME))
    if choice.logprobs is not None:
        report.lose(choice, "logprobs", "dropped", "logprobs")
    if reply.created is not None:
        report.lose(reply, "created", "dropped", "unknown_field")
    if reply.extras is not None:
        lose_fields(reply.extras, report)
    return encode(wire)


def lose_fields(extras: Extras, report: Report, prefix: str = "") -> None:
    """Fields of a reply that have no place here, whoever's they are: ours stand in the choice."""
    for name in extras.fields:
        lose_at(f"{prefix}{name}", report)


def lose_at(path: str, report: Report, why: str = "unknown_field") -> None:
    report.lose(Choice(at=path), None, "dropped", why)


def usage_of(reply: Reply, report: Report) -> dict[str, Json]:
    """Clients count on a usage, so there is always one."""
    if reply.usage is None:
        report.lose(reply, "usage", "changed", "usage_detail")
        wire: dict[str, Json] = {"input_tokens": 0, "output_tokens": 0}
    else:
        wire = write_usage_object(reply.usage, report)
    if (tier := tier_of(reply.service_tier, report)) is not None:
        wire["service_tier"] = tier
    return wire


def tier_of(tier: str | None, report: Report) -> str | None:
    if tier is None or tier in TIERS:
        return tier
    nearest = NEAREST_TIER.get(tier)
    kind: Kind = "approximated" if nearest else "dropped"
    report.lose(Reply(id="", model="", choices=()), "service_tier", kind, "service_tier")
    return nearest


def stop_words(stop: Stop | None, report: Report) -> tuple[str | None, str | None]:
    """(stop_reason, stop_sequence)"""
    if stop is None:
        return None, None
    if stop.extras is not None:
        report.extras(stop, NAME)
    word = _WORDS.get(stop.reason)
    if word is not None:
        if stop.raw is not None:
            report.lose(stop, "raw", "dropped", "stop")
        return word, stop.sequence
    report.lose(stop, None, "approximated", "stop")
    return NEAREST_REASON[stop.reason], stop.sequence
