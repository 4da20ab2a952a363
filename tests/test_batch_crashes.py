"""A rehearsal by the batch, killed at every step there is: one batch, every row closed once, nothing paid twice.

A step is a line of the batches' journal, an opening or an ending in the ledger, a line of the run's file, or an
errand at the provider's; it is killed before each and after each. What a SIGKILL does to a process is shown by
`test_switch_batch`; here the state it leaves is made at each place, in this process.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fungible.asker import Asker
from fungible.batching.batcher import Batcher
from fungible.batching.desk import Desk
from fungible.batching.journal import Journal
from fungible.cli.switching.batches import batched
from fungible.ledger import Ledger
from fungible.recordings import Recordings
from fungible.switch.agenda import planned
from fungible.switch.batched import Batched
from fungible.switch.runs import Run, Settings
from tests.rehearsing import recorded
from tests.test_switch_batch import ONE, BatchStage

COUNT = 2


class Killed(BaseException):
    """As if by SIGKILL: nothing but `finally` comes after it."""


class Fuse:
    """Burns at every step; kills at step `at`, once."""

    def __init__(self, at: int) -> None:
        self.steps, self.at = 0, at

    def burn(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed


def fused(patch: pytest.MonkeyPatch, fuse: Fuse) -> None:
    def around(work: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*given: Any, **named: Any) -> Any:
            fuse.burn()
            made = work(*given, **named)
            fuse.burn()
            return made

        return fused

    for place, name in ((Journal, "add"), (Ledger, "settle"), (Run, "append")):
        patch.setattr(place, name, around(getattr(place, name)))
    opening = Ledger.open

    def opened(self: Ledger, row: Any) -> None:
        fuse.burn()
        opening(self, row)
        fuse.burn()

    patch.setattr(Ledger, "open", opened)
    running = Desk.run

    async def ran(self: Desk, *given: Any) -> bytes:
        fuse.burn()
        made = await running(self, *given)
        fuse.burn()
        return made

    async def no_pause(_: Asker, __: float) -> None:
        await asyncio.sleep(0)

    patch.setattr(Desk, "run", ran)
    patch.setattr(Asker, "pause", no_pause)


async def gone(stage: BatchStage) -> None:
    run = Run.opened(stage.state, "b")
    asker = Asker(str(stage.config))
    batcher = None
    try:
        run.hold()
        batcher = Batcher("b", run.folder, asker, lambda _: None)
        assert await Batched(run, asker, batcher).go() == "done"
    finally:
        run.close()
        await asker.close()


def begun(stage: BatchStage, target: str, count: int = COUNT) -> None:
    stage.fill([recorded(n, "chat") for n in range(count)])
    wanted = Settings(run="b", route="assistant", targets=(target,), begun_ms=1, until="all")
    settings, drawing = planned(Recordings(stage.state), wanted, count)
    settings = asyncio.run(batched(settings, "always", str(stage.config)))
    Run.begun(stage.state, settings, drawing).close()


@pytest.fixture
def in_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield monkeypatch


def _steps(folder: Path, target: str, patch: pytest.MonkeyPatch, at: int) -> int:
    """Killed at that step and taken up again; the number of steps of the first life."""
    folder.mkdir()
    with BatchStage(folder) as stage, patch.context() as within:
        within.chdir(folder)
        begun(stage, target)
        fuse = Fuse(at)
        fused(within, fuse)
        try:
            asyncio.run(gone(stage))
            lived = fuse.steps
        except Killed:
            lived = fuse.steps
            asyncio.run(gone(stage))
        rows = stage.rows()
        settled = [row for row in rows if row["state"] == "settled"]
        assert {row["state"] for row in rows} <= {"settled", "void"}, (at, rows)
        assert len(settled) == COUNT and stage.creations() == 1, (at, stage.creations(), rows)
        assert stage.server.answered == COUNT
        assert not stage.left("b"), at
        if target.startswith("anthropic"):
            assert sum(row["cost_nanousd"] for row in rows) == COUNT * ONE
        lines = (stage.state / "rehearsals" / "b" / "answers.jsonl").read_text().splitlines()
        assert sum('"type":"answer"' in line for line in lines) == COUNT, at
    return lived


def _killed_at(folder: Path, target: str, patch: pytest.MonkeyPatch, every: int) -> None:
    whole = _steps(folder / "whole", target, patch, 0)
    assert whole >= 30
    for at in range(1, whole + 1, every):
        assert _steps(folder / str(at), target, patch, at) >= at


def test_killed_at_some_steps(tmp_path: Path, in_here: pytest.MonkeyPatch) -> None:
    _killed_at(tmp_path, "anthropic/two", in_here, 4)


@pytest.mark.long
@pytest.mark.parametrize("target", ["anthropic/two", "openai/one", "gemini/two", "mistral/one"])
def test_killed_at_every_step(tmp_path: Path, in_here: pytest.MonkeyPatch, target: str) -> None:
    _killed_at(tmp_path, target, in_here, 1)
