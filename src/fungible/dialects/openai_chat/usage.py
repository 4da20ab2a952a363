"""Usage, read and written. Totals are totals: cached input and reasoning are inside them, always.

xAI leaves reasoning out of `completion_tokens`, Mistral sound out of `prompt_tokens`; `total_tokens` has it.
Servers that tell the cached tokens under a name of their own are read too, where the usual one is missing.
"""

from operator import attrgetter

from ...ir import Json, Usage
from ...losses import Report
from ..checked import Wire, merge
from .names import NAME, ours

_DETAILS: dict[str, str] = {
    "cache_read_tokens": "prompt_tokens_details.cached_tokens",
    "cache_write_tokens": "prompt_tokens_details.cache_write_tokens",
    "input_audio_tokens": "prompt_tokens_details.audio_tokens",
    "reasoning_tokens": "completion_tokens_details.reasoning_tokens",
    "output_audio_tokens": "completion_tokens_details.audio_tokens",
}
_details_of = attrgetter(*_DETAILS, "cache_write_1h_tokens")
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "cache_read_tokens": ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"),
    "reasoning_tokens": ("reasoning_tokens",),
}
"""DeepSeek; Moonshot and Together; Anthropic behind a proxy. Read where the usual name says nothing."""

_TOTALS = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_INNER = frozenset({"prompt_tokens_details", "completion_tokens_details"})


def read_usage(node: Wire, at: str = "usage") -> Usage:
    """Counts of other types than whole numbers are no counts, and ride along."""
    fields: Wire = {}
    counts: dict[str, int] = {}
    if len(node) > 3 or not node.keys() <= _TOTALS:
        _details(node, fields, counts)
    tokens_in = _count(node, "prompt_tokens", fields)
    out = _count(node, "completion_tokens", fields)
    total = _count(node, "total_tokens", fields)
    if total is not None:
        beside = total - (tokens_in or 0) - (out or 0)
        if beside and out is not None and beside == counts.get("reasoning_tokens"):
            out += beside
        elif beside and tokens_in is not None and beside == counts.get("input_audio_tokens"):
            tokens_in += beside
        elif beside:
            fields["total_tokens"] = total
    return Usage(input_tokens=tokens_in, output_tokens=out, extras=ours(fields), at=at, **counts)


def _details(node: Wire, fields: Wire, counts: dict[str, int]) -> None:
    for name, value in node.items():
        if value is None or name in _TOTALS:
            continue
        if name in _INNER and type(value) is dict:
            fields |= {f"{name}.{k}": v for k, v in value.items() if v is not None}
        else:
            fields[name] = value
    for field, path in _DETAILS.items():
        if type(fields.get(path)) is int:
            counts[field] = fields.pop(path)
    for field, others in _ELSEWHERE.items():
        for name in others:
            if field not in counts and type(fields.get(name)) is int:
                counts[field] = fields.pop(name)


def _count(node: Wire, name: str, fields: Wire) -> int | None:
    value = node.get(name)
    if type(value) is int:
        return value
    if value is not None:
        fields[name] = value
    return None


def write_usage(usage: Usage, report: Report) -> Wire:
    tokens_in, out = usage.input_tokens, usage.output_tokens
    details = _details_of(usage)
    bare = usage.extras is None and details.count(None) == len(details)
    if bare and tokens_in is not None and out is not None:
        return {"prompt_tokens": tokens_in, "completion_tokens": out, "total_tokens": tokens_in + out}
    fields = report.extras(usage, NAME)
    node: Wire = {}
    if tokens_in is not None:
        node["prompt_tokens"] = tokens_in
    if out is not None:
        node["completion_tokens"] = out
    if tokens_in is not None or out is not None:
        node["total_tokens"] = fields.get("total_tokens", (tokens_in or 0) + (out or 0))
    for value, path in zip(details, _DETAILS.values(), strict=False):
        if value is not None:
            outer, _, name = path.partition(".")
            node.setdefault(outer, {})[name] = value
    if usage.cache_write_1h_tokens is not None:
        report.lose(usage, "cache_write_1h_tokens", "dropped", "usage_detail")
    return merge(node, fields, _INNER)


def usage_of(value: Json) -> Usage | None:
    return read_usage(value) if type(value) is dict else None
