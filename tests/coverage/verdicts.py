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

import msgspec

from fungible.faults import Fault
from fungible.losses import Loss
from fungible.translate import Translation, translate

from ..silence import (
    GONE,
    Leaf,
    Steps,
    at,
    carried,
    covered,
    excepted,
    in_camel_case,
    is_padding,
    leaves,
    replaced,
    says_nothing,
)
from ..silence_streams import grown, stream_of
from ..stream_paths import ALIAS
from . import streams
from .specimens import Specimen

SILENT, REFUSED = "silent", "refused"
PRESENT = ({}, "NULL_VALUE")
"""An empty object, and a word beside which there is no other, say no more than that they are there."""


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

    def stands(self, specimen: Specimen) -> tuple[Any, Leaf, str]:
        """The object that is read, the leaf in it, and the path that a loss of it has."""
        leaf = Leaf(specimen.steps, at(specimen.body, specimen.steps))
        return specimen.body, leaf, leaf.path

    def comes_back(self, leaf: Leaf, done: Translation) -> bool:
        return there(done.body, leaf)

    def told_again(self, specimen: Specimen, path: str) -> bool:
        """Whether the body says so in another place, too."""
        return False


class Streaming(Remembering):
    """The same for streams. A body is its frames; a path is one in the answer that they add up to."""

    def outcome(self, body: Any) -> Translation | Fault:
        found = super().outcome(streams.wire(self.source, body))
        if isinstance(found, Translation):
            found = msgspec.structs.replace(
                found, losses=tuple(msgspec.structs.replace(x, path=grown(x.path)) for x in found.losses)
            )
        return found

    def stands(self, specimen: Specimen) -> tuple[Any, Leaf, str]:
        frame, steps = self._inside(specimen.body[specimen.steps[0]], specimen.steps[1:])
        leaf = Leaf(steps, at(frame, steps))
        return frame, leaf, grown(ALIAS[self.source](frame, leaf.path))

    def comes_back(self, leaf: Leaf, done: Translation) -> bool:
        return any(there(frame, leaf) for _, frame in stream_of(done.body).frames.values())

    def told_again(self, specimen: Specimen, path: str) -> bool:
        value = at(specimen.body, specimen.steps)
        if specimen.steps[1:] == ("type",):
            return True  # it says what the event is, and its other leaves what that says
        for n, body in enumerate(specimen.body):
            frame, _ = self._inside(body, tuple(body)[:1])
            told = leaves(frame) if n != specimen.steps[0] else ()
            if any(grown(ALIAS[self.source](frame, x.path)) == path and x.value == value for x in told):
                return True
        return False

    def _inside(self, frame: Any, steps: Steps) -> tuple[Any, Steps]:
        """A binary frame's payload, without its name."""
        return (frame[steps[0]], steps[1:]) if self.source == "bedrock.converse" else (frame, steps)


def remembering(source: str, target: str, kind: str) -> Remembering:
    return (Streaming if kind == "stream" else Remembering)(source, target, kind)


def verdict(specimen: Specimen, words: Remembering) -> Verdict:
    done = words.outcome(specimen.body)
    if isinstance(done, Fault):
        return Verdict(REFUSED, f"{done.path}: {done.message}")
    held, leaf, path = words.stands(specimen)
    whole = Leaf(specimen.steps, leaf.value)
    loss = nearest(path, done.losses)
    if covered(path, done.losses):
        return Verdict(loss.kind, loss.why) if loss else Verdict("dropped", "unknown_field")
    if words.source == words.target and words.comes_back(leaf, done):
        return Verdict("carried")
    if carried(specimen.body, whole, words, done) or (
        leaf.value in PRESENT and is_there(specimen, words, done)
    ):
        return Verdict(loss.kind, loss.why) if loss else Verdict("carried")
    if loss and loss.kind == "approximated" and in_camel_case(loss.path) == in_camel_case(path):
        return Verdict(loss.kind, loss.why)  # the nearest word is the same for every other word, too
    says_little = (
        leaf.value == [] or says_nothing(leaf.value, leaf.steps) or is_padding(leaf.value, leaf.steps)
    )
    if says_little or excepted(held, leaf, words, done) or words.told_again(specimen, path):
        return Verdict(loss.kind, loss.why) if loss else Verdict("implied")
    return Verdict(SILENT)


def there(body: Any, leaf: Leaf) -> bool:
    try:
        return bool(at(body, leaf.steps) == leaf.value)
    except (KeyError, IndexError, TypeError):
        return False


def is_there(specimen: Specimen, words: Remembering, done: Translation) -> bool:
    """Whether it makes a difference."""
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
