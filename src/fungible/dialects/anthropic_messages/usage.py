"""Usage: this wire counts uncached input beside cache reads and writes; the canonical form counts totals.

`input_tokens + cache_creation_input_tokens + cache_read_input_tokens` is the whole input (API reference,
Usage). Only the compactions among the `iterations` are left out there, and are billed (guide, Compaction):
they are added as it is read, and taken off as it is written. What else the object holds (server tools,
geography, iterations, speed) rides in extras, and so does a breakdown that does not add up, so that writing
what was read gives the same object.
"""

import msgspec

from ...ir import Extras, Json, Usage
from ...losses import Report
from ..checked import counts, may
from .names import NAME
from .shape import others

_KNOWN = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
        "service_tier",
    }
)
_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_TOTALS = frozenset({*_COUNTS, "service_tier"})
_LIFETIMES = {"ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"}


def read_usage_object(usage: dict[str, Json], at: str = "usage") -> Usage:
    """Raises `Fault` for counts that are no whole numbers."""
    fresh, read, write, said = counts(usage, _COUNTS, at)
    if fresh is not None:
        fresh += (read or 0) + (write or 0)
    if usage.keys() <= _TOTALS:
        return Usage(
            input_tokens=fresh, output_tokens=said, cache_read_tokens=read, cache_write_tokens=write, at=at
        )
    fields = others(usage, _KNOWN)
    lifetimes = may(usage, "cache_creation", dict, at)
    hour = None
    if lifetimes is not None:
        if lifetimes.keys() == _LIFETIMES and _adds_up(lifetimes, write):
            hour = lifetimes["ephemeral_1h_input_tokens"]
        else:
            fields["cache_creation"] = lifetimes
    details = may(usage, "output_tokens_details", dict, at)
    thinking = None
    if details is not None:
        if details.keys() == {"thinking_tokens"} and type(details["thinking_tokens"]) is int:
            thinking = details["thinking_tokens"]
        else:
            fields["output_tokens_details"] = details
    seen = Usage(
        at=at,
        input_tokens=fresh,
        output_tokens=said,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        reasoning_tokens=thinking,
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
    )
    return _with_compactions(seen, 1) if "iterations" in fields else seen


def _with_compactions(usage: Usage, sign: int) -> Usage:
    """With what the compactions of its iterations took, or without (`sign` -1). What is untold stays so."""
    passed = usage.extras.fields.get("iterations") if usage.extras is not None else None
    more = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), 0)
    for told in passed if type(passed) is list else ():
        if type(told) is dict and told.get("type") == "compaction":
            fresh, read, write, said = (_count(told, name) for name in _COUNTS)
            more["input_tokens"] += fresh + read + write
            more["cache_read_tokens"] += read
            more["cache_write_tokens"] += write
            more["output_tokens"] += said
    counts = {n: old + sign * c for n, c in more.items() if c and (old := getattr(usage, n)) is not None}
    return msgspec.structs.replace(usage, **counts)


def _count(told: dict[str, Json], name: str) -> int:
    count = told.get(name)
    return count if type(count) is int and count > 0 else 0


def _adds_up(lifetimes: dict[str, Json], write: int | None) -> bool:
    counts = list(lifetimes.values())
    return write is not None and all(type(c) is int for c in counts) and sum(counts) == write


def write_usage_object(usage: Usage, report: Report) -> dict[str, Json]:
    if usage.extras is not None and usage.extras.dialect == NAME:
        usage = _with_compactions(usage, -1)
    read, write = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    fresh = (usage.input_tokens or 0) - read - write
    if usage.input_tokens is None or fresh < 0:
        report.lose(usage, "input_tokens", "changed", "usage_detail")
    if usage.output_tokens is None:
        report.lose(usage, "output_tokens", "changed", "usage_detail")
    wire: dict[str, Json] = {"input_tokens": max(fresh, 0)}
    if usage.cache_write_tokens is not None:
        wire["cache_creation_input_tokens"] = write
    if usage.cache_read_tokens is not None:
        wire["cache_read_input_tokens"] = read
    hour = usage.cache_write_1h_tokens
    if hour is not None:
        if usage.cache_write_tokens is not None:
            wire["cache_creation"] = {
                "ephemeral_5m_input_tokens": write - hour,
                "ephemeral_1h_input_tokens": hour,
            }
        else:
            report.lose(usage, "cache_write_1h_tokens", "dropped", "usage_detail")
    wire["output_tokens"] = usage.output_tokens or 0
    if usage.reasoning_tokens is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.input_audio_tokens is not None:
        report.lose(usage, "input_audio_tokens", "dropped", "usage_detail")
    if usage.output_audio_tokens is not None:
        report.lose(usage, "output_audio_tokens", "dropped", "usage_detail")
    if usage.extras is not None:
        wire.update(report.extras(usage, NAME))
    return wire


def merged(first: dict[str, Json], later: dict[str, Json]) -> dict[str, Json]:
    """What a stream has told so far: a later object's counts replace the earlier (they are cumulative)."""
    whole = {**first, **{k: v for k, v in later.items() if v is not None or k not in first}}
    told = later.get("cache_creation_input_tokens")
    if told is not None and later.get("cache_creation") is None:
        lifetimes = first.get("cache_creation")
        if type(lifetimes) is dict and not _adds_up(lifetimes, told):
            whole.pop("cache_creation", None)
    return whole
