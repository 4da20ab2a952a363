"""Segments: files of recordings that are only ever added to, in compressed blocks that say what they hold.

A segment is one process's, of one route. It is a row of blocks, and a block is two frames of RFC 8878
(Zstandard): a skippable one with the block's `Entry`, then a compressed one with its recordings, MessagePack
arrays one after another. So the entries are the index: who looks for an id or an hour reads them and leaps
over the rest, and `zstd -t` reads the file as well.

What a crash or a full disk leaves at the end of a file is no whole block: it is passed over and counted, and
nobody writes after it. A block whose checksum is wrong is passed over likewise, up to the next beginning.

An exchange is kept as it ended, a stream as its caller got it; the `Recording` is made when it is read, for
reading is rare.

Not here: which exchanges are kept, and for how long (`shelf`).
"""

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from ..account import Settled
from ..faults import Fault, kind_of_status
from ..recording import Recording, compact, grouped, plain

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x5e\x2a\x4d\x18"  # 0x184D2A5E, one of the sixteen of a skippable frame
MARK = b"fngr"  # first in the frame: it is ours
ENTRY_BYTES_MAX = 4 * 1024 * 1024
LEVEL = 1  # a third of the bytes at a fifth of the time of zlib's fastest
_HEAD = struct.Struct("<4sI4s")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a block holds. `size`: bytes of the compressed frame; `crc`: of these, CRC-32."""

    size: int
    crc: int
    count: int
    from_ms: int
    to_ms: int
    ids: list[str]


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An exchange as it is written: what there was at its end, so that writing is little work.

    tags:      as the caller sent them, `k=v,k=v`
    said:      the answer's bytes in pieces: a plain body, or a stream as sent where `streamed`
    whole:     whether the answer came to its end
    row:       of the last attempt
    first_ms, duration_ms: from the asking
    group:     '' where it is still to be found out
    """

    id: str
    at_ms: float
    route: str
    dialect: str
    stream: bool
    tags: str
    request: bytes
    said: list[bytes]
    status: int
    streamed: bool
    whole: bool
    first_ms: float | None
    duration_ms: float
    provider: str
    model: str
    row: Settled | None
    group: str = ""

    @property
    def fault(self) -> str:
        """A row of `faults.KINDS`; '' for none, as far as is known without reading the answer."""
        told = self.row.fault if self.row is not None else None
        if told:
            return told
        if not self.whole:
            return "client_gone"
        return "" if self.status == 200 else kind_of_status(self.status)

    @property
    def tagged(self) -> dict[str, str]:
        return dict(pair.partition("=")[::2] for pair in self.tags.split(",")) if self.tags else {}

    @property
    def answer(self) -> bytes:
        return self.said[0] if len(self.said) == 1 else b"".join(self.said)


class Block(msgspec.Struct, frozen=True):
    """A block as found: its entry, where it begins in its file, and how to read what it holds."""

    entry: Entry
    data: bytes  # compressed
    at: int

    def kept(self) -> list[Kept]:
        """Raises one of `BROKEN` for a block that is not what its entry says."""
        if crc32(self.data) != self.entry.crc:
            raise ValueError("checksum")
        return _KEPT.decode(zstd.decompress(self.data))


_KEPT = msgspec.msgpack.Decoder(list[Kept])
_ONE = msgspec.msgpack.Decoder(Kept)
_ENTRY = msgspec.msgpack.Decoder(Entry)
_ENCODE = msgspec.msgpack.Encoder().encode
BROKEN = (ValueError, zstd.ZstdError, msgspec.MsgspecError)


def packed(k: Kept) -> bytes:
    """One exchange by itself, compressed: to be sent elsewhere, or to lie in another order."""
    return zstd.compress(_ENCODE(k), LEVEL)


def unpacked(data: bytes) -> Kept:
    """What `packed` made. Raises one of `BROKEN`."""
    return _ONE.decode(zstd.decompress(data))


def kept(recording: Recording) -> Kept:
    """For what is a plain recording already, as an importer has it."""
    r = recording
    row = Settled(
        "", "settled", 0, r.input_tokens, r.output_tokens, cost_nanousd=r.cost_nanousd, fault=r.fault or None,
        losses=r.losses,
    )  # fmt: skip
    tags = ",".join(f"{name}={value}" for name, value in r.tags.items())
    said = [bytes(r.reply)] if r.reply is not None else []
    return Kept(
        r.id, r.at_ms, r.route, r.dialect, r.stream, tags, bytes(r.request), said, r.status, False,
        r.fault != "client_gone", r.first_ms, r.duration_ms, r.provider, r.model, row, r.group,
    )  # fmt: skip


def opened(k: Kept) -> Recording:
    """The recording. Raises `msgspec.DecodeError` for a body that is no JSON."""
    reply: bytes | None = None
    row, fault, tags = k.row, k.fault, k.tagged
    if k.streamed and not fault:
        reply, fault = plain(k.dialect, k.answer)
    elif not k.streamed and k.whole:
        reply = k.answer or None
    made = Recording(
        id=k.id,
        at_ms=int(k.at_ms),
        route=k.route,
        dialect=k.dialect,
        request=msgspec.Raw(compact(k.request)),
        provider=k.provider,
        model=k.model,
        reply=msgspec.Raw(compact(reply)) if reply is not None else None,
        status=k.status,
        fault=fault,
        stream=k.stream,
        group=k.group,
        tags=tags,
        first_ms=k.first_ms,
        duration_ms=k.duration_ms,
        input_tokens=row.input_tokens if row is not None else None,
        output_tokens=row.output_tokens if row is not None else None,
        cost_nanousd=row.cost_nanousd if row is not None else None,
        losses=row.losses if row is not None else 0,
    )
    return made if made.group else msgspec.structs.replace(made, group=group_of(made))


def group_of(recording: Recording) -> str:
    """'' where its request cannot be read."""
    try:
        return grouped(recording.asked(), recording.tags)
    except Fault:
        return ""


class Writer:
    """The writing side of one segment; it is made with its first block. One process, one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._fd = -1
        self._zstd = zstd.ZstdCompressor(level=LEVEL)

    def append(self, rows: list[Kept]) -> int:
        """Add a block: how many bytes it took. Raises OSError, and then nothing was added.

        A file that another process has replaced or deleted meanwhile is left to it: OSError ESTALE.
        """
        frame = self._zstd.compress(_ENCODE(rows), zstd.ZstdCompressor.FLUSH_FRAME)
        times = [row.at_ms for row in rows]
        span = int(min(times)), int(max(times))
        entry = Entry(len(frame), crc32(frame), len(rows), *span, [row.id for row in rows])
        said = MARK + _ENCODE(entry)
        block = b"".join((MAGIC, len(said).to_bytes(4, "little"), said, frame))
        if self._fd < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            if os.fstat(self._fd).st_nlink == 0:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            try:
                written = os.pwrite(self._fd, block, self.bytes)
                if written != len(block):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._fd, self.bytes)
                raise
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.bytes += len(block)
        return len(block)

    @staticmethod
    def gone(error: OSError) -> bool:
        """Whether `append` failed because the file is another's by now."""
        return error.errno in (errno.ESTALE, errno.ENOENT, errno.EEXIST)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def blocks(path: Path, wanted: Callable[[Entry], bool], damaged: Callable[[int], None]) -> Iterator[Block]:
    """The blocks of a segment that are `wanted`, in the order they were written.

    `damaged` is told how many bytes were passed over, each time some were. A file that is gone has none.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at, end = 0, os.fstat(fd).st_size
        while at < end:
            found = _entry(fd, at, end)
            if found is None:
                after = _next(fd, at + 1, end)
                damaged(after - at)
                at = after
                continue
            entry, body = found
            if wanted(entry):
                yield Block(entry, os.pread(fd, entry.size, body), at)
            at = body + entry.size
    finally:
        os.close(fd)


def block_at(path: Path, at: int) -> Block | None:
    """The block that begins there; None: the file is gone, or no block begins there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = _entry(fd, at, os.fstat(fd).st_size)
        return Block(found[0], os.pread(fd, found[0].size, found[1]), at) if found is not None else None
    finally:
        os.close(fd)


def _entry(fd: int, at: int, end: int) -> tuple[Entry, int] | None:
    """The entry of the block at `at` and where its frame begins; None: no whole block is there."""
    head = os.pread(fd, _HEAD.size, at)
    if len(head) < _HEAD.size:
        return None
    magic, size, mark = _HEAD.unpack(head)
    if magic != MAGIC or mark != MARK or not len(MARK) < size <= ENTRY_BYTES_MAX:
        return None
    try:
        entry = _ENTRY.decode(os.pread(fd, size - len(MARK), at + _HEAD.size))
    except msgspec.MsgspecError:
        return None
    body = at + _HEAD.size - len(MARK) + size
    return (entry, body) if 0 <= entry.size <= end - body else None


def _next(fd: int, at: int, end: int) -> int:
    """Where the next block may begin, else the end."""
    while at < end:
        data = os.pread(fd, 1024 * 1024, at)
        place = data.find(MAGIC)
        while place >= 0:
            if os.pread(fd, len(MARK), at + place + 8) == MARK:
                return at + place
            place = data.find(MAGIC, place + 1)
        if len(data) < 1024 * 1024:
            return end
        at += len(data) - len(MAGIC) + 1
    return end


def rows(path: Path, wanted: Callable[[Entry], bool], damaged: Callable[[int], None]) -> Iterator[Kept]:
    """What the wanted blocks hold; a broken one is passed over."""
    for block in blocks(path, wanted, damaged):
        try:
            found = block.kept()
        except BROKEN:
            damaged(len(block.data))
            continue
        yield from found


def rewrite(path: Path, keep: Callable[[Kept], bool]) -> int:
    """The segment without the rows not to be kept: how many went. Raises OSError.

    Its writer, if it lives, finds the file gone and begins another. A file that is gone has no rows.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    fresh = Writer(copy_of(path))
    gone = 0
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        fresh.path.unlink(missing_ok=True)  # of one that was killed
        for block in blocks(path, lambda _: True, lambda _: None):
            try:
                found = block.kept()
            except BROKEN:
                continue
            left = [row for row in found if keep(row)]
            gone += len(found) - len(left)
            if left:
                fresh.append(left)
        if gone and fresh.bytes:
            os.replace(fresh.path, path)
        elif gone:
            os.unlink(path)
    finally:
        fresh.close()
        fresh.path.unlink(missing_ok=True)
        os.close(fd)
    return gone


def copy_of(path: Path) -> Path:
    """Where `rewrite` writes what is left of a segment, until it stands in its place."""
    return path.with_suffix(".fresh")
