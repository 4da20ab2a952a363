"""What a run has asked or is about to ask: copies of its recordings, drawn from the shelf a piece at a time.

    asked-<first>.rows    recordings one after another, each compressed; then where each lies; then how many

The order of a run (`order`) leaps about the shelf, and each block there holds many recordings: to read them
one by one would decompress each block as often as it has rows. So a piece of the order is drawn at once,
block by block, in the order of the disk, and lies in the run's folder from then on. Pieces grow from 2,048 to
32,768 recordings: a verdict that comes early has copied little, and a run of all reads the shelf some thirty
times for each million recordings, of which there is one in memory at a time.

A recording that is not where the order says is looked for in its segment, for segments are rewritten where
some of them is deleted; one that is deleted is not in the run, from its piece on and for good.

Prohibitions: nothing is drawn but by the one process that may write the run.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from zlib import crc32

from ..faults import Fault
from ..recording import Recording
from ..recordings import Kept, Recordings, opened, packed, unpacked
from .order import Order, Row

_PLACE = Struct(">QI")  # where, how many bytes; 0: it is gone
_COUNT = Struct(">Q")
FIRST, MOST = 2048, 32_768
PIECES_OPEN_MAX = 8


def tie_of(id: str) -> int:
    """A checksum of a recording's id."""
    return crc32(id.encode())


class Asked:
    """`segments`: the files that the order's rows name, below the shelf's folder."""

    def __init__(self, folder: Path, order: Order, shelf: Recordings, segments: Sequence[str]) -> None:
        self.folder, self._order, self._shelf, self._segments = folder, order, shelf, segments
        self._firsts: list[int] = []
        self.drawn = 0
        self._open: dict[int, tuple[int, int, int]] = {}  # first -> (file, count, where the places begin)
        for path in sorted(folder.glob("asked-*.rows")):
            self._add(int(path.stem.partition("-")[2]))

    # --- reading

    def packed(self, n: int) -> bytes | None:
        """As `recordings.unpacked` reads it; None where it is gone. `n` is below `drawn`."""
        first = self._firsts[bisect_right(self._firsts, n) - 1]
        fd, _, places = self._piece(first)
        at, size = _PLACE.unpack(os.pread(fd, _PLACE.size, places + (n - first) * _PLACE.size))
        return os.pread(fd, size, at) if size else None

    def there(self, n: int) -> bool:
        first = self._firsts[bisect_right(self._firsts, n) - 1]
        fd, _, places = self._piece(first)
        return os.pread(fd, _PLACE.size, places + (n - first) * _PLACE.size)[8:] != b"\0\0\0\0"

    def get(self, n: int) -> Recording | None:
        row = self.packed(n)
        return opened(unpacked(row)) if row is not None else None

    def _piece(self, first: int) -> tuple[int, int, int]:
        if first not in self._open:
            if len(self._open) >= PIECES_OPEN_MAX:
                os.close(self._open.pop(next(iter(self._open)))[0])
            fd = os.open(path_of(self.folder, first), os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(fd).st_size
            (count,) = _COUNT.unpack(os.pread(fd, _COUNT.size, size - _COUNT.size))
            self._open[first] = fd, count, size - _COUNT.size - count * _PLACE.size
        return self._open[first]

    def _add(self, first: int) -> None:
        self._firsts.append(first)
        self.drawn = first + self._piece(first)[1]

    def close(self) -> None:
        for fd, *_ in self._open.values():
            os.close(fd)
        self._open.clear()

    # --- drawing

    def through(self, n: int) -> None:
        """Draw until `n` is drawn, or all are. Raises Fault: the disk is full."""
        while self.drawn <= n and (piece := self.piece()) is not None:
            piece.write()
            self.add(piece)

    def piece(self) -> "Piece | None":
        """The next that is to be drawn; None: all is."""
        left = len(self._order) - self.drawn
        count = min(left, FIRST << min(len(self._firsts), 16), MOST)
        return Piece(self, self.drawn, count) if count else None

    def add(self, piece: "Piece") -> None:
        """It is written: it may be read."""
        self._add(piece.first)

    def found(self, first: int, count: int) -> Iterator[tuple[int, Kept]]:
        return found(self._shelf, self._segments, self._order.rows(first, first + count))


class Piece:
    """Some of the order. It may be written by another thread."""

    def __init__(self, asked: Asked, first: int, count: int) -> None:
        self._asked, self.first, self._count = asked, first, count

    def write(self) -> None:
        """Raises Fault: the disk is full."""
        folder = self._asked.folder
        try:
            written(folder, self.first, self._count, self._asked.found(self.first, self._count))
        except OSError as error:
            raise Fault(
                "internal", f"The run in {folder} cannot be written: {error.strerror}. It can be resumed."
            ) from None


def found(
    shelf: Recordings, segments: Sequence[str], rows: Iterable[tuple[int, Row]]
) -> Iterator[tuple[int, Kept]]:
    """(number, recording) of these rows of an order, in the order of the disk, but of those that are gone."""
    wanted: dict[int, dict[int, list[tuple[int, Row]]]] = {}
    for n, row in rows:
        wanted.setdefault(row.segment, {}).setdefault(row.at, []).append((n, row))
    for segment in sorted(wanted):
        path = shelf.folder / segments[segment]
        moved: dict[tuple[int, int], int] = {}
        for at in sorted(wanted[segment]):
            there = shelf.at(path, at)
            for n, row in wanted[segment][at]:
                if row.row < len(there) and _key(there[row.row]) == (row.at_ms, row.tie):
                    yield n, there[row.row]
                else:
                    moved[row.at_ms, row.tie] = n
        for kept in shelf.of_segment(path) if moved else ():
            n = moved.pop(_key(kept), -1)
            if n >= 0:
                yield n, kept


def _key(kept: Kept) -> tuple[int, int]:
    return int(kept.at_ms), tie_of(kept.id)


def path_of(folder: Path, first: int) -> Path:
    return folder / f"asked-{first:012d}.rows"


def written(folder: Path, first: int, count: int, rows: Iterable[tuple[int, Kept]]) -> None:
    """A piece of `count` recordings from `first` on, whole or not at all. Raises OSError."""
    path = path_of(folder, first)
    partial = path.with_suffix(".partial")
    places = bytearray(count * _PLACE.size)
    at = 0
    with partial.open("wb") as file:
        for n, row in rows:
            data = packed(row)
            _PLACE.pack_into(places, (n - first) * _PLACE.size, at, len(data))
            at += file.write(data)
        file.write(places)
        file.write(_COUNT.pack(count))
    partial.replace(path)
