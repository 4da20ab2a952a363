"""Prints what the guards do in simulation, beside what is asked of them and what other tests do.

    python -m benchmarks.evidence              2,000 streams of 20,000 pairs, minutes on one core
    python -m benchmarks.evidence --quick      100 streams, seconds, coarse
    python -m benchmarks.evidence --docs FILE  puts the table between the marks of that page as well
    python -m benchmarks.evidence --json

Ends with 1 where a goal is not met. Every row is seeded by its name: the same table at every run, but for
the times.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.evidence import streams as make
from benchmarks.evidence.twin import decided_at, windows_over, z_at_looks, z_of_rates

from fungible.evidence import HarmGuard

ALPHA = 0.05
PAIRS = 20_000
BEGIN, END = "<!-- make evidence: begins -->", "<!-- make evidence: ends -->"


class Row(NamedTuple):
    scene: str
    shown: str
    asked: str
    met: bool | None  # None where nothing is asked
    beside: str = ""


def portion(hits: int, streams: int) -> str:
    """A share in percent, with its upper 95 % bound (Wilson, one-sided)."""
    p, z = hits / streams, 1.6449
    centre = p + z * z / (2 * streams)
    upper = (centre + z * math.sqrt(p * (1 - p) / streams + z * z / (4 * streams**2))) / (1 + z * z / streams)
    return f"{100 * p:.1f} % (at most {100 * upper:.1f} %)"


def share_row(scene: str, hits: int, streams: int, beside: str = "") -> Row:
    """At most 5 %; in a short run, at most 5 % and what chance adds."""
    slack = 0.0 if streams >= 2000 else 2.6 * math.sqrt(ALPHA * (1 - ALPHA) / streams)
    return Row(scene, portion(hits, streams), "5 %", hits / streams <= ALPHA + slack, beside)


def percent(hits: np.ndarray) -> str:
    return f"{100 * np.mean(hits > 0):.0f} %"


def gathered(scene: str, streams: int, blocks: make.Make, kind: str, limit: float) -> np.ndarray:
    return np.concatenate(
        [decided_at(kind, some, limit, ALPHA) for some in make.portions(scene, streams, blocks)]
    )


# --- what must stay rare -------------------------------------------------------------------------


def equal_models(streams: int) -> Iterator[Row]:
    for rate in (0.0005, 0.02, 0.2):
        scene = f"Equal models at {100 * rate:g} % errors, a look after every pair: rolled back"
        ours, each, last = [], [], []
        for some in make.portions(scene, streams, make.blocks(rate, rate, PAIRS)):
            ours.append(decided_at("harm", some, 0.0, ALPHA))
            each.append(z_at_looks(some))
            last.append(z_at_looks(some, np.array([PAIRS])))
        rivals = (
            f"z test after every pair {percent(np.concatenate(each))}, "
            f"once at the end {percent(np.concatenate(last))}"
        )
        yield share_row(scene, int(np.sum(np.concatenate(ours) > 0)), streams, rivals)


def at_the_margin(streams: int) -> Iterator[Row]:
    for rate, margin in ((0.0005, 0.01), (0.02, 0.01), (0.02, 0.02), (0.2, 0.03)):
        scene = f"{100 * rate:g} % errors, the candidate worse by the margin of {100 * margin:g} pp: passes"
        hits = gathered(scene, streams, make.blocks(rate + margin, rate, PAIRS), "pass", margin)
        yield share_row(scene, int(np.sum(hits > 0)), streams)
    for rate, margin in ((0.02, 0.01), (0.02, 0.02), (0.2, 0.03)):
        scene = f"{100 * rate:g} % errors, worse by 1.5 times the margin of {100 * margin:g} pp: passes"
        hits = gathered(scene, streams, make.blocks(rate + 1.5 * margin, rate, PAIRS), "pass", margin)
        yield share_row(scene, int(np.sum(hits > 0)), streams)


def drift(streams: int) -> Iterator[Row]:
    rates = make.after(5000, 0.01, 0.03, PAIRS)
    scene = "A bad hour that never ends hits both models, 1 % to 3 % errors: rolled back"
    hits = gathered(scene, streams, make.blocks(rates, rates, PAIRS), "harm", 0.0)
    alone = make.portions(scene, streams, make.blocks(rates, 0.0, PAIRS))
    history = [decided_at("harm", some - 0.01, 0.0, ALPHA) for some in alone]
    against = f"the same guard against last week's 1 %: {percent(np.concatenate(history))}"
    yield share_row(scene, int(np.sum(hits > 0)), streams, against)


def ramps(streams: int) -> Iterator[Row]:
    scene = "Equal models at 2 % through a ramp of 1, 5, 25, 50 %: rolled back"
    chance = np.random.default_rng([20_000, 4])
    build = make.ramp(0.02)
    ours, tests, five, three = [], [], [], []
    for begin in range(0, streams, make.PORTION):
        some, errors, sent, base_errors, base_sent = build(chance, min(make.PORTION, streams - begin))
        ours.append(decided_at("harm", some, 0.0, ALPHA))
        tests.append(z_of_rates(errors.cumsum(1), sent.cumsum(), base_errors.cumsum(1), base_sent.cumsum()))
        five.append(windows_over(errors, sent, 0.05, 5))
        three.append(windows_over(errors, sent, 0.05, 3))
    rivals = (
        f"z test at every check of 200 requests {percent(np.concatenate(tests))}; "
        f"five windows over 5 % errors {percent(np.concatenate(five))}, "
        f"three {percent(np.concatenate(three))}"
    )
    yield share_row(scene, int(np.sum(np.concatenate(ours) > 0)), streams, rivals)


def intervals(streams: int) -> Iterator[Row]:
    """The sequence leaves out the truth where a guard at half of alpha decides against it."""
    scenes = {
        "2 % against 2 % errors": (make.blocks(0.02, 0.02, PAIRS), 0.0),
        "20 % against 25 % errors": (make.blocks(0.25, 0.2, PAIRS), 0.05),
        "a judge's scores, .78 against .80": (make.scores(0.78, 0.80, 0.15, PAIRS), 0.02),
    }
    for name, (blocks, truth) in scenes.items():
        scene = f"The interval at 95 %, {name}: ever leaves out the truth"
        missed = 0
        for some in make.portions(scene, streams, blocks):
            ends = [decided_at(kind, some, truth, ALPHA / 2) for kind in ("harm", "pass")]
            missed += int(np.sum(np.maximum(*ends) > 0))
        yield share_row(scene, missed, streams)


# --- what must be quick --------------------------------------------------------------------------


def found(streams: int) -> Iterator[Row]:
    unit = {1: "pairs, 1:1", 4: "candidate requests at 20 %", 9: "at 10 %", 19: "at 5 %"}
    asked = {(0.04, 1): 1400, (0.04, 4): 900, (0.04, 9): 900, (0.04, 19): 900}
    for worse, most in ((0.04, PAIRS), (0.06, 6000), (0.12, 2000)):
        for beside, words in unit.items():
            goal = 130 if worse == 0.12 else asked.get((worse, beside))
            scene = f"2 % to {100 * worse:g} % errors: found after, {words}"
            hits = gathered(scene, streams, make.blocks(worse, 0.02, most, beside), "harm", 0.0)
            yield quick_row(scene, hits, goal)
    scene = "20 % to 25 % errors: found after, pairs, 1:1"
    yield quick_row(scene, gathered(scene, streams, make.blocks(0.25, 0.2, PAIRS), "harm", 0.0), None)
    scene = "A judge's scores, .80 to .77 (spread .15): found after, pairs, 1:1"
    yield quick_row(scene, gathered(scene, streams, make.scores(0.77, 0.80, 0.15, 5000), "harm", 0.0), None)


def passed(streams: int) -> Iterator[Row]:
    for rate, margin in ((0.02, 0.01), (0.02, 0.02), (0.2, 0.03)):
        scene = f"Equal models at {100 * rate:g} % errors, margin {100 * margin:g} pp: pass after, pairs, 1:1"
        hits = gathered(scene, streams, make.blocks(rate, rate, PAIRS), "pass", margin)
        yield quick_row(scene, hits, None)


def late(streams: int) -> Iterator[Row]:
    """Not asked, but worth knowing: a candidate that was good for long, and then is not."""
    for before in (2000, 10_000):
        scene = f"As good for {before:,} pairs, then 2 % to 12 % errors: found how many pairs after"
        rates = make.after(before, 0.02, 0.12, PAIRS)
        hits = gathered(scene, streams, make.blocks(rates, 0.02, PAIRS), "harm", 0.0)
        yield quick_row(scene, np.where(hits > before, hits - before, 0)[(hits == 0) | (hits > before)], None)


def quick_row(scene: str, hits: np.ndarray, goal: int | None) -> Row:
    """Mean, nine tenths, and how many of the streams it was found in at all."""
    seen = hits[hits > 0]
    missed = int(np.sum(hits == 0))
    shown = f"{np.mean(seen):,.0f}, nine in ten by {np.quantile(seen, 0.9):,.0f}"
    if missed:
        shown += f"; not in {100 * missed / hits.size:.1f} %"
    slack = 1.0 if hits.size >= 2000 else 1.15
    met = None if goal is None else missed == 0 and float(np.mean(seen)) <= goal * slack
    return Row(scene, shown, f"{goal:,}" if goal else "", met)


def times(streams: int) -> Iterator[Row]:
    for beside in (1, 19, 99):
        guard, baseline, best = HarmGuard(), [0.0] * (beside - 1) + [1.0], math.inf
        for _ in range(50):
            begun = time.perf_counter()
            for _ in range(200):
                guard.update(candidate=0.0, baseline=baseline)
            best = min(best, (time.perf_counter() - begun) / 200)
        scene = f"One update of one guard, {beside} beside the candidate"
        yield Row(scene, f"{best * 1e6:.1f} µs", "20 µs", best < 20e-6)


PARTS = (equal_models, at_the_margin, drift, ramps, intervals, found, passed, late, times)


def table(rows: list[Row]) -> str:
    lines = ["| scene | shown | asked: at most | met | beside it |", "|---|---|---|---|---|"]
    said = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {r.scene} | {r.shown} | {r.asked} | {said[r.met]} | {r.beside} |" for r in rows]
    return "\n".join(lines)


def into_page(path: Path, text: str) -> None:
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, behind = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{behind}", encoding="utf-8")


def main(words: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="The guards in simulation.")
    options.add_argument("--quick", action="store_true", help="100 streams instead of 2,000")
    options.add_argument("--streams", type=int, help="how many streams a row has")
    options.add_argument("--docs", type=Path, help="a page to put the table into")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args(words)
    streams = asked.streams or (100 if asked.quick else 2000)
    rows: list[Row] = []
    begun = time.monotonic()
    for part in PARTS:
        rows += part(streams)
        print(f"{part.__name__}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    if asked.json:
        print(json.dumps({"streams": streams, "pairs": PAIRS, "rows": [row._asdict() for row in rows]}))
    else:
        print(table(rows))
    if asked.docs:
        into_page(asked.docs, table(rows))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
