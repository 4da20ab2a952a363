"""The wire's stream read into events.

`message-start`, then blocks, each `content-start`, `content-delta`s and `content-end`; the plan in
`tool-plan-delta`s; calls as blocks of their own; citations between the deltas of the text they stand in; then
`message-end` with the reason and the usage. Some servers send `[DONE]` after it, and nothing waits for that.

A text stays open until something else begins, for citations may follow its end.
"""

from collections.abc import Callable
from typing import Literal

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
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from ...faults import Fault
from ...frames.sse import Frame, FrameReader
from ...ir import Json, Native, Part, Text, Thinking, ToolCall
from ..checked import BROKEN, Wire, an_object, may, others
from ..streamed import FramedReader
from .errors import fault_of
from .names import NAME, OURS, ours
from .parts import block, citation, tool_call
from .reply import read_stop, unlike
from .usage import read_usage


class _Content(msgspec.Struct, gc=False):
    text: str
    thinking: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: _Content


class _Grown(msgspec.Struct, gc=False):
    message: _Message


class _Delta(msgspec.Struct, gc=False):
    type: Literal["content-delta"]
    delta: _Grown
    index: int = 0
    logprobs: Json = None


_more_text = msgspec.json.Decoder(_Delta).decode


class Reader(FramedReader):
    __slots__ = (
        "_blocks", "_calls", "_cited", "_count", "_kinds", "_late", "_odds", "_open", "_plan",
    )  # fmt: skip

    end_mark = "message-end"

    def __init__(self) -> None:
        super().__init__(FrameReader())
        self._count = 0  # parts begun
        self._open: int | None = None  # the content or plan under way
        self._kinds: dict[int, type[Part]] = {}  # part -> its kind
        self._blocks: dict[int, int] = {}  # content index -> part
        self._calls: dict[int, int] = {}  # call index -> part, while it is under way
        self._plan: int | None = None
        self._cited = 0
        self._odds: list[Json] = []
        self._late: Wire = {}

    def _all(self, frames: list[Frame], out: list[StreamEvent]) -> None:
        for name, data in frames:
            if self._over or data == b"[DONE]":
                continue
            if name == b"content-delta" and self._quick(data, out):
                continue
            self._frame(name, data, out)

    def _quick(self, data: bytes, out: list[StreamEvent]) -> bool:
        """The common frame: more of the text that is under way."""
        try:
            told = _more_text(data)
        except BROKEN:
            return False
        content, index = told.delta.message.content, self._blocks.get(told.index)
        if index is None or index != self._open or self._kinds[index] is not Text:
            return False
        if told.logprobs is not None or content.thinking:
            return False
        if content.text:
            out.append(TextDelta(content.text, index))
        return True

    def _frame(self, name: bytes, data: bytes, out: list[StreamEvent]) -> None:
        wire = self._object(data, out)
        if wire is None:
            return
        kind = wire.get("type") or name.decode("utf-8", "replace")
        handle = _EVENTS.get(kind) if type(kind) is str else None
        if handle is None:
            if wire.get("message") and type(wire["message"]) is str:
                self._fail(fault_of(wire, None), out)
            else:
                out.append(NativeEvent(NAME, wire, str(kind) or None))
            return
        try:
            handle(self, wire, out)
        except Fault as fault:
            self._fail(unlike(fault), out)

    # --- parts

    def _begin(self, part: Part, out: list[StreamEvent]) -> int:
        self._close(out)
        index, self._count = self._count, self._count + 1
        self._kinds[index] = type(part)
        out.append(PartBegin(part, index))
        return index

    def _close(self, out: list[StreamEvent]) -> None:
        if self._open is not None:
            out.append(PartEnd(self._open))
            self._open = None

    def _content_start(self, wire: Wire, out: list[StreamEvent]) -> None:
        node = dict(an_object(_told(wire, "content"), "delta.message.content"))
        number = may(wire, "index", int, "") or 0
        kind = node.get("type") or ("thinking" if node.get("thinking") is not None else "text")
        held = node.get(kind) if kind in ("text", "thinking") else None
        if kind in ("text", "thinking"):
            node |= {"type": kind, kind: ""}
        part = block(node, f"message.content[{number}]")
        self._blocks[number] = self._open = self._begin(part, out)
        if type(held) is str and held:
            self._grow(number, kind, held, out)

    def _content_delta(self, wire: Wire, out: list[StreamEvent]) -> None:
        node = an_object(_told(wire, "content"), "delta.message.content")
        number = may(wire, "index", int, "") or 0
        if wire.get("logprobs") is not None:
            self._odds.append(wire["logprobs"])
        for kind in ("thinking", "text"):
            text = may(node, kind, str, "delta.message.content")
            if text:
                self._grow(number, kind, text, out)

    def _grow(self, number: int, kind: str, text: str, out: list[StreamEvent]) -> None:
        wanted: type[Part] = Text if kind == "text" else Thinking
        index = self._blocks.get(number)
        if index is None or self._kinds[index] is not wanted or index != self._open:
            # The start that a provider left out.
            begun = block({"type": kind, kind: ""}, f"message.content[{number}]")
            index = self._blocks[number] = self._open = self._begin(begun, out)
        out.append(TextDelta(text, index) if kind == "text" else ThinkingDelta(text, index))

    def _content_end(self, wire: Wire, out: list[StreamEvent]) -> None:
        index = self._blocks.get(may(wire, "index", int, "") or 0)
        if index is not None and self._kinds[index] is Native and index == self._open:
            self._close(out)

    def _tool_plan(self, wire: Wire, out: list[StreamEvent]) -> None:
        text = _told(wire, "tool_plan")
        if type(text) is not str or not text:
            return
        if self._plan is None or self._plan != self._open:
            self._plan = self._begin(Thinking(extras=OURS, at="message.tool_plan"), out)
            self._open = self._plan
        out.append(ThinkingDelta(text, self._plan))

    def _call_start(self, wire: Wire, out: list[StreamEvent]) -> None:
        number = may(wire, "index", int, "") or 0
        read = tool_call(_told(wire, "tool_calls"), f"message.tool_calls[{number}]")
        held = "" if read.arguments == "{}" else read.arguments
        begun = ToolCall(id=read.id, name=read.name, arguments="", extras=read.extras, at=read.at)
        self._calls[number] = index = self._begin(begun, out)
        if held:
            out.append(ArgumentsDelta(held, index))

    def _call_delta(self, wire: Wire, out: list[StreamEvent]) -> None:
        index = self._calls.get(may(wire, "index", int, "") or 0)
        function = an_object(_told(wire, "tool_calls"), "delta.message.tool_calls").get("function")
        text = function.get("arguments") if type(function) is dict else None
        if index is not None and type(text) is str and text:
            out.append(ArgumentsDelta(text, index))

    def _call_end(self, wire: Wire, out: list[StreamEvent]) -> None:
        index = self._calls.pop(may(wire, "index", int, "") or 0, None)
        if index is not None:
            out.append(PartEnd(index))

    def _citation(self, wire: Wire, out: list[StreamEvent]) -> None:
        """Of the text that is open, unless it says another."""
        body = an_object(_told(wire, "citations"), "delta.message.citations")
        place = body.get("content_index")
        index = self._open if place is None else self._blocks.get(place)
        if index is None or index != self._open or self._kinds[index] is not Text:
            out.append(NativeEvent(NAME, wire, "citation-start"))
            return
        out.append(CitationDelta(citation(body, f"message.citations[{self._cited}]"), index))
        self._cited += 1

    def _nothing(self, wire: Wire, out: list[StreamEvent]) -> None:
        pass

    # --- the message

    def _message_start(self, wire: Wire, out: list[StreamEvent]) -> None:
        delta = an_object(wire.get("delta") or {}, "delta")
        message = an_object(delta.get("message") or {}, "delta.message")
        self._late |= others(message, _MESSAGE, "message.")
        extras = ours(others(wire, {"type", "id", "delta"}))
        out.append(Begin(may(wire, "id", str, "") or "", "", extras=extras))

    def _message_end(self, wire: Wire, out: list[StreamEvent]) -> None:
        delta = an_object(wire.get("delta") or {}, "delta")
        if delta.get("error"):
            self._fail(fault_of({**delta, "message": delta["error"]}, None), out)
            return
        self._close(out)
        out += [PartEnd(index) for index in self._calls.values()]
        if self._odds:
            self._late["logprobs"] = self._odds
        for name, value in others(delta, {"finish_reason", "usage", "error"}).items():
            self._late[name if name == "logprobs" else f"message.{name}"] = value
        stop = read_stop(delta.get("finish_reason"))
        if stop is not None:
            out.append(End(stop, 0, ours(self._late)))
        if delta.get("usage") is not None:
            out.append(UsageSeen(read_usage(an_object(delta["usage"], "delta.usage"))))
        self._over = True
        out.append(Done())


_MESSAGE = frozenset({"role", "content", "tool_plan", "tool_calls", "citations"})

_EVENTS: dict[str, Callable[[Reader, Wire, list[StreamEvent]], None]] = {
    "message-start": Reader._message_start,
    "content-start": Reader._content_start,
    "content-delta": Reader._content_delta,
    "content-end": Reader._content_end,
    "tool-plan-delta": Reader._tool_plan,
    "tool-call-start": Reader._call_start,
    "tool-call-delta": Reader._call_delta,
    "tool-call-end": Reader._call_end,
    "citation-start": Reader._citation,
    "citation-end": Reader._nothing,
    "message-end": Reader._message_end,
}


def _told(wire: Wire, name: str) -> Json:
    delta = wire.get("delta")
    message = delta.get("message") if type(delta) is dict else None
    return message.get(name) if type(message) is dict else None
