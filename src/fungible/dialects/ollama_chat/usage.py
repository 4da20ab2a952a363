"""Usage: two counts, and the server's own timings, which ride along. Cached input is not told."""

from typing import Any

from ...ir import Extras, Usage
from ...losses import Report
from .names import DURATIONS, NAME
from .shape import Wire, homeless, may

_COUNTS = {"input_tokens": "prompt_eval_count", "output_tokens": "eval_count"}
FIELDS = frozenset({*_COUNTS.values(), *DURATIONS})


def read_usage(node: Wire) -> Usage | None:
    """From a whole answer, or from the line that ends a stream. Raises `Fault` for counts that are none."""
    fields = {name: node[name] for name in DURATIONS if node.get(name) is not None}
    counts: dict[str, Any] = {field: may(node, name, int, "") for field, name in _COUNTS.items()}
    if not fields and all(count is None for count in counts.values()):
        return None
    return Usage(extras=Extras(dialect=NAME, fields=fields) if fields else None, **counts)


def write_usage(usage: Usage, report: Report) -> Wire:
    made: Wire = {}
    for field in usage.__struct_fields__:
        value = getattr(usage, field)
        if field in ("at", "extras") or value is None:
            continue
        if field in _COUNTS:
            made[_COUNTS[field]] = value
        else:
            report.lose(usage, field, "dropped", "usage_detail")
    if usage.extras is not None and usage.extras.dialect == NAME:
        made |= {n: v for n, v in usage.extras.fields.items() if n in DURATIONS}
        homeless(usage, report, DURATIONS)
    else:
        homeless(usage, report)
    return made
