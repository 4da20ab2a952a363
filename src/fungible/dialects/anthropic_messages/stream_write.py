"""Events written as the wire's stream, block by block.

`message_start` waits for one event more, for usage often follows the beginning; `message_delta` waits for
the end.
"""

import msgspec

from ...events import (
    ArgumentsDelta,
    Begin,
    CitationDelta,
    End,
    PartEvent,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from ...faults import Fault
from ...ir import Json, Part
from ...losses import Report
from ..blockwise import BlockWriter
from ..checked import Wire
from .blocks import Blocks
from .errors import write_stream_error
from .names import NAME
from .reply import stop_words, tier_of
from .usage import write_usage_object

_encode = msgspec.json.encode

_BESIDE = frozenset({"context_management"})
"""Fields that `message_delta` has beside its delta, not in it (SDK, BetaRawMessageDeltaEvent)."""

_TEXT_HEAD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"text_delta","text":'
)


def frame(name: str, body: Json) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(body) + b"\n\n"


class StreamWriter(BlockWriter):
    __slots__ = ()

    name = NAME

    def __init__(self, report: Report, usage: bool) -> None:
        super().__init__(Blocks(report, asking=False))
        self._hot_tail = b"}}\n\n"

    def _told(self, name: str, body: Json) -> bytes:
        return frame(name, body)

    def _failed(self, fault: Fault) -> bytes:
        return write_stream_error(fault, "")

    def _open_block(self, part: Part, block: Wire, out: list[bytes]) -> None:
        self._hot, self._hot_head = self._open, _TEXT_HEAD % self._number
        start = {"type": "content_block_start", "index": self._number, "content_block": block}
        out.append(frame("content_block_start", start))

    def _put(self, event: PartEvent, out: list[bytes]) -> None:
        delta: Wire
        match event:
            case TextDelta(text=text):
                delta = {"type": "text_delta", "text": text}
            case ArgumentsDelta(text=text):
                delta = {"type": "input_json_delta", "partial_json": text}
            case ThinkingDelta(text=text):
                delta = {"type": "thinking_delta", "thinking": text}
            case SignatureDelta(signature=signature):
                delta = {"type": "signature_delta", "signature": signature}
            case CitationDelta(citation=citation):
                delta = {"type": "citations_delta", "citation": citation.body}
            case _:
                return
        body = {"type": "content_block_delta", "index": self._number, "delta": delta}
        out.append(frame("content_block_delta", body))

    def _stop_block(self, out: list[bytes]) -> None:
        out.append(frame("content_block_stop", {"type": "content_block_stop", "index": self._number}))

    # --- the message -----------------------------------------------------------------------------

    def _start(self, begin: Begin, out: list[bytes]) -> None:
        if begin.created is not None:
            self._lose(self._report.names.get("created", "created"), "unknown_field")
        usage = self._wire_usage(Report())
        if (tier := tier_of(begin.service_tier, self._report)) is not None:
            usage["service_tier"] = tier
        message: Wire = {
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

    def _wire_usage(self, report: Report) -> Wire:
        if self._usage is None:
            report.lose_at(report.names.get("usage", "usage"), "changed", "usage_detail")
            return {"input_tokens": 0, "output_tokens": 0}
        return write_usage_object(self._usage, report)

    def _finish(self, end: End | None, late: dict[str, Json], out: list[bytes]) -> None:
        word, sequence = stop_words(end.stop if end else None, self._report)
        delta: Wire = {"stop_reason": word, "stop_sequence": sequence}
        body: Wire = {"type": "message_delta", "delta": delta}
        for name, value in late.items():
            (body if name in _BESIDE else delta)[name] = value
        body["usage"] = self._wire_usage(self._report)
        out.append(frame("message_delta", body))
        out.append(frame("message_stop", {"type": "message_stop"}))
