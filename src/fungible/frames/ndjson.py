"""Newline-delimited JSON: one value a line, read and written.

The reader takes bytes cut anywhere and gives whole lines. A line ends in LF or CRLF; one of white space
alone is none. What follows the last line end is kept for the next bytes, and counts as a line at the end.
"""

from ..faults import Fault

LINE_BYTES_MAX = 8 * 1024 * 1024  # an image can ride in one line; more is an attack


class LineReader:
    """Feed it bytes, get lines. Raises `Fault` (provider_answer) for a line over the limit."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_BYTES_MAX:
            raise Fault("provider_answer", f"The provider sent a line of more than {LINE_BYTES_MAX} bytes.")
        return [line for line in lines if line and not line.isspace()]

    def end(self) -> list[bytes]:
        """The stream is over; a last line without its end counts."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []


def whole(data: bytes) -> int:
    """How many bytes of `data` are whole lines."""
    return data.rfind(b"\n") + 1
