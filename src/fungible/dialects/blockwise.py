"""Events written for a wire whose blocks come one after another.

A part that begins while another is under way waits until that one has ended, and comes out then, with all
that was said of it meanwhile. Blocks are numbered as they come out.

The stop reason and the usage wait for the end, for usage often follows the stop. Clients of such a wire are
always told the usage. What the frames look like is the dialect's own: see the methods that are abstract.
"""

import re
from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import msgspec

from ..events import (
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
from ..faults import Fault
from ..ir import Choice, Extras, Json, Part, Refusal, Text, Thinking, ToolCall, Usage
from ..losses import Report
from . import runs
from .checked import Wire, encode
from .freetext import HEAD, TAIL, as_function_call, escaped

_replace = msgspec.structs.replace
_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them


class Blocks(Protocol):
    """Writes parts. What it cannot write it tells as lost."""

    report: Report

    def one(self, part: Part) -> Wire | None: ...


class BlockWriter(ABC):
    """What all such wires have in common."""

    __slots__ = (
        "_begin", "_blocks", "_end", "_foreign", "_free", "_hot", "_hot_head", "_hot_tail", "_number",
        "_open", "_over", "_report", "_said", "_skipped", "_started", "_usage", "_waiting",
    )  # fmt: skip

    name: ClassVar[str]  # of the dialect

    def __init__(self, blocks: Blocks) -> None:
        self._report = blocks.report
        self._blocks = blocks
        self._begin = Begin("", "")
        self._started = False
        self._usage: Usage | None = None
        self._end: End | None = None
        self._number = -1  # of the block that is open, or was last
        self._open: int | None = None  # the part under way
        self._hot: int | None = None  # the same, where it is a text
        self._hot_head = self._hot_tail = b""  # what stands around its deltas
        self._foreign: Thinking | None = None  # the open thought, where its signature is not for this wire
        self._free = False  # the open block stands for a call of free text
        self._waiting: dict[int, list[PartEvent]] = {}
        self._skipped: set[int] = set()
        self._said: set[str] = set()
        self._over = False

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                and event.index == self._hot
                and event.choice == 0
                and event.logprobs is None
            ):
                out.append(self._hot_head + encode(event.text) + self._hot_tail)
            elif type(event) is TextRun and event.index == self._hot and event.choice == 0:
                out.append(runs.write(event.texts, self._hot_head, self._hot_tail))
            elif not self._over:
                self._event(event, out)
        return b"".join(out)

    # --- what the wire looks like ----------------------------------------------------------------

    @abstractmethod
    def _told(self, name: str, body: Json) -> bytes:
        """An event of the wire's own."""

    @abstractmethod
    def _failed(self, fault: Fault) -> bytes:
        """What ends a stream that failed."""

    @abstractmethod
    def _open_block(self, part: Part, block: Wire, out: list[bytes]) -> None:
        """`block`: the part without what follows as deltas."""

    @abstractmethod
    def _put(self, event: PartEvent, out: list[bytes]) -> None:
        """A delta of the open block."""

    @abstractmethod
    def _stop_block(self, out: list[bytes]) -> None: ...

    @abstractmethod
    def _start(self, begin: Begin, out: list[bytes]) -> None:
        """The beginning of the message, once."""

    @abstractmethod
    def _finish(self, end: End | None, late: dict[str, Json], out: list[bytes]) -> None:
        """Its end. `late`: fields of this wire's own, told with it."""

    # --- events ----------------------------------------------------------------------------------

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin = event
            case TextRun():
                out.append(self.write(event.deltas()))
            case UsageSeen():
                self._usage = revise(self._usage, event.usage)
            case NativeEvent():
                self._native(event, out)
            case Done():
                self._done(out)
            case Failed():
                self._over, self._hot = True, None
                out.append(self._failed(event.fault))
            case _ if event.choice != 0:
                self._lose(self._choice(event.choice), "choices")
            case End():
                self._end = event
            case _:
                self._begun(out)
                self._content(event, out)

    def _choice(self, number: int) -> str:
        return f"{self._report.names.get('choices', 'choices')}[{number}]"

    def _lose(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report.lose_at(path, "dropped", why)

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        name = event.name or (event.body.get("type") if type(event.body) is dict else None) or "event"
        if event.dialect == self.name:
            self._begun(out)
            out.append(self._told(str(name), event.body))
        else:
            self._lose(str(name), "stream_event")

    # --- blocks ----------------------------------------------------------------------------------

    def _content(self, event: PartEvent, out: list[bytes]) -> None:
        index = event.index
        if isinstance(event, TextDelta) and event.logprobs is not None:
            self._lose(self._report.path(Choice(at=self._choice(0)), "logprobs"), "logprobs")
        if isinstance(event, PartBegin):
            if self._open is None:
                self._begin_part(event.part, index, out)
            else:
                self._waiting[index] = [event]
        elif index in self._waiting:
            self._waiting[index].append(event)
        elif index == self._open:
            self._delta(event, out)
        elif index not in self._skipped and not isinstance(event, PartEnd):
            self._content(PartBegin(part_of(event), index), out)
            self._content(event, out)

    def _begin_part(self, part: Part, index: int, out: list[bytes]) -> None:
        """Open a block with what is known at the start; what the part already holds follows as deltas."""
        begun = part
        match part:
            case Text():
                begun = _replace(part, text="", citations=())
            case Refusal():
                begun = _replace(part, text="")
            case Thinking(redacted=None):
                begun = _replace(part, text="", signature=None)
            case ToolCall():
                begun = as_function_call(part, self._report) if part.custom else part
                begun = _replace(begun, arguments="{}")
            case _:
                pass
        block = self._blocks.one(begun)
        if block is None:
            self._skipped.add(index)
            return
        self._number += 1
        self._open = index
        self._foreign = part if type(part) is Thinking and part.signer not in (None, self.name) else None
        self._free = type(part) is ToolCall and part.custom
        self._open_block(begun, block, out)
        if self._free:
            self._put(ArgumentsDelta(HEAD, index), out)
        for delta in _held(part, index):
            self._delta(delta, out)

    def _delta(self, event: PartEvent, out: list[bytes]) -> None:
        match event:
            case PartEnd():
                self._close(out)
            case ArgumentsDelta() if self._free:
                self._put(_replace(event, text=escaped(event.text)), out)
            case SignatureDelta() if self._foreign is not None:
                self._report.lose(self._foreign, "signature", "dropped", "thinking_signature")
            case CitationDelta(citation=citation) if citation.dialect != self.name:
                self._report.lose(citation, None, "dropped", "citations")
            case _:
                self._put(event, out)

    def _close(self, out: list[bytes]) -> None:
        """End the open block, and let out what waited for that."""
        if self._free:
            self._free = False
            self._put(ArgumentsDelta(TAIL, self._open or 0), out)
        self._stop_block(out)
        self._open = self._hot = None
        while self._waiting and self._open is None:
            index = next(iter(self._waiting))
            first, *more = self._waiting.pop(index)
            assert isinstance(first, PartBegin)
            self._begin_part(first.part, index, out)
            for event in more:
                if self._open == index:
                    self._delta(event, out)

    # --- the message -----------------------------------------------------------------------------

    def _begun(self, out: list[bytes]) -> None:
        if not self._started:
            self._started = True
            if self._begin.extras is not None:
                self._lose_fields(self._begin.extras, "")
            self._start(self._begin, out)

    def _done(self, out: list[bytes]) -> None:
        self._begun(out)
        while self._open is not None:
            self._close(out)
        self._finish(self._end, self._late(self._end), out)
        self._over = True

    def _late(self, end: End | None) -> dict[str, Json]:
        if end is None or end.extras is None:
            return {}
        if end.extras.dialect == self.name:
            return end.extras.fields
        # A source without a list of choices has the fields of its only one at the top.
        listed = _LISTED.match(end.stop.at)
        self._lose_fields(end.extras, f"{listed[0]}." if listed is not None else "")
        return {}

    def _lose_fields(self, extras: Extras, prefix: str) -> None:
        for name in extras.fields:
            self._report.lose_at(f"{prefix}{name}", "dropped", "unknown_field")


def _held(part: Part, index: int) -> list[PartEvent]:
    """What a part that begins already holds."""
    match part:
        case Text(text=text, citations=citations):
            told: list[PartEvent] = [TextDelta(text, index)] if text else []
            return told + [CitationDelta(citation, index) for citation in citations]
        case Refusal(text=text):
            return [TextDelta(text, index)] if text else []
        case Thinking(redacted=None, text=text, signature=signature):
            told = [ThinkingDelta(text, index)] if text else []
            return told + ([SignatureDelta(signature, index)] if signature else [])
        case ToolCall(arguments=arguments, custom=custom):
            return [ArgumentsDelta(arguments, index)] if arguments not in ("", "" if custom else "{}") else []
        case _:
            return []
