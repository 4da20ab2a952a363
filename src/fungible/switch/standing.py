"""How a run stands: what came back so far, and the balances of the candidates.

Read from the run's folder alone, so that a rehearsal at work, one that goes on, and a report of an old one
see the same. Measures arrive in any order and are taken in the run's: a recording when all that was to be
asked of it is there, a block when its last recording is (`balance`). What is held is what came too early:
the run's size does not matter, only how far ahead of the first gap somebody has asked.

A candidate that has its verdict takes no more blocks, unless all recordings are wanted: what was on its way
then came by chance, and the same run would read otherwise on another day.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .balance import Balance
from .gathered import Gathered
from .jury import labelled, trusted
from .order import Row
from .runs import Answer, Answered, Control, Line, Measured, Probe, Run, Score
from .sample import drawn


def brief(answer: Answer) -> Answered:
    """What a run needs to know of an answer that lies in its file."""
    said = Answered.Brief(answer.recording.status, answer.recording.cost_nanousd)
    return Answered(n=answer.n, by=answer.by, anew=answer.anew, recording=said)


class Item(NamedTuple):
    """One thing to ask: recording `n` of the target `by`; `anew`: the incumbent's own."""

    n: int
    by: str
    anew: bool = False


class Standing:
    """`measures`: those whose scores belong to an item before it is done."""

    def __init__(self, run: Run, measures: Sequence[str] = ()) -> None:
        self.run = run
        self.settings = run.settings
        self.balances = {target: Balance(run.settings, target) for target in run.settings.targets}
        self.gathered = {target: Gathered(run.settings) for target in run.settings.targets}
        self.answered: dict[Item, int] = {}  # not measured yet -> where its answer begins
        self.scores: dict[tuple[int, str], dict[str, Score]] = {}  # of those
        self.measured: dict[int, dict[Item, Measured]] = {}  # not taken yet
        self.controls: list[Control] = []
        self.labelled: list[Control] = []
        self.probes: list[Probe] = []
        self.answering: set[str] = set()  # targets that have given an answer
        self.spent = 0  # nano-dollars
        self.unpriced = 0  # things asked whose cost is not known
        self.done = 0  # items
        self.next = 0  # the first recording that is not taken
        self._measures = measures
        self._incumbents = tuple(run.settings.incumbents)
        self._rows = run.order.rows()
        self._row = next(self._rows, None)
        self._block: dict[str, list[Measured]] = {target: [] for target in run.settings.targets}
        self._length = 0  # of the block that is being made
        for at, line in run.lines():
            self.hear(line, at)
            if isinstance(line, Measured):
                self.take()
        self.take()

    def of(self, n: int, row: Row) -> Iterator[Item]:
        """What is to be asked of a recording; the incumbent anew comes first."""
        if self.is_again(row):
            yield Item(n, self._incumbents[row.who], True)
        yield from (Item(n, target) for target in self.settings.targets)

    def is_again(self, row: Row) -> bool:
        """Whether the incumbent is asked again: chance has it for a conversation."""
        share = self.settings.anew
        if not share or not self._incumbents[row.who]:
            return False
        return share >= 1.0 or drawn(self.settings.seed, f"anew\0{row.place}") < share * 2**64

    def hear(self, line: Line, at: int) -> None:
        """One line of the run's file, and where it begins."""
        amount: int | None = 0
        match line:
            case Answered():
                self.answered[Item(line.n, line.by, line.anew)] = at
                amount = line.recording.cost_nanousd
                if line.recording.status == 200:
                    self.answering.add(line.by)
            case Score():
                self.scores.setdefault((line.n, line.by), {})[line.measure] = line
                amount = line.cost_nanousd
            case Measured():
                self._hear(line)
            case Control():
                self.controls.append(line)
                amount = line.cost_nanousd
                self.withhold()
            case Probe():
                self.probes.append(line)
                amount = line.cost_nanousd
        self.spent += amount or 0
        self.unpriced += amount is None

    def keep(self, line: Answer | Score | Measured | Control | Probe) -> None:
        """Write it, then look at it. Raises Fault (`Run.add`)."""
        at = self.run.add(line)
        self.hear(line if not isinstance(line, Answer) else brief(line), at)

    def _hear(self, measured: Measured) -> None:
        item = Item(measured.n, measured.by, measured.anew)
        self.answered.pop(item, None)
        if not item.anew:
            self.scores.pop((item.n, item.by), None)
        self.done += 1
        if item.n >= self.next:
            self.measured.setdefault(item.n, {})[item] = measured

    @property
    def incumbent(self) -> str:
        """Who answered most of what was recorded, '' where nobody is known."""
        return max(self.settings.incumbents.items(), key=lambda row: row[1], default=("", 0))[0]

    def judged(self) -> list[Control]:
        """The judge's controls, with what it said of the pairs that the user has labelled."""
        return [*self.controls, *self.labelled]

    def withhold(self) -> None:
        """A judge that is not to be believed decides nothing (`jury`)."""
        bad = self.settings.judge is not None and bool(self.controls) and not trusted(self.judged())
        for balance in self.balances.values():
            balance.withheld = frozenset({"judge"} if bad else ())

    def is_answered(self, item: Item) -> bool:
        """Whether it need not be asked any more; it may still be to be measured."""
        return item in self.answered or self.is_done(item)

    def is_done(self, item: Item) -> bool:
        return item.n < self.next or item in self.measured.get(item.n, ())

    def unscored(self, item: Item) -> list[str]:
        """The measures that are still to be scored."""
        have = self.scores.get((item.n, item.by), ())
        return [] if item.anew else [measure for measure in self._measures if measure not in have]

    def is_needless(self, item: Item) -> bool:
        """Whether the verdict that it would help to is there already."""
        if self.settings.until == "all":
            return False
        return self.all_decided() if item.anew else self.balances[item.by].decided

    def all_decided(self) -> bool:
        return all(balance.decided for balance in self.balances.values())

    def take(self) -> bool:
        """Take what has come, in order, as far as there are no gaps: whether there was any."""
        first = self.next
        while self._row is not None and self.next < self.run.asked.drawn:
            row, n = self._row[1], self.next
            if self.run.asked.there(n):
                items = list(self.of(n, row))
                have = self.measured.get(n, {})
                if not all(item in have or self.is_needless(item) for item in items):
                    break
                self._length += 1
                for item in items:
                    if item in have and not item.anew:
                        self._block[item.by].append(have[item])
            self.measured.pop(n, None)
            self.next += 1
            self._row = next(self._rows, None)
            if self._row is None or self._row[1].place != row.place:
                self._end_block()
        return self.next > first

    def _end_block(self) -> None:
        for target, block in self._block.items():
            balance = self.balances[target]
            if block and len(block) == self._length and (self.settings.until == "all" or not balance.decided):
                balance.take(block)
                for measured in block:
                    self._gather(target, measured)
            block.clear()
        self._length = 0

    def _gather(self, target: str, measured: Measured) -> None:
        self.gathered[target].take(measured)
        control = labelled(measured, self.settings.labels)
        if control is not None:
            self.labelled.append(control)
            self.withhold()
