"""What fungible is held to, and whether a run shows it.  Pure: results in, verdicts out.

CPU and latency goals are ratios to nginx as a plain reverse proxy.  The ratio is taken
within each round, where both were measured seconds apart, so that a machine that drifts
drifts under both; the median of the rounds is judged and their spread is printed.  nginx
cannot translate: a translated scenario is held against nginx's untranslated one.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from gwbench import values
from scenarios import SCENARIOS
from tables import Result, endless, failures, markdown

MB_PER_MIB = 1024 * 1024 / 1e6
CPU = ("closed", "gateway_cpu_us_per_request")
LATENCY = ("added_latency", "p50")


@dataclass(frozen=True)
class Goal:
    """A figure that may be at most so high; with `floor`, as a ratio to that scenario of nginx."""

    title: str
    at_most: float
    unit: str  # "x" for a ratio
    scenario: str = ""
    floor: str = ""
    figure: tuple[str, ...] = ()


GOALS = (
    Goal("CPU, JSON, same dialect", 1.7, "x", "a", "a", CPU),
    Goal("CPU, JSON, translated (to nginx's JSON)", 3.0, "x", "b", "a", CPU),
    Goal("CPU, 64-event stream at once, same dialect", 0.9, "x", "c", "c", CPU),
    Goal("CPU, 64-event stream at once, translated (to nginx's stream)", 3.0, "x", "d", "c", CPU),
    Goal("CPU, 64-event stream paced 10 ms, same dialect", 1.15, "x", "C", "C", CPU),
    Goal("CPU, 100 KB request", 1.6, "x", "A", "A", CPU),
    Goal("added latency p50, JSON at a low fixed rate", 2.5, "x", "a", "a", LATENCY),
    Goal("memory after load, one worker", 60.0, "MB"),
    Goal("cold start to the first answer", 0.5, "s"),
)


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    value: float | None
    low: float | None = None
    high: float | None = None
    remark: str = ""

    @property
    def met(self) -> bool | None:
        """None: could not be judged."""
        if self.value is None:
            return None
        return not self.remark and self.value <= self.goal.at_most


def round_ratios(subject: dict[str, Any], floor: dict[str, Any], figure: tuple[str, ...]) -> list[float]:
    """Subject to floor in each round that measured both."""
    above = {run["round"]: values([run], *figure) for run in subject["runs"]}
    below = {run["round"]: values([run], *figure) for run in floor["runs"]}
    both = [(above[n][0], below[n][0]) for n in above if above[n] and below.get(n)]
    return [a / b for a, b in both if b > 0]


def judge(goal: Goal, subject: Result, floor: Result | None) -> Verdict:
    if goal.unit == "MB":
        rss = subject.get("memory_loaded_mib", {}).get("rss")
        return Verdict(goal, None if rss is None else rss * MB_PER_MIB)
    if goal.unit == "s":
        starts = subject.get("cold_starts_s") or []
        if not starts:
            return Verdict(goal, None)
        return Verdict(goal, statistics.median(starts), min(starts), max(starts))
    ours = subject["scenarios"].get(goal.scenario)
    theirs = floor["scenarios"].get(goal.floor) if floor else None
    for cell, whose in ((ours, "scenario"), (theirs, "floor")):
        if cell is None:
            return Verdict(goal, None, remark=f"{whose} not measured")
        if "problem" in cell:
            return Verdict(goal, None, remark=f"{whose} not served: {cell['problem'][:60]}")
    assert ours is not None and theirs is not None
    ratios = round_ratios(ours, theirs, goal.figure)
    if not ratios:
        return Verdict(goal, None, remark="no round measured both")
    failed, open_ended = failures(ours) + failures(theirs), endless(ours)
    remark = f"{failed} answers failed" if failed else ""
    remark = remark or (f"{open_ended} streams without an end mark" if open_ended else "")
    return Verdict(goal, statistics.median(ratios), min(ratios), max(ratios), remark)


def judge_all(subject: Result, floor: Result | None) -> list[Verdict]:
    return [judge(goal, subject, floor) for goal in GOALS]


def verdict_table(verdicts: list[Verdict], subject: str, floor: str) -> str:
    rows = []
    for v in verdicts:
        unit = v.goal.unit if v.goal.unit == "x" else f" {v.goal.unit}"
        spread = "" if v.low is None else f"{v.low:.2f} to {v.high:.2f}"
        rows.append(
            [
                v.goal.scenario,
                v.goal.title,
                f"{v.goal.at_most:g}{unit}",
                "-" if v.value is None else f"{v.value:.2f}{unit}",
                spread,
                {True: "met", False: "NOT met", None: "not judged"}[v.met]
                + (f" ({v.remark})" if v.remark else ""),
            ]
        )
    return markdown(["", f"{subject} / {floor}", "at most", "measured", "rounds", ""], rows)


def ratio_table(results: list[Result], floor: Result, keys: str) -> str:
    """CPU of every gateway as a multiple of the floor's, by scenario."""
    pairs = [(key, floor_key(key)) for key in keys]
    head = ["CPU to " + floor["name"], *(f"{key}: {SCENARIOS[key].short}" for key, _ in pairs)]
    rows = []
    for result in results:
        if result is floor:
            continue
        row = [result["name"]]
        for key, below in pairs:
            cell, under = result["scenarios"].get(key), floor["scenarios"].get(below)
            ratios = (
                round_ratios(cell, under, CPU)
                if cell and under and "runs" in cell and "runs" in under
                else []
            )
            row.append(f"{statistics.median(ratios):,.2f}" if ratios else "")
        rows.append(row)
    return markdown(head, rows)


def floor_key(key: str) -> str:
    """The scenario of nginx that a scenario is held against."""
    return {"b": "a", "d": "c", "D": "C", "m": "a", "n": "c"}.get(key, key)
