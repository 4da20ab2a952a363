"""Events written as the wire's stream: each frame an answer with the next piece of one candidate.

Parts of a candidate do not interleave here: one that begins while another is under way waits until that has
ended. A call comes out whole, for its arguments are an object. A signature waits for the part it stands on.

A reader joins the text of a frame to the text before it, so a text that is a part of its own comes second in
its frame, after an empty one. The finish reasons, with the usage, come at the end.
"""

import re

import msgspec

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
from ...ir import Audio, Choice, Extras, Json, Part, Refusal, Text, Thinking, ToolCall, Usage
from ...losses import Report
from .blocks import Block, Blocks, is_bare, is_taken, own_extras, takes_signature
from .errors import write_stream_error
from .logprobs import write_logprobs
from .names import NAME
from .reply import is_blocked, names_of, put_late, stop_word, usage_of

_encode = msgspec.json.encode
_replace = msgspec.structs.replace

_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them


class _Candidate:
    """One candidate. `joins`: the kind of part that a reader would take the next text to belong to."""

    __slots__ = (
        "block", "calls", "end", "joins", "number", "odds", "open", "part", "pieces", "sent",
        "signature", "sounds", "waiting", "written",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.odds: Json = None  # token probabilities that wait for a text
        self.open: int | None = None  # the part under way
        self.part: Part = Text(text="")
        self.block: Block = {}  # what its first frame says besides its text
        self.sent = False  # whether it has had a frame
        self.pieces: list[str] = []  # of what comes out whole, or of a signature
        self.sounds: list[AudioDelta] = []
        self.signature: Thinking | None = None  # a thought that is only a signature
        self.joins: type[Part] | None = None
        self.calls = False
        self.written = False
        self.waiting: dict[int, list[StreamEvent]] = {}
        self.end: End | None = None


class StreamWriter:
    __slots__ = (
        "_begin",
        "_blocks",
        "_candidates",
        "_first",
        "_over",
        "_report",
        "_said",
        "_tails",
        "_usage",
    )

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._blocks = Blocks(report, asking=False)
        self._begin = Begin("", "")
        self._first: Block | None = {}  # what the first frame says once, until it is sent
        self._usage: Usage | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._tails: dict[int, bytes] = {}
        self._said: set[str] = set()
        self._over = False

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta and event.logprobs is None:
                candidate = self._candidates.get(event.choice)
                if candidate is not None and candidate.sent and candidate.open == event.index:
                    out.append(
                        b'data: {"candidates":[{"content":{"parts":[{"text":'
                        + _encode(event.text)
                        + self._tails[event.choice]
                    )
                    continue
            if not self._over:
                self._event(event, out)
        return b"".join(out)

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._start(event)
            case TextRun():
                out.append(self.write(event.deltas()))
            case UsageSeen():
                self._usage = revise(self._usage, event.usage)
            case End():
                self._candidate(event.choice).end = event
            case NativeEvent():
                self._native(event, out)
            case Done():
                self._finish(out)
            case Failed():
                self._over = True
                out.append(write_stream_error(event.fault, ""))
            case _:
                self._content(event, self._candidate(event.choice), out)

    def _start(self, begin: Begin) -> None:
        self._begin = begin
        self._first = dict(self._own(begin.extras, ""))
        if begin.service_tier is not None:
            self._first["usageMetadata"] = {"serviceTier": begin.service_tier}

    def _candidate(self, number: int) -> _Candidate:
        found = self._candidates.get(number)
        if found is None:
            found = self._candidates[number] = _Candidate(number)
            names = names_of(self._begin.id, self._begin.model, self._begin.created, Report())
            rest = b"," + _encode(names)[1:] if names else b"}"
            self._tails[number] = b'}],"role":"model"},"index":%d}]%b\n\n' % (number, rest)
        return found

    def _choice(self, number: int) -> str:
        return f"{self._report.names.get('choices', 'choices')}[{number}]"

    def _own(self, extras: Extras | None, prefix: str) -> dict[str, Json]:
        if extras is None:
            return {}
        if extras.dialect == NAME:
            return extras.fields
        for name in extras.fields:
            self._lose(f"{prefix}{name}", "unknown_field")
        return {}

    def _lose(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report.lose_at(path, "dropped", why)

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        if event.dialect == NAME and type(event.body) is dict:
            if self._first is not None:
                out.append(self._frame({}))
            out.append(self._frame(event.body))
        else:
            kind = event.body.get("type") if type(event.body) is dict else None
            self._lose(str(event.name or kind or "event"), "stream_event")

    def _frame(self, body: Block) -> bytes:
        if self._first is not None:
            usage = {**self._first.get("usageMetadata", {}), **body.get("usageMetadata", {})}
            body = {**body, **self._first, **({"usageMetadata": usage} if usage else {})}
            self._first = None
        names = names_of(self._begin.id, self._begin.model, self._begin.created, self._report)
        return b"data: " + _encode({**body, **names}) + b"\n\n"

    # --- parts -----------------------------------------------------------------------------------

    def _content(self, event: PartEvent, candidate: _Candidate, out: list[bytes]) -> None:
        index = event.index
        if isinstance(event, PartBegin):
            if candidate.open is None:
                self._begin_part(event.part, index, candidate, out)
            else:
                candidate.waiting[index] = [event]
        elif index in candidate.waiting:
            candidate.waiting[index].append(event)
        elif index == candidate.open:
            self._delta(event, candidate, out)
        elif not isinstance(event, PartEnd):
            self._content(PartBegin(part_of(event), index, candidate.number), candidate, out)
            self._content(event, candidate, out)

    def _begin_part(self, part: Part, index: int, candidate: _Candidate, out: list[bytes]) -> None:
        candidate.open, candidate.part = index, part
        candidate.sent, candidate.block = False, {}
        candidate.pieces, candidate.sounds = [], []
        match part:
            case Text(text=text) | Refusal(text=text):
                candidate.block = self._blocks.one(_replace(part, text=""), signed=True) or {}
                if text:
                    self._say(text, candidate, out)
            case Thinking(redacted=None, text=text, signature=signature):
                candidate.block = self._blocks.thought(_replace(part, text="", signature=None))
                if text:
                    self._think(text, candidate, out)
                if signature is not None:
                    candidate.pieces.append(signature)
            case _:
                pass

    def _delta(self, event: StreamEvent, candidate: _Candidate, out: list[bytes]) -> None:
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                if logprobs is not None:
                    candidate.odds = (
                        logprobs if candidate.odds is None else _chained(candidate.odds, logprobs)
                    )
                if type(candidate.part) in (Text, Refusal) and text:
                    self._say(text, candidate, out)
            case ThinkingDelta(text=text):
                if isinstance(candidate.part, Thinking) and text:
                    self._think(text, candidate, out)
            case ArgumentsDelta(text=text):
                candidate.pieces.append(text)
            case SignatureDelta(signature=signature):
                candidate.pieces.append(signature)
            case CitationDelta(citation=citation):
                self._report.lose(citation, None, "dropped", "citations")
            case AudioDelta():
                candidate.sounds.append(event)
            case PartEnd():
                self._end_part(candidate, out)
            case _:
                pass

    def _say(self, text: str, candidate: _Candidate, out: list[bytes]) -> None:
        """More of a text, in its own frame, with the probabilities that came with it."""
        block: Block = {**(candidate.block if not candidate.sent else {}), "text": text}
        late: Block = {}
        if candidate.odds is not None:
            at = Choice(at=self._choice(candidate.number))
            result = write_logprobs(at, candidate.odds, self._report)
            candidate.odds = None
            late = {"logprobsResult": result} if result is not None else {}
        self._emit(block, Text, candidate, out, late)

    def _think(self, text: str, candidate: _Candidate, out: list[bytes]) -> None:
        first = candidate.block if not candidate.sent else {}
        self._emit({**first, "text": text, "thought": True}, Thinking, candidate, out)

    def _emit(
        self,
        block: Block,
        kind: type[Part] | None,
        candidate: _Candidate,
        out: list[bytes],
        late: Block | None = None,
    ) -> None:
        """A frame with `block`, which is of the part under way; `kind`: what a reader could join it to."""
        blocks = []
        if not candidate.sent:
            signature, candidate.signature = candidate.signature, None
            if signature is not None and takes_signature(candidate.part):
                block |= self._blocks.signature(signature)
            elif signature is not None:
                if candidate.joins is Thinking:
                    blocks.append({"text": "", "thought": True})
                blocks.append({**self._blocks.thought(signature)})
                candidate.joins = None
            fresh = "thoughtSignature" in block and kind is Text
            if kind is not None and candidate.joins is kind and not own_extras(candidate.part) and not fresh:
                blocks.append({"text": "", "thought": True} if kind is Thinking else {"text": ""})
        candidate.sent = candidate.written = True
        candidate.joins = None if kind is Thinking and "thoughtSignature" in block else kind
        blocks.append(block)
        wire: Block = {"content": {"parts": blocks, "role": "model"}, "index": candidate.number}
        out.append(self._frame({"candidates": [{**wire, **(late or {})}]}))

    def _end_part(self, candidate: _Candidate, out: list[bytes]) -> None:
        part, said = candidate.part, "".join(candidate.pieces)
        match part:
            case Text() | Refusal():
                if not candidate.sent:
                    if candidate.signature is not None or own_extras(part):
                        self._emit({**candidate.block, "text": ""}, Text, candidate, out)
                    else:
                        self._report.lose(part, None, "dropped", "empty_text")
            case Thinking(redacted=None):
                self._end_thought(part, said, candidate, out)
            case ToolCall(arguments=begun):
                begun = "" if begun == "{}" and said else begun
                whole = _replace(part, arguments=(begun + said) or ("" if part.custom else "{}"))
                self._whole(whole, candidate, out)
            case Audio():
                self._whole(_heard(part, candidate.sounds), candidate, out)
            case _:
                self._whole(part, candidate, out)
        candidate.open, candidate.sent = None, False
        if candidate.waiting:
            index = next(iter(candidate.waiting))
            first, *more = candidate.waiting.pop(index)
            assert isinstance(first, PartBegin)
            self._begin_part(first.part, index, candidate, out)
            for event in more:
                self._delta(event, candidate, out)

    def _end_thought(self, part: Thinking, said: str, candidate: _Candidate, out: list[bytes]) -> None:
        whole = _replace(part, text="", signature=said or None)
        if said and not is_taken(whole):
            self._report.lose(part, "signature", "dropped", "thinking_signature")
            whole, said = _replace(whole, signature=None), ""
        if not candidate.sent and is_bare(whole):
            if candidate.signature is not None:  # two of them: the first stands alone
                self._emit_signature(candidate, out)
            candidate.signature = whole
        elif said:
            block = {**candidate.block} if not candidate.sent else {"text": "", "thought": True}
            self._emit({**block, "thoughtSignature": said}, Thinking, candidate, out)
        elif not candidate.sent:
            self._emit({**candidate.block}, Thinking, candidate, out)

    def _emit_signature(self, candidate: _Candidate, out: list[bytes]) -> None:
        """A thought that is only a signature, with no part after it to stand on."""
        signature, candidate.signature = candidate.signature, None
        assert signature is not None
        candidate.part, candidate.sent = signature, False
        self._emit(self._blocks.thought(signature), Thinking, candidate, out)

    def _whole(self, part: Part, candidate: _Candidate, out: list[bytes]) -> None:
        block = self._blocks.one(part)
        if block is not None:
            candidate.calls = candidate.calls or "functionCall" in block
            self._emit(block, None, candidate, out)

    # --- the end ---------------------------------------------------------------------------------

    def _finish(self, out: list[bytes]) -> None:
        self._over = True
        for candidate in self._candidates.values():
            while candidate.open is not None:
                self._end_part(candidate, out)
            if candidate.signature is not None:
                self._emit_signature(candidate, out)
            if candidate.odds is not None:
                at = Choice(at=self._choice(candidate.number))
                self._report.lose(at, "logprobs", "dropped", "logprobs")
        usage = usage_of(self._usage, self._begin.service_tier, self._report)
        last = {"usageMetadata": usage} if usage else {}
        numbers = sorted(self._candidates)
        if len(numbers) <= 1 and self._nothing(numbers):
            out.append(self._frame(last))
            return
        for number in numbers:
            body: Block = {"candidates": [self._ended(self._candidates[number])]}
            out.append(self._frame({**body, **(last if number == numbers[-1] else {})}))

    def _nothing(self, numbers: list[int]) -> bool:
        """Whether the answer has no candidate at all."""
        if not numbers:
            return True
        candidate = self._candidates[numbers[0]]
        end = candidate.end
        extras = self._begin.extras
        own = extras.fields if extras is not None and extras.dialect == NAME else {}
        if candidate.written or end is None:
            return False
        return is_blocked((Choice(stop=end.stop, extras=end.extras),), own)

    def _ended(self, candidate: _Candidate) -> Block:
        body: Block = {}
        end = candidate.end
        at = self._choice(candidate.number)
        if end is not None:
            body["finishReason"] = stop_word(end.stop, candidate.calls, self._report)
        else:
            self._report.lose_at(f"{at}.finish_reason", "changed", "stop")
            body["finishReason"] = "STOP"
        body["index"] = candidate.number
        if end is not None:
            # A source without a list of choices has the fields of its only one at the top.
            listed = _LISTED.match(end.stop.at)
            put_late(body, self._own(end.extras, f"{listed[0]}." if listed is not None else ""))
        return body


def _chained(first: Json, more: Json) -> Json:
    """Pieces of token probabilities, each an object of lists."""
    return {
        name: [*(first.get(name) or []), *value] if type(value) is list else value
        for name, value in more.items()
    }


def _heard(part: Audio, sounds: list[AudioDelta]) -> Audio:
    data = "".join(s.data for s in sounds if s.data)
    source = part.source
    if data and source is not None:
        source = _replace(source, data=(source.data or "") + data)
    said = "".join(s.transcript for s in sounds if s.transcript)
    return _replace(part, source=source, transcript=(part.transcript or "") + said or None)
