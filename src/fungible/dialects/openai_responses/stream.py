"""The wire's stream read into events.

`response.created`, then for each item `response.output_item.added`, what it says piece by piece, and
`response.output_item.done`; at the end `response.completed`, `.incomplete` or `.failed` with the whole
answer (API reference, Streaming events). Items may interleave; `output_index` says which is meant. Each
piece is told three more times when it is done: whatever a provider left out of the deltas is taken from
there.

A thought's seal comes with the end of its item, so that its last part stays open until then. An item that
only this wire has is held until it is done and told whole, as a plain reply has it; the events about it are
its own.
"""

from collections.abc import Callable
from typing import Any

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
from ...frames.sse import Frame, FrameReader
from ...ir import Json, Part, Refusal, Text, Thinking, ToolCall
from ..checked import BROKEN, Wire, may, need
from ..streamed import FramedReader
from .errors import fault_inside
from .items import assistant, call, citation, model_said, reasoning
from .names import CALLS, NAME, OURS, ours
from .reply import CUT_OFF, as_seconds, as_text, ending, unlike
from .usage import read_usage

_replace = msgspec.structs.replace
_TEXT_DELTA = b"response.output_text.delta"


class _Delta(msgspec.Struct, gc=False):
    delta: str
    output_index: int
    content_index: int
    logprobs: Any = None


_delta = msgspec.json.Decoder(_Delta).decode


class _Piece:
    """A part under way: its place among the parts, and what has been said of it."""

    __slots__ = ("cited", "index", "odds", "open", "part", "said")

    def __init__(self, part: Part, index: int) -> None:
        self.part = part
        self.index = index
        self.open = True
        self.said: list[str] = []
        self.cited = 0
        self.odds = False  # whether any token's probability was told


class _Item:
    """`pieces` by where they stand: ("content", 0). `kind` None: told whole when it is done."""

    __slots__ = ("at", "kind", "node", "pieces")

    def __init__(self, node: Wire, number: int) -> None:
        self.node = node
        self.at = f"output[{number}]"
        kind = node.get("type")
        called = type(kind) is str and kind in CALLS
        known = called or kind == "reasoning" or (kind == "message" and node.get("role") == "assistant")
        self.kind = kind if known else None
        self.pieces: dict[tuple[str, int], _Piece] = {}


class Reader(FramedReader):
    __slots__ = ("_before", "_begun", "_items", "_late", "_parts")

    end_mark = "response.completed"

    def __init__(self) -> None:
        super().__init__(FrameReader())
        self._items: dict[int, _Item] = {}
        self._parts: list[Part] = []  # as they began
        self._before: Part | None = None  # the last part of the last item that is done
        self._late: Wire = {}
        self._begun = False

    def _all(self, frames: list[Frame], out: list[StreamEvent]) -> None:
        for name, data in frames:
            if self._over:
                return
            if name == _TEXT_DELTA and self._quick(data, out):
                continue
            self._frame(name, data, out)

    def _quick(self, data: bytes, out: list[StreamEvent]) -> bool:
        """The common frame: more of a text that is under way."""
        try:
            told = _delta(data)
        except BROKEN:
            return False
        item = self._items.get(told.output_index)
        piece = item.pieces.get(("content", told.content_index)) if item is not None else None
        if piece is None or not piece.open or told.logprobs or type(piece.part) is not Text:
            return False
        if told.delta:
            piece.said.append(told.delta)
            out.append(TextDelta(told.delta, piece.index))
        return True

    def _frame(self, name: bytes, data: bytes, out: list[StreamEvent]) -> None:
        if data == b"[DONE]":  # some providers end with it, after response.completed
            return
        wire = self._object(data, out)
        if wire is None:
            return
        kind = wire.get("type")
        if type(kind) is not str:
            kind = "error" if wire.get("error") else name.decode("utf-8", "replace")
        handle = _EVENTS.get(kind)
        if handle is None:
            body = {k: v for k, v in wire.items() if k not in _PADDING}
            out.append(NativeEvent(NAME, body, kind or None))
            return
        try:
            handle(self, wire, out)
        except Fault as fault:
            self._fail(unlike(fault), out)

    # --- the answer ------------------------------------------------------------------------------

    def _created(self, wire: Wire, out: list[StreamEvent]) -> None:
        self._begin(need(wire, "response", dict, ""), out)

    def _begin(self, response: Wire, out: list[StreamEvent]) -> None:
        """The tier that is told here is the one asked for; a later one is the one that answered."""
        if self._begun:
            return
        self._begun = True
        tier = response.get("service_tier")
        tier = tier if type(tier) is str and tier != "auto" else None
        self._late = {"service_tier": tier}
        out.append(
            Begin(
                as_text(response.get("id")),
                as_text(response.get("model")),
                as_seconds(response.get("created_at")),
                tier,
            )
        )

    def _queued(self, wire: Wire, out: list[StreamEvent]) -> None:
        self._created(wire, out)
        out.append(
            NativeEvent(NAME, {k: v for k, v in wire.items() if k != "sequence_number"}, "response.queued")
        )

    def _completed(self, wire: Wire, out: list[StreamEvent]) -> None:
        response = need(wire, "response", dict, "")
        fault = fault_inside(response)
        if fault is not None or response.get("status") == "failed":
            self._fail(fault or Fault("provider_error", "The provider's answer failed without a word."), out)
            return
        self._begin(response, out)
        for number, node in enumerate(may(response, "output", list, "response") or ()):
            if type(node) is not dict:
                continue
            if number in self._items:
                self._changed(self._items[number], node)
            else:
                self._whole(number, node, out)
        for item in self._items.values():
            self._close(item, out)
        status = response.get("status")
        if type(status) is str and status in CUT_OFF:  # the event says that it is there
            response = {**response, "status": None}
            self._late["status"] = status
        stop, fields = ending(response, self._parts)
        tier = response.get("service_tier")
        if tier == self._late.pop("service_tier", None) or not tier:
            fields.pop("service_tier", None)
        else:
            fields["service_tier"] = tier
        beside = {name: v for name, v in wire.items() if name not in _TERMINAL and v is not None}
        usage = response.get("usage")
        if type(usage) is dict:
            out.append(UsageSeen(read_usage(usage)))
        if stop is not None:
            out.append(End(stop, 0, ours({**beside, **fields, **self._late})))
        self._over = True
        out.append(Done())

    def _error(self, wire: Wire, out: list[StreamEvent]) -> None:
        fault = fault_inside(wire, b"error")
        assert fault is not None
        self._fail(fault, out)

    def _nothing(self, wire: Wire, out: list[StreamEvent]) -> None:
        pass

    # --- items -----------------------------------------------------------------------------------

    def _item(self, wire: Wire) -> _Item:
        item = self._items.get(need(wire, "output_index", int, ""))
        if item is None:
            raise Fault("bad_request", "an event of an item that did not begin", path="output_index")
        return item

    def _added(self, wire: Wire, out: list[StreamEvent]) -> None:
        number, node = need(wire, "output_index", int, ""), need(wire, "item", dict, "")
        item = self._items[number] = _Item(node, number)
        if item.kind in CALLS:
            told = call(_begun(node), item.at)
            self._open(item, ("arguments", 0), _replace(told, arguments=""), out)
            self._grow(item.pieces["arguments", 0], "" if told.arguments == "{}" else told.arguments, out)

    def _open(self, item: _Item, place: tuple[str, int], part: Part, out: list[StreamEvent]) -> _Piece:
        piece = item.pieces[place] = _Piece(part, len(self._parts))
        self._parts.append(part)
        out.append(PartBegin(part, piece.index))
        return piece

    def _grow(self, piece: _Piece, text: str, out: list[StreamEvent], odds: Json = None) -> None:
        if not text and odds is None:
            return
        if text:
            piece.said.append(text)
        match piece.part:
            case Thinking():
                out.append(ThinkingDelta(text, piece.index))
            case ToolCall():
                out.append(ArgumentsDelta(text, piece.index))
            case _:
                out.append(TextDelta(text, piece.index, 0, odds))

    def _rest(self, piece: _Piece, whole: Json, out: list[StreamEvent]) -> None:
        """What the deltas left out of a text that is now told whole."""
        if type(whole) is str and piece.open:
            said = "".join(piece.said)
            if len(whole) > len(said) and whole.startswith(said):
                self._grow(piece, whole[len(said) :], out)

    def _end(self, piece: _Piece, out: list[StreamEvent]) -> None:
        if piece.open:
            piece.open = False
            if type(piece.part) is ToolCall and not piece.part.custom and not piece.said:
                out.append(ArgumentsDelta("{}", piece.index))
            out.append(PartEnd(piece.index))

    def _close(self, item: _Item, out: list[StreamEvent]) -> None:
        for piece in item.pieces.values():
            self._end(piece, out)

    def _done(self, wire: Wire, out: list[StreamEvent]) -> None:
        number, node = need(wire, "output_index", int, ""), need(wire, "item", dict, "")
        item = self._items.get(number)
        if item is None or item.kind is None or not item.pieces:
            self._whole(number, {**(item.node if item else {}), **node}, out)
            return
        if item.kind in CALLS:
            self._rest(
                item.pieces["arguments", 0],
                node.get("input" if item.kind == "custom_tool_call" else "arguments"),
                out,
            )
        elif item.kind == "message":
            self._told(item, "content", node, out)
        else:
            self._told(item, "summary", node, out)
            self._told(item, "content", node, out)
            seal = may(node, "encrypted_content", str, "item")
            last = list(item.pieces.values())[-1]
            if seal and last.open:
                out.append(SignatureDelta(seal, last.index))
        self._close(item, out)
        self._changed(item, node)

    def _changed(self, item: _Item, node: Wire) -> None:
        """What an item says of itself otherwise than when it began: told at the end, by its path."""
        for name, value in node.items() if item.kind is not None and ("whole", 0) not in item.pieces else ():
            if value is None or name in _TOLD or (name, value) == ("status", "completed"):
                continue
            if item.node.get(name) != value or name == "status":
                self._late[f"{item.at}.{name}"] = value

    def _told(self, item: _Item, field: str, node: Wire, out: list[StreamEvent]) -> None:
        for i, value in enumerate(may(node, field, list, "item") or ()):
            piece = item.pieces.get((field, i)) or self._begin_piece(item, field, i, value, out)
            if type(value) is dict:
                self._rest(piece, value.get("refusal" if type(piece.part) is Refusal else "text"), out)
                self._beside(piece, value, f"{item.at}.{field}[{i}]", out)

    def _whole(self, number: int, node: Wire, out: list[StreamEvent]) -> None:
        """An item that comes complete."""
        item = self._items[number] = _Item(node, number)
        told = model_said(node, item.at, self._parts[-1] if self._parts else None)
        odds = dict(told.odds)
        for n, part in enumerate(told.parts):
            piece = self._open(item, ("whole", n), _bare(part), out)
            match part:
                case Text(text=text) | Refusal(text=text) | Thinking(text=text):
                    self._grow(piece, text, out)
                case ToolCall(arguments=arguments):
                    self._grow(piece, arguments, out)
                case _:
                    pass
            if n in odds:
                self._grow(piece, "", out, {"content": odds[n], "refusal": None})
            if type(part) is Text:
                out += [CitationDelta(cited, piece.index) for cited in part.citations]
            if type(part) is Thinking and part.signature:
                out.append(SignatureDelta(part.signature, piece.index))
            self._end(piece, out)

    # --- pieces ----------------------------------------------------------------------------------

    def _begin_piece(self, item: _Item, field: str, n: int, value: Json, out: list[StreamEvent]) -> _Piece:
        """A part that begins with its item's fields if it is the first of it, and as ours if it is not."""
        first = not item.pieces
        where = f"{item.at}.{field}[{n}]"
        kind = value.get("type") if type(value) is dict else None
        part: Part
        if item.kind == "reasoning":
            self._close(item, out)  # the seal comes on the last
            shown = {"type": "reasoning_text" if field == "content" else "summary_text", "text": ""}
            node = {**_begun(item.node), "summary": [], "content": [], "encrypted_content": None}
            node[field] = [shown]
            (part,) = reasoning(node, item.at, self._parts[-1] if self._parts else None)
            assert type(part) is Thinking
            if not first:
                part = _replace(part, extras=ours({"type": shown["type"]}) if field == "content" else OURS)
        else:
            empty = (
                {"type": "refusal", "refusal": ""}
                if kind == "refusal"
                else {"type": "output_text", "text": ""}
            )
            more = {k: v for k, v in value.items() if k not in _SAID} if type(value) is dict else {}
            held = assistant({**_begun(item.node), "content": [{**more, **empty}]}, item.at).parts
            part = held[0]
            if not first and type(part) in (Text, Refusal):
                part = _replace(part, extras=OURS, at=where)
        return self._open(item, (field, n), part, out)

    def _piece(self, wire: Wire, field: str, name: str, kind: str, out: list[StreamEvent]) -> _Piece | None:
        """The part that an event is about, begun now if its beginning was left out; None: of another item."""
        item = self._item(wire)
        n = need(wire, name, int, "")
        if item.kind not in ("message", "reasoning"):
            return None
        return item.pieces.get((field, n)) or self._begin_piece(item, field, n, {"type": kind}, out)

    def _part_added(self, wire: Wire, out: list[StreamEvent]) -> None:
        item, n = self._item(wire), need(wire, "content_index", int, "")
        value = need(wire, "part", dict, "")
        if item.kind in ("message", "reasoning") and ("content", n) not in item.pieces:
            piece = self._begin_piece(item, "content", n, value, out)
            self._rest(piece, value.get("text") or value.get("refusal"), out)
            self._beside(piece, value, f"{item.at}.content[{n}]", out)

    def _part_done(self, wire: Wire, out: list[StreamEvent]) -> None:
        value = need(wire, "part", dict, "")
        piece = self._piece(wire, "content", "content_index", str(value.get("type")), out)
        if piece is not None:
            self._rest(piece, value.get("refusal" if type(piece.part) is Refusal else "text"), out)
            self._beside(
                piece, value, f"output[{wire['output_index']}].content[{wire['content_index']}]", out
            )
            if type(piece.part) is not Thinking:
                self._end(piece, out)

    def _beside(self, piece: _Piece, value: Wire, at: str, out: list[StreamEvent]) -> None:
        """What a part says beside its text, unless it was told before."""
        self._odds(piece, value, out)
        self._cite(piece, value, at, out)

    def _cite(self, piece: _Piece, value: Wire, at: str, out: list[StreamEvent]) -> None:
        cited = value.get("annotations")
        if type(piece.part) is not Text or type(cited) is not list or not piece.open:
            return
        for n, body in enumerate(cited[piece.cited :], piece.cited):
            out.append(CitationDelta(citation(body, f"{at}.annotations[{n}]"), piece.index))
        piece.cited = max(piece.cited, len(cited))

    def _text_delta(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "output_text", out)
        if piece is not None and piece.open:
            odds = wire.get("logprobs")
            told = {"content": odds, "refusal": None} if type(odds) is list and odds else None
            piece.odds = piece.odds or told is not None
            self._grow(piece, need(wire, "delta", str, ""), out, told)

    def _text_done(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "output_text", out)
        if piece is not None:
            self._rest(piece, wire.get("text"), out)
            self._odds(piece, wire, out)

    def _odds(self, piece: _Piece, value: Wire, out: list[StreamEvent]) -> None:
        """Probabilities that the deltas left out."""
        odds = value.get("logprobs")
        if type(odds) is list and odds and not piece.odds and piece.open and type(piece.part) is Text:
            piece.odds = True
            self._grow(piece, "", out, {"content": odds, "refusal": None})

    def _annotation(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "output_text", out)
        if (
            piece is not None
            and type(piece.part) is Text
            and piece.open
            and wire.get("annotation") is not None
        ):
            at = f"output[{wire['output_index']}].content[{wire['content_index']}].annotations[{piece.cited}]"
            piece.cited += 1
            out.append(CitationDelta(citation(wire["annotation"], at), piece.index))

    def _refusal_delta(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "refusal", out)
        if piece is not None and piece.open:
            self._grow(piece, need(wire, "delta", str, ""), out)

    def _refusal_done(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "refusal", out)
        if piece is not None:
            self._rest(piece, wire.get("refusal"), out)

    def _summary(self, wire: Wire, out: list[StreamEvent]) -> None:
        """Begins, grows or is done: the same of each, by what the event holds."""
        piece = self._piece(wire, "summary", "summary_index", "summary_text", out)
        if piece is not None and piece.open:
            self._thought(piece, wire, out)
        if wire.get("status") not in (None, "completed"):
            where = f"output[{wire['output_index']}].summary[{wire['summary_index']}]"
            self._late[f"{where}.status"] = wire["status"]

    def _raw(self, wire: Wire, out: list[StreamEvent]) -> None:
        piece = self._piece(wire, "content", "content_index", "reasoning_text", out)
        if piece is not None and piece.open:
            self._thought(piece, wire, out)

    def _thought(self, piece: _Piece, wire: Wire, out: list[StreamEvent]) -> None:
        delta, part = wire.get("delta"), wire.get("part")
        if type(delta) is str:
            self._grow(piece, delta, out)
        self._rest(piece, part.get("text") if type(part) is dict else wire.get("text"), out)

    def _arguments(self, wire: Wire, out: list[StreamEvent]) -> None:
        item = self._item(wire)
        piece = item.pieces.get(("arguments", 0))
        if piece is None or not piece.open:
            return
        delta = wire.get("delta")
        if type(delta) is str:
            self._grow(piece, delta, out)
        self._rest(piece, wire.get("input" if item.kind == "custom_tool_call" else "arguments"), out)


_PADDING = frozenset({"sequence_number", "obfuscation"})
_TERMINAL = frozenset({"type", "sequence_number", "response"})
_SAID = frozenset({"type", "text", "refusal", "annotations", "logprobs"})
_TOLD = frozenset(
    {"type", "content", "summary", "encrypted_content", "arguments", "input", "call_id", "name", "role"}
)


def _begun(node: Wire) -> Wire:
    """An item as it begins is `in_progress`, which is no field of what it will be."""
    return {k: v for k, v in node.items() if k != "status"}


def _bare(part: Part) -> Part:
    """A part as it begins, before anything of it is said."""
    match part:
        case Text():
            return _replace(part, text="", citations=())
        case Refusal():
            return _replace(part, text="")
        case Thinking():
            return _replace(part, text="", signature=None)
        case ToolCall():
            return _replace(part, arguments="")
        case _:
            return part


_EVENTS: dict[str, Callable[[Reader, Wire, list[StreamEvent]], None]] = {
    "response.created": Reader._created,
    "response.in_progress": Reader._created,
    "response.queued": Reader._queued,
    "response.output_item.added": Reader._added,
    "response.output_item.done": Reader._done,
    "response.content_part.added": Reader._part_added,
    "response.content_part.done": Reader._part_done,
    "response.output_text.delta": Reader._text_delta,
    "response.output_text.done": Reader._text_done,
    "response.output_text.annotation.added": Reader._annotation,
    "response.refusal.delta": Reader._refusal_delta,
    "response.refusal.done": Reader._refusal_done,
    "response.reasoning_summary_part.added": Reader._summary,
    "response.reasoning_summary_part.done": Reader._summary,
    "response.reasoning_summary_text.delta": Reader._summary,
    "response.reasoning_summary_text.done": Reader._summary,
    "response.reasoning_text.delta": Reader._raw,
    "response.reasoning_text.done": Reader._raw,
    "response.function_call_arguments.delta": Reader._arguments,
    "response.function_call_arguments.done": Reader._arguments,
    "response.custom_tool_call_input.delta": Reader._arguments,
    "response.custom_tool_call_input.done": Reader._arguments,
    "response.completed": Reader._completed,
    "response.incomplete": Reader._completed,
    "response.failed": Reader._completed,
    "error": Reader._error,
    "keepalive": Reader._nothing,
}
