"""The big engine of a rehearsal: asked and measured by workers of a Ray cluster, all else as on one machine.

    here    one process, one loop: a `Hand` with an `Asker`; the default
    ray     `Cluster`: the same `Hand` with the same `Asker` in each of several actors

Recordings go out, packed as the run's folder has them; lines of the run's file and their measures come back.
The driver reads neither request nor answer. So a run on Ray is the same run: the same order, the same file of
answers, the same verdict; whoever goes on with it may use the other engine. A worker that dies is started
again by Ray, and what it had under way is asked of another. Each worker writes the ledger of the state
folder that its configuration names: share that folder, or have a ledger on each machine. Keys that are
`env:NAME` are read from the worker's own environment, and what measures need has to be installed there, too.

`ray` is an extra; nothing else here needs it.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

from .asker import Asker
from .faults import Fault
from .money import Price
from .recording import Recording
from .recordings import kept, opened, packed, unpacked
from .switch.alone import unmeasured
from .switch.hand import Came, Hand
from .switch.runs import Measured, Score, Settings
from .switch.scorers import scorers_of
from .switch.world import Asker as Outside
from .switch.world import Replayed

ENGINES: dict[str, str] = {
    "here": "in this process",
    "ray": "by the workers of a Ray cluster",
}
MEND = "pip install 'fungible[ray]'"
TRIES_MAX = 6  # of a call whose worker died
PAUSE_S = 0.5


class World(Outside, Protocol):
    """An asker that is closed."""

    async def close(self) -> None: ...


class Worker:
    """What an actor is: a hand with an asker of its own, and what a `Cluster` needs beside."""

    def __init__(self, made: Callable[[], World], settings: Settings) -> None:
        self._asker = made()
        self._hand = Hand(self._asker, settings, scorers_of(settings, self._asker))

    def unmeasured(self) -> dict[str, str]:
        return unmeasured()

    async def replay(self, row: bytes, target: str, tags: str) -> tuple[bytes, Any]:
        replayed = await self._asker.replay(opened(unpacked(row)), target, tags)
        return packed(kept(replayed.recording)), (replayed.lost, replayed.sent, replayed.wait_ms)

    async def ask(self, *given: Any) -> Came:
        return await self._hand.ask(*given)

    async def measured(self, *given: Any) -> Measured:
        return await self._hand.measured(*given)

    async def score(self, *given: Any) -> Score:
        return await self._hand.score(*given)

    async def close(self) -> None:
        await self._asker.close()


def _ray() -> Any:
    import ray  # noqa: PLC0415 - an extra

    return ray


def asker_of(config: str | None) -> Callable[[], Asker]:
    """Makes one, wherever: the configuration is found by its whole path."""
    path = config if config is not None else "fungible.toml"
    there = config is not None or Path(path).exists()
    return partial(Asker, str(Path(path).absolute()) if there else None)


class Cluster:
    """Implements `rehearsal.Hands` and `switch.world.Asker` by `workers` actors, each with what `made` makes.

    `address`: of a cluster; None: one here. Raises Fault: ray is not installed, the cluster cannot be
    reached, or a worker cannot measure what is measured here. Close it.
    """

    def __init__(
        self, made: Callable[[], World], settings: Settings, workers: int, address: str | None = None
    ) -> None:
        if find_spec("ray") is None:
            raise Fault("bad_request", f"The engine ray needs Ray: {MEND}.", path="engine")
        self._ray = ray = _ray()
        self._own = not ray.is_initialized()
        if self._own:
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="error")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise Fault("unreachable", f"The Ray cluster cannot be reached: {error}.") from None
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_concurrency=1000)(Worker)
        spread = actor.options(scheduling_strategy="SPREAD")
        self._workers = [spread.remote(made, settings) for _ in range(workers)]
        self._next = cycle(self._workers)
        self._here = made()
        try:
            self._same_measures()
        except BaseException:
            self._end()
            raise

    def _same_measures(self) -> None:
        """A measure that one worker cannot tell would be of some recordings and not of others."""
        try:
            lacking = self._ray.get([worker.unmeasured.remote() for worker in self._workers])
        except self._ray.exceptions.RayError as error:
            told = str(error).strip().splitlines()[-1]
            raise Fault("unavailable", f"A worker of the Ray cluster cannot begin: {told}") from None
        for lacks in lacking:
            missing = {name: mend for name, mend in lacks.items() if name not in unmeasured()}
            if missing:
                names, mends = ", ".join(missing), ", ".join(sorted(set(missing.values())))
                raise Fault(
                    "bad_request",
                    f"A worker of the cluster cannot measure {names}: {mends} there.",
                    path="engine",
                )

    async def _of_any(self, method: str, *given: Any) -> Any:
        for _ in range(TRIES_MAX):
            try:
                return await getattr(next(self._next), method).remote(*given)
            except self._ray.exceptions.RayActorError:
                await asyncio.sleep(PAUSE_S)
            except self._ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, Fault) else error) from None
        raise Fault("unavailable", "The workers of the Ray cluster die; its logs say why. What came is kept.")

    async def ask(self, n: int, row: bytes, by: str, anew: bool, measure: bool) -> Came:
        came: Came = await self._of_any("ask", n, row, by, anew, measure)
        return came

    async def measured(self, n: int, row: bytes, line: bytes, anew: bytes | None) -> Measured:
        told: Measured = await self._of_any("measured", n, row, line, anew)
        return told

    async def score(self, n: int, row: bytes, line: bytes, measure: str) -> Score:
        score: Score = await self._of_any("score", n, row, line, measure)
        return score

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        answer, rest = await self._of_any("replay", packed(kept(recording)), target, tags)
        return Replayed(opened(unpacked(answer)), *rest)

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
        ends = [worker.close.remote() for worker in self._workers]
        await asyncio.gather(*ends, return_exceptions=True)
        await self._here.close()
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        if self._own:
            self._ray.shutdown()
