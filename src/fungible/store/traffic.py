"""What was asked of whom: the ledger's attempts, summed by route, key and target.

What nobody waits for is no traffic: the calls of rehearsals, and what a switch asks for comparison
(`policies.share`).
"""

import sqlite3
from typing import Any

from ..account import Traffic, Tried, Used

_TRAFFIC = """
    SELECT a.route, a.key, k.name, k.team, a.provider, a.model,
        count(*) FILTER (WHERE a.n = 1), count(*),
        count(*) FILTER (WHERE a.fault IS NULL AND a.state IN ('settled', 'estimated')),
        count(*) FILTER (WHERE a.n > 1 AND a.fault IS NULL AND a.state IN ('settled', 'estimated')),
        sum(a.cost_nanousd),
        count(*) FILTER (WHERE a.cost_nanousd IS NULL AND a.state NOT IN ('void', 'open')),
        sum(a.input_tokens), sum(a.output_tokens), sum(a.cache_read_tokens), sum(a.cache_write_tokens),
        max(a.ended_ms) FILTER (WHERE a.fault IS NULL AND a.state IN ('settled', 'estimated'))
    FROM attempt AS a LEFT JOIN key AS k ON k.id = a.key
    WHERE a.started_ms >= ? AND tags NOT LIKE 'rehearsal=%' AND tags NOT GLOB 'switch=*:[saj]:*'
    GROUP BY a.route, a.key, a.provider, a.model
"""

_TRIED = """
    SELECT call, n, route, provider, model, key, state, started_ms, ended_ms, cost_nanousd, fault, losses,
        provider_request_id
    FROM attempt WHERE started_ms >= ? AND started_ms < ? ORDER BY call, n
"""


_USED = """
    SELECT route, provider, model, price_id,
        CASE WHEN input_tokens > 272000 THEN 272000 WHEN input_tokens > 256000 THEN 256000
            WHEN input_tokens > 200000 THEN 200000 WHEN input_tokens > 128000 THEN 128000
            WHEN input_tokens > 32000 THEN 32000 ELSE 0 END AS least,
        count(*), sum(cost_nanousd), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),
        sum(cache_write_tokens)
    FROM attempt
    WHERE started_ms >= ? AND tags NOT LIKE 'rehearsal=%' AND tags NOT GLOB 'switch=*:[saj]:*'
        AND price_id IS NOT NULL AND cost_nanousd IS NOT NULL
    GROUP BY route, provider, model, price_id, least
"""  # the least are where providers' prices of long contexts begin


def used(db: sqlite3.Connection, since_ms: int) -> list[Used]:
    names = Used.__struct_fields__
    rows = db.execute(_USED, (since_ms,))
    return [
        Used(**dict(zip(names, (*row[:5], *(count or 0 for count in row[5:])), strict=True))) for row in rows
    ]


def tried(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[Tried]:
    return [Tried(*row) for row in db.execute(_TRIED, (since_ms, until_ms))]


def read(db: sqlite3.Connection, since_ms: int) -> list[Traffic]:
    rows = db.execute(_TRAFFIC, (since_ms,))
    names = Traffic.__struct_fields__
    return [Traffic(**dict(zip(names, _counted(row), strict=True))) for row in rows]


def _counted(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A sum over no number is none, which here is 0."""
    return *row[:6], *(count or 0 for count in row[6:-1]), row[-1]
