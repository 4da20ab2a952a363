"""Usage: this wire counts uncached input beside cache reads and writes; the canonical form counts totals.

`inputTokens + cacheReadInputTokens + cacheWriteInputTokens` is the whole input, and `totalTokens` that and
the output (recorded answers). Older names of the cache's counts say the same again, and are passed over
where they do. What does not add up rides in extras, so that writing what was read gives the same object.
"""

from ...ir import Extras, Json, Usage
from ...losses import Report
from ..checked import may, others
from .names import NAME

_KNOWN = frozenset({"inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"})
_AGAIN = {
    "cacheReadInputTokenCount": "cacheReadInputTokens",
    "cacheWriteInputTokenCount": "cacheWriteInputTokens",
}


def read_usage_object(wire: dict[str, Json], at: str = "usage") -> Usage:
    """Raises `Fault` for counts that are no whole numbers."""
    fresh, said = may(wire, "inputTokens", int, at), may(wire, "outputTokens", int, at)
    read = may(wire, "cacheReadInputTokens", int, at)
    write = may(wire, "cacheWriteInputTokens", int, at)
    fields = others(wire, _KNOWN)
    for again, name in _AGAIN.items():
        if again in fields and fields[again] == wire.get(name):
            del fields[again]
    if fields.get("serverToolUsage") == {}:
        del fields["serverToolUsage"]
    if fields.get("totalTokens") == (fresh or 0) + (read or 0) + (write or 0) + (said or 0):
        del fields["totalTokens"]
    hour = _hour(wire.get("cacheDetails"), write)
    if hour is not None:
        del fields["cacheDetails"]
    return Usage(
        at=at,
        input_tokens=None if fresh is None else fresh + (read or 0) + (write or 0),
        output_tokens=said,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
    )


def _details(hour: int, write: int) -> list[Json]:
    """Longer lifetimes first, without those of which nothing was written (API reference, CacheDetail)."""
    told = [{"ttl": "1h", "inputTokens": hour}, {"ttl": "5m", "inputTokens": write - hour}]
    return [detail for detail in told if detail["inputTokens"]]


def _hour(details: Json, write: int | None) -> int | None:
    """What was written for an hour, where the details are just what they would be for it."""
    if type(details) is not list or write is None:
        return None
    hours = [d.get("inputTokens") for d in details if type(d) is dict and d.get("ttl") == "1h"]
    hour = hours[0] if hours else 0
    return hour if type(hour) is int and details == _details(hour, write) else None


def write_usage_object(usage: Usage, report: Report) -> dict[str, Json]:
    read, write = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    fresh = (usage.input_tokens or 0) - read - write
    if usage.input_tokens is None or fresh < 0:
        report.lose(usage, "input_tokens", "changed", "usage_detail")
    if usage.output_tokens is None:
        report.lose(usage, "output_tokens", "changed", "usage_detail")
    fresh, said = max(fresh, 0), usage.output_tokens or 0
    wire: dict[str, Json] = {"inputTokens": fresh, "outputTokens": said}
    wire["totalTokens"] = fresh + read + write + said
    if usage.cache_read_tokens is not None:
        wire["cacheReadInputTokens"] = read
    if usage.cache_write_tokens is not None:
        wire["cacheWriteInputTokens"] = write
    if usage.cache_write_1h_tokens is not None:
        if usage.cache_write_tokens is not None:
            wire["cacheDetails"] = _details(usage.cache_write_1h_tokens, write)
        else:
            report.lose(usage, "cache_write_1h_tokens", "dropped", "usage_detail")
    for field in ("reasoning_tokens", "input_audio_tokens", "output_audio_tokens"):
        if getattr(usage, field) is not None:
            report.lose(usage, field, "dropped", "usage_detail")
    if usage.extras is not None:
        wire.update(report.extras(usage, NAME))
    return wire
