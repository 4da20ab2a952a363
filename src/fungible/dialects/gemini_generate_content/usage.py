"""Usage: `candidatesTokenCount` leaves out thoughts, `promptTokenCount` the results of the provider's tools.

API reference, UsageMetadata. A count of 0 is not written (ProtoJSON), so an answer without
`candidatesTokenCount` has none.
"""

from ...ir import Json, Usage
from ...losses import Report
from ..checked import counts, others
from .names import NAME, ours

_KNOWN = frozenset(
    {"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"}
    | {"totalTokenCount", "serviceTier"}
)
_TOOLS = "toolUsePromptTokenCount"
_COUNTS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", _TOOLS, "totalTokenCount",
           "cachedContentTokenCount")  # fmt: skip
_HEARD, _SPOKEN = "promptTokensDetails", "candidatesTokensDetails"


def read_usage_object(node: dict[str, Json], at: str = "usageMetadata") -> Usage | None:
    """Of a `spelled` object. None where it counts nothing. Raises `Fault` for counts that are none."""
    prompt, said, thought, tools, total, cached = found = counts(node, _COUNTS, at)
    fields = others(node, _KNOWN)
    counted = found[:5].count(None) < 5  # what is cached is no more than part of the prompt
    if not counted and not fields:
        return None
    read = (prompt or 0) + (tools or 0) if counted else None
    made = (said or 0) + (thought or 0) if counted else None
    if total is not None and total != (read or 0) + (made or 0):
        fields["totalTokenCount"] = total
    return Usage(
        at=at,
        input_tokens=read,
        output_tokens=made,
        cache_read_tokens=cached,
        reasoning_tokens=thought,
        input_audio_tokens=_audio(fields, _HEARD) if fields else None,
        output_audio_tokens=_audio(fields, _SPOKEN) if fields else None,
        extras=ours(fields),
    )


def _audio(fields: dict[str, Json], name: str) -> int | None:
    """The tokens of sound. Details that tell no more than these are not kept beside them."""
    details = fields.get(name)
    if type(details) is not list:
        return None
    counts = [
        one.get("tokenCount") for one in details if type(one) is dict and one.get("modality") == "AUDIO"
    ]
    if len(counts) != 1 or type(counts[0]) is not int:
        return None
    if len(details) == 1:
        del fields[name]
    return counts[0]


def write_usage_object(usage: Usage, report: Report) -> dict[str, Json]:
    wire: dict[str, Json] = {}
    own = report.extras(usage, NAME) if usage.extras is not None else {}
    tools = own.get(_TOOLS)
    thought = usage.reasoning_tokens
    if usage.input_tokens is not None:
        prompt = usage.input_tokens - (tools if type(tools) is int else 0)
        if prompt or not usage.output_tokens:
            wire["promptTokenCount"] = prompt
    if usage.output_tokens is not None:
        said = usage.output_tokens - (thought or 0)
        if said > 0 or usage.input_tokens is None:
            wire["candidatesTokenCount"] = max(said, 0)
        if usage.input_tokens is None:
            report.lose(usage, "input_tokens", "changed", "usage_detail")
        if said < 0:
            report.lose(usage, "output_tokens", "changed", "usage_detail")
    elif usage.input_tokens is not None or thought is not None:
        report.lose(usage, "output_tokens", "changed", "usage_detail")
    if usage.cache_read_tokens is not None:
        wire["cachedContentTokenCount"] = usage.cache_read_tokens
    if thought is not None:
        wire["thoughtsTokenCount"] = thought
    for name, count in ((_HEARD, usage.input_audio_tokens), (_SPOKEN, usage.output_audio_tokens)):
        if count is not None and name not in own:
            wire[name] = [{"modality": "AUDIO", "tokenCount": count}]
    for field in ("cache_write_tokens", "cache_write_1h_tokens"):
        if getattr(usage, field) is not None:
            report.lose(usage, field, "dropped", "usage_detail")
    if usage.input_tokens is not None or usage.output_tokens is not None:
        made = max(usage.output_tokens or 0, thought or 0)
        wire["totalTokenCount"] = (usage.input_tokens or 0) + made
    wire.update(own)
    return wire
