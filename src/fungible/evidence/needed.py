"""How many more blocks a verdict needs: a forecast from the few that are there.

After thirty pairs nobody knows the difference. To carry on what was seen, as if it were the truth, says
"thousands" where thirty pairs were equal by luck, and "a hundred" where one was bad by luck. So the forecast
weighs what the difference may be:

    before      `MAY_BE`, in margins: as good, a little off, far off; the far steps a little more
    with it     by how well it fits the mean so far, a normal likelihood with the spread so far
    for each    the blocks that the capital still takes, at the growth that such a difference gives it
    the answer  the median of these by weight; none where half of the weight would never decide

Of the spread, `CARE` blocks are taken to have been seen already, two in a hundred of them as far apart as can
be: without that, three equal pairs would promise that all will be. What was gained so far is kept. The rate
of growth is that of a difference with three values, -a, 0 and a, that has the mean in question and the second
and fourth moments seen; of yes-or-no pairs that is exact.

It is a forecast, not a guarantee, and decides nothing: `docs/evidence.md` has what came of it in simulation.
"""

from collections.abc import Mapping
from math import exp, inf, log, log1p, sqrt

from .capital import STAKES, evenly, grown, log_sum

MAY_BE: Mapping[float, float] = {
    0.0: 0.075, 0.5: 0.075, 1.0: 0.05, 1.5: 0.05, 2.0: 0.06, 3.0: 0.07, 4.5: 0.07, 7.0: 0.08, 10.0: 0.09,
    15.0: 0.11, 25.0: 0.12, 40.0: 0.14,
}  # fmt: skip
"""How many margins the difference may be, either way -> weight before anything is seen; by simulation."""

AS_SEEN = 0.05  # the weight of the mean so far: of many blocks it is the best guess, whatever the steps above
MARGIN_MIN = 0.01  # what the steps are of, where the margin is smaller
CARE, APART = 5.0, 0.02
WEIGHT_MIN = 1e-3
BLOCKS_MAX = 1_000_000


class Seen:
    """What the forecast takes of the blocks so far: differences, more is worse -> times."""

    def __init__(self, counts: Mapping[float, int]) -> None:
        self.counts = counts
        self.blocks = sum(counts.values())
        second = sum([times * d * d for d, times in counts.items()]) + CARE * APART
        fourth = sum([times * d**4 for d, times in counts.items()]) + CARE * APART
        all_of_them = self.blocks + CARE
        self.mean = sum([times * d for d, times in counts.items()]) / all_of_them
        self.spread = second / all_of_them
        self.apart = min(1.0, sqrt(fourth / second))

    def spread_at(self, mean: float) -> float:
        """The second moment; no smaller than such a mean has it."""
        return max(self.spread, self.apart * abs(mean))

    def may_be(self, margin: float) -> list[tuple[float, float]]:
        """(difference, weight), the weights adding up to 1."""
        step = max(margin, MARGIN_MIN)
        before = [(sign * c * step, w / 2) for c, w in MAY_BE.items() for sign in (1.0, -1.0)]
        before = [(d, w) for d, w in before if abs(d) <= self.apart] + [(self.mean, AS_SEEN)]
        logs = [(d, log(w) + self._fit(d)) for d, w in before]
        top = log_sum([weight for _, weight in logs])
        return [(d, exp(weight - top)) for d, weight in logs]

    def shares(self, mean: float) -> tuple[float, float, float]:
        """Of the three values -a, 0 and a, where the mean is this."""
        often, lean = self.spread_at(mean) / self.apart**2, mean / self.apart
        return (often - lean) / 2, max(0.0, 1.0 - often), (often + lean) / 2

    def _fit(self, mean: float) -> float:
        spread = self.spread_at(mean)
        return -0.5 * (self.mean - mean) ** 2 * self.blocks / spread - 0.5 * log(spread)


def blocks_needed(
    counts: Mapping[float, int], margin: float, pass_alpha: float, harm_alpha: float
) -> int | None:
    """How many more blocks until a verdict, as things go; `counts`: difference, more is worse -> times.

    None where it is as likely that none comes, or only beyond a million.
    """
    if not counts:
        return None
    seen = Seen(counts)
    ways = (_Way(seen, margin, -1.0, pass_alpha), _Way(seen, margin, 1.0, harm_alpha))
    passed = 0.0
    likely = [
        (min(way.blocks(d) for way in ways), weight)
        for d, weight in seen.may_be(margin)
        if weight > WEIGHT_MIN
    ]
    half = sum([weight for _, weight in likely]) / 2
    for blocks, weight in sorted(likely):
        passed += weight
        if passed >= half:
            return int(blocks) if blocks < inf else None
    return None


class _Way:
    """One guard, and how long it takes (harm: sign 1, pass: -1)."""

    def __init__(self, seen: Seen, margin: float, sign: float, alpha: float) -> None:
        self._seen, self._sign = seen, sign
        self._fair = (1.0 + sign * margin) / 2.0
        payoffs = [((1.0 + sign * d) / 2.0, float(times)) for d, times in seen.counts.items()]
        self._have = [a + b for a, b in zip(evenly(STAKES), grown(payoffs, self._fair), strict=True)]
        self._bar = -log(alpha)
        self._gains = {d: self._growth(d) for d in (-seen.apart, 0.0, seen.apart)}

    def _growth(self, difference: float) -> list[float]:
        gain = (1.0 + self._sign * difference) / 2.0 / self._fair - 1.0
        return [log1p(stake * gain) for stake in STAKES]

    def blocks(self, mean: float) -> float:
        """Infinite where it never decides."""
        apart = self._seen.apart
        parts = dict(zip((-apart, 0.0, apart), self._seen.shares(mean), strict=True))
        rates = [sum([share * self._gains[d][i] for d, share in parts.items()]) for i in range(len(STAKES))]
        if max(rates) <= 0.0:
            return inf
        few, many = 0, 1
        while not self._decides(rates, many):
            few, many = many, many * 2
            if many > BLOCKS_MAX:
                return inf
        while many - few > max(1, few // 64):
            middle = (few + many) // 2
            few, many = (few, middle) if self._decides(rates, middle) else (middle, many)
        return many

    def _decides(self, rates: list[float], blocks: int) -> bool:
        return (
            log_sum([have + blocks * rate for have, rate in zip(self._have, rates, strict=True)]) >= self._bar
        )
