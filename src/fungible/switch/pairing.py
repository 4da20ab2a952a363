"""A pairing: one recording, what the incumbent answered then, what a candidate answers now; and its scores.

Each measure gives two numbers, the incumbent's and the candidate's, or nothing where it cannot be told of
both. Of measures that compare with the recorded answer (`measures`, kind two) the incumbent's number is its
own new answer's where it was asked again. Where a run asks the incumbent again, only those pairings count for
these measures: to mix them with others, whose incumbent would count as never differing from itself, would
wrong the candidate.
"""

from collections.abc import Mapping
from functools import cached_property

from ..faults import Fault
from ..ir import Reply, Request
from ..recording import Recording
from .alone import alone
from .beside import beside
from .measures import MEASURES
from .runs import Answer, Score, Settings

Scores = Mapping[str, tuple[float, float]]


class Pairing:
    """`anew`: the incumbent's new answer, where there is one. Parsed when it is looked at."""

    def __init__(
        self,
        n: int,
        recording: Recording,
        answer: Answer,
        anew: Answer | None = None,
        scores: Mapping[str, Score] | None = None,
    ) -> None:
        self.n = n
        self.recording = recording
        self.answer = answer
        self.anew = anew
        self.asked_scores = scores or {}

    @cached_property
    def request(self) -> Request:
        return self.recording.asked()

    @cached_property
    def recorded(self) -> Reply | Fault:
        return self.recording.answered()

    @cached_property
    def answered(self) -> Reply | Fault:
        return self.answer.recording.answered()

    @property
    def concurrent(self) -> Recording:
        """The incumbent's answer of the same hour, where there is one, for times; else the recorded one."""
        return self.anew.recording if self.anew is not None else self.recording

    def scores(self, settings: Settings) -> Scores:
        """Measure -> (incumbent's, candidate's), for each that can be told of both."""
        given = {name: (score.incumbent, score.candidate) for name, score in self.asked_scores.items()}
        told = {**self._of_one(settings), **self._of_two(settings), **given}
        return {
            name: (incumbent, candidate)
            for name, (incumbent, candidate) in told.items()
            if incumbent is not None and candidate is not None
        }

    def _of_one(self, settings: Settings) -> dict[str, tuple[float | None, float | None]]:
        sides = [
            alone(self.request, said, duration_ms=of.duration_ms, timely_ms=settings.timely_ms)
            for said, of in ((self.recorded, self.recording), (self.answered, self.answer.recording))
        ]
        return {name: (sides[0][name], sides[1][name]) for name in sides[0]}

    def _of_two(self, settings: Settings) -> dict[str, tuple[float | None, float | None]]:
        if settings.anew and self.anew is None:
            return {}
        candidate = self._beside(self.answer, self.answered, settings)
        if self.anew is None:
            return {name: (1.0, score) for name, score in candidate.items()}
        own = self._beside(self.anew, self.anew.recording.answered(), settings)
        return {name: (own[name], candidate[name]) for name in candidate}

    def _beside(self, answer: Answer, said: Reply | Fault, settings: Settings) -> dict[str, float | None]:
        return beside(
            self.request,
            self.recorded,
            said,
            recorded_losses=self.recording.losses,
            other_losses=answer.recording.losses,
            ordered=settings.ordered,
        )


def told_of(recording: Recording, settings: Settings) -> list[str]:
    """The measures of the kinds one and two that can be told of this recording's own answer."""
    request, said = recording.asked(), recording.answered()
    one = alone(request, said, duration_ms=recording.duration_ms, timely_ms=settings.timely_ms)
    two = beside(request, said, said, ordered=settings.ordered)
    return [name for name, score in {**one, **two}.items() if score is not None and name in MEASURES]
