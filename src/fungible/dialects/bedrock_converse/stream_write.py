"""Events written as the wire's stream.

Blocks do not interleave here: a part that begins while another is under way waits until that one has
ended, and comes out then, with all that was said of it meanwhile. Blocks are numbered as they come out.

The stop reason and the usage wait for the end, for usage often follows the stop, and `metadata` comes last. A
client of this wire is always told the usage. A block that this wire streams in one piece is its start and one
delta with what a start does not hold.
"""

import re

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
    CitationDelta,
    Done,
    End,
    Failed,
    NativeEvent,
    PartBegin,
    PartEnd,
    PartEvent,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
    part_of,
    revise,
)
from ...frames.eventstream import frame, header_block
from ...ir import Choice, Json, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from ...losses import Report
from .blocks import Blocks
from .errors import write_stream_error
from .names import NAME
from .parts import Block
from .reply import lose_at, lose_fields, lose_names, stop_word, usage_of

_encode = msgspec.json.encode
_replace = msgspec.structs.replace

_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them

REMARK = "x-fungible"  # the type of an event of ours; readers pass over types that they do not know


def headers_of(name: str) -> bytes:
    return header_block({":event-type": name, ":content-type": "application/json", ":message-type": "event"})


_EVENTS = {
    name: headers_of(name)
    for name in (
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        REMARK,
    )
}
_DELTA = _EVENTS["contentBlockDelta"]
_TEXT_HEAD = b'{"contentBlockIndex":%d,"delta":{"text":'

_AT_STOP = frozenset({"additionalModelResponseFields"})
"""Fields that `messageStop` has; `metadata` has the others (service model)."""

_IN_DELTAS: dict[str, tuple[str, ...]] = {"toolResult": ("content",), "image": ("source", "error")}
"""What of a block told whole its start does not hold (service model, ContentBlockStart)."""


def remark(text: str) -> bytes:
    return frame(_EVENTS[REMARK], _encode({"remark": text}))


class StreamWriter:
    __slots__ = (
        "_begin",
        "_blocks",
        "_end",
        "_foreign",
        "_hot",
        "_hot_head",
        "_number",
        "_open",
        "_over",
        "_report",
        "_said",
        "_silent",
        "_skipped",
        "_started",
        "_usage",
        "_waiting",
    )

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._blocks = Blocks(report, asking=False)
        self._begin = Begin("", "")
        self._started = False
        self._usage: Usage | None = None
        self._end: End | None = None
        self._number = -1  # of the block that is open, or was last
        self._open: int | None = None  # the part under way
        self._hot: int | None = None  # the text that is being written
        self._hot_head = b""  # what its deltas begin with
        self._silent: Block | None = None  # the delta that begins it, while none has been written
        self._foreign: Thinking | None = None  # the open thought, where its signature is not for this wire
        self._waiting: dict[int, list[StreamEvent]] = {}
        self._skipped: set[int] = set()
        self._said: set[str] = set()
        self._over = False

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            if (
                type(event) is TextDelta
                and event.index == self._hot
                and event.choice == 0
                and event.logprobs is None
            ):
                out.append(frame(_DELTA, self._hot_head + _encode(event.text) + b"}}"))
            else:
                self._event(event, out)
        return b"".join(out)

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin = event
            case UsageSeen():
                self._usage = revise(self._usage, event.usage)
            case NativeEvent():
                self._native(event, out)
            case Done():
                self._finish(out)
            case Failed():
                self._over = True
                out.append(write_stream_error(event.fault, ""))
            case _ if event.choice != 0:
                self._lose(self._choice(event.choice), "choices")
            case End():
                self._end = event
            case _:
                self._start(out)
                self._content(event, out)

    def _choice(self, number: int) -> str:
        return f"{self._report.names.get('choices', 'choices')}[{number}]"

    def _lose(self, path: str, why: str = "unknown_field") -> None:
        if path not in self._said:
            self._said.add(path)
            lose_at(path, self._report, why)

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        name = event.name or (event.body.get("type") if type(event.body) is dict else None) or "event"
        if event.dialect == NAME:
            self._start(out)
            out.append(frame(headers_of(str(name)), _encode(event.body)))
        else:
            self._lose(str(name), "stream_event")

    # --- blocks ----------------------------------------------------------------------------------

    def _content(self, event: PartEvent, out: list[bytes]) -> None:
        index = event.index
        if isinstance(event, TextDelta) and event.logprobs is not None:
            self._lose(self._report.path(Choice(at=self._choice(0)), "logprobs"), "logprobs")
        if isinstance(event, PartBegin):
            if self._open is None:
                self._begin_part(event.part, index, out)
            else:
                self._waiting[index] = [event]
        elif index in self._waiting:
            self._waiting[index].append(event)
        elif index == self._open:
            self._delta(event, out)
        elif index not in self._skipped and not isinstance(event, PartEnd):
            self._content(PartBegin(part_of(event), index), out)
            self._content(event, out)

    def _begin_part(self, part: Part, index: int, out: list[bytes]) -> None:
        """Open a block with what is known at the start; what the part already holds follows as deltas."""
        begun = part
        match part:
            case Text():
                begun = _replace(part, text="", citations=())
            case Refusal():
                begun = _replace(part, text="")
            case Thinking(redacted=None):
                begun = _replace(part, text="", signature=None)
            case ToolCall():
                begun = _replace(part, arguments="{}", custom=False)
                if part.custom:
                    self._report.lose(part, None, "changed", "tool_arguments")
            case _:
                pass
        block = self._blocks.one(begun)
        if block is None:
            self._skipped.add(index)
            return
        self._blocks.point(begun)
        self._number += 1
        self._open = index
        self._foreign = part if type(part) is Thinking and part.signer not in (None, NAME) else None
        self._open_block(begun, block, out)
        for delta in _held(part, index):
            self._delta(delta, out)

    def _open_block(self, part: Part, block: Block, out: list[bytes]) -> None:
        match part:
            case Text() | Refusal():
                self._silent = block
            case Thinking(redacted=None):
                inner = block["reasoningContent"]
                self._silent = {"reasoningContent": {"text": "", **_without(inner, ("reasoningText",))}}
            case Thinking():
                self._put(block, out)
            case ToolCall():
                start = {"toolUse": _without(block["toolUse"], ("input",))}
                out.append(self._frame("contentBlockStart", start=start))
            case _:
                self._whole(block, out)

    def _whole(self, block: Block, out: list[bytes]) -> None:
        """A block that comes in one piece."""
        kind, inner = next(iter(block.items()))
        later = _IN_DELTAS.get(kind, ()) if type(inner) is dict else ()
        called = kind == "toolUse" and type(inner) is dict
        if called:
            later = ("input",)
        start = {**block, kind: _without(inner, later)} if later else block
        out.append(self._frame("contentBlockStart", start=start))
        rest = {name: inner[name] for name in later if name in inner}
        if called:
            self._put({"toolUse": {"input": _encode(inner.get("input", {})).decode()}}, out)
        elif rest:
            self._put({kind: rest["content"] if kind == "toolResult" else rest}, out)

    def _put(self, delta: Json, out: list[bytes]) -> None:
        self._silent = None
        out.append(frame(_DELTA, _encode({"contentBlockIndex": self._number, "delta": delta})))

    def _frame(self, name: str, **more: Json) -> bytes:
        return frame(_EVENTS[name], _encode({**more, "contentBlockIndex": self._number}))

    def _delta(self, event: StreamEvent, out: list[bytes]) -> None:
        delta: Block
        match event:
            case TextDelta(text=text):
                delta = {"text": text}
                self._hot, self._hot_head = event.index, _TEXT_HEAD % self._number
            case ArgumentsDelta(text=text):
                delta = {"toolUse": {"input": text}}
            case ThinkingDelta(text=text):
                delta = {"reasoningContent": {"text": text}}
            case SignatureDelta(signature=signature):
                if self._foreign is not None:
                    self._report.lose(self._foreign, "signature", "dropped", "thinking_signature")
                    return
                delta = {"reasoningContent": {"signature": signature}}
            case CitationDelta(citation=citation):
                if citation.dialect != NAME:
                    self._report.lose(citation, None, "dropped", "citations")
                    return
                delta = {"citation": citation.body}
            case PartEnd():
                self._close(out)
                return
            case _:
                return
        self._speak(out, only_if_more=True)
        self._put(delta, out)

    def _speak(self, out: list[bytes], only_if_more: bool = False) -> None:
        """Begin a block that has no start of its own, where its first delta does not do that by itself."""
        silent = self._silent
        if silent is not None and not (only_if_more and silent in ({"text": ""}, _NO_THOUGHT)):
            self._put(silent, out)

    def _close(self, out: list[bytes]) -> None:
        """End the open block, and let out what waited for that."""
        self._speak(out)
        out.append(self._frame("contentBlockStop"))
        self._open = self._hot = None
        while self._waiting and self._open is None:
            index = next(iter(self._waiting))
            first, *more = self._waiting.pop(index)
            assert isinstance(first, PartBegin)
            self._begin_part(first.part, index, out)
            for event in more:
                if self._open == index:
                    self._delta(event, out)

    # --- the message -----------------------------------------------------------------------------

    def _start(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        begin = self._begin
        names = Reply(
            id=begin.id,
            model=begin.model,
            choices=(),
            created=begin.created,
            service_tier=begin.service_tier,
        )
        lose_names(names, self._report)
        if begin.extras is not None:
            lose_fields(begin.extras, self._report)
        out.append(frame(_EVENTS["messageStart"], b'{"role":"assistant"}'))

    def _finish(self, out: list[bytes]) -> None:
        self._start(out)
        while self._open is not None:
            self._close(out)
        end = self._end
        word = stop_word(end.stop if end else None, self._report)
        fields = self._late(end) if end is not None else {}
        stop = {"stopReason": word, **{n: v for n, v in fields.items() if n in _AT_STOP}}
        out.append(frame(_EVENTS["messageStop"], _encode(stop)))
        told = {n: v for n, v in fields.items() if n not in _AT_STOP}
        metadata = {"usage": usage_of(self._usage, self._report), **told}
        out.append(frame(_EVENTS["metadata"], _encode(metadata)))
        self._over = True

    def _late(self, end: End) -> dict[str, Json]:
        if end.extras is None:
            return {}
        if end.extras.dialect != NAME:
            # A source without a list of choices has the fields of its only one at the top.
            listed = _LISTED.match(end.stop.at)
            lose_fields(end.extras, self._report, f"{listed[0]}." if listed is not None else "")
            return {}
        return end.extras.fields


_NO_THOUGHT = {"reasoningContent": {"text": ""}}


def _without(node: Block, names: tuple[str, ...]) -> Block:
    return {name: value for name, value in node.items() if name not in names}


def _held(part: Part, index: int) -> list[StreamEvent]:
    """What a part that begins already holds."""
    match part:
        case Text(text=text, citations=citations):
            told: list[StreamEvent] = [TextDelta(text, index)] if text else []
            return told + [CitationDelta(citation, index) for citation in citations]
        case Refusal(text=text):
            return [TextDelta(text, index)] if text else []
        case Thinking(redacted=None, text=text, signature=signature):
            told = [ThinkingDelta(text, index)] if text else []
            return told + ([SignatureDelta(signature, index)] if signature else [])
        case ToolCall(arguments=arguments):
            return [ArgumentsDelta(arguments, index)] if arguments not in ("", "{}") else []
        case _:
            return []
