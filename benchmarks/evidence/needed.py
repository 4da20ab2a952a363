"""How good the forecast of `needed` is: what it says after so many pairs, beside what was then needed.

    python -m benchmarks.evidence.needed              some minutes on one core
    python -m benchmarks.evidence.needed --quick
    python -m benchmarks.evidence.needed --docs FILE  puts the table between the marks of that page as well

For each scene, of the streams that are not decided after 10, 30, 100 or 300 pairs: the median of what
`Trial` forecasts, the median of what its own stream then took, and how often the one is within three times
the other. A stream that is not decided within 40,000 pairs counts as needing more than any.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.evidence import streams as make
from benchmarks.evidence.twin import decided_at

from fungible.evidence import Pair, Trial
from fungible.evidence.interval import Differences

ALPHA = 0.05
PAIRS = 40_000
LOOKS = (10, 30, 100, 300)
BEGIN, END = "<!-- needed: begins -->", "<!-- needed: ends -->"
WITHIN = 3.0


class Scene(NamedTuple):
    says: str
    margin: float
    make: make.Make


SCENES = (
    Scene("equal, no errors", 0.01, make.blocks(0.0, 0.0, PAIRS)),
    Scene("equal at 0.5 % errors", 0.01, make.blocks(0.005, 0.005, PAIRS)),
    Scene("equal at 2 % errors", 0.01, make.blocks(0.02, 0.02, PAIRS)),
    Scene("equal at 2 % errors", 0.02, make.blocks(0.02, 0.02, PAIRS)),
    Scene("equal at 20 % errors", 0.03, make.blocks(0.2, 0.2, PAIRS)),
    Scene("equal scores of a judge (spread .15)", 0.05, make.scores(0.8, 0.8, 0.15, PAIRS)),
    Scene("2 % errors against 0", 0.01, make.blocks(0.02, 0.0, PAIRS)),
    Scene("2 % to 4 % errors", 0.01, make.blocks(0.04, 0.02, PAIRS)),
    Scene("2 % to 6 % errors", 0.01, make.blocks(0.06, 0.02, PAIRS)),
    Scene("2 % to 12 % errors", 0.02, make.blocks(0.12, 0.02, PAIRS)),
    Scene("20 % to 30 % errors", 0.03, make.blocks(0.3, 0.2, PAIRS)),
    Scene("20 % to 15 % errors", 0.02, make.blocks(0.15, 0.2, PAIRS)),
    Scene("a judge's scores .80 to .72", 0.02, make.scores(0.72, 0.8, 0.15, PAIRS)),
)


def forecast(differences: np.ndarray, margin: float) -> int | None:
    """What a trial that has seen these says, made of their counts."""
    trial = Trial(margin, ALPHA, higher_is="worse")
    for difference in differences.tolist():
        trial.take([Pair(max(0.0, -difference), max(0.0, difference))])
    assert isinstance(trial._differences, Differences)
    return trial.verdict().needed


def rows(scene: Scene, streams: int, looks: tuple[int, ...] = LOOKS) -> list[str]:
    made = np.concatenate(list(make.portions(f"needed {scene.says} {scene.margin}", streams, scene.make)))
    ends = [decided_at(kind, made, scene.margin, ALPHA / 2) for kind in ("pass", "harm")]
    never = PAIRS * 1000
    at = np.minimum(*[np.where(end == 0, never, end) for end in ends])
    told = []
    for look in looks:
        open_ones = np.flatnonzero(at > look)
        if len(open_ones) < max(5, streams // 10):
            told.append("-")
            continue
        said = [forecast(made[row, :look], scene.margin) for row in open_ones]
        truly = at[open_ones] - look
        near = [
            (s is None and t > PAIRS) or (s is not None and t / WITHIN <= s <= t * WITHIN)
            for s, t in zip(said, truly.tolist(), strict=True)
        ]
        ours = np.median([s if s is not None else never for s in said])
        theirs = np.median(truly)
        told.append(f"{shown(ours)} : {shown(theirs)}, {100 * np.mean(near):.0f} %")
    return told


def shown(value: float) -> str:
    return f"{value:,.0f}" if value <= 10_000_000 else "-"


def table(streams: int) -> str:
    lines = [
        "| scene | margin | " + " | ".join(f"after {look} pairs" for look in LOOKS) + " |",
        "|---|---|" + "---|" * len(LOOKS),
    ]
    for scene in SCENES:
        lines.append(
            f"| {scene.says} | {100 * scene.margin:g} pp | " + " | ".join(rows(scene, streams)) + " |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    given = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    given.add_argument("--streams", type=int, default=200)
    given.add_argument("--quick", action="store_true")
    given.add_argument("--docs", type=Path)
    options = given.parse_args(words)
    text = table(40 if options.quick else options.streams)
    print(text)
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        after = rest.partition(END)[2]
        options.docs.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
