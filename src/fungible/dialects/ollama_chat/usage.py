"""Usage: two counts, and the server's own timings, which ride along.

Servers leave out a `prompt_eval_count` of 0: the whole prompt was in their cache. So absent is read as 0, and
0 written as absent. Cached input is not told otherwise.
"""

from typing import Any

from ...ir import Extras, Usage
from ...losses import Report
from ..checked import Wire, homeless, may
from .names import DURATIONS, NAME

_COUNTS = {"input_tokens": "prompt_eval_count", "output_tokens": "eval_count"}
FIELDS = frozenset({*_COUNTS.values(), *DURATIONS})


def read_usage(node: Wire) -> Usage | None:
    """From a whole answer, or from the line that ends a stream. Raises `Fault` for counts that are none."""
    fields = {name: node[name] for name in DURATIONS if node.get(name) is not None}
    counts: dict[str, Any] = {field: may(node, name, int, "") for field, name in _COUNTS.items()}
    if not fields and all(count is None for count in counts.values()):
        return None
    if counts["output_tokens"] is not None and counts["input_tokens"] is None:
        counts["input_tokens"] = 0
    return Usage(extras=Extras(dialect=NAME, fields=fields) if fields else None, **counts)


def write_usage(usage: Usage, report: Report) -> Wire:
    made: Wire = {}
    for field in usage.__struct_fields__:
        value = getattr(usage, field)
        if field in ("at", "extras") or value is None:
            continue
        if field == "input_tokens" and value == 0 and usage.output_tokens is not None:
            continue
        if field in _COUNTS:
            made[_COUNTS[field]] = value
        else:
            report.lose(usage, field, "dropped", "usage_detail")
    if usage.input_tokens is None and usage.output_tokens is not None:
        report.lose(usage, "input_tokens", "changed", "usage_detail")
    if usage.extras is not None and usage.extras.dialect == NAME:
        made |= {n: v for n, v in usage.extras.fields.items() if n in DURATIONS}
        homeless(usage, report, DURATIONS)
    else:
        homeless(usage, report)
    return made
