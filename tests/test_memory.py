"""Answers that a later call names, for providers that keep none: through the official SDK, to the last byte sent."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import fungible
from fungible.store import Answers
from tests.answering import alpha_reply
from tests.upstream import JSON, Seen, Step, Upstream, answer

from .serving import Running

CONFIG = """
[server]
state = "state"
keep_days = {days}

[provider.alpha]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"

[provider.own]
dialect = "openai.responses"
base_url = "{own}/v1"
key = "env:TEST_KEY"

[route.mixed]
targets = ["own/x", "alpha/one"]
"""


def own_reply(seen: Seen) -> Any:
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    message["content"] = [{"type": "output_text", "text": "Hello from own", "annotations": []}]  # type: ignore[assignment]
    body = {"id": "resp_own", "object": "response", "created_at": 1, "status": "completed", "model": "x"}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return answer(200, JSON, body | {"output": [message], "usage": usage})


class Stage:
    def __init__(self, folder: Path, alpha: Upstream, own: Upstream, days: int = 30) -> None:
        self.folder, self.alpha, self.own = folder, alpha, own
        config = folder / "fungible.toml"
        config.write_text(CONFIG.format(alpha=alpha.base, own=own.base, days=days))
        self.client = fungible.Client(config=str(config))
        self.sdk = openai.OpenAI(
            api_key="x", base_url="http://fungible/v1", http_client=self.client.http(), max_retries=0
        )

    def said(self) -> list[tuple[str, Any]]:
        """What alpha was sent last: (role, content)."""
        return [(m["role"], text_of(m["content"])) for m in self.alpha.seen[-1].json["messages"]]


def text_of(content: Any) -> str:
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return text.replace("Hellofromalpha", HELLO[1][1])  # as its stream says it


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    stages: list[Stage] = []
    with Upstream(alpha_reply) as alpha, Upstream(own_reply) as own:

        def made(days: int = 30) -> Stage:
            stages.append(Stage(tmp_path, alpha, own, days))
            return stages[-1]

        yield made
        for stage in stages:
            stage.client.close()


@pytest.fixture
def stage(make: Any) -> Stage:
    made: Stage = make()
    return made


HELLO = [("user", "One"), ("assistant", "Hello from alpha")]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_goes_on_from_an_earlier_answer(stage: Stage, streamed: bool) -> None:
    def ask(text: str, **more: Any) -> Any:
        if not streamed:
            return stage.sdk.responses.create(model="alpha/one", input=text, **more)
        with stage.sdk.responses.stream(model="alpha/one", input=text, **more) as events:
            ids = {e.response.id for e in events if e.type in ("response.created", "response.completed")}
            final = events.get_final_response()
        assert ids == {final.id}
        return final

    first = ask("One")
    second = ask("Two", previous_response_id=first.id)
    third = ask("Three", previous_response_id=second.id)
    assert len({first.id, second.id, third.id}) == 3 and first.id.startswith("resp_")
    assert stage.said() == [*HELLO, ("user", "Two"), HELLO[1], ("user", "Three")]
    again = ask("Other", previous_response_id=first.id)  # a branch
    assert stage.said() == [*HELLO, ("user", "Other")] and again.output
    kept = stage.sdk.responses.retrieve(second.id)
    assert kept.output_text == second.output_text and kept.previous_response_id == first.id


def test_what_was_kept_is_read_listed_and_deleted(stage: Stage) -> None:
    first = stage.sdk.responses.create(
        model="alpha/one", input=[{"role": "user", "content": "A"}, {"role": "user", "content": "B"}]
    )
    assert stage.sdk.responses.retrieve(first.id).id == first.id
    items = stage.sdk.responses.input_items.list(first.id, order="asc").data
    assert [item.content[0].text for item in items] == ["A", "B"]  # type: ignore[union-attr]
    page = stage.sdk.responses.input_items.list(first.id, limit=1)
    assert page.data[0].content[0].text == "B" and page.has_more  # type: ignore[union-attr]
    assert [i.content[0].text for i in page] == ["B", "A"]  # type: ignore[union-attr] # the SDK asks for the rest
    stage.sdk.responses.delete(first.id)
    for call in (
        lambda: stage.sdk.responses.retrieve(first.id),
        lambda: stage.sdk.responses.delete(first.id),
        lambda: stage.sdk.responses.input_items.list(first.id),
    ):
        with pytest.raises(openai.NotFoundError):
            call()
    with pytest.raises(openai.BadRequestError) as refused:
        stage.sdk.responses.create(model="alpha/one", input="x", previous_response_id=first.id)
    assert (
        refused.value.code == "previous_response_not_found" and refused.value.param == "previous_response_id"
    )


def test_a_gap_in_what_was_said_is_told(stage: Stage) -> None:
    first = stage.sdk.responses.create(model="alpha/one", input="One")
    second = stage.sdk.responses.create(model="alpha/one", input="Two", previous_response_id=first.id)
    stage.sdk.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match="not kept any more"):
        stage.sdk.responses.create(model="alpha/one", input="Three", previous_response_id=second.id)


@pytest.mark.parametrize("days", [0, 30])
def test_what_is_not_to_be_stored_is_not(make: Any, days: int) -> None:
    stage = make(days)
    more = {"store": False} if days else {}
    raw = stage.sdk.responses.with_raw_response.create(model="alpha/one", input="Secret", **more)
    assert "store" not in raw.headers["x-fungible-losses"]
    with pytest.raises(openai.NotFoundError):
        stage.sdk.responses.retrieve(raw.parse().id)
    files = [p for p in (stage.folder / "state").rglob("*") if p.is_file()]
    assert files and not any(b"Secret" in p.read_bytes() for p in files)


def test_what_is_deleted_is_gone_from_the_disk(stage: Stage) -> None:
    first = stage.sdk.responses.create(model="alpha/one", input="Unforgettable")
    stage.sdk.responses.delete(first.id)
    stage.client.close()
    files = [p for p in (stage.folder / "state").rglob("*") if p.is_file()]
    assert not any(b"Unforgettable" in p.read_bytes() for p in files)


def test_a_provider_that_keeps_its_own_is_left_to_it(stage: Stage) -> None:
    first = stage.sdk.responses.create(model="own/x", input="One")
    assert first.id == "resp_own" and not (stage.folder / "state" / "answers.db").exists()
    stage.sdk.responses.create(model="own/x", input="Two", previous_response_id="resp_own")
    assert stage.own.seen[-1].json["previous_response_id"] == "resp_own"
    stage.sdk.responses.create(model="mixed", input="Three")
    stage.sdk.responses.create(model="mixed", input="Four", previous_response_id="resp_own")
    assert stage.own.seen[-1].json == {"model": "x", "input": "Four", "previous_response_id": "resp_own"}


def test_a_conversation_begun_elsewhere_goes_on_at_it(stage: Stage) -> None:
    first = stage.sdk.responses.create(model="alpha/one", input="One")
    second = stage.sdk.responses.create(model="own/x", input="Two", previous_response_id=first.id)
    sent = stage.own.seen[-1].json
    assert "previous_response_id" not in sent
    assert [i["role"] for i in sent["input"]] == ["user", "assistant", "user"]
    stage.sdk.responses.create(model="alpha/one", input="Three", previous_response_id=second.id)
    assert stage.said() == [*HELLO, ("user", "Two"), ("assistant", "Hello from own"), ("user", "Three")]


def test_conversations(stage: Stage) -> None:
    talk = stage.sdk.conversations.create(
        metadata={"a": "b"}, items=[{"type": "message", "role": "user", "content": "Zero"}]
    )
    for text in ("One", "Two"):
        stage.sdk.responses.create(model="alpha/one", input=text, conversation=talk.id)
    assert stage.said() == [("user", "Zero"), *HELLO, ("user", "Two")]
    assert stage.sdk.conversations.retrieve(talk.id).metadata == {"a": "b"}
    items = stage.sdk.conversations.items.list(talk.id, order="asc").data
    assert [i.content[0].text for i in items][1:] == ["One", HELLO[1][1], "Two", HELLO[1][1]]  # type: ignore[union-attr]
    assert stage.sdk.conversations.delete(talk.id).deleted
    with pytest.raises(openai.BadRequestError) as refused:
        stage.sdk.responses.create(model="alpha/one", input="x", conversation=talk.id)
    assert refused.value.param == "conversation"


def wait(stage: Stage, name: str) -> Any:
    last = time.monotonic() + 10
    while (found := stage.sdk.responses.retrieve(name)).status in ("queued", "in_progress"):
        assert time.monotonic() < last
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("model", ["alpha/one", "own/x"])
def test_an_answer_in_the_background(stage: Stage, model: str) -> None:
    queued = stage.sdk.responses.create(model=model, input="One", background=True)
    assert queued.status == "queued" and queued.background and not queued.output
    done = wait(stage, queued.id)
    assert (done.status, done.id, done.background) == ("completed", queued.id, True)
    assert done.output_text == f"Hello from {model.partition('/')[0]}"
    stage.sdk.responses.create(model="alpha/one", input="Two", previous_response_id=queued.id)
    assert stage.said()[0] == ("user", "One")


def test_one_that_fails_says_so(stage: Stage) -> None:
    queued = stage.sdk.responses.create(model="alpha/one", input="refuse me", background=True)
    done = wait(stage, queued.id)
    assert done.status == "failed" and done.error.message == "Bad thing"
    with pytest.raises(openai.NotFoundError):
        stage.sdk.responses.create(model="nowhere", input="One", background=True)
    with pytest.raises(openai.BadRequestError):
        stage.sdk.responses.create(model="alpha/one", input="One", background=True, store=False)


def test_one_is_cancelled(stage: Stage) -> None:
    slow: list[Step] = [5.0, *answer(200, JSON, {})]
    stage.alpha.respond = lambda seen: slow
    queued = stage.sdk.responses.create(model="alpha/one", input="One", background=True)
    assert stage.sdk.responses.retrieve(queued.id).status == "in_progress"
    assert stage.sdk.responses.cancel(queued.id).status == "cancelled"
    assert stage.sdk.responses.retrieve(queued.id).status == "cancelled"
    assert stage.alpha.seen[-1].closed.wait(5), "the provider was not told"


def test_what_is_old_is_deleted(stage: Stage) -> None:
    first = stage.sdk.responses.create(model="alpha/one", input="One")
    stage.sdk.conversations.create()
    answers = Answers(stage.folder / "state")
    assert answers.expire(1_000) == 0 and answers.expire(2**62) == 2
    answers.close()
    with pytest.raises(openai.NotFoundError):
        stage.sdk.responses.retrieve(first.id)


def test_a_key_finds_its_own_only_and_a_killed_server_s_answers_have_failed(tmp_path: Path) -> None:
    with Upstream(alpha_reply) as alpha, Upstream(own_reply) as beta:
        server = Running(tmp_path, alpha.base, beta.base)
        other = server.program("keys", "create", "--name", "other")["key"]
        time.sleep(1.5)  # keys are looked at once a second
        mine, theirs = [
            openai.OpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=0)
            for key in (server.key, other)
        ]
        first = mine.responses.create(model="alpha/one", input="One")
        assert mine.responses.retrieve(first.id).id == first.id
        with pytest.raises(openai.NotFoundError):
            theirs.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError):
            theirs.responses.create(model="alpha/one", input="Two", previous_response_id=first.id)
        with pytest.raises(openai.AuthenticationError):
            mine.with_options(api_key="wrong").responses.retrieve(first.id)
        alpha.respond = lambda seen: [30.0]
        queued = mine.responses.create(model="alpha/one", input="One", background=True)
        server.kill()
        server.start()
        assert mine.responses.retrieve(queued.id).status == "failed"
        assert mine.responses.retrieve(first.id).output_text == "Hello from alpha"
        server.close()
        assert "Traceback" not in (tmp_path / "server.log").read_text()
