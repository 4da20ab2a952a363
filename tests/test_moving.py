"""Between a client and a provider of the same dialect the bytes are moved; what a quirk forbids is written anew."""

import json
from typing import Any

import pytest

from fungible.call import Asking, Call, Local, Settings
from fungible.dialects import DIALECTS
from fungible.exchange import Exchange
from fungible.keys import KeyRing
from fungible.models import Catalogue
from tests.targets import enabled


class World:
    """Implements `exchange.World`: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.rows: list[Any] = []

    def clock(self) -> float:
        return 1.0

    def wall_ms(self) -> int:
        return 1

    def chance(self) -> float:
        return 0.5

    def send(self, target: Any, outgoing: Any, sink: Any) -> "World":
        self.sent.append(outgoing)
        return self

    def cancel(self) -> None: ...

    def opened(self, row: Any) -> None:
        self.rows.append(row)

    def settled(self, row: Any, call: Any, target: Any) -> None:
        self.rows.append(row)

    def over(self, call: Any) -> None: ...


class Client:
    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.told = (status, head, body)


def sent(body: bytes, dialect: str = "openai.chat", quirks: frozenset[str] = frozenset()) -> bytes:
    base = "http://127.0.0.1:1/v1" if dialect == "openai.chat" else "http://127.0.0.1:1"
    catalogue = Catalogue({"p": enabled("p", dialect, base, quirks=quirks)}, {}, {}, {})
    local = Local(KeyRing({}), catalogue, Settings(open=True), lambda target, ms: None)
    world, client = World(), Client()
    spoken = DIALECTS[dialect]
    call = Call("c", Asking(spoken), spoken, body, spoken.peek(body), 1.0)
    Exchange(call, client, local, world).begin()  # type: ignore[arg-type]
    assert world.sent, client.told
    outgoing: bytes = world.sent[0].body
    return outgoing


ODD = b'{ "model" : "p/m",\n "messages":[{"role":"user","content":"\\u0048i"}], "zzz": 1.0, "max_tokens":5 }'


@pytest.mark.parametrize("dialect", ["openai.chat", "anthropic.messages"])
def test_only_the_model_s_name_changes(dialect: str) -> None:
    assert sent(ODD, dialect) == ODD.replace(b'"p/m"', b'"m"')


def test_a_stream_is_also_asked_for_its_usage() -> None:
    body = ODD.replace(b'"zzz": 1.0', b'"stream": true')
    moved = json.loads(sent(body))
    assert moved.pop("stream_options") == {"include_usage": True}
    assert moved == {**json.loads(body), "model": "m"}


def test_a_provider_that_cannot_be_asked_is_not() -> None:
    body = ODD.replace(b'"zzz": 1.0', b'"stream": true')
    assert sent(body, quirks=frozenset({"no_stream_options"})) == body.replace(b'"p/m"', b'"m"')


@pytest.mark.parametrize(
    ("quirk", "asked", "expected"),
    [
        ("max_tokens", {"max_completion_tokens": 7}, {"max_tokens": 7}),
        ("no_parallel_tool_calls", {"parallel_tool_calls": False}, {}),
        ("no_stream_options", {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    ],
)
def test_what_a_quirk_forbids_is_written_anew(
    quirk: str, asked: dict[str, Any], expected: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    body = {"model": "p/m", "messages": messages, "tools": tools, **asked}
    assert json.loads(sent(json.dumps(body).encode(), quirks=frozenset({quirk}))) == {
        "model": "m", "messages": messages, "tools": tools, **expected,
    }  # fmt: skip


def test_a_developer_becomes_a_system_where_there_is_no_such_role() -> None:
    body = {"model": "p/m", "messages": [{"role": "developer", "content": "Hi"}]}
    moved = json.loads(sent(json.dumps(body).encode(), quirks=frozenset({"no_developer_role"})))
    assert moved["messages"] == [{"role": "system", "content": "Hi"}]


def test_a_quirk_that_nothing_in_the_request_touches_moves_the_bytes() -> None:
    touched = DIALECTS["openai.chat"].rewrites
    every = frozenset(q for q, mark in touched.items() if mark != b'"model"')  # which is in all of them
    assert sent(ODD, quirks=every) == ODD.replace(b'"p/m"', b'"m"')
