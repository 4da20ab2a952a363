"""Hard budgets: hold, then post or release; exact whoever races whom, and whatever dies when."""

import os
import signal
from itertools import pairwise

import pytest

from fungible.account import Key, Opened, Settled, window_end_ms, window_start_ms
from fungible.keys import create
from fungible.ledger import Ledger
from fungible.store import Budgets, Store

from .forks import child, join

NOW = 1_795_420_000_000  # 2026-11-23, a Monday, 10:26 UTC


def key_of(cap: int, window: str = "day") -> Key:
    return Key(id="k", name="k", created_ms=0, budget_nanousd=cap, window=window)


def row(attempt: str, key: str, hold: int) -> Opened:
    return Opened(
        attempt=attempt, call="c", n=1, started_ms=NOW, provider="p", model="m", dialect="d", key=key,
        hold_nanousd=hold,
    )  # fmt: skip


def test_a_hold_is_taken_posted_and_given_back(tmp_path):
    budgets, key = Budgets(tmp_path, "b"), key_of(100)
    assert budgets.reserve(key, "a1", 60, NOW)
    assert not budgets.reserve(key, "a2", 41, NOW)
    assert budgets.reserve(key, "a3", 40, NOW)
    assert budgets.post("a1", 10)
    assert not budgets.post("a1", 10)
    assert budgets.release("a3")
    left = budgets.left(key, NOW)
    assert (left.posted, left.pending, left.cap) == (10, 0, 100)
    assert budgets.reserve(key, "a4", 90, NOW)
    assert not budgets.reserve(key, "a5", 1, NOW)
    assert budgets.post("a4", None)  # not known: what was held
    assert budgets.left(key, NOW).posted == 100
    assert budgets.check() == []


def test_a_cost_above_its_hold_is_owed_and_the_next_call_is_refused(tmp_path):
    budgets, key = Budgets(tmp_path, "b"), key_of(100)
    assert budgets.reserve(key, "a1", 50, NOW)
    budgets.post("a1", 130)
    assert budgets.left(key, NOW).posted == 130
    assert not budgets.reserve(key, "a2", 0, NOW)


def test_a_changed_cap_holds_at_once(tmp_path):
    budgets = Budgets(tmp_path, "b")
    assert budgets.reserve(key_of(100), "a1", 80, NOW)
    assert not budgets.reserve(key_of(90), "a2", 20, NOW)
    assert budgets.reserve(key_of(120), "a2", 20, NOW)


@pytest.mark.parametrize("window", ["day", "week", "month"])
def test_windows_are_utc_and_meet_without_a_gap(window):
    starts = [window_start_ms(window, NOW)]
    for _ in range(60):
        starts.append(window_end_ms(window, starts[-1]))
    for start, end in pairwise(starts):
        assert window_start_ms(window, start) == window_start_ms(window, end - 1) == start
        assert window_start_ms(window, end) == end
        assert start % 86_400_000 == 0
    assert starts[0] <= NOW < starts[1]


def test_windows_begin_where_a_calendar_says():
    day = 86_400_000
    assert window_start_ms("day", NOW) == window_start_ms("week", NOW) == NOW - NOW % day  # it is a Monday
    assert window_start_ms("week", NOW - day) == window_start_ms("week", NOW) - 7 * day
    assert window_start_ms("month", NOW) == 1_793_491_200_000  # 2026-11-01


def test_a_new_window_begins_with_nothing_spent(tmp_path):
    budgets, key = Budgets(tmp_path, "b"), key_of(100)
    assert budgets.reserve(key, "a1", 100, NOW)
    assert budgets.reserve(key, "a2", 100, NOW + 86_400_000)
    assert budgets.post("a1", 70)  # is posted to the window it was held in
    assert (budgets.left(key, NOW).posted, budgets.left(key, NOW + 86_400_000).posted) == (70, 0)


def test_racing_processes_admit_exactly_what_the_cap_allows(tmp_path):
    processes, tries, hold = 8, 200, 1_000
    admitted_max = 700
    Budgets(tmp_path, "b").close()

    def body(number):
        budgets = Budgets(tmp_path, f"b{number}")
        admitted = 0
        for n in range(tries):
            admitted += budgets.reserve(key_of(admitted_max * hold + hold - 1), f"{number}-{n}", hold, NOW)
        (tmp_path / f"admitted.{number}").write_text(str(admitted))

    assert join(*(child(lambda n=n: body(n)) for n in range(processes))) == [0] * processes
    assert sum(int(p.read_text()) for p in tmp_path.glob("admitted.*")) == admitted_max
    budgets = Budgets(tmp_path, "b")
    assert budgets.left(key_of(1), NOW).pending == admitted_max * hold
    assert budgets.check() == []


def test_what_a_killed_process_held_is_closed_by_what_became_of_it(tmp_path):
    store = Store(tmp_path)
    key, _ = create(store, "alice", now_ms=0, budget_usd="1", window="day")
    reading, writing = os.pipe()

    def body():
        book = Ledger(tmp_path)
        budgets = Budgets(tmp_path, book.boot)
        for name, hold in (
            ("never-opened", 1),
            ("open", 20),
            ("settled", 300),
            ("void", 4_000),
            ("posted", 50_000),
        ):
            assert budgets.reserve(key, name, hold, NOW)
            if name != "never-opened":
                book.open(row(name, key.id, hold))
        book.settle(Settled(attempt="settled", state="settled", ended_ms=NOW, cost_nanousd=7))
        book.settle(Settled(attempt="void", state="void", ended_ms=NOW))
        book.settle(Settled(attempt="posted", state="settled", ended_ms=NOW, cost_nanousd=100))
        budgets.post("posted", 100)
        os.write(writing, b"ready")
        signal.pause()

    pid = child(body)
    assert os.read(reading, 5) == b"ready"
    budgets = Budgets(tmp_path, "reader")
    store.fold()
    assert budgets.left(key, NOW).pending == 4_321  # alive: its holds are its own
    os.kill(pid, signal.SIGKILL)
    join(pid)
    assert store.fold().unknown == 1
    left = budgets.left(key, NOW)
    assert (left.pending, left.posted) == (
        0,
        20 + 7 + 100,
    )  # open: held, settled: its cost; void, unopened: none
    assert {a["attempt"]: a["state"] for a in store.attempts()}["open"] == "unknown"
    assert store.check() == []


def test_books_that_do_not_agree_are_found(tmp_path):
    store = Store(tmp_path)
    key, _ = create(store, "alice", now_ms=0, budget_usd="1", window="day")
    book = Ledger(tmp_path)
    budgets = Budgets(tmp_path, book.boot)
    assert budgets.reserve(key, "a1", 50, NOW)
    book.open(row("a1", key.id, 50))
    book.settle(Settled(attempt="a1", state="settled", ended_ms=NOW, cost_nanousd=30))
    budgets.post("a1", 31)
    book.close()
    store.fold()
    assert store.check() == [f"budget.db: key {key.id} has 31 posted, its attempts come to 30"]
