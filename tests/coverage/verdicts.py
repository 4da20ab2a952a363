"""Verdicts: what becomes of a specimen's value in each target, found by translating it and watching.

* *dropped*, *approximated*, *changed*, with its code: a loss was reported at the value's path or above.
* *carried*: no loss, and the target's body depends on the value (as `tests/silence.py` means it). A word of an
  enumeration must also be told apart from every other word of it that has no loss.
* *implied*: no loss and nothing depends on it, for a reason that `tests/silence.py` has a row for.
* *refused*: the reader takes no such body; a row of `REFUSED` says why.
* *silent*: none of these. That is a bug, always.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from fungible.faults import Fault
from fungible.losses import Loss
from fungible.translate import Translation, translate

from ..silence import GONE, Leaf, at, carried, covered, excepted, in_camel_case, replaced, says_nothing
from .specimens import Specimen

SILENT, REFUSED = "silent", "refused"


class Verdict(NamedTuple):
    mark: str
    why: str = ""


class Remembering:
    """From what to what, each body translated once."""

    def __init__(self, source: str, target: str, kind: str) -> None:
        self.source, self.target, self.kind = source, target, kind
        self.known: dict[str, Translation | Fault] = {}

    def outcome(self, body: Any) -> Translation | Fault:
        key = body if isinstance(body, str) else json.dumps(body)
        found = self.known.get(key)
        if found is None:
            try:
                found = translate(body, source=self.source, target=self.target, kind=self.kind)
            except Fault as fault:
                found = fault
            self.known[key] = found
        return found

    def translate(self, body: Any) -> Translation | None:
        found = self.outcome(body)
        return found if isinstance(found, Translation) else None


def verdict(specimen: Specimen, words: Remembering) -> Verdict:
    done = words.outcome(specimen.body)
    if isinstance(done, Fault):
        return Verdict(REFUSED, f"{done.path}: {done.message}")
    leaf = Leaf(specimen.steps, at(specimen.body, specimen.steps))
    loss = nearest(leaf.path, done.losses)
    if covered(leaf.path, done.losses):
        return Verdict(loss.kind, loss.why) if loss else Verdict("dropped", "unknown_field")
    if words.source == words.target and comes_back(leaf, done.body):
        return Verdict("carried")
    if carried(specimen.body, leaf, words, done) or (leaf.value == {} and is_there(specimen, words, done)):
        return Verdict(loss.kind, loss.why) if loss else Verdict("carried")
    if loss and loss.kind == "approximated" and in_camel_case(loss.path) == in_camel_case(leaf.path):
        return Verdict(loss.kind, loss.why)  # the nearest word is the same for every other word, too
    if leaf.value == [] or says_nothing(leaf.value, leaf.steps) or excepted(specimen.body, leaf, words, done):
        return Verdict(loss.kind, loss.why) if loss else Verdict("implied")
    return Verdict(SILENT)


def comes_back(leaf: Leaf, body: Any) -> bool:
    try:
        return bool(at(body, leaf.steps) == leaf.value)
    except (KeyError, IndexError, TypeError):
        return False


def is_there(specimen: Specimen, words: Remembering, done: Translation) -> bool:
    """An empty object says no more than that it is there."""
    other = words.translate(replaced(specimen.body, specimen.steps, GONE))
    return other is not None and (other.body, other.path) != (done.body, done.path)


def nearest(path: str, losses: Iterable[Loss]) -> Loss | None:
    """The loss that speaks of `path`: the one at it, else the closest above it."""
    spoken = (path, in_camel_case(path))
    above = [
        loss
        for loss in losses
        if any(p == loss.path or (p.startswith(loss.path) and p[len(loss.path)] in ".[") for p in spoken)
    ]
    return max(above, key=lambda loss: len(loss.path), default=None)


def indistinct(
    judged: Iterable[tuple[Specimen, Verdict]], words: Remembering
) -> list[tuple[Specimen, Specimen]]:
    """Pairs of words of one enumeration that come out the same, neither with a loss."""
    same: dict[tuple[str, str], list[Specimen]] = defaultdict(list)
    for specimen, given in judged:
        done = words.outcome(specimen.body)
        if specimen.word is not None and given.mark == "carried" and isinstance(done, Translation):
            same[specimen.field, json.dumps([done.body, done.path])].append(specimen)
    return [(group[0], other) for group in same.values() for other in group[1:]]
