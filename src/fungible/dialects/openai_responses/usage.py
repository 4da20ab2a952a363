"""Usage, read and written. Totals are totals: cached input and reasoning are inside them, always.

The SDK's type wants every count that is written here. A count that another dialect did not tell is written
as 0 and reported; what was read here is marked as ours and keeps what it left out.
"""

from ...ir import Json, Usage
from ...losses import Report
from ..checked import Wire, merge
from .names import NAME, OURS, ours

_DETAILS: dict[str, str] = {
    "cache_read_tokens": "input_tokens_details.cached_tokens",
    "cache_write_tokens": "input_tokens_details.cache_write_tokens",
    "reasoning_tokens": "output_tokens_details.reasoning_tokens",
}
_NOT_HERE = ("cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens")
_TOTALS = frozenset({"input_tokens", "output_tokens", "total_tokens"})
_INNER = frozenset({"input_tokens_details", "output_tokens_details"})


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Counts of other types than whole numbers are no counts, and ride along."""
    fields: Wire = {}
    for name, value in node.items():
        if value is None or name in _TOTALS:
            continue
        if name in _INNER and type(value) is dict:
            fields |= {f"{name}.{k}": v for k, v in value.items() if v is not None}
        else:
            fields[name] = value
    counts = {f: fields.pop(path) for f, path in _DETAILS.items() if type(fields.get(path)) is int}
    tokens_in, out, total = (
        _count(node, n, fields) for n in ("input_tokens", "output_tokens", "total_tokens")
    )
    if total is not None and total != (tokens_in or 0) + (out or 0):
        fields["total_tokens"] = total
    return Usage(input_tokens=tokens_in, output_tokens=out, extras=ours(fields) or OURS, at=at, **counts)


def _count(node: Wire, name: str, fields: Wire) -> int | None:
    value = node.get(name)
    if type(value) is int:
        return value
    if value is not None:
        fields[name] = value
    return None


def write_usage(usage: Usage, report: Report) -> Wire:
    own = usage.extras is not None and usage.extras.dialect == NAME
    fields = report.extras(usage, NAME)
    node: Wire = {}
    for name in ("input_tokens", "output_tokens"):
        value = getattr(usage, name)
        if value is None and not own:
            report.lose(usage, name, "changed", "usage_detail")
            value = 0
        if value is not None:
            node[name] = value
    node["total_tokens"] = fields.get(
        "total_tokens", node.get("input_tokens", 0) + node.get("output_tokens", 0)
    )
    for field, path in _DETAILS.items():
        value = getattr(usage, field)
        if value is None and not own:
            report.lose(usage, field, "changed", "usage_detail")
            value = 0
        if value is not None:
            outer, _, name = path.partition(".")
            node.setdefault(outer, {})[name] = value
    for field in _NOT_HERE:
        if getattr(usage, field) is not None:
            report.lose(usage, field, "dropped", "usage_detail")
    return merge(node, fields, _INNER)


def usage_of(value: Json) -> Usage | None:
    return read_usage(value) if type(value) is dict else None
