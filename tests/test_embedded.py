"""The embedded engine with the shipped model: real weights, real llama.cpp, no stand-ins."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xllamacpp")

from fungible import fleet
from fungible.faults import Fault
from fungible.fleet import embedded
from fungible.fleet.gguf import read_head
from fungible.world import Headers, Origin, Outgoing

sys.path.append(str(Path(__file__).parents[1] / "training"))
import measure

MODEL = Path(fleet.__file__).parents[1] / "data" / "llama.gguf"
# What the model card says can be relied on, less a margin for what it may miss.
CLAIMED = {
    "about itself, greetings": 0.8,
    "questions about fungible": 0.7,
    "refuses what is outside": 0.75,
    "usual wording: order": 0.8,
    "usual wording: event": 0.8,
    "usual wording: contact": 0.75,
    "get_weather, the demo's wording": 1.0,
    "unseen tool, alone": 0.85,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Ear:
    """A sink that notes what it hears, and when it is over."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = {}
        self.parts: list[bytes] = []
        self.fault: Fault | None = None
        self.over = asyncio.Event()
        self.first = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        raise AssertionError("the engine tells piece by piece")

    def on_head(self, status: int, headers: Headers) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.status, self.headers = status, headers

    def on_body(self, data: bytes) -> None:
        assert self.status
        self.parts.append(data)
        self.first.set()

    def on_end(self) -> None:
        assert not self.over.is_set()
        self.over.set()

    def on_lost(self, fault: Fault) -> None:
        self.fault = fault
        self.over.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        assert self.body.endswith(b"data: [DONE]\n\n")
        return [json.loads(e.removeprefix("data: ")) for e in self.body.decode().split("\n\n")[:-2]]


def outgoing(path: str = "/v1/chat/completions", **body: Any) -> Outgoing:
    said = {"model": "llama", "max_tokens": 100, **body}
    return Outgoing(Origin("local", "local", 0), path, b"", json.dumps(said).encode())


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def ask(engine: embedded.Embedded, path: str = "/v1/chat/completions", **body: Any) -> Ear:
    ear = Ear()
    engine.send(outgoing(path, **body), ear)
    await asyncio.wait_for(ear.over.wait(), 20)
    return ear


@pytest.fixture(scope="module")
def engine():
    made = embedded.Embedded({"llama": MODEL}, context_tokens=1024)
    yield made
    made.close()


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_says_what_fungible_is(engine):
    ear = run(ask(engine, messages=user("What is fungible, in one sentence?")))
    reply = ear.json()
    assert ear.status == 200
    assert ear.headers == {b"content-type": b"application/json"}
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "llama"
    assert "gateway" in reply["choices"][0]["message"]["content"]
    assert reply["choices"][0]["finish_reason"] == "stop"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert "timings" not in reply


def test_a_stream_says_the_same_as_the_plain_answer(engine):
    question = user("Who are you?")
    plain = run(ask(engine, messages=question)).json()
    ear = run(ask(engine, messages=question, stream=True, stream_options={"include_usage": True}))
    assert ear.headers == {b"content-type": b"text/event-stream"}
    events = ear.events()
    text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
    assert text == plain["choices"][0]["message"]["content"]
    assert all(e["object"] == "chat.completion.chunk" and "timings" not in e for e in events)
    assert all(e["model"] == "llama" for e in events)
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_is_streamed_only_on_request(engine):
    events = run(ask(engine, messages=user("Hello!"), stream=True)).events()
    assert all(not e.get("usage") for e in events)


@pytest.mark.parametrize("city", ["Paris", "Oslo", "Lagos", "Lima"])
def test_calls_a_tool(engine, city):
    messages = user(f"What is the weather in {city}?")
    plain = run(ask(engine, messages=messages, tools=[WEATHER])).json()["choices"][0]
    assert plain["finish_reason"] == "tool_calls"
    (call,) = plain["message"]["tool_calls"]
    assert call["id"]
    assert call["type"] == "function"
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": city}


def test_streams_a_tool_call_and_reports_its_result(engine):
    messages: list[dict[str, Any]] = user("What is the weather in Oslo?")
    events = run(ask(engine, messages=messages, tools=[WEATHER], stream=True)).events()
    deltas = [c for e in events for x in e["choices"] for c in x["delta"].get("tool_calls") or ()]
    name = "".join(c["function"].get("name") or "" for c in deltas)
    arguments = "".join(c["function"].get("arguments") or "" for c in deltas)
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Oslo"})
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
    call = {"id": deltas[0]["id"], "type": "function", "function": {"name": name, "arguments": arguments}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "4 degrees and cloudy"},
    ]
    reply = run(ask(engine, messages=messages, tools=[WEATHER])).json()["choices"][0]
    assert reply["finish_reason"] == "stop"
    assert "Oslo" in reply["message"]["content"]
    assert "cloudy" in reply["message"]["content"]


def test_a_named_tool_is_forced(engine):
    choice = {"type": "function", "function": {"name": "get_weather"}}
    reply = run(ask(engine, messages=user("Hello!"), tools=[WEATHER], tool_choice=choice)).json()["choices"][
        0
    ]
    assert reply["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


def test_copies_fields_into_a_schema(engine):
    schema = {
        "type": "object",
        "required": ["name", "age", "city"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
    }
    reply = run(
        ask(
            engine,
            messages=user("Anna Berg, 34, lives in Oslo."),
            response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
        )
    ).json()
    assert json.loads(reply["choices"][0]["message"]["content"]) == {
        "name": "Anna Berg",
        "age": 34,
        "city": "Oslo",
    }


def test_is_as_reliable_as_its_card_says(engine):
    """Phrasings, names and tools that training never had: `training/held.py` and the held rows."""
    assert not measure.leaks()
    asked = [case for case in measure.cases() if case.group in CLAIMED]
    table = run(measure.measure(engine, asked))
    assert table.keys() == CLAIMED.keys()
    short = {g: f"{right} of {of}" for g, (right, of) in table.items() if right < CLAIMED[g] * of}
    assert not short


def test_says_plainly_what_it_cannot(engine):
    for question in ("What is the capital of France?", "Write a poem about the sea."):
        said = run(ask(engine, messages=user(question))).json()["choices"][0]["message"]["content"]
        assert said.startswith("I am too small for that")


def test_many_at_once(engine):
    async def many() -> list[Ear]:
        return await asyncio.gather(*(ask(engine, messages=user("Hi!")) for _ in range(12)))

    replies = {e.json()["choices"][0]["message"]["content"] for e in run(many())}
    assert len(replies) == 1


def test_the_loop_runs_on_during_a_generation(engine):
    async def turns() -> int:
        await ask(engine, messages=user("Hello!"))
        task = asyncio.create_task(ask(engine, messages=user("Hello!"), max_tokens=600, ignore_eos=True))
        count = 0
        while not task.done():
            await asyncio.sleep(0.005)
            count += 1
        assert (await task).json()["usage"]["completion_tokens"] == 600
        return count

    assert run(turns()) > 10


def test_cancel_is_silent_and_frees_the_slots(engine):
    async def scene() -> None:
        ears = [Ear() for _ in range(8)]  # four run, four wait; the first is not cancelled
        flows = [
            engine.send(outgoing(messages=user("Hello!"), max_tokens=900, ignore_eos=True, stream=True), e)
            for e in ears
        ]
        await asyncio.wait_for(ears[0].first.wait(), 20)
        for flow in flows[1:]:
            flow.cancel()
        heard = [len(e.parts) for e in ears[1:]]
        await ask(engine, messages=user("Hello!"), max_tokens=1)
        assert not ears[0].over.is_set()  # else the slot came from it
        await asyncio.wait_for(ears[0].over.wait(), 60)
        assert heard == [len(e.parts) for e in ears[1:]]
        assert not any(e.over.is_set() for e in ears[1:])

    run(scene())


def test_pause_holds_the_body_back(engine):
    async def scene() -> None:
        ear = Ear()
        flow = engine.send(
            outgoing(messages=user("Hello!"), max_tokens=300, ignore_eos=True, stream=True), ear
        )
        await asyncio.wait_for(ear.first.wait(), 20)
        flow.pause()
        await asyncio.sleep(0.1)
        held = len(ear.body)
        await asyncio.sleep(0.5)
        assert len(ear.body) == held
        assert not ear.over.is_set()
        flow.resume()
        await asyncio.wait_for(ear.over.wait(), 20)
        assert len(ear.body) > held

    run(scene())


def test_embeddings(engine):
    ear = run(ask(engine, "/v1/embeddings", input=["a route", "a ledger"]))
    reply = ear.json()
    assert ear.status == 200
    assert reply["model"] == "llama"
    assert [d["index"] for d in reply["data"]] == [0, 1]
    assert len(reply["data"][0]["embedding"]) > 100
    assert reply["data"][0]["embedding"] != reply["data"][1]["embedding"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "other", "messages": user("Hi")}, 404, "model_not_found"),
        ({"messages": "Hi"}, 400, None),
        ({}, 400, None),
        ({"messages": user("Hi"), "temperature": "hot"}, 400, None),
        ({"messages": user("Hi"), "tools": [{"x": 1}]}, 400, None),
        (
            {
                "messages": user("Hi"),
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "function": {"name": "x"}},
            },
            400,
            None,
        ),
        ({"messages": user("word " * 3000)}, 400, "context_length_exceeded"),
        ({"messages": user("word " * 3000), "stream": True}, 400, "context_length_exceeded"),
    ],
)
def test_errors_are_openai_errors(engine, body, status, code):
    ear = run(ask(engine, **body))
    assert ear.status == status
    assert ear.fault is None
    error = ear.json()["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert error["code"] == code


def test_a_body_that_is_no_json_is_a_bad_request(engine):
    async def scene() -> Ear:
        ear = Ear()
        engine.send(Outgoing(Origin("local", "local", 0), "/v1/chat/completions", b"", b"{"), ear)
        await asyncio.wait_for(ear.over.wait(), 5)
        return ear

    assert run(scene()).status == 400


def test_a_file_that_is_no_model_is_a_fault(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"not a model")
    broken = embedded.Embedded({"x": path, "gone": tmp_path / "gone.gguf"})
    for name in ("x", "gone"):
        ear = run(ask(broken, model=name, messages=user("Hi")))
        assert ear.fault is not None
        assert ear.fault.kind == "unavailable"
        assert str(tmp_path) in ear.fault.message
    broken.close()


def listening() -> list[str]:
    """TCP addresses this process listens on, where the system tells."""
    table, mine = Path("/proc/self/net/tcp"), Path("/proc/self/fd")
    if not table.exists():
        return []
    sockets = {os.readlink(f) for f in mine.iterdir() if os.path.lexists(f)}
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


def test_runs_on_uvloop(engine):
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask(engine, messages=user("Hello!"))).status == 200


def test_an_engine_left_open_does_not_hold_up_the_exit():
    script = (
        "import asyncio, sys; sys.path[:0] = sys.argv[1:]; import test_embedded as t; "
        "e = t.embedded.Embedded({'llama': t.MODEL}); print(t.run(t.ask(e, messages=t.user('Hi'))).status)"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", script, *paths], capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"200", b"")


def test_signal_handlers_stay_ours_and_no_port_is_opened():
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    own = embedded.Embedded({"llama": MODEL}, threads=1, context_tokens=256)
    try:
        run(ask(own, messages=user("Hello!")))
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        assert run(ask(own, messages=user("Hello!"))).status == 200
        assert not listening()
    finally:
        own.close()
        signal.signal(signal.SIGTERM, before)
    ear = run(ask(own, messages=user("Hello!")))
    assert ear.fault is not None
    assert ear.fault.kind == "unavailable"


def test_the_file_is_small_and_says_its_size():
    assert MODEL.stat().st_size <= 20_000_000
    head = read_head(MODEL)
    assert head.architecture == "llama"
    assert head.context_tokens >= 1024
