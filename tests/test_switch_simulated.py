"""Switches on bad days: the real machine of a call, in the seeded simulator, drives the fold and its moves.

Providers refuse, stall, break off and recover, callers leave, breakers open, calls fail over; both models have
the same day, or the candidate has a worse one. What the ledger's rows say moves the switch, and the switch
divides the calls that come next.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fungible.account import Settled
from fungible.call import Call
from fungible.dialects import DIALECTS
from fungible.models import Split, Target
from fungible.simulator import BEHAVIOURS, SimulatedFlow, Simulation
from fungible.switch.pilot import outcome_of
from fungible.switch.plan import Guard, Plan
from fungible.switch.rollout import judged, share, start
from fungible.switch.tally import Tally
from fungible.switch.units import Units
from fungible.world import Outgoing, Sink
from tests.test_policies import SECRET, key, local

CALLS = 1_000
CHAT = DIALECTS["openai.chat"]
GUARDS = (Guard("errors", margin=0.15), Guard("latency", 0.05, 0.2))
FINE = {"answer": 95, "answer slowly": 2, "500": 2, "break off": 1}
WORSE = {"answer": 70, "answer slowly": 2, "500": 20, "break off": 5, "429": 3}


class Day(Simulation):
    """A day on which the route `both` is on its way from `a/one` to `b/new`."""

    def __init__(self, seed: int, days: Mapping[str, Mapping[str, int]], plan: Plan) -> None:
        self.days, self.plan = days, plan
        body = [json.dumps({"model": "both", "messages": [{"role": "user", "content": f"Q{n}"}], "stream": n % 2 == 0})
                for n in range(CALLS)]  # fmt: skip
        here = local(key(), attempts_max=3)
        super().__init__(
            seed, here, [(CHAT, one.encode()) for one in body], secret=SECRET.encode(), every_s=0.2
        )
        self.standing = start(plan, self.wall_ms())
        self.tally, self.units = Tally(plan, plan.guards), Units()
        self.moves: list[Any] = []
        self._divide()

    def _divide(self) -> None:
        at = share(self.plan, self.standing)
        split = Split("s1", b"salt", ("b", "new"), self.plan.by, at, stage=self.standing.stage)
        self.local.catalogue = self.local.catalogue.splitting({"both": split})

    def settled(self, row: Settled, call: Call, target: Target) -> None:
        super().settled(row, call, target)
        opened = self.rows[row.attempt]
        told = outcome_of(msgspec.structs.asdict(opened) | msgspec.structs.asdict(row), self.plan)
        if told is None:
            return
        self.tally.take(told, self.units)
        move = judged(self.plan, self.standing, [self.tally], self.wall_ms())
        if move is not None:
            self.moves.append(move)
            self.standing = move.after
            self._divide()

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> SimulatedFlow:
        """As the day of the target's model is."""
        self.weights = self.days[target.name]
        return super().send(target, outgoing, sink)


def plan(by: str) -> Plan:
    return Plan(
        route="both", candidate="b/new", incumbents=("a/one", "b/two"), by=by, steps=(0.2, 0.5, 1.0), guards=GUARDS,
        calls_min=50, stage_s=0, window_s=5,
    )  # fmt: skip


@pytest.mark.parametrize("by", ["conversation", "call"])
@pytest.mark.parametrize("seed", range(2))
def test_equal_models_are_not_rolled_back_on_a_bad_day(seed: int, by: str) -> None:
    days = dict.fromkeys(("a/one", "b/new", "b/two"), BEHAVIOURS)
    day = Day(seed, days, plan(by))
    day.run()
    assert day.standing.state != "rolled_back", day.moves[-1].why
    assert day.tally.watches["errors"].seen["c"][0] > 20, "the day was bad enough"


@pytest.mark.parametrize("seed", range(1))
def test_on_fine_days_all_goes_over(seed: int) -> None:
    day = Day(seed, dict.fromkeys(("a/one", "b/new", "b/two"), FINE), plan("call"))
    day.run()
    assert day.standing.state == "done"
    assert [move.after.state for move in day.moves] == ["step", "done"]


@pytest.mark.parametrize("by", ["conversation", "call"])
@pytest.mark.parametrize("seed", range(1))
def test_a_worse_day_of_the_candidate_is_seen(seed: int, by: str) -> None:
    day = Day(seed, {"a/one": FINE, "b/two": FINE, "b/new": WORSE}, plan(by))
    stories = day.run()
    assert day.standing.state == "rolled_back" and day.moves[-1].by in ("errors", "outage")
    after = [row for row in day.rows.values() if row.started_ms > day.standing.since_ms]
    assert after and not any(row.model == "new" and row.n == 1 for row in after)
    failed = sum(story.replies not in ([], [200]) for story in stories)
    assert failed < CALLS * 0.02, "the incumbent answered what the candidate failed"


def test_the_day_is_that_of_its_seed() -> None:
    days = dict.fromkeys(("a/one", "b/new", "b/two"), BEHAVIOURS)
    states = []
    for _ in range(2):
        day = Day(5, days, plan("call"))
        day.run()
        states.append(day.tally.state())
    assert states[0] == states[1]
