"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Of each frame its headers are looked at; a payload only where it tells the usage or an error, or begins the
answer. Nothing is changed: a client of this wire is always told the usage.
"""

import msgspec

from ...faults import Fault
from ...frames.eventstream import Frame, FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN
from ..failures import cut_short
from .errors import fault_in
from .usage import read_usage_object

_decode = msgspec.json.Decoder().decode


class Watch:
    __slots__ = ("_frames", "_rest", "_stopped", "began", "done", "fault", "usage")

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self._frames = FrameReader()
        self._rest = b""
        self._stopped = False  # whether `messageStop` was seen

    def piece(self, data: bytes) -> bool:
        return False  # every event may tell the usage

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        end = whole(data)
        self._rest = data[end:]
        data = data[:end]
        for frame in self._frames.feed(data):
            self._see(frame)
        if self._frames.inside:  # of what is whole by its lengths: one is broken
            self._frames.end()
        return data

    def _see(self, frame: Frame) -> None:
        if frame.kind != "event":
            self.fault = self.fault or fault_in(frame)
            return
        name = frame.name
        if name == "contentBlockDelta":
            self.began = self.began or self._is_object(frame)
        elif name == "contentBlockStart":
            self.began = True
        elif name == "messageStop":
            self._stopped = True
        elif name == "metadata":
            self._read_usage(frame)
            self.done = self._stopped

    def _is_object(self, frame: Frame) -> bool:
        """Whether the answer begins, rather than something that no client could read."""
        if type(_value(frame)) is not dict:
            self.fault = Fault("provider_answer", "The provider sent an event that is not JSON.")
            return False
        return True

    def _read_usage(self, frame: Frame) -> None:
        wire = _value(frame)
        told = wire.get("usage") if type(wire) is dict else None
        try:
            self.usage = read_usage_object(told) if type(told) is dict else self.usage
        except Fault:
            self.usage = None

    def end(self) -> bytes:
        """Bytes of a frame that is not whole are of no use to anyone."""
        if self.fault is None and not self.done:
            if self._stopped and not self._rest:
                self.done = True
            else:
                self.fault = cut_short("messageStop")
        self._rest = b""
        return b""


def _value(frame: Frame) -> Json:
    try:
        return _decode(frame.payload)
    except BROKEN:
        return None
