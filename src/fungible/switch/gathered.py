"""What a report keeps of a candidate's pairings beside the balance: counts, and the few worst.

Everything here is of bounded size, however many pairings come, and depends on the pairings and their order
alone. Of the worst, a few are kept for each way to fall behind (which measures): who fails in one way a
thousand times is shown failing in others, too.
"""

import heapq
from collections import Counter
from collections.abc import Iterator

import msgspec

from .jury import Heard
from .measures import MEASURES
from .runs import Measured, Settings

DIFFERENCES_MAX = 8
ENOUGH = 0.05  # a difference below this is not worth a reader's time
WAYS_MAX = 256
PLACES_MAX = 4096
ELSEWHERE = "(elsewhere)"
ANOTHER = (ELSEWHERE,)


class Behind(msgspec.Struct, frozen=True):
    """A pairing in which the candidate fell behind: by how much, in which measures."""

    weight: float
    measured: Measured
    by: dict[str, float]


class Gathered:
    """Of one candidate, in the run's order."""

    def __init__(self, settings: Settings) -> None:
        self._deciding = frozenset(settings.deciding)
        self.losses: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()
        self.heard = Heard()
        self._worst: dict[tuple[str, ...], list[tuple[float, int, Behind]]] = {}

    def take(self, measured: Measured) -> None:
        for place, kind in measured.lost:
            known = (place, kind) in self.losses or len(self.losses) < PLACES_MAX
            self.losses[place if known else ELSEWHERE, kind] += 1
        if measured.fault:
            self.failures[measured.fault] += 1
        self.heard.take(measured)
        behind = {
            name: measured.scores[name][0] - measured.scores[name][1]
            for name in MEASURES
            if name in measured.scores and measured.scores[name][0] - measured.scores[name][1] > ENOUGH
        }
        weight = sum([gap for name, gap in behind.items() if name in self._deciding])
        if weight <= 0.0:
            return
        way = tuple(sorted(behind))
        if way not in self._worst and len(self._worst) >= WAYS_MAX:
            way = ANOTHER
        heap = self._worst.setdefault(way, [])
        entry = (
            weight,
            -measured.n,
            Behind(weight, measured, behind),
        )  # the least bad, the latest, goes first
        if len(heap) < DIFFERENCES_MAX:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def worst(self, most: int) -> list[Behind]:
        """The worst first; before a third of one way, all others that are not such."""
        every = sorted(self._all(), key=lambda one: (-one.weight, one.measured.n))
        first: list[Behind] = []
        more: list[Behind] = []
        seen: Counter[tuple[str, ...]] = Counter()
        for one in every:
            way = tuple(sorted(one.by))
            (first if seen[way] < 2 else more).append(one)
            seen[way] += 1
        return [*first, *more][:most]

    def _all(self) -> Iterator[Behind]:
        for heap in self._worst.values():
            yield from (behind for _, _, behind in heap)
