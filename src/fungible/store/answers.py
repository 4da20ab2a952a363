"""Answers that may be named later, conversations, and thoughts: `answers.db`, the one file of what was said.

Everything belongs to the virtual key that made it (`owner`, "" where no key is asked for) and is found by no
other. It commits with synchronous=NORMAL, and what is deleted is overwritten (secure_delete).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..ir import Json
from .database import connect, mapped, transaction

ANSWER_STEPS = ("answers.1.sql", "answers.2.sql", "answers.3.sql")
LONGEST = 1_000  # answers in a row
NAMES_MAX = 500  # in one query; the library's limit of variables is 999 at the least
ENDED = ("completed", "incomplete", "failed", "cancelled")

_CHAIN = """
    WITH RECURSIVE back (id, earlier, items, body, n) AS (
        SELECT id, earlier, items, body, 0 FROM answer
        WHERE owner = ?1 AND id = ?2 AND status IN ('completed', 'incomplete')
        UNION ALL
        SELECT a.id, a.earlier, a.items, a.body, n + 1 FROM answer AS a JOIN back ON a.id = back.earlier
        WHERE a.owner = ?1 AND n < ?3)
    SELECT earlier, items, body FROM back ORDER BY n DESC
"""
_END = """
    UPDATE answer SET status = ?, body = ?
    WHERE owner = ? AND id = ? AND status NOT IN ('completed', 'incomplete', 'failed', 'cancelled')
"""

_THERE = "SELECT 1 FROM answer WHERE owner = ? AND id = ?"

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Answer(NamedTuple):
    status: str
    boot: str
    items: list[Json]
    body: dict[str, Json]


class Answers:
    """One connection, for one thread. Times in Unix milliseconds."""

    def __init__(self, state: str | Path) -> None:
        self.state = Path(state)
        self._db = connect(self.state, "answers.db", ANSWER_STEPS, "NORMAL")
        self._db.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        self._db.close()

    def put(self, owner: str, name: str, now_ms: int, earlier: str | None, boot: str, answer: Answer) -> None:
        row = (owner, name, now_ms, answer.status, earlier, boot, encode(answer.items), encode(answer.body))
        with mapped(self.state):
            self._db.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def end(self, owner: str, name: str, status: str, body: dict[str, Json]) -> bool:
        """False: it had ended before, or is not there."""
        with mapped(self.state):
            return bool(self._db.execute(_END, (status, encode(body), owner, name)).rowcount)

    def get(self, owner: str, name: str) -> Answer | None:
        with mapped(self.state):
            row = self._db.execute(
                "SELECT status, boot, items, body FROM answer WHERE owner = ? AND id = ?", (owner, name)
            ).fetchone()
        return Answer(row[0], row[1], decode(row[2]), decode(row[3])) if row else None

    def delete(self, owner: str, name: str) -> bool:
        with mapped(self.state):
            return bool(
                self._db.execute("DELETE FROM answer WHERE owner = ? AND id = ?", (owner, name)).rowcount
            )

    def tell(self, owner: str, name: str, events: Sequence[tuple[int, bytes]]) -> None:
        """Events of an answer's stream by their numbers; nothing where the answer is gone."""
        with mapped(self.state), transaction(self._db):
            if self._db.execute(_THERE, (owner, name)).fetchone() is not None:
                rows = [(owner, name, number, frame) for number, frame in events]
                self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)

    def told(self, owner: str, name: str, after: int) -> list[tuple[int, bytes]]:
        """The events behind the one of that number."""
        with mapped(self.state):
            return self._db.execute(
                "SELECT seq, frame FROM event WHERE owner = ? AND answer = ? AND seq > ? ORDER BY seq",
                (owner, name, after),
            ).fetchall()

    def last(self, owner: str, name: str) -> int | None:
        """The number of the last event; None: its answer has none."""
        with mapped(self.state):
            number: int | None = self._db.execute(
                "SELECT max(seq) FROM event WHERE owner = ? AND answer = ?", (owner, name)
            ).fetchone()[0]
        return number

    def chain(self, owner: str, name: str) -> list[tuple[list[Json], dict[str, Json]]] | None:
        """What was said up to an answer: (items, answer) each, oldest first. None: no such whole answer.

        Empty where an answer on the way has been deleted or has expired.
        """
        with mapped(self.state):
            rows = self._db.execute(_CHAIN, (owner, name, LONGEST)).fetchall()
        if not rows:
            return None
        if rows[0][0] is not None:
            return []
        return [(decode(items), decode(body)) for _, items, body in rows]

    def begin(self, owner: str, name: str, now_ms: int, body: dict[str, Json], items: list[Json]) -> None:
        """A conversation."""
        with mapped(self.state), transaction(self._db):
            self._db.execute(
                "INSERT INTO conversation VALUES (?, ?, ?, ?)", (owner, name, now_ms, encode(body))
            )
            self._add(owner, name, items)

    def add(self, owner: str, name: str, items: list[Json]) -> None:
        """More of a conversation; nothing where it is gone."""
        with mapped(self.state), transaction(self._db):
            if self.conversation(owner, name) is not None:
                self._add(owner, name, items)

    def _add(self, owner: str, name: str, items: list[Json]) -> None:
        self._db.executemany(
            "INSERT INTO item (owner, conversation, body) VALUES (?, ?, ?)",
            [(owner, name, encode(item)) for item in items],
        )

    def conversation(self, owner: str, name: str) -> dict[str, Json] | None:
        with mapped(self.state):
            row = self._db.execute(
                "SELECT body FROM conversation WHERE owner = ? AND id = ?", (owner, name)
            ).fetchone()
        return decode(row[0]) if row else None

    def said(self, owner: str, name: str) -> list[Json]:
        """The items of a conversation, oldest first."""
        with mapped(self.state):
            rows = self._db.execute(
                "SELECT body FROM item WHERE owner = ? AND conversation = ? ORDER BY seq", (owner, name)
            ).fetchall()
        return [decode(body) for (body,) in rows]

    def forget(self, owner: str, name: str) -> bool:
        """A conversation with its items."""
        with mapped(self.state):
            return bool(
                self._db.execute(
                    "DELETE FROM conversation WHERE owner = ? AND id = ?", (owner, name)
                ).rowcount
            )

    def expire(self, before_ms: int) -> int:
        """Delete what is older. Gives how many answers and conversations that were."""
        with mapped(self.state):
            answers = self._db.execute("DELETE FROM answer WHERE created_ms < ?", (before_ms,)).rowcount
            talks = self._db.execute("DELETE FROM conversation WHERE created_ms < ?", (before_ms,)).rowcount
            self._db.execute("DELETE FROM thought WHERE created_ms < ?", (before_ms,))
        return answers + talks

    # --- signed thoughts; a name tells whose they are, and nothing else does

    def think(self, names: Sequence[bytes], now_ms: int, parts: bytes) -> None:
        """Kept under each of the names."""
        with mapped(self.state), transaction(self._db):
            self._db.executemany(
                "INSERT OR REPLACE INTO thought VALUES (?, ?, ?)", [(name, now_ms, parts) for name in names]
            )

    def thoughts(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        """Of the names, those that there are."""
        found: dict[bytes, bytes] = {}
        with mapped(self.state):
            for start in range(0, len(names), NAMES_MAX):
                some = names[start : start + NAMES_MAX]
                marks = ",".join("?" * len(some))
                asked = f"SELECT name, parts FROM thought WHERE name IN ({marks})"  # noqa: S608 - only marks
                found.update(self._db.execute(asked, tuple(some)).fetchall())
        return found

    def version(self) -> int:
        """Another number where another process has changed something."""
        with mapped(self.state):
            number: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return number

    def has_thoughts(self) -> bool:
        with mapped(self.state):
            return self._db.execute("SELECT 1 FROM thought LIMIT 1").fetchone() is not None
