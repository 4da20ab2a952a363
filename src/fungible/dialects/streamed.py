"""A stream read: what all readers do around what its frames mean.

Bytes become frames, a frame is a JSON object, an object is events; the first failure is the stream's last
event. What the frames are, and what their objects mean, is the dialect's own.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from ..events import Failed, StreamEvent
from ..faults import Fault
from .checked import BROKEN, Wire, decode
from .failures import broken_event, cut_short


class Frames(Protocol):
    """Raises `Fault` for bytes that are no frame."""

    def feed(self, data: bytes) -> list[Any]: ...

    def end(self) -> list[Any]: ...


class FramedReader(ABC):
    __slots__ = ("_frames", "_over")

    end_mark: ClassVar[str]  # what a whole stream ends with, in words
    frame: ClassVar[str] = "an event"

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._over = False

    @abstractmethod
    def _all(self, frames: list[Any], out: list[StreamEvent]) -> None:
        """What the frames say, as far as `_over`, which is set by the last of a stream."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        if not self._over:
            try:
                self._all(self._frames.feed(data), out)
            except Fault as fault:
                self._fail(fault, out)
        return out

    def gather(self, data: bytes) -> list[StreamEvent]:
        return self.feed(data)

    def end(self) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        if not self._over:
            try:
                self._all(self._frames.end(), out)
            except Fault as fault:
                self._fail(fault, out)
        if not self._over:
            self._ended(out)
        return out

    def _ended(self, out: list[StreamEvent]) -> None:
        """The connection has ended without the wire's end mark."""
        self._fail(cut_short(self.end_mark), out)

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._over = True
        out.append(Failed(fault))

    def _object(self, data: bytes, out: list[StreamEvent]) -> Wire | None:
        """The frame's object. None where it is none, which has failed the stream."""
        try:
            value = decode(data)
        except BROKEN as error:
            self._fail(broken_event(error, self.frame), out)
            return None
        if type(value) is not dict:
            self._fail(Fault("provider_answer", f"The provider sent {self.frame} that is no object."), out)
            return None
        return value
