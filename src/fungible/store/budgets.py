"""Budgets: `budget.db`, apart because it is on the path of a call, and a hold must not wait for a fold.

It commits with synchronous=NORMAL: a killed process loses nothing, a power cut may take back the last
commits, whole. A hold is taken before the attempt is opened, and posted or released after it is settled;
the holds of a process that died are closed by `Store.fold`, by what the ledger says of their attempts.
"""

from pathlib import Path

from ..account import Budget, Key, window_start_ms
from .database import connect, mapped, transaction

BUDGET_STEPS = ("budget.1.sql",)


class Budgets:
    """Hard caps, exact across the processes of one machine: hold, then post or release. About 0.1 ms each.

    `boot` is the writing process's (`Ledger.boot`). Money in nano-dollars, times in Unix milliseconds.
    """

    def __init__(self, state: str | Path, boot: str) -> None:
        self._state = Path(state)
        self._boot = boot
        self._db = connect(self._state, "budget.db", BUDGET_STEPS, "NORMAL")

    def close(self) -> None:
        self._db.close()

    def reserve(self, key: Key, attempt: str, hold: int, now_ms: int) -> bool:
        """Hold money for an attempt. False: the cap would be passed, and nothing is held."""
        assert key.budget_nanousd is not None
        assert hold >= 0, hold
        start = window_start_ms(key.window, now_ms)
        with mapped(self._state), transaction(self._db):
            self._db.execute(
                "INSERT INTO budget (key, window_start, cap) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET cap = excluded.cap WHERE cap != excluded.cap",
                (key.id, start, key.budget_nanousd),
            )
            admitted = self._db.execute(
                "UPDATE budget SET pending = pending + ?1"
                " WHERE key = ?2 AND window_start = ?3 AND posted + pending + ?1 <= cap",
                (hold, key.id, start),
            ).rowcount
            if admitted:
                self._db.execute(
                    "INSERT INTO hold VALUES (?, ?, ?, ?, ?)", (attempt, key.id, start, hold, self._boot)
                )
        return bool(admitted)

    def post(self, attempt: str, cost: int | None) -> bool:
        """Spend what an attempt cost; None, not known: what was held. False: nothing is held for it.

        A cost above its hold is posted whole: the books say what is owed, and the next hold is refused.
        """
        with mapped(self._state), transaction(self._db):
            held = self._take(attempt)
            if held is not None:
                key, start, nanousd = held
                self._db.execute(
                    "UPDATE budget SET pending = pending - ?, posted = posted + ?"
                    " WHERE key = ? AND window_start = ?",
                    (nanousd, nanousd if cost is None else cost, key, start),
                )
        return held is not None

    def release(self, attempt: str) -> bool:
        """Give back what was held for an attempt that cost nothing. False: nothing is held for it."""
        return self.post(attempt, 0)

    def left(self, key: Key, now_ms: int) -> Budget:
        """How a key stands in the window of `now_ms`."""
        assert key.budget_nanousd is not None
        start = window_start_ms(key.window, now_ms)
        with mapped(self._state):
            row = self._db.execute(
                "SELECT posted, pending FROM budget WHERE key = ? AND window_start = ?", (key.id, start)
            ).fetchone()
        posted, pending = row or (0, 0)
        return Budget(
            key=key.id, window_start_ms=start, cap=key.budget_nanousd, posted=posted, pending=pending
        )

    def holds(self, boot: str) -> list[tuple[str, int]]:
        """(attempt, nano-dollars) that a process holds, or held when it died."""
        with mapped(self._state):
            return self._db.execute("SELECT attempt, nanousd FROM hold WHERE boot = ?", (boot,)).fetchall()

    def budgets(self) -> list[Budget]:
        with mapped(self._state):
            rows = self._db.execute("SELECT key, window_start, cap, posted, pending FROM budget").fetchall()
        return [Budget(**dict(zip(Budget.__struct_fields__, row, strict=True))) for row in rows]

    def check(self) -> list[str]:
        """What is wrong with the budgets by themselves, in words."""
        with mapped(self._state):
            found = [
                f"budget.db: {said}" for (said,) in self._db.execute("PRAGMA integrity_check") if said != "ok"
            ]
            rows = self._db.execute(
                "SELECT b.key, b.pending, coalesce(sum(h.nanousd), 0) AS held FROM budget AS b"
                " LEFT JOIN hold AS h ON h.key = b.key AND h.window_start = b.window_start"
                " GROUP BY b.key, b.window_start HAVING b.pending != held"
            ).fetchall()
        return found + [
            f"budget.db: key {key} has {pending} pending but holds {held}" for key, pending, held in rows
        ]

    def _take(self, attempt: str) -> tuple[str, int, int] | None:
        rows = self._db.execute(
            "DELETE FROM hold WHERE attempt = ? RETURNING key, window_start, nanousd", (attempt,)
        ).fetchall()
        return rows[0] if rows else None
