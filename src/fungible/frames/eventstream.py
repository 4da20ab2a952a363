"""`application/vnd.amazon.eventstream`: AWS's binary frames, read and written.

A frame is three big-endian 32-bit numbers (its length, its headers' length, the CRC-32 of these two), then
headers, then a payload, then the CRC-32 of all before it. A header is a name and a typed value; of the ten
types every one is read and only strings are written, as the services do. Source: the Smithy specification,
Amazon Event Stream. Bytes may be cut anywhere; a frame is told when it is whole.

A frame says what it is by `:message-type`: `event` (its name is `:event-type`), `exception`
(`:exception-type`) or `error` (`:error-code`, `:error-message`, no payload).
"""

import struct
from binascii import crc32
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from ..faults import Fault

FRAME_BYTES_MAX = 24 * 1024 * 1024  # the specification's limit of a payload; more is no frame
HEADERS_BYTES_MAX = 128 * 1024  # likewise
FRAME_BYTES_MIN = 16

Headers: TypeAlias = dict[str, Any]

_HEAD = struct.Struct("!III")
_lengths = struct.Struct("!II").pack
_number, _number_at = struct.Struct("!I").pack, struct.Struct("!I").unpack_from
_KNOWN_MAX = 64  # header blocks remembered; a stream repeats a handful


_NAMES = {"exception": ":exception-type", "error": ":error-code"}
"""Kind of frame -> the header with its name; any other is an event."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """`kind`: event, exception or error; an unmarked frame is an event.

    `name`: what the event or the exception is called; of an error, its code.
    """

    kind: str
    name: str
    headers: Headers
    payload: bytes


class FrameReader:
    """Feed it bytes, get frames. Raises `Fault` (provider_answer) for bytes that are no frame.

    What is whole before such bytes is told first, however they were cut; the next call raises, `end` at the
    latest.
    """

    __slots__ = ("_known", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._known: dict[bytes, tuple[str, str, Headers]] = {}

    def feed(self, data: bytes) -> list[Frame]:
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        start, size = 0, len(data)
        try:
            while start < size and (length := length_at(data, start)) and start + length <= size:
                frames.append(self._frame(data, start, start + length))
                start += length
        except Fault:
            if not frames:
                raise
        self._rest = data[start:]
        return frames

    def end(self) -> list[Frame]:
        """The stream is over. None is told now, for what is not whole is no frame."""
        return self.feed(b"")

    @property
    def inside(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return bool(self._rest)

    def _frame(self, data: bytes, start: int, end: int) -> Frame:
        checked, (told,) = data[start : end - 4], _number_at(data, end - 4)
        if crc32(checked) != told:
            raise broken("its checksum is wrong")
        begin = 12 + _number_at(checked, 4)[0]
        block = checked[12:begin]
        known = self._known.get(block)
        if known is None:
            headers = read_headers(block)
            kind = str(headers.get(":message-type", "event"))
            known = (kind, str(headers.get(_NAMES.get(kind, ":event-type"), "")), headers)
            if len(self._known) < _KNOWN_MAX:
                self._known[block] = known
        return Frame(*known, checked[begin:])


def length_at(data: bytes, start: int) -> int:
    """The length of the frame that begins at `start`, 0 while its first numbers are not all there.

    Raises `Fault` where no frame can begin so.
    """
    if len(data) - start < _HEAD.size:
        return 0
    length, size, told = _HEAD.unpack_from(data, start)
    if crc32(data[start : start + 8]) != told:
        raise broken("the checksum of its lengths is wrong")
    if size > HEADERS_BYTES_MAX or length > FRAME_BYTES_MAX or length < size + FRAME_BYTES_MIN:
        raise broken(f"it would have {length} bytes, {size} of them headers")
    return int(length)


def whole(data: bytes) -> int:
    """How many bytes of `data` are whole frames. Raises `Fault` where it begins with what is none."""
    start = 0
    try:
        while (length := length_at(data, start)) and start + length <= len(data):
            start += length
    except Fault:
        if not start:
            raise
    return start


def broken(why: str) -> Fault:
    return Fault("provider_answer", f"The provider sent a broken event-stream frame: {why}.")


# --- headers -------------------------------------------------------------------------------------


def _packed(form: str) -> Callable[[bytes, int], tuple[Any, int]]:
    packed = struct.Struct(form)
    return lambda block, at: (packed.unpack_from(block, at)[0], at + packed.size)


def _bytes(block: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("!H", block, at)
    end = at + 2 + length
    if end > len(block):
        raise broken("a header's value goes beyond the headers")
    return block[at + 2 : end], end


def _text(block: bytes, at: int) -> tuple[str, int]:
    value, end = _bytes(block, at)
    return value.decode(), end


def _uuid(block: bytes, at: int) -> tuple[str, int]:
    if at + 16 > len(block):
        raise broken("a header's value goes beyond the headers")
    return block[at : at + 16].hex(), at + 16


_VALUES: tuple[Callable[[bytes, int], tuple[Any, int]], ...] = (
    lambda block, at: (True, at),
    lambda block, at: (False, at),
    _packed("!b"),
    _packed("!h"),
    _packed("!i"),
    _packed("!q"),
    _bytes,
    _text,
    _packed("!q"),  # a time, in milliseconds since 1970
    _uuid,
)
"""By the number of a header's type, how its value is read: (value, where it ends)."""

_STRING = 7


def read_headers(block: bytes) -> Headers:
    """Raises `Fault` (provider_answer) for what is no list of headers."""
    headers: Headers = {}
    at = 0
    try:
        while at < len(block):
            length = block[at]
            kind_at = at + 1 + length
            name = block[at + 1 : kind_at].decode()
            headers[name], at = _VALUES[block[kind_at]](block, kind_at + 1)
    except (IndexError, struct.error, ValueError):
        raise broken("its headers cannot be read") from None
    return headers


def header_block(headers: dict[str, str]) -> bytes:
    """Headers as bytes, to be made once and used for many frames."""
    out = b""
    for name, value in headers.items():
        named, told = name.encode(), value.encode()
        out += bytes((len(named),)) + named + bytes((_STRING,)) + struct.pack("!H", len(told)) + told
    return out


def frame(headers: bytes, payload: bytes) -> bytes:
    """One frame; `headers` as `header_block` made them."""
    head = _lengths(len(headers) + len(payload) + FRAME_BYTES_MIN, len(headers))
    body = b"".join((head, _number(crc32(head)), headers, payload))
    return body + _number(crc32(body))
