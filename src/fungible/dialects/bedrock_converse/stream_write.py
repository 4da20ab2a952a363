"""Events written as the wire's stream, block by block.

`metadata`, with the usage, comes last. A block that this wire streams in one piece is its start and one delta
with what a start does not hold.
"""

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
    CitationDelta,
    End,
    PartEvent,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from ...faults import Fault
from ...frames.eventstream import frame, header_block
from ...ir import Json, Part, Refusal, Reply, Text, Thinking, ToolCall
from ...losses import Report
from ..blockwise import BlockWriter
from .blocks import Blocks
from .errors import write_stream_error
from .names import NAME
from .parts import Block
from .reply import lose_names, stop_word, usage_of

_encode = msgspec.json.encode

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


class StreamWriter(BlockWriter):
    __slots__ = ("_silent",)

    name = NAME

    def __init__(self, report: Report, usage: bool) -> None:
        super().__init__(Blocks(report, asking=False))
        self._silent: Block | None = None  # the delta that begins the open block, while none has been written

    def write(self, events: list[StreamEvent]) -> bytes:
        """A frame has its length and its checksum, so that none can be prepared."""
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                and event.index == self._hot
                and event.choice == 0
                and event.logprobs is None
            ):
                out.append(frame(_DELTA, self._hot_head + _encode(event.text) + b"}}"))
            elif not self._over:
                self._event(event, out)
        return b"".join(out)

    def _told(self, name: str, body: Json) -> bytes:
        return frame(headers_of(name), _encode(body))

    def _failed(self, fault: Fault) -> bytes:
        return write_stream_error(fault, "")

    # --- blocks ----------------------------------------------------------------------------------

    def _open_block(self, part: Part, block: Block, out: list[bytes]) -> None:
        if getattr(part, "cache", None) is not None:  # nobody caches an answer
            self._report.lose(part, "cache", "dropped", "cache_mark")
        match part:
            case Text() | Refusal():
                self._silent = block
            case Thinking(redacted=None):
                inner = block["reasoningContent"]
                self._silent = {"reasoningContent": {"text": "", **_without(inner, ("reasoningText",))}}
            case Thinking():
                self._say(block, out)
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
            self._say({"toolUse": {"input": _encode(inner.get("input", {})).decode()}}, out)
        elif rest:
            self._say({kind: rest["content"] if kind == "toolResult" else rest}, out)

    def _say(self, delta: Json, out: list[bytes]) -> None:
        self._silent = None
        out.append(frame(_DELTA, _encode({"contentBlockIndex": self._number, "delta": delta})))

    def _frame(self, name: str, **more: Json) -> bytes:
        return frame(_EVENTS[name], _encode({**more, "contentBlockIndex": self._number}))

    def _put(self, event: PartEvent, out: list[bytes]) -> None:
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
                delta = {"reasoningContent": {"signature": signature}}
            case CitationDelta(citation=citation):
                delta = {"citation": citation.body}
            case _:
                return
        self._speak(out, only_if_more=True)
        self._say(delta, out)

    def _speak(self, out: list[bytes], only_if_more: bool = False) -> None:
        """Begin a block that has no start of its own, where its first delta does not do that by itself."""
        silent = self._silent
        if silent is not None and not (only_if_more and silent in ({"text": ""}, _NO_THOUGHT)):
            self._say(silent, out)

    def _stop_block(self, out: list[bytes]) -> None:
        self._speak(out)
        out.append(self._frame("contentBlockStop"))

    # --- the message -----------------------------------------------------------------------------

    def _start(self, begin: Begin, out: list[bytes]) -> None:
        names = Reply(
            id=begin.id,
            model=begin.model,
            choices=(),
            created=begin.created,
            service_tier=begin.service_tier,
        )
        lose_names(names, self._report)
        out.append(frame(_EVENTS["messageStart"], b'{"role":"assistant"}'))

    def _finish(self, end: End | None, late: dict[str, Json], out: list[bytes]) -> None:
        word = stop_word(end.stop if end else None, self._report)
        stop = {"stopReason": word, **{n: v for n, v in late.items() if n in _AT_STOP}}
        out.append(frame(_EVENTS["messageStop"], _encode(stop)))
        told = {n: v for n, v in late.items() if n not in _AT_STOP}
        metadata = {"usage": usage_of(self._usage, self._report), **told}
        out.append(frame(_EVENTS["metadata"], _encode(metadata)))


_NO_THOUGHT = {"reasoningContent": {"text": ""}}


def _without(node: Block, names: tuple[str, ...]) -> Block:
    return {name: value for name, value in node.items() if name not in names}
