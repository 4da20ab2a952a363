"""The verdict on pairs: safe, not safe, or not yet known. Three answers only.

    safe            the candidate is not worse by more than the margin: the interval ends before it
    not_safe        it is worse by more than the margin: the interval begins beyond it
    not_yet_known   the interval holds the margin

A pair is the same request answered by both, scored alike. One confidence sequence at 1 - alpha serves all:
half of alpha for each end. Two guards watch it pair by pair in constant time, a `PassGuard` with the margin
and a `HarmGuard` that tolerates the margin; the first that decides is the verdict, for good. So over all
looks together a wrong verdict has a probability of at most alpha/2, and the interval leaves out the true
difference with at most alpha.

Scores: in `judge` more is better unless said otherwise, as scorers elsewhere count (1 passed, 0 failed);
with `higher_is="worse"` they are outcomes as guards have them. `difference` and `interval` are candidate
less incumbent, in the scores' own sense.

Conversations: pairs of one `group` depend on each other, and bets on them one by one would take the same
news for several. A group is therefore one block, its difference the mean over its pairs, taken when its
last pair has come; each conversation weighs the same, however long. Judge a file whose conversations are at
their end: one that goes on later is counted anew by the next look, in another place, which the guarantee
does not cover.

Several measures (errors, schema, a judge's score): one verdict each, and `combined` of all. Safe is what is
safe in every measure: each keeps its alpha (intersection-union: R. Berger, Technometrics 24, 1982). Not
safe is what is not safe in any: each has alpha divided by their number on that side (Bonferroni; valid
under any dependence), which is `measures`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..faults import Fault
from .guards import HarmGuard, PassGuard
from .interval import Differences
from .needed import blocks_needed

Answer = Literal["safe", "not_safe", "not_yet_known"]
Sense = Literal["better", "worse"]
TO_WORSE: Mapping[str, float] = {"better": -1.0, "worse": 1.0}
"""What a difference of scores is multiplied with, so that more is worse."""


class Pair(NamedTuple):
    """One request answered by both, the scores in 0..1. `group` is the conversation, if it has others."""

    incumbent: float
    candidate: float
    group: str | None = None
    id: str | None = None


class Verdict(NamedTuple):
    """What the pairs say. `decided_at` counts pairs from 1; `needed` is how many more, None where decided
    or beyond forecast."""

    verdict: Answer
    pairs: int
    decided_at: int | None
    difference: float | None
    interval: tuple[float, float]
    needed: int | None
    groups: int
    margin: float
    alpha: float
    higher_is: Sense

    def said(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**self._asdict(), "interval": list(self.interval)}


class Trial:
    """A verdict in the making, block by block; valid whenever it is asked."""

    __slots__ = (
        "_differences",
        "_harm",
        "_pass",
        "alpha",
        "answer",
        "decided_at",
        "higher_is",
        "margin",
        "measures",
        "pairs",
    )

    def __init__(
        self, margin: float = 0.02, alpha: float = 0.05, *, higher_is: Sense = "better", measures: int = 1
    ) -> None:
        """`margin` and `alpha` in 0..1; `measures` is how many are judged together. Raises `Fault`."""
        if higher_is not in TO_WORSE:
            raise Fault(
                "bad_request", f"higher_is must be 'better' or 'worse', not {higher_is!r}.", path="higher_is"
            )
        if not isinstance(margin, int | float) or not 0.0 <= margin < 1.0:
            raise Fault(
                "bad_request",
                f"margin must be at least 0 and below 1, such as 0.02, not {margin!r}.",
                path="margin",
            )
        if not isinstance(alpha, int | float) or not 0.0 < alpha < 1.0:
            raise Fault(
                "bad_request", f"alpha must lie between 0 and 1, such as 0.05, not {alpha!r}.", path="alpha"
            )
        if isinstance(measures, bool) or not isinstance(measures, int) or measures < 1:
            raise Fault(
                "bad_request", f"measures must be a number of at least 1, not {measures!r}.", path="measures"
            )
        self.margin, self.alpha, self.measures = float(margin), float(alpha), measures
        self.higher_is: Sense = higher_is
        self._pass = PassGuard(alpha / 2, self.margin)
        self._harm = HarmGuard(alpha / 2 / measures, self.margin)
        self._differences = Differences()
        self.pairs = 0
        self.decided_at: int | None = None
        self.answer: Answer = "not_yet_known"

    def take(self, block: Sequence[Pair], *, pairs: int | None = None) -> Answer:
        """A pair by itself as a block of one, or all pairs of a conversation. Raises `Fault` for a bad score.

        `pairs` is how many have come by now, where it is not the sum of the blocks.
        """
        for pair in block:
            for name, score in (("incumbent", pair.incumbent), ("candidate", pair.candidate)):
                if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
                    raise Fault("bad_request", f"A score is a number from 0 to 1, not {score!r}.", path=name)
        if not block:
            raise Fault("bad_request", "A block has at least one pair.")
        worse = TO_WORSE[self.higher_is] * sum([p.candidate - p.incumbent for p in block]) / len(block)
        self.pairs = self.pairs + len(block) if pairs is None else pairs
        self._differences.take(worse)
        safe, unsafe = self._pass.take(worse), self._harm.take(worse)
        if self.decided_at is None and (safe or unsafe):
            self.decided_at = self.pairs
            self.answer = "safe" if safe else "not_safe"
        return self.answer

    def verdict(self) -> Verdict:
        """What is known by now."""
        low, high = self._differences.low(self._harm.alpha), self._differences.high(self._pass.alpha)
        if self.answer == "safe":
            high = min(high, self.margin)
        elif self.answer == "not_safe":
            low = max(low, self.margin)
        low, high = min(low, high), max(low, high)
        mean = self._differences.mean
        better = self.higher_is == "better"
        return Verdict(
            verdict=self.answer,
            pairs=self.pairs,
            decided_at=self.decided_at,
            difference=None if mean is None else TO_WORSE[self.higher_is] * mean + 0.0,
            interval=(0.0 - high, 0.0 - low) if better else (low, high),
            needed=self._needed(),
            groups=self._differences.blocks,
            margin=self.margin,
            alpha=self.alpha,
            higher_is=self.higher_is,
        )

    def _needed(self) -> int | None:
        if self.decided_at is not None or not self.pairs:
            return None
        blocks = blocks_needed(self._differences.values(), self.margin, self._pass.alpha, self._harm.alpha)
        return None if blocks is None else max(1, round(blocks * self.pairs / self._differences.blocks))

    def state(self) -> dict[str, Any]:
        """The trial as plain values, for JSON."""
        return {
            "margin": self.margin,
            "alpha": self.alpha,
            "higher_is": self.higher_is,
            "measures": self.measures,
            "pairs": self.pairs,
            "decided_at": self.decided_at,
            "answer": self.answer,
            "pass": self._pass.state(),
            "harm": self._harm.state(),
            "differences": self._differences.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Trial":
        """The trial that `state` was taken from. Raises `Fault` where it is none."""
        try:
            made = cls(
                state["margin"], state["alpha"], higher_is=state["higher_is"], measures=state["measures"]
            )
            made._pass, made._harm = PassGuard.restore(state["pass"]), HarmGuard.restore(state["harm"])
            made._differences = Differences.restore(state["differences"])
            made.pairs, made.decided_at, made.answer = state["pairs"], state["decided_at"], state["answer"]
        except (KeyError, TypeError, ValueError) as error:
            told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise Fault("bad_request", f"This is no state of a trial: {told}.") from None
        return made


def judge(
    pairs: Iterable[Pair],
    margin: float = 0.02,
    alpha: float = 0.05,
    *,
    higher_is: Sense = "better",
    measures: int = 1,
) -> Verdict:
    """The verdict on pairs in order of arrival, a look after every pair. Raises `Fault` for bad scores."""
    trial = Trial(margin, alpha, higher_is=higher_is, measures=measures)
    arrived = list(pairs)
    last = {pair.group: at for at, pair in enumerate(arrived) if pair.group is not None}
    open_groups: dict[str, list[Pair]] = {}
    for at, pair in enumerate(arrived):
        if pair.group is None:
            trial.take([pair], pairs=at + 1)
            continue
        turns = open_groups.setdefault(pair.group, [])
        turns.append(pair)
        if last[pair.group] == at:
            trial.take(open_groups.pop(pair.group), pairs=at + 1)
    return trial.verdict()


def combined(verdicts: Iterable[Verdict]) -> Answer:
    """One answer for several measures, each judged with `measures` as their number."""
    answers = [verdict.verdict for verdict in verdicts]
    if "not_safe" in answers:
        return "not_safe"
    return "safe" if answers and all(answer == "safe" for answer in answers) else "not_yet_known"
