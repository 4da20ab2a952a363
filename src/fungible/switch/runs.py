"""A run: one rehearsal on disk, as a folder that has all that its verdict and its report need.

    <state>/rehearsals/<run>/
        run.json          the settings; written once
        order.rows        which recordings are replayed, in their order (`order`); written once
        segments.json     the segments that the order names; written once
        asked-*.rows      copies of the recordings, a piece drawn at a time (`asked`)
        answers.jsonl     what came back, what it was scored and measured, a line each, only ever added to

Nothing else is kept: tables, verdicts and reports are computed from the measures anew, so a run can be broken
off anywhere and go on. Answers are looked at once, where they are measured, and after that only by who reads
one pair: a run's lines are read from first to last, and never held. A line that a crash has cut is cut off
when the run goes on. One process at a time writes (a lock on the file says so).

A run holds copies of what people wrote: `forget` deletes it whole.
"""

import fcntl
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from ..faults import Fault
from ..recording import Recording
from ..recordings import Recordings, kept
from .asked import Asked, Piece, written
from .forecast import usage_of
from .order import Drawing, Order, Row

FOLDER = "rehearsals"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TAIL_BYTES = 1024 * 1024
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
    batched:       the targets that are asked by the batch
    probes:        pairs of twin questions; `own_probes`: recordings of which twins are made
    checks:        recording's id -> the user's check; `labels`: recording's id -> who is better
    recordings:    how many are replayed at most, of how many `conversations`
    incumbents:    who answered -> how many of them, in the order of the rows' numbers
    looked:        at how many of them, to learn which measures they have; `rare` is of these
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
    batched: tuple[str, ...] = ()
    judge: str | None = None
    judged: float = 1.0
    scorer: str | None = None
    embedder: str | None = None
    probes: int = 0
    own_probes: int = 0
    checks: dict[str, dict[str, msgspec.Raw]] = {}
    labels: dict[str, str] = {}
    left_out: dict[str, int] = {}
    recordings: int = 0
    conversations: int = 0
    incumbents: dict[str, int] = {}
    looked: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer", omit_defaults=True):
    """What came back when recording `n` was replayed on `by`. `lost`: [path, kind] of each loss.

    `anew`: it is the incumbent's, asked again.
    """

    n: int
    by: str
    recording: Recording
    lost: tuple[tuple[str, str], ...] = ()
    anew: bool = False


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """An answer's line, as far as it is read when a run goes on."""

    class Brief(msgspec.Struct, frozen=True):
        status: int = 200
        cost_nanousd: int | None = None

    n: int
    by: str
    recording: Brief
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


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured", omit_defaults=True):
    """All that the answer of `by` to recording `n` adds to a verdict and a report, but its text.

    at:       where its answer begins in the run's file; `id`: of the recording
    scores:   measure -> (incumbent's, candidate's), for each that can be told of both
    numbers:  (incumbent's, candidate's) of each of `balance.RATIOS`, None where one is not known
    lost:     (place, kind) of what translation lost; `fault`: '' for none
    like:     whether both answers are of like length, where a judge is asked
    notes:    what scorers say of their scores
    """

    n: int
    by: str
    anew: bool = False
    at: int = 0
    id: str = ""
    scores: dict[str, tuple[float, float]] = {}
    numbers: list[tuple[float, float] | None] = []
    lost: tuple[tuple[str, str], ...] = ()
    fault: str = ""
    like: bool = False
    notes: dict[str, str] = {}


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


Line: TypeAlias = Answered | Score | Measured | Control | Probe

_LINE = msgspec.json.Decoder(Line)
_ANSWER = msgspec.json.Decoder(_Answer)
_SETTINGS = msgspec.json.Decoder(Settings)


class Run:
    """A run on disk. `close` it."""

    def __init__(self, state: str | Path, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.order = Order(folder / "order.rows")
        segments = msgspec.json.decode((folder / "segments.json").read_bytes(), type=list[str])
        self.asked = Asked(folder, self.order, Recordings(state), segments)
        self._fd = -1
        self._end = 0

    @classmethod
    def begun(cls, state: str | Path, settings: Settings, drawing: Drawing) -> "Run":
        """A new run of what was drawn. Raises Fault: the name is none, or taken; the disk is full."""
        try:
            with _making(state, settings) as partial:
                Order.written(partial / "order.rows", drawing.rows())
                (partial / "segments.json").write_bytes(msgspec.json.encode(list(drawing.segments)))
        finally:
            drawing.close()
        return cls(state, _place(state, settings.run), settings)

    @classmethod
    def of(cls, state: str | Path, settings: Settings, recordings: Sequence[Recording]) -> "Run":
        """A new run of these, neighbours of one group being a conversation. Raises Fault."""
        who = {name: n for n, name in enumerate(dict.fromkeys(one.target for one in recordings))}
        rows: list[Row] = []
        place, last = -1, ""
        for one in recordings:
            place += not (rows and one.group and one.group == last)
            last = one.group
            usage = usage_of(kept(one))
            rows.append(
                Row(
                    place,
                    one.at_ms,
                    0,
                    who=who[one.target],
                    read=usage.input_tokens or 0,
                    wrote=usage.output_tokens or 0,
                )
            )
        counted = Counter(one.target for one in recordings)
        settings = msgspec.structs.replace(
            settings,
            recordings=len(rows),
            conversations=place + 1,
            incumbents={name: counted[name] for name in who},
        )
        with _making(state, settings) as partial:
            Order.written(partial / "order.rows", rows)
            (partial / "segments.json").write_bytes(b"[]")
            if rows:
                written(partial, 0, len(rows), enumerate(map(kept, recordings)))
        return cls(state, _place(state, settings.run), settings)

    @classmethod
    def opened(cls, state: str | Path, name: str | None) -> "Run":
        """The run of this name, the newest where none is named. Raises Fault (not_found)."""
        there = runs(state)
        if name is None and not there:
            raise Fault("not_found", "There is no rehearsal yet. `fungible switch rehearse` makes one.")
        chosen = name if name is not None else there[-1].run
        folder = _place(state, chosen)
        if (folder / "run.json").exists() and not (folder / "order.rows").exists():
            raise Fault(
                "bad_request", f"{folder} was written by an earlier version: delete it, and rehearse anew."
            )
        try:
            return cls(state, folder, _SETTINGS.decode((folder / "run.json").read_bytes()))
        except OSError:
            names = ", ".join(settings.run for settings in there[-5:]) or "none"
            raise Fault("not_found", f"There is no run {chosen!r}. The newest are: {names}.") from None
        except msgspec.MsgspecError as error:
            raise Fault("bad_request", f"{folder / 'run.json'} cannot be read: {error}.") from None

    def recordings(self, most: int) -> Iterator[Recording]:
        """The first of what is replayed, in order; they are drawn. Raises Fault as `add` does."""
        if self.asked.drawn < min(most, len(self.order)):
            self._lock()
            self.asked.through(most - 1)
        for n in range(min(most, self.asked.drawn)):
            if (recording := self.asked.get(n)) is not None:
                yield recording

    def piece(self) -> Piece | None:
        """The next of the recordings that is to be drawn, by who writes the run. Raises Fault."""
        self._lock()
        return self.asked.piece()

    def answers(self, wanted: Set[int]) -> dict[tuple[int, str], int]:
        """Where the candidates' answers to these recordings begin."""
        if not wanted:
            return {}
        return {
            (line.n, line.by): line.at
            for _, line in self.lines()
            if isinstance(line, Measured) and line.n in wanted and not line.anew
        }

    def lines(self) -> Iterator[tuple[int, Line]]:
        """What has come back, in the order it came: (where, line). A last line that is cut is no line."""
        try:
            with self._answers.open("rb") as file:
                at = 0
                for line in file:
                    if line.endswith(b"\n"):
                        yield at, _LINE.decode(line)
                    at += len(line)
        except FileNotFoundError:
            return

    def written(self, at: int) -> bytes:
        """The line that begins there."""
        with self._answers.open("rb") as file:
            file.seek(at)
            return file.readline()

    def add(self, line: Score | Measured | Control | Probe | Answer) -> int:
        """Add one: where it begins. Raises Fault: somebody else is writing, the disk is full."""
        return self.append(encoded(line))

    def append(self, line: bytes) -> int:
        """The same of what `encoded` made, by whomever."""
        self._lock()
        at = self._end
        try:
            if os.pwrite(self._fd, line, at) != len(line):
                os.ftruncate(self._fd, at)
                raise OSError(28, os.strerror(28))
        except OSError as error:
            raise _failed(error, self.folder) from None
        self._end += len(line)
        return at

    @property
    def _answers(self) -> Path:
        return self.folder / "answers.jsonl"

    def hold(self) -> None:
        """Be the one process at work on it, from now on. Raises Fault (conflict): another is."""
        self._lock()

    def _lock(self) -> None:
        """Raises Fault: somebody else is writing."""
        if self._fd >= 0:
            return
        try:
            fd = os.open(self._answers, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failed(error, self.folder) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            message = f"Another process is at work on the run {self.settings.run!r}."
            raise Fault("conflict", message) from None
        end = os.fstat(fd).st_size
        while end:
            first = max(0, end - TAIL_BYTES)
            found = os.pread(fd, end - first, first).rfind(b"\n")
            end = first + found + 1 if found >= 0 else first
            if found >= 0:
                break
        os.ftruncate(fd, end)
        self._fd, self._end = fd, end

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.asked.close()
        self.order.close()

    def forget(self) -> None:
        """Delete it. Raises Fault."""
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise _failed(error, self.folder) from None


@contextmanager
def _making(state: str | Path, settings: Settings) -> Iterator[Path]:
    """A folder that becomes the run's when all is in it. Raises Fault."""
    folder = _place(state, settings.run)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True, mode=0o700)
        yield partial
        (partial / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=2))
        if folder.exists():
            raise Fault("conflict", f"There is a run {settings.run!r} already. Resume it, or name another.")
        partial.rename(folder)
    except OSError as error:
        raise _failed(error, folder) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def encoded(line: Score | Measured | Control | Probe | Answer) -> bytes:
    """A line of a run's file."""
    return msgspec.json.encode(line) + b"\n"


def answer_of(line: bytes) -> Answer:
    """The answer that a line is."""
    return _ANSWER.decode(line).read()


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
