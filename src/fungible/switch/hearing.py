"""The judging model of a live switch: what it says of pairs of the same minute, once it may be believed.

A pair is an answer that is on trial and the incumbent's new answer to the same request (`anew`). Of the
candidate's the judge is asked, in both orders (`jury`); the score is told as a guard wants it, 1 is bad. Of
the incumbent's own it is not: two answers of one model, shown in both orders, win equally often, so 1/2 is
what they come to, and nobody need pay to be told.

A judge that always says "a tie" would find every candidate good enough. So before it is heard it is tried on
the first pairs' answers: one beside itself, and one beside another request's (`jury.trusted`). Those pairs
wait until then. One that is not believed is asked no more, its guard shows nothing, and the switch does not
go to its end by itself.

For one loop. Who it is and what it may cost is decided elsewhere: the asker is an argument, a budget ends
the pairs.
"""

from collections.abc import Sequence
from typing import Literal

from ..faults import Fault
from .anew import Pair
from .jury import CONTROLS, Judge, shown, trusted
from .looker import Row
from .runs import Control

State = Literal["gathering", "trying", "believed", "not believed"]
PAIRS_MAX = 500  # that wait for the trial
TRIES_MAX = 3  # of a judge that says nothing: it may be down
TIE = 0.5


class Hearing:
    """Of one judge and one switch. `state`: what is known of the judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._waiting: list[Pair] = []
        self.controls: list[Control] = []
        self.state: State = "gathering"
        self._tries = 0

    @property
    def why(self) -> str:
        """Why the judge is not believed."""
        if not any(control.kind == "worse" for control in self.controls):
            return "Its judge cannot be tried: different requests have all had the same answer."
        wrong = sum(control.said != control.expected for control in self.controls)
        return f"Its judge is wrong in {wrong} of {len(self.controls)} pairs whose truth is known."

    async def hear(self, pair: Pair) -> list[Row]:
        """The rows that can now be told, of this pair and of any that waited. Raises Fault (`Judge`)."""
        if self.state == "not believed":
            return []
        if self.state == "believed":
            return await self._told([pair])
        if len(self._waiting) < PAIRS_MAX:
            self._waiting.append(pair)
        if self.state == "trying" or len(self._waiting) < CONTROLS:
            return []
        self.state = "trying"
        self._tries += 1
        try:
            answers = [(n, p.anew.request, shown(p.anew.reply)) for n, p in enumerate(self._waiting)]
            self.controls = await self._judge.tried(answers)
            if all(control.said is None for control in self.controls) and self._tries < TRIES_MAX:
                raise Fault("unavailable", f"The judge gave no judgement of {len(self.controls)} pairs.")
        except BaseException:
            self.state = "gathering"
            raise
        self.state = "believed" if trusted(self.controls) else "not believed"
        waited, self._waiting = self._waiting, []
        return await self._told(waited) if self.state == "believed" else []

    async def _told(self, pairs: Sequence[Pair]) -> list[Row]:
        rows = []
        for pair in pairs:
            bad = await self._bad(pair)
            if bad is not None:
                answered = pair.answered
                rows.append((answered.attempt, answered.mark.tag(), pair.at_ms, {"judge": bad}))
        return rows

    async def _bad(self, pair: Pair) -> float | None:
        """None: it gave no judgement."""
        if pair.answered.mark.side not in "cs":
            return TIE
        first, second = shown(pair.anew.reply), shown(pair.answered.reply)
        if first == second:
            return TIE
        said = await self._judge.compare(pair.answered.request, first, second)
        return None if said.score is None else 1.0 - said.score
