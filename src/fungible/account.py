"""The account's values: an attempt as it opens, an attempt as it closes, and who asked for it.

One attempt is one try at one provider, and one row. It opens before the first byte is sent upstream and
makes exactly one transition, from `open` to one of the states below; a second is a mistake, refused and
counted. Times are Unix milliseconds and money is integer nano-dollars. None is not said, which is not 0.

Not here: where rows are kept (`ledger`, `store`), what things cost (`money`, `prices`), any clock.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # what a row can hold

STATES: dict[str, str] = {
    "open": "Sent, or about to be; nothing is known of its end.",
    "settled": "Ended, with the usage the provider told.",
    "estimated": "Ended; the usage is counted here because the provider told none.",
    "void": "Provably not accepted by the provider, so nothing is owed.",
    "unknown": "The process ended before the attempt did; the provider may have billed it.",
}
CLOSED = frozenset(STATES) - {"open"}


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """An attempt, before it is sent. `n` counts the attempts of one call from 1.

    `key` is a virtual key's id, `tags` the caller's `k=v,k=v`, `hold_nanousd` what a budget holds for it.
    """

    attempt: str
    call: str
    n: int
    started_ms: Int64
    provider: str
    model: str
    dialect: str
    stream: bool = False
    key: str | None = None
    route: str | None = None
    tags: str = ""
    hold_nanousd: Int64 | None = None


class Awaited(Opened, frozen=True, array_like=True, tag="w", gc=False):
    """An attempt whose answer outlives the process that opened it: it lies in a batch of the provider's.

    So it stays open when that process has ended, until whoever fetches the batch closes it.
    """


class Settled(msgspec.Struct, frozen=True, array_like=True, tag="s", gc=False):
    """How an attempt ended. `state` is one of `CLOSED`; `status` is the provider's HTTP status.

    `first_ms` is when its first content event came; `fault` is a row of `faults.KINDS`; `losses` counts
    what translation could not carry, request and reply together, and `lost` counts it by code, as
    `losses.listed` writes it.
    """

    attempt: str
    state: str
    ended_ms: Int64
    input_tokens: Int64 | None = None
    output_tokens: Int64 | None = None
    cache_read_tokens: Int64 | None = None
    cache_write_tokens: Int64 | None = None
    reasoning_tokens: Int64 | None = None
    cost_nanousd: Int64 | None = None
    price_id: str | None = None
    provider_request_id: str | None = None
    status: Int64 | None = None
    fault: str | None = None
    first_ms: Int64 | None = None
    losses: int = 0
    lost: str = ""


class Key(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A virtual key: who may ask, for what, how much. Never the secret, nor its digest.

    `models` are patterns as `fnmatch` reads them, over route names and `provider/model`; empty: all.
    `rpm` and `tpm` are requests and tokens a minute; `budget_nanousd` is a hard cap for each `window`.
    """

    id: str
    name: str
    created_ms: int
    team: str | None = None
    models: tuple[str, ...] = ()
    rpm: int | None = None
    tpm: int | None = None
    budget_nanousd: int | None = None
    window: str = "month"
    revoked_ms: int | None = None


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """One line of spending. `who` None: none was given. `cost_nanousd` is exact over the rows of known cost.

    `cost_unknown` counts the ended rows that are not in it; void ones are no such rows, they cost nothing.
    """

    who: str | None
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_nanousd: int
    cost_unknown: int
    open: int
    settled: int
    estimated: int
    void: int
    unknown: int


class Losing(msgspec.Struct, frozen=True):
    """Attempts of one target that lost the same, by code; those that went whole where `lost` is empty."""

    who: str | None
    provider: str
    model: str
    lost: dict[str, int]
    attempts: int
    input_tokens: int
    cache_read_tokens: int
    first_ms: int


class Traffic(msgspec.Struct, frozen=True):
    """What one key asked of one target under one route's name.

    calls:      those that tried it first; `attempts` every try, `answered` those that it answered
    rescued:    of `answered`, those where another had failed before
    cost_nanousd: exact over the rows of known cost; `cost_unknown` counts the ended rows that are not in it
    last_ms:    when it last answered, None: never
    """

    route: str | None
    key: str | None
    key_name: str | None
    team: str | None
    provider: str
    model: str
    calls: int
    attempts: int
    answered: int
    rescued: int
    cost_nanousd: int
    cost_unknown: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    last_ms: int | None


class Used(msgspec.Struct, frozen=True):
    """What a target was paid under one price, for one route, by attempts of over `least_tokens` of input."""

    route: str | None
    provider: str
    model: str
    price_id: str
    least_tokens: int
    attempts: int
    cost_nanousd: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


class Tried(NamedTuple):
    """One attempt, as far as it matters to what its caller felt."""

    call: str
    n: int
    route: str | None
    provider: str
    model: str
    key: str | None
    state: str
    started_ms: int
    ended_ms: int | None
    cost_nanousd: int | None
    fault: str | None
    losses: int
    provider_request_id: str | None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A key's money in one window, nano-dollars: what it may spend, has spent, and holds for what is open."""

    key: str
    window_start_ms: int
    cap: int
    posted: int
    pending: int


def _day(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


WINDOWS: dict[str, Callable[[datetime], datetime]] = {
    "day": _day,
    "week": lambda now: _day(now) - timedelta(days=now.weekday()),  # Monday, as ISO 8601 counts
    "month": lambda now: _day(now).replace(day=1),
}


def window_start_ms(window: str, now_ms: int) -> int:
    """When the UTC day, week or month that `now_ms` falls in began."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return int(WINDOWS[window](now).timestamp()) * 1000


def window_end_ms(window: str, start_ms: int) -> int:
    """When the window that began at `start_ms` gives way to the next."""
    days = {"day": 1, "week": 7, "month": 32}[window]
    return window_start_ms(window, start_ms + days * 86_400_000)
