"""A stream written: events, as the chunks that the official SDK adds up.

Every chunk has the id, object, time and model of the first. Text deltas, nearly all there are, are put
between two prepared ends. The wire has no place for where a part begins or ends, so two texts in a row, or
an empty one, are told apart by a delta with a `type` beside its empty text, which clients that do not know
it pass over; two thoughts in a row by an item of `reasoning_details` that only closes the first.
"""

import re
from collections.abc import Callable
from typing import Any

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
    ToolResult,
    Usage,
)
from ...losses import Report
from .. import runs
from ..checked import Wire, encode, merge
from . import thoughts
from .asking import as_call, service_tier
from .blocks import annotation
from .errors import write_stream_error
from .names import NAME, is_ours
from .reply import write_stop
from .usage import write_usage

_TEXTS = (TextDelta, TextRun)
_DATA = b"data: "
_END = b"\n\n"
_DONE = b"data: [DONE]\n\n"
_OPEN = b',"finish_reason":null}]}\n\n'
_SHUT = b"}" + _OPEN
_WHY: dict[type, str] = {Image: "image", Document: "document", ToolResult: "role"}

_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them


class _Part:
    """A part under way in a choice."""

    __slots__ = ("calls", "detail", "part", "signature", "text", "told")

    def __init__(self, part: Part, calls: int) -> None:
        self.part = part
        self.calls = calls  # for a tool call, its number among the calls
        self.text: list[str] = []  # of a thought
        self.signature = ""
        self.told = False  # whether any of it has been written
        self.detail: int | None = None  # for a thought, its number among the details


class _Choice:
    __slots__ = ("calls", "details", "last", "parts", "said", "spoken")

    def __init__(self) -> None:
        self.parts: dict[int, _Part] = {}
        self.last: _Part | None = None  # begun last
        self.said: list[Part] = []
        self.calls = 0
        self.details = 0
        self.spoken = 0  # characters of text so far


class Writer:
    __slots__ = ("_before", "_choices", "_head", "_hot", "_report", "_spoken", "_told_usage", "_usage")

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._told_usage = usage
        self._usage: Usage | None = None
        self._choices: dict[int, _Choice] = {}
        self._head = b""
        self._hot = (-1, -1)  # the index and choice whose text is being written
        self._before = b""
        self._spoken: _Choice | None = None

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, _TEXTS) and (event.index, event.choice) == self._hot:
                assert self._spoken is not None
                if isinstance(event, TextRun):
                    self._spoken.spoken += sum(map(len, event.texts))
                    out.append(runs.write(event.texts, self._before, _SHUT))
                    continue
                if event.logprobs is None:
                    self._spoken.spoken += len(event.text)
                    out += self._before, encode(event.text), _SHUT
                    continue
            _WRITES[type(event)](self, event, out)
        return b"".join(out)

    def _run(self, event: TextRun, out: list[bytes]) -> None:
        out.append(self.write(event.deltas()))

    def _signature(self, event: SignatureDelta, out: list[bytes]) -> None:
        held = self._part(event.choice, event.index)
        part = held.part
        if type(part) is Thinking and part.signer not in (None, NAME):
            self._report.lose(part, "signature", "dropped", "thinking_signature")
        else:
            held.signature += event.signature

    def _seen(self, event: UsageSeen, out: list[bytes]) -> None:
        self._usage = revise(self._usage, event.usage)

    def _failed(self, event: Failed, out: list[bytes]) -> None:
        out.append(write_stream_error(event.fault, ""))

    # --- the envelope

    def _begin(self, event: Begin, out: list[bytes]) -> None:
        node = Reply(id=event.id, model=event.model, choices=(), extras=event.extras)
        fields = self._report.extras(node, NAME) if event.extras is not None else {}
        head: Wire = {
            "id": event.id,
            "object": fields.get("object", "chat.completion.chunk"),
            "created": event.created or 0,
            "model": event.model,
        }
        self._head = encode(head)[:-1]
        first: Wire = {}
        if event.service_tier is not None:
            first["service_tier"] = service_tier(node, event.service_tier, self._report)
        for name, value in fields.items():
            if name not in head:
                first[name] = value
        self._choice(0)
        out.append(self._chunk([_empty(0)], first))

    def _chunk(self, choices: list[Json], more: Wire) -> bytes:
        rest = encode({"choices": choices, **more})[1:]
        return _DATA + (self._head + b"," if self._head else b"{") + rest + _END

    def _choice(self, number: int, out: list[bytes] | None = None) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
            if out is not None and number:
                out.append(self._chunk([_empty(number)], {}))
        return choice

    def _delta(self, number: int, delta: Wire, out: list[bytes], more: Wire | None = None) -> None:
        choice: Wire = {"index": number, "delta": delta}
        if more:
            choice |= more
        choice.setdefault("finish_reason", None)
        out.append(self._chunk([choice], {}))

    def _part(self, number: int, index: int) -> _Part:
        choice = self._choice(number)
        part = choice.parts.get(index)
        if part is None:  # a delta without a beginning is a text's
            part = choice.parts[index] = _Part(Text(text=""), 0)
        return part

    # --- parts

    def _begin_part(self, event: PartBegin, out: list[bytes]) -> None:
        self._hot = (-1, -1)
        number, part = event.choice, event.part
        choice = self._choice(number, out)
        held = choice.parts[event.index] = _Part(part, choice.calls)
        before = choice.last
        if type(part) not in _WHY and not (type(part) is Native and part.dialect != NAME):
            choice.last = held  # of what is left out a reader sees nothing: its neighbours become such
        choice.said.append(part)
        if type(part) in (Text, Thinking, ToolCall) and getattr(part, "cache", None) is not None:
            self._report.lose(part, "cache", "dropped", "cache_mark")
        fields = self._report.extras(part, NAME)
        match part:
            case Text() | Refusal():
                if fields or (before is not None and type(before.part) is type(part)):
                    self._delta(number, merge(_told(part), fields), out)
                    held.told = True
                if part.text:
                    self._text(TextDelta(part.text, event.index, number), out)
                for citation in part.citations if type(part) is Text else ():
                    self._cite(CitationDelta(citation, event.index, number), out)
            case Thinking():
                self._begin_thought(held, before, number, out)
            case ToolCall():
                choice.calls += 1
                arguments = "" if part.arguments == "{}" else part.arguments
                held.told = bool(arguments)
                begun = ToolCall(
                    id=part.id, name=part.name, arguments=arguments, custom=part.custom, extras=part.extras
                )
                call = {"index": held.calls, **as_call(begun, Report())}
                self._delta(number, {"tool_calls": [call]}, out)
            case Audio():
                self._begin_sound(part, number, out)
            case Native():
                if part.dialect != NAME:
                    self._report.lose(part, None, "dropped", "native_block")
                elif thoughts.is_item(part):
                    self._details(number, part.body, out)
                else:
                    self._delta(number, {"content": [part.body]}, out)
            case _:
                self._report.lose(part, None, "dropped", _WHY[type(part)])

    def _end_part(self, event: PartEnd, out: list[bytes]) -> None:
        if self._hot == (event.index, event.choice):
            self._hot = (-1, -1)
        held = self._part(event.choice, event.index)
        match held.part:
            case Text() | Refusal():
                if not held.told:
                    self._delta(event.choice, _told(held.part), out)
            case Thinking():
                self._end_thought(held, event.choice, out)
            case ToolCall():
                if not held.told and not held.part.custom:
                    call = {"index": held.calls, "function": {"arguments": "{}"}}
                    self._delta(event.choice, {"tool_calls": [call]}, out)
            case _:
                pass
        held.told = True

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        number = event.choice
        held = self._part(number, event.index)
        choice = self._choice(number)
        held.told = held.told or bool(event.text)
        field = "refusal" if type(held.part) is Refusal else "content"
        more = None if event.logprobs is None else {"logprobs": event.logprobs}
        choice.spoken += len(event.text) if field == "content" else 0
        if more and not held.told:
            self._delta(number, _told(held.part), out, more)
            held.told = True
        elif event.text or more:
            self._delta(number, {field: event.text}, out, more)
        if field == "content" and held.told:
            self._hot, self._spoken = (event.index, number), choice
            begun = b',"choices":[{"index":%d,"delta":{"content":' % number
            self._before = _DATA + self._head + begun

    def _cite(self, event: CitationDelta, out: list[bytes]) -> None:
        end = self._choice(event.choice).spoken
        cited = event.citation
        made = annotation(cited, 0, end, self._report)
        if made is not None:
            self._delta(event.choice, {"annotations": [made]}, out)

    # --- thinking

    def _begin_thought(self, held: _Part, before: _Part | None, number: int, out: list[bytes]) -> None:
        part = held.part
        assert type(part) is Thinking
        earlier = None if before is None or before.signature else before.part
        if type(earlier) is Thinking and earlier.redacted is None:
            self._details(number, {"type": "reasoning.text", "signature": ""}, out)
        if part.redacted is not None:
            self._details(number, thoughts.as_item(part), out)
            held.told = True
            return
        if not thoughts.is_plain(part) and part.signature is None:
            self._details(number, thoughts.as_item(Thinking(extras=part.extras)), out, held)
            held.told = True
        held.signature = thoughts.unsealed(part, self._report).signature or ""
        if part.text:
            self._thought_text(held, part.text, number, out)

    def _thought(self, event: ThinkingDelta, out: list[bytes]) -> None:
        held = self._part(event.choice, event.index)
        self._thought_text(held, event.text, event.choice, out)

    def _thought_text(self, held: _Part, text: str, number: int, out: list[bytes]) -> None:
        if not text:
            return
        held.told = True
        held.text.append(text)
        delta: Wire = {"reasoning_content": text}
        part = held.part
        if type(part) is Thinking and is_ours(part) and not thoughts.is_plain(part):
            item = thoughts.as_item(Thinking(text=text, extras=part.extras))
            delta["reasoning_details"] = [self._numbered(number, item, held)]
        self._delta(number, delta, out)

    def _end_thought(self, held: _Part, number: int, out: list[bytes]) -> None:
        """A signature goes out with the whole text, for clients that keep the items to send them back."""
        part = held.part
        assert type(part) is Thinking
        if held.told and not held.signature:
            return
        rich = is_ours(part) and not thoughts.is_plain(part)
        text = "" if rich else "".join(held.text)
        signature = held.signature or None
        item = thoughts.as_item(Thinking(text=text, signature=signature, extras=part.extras))
        self._details(number, item, out, held)

    def _details(self, number: int, item: Wire, out: list[bytes], held: _Part | None = None) -> None:
        self._delta(number, {"reasoning_details": [self._numbered(number, item, held)]}, out)

    def _numbered(self, number: int, item: Wire, held: _Part | None) -> Wire:
        """With its place in the list: the official SDK refuses to put a list together without."""
        choice = self._choice(number)
        place = held.detail if held is not None and held.detail is not None else choice.details
        choice.details = max(choice.details, place + 1)
        if held is not None:
            held.detail = place
        return {**item, "index": item.get("index", place)}

    # --- calls and sound

    def _arguments(self, event: ArgumentsDelta, out: list[bytes]) -> None:
        held = self._part(event.choice, event.index)
        part = held.part
        if type(part) is not ToolCall or not event.text:
            return
        held.told = True
        said = {"custom": {"input": event.text}} if part.custom else {"function": {"arguments": event.text}}
        call: Wire = {"index": held.calls, **said}
        if part.custom:
            call["type"] = "custom"
        self._delta(event.choice, {"tool_calls": [call]}, out)

    def _begin_sound(self, part: Audio, number: int, out: list[bytes]) -> None:
        if part.source is None:
            self._report.lose(part, None, "dropped", "audio")
            return
        if part.format is not None:
            self._report.lose(part, "format", "dropped", "audio")
        audio = {"id": part.id, "transcript": part.transcript, "expires_at": part.expires_at}
        held: Wire = {"data": part.source.data} if part.source.data else {}
        held |= {name: value for name, value in audio.items() if value is not None}
        self._delta(
            number, {"audio": merge(held, part.extras.fields if is_ours(part) and part.extras else {})}, out
        )

    def _sound(self, event: AudioDelta, out: list[bytes]) -> None:
        held = {"data": event.data, "transcript": event.transcript, "expires_at": event.expires_at}
        self._delta(event.choice, {"audio": {k: v for k, v in held.items() if v is not None}}, out)

    # --- the end

    def _end(self, event: End, out: list[bytes]) -> None:
        number = event.choice
        choice = self._choice(number, out)
        fields: Wire = {}
        if event.extras is not None:
            # A source without a list of choices has the fields of its only one at the top.
            listed = _LISTED.match(event.stop.at)
            held = Choice(at=listed[0] if listed is not None else "", extras=event.extras)
            fields = self._report.extras(held, NAME)
        word = write_stop(event.stop, choice.said, self._report)
        made: Wire = {"index": number, "delta": {}, "finish_reason": word}
        for name, value in fields.items():
            head, dot, tail = name.partition(".")
            if dot and head == "message":
                made["delta"][tail] = value
            else:
                made.setdefault(name, value)
        out.append(self._chunk([made], {}))

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        if event.dialect != NAME:
            self._report.lose(
                Native(dialect=event.dialect, body=None, at=event.name or "event"),
                None,
                "dropped",
                "stream_event",
            )
            return
        if type(event.body) is dict and "choices" in event.body:
            fields = {k: v for k, v in event.body.items() if k != "choices"}
            out.append(self._chunk([], fields))
        else:
            name = b"event: " + event.name.encode() + b"\n" if event.name else b""
            out.append(name + _DATA + encode(event.body) + _END)

    def _done(self, event: Done, out: list[bytes]) -> None:
        if self._usage is not None and self._told_usage:
            out.append(self._chunk([], {"usage": write_usage(self._usage, self._report)}))
        out.append(_DONE)


_WRITES: dict[type[StreamEvent], Callable[[Writer, Any, list[bytes]], None]] = {
    Begin: Writer._begin,
    PartBegin: Writer._begin_part,
    TextDelta: Writer._text,
    TextRun: Writer._run,
    ThinkingDelta: Writer._thought,
    SignatureDelta: Writer._signature,
    ArgumentsDelta: Writer._arguments,
    CitationDelta: Writer._cite,
    AudioDelta: Writer._sound,
    PartEnd: Writer._end_part,
    End: Writer._end,
    UsageSeen: Writer._seen,
    NativeEvent: Writer._native,
    Failed: Writer._failed,
    Done: Writer._done,
}


def _empty(number: int) -> Wire:
    """The first chunk of a choice, as every client expects it."""
    return {"index": number, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}


def _told(part: Part) -> Wire:
    """The delta that says no more than that a part begins here."""
    if type(part) is Refusal:
        return {"type": "refusal", "refusal": ""}
    return {"type": "text", "content": ""}
