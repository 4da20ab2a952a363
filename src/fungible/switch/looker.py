"""Looks at the answers of switched routes: what their guards want to know that the ledger cannot tell.

It gets exchanges that are over from the recorder's thread, reads them as a rehearsal reads recordings, and
keeps what the measures of one answer say (`alone`), as rows of the store that are never changed. Only a
call's first attempt is looked at, where it came to its end: a failure is counted by `errors`, and what
answered in its stead is not what is on trial.

What cannot be looked at (the queue was full, a library is missing) is missing, which is not good. What the
disk does not take waits, a while.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from ..faults import Fault
from ..policies.share import read_mark
from ..recordings.segments import Kept, opened
from ..store import Switches
from .alone import alone

WAITING_MAX = 10_000  # rows that the disk did not take


class Looker:
    """For one thread. `guards`: switch -> the judged guards it has."""

    def __init__(self, state: str | Path, now_ms: Callable[[], int]) -> None:
        self._state = Path(state)
        self._now_ms = now_ms
        self._switches: Switches | None = None
        self._rows: list[tuple[str, str, int, dict[str, float]]] = []
        self.guards: Mapping[str, Collection[str]] = {}

    def look(self, kept: Kept) -> None:
        mark = read_mark(kept.tags)
        wanted = self.guards.get(mark.switch, ()) if mark is not None else ()
        row = kept.row
        if mark is None or not wanted or row is None or row.fault or not row.attempt.endswith(".1"):
            return
        try:
            recording = opened(kept)
            request, answer = recording.asked(), recording.answered()
        except (Fault, msgspec.DecodeError):
            return
        if isinstance(answer, Fault):
            return
        measured = alone(request, answer, names=wanted)
        scores = {
            name: 1.0 - score for name, score in measured.items() if score is not None and name in wanted
        }
        if scores:
            self._rows.append((row.attempt, mark.tag(), self._now_ms(), scores))

    def keep(self) -> None:
        """Write what was seen."""
        if not self._rows:
            return
        try:
            if self._switches is None:
                self._switches = Switches(self._state)
            self._switches.judge(self._rows)
        except Fault:
            self._rows = self._rows[-WAITING_MAX:]
        else:
            self._rows = []

    def close(self) -> None:
        self.keep()
        if self._switches is not None:
            self._switches.close()
            self._switches = None
