"""Who is hit by a retirement: the calendar crossed with what routes name and what the ledger has seen."""

import shlex
from collections.abc import Iterable, Sequence

import msgspec

from ..account import Traffic
from ..models import Catalogue
from ..providers.table import PROVIDERS
from .calendar import Calendar, Retirement, Said

ANY = "PROVIDER/MODEL"  # where no source names a replacement


class User(msgspec.Struct, frozen=True):
    """One key's use of the model, under one route's name. `key` None: no key was asked for."""

    route: str
    key: str | None
    team: str | None
    calls: int
    cost_nanousd: int
    cost_unknown: int


class Affected(msgspec.Struct, frozen=True):
    """One target that ends, and who uses it. `days_left` None: no day is told; below 1: it has ended.

    `routes` are those that name it, used or not; `rehearse` the command for each, in the same order.
    """

    target: str
    on: str | None
    firm: bool
    days_left: int | None
    basis: str
    conflict: bool
    since: str | None
    replacements: tuple[str, ...]
    said: tuple[Said, ...]
    calls: int
    cost_nanousd: int
    users: tuple[User, ...]
    routes: tuple[str, ...]
    rehearse: tuple[str, ...]


def affected(
    calendar: Calendar, catalogue: Catalogue, rows: Sequence[Traffic], now_ms: int
) -> tuple[Affected, ...]:
    """Every target in use or in a route that a source says will end or has, the nearest day first."""
    named = {pair: None for plan in catalogue.plans.values() for pair in plan.targets}
    pairs = [*named, *(pair for row in rows if (pair := (row.provider, row.model)) not in named)]
    found = []
    for provider, model in dict.fromkeys(pairs):
        enabled = catalogue.providers.get(provider)
        row = enabled.provider if enabled is not None else PROVIDERS.get(provider)
        retirement = calendar.find(row, model) if row is not None else None
        if retirement is not None:
            used = [r for r in rows if (r.provider, r.model) == (provider, model)]
            found.append(_affected(retirement, catalogue, used, now_ms))
    return tuple(sorted(found, key=lambda a: (a.on or "~", -a.cost_nanousd, a.target)))


def _affected(retirement: Retirement, catalogue: Catalogue, used: Iterable[Traffic], now_ms: int) -> Affected:
    users = tuple(
        User(r.route or "", r.key_name or r.key, r.team, r.answered, r.cost_nanousd, r.cost_unknown)
        for r in sorted(used, key=lambda r: (-r.cost_nanousd, -r.answered))
    )
    pair = (retirement.provider, retirement.model)
    routes = [name for name, plan in catalogue.plans.items() if pair in plan.targets]
    routes += [user.route for user in users if user.route]
    routes = list(dict.fromkeys(routes))
    to = next(iter(retirement.replacements), ANY)
    return Affected(
        retirement.name,
        retirement.on,
        retirement.firm,
        retirement.days_left(now_ms),
        retirement.basis,
        retirement.conflict,
        retirement.since,
        retirement.replacements,
        retirement.said,
        sum(user.calls for user in users),
        sum(user.cost_nanousd for user in users),
        users,
        tuple(routes),
        tuple(command("rehearse", route, to) for route in routes),
    )


def command(step: str, route: str, to: str, *more: str) -> str:
    """What a person may paste into a shell: names are quoted, for callers choose some of them."""
    return shlex.join(("fungible", "switch", step, "--route", route, "--to", to, *more))


def pressing(found: Iterable[Affected], warn_days: int) -> tuple[Affected, ...]:
    """Those whose day is near, past, or not told; a `not sooner than` presses only when it is past."""
    return tuple(
        one for one in found if one.days_left is None or one.days_left <= (warn_days if one.firm else 0)
    )
