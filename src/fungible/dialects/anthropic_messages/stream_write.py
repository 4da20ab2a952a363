"""Events written as the wire's stream.

Blocks do not interleave here: a part that begins while another is under way waits until that one has
ended, and comes out then, with all that was said of it meanwhile. Blocks are numbered as they come out.

`message_start` waits for one event more, for usage often follows the beginning; `message_delta` waits for
the end, for usage often follows the stop. A client of this wire is always told the usage.
"""

import re

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
    PartEvent,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
    part_of,
    revise,
)
from ...ir import Choice, Extras, Json, Part, Refusal, Text, Thinking, ToolCall, Usage
from ...losses import Report
from .blocks import Blocks
from .errors import write_stream_error
from .names import NAME
from .reply import lose_at, lose_fields, stop_words, tier_of
from .usage import write_usage_object

_encode = msgspec.json.encode
_replace = msgspec.structs.replace

_LISTED = re.compile(r"\w+\[\d+\]")  # a choice in the list of them

_BESIDE = frozenset({"context_management"})
"""Fields that `message_delta` has beside its delta, not in it (SDK, BetaRawMessageDeltaEvent)."""


def frame(name: str, body: Json) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(body) + b"\n\n"


class StreamWriter:
    __slots__ = (
        "_begin",
        "_blocks",
        "_end",
        "_foreign",
        "_head",
        "_number",
        "_open",
        "_over",
        "_report",
        "_said",
        "_skipped",
        "_started",
        "_usage",
        "_waiting",
    )

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._blocks = Blocks(report, asking=False)
        self._begin = Begin("", "")
        self._started = False
        self._usage: Usage | None = None
        self._end: End | None = None
        self._number = -1  # of the block that is open, or was last
        self._open: int | None = None  # the part under way
        self._foreign: Thinking | None = None  # it, where another dialect's provider signs it
        self._head = b""  # what a text delta of it begins with
        self._waiting: dict[int, list[StreamEvent]] = {}
        self._skipped: set[int] = set()
        self._said: set[str] = set()
        self._over = False

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                and event.index == self._open
                and event.choice == 0
                and event.logprobs is None
            ):
                out.append(self._head + _encode(event.text) + b"}}\n\n")
            elif not self._over:
                self._event(event, out)
        return b"".join(out)

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin = event
                if event.created is not None:
                    self._lose(self._report.names.get("created", "created"))
                if event.extras is not None:
                    lose_fields(event.extras, self._report)
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
                self._lose(self._choice(event.choice), "choices")
            case End():
                self._end = event
            case _:
                self._start(out)
                self._content(event, out)

    def _choice(self, number: int) -> str:
        return f"{self._report.names.get('choices', 'choices')}[{number}]"

    def _lose(self, path: str, why: str = "unknown_field") -> None:
        if path not in self._said:
            self._said.add(path)
            lose_at(path, self._report, why)

    def _native(self, event: NativeEvent, out: list[bytes]) -> None:
        name = event.name or (event.body.get("type") if type(event.body) is dict else None) or "event"
        if event.dialect == NAME:
            self._start(out)
            out.append(frame(str(name), event.body))
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
                begun = _replace(part, arguments="{}", custom=False)
                if part.custom:
                    self._report.lose(part, None, "changed", "tool_arguments")
            case _:
                pass
        block = self._blocks.one(begun)
        if block is None:
            self._skipped.add(index)
            return
        self._number += 1
        self._open = index
        self._foreign = part if type(part) is Thinking and part.signer not in (None, NAME) else None
        number = str(self._number).encode()
        self._head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
            + number
            + b',"delta":{"type":"text_delta","text":'
        )
        start = {"type": "content_block_start", "index": self._number, "content_block": block}
        out.append(frame("content_block_start", start))
        for delta in _held(part, index):
            self._delta(delta, out)

    def _delta(self, event: StreamEvent, out: list[bytes]) -> None:
        delta: dict[str, Json]
        match event:
            case TextDelta(text=text):
                delta = {"type": "text_delta", "text": text}
            case ArgumentsDelta(text=text):
                delta = {"type": "input_json_delta", "partial_json": text}
            case ThinkingDelta(text=text):
                delta = {"type": "thinking_delta", "thinking": text}
            case SignatureDelta(signature=signature):
                if self._foreign is not None:
                    self._report.lose(self._foreign, "signature", "dropped", "thinking_signature")
                    return
                delta = {"type": "signature_delta", "signature": signature}
            case CitationDelta(citation=citation):
                if citation.dialect != NAME:
                    self._report.lose(citation, None, "dropped", "citations")
                    return
                delta = {"type": "citations_delta", "citation": citation.body}
            case PartEnd():
                self._close(out)
                return
            case _:
                return
        body = {"type": "content_block_delta", "index": self._number, "delta": delta}
        out.append(frame("content_block_delta", body))

    def _close(self, out: list[bytes]) -> None:
        """End the open block, and let out what waited for that."""
        out.append(frame("content_block_stop", {"type": "content_block_stop", "index": self._number}))
        self._open = None
        while self._waiting and self._open is None:
            index = next(iter(self._waiting))
            first, *more = self._waiting.pop(index)
            assert isinstance(first, PartBegin)
            self._begin_part(first.part, index, out)
            for event in more:
                if self._open == index:
                    self._delta(event, out)

    # --- the message -----------------------------------------------------------------------------

    def _start(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        begin = self._begin
        usage = self._wire_usage(Report())
        if (tier := tier_of(begin.service_tier, self._report)) is not None:
            usage["service_tier"] = tier
        message: dict[str, Json] = {
            "id": begin.id,
            "type": "message",
            "role": "assistant",
            "model": begin.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        out.append(frame("message_start", {"type": "message_start", "message": message}))

    def _wire_usage(self, report: Report) -> dict[str, Json]:
        if self._usage is None:
            report.lose(Choice(at=report.names.get("usage", "usage")), None, "changed", "usage_detail")
            return {"input_tokens": 0, "output_tokens": 0}
        return write_usage_object(self._usage, report)

    def _finish(self, out: list[bytes]) -> None:
        self._start(out)
        while self._open is not None:
            self._close(out)
        end = self._end
        word, sequence = stop_words(end.stop if end else None, self._report)
        delta: dict[str, Json] = {"stop_reason": word, "stop_sequence": sequence}
        body: dict[str, Json] = {"type": "message_delta", "delta": delta}
        for name, value in self._late(end.extras if end else None).items():
            (body if name in _BESIDE else delta)[name] = value
        body["usage"] = self._wire_usage(self._report)
        out.append(frame("message_delta", body))
        out.append(frame("message_stop", {"type": "message_stop"}))
        self._over = True

    def _late(self, extras: Extras | None) -> dict[str, Json]:
        if extras is None:
            return {}
        if extras.dialect != NAME:
            # A source without a list of choices has the fields of its only one at the top.
            listed = _LISTED.match(self._end.stop.at) if self._end is not None else None
            lose_fields(extras, self._report, f"{listed[0]}." if listed is not None else "")
            return {}
        return extras.fields


def _held(part: Part, index: int) -> list[StreamEvent]:
    """What a part that begins already holds."""
    match part:
        case Text(text=text, citations=citations):
            told: list[StreamEvent] = [TextDelta(text, index)] if text else []
            return told + [CitationDelta(citation, index) for citation in citations]
        case Refusal(text=text):
            return [TextDelta(text, index)] if text else []
        case Thinking(redacted=None, text=text, signature=signature):
            told = [ThinkingDelta(text, index)] if text else []
            return told + ([SignatureDelta(signature, index)] if signature else [])
        case ToolCall(arguments=arguments):
            return [ArgumentsDelta(arguments, index)] if arguments not in ("", "{}") else []
        case _:
            return []
