"""Attempts at rest, and the keys: `ledger.db`, which journals are folded into.

It commits with synchronous=FULL, because a journal is removed after its last commit, and a commit that a
power cut takes back would then have no second copy.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .. import ledger
from ..account import Awaited, Key, Losing, Opened, Spend, Traffic, Tried, Used, window_end_ms
from ..faults import Fault
from ..losses import counted
from . import traffic
from .budgets import Budgets
from .database import connect, mapped, transaction

CHUNK_BYTES = 512 * 1024

LEDGER_STEPS = ("ledger.1.sql", "ledger.2.sql", "ledger.3.sql")
"""Files in `data/`: each leads to the schema version of its place, from 1. A released one never changes."""

_INTO = """
    INSERT INTO attempt (attempt, call, n, started_ms, provider, model, dialect, stream, key, route, tags,
        hold_nanousd, boot, state, ended_ms, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens, cost_nanousd, price_id, provider_request_id, status, fault,
        first_ms, losses, lost)
    VALUES """
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ONCE = " ON CONFLICT (attempt) DO NOTHING"
MANY = 32  # rows of one statement, which costs a third less than one statement a row
_INSERT = _INTO + _ROW + _ONCE
_INSERT_MANY = _INTO + ", ".join([_ROW] * MANY) + _ONCE
_SETTLE = """
    UPDATE attempt SET state = ?, ended_ms = ?, input_tokens = ?, output_tokens = ?, cache_read_tokens = ?,
        cache_write_tokens = ?, reasoning_tokens = ?, cost_nanousd = ?, price_id = ?,
        provider_request_id = ?, status = ?, fault = ?, first_ms = ?, losses = ?, lost = ?
    WHERE attempt = ? AND state = 'open'
"""
_ATTEMPTS = """
    SELECT attempt, call, n, provider, model, key, route, dialect, stream, tags, state, started_ms, first_ms,
        ended_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
        cost_nanousd, hold_nanousd, price_id, provider_request_id, status, fault, losses, lost
    FROM attempt
"""
_EVERY = _ATTEMPTS + "ORDER BY seq"
_OF_CALL = _ATTEMPTS + "WHERE call = ? ORDER BY n, seq"
_LATEST = """
    SELECT call FROM (SELECT call, seq FROM attempt ORDER BY seq DESC LIMIT ?1 * 4)
    GROUP BY call ORDER BY max(seq) DESC LIMIT ?1
"""  # a call has at most three attempts
_SPEND = """
    SELECT CASE ?1 WHEN 'key' THEN a.key WHEN 'team' THEN k.team WHEN 'provider' THEN a.provider
        WHEN 'model' THEN a.model WHEN 'route' THEN a.route WHEN 'tag' THEN a.tags
        WHEN 'day' THEN date(a.started_ms / 1000, 'unixepoch') END AS who,
        count(*), sum(a.input_tokens), sum(a.output_tokens), sum(a.cost_nanousd),
        count(*) FILTER (WHERE a.cost_nanousd IS NULL AND a.state NOT IN ('void', 'open')),
        count(*) FILTER (WHERE a.state = 'open'), count(*) FILTER (WHERE a.state = 'settled'),
        count(*) FILTER (WHERE a.state = 'estimated'), count(*) FILTER (WHERE a.state = 'void'),
        count(*) FILTER (WHERE a.state = 'unknown')
    FROM attempt AS a LEFT JOIN key AS k ON k.id = a.key
    WHERE a.started_ms >= ?2 GROUP BY who ORDER BY who
"""
_SWITCHED = """
    SELECT s.seq, a.attempt, a.n, a.tags, a.provider, a.model, a.state, a.started_ms, a.first_ms, a.ended_ms,
        a.cost_nanousd, a.fault
    FROM switched AS s JOIN attempt AS a ON a.seq = s.attempt WHERE s.seq > ? ORDER BY s.seq LIMIT ?
"""
_LOST = """
    SELECT CASE ?1 WHEN 'key' THEN a.key WHEN 'team' THEN k.team WHEN 'provider' THEN a.provider
        WHEN 'model' THEN a.model WHEN 'route' THEN a.route WHEN 'tag' THEN a.tags
        WHEN 'day' THEN date(a.started_ms / 1000, 'unixepoch') END AS who,
        a.provider, a.model, a.lost, count(*), sum(a.input_tokens), sum(a.cache_read_tokens),
        min(a.started_ms)
    FROM attempt AS a LEFT JOIN key AS k ON k.id = a.key
    WHERE a.started_ms >= ?2 AND a.state NOT IN ('open', 'void')
    GROUP BY who, a.provider, a.model, a.lost ORDER BY who
"""
SPEND_BY = ("key", "team", "provider", "model", "route", "tag", "day")

_OWED = """
    SELECT coalesce(sum(coalesce(cost_nanousd, hold_nanousd)), 0) FROM attempt
    WHERE key = ? AND started_ms >= ? AND started_ms < ? AND state NOT IN ('open', 'void')
        AND hold_nanousd IS NOT NULL
"""
_ADD_KEY = """
    INSERT INTO key (id, digest, name, created_ms, team, models, rpm, tpm, budget_nanousd,
        "window", revoked_ms)
    VALUES (:id, :digest, :name, :created_ms, :team, :models, :rpm, :tpm, :budget_nanousd,
        :window, :revoked_ms)
"""
_KEYS = """
    SELECT digest, models, id, name, created_ms, team, models, rpm, tpm, budget_nanousd, "window", revoked_ms
    FROM key ORDER BY created_ms, id
"""
_CHECKS: tuple[tuple[str, str], ...] = (
    (
        "SELECT count(*) FROM attempt WHERE state = 'open' AND ended_ms IS NOT NULL",
        "attempts are open and ended",
    ),
    (
        "SELECT count(*) FROM attempt WHERE state NOT IN ('open', 'unknown') AND ended_ms IS NULL",
        "attempts are closed without an end",
    ),
    (
        "SELECT count(*) FROM attempt WHERE cost_nanousd < 0 OR hold_nanousd < 0",
        "attempts cost less than nothing",
    ),
    (
        "SELECT count(*) FROM attempt WHERE state IN ('open', 'unknown') AND cost_nanousd IS NOT NULL",
        "attempts have a cost but no ending",
    ),
    ("SELECT value FROM counter WHERE name = 'refused'", "second openings or endings were refused"),
    ("SELECT value FROM counter WHERE name = 'damaged'", "damaged journal lines were left out"),
)

NOBODYS = ""  # the boot of attempts that outlive the process that opened them
_AWAITED = "SELECT attempt FROM attempt WHERE boot = ? AND state = 'open'"
_OPEN_REST: tuple[Any, ...] = ("open", *(None,) * 12, 0, "")


class Folded(NamedTuple):
    """What one fold did. `refused`: second openings or endings; `damaged`: lines that were none."""

    opened: int = 0
    settled: int = 0
    refused: int = 0
    damaged: int = 0
    unknown: int = 0

    def plus(self, other: "Folded") -> "Folded":
        return Folded(*(a + b for a, b in zip(self, other, strict=True)))


class Store:
    """The ledger at rest, and the keys. One connection; give each thread its own `Store`.

    Raises Fault `internal` for a folder that cannot be written, a file that is no database or is from a
    newer fungible, and `unavailable` where another process holds the store for more than BUSY_SECONDS.
    """

    def __init__(self, state: str | Path) -> None:
        self.state = Path(state)
        self._db = connect(self.state, "ledger.db", LEDGER_STEPS, "FULL")
        self._budgets: Budgets | None = None

    def close(self) -> None:
        self._db.close()
        if self._budgets is not None:
            self._budgets.close()

    # --- folding ---

    def fold(self, *, chunk_bytes: int = CHUNK_BYTES, go_on: Callable[[], bool] = lambda: True) -> Folded:
        """Carry every journal's new lines into the store; bury the journals of dead processes.

        Safe to run anywhere, any time, by several at once. About 0.1 s for 10,000 attempts. `go_on` is
        asked before each chunk: where it says no, what is left waits for another fold.
        """
        total = Folded()
        with mapped(self.state):
            for boot_id in ledger.boots(self.state):
                boot = ledger.Boot(self.state / ledger.FOLDER, boot_id)
                try:
                    done, whole = self._fold_boot(boot, chunk_bytes, go_on)
                finally:
                    boot.release()
                total = total.plus(done)
                if not whole:
                    break
        return total

    def _fold_boot(
        self, boot: ledger.Boot, chunk_bytes: int, go_on: Callable[[], bool]
    ) -> tuple[Folded, bool]:
        """What was done, and whether that was all there was to do."""
        total = Folded()
        paths = boot.journals()
        for path in paths:
            done, whole = self._fold_journal(boot.id, path, chunk_bytes, go_on)
            total = total.plus(done)
            if not whole:
                return total, False
        if boot.dead:
            total = total._replace(unknown=self._end_boot(boot.id))
            boot.bury()
        else:
            for path in paths[:-1]:  # its writer has gone on to the next
                path.unlink(missing_ok=True)
        return total, True

    def _fold_journal(
        self, boot: str, path: Path, chunk_bytes: int, go_on: Callable[[], bool]
    ) -> tuple[Folded, bool]:
        """To the end of what is written, whoever else is folding the same file meanwhile."""
        total = Folded()
        while True:
            start = self._offset(path)
            try:
                for records, offset, damaged in ledger.lines(path, start, chunk_bytes):
                    if not go_on():
                        return total, False
                    with transaction(self._db):
                        if self._offset(path) != start:
                            break  # another process was faster: go on from where it is
                        opened, settled, refused = self._apply(boot, records)
                        self._db.execute("REPLACE INTO journal VALUES (?, ?, ?)", (path.name, boot, offset))
                        self._count("refused", refused)
                        self._count("damaged", damaged)
                    start = offset
                    total = total.plus(Folded(opened, settled, refused, damaged))
                else:
                    return total, True
            except FileNotFoundError:
                return total, True  # another process has folded and removed it

    def _offset(self, path: Path) -> int:
        row = self._db.execute("SELECT offset FROM journal WHERE name = ?", (path.name,)).fetchone()
        return row[0] if row else 0

    def _apply(self, boot: str, records: list[ledger.Record]) -> tuple[int, int, int]:
        """Openings and endings that meet in one chunk become one insert. Gives (opened, settled, refused)."""
        fresh: dict[str, tuple[Any, ...]] = {}
        ended: set[str] = set()
        updates = []
        refused = opened = settled = 0
        for record in records:
            name = record.attempt
            if isinstance(record, Opened):
                opened += 1
                if name in fresh:
                    refused += 1
                    continue
                whose = NOBODYS if type(record) is Awaited else boot
                fresh[name] = (*msgspec.structs.astuple(record), whose, *_OPEN_REST)
            else:
                settled += 1
                ending = msgspec.structs.astuple(record)[1:]
                if name in ended:
                    refused += 1
                elif name in fresh:
                    fresh[name] = fresh[name][:13] + ending
                    ended.add(name)
                else:
                    updates.append((*ending, name))
        rows = list(fresh.values())
        single = len(rows) % MANY
        taken = self._db.executemany(_INSERT, rows[:single]).rowcount
        for start in range(single, len(rows), MANY):
            taken += self._db.execute(
                _INSERT_MANY, list(chain.from_iterable(rows[start : start + MANY]))
            ).rowcount
        taken += self._db.executemany(_SETTLE, updates).rowcount
        refused += len(fresh) + len(updates) - taken  # not `total_changes`: that counts what triggers do, too
        return opened, settled, refused

    def _end_boot(self, boot: str) -> int:
        """A dead process's open attempts become unknown, and its holds are closed by what became of them."""
        budgets = self._budget()
        if budgets is not None:
            for attempt, _ in budgets.holds(boot):
                row = self._db.execute(
                    "SELECT state, cost_nanousd FROM attempt WHERE attempt = ?", (attempt,)
                ).fetchone()
                if row is None or row[0] == "void":
                    budgets.release(attempt)
                else:
                    budgets.post(attempt, row[1])
        with transaction(self._db):
            return self._db.execute(
                "UPDATE attempt SET state = 'unknown' WHERE boot = ? AND state = 'open'", (boot,)
            ).rowcount

    def _budget(self) -> Budgets | None:
        if self._budgets is None and (self.state / "budget.db").exists():
            self._budgets = Budgets(self.state, "fold")
        return self._budgets

    def _count(self, name: str, by: int) -> None:
        if by:
            self._db.execute("UPDATE counter SET value = value + ? WHERE name = ?", (by, name))

    # --- reading ---

    def attempts(self, *, call: str | None = None) -> Iterator[dict[str, Any]]:
        """Every attempt as a dict, in the order they were folded; of one call in the order they were made."""
        with mapped(self.state):
            cursor = self._db.execute(_EVERY) if call is None else self._db.execute(_OF_CALL, (call,))
            names = [column[0] for column in cursor.description]
            for row in cursor:
                found = dict(zip(names, row, strict=True))
                yield found | {"stream": bool(found["stream"]), "lost": counted(found["lost"])}

    def awaited(self) -> frozenset[str]:
        """The attempts that lie in a provider's batch, as far as they are folded."""
        with mapped(self.state):
            return frozenset(attempt for (attempt,) in self._db.execute(_AWAITED, (NOBODYS,)))

    def calls(self, limit: int = 20) -> list[dict[str, Any]]:
        """The latest calls, newest first, each as `call` gives it."""
        with mapped(self.state):
            rows = self._db.execute(_LATEST, (limit,)).fetchall()
        return [found for (call,) in rows if (found := self.call(call)) is not None]

    def call(self, call: str) -> dict[str, Any] | None:
        """One call: what it came to, with its attempts. `cost_nanousd` None: not wholly known."""
        attempts = list(self.attempts(call=call))
        if not attempts:
            return None
        first, last = attempts[0], attempts[-1]
        costs = [
            0 if a["state"] == "void" and a["cost_nanousd"] is None else a["cost_nanousd"] for a in attempts
        ]
        return {
            "call": call,
            "state": last["state"],
            "key": first["key"],
            "route": first["route"],
            "target": f"{last['provider']}/{last['model']}",
            "started_ms": first["started_ms"],
            "ended_ms": last["ended_ms"],
            "input_tokens": last["input_tokens"],
            "output_tokens": last["output_tokens"],
            "cost_nanousd": None if None in costs else sum(costs),
            "losses": last["losses"],
            "lost": last["lost"],
            "attempts": attempts,
        }

    def spend(self, by: str, since_ms: int = 0) -> list[Spend]:
        """Spending by one of SPEND_BY, exact. By `tag`, a row counts under each of its tags.

        Raises Fault `bad_request` for another `by`.
        """
        _known(by)
        with mapped(self.state):
            rows = self._db.execute(_SPEND, (by, since_ms)).fetchall()
        sums: dict[str | None, list[int]] = {}
        for who, *numbers in rows:
            for name in _named(by, who):
                old = sums.get(name, [0] * len(numbers))
                sums[name] = [a + (b or 0) for a, b in zip(old, numbers, strict=True)]
        fields = Spend.__struct_fields__[1:]
        return [Spend(who=who, **dict(zip(fields, numbers, strict=True))) for who, numbers in sums.items()]

    def switched(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Ended attempts of switches, in the order of their endings; go on after the last `seq`."""
        with mapped(self.state):
            cursor = self._db.execute(_SWITCHED, (after, limit))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def losing(self, by: str, since_ms: int = 0) -> list[Losing]:
        """What translation has lost, and what went whole beside it, by one of SPEND_BY and by target.

        Raises Fault `bad_request` for another `by`.
        """
        _known(by)
        with mapped(self.state):
            rows = self._db.execute(_LOST, (by, since_ms)).fetchall()
        return [
            Losing(name, provider, model, counted(lost), attempts, read or 0, cached or 0, first_ms)
            for who, provider, model, lost, attempts, read, cached, first_ms in rows
            for name in _named(by, who)
        ]

    def traffic(self, since_ms: int = 0) -> list[Traffic]:
        """Who asked what of whom, summed by route, key and target."""
        with mapped(self.state):
            return traffic.read(self._db, since_ms)

    def used(self, since_ms: int) -> list[Used]:
        """What each target was paid, by route and price."""
        with mapped(self.state):
            return traffic.used(self._db, since_ms)

    def tried(self, since_ms: int, until_ms: int) -> list[Tried]:
        """The attempts begun in that time, by call, in the order they were made."""
        with mapped(self.state):
            return traffic.tried(self._db, since_ms, until_ms)

    def check(self) -> list[str]:
        """What is wrong with the store, in words; empty when nothing is. Reads every row."""
        found = []
        with mapped(self.state):
            for (said,) in self._db.execute("PRAGMA integrity_check"):
                if said != "ok":
                    found.append(f"ledger.db: {said}")
            for query, text in _CHECKS:
                (count,) = self._db.execute(query).fetchone()
                if count:
                    found.append(f"ledger.db: {count} {text}")
            budgets = self._budget()
            if budgets is not None:
                found += budgets.check()
                found += self._unposted(budgets)
        return found

    def _unposted(self, budgets: Budgets) -> list[str]:
        """Where a budget's books and the ledger's differ. Only said of keys that hold nothing now."""
        windows = {key.id: key.window for key, _ in self.keys()}
        found = []
        for book in budgets.budgets():
            if book.pending or book.key not in windows:
                continue
            end = window_end_ms(windows[book.key], book.window_start_ms)
            (owed,) = self._db.execute(_OWED, (book.key, book.window_start_ms, end)).fetchone()
            if owed != book.posted:
                found.append(
                    f"budget.db: key {book.key} has {book.posted} posted, its attempts come to {owed}"
                )
        return found

    # --- keys ---

    def add_key(self, key: Key, digest: bytes) -> None:
        """Raises Fault `conflict` where a key of this name is in force."""
        with mapped(self.state), transaction(self._db):
            taken = self._db.execute("SELECT 1 FROM key WHERE name = ? AND revoked_ms IS NULL", (key.name,))
            if taken.fetchone():
                raise Fault(
                    "conflict", f"A key named {key.name!r} exists: revoke it first, or choose another name."
                )
            row = msgspec.structs.asdict(key) | {"models": "\n".join(key.models), "digest": digest}
            self._db.execute(_ADD_KEY, row)
            self._count("keys", 1)

    def revoke_key(self, name_or_id: str, now_ms: int) -> Key:
        """Raises Fault `not_found` where no key in force has this name or id."""
        with mapped(self.state), transaction(self._db):
            row = self._db.execute(
                "UPDATE key SET revoked_ms = ?1 WHERE ?2 IN (id, name) AND revoked_ms IS NULL RETURNING id",
                (now_ms, name_or_id),
            ).fetchone()
            if row is None:
                raise Fault(
                    "not_found", f"No key in force is named {name_or_id!r}: see `fungible keys list`."
                )
            self._count("keys", 1)
        return next(key for key, _ in self.keys() if key.id == row[0])

    def keys(self) -> list[tuple[Key, bytes]]:
        """Every key with the SHA-256 of its secret, oldest first, revoked ones too."""
        with mapped(self.state):
            rows = self._db.execute(_KEYS).fetchall()
        fields = Key.__struct_fields__
        return [
            (
                Key(
                    **dict(zip(fields, row, strict=True))
                    | {"models": tuple(models.split("\n")) if models else ()}
                ),
                digest,
            )
            for digest, models, *row in rows
        ]

    def keys_version(self) -> int:
        """A number that grows with every change to a key. About 5 us: ask once a second."""
        with mapped(self.state):
            row = self._db.execute("SELECT value FROM counter WHERE name = 'keys'").fetchone()
        return int(row[0])


def _known(by: str) -> None:
    if by not in SPEND_BY:
        raise Fault("bad_request", f"The account can be told by {', '.join(SPEND_BY)}; not by {by!r}.")


def _named(by: str, who: str | None) -> list[str | None]:
    """Who a row counts for: by `tag`, under each of its tags; of a switch's mark, the switch and the side."""
    if by != "tag" or not who:
        return [who or None]
    return [
        ":".join(t.split(":", 2)[:2]) if t.startswith("switch=") else t
        for t in map(str.strip, who.split(","))
        if t
    ]
