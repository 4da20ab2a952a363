"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Only two places of the bytes are looked at: what stands before the first delta, and the last frame, which
is where an error or the end mark must be, for nothing follows either. Usage is found by its key, which
cannot stand in a text (there its quotes are escaped), and is read when somebody asks for it.
"""

import msgspec

from ...faults import Fault
from ...frames.sse import FRAME_BYTES_MAX, FrameReader, whole
from ...ir import Json, Usage
from ..checked import BROKEN
from ..failures import cut_short
from .errors import fault_of
from .usage import merged, read_usage_object

_decode = msgspec.json.Decoder().decode

_ROUTERS_END = b"data: [DONE]\n\n"
_DELTA = b"event: content_block_delta\n"
_FIRST_DELTA = b"content_block_delta"
_SAYS_NOTHING = (b'"text"', b'"thinking"')
"""Types of blocks whose start is no piece of the answer."""


class Watch:
    __slots__ = ("_rest", "_told", "_usage", "_usages", "began", "done", "fault")

    began: bool
    done: bool
    fault: Fault | None

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.fault: Fault | None = None
        self._rest = b""
        self._usages: list[bytes] = []  # the frames that told usage
        self._told = 0  # how many of them are in `_usage`
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
        if not end:
            return b""
        data = data[:end]
        seen = data if data.endswith(b"\n\n") else data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self.began:
            self._opening(seen)
        self._closing(seen)
        return data

    def _opening(self, data: bytes) -> None:
        delta = data.find(_FIRST_DELTA)
        if delta >= 0:
            frame = data[data.rfind(b"\n\n", 0, delta) + 1 : data.find(b"\n\n", delta)]
            if not _object(frame[frame.find(b"data:") + 5 :]):
                self.fault = Fault("provider_answer", "The provider sent an event that is not JSON.")
                return
            self.began = True
            first = data.find(b"\n\n")
            if b"message_start" in data[:first]:
                self._usages.append(data[: first + 2])
                return
            data = data[: data.rfind(b"\n\n", 0, delta) + 2]
        for frame in data.split(b"\n\n"):
            if b'"message_start"' in frame:
                self._usages.append(frame + b"\n\n")
                self.began = self.began or b'"content":[]' not in frame.replace(b" ", b"")
            elif b'"content_block_start"' in frame and not any(kind in frame for kind in _SAYS_NOTHING):
                self.began = True

    def _closing(self, data: bytes) -> None:
        usage = data.rfind(b'"usage"')
        if usage >= 0:
            frame = data[max(data.rfind(b"\n\n", 0, usage), 0) : data.find(b"\n\n", usage) + 2]
            if b"message_delta" in frame:
                self._usages.append(frame)
        last = data[max(data.rfind(b"\n\n", 0, len(data) - 2), 0) :].lstrip(b"\n")
        if b"message_stop" in last or (last.endswith(_ROUTERS_END) and b"message_stop" in data[-200:]):
            self.done = True
        elif last.startswith(b"event: error") or (
            b'"error"' in last and not last.startswith(b"event: content")
        ):
            self._error(last)

    def _error(self, last: bytes) -> None:
        for name, payload in FrameReader().feed(last):
            wire = _object(payload)
            if name == b"error" or wire.get("type") == "error":
                self.fault = fault_of(wire)

    def end(self) -> bytes:
        """What was held back, if it is a whole frame but for its blank line; a client could not read less."""
        rest, self._rest = self._rest, b""
        seen = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n") + b"\n\n"
        frames = FrameReader().feed(seen) if rest else []
        whole_ones = bool(frames) and all(_object(payload) for _, payload in frames)
        if whole_ones:
            if not self.began:
                self._opening(seen)
            self._closing(seen)
        if not self.done and self.fault is None:
            self.fault = cut_short("message_stop")
        return rest + b"\n\n" if whole_ones else b""

    @property
    def usage(self) -> Usage | None:
        """All that was told so far. None: nothing, or nothing that can be read."""
        if self._told != len(self._usages):
            self._told = len(self._usages)
            seen: dict[str, Json] = {}
            for _, payload in FrameReader().feed(b"".join(self._usages)):
                wire = _object(payload)
                message = wire.get("message")
                told = (message if type(message) is dict else wire).get("usage")
                seen = merged(seen, told) if type(told) is dict else seen
            try:
                self._usage = read_usage_object(seen) if seen else None
            except Fault:
                self._usage = None
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage, self._told = usage, len(self._usages)


def _object(payload: bytes) -> dict[str, Json]:
    try:
        wire = _decode(payload)
    except BROKEN:
        return {}
    return wire if type(wire) is dict else {}
