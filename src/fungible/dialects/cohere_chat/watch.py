"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Before the answer begins it is searched for the names of events that are a piece of it; after that, for the
`message-end`, which tells the reason, the usage, or an error. Neither can stand in a text, where quotes are
escaped and a frame cannot begin.
"""

from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN, decode
from ..failures import cut_short
from .errors import fault_of
from .usage import read_usage

_PIECES = (b'"content-delta"', b'"tool-plan-delta"', b'"tool-call-start"')
_END = b'"message-end"'
_END_MARK = b"data: [DONE]"


class Watch:
    __slots__ = ("_ended", "_rest", "began", "done", "fault", "usage")

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._ended = False  # `message-end` was seen; the end mark may follow it
        self._rest = b""

    def piece(self, data: bytes) -> bool:
        return False  # every event may tell the usage

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        end = whole(data)
        self._rest, data = data[end:], data[:end]
        if len(self._rest) > FRAME_BYTES_MAX:
            raise Fault(
                "provider_answer", f"The provider sent an event of more than {FRAME_BYTES_MAX} bytes."
            )
        if not self.began and any(piece in data for piece in _PIECES):
            self.began = True
        if _END in data or (not self.began and b"data:" in data):
            for _, payload in FrameReader().feed(data):
                self._look(payload)
        if _END_MARK in data and self._ended and self.fault is None:
            self.done = True
        return data

    def end(self) -> bytes:
        """What was held back, if it is a whole frame but for its blank line."""
        rest, self._rest = self._rest, b""
        out = b""
        if rest.strip() and FrameReader().feed(rest + b"\n\n"):
            out = self.feed(rest + b"\n\n")
        if self._ended and self.fault is None:
            self.done = True
        if not self.done and self.fault is None:
            self.fault = cut_short("message-end")
        return out

    def _look(self, payload: bytes) -> None:
        if payload == b"[DONE]":
            return
        try:
            wire: Json = decode(payload)
        except BROKEN:
            self.fault = Fault("provider_answer", "The provider sent an event that is not JSON.")
            return
        kind = wire.get("type") if type(wire) is dict else None
        if kind == "message-end":
            self._message_end(wire.get("delta"))
        elif type(wire) is dict and kind is None and type(wire.get("message")) is str:
            self.fault = fault_of(wire, None)

    def _message_end(self, delta: Json) -> None:
        delta = delta if type(delta) is dict else {}
        if delta.get("error"):
            self.fault = fault_of({**delta, "message": delta["error"]}, None)
            return
        self._ended = True
        try:
            self.usage = read_usage(delta["usage"]) if type(delta.get("usage")) is dict else None
        except Fault:
            self.usage = None
