"""Statements for programs: keys, spending and losses as JSON, for commands and the admin API alike."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby

from .account import Key, Losing
from .faults import Fault
from .ir import Json
from .losses import WHY
from .money import FEMTO_PER_NANO, Price, usd
from .store import Store

AGO = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def key(row: Key) -> dict[str, Json]:
    """A key's row; never its secret."""
    return {
        "id": row.id,
        "name": row.name,
        "team": row.team,
        "models": list(row.models),
        "rpm": row.rpm,
        "tpm": row.tpm,
        "budget_usd": usd(row.budget_nanousd) if row.budget_nanousd is not None else None,
        "window": row.window,
        "created_ms": row.created_ms,
        "revoked_ms": row.revoked_ms,
    }


def spending(store: Store, by: str, since_ms: int) -> dict[str, Json]:
    """Raises Fault `bad_request` for a `by` that there is not."""
    rows = sorted(store.spend(by, since_ms), key=lambda r: (-r.cost_nanousd, r.who or ""))
    total = sum(row.cost_nanousd for row in rows)
    spent = []
    for row in rows:
        numbers = {name: getattr(row, name) for name in row.__struct_fields__ if name != "who"}
        spent.append({by: row.who, **numbers, "cost_usd": usd(row.cost_nanousd)})
    return {
        "by": by,
        "since_ms": since_ms,
        "spend": spent,
        "total_nanousd": total,
        "total_usd": usd(total),
    }


DAY_MS = 86_400_000
CACHE_MARK = "cache_mark"
assert CACHE_MARK in WHY
PriceOf = Callable[[str, str], Price | None]
"""(provider, model) -> what it costs today."""


def losing(store: Store, by: str, since_ms: int, now_ms: int, price_of: PriceOf) -> dict[str, Json]:
    """What was lost in translation, by code, with what it cost where that can be told.

    Raises Fault `bad_request` for a `by` that there is not.
    """
    rows = sorted(store.losing(by, since_ms), key=lambda row: row.who or "")
    told = []
    for who, group in groupby(rows, key=lambda row: row.who):
        of_one = list(group)
        codes = Counter[str]()
        for row in of_one:
            codes.update(row.lost)
        if codes:
            lossy = sum(row.attempts for row in of_one if row.lost)
            told.append(
                {
                    by: who,
                    "attempts": sum(row.attempts for row in of_one),
                    "lossy_attempts": lossy,
                    "codes": dict(codes.most_common()),
                    "cache_marks": lost_marks(of_one, now_ms, price_of) if codes[CACHE_MARK] else None,
                }
            )
    return {"by": by, "since_ms": since_ms, "losses": told}


def lost_marks(rows: Sequence[Losing], now_ms: int, price_of: PriceOf) -> dict[str, Json]:
    """What it cost that targets could not be told what to cache: an estimate, with what it rests on.

    Of the input that such attempts paid in full, the share is counted that this traffic reads from caches
    where its marks arrive; without any to compare with, all of it, which says `at most`. What it would have
    saved is the model's own price of input less that of cached input. Less than a day counts as a day.
    """
    unmarked = [row for row in rows if CACHE_MARK in row.lost]
    targets = {
        (row.provider, row.model) for row in rows if row.cache_read_tokens and CACHE_MARK not in row.lost
    }
    marked = [row for row in rows if (row.provider, row.model) in targets and CACHE_MARK not in row.lost]
    read, asked = sum(row.cache_read_tokens for row in marked), sum(row.input_tokens for row in marked)
    share = min(read / asked, 1.0) if asked else 1.0
    femto = tokens = unpriced = 0
    for row in unmarked:
        full = max(row.input_tokens - row.cache_read_tokens, 0)
        price = price_of(row.provider, row.model)
        if price is None or price.input is None or price.cache_read is None:
            unpriced += full
        else:
            tokens += full
            femto += int(full * share) * max(price.input - price.cache_read, 0)
    days = max((now_ms - min(row.first_ms for row in unmarked)) / DAY_MS, 1.0)
    nanousd = femto // FEMTO_PER_NANO
    seen = f"the {share:.0%} that this traffic reads from caches elsewhere" if asked else "at most all"
    return {
        "estimate_usd": usd(nanousd) if tokens else None,
        "estimate_usd_per_day": usd(int(nanousd / days)) if tokens else None,
        "at_most": not asked,
        "input_tokens": tokens,
        "share_cached": share,
        "input_tokens_unpriced": unpriced,
        "days": round(days, 2),
        "basis": f"{seen} of {tokens} input tokens paid in full in {days:.1f} days, times the model's"
        f" price of input less that of cached input; {unpriced} more tokens have no known price of"
        " cached input",
    }


def moment_ms(text: str, now_s: float) -> int:
    """Unix milliseconds of a date or of an age. Raises Fault `bad_request` for what is neither."""
    age = re.fullmatch(r"(\d+)([mhdw])", text)
    if age:
        return int((now_s - int(age[1]) * AGO[age[2]]) * 1000)
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise Fault(
            "bad_request", f"--since takes a date such as 2026-11-01 or an age such as 24h, not {text!r}."
        ) from None
    return int(day.replace(tzinfo=day.tzinfo or UTC).timestamp() * 1000)
