"""The wire's stream read into events.

Each frame is a whole answer, of which the parts are the next ones (API reference, streamGenerateContent).
The first text of a frame goes on with the text under way, the first thought with the thought; a second one
in the same frame, and one with fields of its own, is a new part. A part with a signature ends what is under
way. The frames of a candidate tell its other fields again and again: later ones replace the earlier, but for
lists that grow.

There is no end mark: the stream is whole if every candidate has a finish reason when the connection ends.
"""

from typing import Any, Literal

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
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
from ...ir import Json, Part, Text, Thinking, ToolCall
from ..checked import BROKEN, may
from ..failures import broken_event
from ..streamed import FramedReader
from ..times import unix_seconds
from .errors import fault_of
from .logprobs import read_logprobs
from .names import NAME, ours
from .partial import Growing
from .parts import Ids, encode, read_part
from .reply import answer_seed, blocked, late_fields, read_stop, unlike
from .shape import inner, object_at, several, spelled
from .usage import read_usage_object

_decode = msgspec.json.Decoder().decode
_replace = msgspec.structs.replace

_TOLD_ONCE = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_GROW = frozenset(
    {"citationSources", "citations", "groundingChunks", "groundingSupports", "webSearchQueries"}
    | {"urlMetadata", "chosenCandidates", "topCandidates", "imageSearchQueries", "retrievedContexts"}
)
"""Lists of which each frame may hold the next items."""


class _PlainPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _PlainContent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    parts: tuple[_PlainPart]
    role: Literal["model"] = "model"


class _PlainCandidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _PlainContent
    index: Literal[0] = 0


class _PlainFrame(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Nearly every frame after the first: one more piece of the text of the one candidate."""

    candidates: tuple[_PlainCandidate]
    usageMetadata: msgspec.Raw = msgspec.Raw()  # noqa: N815  # the wire's own name
    modelVersion: str = ""  # noqa: N815  # the same
    responseId: str = ""  # noqa: N815  # the same
    createTime: str = ""  # noqa: N815  # the same


_plain = msgspec.json.Decoder(_PlainFrame).decode


class _Candidate:
    """One candidate under way. `joins`: the kind of part that the next text may belong to."""

    __slots__ = ("call", "calls", "fields", "growing", "index", "joins", "number", "open", "reason")

    def __init__(self, number: int) -> None:
        self.number = number
        self.index = -1  # of the last part that began
        self.open = False
        self.joins: type[Part] | None = None
        self.calls = False
        self.call: ToolCall | None = None  # one whose arguments come in pieces
        self.growing = Growing()
        self.reason: Json = None
        self.fields: dict[str, Json] = {}


class StreamReader(FramedReader):
    __slots__ = ("_begun", "_candidates", "_ids", "_stop", "_usage", "_usage_bytes")

    end_mark = "a finishReason"

    def __init__(self) -> None:
        super().__init__(FrameReader())
        self._begun = False
        self._ids = Ids()
        self._candidates: dict[int, _Candidate] = {}
        self._usage: dict[str, Json] = {}
        self._usage_bytes = b""  # of the last frame whose usage was as known
        self._stop: Any = None  # of a prompt that was blocked

    def _ended(self, out: list[StreamEvent]) -> None:
        """An end is one where every answer has said why it ended."""
        waiting = [c for c in self._candidates.values() if c.reason is None]
        if waiting or not (self._candidates or self._stop is not None):
            super()._ended(out)
            return
        for candidate in self._candidates.values():
            self._close(candidate, out)
            stop = read_stop(candidate.reason, f"candidates[{candidate.number}]", candidate.calls)
            assert stop is not None
            out.append(End(stop, candidate.number, ours(candidate.fields)))
        if not self._candidates:
            out.append(End(self._stop))
        self._over = True
        out.append(Done())

    def _all(self, frames: list[Frame], out: list[StreamEvent]) -> None:
        for _, data in frames:
            if self._over:
                return
            first = self._candidates.get(0)
            if first is not None and first.joins is Text and self._more_text(data, first, out):
                continue
            try:
                wire = _decode(data)
            except BROKEN as error:
                self._fail(broken_event(error), out)
                return
            if type(wire) is list and len(wire) == 1:
                wire = wire[0]
            if type(wire) is not dict:
                self._fail(Fault("provider_answer", "The provider sent an event that is no object."), out)
                return
            wire = spelled(wire)
            if wire.get("error") is not None:
                self._fail(fault_of(wire), out)
                return
            try:
                self._frame(wire, out)
            except Fault as fault:
                self._fail(unlike(fault), out)

    def _more_text(self, data: bytes, candidate: _Candidate, out: list[StreamEvent]) -> bool:
        """Takes a frame that holds one more piece of text and nothing new besides. False: it is another."""
        try:
            frame = _plain(data)
            raw = bytes(frame.usageMetadata)
            if raw and raw != self._usage_bytes and _decode(raw) != self._usage:
                return False
        except BROKEN:
            return False
        self._usage_bytes = raw
        text = frame.candidates[0].content.parts[0].text
        if text:
            out.append(TextDelta(text, candidate.index))
        return True

    def _frame(self, wire: dict[str, Json], out: list[StreamEvent]) -> None:
        usage = inner(wire, "usageMetadata", "")
        fields = {name: value for name, value in wire.items() if name not in _TOLD_ONCE}
        if not self._begun:
            self._begun = True
            self._ids = Ids(answer_seed(wire))
            tier = may(usage, "serviceTier", str, "usageMetadata") if usage is not None else None
            out.append(
                Begin(
                    may(wire, "responseId", str, "") or "",
                    may(wire, "modelVersion", str, "") or "",
                    unix_seconds(may(wire, "createTime", str, "") or ""),
                    tier,
                    ours(fields),
                )
            )
        else:
            out += [NativeEvent(NAME, {name: value}, name) for name, value in fields.items()]
        self._stop = self._stop or blocked(fields)
        for place, value in enumerate(several(wire, "candidates", "")):
            self._candidate(value, place, out)
        if usage is not None and usage != self._usage:
            self._usage = usage
            seen = read_usage_object(usage)
            if seen is not None:
                out.append(UsageSeen(seen))

    def _candidate(self, value: Json, place: int, out: list[StreamEvent]) -> None:
        told = object_at(value, f"candidates[{place}]")
        number = may(told, "index", int, f"candidates[{place}]") or 0
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = _Candidate(number)
        at = f"candidates[{number}]"
        content = inner(told, "content", at) or {}
        fields = late_fields(told, content)
        logprobs = None
        if "logprobsResult" in fields:
            logprobs = read_logprobs(fields["logprobsResult"], f"{at}.logprobsResult")
            if logprobs is not None:
                del fields["logprobsResult"]
        seen: set[type[Part]] = set()
        for part in several(content, "parts", f"{at}.content"):
            self._part(part, candidate, seen, out)
        if logprobs is not None and not _attach(logprobs, number, out):
            if candidate.joins is Text:
                out.append(TextDelta("", candidate.index, number, logprobs))
            else:
                fields["logprobsResult"] = told["logprobsResult"]
        _grow(candidate.fields, fields)
        if told.get("finishReason") is not None:
            candidate.reason = told["finishReason"]

    # --- parts -----------------------------------------------------------------------------------

    def _part(self, body: Json, candidate: _Candidate, seen: set[type[Part]], out: list[StreamEvent]) -> None:
        at = f"candidates[{candidate.number}].content.parts[{candidate.index + 1}]"
        if type(body) is dict and self._in_pieces(spelled(body), at, candidate, out):
            return
        parts = read_part(body, at, self._ids)
        kind: type[Part] | None = type(parts[-1]) if parts else Text
        for part in parts:
            if type(part) in (Text, Thinking) and len(parts) == 1:
                self._text(part, candidate, seen, out)  # type: ignore[arg-type]
            else:
                self._close(candidate, out)
                self._begin(part, candidate, out)
        if kind in (Text, Thinking):
            seen.add(kind)

    def _text(
        self, part: Text | Thinking, candidate: _Candidate, seen: set[type[Part]], out: list[StreamEvent]
    ) -> None:
        kind = type(part)
        if candidate.joins is not kind or kind in seen or part.extras is not None:
            self._close(candidate, out)
            self._begin(part, candidate, out)
        elif type(part) is Text:
            if part.text:
                out.append(TextDelta(part.text, candidate.index, candidate.number))
        elif type(part) is Thinking:
            if part.text:
                out.append(ThinkingDelta(part.text, candidate.index, candidate.number))
            if part.signature is not None:
                out.append(SignatureDelta(part.signature, candidate.index, candidate.number))
                candidate.joins = None

    def _begin(self, part: Part, candidate: _Candidate, out: list[StreamEvent]) -> None:
        candidate.index += 1
        index, number = candidate.index, candidate.number
        candidate.open, candidate.joins = True, None
        match part:
            case Text(text=text):
                out.append(PartBegin(_replace(part, text=""), index, number))
                if text:
                    out.append(TextDelta(text, index, number))
                candidate.joins = Text
            case Thinking(text=text, signature=signature):
                out.append(PartBegin(_replace(part, text="", signature=None), index, number))
                if text:
                    out.append(ThinkingDelta(text, index, number))
                if signature is not None:
                    out.append(SignatureDelta(signature, index, number))
                else:
                    candidate.joins = Thinking
            case ToolCall(arguments=arguments):
                candidate.calls = True
                out.append(PartBegin(_replace(part, arguments=""), index, number))
                out.append(ArgumentsDelta(arguments, index, number))
                self._close(candidate, out)
            case _:
                out.append(PartBegin(part, index, number))
                self._close(candidate, out)

    def _close(self, candidate: _Candidate, out: list[StreamEvent]) -> None:
        if candidate.call is not None:
            text = encode(candidate.growing.value).decode()
            out.append(ArgumentsDelta(text, candidate.index, candidate.number))
            candidate.call = None
        if candidate.open:
            candidate.open, candidate.joins = False, None
            out.append(PartEnd(candidate.index, candidate.number))

    def _in_pieces(
        self, part: dict[str, Json], at: str, candidate: _Candidate, out: list[StreamEvent]
    ) -> bool:
        """Whether it is a call, or more of one, whose arguments come in pieces."""
        told = part.get("functionCall")
        if type(told) is not dict:
            return False
        call = spelled(told)
        more = call.get("willContinue") is True or "partialArgs" in call
        if candidate.call is None:
            if not more or type(call.get("name")) is not str:
                return False
            whole = {name: value for name, value in call.items() if name not in _PIECES}
            self._close(candidate, out)
            for read in read_part({**part, "functionCall": whole}, at, self._ids):
                if type(read) is not ToolCall:
                    self._begin(read, candidate, out)
                    self._close(candidate, out)
                    continue
                candidate.index += 1
                candidate.calls, candidate.open, candidate.joins = True, True, None
                out.append(PartBegin(_replace(read, arguments=""), candidate.index, candidate.number))
                candidate.call, candidate.growing = read, Growing()
                candidate.growing.value = dict(call["args"]) if type(call.get("args")) is dict else {}
        elif type(call.get("name")) is str and call["name"]:
            self._close(candidate, out)
            return self._in_pieces(part, at, candidate, out)
        candidate.growing.take(call.get("partialArgs"))
        if call.get("willContinue") is not True:
            self._close(candidate, out)
        return True


_PIECES = frozenset({"partialArgs", "willContinue"})


def _attach(logprobs: Json, number: int, out: list[StreamEvent]) -> bool:
    """Probabilities ride on the last text of their frame. False: there is none."""
    for n in range(len(out) - 1, -1, -1):
        event = out[n]
        if type(event) is TextDelta and event.choice == number:
            out[n] = _replace(event, logprobs=logprobs)
            return True
    return False


def _grow(told: dict[str, Json], more: dict[str, Json]) -> None:
    for name, value in more.items():
        old = told.get(name)
        if type(old) is dict and type(value) is dict:
            merged = dict(old)
            _grow(merged, value)
            told[name] = merged
        elif name in _GROW and type(old) is list and type(value) is list:
            told[name] = old + [item for item in value if item not in old]
        else:
            told[name] = value
