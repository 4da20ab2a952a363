"""The wire's stream read into events.

`message_start`, then blocks, each `content_block_start`, `content_block_delta`s, `content_block_stop`,
then `message_delta` with the stop reason and `message_stop`; pings anywhere (guide, Streaming messages).
Blocks do not interleave. `message_delta` revises the usage of `message_start`; what both told is told
again whole each time, so that the last `UsageSeen` is complete.

A block that only this wire has is held until it ends and told whole, as a plain reply has it.

A delta of text is the common frame. As the API itself spells it, it takes a comparison with what stands
before the text and a decode of that string, which several that stand together share (`runs`); spelled
otherwise, one typed decode.
"""

from collections.abc import Callable
from operator import methodcaller
from typing import Literal

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
    SignatureDelta,
    StreamEvent,
    TextDelta,
    TextRun,
    ThinkingDelta,
    UsageSeen,
    singly,
)
from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, Frame, FrameReader, frame_of
from ...ir import Extras, Json, Native, Part, Stop, Text, Thinking, ToolCall
from .. import runs
from ..checked import BROKEN, may, need
from ..failures import cut_short
from .errors import fault_of
from .names import NAME
from .parts import read_block, read_citation
from .reply import late, read_stop, unlike
from .shape import others
from .usage import merged, read_usage_object

_DELTA = b"event: content_block_delta\ndata: "
_DELTA_LENGTH = len(_DELTA)


class _Piece(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None


class _Delta(msgspec.Struct, gc=False):
    type: Literal["content_block_delta"]
    index: int
    delta: _Piece


_TEXT_HEAD = b'%b{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
_unclosed = methodcaller("rstrip", b"} ")
_NO_HEAD = b""

_delta = msgspec.json.Decoder(_Delta).decode
_decode = msgspec.json.Decoder().decode
_string = msgspec.json.Decoder(str).decode
_replace = msgspec.structs.replace


class _Block:
    """A block under way. `body`: of one that is told whole at its end, with the pieces of its input."""

    __slots__ = ("body", "empty", "index", "kind", "pieces")

    def __init__(self, kind: type[Part], index: int, body: dict[str, Json] | None = None) -> None:
        self.kind = kind
        self.index = index
        self.body = body
        self.empty = True
        self.pieces: list[str] = []


class StreamReader:
    __slots__ = (
        "_blocks",
        "_ended",
        "_frames",
        "_head",
        "_head_index",
        "_late",
        "_open",
        "_over",
        "_rest",
        "_said",
        "_stop",
        "_tier",
        "_usage",
    )

    def __init__(self) -> None:
        self._rest = b""
        self._frames: FrameReader | None = None  # for line ends other than LF, and a byte order mark
        self._blocks: dict[int, _Block] = {}
        self._open = 0  # parts begun
        self._head, self._head_index, self._said = _NO_HEAD, 0, False  # of the text under way
        self._usage: dict[str, Json] = {}
        self._tier: Json = None
        self._late: dict[str, Json] = {}
        self._stop: Stop | None = None
        self._ended = False  # whether `End` was told
        self._over = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        return singly(self.gather(data))

    def gather(self, data: bytes) -> list[StreamEvent]:
        if self._over:
            return []
        if self._frames is None and (b"\r" in data or data[:1] == b"\xef"):
            self._frames, data, self._rest = FrameReader(), self._rest + data, b""
        if self._frames is not None:
            return self._checked(self._frames, data)
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._rest = data
            return self._too_long() if len(data) > FRAME_BYTES_MAX else []
        self._rest = data[end:]
        out: list[StreamEvent] = []
        self._blocks_of(data[:end], out)
        return out

    def _blocks_of(self, data: bytes, out: list[StreamEvent]) -> None:
        """`data` is whole frames."""
        at, end, left = 0, len(data), runs.MAX
        while at < end and not self._over:
            head, stop = self._head, data.find(b"\n\n", at)
            if head and data.startswith(head, at):
                if left and self._said and data.startswith(head, stop + 2):
                    pieces, after = runs.cut(data, at, head)
                    texts = runs.read(map(_unclosed, pieces))
                    left = left - 1 if texts is not None else 0
                    if texts is not None:
                        if texts:
                            out.append(TextRun(texts, self._head_index))
                        at = after
                        continue
                try:
                    text = _string(data[at + len(head) : stop].rstrip(b"} "))
                except BROKEN:
                    text = ""
                if text:
                    self._said = True
                    out.append(TextDelta(text, self._head_index))
                    at = stop + 2
                    continue
            block = data[at:stop]
            at = stop + 2
            if not (block.startswith(_DELTA) and self._typed(block, out)):
                self._block(block, out)

    def _typed(self, block: bytes, out: list[StreamEvent]) -> bool:
        """A delta of a text or of a call's arguments; False where it is none, or nothing of it has begun."""
        try:
            told = _delta(block[_DELTA_LENGTH:])
        except BROKEN:
            return False
        piece, begun = told.delta, self._blocks.get(told.index)
        if begun is None:
            return False
        if begun.kind is Text and piece.text is not None and piece.type == "text_delta":
            if piece.text:
                out.append(TextDelta(piece.text, begun.index))
            return True
        said = piece.partial_json
        if begun.kind is ToolCall and said is not None and piece.type == "input_json_delta":
            if said:
                begun.empty = False
                out.append(ArgumentsDelta(said, begun.index))
            return True
        return False

    def end(self) -> list[StreamEvent]:
        if self._over:
            return []
        out: list[StreamEvent] = []
        if self._frames is not None:
            self._all(self._frames.end(), out)
        elif self._rest:
            self._block(self._rest, out)
        if not self._over:
            self._fail(cut_short("message_stop"), out)
        return out

    # --- frames ----------------------------------------------------------------------------------

    def _checked(self, frames: FrameReader, data: bytes) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        try:
            self._all(frames.feed(data), out)
        except Fault as fault:
            self._fail(fault, out)
        return out

    def _too_long(self) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        self._fail(
            Fault("provider_answer", f"The provider sent an event of more than {FRAME_BYTES_MAX} bytes."), out
        )
        return out

    def _block(self, block: bytes, out: list[StreamEvent]) -> None:
        frame = frame_of(block)
        if frame is not None:
            self._frame(*frame, out)

    def _all(self, frames: list[Frame], out: list[StreamEvent]) -> None:
        for name, data in frames:
            if self._over:
                return
            self._frame(name, data, out)

    def _frame(self, name: bytes, data: bytes, out: list[StreamEvent]) -> None:
        if data == b"[DONE]":  # routers end with it, after message_stop
            return
        try:
            wire = _decode(data)
        except BROKEN as error:
            self._fail(
                Fault("provider_answer", f"The provider sent an event that is not JSON: {error}."), out
            )
            return
        if type(wire) is not dict:
            self._fail(Fault("provider_answer", "The provider sent an event that is no object."), out)
            return
        kind = wire.get("type")
        if type(kind) is not str:
            kind = "error" if wire.get("error") is not None else name.decode("utf-8", "replace")
        handle = _EVENTS.get(kind)
        if handle is None:
            out.append(NativeEvent(NAME, wire, name.decode("utf-8", "replace") or None))
            return
        try:
            handle(self, wire, out)
        except Fault as fault:
            self._fail(unlike(fault), out)

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._over = True
        out.append(Failed(fault))

    # --- events ----------------------------------------------------------------------------------

    def _message_start(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        message = need(wire, "message", dict, "")
        usage = may(message, "usage", dict, "message")
        if usage is not None:
            self._usage = usage
            self._tier = may(usage, "service_tier", str, "message.usage")
        self._late = others(message, _MESSAGE)
        out.append(
            Begin(
                need(message, "id", str, "message"), need(message, "model", str, "message"), None, self._tier
            )
        )
        for block in may(message, "content", list, "message") or ():
            self._whole(read_block(block, f"content[{self._open}]"), out)
        self._stop = read_stop(message, "message")
        if usage is not None:
            out.append(UsageSeen(read_usage_object(usage)))

    def _whole(self, part: Part, out: list[StreamEvent]) -> None:
        """A part that comes complete."""
        index, self._open = self._open, self._open + 1
        self._begin(part, index, out)
        out.append(PartEnd(index))

    def _begin(self, part: Part, index: int, out: list[StreamEvent]) -> None:
        match part:
            case Text(text=text, citations=citations):
                out.append(PartBegin(_replace(part, text="", citations=()), index))
                if text:
                    out.append(TextDelta(text, index))
                out += [CitationDelta(citation, index) for citation in citations]
            case Thinking(text=text, signature=signature):
                out.append(PartBegin(_replace(part, text="", signature=None), index))
                if text:
                    out.append(ThinkingDelta(text, index))
                if signature:
                    out.append(SignatureDelta(signature, index))
            case ToolCall(arguments=arguments):
                out.append(PartBegin(_replace(part, arguments=""), index))
                if arguments != "{}":
                    out.append(ArgumentsDelta(arguments, index))
            case _:
                out.append(PartBegin(part, index))

    def _block_start(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        number, block = need(wire, "index", int, ""), need(wire, "content_block", dict, "")
        kind = block.get("type")
        for name, empty in _STARTS_EMPTY.get(kind, {}).items() if type(kind) is str else ():
            if block.get(name) is None or block[name] == "":
                block[name] = empty
        index, self._open = self._open, self._open + 1
        part = read_block(block, f"content[{index}]")
        begun = _Block(type(part), index)
        self._blocks[number] = begun
        if isinstance(part, Text | Thinking | ToolCall):
            if isinstance(part, Text):
                self._head, self._head_index, self._said = _TEXT_HEAD % (_DELTA, number), index, False
            begun.empty = not (isinstance(part, ToolCall) and part.arguments != "{}")
            self._begin(part, index, out)
        elif isinstance(part, Native):
            begun.body = dict(block)
        else:
            out.append(PartBegin(part, index))

    def _block_delta(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        number, delta = need(wire, "index", int, ""), need(wire, "delta", dict, "")
        kind = need(delta, "type", str, "delta")
        begun = self._blocks.get(number) or self._made_up(number, kind, out)
        if begun.body is not None:
            _grow(begun, kind, delta)
            return
        told = (kind, begun.kind)
        if told == ("text_delta", Text):
            if text := need(delta, "text", str, "delta"):
                out.append(TextDelta(text, begun.index))
        elif told == ("input_json_delta", ToolCall):
            if text := need(delta, "partial_json", str, "delta"):
                begun.empty = False
                out.append(ArgumentsDelta(text, begun.index))
        elif told == ("thinking_delta", Thinking):
            if text := need(delta, "thinking", str, "delta"):
                out.append(ThinkingDelta(text, begun.index))
        elif told == ("signature_delta", Thinking):
            if text := need(delta, "signature", str, "delta"):
                out.append(SignatureDelta(text, begun.index))
        elif told == ("citations_delta", Text):
            at = f"content[{begun.index}].citations[{len(begun.pieces)}]"
            begun.pieces.append(at)
            out.append(CitationDelta(read_citation(delta.get("citation"), at), begun.index))
        else:
            out.append(NativeEvent(NAME, wire, "content_block_delta"))

    def _made_up(self, number: int, kind: str, out: list[StreamEvent]) -> _Block:
        """The start that a provider left out, where the delta says of what."""
        start = _STARTS.get(kind)
        if start is None:
            raise Fault("bad_request", f"a {kind} of block {number}, which did not start", path="index")
        self._block_start({"index": number, "content_block": {"type": start}}, out)
        return self._blocks[number]

    def _block_stop(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        begun = self._blocks.pop(need(wire, "index", int, ""), None)
        self._head = _NO_HEAD
        if begun is not None:
            self._close(begun, out)

    def _close(self, begun: _Block, out: list[StreamEvent]) -> None:
        if begun.body is not None:
            body = begun.body
            if begun.pieces:
                body["input"] = _input("".join(begun.pieces))
            part = Native(dialect=NAME, body=body, at=f"content[{begun.index}]")
            out.append(PartBegin(part, begun.index))
        elif begun.kind is ToolCall and begun.empty:
            out.append(ArgumentsDelta("{}", begun.index))
        out.append(PartEnd(begun.index))

    def _close_all(self, out: list[StreamEvent]) -> None:
        self._head = _NO_HEAD
        for begun in self._blocks.values():
            self._close(begun, out)
        self._blocks.clear()

    def _message_delta(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        delta, usage = may(wire, "delta", dict, "") or {}, may(wire, "usage", dict, "")
        if usage is not None:
            self._usage = merged(self._usage, usage)
            seen = read_usage_object(self._usage)
            tier = usage.get("service_tier")
            if tier is not None and self._tier is None:  # too late for `Begin`
                fields = {**(seen.extras.fields if seen.extras else {}), "service_tier": tier}
                seen = _replace(seen, extras=Extras(dialect=NAME, fields=fields))
            out.append(UsageSeen(seen))
        more = {**others(delta, _STOP), **others(wire, _MESSAGE_DELTA)}
        self._late = {**self._late, **more}
        stop = read_stop(delta, "delta")
        if stop is not None:
            self._close_all(out)
            self._stop = stop
        if self._stop is not None and (stop is not None or (more and self._ended)):
            self._ended = True
            out.append(End(self._stop, 0, late(self._late)))

    def _message_stop(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        self._close_all(out)
        if self._stop is not None and not self._ended:
            out.append(End(self._stop, 0, late(self._late)))
        self._over = True
        out.append(Done())

    def _ping(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        pass

    def _error(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        self._fail(fault_of(wire), out)


_MESSAGE = frozenset({"type", "role", "id", "model", "content", "stop_reason", "stop_sequence", "usage"})
_STOP = frozenset({"stop_reason", "stop_sequence"})
_MESSAGE_DELTA = frozenset({"type", "delta", "usage"})

_STARTS_EMPTY: dict[str, dict[str, Json]] = {
    "text": {"text": ""},
    "thinking": {"thinking": ""},
    "tool_use": {"input": {}},
}
"""What a block may leave out, or leave empty, at its start: its deltas bring it."""

_STARTS: dict[str, str] = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}

_EVENTS: dict[str, Callable[[StreamReader, dict[str, Json], list[StreamEvent]], None]] = {
    "message_start": StreamReader._message_start,
    "content_block_start": StreamReader._block_start,
    "content_block_delta": StreamReader._block_delta,
    "content_block_stop": StreamReader._block_stop,
    "message_delta": StreamReader._message_delta,
    "message_stop": StreamReader._message_stop,
    "ping": StreamReader._ping,
    "error": StreamReader._error,
}


def _grow(begun: _Block, kind: str, delta: dict[str, Json]) -> None:
    """A block that we do not know grows as ours do: JSON pieces make its input, strings are chained."""
    body = begun.body
    assert body is not None
    if kind == "input_json_delta":
        begun.pieces.append(need(delta, "partial_json", str, "delta"))
        return
    for name, value in delta.items():
        if name == "type":
            continue
        old = body.get(name)
        body[name] = old + value if type(value) is str and type(old) is str else value


def _input(text: str) -> Json:
    """An input that was cut short is kept as its text."""
    try:
        return _decode(text) if text else {}
    except BROKEN:
        return {"_text": text}
