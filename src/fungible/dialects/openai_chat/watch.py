"""A look at a stream's bytes while they are moved: has it begun, what did it cost, did it fail, is it done.

Until the answer has begun each event is read; after that only those in which something is found by a search:
an unescaped `"usage":{` or `"error":` cannot stand inside a JSON string, where its quotes are escaped.
"""

from typing import Any

import msgspec

from ...events import revise
from ...faults import Fault
from ...frames.sse import FrameReader
from ...ir import Json, Usage
from .errors import fault_inside
from .shape import BROKEN, decode
from .usage import read_usage

_USAGE = (b'"usage":{', b'"usage": {')
_ERRORS = (b'"error":', b"event: error")
_FINISH = (b'"finish_reason":"', b'"finish_reason": "')
_LAST_BYTES = 256
_RECENT = 4


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None


_chunk = msgspec.json.Decoder(type=_Chunk).decode


class Watcher:
    """`usage`: whether the client is to see the event that tells nothing but the usage."""

    __slots__ = ("_recent", "_rest", "_shown", "began", "done", "fault", "usage")

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._shown = usage
        self._rest = b""
        self._recent: tuple[bytes, ...] = ()

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        stop = _whole(data)
        if stop == len(data):
            self._rest = b""
        else:
            self._rest, data = data[stop:], data[:stop]
        return self._look(data) if data else b""

    def end(self) -> bytes:
        """Whole without its end mark, if a choice told why it ended."""
        rest, self._rest = self._rest, b""
        out = b""
        if rest.strip():
            out = self._look(rest.rstrip() + b"\n\n")
        if not self.done and self.fault is None:
            if any(mark in piece for piece in self._recent for mark in _FINISH):
                self.done = True
            else:
                self.fault = Fault(
                    "provider_answer",
                    "The provider's stream ended before its end mark, so the answer is not whole.",
                )
        return out

    def _look(self, data: bytes) -> bytes:
        if not self.began:
            self._wait(data)
        if b"[DONE]" in data[-_LAST_BYTES:]:
            self._mark(data)
        if _ERRORS[0] in data or _ERRORS[1] in data:
            self._failed(data)
        told = next((mark for mark in _USAGE if mark in data), None)
        if told is not None:
            data = self._tell(data, told)
        self._recent = (*self._recent[1 - _RECENT :], data)
        return data

    def _wait(self, data: bytes) -> None:
        """Looks at each event until one of them is a piece of the answer."""
        for event, body in _frames(data):
            if event or body[:1] != b"{":
                continue
            try:
                choices = _chunk(body).choices
            except msgspec.ValidationError:
                choices = None
            except BROKEN as error:
                self.fault = self.fault or Fault(
                    "provider_answer", f"The provider sent an event that is not JSON: {error}."
                )
                return
            for choice in choices or ():
                delta = choice.delta
                if delta is not None and (
                    delta.content
                    or delta.tool_calls
                    or delta.reasoning_content
                    or delta.reasoning
                    or delta.reasoning_details
                    or delta.refusal
                    or delta.audio
                    or delta.function_call
                ):
                    self.began = True
                    return

    def _mark(self, data: bytes) -> None:
        for line in data[-_LAST_BYTES:].splitlines():
            if line.startswith(b"data:") and line[5:].strip() == b"[DONE]":
                self.done = True

    def _failed(self, data: bytes) -> None:
        for event, body in _frames(data):
            if event != b"error" and _ERRORS[0] not in body:
                continue
            node = _object(body)
            fault = fault_inside(node, event) if node is not None else None
            if fault is not None:
                self.fault = fault
                return

    def _tell(self, data: bytes, mark: bytes) -> bytes:
        """Reads each event with a usage, and takes out the one the client did not ask for."""
        at = data.find(mark)
        kept: list[bytes] = []
        passed = 0
        while at >= 0:
            start, stop = _around(data, at, passed)
            node = next((_object(body) for _, body in _frames(data[start:stop])), None)
            if node is not None:
                self._counted(node)
                if not self._shown and node.get("choices") == []:
                    kept.append(data[passed:start])
                    passed = stop
            at = data.find(mark, stop)
        if not passed:
            return data
        kept.append(data[passed:])
        return b"".join(kept)

    def _counted(self, node: dict[str, Json]) -> None:
        groq, choices = node.get("x_groq"), node.get("choices")
        found = [c.get("usage") for c in choices if type(c) is dict] if type(choices) is list else []
        told = node.get("usage")
        found.append(told if told or type(groq) is not dict else groq.get("usage"))
        for usage in found:
            if type(usage) is dict:
                self.usage = revise(self.usage, read_usage(usage))


def _whole(data: bytes) -> int:
    """How many bytes are whole events: up to and with the last blank line."""
    if b"\r" not in data:
        return len(data) if data.endswith(b"\n\n") else data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    return max(
        data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0,
        data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0,
        data.rfind(b"\r\r") + 2 if b"\r\r" in data else 0,
    )


def _around(data: bytes, at: int, floor: int) -> tuple[int, int]:
    """The event that stands around a place: from the blank line before it to the one after it."""
    starts = [data.rfind(blank, floor, at) + len(blank) for blank in (b"\n\n", b"\r\n\r\n", b"\r\r")]
    start = max([floor, *(s for s, b in zip(starts, (2, 4, 2), strict=True) if s >= floor + b)])
    ends = [(found, len(b)) for b in (b"\n\n", b"\r\n\r\n", b"\r\r") if (found := data.find(b, at)) >= 0]
    stop = min(found + length for found, length in ends) if ends else len(data)
    return start, stop


def _frames(data: bytes) -> list[tuple[bytes, bytes]]:
    return FrameReader().feed(data)


def _object(body: bytes) -> dict[str, Json] | None:
    try:
        node = decode(body)
    except BROKEN:
        return None
    return node if type(node) is dict else None
