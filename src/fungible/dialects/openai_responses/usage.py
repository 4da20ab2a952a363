"""Usage, read and written. Totals are totals: cached input and reasoning are inside them, always.

The SDK's type wants every count that is written here. A count that another dialect did not tell is written
as 0 and reported; what was read here is marked as ours and keeps what it left out.
"""

from typing import Any

from ...ir import Json, Usage
from ...losses import Report
from ..base import UnplacedCounts
from ..checked import Wire, merge, others
from .names import NAME, OURS, is_ours, ours

_DETAILS: dict[str, dict[str, str]] = {
    "input_tokens_details": {
        "cached_tokens": "cache_read_tokens",
        "cache_write_tokens": "cache_write_tokens",
    },
    "output_tokens_details": {"reasoning_tokens": "reasoning_tokens"},
}
"""An object of the wire's, its counts -> the canonical ones."""

_TOTALS = ("input_tokens", "output_tokens", "total_tokens")
_KNOWN = frozenset(_TOTALS) | _DETAILS.keys()
_INNER = frozenset(_DETAILS)
_DETAILED = tuple(field for names in _DETAILS.values() for field in names.values())
_WANTED = ("input_tokens", "output_tokens", *_DETAILED)
_OTHERS = UnplacedCounts(*_WANTED)


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Counts of other types than whole numbers are no counts, and ride along."""
    fields = others(node, _KNOWN)
    counts: dict[str, Any] = {}
    for outer, known in _DETAILS.items():
        told = node.get(outer)
        if type(told) is dict:
            for name, value in told.items():
                if type(value) is int and name in known:
                    counts[known[name]] = value
                elif value is not None:
                    fields[f"{outer}.{name}"] = value
        elif told is not None:
            fields[outer] = told
    totals = [*map(node.get, _TOTALS)]
    if {*map(type, totals)} != {int}:
        fields |= {n: v for n, v in zip(_TOTALS, totals, strict=True) if type(v) is not int and v is not None}
        totals = [v if type(v) is int else None for v in totals]
    tokens_in, out, total = totals
    if total is not None and total != (tokens_in or 0) + (out or 0):
        fields["total_tokens"] = total
    return Usage(input_tokens=tokens_in, output_tokens=out, extras=ours(fields) or OURS, at=at, **counts)


def write_usage(usage: Usage, report: Report) -> Wire:
    _OTHERS.tell(usage, report)
    if not is_ours(usage):
        for field in _WANTED:
            if getattr(usage, field) is None:
                report.lose(usage, field, "changed", "usage_detail")
        report.homeless(usage)
        read, said = usage.input_tokens or 0, usage.output_tokens or 0
        node: Wire = {"input_tokens": read, "output_tokens": said, "total_tokens": read + said}
        for outer, names in _DETAILS.items():
            node[outer] = {name: getattr(usage, field) or 0 for name, field in names.items()}
        return node
    told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    node = {name: count for name, count in told.items() if count is not None}
    fields = report.extras(usage, NAME)
    node["total_tokens"] = fields.get("total_tokens", sum(node.values()))
    for outer, names in _DETAILS.items():
        inner = {n: count for n, field in names.items() if (count := getattr(usage, field)) is not None}
        if inner:
            node[outer] = inner
    return merge(node, fields, _INNER)


def usage_of(value: Json) -> Usage | None:
    return read_usage(value) if type(value) is dict else None
