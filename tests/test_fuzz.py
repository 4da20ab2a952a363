"""The targets of `make fuzz`, on the golden files changed by chance; and Atheris for a moment, where it is."""

import random
import subprocess
import sys
from importlib.util import find_spec

import pytest

from fungible.frames.eventstream import frame, header_block

from .fuzz import ROOT, changed, seeds, targets

TARGETS = targets()
FOUND = {
    "frames.eventstream": b"\x03" + frame(header_block({}), b"{}") + bytes(16),  # no frame behind a whole one
    "anthropic.messages.stream": b'\x03data:{"type":"content_block_start","index":2,"content_block":{"type":"tool_use",'
    b'"id":"call_b","name":"now","input":{}}}\n\nevent: content_block_delta\ndata: {"type":"celta","index":2,'
    b'"delta":{"type":"inelta","partial_json":"{}"}}\n\nevent:stop",\r',  # a delta by its event's name alone
}
"""What was found here, and is mended."""


def crashes(target: str, runs: int, seed: int = 1) -> list[str]:
    chance, told, found = random.Random(seed), seeds(target) or [b"", b"\x03{}"], []
    for given in [*told, *(changed(chance.choice(told), chance) for _ in range(runs))]:
        try:
            TARGETS[target](given)
        except Exception as problem:
            found.append(f"{problem!r:.200} of {given!r:.400}")
    return found


@pytest.mark.parametrize("target", FOUND)
def test_what_was_found_stays_mended(target: str) -> None:
    TARGETS[target](FOUND[target])


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_crash_what_reads_them(target: str) -> None:
    assert crashes(target, runs=60)[:3] == []


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_many_bytes_crash_nothing(target: str) -> None:
    assert crashes(target, runs=20_000, seed=2)[:3] == []


def test_a_crash_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise KeyError(data[:1])

    monkeypatch.setitem(TARGETS, "frames.sse", broken)
    assert len(crashes("frames.sse", runs=3)) == len(seeds("frames.sse")) + 3


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: make fuzz does that")
def test_atheris_runs_a_target() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "frames.sse", "--runs", "200"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
