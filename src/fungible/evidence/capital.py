"""A bettor's capital: the one process that every guard, interval and verdict here reads.

Let X in 0..1 be a payoff whose mean, given all that came before, is at most `fair`, if the hypothesis is
true. A bettor who may buy X at the price `fair` cannot expect to gain. He begins with 1, and each time stakes
a share s of what he has:

    capital <- capital * ((1 - s) + s * X / fair)

If the hypothesis is true this is a nonnegative supermartingale, and Ville's inequality says that it ever
reaches 1/alpha with a probability of at most alpha, however often one looks and whenever one stops (J.
Ville, Étude critique de la notion de collectif, 1939; A. Ramdas, P. Grünwald, V. Vovk, G. Shafer,
Game-theoretic statistics and safe anytime-valid inference, Statistical Science 38, 2023). So a capital of
1/alpha is evidence against the hypothesis at level alpha: exact for bounded payoffs, with no approximation
for large numbers, no variance to be known, and no independence: only the conditional mean counts. This is
how means of bounded variables are tested by betting (I. Waudby-Smith, A. Ramdas, Estimating means of
bounded random variables by betting, JRSS B 86, 2024, sections 3 and 4).

Which share? The best one depends on the truth, so the bettor splits his first 1 evenly over `STAKES` and
never moves money between them: the mean of the twelve capitals is again such a process (method of mixtures:
S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric, nonasymptotic confidence
sequences, Annals of Statistics 49, 2021; of fixed bets: Waudby-Smith and Ramdas, appendix on grid and
mixture strategies). The shares are u² for twelve even u in 0..1, that is the quantiles of a Beta(1/2, 1):
in simulation it needed fewer pairs than log-spaced shares for nearly every effect, for it spends little on
shares that matter only after 100,000 pairs.

For pairs of yes-or-no outcomes and a fair price of 1/2 the factor is 1 for a pair that agrees, and 1 + s or
1 - s for one that does not: exactly a likelihood ratio of the discordant pairs, McNemar's test
(Psychometrika 12, 1947) made sequential. One formula serves both, and rare failures cost nothing: agreeing
pairs leave the capital alone.

Because shares are fixed, the capital does not depend on the order of the blocks, and the evidence of
several workers adds up (`joined`). Stages with other traffic shares multiply on, as the conditional mean is
all that the hypothesis speaks of: evidence is carried from stage to stage by keeping the object.

Prohibitions: no clock, no chance; it does not know what a payoff means.
"""

from collections.abc import Iterable, Sequence
from math import exp, isfinite, log

BETS = 12
STAKES: tuple[float, ...] = tuple(((i + 0.5) / BETS) ** 2 for i in range(BETS))
"""The shares of the capital that are staked; below 1, so that no single payoff ruins a bettor."""


def log_sum(logs: Iterable[float]) -> float:
    """log of the sum of the exponentials, without overflow."""
    values = tuple(logs)
    top = max(values)
    return top + log(sum([exp(value - top) for value in values]))


def evenly(stakes: Sequence[float]) -> list[float]:
    """Where each bet begins: the log of its part of 1."""
    return [-log(len(stakes))] * len(stakes)


def grown(
    counts: Iterable[tuple[float, float]], fair: float, stakes: Sequence[float] = STAKES
) -> list[float]:
    """How much the log capital of each bet grows by payoffs that came so many times: (payoff, times)."""
    seen = [(payoff / fair - 1.0, times) for payoff, times in counts]
    return [sum([times * log(1.0 + stake * gain) for gain, times in seen]) for stake in stakes]


class Capital:
    """Twelve bets against one hypothesis: that payoffs have a mean of at most `fair`.

    `logs` holds the log capital of each bet, its part of the first 1 included.
    """

    __slots__ = ("_bar", "_floor", "fair", "logs", "stakes")

    def __init__(
        self, fair: float, alpha: float, logs: Sequence[float] = (), stakes: Sequence[float] = STAKES
    ) -> None:
        assert 0.0 < fair < 1.0 and 0.0 < alpha < 1.0
        self.fair = fair
        self.stakes = tuple(stakes)
        self.logs = list(logs) or evenly(self.stakes)
        assert len(self.logs) == len(self.stakes) and all(map(isfinite, self.logs))
        self._bar = -log(alpha)
        self._floor = self._bar - log(len(self.stakes))

    def take(self, payoff: float) -> bool:
        """One payoff in 0..1, its bets placed before. True if the capital now stands at 1/alpha or above."""
        gain = payoff / self.fair - 1.0
        if gain:
            self.logs = [
                have + log(1.0 + stake * gain) for have, stake in zip(self.logs, self.stakes, strict=True)
            ]
        return self.enough

    @property
    def enough(self) -> bool:
        """Whether the capital stands at 1/alpha or above: not, while the best bet is below a twelfth."""
        return max(self.logs) >= self._floor and log_sum(self.logs) >= self._bar

    @property
    def log_value(self) -> float:
        """The log of the capital: the log of an e-value."""
        return log_sum(self.logs)


def joined(parts: Sequence[Sequence[float]], stakes: Sequence[float] = STAKES) -> list[float]:
    """The log capitals of one bettor who saw the blocks of all parts, in any order."""
    first = evenly(stakes)
    return [start + sum([part[i] - start for part in parts]) for i, start in enumerate(first)]
