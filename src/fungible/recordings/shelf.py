"""The shelf: where recordings lie, and how they are found, kept and thrown away.

    <state>/recordings/<route>/<first ms>-<process>.seg

A route's name is made fit for a folder's. A segment is named by when it was begun, so that a sorted listing
is nearly in the order of time; rows within are in the order their answers ended.

Reading needs no server to stand still: a block that is being written is not there yet. What is thrown away
goes a segment at a time where it is old, and by rewriting the segment where only some of it is.
"""

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import sha256
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from ..recording import Recording
from .segments import (
    BROKEN,
    Block,
    Entry,
    Kept,
    Writer,
    block_at,
    blocks,
    copy_of,
    kept,
    opened,
    rewrite,
    rows,
)

FOLDER = "recordings"
SUFFIX = ".seg"
DROPPED = "dropped.jsonl"
FOLDER_CHARS_MAX = 120
BLOCK_ROWS = 256


_DROPPED = msgspec.json.Decoder(dict[str, int])


class Found(msgspec.Struct, frozen=True):
    """What there is of one route. `bytes` on disk, `damaged` of them unreadable."""

    route: str
    count: int
    from_ms: int
    to_ms: int
    bytes: int
    segments: int
    damaged: int


class Placed(NamedTuple):
    """A row and where it lies: its segment, where its block begins, its place in that."""

    segment: Path
    at: int
    row: int
    kept: Kept


class Recordings:
    """The recordings below one state folder. `damaged`: bytes that reading has had to pass over so far."""

    def __init__(self, state: str | Path) -> None:
        self.folder = Path(state) / FOLDER
        self.damaged = 0

    # --- reading

    def read(
        self,
        route: str | None = None,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Iterator[Recording]:
        """Those of a route, or of all, asked at or after `since_ms` and before `until_ms`, Unix ms."""
        for row in self.rows(route, since_ms, until_ms):
            recording = self._opened(row)
            if recording is not None:
                yield recording

    def get(self, id: str) -> Recording | None:
        """The one of this id, the last written where several are."""
        last = None
        for path in self.segments():
            for row in rows(path, lambda entry: id in entry.ids, self._passed):
                last = row if row.id == id else last
        return self._opened(last) if last is not None else None

    def latest(self, limit: int, route: str | None = None, since_ms: int | None = None) -> list[Recording]:
        """The `limit` that were asked last, the oldest of them first."""
        low = since_ms if since_ms is not None else -(2**63)
        best: list[tuple[float, int, Kept]] = []  # a heap: the oldest of them first

        def wanted(entry: Entry) -> bool:
            return entry.to_ms >= low and (len(best) < limit or entry.to_ms >= best[0][0])

        count = 0
        for path in reversed(self.segments(route)):
            for row in rows(path, wanted, self._passed):
                count += 1
                if row.at_ms >= low:
                    heappush(best, (row.at_ms, count, row))
                if len(best) > limit:
                    heappop(best)
        found = [self._opened(row) for _, _, row in sorted(best)]
        return [recording for recording in found if recording is not None]

    def rows(self, route: str | None, since_ms: int | None, until_ms: int | None) -> Iterator[Kept]:
        """The same as written, streams not made plain."""
        return (placed.kept for placed in self.placed(route, since_ms, until_ms))

    def placed(self, route: str | None, since_ms: int | None, until_ms: int | None) -> Iterator[Placed]:
        """The same with where each lies, a segment after another."""
        low = since_ms if since_ms is not None else -(2**63)
        high = until_ms if until_ms is not None else 2**63
        for path in self.segments(route):
            for block in blocks(path, lambda e: e.to_ms >= low and e.from_ms < high, self._passed):
                for n, row in enumerate(self._kept(block)):
                    if low <= row.at_ms < high and (route is None or row.route == route):
                        yield Placed(path, block.at, n, row)

    def at(self, path: Path, at: int) -> list[Kept]:
        """What the block holds that begins there; nothing where none does."""
        block = block_at(path, at)
        return self._kept(block) if block is not None else []

    def of_segment(self, path: Path) -> Iterator[Kept]:
        """All that a segment holds; nothing where it is gone."""
        return rows(path, lambda _: True, self._passed)

    def _kept(self, block: Block) -> list[Kept]:
        try:
            return block.kept()
        except BROKEN:
            self._passed(len(block.data))
            return []

    def segments(self, route: str | None = None) -> list[Path]:
        """The files of a route, or of all, oldest first."""
        place = self.folder / folder_of(route) if route is not None else self.folder
        return sorted(place.rglob("*" + SUFFIX), key=lambda path: path.name)

    def found(self) -> list[Found]:
        """What there is, a line for each route, from the index alone."""
        lines = []
        for folder in sorted(path for path in self.folder.glob("*") if path.is_dir()):
            entries: list[Entry] = []
            damage: list[int] = []
            size, route, files = 0, "", self.segments_in(folder)
            for path in files:
                for block in blocks(path, self._noting(entries, route == ""), damage.append):
                    route = _route(block, folder)
                size += size_of(path)
            if entries:
                spans = [e.from_ms for e in entries], [e.to_ms for e in entries]
                lines.append(
                    Found(
                        route, sum(e.count for e in entries), min(spans[0]), max(spans[1]), size, len(files),
                        sum(damage),
                    )
                )  # fmt: skip
        return lines

    def routes(self) -> list[str]:
        """The names that there are folders of, but for names too long to be one."""
        return [
            unquote(path.name) for path in self.folder.glob("*") if path.is_dir() and "~" not in path.name
        ]

    def segments_in(self, folder: Path) -> list[Path]:
        return sorted(folder.glob("*" + SUFFIX))

    def _noting(self, entries: list[Entry], unnamed: bool) -> Callable[[Entry], bool]:
        """Notes each entry; wants the first block, whose rows tell the route's name."""

        def note(entry: Entry) -> bool:
            entries.append(entry)
            return unnamed and len(entries) == 1

        return note

    def _opened(self, row: Kept) -> Recording | None:
        try:
            return opened(row)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._passed(len(row.request))
            return None

    def _passed(self, size: int) -> None:
        self.damaged += size

    # --- writing

    def append(self, recordings: Iterable[Recording]) -> int:
        """Add recordings that came from elsewhere, in a segment of their own for each route: how many.

        Raises OSError.
        """
        waiting: dict[str, list[Kept]] = {}
        writers: dict[str, Writer] = {}
        count = 0
        try:
            for recording in recordings:
                rows = waiting.setdefault(recording.route, [])
                rows.append(kept(recording))
                count += 1
                if len(rows) == BLOCK_ROWS:
                    self._flush(recording.route, waiting, writers)
            for route in list(waiting):
                self._flush(route, waiting, writers)
        finally:
            for writer in writers.values():
                writer.close()
        return count

    def _flush(self, route: str, waiting: dict[str, list[Kept]], writers: dict[str, Writer]) -> None:
        rows = waiting.pop(route)
        if route not in writers:
            writers[route] = self.begun(route, time.time_ns() // 1_000_000)
        writers[route].append(rows)

    def begun(self, route: str, at_ms: int) -> Writer:
        """A new segment of this process."""
        name = f"{at_ms:013d}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        return Writer(self.folder / folder_of(route) / name)

    def note_dropped(self, at_ms: int, dropped: dict[str, int]) -> None:
        """Write down how many exchanges were not kept, by why. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = msgspec.json.encode({"at_ms": at_ms} | {why: n for why, n in dropped.items() if n}) + b"\n"
        fd = os.open(self.folder / DROPPED, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)

    def dropped(self, since_ms: int = 0) -> dict[str, int]:
        """The same, added up. A line that is no line is passed over."""
        total: dict[str, int] = {}
        try:
            lines = (self.folder / DROPPED).read_bytes().splitlines()
        except FileNotFoundError:
            return total
        for line in lines:
            try:
                said = _DROPPED.decode(line)
            except msgspec.MsgspecError:
                continue
            if said.pop("at_ms", 0) >= since_ms:
                total = {why: total.get(why, 0) + said.get(why, 0) for why in total | said}
        return total

    # --- throwing away

    def expire(self, route: str, before_ms: int, bytes_max: int) -> None:
        """Throw away segments begun before `before_ms`, and the oldest while there are too many bytes."""
        files = [(path, size_of(path)) for path in self.segments(route)]
        left = sum(size for _, size in files)
        for path, size in files:
            if begun_ms(path) >= before_ms and left <= bytes_max:
                return
            copy_of(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            left -= size

    def delete(
        self,
        route: str | None = None,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        ids: Collection[str] = (),
        group: str | None = None,
    ) -> int:
        """Throw away those that are all of this: how many. Raises OSError."""
        low = since_ms if since_ms is not None else -(2**63)
        high = until_ms if until_ms is not None else 2**63

        def keep(row: Kept) -> bool:
            if not low <= row.at_ms < high or (ids and row.id not in ids):
                return True
            if group is None:
                return False
            found = self._opened(row)
            return found is None or found.group != group

        return sum(rewrite(path, keep) for path in self.segments(route))


def _route(block: Block, folder: Path) -> str:
    """Whose recordings a block holds; of a broken one, as its folder says."""
    try:
        return block.kept()[0].route
    except (*BROKEN, IndexError):
        return unquote(folder.name)


def size_of(path: Path) -> int:
    """Bytes; of a file that is gone, 0."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def begun_ms(path: Path) -> int:
    """When a segment was begun, Unix milliseconds."""
    first = path.name.partition("-")[0]
    return int(first) if first.isdecimal() else 0


def folder_of(route: str) -> str:
    """A route's folder: readable, of bounded length, and no two routes share one."""
    plain = quote(route, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(plain) <= FOLDER_CHARS_MAX:
        return plain or "%"
    return f"{plain[: FOLDER_CHARS_MAX - 17]}~{sha256(route.encode()).hexdigest()[:16]}"
