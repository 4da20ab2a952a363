"""A restart, SIGKILL, one dead worker of two and a full disk, in every state of a switch.

Callers go on all the while. After each hardship the switch stands where it stood or further on its road, its
history has only grown, and its evidence is exactly what the ledger's rows say: computed again from them, from
the first to the last that was folded, it is the same to the last digit, so nothing is lost and nothing counts
twice. Then the switch still reacts: a candidate that turned bad is rolled back.
"""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fungible.store import Store, Switches
from fungible.switch.pilot import LEDGER, outcome_of, plan_of
from fungible.switch.tally import Tally
from fungible.switch.units import Units
from tests.rollouts import Callers, Rig, failing

LONG = ("--min-calls", "1000000", "--window-seconds", "1", "--guard", "only", "--guard", "errors")
STATES: dict[str, tuple[str, ...]] = {
    # state -> how to begin a switch that comes there and stays
    "shadow": ("--shadow", "1000000", "--steps", "50,100", *LONG),
    "step": ("--steps", "50,100", *LONG),
    "waiting": ("--steps", "50,100", "--ask", "--min-calls", "20", "--min-seconds", "0", *LONG[2:]),
    "holdback": ("--steps", "100", "--holdback", "40", *LONG),
    "done": ("--steps", "100", *LONG),
    "rolled_back": ("--steps", "50,100", *LONG),
}
COMPARING = ("shadow", "step", "waiting", "holdback")


def evidence_is_the_ledgers(state: Path) -> int:
    """Compares what was kept with what the rows say; gives how many outcomes there are."""
    switches, store = Switches(state), Store(state)
    try:
        row = switches.all()[-1]
        kept = switches.evidence(row.id, LEDGER)
        if kept is None:
            return 0
        plan = plan_of(row)
        tally, units = Tally(plan, plan.guards), Units()
        for told in store.switched(0, 10_000_000):
            if told["seq"] > kept["upto"]:
                break
            outcome = outcome_of(told, plan) if told["tags"].startswith(f"switch={row.id}:") else None
            if outcome is not None:
                tally.take(outcome, units)
            tally.upto = told["seq"]
        assert tally.state() == kept
        seen = kept["watches"]["errors"]["seen"]
        return int(seen["c"][1] + seen["b"][1])
    finally:
        switches.close()
        store.close()


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def restart(rig: Rig) -> None:
    rig.running.process.terminate()
    rig.running.process.wait(timeout=30)
    rig.running.start()


def sigkill(rig: Rig) -> None:
    workers = children(rig.running.process.pid)
    rig.running.kill()
    for pid in workers:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    rig.running.start()


def one_worker(rig: Rig) -> None:
    os.kill(children(rig.running.process.pid)[0], signal.SIGKILL)
    time.sleep(2)


def full_disk(rig: Rig) -> None:
    """No file of the workers may grow: what a full disk does to them (setrlimit(2); SIGXFSZ is ignored)."""
    workers = children(rig.running.process.pid)
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    time.sleep(3)
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


HARDSHIPS: dict[str, Callable[[Rig], None]] = {
    "restart": restart,
    "sigkill": sigkill,
    "one worker": one_worker,
    "full disk": full_disk,
}


def brought(rig: Rig, state: str) -> None:
    """To this state, and in it long enough to have evidence."""
    rig.start(*STATES[state])
    if state == "rolled_back":
        time.sleep(2)
        rig.running.program("switch", "rollback")
    rig.until(lambda told: told["state"] == state, 60)


def survives(rig: Rig, state: str, hardship: str) -> None:
    before, moves = rig.told(), rig.history()
    HARDSHIPS[hardship](rig)
    told = rig.until(lambda told: told["switch"] == before["switch"], 10)
    assert (told["state"], told["stage"], told["share"]) == (
        before["state"],
        before["stage"],
        before["share"],
    )
    assert rig.history() == moves, "the history has changed"
    for name, guard in before["guards"].items():
        for count in ("candidate_outcomes", "incumbent_outcomes"):
            assert told["guards"][name][count] >= guard[count], "evidence was lost"
    evidence_is_the_ledgers(rig.state)
    if state in COMPARING:
        seen = told["guards"]["errors"]["candidate_outcomes"]
        rig.until(lambda told: told["guards"]["errors"]["candidate_outcomes"] > seen + 10, 60)
        assert evidence_is_the_ledgers(rig.state) > 10


@pytest.mark.parametrize(
    "state", ["step", *(pytest.param(state, marks=pytest.mark.long) for state in STATES if state != "step")]
)
def test_hardships(tmp_path: Path, state: str) -> None:
    with Rig(tmp_path) as rig, Callers(rig, 3) as callers:
        brought(rig, state)
        for hardship in HARDSHIPS:
            survives(rig, state, hardship)
        assert 503 in callers.failed, "the full disk was felt"
        if state in COMPARING:
            rig.plays["new"] = failing(0.5)
            told = rig.until(lambda told: told["state"] == "rolled_back", 60)
            assert rig.history()[-1]["by"] in ("errors", "outage") and told["share"] == 0.0
            evidence_is_the_ledgers(rig.state)
        callers.stopping.set()
    assert "Traceback" not in rig.running.said()
    store = Store(rig.state)
    assert store.fold().refused == 0 and store.check() == []
    store.close()
