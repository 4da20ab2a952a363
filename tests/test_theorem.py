"""Lossless or loud: `read(write(x)) == x`, except at exactly the paths that the losses name.

For requests, replies and streams, in every dialect. What counts as exactly is written in `judge.py`, and
the judge is judged first.
"""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS
from fungible.dialects.base import Dialect
from fungible.losses import Loss, Report

from . import strategies
from .judge import located, violations

QUICK = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
BRIEF = settings(QUICK, max_examples=150)
LONG = settings(QUICK, max_examples=5_000, derandomize=False)


@pytest.fixture(params=sorted(DIALECTS), scope="module")
def spoken(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


def there_and_back(
    spoken: Dialect, x: ir.Request | ir.Reply, quirks: frozenset[str] = frozenset()
) -> tuple[Any, list[Loss]]:
    report = Report()
    if isinstance(x, ir.Request):
        y = spoken.read_request(spoken.write_request(x, report, quirks))
        if not y.model:  # a quirk has it in the address
            y = msgspec.structs.replace(y, model=x.model, stream=x.stream)
            if x.stream and y.stream_usage is None and x.stream_usage is not None:
                y = msgspec.structs.replace(y, stream_usage=True)
        return at_its_address(spoken, x, y), report.losses
    return spoken.read_reply(spoken.write_reply(x, report)), report.losses


def at_its_address(spoken: Dialect, x: ir.Request, y: ir.Request) -> ir.Request:
    """`y` with what its address says, where the dialect's addresses say something."""
    if spoken.locate is None:
        return y
    path, _, query = spoken.address(x.model, "chat", x.stream).partition("?")
    found = spoken.locate(path, query.encode())
    assert found is not None and found.operation == "chat"
    told = True if found.stream else None  # such streams always tell the usage
    return msgspec.structs.replace(y, model=found.model, stream=found.stream, stream_usage=told)


def streamed(spoken: Dialect, events: list[ev.StreamEvent]) -> tuple[ir.Reply, list[Loss]]:
    report = Report()
    wire = spoken.stream_writer(report, True).write(events)
    reader = spoken.stream_reader()
    return ev.assemble(reader.feed(wire) + reader.end()), report.losses


def holds_for(spoken: Dialect, x: ir.Request | ir.Reply, quirks: frozenset[str] = frozenset()) -> None:
    y, losses = there_and_back(spoken, x, quirks)
    assert not violations(x, y, losses), (x, quirks, y, losses)


def holds_streamed(spoken: Dialect, told: tuple[ir.Reply, list[ev.StreamEvent]]) -> None:
    reply, events = told
    assert ev.assemble(events) == reply
    y, losses = streamed(spoken, events)
    assert not violations(reply, y, losses), (events, y, losses)


def test_the_theorem_for_requests(spoken: Dialect) -> None:
    QUICK(given(strategies.requests)(lambda x: holds_for(spoken, x)))()


def test_the_theorem_for_replies(spoken: Dialect) -> None:
    QUICK(given(strategies.replies)(lambda x: holds_for(spoken, x)))()


def test_the_theorem_for_streams(spoken: Dialect) -> None:
    QUICK(given(strategies.streams())(lambda told: holds_streamed(spoken, told)))()


def test_the_theorem_whatever_the_quirks(spoken: Dialect) -> None:
    quirks = st.frozensets(st.sampled_from(sorted(spoken.quirks)), min_size=1, max_size=3)
    BRIEF(given(strategies.requests, quirks)(lambda x, quirks: holds_for(spoken, x, quirks)))()


def test_the_theorem_for_every_choice_of_tools(spoken: Dialect) -> None:
    """Whole, for a rare pair of these once went by: a bare `auto` beside `parallel_tool_calls`."""
    tools = tuple(ir.Tool(name=name, parameters={"type": "object", "properties": {}}) for name in "fg")
    extras = [None, *(ir.Extras(dialect=name, fields={"x": 1}) for name in ("openai.chat", spoken.name))]
    for mode, parallel, allowed, own, count in itertools.product(
        ("auto", "none", "required", "named"), (None, True, False), (None, ("f",)), extras, range(3)
    ):
        choice = ir.ToolChoice(
            mode=mode,  # type: ignore[arg-type]
            name="f" if mode == "named" else None,
            allowed=allowed,
            extras=own,
        )
        x = asked(ir.Message(role="user", parts=(ir.Text(text="Hello"),)))
        more = {"tools": tools[:count], "tool_choice": choice, "parallel_tool_calls": parallel}
        holds_for(spoken, located(msgspec.structs.replace(x, max_output_tokens=5, **more)))


SAID_BEFORE: tuple[ir.Part, ...] = (
    ir.Thinking(redacted="sealed"),
    ir.Thinking(redacted="ours", extras=ir.Extras(dialect="openai.chat", fields={})),
    ir.Thinking(text="signed", signature="s"),
    ir.Thinking(text="plain"),
    ir.Thinking(text=""),
    ir.Thinking(text="", signature="bare"),
    ir.Text(text="said"),
    ir.Text(text=""),
    ir.Refusal(text="no"),
    ir.ToolCall(id="1", name="f", arguments="{}"),
)


@pytest.mark.parametrize("length", [1, 2, pytest.param(3, marks=pytest.mark.long)])
def test_the_theorem_for_every_short_answer_sent_back(spoken: Dialect, length: int) -> None:
    """All of them, with each quirk and each two: a redacted thought beside others once vanished so."""
    told = [frozenset(q) for n in (0, 1, 2) for q in itertools.combinations(sorted(spoken.quirks), n)]
    thinking = [q for q in told if len(q) < 2 or any("reasoning" in name or "thinking" in name for name in q)]
    for parts in itertools.product(SAID_BEFORE, repeat=length):
        if len(set(map(id, parts))) < length:
            continue  # of two equal ones the judge cannot tell which was lost
        x = asked(ir.Message(role="assistant", parts=parts))
        for quirks in thinking if length < 3 else told:
            holds_for(spoken, x, quirks)


FOUND: dict[str, tuple[ir.Choice, ...]] = {
    f"two {kind.__name__.lower()}s with what is left out between them": (
        ir.Choice(
            parts=(
                kind(text="a"),
                ir.Native(dialect="anthropic.messages", body={"type": "server_tool_use"}),
                kind(text="b"),
            ),
            stop=ir.Stop(reason="end"),
        ),
    )
    for kind in (ir.Text, ir.Refusal)
} | {
    "two empty answers, the first of which stopped for an unknown reason": (
        ir.Choice(stop=ir.Stop(reason="other", raw="x")),
        ir.Choice(stop=ir.Stop(reason="end")),
    )
}
"""What the theorem found at length."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found(spoken: Dialect, name: str) -> None:
    reply = located(ir.Reply(id="a", model="a", choices=FOUND[name]))
    holds_for(spoken, reply)
    holds_streamed(spoken, (reply, ev.disassemble(reply)))


@pytest.mark.long
def test_the_theorem_at_length(spoken: Dialect) -> None:
    LONG(given(strategies.requests)(lambda x: holds_for(spoken, x)))()
    LONG(given(strategies.replies)(lambda x: holds_for(spoken, x)))()
    LONG(given(strategies.streams())(lambda told: holds_streamed(spoken, told)))()


# --- the judge is judged -------------------------------------------------------------------------


def asked(*messages: ir.Message, **more: Any) -> ir.Request:
    return located(ir.Request(model="m", messages=messages, **more))


def user(*said: str) -> ir.Message:
    return ir.Message(role="user", parts=tuple(ir.Text(text=t) for t in said))


def lost(path: str, kind: Any = "dropped") -> Loss:
    return Loss(path, kind, "unknown_field")


MARKED = ir.Message(role="user", parts=(ir.Text(text="a", cache=ir.Cache(ttl_seconds=300)),))
RODE = ir.Message(role="user", extras=ir.Extras(dialect="d", fields={"x": 1}))

JUDGED = {
    "equal values need no loss": (asked(user("a")), asked(user("a")), [], True),
    "where it stood is no difference": (asked(user("a")), ir.Request(model="m", messages=(user("a"),)), [], True),
    "a silent change": (asked(user("a")), asked(user("b")), [], False),
    "a silent drop of a field": (asked(user("a"), seed=1), asked(user("a")), [], False),
    "a silent drop of an item": (asked(user("a", "b")), asked(user("a")), [], False),
    "a silent addition": (asked(user("a")), asked(user("a"), seed=1), [], False),
    "a silent swap": (asked(user("a", "b")), asked(user("b", "a")), [], False),
    "a reported field": (asked(user("a"), seed=1), asked(user("a")), [lost("seed")], True),
    "a reported field covers no other": (asked(user("a"), seed=1), asked(user("b")), [lost("seed")], False),
    "a report of what was carried": (asked(user("a"), seed=1), asked(user("a"), seed=1), [lost("seed")], False),
    "a report of what was never there": (asked(user("a")), asked(user("a")), [lost("top_k")], False),
    "a report beside a real one": (
        asked(user("a"), seed=1, n=2), asked(user("a"), n=2), [lost("seed"), lost("n")], False,
    ),
    "a dropped item": (asked(user("a", "b")), asked(user("b")), [lost("messages[0].parts[0]")], True),
    "the wrong item dropped": (asked(user("a", "b")), asked(user("a")), [lost("messages[0].parts[0]")], False),
    "a lost mark": (asked(MARKED), asked(user("a")), [lost("messages[0].parts[0].cache")], True),
    "a lost mark, path too high": (asked(MARKED), asked(user("z")), [lost("messages[0].parts[0].cache")], False),
    "a lost extra": (asked(RODE), asked(ir.Message(role="user")), [lost("messages[0].x")], True),
    "a silent extra": (asked(RODE), asked(ir.Message(role="user")), [], False),
    "another value of an approximated field": (
        asked(user("a"), temperature=2.0), asked(user("a"), temperature=1.0), [lost("temperature", "approximated")], True,
    ),
    "moved to another place": (
        asked(user("a"), user("b")), asked(user("b"), user("a")), [lost("messages[0]", "changed")], True,
    ),
    "moved into another text": (
        asked(user("a", "b")), asked(user("ab")), [lost("messages[0].parts[1]", "changed")], True,
    ),
    "auto is no choice beside parallel calls": (
        asked(user("a"), tool_choice=ir.ToolChoice(mode="auto"), parallel_tool_calls=False),
        asked(user("a"), parallel_tool_calls=False), [], True,
    ),
    "any other choice is": (
        asked(user("a"), tool_choice=ir.ToolChoice(mode="required"), parallel_tool_calls=False),
        asked(user("a"), parallel_tool_calls=False), [], False,
    ),
    "auto among some is a choice": (
        asked(user("a"), tool_choice=ir.ToolChoice(mode="auto", allowed=("f",)), parallel_tool_calls=False),
        asked(user("a"), parallel_tool_calls=False), [], False,
    ),
    "auto by itself is told": (
        asked(user("a"), tool_choice=ir.ToolChoice(mode="auto")), asked(user("a")), [], False,
    ),
    "an item with only the nearest in it is still there": (
        asked(ir.Message(role="developer"), user("a")), asked(user("a")),
        [lost("messages[0].role", "approximated")], False,
    ),
    "something else in place of what moved": (
        asked(user("a"), user("b")), asked(user("b"), user("zz")), [lost("messages[0]", "changed")], False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
def test_the_judge(name: str) -> None:
    x, y, losses, holds = JUDGED[name]
    assert (violations(x, y, losses) == []) is holds


def test_a_stream_that_was_taken_apart_adds_up_again() -> None:
    BRIEF(given(strategies.streams())(lambda told: _adds_up(*told)))()


def _adds_up(reply: ir.Reply, events: list[ev.StreamEvent]) -> None:
    assert ev.assemble(events) == reply
    assert ev.assemble(ev.disassemble(reply)) == reply
