"""Ollama's `POST /api/generate`: the official SDK on providers of three dialects, and what a chat cannot carry."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import ollama
import pytest

from fungible import translate
from fungible.dialects import DIALECTS, PROMPTED
from fungible.events import TextDelta, UsageSeen
from tests.answering import alpha_reply, beta_reply
from tests.recordings import WIRE, needs_recordings
from tests.serving import Running
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

NAME = "ollama.generate"
MORE = """
[provider.gamma]
dialect = "ollama.chat"
base_url = "{gamma}"

[model."gamma/three"]
input_usd_per_mtok = 0
output_usd_per_mtok = 0
"""
HEAD = {"model": "three", "created_at": "2026-01-02T03:04:05.123456789Z"}
END = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7, "context": [1, 2]}
PNG = base64.b64encode(bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32).decode()


def gamma(seen: Seen) -> Sequence[Step]:
    assert seen.path == "/api/generate", seen.path
    if seen.json.get("stream") is False:
        return answer(200, JSON, {**HEAD, "response": "Hello from gamma", **END})
    lines: list[dict[str, Any]] = [{**HEAD, "response": t, "done": False} for t in ("Hello ", "from gamma")]
    lines.append({**HEAD, "response": "", **END})
    return stream(*[json.dumps(line).encode() + b"\n" for line in lines])


class Stage:
    def __init__(self, running: Running, providers: dict[str, Upstream]) -> None:
        self.running, self.providers = running, providers
        bearer = {"Authorization": f"Bearer {running.key}"}
        self.sdk = ollama.Client(host=running.url, headers=bearer)

    def sent(self, model: str) -> Any:
        return self.providers[model.partition("/")[0]].seen[-1].json


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream(alpha_reply) as one, Upstream(beta_reply) as two, Upstream(gamma) as three:
        more = MORE.format(gamma=three.base)
        running = Running(tmp_path_factory.mktemp("generate"), one.base, two.base, more=more)
        yield Stage(running, {"alpha": one, "beta": two, "gamma": three})
        running.close()


TARGETS = pytest.mark.parametrize("model", ["alpha/one", "beta/two", "gamma/three"])


@TARGETS
def test_whole(stage: Stage, model: str) -> None:
    reply = stage.sdk.generate(model=model, prompt="Hello", system="Be brief", options={"num_predict": 20})
    assert reply.response == f"Hello from {model.partition('/')[0]}"
    assert (reply.done, reply.done_reason, reply.prompt_eval_count, reply.eval_count) == (True, "stop", 11, 7)


@TARGETS
def test_streamed(stage: Stage, model: str) -> None:
    parts = list(stage.sdk.generate(model=model, prompt="Hello", stream=True))
    said = "".join(part.response or "" for part in parts)
    assert said.replace(" ", "") == f"Hello from {model.partition('/')[0]}".replace(" ", "")
    assert [part.done for part in parts][-1] is True and parts[-1].eval_count == 7


def test_an_ollama_server_gets_the_very_request(stage: Stage) -> None:
    asked: Any = {
        "prompt": "a",
        "suffix": "b",
        "raw": True,
        "context": [1],
        "keep_alive": "5m",
        "images": [PNG],
    }
    stage.sdk.generate(model="gamma/three", **asked)
    assert {k: stage.sent("gamma/three")[k] for k in asked} == asked
    stage.sdk.generate(model="alpha/one", prompt="a", system="s", images=[PNG])
    said = stage.sent("alpha/one")["messages"]
    assert said[0] == {"role": "system", "content": "s"}
    assert [block["type"] for block in said[1]["content"]] == ["text", "image_url"]


@pytest.mark.parametrize("target", sorted(DIALECTS))
def test_what_a_chat_cannot_carry_is_told(target: str) -> None:
    body = {
        "model": "m",
        "prompt": "a",
        "suffix": "b",
        "raw": True,
        "template": "t",
        "context": [1],
        "stream": False,
    }
    made = translate(body, source=NAME, target=target)
    assert {"suffix", "raw", "template", "context"} <= {loss.path for loss in made.losses}
    assert "suffix" not in json.dumps(made.body)


def test_there_and_back() -> None:
    body = {
        "model": "m", "prompt": "a", "system": "s", "suffix": "b", "raw": True, "images": [PNG], "stream": False,
        "format": "json", "think": True, "options": {"num_predict": 5, "num_ctx": 9}, "keep_alive": 3,
    }  # fmt: skip
    same = translate(body, source=NAME, target=NAME)
    assert (same.body, same.losses) == (body, ())
    talk = {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                                       {"role": "user", "content": "c"}]}  # fmt: skip
    made = translate(talk, source="openai.chat", target=NAME)
    assert made.body["prompt"] == "a\n\nb\n\nc"
    assert {"messages[0]", "messages[1]"} <= {loss.path for loss in made.losses}


@needs_recordings
def test_recorded_answers() -> None:
    spoken, seen = PROMPTED[NAME], 0
    for line in (WIRE / "other.ollama.generate.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["request"]["body_kind"] == "json":
            translate(record["request"]["body"], source=NAME, target="openai.chat")
        told = record["response"]
        if told["status"] != 200:
            continue
        seen += 1
        if told["body_kind"] == "json":
            back = translate(told["body"], source=NAME, target=NAME, kind="response")
            assert back.body["response"] == told["body"]["response"] and not back.losses
            continue
        reader = spoken.stream_reader()
        events = reader.feed(told["body"].encode()) + reader.end()
        lines = [json.loads(one) for one in told["body"].splitlines() if one.strip()]
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == "".join(one.get("response", "") for one in lines)
        assert any(isinstance(event, UsageSeen) for event in events)
    assert seen
