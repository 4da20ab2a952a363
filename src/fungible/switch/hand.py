"""A hand of a rehearsal: asks, and measures what came back, where it came back.

What it gets and gives is small and plain, so that it may work in another process or on another machine: a
recording as the run's folder has it, the line of an answer as the run's file will have it, and its measures.
Who keeps the run needs to understand neither of the first two: he writes the line down and counts the
measures.

An answer is one thing to be written, and its measures another: what was paid for is safe before anything else
is done with it, and a run that goes on has answers measured that were not.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ..faults import Fault
from ..recordings import opened, unpacked
from .adaptation import spoken_anew
from .balance import CONCURRENT, RATIOS
from .jury import like_length
from .pairing import Pairing
from .runs import Answer, Measured, Score, Settings, answer_of, encoded
from .world import Asker, Replayed

PLACES = re.compile(r"\[\d+\]")
"""`messages[3]` and `messages[7]` are one place."""

HELD_BACK = frozenset({"rate_limited", "overloaded"})
"""Faults that say something of the pace, and nothing of the model."""


class Scorer(Protocol):
    """Scores pairings by asking something: a judge, an embedding model, the user's own program."""

    @property
    def measure(self) -> str: ...

    async def score(self, pairing: Pairing) -> Score:
        """Raises Fault where it would be of no use to go on."""


class Came(msgspec.Struct, frozen=True):
    """What came of asking. `line`: the answer's, b'' where it was held back.

    `why`: a fault's words; `wait_ms`: how long to leave the target alone; `measured`: nothing where it was
    not asked for, and without what scorers say.
    """

    line: bytes
    status: int
    fault: str
    why: str = ""
    wait_ms: int | None = None
    cost_nanousd: int | None = None
    measured: Measured | None = None


class Hand:
    """By this process's own asker."""

    def __init__(self, asker: Asker, settings: Settings, scorers: Sequence[Scorer] = ()) -> None:
        self._asker, self._settings = asker, settings
        self._scorers = {scorer.measure: scorer for scorer in scorers}
        self._tags = f"rehearsal={settings.run}"

    async def ask(self, n: int, row: bytes, by: str, anew: bool, measure: bool) -> Came:
        """Recording `n` put to `by`. Raises nothing for what the answer is."""
        recording = opened(unpacked(row))
        asked = recording
        if self._settings.prompt is not None and not anew:
            asked = spoken_anew(recording, self._settings.prompt)
        replayed = await self._asker.replay(asked, by, self._tags)
        said = replayed.recording
        if said.fault in HELD_BACK or not replayed.sent:
            return Came(b"", said.status, said.fault, wait_ms=replayed.wait_ms)
        answer = Answer(n=n, by=by, recording=said, lost=replayed.lost, anew=anew)
        return Came(
            line=encoded(answer),
            status=said.status,
            fault=said.fault,
            why=why_of(replayed),
            cost_nanousd=said.cost_nanousd,
            measured=measured(Pairing(n, recording, answer), self._settings) if measure else None,
        )

    async def measured(self, n: int, row: bytes, line: bytes, anew: bytes | None) -> Measured:
        """Of answers that came earlier; `anew`: the line of the incumbent's own."""
        return measured(pairing_of(n, row, line, anew), self._settings)

    async def score(self, n: int, row: bytes, line: bytes, measure: str) -> Score:
        """What one scorer says of it. Raises Fault where it would be of no use to go on."""
        return await self._scorers[measure].score(pairing_of(n, row, line))


def pairing_of(n: int, row: bytes, line: bytes, anew: bytes | None = None) -> Pairing:
    again = answer_of(anew) if anew is not None else None
    return Pairing(n, opened(unpacked(row)), answer_of(line), again)


def measured(pairing: Pairing, settings: Settings) -> Measured:
    """What can be told without asking anybody. `at` is for who keeps the run."""
    said = pairing.answer.recording
    return Measured(
        n=pairing.n,
        by=pairing.answer.by,
        anew=pairing.answer.anew,
        id=pairing.recording.id,
        scores={} if pairing.answer.anew else dict(pairing.scores(settings)),
        numbers=[] if pairing.answer.anew else _numbers(pairing),
        lost=tuple(sorted({(PLACES.sub("[]", path), kind) for path, kind in pairing.answer.lost})),
        fault=said.fault,
        like=settings.judge is not None and not pairing.answer.anew and like_length(pairing),
    )


def scored(found: Measured, scores: Mapping[str, Score]) -> Measured:
    """With what the scorers said; a score that is not of both is none."""
    told = {
        name: (score.incumbent, score.candidate)
        for name, score in scores.items()
        if score.incumbent is not None and score.candidate is not None
    }
    notes = {name: score.note for name, score in scores.items() if score.note}
    return msgspec.structs.replace(found, scores={**found.scores, **told}, notes=notes)


def _numbers(pairing: Pairing) -> list[tuple[float, float] | None]:
    said = pairing.answer.recording
    if said.status != 200 or pairing.recording.status != 200:
        return [None] * len(RATIOS)
    told: list[tuple[float, float] | None] = []
    for name, field in RATIOS.items():
        one = getattr(pairing.concurrent if name in CONCURRENT else pairing.recording, field)
        other = getattr(said, field)
        told.append((one, other) if one is not None and other is not None else None)
    return told


def why_of(replayed: Replayed) -> str:
    if replayed.recording.status == 200:
        return ""
    said = replayed.recording.answered()
    return said.message if isinstance(said, Fault) else replayed.recording.fault
