"""A confidence sequence of the median ratio of candidate to incumbent: for cost, latency, tokens.

Cost and latency have no upper bound, so nothing exact can be said about their means without assumptions;
about the median of their ratio, pair by pair, it can. Is a share q of all ratios at or below r? "A ratio is
at or below r" is a yes-or-no payoff, so the bettor of `capital` decides, and the interval holds each r that
he has not decided against: a confidence sequence of a quantile, valid at all looks (S. Howard, A. Ramdas,
Sequential estimation of quantiles with applications to A/B testing and best-arm identification, Bernoulli
28, 2022; the bets are ours). The capital for r depends only on how many ratios lie at or below it, so the
ends are ratios that were seen: the interval needs no grid.

Ratios are counted in steps of 0.1 %, rounded outwards at the ends. Of other shares than the half, the
0.95-quantile of the ratio is not the ratio of the 0.95-quantiles; judge a latency objective as an outcome
instead: 1 where the answer was later than the objective, with a guard.
"""

from collections.abc import Mapping
from math import ceil, exp, inf, log
from typing import Any

from ..faults import Fault
from .capital import STAKES, grown, log_sum

STEPS_PER_E = 1000
"""Steps of the logarithm: 0.1 % each."""


class Ratios:
    """How often each ratio came. A key is the step that a ratio lies in, counted from 1."""

    __slots__ = ("counts", "pairs")

    def __init__(self) -> None:
        self.pairs = 0
        self.counts: dict[int, int] = {}

    def take(self, *, candidate: float, incumbent: float) -> None:
        """One pair, both above 0 in the same unit. Raises `Fault` for what is not."""
        for name, value in (("candidate", candidate), ("incumbent", incumbent)):
            if not isinstance(value, int | float) or not 0.0 < value < inf:
                raise Fault(
                    "bad_request", f"A ratio needs numbers above 0, and {name} is {value!r}.", path=name
                )
        key = ceil((log(candidate) - log(incumbent)) * STEPS_PER_E - 1e-9)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.pairs += 1

    def quantile(self, share: float = 0.5) -> float | None:
        """The ratio that this share of the pairs lies at or below, to 0.1 %; None without pairs."""
        return self._seen(max(1, ceil(share * self.pairs)), 0) if self.pairs else None

    def interval(self, alpha: float = 0.05, share: float = 0.5) -> tuple[float, float]:
        """Holds the true quantile at all looks at once with a probability of at least 1 - `alpha`.

        An end is 0 or infinite while too few pairs have come. Raises `Fault` for what lies outside 0..1.
        """
        if not 0.0 < alpha < 1.0 or not 0.0 < share < 1.0:
            raise Fault(
                "bad_request", f"alpha and share must lie between 0 and 1, not {alpha!r} and {share!r}."
            )
        above = self._enough(share, alpha / 2)
        below = self._enough(1.0 - share, alpha / 2)
        high = self._seen(above, 0) if above is not None else inf
        low = self._seen(self.pairs - below + 1, -1) if below is not None else 0.0
        return low, high

    def _enough(self, share: float, alpha: float) -> int | None:
        """How many pairs at or below a ratio show that more than this share is; None where none do."""

        def shows(count: int) -> bool:
            growth = grown(((1.0, count), (0.0, self.pairs - count)), share)
            return log_sum(growth) - log(len(STAKES)) >= -log(alpha)

        if not self.pairs or not shows(self.pairs):
            return None
        few, many = 0, self.pairs
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if shows(middle) else (middle, many)
        return many

    def _seen(self, rank: int, edge: int) -> float:
        """The ratio of this rank from below: the upper edge of its step (0) or the lower (-1)."""
        keys = sorted(self.counts)
        passed = 0
        for key in keys:
            passed += self.counts[key]
            if passed >= rank:
                return exp((key + edge) / STEPS_PER_E)
        return exp(keys[-1] / STEPS_PER_E)

    def state(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"pairs": self.pairs, "counts": {str(key): times for key, times in self.counts.items()}}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Ratios":
        """What `state` was taken from. Raises `Fault` where it is no such state."""
        made = cls()
        try:
            made.counts = {int(key): int(times) for key, times in state["counts"].items()}
            made.pairs = int(state["pairs"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Fault("bad_request", f"This is no state of ratios: {error!r}.") from None
        if sum(made.counts.values()) != made.pairs:
            raise Fault("bad_request", "This is no state of ratios: the counts are not as many as the pairs.")
        return made
