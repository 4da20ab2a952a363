"""What a switch has seen: a fold of outcomes, in the order they arrived, into the state of its guards.

An outcome is what one answer came to: an error or not, late or not, refused or not; 1 is bad. The guards
(`evidence.guards`) want blocks: a candidate's outcome beside the incumbent's of the same moment. How blocks
are made decides whether their promise holds, so here is the argument.

Chance decides sides, by the hash of a unit (a conversation, a user, a call). A unit's later answers depend
on its first: a broken conversation that is tried fifty times fails fifty times on one side. So not the answer
is the observation but the unit, once, and each guard bets on two parts of it:

    first   the unit's first outcome, at once: an outage is seen within seconds
    whole   the mean of its outcomes until `window_s` after the first, when they are in

Each part is a process of its own, with its own share of alpha, so that a unit is news in either just once.
Only the whole counts for a pass. Where the unit is the call, its first is its whole, and one part does.

When the share grows, every unit that was the incumbent's is drawn anew, by the same hash against the new
share, and may count once more; one that is the candidate's already was decided earlier, and does not. A
conversation that was under way when the share grew is out on both sides: on one it is held with the
incumbent (`policies.share`), so on the other it must not count either.

A block ends as soon as both sides are in it, and its difference is the mean of one less the mean of the
other: one candidate against nineteen at 5 %, ninety-nine against one of the holdback. Nothing is thrown
away, and no outcome stands in two blocks. In shadow the candidate is asked the same as the incumbent, and
the difference is that of the very pair.

Latency and cost have no bad or good by themselves: bad is what lies over the incumbent's usual, its 0.9
quantile so far times a factor, or over a limit that the user sets. The quantile comes from the past alone,
so a bet on the next outcome stays fair, and both sides are held to the same line.

The fold is a function of the rows in their order, its clock is theirs, and its state is plain values: after
a crash the same rows give the same state. Not here: where rows and units are kept (`store.switches`), and
what follows from them (`rollout`).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, exp, log
from typing import Any

import msgspec

from ..evidence import HarmGuard, PassGuard
from ..policies.share import FOR_COMPARISON, Mark
from .plan import Guard, Plan
from .units import Unit, Units

FIRST, WHOLE = "first", "whole"
USUAL_SHARE = 0.9
USUAL_STEPS_PER_E = 20  # 5 % each
USUAL_MIN = 30  # of the incumbent's answers, before anything is over their usual
PASSED_OVER = "not "  # before a side: answers that another gave in its stead
RECENT = 50  # of the incumbent's outcomes, which an outage of the candidate alone is told by
OUTAGE = log(1e-8)  # how improbable a row of failures must be, were the candidate as good as the incumbent
OUTAGE_MIN = 3  # failures in a row, at the least


class Outcome(msgspec.Struct, frozen=True):
    """One answer, as far as it is known. `scores`: guard -> 0..1, more is worse; absent is not known."""

    mark: Mark
    at_ms: int
    scores: Mapping[str, float] = {}
    duration_ms: int | None = None
    cut_off: bool = False  # it would have taken longer than that: nobody waited any more
    cost_nanousd: int | None = None
    passed_over: bool = False  # another answered at once: it was not asked


class Usual:
    """A quantile of what was seen, in steps of 5 %; told anew when a twentieth more has been seen."""

    __slots__ = ("counts", "limit", "next", "seen")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.seen = 0
        self.limit: float | None = None  # None until enough was seen
        self.next = USUAL_MIN  # seen by then, the limit is told anew

    def take(self, value: float) -> None:
        step = ceil(log(max(value, 1.0)) * USUAL_STEPS_PER_E)
        self.counts[step] = self.counts.get(step, 0) + 1
        self.seen += 1
        if self.seen >= self.next:
            self.next = self.seen + max(1, self.seen // 20)
            self.limit = self._quantile(USUAL_SHARE * self.seen)

    def _quantile(self, wanted: float) -> float:
        passed, last = 0, 0
        for last in sorted(self.counts):
            passed += self.counts[last]
            if passed >= wanted:
                break
        return exp(last / USUAL_STEPS_PER_E)

    def state(self) -> dict[str, Any]:
        counts = {str(step): count for step, count in self.counts.items()}
        return {"counts": counts, "limit": self.limit, "next": self.next}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Usual":
        made = cls()
        made.counts = {int(step): count for step, count in state["counts"].items()}
        made.seen, made.limit, made.next = sum(made.counts.values()), state["limit"], state["next"]
        return made


class Watch:
    """One guard at work: its bets, and the sides of the block that is being made, for each part."""

    __slots__ = ("guard", "harm", "passing", "seen", "waiting")

    def __init__(self, guard: Guard, alpha: float, parts: Sequence[str], pass_alpha: float) -> None:
        self.guard = guard
        self.harm = {part: HarmGuard(alpha, guard.tolerance) for part in parts}
        self.passing = PassGuard(pass_alpha, guard.margin)
        self.waiting: dict[str, dict[str, list[float]]] = {
            part: {"c": [0.0, 0], "b": [0.0, 0]} for part in parts
        }
        self.seen: dict[str, list[float]] = {"c": [0.0, 0], "b": [0.0, 0]}  # by side: (sum, how many)

    @property
    def last_part(self) -> str:
        return next(reversed(self.harm))

    def take(self, part: str, arm: str, outcome: float) -> None:
        """An outcome of one side; a block, once both are there."""
        block = self.waiting[part]
        block[arm][0] += outcome
        block[arm][1] += 1
        (c_sum, c_count), (b_sum, b_count) = block["c"], block["b"]
        if c_count and b_count:
            self.waiting[part] = {"c": [0.0, 0], "b": [0.0, 0]}
            self.differ(part, c_sum / c_count - b_sum / b_count)

    def differ(self, part: str, difference: float) -> None:
        self.harm[part].take(difference)
        if part == self.last_part:
            self.passing.take(difference)

    @property
    def breach(self) -> str | None:
        """The part that has shown harm."""
        return next((part for part, harm in self.harm.items() if harm.decided), None)

    def state(self) -> dict[str, Any]:
        return {
            "harm": {part: harm.state() for part, harm in self.harm.items()},
            "pass": self.passing.state(),
            "waiting": self.waiting,
            "seen": self.seen,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.harm = {part: HarmGuard.restore(state["harm"][part]) for part in self.harm}
        self.passing = PassGuard.restore(state["pass"])
        self.waiting, self.seen = dict(state["waiting"]), dict(state["seen"])


class Tally:
    """The guards of one switch that one stream of outcomes feeds, and what was counted beside them."""

    def __init__(self, plan: Plan, guards: Iterable[Guard]) -> None:
        parts = (FIRST,) if plan.by == "call" else (FIRST, WHOLE)
        alpha = plan.alpha / max(1, len(plan.guards)) / len(parts)
        self.plan = plan
        self.parts = parts
        self.window_ms = 0 if plan.by == "call" else plan.window_s * 1000
        self.watches = {guard.name: Watch(guard, alpha, parts, plan.alpha) for guard in guards}
        self.upto = 0  # the last row that is in it
        self.clock_ms = 0
        self.calls: dict[str, dict[str, int]] = {}  # stage -> side -> answers
        self.usual = {"latency": Usual(), "cost": Usual()}
        self.cost_nanousd: dict[str, int] = {}  # side -> what is known of it
        self.failing = 0  # of the candidate's units, in a row
        self.recent: list[int] = []  # of the incumbent's: 1 failed
        self.outage = False
        self._next_due_ms: int | None = None

    # --- one row

    def take(self, row: Outcome, units: Units) -> None:
        """One outcome, each just once, in the order of their arrival."""
        mark = row.mark
        self.clock_ms = max(self.clock_ms, row.at_ms)
        if self._next_due_ms is not None and self.clock_ms >= self._next_due_ms:
            self._close(units)
        if row.scores.get("errors") != 1.0:  # a stage is not passed by failures, though both sides have them
            by_side = self.calls.setdefault(str(mark.stage), {})
            what = PASSED_OVER + mark.side if row.passed_over else mark.side
            by_side[what] = by_side.get(what, 0) + 1
        if row.passed_over:
            return
        if row.cost_nanousd is not None:
            self.cost_nanousd[mark.side] = self.cost_nanousd.get(mark.side, 0) + row.cost_nanousd
        if mark.side in FOR_COMPARISON:
            return
        scores = self._scored(row)
        counts = mark.side != "h"
        if mark.talk and mark.side in "bh" and self._under_way(row, units):
            counts = False
        if counts:
            self._of_unit(row, scores, units)

    def _under_way(self, row: Outcome, units: Units) -> bool:
        """Whether the conversation began with the incumbent before this stage, and has not paused since."""
        mark, at = row.mark, row.at_ms
        known = next((unit for unit in units.of(mark.talk) if unit.side == "t"), None)
        older = (
            known is not None and known.stage < mark.stage and at - known.last_ms <= self.plan.hold_s * 1000
        )
        stage = known.stage if known is not None and older else mark.stage
        first = known.first_ms if known is not None and older else at
        units.put(Unit(mark.talk, "t", stage, mark.user, first, at, closed=True))
        return older

    def _of_unit(self, row: Outcome, scores: Mapping[str, float], units: Units) -> None:
        mark, arm = row.mark, "c" if row.mark.side in "cs" else "b"
        known = units.of(mark.unit)
        unit = next((u for u in known if u.side == mark.side and u.stage == mark.stage), None)
        decided = mark.side == "c" and any(u.side == "c" and u.stage < mark.stage for u in known)
        if unit is None:
            unit = Unit(mark.unit, mark.side, mark.stage, mark.user, row.at_ms, row.at_ms)
            unit.closed = decided or not self.window_ms
            if not unit.closed and self._next_due_ms is None:
                self._next_due_ms = row.at_ms + self.window_ms
        twin = None
        if mark.side in "ps":
            other = "s" if mark.side == "p" else "p"
            twin = next((u for u in known if u.side == other and u.stage == mark.stage), None)
        for name, outcome in scores.items():
            watch = self.watches[name]
            if not decided:
                watch.seen[arm][0] += outcome
                watch.seen[arm][1] += 1
            if name not in unit.firsts:
                unit.firsts = {**unit.firsts, name: outcome}
                if not decided:
                    self._first(watch, mark, arm, outcome, twin)
            if not unit.closed:
                total, count = unit.sums.get(name, (0.0, 0))
                unit.sums = {**unit.sums, name: (total + outcome, count + 1)}
        unit.last_ms, unit.calls = row.at_ms, unit.calls + 1
        units.put(unit)

    def _first(self, watch: Watch, mark: Mark, arm: str, outcome: float, twin: Unit | None) -> None:
        if watch.guard.name == "errors":
            self._outage(arm, outcome)
        if mark.side not in "ps":
            watch.take(FIRST, arm, outcome)
        elif twin is not None and watch.guard.name in twin.firsts:
            difference = outcome - twin.firsts[watch.guard.name]
            watch.differ(FIRST, difference if mark.side == "s" else -difference)

    def _close(self, units: Units) -> None:
        """The wholes of those whose window is over, the oldest first."""
        for unit in units.due(self.clock_ms - self.window_ms):
            unit.closed = True
            units.put(unit)
            if unit.side == "p":
                continue  # its pair is told with the other side
            twin = None
            if unit.side == "s":
                twin = next((u for u in units.of(unit.key) if u.side == "p" and u.stage == unit.stage), None)
            for name, (total, count) in unit.sums.items():
                watch, mean = self.watches[name], total / count
                if unit.side != "s":
                    watch.take(WHOLE, unit.side, mean)
                elif twin is not None and name in twin.sums:
                    other, others = twin.sums[name]
                    watch.differ(WHOLE, mean - other / others)
        oldest = units.oldest_ms()
        self._next_due_ms = None if oldest is None else oldest + self.window_ms

    # --- what is bad

    def _scored(self, row: Outcome) -> dict[str, float]:
        """The outcomes that a guard here watches, those over the usual included."""
        scores = {name: value for name, value in row.scores.items() if name in self.watches}
        for name, value in (("latency", row.duration_ms), ("cost", row.cost_nanousd)):
            watch = self.watches.get(name)
            if watch is None or value is None:
                continue
            limit = watch.guard.limit
            if limit is None:
                usual = self.usual[name].limit
                limit = usual * watch.guard.factor if usual is not None else None
            if limit is not None and (value > limit or not row.cut_off):
                scores[name] = float(value > limit)
            if row.mark.side in "bp" and not row.cut_off:
                self.usual[name].take(value)
        return scores

    def _outage(self, arm: str, outcome: float) -> None:
        """A hard breaker beside the guards: failures in a row that the incumbent's rate does not explain.

        It has no part of alpha: such a row has a probability of 1e-8 wherever it may begin. The rate is the
        incumbent's, of late or over all, whichever is higher, with one failure and one success added.
        """
        if arm == "b":
            self.recent = [*self.recent[1 - RECENT :], int(outcome >= 0.5)]
            return
        self.failing = self.failing + 1 if outcome >= 0.5 else 0
        bad, seen = self.watches["errors"].seen["b"]
        rate = max((sum(self.recent) + 1) / (len(self.recent) + 2), (bad + 1) / (seen + 2))
        if self.failing >= OUTAGE_MIN and self.failing * log(rate) <= OUTAGE:
            self.outage = True

    # --- at rest

    def state(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "upto": self.upto,
            "clock_ms": self.clock_ms,
            "calls": self.calls,
            "watches": {name: watch.state() for name, watch in self.watches.items()},
            "usual": {name: usual.state() for name, usual in self.usual.items()},
            "cost_nanousd": self.cost_nanousd,
            "failing": self.failing,
            "recent": self.recent,
            "outage": self.outage,
            "next_due_ms": self._next_due_ms,
        }

    def restore(self, state: Mapping[str, Any]) -> "Tally":
        """Takes up what `state` was taken from; the plan is the same."""
        for name, watch in self.watches.items():
            watch.restore(state["watches"][name])
        self.upto, self.clock_ms, self.calls = state["upto"], state["clock_ms"], state["calls"]
        self.usual = {name: Usual.restore(usual) for name, usual in state["usual"].items()}
        self.cost_nanousd, self.failing = state["cost_nanousd"], state["failing"]
        self.recent, self.outage, self._next_due_ms = state["recent"], state["outage"], state["next_due_ms"]
        return self
