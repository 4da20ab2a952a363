"""Statements for programs: keys and spending as JSON, the same from the command line and the admin API."""

import re
from datetime import UTC, datetime

from .account import Key
from .faults import Fault
from .ir import Json
from .money import usd
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
