"""Field coverage: every field and every word of the official SDKs' types is carried or its loss is told.

What is walked are the types of the installed SDKs, so a new version that brings a field is asked about it.
"""

import json

import msgspec
import pytest
from pydantic import BaseModel, TypeAdapter

from fungible.dialects import DIALECTS

from .coverage import page, types
from .coverage.specimens import Walk
from .coverage.verdicts import SILENT, Remembering, Streaming, verdict
from .coverage.walked import KINDS, specimens, walked, wire_bytes

NAMES = sorted(DIALECTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", sorted(types.SOURCES))
def test_every_field_is_carried_or_its_loss_is_told(source: str, kind: str) -> None:
    rows, problems = walked(source, kind)
    assert rows
    assert not problems, f"{len(problems)}:\n  " + "\n  ".join(problems[:40])


@pytest.mark.parametrize("source", NAMES)
def test_within_a_dialect_every_field_is_moved_as_it_stands(source: str) -> None:
    spoken = DIALECTS[source]
    for specimen in specimens(source, "request"):
        body = msgspec.json.encode(specimen.body)
        model = specimen.body.get("model")
        moved = spoken.readdress(body, spoken.peek(body), model or "m-1", False)
        assert msgspec.json.decode(moved) == specimen.body, specimen.field


@pytest.mark.parametrize("source", NAMES)
def test_within_a_dialect_every_event_is_moved_as_it_stands(source: str) -> None:
    for body in {json.dumps(specimen.body) for specimen in specimens(source, "stream")}:
        wire = wire_bytes(source, json.loads(body))
        watch = DIALECTS[source].watch(True)
        assert watch.feed(wire) + watch.end() == wire, body


def test_the_page_is_current() -> None:
    assert page.PATH.read_text(encoding="utf-8") == page.written(), "run: make coverage-page"


@pytest.mark.parametrize("written", types.WRITTEN)
def test_types_written_down_here_have_every_field_of_the_sdk(written: type[BaseModel]) -> None:
    assert types.WRITTEN[written]() <= set(written.model_fields)


def test_a_field_that_nobody_knows_yet_is_walked() -> None:
    class Newer(BaseModel):
        model: str
        hologram: bool = False

    words = {(s.field, s.word) for s in Walk(TypeAdapter(Newer).json_schema()).specimens()}
    assert words == {("model", None), ("hologram", True), ("hologram", False)}


def test_a_writer_that_forgets_a_field_is_silent() -> None:
    class Forgetting(Remembering):
        def outcome(self, body):
            return super().outcome({name: value for name, value in body.items() if name != "temperature"})

    words = Forgetting("openai.chat", "anthropic.messages", "request")
    found = {s.field: verdict(s, words).mark for s in specimens("openai.chat", "request")}
    assert [field for field, mark in found.items() if mark == SILENT] == ["temperature"]


def test_a_reader_that_forgets_a_field_of_an_event_is_silent() -> None:
    class Forgetting(Streaming):
        def outcome(self, body):
            forgot = [{n: v for n, v in frame.items() if n != "system_fingerprint"} for frame in body]
            return super().outcome(forgot)

    words = Forgetting("openai.chat", "anthropic.messages", "stream")
    found = {s.field: verdict(s, words).mark for s in specimens("openai.chat", "stream")}
    assert [field for field, mark in found.items() if mark == SILENT] == ["system_fingerprint"]
