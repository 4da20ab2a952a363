"""Answers that stream in the background: a client that leaves goes on where it was, by the official SDK."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

import fungible
from tests.upstream import JSON, RESET, Seen, Step, Upstream, answer, stream

from .serving import Running
from .test_sdks_responses import gamma_reply

CONFIG = """
[server]
state = "{state}"

[provider.alpha]
dialect = "openai.chat"
base_url = "{base}/v1"
key = "env:TEST_KEY"

[provider.own]
dialect = "openai.responses"
base_url = "{base}/v1"
key = "env:TEST_KEY"
"""

WORDS = ["One ", "two ", "three ", "four ", "five."]
TEXT = "".join(WORDS)


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "one", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


CHUNKS = [chunk({"role": "assistant", "content": word}) for word in WORDS]
LAST = [chunk({}, "stop"), b"data: [DONE]\n\n"]


class Stage:
    def __init__(self, folder: Path, up: Upstream) -> None:
        self.up, self.folder = up, folder
        self.steps: list[Step] = stream(*CHUNKS, *LAST)
        up.respond = lambda seen: gamma_reply(seen) if seen.path.endswith("/responses") else self.steps
        self.open()

    def open(self) -> None:
        config = self.folder / "fungible.toml"
        config.write_text(CONFIG.format(state=self.folder / "state", base=self.up.base))
        self.client = fungible.Client(config=str(config))
        self.sdk = openai.OpenAI(
            api_key="x", base_url="http://fungible/v1", http_client=self.client.http(), max_retries=0
        )

    def ask(self, model: str = "alpha/one") -> Any:
        return self.sdk.responses.create(model=model, input="Count", background=True, stream=True)

    def rest(self, name: str, after: int) -> list[Any]:
        return list(self.sdk.responses.retrieve(name, stream=True, starting_after=after))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    with Upstream(lambda seen: []) as up:
        made = Stage(tmp_path, up)
        yield made
        made.client.close()


def text(events: list[Any]) -> str:
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


@pytest.mark.parametrize("model", ["alpha/one", "own/three"])
def test_it_is_told_in_events_and_kept(stage: Stage, model: str) -> None:
    events = list(stage.ask(model))
    name = events[0].response.id
    assert events[0].type == "response.created" and events[0].response.status == "queued"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].type == "response.completed" and events[-1].response.id == name
    said = TEXT if model == "alpha/one" else "Hello from openai"
    assert text(events) == said == stage.sdk.responses.retrieve(name).output_text
    assert stage.sdk.responses.retrieve(name).background
    again = stage.rest(name, -1)
    assert [e.to_dict() for e in again] == [e.to_dict() for e in events]


def test_a_client_that_left_goes_on_where_it_was(stage: Stage) -> None:
    stage.steps = stream(*CHUNKS[:2], 0.4, *CHUNKS[2:], *LAST)
    before = []
    with stage.ask() as events:
        for event in events:
            before.append(event)
            if event.type == "response.output_text.delta":
                break
    name, last = before[0].response.id, before[-1].sequence_number
    assert stage.sdk.responses.retrieve(name).status == "in_progress"
    after = stage.rest(name, last)
    assert [e.sequence_number for e in after] == list(range(last + 1, last + 1 + len(after)))
    assert text(before) + text(after) == TEXT and after[-1].type == "response.completed"
    with stage.sdk.responses.stream(response_id=name, starting_after=-1) as helped:
        assert helped.get_final_response().output_text == TEXT
    went_on = stage.sdk.responses.create(
        model="alpha/one", input="More", previous_response_id=name, stream=True
    )
    assert text(list(went_on)) == TEXT
    assert TEXT in stage.up.seen[-1].body.decode()


def test_it_outlives_the_process_that_made_it(stage: Stage) -> None:
    events = list(stage.ask())
    stage.client.close()
    stage.open()
    assert [e.to_dict() for e in stage.rest(events[0].response.id, 3)] == [e.to_dict() for e in events[4:]]


FAILURES: dict[str, tuple[list[Step], str]] = {
    # what the provider does -> whether something was said before
    "refused": (answer(400, JSON, {"error": {"message": "Bad thing", "type": "invalid_request_error"}}), ""),
    "broken in its middle": (stream(*CHUNKS[:2], RESET, end=False), "One two "),
}


@pytest.mark.parametrize("how", FAILURES)
def test_one_that_fails_says_so_in_an_event(stage: Stage, how: str) -> None:
    stage.steps, said = FAILURES[how]
    events = list(stage.ask())
    assert events[-1].type == "response.failed" and text(events) == said
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].response.error.message
    kept = stage.sdk.responses.retrieve(events[0].response.id)
    assert kept.status == "failed" and kept.error == events[-1].response.error
    assert stage.rest(kept.id, len(events) - 2)[0].type == "response.failed"


def test_what_is_refused(stage: Stage) -> None:
    with pytest.raises(openai.NotFoundError):
        stage.ask("nowhere/one")
    plain = stage.sdk.responses.create(model="alpha/one", input="Count", stream=True)
    name = next(iter(plain)).response.id
    list(plain)
    with pytest.raises(openai.BadRequestError, match="asked for with background and stream"):
        stage.rest(name, 0)
    events = list(stage.ask())
    name = events[0].response.id
    with pytest.raises(openai.BadRequestError) as refused:
        stage.sdk.responses.retrieve(name, stream=True, extra_query={"starting_after": "x"})
    assert refused.value.param == "starting_after"
    stage.sdk.responses.delete(name)
    with pytest.raises(openai.NotFoundError):
        stage.rest(name, 0)


def test_a_stream_that_is_cancelled_ends(stage: Stage) -> None:
    stage.steps = stream(*CHUNKS[:2], 5.0, *LAST)
    events = iter(stage.ask())
    name = next(events).response.id
    assert stage.sdk.responses.cancel(name).status == "cancelled"
    assert "response.completed" not in {e.type for e in events}
    assert stage.sdk.responses.retrieve(name).status == "cancelled"


def test_a_killed_server_s_stream_ends_as_failed_in_another_worker(tmp_path: Path) -> None:
    def respond(seen: Seen) -> list[Step]:
        return stream(*CHUNKS[:2], 30.0)

    with Upstream(respond) as up:
        server = Running(tmp_path, up.base, up.base)
        sdk = openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0)
        with sdk.responses.create(model="alpha/one", input="x", background=True, stream=True) as events:
            seen = []
            for event in events:
                seen.append(event)
                if event.type == "response.output_text.delta":
                    break
        server.kill()
        server.start()
        rest = list(
            sdk.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number)
        )
        assert rest[-1].type == "response.failed" and text(seen) + text(rest) in ("One two ", "One ")
        server.close()
        assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_any_worker_tells_what_comes(tmp_path: Path) -> None:
    """Twelve connections, which the two workers share: each is told all of it, while it is made."""

    def respond(seen: Seen) -> list[Step]:
        return stream(*CHUNKS[:2], 1.0, *CHUNKS[2:], *LAST)

    with Upstream(respond) as up:
        server = Running(tmp_path, up.base, up.base, server="workers = 2")
        first = openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0)
        with first.responses.create(model="alpha/one", input="x", background=True, stream=True) as events:
            name = next(iter(events)).response.id
        with ThreadPoolExecutor(12) as threads:
            told = list(threads.map(lambda _: followed(server, name), range(12)))
        assert told == [TEXT] * 12
        server.close()


def followed(server: Running, name: str) -> str:
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0) as sdk:
        return text(list(sdk.responses.retrieve(name, stream=True, starting_after=-1)))
