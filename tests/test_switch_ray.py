"""A rehearsal on Ray: two workers, the same answers and verdict as on one machine, and a worker that dies."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fungible.engine import Cluster, asker_of
from fungible.faults import Fault
from fungible.store import Store
from fungible.switch.findings import said
from fungible.switch.rehearsal import Rehearsal
from fungible.switch.runs import Settings
from tests.rehearsing import Stage, begun, recorded

KINDS = ("chat", "json", "tool")


def wrong(kind: str, n: int) -> str | None:
    return "schema" if kind == "json" and n % 12 == 1 else None


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Stage(tmp_path, wrong) as ready:
        yield ready


async def go(stage: Stage, name: str, made: Any, killing: bool = False) -> dict[str, Any]:
    wanted = Settings(run=name, route="assistant", targets=("new/two",), begun_ms=1, until="all")
    recordings = [recorded(n, KINDS[n % 3], streams=n % 4 == 0, group=f"g{n // 6}") for n in range(240)]
    run = begun(stage.state / name, recordings, wanted)
    asker = made(run.settings)
    rehearsal = Rehearsal(run, asker, hands=asker if isinstance(asker, Cluster) else None, concurrency=16)
    if killing:
        one = asker._workers[0]
        asyncio.get_running_loop().call_later(1.0, lambda: asker._ray.kill(one, no_restart=False))
    try:
        await rehearsal.go()
    finally:
        run.close()
        await asker.close()
    return said(rehearsal.standing)


def judged(document: dict[str, Any]) -> Any:
    """What does not depend on the hour."""
    candidate = document["candidates"][0]
    kept = ("verdict", "recordings", "blocks", "needed", "measures", "losses", "failures", "differences")
    return {name: candidate[name] for name in kept}


def test_without_ray_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.engine.find_spec", lambda name: None)
    with pytest.raises(Fault, match=r"pip install 'fungible\[ray\]'"):
        Cluster(asker_of(None), Settings(run="r", route="r", targets=(), begun_ms=1), 2)


@pytest.mark.long
def test_two_workers_reach_the_verdict_of_one_machine(stage: Stage) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    try:
        config = str(stage.config)
        here = asyncio.run(go(stage, "here", lambda _: asker_of(config)()))
        spread = asyncio.run(go(stage, "spread", lambda s: Cluster(asker_of(config), s, 2, nodes.address)))
        store = Store(stage.state)
        store.fold()
        attempts = list(store.attempts())
        store.close()
        boots = {row["attempt"].partition("-")[0] for row in attempts}
        assert judged(spread) == judged(here)
        assert judged(here)["recordings"] == 240
        assert spread["spent_nanousd"] == here["spent_nanousd"]
        assert len(attempts) == 480 and len(boots) >= 3, "one process, and two workers, wrote the ledger"
        killed = asyncio.run(
            go(stage, "killed", lambda s: Cluster(asker_of(config), s, 2, nodes.address), killing=True)
        )
        assert judged(killed) == judged(here)
    finally:
        nodes.shutdown()
    assert os.environ["TEST_KEY"] == "k"
