"""What `models`, `doctor` and `risk` say of models that retire."""

import time
from pathlib import Path

from ..config import Config
from ..money import usd
from ..retirement import Calendar, Kept, refresh
from ..retirement.affected import Affected


def calendar_of(config: Config, *, fetch: bool = False) -> Calendar:
    """From what was kept; `fetch`: after what is too old was fetched anew."""
    due, state = config.retirement, Path(config.server.state)
    if fetch and due.sources:
        kept = refresh(state, due.sources, time.time_ns() // 1_000_000, due.refresh_ms)
    else:
        kept = Kept.load(state)
    return kept.calendar(config.catalogue.models, due.names)


def when(one: Affected) -> str:
    if one.on is None:
        return "deprecated, no day told"
    if not one.firm:
        return f"not before {one.on}"
    assert one.days_left is not None
    left = f"in {one.days_left} days" if one.days_left > 0 else "that day has come"
    return f"{one.on}, {left}"


def sources(one: Affected) -> str:
    """All that was said, where it differs; else who said it."""
    told = dict.fromkeys(f"{said.on or 'no day'} by {said.source}" for said in one.said)
    text = "; ".join(told) if one.conflict else ", ".join(dict.fromkeys(said.source for said in one.said))
    text = f"sources differ: {text}" if one.conflict else text
    if one.basis == "deployment":
        text += " (by a deployment's name: see which model and version it runs)"
    if one.basis == "alias":
        text += " (as an alias, which may be moved to another model)"
    return text


def users(one: Affected) -> str:
    """Who uses it, the largest first: `assistant (team shop): 1,200 calls, 3.2 USD`."""
    told = []
    for user in one.users[:3]:
        who = f" ({', '.join(p for p in (user.key, user.team and f'team {user.team}') if p)})"
        name = user.route + (who if who != " ()" else "")
        told.append(f"{name}: {user.calls:,} calls, {usd(user.cost_nanousd)} USD")
    more = f"; and {len(one.users) - 3} more" if len(one.users) > 3 else ""
    return "; ".join(told) + more if told else "no calls in this time"
