"""Server-sent events, as the WHATWG HTML standard (section 9.2) defines them, read and written.

The reader takes bytes cut anywhere and gives whole frames: (event name or b"", data). Lines may end in
LF, CRLF or CR; several `data:` lines are joined by LF; comments, `id` and `retry` say nothing to us;
a frame without data is none. What follows the last blank line is kept for the next bytes.

The common case, LF line ends and one or two lines a frame, is a split and two comparisons.
"""

from typing import TypeAlias

from ..faults import Fault

Frame: TypeAlias = tuple[bytes, bytes]

FRAME_BYTES_MAX = 8 * 1024 * 1024  # an image can ride in one frame; more is an attack


class FrameReader:
    """Feed it bytes, get frames. Raises `Fault` (provider_answer) for a frame over the limit."""

    __slots__ = ("_bom", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._bom = True

    def feed(self, data: bytes) -> list[Frame]:
        if self._rest:
            data = self._rest + data
        if self._bom:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._rest = data
                return []
            self._bom = False
            data = data.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in data:
            # A CR at the very end may be half of a CRLF: it waits for its other half.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        blocks = data.split(b"\n\n")
        self._rest = blocks.pop() + held
        if len(self._rest) > FRAME_BYTES_MAX:
            raise Fault("provider_answer", f"The provider sent an event over {FRAME_BYTES_MAX} bytes.")
        return [frame for block in blocks if (frame := frame_of(block)) is not None]

    def end(self) -> list[Frame]:
        """The stream is over. A last frame whose blank line is missing counts (Perplexity ends so)."""
        rest, self._rest = self._rest.replace(b"\r", b"\n"), b""
        frame = frame_of(rest)
        return [] if frame is None else [frame]


def frame_of(block: bytes) -> Frame | None:
    """What the lines between two blank ones say; they end in LF. None: nothing."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return b"", block[6:]
    if block.startswith(b"event: "):
        first, _, rest = block.partition(b"\n")
        if rest.startswith(b"data: ") and b"\n" not in rest:
            return first[7:], rest[6:]
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return (name, b"\n".join(data)) if data else None


def whole(data: bytes) -> int:
    """How many bytes of `data` are whole frames: up to and with the last blank line, in any line ending."""
    return max(
        data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0,
        data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0,
        data.rfind(b"\r\r") + 2 if b"\r\r" in data else 0,
    )
