"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Only two places of the bytes are looked at: what stands before the first delta, and the last frames, which
is where an error or the end must be, for nothing follows either. The words that are looked for stand in
quotes, which are escaped inside a text. The usage is in the last frame, which holds the whole answer again;
it is read when somebody asks for it.
"""

import msgspec

from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN, decode
from ..failures import cut_short
from .errors import fault_inside
from .usage import read_usage

_DELTA = b"event: response.output_text.delta\n"
_ENDS = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"')
_ERROR = (b"event: error", b'"type":"error"', b'"type": "error"')
_CONTENT = b".delta"
_SAYS_NOTHING = frozenset({"message", "reasoning"})
"""Types of items whose start is no piece of the answer."""


class _Last(msgspec.Struct, gc=False):
    """As much of a final event as money needs."""

    class _Response(msgspec.Struct, gc=False):
        usage: dict[str, Json] | None = None

    response: _Response


_last = msgspec.json.Decoder(_Last).decode


class Watcher:
    __slots__ = ("_final", "_rest", "_usage", "began", "done", "fault")

    began: bool
    done: bool
    fault: Fault | None

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.fault: Fault | None = None
        self._rest = b""
        self._final = b""  # the last event's JSON, until its usage is asked for
        self._usage: Usage | None = None

    def piece(self, data: bytes) -> bool:
        whole = self.began and not self._rest and data.startswith(_DELTA)
        return whole and data.find(b"\n\n") == len(data) - 2  # one delta, which says nothing to us

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        end = len(data) if data.endswith(b"\n\n") else whole(data)
        self._rest = data[end:]
        if len(self._rest) > FRAME_BYTES_MAX:
            raise Fault(
                "provider_answer", f"The provider sent an event of more than {FRAME_BYTES_MAX} bytes."
            )
        if end:
            data = data[:end]
            self._look(data)
            return data
        return b""

    def end(self) -> bytes:
        """What was held back, if it is a whole frame but for its blank line; a client could not read less."""
        rest, self._rest = self._rest, b""
        frames = FrameReader().feed(rest.rstrip(b"\r\n") + b"\n\n") if rest else []
        whole_ones = bool(frames) and all(_object(payload) for _, payload in frames)
        if whole_ones:
            self._look(rest.rstrip(b"\r\n") + b"\n\n")
        if not self.done and self.fault is None:
            self.fault = cut_short("response.completed")
        return rest + b"\n\n" if whole_ones else b""

    def _look(self, data: bytes) -> None:
        if not self.began:
            self._opening(data)
        if any(word in data for word in _ENDS) or any(word in data for word in _ERROR):
            for name, payload in FrameReader().feed(data):
                self._closing(name, payload)
                if self.done or self.fault is not None:
                    return

    def _opening(self, data: bytes) -> None:
        for name, payload in FrameReader().feed(data):
            if b".delta" in payload or b"output_item" in payload or name.endswith(_CONTENT):
                wire = _object(payload)
                if not wire:
                    self.fault = Fault("provider_answer", "The provider sent an event that is not JSON.")
                    return
                kind, item = wire.get("type"), wire.get("item")
                if type(kind) is str and kind.endswith(".delta"):
                    self.began = True
                elif kind == "response.output_item.added" and type(item) is dict:
                    self.began = item.get("type") not in _SAYS_NOTHING
                elif kind == "response.output_item.done":
                    self.began = True
            if self.began:
                return

    def _closing(self, name: bytes, payload: bytes) -> None:
        head = payload[:80]
        if not name.startswith(b"response.output") and any(word in head for word in _ENDS):
            self._final = payload
            if _ENDS[2] in head:
                wire = _object(payload)
                response = wire.get("response")
                fault = fault_inside(response) if type(response) is dict else None
                self.fault = fault or Fault("provider_error", "The provider's answer failed without a word.")
            else:
                self.done = True
        elif name == b"error" or any(word in head for word in _ERROR[1:]):
            self.fault = fault_inside(_object(payload), b"error")

    @property
    def usage(self) -> Usage | None:
        """As the last event told it. None: it has not come, or tells none."""
        if self._final:
            final, self._final = self._final, b""
            try:
                told = _last(final).response.usage
            except BROKEN:
                told = None
            self._usage = read_usage(told) if told else None
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage, self._final = usage, b""


def _object(payload: bytes) -> dict[str, Json]:
    try:
        wire = decode(payload)
    except BROKEN:
        return {}
    return wire if type(wire) is dict else {}
