"""An answer, read and written.

What an answer ended with is told by two things, the word and what was said: `stop` beside tool calls means
that the model waits for their results (Gemini, Ollama), `stop` beside a refusal that it declined.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from ...faults import Fault
from ...ir import (
    Audio,
    Choice,
    Document,
    Image,
    Json,
    Native,
    Part,
    Refusal,
    Reply,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from ...losses import Report
from ..base import is_plain
from ..checked import BROKEN, Wire, decode, encode, merge, others, parse_answer
from . import thoughts
from .asking import as_call, service_tier
from .blocks import Blocks, annotation
from .errors import fault_inside
from .messages import Calls, assistant
from .names import FINISH, NAME, NEAREST_FINISH, OURS, OWN_TIERS, is_ours, ours
from .usage import usage_of, write_usage

_REPLY = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier"})
_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})
_INNER = frozenset({"message"})


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    node = parse_answer(body)
    choices = answered(node)
    try:
        if len(choices) == 1:
            held: tuple[Choice, ...] = (_choice(choices[0], 0, 0),)
        else:
            order = sorted(range(len(choices)), key=lambda i: _index(i, choices[i]))
            held = tuple(_choice(choices[i], i, place) for place, i in enumerate(order))
    except Fault as fault:
        raise Fault("provider_answer", f"The provider's answer is none: {fault.message}") from None
    unknown = others(node, _REPLY)
    if node.get("object") not in (None, "chat.completion"):
        unknown["object"] = node["object"]
    tier = node.get("service_tier")
    tier = tier if type(tier) is str and tier else None
    extras = ours(unknown) or (OURS if tier is not None and tier not in OWN_TIERS else None)
    return Reply(
        id=as_text(node.get("id")),
        model=as_text(node.get("model")),
        choices=held,
        usage=usage_of(node.get("usage")),
        created=as_seconds(node.get("created")),
        service_tier=tier,
        extras=extras,
    )


def answered(node: Wire) -> list[Json]:
    """The choices of an answer. Raises `Fault` where it is an error, or none at all."""
    fault = fault_inside(node)
    if fault is not None:
        raise fault
    choices = node.get("choices")
    if type(choices) is not list:
        raise Fault("provider_answer", "The provider's answer has no list of choices.")
    return choices


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class _In(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Out(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Usage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: _In | None = None
    completion_tokens_details: _Out | None = None


class _Plain(msgspec.Struct, gc=False):
    choices: list[msgspec.Raw]
    usage: _Usage
    error: None = None


_NO_IN, _NO_OUT = _In(), _Out()
_plain = msgspec.json.Decoder(_Plain).decode


def read_plain_usage(body: bytes) -> Usage | None:
    """The counts alone, nothing that rides along. Raises as `read_reply` does."""
    try:
        told = _plain(body).usage
        if told.prompt_tokens + told.completion_tokens == told.total_tokens:
            read, wrote = told.prompt_tokens_details, told.completion_tokens_details
            if read is None and wrote is None:
                return Usage(input_tokens=told.prompt_tokens, output_tokens=told.completion_tokens)
            read, wrote = read or _NO_IN, wrote or _NO_OUT
            return Usage(
                input_tokens=told.prompt_tokens,
                output_tokens=told.completion_tokens,
                cache_read_tokens=read.cached_tokens,
                cache_write_tokens=read.cache_write_tokens,
                input_audio_tokens=read.audio_tokens,
                reasoning_tokens=wrote.reasoning_tokens,
                output_audio_tokens=wrote.audio_tokens,
            )
    except BROKEN:
        pass  # not as OpenAI itself tells it: looked at more closely
    node = parse_answer(body)
    answered(node)
    return usage_of(node.get("usage"))


def as_text(value: Json) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def as_seconds(value: Json) -> int | None:
    """Unix seconds; 0 is what servers write that do not know."""
    if type(value) is str and value.isdecimal() and len(value) < 16:
        value = int(value)  # Writer sends it as text
    if type(value) is float and 0 < value < 1e15:
        value = int(value)
    return value if type(value) is int and value else None


def _index(place: int, choice: Json) -> int:
    index = choice.get("index") if type(choice) is dict else None
    return index if type(index) is int else place


def _choice(value: Json, i: int, place: int) -> Choice:
    at = f"choices[{i}]"
    if type(value) is not dict or type(value.get("message")) is not dict:
        raise Fault("provider_answer", f"{at} has no message.")
    parts, unsaid = assistant(value["message"], f"{at}.message", Calls(), asked=False)
    unknown = others(value, _CHOICE) | {f"message.{name}": v for name, v in unsaid.items() if v is not None}
    if _index(place, value) != place:
        unknown["index"] = value["index"]
    role = value["message"].get("role")
    if role not in (None, "assistant"):
        unknown["message.role"] = role
    return Choice(
        parts=tuple(parts),
        stop=read_stop(value.get("finish_reason"), parts, at),
        logprobs=probabilities(value.get("logprobs")),
        extras=ours(unknown),
        at=at,
    )


def probabilities(value: Json) -> Json:
    """None for the empty shells that some servers send."""
    return value if type(value) is dict and any(value.values()) else None


def read_stop(word: Json, parts: Sequence[Part], at: str) -> Stop | None:
    """Marked as ours where the word alone would say something else."""
    if word is None or word == "":
        return None
    if type(word) is not str or word not in FINISH:
        return Stop(reason="other", raw=as_text(word), extras=OURS, at=at)
    reason = _meaning(word, parts)
    marked = word == "model_length" or (word == "stop" and reason == "tool")
    return Stop(reason=reason, extras=OURS if marked else None, at=at)


def _meaning(word: str, parts: Sequence[Part]) -> StopReason:
    if word == "stop":
        kinds = {*map(type, parts)}
        if ToolCall in kinds:
            return "tool"
        if Refusal in kinds:
            return "refusal"
    return FINISH.get(word, "other")


def write_stop(stop: Stop | None, parts: Sequence[Part], report: Report) -> str | None:
    if stop is None:
        return None
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    if is_ours(stop) and stop.reason == "other" and stop.raw is not None:
        return stop.raw
    word = NEAREST_FINISH[stop.reason]
    if stop.extras is None and stop.raw is None and _meaning(word, parts) == stop.reason:
        return word
    if (stop.reason == "refusal" and _meaning("stop", parts) == "refusal") or (
        is_ours(stop) and stop.reason == "tool" and _meaning("stop", parts) == "tool"
    ):
        word = "stop"
    if is_ours(stop) and stop.reason == "context":
        word = "model_length"
    if _meaning(word, parts) != stop.reason:
        report.lose(stop, "reason", "approximated", "stop")
    if stop.raw is not None:
        report.lose(stop, "raw", "dropped", "stop")
    return word


# --- written -------------------------------------------------------------------------------------


def write_reply(reply: Reply, report: Report) -> bytes:
    body: Wire = {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created or 0,
        "model": reply.model,
        "choices": [_written(choice, i, report) for i, choice in enumerate(reply.choices)],
    }
    if reply.usage is not None:
        body["usage"] = write_usage(reply.usage, report)
    if reply.service_tier is not None:
        body["service_tier"] = service_tier(reply, reply.service_tier, report)
    if reply.extras is None:
        return encode(body)
    fields = report.extras(reply, NAME)
    if "object" in fields:
        body["object"] = fields["object"]
    return encode(merge(body, fields))


def _written(choice: Choice, index: int, report: Report) -> Wire:
    made: Wire = {
        "index": index,
        "message": _Answer(report).message(choice.parts),
        "finish_reason": write_stop(choice.stop, choice.parts, report),
    }
    if choice.logprobs is not None:
        made["logprobs"] = choice.logprobs
    if choice.extras is None:
        return made
    fields = report.extras(choice, NAME)
    if "index" in fields:
        del made["index"]
    if "message.role" in fields:
        del made["message"]["role"]
    return merge(made, fields, _INNER)


class _Answer(Blocks):
    """One message of an answer: its fields in their order, the texts as one string."""

    __slots__ = ()

    def message(self, parts: tuple[Part, ...]) -> Wire:
        if len(parts) == 1 and is_plain(parts[0]):
            return {"role": "assistant", "content": parts[0].text, "refusal": None}
        listed = any(_needs_list(p) for p in parts)
        groups: dict[int, list[Part]] = {0: [], 1: [], 2: [], 3: [], 4: []}
        highest = 0
        for part in parts:
            rank = self._rank(part, groups, listed)
            if rank is None:
                continue
            if rank < highest:
                if type(part) is Text and not part.text:
                    self.lost(part, "empty_text")
                    continue
                self.report.lose(part, None, "changed", "part_order")
            elif not listed and type(part) in (Text, Refusal) and groups[rank]:
                self.report.lose(part, None, "changed", "part_order")
            highest = max(highest, rank)
            groups[rank].append(part)
        node: Wire = {"role": "assistant", "content": None, "refusal": None}
        node |= thoughts.answered(groups[0], self.report)
        self._said(groups[1], listed, node)
        if groups[2]:
            node["refusal"] = "".join(p.text for p in groups[2] if type(p) is Refusal)
            for part in groups[2]:
                self.report.extras(part, NAME)
        for part in groups[3]:
            node["audio"] = self._sound(part)
        if groups[4]:
            node["tool_calls"] = [self._call(p) for p in groups[4] if type(p) is ToolCall]
        return node

    def _rank(self, part: Part, groups: dict[int, list[Part]], listed: bool) -> int | None:
        """Where its field stands in the order; None where there is none, and it is lost."""
        match part:
            case Thinking():
                return 0
            case Text():
                return 1
            case Refusal():
                return 1 if listed else 2
            case Native():
                if part.dialect == NAME:
                    return 0 if thoughts.is_item(part) else 1
                self.lost(part, "native_block")
                return None
            case Audio():
                if part.source is not None and not groups[3]:
                    return 3
                self.lost(part, "audio")
                return None
            case ToolCall():
                return 4
            case Image():
                self.lost(part, "image")
                return None
            case Document():
                self.lost(part, "document")
                return None
            case _:
                self.lost(part, "role")
                return None

    def _said(self, parts: list[Part], listed: bool, node: Wire) -> None:
        annotations: list[Json] = []
        start = 0
        for part in parts:
            if type(part) is not Text:
                continue
            self._unmarked(part)
            for cited in part.citations:
                made = annotation(cited, start, start + len(part.text), self.report)
                if made is not None:
                    annotations.append(made)
            start += len(part.text)
        if annotations:
            node["annotations"] = annotations
        if listed:
            node["content"] = [self._block(part) for part in parts]
        elif len(parts) == 1 and type(parts[0]) is Text and is_ours(parts[0]):
            node["content"] = as_object(parts[0].text)
        elif parts:
            node["content"] = "".join(p.text for p in parts if type(p) is Text)
            for part in parts:
                self.report.extras(part, NAME)

    def _block(self, part: Part) -> Json:
        if type(part) is Text:
            return self.finished(part, {"type": "text", "text": part.text}, None)
        return self.one(part)

    def _unmarked(self, part: Text) -> None:
        if part.cache is not None:
            self.report.lose(part, "cache", "dropped", "cache_mark")

    def _sound(self, part: Part) -> Wire:
        assert type(part) is Audio
        held = {"id": part.id, "expires_at": part.expires_at, "transcript": part.transcript}
        made: Wire = {name: value for name, value in held.items() if value is not None}
        if part.source is not None and part.source.data is not None:
            made["data"] = part.source.data
        if part.format is not None:
            self.report.lose(part, "format", "dropped", "audio")
        return self.finished(part, made, None)

    def _call(self, part: ToolCall) -> Wire:
        if part.cache is not None:
            self.report.lose(part, "cache", "dropped", "cache_mark")
        return as_call(part, self.report)


def as_object(text: str) -> Json:
    """The object that was read as its own text."""
    try:
        return decode(text)
    except BROKEN:
        return text


def _needs_list(part: Part) -> bool:
    """Whether a part can only be carried in a list, which no more than this dialect's own parts ask for."""
    if type(part) is Native:
        return part.dialect == NAME and not thoughts.is_item(part)
    return type(part) in (Text, Refusal) and is_ours(part) and bool(part.extras and part.extras.fields)
