"""Every verdict: each field of each dialect's types, and what becomes of it in each dialect.

The walk of one dialect is made once in a process. `problems` is what may not be: a value lost in silence, two
words of one enumeration that come out alike, a body of the SDK's own types that our reader refuses.
"""

from functools import cache
from typing import NamedTuple

from fungible.dialects import DIALECTS

from . import tables, types
from .specimens import Specimen, Walk
from .verdicts import REFUSED, SILENT, Remembering, Verdict, indistinct, verdict

KINDS = ("request", "response")


class Row(NamedTuple):
    """What becomes of one specimen: a verdict for each target."""

    specimen: Specimen
    verdicts: dict[str, Verdict]


@cache
def specimens(source: str, kind: str) -> tuple[Specimen, ...]:
    walk = Walk(types.schema(source, kind), tables.VALUES.get((source, kind)))
    return tuple(tables.settle(source, kind, specimen) for specimen in walk.specimens())


@cache
def walked(source: str, kind: str) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows, and the problems."""
    told = specimens(source, kind)
    verdicts: list[dict[str, Verdict]] = [{} for _ in told]
    problems = []
    for target in DIALECTS:
        words = Remembering(source, target, kind)
        for specimen, found in zip(told, verdicts, strict=True):
            found[target] = given = verdict(specimen, words)
            done = words.translate(specimen.body)
            if done is not None and not all(loss.path for loss in done.losses):
                problems.append(f"{target}: {said(specimen)} has a loss without a path")
            excused = given.mark == REFUSED and tables.refused(source, kind, specimen)
            if given.mark in (SILENT, REFUSED) and not excused:
                problems.append(f"{target}: {said(specimen)} is {given.mark} {given.why}")
        judged = [(specimen, found[target]) for specimen, found in zip(told, verdicts, strict=True)]
        for one, other in indistinct(judged, words):
            problems.append(f"{target}: {said(one)} and {other.word!r} come out alike")
    return tuple(map(Row, told, verdicts)), tuple(problems)


def said(specimen: Specimen) -> str:
    return specimen.field if specimen.word is None else f"{specimen.field} = {specimen.word!r}"
