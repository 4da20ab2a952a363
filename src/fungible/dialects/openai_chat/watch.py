"""A look at a stream's bytes while they are moved: has it begun, what did it cost, did it fail, is it done.

Until the answer has begun each event is read. After that a batch is only searched, and only near its end:
what is looked for (the usage, an error, the end mark) is among the last things a provider sends, and an
unescaped `"usage":{` or `"error":` cannot stand inside a JSON string, where its quotes are escaped.
"""

from typing import Any

import msgspec

from ...events import revise
from ...faults import Fault
from ...frames.sse import FrameReader, whole
from ...ir import Json, Usage
from .errors import fault_inside
from .shape import BROKEN, decode
from .usage import read_usage

USAGE = (b'"usage":{', b'"usage": {')
ERROR = b'"error":'
DONE = b"[DONE]"
FINISH = (b'"finish_reason":"', b'"finish_reason": "')
BLANK = b"\n\n"
PLAIN = b"data: {"  # the first bytes of nearly every event
NEAR_BYTES = 2048  # how far from a batch's end the search goes
MARK_BYTES = 64


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

    __slots__ = ("_ended", "_rest", "_shown", "began", "done", "fault", "usage")

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._shown = usage
        self._rest = b""
        self._ended = False  # a choice has told why it ended

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        if data.endswith(BLANK):
            self._rest = b""
        else:
            stop = whole(data)
            self._rest, data = data[stop:], data[:stop]
            if not stop:
                return data
        return self._look(data)

    def end(self) -> bytes:
        """Whole without its end mark if a choice told why it ended and no event is cut short."""
        rest, self._rest = self._rest.rstrip(), b""
        out = b""
        if rest and _is_whole(rest):
            out = self._look(rest + BLANK)
            rest = b""
        if not self.done and self.fault is None:
            if self._ended and not rest:
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
        near = max(0, len(data) - NEAR_BYTES)
        if data.find(ERROR, near) >= 0:
            self._failed(data)
        told = data.find(USAGE[0], near)
        if told < 0:
            told = data.find(USAGE[1], near)
        if DONE in data[-MARK_BYTES:]:
            self._mark(data)
        elif not self._ended:
            self._ended = data.find(FINISH[0], near) >= 0 or data.find(FINISH[1], near) >= 0
        return data if told < 0 else self._tell(data, told)

    def _wait(self, data: bytes) -> None:
        """Looks at one event after the other until one of them is a piece of the answer."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        start = 0
        while (stop := data.find(BLANK, start)) >= 0:
            frame = data[start:stop]
            start = stop + 2
            if frame.startswith(PLAIN) and b"\n" not in frame:
                bodies = [frame[6:]]
            else:
                bodies = [body for event, body in FrameReader().feed(frame + BLANK) if not event]
            for body in bodies:
                if body[:1] == b"{" and not self._begun(body):
                    return
            if self.began:
                return

    def _begun(self, body: bytes) -> bool:
        """Sets `began` by one event. False: it could not be read, and `fault` says so."""
        try:
            choices = _chunk(body).choices
        except msgspec.ValidationError:
            choices = None
        except BROKEN as error:
            self.fault = self.fault or Fault(
                "provider_answer", f"The provider sent an event that is not JSON: {error}."
            )
            return False
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
        return True

    def _mark(self, data: bytes) -> None:
        for line in data[-MARK_BYTES:].splitlines():
            if line.startswith(b"data:") and line[5:].strip() == DONE:
                self.done = True

    def _failed(self, data: bytes) -> None:
        for event, body in FrameReader().feed(data):
            if ERROR in body:
                node = _object(body)
                fault = fault_inside(node, event) if node is not None else None
                if fault is not None:
                    self.fault = fault
                    return

    def _tell(self, data: bytes, at: int) -> bytes:
        """Reads each event with a usage, and takes out the one the client did not ask for."""
        kept: list[bytes] = []
        passed = 0
        while at >= 0:
            start, stop = _around(data, at, passed)
            node = _node(data[start:stop])
            if node is not None:
                told = node.get("usage")
                if type(told) is dict and "x_groq" not in node:
                    self.usage = revise(self.usage, read_usage(told))
                else:
                    self._counted(node)
                if not self._shown and node.get("choices") == []:
                    kept.append(data[passed:start])
                    passed = stop
            at = data.find(USAGE[0], stop)
            if at < 0:
                at = data.find(USAGE[1], stop)
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


def _is_whole(rest: bytes) -> bool:
    """Whether what stands after the last blank line is an event that only lacks its own."""
    return all(body == DONE or _object(body) is not None for _, body in FrameReader().feed(rest + BLANK))


def _around(data: bytes, at: int, floor: int) -> tuple[int, int]:
    """The event that stands around a place: from the blank line before it to the one after it."""
    before = data.rfind(BLANK, floor, at)
    start, stop = before + 2 if before >= 0 else floor, data.find(BLANK, at) + 2
    if b"\r" in data:
        for blank in (b"\r\n\r\n", b"\r\r"):
            before, after = data.rfind(blank, start, at), data.find(blank, at)
            start = max(start, before + len(blank)) if before >= 0 else start
            stop = min(stop if stop > 1 else len(data), after + len(blank)) if after >= 0 else stop
    return start, stop if stop > 1 else len(data)


def _node(frame: bytes) -> dict[str, Json] | None:
    if frame.startswith(PLAIN) and frame.find(b"\n") == len(frame) - 2:
        return _object(frame[6:])
    return next((_object(body) for _, body in FrameReader().feed(frame)), None)


def _object(body: bytes) -> dict[str, Json] | None:
    try:
        node = decode(body)
    except BROKEN:
        return None
    return node if type(node) is dict else None
