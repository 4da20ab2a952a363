"""The wire's stream read into events.

`messageStart`, then blocks, each perhaps a `contentBlockStart`, `contentBlockDelta`s and a
`contentBlockStop`, then `messageStop` with the stop reason, and `metadata` with the usage and all that is
told beside it (API reference, ConverseStream). A block of text or of reasoning has no start: its first delta
begins it. An end without `metadata` is an end; one without `messageStop` is a stream cut short.

A block that only this wire has, an image, and redacted reasoning are held until they end and told whole, as a
plain reply has them.
"""

import base64
from collections.abc import Callable

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
    CitationDelta,
    Done,
    End,
    NativeEvent,
    PartBegin,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from ...faults import Fault
from ...frames.eventstream import Frame, FrameReader
from ...ir import Json, Part, Stop, Text, Thinking, ToolCall
from ..checked import BROKEN, may, need, others, wrong
from ..failures import broken_event
from ..streamed import FramedReader
from .errors import fault_in
from .names import NAME, rest
from .parts import Block, read_block, read_citation
from .reply import late, read_stop, unlike
from .usage import read_usage_object

_decode = msgspec.json.Decoder().decode

PADDING = frozenset({"p"})
"""Letters that even out the sizes of frames; they say nothing."""


class _Said(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _Delta(msgspec.Struct, gc=False):
    contentBlockIndex: int  # noqa: N815 -- as the wire has it
    delta: _Said


_more_text = msgspec.json.Decoder(_Delta).decode


class _Block:
    """A block under way. `body`: of one that is told whole at its end."""

    __slots__ = ("body", "citations", "empty", "index", "kind", "pieces")

    def __init__(self, kind: str, index: int, body: Block | None = None) -> None:
        self.kind = kind
        self.index = index
        self.body = body
        self.empty = True
        self.citations = 0
        self.pieces: list[str] = []


class StreamReader(FramedReader):
    __slots__ = ("_blocks", "_bytes", "_late", "_open", "_stop", "_told")

    end_mark = "messageStop"

    def __init__(self) -> None:
        self._bytes = FrameReader()
        super().__init__(self._bytes)
        self._blocks: dict[int, _Block] = {}  # by the wire's number
        self._open = 0  # parts begun
        self._late: dict[str, Json] = {}
        self._stop: Stop | None = None
        self._told = False  # whether `metadata` was told

    def _all(self, frames: list[Frame], out: list[StreamEvent]) -> None:
        for frame in frames:
            if self._over:
                return
            self._frame(frame, out)

    def _ended(self, out: list[StreamEvent]) -> None:
        """Without `metadata`, perhaps, which is an end."""
        if self._stop is None or self._bytes.inside:
            super()._ended(out)
        else:
            self._finish(out)

    def _frame(self, frame: Frame, out: list[StreamEvent]) -> None:
        if frame.kind != "event":
            self._fail(fault_in(frame), out)
            return
        if frame.name == "contentBlockDelta" and b'"text"' in frame.payload and self._quick(frame, out):
            return
        try:
            wire = _decode(frame.payload) if frame.payload else {}
        except BROKEN as error:
            self._fail(broken_event(error), out)
            return
        handle = _EVENTS.get(frame.name)
        if handle is None:
            out.append(NativeEvent(NAME, wire, frame.name or None))
            return
        try:
            if type(wire) is not dict:
                raise wrong(frame.name, "an object", wire)
            handle(self, wire, out)
        except Fault as fault:
            self._fail(unlike(fault), out)

    def _quick(self, frame: Frame, out: list[StreamEvent]) -> bool:
        """The common frame: more of a text that is under way."""
        try:
            told = _more_text(frame.payload)
        except BROKEN:
            return False
        begun = self._blocks.get(told.contentBlockIndex)
        if begun is None or begun.kind != "text" or begun.body is not None:
            return False
        if told.delta.text:
            out.append(TextDelta(told.delta.text, begun.index))
        return True

    # --- events ----------------------------------------------------------------------------------

    def _message_start(self, wire: Block, out: list[StreamEvent]) -> None:
        self._late |= others(wire, _MESSAGE_START)
        out.append(Begin("", ""))

    def _block_start(self, wire: Block, out: list[StreamEvent]) -> None:
        number, start = need(wire, "contentBlockIndex", int, ""), need(wire, "start", dict, "")
        if number in self._blocks:
            self._close(number, out)
        begun = self._begun("", number)
        called = start.get("toolUse")
        if type(called) is dict and called.get("type") is None and len(start) == 1:
            begun.kind = "toolUse"
            part = read_block({"toolUse": {**called, "input": {}}}, self._at(begun))
            assert isinstance(part, ToolCall)
            out.append(PartBegin(msgspec.structs.replace(part, arguments=""), begun.index))
        else:
            begun.kind = next(iter(start), "")
            begun.body = dict(start)

    def _begun(self, kind: str, number: int) -> _Block:
        begun = self._blocks[number] = _Block(kind, self._open)
        self._open += 1
        return begun

    def _at(self, begun: _Block) -> str:
        return f"output.message.content[{begun.index}]"

    def _block_delta(self, wire: Block, out: list[StreamEvent]) -> None:
        number, delta = need(wire, "contentBlockIndex", int, ""), need(wire, "delta", dict, "")
        begun = self._blocks.get(number)
        if begun is not None and begun.body is not None:
            _grow(begun, delta)
            return
        kind = next((name for name in _DELTAS if name in delta), "")
        if kind in ("citation", "text"):
            begun = self._of("text", begun, number, delta, out)
            self._text(begun, delta, out)
        elif kind == "toolUse":
            if begun is None or begun.kind != "toolUse":
                raise Fault("bad_request", f"input of block {number}, which did not start", path="delta")
            text = need(need(delta, "toolUse", dict, "delta"), "input", str, "delta.toolUse")
            if text:
                begun.empty = False
                out.append(ArgumentsDelta(text, begun.index))
        elif kind == "reasoningContent":
            self._reasoning(begun, number, need(delta, kind, dict, "delta"), out)
        else:
            out.append(NativeEvent(NAME, wire, "contentBlockDelta"))

    def _of(
        self, kind: str, begun: _Block | None, number: int, delta: Block, out: list[StreamEvent]
    ) -> _Block:
        """The block that a delta belongs to: one of the same kind, or the one it begins."""
        if begun is not None:
            if begun.kind == kind:
                return begun
            self._close(number, out)
        begun = self._begun(kind, number)
        part: Part
        if kind == "text":
            part = Text(text="", at=self._at(begun), extras=rest(delta, _TEXT))
        else:
            at = f"{self._at(begun)}.reasoningContent"
            part = Thinking(at=at, extras=rest(delta, _REASONING))
        out.append(PartBegin(part, begun.index))
        return begun

    def _text(self, begun: _Block, delta: Block, out: list[StreamEvent]) -> None:
        text = may(delta, "text", str, "delta")
        if text:
            out.append(TextDelta(text, begun.index))
        if delta.get("citation") is not None:
            at = f"{self._at(begun)}.citationsContent.citations[{begun.citations}]"
            begun.citations += 1
            out.append(CitationDelta(read_citation(delta["citation"], at), begun.index))

    def _reasoning(self, begun: _Block | None, number: int, delta: Block, out: list[StreamEvent]) -> None:
        redacted = may(delta, "redactedContent", str, "delta.reasoningContent")
        if redacted is not None:
            if begun is not None:
                self._close(number, out)
            begun = self._begun("redacted", number)
            begun.body = {"reasoningContent": dict(delta)}
            return
        begun = self._of("reasoning", begun, number, delta, out)
        if text := may(delta, "text", str, "delta.reasoningContent"):
            out.append(ThinkingDelta(text, begun.index))
        if signature := may(delta, "signature", str, "delta.reasoningContent"):
            out.append(SignatureDelta(signature, begun.index))

    def _block_stop(self, wire: Block, out: list[StreamEvent]) -> None:
        number = need(wire, "contentBlockIndex", int, "")
        if number in self._blocks:
            self._close(number, out)

    def _close(self, number: int, out: list[StreamEvent]) -> None:
        begun = self._blocks.pop(number)
        if begun.body is not None:
            used = begun.body.get("toolUse")
            if begun.kind == "toolUse" and type(used) is dict:
                used["input"] = _input("".join(begun.pieces))
            out.append(PartBegin(read_block(begun.body, self._at(begun)), begun.index))
        elif begun.kind == "toolUse" and begun.empty:
            out.append(ArgumentsDelta("{}", begun.index))
        out.append(PartEnd(begun.index))

    def _message_stop(self, wire: Block, out: list[StreamEvent]) -> None:
        for number in list(self._blocks):
            self._close(number, out)
        self._late |= others(wire, _MESSAGE_STOP)
        self._stop = read_stop(wire, "") or Stop(reason="end", at="stopReason")
        if self._told:
            self._finish(out)

    def _metadata(self, wire: Block, out: list[StreamEvent]) -> None:
        usage = may(wire, "usage", dict, "")
        if usage is not None:
            out.append(UsageSeen(read_usage_object(usage)))
        self._late |= others(wire, _METADATA)
        self._told = True
        if self._stop is not None:
            self._finish(out)

    def _finish(self, out: list[StreamEvent]) -> None:
        assert self._stop is not None
        self._over = True
        out += [End(self._stop, 0, late(self._late)), Done()]


_MESSAGE_START = frozenset({"role"}) | PADDING
_MESSAGE_STOP = frozenset({"stopReason"}) | PADDING
_METADATA = frozenset({"usage"}) | PADDING
_DELTAS = ("text", "citation", "toolUse", "reasoningContent")
_TEXT = frozenset({"text", "citation"})
_REASONING = frozenset({"text", "signature"})

_EVENTS: dict[str, Callable[[StreamReader, Block, list[StreamEvent]], None]] = {
    "messageStart": StreamReader._message_start,
    "contentBlockStart": StreamReader._block_start,
    "contentBlockDelta": StreamReader._block_delta,
    "contentBlockStop": StreamReader._block_stop,
    "messageStop": StreamReader._message_stop,
    "metadata": StreamReader._metadata,
}


def _grow(begun: _Block, delta: Block) -> None:
    """A block that is told whole: pieces of its input are chained, lists go into its content, bytes join."""
    assert begun.body is not None
    for name, more in delta.items():
        inner = begun.body.setdefault(name, {})
        if type(inner) is not dict:
            raise wrong(f"start.{name}", "an object", inner)
        if name == "toolUse" and type(more) is dict:
            begun.pieces.append(need(more, "input", str, "delta.toolUse"))
        elif name == "toolResult" and type(more) is list:
            inner.setdefault("content", []).extend(more)
        elif name == "reasoningContent" and type(more) is dict and "redactedContent" in inner:
            inner["redactedContent"] = _joined(inner["redactedContent"], more.get("redactedContent"))
        elif type(more) is dict:
            inner.update(more)


def _joined(first: Json, more: Json) -> Json:
    """Base64 of both one after another."""
    try:
        return base64.b64encode(base64.b64decode(first) + base64.b64decode(more or "")).decode()
    except (TypeError, ValueError):
        return first


def _input(text: str) -> Json:
    """An input that was cut short is kept as its text."""
    try:
        return _decode(text) if text else {}
    except BROKEN:
        return {"_text": text}
