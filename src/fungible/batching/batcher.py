"""A run's batches, from the first request put together to the last answer handed out.

A batch is made and sent while its run's lock is held. What is known of it at any moment is in the journal;
whoever begins anew asks first what became of those that are not over (`recall`):

    it has an id          it is looked at until it has ended
    none is known         the provider's jobs are looked through for our mark; where an API has no place for
                          one, for a job of as many requests as we planned, whose results have our names
    it is not there       it was never taken: its rows are void, its requests are asked in another
"""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..account import Awaited
from ..asker import Asker
from ..faults import Fault
from ..money import Price
from ..providers.batches.base import BatchApi, Errand, Job, Result
from ..recording import Recording
from ..switch.standing import Item
from ..switch.world import Replayed
from .desk import Desk
from .journal import MARKED, Journal, Over, Part, Planned, Sent
from .passes import Passes, attempt_of

PILE_BYTES_MAX = 64 * 1024 * 1024  # a batch is held in memory while it is sent
TRIES_MAX = 8
PAUSE_S = 1.0
PAUSE_MAX_S = 60.0
PAUSE_GROWS = 1.5
SETTLE_S = 5.0  # after which a request that was sent has been taken, or will not be
SKEW_S = 600.0  # that a provider's clock may differ by


class Pile(NamedTuple):
    """A batch that is being put together."""

    mark: str
    target: str
    url: str
    api: BatchApi
    file: BinaryIO
    parts: list[Part]
    rows: list[Awaited]

    def takes(self, more: int) -> bool:
        most = min(self.api.bytes_max, PILE_BYTES_MAX)
        return len(self.parts) < self.api.requests_max and self.file.tell() + more < most


class Batcher:
    """Implements `switch.batched.Batches`. `said` hears what a person should know."""

    def __init__(self, run: str, folder: Path, asker: Asker, said: Callable[[str], None]) -> None:
        self._tags = f"rehearsal={run}"
        self._asker = asker
        self._app = asker.app()
        self._passes = Passes(self._app, asker)
        self._journal = Journal(folder)
        self._said = said
        self._piles: dict[tuple[str, str], Pile] = {}
        self._full: list[Pile] = []
        self._under_way: list[tuple[Planned, str]] = []
        self._cancelling = False
        self._deaf = False  # the last look was in vain

    def takes(self, target: str) -> bool:
        return self._passes.api(target) is not None

    def price(self, target: str) -> Price | None:
        return self._passes.price(target)

    @property
    def under_way(self) -> list[Item]:
        return [Item(part.n, part.by, part.anew) for planned, _ in self._under_way for part in planned.parts]

    # --- together

    def put(self, item: Item, recording: Recording) -> Replayed | None:
        """Into a batch that `send` submits; an answer where it cannot be sent at all."""
        put = self._passes.put(recording, item.by, self._tags)
        if isinstance(put, Replayed):
            return put
        api = self._api(item.by)
        pile = self._piles.get((item.by, put.url)) or self._begun(item.by, put.url, api)
        line = self._line(pile, put.body)
        if pile.parts and not pile.takes(len(line)):
            self._full.append(pile)
            pile = self._begun(item.by, put.url, api)
            line = self._line(pile, put.body)
        name = f"{pile.mark}-{len(pile.parts)}"
        try:
            pile.file.write(line)
        except OSError as error:
            raise _unwritten(error) from None
        pile.parts.append(Part(item.n, item.by, item.anew, name))
        pile.rows.append(self._passes.row(put, name))
        return None

    def _line(self, pile: Pile, body: bytes) -> bytes:
        return pile.api.line(f"{pile.mark}-{len(pile.parts)}", pile.url, body) + b"\n"

    def _begun(self, target: str, url: str, api: BatchApi) -> Pile:
        mark = f"{MARKED}{secrets.token_hex(8)}"
        try:
            path = self._journal.requests(mark)
            path.touch(0o600)
            file = path.open("wb")
        except OSError as error:
            raise _unwritten(error) from None
        pile = self._piles[target, url] = Pile(mark, target, url, api, file, [], [])
        return pile

    def _api(self, target: str) -> BatchApi:
        api = self._passes.api(target)
        assert api is not None, "whoever puts something has asked `takes`"
        return api

    # --- on its way

    async def send(self) -> None:
        """Submit what was put together. Raises Fault; what was not taken is void, and can be put again."""
        piles = [*self._full, *self._piles.values()]
        self._full, self._piles = [], {}
        try:
            for pile in piles:
                try:
                    pile.file.close()
                except OSError as error:
                    raise _unwritten(error) from None
                await self._send(pile)
        finally:
            for pile in piles:
                with suppress(OSError):
                    pile.file.close()
                if pile.mark not in {planned.mark for planned, _ in self._journal.under_way()}:
                    self._journal.sweep(pile.mark)

    async def _send(self, pile: Pile) -> None:
        now_ms = int(time.time() * 1000)
        planned = Planned(pile.mark, pile.target, pile.url, now_ms, tuple(pile.parts))
        self._journal.add(planned)
        try:
            self._passes.open(pile.rows)
            id = await self._submitted(planned)
        except Fault as fault:
            self._give_up(planned, fault.kind)
            raise
        self._journal.add(Sent(planned.mark, id))
        self._under_way.append((planned, id))
        self._said(f"{planned.target}: batch {id}, {len(planned.parts):,} requests.")

    async def _submitted(self, planned: Planned) -> str:
        """The batch's id. Raises Fault only where the provider does not have it."""
        desk, api = self._desk(planned.target), self._api(planned.target)
        given = self._journal.requests(planned.mark).read_bytes()
        upload = api.upload(planned.mark, given)
        if upload is not None:
            asked = upload
            given = api.uploaded(await self._patiently(lambda: desk.run(asked))).encode()
        model = self._passes.target(planned.target).model
        create = api.create(planned.mark, model, planned.url, given)
        pause_s = PAUSE_S
        for left in reversed(range(TRIES_MAX)):
            try:
                return api.job(await desk.run(create)).id
            except Fault as fault:
                if not _refused(fault):
                    job = await self._found(planned)
                    if job is not None:
                        return job.id
                if not left or not _passing(fault):
                    raise
                await self._asker.pause(max(pause_s, (fault.retry_after_ms or 0) / 1000))
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
        raise AssertionError("the last try returns or raises")

    def _give_up(self, planned: Planned, why: str) -> None:
        for part in planned.parts:
            self._passes.void(attempt_of(part.name), why)
        self._journal.add(Over(planned.mark, False))
        self._journal.sweep(planned.mark)

    # --- found again

    async def recall(self) -> None:
        """Take up the batches that an earlier process has left. Raises Fault; they can be taken up later."""
        self._journal.sweep_strays()
        left = self._journal.under_way()
        if not left:
            return
        self._passes.recall()
        for planned, known in left:
            id = known
            if not id:
                job = await self._found(planned)
                if job is None:
                    self._give_up(planned, "unreachable")
                    continue
                id = job.id
                self._journal.add(Sent(planned.mark, id))
            self._said(f"{planned.target}: going on with batch {id}, {len(planned.parts):,} requests.")
            self._under_way.append((planned, id))

    async def _found(self, planned: Planned) -> Job | None:
        """The provider's job for this batch, None: it has none."""
        await self._asker.pause(SETTLE_S)
        known = self._journal.ids()
        for job in await self._jobs(planned):
            if job.mark == planned.mark:
                return job
            alike = job.mark is None and job.id not in known and job.total in (0, len(planned.parts))
            if alike and await self._is_ours(planned, job):
                return job
        return None

    async def _jobs(self, planned: Planned) -> list[Job]:
        """Of the time since it was planned."""
        desk, api = self._desk(planned.target), self._api(planned.target)
        found: list[Job] = []
        number, after = 0, ""
        since_s = planned.at_ms / 1000 - SKEW_S
        while True:
            errand = api.page(number, after)
            jobs, after = api.jobs(await self._patiently(lambda: desk.run(errand)))  # noqa: B023 - awaited here
            found += [job for job in jobs if not job.created_s or job.created_s >= since_s]
            if not after or (jobs and 0 < jobs[-1].created_s < since_s):
                return found
            number += 1

    async def _is_ours(self, planned: Planned, job: Job) -> bool:
        """By the names in its results, for which it has to end."""
        pause_s = PAUSE_S
        while job.state == "running":
            await self._asker.pause(pause_s)
            pause_s = min(pause_s * PAUSE_GROWS, PAUSE_MAX_S)
            job = await self._look(planned, job.id)
        await self._fetch(planned, job)
        names = {part.name for part in planned.parts}
        return any(result.id in names for result in self._results(planned))

    # --- answers

    async def answers(
        self, recordings: Callable[[Item], Recording], told: Callable[[int], None]
    ) -> AsyncIterator[tuple[Item, Replayed]]:
        """Of all batches under way, as they end; `recordings`: what was put for an item.

        What is handed out has to be written before the next is asked for. Raises Fault; a batch that was not
        read to its end can be read again. `told` hears how many requests the providers have done.
        """
        pause_s = PAUSE_S
        while self._under_way:
            done = 0
            for planned, id in list(self._under_way):
                job = await self._known(planned, id)
                if job is None:
                    continue
                if job.state == "running":
                    done += job.done
                    continue
                if job.state == "failed":
                    self._under_way.remove((planned, id))
                    self._give_up(planned, "bad_request")
                    raise Fault("bad_request", f"{planned.target} did not take the batch {id}: {job.why}")
                await self._brought(planned, job)
                for part, result in self._each(planned, job):
                    item = Item(part.n, part.by, part.anew)
                    if self._cancelling and result.gone == "canceled":
                        self._passes.gone(attempt_of(part.name), result)
                        continue
                    yield (
                        item,
                        self._passes.take(
                            recordings(item), part.by, self._tags, result, attempt_of(part.name)
                        ),
                    )
                await self._ended(planned, job)
                self._under_way.remove((planned, id))
            told(done)
            if self._under_way:
                await self._asker.pause(pause_s)
                pause_s = min(pause_s * PAUSE_GROWS, PAUSE_MAX_S)

    async def cancel(self) -> None:
        """Ask the providers to stop; `answers` then tells what was answered before. Raises Fault."""
        self._cancelling = True
        for planned, id in self._under_way:
            desk, errand = self._desk(planned.target), self._api(planned.target).cancel(id)
            try:
                await self._patiently(lambda: desk.run(errand))  # noqa: B023 - awaited here
            except Fault as fault:
                if (await self._look(planned, id)).state == "running":
                    raise fault from None

    def _each(self, planned: Planned, job: Job) -> Iterator[tuple[Part, Result]]:
        """Every request of the batch once, with what came of it."""
        parts = {part.name: part for part in planned.parts}
        for result in self._results(planned):
            part = parts.pop(result.id, None)
            if part is not None:
                yield part, result
        for name, part in parts.items():
            yield part, Result(name, gone=job.rest, unsure=job.unsure)

    async def _known(self, planned: Planned, id: str) -> Job | None:
        """None: the provider cannot be asked at this moment. A batch has a day; so have we."""
        api = self._api(planned.target)
        try:
            job = api.job(await self._desk(planned.target).run(api.look(id)))
        except Fault as fault:
            if not _passing(fault):
                raise self._lost(planned, id, fault) from None
            if not self._deaf:
                self._said(
                    f"{planned.target} cannot be asked about its batch; it will be again. {fault.message}"
                )
            self._deaf = True
            return None
        self._deaf = False
        return job

    async def _brought(self, planned: Planned, job: Job) -> None:
        try:
            await self._fetch(planned, job)
        except Fault as fault:
            raise self._lost(planned, job.id, fault) from None

    def _lost(self, planned: Planned, id: str, fault: Fault) -> Fault:
        """What is told of a batch that cannot be had; of one that is gone, nobody knows what it cost."""
        if fault.kind != "not_found":
            return fault
        self._under_way.remove((planned, id))
        for part in planned.parts:
            self._passes.unknown(attempt_of(part.name))
        self._journal.add(Over(planned.mark, True))
        self._journal.sweep(planned.mark)
        return Fault(
            "not_found",
            f"{planned.target} has the batch {id} no more: {fault.message} What its {len(planned.parts):,} "
            "requests cost is not known. To go on is to ask them anew.",
        )

    async def _look(self, planned: Planned, id: str) -> Job:
        desk, api = self._desk(planned.target), self._api(planned.target)
        return api.job(await self._patiently(lambda: desk.run(api.look(id))))

    async def _fetch(self, planned: Planned, job: Job) -> None:
        """The results into a file of the run's."""
        desk = self._desk(planned.target)
        path = self._journal.results(planned.mark)
        try:
            path.touch(0o600)
            with path.open("wb") as file:
                for place in job.outputs:
                    begun = file.tell()

                    async def fetched(place: str = place, begun: int = begun) -> bytes:
                        file.seek(begun)
                        file.truncate()
                        return await desk.run(Errand("GET", place), file)

                    await self._patiently(fetched)
                    file.write(b"\n")
        except OSError as error:
            raise Fault("internal", f"The results cannot be written: {error.strerror}.") from None

    def _results(self, planned: Planned) -> Iterator[Result]:
        with self._journal.results(planned.mark).open("rb") as file:
            yield from self._api(planned.target).results(file)

    async def _ended(self, planned: Planned, job: Job) -> None:
        """Everything of it is written. What we uploaded, and what was made of that, stays with nobody."""
        self._journal.add(Over(planned.mark, True))
        self._journal.sweep(planned.mark)
        desk = self._desk(planned.target)
        for errand in job.leavings:
            try:
                await desk.run(errand)
            except Fault:
                continue  # it goes by itself when the provider's time for it is over

    # --- the rest

    def close(self) -> None:
        """What was put together and not sent is let go."""
        for pile in (*self._full, *self._piles.values()):
            pile.file.close()
            self._journal.sweep(pile.mark)

    def _desk(self, target: str) -> Desk:
        return Desk(self._app.gateway, self._passes.target(target))

    async def _patiently(self, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """Of what may be done twice. Raises Fault where it would be of no use to go on."""
        pause_s = PAUSE_S
        for left in reversed(range(TRIES_MAX)):
            try:
                return await work()
            except Fault as fault:
                if not left or not _passing(fault):
                    raise
                await self._asker.pause(max(pause_s, (fault.retry_after_ms or 0) / 1000))
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
        raise AssertionError("the last try returns or raises")


def _unwritten(error: OSError) -> Fault:
    return Fault("internal", f"The batch cannot be written: {error.strerror}.")


def _refused(fault: Fault) -> bool:
    """Whether the provider has certainly not taken what it was sent."""
    return fault.kind == "unreachable" or fault.whose in ("caller", "operator")


def _passing(fault: Fault) -> bool:
    """Whether it may be gone later."""
    return (fault.retry and fault.whose in ("provider", "gateway")) or fault.kind == "rate_limited"
