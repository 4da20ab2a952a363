"""What is written down of a run's batches: `batches.jsonl` in its folder, a JSON line a step, only added to.

    Planned     before its rows are opened; `Sent` once its id is known; `Over`
    Asked       once: which command asked for all this, so that the same command goes on with it

Beside it, while a batch is under way, a file of its requests, and one of its results while they are read:
copies of what people wrote, like the run's own files, and gone when the batch is over. The run's lock is held
by whoever writes here (`Run.hold`).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..faults import Fault

NAME = "batches.jsonl"
MARKED = "fungible-"  # how marks begin, and so the names of a batch's files


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """`command`: a digest of its words."""

    command: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One request: recording `n` for the target `by`. `name`: what the batch and the ledger call it."""

    n: int
    by: str
    anew: bool
    name: str


class Planned(msgspec.Struct, frozen=True, tag="planned"):
    """`mark`: what the job bears, and its requests' names begin with; `model`, `url` as in `BatchApi`."""

    mark: str
    target: str
    url: str
    at_ms: int
    parts: tuple[Part, ...]


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """`id`: the provider's."""

    mark: str
    id: str


class Over(msgspec.Struct, frozen=True, tag="over"):
    """`taken` False: the provider never had it."""

    mark: str
    taken: bool


Line = Asked | Planned | Sent | Over
_LINE = msgspec.json.Decoder(Line)


class Journal:
    """Of one run. Raises Fault `internal` where its folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / NAME

    def lines(self) -> Iterator[Line]:
        """A last line that a crash has cut is none."""
        try:
            with self._path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield _LINE.decode(line)
        except FileNotFoundError:
            return

    def under_way(self) -> list[tuple[Planned, str]]:
        """Each batch that is not over, with its id; "": not known."""
        planned: dict[str, Planned] = {}
        ids: dict[str, str] = {}
        for line in self.lines():
            match line:
                case Planned():
                    planned[line.mark] = line
                case Sent():
                    ids[line.mark] = line.id
                case Over():
                    planned.pop(line.mark, None)
                case Asked():
                    pass
        return [(one, ids.get(mark, "")) for mark, one in planned.items()]

    def ids(self) -> frozenset[str]:
        """Of all batches that were ever sent."""
        return frozenset(line.id for line in self.lines() if isinstance(line, Sent))

    def asked(self) -> str:
        """The command's digest, "" where none is written."""
        return next((line.command for line in self.lines() if isinstance(line, Asked)), "")

    def add(self, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        try:
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                at = os.fstat(fd).st_size
                if at and os.pread(fd, 1, at - 1) != b"\n":
                    at = os.pread(fd, at, 0).rfind(b"\n") + 1
                if os.pwrite(fd, data, at) != len(data):
                    os.ftruncate(fd, at)
                    raise OSError(28, os.strerror(28))
                os.ftruncate(fd, at + len(data))
            finally:
                os.close(fd)
        except OSError as error:
            raise Fault(
                "internal",
                f"The run in {self.folder} cannot be written: {error.strerror}. It can be resumed.",
            ) from None

    def requests(self, mark: str) -> Path:
        return self.folder / f"{mark}.requests.jsonl"

    def results(self, mark: str) -> Path:
        return self.folder / f"{mark}.results.jsonl"

    def sweep_strays(self) -> None:
        """The files of batches that a process was killed over before it had planned them."""
        known = {planned.mark for planned, _ in self.under_way()}
        for path in self.folder.glob(f"{MARKED}*.jsonl"):
            if path.name.partition(".")[0] not in known:
                path.unlink(missing_ok=True)

    def sweep(self, mark: str) -> None:
        """The files of a batch that is over."""
        self.requests(mark).unlink(missing_ok=True)
        self.results(mark).unlink(missing_ok=True)
