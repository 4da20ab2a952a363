"""Events written as the wire's stream: a line for each piece.

A line's fields say what grows, and two texts in a row cannot be told apart: the second is joined to the
first, and reported. A call is written when it is whole. A part that begins while a call is under way comes
out before it, which is reported as well.
"""

from ...events import (
    ArgumentsDelta,
    AudioDelta,
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
    revise,
)
from ...ir import Choice, Image, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from ...losses import Report
from .. import runs
from ..checked import Wire, encode, merge
from .blocks import Fields, as_call
from .errors import write_stream_error
from .names import NAME
from .reply import head, own_fields, write_logprobs, write_stop
from .usage import write_usage

_LINE_ENDS = tuple((char.encode(), b"\\u%04x" % ord(char)) for char in "\x85\u2028\u2029")
"""Characters that end a line for some readers, the official SDK's among them: written as escapes."""

_GOING_ON = b'},"done":false}\n'


class _Part:
    """A part under way. `told`: any of it has been written. `lost`: none of it will be."""

    __slots__ = ("lost", "part", "pieces", "told")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.told = False
        self.lost = False


class Writer:
    __slots__ = (
        "_anchored", "_calls", "_end", "_first", "_head", "_hot", "_hot_head", "_last", "_open", "_parts",
        "_report", "_said", "_usage",
    )  # fmt: skip

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._parts: dict[int, _Part] = {}
        self._head = b"{"  # what a line begins with
        self._hot: int | None = None  # the text that is being written
        self._hot_head = b""  # what its lines begin with
        self._first: Wire = {}  # unknown fields, told once
        self._last: type[Part] | None = None  # kind of the part that was written last
        self._anchored = False  # some of what was written of that kind stands where it was said
        self._open: set[int] = set()  # calls under way
        self._calls = 0
        self._end: End | None = None
        self._usage: Usage | None = None
        self._said: set[str] = set()

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                and event.index == self._hot
                and event.choice == 0
                and event.logprobs is None
            ):
                if event.text:
                    out.append(self._hot_head + encode(event.text) + _GOING_ON)
            elif type(event) is TextRun and event.index == self._hot and event.choice == 0:
                out.append(runs.write(event.texts, self._hot_head, _GOING_ON))
            else:
                self._event(event, out)
        made = b"".join(out)
        if not made.isascii():
            for written, escaped in _LINE_ENDS:
                made = made.replace(written, escaped)
        return made

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case TextDelta() if event.choice == 0:
                self._text(event, out)
            case ThinkingDelta() if event.choice == 0:
                self._thought(event, out)
            case Begin():
                self._begin(event)
            case TextRun():
                out.append(self.write(event.deltas()))
            case UsageSeen():
                self._usage = revise(self._usage, event.usage)
            case NativeEvent():
                self._native(event, out)
            case Done():
                self._finish(out)
            case Failed():
                out.append(write_stream_error(event.fault, ""))
            case _ if event.choice != 0:
                self._lose(f"{self._report.names.get('choices', 'choices')}[{event.choice}]", "choices")
            case PartBegin():
                self._begin_part(event, out)
            case PartEnd():
                self._end_part(event.index, out)
            case ArgumentsDelta():
                self._part(event.index).pieces.append(event.text)
            case SignatureDelta():
                self._sign(event)
            case CitationDelta():
                self._report.lose(event.citation, None, "dropped", "citations")
            case AudioDelta():
                pass  # its part was lost whole
            case End():
                self._end = event

    def _lose(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report.lose_at(path, "dropped", why)

    def _begin(self, event: Begin) -> None:
        node = Reply(
            id=event.id, model=event.model, created=event.created, service_tier=event.service_tier,
            extras=event.extras, choices=(),
        )  # fmt: skip
        made = head(node, self._report)
        self._head = encode(made)[:-1] + b","
        own = event.extras.fields if event.extras is not None and event.extras.dialect == NAME else {}
        self._first = {k: v for k, v in own.items() if k not in made}

    def _line(self, message: Wire, out: list[bytes], more: Wire | None = None) -> None:
        rest = {"message": {"role": "assistant", "content": "", **message}, "done": False, **(more or {})}
        rest, self._first = merge(rest, self._first), {}
        line = encode(rest)[1:]
        if (
            b"\n" in line or b"\r" in line
        ):  # between the tokens of a call's arguments, as the model wrote them
            line = line.replace(b"\n", b" ").replace(b"\r", b" ")
        out.append(self._head + line + b"\n")

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        if event.dialect == NAME and type(event.body) is dict:
            self._line({}, out, event.body)
        else:
            self._lose(event.name or "event", "stream_event")

    # --- parts

    def _part(self, index: int, kind: type[Text] | type[Thinking] = Text) -> _Part:
        held = self._parts.get(index)
        if held is None:  # a delta without a beginning
            held = self._parts[index] = _Part(Text(text="") if kind is Text else Thinking())
        return held

    def _begin_part(self, event: PartBegin, out: list[bytes]) -> None:
        part, self._hot = event.part, None
        held = self._parts[event.index] = _Part(part)
        match part:
            case Text() | Refusal():
                self._fields().marks(part)
                if part.text:
                    self._text(TextDelta(part.text, event.index), out)
                for cited in part.citations if type(part) is Text else ():
                    self._report.lose(cited, None, "dropped", "citations")
            case Thinking(redacted=None):
                self._fields().marks(part)
                if part.text:
                    self._thought(ThinkingDelta(part.text, event.index), out)
                if part.signature is not None:
                    self._sign(SignatureDelta(part.signature, event.index))
            case ToolCall():
                self._open.add(event.index)
                if part.cache is not None:
                    self._report.lose(part.cache, None, "dropped", "cache_mark")
            case Image() if part.source.data is not None:
                fields = self._fields()
                fields.take((part,), True)
                self._place(held)
                self._line({"images": fields.images}, out)
            case _:
                held.lost = True
                self._fields().take((part,), True)

    def _fields(self) -> Fields:
        return Fields(self._report, False, "")

    def _place(self, held: _Part) -> None:
        """The part is about to be written for the first time."""
        kind: type[Part] = Text if type(held.part) is Refusal else type(held.part)
        held.told = True
        anchored = self._anchored and kind is self._last
        if type(held.part) is Refusal:
            self._report.lose(held.part, None, "changed", "refusal")
        elif self._open or (kind is self._last and self._anchored and kind in (Text, Thinking)):
            self._report.lose(held.part, None, "changed", "part_order")
        else:
            anchored = True
        self._last, self._anchored = kind, anchored

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        held = self._part(event.index)
        told = None
        if event.logprobs is not None:
            told = write_logprobs(event.logprobs, Choice(at=self._at()), self._report)
        if not event.text and told is None:
            return
        if not held.told:
            self._place(held)
        if told is not None or self._first:
            self._line({"content": event.text}, out, {"logprobs": told} if told is not None else None)
        else:
            self._hot = event.index
            self._hot_head = self._head + b'"message":{"role":"assistant","content":'
            out.append(self._hot_head + encode(event.text) + _GOING_ON)

    def _at(self) -> str:
        """Where the source's only choice stands, for the paths of losses."""
        return f"{self._report.names.get('choices', 'choices')}[0]"

    def _thought(self, event: ThinkingDelta, out: list[bytes]) -> None:
        held = self._part(event.index, Thinking)
        if event.text:
            if not held.told:
                self._place(held)
            self._line({"thinking": event.text}, out)

    def _sign(self, event: SignatureDelta) -> None:
        held = self._part(event.index, Thinking)
        path = self._report.path(held.part, "signature")
        self._lose(path, "thinking_signature")

    def _end_part(self, index: int, out: list[bytes]) -> None:
        held = self._part(index)
        part = held.part
        match part:
            case ToolCall() if index in self._open:
                self._open.discard(index)
                self._last = ToolCall
                begun = "" if part.arguments == "{}" and held.pieces else part.arguments
                arguments = (begun + "".join(held.pieces)) or ("" if part.custom else "{}")
                call = ToolCall(
                    id=part.id, name=part.name, arguments=arguments, custom=part.custom,
                    extras=part.extras, at=part.at,
                )  # fmt: skip
                self._line({"tool_calls": [as_call(call, self._report, self._calls)]}, out)
                self._calls += 1
            case Text() | Refusal() if not held.told:
                self._report.lose(part, None, "dropped", "empty_text")
            case Thinking() if not held.told and not held.lost:
                self._report.lose(part, None, "dropped", "thinking")
            case _:
                pass
        held.told = True

    # --- the end

    def _finish(self, out: list[bytes]) -> None:
        for index in sorted(self._open):
            self._end_part(index, out)
        end = self._end
        message: Wire = {}
        more: Wire = {"done": True}
        if end is not None:
            head = end.stop.at.partition(".")[0]
            at = head if "[" in head else ""  # of a source that lists its choices
            message = own_fields(Choice(at=at, extras=end.extras), self._report)
            word = write_stop(end.stop, self._calls > 0, self._report)
            if word is not None:
                more["done_reason"] = word
        if self._usage is not None:
            more |= write_usage(self._usage, self._report)
        self._line(message, out, more)
