"""Metrics: what a process has seen, counted as calls end, told in Prometheus' text format.

Counting is two dictionary updates an attempt. Names of models, providers and keys are labels; nothing a
caller wrote is. With several workers each keeps a snapshot in the state folder, and whichever is asked
adds them up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from .account import Settled
from .losses import counted
from .models import Target

BUCKETS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000)

ATTEMPT_LABELS = ("provider", "model", "state", "fault")
LOST, LOST_LABELS = "fungible_losses_by_code_total", ("route", "provider", "model", "code")
FAMILIES: Mapping[str, tuple[str, str, int]] = {
    # name: (type, help, place in a row of counts)
    "fungible_attempts_total": ("counter", "Attempts at providers, by how they ended.", 0),
    "fungible_input_tokens_total": ("counter", "Input tokens, cached ones included.", 1),
    "fungible_output_tokens_total": ("counter", "Output tokens, reasoning included.", 2),
    "fungible_cost_nanousd_total": ("counter", "Cost in nano-dollars where it is known.", 3),
    "fungible_cost_unknown_total": ("counter", "Attempts whose cost is not known.", 4),
    "fungible_losses_total": ("counter", "Losses reported to clients.", 5),
}
_PLACES = 6
RECORDED = "fungible_recordings_total"
SEPARATOR = "\x1f"  # ASCII unit separator: stands in no name


class Snapshot(msgspec.Struct, array_like=True):
    """What one process has counted. Keys are the labels joined by a unit separator."""

    attempts: dict[str, list[int]]
    durations: dict[str, list[int]]
    calls: int
    lost: dict[str, list[int]] = {}
    recorded: dict[str, list[int]] = {}


class Tally:
    """The counts of one target: by how its attempts ended, and how long they took."""

    __slots__ = ("ends", "model", "provider", "times")

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model
        self.ends: dict[tuple[str, str | None], list[int]] = {}  # (state, fault) -> counts
        self.times = [0] * (len(BUCKETS_MS) + 2)


class Metrics:
    """One process's counts. `folder` set: shared with the other workers through snapshots there."""

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        self._tallies: dict[str, Tally] = {}  # by the target's name
        self._lost: dict[str, list[int]] = {}  # by LOST_LABELS
        self.recorded: Mapping[str, int] = {}  # what became of calls that were to be recorded
        self._folder = folder
        self._name = name
        self.calls = 0

    def attempt(self, row: Settled, target: Target, duration_ms: int) -> None:
        """Count one ended attempt."""
        tally = self._tallies.get(target.name)
        if tally is None:
            tally = self._tallies[target.name] = Tally(target.provider, target.model)
        counts = tally.ends.get((row.state, row.fault))
        if counts is None:
            counts = tally.ends[row.state, row.fault] = [0] * _PLACES
        counts[0] += 1
        counts[1] += row.input_tokens or 0
        counts[2] += row.output_tokens or 0
        cost = row.cost_nanousd
        if cost is None:
            counts[4] += 1
        else:
            counts[3] += cost
        if row.losses:
            counts[5] += row.losses
        times = tally.times
        times[bisect_left(BUCKETS_MS, duration_ms)] += 1
        times[-1] += duration_ms

    def lost(self, row: Settled, target: Target, route: str) -> None:
        """Count what an attempt has lost, by code. To be called for one that has lost something."""
        for why, count in counted(row.lost).items():
            name = SEPARATOR.join((route, target.provider, target.model, why))
            self._lost[name] = [self._lost.get(name, (0,))[0] + count]

    def keep(self) -> None:
        """Write the snapshot that other workers read. Raises OSError."""
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            fresh = self._folder / f"{self._name}.new"
            fresh.write_bytes(msgspec.msgpack.encode(self._snapshot()))
            fresh.replace(self._folder / self._name)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> bytes:
        """The exposition. `gauges`: name -> (help, value) of this process, those of a family together."""
        snapshots = [self._snapshot(), *self._others()]
        attempts = _summed(s.attempts for s in snapshots)
        durations = _summed(s.durations for s in snapshots)
        lines = ["# HELP fungible_calls_total Calls of clients.", "# TYPE fungible_calls_total counter"]
        lines.append(f"fungible_calls_total {sum(s.calls for s in snapshots)}")
        for name, (kind, about, place) in FAMILIES.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(ATTEMPT_LABELS, key)} {row[place]}" for key, row in attempts.items()]
        lines += [f"# HELP {LOST} Losses of translations, by route and code.", f"# TYPE {LOST} counter"]
        lost = _summed(s.lost for s in snapshots)
        lines += [f"{LOST}{_labels(LOST_LABELS, key)} {row[0]}" for key, row in lost.items()]
        recorded = _summed(s.recorded for s in snapshots)
        if any(row[0] for row in recorded.values()):
            lines += [f"# HELP {RECORDED} Calls to be recorded, by outcome.", f"# TYPE {RECORDED} counter"]
            lines += [f"{RECORDED}{_labels(('outcome',), key)} {row[0]}" for key, row in recorded.items()]
        lines += _histogram(durations)
        told = ""
        for name, (about, value) in gauges.items():
            family = name.partition("{")[0]
            lines += [f"# HELP {family} {about}", f"# TYPE {family} gauge"] if family != told else []
            lines.append(f"{name} {value:g}")
            told = family
        return ("\n".join(lines) + "\n").encode()

    def _snapshot(self) -> Snapshot:
        attempts, durations = {}, {}
        for tally in self._tallies.values():
            name = tally.provider + SEPARATOR + tally.model
            durations[name] = tally.times
            for (state, fault), counts in tally.ends.items():
                attempts[SEPARATOR.join((name, state, fault or ""))] = counts
        recorded = {outcome: [count] for outcome, count in self.recorded.items()}
        return Snapshot(attempts, durations, self.calls, self._lost, recorded)

    def _others(self) -> list[Snapshot]:
        if self._folder is None or not self._folder.is_dir():
            return []
        found = []
        for path in self._folder.iterdir():
            if path.name != self._name and path.suffix != ".new":
                try:
                    found.append(msgspec.msgpack.decode(path.read_bytes(), type=Snapshot))
                except (OSError, msgspec.DecodeError):
                    continue  # a worker that has just gone; its counts are gone with it
        return found


def _summed(tables: Iterable[dict[str, list[int]]]) -> dict[str, list[int]]:
    total: dict[str, list[int]] = {}
    for table in tables:
        for key, row in table.items():
            old = total.get(key)
            total[key] = row if old is None else [a + b for a, b in zip(old, row, strict=True)]
    return total


def _histogram(durations: Mapping[str, list[int]]) -> list[str]:
    name = "fungible_attempt_duration_ms"
    lines = [f"# HELP {name} From sending an attempt to its end.", f"# TYPE {name} histogram"]
    for key, row in durations.items():
        seen = 0
        for bound, count in zip((*BUCKETS_MS, "+Inf"), row, strict=False):
            seen += count
            lines.append(
                f"{name}_bucket{_labels(('provider', 'model', 'le'), key + SEPARATOR + str(bound))} {seen}"
            )
        lines.append(f"{name}_sum{_labels(('provider', 'model'), key)} {row[-1]}")
        lines.append(f"{name}_count{_labels(('provider', 'model'), key)} {seen}")
    return lines


def _labels(names: tuple[str, ...], key: str) -> str:
    pairs = zip(names, key.split(SEPARATOR), strict=False)
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
