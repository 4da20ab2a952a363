"""A rehearsal: recorded requests put to the candidates, until their verdicts are reached or nothing is left.

How it thinks. A run's work is a list that can be computed: for each recording, in order, an item for each
candidate and, in a share of the conversations, one for the incumbent. What has an answer in the run's file is
done. The others are asked, several at once; whatever comes back is written before it is looked at. So a run
that was killed goes on where it was, and asks nothing twice but what was on its way when it died.

    decided      a candidate that has its verdict is asked no more, unless all recordings are wanted
    held back    `rate_limited`, `overloaded`, a target that is left alone: asked again after a pause; they
                 say something of the pace, nothing of the model
    stopped      a key that is refused, a model that is not there: no recording would fare better

Money: see `forecast`. Nothing here opens a socket: `world.Asker` is given.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from ..faults import Fault
from ..money import Price
from ..recording import Recording
from .adaptation import spoken_anew
from .forecast import Forecast, Purse, forecast, judging, priced
from .jury import CONTROLS, Jury
from .pairing import Pairing
from .probes import decision, twins
from .runs import Answer, Probe, Run, Score
from .standing import Item, Standing
from .swaps import KINDS as OWN_KINDS
from .swaps import alike, twin
from .world import Asker, Replayed

Ending = Literal["decided", "done", "budget"]

ENDINGS: dict[str, str] = {
    "decided": "every candidate has its verdict",
    "done": "every recording was replayed",
    "budget": "the budget is spent",
}
HELD_BACK = frozenset({"rate_limited", "overloaded"})
STOPPED = frozenset({"provider_authentication", "not_found", "billing", "permission"})
TRIES_MAX = 8
PAUSE_S = 1.0
PAUSE_MAX_S = 60.0
TAG = "rehearsal"


class Progress(NamedTuple):
    """How far it is. `spent` in nano-dollars; `words`: the verdicts so far."""

    done: int
    all: int
    spent: int
    words: Mapping[str, str]


class Scorer(Protocol):
    """Scores pairings by asking something: a judge, an embedding model, the user's own program."""

    @property
    def measure(self) -> str: ...

    async def score(self, pairing: Pairing) -> Score:
        """Raises Fault where it would be of no use to go on."""


class Rehearsal:
    """One run at work. `told` hears of progress; `budget_nanousd` replaces that of the settings."""

    def __init__(
        self,
        run: Run,
        asker: Asker,
        *,
        scorers: Sequence[Scorer] = (),
        budget_nanousd: int | None = None,
        concurrency: int = 8,
        per_minute: float | None = None,
        told: Callable[[Progress], None] | None = None,
    ) -> None:
        self.settings = run.settings
        self.standing = Standing(run, [scorer.measure for scorer in scorers])
        self.asker = asker
        limit = budget_nanousd if budget_nanousd is not None else run.settings.budget_nanousd
        self.purse = Purse(limit, self.standing.spent)
        self._scorers = scorers
        self._told = told or _unheard
        self._room = asyncio.Semaphore(concurrency)
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._turn_s = 0.0
        self._prices: dict[str, Price | None] = {}
        self._done = sum(map(self.standing.is_done, self.standing.items))

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
        items = [item for item in self.standing.items if item not in self.standing.answers]
        waiting = [(self.standing.recordings[item.n], item.by) for item in items]
        made = forecast(waiting, {target: self.price(target) for target in {by for _, by in waiting}})
        judge = self.settings.judge
        if judge is None:
            return made
        unscored = [self.standing.recordings[i.n] for i in self.standing.items if not self._is_judged(i)]
        amount = judging(unscored, self.price(judge), self.settings.judged)
        return msgspec.structs.replace(
            made,
            total=made.total + (amount or 0),
            calls=made.calls + 2 * round(len(unscored) * self.settings.judged),
            by={**made.by, judge: made.by.get(judge, 0) + (amount or 0)},
            unknown=made.unknown if amount is not None else (*made.unknown, judge),
        )

    def _is_judged(self, item: Item) -> bool:
        return item.anew or "judge" in self.standing.scores.get((item.n, item.by), ())

    # --- at work

    async def go(self) -> Ending:
        """Ask until there is nothing left to ask. Raises Fault for what stops it; what came is kept."""
        under_way: set[asyncio.Task[None]] = set()
        ending: Ending = "done"
        standing = self.standing
        await self._try_judge()
        try:
            for item in standing.items:
                if standing.is_done(item) or standing.is_needless(item):
                    continue
                await self._room.acquire()
                under_way = _still(under_way)
                if standing.is_needless(item):
                    self._room.release()
                    continue
                foreseen = priced(standing.recordings[item.n], self.price(item.by))
                held = self.purse.hold(item.by, foreseen)
                if held is None:
                    self._room.release()
                    ending = "budget"
                    break
                under_way.add(asyncio.create_task(self._ask(item, held, foreseen)))
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if ending != "budget":
            await self._probe()
            await self._probe_own()
        return "decided" if standing.all_decided() else ending

    @property
    def _tags(self) -> str:
        return f"{TAG}={self.settings.run}"

    def _spent_out(self) -> bool:
        return self.purse.limit is not None and self.purse.spent >= self.purse.limit

    async def _try_judge(self) -> None:
        """On pairs whose truth is known, before it is heard on any other (`jury`)."""
        juries = [scorer for scorer in self._scorers if isinstance(scorer, Jury)]
        if not juries or any(control.kind != "label" for control in self.standing.controls):
            return
        few = self.standing.recordings[: 4 * CONTROLS]
        for control in await juries[0].tried(few):
            self.standing.keep(control)
            self.purse.spent += control.cost_nanousd or 0
        self.standing.withhold()

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

    async def _ask(self, item: Item, held: int, foreseen: int | None) -> None:
        came: int | None = 0
        try:
            if item not in self.standing.answers:
                came = None
                replayed = await self._patiently(item)
                came = replayed.recording.cost_nanousd
                answer = Answer(
                    n=item.n, by=item.by, recording=replayed.recording, lost=replayed.lost, anew=item.anew
                )
                self.standing.keep(answer)
            if not item.anew:
                await self._score(item)
            self._done += 1
            self.standing.take_whole_blocks()
        finally:
            self.purse.settle(item.by, held, foreseen, came)
            self._room.release()
        self._told(self.progress())

    async def _probe_own(self) -> None:
        """Twins of what was recorded (`swaps`), beside what the recording itself was answered."""
        have = {(probe.id, probe.by) for probe in self.standing.probes}
        left = self.settings.own_probes
        for n, recording in enumerate(self.standing.recordings):
            for kind in OWN_KINDS:
                other = twin(recording, kind) if left > 0 else None
                if other is None:
                    continue
                left -= 1
                name = f"own-{n}-{kind}"
                for target in dict.fromkeys([*self.settings.targets, recording.target]):
                    answer = self.standing.answers.get(Item(n, target))
                    first = recording if target == recording.target else answer and answer.recording
                    if not first or not target or (name, target) in have or self._spent_out():
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

    async def _score(self, item: Item) -> None:
        pairing = self.standing.pairing(item.n, item.by)
        assert pairing is not None, "it was answered before"
        for scorer in self._scorers:
            if scorer.measure not in self.standing.scores.get((item.n, item.by), ()):
                score = await scorer.score(pairing)
                self.standing.keep(score)
                self.purse.spent += score.cost_nanousd or 0

    async def _patiently(self, item: Item) -> Replayed:
        """Raises Fault where it would be of no use to go on."""
        pause_s = PAUSE_S
        recording = self.standing.recordings[item.n]
        if self.settings.prompt is not None and not item.anew:
            recording = spoken_anew(recording, self.settings.prompt)
        for _ in range(TRIES_MAX):
            await self._pace()
            replayed = await self.asker.replay(recording, item.by, self._tags)
            kind = replayed.recording.fault
            if kind in STOPPED and not self._has_answered(item.by):
                raise _stopped(item.by, replayed.recording)
            if kind not in HELD_BACK and replayed.sent:
                return replayed
            wait_s = max(pause_s, (replayed.wait_ms or 0) / 1000)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
            await self.asker.pause(min(wait_s, PAUSE_MAX_S))
        raise Fault(
            "rate_limited",
            f"{item.by} has turned calls away for a while ({replayed.recording.fault}). What came is kept: "
            f"go on later with --resume {self.settings.run}, with less --concurrency or --per-minute.",
        )

    async def _pace(self) -> None:
        if not self._gap_s:
            return
        now = self.asker.now_s()
        self._turn_s = max(now, self._turn_s + self._gap_s)
        await self.asker.pause(self._turn_s - now)

    def _has_answered(self, target: str) -> bool:
        answers = self.standing.answers
        return any(item.by == target and a.recording.status == 200 for item, a in answers.items())

    def progress(self) -> Progress:
        words = {target: balance.word for target, balance in self.standing.balances.items()}
        return Progress(self._done, len(self.standing.items), self.purse.spent, words)


def _still(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those not over yet. Raises what one of them failed with."""
    for task in tasks:
        if task.done():
            task.result()
    return {task for task in tasks if not task.done()}


def _stopped(target: str, recording: Recording) -> Fault:
    fault = recording.answered()
    said = fault.message if isinstance(fault, Fault) else recording.fault
    return Fault(
        recording.fault,
        f"{target} cannot be asked: {said} Nothing was judged by this; mend it and resume.",
    )


def _unheard(_: Progress) -> None: ...
