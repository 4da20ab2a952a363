"""Usage: two counts, and the server's own timings, which ride along.

Servers leave out a `prompt_eval_count` of 0: the whole prompt was in their cache. So absent is read as 0, and
0 written as absent. Cached input is not told otherwise.
"""

from ...ir import Usage
from ...losses import Report
from ..base import UnplacedCounts
from ..checked import Wire, counts
from .names import DURATIONS, NAME, ours

FIELDS = frozenset({"prompt_eval_count", "eval_count", *DURATIONS})
DETAILS = UnplacedCounts("input_tokens", "output_tokens")


def read_usage(node: Wire) -> Usage | None:
    """From a whole answer, or from the line that ends a stream. Raises `Fault` for counts that are none."""
    fields = {name: node[name] for name in DURATIONS if node.get(name) is not None}
    read, said = counts(node, ("prompt_eval_count", "eval_count"), "")
    if not fields and read is None and said is None:
        return None
    return Usage(
        input_tokens=0 if read is None and said is not None else read,
        output_tokens=said,
        extras=ours(fields),
    )


def write_usage(usage: Usage, report: Report) -> Wire:
    made: Wire = {}
    read, said = usage.input_tokens, usage.output_tokens
    if read is not None and (read or said is None):
        made["prompt_eval_count"] = read
    elif read is None and said is not None:
        report.lose(usage, "input_tokens", "changed", "usage_detail")
    if said is not None:
        made["eval_count"] = said
    DETAILS.tell(usage, report)
    if usage.extras is not None and usage.extras.fields:
        own = usage.extras.fields if usage.extras.dialect == NAME else {}
        made |= {name: own[name] for name in DURATIONS if name in own}
        report.homeless(usage, made)
    return made
