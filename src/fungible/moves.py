"""Forced moves: reasons to leave a target that nobody chose, and the road that each opens.

    why         what is seen                             the road
    retirement  a source says that the model ends        rehearse its replacement, then start a switch
    price       another price holds than the one paid    rehearse another target of the route
    outage      a target has failed for minutes on end   the emergency lane: the route's other targets
                                                         answer already; rehearse meanwhile, then start

Whatever the reason, a move lands in the same place: `fungible switch start`, with guards and a way back.

A price is compared by traffic, not by its row: what the calls of a time have cost, and what the same tokens
cost at the other price. The ledger does not tell audio and hour-long cache writes apart, so these
count at the plain rates. A change below `PRICE_CHANGE_MIN` is none.

Pure: rows and prices are given. Not here: who opens a rehearsal by itself (`forcing`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from zlib import crc32

import msgspec

from .account import Tried, Used
from .faults import KINDS
from .ir import Usage
from .models import Catalogue
from .money import Price, cost, usd
from .retirement.affected import ANY, Affected, command
from .risk import Answer

PRICE_CHANGE_MIN = 0.01
OUTAGE_FAILURES = 5  # in a row, as a breaker counts before it opens
OUTAGE_MS = 120_000  # since the first of them
OUTAGE_LOOK_MS = 1_800_000  # back from now
STEPS = ("rehearse", "start")
PriceAt = Callable[[str, str, int], Price | None]
"""(provider, model, Unix ms) -> what it costs at that moment."""


class PriceChange(msgspec.Struct, frozen=True):
    """`paid` at the prices `was`, `would` at `now`: nano-dollars for the same tokens. `ahead`: not yet."""

    target: str
    was: tuple[str, ...]
    now: str
    ahead: bool
    attempts: int
    paid_nanousd: int
    would_nanousd: int
    routes: tuple[str, ...]

    @property
    def change(self) -> float:
        return self.would_nanousd / self.paid_nanousd - 1.0


class Outage(msgspec.Struct, frozen=True):
    """Failures in a row, without an answer between."""

    target: str
    since_ms: int
    failures: int
    fault: str
    routes: tuple[str, ...]


class Forced(msgspec.Struct, frozen=True):
    """One route's reason to leave one target. `to`: where to, "" where nothing is known or named.

    `run`: what a rehearsal of it is called, the same whoever opens it.
    """

    why: str
    route: str
    target: str
    to: str
    says: str
    urgent: bool
    run: str
    commands: tuple[str, ...]


# --- prices --------------------------------------------------------------------------------------------


def price_changes(
    used: Sequence[Used], price_at: PriceAt, now_ms: int, ahead_ms: int
) -> tuple[PriceChange, ...]:
    """Of targets in use: prices that have changed since they were paid, and that will until `ahead_ms`."""
    found = []
    for pair in dict.fromkeys((row.provider, row.model) for row in used):
        rows = [row for row in used if (row.provider, row.model) == pair]
        today, later = price_at(*pair, now_ms), price_at(*pair, ahead_ms)
        if today is None:
            continue
        old = [row for row in rows if _named(row.price_id) != _named(today.id)]
        found.append(_change(old, today, sum(row.cost_nanousd for row in old), ahead=False))
        if later is not None and _named(later.id) != _named(today.id):
            at_today = [_priced(row, today) for row in rows]
            if None not in at_today:
                found.append(_change(rows, later, sum(c for c in at_today if c), ahead=True))
    changes = [c for c in found if c is not None and abs(c.change) >= PRICE_CHANGE_MIN]
    return tuple(sorted(changes, key=lambda c: c.paid_nanousd - c.would_nanousd))


def _change(rows: Sequence[Used], price: Price, paid: int, *, ahead: bool) -> PriceChange | None:
    would = [_priced(row, price) for row in rows]
    if not paid or None in would:
        return None
    return PriceChange(
        f"{rows[0].provider}/{rows[0].model}",
        tuple(dict.fromkeys(row.price_id for row in rows)),
        price.id,
        ahead,
        sum(row.attempts for row in rows),
        paid,
        sum(c for c in would if c is not None),
        tuple(dict.fromkeys(row.route for row in rows if row.route)),
    )


def _named(price_id: str) -> str:
    """A price's id without the version of the list it stands in, which changes when prices do not."""
    return re.sub(r"^([\w-]+):[^/]*/", r"\1/", price_id)


def _priced(row: Used, price: Price) -> int | None:
    """What a row's tokens cost, at the tier that its attempts were in."""
    tier = price
    while tier.above is not None and tier.above_tokens is not None and row.least_tokens >= tier.above_tokens:
        tier = tier.above
    flat = msgspec.structs.replace(tier, above=None, above_tokens=None)
    usage = Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
    )
    one = cost(flat, usage)
    return None if one is None else one + (row.attempts - 1) * flat.request // 1_000_000


# --- outages -------------------------------------------------------------------------------------------


def outages(rows: Iterable[Tried], now_ms: int) -> tuple[Outage, ...]:
    """`rows`: the attempts of the last `OUTAGE_LOOK_MS`. What a drill made fail is no outage."""
    runs: dict[str, list[Tried]] = {}
    for row in sorted(rows, key=lambda row: row.ended_ms or now_ms):
        failed = row.fault is not None and KINDS[row.fault].retry and row.state != "open"
        target = f"{row.provider}/{row.model}"
        if (row.provider_request_id or "").startswith("drill:") or row.ended_ms is None:
            continue
        if failed:
            runs.setdefault(target, []).append(row)
        elif row.fault is None:
            runs.pop(target, None)
    found = []
    for target, run in runs.items():
        since = run[0].started_ms
        if len(run) >= OUTAGE_FAILURES and now_ms - since >= OUTAGE_MS:
            routes = tuple(dict.fromkeys(row.route for row in run if row.route))
            found.append(Outage(target, since, len(run), run[-1].fault or "", routes))
    return tuple(found)


# --- the road ------------------------------------------------------------------------------------------


def forced(
    catalogue: Catalogue,
    retiring: Iterable[Affected],
    changes: Iterable[PriceChange],
    failing: Sequence[Outage],
    now_ms: int,
) -> tuple[Forced, ...]:
    """The most urgent first: outages, then retirements by day, then prices that rise."""
    down = {outage.target for outage in failing}
    moves = [_of_outage(o, route, catalogue, down, now_ms) for o in failing for route in o.routes]
    for one in retiring:
        to = next(iter(one.replacements), "")
        end = f"ends on {one.on}" if one.firm else f"may end after {one.on}"
        day = "is deprecated" if one.on is None else end
        moves += [_move("retirement", r, one.target, to, f"{one.target} {day}.") for r in one.routes]
    for change in changes:
        if change.change > 0:
            says = f"{change.target} {'will be' if change.ahead else 'is'} {change.change:.0%} dearer."
            for route in change.routes:
                other = _other(catalogue, route, change.target, down)
                moves.append(_move("price", route, change.target, other, says))
    return tuple(moves)


def _of_outage(outage: Outage, route: str, catalogue: Catalogue, down: set[str], now_ms: int) -> Forced:
    to = _other(catalogue, route, outage.target, down)
    minutes = (now_ms - outage.since_ms) // 60_000
    says = f"{outage.target} has failed for {minutes} min ({outage.failures} times, {outage.fault})"
    says += f"; {to} is asked instead." if to else "; this route has no other target that works: add one."
    return _move("outage", route, outage.target, to, says, urgent=True)


def _other(catalogue: Catalogue, route: str, target: str, down: set[str]) -> str:
    """The route's next target, on another provider where there is one; "" for none."""
    plan = catalogue.plans.get(route)
    names = [f"{p}/{m}" for p, m in plan.targets] if plan is not None else []
    others = [name for name in names if name != target and name not in down]
    provider = target.partition("/")[0] + "/"
    return next((n for n in others if not n.startswith(provider)), next(iter(others), ""))


def _move(why: str, route: str, target: str, to: str, says: str, *, urgent: bool = False) -> Forced:
    place = to or ANY
    run = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{why}-{route}")[:48]
    run = f"{run}-{crc32(f'{route} {target} {to}'.encode()):08x}"
    steps: Mapping[str, tuple[str, ...]] = {
        "rehearse": ("--run", run),
        "start": ("--steps", "50,100") if urgent else (),
    }
    commands = tuple(command(step, route, place, *steps[step]) for step in STEPS)
    return Forced(why, route, target, to, says, urgent, run, commands)


# --- in a manager's words ------------------------------------------------------------------------------


def answers(
    near: Sequence[Affected], changes: Sequence[PriceChange], heard: bool, warn_days: int
) -> tuple[Answer, ...]:
    """`near`: what ends within `warn_days`; `heard`: whether any source was asked."""
    ends = Answer("What ends soon?", f"Nothing in use is said to end within {warn_days} days.", "ok")
    if near:
        first, spend = near[0], usd(sum(one.cost_nanousd for one in near))
        day = f" on {first.on}" if first.on is not None else ""
        others = f" and {len(near) - 1} more" if len(near) > 1 else ""
        told = f"{first.target}{day}{others}; {spend} USD of this time's spend went there."
        gone = any(one.days_left is not None and one.days_left <= 0 for one in near)
        ends = Answer(ends.question, told, "wrong" if gone else "look")
    elif not heard:
        ends = Answer(ends.question, "Nobody knows: no feed is read. Set [retirement] feeds.", "look")
    if not changes:
        return (ends,)
    more = usd(sum(change.would_nanousd - change.paid_nanousd for change in changes))
    targets = ", ".join(dict.fromkeys(change.target for change in changes))
    told = f"Yes, of {targets}: this traffic would cost {more} USD more."
    return ends, Answer("Did prices move?", told, "look" if not more.startswith("-") else "ok")
