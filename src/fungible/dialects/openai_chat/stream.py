"""A stream read: chunks of an answer, as events.

A chunk is a whole JSON object around a few characters of text, and most differ from the one before in those
characters alone. So the reader keeps the frame around the last plain delta; a chunk that has the very same
bytes around its text is that delta again. Any other chunk is read in full, and says anew what the frame is.

Parts of a choice begin when their first piece comes. Text and thinking end when something else begins; tool
calls stay open until the end of the stream, for their pieces may interleave. So does the choice itself:
providers repeat `finish_reason`, and send content after it.

Where the wire leaves out its end mark, an answer of which every choice told its `finish_reason` is whole.
"""

import re
from operator import methodcaller
from typing import Any, TypeAlias

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
    Done,
    End,
    Failed,
    NativeEvent,
    PartEnd,
    StreamEvent,
    TextDelta,
    TextRun,
    ThinkingDelta,
    UsageSeen,
    singly,
)
from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, FrameReader, frame_of
from ...frames.sse import Frame as Event
from ...ir import Json
from .. import runs
from ..checked import BROKEN, Wire, decode, others
from ..failures import broken_event
from .choices import OpenChoice
from .errors import fault_inside
from .names import NAME, OURS, OWN_TIERS, PADDING, ours
from .reply import as_seconds, as_text
from .usage import read_usage

_Delta: TypeAlias = TextDelta | ThinkingDelta | ArgumentsDelta

_DELTAS = (TextDelta, ThinkingDelta, ArgumentsDelta)
_CHUNK = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier"}) | PADDING
_OBJECT = "chat.completion.chunk"
_CUT_SHORT = "The provider's stream ended before its end mark, so the answer is not whole."

_FIELD = re.compile(rb'"(?:content|refusal|reasoning_content|reasoning|arguments|text)": ?"')
_REST_OF_STRING = re.compile(rb'(?:[^"\\]|\\.)*"')
_PADDED = re.compile(rb'"(?:obfuscation|p)": ?"')
_string = msgspec.json.Decoder(type=str).decode


class Frame(msgspec.Struct, frozen=True, gc=False):
    """What stands around the string of a delta. `padding`: what follows a random text at the end, or None.

    `runs`: several may be read at once.
    """

    before: bytes
    after: bytes
    runs: bool
    padding: bytes | None
    delta: type[_Delta]
    index: int
    choice: int
    pieces: list[str] | None


class Reader:
    __slots__ = ("_begun", "_choices", "_first", "_frame", "_frames", "_over", "_rest", "_seen", "_usage")

    def __init__(self) -> None:
        self._rest = b""
        self._frames: FrameReader | None = None  # for streams of other line ends than LF
        self._begun = False
        self._over = False
        self._first: Wire = {}  # unknown fields that came before the answer began
        self._seen: Wire = {}  # unknown fields as last told
        self._usage: Json = None
        self._choices: dict[int, OpenChoice] = {}
        self._frame: Frame | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        return singly(self.gather(data))

    def gather(self, data: bytes) -> list[StreamEvent]:
        if self._over or not data:
            return []
        events: list[StreamEvent] = []
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._frames is None:
            if b"\r" not in data and (self._begun or data[:1] in (b"d", b":", b"e")):
                end = data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
                if len(data) - end <= FRAME_BYTES_MAX:
                    self._rest = data[end:]
                    return self._take(data[:end], events)
            self._frames = FrameReader()
        return self._take_framed(data, events)

    def _take_framed(self, data: bytes, events: list[StreamEvent]) -> list[StreamEvent]:
        assert self._frames is not None
        try:
            frames = self._frames.feed(data)
        except Fault as fault:
            return self._fail(events, fault)
        return self._take_frames(frames, events)

    def _take_frames(self, frames: list[Event], events: list[StreamEvent]) -> list[StreamEvent]:
        for name, body in frames:
            if not self._over:
                self._read(name, body, events)
        return events

    def end(self) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        frames = self._frames or FrameReader()
        if not self._over:
            try:
                last = frames.feed(self._rest) if self._rest else []
            except Fault as fault:
                return self._fail(events, fault)
            self._take_frames(last + frames.end(), events)
        if not self._over:
            if self._choices and all(choice.finish for choice in self._choices.values()):
                self._finish(events)
            else:
                self._fail(events, Fault("provider_answer", _CUT_SHORT))
        return events

    def _take(self, data: bytes, events: list[StreamEvent]) -> list[StreamEvent]:
        """`data` is whole events, each with the blank line that ends it."""
        at, end, left = 0, len(data), runs.MAX
        while at < end and not self._over:
            frame, stop = self._frame, data.find(b"\n\n", at)
            if frame is not None and data.startswith(frame.before, at):
                if left and frame.runs and data.startswith(frame.before, stop + 2):
                    pieces, after = runs.cut(data, at, frame.before)
                    texts = runs.read(map(methodcaller("removesuffix", frame.after), pieces))
                    left = left - 1 if texts is not None else 0
                    if texts is not None:
                        if texts:
                            events.append(TextRun(texts, frame.index, frame.choice))
                        at = after
                        continue
                text = _text_in(data[at:stop], frame)
                if text is not None:
                    if text:
                        events.append(frame.delta(text, frame.index, frame.choice))
                        if frame.pieces is not None:
                            frame.pieces.append(text)
                    at = stop + 2
                    continue
            self._frame = None
            block = data[at:stop]
            at = stop + 2
            found = frame_of(block)
            if found is not None:
                self._read(*found, events)
        return events

    def _fail(self, events: list[StreamEvent], fault: Fault) -> list[StreamEvent]:
        self._over = True
        events.append(Failed(fault))
        return events

    # --- one event in full

    def _read(self, name: bytes, data: bytes, events: list[StreamEvent]) -> None:
        if len(data) < 16 and data.strip() == b"[DONE]":
            self._finish(events)
            return
        try:
            chunk = decode(data)
        except BROKEN as error:
            self._fail(events, broken_event(error))
            return
        if type(chunk) is not dict:
            self._fail(events, Fault("provider_answer", "The provider sent an event that is no object."))
            return
        fault = fault_inside(chunk, name)
        if fault is not None:
            self._fail(events, fault)
            return
        choices = chunk.get("choices")
        if type(choices) is not list:
            if choices is not None or ("usage" not in chunk and chunk.get("object") != _OBJECT):
                events.append(NativeEvent(NAME, chunk, name.decode("utf-8", "replace") or None))
                return
            choices = []
        before = len(events)
        try:
            self._chunk(chunk, choices, events)
        except Fault as wrong:
            message = f"The provider sent an event that is none: {wrong.message}"
            self._fail(events, Fault("provider_answer", message))
            return
        if len(events) > before and len(choices) == 1 and not choices[0].get("finish_reason"):
            self._learn(data, events[before:])

    def _chunk(self, chunk: Wire, choices: list[Json], events: list[StreamEvent]) -> None:
        if not self._envelope(chunk, choices, events):
            return
        for i, choice in enumerate(choices):
            if type(choice) is not dict:
                raise Fault("provider_answer", f"choices[{i}] is no object.")
            index = choice.get("index")
            number = index if type(index) is int and 0 <= index < 1_000 else 0
            held = self._choices.get(number)
            if held is None:
                held = self._choices[number] = OpenChoice(number)
            held.take(choice, events)
            self._told(choice.get("usage"), events)
        self._told(chunk.get("usage"), events)
        groq = chunk.get("x_groq")
        if type(groq) is dict and not chunk.get("usage"):
            self._told(groq.get("usage"), events)

    def _envelope(self, chunk: Wire, choices: list[Json], events: list[StreamEvent]) -> bool:
        """What stands around the choices. False while only a notice came before the answer (Azure)."""
        unknown = others(chunk, _CHUNK)
        tier = chunk.get("service_tier")
        tier = tier if type(tier) is str and tier else None
        if self._begun:
            if tier is not None and self._seen.get("service_tier") != tier:
                unknown["service_tier"] = tier
            news = {k: v for k, v in unknown.items() if self._seen.get(k) != v}
            self._seen |= news
            for field, value in news.items():
                # Named by its field, which is its path in the answer that the stream adds up to.
                events.append(NativeEvent(NAME, {"choices": [], field: value}, field))
            return True
        if not choices and not chunk.get("id") and not chunk.get("usage"):
            self._first |= unknown
            return False
        self._begun = True
        unknown = self._first | unknown
        self._seen = dict(unknown)
        if tier is not None:
            self._seen["service_tier"] = tier
        if chunk.get("object") not in (None, "", _OBJECT):
            unknown["object"] = chunk["object"]
        extras = ours(unknown) or (OURS if tier is not None and tier not in OWN_TIERS else None)
        created = as_seconds(chunk.get("created"))
        events.append(Begin(as_text(chunk.get("id")), as_text(chunk.get("model")), created, tier, extras))
        return True

    def _told(self, usage: Json, events: list[StreamEvent]) -> None:
        """Some providers repeat it in every chunk."""
        if type(usage) is dict and usage != self._usage:
            self._usage = usage
            events.append(UsageSeen(read_usage(usage)))

    def _finish(self, events: list[StreamEvent]) -> None:
        self._over = True
        for number in sorted(self._choices):
            choice = self._choices[number]
            choice.close(events)
            events += [PartEnd(index, number) for index in choice.called()]
            events.append(End(choice.stop(), number, choice.extras()))
        events.append(Done())

    # --- the frame around a delta

    def _learn(self, data: bytes, told: list[StreamEvent]) -> None:
        """Keeps what stands around the only delta's text: with another text there it is that delta again."""
        event, deltas = told[-1], [e for e in told if isinstance(e, _DELTAS)]
        kind: Any = type(event)
        if len(deltas) != 1 or not isinstance(event, _DELTAS):
            return
        if isinstance(event, TextDelta) and event.logprobs is not None:
            return
        for found in _FIELD.finditer(data):
            start = found.end()
            closed = _REST_OF_STRING.match(data, start)
            if closed is None or _text(data[start - 1 : closed.end()]) != event.text:
                continue
            after, padding = data[closed.end() :], None
            padded = _PADDED.search(after)
            if padded is not None:
                shut = _REST_OF_STRING.match(after, padded.end())
                if shut is None:
                    return
                after, padding = after[: padded.end()], after[shut.end() - 1 :]
            choice = self._choices[event.choice]
            if kind is ArgumentsDelta and not choice.trusts_ids():
                return
            pieces = choice.pieces if kind is ThinkingDelta else None
            before = b"data: " + data[: start - 1]
            runs_on = kind is TextDelta and padding is None
            self._frame = Frame(before, after, runs_on, padding, kind, event.index, event.choice, pieces)
            return


def _text_in(block: bytes, frame: Frame) -> str | None:
    """The text of a delta; None where it is not the frame's delta again."""
    start = len(frame.before)
    if frame.padding is not None:
        return _padded(block, frame, start)
    return _text(block[start : -len(frame.after)]) if block.endswith(frame.after) else None


def _padded(block: bytes, frame: Frame, start: int) -> str | None:
    """The text of a delta with a random text behind it; None where it is not that delta again."""
    closing = frame.padding or b""
    stop = block.find(frame.after, start)
    if stop < 0 or not block.endswith(closing):
        return None
    padding = block[stop + len(frame.after) : len(block) - len(closing)]
    return _text(block[start:stop]) if padding.isalnum() else None


def _text(quoted: bytes) -> str | None:
    """A JSON string with its quotes; None where it is none."""
    try:
        return _string(quoted)
    except BROKEN:
        return None
