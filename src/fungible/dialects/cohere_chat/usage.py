"""Usage: what is billed, and what the model counted.

`billed_units` are what a call costs; `tokens` count also what the provider adds to a prompt and does not
bill, and `cached_tokens` are of those. The canonical counts are the billed ones. Where the others say more
than those they ride along.
"""

from typing import Any

from ...ir import Json, Usage
from ...losses import Report
from ..checked import Wire, an_object, homeless, merge, others
from .names import is_ours, ours

_BILLED = {"input_tokens", "output_tokens"}
_OWN = ("tokens", "cached_tokens")


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Raises `Fault` for what is no object where one must be. Counts that are no whole numbers ride along."""
    tokens = an_object(node.get("tokens") or {}, f"{at}.tokens")
    billed = an_object(node.get("billed_units") or {}, f"{at}.billed_units")
    fields = others(node, {"tokens", "billed_units", "cached_tokens"}) | others(
        billed, _BILLED, "billed_units."
    )
    counts: dict[str, Any] = {name: _count(billed.get(name, tokens.get(name))) for name in sorted(_BILLED)}
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
    made: Wire = {}
    for name in ("input_tokens", "output_tokens", "reasoning_tokens"):
        if getattr(usage, name) is not None:
            made[name] = getattr(usage, name)
    return made


def write_usage(usage: Usage, report: Report) -> Wire:
    made: Wire = {"billed_units": {}, "tokens": _tokens(usage)}
    for name in sorted(_BILLED):
        if getattr(usage, name) is not None:
            made["billed_units"][name] = getattr(usage, name)
    if usage.cache_read_tokens is not None:
        made["cached_tokens"] = usage.cache_read_tokens
    for name in ("cache_write_tokens", "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens"):
        if getattr(usage, name) is not None:
            report.lose(usage, name, "dropped", "usage_detail")
    if not is_ours(usage) or usage.extras is None:
        homeless(usage, report)
        return made
    fields = usage.extras.fields
    made |= {name: fields[name] for name in _OWN if name in fields}
    return merge(made, {k: v for k, v in fields.items() if k not in _OWN})
