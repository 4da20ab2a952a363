"""Replies: the wire's answer read into a `Reply`, and a `Reply` written as an answer.

Sources: API reference (GenerateContentResponse, Candidate, FinishReason), the SDK's types. What a candidate
says beside its content (safetyRatings, groundingMetadata, citationMetadata, ...) rides in the extras of its
choice, where a stream tells it too; what the answer says beside its candidates (promptFeedback, ...) in the
reply's.

A prompt that was blocked has no candidate: it is read as one empty choice that the provider withheld.
"""

import re

import msgspec

from ...faults import Fault
from ...ir import Choice, Json, Reply, Stop, ToolCall, Usage
from ...losses import Report
from ..checked import BROKEN, may, others, under
from ..times import rfc_3339, unix_seconds
from .blocks import Blocks, own_extras
from .errors import fault_of
from .logprobs import read_logprobs, write_logprobs
from .names import NAME, ours
from .parts import Ids, read_parts
from .shape import inner, object_at, parse_answer, several, spelled
from .usage import read_usage_object, write_usage_object

NUMBERS: tuple[str, ...] = (
    "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST",
    "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL", "NO_IMAGE",
)  # fmt: skip
"""Vertex AI's numbers of the words, for clients that write enums as numbers."""

REASONS: dict[str, str] = {"STOP": "end", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
WITHHELD = frozenset(
    {"RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
"""Words that say the provider kept the answer back, each for a reason of its own; the word stays in `raw`."""

WORDS: dict[str, tuple[str, bool]] = {
    "end": ("STOP", True),
    "tool": ("STOP", True),
    "length": ("MAX_TOKENS", True),
    "content_filter": ("SAFETY", True),
    "context": ("MAX_TOKENS", False),
    "stop_sequence": ("STOP", False),
    "refusal": ("SAFETY", False),
    "pause": ("OTHER", False),
    "other": ("OTHER", False),
}
"""The canonical reason -> the wire's word, and whether it says the same."""

_WORD = re.compile(r"[A-Z][A-Z_]+")
_REPLY = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_ANSWER = frozenset({"candidates", "promptFeedback", "usageMetadata", "modelVersion"})
"""Fields of which an answer has one at least."""

_CANDIDATE = frozenset({"content", "finishReason", "index"})
_CONTENT = frozenset({"parts", "role"})

encode = msgspec.json.encode


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer, or the fault of an error inside a 200."""
    wire = parse_answer(body)
    refuse_error(wire)
    try:
        usage = inner(wire, "usageMetadata", "")
        ids = Ids(answer_seed(wire))
        listed = several(wire, "candidates", "")
        choices = [read_candidate(one, f"candidates[{i}]", ids) for i, one in enumerate(listed)]
        fields = others(wire, _REPLY)
        if not choices:
            choices = [Choice(stop=blocked(fields))]
        return Reply(
            id=may(wire, "responseId", str, "") or "",
            model=may(wire, "modelVersion", str, "") or "",
            choices=tuple(choices),
            usage=read_usage_object(usage) if usage is not None else None,
            created=unix_seconds(may(wire, "createTime", str, "") or ""),
            service_tier=may(usage, "serviceTier", str, "usageMetadata") if usage else None,
            extras=ours(fields),
        )
    except Fault as fault:
        raise unlike(fault) from None


def answer_seed(wire: dict[str, Json]) -> str:
    """What tells the calls of one answer from those of another."""
    for name in ("responseId", "createTime", "modelVersion"):
        if type(wire.get(name)) is str and wire[name]:
            return str(wire[name])
    return "answer"


def refuse_error(wire: dict[str, Json]) -> None:
    """Raises the fault of an error that came with a good status, or of what is no answer at all."""
    if wire.get("error") is not None and "candidates" not in wire:
        raise fault_of(wire)
    if _ANSWER.isdisjoint(wire):
        raise Fault("provider_answer", "The provider's answer is no GenerateContentResponse: no candidates.")


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault(
        "provider_answer",
        f"The provider's answer is no GenerateContentResponse: {fault.message}",
        path=fault.path,
    )


def read_candidate(value: Json, at: str, ids: Ids) -> Choice:
    candidate = object_at(value, at)
    content = inner(candidate, "content", at) or {}
    parts = tuple(read_parts(content, f"{at}.content", ids))
    fields = late_fields(candidate, content)
    logprobs = None
    if "logprobsResult" in fields:
        logprobs = read_logprobs(fields["logprobsResult"], f"{at}.logprobsResult")
        if logprobs is not None:
            del fields["logprobsResult"]
    calls = ToolCall in map(type, parts)
    return Choice(
        parts=parts,
        stop=read_stop(candidate.get("finishReason"), at, calls),
        logprobs=logprobs,
        at=at,
        extras=ours(fields),
    )


def late_fields(candidate: dict[str, Json], content: dict[str, Json]) -> dict[str, Json]:
    """What a candidate says beside its parts, and its content too."""
    return others(candidate, _CANDIDATE) | others(content, _CONTENT, "content.")


def read_stop(value: Json, at: str, calls: bool) -> Stop | None:
    """The wire has no word for waiting on tools: an answer that ends with calls in it does."""
    if value is None:
        return None
    word = value
    if type(value) is int and type(value) is not bool:
        word = NUMBERS[value] if 0 <= value < len(NUMBERS) else str(value)
    at = under(at, "finishReason")
    if type(word) is not str:
        raise Fault("bad_request", f"{at} is no word. Send one of FinishReason.", path=at)
    if word in WITHHELD:
        return Stop(reason="content_filter", raw=word, at=at)
    reason = REASONS.get(word, "other")
    if reason == "end" and calls:
        reason = "tool"
    return Stop(reason=reason, raw=word if reason == "other" else None, at=at)  # type: ignore[arg-type]


def blocked(fields: dict[str, Json]) -> Stop | None:
    """API reference, PromptFeedback: with a block reason there are no candidates."""
    feedback = fields.get("promptFeedback")
    if type(feedback) is dict and spelled(feedback).get("blockReason") is not None:
        return Stop(reason="content_filter", at="promptFeedback.blockReason")
    return None


_ABSENT = msgspec.Raw(b"")


class _UsageOnly(msgspec.Struct, gc=False, rename={"camel": "usageMetadata", "snake": "usage_metadata"}):
    error: msgspec.Raw = _ABSENT
    candidates: msgspec.Raw = _ABSENT
    camel: dict[str, Json] | None = None
    snake: dict[str, Json] | None = None


_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def read_usage(body: bytes) -> Usage | None:
    """Raises like `read_reply`, but looks at nothing else of the answer."""
    try:
        seen = _usage_only(body)
    except BROKEN:
        parse_answer(body)
        raise Fault(
            "provider_answer", "The provider's answer is no GenerateContentResponse.", path="usageMetadata"
        ) from None
    if seen.candidates == _ABSENT or seen.error != _ABSENT:
        refuse_error(parse_answer(body))
    usage = seen.camel if seen.camel is not None else seen.snake
    if usage is None:
        return None
    try:
        return read_usage_object(spelled(usage))
    except Fault as fault:
        raise unlike(fault) from None


# --- write ---------------------------------------------------------------------------------------


def write_reply(reply: Reply, report: Report) -> bytes:
    """Never raises; what the answer cannot carry is told to `report`."""
    wire: dict[str, Json] = {}
    own = report.extras(reply, NAME) if reply.extras is not None else {}
    if not is_blocked(reply.choices, own):
        wire["candidates"] = [_candidate(choice, i, report) for i, choice in enumerate(reply.choices)]
    usage = usage_of(reply.usage, reply.service_tier, report)
    if usage:
        wire["usageMetadata"] = usage
    wire.update(names_of(reply.id, reply.model, reply.created, report))
    wire.update(own)
    return encode(wire)


def is_blocked(choices: tuple[Choice, ...], own: dict[str, Json]) -> bool:
    """Whether there are no candidates to write: what `read_reply` makes of an answer without any."""
    if len(choices) > 1:
        return False
    choice = choices[0] if choices else Choice()
    if choice.parts or choice.extras is not None or choice.logprobs is not None:
        return False
    return choice.stop is None or (choice.stop == blocked(own) and choice.stop.extras is None)


def names_of(id_: str, model: str, created: int | None, report: Report) -> dict[str, Json]:
    named: dict[str, Json] = {}
    if model:
        named["modelVersion"] = model
    if created is not None:
        time = rfc_3339(created)
        if time is not None:
            named["createTime"] = time
        else:
            report.lose(Reply(id="", model="", choices=()), "created", "dropped", "unknown_field")
    if id_:
        named["responseId"] = id_
    return named


def usage_of(usage: Usage | None, tier: str | None, report: Report) -> dict[str, Json]:
    wire = write_usage_object(usage, report) if usage is not None else {}
    if tier is not None:
        wire["serviceTier"] = tier
    return wire


def _candidate(choice: Choice, index: int, report: Report) -> dict[str, Json]:
    candidate: dict[str, Json] = {}
    parts = Blocks(report, asking=False).all(choice.parts)
    if parts:
        candidate["content"] = {"parts": parts, "role": "model"}
    calls = any("functionCall" in part for part in parts)
    if choice.stop is not None:
        candidate["finishReason"] = stop_word(choice.stop, calls, report)
    candidate["index"] = index
    if choice.logprobs is not None:
        result = write_logprobs(choice, choice.logprobs, report)
        if result is not None:
            candidate["logprobsResult"] = result
    if choice.extras is not None:
        put_late(candidate, report.extras(choice, NAME))
    return candidate


def put_late(candidate: dict[str, Json], fields: dict[str, Json]) -> None:
    for name, value in fields.items():
        outer, dot, field = name.partition(".")
        if dot and outer == "content":
            candidate.setdefault("content", {})[field] = value
        else:
            candidate[name] = value


def stop_word(stop: Stop, calls: bool, report: Report) -> str:
    """`calls`: whether the answer has tool calls in it, by which a client knows that they are waited for."""
    if stop.extras is not None:
        report.extras(stop, NAME)
    if stop.raw is not None and _WORD.fullmatch(stop.raw) and stop.sequence is None:
        read = read_stop(stop.raw, "", calls)
        if read is not None and (read.reason, read.raw) == (stop.reason, stop.raw):
            return stop.raw
    word, same = WORDS[stop.reason]
    read = read_stop(word, "", calls)
    if not same or read is None or read.reason != stop.reason or stop.raw is not None or stop.sequence:
        report.lose(stop, None, "approximated", "stop")
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    return word


__all__ = ["own_extras"]
