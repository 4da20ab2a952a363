"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Every frame is a whole answer and there is no end mark, so each is looked at for a few words: content begins
the answer, a finish reason or a block reason makes an end possible, and the last usage is read when somebody
asks for it. A word inside a text has its quotes escaped, so it is not taken for a field's name.
"""

import re

import msgspec

from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN
from ..failures import cut_short
from .errors import fault_of
from .shape import spelled
from .usage import read_usage_object

_decode = msgspec.json.Decoder().decode

_CONTENT = re.compile(rb'"parts"\s*:\s*\[\s*\{')
_END = re.compile(rb'"(?:finishReason|finish_reason|blockReason|block_reason)"\s*:')
_USAGE = re.compile(rb'"usage_?[mM]etadata"\s*:')
_ERROR = re.compile(rb'data:\s*(?:\[\s*)?\{\s*"error"\s*:')


class Watch:
    __slots__ = ("_ending", "_rest", "_seen", "_usage", "began", "done", "fault")

    began: bool
    done: bool
    fault: Fault | None

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.fault: Fault | None = None
        self._ending = False  # whether it could end here
        self._rest = b""
        self._seen = b""  # the frames in which usage was told last
        self._usage: Usage | None = None

    def piece(self, data: bytes) -> bool:
        return False  # every event may tell the usage

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        end = len(data) if data.endswith((b"\n\n", b"\r\n\r\n")) else whole(data)
        self._rest = data[end:]
        if len(self._rest) > FRAME_BYTES_MAX:
            raise Fault("provider_answer", f"The provider sent an event of over {FRAME_BYTES_MAX} bytes.")
        if not end:
            return b""
        data = data[:end]
        self._look(data)
        return data

    def _look(self, data: bytes) -> None:
        if not self.began and _CONTENT.search(data) is not None:
            if any(not _object(payload) for _, payload in FrameReader().feed(data)):
                self.fault = Fault("provider_answer", "The provider sent an event that is not JSON.")
                return
            self.began = True
        if not self._ending and _END.search(data) is not None:
            self._ending = True
        if _USAGE.search(data) is not None:
            self._seen = data
            self._usage = None
        if _ERROR.search(data) is not None:
            for _, payload in FrameReader().feed(data):
                wire = _object(payload)
                if wire.get("error") is not None:
                    self.fault = fault_of(wire)

    def end(self) -> bytes:
        """What was held back, if it is whole frames but for its blank line; a client could not read less."""
        rest, self._rest = self._rest, b""
        seen = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n") + b"\n\n"
        frames = FrameReader().feed(seen) if rest else []
        passed = bool(frames) and all(_object(payload) for _, payload in frames)
        if passed:
            self._look(seen)
        if self.fault is None:
            if self._ending:
                self.done = True
            else:
                self.fault = cut_short("a finishReason")
        return rest + b"\n\n" if passed else b""

    @property
    def usage(self) -> Usage | None:
        """The last that was told. None: nothing, or nothing that can be read."""
        if self._usage is None and self._seen:
            for _, payload in FrameReader().feed(self._seen):
                told = _object(payload).get("usageMetadata")
                try:
                    found = read_usage_object(spelled(told)) if type(told) is dict else None
                except Fault:
                    found = None
                self._usage = found or self._usage
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage, self._seen = usage, b""


def _object(payload: bytes) -> dict[str, Json]:
    try:
        wire = _decode(payload)
    except BROKEN:
        return {}
    if type(wire) is list and len(wire) == 1:
        wire = wire[0]
    return spelled(wire) if type(wire) is dict else {}
