"""Bodies of the SDKs' types, spoilt: a reader takes them or answers with a `Fault`, and nothing else.

A specimen of each field (`tests/coverage`) is changed at a place or two, by a seed: another kind of value, a
name that is gone, a list in the place of its item. Whatever is taken has to be written for another dialect, too.
"""

import random
from typing import Any

import pytest

from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.translate import translate

from .coverage.specimens import Steps
from .coverage.walked import KINDS, specimens
from .golden import inputs
from .silence import GONE, replaced
from .silence_streams import Stream

NAMES = sorted(DIALECTS)
JUNK = (
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "x",
    "\ud7ff\u0000",
    [],
    {},
    [None],
    [[]],
    {"": None},
    [{"type": 3}],
    GONE,
)


def places(value: Any, steps: Steps = ()) -> list[Steps]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [steps, *[place for name, held in inner for place in places(held, (*steps, name))]]


def spoilt(body: Any, chance: random.Random) -> Any:
    for _ in range(chance.randint(1, 2)):
        steps = chance.choice(places(body)[1:] or [()])
        body = replaced(body, steps, chance.choice(JUNK)) if steps else body
    return body


def crashes(source: str, kind: str, seed: int, most: int) -> list[str]:
    chance = random.Random(seed)
    found = []
    told = specimens(source, kind)
    for _ in range(most):
        body, target = spoilt(chance.choice(told).body, chance), chance.choice(NAMES)
        try:
            translate(body, source=source, target=target, kind=kind)
        except Fault:
            continue
        except Exception as problem:
            found.append(f"to {target}: {problem!r:.90} of {body!r:.300}")
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", NAMES)
def test_a_spoilt_body_is_read_or_answered_with_a_fault(source: str, kind: str) -> None:
    assert crashes(source, kind, seed=1, most=800) == []


STREAMS = [path for path in inputs() if path.stem.endswith(".stream") and path.suffix in (".sse", ".ndjson")]


def crashes_of_streams(seed: int, most: int) -> list[str]:
    """The golden streams, an event of each spoilt, or bytes of it lost, doubled or flipped."""
    chance = random.Random(seed)
    found = []
    for path in STREAMS:
        source = path.stem.removesuffix(".stream")
        stream = Stream(path.read_text(encoding="utf-8"))
        for _ in range(most):
            block = chance.choice(sorted(stream.frames))
            wire = stream.text(block, spoilt(stream.frames[block][1], chance)).encode()
            if chance.random() < 0.3:
                place, length = chance.randrange(len(wire)), chance.randrange(1, 9)
                wire = (
                    wire[:place] + chance.choice((b"", b"\xff", b"\n\n", b"{", wire)) + wire[place + length :]
                )
            target = chance.choice(NAMES)
            try:
                translate(wire, source=source, target=target, kind="stream")
            except Fault:
                continue
            except Exception as problem:
                found.append(f"{path.parent.name} to {target}: {problem!r:.90}: {wire!r:.300}")
    return found


def test_a_spoilt_stream_is_read_or_ends_with_a_fault() -> None:
    assert len(STREAMS) > 4
    assert crashes_of_streams(seed=1, most=120) == []


@pytest.mark.long
def test_many_spoilt_streams() -> None:
    assert crashes_of_streams(seed=2, most=20_000) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
@pytest.mark.parametrize("source", NAMES)
def test_many_spoilt_bodies(source: str, seed: int) -> None:
    assert [c for kind in KINDS for c in crashes(source, kind, seed, most=5000)] == []
