"""Answers that wait for the incumbent's new answer to the same request, to be held against it.

The answers of one call come in any order, each when it is over: the served one (sides `c`, `b`, `p`), in
shadow the candidate's (`s`), and the incumbent's new one (`a`). One that failed, or was given in another's
stead, comes as None, so that nobody waits for it. What never comes (a queue was full, a budget was spent)
is forgotten with the oldest, once too much waits. Values only: no clock, no store.

Why the incumbent's own answers are held against its new ones, too: a model at its usual temperature calls
other tools, and says other words, when it is asked twice. A candidate that differs from the incumbent as much
as the incumbent from itself is as good by these measures, and chance alone tells the two apart.
"""

from typing import NamedTuple

import msgspec

from ..ir import Reply, Request
from ..policies.share import Mark
from .plan import Plan, Stage

CALLS_MAX = 2_000
BYTES_MAX = 32 * 1024 * 1024


def added(plan: Plan, stage: Stage) -> float:
    """How many more calls there are in a stage, as a share of the route's: `policies.share.compared`."""
    if stage.state == "shadow":
        return plan.anew * plan.shadow_share
    return plan.anew * (stage.share + min(stage.share, 1.0 - stage.share))


def judged(plan: Plan, stage: Stage) -> float:
    """How many pairs a judge is asked about in a stage, as a share of the route's calls: the candidate's."""
    if plan.judge is None:
        return 0.0
    return plan.judged * plan.anew * (plan.shadow_share if stage.state == "shadow" else stage.share)


class Answered(msgspec.Struct, frozen=True, eq=False):
    """An answer that is one. `size`: bytes of it and its request on the wire."""

    attempt: str
    mark: Mark
    request: Request
    reply: Reply
    size: int


class Pair(NamedTuple):
    """An answer, and the incumbent's new one to the same request, to be shown to a judge."""

    answered: Answered
    anew: Answered
    at_ms: int  # Unix, when both were there


class Awaited:
    """By call what has come of it so far."""

    def __init__(self) -> None:
        self._here: dict[str, dict[str, Answered | None]] = {}
        self._bytes = 0

    def take(self, call: str, side: str, answered: Answered | None) -> list[tuple[Answered, Answered]]:
        """One answer of a call; gives (answer, the incumbent's new one) for each that can now be compared."""
        here = self._here.setdefault(call, {})
        here[side] = answered
        self._bytes += answered.size if answered is not None else 0
        anew, others = here.get("a"), [answered]
        if side == "a":
            others = [here[each] for each in here if each != "a"]
        ready = [(other, anew) for other in others if other is not None and anew is not None]
        if ("a" in here and {*here} & {"c", "b"}) or {*here} >= {"a", "p", "s"}:
            self._forget(call)
        while len(self._here) > CALLS_MAX or self._bytes > BYTES_MAX:
            self._forget(next(iter(self._here)))
        return ready

    def _forget(self, call: str) -> None:
        self._bytes -= sum(each.size for each in self._here.pop(call).values() if each is not None)
