"""Units: who stays with one model, and what became of each, for as long as the fold needs it.

A unit is one row for each side and each stage in which it was drawn. It is open until its window is over;
open ones are held here, oldest first, closed ones are looked up where they lie.
"""

import heapq
from collections.abc import Callable, Sequence

import msgspec


class Unit(msgspec.Struct):
    """A unit on one side in one stage. Side `t`: a conversation of the incumbent's, to know it goes on."""

    key: int
    side: str
    stage: int
    user: int
    first_ms: int
    last_ms: int
    calls: int = 0
    closed: bool = False
    firsts: dict[str, float] = {}  # guard -> its first outcome
    sums: dict[str, tuple[float, int]] = {}  # guard -> (sum of its outcomes until it was closed, how many)


class Units:
    """`look` finds those of a key that are not here; without it all stay here, as a simulation wants.

    `opened`: those that were open when the last fold was kept.
    """

    def __init__(self, look: Callable[[int], list[Unit]] | None = None, opened: Sequence[Unit] = ()) -> None:
        self._look = look
        self._here: dict[int, dict[tuple[str, int], Unit]] = {}
        self._open: list[tuple[int, int, str, int, Unit]] = []  # an order that is the same after a restart
        self.changed: dict[tuple[int, str, int], Unit] = {}
        for unit in opened:
            self.of(unit.key)
            self._opens(self._here[unit.key][unit.side, unit.stage])

    def of(self, key: int) -> list[Unit]:
        here = self._here.get(key)
        if here is None and self._look is not None:
            here = self._here[key] = {(unit.side, unit.stage): unit for unit in self._look(key)}
        return list(here.values()) if here else []

    def all(self) -> list[Unit]:
        """All that are here."""
        return [unit for here in self._here.values() for unit in here.values()]

    def put(self, unit: Unit) -> None:
        self.of(unit.key)
        here, place = self._here.setdefault(unit.key, {}), (unit.side, unit.stage)
        if not unit.closed and place not in here:
            self._opens(unit)
        here[place] = unit
        self.changed[unit.key, unit.side, unit.stage] = unit

    def due(self, until_ms: int) -> list[Unit]:
        """Those still open that began at `until_ms` or before, the oldest first; they are open no more."""
        found = []
        while self._open and self._open[0][0] <= until_ms:
            found.append(heapq.heappop(self._open)[-1])
        return found

    def oldest_ms(self) -> int | None:
        """When the oldest open one began."""
        return self._open[0][0] if self._open else None

    def kept(self) -> None:
        """What has changed lies where `look` finds it: only the open ones stay here."""
        self.changed = {}
        if self._look is not None:
            still = {unit.key for *_, unit in self._open}
            self._here = {key: here for key, here in self._here.items() if key in still}

    def _opens(self, unit: Unit) -> None:
        heapq.heappush(self._open, (unit.first_ms, unit.key, unit.side, unit.stage, unit))
