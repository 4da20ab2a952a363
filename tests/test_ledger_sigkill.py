"""SIGKILL at any moment: every attempt that the provider saw is in the ledger, once, and none stays open.

Writers are forked, tell a "provider" (a pipe) each attempt's id once `open` has returned, settle some, and
are killed at a random moment, sometimes while the store is being folded under them.
"""

import os
import random
import signal
import time
from collections import deque

import pytest

from fungible import ledger
from fungible.account import Opened, Settled
from fungible.ledger import Ledger
from fungible.store import Store

from .forks import child, join

IN_FLIGHT = 12


def write_for_ever(state, generation: int, pipe: int) -> None:
    book = Ledger(state, rotate_bytes=ledger.GROW_BYTES)
    chance = random.Random(generation)
    flying: deque[str] = deque()
    number = 0
    while True:
        name = f"{generation}-{number}"
        number += 1
        row = Opened(
            attempt=name, call=f"c{name}", n=1, started_ms=number, provider="p", model="m" * 90, dialect="d"
        )
        book.open(row)
        os.write(pipe, f"sent {name}\n".encode())
        flying.append(name)
        while len(flying) > chance.randrange(IN_FLIGHT):
            name = flying.popleft()
            book.settle(Settled(attempt=name, state="settled", ended_ms=number, cost_nanousd=number))
            os.write(pipe, f"done {name}\n".encode())


def drain(pipe: int, seconds: float) -> bytes:
    """What the provider hears in the next so many seconds; it must read, or the writer would wait."""
    heard, until = b"", time.monotonic() + seconds
    os.set_blocking(pipe, False)
    while time.monotonic() < until:
        try:
            heard += os.read(pipe, 1 << 16)
        except BlockingIOError:
            time.sleep(0.0002)
    return heard


@pytest.mark.parametrize("kills", [30, pytest.param(100, marks=pytest.mark.long)])
def test_killed_writers_lose_nothing_the_provider_saw(tmp_path, kills, monkeypatch):
    monkeypatch.setattr(ledger, "GROW_BYTES", 16_384)  # so that journals grow and rotate all the time
    chance = random.Random(kills)
    store = Store(tmp_path)
    sent: list[str] = []
    done: set[str] = set()
    for generation in range(kills):
        reading, writing = os.pipe()
        writer = child(lambda writing=writing, g=generation: write_for_ever(tmp_path, g, writing))
        os.close(writing)
        heard = drain(reading, chance.uniform(0.0, 0.02))
        if generation % 3 == 0:
            store.fold()
            heard += drain(reading, chance.uniform(0.0, 0.02))
        os.kill(writer, signal.SIGKILL)
        assert join(writer) == [-signal.SIGKILL]
        os.set_blocking(reading, True)
        while more := os.read(reading, 1 << 16):
            heard += more
        os.close(reading)
        for line in heard.decode().splitlines():
            word, name = line.split()
            if word == "sent":
                sent.append(name)
            else:
                done.add(name)
        if generation % 4 == 0:
            store.fold()
    store.fold()
    rows = {a["attempt"]: a for a in store.attempts()}
    states = {name: row["state"] for name, row in rows.items()}
    assert len(rows) == sum(1 for _ in store.attempts())
    assert len(sent) == len(set(sent)) > kills
    assert set(sent) <= set(states)
    assert set(states.values()) == {"settled", "unknown"}
    assert all(states[name] == "settled" for name in done)
    assert len(set(states) - set(sent)) <= kills  # opened, and killed before the provider was told
    assert sum(state == "unknown" for state in states.values()) <= kills * (IN_FLIGHT + 1)
    assert store.check() == []
    assert list((tmp_path / "journal").glob("*.jsonl")) == []
