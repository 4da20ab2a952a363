"""A stream read: a line for each piece of an answer, as events.

Every line is an answer of its own: thinking, images, content, tool calls, in this order. A part goes on while
lines bring more of it, and ends when something else begins. Calls come whole. The line that says `"done":
true` brings the reason, the usage and the timings.
"""

from typing import Literal

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
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
from ...frames.ndjson import LineReader
from ...ir import Image, Json, Part, Text, Thinking, ToolCall
from ..checked import BROKEN, Wire, a_list, an_object, may, others
from ..streamed import FramedReader
from .errors import fault_inside
from .names import NAME, ours
from .parts import keep_arguments, shown, tool_call
from .reply import TOP, call_id, late, read_logprobs, read_stop, read_time, reply_id, unlike
from .usage import read_usage


class _Said(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: Literal["assistant"] = "assistant"


class _Line(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line of an answer under way that brings more of its text, and nothing besides."""

    message: _Said
    model: str | None = None
    created_at: str | None = None
    done: bool = False


_more_text = msgspec.json.Decoder(_Line).decode


class Reader(FramedReader):
    __slots__ = (
        "_begun", "_calls", "_count", "_images", "_kind", "_late", "_logprobs", "_said",
    )  # fmt: skip

    end_mark = 'a line that says "done": true'
    frame = "a line"

    def __init__(self) -> None:
        super().__init__(LineReader())
        self._begun = False
        self._count = 0  # parts begun
        self._calls = 0
        self._images = 0
        self._kind: type[Part] | None = None  # of the part that is open
        self._logprobs: Json = None  # of tokens that made no text yet
        self._late: Wire = {}
        self._said: Wire = {}  # unknown fields as last told

    def _all(self, lines: list[bytes], out: list[StreamEvent]) -> None:
        for line in lines:
            if self._over:
                return
            if self._kind is Text and self._logprobs is None and self._quick(line, out):
                continue
            wire = self._object(line, out)
            if wire is None:
                return
            fault = fault_inside(wire)
            if fault is not None:
                self._fail(fault, out)
                return
            if b'"arguments"' in line:
                keep_arguments(line, wire)
            try:
                self._line(wire, out)
            except Fault as wrong:
                self._fail(unlike(wrong), out)

    # --- one line

    def _quick(self, line: bytes, out: list[StreamEvent]) -> bool:
        """The common line: more of the text that is under way."""
        try:
            told = _more_text(line)
        except BROKEN:
            return False
        if told.done or not told.message.content:
            return False
        out.append(TextDelta(told.message.content, self._count - 1))
        return True

    def _line(self, wire: Wire, out: list[StreamEvent]) -> None:
        stamp = may(wire, "created_at", str, "")
        if not wire.keys() <= TOP or not self._begun:
            self._envelope(wire, stamp, out)
        told = wire.get("message")
        if told is not None:
            self._message(an_object(told, "message"), wire, stamp, out)
        if wire.get("done") is True:
            self._finish(wire, out)

    def _envelope(self, wire: Wire, stamp: str | None, out: list[StreamEvent]) -> None:
        unknown = others(wire, TOP)
        news = {k: v for k, v in unknown.items() if self._said.get(k) != v}
        self._said |= news
        if self._begun:
            # Named by its field, which is its path in the answer that the stream adds up to.
            out += [NativeEvent(NAME, {field: value}, field) for field, value in news.items()]
            return
        self._begun = True
        created, extras = read_time(stamp)
        model = may(wire, "model", str, "") or ""
        out.append(Begin(reply_id(wire, stamp), model, created, None, ours(unknown | extras)))

    def _message(self, node: Wire, wire: Wire, stamp: str | None, out: list[StreamEvent]) -> None:
        held = late(node)
        if held is not None:
            self._late |= held.fields
        odds = read_logprobs(wire)
        text = ""
        for part in shown(node, "message", asked=False):
            match part:
                case Thinking():
                    self._open(Thinking(at=part.at), out)
                    out.append(ThinkingDelta(part.text, self._count - 1))
                case Image():
                    where = f"message.images[{self._images}]"
                    self._images += 1
                    self._whole(Image(source=part.source, at=where), [], out)
                case Text():
                    text = part.text
                case _:
                    pass
        if text or (odds is not None and not node.get("thinking")):
            self._text(text, odds, out)
        elif odds is not None:
            self._logprobs = _chained(self._logprobs, odds)
        called = node.get("tool_calls")
        for call in a_list(called, "message.tool_calls") if called is not None else ():
            n = self._calls
            self._calls += 1
            read = tool_call(call, f"message.tool_calls[{n}]", n, call_id(stamp, n))
            begun = ToolCall(id=read.id, name=read.name, arguments="", extras=read.extras, at=read.at)
            self._whole(begun, [ArgumentsDelta(read.arguments, self._next())], out)

    def _text(self, text: str, odds: Json, out: list[StreamEvent]) -> None:
        self._open(Text(text="", at="message.content"), out)
        told, self._logprobs = _chained(self._logprobs, odds), None
        out.append(TextDelta(text, self._count - 1, 0, told))

    # --- parts

    def _open(self, begun: Part, out: list[StreamEvent]) -> None:
        """Begins the part, unless one of its kind is under way."""
        if self._kind is not type(begun):
            self._close(out)
            self._kind = type(begun)
            out.append(PartBegin(begun, self._count))
            self._count += 1

    def _next(self) -> int:
        """The number of the part that begins next."""
        return self._count

    def _whole(self, part: Part, deltas: list[StreamEvent], out: list[StreamEvent]) -> None:
        self._close(out)
        out += [PartBegin(part, self._count), *deltas, PartEnd(self._count)]
        self._count += 1

    def _close(self, out: list[StreamEvent]) -> None:
        if self._kind is not None:
            out.append(PartEnd(self._count - 1))
            self._kind = None

    def _finish(self, wire: Wire, out: list[StreamEvent]) -> None:
        if self._logprobs is not None:  # of thinking alone
            self._text("", None, out)
        self._close(out)
        stop = read_stop(wire, self._calls > 0)
        if stop is not None:
            out.append(End(stop, 0, ours(self._late)))
        usage = read_usage(wire)
        if usage is not None:
            out.append(UsageSeen(usage))
        self._over = True
        out.append(Done())


def _chained(before: Json, after: Json) -> Json:
    if before is None or after is None:
        return before if after is None else after
    return {"content": [*before["content"], *after["content"]], "refusal": None}
