"""The balance: what the pairings of one candidate add up to, and the verdict.

Pairings are taken in the order of the run, never in the order in which answers came: what is quick to fail
comes first, and a look at such a crowd would see the failures. So the verdict is on the longest unbroken
beginning of the run. A conversation is one block, its score the mean over its turns (see `evidence.verdict`).

Several measures: each of those that decide keeps its level for safe, and shares it with the others for not
safe (`evidence.verdict.combined`). Several candidates: the level is divided by their number, since whoever
picks the one that came out safe has had as many chances. Measures that only inform are shown with intervals
at the same level and decide nothing.

Cost and time: the median of the candidate's over the incumbent's, conversation by conversation
(`evidence.ratio`). Sums are told beside.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..evidence import Pair, Ratios, Trial, Verdict, combined
from ..evidence.verdict import Answer as Word
from .measures import MEASURES
from .runs import Measured, Settings

INFORMING_MARGIN = 0.05  # of measures that decide nothing: an interval needs some guard's margin
RATIOS: Mapping[str, str] = {
    "cost": "cost_nanousd",
    "duration": "duration_ms",
    "first": "first_ms",
    "input tokens": "input_tokens",
    "output tokens": "output_tokens",
}
"""What is compared as a ratio -> the field of a recording. Measures have their numbers in this order."""

CONCURRENT = frozenset({"duration", "first"})
"""Those that are the hour's: of the incumbent's answer anew, where there is one."""


class Means(msgspec.Struct):
    """Of one measure: how many pairs and blocks, and the sums of block means."""

    pairs: int = 0
    blocks: int = 0
    incumbent: float = 0.0
    candidate: float = 0.0


class Balance:
    """One candidate of a run."""

    def __init__(self, settings: Settings, target: str) -> None:
        self.settings = settings
        self.target = target
        self.level = settings.alpha / max(1, len(settings.targets))
        self.pairings = 0
        self.blocks = 0
        self._trials: dict[str, Trial] = {}
        self.means: dict[str, Means] = {}
        self.ratios = {name: Ratios() for name in RATIOS}
        self.totals = {name: [0.0, 0.0, 0] for name in RATIOS}
        self.withheld: frozenset[str] = frozenset()  # measures that may not be believed
        for name in settings.deciding:
            self._trial(name)

    def take(self, block: Sequence[Measured]) -> None:
        """One conversation, or a request by itself."""
        self.blocks += 1
        self.pairings += len(block)
        by_measure: dict[str, list[Pair]] = {}
        for measured in block:
            for name, (incumbent, candidate) in measured.scores.items():
                by_measure.setdefault(name, []).append(Pair(incumbent, candidate))
        for name, pairs in by_measure.items():
            self._trial(name).take(pairs)
            means = self.means.setdefault(name, Means())
            means.pairs += len(pairs)
            means.blocks += 1
            means.incumbent += sum([pair.incumbent for pair in pairs]) / len(pairs)
            means.candidate += sum([pair.candidate for pair in pairs]) / len(pairs)
        for place, name in enumerate(RATIOS):
            known = [one for measured in block if (one := measured.numbers[place]) is not None]
            self._ratio(name, known)

    def _trial(self, name: str) -> Trial:
        if name not in self._trials:
            deciding = self.settings.deciding
            margin = deciding.get(name, INFORMING_MARGIN)
            self._trials[name] = Trial(margin, self.level, measures=max(1, len(deciding)))
        return self._trials[name]

    def _ratio(self, name: str, known: Sequence[tuple[float, float]]) -> None:
        incumbent, candidate = sum([one for one, _ in known]), sum([other for _, other in known])
        if incumbent > 0.0 and candidate > 0.0:
            self.ratios[name].take(incumbent=incumbent, candidate=candidate)
        have = self.totals[name]
        self.totals[name] = [have[0] + incumbent, have[1] + candidate, have[2] + len(known)]

    # --- what is known by now

    def verdicts(self) -> dict[str, Verdict]:
        """Of each measure there is anything to say of."""
        return {name: trial.verdict() for name, trial in self._trials.items()}

    @property
    def word(self) -> Word:
        """The verdict on all: of the measures that decide."""
        trials = [self._trials[name] for name in self.settings.deciding if name not in self.withheld]
        answers = [trial.answer for trial in trials]
        if "not_safe" in answers:
            return "not_safe"
        return "safe" if answers and all(answer == "safe" for answer in answers) else "not_yet_known"

    @property
    def decided(self) -> bool:
        return self.word != "not_yet_known"

    def needed(self) -> int | None:
        """How many more recordings a verdict is likely to need: None where decided or beyond forecast.

        Each measure that is not decided needs its own number of pairs, and gets them at the rate at which
        the recordings so far had it. One that lies beyond its margin is enough for not safe; safe needs all.
        """
        if self.decided or not self.pairings:
            return None
        worse: list[int] = []
        better: list[int | None] = []
        for name, verdict in self.verdicts().items():
            if (
                name not in self.settings.deciding
                or name in self.withheld
                or verdict.verdict != "not_yet_known"
            ):
                continue
            rate = verdict.pairs / self.pairings
            more = round(verdict.needed / rate) if verdict.needed is not None and rate else None
            if verdict.difference is not None and -verdict.difference > verdict.margin:
                worse += [more] if more is not None else []
            else:
                better.append(more)
        known = [more for more in better if more is not None]
        return min(worse) if worse else max(known) if len(known) == len(better) and known else None

    def said(self) -> dict[str, Any]:
        """As JSON has it."""
        verdicts = self.verdicts()
        deciding = [verdicts[n] for n in self.settings.deciding if n not in self.withheld]
        assert combined(deciding) == self.word
        order = [name for name in MEASURES if name in verdicts]
        return {
            "target": self.target,
            "verdict": self.word,
            "recordings": self.pairings,
            "blocks": self.blocks,
            "needed": self.needed(),
            "level": self.level,
            "measures": [self._measure(name, verdicts[name]) for name in order],
            "ratios": {name: self._said_ratio(name) for name in RATIOS if self._has_ratio(name)},
        }

    def _has_ratio(self, name: str) -> bool:
        """A batch tells nothing of times."""
        timeless = self.target in self.settings.batched and name in CONCURRENT
        return not timeless and bool(self.totals[name][2])

    def _measure(self, name: str, verdict: Verdict) -> dict[str, Any]:
        means = self.means.get(name, Means())
        row = MEASURES[name]
        return {
            "measure": name,
            "title": row.title,
            "says": row.says,
            "decides": name in self.settings.deciding and name not in self.withheld,
            **verdict.said(),
            "incumbent": means.incumbent / means.blocks if means.blocks else None,
            "candidate": means.candidate / means.blocks if means.blocks else None,
        }

    def _said_ratio(self, name: str) -> dict[str, Any]:
        ratios = self.ratios[name]
        low, high = ratios.interval(self.level) if ratios.pairs else (0.0, float("inf"))
        incumbent, candidate, pairs = self.totals[name]
        return {
            "pairs": int(pairs),
            "incumbent": incumbent,
            "candidate": candidate,
            "median": ratios.quantile(),
            "interval": [low, None if high == float("inf") else high],
        }
