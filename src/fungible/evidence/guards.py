"""Guards of a rollout: one says when to roll back, the other when the candidate may pass.

A block is one request that the candidate answered and the requests that the incumbent answered at the same
time: D is the candidate's outcome less the mean of the incumbent's. Outcomes lie in 0..1 and more is worse:
an error, a refusal, an answer that took longer than the objective, 1 minus a judge's score. As both sides
of a block are of the same moment, an outage of the vendor, a bad hour or harder traffic hits both and
leaves the mean of D where it was; never compare with last week's figures. The incumbent's requests of a
block are used in no other block.

    guard       hypothesis it bets against     when the capital reaches 1/alpha
    HarmGuard   mean of D <= tolerance         roll back: wrong with probability <= alpha, over all looks
    PassGuard   mean of D >= margin            may pass: wrong with probability <= alpha, over all looks

Both hold for the mean given all that came before, so traffic may change, requests may depend on earlier
ones, and the number of incumbents in a block may change from stage to stage with the share of the traffic.
What must hold is that chance decides who answers (sticky keys: by a hash of the key). Where turns of one
conversation stick to one model, the block is the conversation: give the mean outcome over its turns.

Several guards on one rollout: any of them rolls back, so each harm guard gets `alpha` divided by their
number (Bonferroni); all must pass, so each pass guard keeps the whole `alpha` (an intersection-union test:
R. Berger, Technometrics 24, 1982).

A guard that has answered True says True for ever: the evidence was there, and what comes later cannot take
it back. Its state is a dict of plain values; `restore` makes the guard again, `joined` one guard of what
several workers saw.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, Self

from ..faults import Fault
from .capital import Capital, joined

STATE_VERSION = 1


class _Guard:
    """What both guards are: a capital, and a payoff made of a block."""

    __slots__ = ("_capital", "_sign", "alpha", "blocks", "decided_at", "limit")

    kind: ClassVar[str]
    limit_name: ClassVar[str]
    sign: ClassVar[float]

    def __init__(self, alpha: float, limit: float) -> None:
        self.alpha = _number("alpha", alpha, 0.0, 1.0, "such as 0.05")
        self.limit = _number(self.limit_name, limit, -1.0, 1.0, "a difference of outcomes, such as 0.01")
        self._sign = self.sign
        self._capital = Capital((1.0 + self._sign * self.limit) / 2.0, self.alpha)
        self.blocks = 0
        self.decided_at: int | None = None

    def update(self, *, candidate: float, baseline: Sequence[float]) -> bool:
        """One candidate request against its concurrent block; True from the moment that it is shown.

        Outcomes are in 0..1, more is worse. Raises `Fault` for one that is not, and for a block without
        an incumbent; the guard is then as it was. A missing outcome counts as missing: do not call.
        """
        try:
            mean = sum(baseline) / len(baseline)
            fit = (
                0.0 <= candidate <= 1.0
                and 0.0 <= mean <= 1.0
                and min(baseline) >= 0.0
                and max(baseline) <= 1.0
            )
        except (TypeError, ZeroDivisionError):
            fit = False
        if not fit:
            raise Fault(
                "bad_request",
                f"A block needs a candidate's outcome and at least one incumbent's, each a number from "
                f"0 to 1, not "
                f"candidate={candidate!r}, baseline={baseline!r}. "
                "Leave a block out whose outcome is not known.",
                path="baseline" if _fits(candidate) else "candidate",
            )
        return self.take(candidate - mean)

    def take(self, difference: float) -> bool:
        """The same for a difference already made, in -1..1."""
        self.blocks += 1
        if self._capital.take((1.0 + self._sign * difference) / 2.0) and self.decided_at is None:
            self.decided_at = self.blocks
        return self.decided_at is not None

    @property
    def decided(self) -> bool:
        return self.decided_at is not None

    @property
    def log_e(self) -> float:
        """The evidence so far, as the natural log of an e-value; it decides at log(1/alpha)."""
        return self._capital.log_value

    def state(self) -> dict[str, Any]:
        """The guard as plain values, for JSON."""
        return {
            "version": STATE_VERSION,
            "guard": self.kind,
            "alpha": self.alpha,
            self.limit_name: self.limit,
            "blocks": self.blocks,
            "decided_at": self.decided_at,
            "stakes": list(self._capital.stakes),
            "logs": list(self._capital.logs),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The guard that `state` was taken from. Raises `Fault` where it is no state of such a guard."""
        guard = cls.__new__(cls)
        try:
            if state["version"] != STATE_VERSION or state["guard"] != cls.kind:
                raise ValueError(f"it is a {state['guard']} guard of version {state['version']}")
            _Guard.__init__(guard, state["alpha"], state[cls.limit_name])
            logs, stakes = [float(v) for v in state["logs"]], [float(v) for v in state["stakes"]]
            if len(logs) != len(stakes) or not logs or not all(map(isfinite, logs)):
                raise ValueError("logs and stakes do not fit each other")
            if not all(0.0 < stake < 1.0 for stake in stakes):
                raise ValueError("a stake lies outside 0..1")
            guard._capital = Capital(guard._capital.fair, guard.alpha, logs, stakes)
            guard.blocks, guard.decided_at = int(state["blocks"]), state["decided_at"]
        except (KeyError, TypeError, ValueError) as error:
            told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise Fault("bad_request", f"This is no state of a {cls.kind} guard: {told}.") from None
        return guard

    @classmethod
    def joined(cls, states: Sequence[Mapping[str, Any]]) -> Self:
        """One guard that has seen the blocks of all `states`, for workers that each saw other requests.

        It decides by the joint evidence alone: what a worker decided by its part is not carried over, for ten
        workers who may each err with alpha err ten times as often. No block may stand in two states.
        Raises `Fault` where the states are not of the same guard.
        """
        guards = [cls.restore(state) for state in states]
        if not guards:
            raise Fault("bad_request", "There are no states to join: give at least one.")
        first = guards[0]
        for other in guards[1:]:
            if (other.alpha, other.limit, other._capital.stakes) != (
                first.alpha,
                first.limit,
                first._capital.stakes,
            ):
                raise Fault(
                    "bad_request",
                    f"Only states of one guard join: alpha {first.alpha} and {first.limit_name} "
                    f"{first.limit}, "
                    f"not alpha {other.alpha} and {other.limit_name} {other.limit}.",
                )
        stakes = first._capital.stakes
        logs = joined([guard._capital.logs for guard in guards], stakes)
        first._capital = Capital(first._capital.fair, first.alpha, logs, stakes)
        first.blocks = sum(guard.blocks for guard in guards)
        first.decided_at = first.blocks if first._capital.enough else None
        return first


class HarmGuard(_Guard):
    """Says True from the moment to roll back: the candidate is worse by more than `tolerance` on average.

    `alpha` is the probability, over a whole rollout and all looks, of rolling back one that is not.
    """

    __slots__ = ()
    kind = "harm"
    limit_name = "tolerance"
    sign = 1.0

    def __init__(self, alpha: float = 0.05, tolerance: float = 0.0) -> None:
        super().__init__(alpha, tolerance)


class PassGuard(_Guard):
    """Says True once it is shown that the candidate is not worse by more than `margin` on average.

    `alpha` is the probability, over a whole rollout and all looks, of passing one that is.
    """

    __slots__ = ()
    kind = "pass"
    limit_name = "margin"
    sign = -1.0

    def __init__(self, alpha: float = 0.05, margin: float = 0.02) -> None:
        super().__init__(alpha, margin)


def _fits(value: object) -> bool:
    return isinstance(value, int | float) and 0.0 <= value <= 1.0


def _number(name: str, value: float, low: float, high: float, mend: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise Fault(
            "bad_request", f"{name} must lie between {low:g} and {high:g}, {mend}, not {value!r}.", path=name
        )
    return float(value)


__all__ = ["HarmGuard", "PassGuard"]
