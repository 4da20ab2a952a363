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
from fungible.switch.anew import CALLS_MAX, Awaited, added
from fungible.switch.looker import Looker
from fungible.switch.plan import Plan, guards_of, road
from tests.rollouts import SCHEMA
from tests.targets import catalogue
from tests.test_policies import key

NOW = 1_700_000_000_000
MARK = Mark("s1", "c", 1, 5, 6, 7)
CHAT = DIALECTS["openai.chat"]
PLAN = Plan(
    route="both", candidate="b/two", incumbents=("a/one",), steps=(0.5, 0.6, 1.0),
    guards=guards_of(["only", "schema", "willing", "calls"]),
)  # fmt: skip
COMPARING = msgspec.structs.replace(
    PLAN, anew=1.0, guards=guards_of(["only", "tools", "length", "willing"], anew=True)
)


class Hearing:
    """A client that is not asked for anything."""

    def reply(self, status: int, head: bytes, body: bytes) -> None: ...

    def start(self, status: int, head: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


def recorder(folder: Path, rules: dict[str, Rule] | None = None) -> Recorder:
    made = Recorder(folder, Rules(rules or {}), lambda: NOW, lambda: 5.0)
    made.onlooker = looker = Looker(folder, lambda: NOW)
    looker.plans = {"s1": PLAN}
    made.looked = frozenset({"both"})
    return made


def told(recorder: Recorder, content: str, *, name: str = "c-1", mark: Mark = MARK, **more: Any) -> None:
    """One exchange, as the gateway tells of it."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    messages = [{"role": "user", "content": "Hi"}]
    asked = {"model": more.pop("model", "both"), "messages": messages, "response_format": schema}
    body = json.dumps(asked | more.pop("asked", {})).encode()
    call = Call(name, Asking(CHAT, tags=more.pop("tags", "")), CHAT, body, CHAT.peek(body), 4.0, key())
    client = recorder.tap(call, Hearing())
    call.route = catalogue().route("both")
    if not call.asking.tags:
        call.asking = msgspec.structs.replace(call.asking, tags=mark.tag() + ",team=x")
    attempt, fault = f"{name}.{more.pop('n', 1)}", more.pop("fault", None)
    target = call.route.targets[more.pop("by", 1 if mark.side in "cs" else 0)]
    recorder.settled(name, Settled(attempt, "settled", NOW, 1, 1, fault=fault), target)
    message = {"role": "assistant", "content": content, "tool_calls": more.pop("calls", None)}
    reply = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
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
    [{"n": 2}, {"by": 0}, {"fault": "provider_error"}, {"mark": MARK._replace(switch="s9")}, {"model": "reverse"}, {"status": 500}],
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


# --- two answers


TOOLS = {
    "response_format": None,
    "tools": [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
        for name in ("weather", "forecast")
    ],
}


def called(here: Recorder, name: str, side: str, tool: str, city: str = "Oslo", **more: Any) -> None:
    """An answer that calls a tool, of the call `name` on this side."""
    function = {"name": tool, "arguments": json.dumps({"city": city, "days": None})}
    calls = [{"id": "t1", "type": "function", "function": function}]
    mark = MARK._replace(side=side, stage=more.pop("stage", 1), unit=more.pop("unit", 5))
    suffix = {"s": "-shadow", "a": "-anew"}.get(side, "")
    tags = mark.tag() if suffix else ""
    told(here, "-", name=name + suffix, mark=mark, tags=tags, calls=calls, asked=TOOLS, **more)


def comparing(folder: Path) -> Recorder:
    made = recorder(folder)
    made.onlooker.plans = {"s1": COMPARING}  # type: ignore[union-attr]
    return made


def found(folder: Path) -> dict[str, dict[str, float]]:
    """Attempt -> what two answers said, by whoever compares."""
    return {attempt: scores for attempt, _, scores in rows(folder) if "willing" not in scores}


def test_a_valid_call_of_another_tool_is_seen_beside_the_incumbents_new_answer(tmp_path: Path) -> None:
    here = comparing(tmp_path)
    called(here, "c-1", "c", "weather")
    called(here, "c-1", "a", "weather")
    called(here, "c-2", "a", "weather")  # whichever is over first
    called(here, "c-2", "c", "forecast")
    called(here, "c-3", "c", "weather", city="Bergen")
    called(here, "c-3", "a", "weather")
    called(here, "c-4", "b", "weather")
    called(here, "c-4", "a", "forecast")
    assert {name: scores["tools"] for name, scores in found(tmp_path).items()} == {
        "c-1.1": 0.0, "c-2.1": 1.0, "c-3.1": 1.0, "c-4.1": 1.0}  # fmt: skip
    assert [mark for attempt, mark, _ in rows(tmp_path) if attempt == "c-4.1"] == [
        MARK._replace(side="b").tag()
    ] * 2, "the row is of the side that was served"


def test_in_shadow_both_are_held_against_the_new_answer(tmp_path: Path) -> None:
    here = comparing(tmp_path)
    for name, order in (("c-1", "psa"), ("c-2", "asp"), ("c-3", "sap")):
        for side in order:
            called(here, name, side, "forecast" if side == "s" else "weather")
    tools = {name: scores["tools"] for name, scores in found(tmp_path).items()}
    assert tools == {f"c-{n}{end}.1": bad for n in (1, 2, 3) for end, bad in (("", 0.0), ("-shadow", 1.0))}


@pytest.mark.parametrize("what", [{"fault": "provider_error"}, {"n": 2}, {"by": 1}, {"status": 500}], ids=str)
@pytest.mark.parametrize("first", "ca")
def test_a_new_answer_that_is_none_is_compared_with_nothing(
    tmp_path: Path, what: dict[str, Any], first: str
) -> None:
    here = comparing(tmp_path)
    for side in (first, "ca".replace(first, "")):
        called(here, "c-1", side, "weather", **(what if side == "a" else {}))
    assert found(tmp_path) == {}
    awaited: Awaited = here.onlooker._awaited  # type: ignore[union-attr]
    assert not awaited._here and not awaited._bytes


def test_who_is_not_in_the_sample_is_not_waited_for(tmp_path: Path) -> None:
    here = comparing(tmp_path)
    called(here, "c-1", "b", "weather", stage=0, unit=2**62 + 12345)
    called(here, "c-2", "h", "weather")
    few = msgspec.structs.replace(COMPARING, anew=1e-9)
    here.onlooker.plans = {"s1": few}  # type: ignore[union-attr]
    called(here, "c-3", "c", "weather")
    awaited: Awaited = here.onlooker._awaited  # type: ignore[union-attr]
    assert {*awaited._here} <= {"c-1"}, "of the incumbent's half, at a half, all are in the sample"


def test_what_never_comes_is_forgotten_with_the_oldest() -> None:
    awaited = Awaited()
    for n in range(CALLS_MAX + 10):
        awaited.take(f"c-{n}", "c", None)
    assert len(awaited._here) == CALLS_MAX and "c-9" not in awaited._here and "c-10" in awaited._here


def test_what_is_added_is_as_much_as_is_asked() -> None:
    told = [added(COMPARING, stage) for stage in road(COMPARING)]
    assert told == pytest.approx([1.0, 1.0, 1.0]), "at a half and above: the candidate's and all the rest"
    small = msgspec.structs.replace(COMPARING, anew=0.5, steps=(0.01, 1.0), shadow=10, shadow_share=0.5)
    assert [added(small, stage) for stage in road(small)][:2] == pytest.approx([0.25, 0.01])
