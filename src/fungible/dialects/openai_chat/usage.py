"""Usage, read and written. Totals are totals: cached input and reasoning are inside them, always.

xAI leaves reasoning out of `completion_tokens`; `total_tokens` shows it.
Servers that tell the cached tokens under a name of their own are read too, where the usual one is missing.
"""

from ...ir import Json, Usage
from ...losses import Report
from .names import NAME
from .shape import Wire, merge, ours

_DETAILS: tuple[tuple[str, str, str], ...] = (
    ("cache_read_tokens", "prompt_tokens_details", "cached_tokens"),
    ("cache_write_tokens", "prompt_tokens_details", "cache_write_tokens"),
    ("input_audio_tokens", "prompt_tokens_details", "audio_tokens"),
    ("reasoning_tokens", "completion_tokens_details", "reasoning_tokens"),
    ("output_audio_tokens", "completion_tokens_details", "audio_tokens"),
)
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "cache_read_tokens": ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"),
    "reasoning_tokens": ("reasoning_tokens",),
}
"""DeepSeek; Moonshot and Together; Anthropic behind a proxy. Read where the usual name says nothing."""

_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
_INNER = frozenset({"prompt_tokens_details", "completion_tokens_details"})


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Counts of other types than whole numbers are no counts, and ride along."""
    fields: Wire = {k: v for k, v in node.items() if v is not None and k not in _TOTALS and k not in _INNER}
    counts: dict[str, int] = {}
    for name in _INNER:
        inner = node.get(name)
        if type(inner) is dict:
            fields |= {f"{name}.{k}": v for k, v in inner.items() if v is not None}
        elif inner is not None:
            fields[name] = inner
    for field, outer, name in _DETAILS:
        value = fields.get(f"{outer}.{name}")
        if type(value) is int:
            counts[field] = value
            del fields[f"{outer}.{name}"]
    for field, others in _ELSEWHERE.items():
        for name in others:
            if field not in counts and type(fields.get(name)) is int:
                counts[field] = fields.pop(name)
    tokens_in, out, total = (_count(node, name, fields) for name in _TOTALS)
    thought = counts.get("reasoning_tokens")
    if total is not None:
        beside = total - (tokens_in or 0) - (out or 0)
        if thought and out is not None and beside == thought:
            out += thought
        elif beside:
            fields["total_tokens"] = total
    return Usage(
        input_tokens=tokens_in, output_tokens=out, extras=ours(fields), at=at, **counts
    )  # fmt: skip


def _count(node: Wire, name: str, fields: Wire) -> int | None:
    value = node.get(name)
    if type(value) is int:
        return value
    if value is not None:
        fields[name] = value
    return None


def write_usage(usage: Usage, report: Report) -> Wire:
    tokens_in, out = usage.input_tokens, usage.output_tokens
    fields = report.extras(usage, NAME)
    node: Wire = {}
    if tokens_in is not None:
        node["prompt_tokens"] = tokens_in
    if out is not None:
        node["completion_tokens"] = out
    if tokens_in is not None or out is not None:
        node["total_tokens"] = fields.get("total_tokens", (tokens_in or 0) + (out or 0))
    for field, outer, name in _DETAILS:
        value = getattr(usage, field)
        if value is not None:
            node.setdefault(outer, {})[name] = value
    if usage.cache_write_1h_tokens is not None:
        report.lose(usage, "cache_write_1h_tokens", "dropped", "usage_detail")
    return merge(node, fields, _INNER)


def usage_of(value: Json) -> Usage | None:
    return read_usage(value) if type(value) is dict else None
