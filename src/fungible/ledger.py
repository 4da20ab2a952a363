"""The ledger's journal: one line for an attempt's opening, one for its end, appended and never changed.

How it thinks. A line is in the kernel's page cache when `open` returns, so killing the process with
SIGKILL cannot lose it; only after that may a byte go upstream. `store.fold` carries the lines into SQLite
later, whoever runs it: SQLite never stands between a caller and an answer.

Each writing process is a *boot*. `<boot>.lock` is locked (flock) for as long as the process lives, so
anyone can tell a live writer from a dead one, and a dead one's open attempts become `unknown`. Its lines
go to `<boot>.<number>.jsonl`; a full file is followed by the next number and not written again.

A file is lengthened ahead of its lines, in zeros, and an attempt is admitted only while there is room left
for its own end and for the end of every other open one: a full disk refuses new attempts, not endings.
A reader stops at the first zero byte, and a line without its line feed was never written.

Not here: SQL, prices, budgets, clocks. One thread, one process: a fork must make a `Ledger` of its own.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from .account import CLOSED, Awaited, Opened, Settled
from .faults import Fault

FOLDER = "journal"
GROW_BYTES = 1024 * 1024
ROTATE_BYTES = 64 * 1024 * 1024
LINE_BYTES_MAX = 4096
SETTLED_BYTES_MAX = 896  # an ending whose strings are within CLIP_CHARS, escapes included
CLIP_CHARS = {"price_id": 160, "provider_request_id": 96, "fault": 32, "attempt": 64, "call": 64, "lost": 240}
CLIP_CHARS_ELSE = 128
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

Record: TypeAlias = Opened | Awaited | Settled
_DECODER = msgspec.json.Decoder(Opened | Awaited | Settled)


class Ledger:
    """The writing side. `durable`: "process" survives SIGKILL, "power" also waits for the disk (fdatasync).

    Raises Fault `internal` where the state folder cannot be written.
    """

    def __init__(
        self, state: str | Path, *, durable: str = "process", rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        assert durable in ("process", "power"), durable
        self._folder = Path(state) / FOLDER
        self.boot = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._number = 0
        self._power = durable == "power"
        self._rotate_bytes = rotate_bytes
        self._encode = msgspec.json.Encoder().encode
        self._open: set[str] = set()
        self._late: list[bytes] = []  # endings the disk did not take
        self.unfolded = 0  # attempts opened since whoever folds has last set this
        self._broken = False
        self._lock = self._fd = self._at = self._size = -1
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self._live()
            self._begin()
        except OSError as error:
            if self._lock >= 0:
                os.close(self._lock)
            raise Fault("internal", unwritable(Path(state), error)) from error

    @property
    def open_attempts(self) -> frozenset[str]:
        return frozenset(self._open)

    @property
    def late(self) -> int:
        """How many endings wait for a disk that takes them."""
        return len(self._late)

    def open(self, row: Opened) -> None:
        """Record an attempt before its first byte is sent. Raises Fault `unavailable`: then send nothing."""
        try:
            line = self._encode(row) + b"\n"
        except (UnicodeEncodeError, OverflowError):
            line = b""
        size = len(line)
        if not 0 < size <= LINE_BYTES_MAX:
            line = self._encode(clipped(row)) + b"\n"
            size = len(line)
        is_open, at = self._open, self._at
        if at + size + (len(is_open) + 1) * SETTLED_BYTES_MAX > self._size or self._late or self._broken:
            self._make_room(size)
            at = self._at
        try:
            if os.pwrite(self._fd, line, at) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._power:
                self._sync()
        except OSError as error:
            self._blank(size)
            raise refused(error) from error
        self._at = at + size
        self.unfolded += 1
        is_open.add(row.attempt)

    def leave(self, attempt: str) -> None:
        """One that is `Awaited` is no longer this process's to end."""
        self._open.discard(attempt)

    def take(self, attempt: str) -> None:
        """One that is `Awaited` is this process's to end now. Raises Fault `unavailable`: it stays open."""
        self._open.add(attempt)
        if self._at + (len(self._open) + 1) * SETTLED_BYTES_MAX > self._size or self._late or self._broken:
            try:
                self._make_room(0)
            except Fault:
                self._open.discard(attempt)
                raise

    def settle(self, row: Settled) -> None:
        """Record how an attempt ended. Raises Fault `internal` for one that is not open, or has ended."""
        attempt = row.attempt
        if attempt not in self._open or row.state not in CLOSED:
            raise Fault(
                "internal", f"Attempt {attempt} cannot become {row.state}: it is not open in this process."
            )
        try:
            line = self._encode(row) + b"\n"
        except (UnicodeEncodeError, OverflowError):
            line = b""
        if not 0 < len(line) <= SETTLED_BYTES_MAX:
            line = self._encode(clipped(row)) + b"\n"
        self._open.discard(attempt)
        at = self._at
        try:
            if os.pwrite(self._fd, line, at) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._at = at + len(line)
            if self._power:
                self._sync()
        except OSError:
            self._late.append(line)

    def retry_late(self) -> bool:
        """Try again to write what the disk did not take. True when nothing waits any more."""
        while self._late:
            line = self._late[0]
            try:
                if os.pwrite(self._fd, line, self._at) != len(line):
                    return False
            except OSError:
                return False
            self._at += len(line)
            self._size = max(self._size, self._at)
            del self._late[0]
        return True

    def rotate(self) -> None:
        """Go on in a new file, so that the old one can be folded and removed. Raises OSError."""
        before = self._fd, self._at
        self._begin()
        os.ftruncate(before[0], before[1])
        os.close(before[0])

    def close(self) -> None:
        """End the boot. What is still open becomes `unknown` at the next fold."""
        if self._fd < 0:
            return
        self.retry_late()
        os.ftruncate(self._fd, self._at)
        os.close(self._fd)
        os.close(self._lock)
        self._fd = -1
        self._broken = True

    def _live(self) -> int:
        """The lock file gets its name when it is locked already: nobody can see it free and bury it."""
        bare, named = self._folder / f".{self.boot}.new", self._folder / f"{self.boot}.lock"
        lock = os.open(bare, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        bare.rename(named)
        return lock

    def _begin(self) -> None:
        path = self._folder / f"{self.boot}.{self._number + 1:06d}.jsonl"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            lengthen(fd, 0, GROW_BYTES)
            if self._power:
                keep_name(self._folder)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self._number += 1
        self._fd, self._at, self._size = fd, 0, GROW_BYTES

    def _make_room(self, line_bytes: int) -> None:
        if self._broken:
            raise Fault("unavailable", "The ledger is closed or its disk has failed, so nothing is sent.")
        try:
            if not self.retry_late():
                raise OSError(errno.ENOSPC, "earlier endings still wait to be written")
            need = line_bytes + (len(self._open) + 1) * SETTLED_BYTES_MAX
            if self._at >= self._rotate_bytes and need <= GROW_BYTES:
                self.rotate()
            while self._at + need > self._size:
                lengthen(self._fd, self._size, GROW_BYTES)
                self._size += GROW_BYTES
        except OSError as error:
            raise refused(error) from error

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._broken = True  # what a failed sync left behind is not known, and a second may lie
            raise

    def _blank(self, count: int) -> None:
        """A line that was refused must not be half there: a later one would run into it."""
        try:
            os.ftruncate(self._fd, self._at)
            self._size = self._at
        except OSError:
            self._at += count
            self._broken = True


def keep_name(folder: Path) -> None:
    """Without its name on the disk a file is lost, whatever was synced of it (fsync(2)). Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lengthen(fd: int, at: int, count: int) -> None:
    """Give a file `count` more bytes that are really there (posix_fallocate), zeros. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, at, count)
    else:
        os.ftruncate(fd, at + count)  # a promise less: macOS has no such call, a full disk makes `late` rows


def clipped(row: Record) -> Record:
    """The same row with every string within its limit, and writable; a number no one could mean is None."""
    changes: dict[str, str | None] = {}
    for field in row.__struct_fields__:
        value = getattr(row, field)
        if isinstance(value, str):
            plain = value.encode("utf-8", "replace").decode()
            printable = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in plain)
            changes[field] = printable.encode()[: CLIP_CHARS.get(field, CLIP_CHARS_ELSE)].decode(
                "utf-8", "ignore"
            )
        elif isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            changes[field] = None
    return msgspec.structs.replace(row, **changes)


def refused(error: OSError) -> Fault:
    return Fault(
        "unavailable",
        f"The attempt could not be written to the ledger ({error.strerror}), so it was not sent."
        " Free disk space in the state folder, or point [server] state elsewhere.",
        retry_after_ms=5_000,
    )


def unwritable(state: Path, error: OSError) -> str:
    return (
        f"The state folder {state} cannot be written ({error.strerror}):"
        " make it writable, or point [server] state elsewhere."
    )


# --- reading ----------------------------------------------------------------------------------------


class Boot:
    """The journals of one writing process, seen by a reader. `dead` says no one writes them any more.

    A dead boot's lock is held until `release`, so that one reader at a time buries it.
    """

    __slots__ = ("_folder", "_lock", "dead", "id")

    def __init__(self, folder: Path, boot: str) -> None:
        self._folder = folder
        self.id = boot
        self.dead = True
        self._lock = -1
        try:
            self._lock = os.open(folder / f"{boot}.lock", os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass
        except OSError:
            self.dead = False

    def journals(self) -> list[Path]:
        """In the order they were written."""
        return sorted(self._folder.glob(f"{self.id}.*.jsonl"))

    def bury(self) -> None:
        """Every line has been folded: the lock goes last, since it is what a journal's boot is known by."""
        assert self.dead
        for path in self.journals():
            path.unlink(missing_ok=True)
        (self._folder / f"{self.id}.lock").unlink(missing_ok=True)

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def boots(state: str | Path) -> list[str]:
    """The ids of all writers that have left something to fold, or live."""
    folder = Path(state) / FOLDER
    return sorted({path.name.split(".", 1)[0] for path in folder.glob("[!.]*.*")})


def lines(path: Path, offset: int, chunk_bytes: int) -> Iterator[tuple[list[Record], int, int]]:
    """What is written after `offset`, in chunks: (records, the offset after them, damaged lines)."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        rest = b""
        while data := file.read(chunk_bytes):
            zero = data.find(b"\0")
            whole = rest + (data if zero < 0 else data[:zero])
            end = whole.rfind(b"\n") + 1
            if end:
                offset += end
                records, damaged = decode(whole[:end])
                yield records, offset, damaged
            rest = whole[end:]
            if zero >= 0:
                return


def decode(data: bytes) -> tuple[list[Record], int]:
    """Whole lines as records, and how many were none."""
    try:
        return _DECODER.decode_lines(data), 0
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    records, damaged = [], 0
    for line in data.splitlines():
        try:
            records.append(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            record = _salvaged(line)
            if record is None:
                damaged += 1
            else:
                records.append(record)
    return records, damaged


def _salvaged(line: bytes) -> Record | None:
    """A record but for numbers that no row can hold (providers count what they like): those are None."""
    try:
        values = msgspec.json.decode(line)
        sane = [None if isinstance(v, int | float) and not INT_MIN <= v <= INT_MAX else v for v in values]
        return msgspec.convert(sane, Opened | Awaited | Settled)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, TypeError):
        return None
