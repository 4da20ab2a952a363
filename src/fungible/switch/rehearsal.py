"""A rehearsal: recorded requests put to the candidates, until their verdicts are reached or nothing is left.

How it thinks. A run's work is an order that lies on disk (`order`): for each recording, one after another, an
item for each candidate and, in a share of the conversations, one for the incumbent. What has an answer in the
run's file is done. The others are asked, several at once, by a hand (`hand`), here or elsewhere; whatever
comes back is written before it is looked at. So a run that was killed goes on where it was, and asks nothing
twice but what was on its way when it died.

Nothing here grows with the run: recordings are drawn a piece at a time, answers are written and let go,
measures are taken in the run's order (`standing`), and nobody asks further ahead of the first gap than
`AHEAD` recordings.

    decided      a candidate that has its verdict is asked no more, unless all recordings are wanted
    held back    `rate_limited`, `overloaded`, a target that is left alone: asked again after a pause; they
                 say something of the pace, nothing of the model
    stopped      a key that is refused, a model that is not there: no recording would fare better

Money: see `forecast`. Nothing here opens a socket: `world.Asker` is given.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from ..faults import Fault
from ..ir import Usage
from ..money import Price
from .forecast import Forecast, Purse, forecast, judging, priced
from .hand import Came, Hand, Scorer, scored
from .jury import CONTROLS, Jury
from .order import Row
from .probes import decision, twins
from .runs import Answered, Measured, Probe, Run, Score, answer_of
from .standing import Item, Standing
from .swaps import KINDS as OWN_KINDS
from .swaps import alike, twin
from .world import Asker

Ending = Literal["decided", "done", "budget"]

ENDINGS: dict[str, str] = {
    "decided": "every candidate has its verdict",
    "done": "every recording was replayed",
    "budget": "the budget is spent",
}
STOPPED = frozenset({"provider_authentication", "not_found", "billing", "permission"})
TRIES_MAX = 8
PAUSE_S = 1.0
PAUSE_MAX_S = 60.0
AHEAD = 8192


class Progress(NamedTuple):
    """How far it is. `spent` in nano-dollars; `words`: the verdicts so far."""

    done: int
    all: int
    spent: int
    words: Mapping[str, str]


class Hands(Protocol):
    """Whoever asks and measures: a `Hand`, or many."""

    async def ask(self, n: int, row: bytes, by: str, anew: bool, measure: bool) -> Came: ...

    async def measured(self, n: int, row: bytes, line: bytes, anew: bytes | None) -> Measured: ...

    async def score(self, n: int, row: bytes, line: bytes, measure: str) -> Score: ...


class Rehearsal:
    """One run at work. `told` hears of progress; `budget_nanousd` replaces that of the settings.

    `hands`: who asks and measures; by default this process, with `asker` and `scorers`.
    """

    def __init__(
        self,
        run: Run,
        asker: Asker,
        *,
        scorers: Sequence[Scorer] = (),
        hands: Hands | None = None,
        budget_nanousd: int | None = None,
        concurrency: int = 8,
        per_minute: float | None = None,
        told: Callable[[Progress], None] | None = None,
    ) -> None:
        self.run = run
        self.settings = run.settings
        self.standing = Standing(run, [scorer.measure for scorer in scorers])
        self.asker = asker
        self.hands: Hands = hands if hands is not None else Hand(asker, run.settings, scorers)
        limit = budget_nanousd if budget_nanousd is not None else run.settings.budget_nanousd
        self.purse = Purse(limit, self.standing.spent)
        self._scorers = scorers
        self._told = told or _unheard
        self._room = asyncio.Semaphore(concurrency)
        self._moved = asyncio.Event()  # the standing has, or something failed
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._turn_s = 0.0
        self._prices: dict[str, Price | None] = {}
        self._tags = f"rehearsal={run.settings.run}"
        self._all = round(run.settings.recordings * (len(run.settings.targets) + run.settings.anew))

    # --- before

    def price(self, target: str) -> Price | None:
        """Raises Fault (not_found) for a target that cannot be asked."""
        if target not in self._prices:
            self._prices[target] = self.asker.price(target)
        return self._prices[target]

    def forecast(self) -> Forecast:
        """Of all that is not asked yet, if every recording is replayed. Raises Fault: a target that is none.

        A budget can only be kept where every price is known: `Forecast.unknown` says whose is not.
        """
        names = {*self.settings.targets}
        if self.settings.anew:
            names |= {name for name in self.settings.incumbents if name}
        made = forecast(self._unasked(), {target: self.price(target) for target in sorted(names)})
        judge = self.settings.judge
        if judge is None:
            return made
        price = self.asker.price(judge)
        if price is None:
            return msgspec.structs.replace(made, unknown=(*made.unknown, judge))
        amount = judging(self._unscored(), price, self.settings.judged)
        return msgspec.structs.replace(
            made,
            total=made.total + amount,
            calls=made.calls + 2 * round(sum(1 for _ in self._unscored()) * self.settings.judged),
            by={**made.by, judge: made.by.get(judge, 0) + amount},
        )

    def _unasked(self) -> Iterator[tuple[Usage, str]]:
        for item, row in self._items():
            if not self.standing.is_answered(item):
                yield usage_told(row), item.by

    def _unscored(self) -> Iterator[Usage]:
        return (usage_told(row) for item, row in self._items() if not item.anew)

    def _items(self) -> Iterator[tuple[Item, Row]]:
        """All that is not done, in order."""
        for n, row in self.run.order.rows(self.standing.next):
            for item in self.standing.of(n, row):
                if not self.standing.is_done(item):
                    yield item, row

    # --- at work

    async def go(self, most: int | None = None) -> Ending:
        """Ask until there is nothing left to ask. Raises Fault for what stops it; what came is kept.

        `most`: of no more than the first so many recordings.
        """
        under_way: set[asyncio.Task[None]] = set()
        ending: Ending = "done"
        await self._draw(0)
        await self._try_judge()
        try:
            for n, row in self.run.order.rows(self.standing.next, most):
                await self._draw(n)
                while n - self.standing.next >= AHEAD and under_way:
                    await self._wait(under_way)
                if not await self._begin(n, row, under_way):
                    ending = "budget"
                    break
                if self.settings.until != "all" and self.standing.all_decided():
                    break
            await asyncio.gather(*under_way)
            self.standing.take()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if ending != "budget":
            await self._probe()
            await self._probe_own()
        return "decided" if self.standing.all_decided() else ending

    async def _draw(self, n: int) -> None:
        """Have recording `n` in the run's folder. Raises Fault."""
        while n >= self.run.asked.drawn and (piece := self.run.piece()) is not None:
            await asyncio.to_thread(piece.write)
            self.run.asked.add(piece)

    async def _wait(self, under_way: set[asyncio.Task[None]]) -> None:
        """Until something has ended. Raises what it failed with."""
        self._moved.clear()
        await self._moved.wait()
        _sweep(under_way)

    async def _begin(self, n: int, row: Row, under_way: set[asyncio.Task[None]]) -> bool:
        """Begin what is to be asked of a recording, as there is room: whether the money reached."""
        standing = self.standing
        packed = self.run.asked.packed(n)
        again: asyncio.Task[None] | None = None
        if packed is None:
            standing.take()
            return True
        for item in standing.of(n, row):
            if standing.is_done(item) or standing.is_needless(item):
                continue
            await self._room.acquire()
            _sweep(under_way)
            if standing.is_done(item) or standing.is_needless(item):
                self._room.release()
                continue
            foreseen = 0 if item in standing.answered else priced(usage_told(row), self.price(item.by))
            held = self.purse.hold(item.by, foreseen)
            if held is None or (standing.unscored(item) and self._spent_out()):
                self.purse.settle(item.by, held or 0, None, 0)
                self._room.release()
                return False
            task = asyncio.create_task(self._do(item, packed, again, held, foreseen))
            task.add_done_callback(lambda _: self._moved.set())
            again = task if item.anew else again
            under_way.add(task)
        return True

    async def _do(
        self, item: Item, row: bytes, again: asyncio.Task[None] | None, held: int, foreseen: int | None
    ) -> None:
        """One item, from the asking to its measures. `again`: the incumbent's own, if that is on its way."""
        standing = self.standing
        told: Measured | None = None
        came: int | None = 0
        try:
            if item not in standing.answered:
                came = None
                answer = await self._patiently(item, row)
                came, told = answer.cost_nanousd, answer.measured
                brief = Answered.Brief(answer.status, answer.cost_nanousd)
                line = Answered(n=item.n, by=item.by, anew=item.anew, recording=brief)
                standing.hear(line, self.run.append(answer.line))
            for measure in standing.unscored(item):
                line_of = self.run.written(standing.answered[item])
                score = await self.hands.score(item.n, row, line_of, measure)
                standing.keep(score)
                self.purse.spent += score.cost_nanousd or 0
        finally:
            self.purse.settle(item.by, held, foreseen, came)
            self._room.release()
        if again is not None:
            await asyncio.wait([again])
            if again.cancelled() or again.exception() is not None:
                return
        await self._measure(item, row, told)
        self._told(self.progress())

    async def _measure(self, item: Item, row: bytes, told: Measured | None) -> None:
        standing = self.standing
        if standing.is_done(item):
            return  # nobody needs it any more: its recording was taken without it
        at = standing.answered[item]
        if told is None:
            own = [one for key, one in standing.measured.get(item.n, {}).items() if key.anew]
            anew = self.run.written(own[0].at) if own and not item.anew else None
            told = await self.hands.measured(item.n, row, self.run.written(at), anew)
        told = scored(told, standing.scores.get((item.n, item.by), {}) if not item.anew else {})
        standing.keep(msgspec.structs.replace(told, at=at))
        standing.take()

    def _spent_out(self) -> bool:
        return self.purse.limit is not None and self.purse.spent >= self.purse.limit

    async def _try_judge(self) -> None:
        """On pairs whose truth is known, before it is heard on any other (`jury`)."""
        juries = [scorer for scorer in self._scorers if isinstance(scorer, Jury)]
        if not juries or any(control.kind != "label" for control in self.standing.controls):
            return
        few = [
            one for n in range(4 * CONTROLS) if n < self.run.asked.drawn and (one := self.run.asked.get(n))
        ]
        for control in await juries[0].tried_on(few):
            self.standing.keep(control)
            self.purse.spent += control.cost_nanousd or 0

    async def _probe(self) -> None:
        """The twins (`probes`), of every candidate and of the incumbent that answered most."""
        have = {(probe.id, probe.by) for probe in self.standing.probes}
        targets = [*self.settings.targets, self.standing.incumbent]
        for pair in twins(self.settings.probes):
            for target in targets:
                if not target or (pair.id, target) in have or self._spent_out():
                    continue
                replays = [self.asker.replay(one, target, self._tags) for one in (pair.first, pair.second)]
                first, second = [replayed.recording for replayed in await asyncio.gather(*replays)]
                amounts = [first.cost_nanousd, second.cost_nanousd]
                known = [amount for amount in amounts if amount is not None]
                probe = Probe(
                    id=pair.id,
                    by=target,
                    kind=pair.kind,
                    first=decision(first),
                    second=decision(second),
                    cost_nanousd=sum(known) if len(known) == 2 else None,
                )
                self.standing.keep(probe)
                self.purse.spent += sum(known)

    async def _probe_own(self) -> None:
        """Twins of what was recorded (`swaps`), beside what the recording itself was answered."""
        have = {(probe.id, probe.by) for probe in self.standing.probes}
        chosen = list(self._with_twins())
        answers = self.run.answers({n for n, _ in chosen})
        for n, kind in chosen:
            recording = self.run.asked.get(n)
            assert recording is not None, "it has a twin"
            other = twin(recording, kind)
            name = f"own-{n}-{kind}"
            for target in dict.fromkeys([*self.settings.targets, recording.target]):
                at = answers.get((n, target))
                answer = answer_of(self.run.written(at)).recording if at is not None else None
                first = recording if target == recording.target else answer
                if (
                    first is None
                    or other is None
                    or not target
                    or (name, target) in have
                    or self._spent_out()
                ):
                    continue
                told = (await self.asker.replay(other, target, self._tags)).recording
                same = alike(first.answered(), told.answered(), kind)
                probe = Probe(
                    id=name,
                    by=target,
                    kind=kind,
                    first=None if same is None else 1.0,
                    second=same,
                    cost_nanousd=told.cost_nanousd,
                )
                self.standing.keep(probe)
                self.purse.spent += told.cost_nanousd or 0

    def _with_twins(self) -> Iterator[tuple[int, str]]:
        left = self.settings.own_probes
        for n in range(self.run.asked.drawn if left else 0):
            recording = self.run.asked.get(n)
            for kind in OWN_KINDS:
                if left and recording is not None and twin(recording, kind) is not None:
                    left -= 1
                    yield n, kind
            if not left:
                return

    async def _patiently(self, item: Item, row: bytes) -> Came:
        """Raises Fault where it would be of no use to go on."""
        pause_s = PAUSE_S
        measure = item.anew or not self.standing.is_again(self.run.order[item.n])
        for _ in range(TRIES_MAX):
            await self._pace()
            came = await self.hands.ask(item.n, row, item.by, item.anew, measure)
            if came.fault in STOPPED and item.by not in self.standing.answering:
                raise stopped(item.by, came)
            if came.line:
                return came
            wait_s = max(pause_s, (came.wait_ms or 0) / 1000)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
            await self.asker.pause(min(wait_s, PAUSE_MAX_S))
        raise Fault(
            "rate_limited",
            f"{item.by} has turned calls away for a while ({came.fault}). What came is kept: "
            f"go on later with --resume {self.settings.run}, with less --concurrency or --per-minute.",
        )

    async def _pace(self) -> None:
        if not self._gap_s:
            return
        now = self.asker.now_s()
        self._turn_s = max(now, self._turn_s + self._gap_s)
        await self.asker.pause(self._turn_s - now)

    def progress(self) -> Progress:
        words = {target: balance.word for target, balance in self.standing.balances.items()}
        return Progress(self.standing.done, self._all, self.purse.spent, words)


def usage_told(row: Row) -> Usage:
    return Usage(input_tokens=row.read, output_tokens=row.wrote)


def _sweep(tasks: set[asyncio.Task[None]]) -> None:
    """Away with those that are over. Raises what one of them failed with."""
    over = [task for task in tasks if task.done()]
    for task in over:
        task.result()
    tasks.difference_update(over)


def stopped(target: str, came: Came) -> Fault:
    return Fault(
        came.fault,
        f"{target} cannot be asked: {came.why or came.fault} Nothing was judged by this; mend it and resume.",
    )


def _unheard(_: Progress) -> None: ...
