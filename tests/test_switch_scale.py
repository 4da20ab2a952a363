"""A rehearsal of any size: the order of arrival does not matter, nothing grows, and a killed driver pays nothing twice."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.rehearsal import TARGET, WANTED, Scripted, measured, recordings

from fungible.faults import Fault
from fungible.recording import Recording
from fungible.recordings import Recordings
from fungible.switch import asked, rehearsal
from fungible.switch.agenda import planned
from fungible.switch.checks import read_checks
from fungible.switch.findings import findings, said
from fungible.switch.rehearsal import Rehearsal
from fungible.switch.runs import Answered, Measured, Run, Settings
from fungible.switch.scorers import scorers_of
from fungible.switch.world import Replayed
from tests.rehearsing import begun

N = 300


class Watched(Scripted):
    """Notes what it is asked, and how far ahead of the standing's first gap; recording `late` takes its time."""

    def __init__(self, late: int | None = None, **same: Any) -> None:
        super().__init__(**same)
        self.asked: list[str] = []
        self.late = late
        self.ahead = self.held = 0
        self.standing: Any = None

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        self.asked.append(recording.id)
        if len(self.asked) == self.late:
            await asyncio.sleep(0.5)
        came = await super().replay(recording, target, tags)
        if self.standing is not None:
            self.held = max(self.held, len(self.standing.measured) + len(self.standing.answered))
        return came


def went(run: Run, outside: Scripted, concurrency: int = 8) -> dict[str, Any]:
    made = Rehearsal(run, outside, scorers=scorers_of(run.settings, outside), concurrency=concurrency)
    if isinstance(outside, Watched):
        outside.standing = made.standing
    asyncio.run(made.go())
    run.close()
    return said(made.standing)


def plan(state: Path, n: int = N, **fields: object) -> Run:
    return begun(state, list(recordings(n)), msgspec.structs.replace(WANTED, **fields))


def result(document: dict[str, Any]) -> str:
    """As bytes; what was on its way at the verdict is paid, and is not the same each time."""
    return json.dumps(document | {"spent_nanousd": 0})


@pytest.mark.parametrize(
    "fields", [{}, {"until": "decided"}, {"anew": 0.5}, {"targets": (TARGET, "new/three")}]
)
def test_the_order_of_arrival_does_not_matter(tmp_path: Path, fields: dict[str, object]) -> None:
    one = went(plan(tmp_path / "one", **fields), Scripted(fault=3), 1)
    many = went(plan(tmp_path / "many", **fields), Scripted(fault=3, pause_s=0.002), 32)
    assert result(one) == result(many)
    assert one["candidates"][0]["verdict"] == "not_safe"
    assert (one["spent_nanousd"] == many["spent_nanousd"]) is ("until" not in fields)
    assert result(findings(Run.opened(tmp_path / "many", "r"))) == result(many)


def test_one_late_answer_holds_the_others_no_further_ahead_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "AHEAD", 40)
    outside = Watched(late=10)
    document = went(plan(tmp_path), outside, 16)
    assert document["candidates"][0]["recordings"] == N
    assert 30 < outside.held <= 41 and outside.standing.measured == outside.standing.answered == {}


def test_recordings_are_drawn_a_piece_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = went(plan(tmp_path / "whole"), Scripted())
    monkeypatch.setattr(asked, "FIRST", 16)
    monkeypatch.setattr(asked, "MOST", 64)
    run = plan(tmp_path / "pieces")
    assert result(went(run, Scripted())) == result(whole)
    sizes = [16, 32, 64, 64, 64, 60]
    firsts = [int(path.stem.partition("-")[2]) for path in sorted(run.folder.glob("asked-*.rows"))]
    assert firsts == [sum(sizes[:n]) for n in range(len(sizes))]
    early = plan(tmp_path / "early", until="decided")
    went(early, Scripted(fault=2))
    assert early.asked.drawn < N, "a verdict that comes early has copied little"


def test_what_is_deleted_before_it_is_drawn_is_not_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "FIRST", 16)
    run = plan(tmp_path)
    first = {recording.id for recording in run.recordings(16)}
    shelf = Recordings(tmp_path)
    gone = {f"call-{n}" for n in range(0, N, 3)}
    assert shelf.delete("assistant", ids=gone) == 100
    run.close()
    document = went(Run.opened(tmp_path, "r"), outside := Watched())
    assert not (set(outside.asked) & gone) - first
    assert document["candidates"][0]["recordings"] == N - len(gone - first) == len(outside.asked)
    for path in shelf.segments():
        path.unlink()
    assert result(findings(Run.opened(tmp_path, "r"))) == result(document), "a run needs no shelf any more"


def test_an_answer_that_was_not_measured_is_measured_and_not_asked_again(tmp_path: Path) -> None:
    whole = went(plan(tmp_path / "whole", 60, anew=1.0), Scripted())
    run = plan(tmp_path / "cut", 60, anew=1.0)
    went(run, Scripted(pause_s=0.001))
    file = run.folder / "answers.jsonl"
    lines = [line for line in file.read_bytes().splitlines(keepends=True) if b'"type":"measured"' not in line]
    file.write_bytes(b"".join(lines[:70]))
    outside = Watched()
    again = went(Run.opened(tmp_path / "cut", "r"), outside)
    assert len(outside.asked) == 120 - 70
    assert result(again) == result(whole) and again["spent_nanousd"] == whole["spent_nanousd"]


# --- killed ----------------------------------------------------------------------------------------

DRIVER = """
import asyncio, os, sys
from pathlib import Path
from benchmarks.rehearsal import Scripted
from fungible.switch.rehearsal import Rehearsal
from fungible.switch.runs import Run

class Paid(Scripted):
    async def replay(self, recording, target, tags):
        os.write(paid, f"{recording.id}\\n".encode())
        return await super().replay(recording, target, tags)

paid = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
run = Run.opened(sys.argv[1], "r")
asyncio.run(Rehearsal(run, Paid(pause_s=0.004), concurrency=6).go())
"""


def test_a_driver_that_is_killed_again_and_again_pays_for_no_answer_twice(tmp_path: Path) -> None:
    whole = went(plan(tmp_path / "whole"), Scripted())
    run = plan(tmp_path / "killed")
    paid = tmp_path / "paid"
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    kills = 0
    for until in (30, 100, 101, 190, 10_000):
        before = paid.read_text().split() if paid.exists() else []
        answered = {line.n for _, line in run.lines() if isinstance(line, Answered)}
        ids = {recording.id for n, recording in enumerate(run.recordings(N)) if n in answered}
        run.close()
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path / "killed"), str(paid)], env=env, cwd=root
        )
        deadline = time.monotonic() + 60
        while driver.poll() is None and (not paid.exists() or len(paid.read_text().split()) < until):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        if driver.poll() is None:
            driver.send_signal(signal.SIGKILL)
            kills += 1
        driver.wait()
        assert not ids & set(paid.read_text().split()[len(before) :]), (
            "an answer that is kept is not asked anew"
        )
    calls = paid.read_text().split()
    assert kills == 4 and len(set(calls)) == N and len(calls) <= N + kills * 6, "only what was on its way"
    measures = [line for _, line in run.lines() if isinstance(line, Measured)]
    assert len(measures) == N
    assert json.dumps(findings(run)) == json.dumps(whole)


# --- memory, and Ray -------------------------------------------------------------------------------


@pytest.mark.long
def test_memory_does_not_grow_with_the_recordings(tmp_path: Path) -> None:
    peaks: dict[int, dict[str, float]] = {}
    for n in (2_000, 20_000):
        state = tmp_path / str(n)
        Recordings(state).append(recordings(n))
        peaks[n] = {part: measured(part, state)[1] for part in ("plan", "ask", "resume", "report")}
    for part, few in peaks[2_000].items():
        assert peaks[20_000][part] < few + 16, (part, peaks)


@pytest.fixture
def nodes() -> Iterator[Any]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


async def spread(run: Run, address: str, **same: Any) -> dict[str, Any]:
    from fungible.engine import Cluster

    cluster = Cluster(partial(Scripted, fault=3, pause_s=0.002), run.settings, 2, address)
    made = Rehearsal(run, cluster, scorers=scorers_of(run.settings, cluster), hands=cluster, concurrency=16)
    try:
        await made.go()
    finally:
        run.close()
        await cluster.close()
    return said(made.standing)


@pytest.mark.long
def test_two_workers_give_the_same_bytes_as_one_machine(tmp_path: Path, nodes: Any) -> None:
    checks = read_checks(['{"id": "*", "contains": "plain"}'])
    for n, fields in enumerate(({}, {"until": "decided"}, {"anew": 0.5}, {"checks": checks})):
        wanted: dict[str, Any] = fields
        first, second = plan(tmp_path / f"here{n}", **wanted), plan(tmp_path / f"there{n}", **wanted)
        here = went(first, Scripted(fault=3))
        assert result(asyncio.run(spread(second, nodes.address))) == result(here)


RAY_DRIVER = DRIVER.replace(
    "asyncio.run(Rehearsal(run, Paid(pause_s=0.004), concurrency=6).go())",
    """
from functools import partial
from fungible.engine import Cluster
class Paid(Scripted):
    async def replay(self, recording, target, tags):
        with open(self.paid, "a") as file:
            file.write(recording.id + "\\n")
        return await super().replay(recording, target, tags)

def made(path):
    outside = Paid(fault=3, pause_s=0.004)
    outside.paid = path
    return outside

async def go():
    cluster = Cluster(partial(made, sys.argv[2]), run.settings, 2, sys.argv[3])
    await Rehearsal(run, cluster, hands=cluster, concurrency=6).go()

asyncio.run(go())
""",
)


@pytest.mark.long
def test_a_killed_driver_of_two_workers_is_gone_on_with_on_one_machine(tmp_path: Path, nodes: Any) -> None:
    whole = went(plan(tmp_path / "whole"), Scripted(fault=3))
    run = plan(tmp_path / "killed")
    paid, root = tmp_path / "paid", Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    words = [sys.executable, "-c", RAY_DRIVER, str(tmp_path / "killed"), str(paid), nodes.address]
    driver = subprocess.Popen(words, env=env, cwd=root)
    deadline = time.monotonic() + 120
    while not paid.exists() or len(paid.read_text().split()) < 100:
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    answered = {line.n for _, line in run.lines() if isinstance(line, Answered)}
    kept = {recording.id for n, recording in enumerate(run.recordings(N)) if n in answered}
    run.close()
    outside = Watched(fault=3)
    again = went(Run.opened(tmp_path / "killed", "r"), outside)
    assert 80 < len(kept) < N and not kept & set(outside.asked) and len(outside.asked) == N - len(kept)
    assert json.dumps(again) == json.dumps(whole)


@pytest.mark.long
def test_what_fails_on_a_worker_is_told_as_it_is_here(tmp_path: Path, nodes: Any) -> None:
    wanted = plan(tmp_path / "one", scorer=f"{sys.executable} -c print(7)")
    with pytest.raises(Fault, match="a score is a number from 0 to 1"):
        asyncio.run(spread(wanted, nodes.address))
    missing = plan(tmp_path / "two", scorer="nowhere_at_all:score")
    with pytest.raises(Fault, match="cannot begin"):
        asyncio.run(spread(missing, nodes.address))


def test_the_plan_reads_the_settings_it_is_given(tmp_path: Path) -> None:
    """`Scripted` and the recordings are of use: each kind has its measures, and is answered."""
    Recordings(tmp_path).append(recordings(30))
    chosen, drawing = planned(
        Recordings(tmp_path), Settings(run="r", route="assistant", targets=("a/b",), begun_ms=1)
    )
    drawing.close()
    assert set(chosen.deciding) >= {"answered", "willing", "finished", "schema", "calls", "tools"}


def test_a_fault_reaches_another_process_whole() -> None:
    fault = Fault("rate_limited", "Slow down.", path="a.b", code="c", status=430, retry_after_ms=7)
    assert pickle.loads(pickle.dumps(fault)) == fault
