"""An answer, read and written.

What an answer ended with is told by its status and by what was said: `completed` beside a call means that
the model waits for its result, `completed` beside a refusal that it declined. What the wire says beside the
items (the settings of the request again, times, tools used) rides in the extras of the one choice, where a
stream tells it too, at its end. Of these settings `parallel_tool_calls: true`, `tool_choice: "auto"` and no
tools say what absence says; clients need all three.
"""

import re
from collections.abc import Sequence

import msgspec

from ...faults import Fault
from ...ir import Choice, Extras, Json, Part, Refusal, Reply, Stop, StopReason, Text, ToolCall, Usage
from ...losses import Report
from ..checked import BROKEN, Wire, decode, encode, others, parse_answer
from .asking import service_tier
from .blocks import Items
from .errors import fault_inside
from .items import model_said
from .names import INCOMPLETE, NAME, NEAREST_INCOMPLETE, OURS, OWN_TIERS, is_ours, ours
from .usage import read_usage, usage_of, write_usage

KNOWN = frozenset(
    {"id", "object", "created_at", "model", "output", "usage", "status", "error", "service_tier"}
)
DEFAULTS: Wire = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
_SEEN = KNOWN | DEFAULTS.keys() | {"incomplete_details"}
CUT_OFF = frozenset({"in_progress", "queued"})
"""Statuses of an answer that is not there yet."""
_NOT_IN_IDS = re.compile("[^0-9A-Za-z]+")
_WHY_CUT = "incomplete_details.reason"


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    node = parse_answer(body)
    items = answered(node)
    try:
        parts, odds, late = _parts(items)
        stop, fields = ending(node, parts)
    except Fault as fault:
        raise unlike(fault) from None
    tier = node.get("service_tier")
    tier = tier if type(tier) is str and tier else None
    return Reply(
        id=as_text(node.get("id")),
        model=as_text(node.get("model")),
        choices=(Choice(parts=parts, stop=stop, logprobs=odds, extras=ours({**fields, **late})),),
        usage=usage_of(node.get("usage")),
        created=as_seconds(node.get("created_at")),
        service_tier=tier,
        extras=OURS if tier is not None and tier not in OWN_TIERS else None,
    )


def answered(node: Wire) -> list[Json]:
    """The items of an answer. Raises `Fault` where it is an error, or none at all."""
    fault = fault_inside(node)
    if fault is not None:
        raise fault
    if node.get("status") == "failed":
        raise Fault("provider_error", "The provider's answer failed, and it does not say why.")
    items = node.get("output")
    if type(items) is not list:
        raise Fault("provider_answer", "The provider's answer has no list of output items.", path="output")
    return items


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault("provider_answer", f"The provider's answer is no response: {fault.message}", path=fault.path)


def _parts(items: list[Json]) -> tuple[tuple[Part, ...], Json, Wire]:
    """The parts, the probabilities of the first text, and those of others by their path."""
    parts: list[Part] = []
    odds: Json = None
    late: Wire = {}
    for i, item in enumerate(items):
        told = model_said(item, f"output[{i}]", parts[-1] if parts else None)
        for n, found in told.odds:
            if odds is None and not any(type(p) is Text for p in [*parts, *told.parts[:n]]):
                odds = {"content": found, "refusal": None}
            else:
                late[f"output[{i}].content[{n}].logprobs"] = found
        parts += told.parts
    return tuple(parts), odds, late


def ending(node: Wire, parts: Sequence[Part]) -> tuple[Stop | None, Wire]:
    """Why it ended, and the fields beside. Marked as ours where the word is nobody else's."""
    fields = others(node, _SEEN)
    for name, default in DEFAULTS.items():
        if node.get(name) not in (None, default):
            fields[name] = node[name]
    if node.get("object") not in (None, "response"):
        fields["object"] = node["object"]
    status, details = node.get("status"), node.get("incomplete_details")
    if details is not None:
        fields["incomplete_details"] = details
    if type(status) is str and status in CUT_OFF:
        return None, fields | ({"status": status} if status != "in_progress" else {})
    if status == "incomplete":
        word = details.get("reason") if type(details) is dict else None
        if type(word) is str and details is not None and len(details) == 1:
            del fields["incomplete_details"]
            if word in INCOMPLETE:
                return Stop(reason=INCOMPLETE[word], at=_WHY_CUT), fields
            return Stop(reason="other", raw=word, extras=OURS, at=_WHY_CUT), fields
        return Stop(reason="length", at="status"), {**fields, "status": status}
    if status not in (None, "completed"):
        fields["status"] = status
    return Stop(reason=meaning(parts), at="status"), fields


def meaning(parts: Sequence[Part]) -> StopReason:
    """What `completed` says beside these parts."""
    kinds = set(map(type, parts))
    return "tool" if ToolCall in kinds else "refusal" if Refusal in kinds else "end"


def read_plain_usage(body: bytes) -> Usage | None:
    """The usage alone. Raises as `read_reply` does."""
    try:
        seen = _usage_only(body)
    except BROKEN:
        parse_answer(body)
        raise Fault("provider_answer", "The provider's answer is no response.", path="usage") from None
    if seen.output == _ABSENT or seen.error != _ABSENT or seen.status == "failed":
        answered(parse_answer(body))
    return read_usage(seen.usage) if seen.usage is not None else None


_ABSENT = msgspec.Raw(b"")


class _UsageOnly(msgspec.Struct, gc=False):
    error: msgspec.Raw = _ABSENT
    output: msgspec.Raw = _ABSENT
    status: str | None = None
    usage: Wire | None = None


_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def as_text(value: Json) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def as_seconds(value: Json) -> int | None:
    """Unix seconds; 0 is what servers write that do not know."""
    if type(value) is float and 0 < value < 1e15:
        value = int(value)
    return value if type(value) is int and value else None


# --- written -------------------------------------------------------------------------------------


def made_id(reply_id: str) -> str:
    """What the ids of items end with that have none: the answer's own id, as far as an id can hold it."""
    return _NOT_IN_IDS.sub("", reply_id)[-32:] or "0"


def repeated(request: bytes) -> Wire:
    """What an answer repeats of its request, as it was asked (API reference, The Response object)."""
    asked = decode(request)
    return {name: asked[name] for name in REPEATED if asked.get(name) is not None}


REPEATED = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
    "previous_response_id", "prompt_cache_key", "reasoning", "safety_identifier", "store", "temperature",
    "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
)  # fmt: skip
"""Clients parse by it: where `text.format` is a schema, the text is JSON of it."""


def write_reply(reply: Reply, report: Report, said: Wire | None = None) -> bytes:
    """One answer. Never raises; what it cannot carry is told to `report`. `said`: what it repeats."""
    choice = reply.choices[0] if reply.choices else Choice()
    for other in reply.choices[1:]:
        report.lose(other, None, "dropped", "choices")
    odds = odds_of(choice, report)
    output = Items(report, made_id(reply.id), odds).all(choice.parts)
    body = envelope(reply, report)
    if said:
        body |= said
    body["output"] = output
    body["usage"] = None if reply.usage is None else write_usage(reply.usage, report)
    close(body, choice.stop, choice.parts, report)
    if reply.extras is not None:
        lose_fields(reply.extras, "", report)
    if choice.extras is not None:
        settle(body, report.extras(choice, NAME))
    return encode(body)


def odds_of(choice: Choice, report: Report) -> Json:
    """The list of the first text's tokens; None where there is no text, or they are of another shape."""
    odds = choice.logprobs
    if odds is None:
        return None
    whole = type(odds) is dict and odds.keys() == {"content", "refusal"} and odds["refusal"] is None
    if whole and odds["content"] and any(type(p) is Text for p in choice.parts):
        return odds["content"]
    report.lose(choice, "logprobs", "dropped", "logprobs")
    return None


def envelope(reply: Reply, report: Report) -> Wire:
    body: Wire = {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created or 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": [],
        **DEFAULTS,
    }
    if reply.service_tier is not None:
        tier = service_tier(reply, reply.service_tier, report)
        body |= {"service_tier": tier} if tier is not None else {}
    return body


def close(body: Wire, stop: Stop | None, parts: Sequence[Part], report: Report) -> None:
    """The status, and why an answer is not whole."""
    if stop is None:
        return
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    if stop.extras is not None:
        report.extras(stop, NAME)
    told = meaning(parts)
    if is_ours(stop) and stop.reason == "other" and stop.raw is not None:
        word: str | None = stop.raw
    else:
        word = None if stop.reason == told else NEAREST_INCOMPLETE.get(stop.reason)
        if (told if word is None else INCOMPLETE[word]) != stop.reason:
            report.lose(stop, "reason", "approximated", "stop")
        if stop.raw is not None:
            report.lose(stop, "raw", "dropped", "stop")
    body["status"] = "completed" if word is None else "incomplete"
    if word is not None:
        body["incomplete_details"] = {"reason": word}


def settle(body: Wire, fields: Wire) -> Wire:
    """Puts our own fields in their place: beside the items, or inside one (`output[1].status`)."""
    for name, value in fields.items():
        head, dot, tail = name.partition("].")
        if (
            dot
            and head.startswith("output[")
            and head[7:].isdecimal()
            and int(head[7:]) < len(body["output"])
        ):
            item = body["output"][int(head[7:])]
            inner, dot, last = tail.partition("].")
            pieces, bracket, n = inner.partition("[")
            if dot and bracket and n.isdecimal():
                if int(n) < len(item.get(pieces) or ()):
                    item[pieces][int(n)][last] = value
            else:
                item[tail] = value
        else:
            body[name] = value
    return body


def lose_fields(extras: Extras, prefix: str, report: Report) -> None:
    """Fields that have no place here, whoever's they are: ours stand in the choice."""
    for name in extras.fields:
        report.lose_at(f"{prefix}{name}", "dropped", "unknown_field")
