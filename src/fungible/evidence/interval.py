"""A confidence sequence of the mean difference, and how many more pairs a verdict needs.

The interval is what the guards have not decided against: its upper end is the smallest margin that a
`PassGuard` at its level would have passed by now, its lower end the largest tolerance that a `HarmGuard`
would have rolled back at. It thus contains the true mean at all looks at once with the stated probability
(Waudby-Smith and Ramdas, 2024, theorem 3: a confidence sequence is the inversion of tests by betting), and
verdict and interval cannot contradict each other. The capital grows with the margin, payoff by payoff, so
each end is found by halving.

Only how often each difference came is kept, for fixed stakes do not care about order. Differences are kept
exactly where they are a whole number of thousandths, as all yes-or-no pairs are; others are rounded
outwards, which widens the interval by at most 0.001 and never narrows it.

How many more pairs: each bet's log capital is carried on with the growth per block seen so far, and the
first number of blocks at which it would decide is the answer. The growth is first made careful by half a
pair of each extreme, without which three equal pairs would promise too much. It is a forecast, not a
guarantee.
"""

from collections.abc import Mapping
from math import ceil, floor, log

from .capital import STAKES, evenly, grown, log_sum

GRAIN = 1000
HALVINGS = 40
BLOCKS_FORECAST_MAX = 10_000_000
CARE = 0.5
"""How many blocks of each extreme the forecast adds to what was seen."""


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

    def blocks_needed(self, limit: float, sign: float, alpha: float) -> int | None:
        """How many more blocks until a guard with this limit (harm: sign 1, pass: -1) decides, as things go.

        None where it would not, or only beyond ten million.
        """
        if not self.blocks:
            return None
        fair = (1.0 + sign * limit) / 2.0
        seen = [((1.0 + sign * key / (2 * GRAIN)) / 2.0, float(times)) for key, times in self.counts.items()]
        have = [start + more for start, more in zip(evenly(STAKES), grown(seen, fair), strict=True)]
        careful = [*seen, (0.0, CARE), (1.0, CARE)]
        rates = [growth / (self.blocks + 2 * CARE) for growth in grown(careful, fair)]

        def decides(blocks: int) -> bool:
            ahead = [now + blocks * rate for now, rate in zip(have, rates, strict=True)]
            return log_sum(ahead) >= -log(alpha)

        few, many = 0, 1
        while not decides(many):
            few, many = many, many * 2
            if many > BLOCKS_FORECAST_MAX:
                return None
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if decides(middle) else (middle, many)
        return many

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
