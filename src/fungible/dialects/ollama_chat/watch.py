"""Looks on while a stream's bytes go from a provider of this dialect to a client of it.

Lines are read until one of them is a piece of the answer; after that only those that end it are, which are
found by bytes that cannot stand in a text, where quotes are escaped.
"""

import re

from ...faults import Fault
from ...frames.ndjson import LINE_BYTES_MAX, whole
from ...ir import Json, Usage
from ..checked import BROKEN, decode
from ..failures import cut_short
from .errors import fault_inside
from .usage import read_usage

_LAST = re.compile(rb'"done"[ \t]*:[ \t]*true|"error"[ \t]*:')
_PIECES = ("content", "thinking", "tool_calls", "images", "response")


class Watch:
    __slots__ = ("_rest", "began", "done", "fault", "usage")

    def __init__(self, usage: bool) -> None:
        self.began = False
        self.done = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._rest = b""

    def piece(self, data: bytes) -> bool:
        return False  # every event may tell the usage

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        end = whole(data)
        self._rest, data = data[end:], data[:end]
        if len(self._rest) > LINE_BYTES_MAX:
            raise Fault("provider_answer", f"The provider sent a line of more than {LINE_BYTES_MAX} bytes.")
        if not data:
            return b""
        if not self.began:
            for line in data.split(b"\n"):
                if line.strip() and not self.began and self.fault is None:
                    self._first(line)
        if _LAST.search(data) is not None:
            for line in data.split(b"\n"):
                if _LAST.search(line) is not None:
                    self._end(line)
        return data

    def end(self) -> bytes:
        """What was held back, if it is a whole line but for its end."""
        rest, self._rest = self._rest, b""
        out = b""
        if rest.strip() and _object(rest) is not None:
            out = self.feed(rest + b"\n")
        if not self.done and self.fault is None:
            self.fault = cut_short('a line that says "done": true')
        return out

    def _first(self, line: bytes) -> None:
        wire = _object(line)
        if wire is None:
            self.fault = Fault("provider_answer", "The provider sent a line that is not JSON.")
            return
        message = wire.get("message")
        told = message if type(message) is dict else wire
        self.began = any(told.get(name) for name in _PIECES)

    def _end(self, line: bytes) -> None:
        wire = _object(line)
        if wire is None:
            return
        fault = fault_inside(wire)
        if fault is not None:
            self.fault = fault
        elif wire.get("done") is True:
            self.done = True
            try:
                self.usage = read_usage(wire)
            except Fault:
                self.usage = None


def _object(line: bytes) -> dict[str, Json] | None:
    try:
        wire = decode(line)
    except BROKEN:
        return None
    return wire if type(wire) is dict else None
