"""Forced moves: retirements, prices and outages on one road, with a rehearsal opened where that is allowed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from fungible import config
from fungible.account import Tried, Used
from fungible.forcing import Watch, opened
from fungible.money import Price
from fungible.moves import Forced, Outage, PriceChange, forced, outages, price_changes
from fungible.recording import Recording
from fungible.recordings import Recordings
from fungible.retirement import Kept, refresh
from fungible.switch.runs import FOLDER
from tests.faulty import CHAT, MESSAGES, Faulty
from tests.serving import Running
from tests.targets import catalogue
from tests.upstream import Upstream

FEMTO = 1_000_000  # femto-dollars a token: one nano-dollar


def used(price_id: str, cost: int, read: int, said: int = 0, least: int = 0, attempts: int = 1) -> Used:
    return Used("both", "a", "one", price_id, least, attempts, cost, read, said, 0, 0)


def price(name: str, usd: float, **more: Any) -> Price:
    return Price(id=name, source="x", input=int(usd * FEMTO), output=int(usd * FEMTO), **more)


def at(now: Price, later: Price | None = None) -> Any:
    return lambda provider, model, ms: now if ms < 1_000 or later is None else later


def test_a_price_is_compared_by_the_traffic_that_paid_another() -> None:
    rows = [used("genai-prices:1.0/x/m@2025-01-01", 3_000, 1_000, 2_000), used("other", 50, 50)]
    now = price("genai-prices:1.2/x/m@2026-01-01", 2.0)
    (change,) = price_changes(rows, at(now), 10, 20)
    assert (change.paid_nanousd, change.would_nanousd, change.ahead) == (3_050, 6_100, False)
    assert change.change == 1.0 and change.target == "a/one" and change.routes == ("both",)


def test_another_version_of_the_list_is_no_change() -> None:
    rows = [used("genai-prices:1.0/x/m@2025-01-01", 3_000, 3_000)]
    assert price_changes(rows, at(price("genai-prices:9.9/x/m@2025-01-01", 7.0)), 10, 20) == ()
    assert price_changes(rows, at(price("genai-prices:9.9/x/m@2026-01-01", 1.001)), 10, 20) == (), (
        "below one in 100"
    )


def test_tiers_and_calls_count() -> None:
    above = price("p", 4.0, request=1_000 * FEMTO)
    tiered = price("p", 2.0, request=1_000 * FEMTO, above_tokens=200_000, above=above)
    rows = [used("old", 1_000, 1_000, attempts=3), used("old", 300_000, 300_000, least=272_000)]
    (change,) = price_changes(rows, at(tiered), 10, 20)
    assert change.would_nanousd == 1_000 * 2 + 3 * 1_000 + 300_000 * 4 + 1_000


def test_a_price_to_come_is_told_before() -> None:
    now, later = price("x@2026-01-01", 1.0), price("x@2027-01-01", 3.0)
    (change,) = price_changes([used("x@2026-01-01", 1_000, 1_000)], at(now, later), 10, 2_000)
    assert (change.ahead, change.now, change.paid_nanousd, change.would_nanousd) == (
        True,
        "x@2027-01-01",
        1_000,
        3_000,
    )


def test_an_unknown_price_is_no_change() -> None:
    assert price_changes([used("old", 5, 5)], lambda p, m, ms: None, 10, 20) == ()


def tried(ended_s: int, fault: str | None, target: str = "one", mark: str | None = None) -> Tried:
    state = "settled" if fault is None else "void"
    return Tried(
        f"c{ended_s}",
        1,
        "both",
        "a",
        target,
        None,
        state,
        ended_s * 1000,
        ended_s * 1000 + 5,
        0,
        fault,
        0,
        mark,
    )


def test_an_outage_is_failures_in_a_row_for_minutes() -> None:
    failing = [tried(n * 30, "overloaded") for n in range(2, 10)]
    rows = [tried(0, None), *failing, tried(5, "bad_request", "two"), tried(300, None, "two")]
    (outage,) = outages(rows, 290_000)
    assert outage == Outage("a/one", 60_000, 8, "overloaded", ("both",))
    assert outages(rows, 170_000) == (), "not long enough"
    assert outages([*rows, tried(280, None)], 290_000) == (), "it has answered since"
    assert outages(failing[:4], 900_000) == (), "too few"
    assert outages([tried(n * 30, "bad_request") for n in range(9)], 900_000) == (), (
        "the callers' own mistakes"
    )
    assert outages([tried(n * 30, "overloaded", mark="drill:x") for n in range(9)], 900_000) == (), "a drill"


def test_the_road_of_each() -> None:
    here = catalogue()
    targets = [f"{p}/{m}" for p, m in here.plans["both"].targets]
    change = PriceChange(targets[0], ("x",), "y", False, 3, 100, 150, ("both",))
    cheaper = PriceChange(targets[1], ("x",), "y", False, 3, 100, 50, ("both",))
    outage = Outage(targets[0], 0, 9, "unreachable", ("both",))
    first, second = forced(here, [], [change, cheaper], [outage], 600_000)
    assert (first.why, first.urgent, first.to, second.why) == ("outage", True, targets[1], "price")
    assert (
        first.says
        == f"{targets[0]} has failed for 10 min (9 times, unreachable); {targets[1]} is asked instead."
    )
    assert second.says == f"{targets[0]} is 50% dearer."
    assert first.commands[0] == f"fungible switch rehearse --route both --to {targets[1]} --run {first.run}"
    assert first.run != second.run and first.run.startswith("outage-both-")
    (hostile,) = forced(here, [], [], [Outage("a/x", 0, 9, "timeout", ("a/x; rm -r ~",))], 600_000)
    assert "--route 'a/x; rm -r ~' --to" in hostile.commands[0], "callers choose names; people paste commands"
    (alone,) = forced(here, [], [], [Outage("a/x", 0, 9, "timeout", ("a/x",))], 600_000)
    assert alone.to == "" and "no other target that works" in alone.says
    both = forced(here, [], [], [Outage(name, 0, 9, "timeout", ("both",)) for name in targets], 600_000)
    assert all(move.to == "" for move in both), "no refuge is down itself"


# --- end to end -----------------------------------------------------------------------------------

FEED = [
    {
        "provider": "alpha",
        "model_id": "good",
        "shutdown_date": "2020-01-01",
        "replacement_models": ["good.next"],
    }
]
MORE = """
[retirement]
feeds = ["feed.json"]
rehearse = ["ending"]
[route.ending]
targets = ["alpha/good", "beta/good"]
[route.unasked]
targets = ["alpha/good"]
[route.sick]
targets = ["alpha/500.sick", "beta/good"]
[model."alpha/good"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
[model."alpha/good.next"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 1.00
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Upstream]]:
    folder = tmp_path_factory.mktemp("moves")
    (folder / "feed.json").write_text(json.dumps(FEED))
    with Upstream(Faulty(CHAT)) as alpha, Upstream(Faulty(MESSAGES)) as beta:
        here = Running(folder, alpha.base, beta.base, more=MORE)
        try:
            yield here, alpha
        finally:
            here.close()


def recording(n: int, route: str) -> Recording:
    body = {"model": route, "messages": [{"role": "user", "content": f"hi {n}"}]}
    return Recording(
        id=f"{route}{n}", at_ms=1_000 + n, route=route, dialect="openai.chat", request=msgspec.Raw(json.dumps(body).encode()),
        provider="alpha", model="good", reply=msgspec.Raw(json.dumps(CHAT.reply).encode()), duration_ms=5.0,
    )  # fmt: skip


def test_a_rehearsal_is_opened_once_where_it_is_allowed(
    running: tuple[Running, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, alpha = running
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    loaded = config.load(str(here.config))
    state = Path(loaded.server.state)
    now_ms = int(time.time() * 1000)
    Recordings(state).append([recording(n, route) for n in range(6) for route in ("ending", "unasked")])
    calendar = refresh(state, loaded.retirement.sources, now_ms, 1).calendar(loaded.catalogue.models)
    said: list[str] = []
    watch = Watch(said.append)

    def until_said(text: str) -> None:
        last = time.monotonic() + 60
        while not any(text in line for line in said):
            watch.tend(loaded, calendar, now_ms)
            assert time.monotonic() < last, said
            time.sleep(0.1)

    until_said("has begun")
    assert "alpha/good ends on 2020-01-01." in said[0] and "alpha/good.next for ending" in said[0]
    until_said("has ended")
    (run,) = (state / FOLDER).iterdir()
    assert run.name.startswith("retirement-ending-")
    assert [r.json["model"] for r in alpha.seen].count("good.next") == 6
    again: list[str] = []
    other = Watch(again.append)
    other.tend(loaded, calendar, now_ms)
    assert other._looking is not None
    other._looking.join(30)
    assert not again and other._rehearsing is None, "a restart opens nothing twice"
    moves = [
        msgspec.convert({k: v for k, v in m.items() if k != "opened"}, Forced)
        for m in here.program("risk")["moves"]
    ]
    retiring = {move.route: move for move in moves if move.why == "retirement"}
    assert opened(state, retiring["ending"]) and not opened(state, retiring["unasked"])
    shown = here.program("risk", json_option=False)
    assert "Moves that are forced" in shown and f"fungible switch report {run.name}" in shown
    assert "fungible switch rehearse --route unasked --to alpha/good.next" in shown
    assert Kept.load(state).feeds["feed.json"].notices


def test_an_outage_opens_the_emergency_lane(running: tuple[Running, Upstream]) -> None:
    here, _ = running
    client = openai.OpenAI(api_key=here.key, base_url=f"{here.url}/v1", max_retries=0)
    for _ in range(6):
        told = client.chat.completions.with_raw_response.create(
            model="sick", messages=[{"role": "user", "content": "hi"}]
        )
        assert told.headers["x-fungible-target"] == "beta/good", "failed over at once"
    rows = [row for row in _tried(here) if row.model == "500.sick"]
    assert len(rows) >= 5
    (outage,) = outages(rows, int(time.time() * 1000) + 180_000)
    assert (outage.target, outage.routes) == ("alpha/500.sick", ("sick",))
    loaded = config.load(str(here.config), here.env)
    (move,) = forced(loaded.catalogue, [], [], [outage], int(time.time() * 1000))
    words = move.commands[1].split()[1:]
    assert words[:2] == ["switch", "start"] and here.program(*words), "the road can be taken as it is told"


def test_a_price_that_was_changed_is_told_with_what_it_costs(running: tuple[Running, Upstream]) -> None:
    here, _ = running
    client = openai.OpenAI(api_key=here.key, base_url=f"{here.url}/v1", max_retries=0)
    client.chat.completions.create(model="unasked", messages=[{"role": "user", "content": "hi"}])
    paid = sum(
        row["cost_nanousd"] for row in here.rows() if (row["route"], row["model"]) == ("unasked", "good")
    )
    text = here.config.read_text()
    assert here.program("risk")["price_changes"] == []
    try:
        dearer = text.replace(
            '[model."alpha/good"]\ninput_usd_per_mtok = 2.50',
            '[model."alpha/good"]\ninput_usd_per_mtok = 5.00',
        )
        assert dearer != text
        here.config.write_text(dearer.replace("output_usd_per_mtok = 10.00", "output_usd_per_mtok = 20.00"))
        told = here.program("risk")
    finally:
        here.config.write_text(text)
    (change,) = [c for c in told["price_changes"] if c["target"] == "alpha/good"]
    assert paid and (change["paid_nanousd"], change["would_nanousd"], change["change"]) == (
        paid,
        2 * paid,
        1.0,
    )
    said = {answer["question"]: answer["answer"] for answer in told["answers"]}
    assert said["What ends soon?"].startswith("alpha/good on 2020-01-01; ")
    assert said["Did prices move?"].startswith("Yes, of alpha/good: this traffic would cost 0.0")
    assert ("price", "unasked") in {(move["why"], move["route"]) for move in told["moves"]}


def _tried(here: Running) -> list[Tried]:
    from fungible.store import Store

    store = Store(here.folder / "state")
    store.fold()
    return store.tried(0, 2**62)
