"""Events written as the wire's stream: every event numbered, the whole answer again at its end.

Items may interleave here, so each part is written as it comes. An item is done when its last part is: for a
part that was read here the next of the same item may follow, so its item is ended by what follows it.
`response.created` waits for one event more, for what is told at the beginning; usage goes with the end. A
client of this wire is always told the usage.
"""

import re

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
    TextRun,
    ThinkingDelta,
    UsageSeen,
    part_of,
    revise,
)
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
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from ...losses import Report
from ..checked import Wire, encode
from .blocks import ITEMS, annotation, continues, is_raw, opened, piece, seal, unmarked
from .errors import write_stream_error
from .names import NAME, is_ours
from .reply import close, envelope, lose_fields, made_id, settle
from .usage import write_usage

_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them
_LOST: dict[type, str] = {Native: "native_block", Image: "image", Document: "document", Audio: "audio"}


class _Item:
    __slots__ = ("node", "number", "pieces", "waits")

    def __init__(self, node: Wire, number: int) -> None:
        self.node = node
        self.number = number
        self.pieces = 0
        self.waits = False  # all its parts have ended, and another may follow


class _Part:
    """A part under way: its item, its place in it, and what has been said."""

    __slots__ = ("cited", "item", "n", "odds", "part", "said", "spoken")

    def __init__(self, part: Part, item: _Item, n: int) -> None:
        self.part = part
        self.item = item
        self.n = n
        self.said: list[str] = []
        self.spoken = 0  # characters
        self.cited: list[Json] = []
        self.odds: list[Json] = []


class Writer:
    __slots__ = (
        "_begin", "_end", "_head", "_hot", "_items", "_last", "_over", "_part_said", "_parts", "_repeated",
        "_report", "_said", "_sequence", "_skipped", "_started", "_usage", "_whole",
    )  # fmt: skip

    def __init__(self, report: Report, usage: bool, said: Wire | None = None) -> None:
        """`said`: what the answer repeats of its request."""
        self._report = report
        self._repeated = said or {}
        self._begin = Begin("", "")
        self._end: End | None = None
        self._usage: Usage | None = None
        self._started = False
        self._over = False
        self._sequence = 0
        self._items: list[_Item] = []
        self._parts: dict[int, _Part] = {}
        self._skipped: set[int] = set()  # parts that have no place here
        self._whole: list[Part] = []  # every part as it began
        self._last: _Part | None = None  # begun last
        self._hot: _Part | None = None  # the text that is being written
        self._head = b""
        self._said: set[str] = set()
        self._part_said = -1  # the index of `_hot`

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            hot = self._hot
            if (
                type(event) is TextDelta
                and hot is not None
                and event.index == self._part_said
                and event.choice == 0
                and event.logprobs is None
            ):
                text = event.text
                hot.said.append(text)
                hot.spoken += len(text)
                out.append(self._head % self._sequence + encode(text) + b',"logprobs":[]}\n\n')
                self._sequence += 1
            elif not self._over:
                self._event(event, out)
        return b"".join(out)

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin = event
                if event.extras is not None:
                    lose_fields(event.extras, "", self._report)
            case TextRun():
                out.append(self.write(event.deltas()))
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
                at = f"{self._report.names.get('choices', 'choices')}[{event.choice}]"
                self._lose(at, "choices")
            case End():
                self._end = event
            case _:
                self._start(out)
                self._content(event, out)

    def _lose(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report.lose_at(path, "dropped", why)

    def _tell(self, kind: str, body: Wire, out: list[bytes]) -> None:
        told = {"type": kind, "sequence_number": self._sequence, **body}
        self._sequence += 1
        out.append(b"event: " + kind.encode() + b"\ndata: " + encode(told) + b"\n\n")

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        if event.dialect != NAME or type(event.body) is not dict:
            self._lose(event.name or "event", "stream_event")
            return
        self._start(out)
        kind = event.body.get("type")
        name = kind if type(kind) is str else event.name or "event"
        self._tell(name, {k: v for k, v in event.body.items() if k != "type"}, out)

    # --- parts -----------------------------------------------------------------------------------

    def _content(self, event: PartEvent, out: list[bytes]) -> None:
        if isinstance(event, PartBegin):
            self._begin_part(event.part, event.index, out)
            return
        held = self._parts.get(event.index)
        if held is None:
            if isinstance(event, PartEnd) or event.index in self._skipped:
                return
            self._begin_part(part_of(event), event.index, out)
            held = self._parts.get(event.index)
            if held is None:
                return
        match event:
            case TextDelta():
                self._text(held, event, out)
            case ThinkingDelta(text=text):
                self._thought(held, text, out)
            case ArgumentsDelta(text=text):
                self._arguments(held, text, out)
            case SignatureDelta(signature=signature):
                old = held.item.node.get("encrypted_content") or ""
                held.item.node["encrypted_content"] = old + signature
            case CitationDelta():
                self._cite(held, event, out)
            case PartEnd():
                self._end_part(held, event.index, out)
            case _:
                pass

    def _begin_part(self, part: Part, index: int, out: list[bytes]) -> None:
        self._hot = None
        before = self._last
        follows = before is not None and continues(part, before.part)
        if not follows:
            self._close_waiting(out)
        if type(part) is Native and part.dialect == NAME:
            self._item(part.body, out)
            self._done(self._items[-1], out)
            self._last = None
            return
        if type(part) not in ITEMS:
            self._report.lose(part, None, "dropped", _LOST.get(type(part), "role"))
            self._skipped.add(index)
            return
        self._whole.append(part)
        unmarked(part, self._report)
        if follows:
            assert before is not None
            item = before.item
            item.waits = False
        else:
            item = self._item(opened(part, f"{made_id(self._begin.id)}_{len(self._items)}"), out, True)
        held = self._last = self._parts[index] = _Part(part, item, item.pieces)
        self._first_words(held, index, out)

    def _first_words(self, held: _Part, index: int, out: list[bytes]) -> None:
        """The piece begins, and says what the part already holds."""
        part = held.part
        match part:
            case Text() | Refusal():
                self._begin_piece(held, out)
                if part.text:
                    self._text(held, TextDelta(part.text, index), out)
                for cited in part.citations if type(part) is Text else ():
                    self._cite(held, CitationDelta(cited, index), out)
                if type(part) is Text:
                    self._hot, self._part_said = held, index
                    at = (
                        held.item.number,
                        held.n,
                        encode(held.item.node.get("id") or "").replace(b"%", b"%%"),
                    )
                    self._head = (
                        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
                        b'"sequence_number":%%d,"output_index":%d,"content_index":%d,"item_id":%b,"delta":'
                        % at
                    )
            case Thinking():
                seal(held.item.node, part, self._report)
                if part.redacted is None and (part.text or is_raw(part) or held.n):
                    self._thought(held, part.text, out)
            case ToolCall():
                if part.arguments not in ("", "{}") or (part.custom and part.arguments):
                    self._arguments(held, part.arguments, out)
            case _:
                pass

    def _item(self, node: Wire, out: list[bytes], begun: bool = False) -> _Item:
        item = _Item(node, len(self._items))
        self._items.append(item)
        shown = {**node, "status": "in_progress"} if begun and "status" in node else node
        self._tell("response.output_item.added", {"output_index": item.number, "item": shown}, out)
        return item

    def _at(self, held: _Part, index: str = "content_index") -> Wire:
        item = held.item
        return {"item_id": item.node.get("id") or "", "output_index": item.number, index: held.n}

    def _begin_piece(self, held: _Part, out: list[bytes]) -> None:
        """A summary begins with its first words, for a thought may have none."""
        held.item.pieces += 1
        part = held.part
        empty = piece(part, held.n, "", [], None)
        if type(part) is Thinking and not is_raw(part):
            self._tell(
                "response.reasoning_summary_part.added",
                {**self._at(held, "summary_index"), "part": empty},
                out,
            )
        else:
            self._tell("response.content_part.added", {**self._at(held), "part": empty}, out)

    def _text(self, held: _Part, event: TextDelta, out: list[bytes]) -> None:
        text, odds = event.text, event.logprobs
        if isinstance(held.part, Thinking):
            self._odd(odds)
            self._thought(held, text, out)
            return
        held.said.append(text)
        held.spoken += len(text)
        if type(held.part) is Refusal:
            self._odd(odds)
            self._tell("response.refusal.delta", {**self._at(held), "delta": text}, out)
            return
        tokens: list[Json] = []
        if type(odds) is dict and type(odds.get("content")) is list:
            first = next((p for p in self._whole if type(p) is Text), None)
            if held.part is first:
                tokens = odds["content"]
                held.odds += tokens
        if not tokens or any(v for name, v in odds.items() if name != "content"):
            self._odd(odds)
        self._tell("response.output_text.delta", {**self._at(held), "delta": text, "logprobs": tokens}, out)

    def _odd(self, odds: Json) -> None:
        if odds is not None:
            at = f"{self._report.names.get('choices', 'choices')}[0]"
            self._lose(self._report.path(Choice(at=at), "logprobs"), "logprobs")

    def _thought(self, held: _Part, text: str, out: list[bytes]) -> None:
        if not isinstance(held.part, Thinking):
            self._text(held, TextDelta(text), out)
            return
        raw = is_raw(held.part)
        if held.n == held.item.pieces:
            self._begin_piece(held, out)
        if text:
            held.said.append(text)
            kind = "response.reasoning_text.delta" if raw else "response.reasoning_summary_text.delta"
            self._tell(
                kind, {**self._at(held, "content_index" if raw else "summary_index"), "delta": text}, out
            )

    def _arguments(self, held: _Part, text: str, out: list[bytes]) -> None:
        if not isinstance(held.part, ToolCall) or not text:
            return
        held.said.append(text)
        kind = "custom_tool_call_input" if held.part.custom else "function_call_arguments"
        where = {"item_id": held.item.node.get("id") or "", "output_index": held.item.number}
        self._tell(f"response.{kind}.delta", {**where, "delta": text}, out)

    def _cite(self, held: _Part, event: CitationDelta, out: list[bytes]) -> None:
        made = annotation(event.citation, 0, held.spoken, self._report)
        if made is not None:
            body = {**self._at(held), "annotation_index": len(held.cited), "annotation": made}
            held.cited.append(made)
            self._tell("response.output_text.annotation.added", body, out)

    # --- ends ------------------------------------------------------------------------------------

    def _end_part(self, held: _Part, index: int, out: list[bytes]) -> None:
        if self._hot is held:
            self._hot = None
        del self._parts[index]
        part, node, said = held.part, held.item.node, "".join(held.said)
        if isinstance(part, ToolCall):
            self._end_call(held, part, said or ("" if part.custom else "{}"), out)
        elif isinstance(part, Thinking):
            if held.n < held.item.pieces:
                self._end_thought(held, part, said, out)
        else:
            whole = piece(part, held.n, said, held.cited, held.odds)
            if type(part) is Refusal:
                self._tell("response.refusal.done", {**self._at(held), "refusal": said}, out)
            else:
                self._tell(
                    "response.output_text.done", {**self._at(held), "text": said, "logprobs": held.odds}, out
                )
            self._tell("response.content_part.done", {**self._at(held), "part": whole}, out)
            node["content"].append(whole)
        if is_ours(part) and not isinstance(part, ToolCall):
            held.item.waits = True
        else:
            self._done(held.item, out)

    def _end_call(self, held: _Part, part: ToolCall, said: str, out: list[bytes]) -> None:
        if not held.said and said:
            self._arguments(held, said, out)
        kind = "custom_tool_call_input" if part.custom else "function_call_arguments"
        name = "input" if part.custom else "arguments"
        where = {"item_id": held.item.node.get("id") or "", "output_index": held.item.number}
        self._tell(f"response.{kind}.done", {**where, name: said}, out)
        held.item.node[name] = said

    def _end_thought(self, held: _Part, part: Thinking, said: str, out: list[bytes]) -> None:
        whole = piece(part, held.n, said, [], None)
        if is_raw(part):
            self._tell("response.reasoning_text.done", {**self._at(held), "text": said}, out)
            self._tell("response.content_part.done", {**self._at(held), "part": whole}, out)
            held.item.node.setdefault("content", []).append(whole)
        else:
            at = self._at(held, "summary_index")
            self._tell("response.reasoning_summary_text.done", {**at, "text": said}, out)
            self._tell("response.reasoning_summary_part.done", {**at, "part": whole}, out)
            held.item.node["summary"].append(whole)

    def _done(self, item: _Item, out: list[bytes]) -> None:
        item.waits = False
        self._tell("response.output_item.done", {"output_index": item.number, "item": item.node}, out)

    def _close_waiting(self, out: list[bytes]) -> None:
        for item in self._items:
            if item.waits:
                self._done(item, out)

    # --- the answer ------------------------------------------------------------------------------

    def _start(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        body = self._envelope(Report())
        self._tell("response.created", {"response": body}, out)
        self._tell("response.in_progress", {"response": body}, out)

    def _envelope(self, report: Report) -> Wire:
        begin = self._begin
        reply = Reply(
            id=begin.id,
            model=begin.model,
            choices=(),
            created=begin.created,
            service_tier=begin.service_tier,
            extras=begin.extras,
        )
        return envelope(reply, report) | self._repeated

    def _finish(self, out: list[bytes]) -> None:
        self._start(out)
        for index, held in list(self._parts.items()):
            self._end_part(held, index, out)
        self._close_waiting(out)
        body = self._envelope(self._report)
        body["output"] = [item.node for item in self._items]
        body["usage"] = None if self._usage is None else write_usage(self._usage, self._report)
        end = self._end
        fields: Wire = {}
        if end is not None:
            close(body, end.stop, self._whole, self._report)
            # A source without a list of choices has the fields of its only one at the top.
            listed = _LISTED.match(end.stop.at)
            at = listed[0] if listed is not None else ""
            fields = self._report.extras(Choice(at=at, extras=end.extras), NAME)
        kind = "incomplete" if body["status"] == "incomplete" else "completed"
        self._tell(f"response.{kind}", {"response": settle(body, fields)}, out)
        self._over = True
