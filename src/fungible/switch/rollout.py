"""A switch under way, as a table of states: with proof at each stage, and a way back.

    shadow       the candidate is asked the same as the incumbent; its answers are compared, not served
    step         it answers a share of the traffic
    waiting      it answers what it answered before; a person must promote it
    holdback     it answers all but a small part, which the incumbent keeps for comparison
    done         it answers everything
    rolled_back  it answers nothing; the switch is over

`plan.road` says which stages there are and in which order; the state is that of the stage where the switch
stands, or `waiting` there, or `rolled_back`. What can happen in a state, and what follows, is `MOVES`; what
is not there cannot happen. Every move is a row of the history, with who made it, why, and the evidence then.

How it decides (`judged`). A breach of one guard (`evidence.HarmGuard`: shown, at the rollout's alpha, over
all looks and all guards together, that the candidate is worse than tolerated) rolls back at once, in any
state that has traffic to compare. So does an outage of the candidate that the incumbent does not share. A
stage that has had its answers and its time is enough for the next step, as long as nothing is shown; but all
traffic goes over only when every guard has shown the contrary (`evidence.PassGuard`: not worse by more than
the margin). What is shown neither way waits for more traffic, and says so. The guards' evidence is carried
from stage to stage: it multiplies on.

A guard that the traffic gives nothing to (no answer was asked to fit a schema) has nothing to show and holds
nothing up: one is at work when the incumbent's outcomes under it are at least a fiftieth of its answers; one
that compares two answers, of those that could be compared; one that is told from elsewhere, as soon as it is.

Pure: the evidence and the time come in, a move comes out. Who keeps it all is `pilot`; where, `store`.
"""

from collections.abc import Iterable, Mapping
from math import log
from typing import Any, Literal, NamedTuple

import msgspec

from ..faults import Fault
from .plan import GUARDS, Plan, Stage, road
from .tally import Tally, Watch

NEXT = "the next stage"
Event = Literal["enough", "ask", "breach", "promote", "rollback"]

BACK: Mapping[str, str] = {"breach": "rolled_back", "rollback": "rolled_back"}
MOVES: Mapping[str, Mapping[str, str]] = {
    # state: {what happens: the state after it}
    "shadow": {"enough": NEXT, "ask": "waiting", "promote": NEXT, **BACK},
    "step": {"enough": NEXT, "ask": "waiting", "promote": NEXT, **BACK},
    "waiting": {"promote": NEXT, **BACK},
    "holdback": {"enough": NEXT, "promote": NEXT, **BACK},
    "done": {"rollback": "rolled_back"},
    "rolled_back": {},
}
STATES: Mapping[str, str] = {
    "shadow": "the candidate is asked beside, and not served",
    "step": "the candidate answers a share of the traffic",
    "waiting": "a person must promote it, or roll it back",
    "holdback": "the candidate answers all but a part kept for comparison",
    "done": "the candidate answers everything",
    "rolled_back": "everything is as it was before",
}
LIVE = frozenset(MOVES) - {"done", "rolled_back"}
AT_WORK = 0.02


class Standing(msgspec.Struct, frozen=True):
    """Where a switch stands: its state, the stage on its road (from 0), and since when."""

    state: str
    stage: int
    since_ms: int


class Move(NamedTuple):
    """One step of the history. `by`: a guard's name, `outage`, `evidence`, `time`, or who did it by hand."""

    before: Standing
    after: Standing
    event: str
    by: str
    why: str
    evidence: Mapping[str, Any]


def start(plan: Plan, now_ms: int) -> Standing:
    return Standing(road(plan)[0].state, 0, now_ms)


def stage_of(plan: Plan, standing: Standing) -> Stage:
    return road(plan)[standing.stage]


def share(plan: Plan, standing: Standing) -> float:
    """How much of the traffic the candidate has."""
    return 0.0 if standing.state == "rolled_back" else stage_of(plan, standing).share


def moved(
    plan: Plan,
    standing: Standing,
    event: Event,
    now_ms: int,
    by: str,
    why: str,
    evidence: Mapping[str, Any],
) -> Move:
    """What follows from an event. Raises `Fault` (conflict) for what cannot happen in this state."""
    target = MOVES[standing.state].get(event)
    if target is None:
        can = ", ".join(MOVES[standing.state]) or "nothing more"
        raise Fault(
            "conflict",
            f"A switch that is {standing.state.replace('_', ' ')} takes no {event}; it takes {can}.",
        )
    stage = standing.stage
    if target == NEXT:
        stage += 1
        target = road(plan)[stage].state
    return Move(standing, Standing(target, stage, now_ms), event, by, why, evidence)


# --- deciding


def judged(plan: Plan, standing: Standing, tallies: Iterable[Tally], now_ms: int) -> Move | None:
    """The move that the evidence asks for; None: stay, and go on."""
    if standing.state not in LIVE:
        return None
    seen = list(tallies)
    found = breach(seen)
    if found is not None:
        by, why = found
        return moved(plan, standing, "breach", now_ms, by, why, evidence(seen))
    if standing.state == "waiting":
        return None
    reason = enough(plan, standing, seen, now_ms)
    if reason is None:
        return None
    ends_early = plan.steps[-1] < 1.0 and standing.stage + 2 >= len(road(plan)) and standing.state == "step"
    auto = standing.state == "holdback" or (plan.auto and not ends_early)
    event: Event = "enough" if auto else "ask"
    return moved(plan, standing, event, now_ms, "evidence", reason, evidence(seen))


def breach(tallies: Iterable[Tally]) -> tuple[str, str] | None:
    """Who says that the candidate is worse, and why."""
    for tally in tallies:
        if tally.outage:
            return (
                "outage",
                f"{tally.failing} failures of the candidate in a row, which the incumbent does not share.",
            )
        for name, watch in tally.watches.items():
            part = watch.breach
            if part is not None:
                return name, said(watch, part)
    return None


def said(watch: Watch, part: str) -> str:
    harm = watch.harm[part]
    candidate, incumbent = rate(watch, "c"), rate(watch, "b")
    told = f"{candidate:.2%} of the candidate's against {incumbent:.2%} of the incumbent's"
    return (
        f"{watch.guard.name}: {told}. Were it not worse by more than {harm.limit:g}, evidence like this would"
        f" come with a probability of at most {harm.alpha:.3g}; it came with block {harm.decided_at:,}."
    )


def enough(plan: Plan, standing: Standing, tallies: Iterable[Tally], now_ms: int) -> str | None:
    """Why the stage has had enough; None while it has not."""
    seen = list(tallies)
    stage = stage_of(plan, standing)
    if stage.state == "holdback":
        over = now_ms - standing.since_ms >= plan.holdback_s * 1000
        return f"The holdback has lasted {plan.holdback_s} s and nothing was shown." if over else None
    calls = answers(seen, standing.stage, "s" if stage.state == "shadow" else "c")
    spent = sum(tally.cost_nanousd.get("s", 0) for tally in seen)
    if stage.state == "shadow":
        if plan.shadow_nanousd is not None and spent >= plan.shadow_nanousd:
            return f"The budget of the shadow is spent after {calls:,} answers, and no harm was shown."
        return f"{calls:,} answers were compared, and no harm was shown." if calls >= plan.shadow else None
    if calls < plan.calls_min or now_ms - standing.since_ms < plan.stage_s * 1000:
        return None
    if standing.stage + 1 < len(road(plan)) and road(plan)[standing.stage + 1].state == "step":
        return f"{calls:,} answers at {stage.share:.3g} of the traffic, and no harm was shown."
    if missing(seen):
        return None
    return f"After {calls:,} answers at {stage.share:.3g} of the traffic every guard shows it is no worse."


def missing(tallies: Iterable[Tally]) -> list[str]:
    """The guards at work that have not yet shown that the candidate is good enough."""
    seen = list(tallies)
    return [
        name
        for tally in seen
        for name, watch in tally.watches.items()
        if not watch.passing.decided and (name == "errors" or _at_work(watch, seen))
    ]


def _at_work(watch: Watch, tallies: list[Tally]) -> bool:
    """Whether the traffic gives the guard something: of what is compared, a fiftieth of the comparisons."""
    told = GUARDS[watch.guard.name].told
    if told == "asked":
        judged = tallies[0].plan.judge is not None and _counted(tallies, "a") > 0
        return judged or watch.seen["b"][1] > 0
    if told == "two":
        return watch.seen["c"][1] + watch.seen["b"][1] >= max(1.0, AT_WORK * _counted(tallies, "a"))
    return watch.seen["b"][1] >= AT_WORK * _counted(tallies, "bp")


def _counted(tallies: list[Tally], sides: str) -> int:
    """How many answers of these sides there have been, as the first of the tallies has it: the ledger's."""
    stages = tallies[0].calls.values() if tallies else ()
    return sum(by_side.get(side, 0) for by_side in stages for side in sides)


def answers(tallies: Iterable[Tally], stage: int, side: str) -> int:
    """How many of one side there were in a stage."""
    return max((tally.calls.get(str(stage), {}).get(side, 0) for tally in tallies), default=0)


def rate(watch: Watch, side: str) -> float:
    """The share of bad outcomes, of all."""
    total, count = watch.seen[side]
    return total / count if count else 0.0


def evidence(tallies: Iterable[Tally]) -> dict[str, Any]:
    """All guards, as a person reads them: rates, and how far each is from deciding (1 decides)."""
    guards = {}
    for tally in tallies:
        for name, watch in tally.watches.items():
            harm = max(watch.harm.values(), key=lambda h: (h.decided, h.log_e))
            guards[name] = {
                "candidate": round(rate(watch, "c"), 6) if watch.seen["c"][1] else None,
                "incumbent": round(rate(watch, "b"), 6) if watch.seen["b"][1] else None,
                "candidate_outcomes": watch.seen["c"][1],
                "incumbent_outcomes": watch.seen["b"][1],
                "tolerance": watch.guard.tolerance,
                "margin": watch.guard.margin,
                "harm": progress(harm.log_e, harm.alpha, harm.decided),
                "pass": progress(watch.passing.log_e, watch.passing.alpha, watch.passing.decided),
            }
    return guards


def progress(log_e: float, alpha: float, decided: bool) -> float:
    """How far the evidence has come on the way to a decision, in logs: 0 none, 1 decided."""
    return 1.0 if decided else round(min(0.999, max(0.0, log_e / -log(alpha))), 3)
