"""A switch as a table of states, and the fold of outcomes that moves it."""

import itertools
import json
import random
from typing import Any

import msgspec
import pytest
from benchmarks.evidence import ramps

from fungible.faults import Fault
from fungible.policies.share import Mark
from fungible.switch import account, rollout
from fungible.switch.plan import GUARDS, Guard, Plan, guards_of, road, steps_of
from fungible.switch.rollout import MOVES, STATES, Standing, enough, judged, missing, moved, share, start
from fungible.switch.tally import Outcome, Tally
from fungible.switch.units import Units

ERRORS = (Guard("errors"),)


def plan(**more: Any) -> Plan:
    more = {"guards": ERRORS, "calls_min": 10, "stage_s": 0} | more
    return Plan(route="r", candidate="p/new", incumbents=("p/old",), **more)


class Traffic:
    """Outcomes put in by hand; every unit is a new one unless it is said."""

    def __init__(self, wanted: Plan, guards: tuple[Guard, ...] | None = None) -> None:
        self.tally = Tally(wanted, wanted.guards if guards is None else guards)
        self.units = Units()
        self.count = itertools.count(1)
        self.now = 0

    def see(self, side: str, stage: int = 0, unit: int = 0, talk: int | None = None, **more: Any) -> None:
        unit = unit or next(self.count)
        talk = talk if talk is not None else unit
        scores = more.pop("scores", {"errors": float(more.pop("bad", False))})
        self.now += more.pop("ms", 1000)
        self.tally.take(
            Outcome(Mark("s1", side, stage, unit, unit, talk), self.now, scores, **more), self.units
        )


# --- the table


def test_every_move_leads_to_a_state_that_is_told_of() -> None:
    assert MOVES.keys() == STATES.keys()
    after = {to for moves in MOVES.values() for to in moves.values()}
    assert after - {rollout.NEXT} <= STATES.keys()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", ["enough", "ask", "breach", "promote", "rollback"])
def test_what_is_not_in_the_table_cannot_happen(state: str, event: Any) -> None:
    wanted = plan(shadow=5, holdback=0.01)
    stages = [stage.state for stage in road(wanted)]
    at = Standing(state, stages.index(state) if state in stages else 1, 0)
    if event in MOVES[state]:
        assert moved(wanted, at, event, 5, "x", "y", {}).after.since_ms == 5
    else:
        with pytest.raises(Fault, match=f"takes no {event}"):
            moved(wanted, at, event, 5, "x", "y", {})


def test_the_whole_road_on_foot() -> None:
    wanted = plan(shadow=5, holdback=0.01)
    at, walked = start(wanted, 0), []
    while at.state != "done":
        walked.append((at.state, share(wanted, at)))
        at = moved(wanted, at, "promote", 1, "a person", "", {}).after
    assert walked == [
        ("shadow", 0),
        ("step", 0.01),
        ("step", 0.05),
        ("step", 0.25),
        ("step", 0.5),
        ("holdback", 0.99),
    ]
    assert share(wanted, at) == 1.0
    assert share(wanted, moved(wanted, at, "rollback", 2, "a person", "", {}).after) == 0.0


@pytest.mark.parametrize(
    ("text", "steps"),
    [("1,5,25,50,100", (0.01, 0.05, 0.25, 0.5, 1.0)), ("100", (1.0,)), ("0.5,10", (0.005, 0.1))],
)
def test_steps(text: str, steps: tuple[float, ...]) -> None:
    assert steps_of(text) == pytest.approx(steps)


@pytest.mark.parametrize("text", ["", "a", "5,1", "5,5", "0,5", "50,101", "1;5"])
def test_no_steps(text: str) -> None:
    with pytest.raises(Fault, match="percentages that grow"):
        steps_of(text)


def test_guards_said() -> None:
    usual = {guard.name for guard in guards_of((), anew=True, judge=True)}
    assert usual == {name for name, kind in GUARDS.items() if kind.default}
    assert {guard.name for guard in guards_of(())} == usual - {"tools", "judge"}, (
        "two answers are no matter of course"
    )
    with pytest.raises(Fault, match="compares two answers to one request"):
        guards_of(["tools"])
    said = {g.name: g for g in guards_of(["latency:over=2s,margin=0.2", "schema=off", "cost:over=1.5x"])}
    assert said["latency"].limit == 2000 and said["latency"].margin == 0.2 and said["cost"].factor == 1.5
    assert "schema" not in said and said["cost"].limit is None
    assert [g.name for g in guards_of(["only", "errors"])] == ["errors"]


@pytest.mark.parametrize(
    "said", ["eror", "latency:over=2", "errors:over=2s", "errors:margin=2", "errors:tolerance=0.1", "cost:over=3s", "latency:x=1"]
)  # fmt: skip
def test_guards_that_are_none(said: str) -> None:
    with pytest.raises(Fault) as told:
        guards_of([said])
    assert told.value.path == "guard"


# --- deciding


def test_a_stage_needs_its_answers_and_its_time() -> None:
    wanted = plan(stage_s=100, by="call")
    traffic = Traffic(wanted)
    at = start(wanted, 0)
    for _ in range(9):
        traffic.see("c")
        traffic.see("b")
    assert judged(wanted, at, [traffic.tally], 200_000) is None
    traffic.see("c")
    assert judged(wanted, at, [traffic.tally], 99_000) is None
    move = judged(wanted, at, [traffic.tally], 100_000)
    assert move is not None and move.after == Standing("step", 1, 100_000) and "10 answers" in move.why


def test_a_person_is_waited_for() -> None:
    wanted = plan(auto=False, by="call")
    traffic = Traffic(wanted)
    for _ in range(20):
        traffic.see("c")
        traffic.see("b")
    move = judged(wanted, start(wanted, 0), [traffic.tally], 1)
    assert move is not None and move.after.state == "waiting" and share(wanted, move.after) == 0.01
    assert judged(wanted, move.after, [traffic.tally], 2) is None
    assert moved(wanted, move.after, "promote", 3, "ann", "", {}).after == Standing("step", 1, 3)


def test_steps_that_end_early_wait_there() -> None:
    wanted = plan(steps=(0.01, 0.05), by="call")
    traffic = Traffic(wanted)
    for _ in range(400):
        traffic.see("c", 1)
        traffic.see("b", 1)
    move = judged(wanted, Standing("step", 1, 0), [traffic.tally], 1)
    assert move is not None and move.after.state == "waiting"


def test_all_traffic_only_with_proof() -> None:
    wanted = plan(by="call", guards=(Guard("errors", margin=0.02), Guard("schema", margin=0.02)))
    traffic = Traffic(wanted)
    last = Standing("step", 3, 0)
    for _ in range(100):
        traffic.see("c", 3)
        traffic.see("b", 3)
    assert missing([traffic.tally]) == ["errors"], "no answer was asked to fit a schema"
    assert enough(wanted, last, [traffic.tally], 1) is None
    scores = {"errors": 0.0, "schema": 0.0}
    for _ in range(180):
        traffic.see("c", 3, scores=scores)
        traffic.see("b", 3, scores=scores)
    assert missing([traffic.tally]) == ["schema"]
    for _ in range(120):
        traffic.see("c", 3, scores=scores)
        traffic.see("b", 3, scores=scores)
    move = judged(wanted, last, [traffic.tally], 1)
    assert move is not None and move.after.state == "done"


@pytest.mark.parametrize("state", ["shadow", "step", "waiting", "holdback"])
def test_a_breach_rolls_back_wherever_it_is_seen(state: str) -> None:
    wanted = plan(by="call", shadow=5, holdback=0.01)
    traffic = Traffic(wanted)
    rng = random.Random(1)
    for _ in range(300):
        traffic.see("c", 2, bad=rng.random() < 0.2)
        traffic.see("b", 2)
    move = judged(wanted, Standing(state, 2, 0), [traffic.tally], 7)
    assert move is not None and move.after.state == "rolled_back"
    assert move.by == "errors" and move.evidence["errors"]["harm"] == 1.0
    assert "of the candidate's against 0.00% of the incumbent's" in move.why


def test_nothing_moves_a_switch_that_is_over() -> None:
    wanted = plan(by="call")
    traffic = Traffic(wanted)
    for _ in range(100):
        traffic.see("c", 0, bad=True)
        traffic.see("b", 0)
    for state in ("done", "rolled_back"):
        assert judged(wanted, Standing(state, 4, 0), [traffic.tally], 1) is None


def test_an_outage_of_the_candidate_is_seen_after_few() -> None:
    wanted = plan()
    traffic = Traffic(wanted)
    for _ in range(100):
        traffic.see("b")
    while not traffic.tally.outage:
        traffic.see("c", bad=True)
        assert traffic.tally.failing <= 5
    move = judged(wanted, start(wanted, 0), [traffic.tally], 1)
    assert move is not None and move.by == "outage" and move.after.state == "rolled_back"


def test_an_outage_of_both_is_no_outage_of_the_candidate() -> None:
    traffic = Traffic(plan())
    for _ in range(60):
        traffic.see("b", bad=True)
        traffic.see("c", bad=True)
    assert not traffic.tally.outage and judged(plan(), start(plan(), 0), [traffic.tally], 1) is None


def test_one_broken_conversation_is_no_outage_and_no_harm() -> None:
    """It fails fifty times on one side: that is one observation."""
    traffic = Traffic(plan())
    for _ in range(60):
        traffic.see("b")
        traffic.see("c")
    for _ in range(50):
        traffic.see("c", unit=9_999, bad=True)
        traffic.see("b")
    assert judged(plan(calls_min=10_000), start(plan(), 0), [traffic.tally], 1) is None


# --- the fold


def test_who_was_not_asked_has_not_answered() -> None:
    traffic = Traffic(plan(by="call"))
    for _ in range(30):
        traffic.see("c", scores={}, passed_over=True)
        traffic.see("b")
    assert traffic.tally.watches["errors"].seen["c"] == [0.0, 0]
    assert judged(plan(by="call"), start(plan(), 0), [traffic.tally], 1) is None
    assert account.passed_over(traffic.tally) == {"candidate": 30, "incumbent": 0}


def test_blocks_use_every_outcome_once() -> None:
    traffic = Traffic(plan(by="call"))
    for side in "bbbbcccbcbbbc":
        traffic.see(side)
    watch = traffic.tally.watches["errors"]
    # bbbb c | c c b | c b | b b c
    assert watch.harm["first"].blocks == 4
    assert watch.waiting["first"] == {"c": [0.0, 0], "b": [0.0, 0]}


def test_the_whole_of_a_conversation_is_its_mean_and_comes_when_its_time_is_over() -> None:
    traffic = Traffic(plan(window_s=60))
    watch = traffic.tally.watches["errors"]
    traffic.see("c", unit=1, bad=False)
    traffic.see("b", unit=2)
    assert (watch.harm["first"].blocks, watch.harm["whole"].blocks) == (1, 0)
    for _ in range(3):
        traffic.see("c", unit=1, bad=True)
    assert watch.harm["first"].blocks == 1, "later turns are no news of the first kind"
    traffic.see("b", unit=3, ms=70_000)
    assert watch.harm["whole"].blocks == 1 and watch.passing.blocks == 1
    expected = rollout.Tally(plan(), ERRORS).watches["errors"]
    expected.take("whole", "c", 0.75)
    expected.take("whole", "b", 0.0)
    assert watch.harm["whole"].state() == expected.harm["whole"].state()
    traffic.see("c", unit=1, bad=True, ms=100_000)
    assert watch.harm["whole"].blocks == 1, "its window is over"


def test_a_dialogue_under_way_when_the_share_grew_counts_on_neither_side() -> None:
    traffic = Traffic(plan())
    traffic.see("b", 0, unit=1)
    traffic.see("b", 1, unit=1, bad=True)
    traffic.see("h", 1, unit=2, bad=True)
    seen = traffic.tally.watches["errors"].seen
    assert seen["b"] == [0.0, 1] and seen["c"] == [0.0, 0]
    traffic.see("b", 1, unit=1, ms=4_000_000)  # it had paused for more than an hour: another conversation
    assert seen["b"] == [0.0, 2]


def test_the_candidates_own_are_not_drawn_again() -> None:
    traffic = Traffic(plan(by="user"))
    traffic.see("c", 0, unit=1, talk=10)
    traffic.see("c", 1, unit=1, talk=11, bad=True)
    assert traffic.tally.watches["errors"].seen["c"] == [0.0, 1]
    traffic.see("b", 0, unit=2, talk=20)
    traffic.see("c", 1, unit=2, talk=21, bad=True)
    assert traffic.tally.watches["errors"].seen["c"] == [1.0, 2], "drawn anew at the new share"


def test_shadow_compares_the_very_pair() -> None:
    wanted = plan(shadow=100)
    traffic = Traffic(wanted)
    for n in range(1, 41):
        order = ("p", "s") if n % 2 else ("s", "p")
        for side in order:
            traffic.see(side, unit=n, bad=n <= 20)  # both fail on the same
    watch = traffic.tally.watches["errors"]
    assert watch.harm["first"].blocks == 40 and watch.harm["first"].log_e == pytest.approx(0.0, abs=1e-9)
    for n in range(41, 61):
        traffic.see("p", unit=n)
        traffic.see("s", unit=n, bad=True)
    assert watch.harm["first"].decided
    move = judged(wanted, start(wanted, 0), [traffic.tally], 1)
    assert move is not None and move.after.state == "rolled_back"


def test_new_answers_of_the_incumbents_are_paid_for_and_are_no_outcomes() -> None:
    wanted = plan(anew=1.0, guards=(Guard("tools"),))
    traffic = Traffic(wanted)
    for side in "cba":
        traffic.see(side, scores={"tools": 1.0}, cost_nanousd=5)
    assert traffic.tally.watches["tools"].seen == {"c": [1.0, 1], "b": [1.0, 1]}
    assert traffic.tally.cost_nanousd == {"c": 5, "b": 5, "a": 5}
    assert {unit.side for unit in traffic.units.all()} == {"c", "b", "t"}


@pytest.mark.parametrize(("compared", "waits"), [(0, False), (3, False), (60, True)])
def test_a_guard_that_compares_holds_up_where_there_is_something_to_compare(
    compared: int, waits: bool
) -> None:
    wanted = plan(by="call", anew=0.1, guards=(Guard("errors"), Guard("tools")))
    ledger = Traffic(wanted, (Guard("errors", margin=0.5),))
    judge = Traffic(wanted, (Guard("tools"),))
    for n in range(2000):
        ledger.see("c" if n % 2 else "b")
    for _ in range(400):
        ledger.see("a", scores={})
    for n in range(compared):
        judge.see("c" if n % 2 else "b", scores={"tools": 0.0})
    assert missing([ledger.tally, judge.tally]) == (["tools"] if waits else [])


def test_late_is_what_is_over_the_incumbents_usual() -> None:
    wanted = plan(by="call", guards=(Guard("latency", 0.05, 0.1),))
    traffic = Traffic(wanted)
    rng = random.Random(2)
    for _ in range(200):
        traffic.see("b", scores={}, duration_ms=int(rng.lognormvariate(7, 0.5)))
        traffic.see("c", scores={}, duration_ms=int(2 * rng.lognormvariate(7, 0.5)))
    move = judged(wanted, start(wanted, 0), [traffic.tally], 1)
    assert move is not None and move.by == "latency" and move.evidence["latency"]["incumbent"] < 0.2


def test_a_limit_of_the_users_own() -> None:
    wanted = plan(by="call", guards=(Guard("latency", limit=2000.0),))
    traffic = Traffic(wanted)
    traffic.see("b", scores={}, duration_ms=1999)
    traffic.see("c", scores={}, duration_ms=2001)
    traffic.see("c", scores={}, duration_ms=1500, cut_off=True)  # who knows
    traffic.see("c", scores={}, duration_ms=2500, cut_off=True)
    seen = traffic.tally.watches["latency"].seen
    assert seen == {"c": [2.0, 2], "b": [0.0, 1]}


def test_a_budget_ends_the_shadow() -> None:
    wanted = plan(shadow=1000, shadow_nanousd=100)
    traffic = Traffic(wanted)
    for n in range(1, 6):
        for side in ("p", "s"):
            traffic.see(side, unit=n, cost_nanousd=25)
    move = judged(wanted, start(wanted, 0), [traffic.tally], 1)
    assert move is not None and move.after.state == "step" and "budget" in move.why


@pytest.mark.parametrize("by", ["conversation", "user", "call"])
def test_the_state_comes_back_anywhere(by: str) -> None:
    """The same rows give the same state, whether it was kept and taken up between any two of them."""
    rng = random.Random(by)
    wanted = plan(by=by, guards=guards_of(()), shadow=3)
    whole, parts = Traffic(wanted), Traffic(wanted)
    for n in range(600):
        unit = rng.randrange(1, 80)
        row = {
            "side": rng.choice("cbbbhps"),
            "stage": n // 200,
            "unit": unit,
            "talk": 0 if by == "call" else unit if by == "conversation" else rng.randrange(100, 300),
            "scores": {"errors": float(rng.random() < 0.2), "schema": 0.0},
            "duration_ms": rng.randrange(1, 5000),
        }
        whole.see(**row)
        parts.see(**row)
        if n % 7 == 0:
            kept = json.loads(json.dumps(parts.tally.state()))
            parts.tally = Tally(wanted, wanted.guards).restore(kept)
    assert whole.tally.state() == parts.tally.state()
    assert whole.tally.watches["errors"].harm["first"].blocks > 10


# --- whole rollouts


def test_equal_models_go_to_the_end_and_bad_ones_back() -> None:
    """The short version of the table in docs/rollout.md."""
    wanted = msgspec.structs.replace(ramps.plan("call"), steps=(0.1, 0.5, 1.0))
    end = ramps.rollout(1, ramps.SCENES["as good"], wanted)
    assert end.state == "done" and end.candidate > 400
    for name in ("fails 3 % more", "twice as slow", "is down"):
        end = ramps.rollout(ramps.hash_of(name, 1), ramps.SCENES[name], wanted)
        assert end.state == "rolled_back" and 0 < end.users < 5_000, name


@pytest.mark.long
def test_many_rollouts() -> None:
    assert all(row.met for row in ramps.rows(20))
