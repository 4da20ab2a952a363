"""A look at a stream's bytes while they are moved: has it begun, what did it cost, did it fail, is it done.

Until the answer has begun each event is read. After that a batch is only searched, and only its last few
events: what is looked for (the usage, an error, the end mark) is among the last things a provider sends, and
a usage that is told with every event adds up. What is found is no text of the answer, for an unescaped
`_tokens"` or `"error":` cannot stand inside a JSON string, where its quotes are escaped.
"""

from typing import Any

import msgspec

from ...events import revise
from ...faults import Fault
from ...frames.sse import FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN, decode
from ..failures import broken_event
from .errors import fault_inside
from .usage import read_usage

TOKENS = b'_tokens"'  # as every count of a usage is called
ERROR = b'"error":'
ERROR_EVENT = b"event: error"
DONE = b"[DONE]"
END_MARK = b"data: [DONE]\n\n"
FINISH, FINISH_SPACED = b'"finish_reason":"', b'"finish_reason": "'
BLANK = b"\n\n"
PLAIN = b"data: {"  # the first bytes of nearly every event
LAST_EVENTS = 5
SHORT_BYTES = 1_024  # so few are searched whole


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

    def piece(self, data: bytes) -> bool:
        return (
            self.began
            and not self._rest
            and len(data) < SHORT_BYTES
            and data.startswith(PLAIN)
            and data.endswith(BLANK)
            and b"error" not in data
            and TOKENS not in data
            and DONE not in data
            and FINISH not in data
            and FINISH_SPACED not in data
        )

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
        start = _last_events(data)
        near = data[start:] if start else data
        if near.endswith(END_MARK):
            self.done = True
        elif DONE in near:
            self._mark(near)
        elif FINISH in near or FINISH_SPACED in near:
            self._ended = True
        if b"error" in near and (ERROR in near or ERROR_EVENT in near):
            self._failed(near)
        at = near.find(TOKENS)
        if at >= 0:
            kept = self._tell(near, at)
            if kept is not near:
                return data[:start] + kept
        return data

    def _wait(self, data: bytes) -> None:
        """Looks at each event until one of them is a piece of the answer."""
        at, size = 0, len(data)
        while at < size and not self.began and self.fault is None:
            stop = data.find(BLANK, at)
            if stop < 0 or b"\r" in data[at:stop]:
                for event, body in FrameReader().feed(data[at:]):
                    self._first(event, body)
                return
            block = data[at:stop]
            at = stop + 2
            if block.startswith(PLAIN) and b"\n" not in block:
                self._first(b"", block[6:])
            else:
                for event, body in FrameReader().feed(block + BLANK):
                    self._first(event, body)

    def _first(self, event: bytes, body: bytes) -> None:
        if self.began or event or body[:1] != b"{":
            return
        try:
            choices = _chunk(body).choices
        except msgspec.ValidationError:
            return
        except BROKEN as error:
            self.fault = self.fault or broken_event(error)
            return
        for choice in choices or ():
            delta = choice.delta
            if delta is None:
                continue
            if (
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

    def _mark(self, data: bytes) -> None:
        for line in data.splitlines():
            if line.startswith(b"data:") and line[5:].strip() == DONE:
                self.done = True

    def _failed(self, data: bytes) -> None:
        for event, body in FrameReader().feed(data):
            if event != b"error" and ERROR not in body:
                continue
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
                self._counted(node)
                if not self._shown and node.get("choices") == []:
                    kept.append(data[passed:start])
                    passed = stop
            at = data.find(TOKENS, stop)
        if not passed:
            return data
        kept.append(data[passed:])
        return b"".join(kept)

    def _counted(self, node: dict[str, Json]) -> None:
        """In the event, in a choice (Moonshot), or in a field of its own (Groq)."""
        told, choices = node.get("usage"), node.get("choices")
        if not told:
            groq = node.get("x_groq")
            told = groq.get("usage") if type(groq) is dict else None
        found = [c.get("usage") for c in choices if type(c) is dict] if type(choices) is list else []
        for usage in (*found, told):
            if type(usage) is dict:
                self.usage = revise(self.usage, read_usage(usage))


def _is_whole(rest: bytes) -> bool:
    """Whether what stands after the last blank line is an event that only lacks its own."""
    events = FrameReader().feed(rest + BLANK)
    return all(body == DONE or _object(body) is not None for _, body in events)


def _last_events(data: bytes) -> int:
    """Where the last few events begin; 0 where there are few, or the line ends are others than LF."""
    at = len(data)
    if at < SHORT_BYTES or b"\r" in data:
        return 0
    for _ in range(LAST_EVENTS):
        at = data.rfind(BLANK, 0, at)
        if at < 0:
            return 0
    return at + 2


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


def _node(event: bytes) -> dict[str, Json] | None:
    if event.startswith(PLAIN) and event.find(b"\n") == len(event) - 2:
        return _object(event[6:])
    return next((_object(body) for _, body in FrameReader().feed(event)), None)


def _object(body: bytes) -> dict[str, Json] | None:
    try:
        node = decode(body)
    except BROKEN:
        return None
    return node if type(node) is dict else None
