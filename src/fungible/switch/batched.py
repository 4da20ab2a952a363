"""A rehearsal whose candidates are asked by the batch: cheaper, and some time within a day.

How it thinks. It goes in rounds. A round is the next recordings of the order: what is not answered of them is
put into batches, and when those have ended and every answer is written, the rehearsal goes on as any other
over what it has: it scores, judges and looks at the verdict. So a batch changes who carries the requests, and
nothing of what is made of the answers.

    all wanted      one round, of at most `MOST` recordings; then others
    until decided   `FIRST` recordings, then about as many as the verdict is likely to need

Batches of an earlier process are taken up first. What a provider held back (`rate_limited`, `overloaded`) is
put into another batch, a few times. A request that expired or was canceled at the provider's is a failure of
that recording that says nothing of the model (`alone.NOT_THE_MODELS`). Times of batches are not measured.

Targets that take no batches, and whatever judges, are asked as always.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from ..money import Price
from ..recording import Recording
from .adaptation import spoken_anew
from .forecast import priced
from .hand import HELD_BACK, Came, why_of
from .rehearsal import STOPPED, Ending, Progress, Rehearsal, stopped, usage_told
from .runs import Answer
from .standing import Item
from .world import Replayed

FIRST = 500
MORE = 1.25  # of what the verdict is likely to need
LEAST = 200
MOST = 50_000  # recordings of a round: what is known of each is in memory
TRIES_MAX = 3


class Batches(Protocol):
    """What carries requests by the batch; see `batching.batcher`."""

    @property
    def under_way(self) -> list[Item]: ...

    def takes(self, target: str) -> bool: ...

    def price(self, target: str) -> Price | None: ...

    async def recall(self) -> None: ...

    def put(self, item: Item, recording: Recording) -> Replayed | None: ...

    async def send(self) -> None: ...

    def answers(
        self, recordings: Callable[[Item], Recording], told: Callable[[int], None]
    ) -> AsyncIterator[tuple[Item, Replayed]]: ...

    async def cancel(self) -> None: ...


class Batched(Rehearsal):
    """`settings.batched`: the targets that are asked through `batches`."""

    def __init__(self, run: Any, asker: Any, batches: Batches, **same: Any) -> None:
        super().__init__(run, asker, **same)
        self._batches = batches
        self._tries: Counter[Item] = Counter()
        self._held: dict[Item, int] = {}
        self._short: Item | None = None  # the budget reaches up to this one

    def price(self, target: str) -> Price | None:
        """Of a batch, where the target is asked by batches."""
        if target not in self.settings.batched:
            return super().price(target)
        if target not in self._prices:
            self._prices[target] = self._batches.price(target)
        return self._prices[target]

    async def go(self, most: int | None = None) -> Ending:
        assert most is None, "rounds are made here"
        await self._batches.recall()
        for item in self._batches.under_way:
            if not self.standing.is_answered(item):
                self._hold(item)
        await self._take()
        whole = self.settings.recordings
        while True:
            reach = self._reach(whole)
            while self._short is None and (items := [item async for item in self._waiting(reach)]):
                self._short = await self._round(items)
            ending = await super().go(reach if self._short is None else self._short.n)
            if self._short is not None:
                return "decided" if self.standing.all_decided() else "budget"
            if ending != "done" or reach >= whole:
                return ending

    async def _probe(self) -> None:
        if self._short is None:
            await super()._probe()

    async def _probe_own(self) -> None:
        if self._short is None:
            await super()._probe_own()

    async def cancel(self) -> None:
        """Stop the batches of earlier processes; what they answered before is kept."""
        await self._batches.recall()
        await self._batches.cancel()
        await self._take()

    async def _waiting(self, reach: int) -> AsyncIterator[Item]:
        standing = self.standing
        for n, row in self.run.order.rows(standing.next, reach):
            await self._draw(n)
            for item in standing.of(n, row) if self.run.asked.there(n) else ():
                asked = item.by in self.settings.batched and not standing.is_answered(item)
                if asked and not standing.is_needless(item):
                    yield item

    def _reach(self, whole: int) -> int:
        """How many recordings, from the first on, are answered after the next round."""
        have = max((item.n + 1 for item in self.standing.answered), default=self.standing.next)
        if self.settings.until == "all":
            return min(whole, have + MOST)
        if not have:
            return min(whole, FIRST)
        needs = [balance.needed() for balance in self.standing.balances.values() if not balance.decided]
        known = [need for need in needs if need is not None]
        more = max(known) if known and len(known) == len(needs) else have
        return min(whole, have + min(MOST, max(LEAST, round(more * MORE))))

    async def _round(self, items: list[Item]) -> Item | None:
        """Put, send and take. The first for which the budget did not reach; None: it did for all."""
        short = None
        for item in items:
            if not self._hold(item):
                short = item
                break
            answered = self._batches.put(item, self._recording(item))
            if answered is not None:
                self._keep(item, answered)
        try:
            await self._batches.send()
        finally:
            under_way = set(self._batches.under_way)
            for item in [item for item in self._held if item not in under_way]:
                self._let_go(item, 0)
        await self._take()
        return short

    def _hold(self, item: Item) -> bool:
        held = self.purse.hold(item.by, self._foreseen(item))
        if held is not None:
            self._held[item] = held
        return held is not None

    def _foreseen(self, item: Item) -> int | None:
        return priced(usage_told(self.run.order[item.n]), self.price(item.by))

    def _let_go(self, item: Item, came: int | None) -> None:
        self.purse.settle(item.by, self._held.pop(item, 0), self._foreseen(item), came)

    def _recording(self, item: Item) -> Recording:
        recording = self.run.asked.get(item.n)
        assert recording is not None, "it was put, or is about to be"
        if self.settings.prompt is not None and not item.anew:
            return spoken_anew(recording, self.settings.prompt)
        return recording

    async def _take(self) -> None:
        """Write down what comes back. Raises Fault where no recording would fare better."""
        barred: list[tuple[Item, Replayed]] = []
        async for item, replayed in self._batches.answers(self._recording, self._counted):
            kind = replayed.recording.fault
            if self.standing.is_answered(item):  # written by a process that was killed before its next step
                self._let_go(item, 0)
            elif kind in STOPPED:
                barred.append((item, replayed))
            elif kind in HELD_BACK and self._tries[item] + 1 < TRIES_MAX:
                self._tries[item] += 1
                self._let_go(item, replayed.recording.cost_nanousd)
            else:
                self._keep(item, replayed)
        for item, replayed in barred:
            if item.by not in self.standing.answering:
                said = replayed.recording
                raise stopped(item.by, Came(b"", said.status, said.fault, why_of(replayed)))
            self._keep(item, replayed)

    def _keep(self, item: Item, replayed: Replayed) -> None:
        said = replayed.recording
        self.standing.keep(Answer(n=item.n, by=item.by, recording=said, lost=replayed.lost, anew=item.anew))
        self._let_go(item, said.cost_nanousd)

    def _counted(self, done: int) -> None:
        now = self.progress()
        self._told(Progress(now.done + done, now.all, now.spent, now.words))
