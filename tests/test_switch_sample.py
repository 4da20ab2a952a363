"""Which recordings a rehearsal draws, what it will cost, and which measures decide: known before it begins."""

import msgspec
import pytest

from fungible.faults import Fault
from fungible.money import Price
from fungible.recording import Recording
from fungible.switch.agenda import planned
from fungible.switch.forecast import Purse, forecast, usage_of
from fungible.switch.measures import MEASURES
from fungible.switch.runs import Settings
from fungible.switch.sample import blocks, sampled
from tests.rehearsing import recorded

PRICE = Price(id="p", source="test", input=1_000_000_000, output=5_000_000_000)


def conversations(n: int, turns: int) -> list[Recording]:
    return [recorded(i, "chat", group=f"c{i // turns}") for i in range(n * turns)]


def settings(**fields: object) -> Settings:
    return msgspec.structs.replace(
        Settings(run="r", route="assistant", targets=("new/two",), begun_ms=1), **fields
    )


def test_conversations_are_drawn_whole_and_more_is_the_same_beginning() -> None:
    there = conversations(50, 4)
    few, _ = sampled(there, 20, 1)
    many, _ = sampled(there, 100, 1)
    assert len(few) == 20 and many[:20] == few
    assert [r.group for r in few] == [g for g in dict.fromkeys(r.group for r in few) for _ in range(4)]
    assert [len(block) for block in blocks(few)] == [4] * 5
    other, _ = sampled(there, 20, 2)
    assert other != few, "another seed draws others"
    assert sampled(reversed(there), 20, 1)[0] == few, "the order on disk does not matter"


def test_the_last_conversation_may_be_cut_to_its_first_turns() -> None:
    few, _ = sampled(conversations(50, 4), 10, 1)
    assert len(few) == 10 and [len(block) for block in blocks(few)] == [4, 4, 2]


def test_each_conversation_has_the_same_chance() -> None:
    there = conversations(20, 2)
    drawn = [sampled(there, 8, seed)[0] for seed in range(400)]
    counts = [sum(f"c{c}" in {r.group for r in one} for one in drawn) for c in range(20)]
    assert min(counts) > 40 and max(counts) < 130  # 80 expected of 400


def test_what_cannot_be_compared_is_left_out_and_counted() -> None:
    good = recorded(1, "chat")
    gone = msgspec.structs.replace(good, id="2", status=499, fault="client_gone", reply=None)
    broken = msgspec.structs.replace(good, id="3", request=msgspec.Raw(b"[]"))
    other = msgspec.structs.replace(good, id="4", model="another")
    vectors = msgspec.structs.replace(good, id="5", dialect="openai.embeddings")
    found, why = sampled([good, gone, broken, other, vectors], 10, 0, "old/one")
    assert found == [good]
    assert why == {"unanswered": 1, "unreadable": 1, "of another model": 1, "of another kind": 1}


def test_measures_that_the_recordings_do_not_have_do_not_decide() -> None:
    chats = [recorded(n, "chat") for n in range(400)]
    plan, _ = planned([*chats, recorded(999, "json")], settings(), 1000)
    assert set(plan.deciding) == {"answered", "willing", "finished"}
    assert plan.rare == {"schema": 1}
    wanted, _ = planned([*chats, recorded(999, "json")], settings(margins={"schema": 0.02}), 1000)
    assert wanted.deciding["schema"] == 0.02
    tools, _ = planned([recorded(n, "tool") for n in range(9)], settings(timely_ms=100.0), 1000)
    assert set(tools.deciding) == {"answered", "willing", "finished", "calls", "tools", "timely"}
    assert tools.deciding["tools"] == MEASURES["tools"].margin


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"targets": ()}, "at least one candidate"),
        ({"targets": ("a/b", "a/b")}, "named twice"),
        ({"anew": 2.0}, "share from 0 to 1"),
        ({"alpha": 0.0}, "between 0 and 1"),
        ({"margins": dict.fromkeys(MEASURES)}, "No measure decides"),
    ],
)
def test_settings_that_make_no_sense(fields: dict[str, object], told: str) -> None:
    with pytest.raises(Fault, match=told):
        planned([recorded(1, "chat")], settings(**fields), 10)


def test_the_forecast_is_exact_for_the_recorded_tokens() -> None:
    made = forecast([(recorded(n, "chat"), "new/two") for n in range(10)], {"new/two": PRICE})
    assert (made.total, made.calls, made.unknown) == (10 * (100 * 1000 + 20 * 5000), 10, ())
    unknown = forecast([(recorded(1, "chat"), "a/b"), (recorded(1, "chat"), "new/two")], {"new/two": PRICE})
    assert unknown.unknown == ("a/b",) and unknown.total == 200_000


def test_recordings_without_counts_are_counted_by_their_bytes() -> None:
    bare = msgspec.structs.replace(recorded(1, "chat"), input_tokens=None, output_tokens=None)
    usage = usage_of(bare)
    assert usage.input_tokens == -(-len(bytes(bare.request)) // 4) and (usage.output_tokens or 0) > 10


def test_a_purse_holds_no_more_than_there_is_and_learns_what_calls_cost() -> None:
    purse = Purse(1000)
    first = purse.hold("a", 400)
    assert first == 400 and purse.hold("a", 400) == 400 and purse.hold("a", 400) is None
    purse.settle("a", 400, 400, 600)
    assert purse.spent == 600
    purse.settle("a", 400, 400, None)
    assert (purse.spent, purse.unpriced) == (1000, 1), "a call of unknown cost counts as forecast"
    learned = Purse(None)
    learned.settle("a", learned.hold("a", 100) or 0, 100, 250)
    assert learned.hold("a", 100) == 250
