"""A run: one rehearsal on disk, as a folder that has all that its verdict and its report need.

    <state>/rehearsals/<run>/
        run.json        the settings; written once
        asked.jsonl     the recordings that are replayed, in their order; written once
        answers.jsonl   what came back and what was scored, a JSON line each, only ever added to

Nothing else is kept: tables, verdicts and reports are computed from these anew, so a run can be broken off
anywhere and go on, and an old run can be read with better measures. A line that a crash has cut is cut off
when the run goes on. One process at a time writes (a lock on the file says so).

A run holds copies of what people wrote: `forget` deletes it whole.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from ..faults import Fault
from ..recording import Recording

FOLDER = "rehearsals"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAMED = "A run's name is 1 to 64 letters, digits, dots, dashes and underscores, and begins with no dot."


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a rehearsal was asked to do; fixed before the first answer, as the statistics want it.

    targets:       the candidates, names that can be asked for
    until:         `all`: every recording is replayed; `decided`: on a candidate only until its verdict
    margins:       what the user gave, by measure; None: it decides nothing
    deciding:      measure -> margin of those that decide; `rare`: measures too few recordings are of
    anew:          share of the conversations that the incumbent is asked again, for its own noise
    budget_nanousd:  at most so much for all that is asked; None: no limit
    prompt:        a variant that the candidates are told (`variants`)
    probes:        pairs of twin questions; `own_probes`: recordings of which twins are made
    checks:        recording's id -> the user's check; `labels`: recording's id -> who is better
    """

    run: str
    route: str
    targets: tuple[str, ...]
    begun_ms: int
    seed: int = 0
    until: str = "decided"
    alpha: float = 0.05
    margins: dict[str, float | None] = {}
    deciding: dict[str, float] = {}
    rare: dict[str, int] = {}
    unmeasured: dict[str, str] = {}
    anew: float = 0.0
    timely_ms: float | None = None
    ordered: bool = False
    budget_nanousd: int | None = None
    prompt: str | None = None
    judge: str | None = None
    judged: float = 1.0
    scorer: str | None = None
    embedder: str | None = None
    probes: int = 0
    own_probes: int = 0
    checks: dict[str, dict[str, msgspec.Raw]] = {}
    labels: dict[str, str] = {}
    left_out: dict[str, int] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer", omit_defaults=True):
    """What came back when recording `n` was replayed on `by`. `lost`: [path, kind] of each loss.

    `anew`: it is the incumbent's, asked again.
    """

    n: int
    by: str
    recording: Recording
    lost: tuple[tuple[str, str], ...] = ()
    anew: bool = False


class _Written(Recording, frozen=True, kw_only=True, omit_defaults=True):
    """A recording as a line has it: msgspec reads a `Raw` or nothing only where it stands alone."""

    reply: msgspec.Raw = msgspec.Raw(b"null")

    def read(self) -> Recording:
        said = {name: getattr(self, name) for name in Recording.__struct_fields__}
        return Recording(**{**said, "reply": None if bytes(self.reply) == b"null" else self.reply})


class _Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    n: int
    by: str
    recording: _Written
    lost: tuple[tuple[str, str], ...] = ()
    anew: bool = False

    def read(self) -> Answer:
        recording = self.recording.read()
        return Answer(n=self.n, by=self.by, recording=recording, lost=self.lost, anew=self.anew)


class Score(msgspec.Struct, frozen=True, kw_only=True, tag="score", omit_defaults=True):
    """A score that cost something to get, of recording `n` and the candidate `by`: what is worth keeping.

    `incumbent` and `candidate` are in 0..1; None: it could not be told, `note` says why. `cost_nanousd`:
    what the asking cost, None where the price is not known.
    """

    n: int
    by: str
    measure: str
    incumbent: float | None = None
    candidate: float | None = None
    note: str = ""
    cost_nanousd: int | None = 0


class Control(msgspec.Struct, frozen=True, kw_only=True, tag="control", omit_defaults=True):
    """What the judge said of a pair whose truth is known: `kind` same, worse or label; 1, 0.5 or 0."""

    n: int
    kind: str
    expected: float
    said: float | None = None
    cost_nanousd: int | None = 0


class Probe(msgspec.Struct, frozen=True, kw_only=True, tag="probe", omit_defaults=True):
    """The two answers of `by` to a pair of twins: what each decided, None where it did not say."""

    id: str
    by: str
    kind: str
    first: float | None = None
    second: float | None = None
    cost_nanousd: int | None = 0


Line: TypeAlias = Answer | Score | Control | Probe

_LINE = msgspec.json.Decoder(_Answer | Score | Control | Probe)
_RECORDING = msgspec.json.Decoder(_Written)
_SETTINGS = msgspec.json.Decoder(Settings)


class Run:
    """A run on disk. `close` it when it was opened for writing."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self._fd = -1

    @classmethod
    def begun(cls, state: str | Path, settings: Settings, recordings: Iterable[Recording]) -> "Run":
        """A new run. Raises Fault: the name is none, or taken; the disk is full."""
        folder = _place(state, settings.run)
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            partial.mkdir(parents=True, mode=0o700)
            with (partial / "asked.jsonl").open("wb") as file:
                for recording in recordings:
                    file.write(msgspec.json.encode(recording) + b"\n")
            (partial / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=2))
            if folder.exists():
                raise Fault(
                    "conflict", f"There is a run {settings.run!r} already. Resume it, or name another."
                )
            partial.rename(folder)
        except OSError as error:
            raise _failed(error, folder) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(folder, settings)

    @classmethod
    def opened(cls, state: str | Path, name: str | None) -> "Run":
        """The run of this name, the newest where none is named. Raises Fault (not_found)."""
        there = runs(state)
        if name is None and not there:
            raise Fault("not_found", "There is no rehearsal yet. `fungible switch rehearse` makes one.")
        chosen = name if name is not None else there[-1].run
        folder = _place(state, chosen)
        try:
            return cls(folder, _SETTINGS.decode((folder / "run.json").read_bytes()))
        except OSError:
            names = ", ".join(settings.run for settings in there[-5:]) or "none"
            raise Fault("not_found", f"There is no run {chosen!r}. The newest are: {names}.") from None
        except msgspec.MsgspecError as error:
            raise Fault("bad_request", f"{folder / 'run.json'} cannot be read: {error}.") from None

    def recordings(self) -> Iterator[Recording]:
        """What is replayed, in order."""
        with (self.folder / "asked.jsonl").open("rb") as file:
            for line in file:
                yield _RECORDING.decode(line).read()

    def lines(self) -> Iterator[Line]:
        """What has come back, in the order it came. A last line that is cut is no line."""
        try:
            with (self.folder / "answers.jsonl").open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        read = _LINE.decode(line)
                        yield read.read() if isinstance(read, _Answer) else read
        except FileNotFoundError:
            return

    def add(self, line: Line) -> None:
        """Add one. Raises Fault: somebody else is writing, the disk is full."""
        try:
            if self._fd < 0:
                self._fd = self._locked()
            data = msgspec.json.encode(line) + b"\n"
            at = os.lseek(self._fd, 0, os.SEEK_END)
            if os.write(self._fd, data) != len(data):
                os.ftruncate(self._fd, at)
                raise OSError(28, os.strerror(28))
        except OSError as error:
            raise _failed(error, self.folder) from None

    def _locked(self) -> int:
        fd = os.open(self.folder / "answers.jsonl", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            message = f"Another process is at work on the run {self.settings.run!r}."
            raise Fault("conflict", message) from None
        size = os.fstat(fd).st_size
        tail = os.pread(fd, size, 0) if size else b""
        os.ftruncate(fd, tail.rfind(b"\n") + 1)
        return fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def forget(self) -> None:
        """Delete it. Raises Fault."""
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise _failed(error, self.folder) from None


def runs(state: str | Path) -> list[Settings]:
    """All there are, oldest first; those that cannot be read are left out."""
    found = []
    for path in (Path(state) / FOLDER).glob("*/run.json"):
        try:
            if not path.parent.name.startswith("."):
                found.append(_SETTINGS.decode(path.read_bytes()))
        except (OSError, msgspec.MsgspecError):
            continue
    return sorted(found, key=lambda settings: (settings.begun_ms, settings.run))


def fresh_name(state: str | Path, route: str, names: Mapping[str, str] | None = None) -> str:
    """A name that no run has: the route's and a number."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", route).strip("-._") or "run"
    taken = {settings.run for settings in runs(state)} | set(names or ())
    return next(name for n in range(1, len(taken) + 2) if (name := f"{plain[:56]}-{n}") not in taken)


def _place(state: str | Path, name: str) -> Path:
    if NAME.fullmatch(name) is None:
        raise Fault("bad_request", NAMED, path="run")
    return Path(state) / FOLDER / name


def _failed(error: OSError, folder: Path) -> Fault:
    return Fault("internal", f"The run in {folder} cannot be written: {error.strerror}. It can be resumed.")
