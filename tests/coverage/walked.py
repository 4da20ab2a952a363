"""Every verdict: each field of each dialect's types, and what becomes of it in each dialect.

The walk of one dialect is made once in a process. `problems` is what may not be: a value lost in silence, two
words of one enumeration that come out alike, a body of the SDK's own types that our reader refuses.
"""

import base64
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from fungible.dialects import DIALECTS
from fungible.events import Failed

from . import streams, tables, types
from .specimens import Specimen, Walk
from .verdicts import REFUSED, SILENT, Verdict, indistinct, remembering, verdict

KINDS = ("request", "response", "stream")


class Row(NamedTuple):
    """What becomes of one specimen: a verdict for each target."""

    specimen: Specimen
    verdicts: dict[str, Verdict]


@cache
def specimens(source: str, kind: str) -> tuple[Specimen, ...]:
    walk = Walk(
        types.schema(source, kind), tables.VALUES.get((source, kind)), tables.PASSED.get((source, kind))
    )
    told = (tables.settle(source, kind, specimen) for specimen in walk.specimens())
    if kind == "stream":
        return tuple(streams.placed(types.spoken(source), specimen) for specimen in told)
    return tuple(told)


@cache
def walked(source: str, kind: str) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows, and the problems."""
    told = specimens(source, kind)
    verdicts: list[dict[str, Verdict]] = [{} for _ in told]
    problems = list(failures(source, kind))
    for target in DIALECTS:
        words = remembering(types.spoken(source), target, kind)
        for specimen, found in zip(told, verdicts, strict=True):
            found[target] = given = verdict(specimen, words)
            done = words.translate(specimen.body)
            if done is not None and not all(loss.path for loss in done.losses):
                problems.append(f"{target}: {said(specimen)} has a loss without a path")
            excused = tables.refused(source, kind, specimen)
            if given.mark == SILENT or (given.mark == REFUSED and not excused):
                problems.append(f"{target}: {said(specimen)} is {given.mark} {given.why}")
        judged = [(specimen, found[target]) for specimen, found in zip(told, verdicts, strict=True)]
        for one, other in indistinct(judged, words):
            if not said(other).startswith(tuple(tables.SYNONYMS.get((source, kind), ()))):
                problems.append(f"{target}: {said(one)} and {other.word!r} come out alike")
    return tuple(map(Row, told, verdicts)), tuple(problems)


def wire_bytes(dialect: str, frames: list[streams.Frame]) -> bytes:
    wire = streams.wire(dialect, frames)
    return wire.encode() if "\n" in wire else base64.b64decode(wire)


def failures(source: str, kind: str) -> Iterator[str]:
    """Streams without an error that are read as failures: what fails depends on every value, so it seems carried."""
    name = types.spoken(source)
    for specimen in specimens(source, kind) if kind == "stream" else ():
        if not tables.refused(source, kind, specimen):
            reader = DIALECTS[name].stream_reader()
            for event in reader.feed(wire_bytes(name, specimen.body)) + reader.end():
                if isinstance(event, Failed):
                    yield f"{said(specimen)} is read as a failure: {event.fault.message}"


def said(specimen: Specimen) -> str:
    return specimen.field if specimen.word is None else f"{specimen.field} = {specimen.word!r}"
