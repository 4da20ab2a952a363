"""A switch as JSON: where it stands, what its guards have shown, whom it touched."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..faults import Fault
from ..store import Switches
from ..store.switches import MoveRow, SwitchRow
from .pilot import LEDGER, Flight, plan_of, standing_of
from .plan import road
from .rollout import LIVE, STATES, evidence, missing, share
from .tally import PASSED_OVER, Tally

SERVED = {
    "c": "candidate",
    "b": "incumbent",
    "p": "incumbent_in_shadow",
    "s": "shadow",
    "a": "incumbent_anew",
    "j": "judge",
}


def found(rows: Iterable[SwitchRow], name: str | None, states: Iterable[str] = STATES) -> SwitchRow:
    """The switch meant by an id, a route, or by being the only one in `states`. Raises `Fault`."""
    wanted = set(states)
    fit = [row for row in rows if row.state in wanted and name in (None, row.id, row.route)]
    if name is not None and fit:
        return fit[-1]
    if name is None and len(fit) == 1:
        return fit[0]
    what = ", ".join(f"{row.id} ({row.route})" for row in fit)
    if what:
        raise Fault("bad_request", f"More than one switch is meant: name one of {what}.", path="switch")
    told = f"No switch {name!r}" if name is not None else "No switch"
    raise Fault(
        "not_found",
        f"{told} is {' or '.join(sorted(wanted)).replace('_', ' ')}: see `fungible switch status`.",
    )


def told(switches: Switches, row: SwitchRow) -> dict[str, Any]:
    """One switch, as of the last evidence that was kept."""
    plan, standing, flight = plan_of(row), standing_of(row), Flight(switches, row)
    tallies = list(flight.tallies.values())
    costs = flight.tallies[LEDGER].cost_nanousd
    return {
        "switch": row.id,
        "route": row.route,
        "from": list(plan.incumbents),
        "to": plan.candidate,
        "by": plan.by,
        "auto": plan.auto,
        "state": row.state,
        "says": STATES[row.state],
        "live": row.state in LIVE,
        "share": share(plan, standing),
        "stage": row.stage,
        "stages": [{"state": stage.state, "share": stage.share} for stage in road(plan)],
        "since_ms": row.since_ms,
        "started_ms": row.created_ms,
        "answers_in_stage": flight.tallies[LEDGER].calls.get(str(row.stage), {}),
        "answers_needed": plan.shadow if row.state == "shadow" else plan.calls_min,
        "guards": evidence(tallies),
        "not_yet_shown": missing(tallies),
        "passed_over": passed_over(flight.tallies[LEDGER]),
        "touched": touched(switches, row.id),
        "cost_nanousd": {SERVED[side]: cost for side, cost in costs.items() if side in SERVED},
    }


def passed_over(tally: Tally) -> dict[str, int]:
    """By side: calls that it was not asked for, because its breaker was open or it could not take them."""
    counts = dict.fromkeys(("candidate", "incumbent"), 0)
    for by_side in tally.calls.values():
        for side, count in by_side.items():
            if side.startswith(PASSED_OVER):
                counts["candidate" if side[-1] in "cs" else "incumbent"] += count
    return counts


def touched(switches: Switches, switch: str) -> Mapping[str, Mapping[str, int]]:
    """By side: answers, units (conversations, users or calls) and users; `candidate` was served."""
    return {
        SERVED[side]: counts for side, counts in switches.touched(switch, LEDGER).items() if side in SERVED
    }


def history(switches: Switches, switch: str) -> list[dict[str, Any]]:
    """Every move, oldest first."""
    return [move_told(move) for move in switches.history(switch)]


def move_told(move: MoveRow) -> dict[str, Any]:
    return {
        "at_ms": move.at_ms,
        "event": move.event,
        "by": move.who,
        "why": move.why,
        "before": {"state": move.state_before, "stage": move.stage_before},
        "after": {"state": move.state, "stage": move.stage},
        "evidence": move.evidence,
    }
