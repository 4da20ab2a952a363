"""Stream events: a reply on its way, and how it adds up.

A stream is `Begin`, then parts, each `PartBegin`, deltas, `PartEnd`, then `End` for each choice, usage
wherever the wire puts it, and `Done`. Parts of one choice are numbered from 0 in the order they begin
and may interleave; a delta names its choice and part. `Failed` may come at any point and is the last.
Not every wire has all of these: a reader makes up the ones its wire leaves out, a writer leaves out the
ones its wire has not.

`assemble` is the meaning of a stream: the same answer sent plainly assembles to an equal reply.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import compress, groupby
from operator import attrgetter, is_not
from typing import Any, TypeAlias, Union

import msgspec

from .faults import Fault
from .ir import (
    Audio,
    Choice,
    Citation,
    Document,
    Extras,
    Image,
    Json,
    Native,
    Part,
    Refusal,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


class Event(msgspec.Struct, frozen=True, gc=False):
    pass


class Begin(Event, frozen=True):
    id: str
    model: str
    created: int | None = None
    service_tier: str | None = None
    extras: Extras | None = None


class PartBegin(Event, frozen=True):
    """`part` is what is known of it at the start: its kind, and for a tool call its id and name."""

    part: Part
    index: int = 0
    choice: int = 0


class TextDelta(Event, frozen=True):
    """More of a `Text` or of a `Refusal`."""

    text: str
    index: int = 0
    choice: int = 0
    logprobs: Json = None


class TextRun(Event, frozen=True):
    """More deltas of a text that has begun, none of them empty: no more than a shorter way to say them.

    Only who asks for it meets one (`StreamReader.gather`); every writer takes it.
    """

    texts: list[str]
    index: int = 0
    choice: int = 0

    def deltas(self) -> "list[StreamEvent]":
        return [TextDelta(text, self.index, self.choice) for text in self.texts]

    def whole(self) -> TextDelta:
        return TextDelta("".join(self.texts), self.index, self.choice)


class ThinkingDelta(Event, frozen=True):
    text: str
    index: int = 0
    choice: int = 0


class SignatureDelta(Event, frozen=True):
    signature: str
    index: int = 0
    choice: int = 0


class ArgumentsDelta(Event, frozen=True):
    """More of a tool call's JSON text; its pieces are no JSON by themselves."""

    text: str
    index: int = 0
    choice: int = 0


class CitationDelta(Event, frozen=True):
    citation: Citation
    index: int = 0
    choice: int = 0


class AudioDelta(Event, frozen=True):
    """More base64 sound, more of its transcript, or both."""

    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None
    index: int = 0
    choice: int = 0


class PartEnd(Event, frozen=True):
    index: int = 0
    choice: int = 0


class End(Event, frozen=True):
    stop: Stop
    choice: int = 0
    extras: Extras | None = None


class UsageSeen(Event, frozen=True):
    """Usage as known so far. Later ones revise: their set fields replace the earlier."""

    usage: Usage


class NativeEvent(Event, frozen=True):
    """An event that only its own dialect understands. `name` is its event name, where the wire has one."""

    dialect: str
    body: Json
    name: str | None = None


class Failed(Event, frozen=True):
    fault: Fault


class Done(Event, frozen=True):
    """The wire's own end mark was seen. A stream without it was cut short."""


StreamEvent: TypeAlias = Union[
    Begin,
    PartBegin,
    TextDelta,
    TextRun,
    ThinkingDelta,
    SignatureDelta,
    ArgumentsDelta,
    CitationDelta,
    AudioDelta,
    PartEnd,
    End,
    UsageSeen,
    NativeEvent,
    Failed,
    Done,
]

PartEvent: TypeAlias = Union[
    PartBegin, TextDelta, ThinkingDelta, SignatureDelta, ArgumentsDelta, CitationDelta, AudioDelta, PartEnd
]
"""Of one part, which it names by `choice` and `index`."""

CONTENT = (TextDelta, TextRun, ThinkingDelta, ArgumentsDelta, AudioDelta, CitationDelta, SignatureDelta)
"""The events after which a client has seen something of the answer. A `PartBegin` of a tool call, an image,
or a native block counts too: it names what will be done."""


_NAMED = (ToolCall, Image, Document, Native)


def has_content(event: StreamEvent) -> bool:
    """Whether a client that got this event has got a piece of the answer, so that no other may begin."""
    if isinstance(event, CONTENT):
        return True
    return isinstance(event, PartBegin) and isinstance(event.part, _NAMED)


def singly(events: list[StreamEvent]) -> list[StreamEvent]:
    """With each run as the deltas that it is."""
    if not any(type(event) is TextRun for event in events):
        return events
    out: list[StreamEvent] = []
    for event in events:
        out += event.deltas() if type(event) is TextRun else [event]
    return out


_COUNTS = tuple([field for field in Usage.__struct_fields__ if field != "at"])
_is_told = partial(is_not, None)
_told_by: Callable[[Usage], tuple[Json, ...]] = attrgetter(*_COUNTS)


def revise(old: Usage | None, new: Usage) -> Usage:
    """The fields that `new` tells replace those of `old`."""
    if old is None:
        return new
    values = _told_by(new)
    told = [*map(_is_told, values)]
    said = dict(zip(compress(_COUNTS, told), compress(values, told), strict=True))
    return msgspec.structs.replace(old, **said)


def part_of(event: PartEvent) -> Part:
    """The part that a delta without a beginning belongs to."""
    match event:
        case ThinkingDelta() | SignatureDelta():
            return Thinking()
        case ArgumentsDelta():
            return ToolCall(id="", name="", arguments="")
        case AudioDelta():
            return Audio()
        case _:
            return Text(text="")


class _Building:
    """One part under way: what it began as, and the pieces since."""

    __slots__ = ("audio", "citations", "logprobs", "part", "pieces", "signature")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.signature: list[str] = []
        self.audio: list[AudioDelta] = []
        self.logprobs: list[Json] = []

    def build(self) -> Part:
        replace, part, more = msgspec.structs.replace, self.part, "".join(self.pieces)
        match part:
            case Text():
                return replace(part, text=part.text + more, citations=part.citations + tuple(self.citations))
            case Refusal():
                return replace(part, text=part.text + more)
            case Thinking():
                signature = (part.signature or "") + "".join(self.signature)
                return replace(
                    part, text=part.text + more, signature=signature if self.signature else part.signature
                )
            case ToolCall():
                begun = "" if part.arguments == "{}" and more else part.arguments
                return replace(part, arguments=(begun + more) or ("" if part.custom else "{}"))
            case Audio():
                return self._audio(part)
            case _:
                return part

    def _audio(self, part: Audio) -> Audio:
        data = "".join(d.data for d in self.audio if d.data)
        said = "".join(d.transcript for d in self.audio if d.transcript)
        ends = [d.expires_at for d in self.audio if d.expires_at is not None]
        source = part.source
        if data and source is not None:
            source = msgspec.structs.replace(source, data=(source.data or "") + data)
        return msgspec.structs.replace(
            part,
            source=source,
            transcript=(part.transcript or "") + said if said else part.transcript,
            expires_at=ends[-1] if ends else part.expires_at,
        )


def merged(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """The same answer in fewer events: the pieces of a text that follow each other are one."""
    out: list[StreamEvent] = []
    for text, run in groupby(events, _text_of):
        pieces: list[Any] = list(run)
        if text is not None:
            whole = "".join([piece.text for piece in pieces])
            pieces = [msgspec.structs.replace(pieces[0], text=whole)]
        out += pieces
    return out


def _text_of(event: StreamEvent) -> tuple[type, int, int] | None:
    """What the event is a piece of; None where it is none, or tells more than text."""
    if not isinstance(event, TextDelta | ThinkingDelta | ArgumentsDelta):
        return None
    if isinstance(event, TextDelta) and event.logprobs is not None:
        return None
    return type(event), event.index, event.choice


def assemble(events: Iterable[StreamEvent]) -> Reply:
    """The reply that a stream adds up to. Raises the `Fault` of a `Failed`; native events are left out."""
    begin = Begin(id="", model="")
    usage: Usage | None = None
    parts: dict[tuple[int, int], _Building] = {}
    ends: dict[int, End] = {}
    for event in events:
        match event:
            case Begin():
                begin = event
            case PartBegin():
                parts[event.choice, event.index] = _Building(event.part)
            case TextDelta():
                building = parts[event.choice, event.index]
                building.pieces.append(event.text)
                if event.logprobs is not None:
                    building.logprobs.append(event.logprobs)
            case TextRun():
                parts[event.choice, event.index].pieces += event.texts
            case ThinkingDelta() | ArgumentsDelta():
                parts[event.choice, event.index].pieces.append(event.text)
            case SignatureDelta():
                parts[event.choice, event.index].signature.append(event.signature)
            case CitationDelta():
                parts[event.choice, event.index].citations.append(event.citation)
            case AudioDelta():
                parts[event.choice, event.index].audio.append(event)
            case End():
                ends[event.choice] = event
            case UsageSeen():
                usage = revise(usage, event.usage)
            case Failed():
                raise event.fault
            case _:
                pass
    return Reply(
        id=begin.id,
        model=begin.model,
        created=begin.created,
        service_tier=begin.service_tier,
        extras=begin.extras,
        usage=usage,
        choices=_choices(parts, ends),
    )


def _choices(parts: dict[tuple[int, int], _Building], ends: dict[int, End]) -> tuple[Choice, ...]:
    numbers = sorted({choice for choice, _ in parts} | set(ends) | {0})
    choices = []
    for number in numbers:
        mine = [parts[key] for key in sorted(parts) if key[0] == number]
        end = ends.get(number)
        choices.append(
            Choice(
                parts=tuple(b.build() for b in mine),
                stop=end.stop if end else None,
                logprobs=_joined([p for b in mine for p in b.logprobs]),
                extras=end.extras if end else None,
            )
        )
    return tuple(choices)


def _joined(pieces: list[Json]) -> Json:
    """Token probabilities come a chunk at a time, each an object of lists; lists of one name are chained."""
    if not pieces:
        return None
    whole: dict[str, Json] = {}
    for piece in pieces:
        for name, value in piece.items():
            whole[name] = (
                [*(whole.get(name) or []), *value] if isinstance(value, list) else whole.get(name, value)
            )
    return whole


def disassemble(reply: Reply) -> list[StreamEvent]:
    """The shortest stream that assembles to `reply`: an answer that came plainly, for a client that streams.

    Token probabilities ride on the text they belong to; those of a choice without any are left out.
    """
    events: list[StreamEvent] = [
        Begin(
            id=reply.id,
            model=reply.model,
            created=reply.created,
            service_tier=reply.service_tier,
            extras=reply.extras,
        )
    ]
    for number, choice in enumerate(reply.choices):
        logprobs = choice.logprobs
        for index, part in enumerate(choice.parts):
            told = _told(part, index, number)
            if logprobs is not None and isinstance(part, Text | Refusal):
                text = part.text
                told = [e for e in told if not isinstance(e, TextDelta)]
                told.insert(1, TextDelta(text, index, number, logprobs))
                logprobs = None
            events += told
        if choice.stop is not None:
            events.append(End(choice.stop, number, choice.extras))
    if reply.usage is not None:
        events.append(UsageSeen(reply.usage))
    events.append(Done())
    return events


def _told(part: Part, index: int, choice: int) -> list[StreamEvent]:
    replace = msgspec.structs.replace
    begun: Part = part
    deltas: list[StreamEvent] = []
    match part:
        case Text(text=text, citations=citations):
            begun = replace(part, text="", citations=())
            deltas = [TextDelta(text, index, choice)] if text else []
            deltas += [CitationDelta(citation, index, choice) for citation in citations]
        case Refusal(text=text):
            begun = replace(part, text="")
            deltas = [TextDelta(text, index, choice)] if text else []
        case Thinking(text=text, signature=signature):
            begun = replace(part, text="", signature=None if signature else signature)
            deltas = [ThinkingDelta(text, index, choice)] if text else []
            deltas += [SignatureDelta(signature, index, choice)] if signature else []
        case ToolCall(arguments=arguments):
            begun = replace(part, arguments="")
            deltas = [ArgumentsDelta(arguments, index, choice)] if arguments else []
        case Audio(source=source, transcript=transcript, expires_at=expires_at):
            data = source.data if source else None
            begun = replace(
                part,
                source=replace(source, data="") if source and data else source,
                transcript=None if transcript else transcript,
                expires_at=None,
            )
            if data or transcript or expires_at is not None:
                deltas = [AudioDelta(data, transcript or None, expires_at, index, choice)]
        case _:
            pass
    return [PartBegin(begun, index, choice), *deltas, PartEnd(index, choice)]
