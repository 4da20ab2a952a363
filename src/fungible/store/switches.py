"""Switches at rest: `switch.db`. What each wants, where it stands, its whole history, and its evidence.

Workers share it. Whoever evaluates commits evidence, units and the move that follows in one transaction, so
that a row of the ledger is in the evidence once, whoever dies when; a move asks for the standing it was
decided on, so that of two moves at once one is refused. `version` grows with every move: what a worker asks
each second. The file is made by the first switch.

It commits with synchronous=FULL: a move that callers have felt must not come back after a power cut.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..faults import Fault
from .database import connect, mapped, transaction

FILE = "switch.db"
SWITCH_STEPS = ("switch.1.sql",)
_SWITCHES = (
    "SELECT id, route, plan, salt, state, stage, since_ms, created_ms FROM switch ORDER BY created_ms, rowid"
)
_JUDGE = """
    INSERT INTO judged (attempt, who, mark, at_ms, scores) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_MOVE = """
    INSERT INTO move (switch, at_ms, event, who, why, state_before, stage_before, state, stage, evidence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HISTORY = """
    SELECT at_ms, event, who, why, state_before, stage_before, state, stage, evidence
    FROM move WHERE switch = ? ORDER BY seq
"""
_UNITS = """
    SELECT key, side, stage, user, first_ms, last_ms, calls, closed, outcomes FROM unit
    WHERE switch = ? AND source = ? AND key = ?
"""
_OPEN_UNITS = """
    SELECT key, side, stage, user, first_ms, last_ms, calls, closed, outcomes FROM unit
    WHERE switch = ? AND source = ? AND closed = 0 ORDER BY first_ms
"""
_PUT = "REPLACE INTO unit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class SwitchRow(NamedTuple):
    """A switch as it lies here; `plan` is JSON."""

    id: str
    route: str
    plan: bytes
    salt: bytes
    state: str
    stage: int
    since_ms: int
    created_ms: int


class MoveRow(NamedTuple):
    at_ms: int
    event: str
    who: str
    why: str
    state_before: str
    stage_before: int
    state: str
    stage: int
    evidence: Any


class UnitRow(NamedTuple):
    key: int
    side: str
    stage: int
    user: int
    first_ms: int
    last_ms: int
    calls: int
    closed: bool
    outcomes: Any


class JudgedRow(NamedTuple):
    seq: int
    attempt: str
    mark: str
    at_ms: int
    scores: dict[str, float]


def has_switches(state: str | Path) -> bool:
    """Whether there has ever been one. A microsecond or two."""
    return (Path(state) / FILE).exists()


class Switches:
    """One connection, for one thread. Times in Unix milliseconds."""

    def __init__(self, state: str | Path) -> None:
        self.state = Path(state)
        self._db = connect(self.state, FILE, SWITCH_STEPS, "FULL")

    def close(self) -> None:
        self._db.close()

    # --- switches and their moves

    def version(self) -> int:
        with mapped(self.state):
            return int(self._db.execute("SELECT value FROM counter WHERE name = 'version'").fetchone()[0])

    def all(self) -> list[SwitchRow]:
        """Oldest first."""
        with mapped(self.state):
            return [SwitchRow(*row) for row in self._db.execute(_SWITCHES)]

    def begin(self, route: str, plan: bytes, salt: bytes, move: MoveRow, live: Iterable[str]) -> str:
        """A new switch; gives its id. Raises Fault `conflict` where one of its route is in a `live` state."""
        with mapped(self.state), transaction(self._db):
            states = tuple(live)
            for row in self._db.execute("SELECT id, state FROM switch WHERE route = ?", (route,)):
                if row[1] in states:
                    raise Fault(
                        "conflict",
                        f"The route {route!r} is under way already (switch {row[0]}): promote it or roll it"
                        " back first.",
                    )
            (number,) = self._db.execute(
                "UPDATE counter SET value = value + 1 WHERE name = 'switches' RETURNING value"
            ).fetchone()
            name = f"s{number}"
            self._db.execute(
                "INSERT INTO switch VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (name, route, plan, salt, move.state, move.stage, move.at_ms, move.at_ms),
            )
            self._moved(name, move)
        return name

    def move(self, switch: str, move: MoveRow) -> bool:
        """False: it stands elsewhere by now, and nothing is changed."""
        with mapped(self.state), transaction(self._db):
            return self._stands(switch, move)

    def history(self, switch: str) -> list[MoveRow]:
        with mapped(self.state):
            rows = self._db.execute(_HISTORY, (switch,)).fetchall()
        return [MoveRow._make((*row[:-1], decode(row[-1]))) for row in rows]

    def _stands(self, switch: str, move: MoveRow) -> bool:
        changed = self._db.execute(
            "UPDATE switch SET state = ?, stage = ?, since_ms = ? WHERE id = ? AND state = ? AND stage = ?",
            (move.state, move.stage, move.at_ms, switch, move.state_before, move.stage_before),
        ).rowcount
        if changed:
            self._moved(switch, move)
        return bool(changed)

    def _moved(self, switch: str, move: MoveRow) -> None:
        at, event, who, why, *places, evidence = move
        self._db.execute(_MOVE, (switch, at, event, who, why, *places, encode(evidence)))
        self._grown()

    def _grown(self) -> None:
        self._db.execute("UPDATE counter SET value = value + 1 WHERE name = 'version'")

    def changed(self) -> None:
        """Have whoever asks for the version look again."""
        with mapped(self.state), transaction(self._db):
            self._grown()

    # --- evidence

    def evidence(self, switch: str, source: str) -> Any:
        """What was last committed, None before that."""
        with mapped(self.state):
            row = self._db.execute(
                "SELECT state FROM evidence WHERE switch = ? AND source = ?", (switch, source)
            ).fetchone()
        return decode(row[0]) if row else None

    def commit(
        self,
        switch: str,
        states: dict[str, Any],
        units: Iterable[tuple[str, UnitRow]],
        move: MoveRow | None,
    ) -> bool:
        """Evidence by source, units with theirs, and a move, all or nothing. False: the move was refused,
        and the rest is committed."""
        with mapped(self.state), transaction(self._db):
            self._db.executemany(
                "REPLACE INTO evidence VALUES (?, ?, ?)",
                [(switch, source, encode(state)) for source, state in states.items()],
            )
            self._db.executemany(
                _PUT, [(switch, source, *unit[:-1], encode(unit.outcomes)) for source, unit in units]
            )
            return move is None or self._stands(switch, move)

    def units(self, switch: str, source: str, key: int) -> list[UnitRow]:
        with mapped(self.state):
            return _units(self._db.execute(_UNITS, (switch, source, key)).fetchall())

    def open_units(self, switch: str, source: str) -> list[UnitRow]:
        """Those whose window is not over."""
        with mapped(self.state):
            return _units(self._db.execute(_OPEN_UNITS, (switch, source)).fetchall())

    def held(self, switch: str, source: str, stage: int, since_ms: int, limit: int) -> list[int]:
        """Conversations that began with the incumbent before a stage and still go on; the latest `limit`."""
        with mapped(self.state):
            rows = self._db.execute(
                "SELECT key FROM unit WHERE switch = ? AND source = ? AND side = 't' AND stage < ?"
                " AND last_ms >= ? ORDER BY last_ms DESC LIMIT ?",
                (switch, source, stage, since_ms, limit),
            ).fetchall()
        return [key for (key,) in rows]

    def touched(self, switch: str, source: str) -> dict[str, dict[str, int]]:
        """By side: how many answers, units and users there were."""
        with mapped(self.state):
            rows = self._db.execute(
                "SELECT side, sum(calls), count(DISTINCT key), count(DISTINCT user) FROM unit"
                " WHERE switch = ? AND source = ? AND side != 't' GROUP BY side",
                (switch, source),
            ).fetchall()
        return {side: {"calls": calls, "units": units, "users": users} for side, calls, units, users in rows}

    # --- what was judged

    def judge(self, rows: Iterable[tuple[str, str, int, dict[str, float]]], who: str = "looker") -> int:
        """(attempt, mark, at_ms, scores) each, by `who`; gives how many are new.

        One that he has judged before is left as it is.
        """
        with mapped(self.state), transaction(self._db):
            return self._db.executemany(
                _JUDGE,
                [(attempt, who, mark, at_ms, encode(scores)) for attempt, mark, at_ms, scores in rows],
            ).rowcount

    def judged(self, after: int, limit: int) -> list[JudgedRow]:
        with mapped(self.state):
            rows = self._db.execute(
                "SELECT seq, attempt, mark, at_ms, scores FROM judged WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, limit),
            ).fetchall()
        return [JudgedRow._make((*row[:-1], decode(row[-1]))) for row in rows]


def _units(rows: list[Any]) -> list[UnitRow]:
    return [UnitRow._make((*row[:7], bool(row[7]), decode(row[8]))) for row in rows]
