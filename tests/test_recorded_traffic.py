"""Recorded provider traffic through the dialects: nothing crashes, nothing differs, nothing is lost in silence.

Every exchange in a dialect, whoever the provider: written back as it was (up to the normalisations that
`docs/normalisations/` lists), cut anywhere, and translated to every other dialect.
"""

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from fungible import events as ev
from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.losses import Report
from fungible.translate import translate

from . import recordings, sdk_types
from .normalisations import NORMALISATIONS, normalised
from .silence import Leaf, Words, silent
from .silence_streams import silent_in_stream
from .stream_paths import ALIAS

pytestmark = recordings.needs_recordings

NAMES = sorted(DIALECTS)
PAIRS = [(a, b) for a in NAMES for b in NAMES if a != b]

spoken = pytest.mark.parametrize("name", NAMES)
crossed = pytest.mark.parametrize(("source", "target"), PAIRS)

# Recorded bodies that no reader should take, and what is wrong with each.
UNREADABLE: dict[str, str] = {
    "w22fdb87cc8c882": "a message that is a string",
    "w1428a56d9313b1": "a tool without a name",
    "wa49494e0ed067b": "no model: the prompt that the provider keeps names it",
    "wc0a8965c02cfc9": "no model, again",
    "weebedae3ce9855": "a stream of another dialect than the one it was recorded as",
}


def told(problems: list[str]) -> None:
    assert not problems, f"{len(problems)} problems:\n  " + "\n  ".join(p[:600] for p in problems[:20])


# --- the same dialect ----------------------------------------------------------------------------


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}, key=str):
            if name not in after:
                yield f"{path}.{name} is gone: {before[name]!r}"
            elif name not in before:
                yield f"{path}.{name} is new: {after[name]!r}"
            else:
                yield from differences(before[name], after[name], f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            yield from differences(a, b, f"{path}[{i}]")
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield f"{path}: {before!r} became {after!r}"


@spoken
@pytest.mark.parametrize("kind", ["request", "response"])
def test_read_and_written_back_nothing_differs(name: str, kind: str) -> None:
    problems = []
    bodies = recordings.requests(name) if kind == "request" else recordings.replies(name)
    for id_, body in bodies:
        if id_ in UNREADABLE:
            continue
        try:
            done = translate(body, source=name, target=name, kind=kind)
        except Fault as fault:
            if not is_error(body):
                problems.append(f"{id_}: {fault!r}")
            continue
        problems += [f"{id_}: loses {loss}" for loss in done.losses]
        before, after = (normalised(name, kind, b) for b in (body, done.body))
        problems += [f"{id_}: {difference}" for difference in differences(before, after)]
    told(problems)


def is_error(body: Any) -> bool:
    """An error inside a 200."""
    return isinstance(body, dict) and ("error" in body or body.get("type") == "error")


@spoken
def test_the_normalisations_are_the_documented_ones(name: str) -> None:
    page = (recordings.ROOT / "docs" / "normalisations" / f"{name}.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([^|]+?) \| ", page, re.M)[1:]
    assert documented == list(NORMALISATIONS[name])


@spoken
def test_each_normalisation_is_needed(name: str) -> None:
    """One without which nothing recorded would differ has no place in the list."""
    bodies = [("request", b) for _, b in recordings.requests(name)]
    bodies += [("response", b) for _, b in recordings.replies(name)]
    pairs = []
    for kind, body in bodies:
        try:
            pairs.append((kind, body, translate(body, source=name, target=name, kind=kind).body))
        except Fault:
            continue
    idle = []
    for row in NORMALISATIONS[name]:
        rest = [other for other in NORMALISATIONS[name] if other != row]
        if all(normalised(name, k, a, rest) == normalised(name, k, b, rest) for k, a, b in pairs):
            idle.append(row)
    assert not idle


# --- streams -------------------------------------------------------------------------------------


def events_of(name: str, pieces: list[bytes]) -> list[ev.StreamEvent]:
    reader = DIALECTS[name].stream_reader()
    told = [event for piece in pieces for event in reader.feed(piece)]
    return told + reader.end()


def pieces_of(wire: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(places), len(wire)]
    return [wire[a:b] for a, b in itertools.pairwise(ends)]


@spoken
def test_a_stream_cut_at_a_few_places_gives_the_same_events(name: str) -> None:
    chance = random.Random(7)
    for id_, text in recordings.streams(name):
        wire = recordings.wire_bytes(text, name)
        whole = events_of(name, [wire])
        for cuts in (1, 3, 12):
            places = [chance.randrange(len(wire) + 1) for _ in range(cuts)]
            assert events_of(name, pieces_of(wire, places)) == whole, (id_, places)


@spoken
def test_small_streams_cut_at_every_byte_give_the_same_events(name: str) -> None:
    small = sorted(recordings.streams(name), key=lambda s: len(s[1]))[:6]
    for id_, text in small:
        cut_at_every_byte(name, id_, recordings.wire_bytes(text, name))


@pytest.mark.long
@spoken
def test_every_stream_cut_at_every_byte_gives_the_same_events(name: str) -> None:
    for id_, text in recordings.streams(name):
        cut_at_every_byte(name, id_, recordings.wire_bytes(text, name))


def cut_at_every_byte(name: str, id_: str, wire: bytes) -> None:
    whole = events_of(name, [wire])
    assert events_of(name, [wire[i : i + 1] for i in range(len(wire))]) == whole, id_
    if len(wire) < 20_000:
        for place in range(1, len(wire)):
            assert events_of(name, pieces_of(wire, [place])) == whole, (id_, place)


def answer_of(events: list[ev.StreamEvent]) -> Any:
    """The reply, or the fault that the stream ended with."""
    try:
        return ev.assemble(events)
    except Fault as fault:
        return fault


@spoken
def test_a_stream_written_back_adds_up_to_the_same_reply(name: str) -> None:
    problems = []
    for id_, text in recordings.streams(name):
        events = events_of(name, [recordings.wire_bytes(text, name)])
        report = Report(DIALECTS[name].names)
        wire = DIALECTS[name].stream_writer(report, True).write(events)
        before, after = answer_of(events), answer_of(events_of(name, [wire]))
        if report.losses:
            problems.append(f"{id_}: loses {report.losses[:3]}")
        if isinstance(before, Fault) and isinstance(after, Fault):
            if before.kind != after.kind:
                problems.append(f"{id_}: {before!r} became {after!r}")
        elif before != after:
            problems += [f"{id_}: {d}" for d in differences(as_json(before), as_json(after))]
    told(problems)


def as_json(value: Any) -> Any:
    return value if isinstance(value, Fault) else msgspec.to_builtins(value)


# --- to every other dialect ----------------------------------------------------------------------


@cache
def bodies(source: str, kind: str) -> tuple[tuple[str, Any], ...]:
    """(id, body) of what can be translated."""
    every: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
        "request": lambda: recordings.requests(source),
        "response": lambda: recordings.replies(source),
        "stream": lambda: recordings.streams(source),
        "error": lambda: ((i, {"status": s, "body": b}) for i, s, b in recordings.errors(source)),
    }
    return tuple((id_, b) for id_, b in every[kind]() if id_ not in UNREADABLE)


@crossed
@pytest.mark.parametrize("kind", ["request", "response", "stream", "error"])
def test_what_is_translated_is_what_the_target_takes(source: str, target: str, kind: str) -> None:
    problems = []
    for id_, body in bodies(source, kind):
        try:
            done = translate(body, source=source, target=target, kind=kind, model=named(source, kind))
        except Fault as fault:
            if not (kind == "response" and is_error(body)):
                problems.append(f"{id_}: {fault!r}")
            continue
        if kind == "error":
            assert done.body["status"] >= 400, id_
        elif not (kind == "stream" and is_failed(source, body)):
            problems += [f"{id_}: {c}" for c in sdk_types.complaints(target, kind, done.body)]
    told(problems)


def named(source: str, kind: str) -> str | None:
    """The name that a caller adds to a request of a dialect whose address names the model."""
    return "m" if kind == "request" and DIALECTS[source].locate is not None else None


def is_failed(source: str, wire: str) -> bool:
    return isinstance(answer_of(events_of(source, [recordings.wire_bytes(wire, source)])), Fault)


def few_of_each(most: int) -> Callable[[Leaf], bool]:
    """So that a run stays short: of leaves that stand in the same place, some."""
    seen: Counter[str] = Counter()

    def wanted(leaf: Leaf) -> bool:
        seen[leaf.pattern] += 1
        return seen[leaf.pattern] <= most

    return wanted


def lost(source: str, target: str, kind: str, most: int) -> list[str]:
    words, wanted = Words(source, target, kind), few_of_each(most)
    problems = []
    for id_, body in bodies(source, kind):
        if kind == "stream":
            problems += [f"{id_}: {x}" for x in silent_in_stream(body, words, ALIAS[source], wanted)]
        elif words.translate(body) is not None:
            problems += [f"{id_}: {x}" for x in silent(body, words, wanted)]
    return problems


@crossed
@pytest.mark.parametrize("kind", ["request", "response", "error", "stream"])
def test_nothing_is_lost_in_silence(source: str, target: str, kind: str) -> None:
    told(lost(source, target, kind, most=2))


@pytest.mark.long
@crossed
@pytest.mark.parametrize("kind", ["request", "response", "error", "stream"])
def test_nothing_whatever_is_lost_in_silence(source: str, target: str, kind: str) -> None:
    told(lost(source, target, kind, most=1_000))
