"""Which recordings a rehearsal draws, what it will cost, and which measures decide: known before it begins."""

from collections.abc import Iterable
from itertools import count, groupby, pairwise
from pathlib import Path

import msgspec
import pytest

from fungible.faults import Fault
from fungible.money import Price
from fungible.recording import Recording
from fungible.recordings import Recordings, kept
from fungible.switch.agenda import planned
from fungible.switch.forecast import Purse, forecast, usage_of
from fungible.switch.measures import MEASURES
from fungible.switch.runs import Run, Settings
from fungible.switch.sample import drawn as place_of
from tests.rehearsing import recorded

PRICE = Price(id="p", source="test", input=1_000_000_000, output=5_000_000_000)


def conversations(n: int, turns: int) -> list[Recording]:
    return [recorded(i, "chat", group=f"c{i // turns}") for i in range(n * turns)]


def settings(**fields: object) -> Settings:
    return msgspec.structs.replace(
        Settings(run="r", route="assistant", targets=("new/two",), begun_ms=1), **fields
    )


NAMES = count()


def drawn(
    tmp_path: Path, there: Iterable[Recording], most: int | None, seed: int, incumbent: str | None = None
) -> tuple[list[Recording], Settings]:
    """What a run of a shelf of its own replays, in order."""
    state = tmp_path / str(next(NAMES))
    Recordings(state).append(there)
    wanted = settings(seed=seed)
    chosen, drawing = planned(Recordings(state), wanted, most, incumbent)
    run = Run.begun(state, chosen, drawing)
    found = list(run.recordings(10_000))
    run.close()
    assert len(found) == len(run.order) == chosen.recordings
    return found, chosen


def lengths(found: Iterable[Recording]) -> list[int]:
    return [len(list(turns)) for _, turns in groupby(found, lambda one: one.group)]


def test_conversations_are_drawn_whole_and_more_is_the_same_beginning(tmp_path: Path) -> None:
    there = conversations(50, 4)
    few, told = drawn(tmp_path, there, 20, 1)
    many, _ = drawn(tmp_path, there, 100, 1)
    every, _ = drawn(tmp_path, there, None, 1)
    assert len(few) == 20 and many[:20] == few and every[:100] == many and len(every) == 200
    assert lengths(few) == [4] * 5 and told.conversations == 5 and told.incumbents == {"old/one": 20}
    assert all(a.at_ms < b.at_ms for a, b in pairwise(few) if a.group == b.group)
    assert drawn(tmp_path, there, 20, 2)[0] != few, "another seed draws others"
    assert drawn(tmp_path, reversed(there), 20, 1)[0] == few, "the order on disk does not matter"


def test_the_last_conversation_may_be_cut_to_its_first_turns(tmp_path: Path) -> None:
    few, _ = drawn(tmp_path, conversations(50, 4), 10, 1)
    assert len(few) == 10 and lengths(few) == [4, 4, 2]


def test_each_conversation_has_the_same_chance(tmp_path: Path) -> None:
    there = conversations(20, 2)
    state = tmp_path / "state"
    Recordings(state).append(there)
    chosen = []
    for seed in range(400):
        _, drawing = planned(Recordings(state), settings(seed=seed), 8)
        chosen.append({row.place for row in drawing.rows()})
        drawing.close()
    groups = {place_of(seed, f"c{c}"): c for c in range(20) for seed in range(400)}
    counts = [sum(c in {groups[place] for place in places} for places in chosen) for c in range(20)]
    assert min(counts) > 40 and max(counts) < 130  # 80 expected of 400


def test_what_cannot_be_compared_is_left_out_and_counted(tmp_path: Path) -> None:
    good = recorded(1, "chat")
    gone = msgspec.structs.replace(good, id="2", status=499, fault="client_gone", reply=None)
    broken = msgspec.structs.replace(good, id="3", request=msgspec.Raw(b"[]"))
    other = msgspec.structs.replace(good, id="4", model="another")
    vectors = msgspec.structs.replace(good, id="5", dialect="openai.embeddings")
    found, chosen = drawn(tmp_path, [good, gone, broken, other, vectors], 10, 0, "old/one")
    assert [one.id for one in found] == [good.id]
    assert chosen.left_out == {"unanswered": 1, "unreadable": 1, "of another model": 1, "of another kind": 1}


def test_measures_that_the_recordings_do_not_have_do_not_decide(tmp_path: Path) -> None:
    def plan(recordings: Iterable[Recording], **fields: object) -> Settings:
        state = tmp_path / str(next(NAMES))
        Recordings(state).append(recordings)
        chosen, drawing = planned(Recordings(state), settings(**fields))
        drawing.close()
        return chosen

    chats = [recorded(n, "chat") for n in range(400)]
    told = plan([*chats, recorded(999, "json")])
    assert set(told.deciding) == {"answered", "willing", "finished"}
    assert told.rare == {"schema": 1} and told.looked == 401
    assert plan([*chats, recorded(999, "json")], margins={"schema": 0.02}).deciding["schema"] == 0.02
    tools = plan([recorded(n, "tool") for n in range(9)], timely_ms=100.0)
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
def test_settings_that_make_no_sense(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    Recordings(tmp_path).append([recorded(1, "chat")])
    with pytest.raises(Fault, match=told):
        planned(Recordings(tmp_path), settings(**fields))


def test_the_forecast_is_exact_for_the_recorded_tokens() -> None:
    usage = usage_of(kept(recorded(1, "chat")))
    made = forecast([(usage, "new/two")] * 10, {"new/two": PRICE})
    assert (made.total, made.calls, made.unknown) == (10 * (100 * 1000 + 20 * 5000), 10, ())
    unknown = forecast([(usage, "a/b"), (usage, "new/two")], {"new/two": PRICE})
    assert unknown.unknown == ("a/b",) and unknown.total == 200_000


def test_recordings_without_counts_are_counted_by_their_bytes() -> None:
    bare = msgspec.structs.replace(recorded(1, "chat"), input_tokens=None, output_tokens=None)
    usage = usage_of(kept(bare))
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
