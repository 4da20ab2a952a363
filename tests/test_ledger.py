"""The journal: what is written, what is refused, and what a torn or full file makes of it."""

import os
import resource
from pathlib import Path

import msgspec
import pytest

from fungible import ledger
from fungible.account import Opened, Settled
from fungible.faults import Fault
from fungible.ledger import Boot, Ledger, boots, decode, lines
from fungible.store import Store

from .forks import child, join


def opened(attempt: str, **more) -> Opened:
    row = {"call": f"c-{attempt}", "n": 1, "started_ms": 1_795_000_000_000, "provider": "p", "model": "m"}
    return Opened(attempt=attempt, dialect="d", **row | more)


def settled(attempt: str, **more) -> Settled:
    return Settled(
        attempt=attempt, **{"state": "settled", "ended_ms": 1_795_000_000_900, "cost_nanousd": 5} | more
    )


def journal(state: Path) -> Path:
    return sorted((state / "journal").glob("*.jsonl"))[-1]


def records(state: Path) -> list[ledger.Record]:
    found: list[ledger.Record] = []
    for boot_id in boots(state):
        boot = Boot(state / "journal", boot_id)
        for path in boot.journals():
            found += [r for chunk, _, _ in lines(path, 0, 4096) for r in chunk]
        boot.release()
    return found


def test_a_row_is_in_the_file_when_open_returns(tmp_path):
    book = Ledger(tmp_path)
    book.open(opened("a1", key="k", route="r", tags="x=1", hold_nanousd=7, stream=True))
    assert records(tmp_path) == [opened("a1", key="k", route="r", tags="x=1", hold_nanousd=7, stream=True)]
    book.settle(settled("a1", input_tokens=3, fault="timeout", losses=2))
    assert records(tmp_path)[1] == settled("a1", input_tokens=3, fault="timeout", losses=2)
    assert book.open_attempts == frozenset()


def test_a_closed_journal_ends_where_its_lines_do(tmp_path):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    assert journal(tmp_path).stat().st_size == ledger.GROW_BYTES
    book.close()
    assert journal(tmp_path).read_bytes().count(b"\n") == 1
    assert b"\0" not in journal(tmp_path).read_bytes()
    with pytest.raises(Fault) as refused:
        book.open(opened("a2"))
    assert refused.value.kind == "unavailable"


def test_a_second_ending_is_refused(tmp_path):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    book.settle(settled("a1"))
    for row in (settled("a1"), settled("never-opened")):
        with pytest.raises(Fault) as refused:
            book.settle(row)
        assert refused.value.kind == "internal"
    assert len(records(tmp_path)) == 2


@pytest.mark.parametrize("state", ["open", "done", ""])
def test_an_ending_is_one_of_the_closed_states(tmp_path, state):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    with pytest.raises(Fault):
        book.settle(settled("a1", state=state))
    assert book.open_attempts == {"a1"}


def test_strings_and_numbers_without_measure_are_cut(tmp_path):
    book = Ledger(tmp_path)
    book.open(opened("a1", model="x" * 100_000, tags="é" * 5_000, route="\ud800"))
    book.settle(
        settled("a1", input_tokens=10**30, output_tokens=2**63, provider_request_id='"\x00\n' * 4_000)
    )
    assert max(map(len, journal(tmp_path).read_bytes().rstrip(b"\0").split(b"\n"))) < ledger.LINE_BYTES_MAX
    first, last = records(tmp_path)
    assert first.model == "x" * ledger.CLIP_CHARS_ELSE
    assert first.tags == "é" * (ledger.CLIP_CHARS_ELSE // 2)
    assert last.provider_request_id == "?" * ledger.CLIP_CHARS["provider_request_id"]
    assert (last.input_tokens, last.output_tokens, last.cost_nanousd) == (None, None, 5)


def test_the_longest_ending_fits_into_its_room():
    filled = {
        field.name: -(2**63) if "int" in str(field.type).lower() else "x" * 10_000
        for field in msgspec.structs.fields(Settled)
    }
    longest = ledger.clipped(Settled(**filled | {"state": "estimated"}))
    assert len(msgspec.json.encode(longest)) + 1 <= ledger.SETTLED_BYTES_MAX


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_was_never_written(tmp_path, cut):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    book.open(opened("a2"))
    book.close()
    path = journal(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut] + b"\0" * 4096)
    assert [r.attempt for r in records(tmp_path)] == ["a1"]
    assert Store(tmp_path).fold() == (1, 0, 0, 0, 1)


def test_a_damaged_line_costs_only_itself(tmp_path):
    book = Ledger(tmp_path)
    for name in ("a1", "a2", "a3"):
        book.open(opened(name))
    book.close()
    path = journal(tmp_path)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b'"o"', b'"?"') + third)
    store = Store(tmp_path)
    assert store.fold() == (2, 0, 0, 1, 2)
    assert [a["attempt"] for a in store.attempts()] == ["a1", "a3"]
    assert store.check() == ["ledger.db: 1 damaged journal lines were left out"]


def test_lines_may_be_read_in_any_portions(tmp_path):
    book = Ledger(tmp_path)
    for number in range(20):
        book.open(opened(f"a{number}"))
    for portion in (1, 7, 64, 131, 4096):
        got = [r.attempt for chunk, _, _ in lines(journal(tmp_path), 0, portion) for r in chunk]
        assert got == [f"a{n}" for n in range(20)]


def test_garbage_decodes_to_nothing():
    assert decode(b'[]\n{}\nnull\n["o"]\n["s",1,2,3]\n\xff\n') == ([], 6)


def test_a_full_journal_is_followed_by_another_and_open_attempts_live_on(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "GROW_BYTES", 32_768)
    book = Ledger(tmp_path, rotate_bytes=32_768)
    book.open(opened("long", started_ms=1))
    count = 0
    while len(list((tmp_path / "journal").glob("*.jsonl"))) < 3:
        book.open(opened(f"a{count}"))
        book.settle(settled(f"a{count}"))
        count += 1
    store = Store(tmp_path)
    assert store.fold() == (count + 1, count, 0, 0, 0)
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 1  # the finished ones are folded and gone
    book.settle(settled("long"))
    book.close()
    assert store.fold() == (0, 1, 0, 0, 0)
    assert {a["state"] for a in store.attempts()} == {"settled"}
    assert list((tmp_path / "journal").iterdir()) == []


def test_power_durability_writes_the_same_lines(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    book = Ledger(tmp_path, durable="power")
    book.open(opened("a1"))
    book.settle(settled("a1"))
    assert len(synced) == 2
    assert records(tmp_path) == [opened("a1"), settled("a1")]


def test_power_durability_keeps_the_file_s_name_too(tmp_path, monkeypatch):
    folders = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (folders.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))
    )
    book = Ledger(tmp_path, durable="power")
    assert folders == [str(tmp_path / "journal")]
    book.rotate()
    assert folders == [str(tmp_path / "journal")] * 2
    Ledger(tmp_path)
    assert len(folders) == 2


def test_after_a_failed_sync_nothing_more_is_admitted(tmp_path, monkeypatch):
    book = Ledger(tmp_path, durable="power")

    def broken(_fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    for _ in range(2):
        with pytest.raises(Fault) as refused:
            book.open(opened("a1"))
        assert refused.value.kind == "unavailable"
    assert records(tmp_path) == []


def test_a_full_disk_refuses_new_attempts_and_still_takes_every_ending(tmp_path):
    def body():
        book = Ledger(tmp_path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.GROW_BYTES + 4096, resource.RLIM_INFINITY))
        names = []
        with pytest.raises(Fault) as refused:
            for number in range(100_000):
                book.open(opened(f"a{number}"))
                names.append(f"a{number}")
        assert refused.value.kind == "unavailable"
        assert "disk" in refused.value.message
        assert len(names) > 1_000
        for name in names:
            book.settle(settled(name, provider_request_id="r" * 96, price_id="p" * 160))
        assert book.late == 0

    assert join(child(body)) == [0]
    store = Store(tmp_path)
    done = store.fold()
    assert done.opened == done.settled > 1_000
    assert done.unknown == 0


def test_endings_a_failing_disk_did_not_take_are_kept_and_written_later(tmp_path, monkeypatch):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    book.open(opened("a2"))

    def full(_fd, data, _at):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(os, "pwrite", full)
        book.settle(settled("a1"))
        assert book.late == 1
        with pytest.raises(Fault):
            book.open(opened("a3"))
    book.settle(settled("a2"))
    book.open(opened("a4"))
    assert book.late == 0
    assert [r.attempt for r in records(tmp_path)] == ["a1", "a2", "a2", "a1", "a4"]


def test_a_short_write_leaves_no_half_line(tmp_path, monkeypatch):
    book = Ledger(tmp_path)
    book.open(opened("a1"))
    whole = os.pwrite

    def short(fd, data, at):
        return whole(fd, data[:20], at)

    with monkeypatch.context() as failing:
        failing.setattr(os, "pwrite", short)
        with pytest.raises(Fault):
            book.open(opened("a2"))
    book.open(opened("a3"))
    assert [r.attempt for r in records(tmp_path)] == ["a1", "a3"]


def test_a_state_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "state").write_text("no folder")
    for make in (Ledger, Store):
        with pytest.raises(Fault) as refused:
            make(tmp_path / "state")
        assert str(tmp_path / "state") in refused.value.message
        assert "[server] state" in refused.value.message
