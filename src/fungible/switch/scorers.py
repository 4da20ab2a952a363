"""Scorers that ask something: the user's checks, the user's own scorer, an embedding model.

Each scores a pairing once, and the run keeps what it said. What cannot be scored, because one of the two is
no answer, is kept as such and counts in no measure.

The user's own scorer is `module:function`, found from the working folder, or a command. Either gets one
answer at a time: an object with `id`, `side` (incumbent or candidate), `question`, `request` and `reply`
(as on the wire, in the caller's dialect), `text`, `calls`; and gives a number in 0..1, more is better. A
command reads the object from standard input and prints the number.
"""

import asyncio
import importlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from math import sqrt
from typing import Any

import msgspec

from ..faults import Fault
from ..ir import Reply
from ..recording import Recording
from .checks import check_of, passes
from .hand import Scorer
from .jury import Jury
from .pairing import Pairing
from .reading import calls, question, text
from .runs import Score, Settings
from .world import Asker

SECONDS_MAX = 120
CHARS_MAX = 20_000  # of a text that is embedded


def scorers_of(settings: Settings, asker: Asker) -> list[Scorer]:
    """Those that a run asks for, the cheapest first. Raises Fault: a scorer that is not there."""
    tags = f"rehearsal={settings.run}"
    found: list[Scorer] = []
    if settings.checks:
        found.append(Checker(settings))
    if settings.scorer is not None:
        found.append(Own(settings.scorer))
    if settings.embedder is not None:
        found.append(Closeness(asker, settings.embedder, tags))
    if settings.judge is not None:
        found.append(Jury(asker, settings, tags))
    return found


class Checker:
    measure = "check"

    def __init__(self, settings: Settings) -> None:
        self._checks = settings.checks

    async def score(self, pairing: Pairing) -> Score:
        check = check_of(self._checks, pairing.recording.id)
        both = _both(pairing)
        score = Score(n=pairing.n, by=pairing.answer.by, measure=self.measure)
        if check is None or both is None:
            return score
        passed = [await asyncio.to_thread(passes, check, text(reply)) for reply in both]
        note = "" if passed[1] else f"it had to be: {json.dumps(check, ensure_ascii=False)[:400]}"
        return msgspec.structs.replace(
            score, incumbent=float(passed[0]), candidate=float(passed[1]), note=note
        )


class Own:
    """`what` is module:function or a command. Raises Fault where the function cannot be had."""

    measure = "scorer"

    def __init__(self, what: str) -> None:
        self._what = what
        self._run = _function(what) if ":" in what and " " not in what else _command(what)

    async def score(self, pairing: Pairing) -> Score:
        both = _both(pairing)
        score = Score(n=pairing.n, by=pairing.answer.by, measure=self.measure)
        if both is None:
            return score
        sides = (("incumbent", pairing.recording, both[0]), ("candidate", pairing.answer.recording, both[1]))
        given = [self._given(side, pairing, recording, reply) for side, recording, reply in sides]
        incumbent, candidate = [self._number(await asyncio.to_thread(self._run, one)) for one in given]
        return msgspec.structs.replace(score, incumbent=incumbent, candidate=candidate)

    def _given(self, side: str, pairing: Pairing, recording: Recording, reply: Reply) -> dict[str, Any]:
        return {
            "id": pairing.recording.id,
            "side": side,
            "question": question(pairing.request),
            "request": json.loads(bytes(pairing.recording.request)),
            "reply": json.loads(bytes(recording.reply or b"null")),
            "text": text(reply),
            "calls": [{"name": call.name, "arguments": call.arguments} for call in calls(reply)],
        }

    def _number(self, said: Any) -> float:
        if isinstance(said, bool | int | float) and 0.0 <= said <= 1.0:
            return float(said)
        raise Fault(
            "bad_request",
            f"The scorer {self._what!r} gave {said!r}; a score is a number from 0 to 1. Mend it and resume.",
            path="scorer",
        )


def _function(what: str) -> Callable[[dict[str, Any]], Any]:
    module, _, name = what.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise Fault("not_found", f"The scorer {what!r} is not there: {error}.", path="scorer") from None

    def run(given: dict[str, Any]) -> Any:
        try:
            return found(given)
        except Exception as error:
            raise Fault(
                "bad_request", f"The scorer {what!r} failed: {type(error).__name__}: {error}.", path="scorer"
            ) from None

    return run


def _command(what: str) -> Callable[[dict[str, Any]], Any]:
    try:
        words = shlex.split(what)
    except ValueError as error:
        raise Fault("bad_request", f"The scorer {what!r} is no command: {error}.", path="scorer") from None
    if not words:
        raise Fault("bad_request", "The scorer is no command: it is empty.", path="scorer")

    def run(given: dict[str, Any]) -> Any:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command
                words, input=json.dumps(given).encode(), capture_output=True, timeout=SECONDS_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Fault("bad_request", f"The scorer {what!r} failed: {error}.", path="scorer") from None
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise Fault("bad_request", f"The scorer {what!r} failed: {last[0]}.", path="scorer")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout.decode(errors="replace").strip()[:80]

    return run


class Closeness:
    """How near the texts are by an embedding model: the cosine, 0 where it is below."""

    measure = "closeness"

    def __init__(self, asker: Asker, model: str, tags: str) -> None:
        self._asker, self._model, self._tags = asker, model, tags

    async def score(self, pairing: Pairing) -> Score:
        both = _both(pairing)
        score = Score(n=pairing.n, by=pairing.answer.by, measure=self.measure)
        texts = [text(reply)[:CHARS_MAX] for reply in both] if both is not None else []
        if not all(said.strip() for said in texts) or not texts:
            return score
        vectors, amount = await self._asker.embed(self._model, texts, self._tags)
        near = cosine(*vectors)
        return msgspec.structs.replace(
            score, incumbent=1.0, candidate=min(1.0, max(0.0, near)), cost_nanousd=amount
        )


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Of two vectors of one length. Raises Fault for others."""
    if len(one) != len(other) or not one:
        raise Fault("provider_answer", "The embedding model gave vectors of different lengths.")
    sizes = sqrt(sum([a * a for a in one])) * sqrt(sum([b * b for b in other]))
    return sum([a * b for a, b in zip(one, other, strict=True)]) / sizes if sizes else 0.0


def _both(pairing: Pairing) -> tuple[Reply, Reply] | None:
    """Both answers, where both are."""
    one, other = pairing.recorded, pairing.answered
    return None if isinstance(one, Fault) or isinstance(other, Fault) else (one, other)
