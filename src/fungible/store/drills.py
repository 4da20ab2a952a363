"""What drilled calls have felt, of all workers: `drill.db`, so that a drill's limits hold over all of them.

A worker adds its own in the order in which they ended and is told everybody's since it last asked, in one
transaction: whoever adds the call that is one too many knows it at once. It commits with synchronous=NORMAL,
for a drill does not outlive a power cut.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .database import connect, mapped, transaction

DRILL_STEPS = ("drill.1.sql",)


class Felt(NamedTuple):
    """`harm`: 1 the call failed, 0 it did not; `beside`: the mean of the calls beside it."""

    seq: int
    harm: float
    beside: float


class Drills:
    """One drill's, on a connection of its own, for one thread. What earlier ones felt is thrown away."""

    def __init__(self, state: str | Path, drill: str) -> None:
        self._state = Path(state)
        self._drill = drill
        self._db = connect(self._state, "drill.db", DRILL_STEPS, "NORMAL")
        with mapped(self._state), transaction(self._db):
            self._db.execute("DELETE FROM felt WHERE drill != ?", (drill,))

    def felt(self, mine: Sequence[tuple[float, float]], after: int) -> list[Felt]:
        """Adds (harm, beside) each; gives all of the drill's after `after`, these with them. 0.1 ms."""
        with mapped(self._state), transaction(self._db):
            self._db.executemany(
                "INSERT INTO felt (drill, harm, beside) VALUES (?, ?, ?)",
                [(self._drill, harm, beside) for harm, beside in mine],
            )
            rows = self._db.execute(
                "SELECT seq, harm, beside FROM felt WHERE drill = ? AND seq > ? ORDER BY seq",
                (self._drill, after),
            )
            return [Felt(*row) for row in rows]

    def close(self) -> None:
        self._db.close()
