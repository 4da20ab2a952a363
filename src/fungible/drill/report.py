"""What a drill's users felt, from the ledger: success, latency, cost, losses, and who had no way out.

A drilled call is one with an attempt that bears the drill's mark. It is compared with the calls of the same
routes that were put to that provider and met no drill: those of the same minutes where there are enough, else
of the hour before, and the report says which, since an hour before is another hour. Latency is from the
first attempt's opening to the last one's end. A caller's own mistakes and callers that left are counted
apart.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean

import msgspec

from ..account import Tried
from ..faults import KINDS
from .plan import MARK, Drill

BEFORE_MS = 3_600_000
BESIDE_MIN = 20  # calls beside, below which those before are looked at
NAMED_MAX = 50  # calls without a way out that are named


class Felt(msgspec.Struct, frozen=True):
    """Of some calls. Latency in milliseconds; cost in nano-dollars a call where it is known."""

    calls: int
    answered: int
    failed: int
    left: int
    open: int
    median_ms: float | None
    p95_ms: float | None
    cost_nanousd: float | None
    losses: float | None

    @property
    def success(self) -> float | None:
        ended = self.answered + self.failed
        return self.answered / ended if ended else None


class OfRoute(msgspec.Struct, frozen=True):
    """`others`: the calls that were put to the provider and not drilled, of `beside`: `now`, `before` (the
    hour before) or `recorded`. `diverted`: calls that were not put to it first, since breakers were open or
    the route asks others first. `by`: who answered the drilled calls.
    """

    route: str
    drilled: Felt
    others: Felt
    diverted: Felt
    beside: str
    added_median_ms: float | None
    added_p95_ms: float | None
    added_cost_nanousd: float | None
    added_losses: float | None
    by: dict[str, int]


class Lost(msgspec.Struct, frozen=True):
    """A call that nobody answered. `tried`: the targets that were asked; `alone`: no other was to be had."""

    call: str
    route: str
    key: str | None
    fault: str
    tried: tuple[str, ...]
    alone: bool


class Report(msgspec.Struct, frozen=True):
    drill: Drill
    state: str  # running, ended, stopped
    drilled: Felt
    success: float | None
    routes: tuple[OfRoute, ...]
    lost: tuple[Lost, ...]
    lost_count: int


class _Call(msgspec.Struct, frozen=True):
    route: str
    drilled: bool
    tries: tuple[Tried, ...]

    @property
    def touched(self) -> bool:
        """By any drill, this or an earlier one."""
        return any((row.provider_request_id or "").startswith(MARK) for row in self.tries)

    @property
    def last(self) -> Tried:
        return self.tries[-1]

    @property
    def ending(self) -> str:
        fault = self.last.fault
        if self.last.ended_ms is None:
            return "open"
        if fault is None:
            return "answered"
        if fault == "client_gone":
            return "left"
        return "mistaken" if KINDS[fault].whose == "caller" and fault != "rate_limited" else "failed"


def reported(drill: Drill, rows: Iterable[Tried], now_ms: int, before: str = "before") -> Report:
    """`rows`: attempts begun from `BEFORE_MS` before the drill to its end, by call and in order.

    `before`: what those begun before it are.
    """
    calls = [_call(drill, tuple(tries)) for _, tries in groupby(rows, key=lambda row: row.call)]
    calls = [call for call in calls if call.ending != "mistaken"]
    drilled = [call for call in calls if call.drilled]
    routes = tuple(
        _of_route(drill, route, [c for c in calls if c.route == route], before)
        for route in dict.fromkeys(call.route for call in drilled)
    )
    failed = [call for call in drilled if call.ending == "failed"]
    felt = _felt(drilled)
    over = now_ms >= drill.ended_ms
    return Report(
        drill,
        "stopped" if drill.stopped_ms is not None else "ended" if over else "running",
        felt,
        felt.success,
        tuple(sorted(routes, key=lambda one: (one.drilled.success or 0.0, one.route))),
        tuple(_lost(call) for call in failed[:NAMED_MAX]),
        len(failed),
    )


def _call(drill: Drill, tries: tuple[Tried, ...]) -> _Call:
    marked = any(_marked(drill, row) for row in tries)
    return _Call(tries[0].route or "", marked, tries)


def _marked(drill: Drill, row: Tried) -> bool:
    return (row.provider_request_id or "").partition("/")[0] == drill.mark


def _of_route(drill: Drill, route: str, calls: Sequence[_Call], before_is: str) -> OfRoute:
    drilled = [call for call in calls if call.drilled]
    met = [call for call in calls if not call.touched and call.tries[0].provider == drill.provider]
    now = [call for call in met if call.tries[0].started_ms >= drill.started_ms]
    before = [call for call in met if call.tries[0].started_ms < drill.started_ms]
    diverted = [
        call
        for call in calls
        if call.tries[0].started_ms >= drill.started_ms and call.tries[0].provider != drill.provider
    ]
    beside = "now" if len(now) >= BESIDE_MIN or len(now) >= len(before) else before_is
    felt, usual = _felt(drilled), _felt(now if beside == "now" else before)
    by: dict[str, int] = {}
    for call in drilled:
        if call.ending == "answered":
            name = f"{call.last.provider}/{call.last.model}"
            by[name] = by.get(name, 0) + 1
    return OfRoute(
        route,
        felt,
        usual,
        _felt(diverted),
        beside,
        _less(felt.median_ms, usual.median_ms),
        _less(felt.p95_ms, usual.p95_ms),
        _less(felt.cost_nanousd, usual.cost_nanousd),
        _less(felt.losses, usual.losses),
        by,
    )


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _felt(calls: Sequence[_Call]) -> Felt:
    counts = dict.fromkeys(("answered", "failed", "left", "open"), 0)
    for call in calls:
        counts[call.ending] += 1
    good = [call for call in calls if call.ending == "answered"]
    took = sorted((call.last.ended_ms or 0) - call.tries[0].started_ms for call in good)
    costs = [cost for call in good if (cost := _cost(call)) is not None]
    return Felt(
        len(calls),
        counts["answered"],
        counts["failed"],
        counts["left"],
        counts["open"],
        _quantile(took, 0.5),
        _quantile(took, 0.95),
        fmean(costs) if costs else None,
        fmean(call.last.losses for call in good) if good else None,
    )


def _cost(call: _Call) -> int | None:
    """Of all its attempts; None where one of them is not known."""
    costs = [0 if row.state == "void" else row.cost_nanousd for row in call.tries]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _quantile(ordered: Sequence[int], part: float) -> float | None:
    """The smallest value that at least this part of them does not exceed."""
    return float(ordered[max(-(-int(part * 1_000) * len(ordered) // 1_000) - 1, 0)]) if ordered else None


def _lost(call: _Call) -> Lost:
    tried = tuple(f"{row.provider}/{row.model}" for row in call.tries)
    first = call.tries[0]
    return Lost(
        first.call,
        call.route,
        first.key,
        call.last.fault or "",
        tried,
        len({row.provider for row in call.tries}) == 1,
    )
