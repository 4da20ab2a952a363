"""The order of a run: which recordings it replays, one after another, as rows of one size in a file.

Chance puts each conversation at a place (`sample.drawn`), and the order is that of the places, so nothing has
to be drawn from a list of bodies: a row tells where its recording lies, and what a plan has to know of it.
The row is written with its place first and all numbers big-endian, so that rows in the order of their bytes
are in the order of the run: conversations by chance, turns by time, ties by the id.

Rows are put in order in a file, too (`Drawing`): one bucket for each first byte of a place, each sorted by
itself, for chance fills buckets evenly. Ten million rows are 460 MB on disk, and 4 MB and a bucket in memory.

Not here: what is left out (`sample`), and the recordings themselves (`asked`).
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_ROW = Struct(">QQIIQIHII")
FIELD_MAX = 2**32 - 1
BUCKETS = 256
FLUSH_BYTES = 16 * 1024
READ_ROWS = 4096


class Row(NamedTuple):
    """place: of the conversation; tie: a checksum of the id; segment, at, row: where the recording lies;
    who: which of the incumbents answered it; read, wrote: its tokens, counted or told by bytes."""

    place: int
    at_ms: int
    tie: int
    segment: int = 0
    at: int = 0
    row: int = 0
    who: int = 0
    read: int = 0
    wrote: int = 0

    def packed(self) -> bytes:
        return _ROW.pack(*self)


class Drawing:
    """Rows taken in any order, given back in the order of chance, the first `most` of them. Close it.

    `segments`: name -> its number in the rows.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self._most = most
        self.segments: dict[str, int] = {}
        self._waiting = [bytearray() for _ in range(BUCKETS)]
        self._parts: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]  # (where, how many bytes)

    def take(self, row: Row) -> None:
        """Raises OSError: the disk is full."""
        bucket = row.place >> 56
        waiting = self._waiting[bucket]
        waiting += row.packed()
        if len(waiting) >= FLUSH_BYTES:
            self._parts[bucket].append((self._file.tell(), len(waiting)))
            self._file.write(waiting)
            waiting.clear()

    def rows(self) -> Iterator[Row]:
        """In order."""
        return islice(self._all(), self._most)

    def _all(self) -> Iterator[Row]:
        self._file.flush()
        for parts, waiting in zip(self._parts, self._waiting, strict=True):
            data = b"".join([os.pread(self._file.fileno(), size, at) for at, size in parts]) + waiting
            for one in sorted(data[at : at + _ROW.size] for at in range(0, len(data), _ROW.size)):
                yield Row(*_ROW.unpack(one))

    def close(self) -> None:
        self._file.close()


class Order:
    """The rows of a run, read from its file. It is written once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    @staticmethod
    def written(path: Path, rows: Iterable[Row]) -> None:
        """Raises OSError."""
        with path.open("wb") as file:
            for row in rows:
                file.write(row.packed())

    def __len__(self) -> int:
        return os.fstat(self._opened()).st_size // _ROW.size

    def __getitem__(self, n: int) -> Row:
        data = os.pread(self._opened(), _ROW.size, n * _ROW.size)
        if len(data) < _ROW.size:
            raise IndexError(n)
        return Row(*_ROW.unpack(data))

    def rows(self, first: int = 0, end: int | None = None) -> Iterator[tuple[int, Row]]:
        """(number, row) from `first` on."""
        last = len(self) if end is None else min(end, len(self))
        for n in range(first, last, READ_ROWS):
            data = os.pread(self._opened(), (min(last, n + READ_ROWS) - n) * _ROW.size, n * _ROW.size)
            for i, fields in enumerate(_ROW.iter_unpack(data)):
                yield n + i, Row(*fields)

    def _opened(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
