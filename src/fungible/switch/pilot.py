"""The pilot: what a worker does for the switches of its state folder, about once a second, beside the calls.

    look      which switches there are and where they stand, when the store's version has grown: the splits
              that the next calls are divided by
    evaluate  one worker of all, whichever holds the lock: fold the journals, fold the new rows into the
              evidence, and make the move that follows

So a breach is felt by every worker within some three seconds: one to evaluate, one to be told. The lock is
the kernel's (flock) and goes with the process; the next tick of any other takes it up where the last commit
stands. What was not committed is folded again from the same rows.

The evidence comes from rows that are durable before anybody is answered: the ledger's. An attempt that a
crash cut off has no outcome, which is not a good one. Judged measures are rows of their own, written when an
answer has been looked at.

A full disk: the ledger refuses calls, and a commit fails whole and is tried again. A rollback that cannot be
written is in force in this worker all the same (`grounded`).

Not here: what follows from evidence (`rollout`), how rows become evidence (`tally`), SQL (`store`).
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from ..faults import Fault
from ..models import Split
from ..policies.share import FOR_COMPARISON, read_mark
from ..store import Store, Switches, has_switches
from ..store.switches import MoveRow, SwitchRow, UnitRow
from .plan import GUARDS, Plan
from .rollout import LIVE, Move, Standing, judged, share
from .tally import Outcome, Tally
from .units import Unit, Units

LOCK = "switch.lock"
ROWS_MAX = 5_000  # of one fold
FOLDS_MAX = 10  # of one tick, so that it ends
TAIL_MS = 600_000  # how long after its end a switch's last answers are counted
HELD_MAX = 100_000  # conversations that are known to have begun elsewhere
SETTLING_MS = 5_000  # after a move, conversations that other workers had begun are still being told of
LEDGER, JUDGED = "ledger", "judged"
NOT_THE_MODELS = frozenset({"client_gone", "budget", "internal"})
"""Faults that say nothing of the model."""


def plan_of(row: SwitchRow) -> Plan:
    return msgspec.json.decode(row.plan, type=Plan)


def standing_of(row: SwitchRow) -> Standing:
    return Standing(row.state, row.stage, row.since_ms)


def row_of(move: Move) -> MoveRow:
    before, after, event, by, why, evidence = move
    return MoveRow(
        after.since_ms, event, by, why, before.state, before.stage, after.state, after.stage, evidence
    )


def in_force(rows: Iterable[SwitchRow]) -> dict[str, SwitchRow]:
    """By route the one that its calls are divided by: the newest that was not rolled back."""
    return {row.route: row for row in rows if row.state != "rolled_back"}


def outcome_of(row: Mapping[str, Any], plan: Plan) -> Outcome | None:
    """What an attempt's row says of the side it was on. None: nothing; only a call's first attempt counts.

    Of what was asked for comparison alone only the cost is told, which is that of all attempts.
    """
    mark = read_mark(row["tags"])
    if mark is not None and mark.side in FOR_COMPARISON:
        return Outcome(mark, row["ended_ms"] or row["started_ms"], cost_nanousd=row["cost_nanousd"])
    if mark is None or row["n"] != 1:
        return None
    fault, target = row["fault"], f"{row['provider']}/{row['model']}"
    ended = row["ended_ms"] or row["started_ms"]
    if not plan.expects(mark.side, target):  # a breaker was open, or it cannot take the request
        return Outcome(mark, ended, passed_over=True)
    scores: dict[str, float] = {}
    if fault is not None and fault not in NOT_THE_MODELS:
        scores["errors"] = 1.0
    elif fault is None and row["state"] != "unknown":
        scores["errors"] = 0.0
    well, cut_off = scores.get("errors") == 0.0, fault in ("timeout", "client_gone")
    took = (row["first_ms"] or ended) - row["started_ms"]
    return Outcome(
        mark,
        ended,
        scores,
        duration_ms=took if well or cut_off else None,
        cut_off=cut_off,
        cost_nanousd=row["cost_nanousd"] if well else None,
    )


class Flight:
    """One switch in memory of whoever evaluates it: its tallies, each with its units."""

    def __init__(self, switches: Switches, row: SwitchRow) -> None:
        self.id = row.id
        self.plan = plan_of(row)
        self._switches = switches
        self.tallies: dict[str, Tally] = {}
        self.units: dict[str, Units] = {}
        for source in (LEDGER, JUDGED):
            guards = [g for g in self.plan.guards if GUARDS[g.name].judged == (source == JUDGED)]
            tally = Tally(self.plan, guards)
            state = switches.evidence(row.id, source)
            self.tallies[source] = tally.restore(state) if state is not None else tally
            opened = [unit_of(u) for u in switches.open_units(row.id, source)]
            self.units[source] = Units(self._looking(source), opened)

    def _looking(self, source: str) -> Callable[[int], list[Unit]]:
        return lambda key: [unit_of(unit) for unit in self._switches.units(self.id, source, key)]

    def take(self, store: Store) -> bool:
        """The next rows of both streams. False: there were none."""
        ledger, judged_rows = self.tallies[LEDGER], self.tallies[JUDGED]
        rows = store.switched(ledger.upto, ROWS_MAX)
        for row in rows:
            if row["tags"].startswith(f"switch={self.id}:"):
                outcome = outcome_of(row, self.plan)
                if outcome is not None:
                    ledger.take(outcome, self.units[LEDGER])
            ledger.upto = row["seq"]
        marks = self._switches.judged(judged_rows.upto, ROWS_MAX)
        for told in marks:
            mark = read_mark(told.mark)
            if mark is not None and mark.switch == self.id:
                judged_rows.take(Outcome(mark, told.at_ms, told.scores), self.units[JUDGED])
            judged_rows.upto = told.seq
        return bool(rows or marks)

    def commit(self, move: Move | None) -> bool:
        changed = [
            (source, unit_row(unit))
            for source, units in self.units.items()
            for unit in units.changed.values()
        ]
        states = {source: tally.state() for source, tally in self.tallies.items()}
        done = self._switches.commit(self.id, states, changed, row_of(move) if move is not None else None)
        for units in self.units.values():
            units.kept()
        return done


def for_comparison(cost_nanousd: Mapping[str, int]) -> int:
    """What has been paid for answers that are only compared with."""
    return sum(cost for side, cost in cost_nanousd.items() if side in FOR_COMPARISON)


def unit_of(row: UnitRow) -> Unit:
    firsts, sums = row.outcomes
    return Unit(*row[:-1], firsts, {name: (total, count) for name, (total, count) in sums.items()})


def unit_row(unit: Unit) -> UnitRow:
    return UnitRow(
        unit.key, unit.side, unit.stage, unit.user, unit.first_ms, unit.last_ms, unit.calls, unit.closed,
        (unit.firsts, unit.sums),
    )  # fmt: skip


class Pilot:
    """For one thread. `now_ms` gives Unix milliseconds."""

    def __init__(self, state: str | Path, now_ms: Callable[[], int]) -> None:
        self._state = Path(state)
        self._now_ms = now_ms
        self._switches: Switches | None = None
        self._store: Store | None = None
        self._flights: dict[str, Flight] = {}
        self._lock = -1
        self._version = -1
        self._settling_until_ms = 0
        self._told = ""
        self.rows: list[SwitchRow] = []
        self.grounded: set[str] = set()
        self.judged: Mapping[str, Plan] = {}
        self._spent: set[str] = set()  # whose incumbents are asked anew no more: their budgets are spent
        self.said: list[str] = []

    @property
    def evaluating(self) -> bool:
        """Whether this is the one that does."""
        return self._lock >= 0

    def tick(self) -> Mapping[str, Split] | None:
        """Once a second. By route what calls are divided by from now on; None: as before.

        Where evidence cannot be kept, the next tick tries again from what was. Raises `Fault` where the
        store cannot be read.
        """
        if self._switches is None:
            if not has_switches(self._state):
                return None
            self._switches = Switches(self._state)
        switches = self._switches
        try:
            if self._live() and self._locked():
                self._evaluate(switches)
        except Fault as fault:
            self._flights.clear()
            if fault.message != self._told:
                self.said.append(f"A switch could not be evaluated and will be again: {fault.message}")
            self._told = fault.message
        else:
            self._told = ""
        return self._look(switches)

    def close(self) -> None:
        for one in (self._switches, self._store):
            if one is not None:
                one.close()
        self._switches = self._store = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- looking

    def look(self) -> Mapping[str, Split] | None:
        """The same without evaluating, before the first call. Raises `Fault` as `tick`."""
        if self._switches is None:
            if not has_switches(self._state):
                return None
            self._switches = Switches(self._state)
        return self._look(self._switches)

    def _live(self) -> list[SwitchRow]:
        """Those under way, and those whose last answers are still being told."""
        assert self._switches is not None
        if self._switches.version() != self._version:
            self.rows = self._switches.all()
        now = self._now_ms()
        return [row for row in self.rows if row.state in LIVE or now - row.since_ms < TAIL_MS]

    def _look(self, switches: Switches) -> Mapping[str, Split] | None:
        version, now = switches.version(), self._now_ms()
        if version == self._version and now > self._settling_until_ms:
            return None
        self.rows = switches.all()
        if version != self._version:
            self._settling_until_ms = now + SETTLING_MS
        self._version = version
        plans = {row.id: plan_of(row) for row in self.rows if row.state in LIVE}
        self.judged = {
            name: plan
            for name, plan in plans.items()
            if any(GUARDS[guard.name].judged for guard in plan.guards)
        }
        forced = in_force(row for row in self.rows if row.id not in self.grounded)
        return {route: self._split(switches, row) for route, row in forced.items()}

    def _split(self, switches: Switches, row: SwitchRow) -> Split:
        plan, standing = plan_of(row), standing_of(row)
        provider, _, model = plan.candidate.partition("/")
        held: Iterable[int] = ()
        if plan.by != "call" and standing.stage:
            since = self._now_ms() - plan.hold_s * 1000
            held = switches.held(row.id, LEDGER, standing.stage, since, HELD_MAX)
        return Split(
            row.id,
            row.salt,
            (provider, model),
            plan.by,
            share(plan, standing),
            plan.shadow_share if standing.state == "shadow" else 0.0,
            standing.stage,
            frozenset(held),
            anew=plan.anew if standing.state in LIVE and not self._exhausted(switches, row.id, plan) else 0.0,
        )

    def _exhausted(self, switches: Switches, switch: str, plan: Plan) -> bool:
        """Whether what the incumbent's new answers may cost is spent, as far as it was last kept."""
        if plan.anew_nanousd is None:
            return False
        state = switches.evidence(switch, LEDGER)
        return state is not None and for_comparison(state["cost_nanousd"]) >= plan.anew_nanousd

    # --- evaluating

    def _locked(self) -> bool:
        if self._lock < 0:
            lock = os.open(self._state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                return False
            self._lock = lock
            self._flights.clear()
        return True

    def _evaluate(self, switches: Switches) -> None:
        if self._store is None:
            self._store = Store(self._state)
        self._store.fold()
        live = self._live()
        self._flights = {row.id: self._flights.get(row.id) or Flight(switches, row) for row in live}
        for row in live:
            self._fly(self._flights[row.id], standing_of(row), self._store, switches)

    def _heed_budget(self, flight: Flight, switches: Switches) -> None:
        """Have every worker told, once the incumbent has been asked anew for all that it may cost."""
        limit, costs = flight.plan.anew_nanousd, flight.tallies[LEDGER].cost_nanousd
        if limit is None or flight.id in self._spent or for_comparison(costs) < limit:
            return
        switches.changed()
        self._spent.add(flight.id)
        self.said.append(
            f"Switch {flight.id}: the budget of --anew is spent. The incumbent is asked anew no more, and the"
            " guards that compare two answers stand where they are."
        )

    def _fly(self, flight: Flight, standing: Standing, store: Store, switches: Switches) -> None:
        news = 0
        while news < FOLDS_MAX and flight.take(store):
            news += 1
        move = judged(flight.plan, standing, flight.tallies.values(), self._now_ms())
        if not news and move is None:
            return
        try:
            done = flight.commit(move)
            self._heed_budget(flight, switches)
        except Fault:
            if move is not None and move.after.state == "rolled_back":
                self.grounded.add(flight.id)
                self._version = -1
            raise
        if move is not None and done:
            self.grounded.discard(flight.id)
            self.said.append(
                f"Switch {flight.id} of {flight.plan.route!r} to {flight.plan.candidate}:"
                f" {move.before.state} -> {move.after.state}. {move.why}"
            )


class Autopilot:
    """The pilot in a thread of its own, beside a loop; the thread begins with the first switch."""

    def __init__(self, state: str | Path, now_ms: Callable[[], int]) -> None:
        self._state = Path(state)
        self._pilot = Pilot(state, now_ms)
        self._thread: ThreadPoolExecutor | None = None
        self._ticking: Future[Mapping[str, Split] | None] | None = None
        self._said: list[str] = []
        self.splits: Mapping[str, Split] = self._pilot.look() or {}

    def tend(self) -> bool:
        """Once a second: take up what the last tick found, and begin the next.

        Gives whether `splits` is another now. Raises `Fault` where the store cannot be read.
        """
        found: Mapping[str, Split] | None = None
        ticking = self._ticking
        if ticking is not None:
            if not ticking.done():
                return False
            self._ticking = None
            self._said, self._pilot.said = [*self._said, *self._pilot.said], []
            found = ticking.result()
        elif self._thread is None and has_switches(self._state):
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="fungible-switch")
        if self._thread is not None:
            self._ticking = self._thread.submit(self._pilot.tick)
        if found is not None:
            self.splits = found
        return found is not None

    def said(self) -> list[str]:
        """What an operator should read, once."""
        told, self._said = self._said, []
        return told

    @property
    def judged(self) -> Mapping[str, Plan]:
        """Live switches that have guards which an answer must be looked at for."""
        return self._pilot.judged

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """The share of every switch that calls are divided by."""
        told = "Share of a route's calls that a switch gives to its candidate."
        return {
            f'fungible_switch_share{{switch="{split.id}",route="{_label(route)}"}}': (told, split.share)
            for route, split in self.splits.items()
        }

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        self._pilot.close()


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
