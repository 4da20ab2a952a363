"""A real server of two workers with a route on its way, scripted providers behind it, and callers before it."""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fungible.store import Switches
from fungible.switch import account
from tests.faulty import CHAT, MESSAGES, Wire
from tests.serving import Running
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

Play = Callable[[Wire, Seen, random.Random], Sequence[Step]]
MORE = """
[model."beta/new"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 5.00
"""
OLD, NEW = "alpha/one", "beta/new"


def well(wire: Wire, seen: Seen, _chance: random.Random) -> Sequence[Step]:
    if seen.json.get("stream"):
        return stream(*wire.open, *wire.content, *wire.end)
    return answer(200, JSON, wire.reply)


def failing(share: float, base: Play = well) -> Play:
    def play(wire: Wire, seen: Seen, chance: random.Random) -> Sequence[Step]:
        if chance.random() < share:
            return answer(500, JSON, wire.error("api_error", "made up"))
        return base(wire, seen, chance)

    return play


def taking(low_s: float, high_s: float) -> Play:
    return lambda wire, seen, chance: [chance.uniform(low_s, high_s), *well(wire, seen, chance)]


class Rig:
    """Providers `alpha` and `beta`, whose models do as `plays` says, and the server before them."""

    def __init__(self, folder: Path, *, workers: int = 2, more: str = MORE, **plays: Play) -> None:
        self.plays = {"one": well, "two": well, "new": well} | plays
        self.chance = random.Random(7)
        self.alpha = Upstream(self._by(CHAT)).__enter__()
        self.beta = Upstream(self._by(MESSAGES)).__enter__()
        self.running = Running(
            folder, self.alpha.base, self.beta.base, server=f"workers = {workers}", more=more
        )
        self.state = folder / "state"

    def _by(self, wire: Wire) -> Callable[[Seen], Sequence[Step]]:
        return lambda seen: self.plays[seen.json["model"]](wire, seen, self.chance)

    def start(self, *words: str, to: str = NEW, route: str = "both") -> dict[str, Any]:
        told: dict[str, Any] = self.running.program("switch", "start", "--route", route, "--to", to, *words)
        return told

    def told(self, route: str = "both") -> dict[str, Any]:
        """The switch of a route as JSON, without a process for it."""
        switches = Switches(self.state)
        try:
            return account.told(switches, account.found(switches.all(), route))
        finally:
            switches.close()

    def history(self, route: str = "both") -> list[dict[str, Any]]:
        switches = Switches(self.state)
        try:
            return account.history(switches, account.found(switches.all(), route).id)
        finally:
            switches.close()

    def until(
        self, condition: Callable[[dict[str, Any]], bool], seconds: float = 60.0, route: str = "both"
    ) -> dict[str, Any]:
        last = time.monotonic() + seconds
        while time.monotonic() < last:
            told = self.told(route)
            if condition(told):
                return told
            time.sleep(0.2)
        raise AssertionError(
            f"not within {seconds} s: {json.dumps(self.told(route), indent=1)}\n{self.running.said()}"
        )

    def close(self) -> None:
        self.running.close()
        self.alpha.__exit__()
        self.beta.__exit__()

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Callers:
    """Threads that hold conversations of one to three turns, come what may, by either dialect."""

    def __init__(
        self, rig: Rig, threads: int = 4, route: str = "both", turns: int = 3, more: Any = None
    ) -> None:
        self.rig, self.route, self.turns, self.more = rig, route, turns, more or {}
        self.numbers = itertools.count()
        self.dialogues: list[list[tuple[float, str]]] = []  # (when, who answered) by turns
        self.failed: list[int] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    @property
    def calls(self) -> int:
        return sum(map(len, list(self.dialogues)))

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        connection = self._connected()
        while not self.stopping.is_set():
            if chance.random() < 0.1:  # another connection, and so perhaps another worker
                connection.close()
                connection = self._connected()
            dialogue: list[tuple[float, str]] = []
            self.dialogues.append(dialogue)
            question = next(self.numbers)
            messages = [{"role": "user", "content": f"Question {question}"}]
            path = chance.choice(("/v1/chat/completions", "/v1/messages"))
            who = f"user {question % 300}"
            user = {"user": who} if path == "/v1/chat/completions" else {"metadata": {"user_id": who}}
            for _ in range(chance.randrange(1, self.turns + 1)):
                body = {
                    "model": self.route,
                    "max_tokens": 9,
                    "messages": messages,
                    **user,
                    **self.more.get(path, {}),
                }
                try:
                    connection.request("POST", path, json.dumps(body), self._headers())
                    reply = connection.getresponse()
                    data = reply.read()
                except (OSError, http.client.HTTPException):
                    connection.close()
                    time.sleep(0.02)
                    break
                if reply.status != 200:
                    self.failed.append(reply.status)
                    time.sleep(0.01)
                    break
                assert data
                dialogue.append((time.time(), reply.headers["x-fungible-target"]))
                messages = [
                    *messages,
                    {"role": "assistant", "content": "Yes"},
                    {"role": "user", "content": "Go on"},
                ]
        connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.rig.running.port, timeout=20)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.rig.running.key}", "content-type": "application/json"}

    def __enter__(self) -> "Callers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = {  # what the callers of a route ask for, in either dialect
    "schema": {
        "/v1/chat/completions": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
        },
        "/v1/messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    },
    "tools": {
        "/v1/chat/completions": {
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
        },
        "/v1/messages": {"tools": [{"name": "weather", "input_schema": SCHEMA}]},
    },
}


TWO_TOOLS = {
    "/v1/chat/completions": {
        "tools": [
            {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
            for name in ("weather", "forecast")
        ]
    },
    "/v1/messages": {"tools": [{"name": name, "input_schema": SCHEMA} for name in ("weather", "forecast")]},
}


def saying(text: Callable[[random.Random], str]) -> Play:
    """A plain answer of this text."""

    def play(wire: Wire, _seen: Seen, chance: random.Random) -> Sequence[Step]:
        reply = json.loads(json.dumps(wire.reply))
        if wire is CHAT:
            reply["choices"][0]["message"]["content"] = text(chance)
        else:
            reply["content"][0]["text"] = text(chance)
        return answer(200, JSON, reply)

    return play


def calling(tool: Callable[[random.Random], str]) -> Play:
    """A call of this tool."""

    def play(wire: Wire, _seen: Seen, chance: random.Random) -> Sequence[Step]:
        reply, name, given = json.loads(json.dumps(wire.reply)), tool(chance), {"city": "Oslo"}
        if wire is CHAT:
            function = {"name": name, "arguments": json.dumps(given)}
            message = {"role": "assistant", "content": None,
                       "tool_calls": [{"id": "c1", "type": "function", "function": function}]}  # fmt: skip
            reply["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
        else:
            reply["content"] = [{"type": "tool_use", "id": "c1", "name": name, "input": given}]
            reply["stop_reason"] = "tool_use"
        return answer(200, JSON, reply)

    return play
