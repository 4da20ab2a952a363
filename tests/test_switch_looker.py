"""What the guards of answers see of live traffic, and what they must not take for good or bad."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible.account import Settled
from fungible.call import Asking, Call
from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.policies.share import Mark
from fungible.recordings import Recordings
from fungible.recordings.recorder import Recorder
from fungible.recordings.rules import Rule, Rules
from fungible.store import Switches
from fungible.switch.looker import Looker
from tests.rollouts import SCHEMA
from tests.targets import catalogue
from tests.test_policies import key

NOW = 1_700_000_000_000
MARK = Mark("s1", "c", 1, 5, 6, 7)
CHAT = DIALECTS["openai.chat"]


class Hearing:
    """A client that is not asked for anything."""

    def reply(self, status: int, head: bytes, body: bytes) -> None: ...

    def start(self, status: int, head: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


def recorder(folder: Path, rules: dict[str, Rule] | None = None) -> Recorder:
    made = Recorder(folder, Rules(rules or {}), lambda: NOW, lambda: 5.0)
    made.onlooker = looker = Looker(folder, lambda: NOW)
    looker.guards = {"s1": ("schema", "willing", "calls")}
    made.looked = frozenset({"both"})
    return made


def told(recorder: Recorder, content: str, *, name: str = "c-1", mark: Mark = MARK, **more: Any) -> None:
    """One exchange, as the gateway tells of it."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    messages = [{"role": "user", "content": "Hi"}]
    body = json.dumps(
        {"model": more.pop("model", "both"), "messages": messages, "response_format": schema}
    ).encode()
    call = Call(name, Asking(CHAT, tags=more.pop("tags", "")), CHAT, body, CHAT.peek(body), 4.0, key())
    client = recorder.tap(call, Hearing())
    call.route = catalogue().route("both")
    if not call.asking.tags:
        call.asking = msgspec.structs.replace(call.asking, tags=mark.tag() + ",team=x")
    attempt, fault = f"{name}.{more.pop('n', 1)}", more.pop("fault", None)
    recorder.settled(name, Settled(attempt, "settled", NOW, 1, 1, fault=fault), call.route.targets[0])
    reply = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
    }  # fmt: skip
    client.reply(more.pop("status", 200), b"", json.dumps(reply).encode() if content else b"{")
    recorder.over(call)
    recorder.drain()


def rows(folder: Path) -> list[tuple[str, str, dict[str, float]]]:
    switches = Switches(folder)
    try:
        return [(row.attempt, row.mark, row.scores) for row in switches.judged(0, 100)]
    finally:
        switches.close()


def test_an_answer_is_looked_at_and_nothing_of_it_is_written(tmp_path: Path) -> None:
    here = recorder(tmp_path)
    told(here, '{"city": "Oslo"}')
    told(here, '{"town": "Oslo"}', name="c-2")
    told(here, "I'm sorry, but I can't help with that.", name="c-3")
    assert rows(tmp_path) == [
        ("c-1.1", MARK.tag(), {"schema": 0.0, "willing": 0.0}),
        ("c-2.1", MARK.tag(), {"schema": 1.0, "willing": 0.0}),
        ("c-3.1", MARK.tag(), {"willing": 1.0}),
    ]
    assert not list(Recordings(tmp_path).read("both"))


@pytest.mark.parametrize(
    "what",
    [{"n": 2}, {"fault": "provider_error"}, {"mark": MARK._replace(switch="s9")}, {"model": "reverse"}, {"status": 500}],
    ids=str,
)  # fmt: skip
def test_what_is_not_looked_at(tmp_path: Path, what: dict[str, Any]) -> None:
    told(recorder(tmp_path), '{"town": "Oslo"}', **what)
    assert rows(tmp_path) == []


def test_an_answer_that_is_none(tmp_path: Path) -> None:
    told(recorder(tmp_path), "")
    assert rows(tmp_path) == []


def test_a_shadow_is_looked_at_and_not_recorded(tmp_path: Path) -> None:
    here = recorder(tmp_path, {"*": Rule()})
    told(here, '{"city": "Oslo"}', name="c-1")
    told(here, '{"town": "Oslo"}', name="c-1-shadow", tags=MARK._replace(side="s").tag())
    assert [scores["schema"] for _, _, scores in rows(tmp_path)] == [0.0, 1.0]
    assert [recording.id for recording in Recordings(tmp_path).read("both")] == ["c-1"]


def test_what_the_disk_does_not_take_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = recorder(tmp_path)
    full = Fault("unavailable", "The disk is full.")
    with monkeypatch.context() as patched:
        patched.setattr(Switches, "judge", lambda *_: (_ for _ in ()).throw(full))
        told(here, '{"city": "Oslo"}')
        told(here, '{"town": "Oslo"}', name="c-2")
    assert rows(tmp_path) == []
    told(here, '{"city": "Oslo"}', name="c-3")
    assert [scores["schema"] for _, _, scores in rows(tmp_path)] == [0.0, 1.0, 0.0]
    here.close()
