"""The big engine of a rehearsal: its calls made by workers of a Ray cluster, all else as on one machine.

    here    one process, one loop: `asker.Asker`; the default
    ray     `Cluster`: the same `Asker` in each of several actors; recordings go out, answers come back

So a run on Ray is the same run: the same plan, the same file of answers, the same verdict; whoever goes on
with it may use the other engine. A worker that dies is started again by Ray, and what it had under way is
asked of another. Each worker writes the ledger of the state folder that its configuration names: share that
folder, or have a ledger on each machine. Keys that are `env:NAME` are read from the worker's own environment.

`ray` is an extra; nothing else here needs it.
"""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

from .asker import Asker
from .faults import Fault
from .money import Price
from .recording import Recording
from .recordings import kept, opened
from .recordings.segments import Kept
from .switch.world import Replayed

ENGINES: dict[str, str] = {
    "here": "in this process",
    "ray": "by the workers of a Ray cluster",
}
MEND = "pip install 'fungible[ray]'"
TRIES_MAX = 6  # of a call whose worker died
PAUSE_S = 0.5


class Hand:
    """What an actor is: an `Asker` that takes and gives plain values."""

    def __init__(self, config: str | None) -> None:
        self._asker = Asker(config)

    async def replay(self, row: Kept, target: str, tags: str) -> tuple[Kept, Any]:
        replayed = await self._asker.replay(opened(row), target, tags)
        return kept(replayed.recording), (replayed.lost, replayed.sent, replayed.wait_ms)

    async def close(self) -> None:
        await self._asker.close()


def _ray() -> Any:
    import ray  # noqa: PLC0415 - an extra

    return ray


class Cluster:
    """Implements `switch.world.Asker` by `workers` actors. `address`: of a cluster; None: one here.

    Raises Fault: ray is not installed, or the cluster cannot be reached. Close it.
    """

    def __init__(self, config: str | None, workers: int, address: str | None = None) -> None:
        if find_spec("ray") is None:
            raise Fault("bad_request", f"The engine ray needs Ray: {MEND}.", path="engine")
        self._ray = ray = _ray()
        self._own = not ray.is_initialized()
        if self._own:
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="error")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise Fault("unreachable", f"The Ray cluster cannot be reached: {error}.") from None
        path = config if config is not None else "fungible.toml"
        absolute = str(Path(path).absolute()) if config is not None or Path(path).exists() else None
        made = ray.remote(num_cpus=1, max_restarts=-1, max_concurrency=1000)(Hand)
        self._hands = [made.options(scheduling_strategy="SPREAD").remote(absolute) for _ in range(workers)]
        self._next = cycle(self._hands)
        self._here = Asker(config)

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        row = kept(recording)
        for _ in range(TRIES_MAX):
            try:
                answer, rest = await next(self._next).replay.remote(row, target, tags)
            except self._ray.exceptions.RayActorError:
                await asyncio.sleep(PAUSE_S)
                continue
            return Replayed(opened(answer), *rest)
        raise Fault("unavailable", "The workers of the Ray cluster die; its logs say why. What came is kept.")

    async def embed(
        self, model: str, texts: Sequence[str], tags: str
    ) -> tuple[list[tuple[float, ...]], int | None]:
        return await self._here.embed(model, texts, tags)

    def price(self, target: str) -> Price | None:
        return self._here.price(target)

    async def pause(self, seconds: float) -> None:
        await self._here.pause(seconds)

    def now_s(self) -> float:
        return self._here.now_s()

    async def close(self) -> None:
        """Let the workers fold their ledgers, and the cluster go where it was made here."""
        ends = [hand.close.remote() for hand in self._hands]
        await asyncio.gather(*ends, return_exceptions=True)
        for hand in self._hands:
            self._ray.kill(hand)
        await self._here.close()
        if self._own:
            self._ray.shutdown()
