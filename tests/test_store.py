"""The store: folding by many at once, what is asked of it, and state folders that are not ours to read."""

import itertools
import random
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from fungible import keys
from fungible.account import Opened, Settled
from fungible.faults import Fault
from fungible.ledger import Ledger
from fungible.policies.share import Mark as policy_mark
from fungible.store import SPEND_BY, Store
from fungible.store.attempts import LEDGER_STEPS
from tests.forks import child, join
from tests.work import lines

DAY_MS = 86_400_000
CONTRACT = {
    "attempt", "call", "provider", "model", "key", "route", "state", "started_ms", "ended_ms", "input_tokens",
    "output_tokens", "cost_nanousd", "price_id", "provider_request_id",
}  # fmt: skip


def write(book: Ledger, attempt: str, state: str | None = "settled", **more) -> None:
    fields = set(Opened.__struct_fields__)
    row = {"call": f"c-{attempt}", "n": 1, "started_ms": 1_000, "provider": "p", "model": "m", "dialect": "d"}
    book.open(Opened(attempt=attempt, **row | {k: v for k, v in more.items() if k in fields}))
    if state is not None:
        rest = {k: v for k, v in more.items() if k not in fields}
        book.settle(Settled(attempt=attempt, state=state, **{"ended_ms": 2_000} | rest))


def test_attempts_have_the_fields_that_programs_rely_on(tmp_path):
    book = Ledger(tmp_path)
    write(
        book, "a1", n=2, key="k", route="r", tags="x=1", stream=True, input_tokens=3, output_tokens=4,
        cost_nanousd=9, price_id="list:1/p/m", provider_request_id="req_1", status=200, first_ms=1_500, losses=2,
    )  # fmt: skip
    write(book, "a2", state=None)
    store = Store(tmp_path)
    assert store.fold() == (2, 1, 0, 0, 0)
    first, second = store.attempts()
    assert first.keys() == second.keys() >= CONTRACT
    assert first["stream"] is True
    assert (first["state"], first["cost_nanousd"], first["first_ms"], first["losses"]) == (
        "settled",
        9,
        1_500,
        2,
    )
    assert (second["state"], second["ended_ms"], second["cost_nanousd"]) == ("open", None, None)
    book.close()


def test_folding_is_idempotent_and_follows_a_living_writer(tmp_path):
    book, store = Ledger(tmp_path), Store(tmp_path)
    write(book, "a1", state=None)
    assert store.fold() == (1, 0, 0, 0, 0)
    assert store.fold() == (0, 0, 0, 0, 0)
    book.settle(Settled(attempt="a1", state="estimated", ended_ms=5, cost_nanousd=3))
    assert store.fold() == (0, 1, 0, 0, 0)
    assert [a["state"] for a in store.attempts()] == ["estimated"]
    book.close()
    assert store.fold() == (0, 0, 0, 0, 0)
    assert store.check() == []


@pytest.mark.parametrize("between", [False, True], ids=["in one fold", "in two"])
def test_one_transition_only_a_second_is_refused_and_counted(tmp_path, between):
    store = Store(tmp_path)
    first, second = Ledger(tmp_path), Ledger(tmp_path)  # both claim the same attempt, as no two may
    write(first, "a1", cost_nanousd=1)
    first.close()
    store.fold()
    write(second, "a1", state=None)
    refused = store.fold().refused if between else 0
    second.settle(Settled(attempt="a1", state="estimated", ended_ms=3, cost_nanousd=2))
    second.close()
    refused += store.fold().refused
    assert refused == (2 if between else 1)
    (row,) = store.attempts()
    assert (row["state"], row["cost_nanousd"]) == ("settled", 1)
    assert store.check() == [f"ledger.db: {refused} second openings or endings were refused"]


def test_a_fold_that_dies_between_commit_and_burial_is_repeated_harmlessly(tmp_path, monkeypatch):
    book = Ledger(tmp_path)
    for number in range(50):
        write(book, f"a{number}", state=None)
    book.close()
    with monkeypatch.context() as dying:
        dying.setattr("fungible.ledger.Boot.bury", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            Store(tmp_path).fold()
    store = Store(tmp_path)
    assert store.fold() == (0, 0, 0, 0, 0)
    assert [a["state"] for a in store.attempts()] == ["unknown"] * 50
    assert list((tmp_path / "journal").iterdir()) == []


@pytest.mark.parametrize(("chunk_bytes", "rows"), [(512, 300), (8_192, 1_500)])
def test_many_folders_and_many_writers_count_every_row_once(tmp_path, chunk_bytes, rows):
    writers = 3

    def writer(number):
        book = Ledger(tmp_path)
        for n in range(rows):
            write(book, f"{number}-{n}", cost_nanousd=n)
        book.close()

    def folder():
        store = Store(tmp_path)
        chance = random.Random()
        for _ in range(12):
            store.fold(chunk_bytes=chunk_bytes)
            time.sleep(chance.uniform(0, 0.01))

    Store(tmp_path).close()
    pids = [child(lambda n=n: writer(n)) for n in range(writers)] + [child(folder) for _ in range(3)]
    assert join(*pids) == [0] * 6
    store = Store(tmp_path)
    store.fold()
    (total,) = store.spend("provider")
    assert (total.attempts, total.settled, total.open, total.unknown) == (
        writers * rows,
        writers * rows,
        0,
        0,
    )
    assert total.cost_nanousd == writers * sum(range(rows))
    assert store.check() == []
    assert list((tmp_path / "journal").iterdir()) == []


def spent(store: Store, by: str, since_ms: int = 0) -> dict[str | None, int]:
    return {row.who: row.cost_nanousd for row in store.spend(by, since_ms)}


def test_spending_is_exact_by_every_grouping(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    key, _ = keys.create(store, "alice", now_ms=1, team="blue")
    big = 2**60
    write(book, "a1", key=key.id, route="r", tags="app=x,env=prod", cost_nanousd=big, input_tokens=1)
    write(
        book, "a2", key=key.id, provider="q", tags="app=x", cost_nanousd=1, started_ms=DAY_MS, output_tokens=2
    )
    write(book, "a3", model="n", cost_nanousd=5, started_ms=2 * DAY_MS - 1, state="estimated")
    write(book, "a4", state="settled", cost_nanousd=None)
    write(book, "a5", state="void", cost_nanousd=0)
    write(book, "a6", state=None)
    store.fold()
    assert spent(store, "key") == {None: 5, key.id: big + 1}
    assert spent(store, "team") == {None: 5, "blue": big + 1}
    assert spent(store, "provider") == {"p": big + 5, "q": 1}
    assert spent(store, "model") == {"m": big + 1, "n": 5}
    assert spent(store, "route") == {None: 6, "r": big}
    assert spent(store, "tag") == {None: 5, "app=x": big + 1, "env=prod": big}
    assert spent(store, "day") == {"1970-01-01": big, "1970-01-02": 6}
    assert spent(store, "day", DAY_MS) == {"1970-01-02": 6}
    for by in SPEND_BY:
        assert sum(r.cost_unknown for r in store.spend(by)) == 1
    (row,) = [r for r in store.spend("provider") if r.who == "p"]
    assert (row.attempts, row.open, row.settled, row.estimated, row.void) == (5, 1, 2, 1, 1)
    book.close()


def test_what_nobody_waits_for_is_no_traffic(tmp_path):
    book = Ledger(tmp_path)
    mark = policy_mark(switch="s1", side="c", stage=1, unit=7, user=8, talk=9)
    tags = {
        "plain": "", "tagged": "team=a,rehearsal=mine", "rehearsed": "rehearsal=assistant-1",
        "shadow": mark._replace(side="s").tag() + ",team=a", "candidate": mark.tag(), "paired": mark._replace(side="p").tag(),
    }  # fmt: skip
    for name, told in tags.items():
        write(book, name, route=name, tags=told, key="k")
    store = Store(tmp_path)
    store.fold()
    assert {row.route for row in store.traffic()} == {"plain", "tagged", "candidate", "paired"}
    assert sum(line.attempts for line in store.spend("route")) == len(tags)
    book.close()


def test_spending_by_something_else_is_refused_with_the_choices(tmp_path):
    with pytest.raises(Fault) as refused:
        Store(tmp_path).spend("key; DROP TABLE attempt")
    assert refused.value.kind == "bad_request"
    assert all(by in refused.value.message for by in SPEND_BY)


def test_a_call_is_told_with_its_attempts(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    write(book, "a2", call="c1", n=2, provider="q", model="x", cost_nanousd=7, losses=3, started_ms=20)
    write(book, "a1", call="c1", n=1, state="void", cost_nanousd=0, fault="unreachable", started_ms=10)
    write(book, "b1", call="c2", state="settled", cost_nanousd=None)
    store.fold()
    told = store.call("c1")
    assert [a["attempt"] for a in told["attempts"]] == ["a1", "a2"]
    assert (told["target"], told["cost_nanousd"], told["started_ms"], told["losses"]) == ("q/x", 7, 10, 3)
    assert [c["call"] for c in store.calls()] == ["c2", "c1"]
    assert [c["call"] for c in store.calls(1)] == ["c2"]
    assert store.call("c2")["cost_nanousd"] is None
    assert store.call("c3") is None
    book.close()


# --- other state folders ---------------------------------------------------------------------------


def test_a_folder_from_a_newer_version_is_left_alone(tmp_path):
    Store(tmp_path).close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(Fault) as refused:
        Store(tmp_path)
    assert refused.value.message == (
        f"The state folder {tmp_path} was written by a newer fungible (schema 7; this one knows {len(LEDGER_STEPS)}):"
        " upgrade fungible, or point [server] state elsewhere."
    )


@pytest.mark.parametrize("garbage", [b"this is no database" * 300, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_that_is_no_database_is_named_with_the_mend(tmp_path, garbage):
    (tmp_path / "ledger.db").write_bytes(garbage)
    with pytest.raises(Fault) as refused:
        Store(tmp_path)
    assert refused.value.kind == "internal"
    assert str(tmp_path) in refused.value.message
    assert "backup" in refused.value.message


def test_damage_in_the_middle_of_the_database_is_found_by_the_check(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    for number in range(400):
        write(book, f"a{number}", cost_nanousd=1)
    book.close()
    store.fold()
    store.close()
    path: Path = tmp_path / "ledger.db"
    data = bytearray(path.read_bytes())
    for at in range(4096 * 3, len(data) - 4096, 4096):
        data[at + 100 : at + 3000] = b"\xa5" * 2900
    path.write_bytes(data)
    try:
        found = Store(tmp_path).check()
    except Fault as fault:
        found = [fault.message]
    assert found
    assert any("ledger.db" in said or str(tmp_path) in said for said in found)


def test_a_store_held_by_another_process_is_waited_for_and_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr("fungible.store.database.BUSY_SECONDS", 0.05)
    store = Store(tmp_path)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Fault) as refused:
        keys.create(store, "alice", now_ms=1)
    assert refused.value.kind == "unavailable"
    other.execute("ROLLBACK")
    keys.create(store, "alice", now_ms=1)


def test_a_second_store_of_a_process_leaves_the_first_its_locks(tmp_path):
    """Otherwise another process takes itself for the last, removes the log, and the first never sees it again."""
    mine = Store(tmp_path)
    keys.create(mine, "before", now_ms=1)
    Store(tmp_path).close()  # as the thread does that folds
    version = mine.keys_version()
    code = "import sys; from fungible.store import Store; from fungible import keys; s = Store(sys.argv[1]);"
    code += "s.revoke_key('before', 2); keys.create(s, 'after', now_ms=3); s.close()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert mine.keys_version() != version
    keys.create(mine, "last", now_ms=4)
    for store in (mine, Store(tmp_path)):
        rows = store.keys()
        told = {key.name: key.revoked_ms for key, _ in rows}
        assert told == {"before": 2, "after": None, "last": None}


def test_the_state_folder_is_its_owners_alone(tmp_path):
    state = tmp_path / "deep" / "state"
    Store(state).close()
    Ledger(state).close()
    assert [path.stat().st_mode & 0o077 for path in (state, *state.rglob("*"))] == [0] * len(
        [state, *state.rglob("*")]
    )


def test_the_values_of_a_caller_never_become_sql(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    nasty = "'; DROP TABLE attempt; --"
    write(book, nasty, call=nasty, key=nasty, route=nasty, tags=nasty, model=nasty, provider_request_id=nasty)
    store.fold()
    assert store.call(nasty)["attempts"][0]["model"] == nasty
    assert [r.who for r in store.spend("route")] == [nasty]
    book.close()


def test_folding_stops_when_told_to_and_goes_on_from_there(tmp_path):
    book = Ledger(tmp_path)
    for number in range(200):
        write(book, f"a{number}", cost_nanousd=number)
    book.close()
    store = Store(tmp_path)
    left = iter([True, True, False])
    first = store.fold(chunk_bytes=4_096, go_on=lambda: next(left))
    assert 0 < first.opened < 200
    assert len(list(store.attempts())) == first.opened
    assert store.fold(go_on=lambda: False) == (0, 0, 0, 0, 0)
    assert list((tmp_path / "journal").iterdir()) != []
    rest = store.fold()
    assert (first.opened + rest.opened, first.settled + rest.settled) == (200, 200)
    assert [(a["state"], a["cost_nanousd"]) for a in store.attempts()] == [("settled", n) for n in range(200)]
    assert list((tmp_path / "journal").iterdir()) == []


def test_folding_a_row_is_little_work(tmp_path):
    cost = []
    for many in (1_000, 3_000):
        book = Ledger(folder := tmp_path / str(many))
        for number in range(many):
            write(book, f"a{number:016d}", cost_nanousd=number, provider_request_id="req_" + "x" * 32)
        book.close()
        cost.append(lines(Store(folder).fold))
    assert cost[1] - cost[0] < 30 * 2_000


def test_sums_beyond_what_a_row_can_hold_are_said_not_wrapped(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    for number in range(3):
        write(book, f"a{number}", cost_nanousd=2**62)
    store.fold()
    with pytest.raises(Fault) as refused:
        store.spend("provider")
    assert refused.value.kind == "internal"
    book.close()


def test_usd_of_a_sum_is_exact(tmp_path):
    store, book = Store(tmp_path), Ledger(tmp_path)
    amounts = [1, 10, 999_999_999, 123_456_789_012]
    for number, amount in enumerate(itertools.islice(itertools.cycle(amounts), 40)):
        write(book, f"a{number}", cost_nanousd=amount)
    store.fold()
    (row,) = store.spend("provider")
    assert Decimal(row.cost_nanousd) == sum(map(Decimal, amounts)) * 10
    book.close()
