"""Whether to try again, where, and after how long.

At most three attempts a call (Google SRE book, ch. 21). Another target is tried at once; the same one
after a pause with full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter"), or after the
time the provider asked for where the deadline allows it. Second attempts draw on a budget of a fifth of
the calls plus a floor of ten a second (Finagle's RetryBudget), so that a provider in trouble is not
drowned; moving to a healthy other target draws on it too, since it doubles what the caller pays.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

from ..call import Local
from ..faults import Fault
from ..models import Target
from ..world import Headers

SHARE = 0.2  # of a retry, paid in by every call
SAVED_S = 10  # seconds of the floor that may be saved up
PAUSE_BASE_S = 0.25
PAUSE_MAX_S = 8.0

Where = Literal["anywhere", "elsewhere"]

HELP: Mapping[str, Where] = {
    "unreachable": "anywhere",
    "provider_error": "anywhere",
    "provider_answer": "anywhere",
    "unavailable": "anywhere",
    "overloaded": "anywhere",
    "rate_limited": "anywhere",
    "timeout": "anywhere",
    "internal": "anywhere",
    # What another target may do better, and the same one would answer the same.
    "provider_authentication": "elsewhere",
    "billing": "elsewhere",
    "not_found": "elsewhere",
}
"""Where a second attempt may help after a fault of this kind; not listed: nowhere."""


class Again(NamedTuple):
    target: Target
    pause_s: float


def until(headers: Headers, wall_ms: int) -> int | None:
    """Milliseconds to wait where `retry-after` is a date (RFC 9110, section 10.2.3), otherwise None."""
    try:
        when = parsedate_to_datetime(headers.get(b"retry-after", b"").decode("latin-1"))
    except ValueError:
        return None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return max(int(when.timestamp() * 1000) - wall_ms, 0)


def balance(local: Local, now: float) -> float:
    """Second attempts that may be paid for at this moment. What calls have paid in is counted only here."""
    budget, floor = local.retries, local.settings.retries_per_s
    earned = (now - budget.at) * floor + budget.calls * SHARE
    budget.at, budget.calls = now, 0
    budget.balance = min(budget.balance + earned, max(floor * SAVED_S, 1.0))
    return budget.balance


def again(
    fault: Fault,
    tried: list[Target],
    targets: tuple[Target, ...],
    local: Local,
    now: float,
    left_s: float,
    chance: float,
) -> Again | None:
    """The next attempt after `tried`, or None. `left_s`: what is left of the call's total time."""
    where = HELP.get(fault.kind)
    if where is None or len(tried) >= local.settings.attempts_max:
        return None
    last = tried[-1]
    fresh = [t for t in targets if t not in tried]
    pause = 0.0
    target = fresh[0] if fresh else last
    if not fresh:
        if where == "elsewhere":
            return None
        pause = chance * min(PAUSE_BASE_S * 2 ** (len(tried) - 1), PAUSE_MAX_S)
        if fault.retry_after_ms is not None:
            pause = max(fault.retry_after_ms, 0) / 1000 + pause
    if pause >= left_s:
        return None
    if balance(local, now) < 1.0:
        return None
    local.retries.balance -= 1.0
    return Again(target, pause)
