"""Whole rollouts in simulation: the shipped fold, guards, states and sides, over made-up traffic.

    python -m benchmarks.evidence.ramps              200 rollouts of equal models, 40 of each other scene:
                                                     an hour or so on one core
    python -m benchmarks.evidence.ramps --runs 20    minutes, coarse
    python -m benchmarks.evidence.ramps --docs FILE  puts the table between the marks of that page as well

The traffic is conversations of some turns, two hundred under way at once. One in a hundred is broken: nine
in ten of its calls fail, on whichever side it is, and it is tried long. Without regard to conversations that
alone would roll back equal models. The whole comes from a seed.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from benchmarks.evidence.__main__ import Row, portion

from fungible.models import Split
from fungible.policies.share import BITS, Mark, side_of
from fungible.switch.plan import GUARDS, Plan, guards_of
from fungible.switch.rollout import LIVE, Standing, judged, share, start
from fungible.switch.tally import Outcome, Tally
from fungible.switch.units import Units

RATE_PER_S = 50
TALKS = 200  # under way at once
TURNS = 3  # of a conversation, in the mean
BROKEN, BROKEN_TURNS, BROKEN_FAILS = 0.01, 12, 0.9
ERRORS = 0.01  # of the others' calls
CALLS_MAX = 120_000
SALT = b"simulated"
BEGIN, END = "<!-- make evidence: rollouts begin -->", "<!-- make evidence: rollouts end -->"


class Model(NamedTuple):
    """What one model does, beside what its conversations do to it."""

    errors: float = ERRORS
    slower: float = 1.0
    no_schema: float = 0.002
    wrong_tools: float = 0.002
    refuses: float = 0.005


class Talk(msgspec.Struct):
    key: int
    user: int
    broken: bool
    turns: int
    schema: bool
    tools: bool


class Ended(NamedTuple):
    state: str
    by: str
    calls: int  # of all
    candidate: int  # answers of the candidate
    users: int  # that it touched


INCUMBENT = Model()
SCENES: Mapping[str, Model] = {
    "as good": INCUMBENT,
    "fails 3 % more": Model(errors=ERRORS + 0.03),
    "twice as slow": Model(slower=2.0),
    "breaks the schema in 2 % more of its answers": Model(no_schema=0.022),
    "calls wrong tools in 3 % more of its answers": Model(wrong_tools=0.032),
    "refuses 5 % more": Model(refuses=0.055),
    "is down": Model(errors=1.0),
}


def plan(by: str = "conversation", shadow: int = 0) -> Plan:
    return Plan(
        route="r", candidate="p/new", incumbents=("p/old",), by=by, shadow=shadow, guards=guards_of(())
    )


def rollout(seed: int, candidate: Model, wanted: Plan) -> Ended:
    """One, to its end, or until no more traffic comes."""
    rng = random.Random(seed)
    standing, moves = start(wanted, 0), ""
    tallies = [
        Tally(wanted, [g for g in wanted.guards if GUARDS[g.name].judged is late]) for late in (False, True)
    ]
    units = [Units(), Units()]
    talks = [_talk(rng) for _ in range(TALKS)]
    touched: set[int] = set()
    split, answered = _split(wanted, standing, units[0], 0), 0
    for call in range(CALLS_MAX):
        now = call * 1000 // RATE_PER_S
        number = rng.randrange(TALKS)
        talk = talks[number]
        unit = {"conversation": talk.key, "user": talk.user}.get(wanted.by) or rng.getrandbits(BITS)
        side = side_of(unit, talk.key, split)
        for each in ("p", "s") if side == "p" else (side,):
            mark = Mark("s1", each, standing.stage, unit, talk.user, 0 if wanted.by == "call" else talk.key)
            _answer(rng, talk, mark, now, candidate if each in "cs" else INCUMBENT, tallies, units)
        if side == "c":
            answered += 1
            touched.add(talk.user)
        talk.turns -= 1
        if talk.turns <= 0:
            talks[number] = _talk(rng)
        if call % RATE_PER_S == 0:
            move = judged(wanted, standing, tallies, now)
            if move is not None:
                standing, moves = move.after, move.by
                split = _split(wanted, standing, units[0], now)
                if standing.state not in LIVE:
                    return Ended(standing.state, moves, call, answered, len(touched))
    return Ended(standing.state, "", CALLS_MAX, answered, len(touched))


def _talk(rng: random.Random) -> Talk:
    broken = rng.random() < BROKEN
    turns = BROKEN_TURNS if broken else 1 + int(rng.expovariate(1 / (TURNS - 1)))
    return Talk(
        rng.getrandbits(BITS), rng.randrange(1, 20_000), broken, turns, rng.random() < 0.3, rng.random() < 0.4
    )


def _answer(
    rng: random.Random,
    talk: Talk,
    mark: Mark,
    now: int,
    model: Model,
    tallies: list[Tally],
    units: list[Units],
) -> None:
    failed = rng.random() < (BROKEN_FAILS if talk.broken else model.errors)
    took = None if failed else int(rng.lognormvariate(7.0, 0.5) * model.slower)
    tallies[0].take(Outcome(mark, now, {"errors": float(failed)}, took), units[0])
    if failed:
        return
    scores = {"willing": float(rng.random() < model.refuses)}
    if talk.schema:
        scores["schema"] = float(rng.random() < model.no_schema)
    if talk.tools:
        scores["calls"] = float(rng.random() < model.wrong_tools)
    tallies[1].take(Outcome(mark, now, scores), units[1])


def _split(wanted: Plan, standing: Standing, units: Units, now: int) -> Split:
    held = frozenset(
        unit.key
        for unit in units.all()
        if unit.side == "t" and unit.stage < standing.stage and now - unit.last_ms <= wanted.hold_s * 1000
    )
    shadow = wanted.shadow_share if standing.state == "shadow" else 0.0
    return Split("s1", SALT, ("p", "new"), wanted.by, share(wanted, standing), shadow, standing.stage, held)


# --- the table


def rows(runs: int) -> Iterator[Row]:
    for by, shadow in (("conversation", 0), ("call", 0), ("conversation", 1_000)):
        road = f"by {by}" + (f", after {shadow:,} in shadow" if shadow else "")
        for name, model in SCENES.items():
            count = runs if model is INCUMBENT else max(2, runs // 5)
            ends = [rollout(hash_of(name, run), model, plan(by, shadow)) for run in range(count)]
            back = [end for end in ends if end.state == "rolled_back"]
            scene = f"{road}: the candidate {name}"
            if model is INCUMBENT:
                done = sum(end.state == "done" for end in ends)
                slack = 2.6 * math.sqrt(0.05 * 0.95 / runs)
                told = f"; {100 * done / runs:.0f} % went to 100 % within {CALLS_MAX:,} calls"
                yield Row(
                    scene,
                    "rolled back " + portion(len(back), runs) + told,
                    "5 %",
                    len(back) / runs <= 0.05 + slack,
                )
            else:
                answers = _middle([end.candidate for end in back])
                users = _middle([end.users for end in back])
                told = f"rolled back {len(back)} of {count}"
                told += f"; {answers:,} answers, {users:,} users touched"
                yield Row(scene, told, "all", len(back) == count)


def hash_of(name: str, run: int) -> int:
    """A seed that is the same in every process."""
    return int.from_bytes(name.encode()[-6:]) * 10_007 + run


def _middle(values: list[int]) -> int:
    return sorted(values)[len(values) // 2] if values else 0


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Whole rollouts, simulated.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args(args)
    lines = ["| rollout | what happened | asked |", "|---|---|---|"]
    missed = 0
    for row in rows(options.runs):
        missed += row.met is False
        lines.append(f"| {row.scene} | {row.shown}{'' if row.met else ' **no**'} | {row.asked} |")
        print(lines[-1], flush=True)
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        table = "\n".join(lines)
        options.docs.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
