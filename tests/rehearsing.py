"""A rehearsal's stage: recordings made up, an incumbent and candidates on scripted providers, one state folder.

Every request says in its last words what it wants and its number (`#17`), so that a candidate fails where the
test says, and nowhere else.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from fungible.recording import Recording
from fungible.recordings import Recordings
from fungible.switch.agenda import planned
from fungible.switch.runs import Run, Settings
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

CONFIG = """
[server]
state = "state"

[record."*"]

[provider.old]
dialect = "openai.chat"
base_url = "{old}/v1"
key = "env:TEST_KEY"

[provider.new]
dialect = "anthropic.messages"
base_url = "{new}"
key = "env:TEST_KEY"

[model."old/one"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."new/two"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 5.00

[model."new/three"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 5.00
"""

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "default": "C"}},
    "required": ["city"],
}
NUMBER = re.compile(r"(chat|json|tool)[^#]*#(\d+)")

Fails = Callable[[str, int], str | None]
"""(kind, number) -> how this answer goes wrong: `error`, `schema`, `tool`, `refuse`, `short`, `slow`; None: not."""


def begun(state: Path, recordings: Sequence[Recording], wanted: Settings, most: int | None = None) -> Run:
    """A run of recordings that are put on the shelf for it."""
    Recordings(state).append(recordings)
    return Run.begun(state, *planned(Recordings(state), wanted, most))


def asked(kind: str, n: int, streams: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "assistant",
        "messages": [{"role": "user", "content": f"{kind}, please. #{n}"}],
        "max_tokens": 200,
    }
    if kind == "json":
        form = {"name": "n", "schema": SCHEMA, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if kind == "tool":
        function = {"name": "weather", "parameters": WEATHER}
        body["tools"] = [{"type": "function", "function": function}]
    return {**body, "stream": True} if streams else body


def recorded(n: int, kind: str, *, group: str = "", streams: bool = False) -> Recording:
    """What the incumbent answered then."""
    message: dict[str, Any] = {"role": "assistant", "content": f"The answer to number {n} is plain."}
    finish = "stop"
    if kind == "json":
        message["content"] = json.dumps({"n": n})
    if kind == "tool":
        function = {"name": "weather", "arguments": json.dumps({"city": f"C{n}"})}
        call = {"id": "c1", "type": "function", "function": function}
        message, finish = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    reply = {
        "id": f"r{n}", "object": "chat.completion", "created": 1, "model": "one",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }  # fmt: skip
    return Recording(
        id=f"call-{n}", at_ms=1_000_000 + n, route="assistant", dialect="openai.chat",
        request=msgspec.Raw(json.dumps(asked(kind, n, streams)).encode()),
        provider="old", model="one", reply=msgspec.Raw(json.dumps(reply).encode()),
        stream=streams, group=group, duration_ms=50.0, first_ms=20.0 if streams else None,
        input_tokens=100, output_tokens=20, cost_nanousd=450_000,
    )  # fmt: skip


def said_by_candidate(fails: Fails) -> Callable[[Seen], Sequence[Step]]:
    """A provider in anthropic.messages that answers as the incumbent did, but where it `fails`."""

    def respond(seen: Seen) -> Sequence[Step]:
        body = seen.json
        found = NUMBER.search(json.dumps(body["messages"][-1]))
        assert found is not None, body
        kind, n = found[1], int(found[2])
        wrong = fails(kind, n)
        if wrong == "error":
            error = {"type": "error", "error": {"type": "api_error", "message": "No."}}
            return answer(400, JSON, error)
        text = f"The answer to number {n} is plain, too."
        if kind == "json":
            text = json.dumps({"n": str(n) if wrong == "schema" else n})
        if wrong == "refuse":
            text = "I'm sorry, but I can't help with that."
        blocks: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if kind == "tool" and wrong != "refuse":
            city = f"C{n}" if wrong != "tool" else "elsewhere"
            blocks = [
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": city, "unit": "C"}}
            ]
        stop = "tool_use" if kind == "tool" else "max_tokens" if wrong == "short" else "end_turn"
        message = {
            "id": "m1", "type": "message", "role": "assistant", "model": "two", "content": blocks,
            "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 90, "output_tokens": 30},
        }  # fmt: skip
        wait: list[Step] = [0.05] if wrong == "slow" else []
        if body.get("stream"):
            from tests.answering import beta_events

            return stream(*wait, *beta_events(message))
        return [*wait, *answer(200, JSON, message)]

    return respond


def never(_: str, __: int) -> None:
    return None


def said_by_incumbent(seen: Seen) -> Sequence[Step]:
    found = NUMBER.search(json.dumps(seen.json["messages"][-1]))
    assert found is not None
    made = recorded(int(found[2]), found[1])
    return answer(200, JSON, json.loads(bytes(made.reply or b"")))


class Stage:
    """`fails` of the candidate `new`; the incumbent `old` answers as it did."""

    def __init__(self, folder: Path, fails: Fails = never) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "fungible.toml"
        self._stack = ExitStack()
        self.old = Upstream(said_by_incumbent)
        self.new = Upstream(said_by_candidate(fails))

    def __enter__(self) -> "Stage":
        for upstream in (self.old, self.new):
            self._stack.enter_context(upstream)
        self.config.write_text(CONFIG.format(old=self.old.base, new=self.new.base))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fill(self, recordings: Sequence[Recording]) -> None:
        Recordings(self.state).append(recordings)

    def program(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            self.command(*words), check=False, cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "fungible", "switch", *words]

    @property
    def env(self) -> dict[str, str]:
        import os

        return {**os.environ, "TEST_KEY": "k", "NO_PROXY": "127.0.0.1"}

    def rehearsed(self, *words: str) -> dict[str, Any]:
        done = self.program("rehearse", "--json", "--concurrency", "16", *words)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def measure(candidate: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in candidate["measures"] if row["measure"] == name)
    return row
