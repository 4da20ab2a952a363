"""Scores that come from elsewhere: one JSON object a line, in order of arrival.

    {"id": "r1", "incumbent": 1, "candidate": 0.5, "group": "conversation 7"}

`incumbent` and `candidate` are scores in 0..1 (true and false are 1 and 0) of the same request; `group` is
the conversation, where there is one; other fields are not looked at. A line that cannot be read is told
with its number and the mend, and no verdict is given on the rest: a verdict on the lines that happened to
be readable would be one on other data.
"""

import json
from collections.abc import Iterable
from typing import Any

from ..faults import Fault
from .verdict import Pair

TOLD_MAX = 10
EXAMPLE = '{"id": "r1", "incumbent": 1, "candidate": 0.5}'


def read_pairs(lines: Iterable[str]) -> list[Pair]:
    """The pairs of all lines; empty ones are passed over. Raises `Fault` that tells the bad lines."""
    pairs: list[Pair] = []
    wrong: list[str] = []
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, 1):
        line = text.strip().removeprefix("\ufeff")
        if not line:
            continue
        read = _pair(line)
        if isinstance(read, str):
            wrong.append(f"line {number}: {read}")
        elif read.id is not None and read.id in seen:
            wrong.append(
                f"line {number}: id {read.id!r} stands on line {seen[read.id]} already. A pair counts once: "
                "take one of the two out, or give them ids of their own."
            )
        else:
            pairs.append(read)
            if read.id is not None:
                seen[read.id] = number
    if wrong:
        more = f"\nand {len(wrong) - TOLD_MAX} more lines" if len(wrong) > TOLD_MAX else ""
        raise Fault("bad_request", "The pairs cannot be judged:\n" + "\n".join(wrong[:TOLD_MAX]) + more)
    return pairs


def _pair(line: str) -> Pair | str:
    """The pair, or what is wrong with it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        told = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deep"
        return f"it is not JSON ({told}). One object a line: {EXAMPLE}"
    if not isinstance(record, dict):
        return f"it is {_kind(record)}, and a pair is an object: {EXAMPLE}"
    scores = []
    for name in ("incumbent", "candidate"):
        if name not in record:
            return (
                f"{name} is missing. Leave the line out if there is no score: a missing score is no bad one."
            )
        score = record[name]
        if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
            return (
                f"{name} is {_shown(score)}, and a score is a number from 0 to 1. "
                "Divide it by its scale's length."
            )
        scores.append(float(score))
    named: list[str | None] = []
    for name in ("group", "id"):
        value = record.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
            return f"{name} is {_shown(value)}, and it is a string or a whole number. Put it in quotes."
        named.append(None if value is None else str(value))
    return Pair(scores[0], scores[1], *named)


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:40] + "..."
