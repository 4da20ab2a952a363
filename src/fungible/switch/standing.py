"""How a run stands: its recordings, what came back so far, and the balances of the candidates.

Read from the run's folder alone, so that a rehearsal at work, one that goes on, and a report of an old one
see the same. A block is taken into the balances when all of it is there, in the run's order (`balance`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .balance import Balance
from .jury import labelled, trusted
from .pairing import Pairing
from .runs import Answer, Control, Line, Probe, Run, Score
from .sample import blocks, drawn


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
        self.recordings = list(run.recordings())
        self.blocks = blocks(self.recordings)
        self.balances = {target: Balance(run.settings, target) for target in run.settings.targets}
        self.answers: dict[Item, Answer] = {}
        self.scores: dict[tuple[int, str], dict[str, Score]] = {}
        self.controls: list[Control] = []
        self.probes: list[Probe] = []
        self.spent = 0  # nano-dollars
        self.unpriced = 0  # things asked whose cost is not known
        self._measures = measures
        self._next = 0  # the first block that is in no balance
        self.items = [item for block in self.blocks for item in self.of(block)]
        for line in run.lines():
            self.hear(line)
        self.withhold()
        self.take_whole_blocks()

    def of(self, block: list[int]) -> Iterator[Item]:
        """The items of a conversation."""
        first = self.recordings[block[0]]
        again = drawn(self.settings.seed, f"anew\0{first.group or first.id}") < self.settings.anew * 2**64
        for n in block:
            yield from (Item(n, target) for target in self.settings.targets)
            if again and self.recordings[n].target:
                yield Item(n, self.recordings[n].target, True)

    def hear(self, line: Line) -> None:
        """One line of the run's file."""
        amount = line.recording.cost_nanousd if isinstance(line, Answer) else line.cost_nanousd
        self.spent += amount or 0
        self.unpriced += amount is None
        match line:
            case Answer():
                self.answers[Item(line.n, line.by, line.anew)] = line
            case Score():
                self.scores.setdefault((line.n, line.by), {})[line.measure] = line
            case Control():
                self.controls.append(line)
            case Probe():
                self.probes.append(line)

    def keep(self, line: Line) -> None:
        """Write it, then look at it. Raises Fault (`Run.add`)."""
        self.run.add(line)
        self.hear(line)

    @property
    def incumbent(self) -> str:
        """Who answered most of what was recorded, '' where nobody is known."""
        names = Counter(recording.target for recording in self.recordings).most_common(1)
        return names[0][0] if names else ""

    def judged(self) -> list[Control]:
        """The judge's controls, with what it said of the pairs that the user has labelled."""
        scores = [
            (self.recordings[n].id, told["judge"]) for (n, _), told in self.scores.items() if "judge" in told
        ]
        return [*self.controls, *labelled(scores, self.settings.labels)]

    def withhold(self) -> None:
        """A judge that is not to be believed decides nothing (`jury`)."""
        bad = self.settings.judge is not None and bool(self.controls) and not trusted(self.judged())
        for balance in self.balances.values():
            balance.withheld = frozenset({"judge"} if bad else ())

    def is_done(self, item: Item) -> bool:
        if item not in self.answers:
            return False
        have = self.scores.get((item.n, item.by), ())
        return item.anew or all(measure in have for measure in self._measures)

    def is_needless(self, item: Item) -> bool:
        """Whether the verdict that it would help to is there already."""
        if self.settings.until == "all":
            return False
        return self.all_decided() if item.anew else self.balances[item.by].decided

    def all_decided(self) -> bool:
        return all(balance.decided for balance in self.balances.values())

    def take_whole_blocks(self) -> None:
        """Into the balances, in order, as far as there are answers."""
        while self._next < len(self.blocks):
            block = self.blocks[self._next]
            if not all(self.is_done(item) or self.is_needless(item) for item in self.of(block)):
                return
            for target, balance in self.balances.items():
                pairings = [pairing for n in block if (pairing := self.pairing(n, target)) is not None]
                if len(pairings) == len(block):
                    balance.take(pairings)
            self._next += 1

    def pairing(self, n: int, target: str) -> Pairing | None:
        """None: not answered yet."""
        answer = self.answers.get(Item(n, target))
        if answer is None:
            return None
        recording = self.recordings[n]
        anew = self.answers.get(Item(n, recording.target, True))
        return Pairing(n, recording, answer, anew, self.scores.get((n, target)))

    def pairings(self, target: str) -> Iterator[Pairing]:
        """All that have an answer, in order."""
        for n in range(len(self.recordings)):
            if (pairing := self.pairing(n, target)) is not None:
                yield pairing
