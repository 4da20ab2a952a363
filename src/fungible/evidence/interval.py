"""A confidence sequence of the mean difference.

The interval is what the guards have not decided against: its upper end is the smallest margin that a
`PassGuard` at its level would have passed by now, its lower end the largest tolerance that a `HarmGuard`
would have rolled back at. It thus contains the true mean at all looks at once with the stated probability
(Waudby-Smith and Ramdas, 2024, theorem 3: a confidence sequence is the inversion of tests by betting), and
verdict and interval cannot contradict each other. The capital grows with the margin, payoff by payoff, so
each end is found by halving.

Only how often each difference came is kept, for fixed stakes do not care about order. Differences are kept
exactly where they are a whole number of thousandths, as all yes-or-no pairs are; others are rounded
outwards, which widens the interval by at most 0.001 and never narrows it.
"""

from collections.abc import Mapping
from math import ceil, floor, log

from .capital import STAKES, grown, log_sum

GRAIN = 1000
HALVINGS = 40


class Differences:
    """How often each difference came. A key is twice its thousandths, and odd where it lies between two."""

    __slots__ = ("blocks", "counts", "total")

    def __init__(self) -> None:
        self.blocks = 0
        self.total = 0.0
        self.counts: dict[int, int] = {}

    def take(self, difference: float) -> None:
        """One difference in -1..1."""
        scaled = difference * GRAIN
        near = round(scaled)
        key = 2 * near if abs(scaled - near) < 1e-7 else 2 * floor(scaled) + 1
        self.counts[key] = self.counts.get(key, 0) + 1
        self.blocks += 1
        self.total += difference

    @property
    def mean(self) -> float | None:
        return self.total / self.blocks if self.blocks else None

    def low(self, alpha: float) -> float:
        """Below the true mean at all looks at once, with a probability of at least 1 - `alpha`."""
        return -_upper([(-(key // 2) / GRAIN, times) for key, times in self.counts.items()], alpha)

    def high(self, alpha: float) -> float:
        """Above the true mean at all looks at once, with a probability of at least 1 - `alpha`."""
        return _upper([(ceil(key / 2) / GRAIN, times) for key, times in self.counts.items()], alpha)

    def values(self) -> dict[float, int]:
        """Difference -> how often it came; of a key between two thousandths, the middle."""
        return {key / (2 * GRAIN): times for key, times in self.counts.items()}

    def state(self) -> dict[str, object]:
        return {
            "blocks": self.blocks,
            "total": self.total,
            "counts": {str(k): n for k, n in self.counts.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, object]) -> "Differences":
        made = cls()
        counts, blocks, total = state["counts"], state["blocks"], state["total"]
        if not (isinstance(counts, Mapping) and isinstance(blocks, int) and isinstance(total, int | float)):
            raise TypeError("counts, blocks or total is of another kind")
        made.counts = {int(key): int(times) for key, times in counts.items()}
        made.blocks, made.total = blocks, float(total)
        if sum(made.counts.values()) != blocks:
            raise ValueError("the counts are not as many as the blocks")
        return made


def _upper(counts: list[tuple[float, int]], alpha: float) -> float:
    """The smallest margin that bets on (difference, times) have decided against at `alpha`; 1 where none."""
    payoffs = [((1.0 - difference) / 2.0, float(times)) for difference, times in counts]

    def decided(margin: float) -> bool:
        growth = grown(payoffs, (1.0 - margin) / 2.0)
        return log_sum(growth) - log(len(STAKES)) >= -log(alpha)

    inside, beyond = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (inside + beyond) / 2.0
        inside, beyond = (inside, middle) if decided(middle) else (middle, beyond)
    return beyond
