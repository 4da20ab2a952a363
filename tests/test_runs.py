"""Pieces of a text that come together: read and written at once, and the same as one by one.

That reading is the same whatever the chunking is for `test_recorded_traffic` and `test_fuzz`; here stand what
is written, what pieces may hold, and that the quick way is taken at all.
"""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS, runs
from fungible.losses import Report

from . import recordings

HARD = ['",', '"', '","', "\\", '\\","', ",", "]", "\n\n", "\u2028", "é", "", "}}", 'a","b']
"""Texts that look like what stands between two of them."""

texts = st.lists(st.text(min_size=1) | st.sampled_from([text for text in HARD if text]), min_size=1)
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
spoken = pytest.mark.parametrize("name", list(DIALECTS))


def told(said: list[str], choice: int = 0) -> list[ev.StreamEvent]:
    events: list[ev.StreamEvent] = [ev.Begin("id", "model", 1), ev.PartBegin(ir.Text(text=""), 0, choice)]
    events += [ev.TextDelta(said[0], 0, choice), ev.TextRun(said[1:], 0, choice)] if said[1:] else []
    events += [ev.PartEnd(0, choice), ev.End(ir.Stop(reason="end"), choice)]
    return [*events, ev.UsageSeen(ir.Usage(input_tokens=1, output_tokens=2)), ev.Done()]


def written(name: str, events: list[ev.StreamEvent]) -> tuple[bytes, list[object]]:
    report = Report()
    made = DIALECTS[name].stream_writer(report, True).write(events)
    return made, list(report.losses)


@spoken
def test_a_run_is_written_as_its_deltas(name: str) -> None:
    @QUICK
    @given(texts, st.sampled_from([0, 1]))
    def holds(said: list[str], choice: int) -> None:
        events = told(said, choice)
        assert written(name, events) == written(name, ev.singly(events))

    holds()


@spoken
def test_a_run_that_nothing_began_is_written_as_its_deltas(name: str) -> None:
    for events in ([ev.TextRun(["a", "b"])], [ev.Begin("i", "m"), ev.TextRun(["a", "b"], 1), ev.Done()]):
        assert written(name, events) == written(name, ev.singly(events))


@QUICK
@given(texts, st.binary(max_size=8), st.binary(max_size=8))
def test_frames_of_texts(said: list[str], before: bytes, after: bytes) -> None:
    singly = b"".join([before + msgspec.json.encode(text) + after for text in said])
    assert runs.write(said, before, after) == singly


@QUICK
@given(st.lists(st.text() | st.sampled_from(HARD), min_size=1))
def test_pieces_that_are_strings(said: list[str]) -> None:
    assert runs.read([msgspec.json.encode(text) for text in said]) == [text for text in said if text]


PIECES = st.lists(
    st.sampled_from(
        [b'"a"', b'"a', b'b"', b'"a","b"', b"", b" ", b",", b"null", b'"\\', b'" "', b"\xff", b"1"]
    ),
    min_size=1,
    max_size=6,
)


@QUICK
@given(PIECES)
def test_pieces_are_taken_together_only_where_each_is_a_string(pieces: list[bytes]) -> None:
    """Two wrongs make no right: half a string goes with no other half, two for one with none."""
    try:
        singly = [msgspec.json.decode(piece, type=str) for piece in pieces]
    except (msgspec.DecodeError, UnicodeDecodeError):
        assert runs.read(pieces) is None
    else:
        assert runs.read(pieces) == [text for text in singly if text]


@pytest.mark.parametrize("name", ["openai.chat", "anthropic.messages"])
def test_deltas_that_come_together_are_read_at_once(name: str) -> None:
    said = [f"word {n} " for n in range(20)]
    wire, _ = written(name, ev.singly(told(said)))
    events = DIALECTS[name].stream_reader().gather(wire)
    assert [event.texts for event in events if isinstance(event, ev.TextRun)] == [said[1:]]
    assert ev.singly(events) == DIALECTS[name].stream_reader().feed(wire)
    assert ev.assemble(events) == ev.assemble(ev.singly(events))


@spoken
def test_recorded_streams_are_written_alike(name: str) -> None:
    for id_, text in recordings.streams(name):
        wire = recordings.wire_bytes(text, name)
        gathered = DIALECTS[name].stream_reader().gather(wire)
        singly = DIALECTS[name].stream_reader().feed(wire)
        for target in DIALECTS:
            assert written(target, gathered) == written(target, singly), (id_, target)
