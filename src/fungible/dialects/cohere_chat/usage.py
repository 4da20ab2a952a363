"""Usage: what is billed, and what the model counted.

`billed_units` are what a call costs; `tokens` count also what the provider adds to a prompt and does not
bill, and `cached_tokens` are of those. The canonical counts are the billed ones. Where the others say more
than those they ride along.
"""

from typing import Any

from ...ir import Json, Usage
from ...losses import Report
from ..base import UnplacedCounts
from ..checked import Wire, an_object, merge, others
from .names import is_ours, ours

_BILLED = frozenset({"input_tokens", "output_tokens"})
_KNOWN = frozenset({"tokens", "billed_units", "cached_tokens"})
_OTHERS = UnplacedCounts("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens")
_OWN = ("tokens", "cached_tokens")


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Raises `Fault` for what is no object where one must be. Counts that are no whole numbers ride along."""
    tokens = an_object(node.get("tokens") or {}, f"{at}.tokens")
    billed = an_object(node.get("billed_units") or {}, f"{at}.billed_units")
    fields = others(node, _KNOWN) | others(billed, _BILLED, "billed_units.")
    counts: dict[str, Any] = {name: _count(billed.get(name, tokens.get(name))) for name in _BILLED}
    thought, cached = _count(tokens.get("reasoning_tokens")), _count(node.get("cached_tokens"))
    if thought is not None and thought <= (counts["output_tokens"] or 0):
        counts["reasoning_tokens"] = thought
    if cached is not None and cached <= (counts["input_tokens"] or 0):
        counts["cache_read_tokens"] = cached
    elif node.get("cached_tokens") is not None:
        fields["cached_tokens"] = node["cached_tokens"]
    if tokens and tokens != _tokens(Usage(**counts)):
        fields["tokens"] = tokens
    return Usage(extras=ours(fields), at=at, **counts)


def _count(value: Json) -> int | None:
    """The SDK types counts as floats."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _tokens(usage: Usage) -> Wire:
    told = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    return {name: count for name, count in told.items() if count is not None}


def write_usage(usage: Usage, report: Report) -> Wire:
    tokens = _tokens(usage)
    made: Wire = {"billed_units": {n: v for n, v in tokens.items() if n in _BILLED}, "tokens": tokens}
    if usage.cache_read_tokens is not None:
        made["cached_tokens"] = usage.cache_read_tokens
    _OTHERS.tell(usage, report)
    if usage.extras is None:
        return made
    if not is_ours(usage):
        report.homeless(usage)
        return made
    fields = usage.extras.fields
    made |= {name: fields[name] for name in _OWN if name in fields}
    return merge(made, {k: v for k, v in fields.items() if k not in _OWN})
