"""What this wire calls things, and where its providers and models differ. Tables only.

Sources: the types of the official SDK (anthropic 2.12), the API reference, and the models' migration
guides. A row of `MODELS` is removed when the last model it names is retired.
"""

import re
from functools import lru_cache

from ..base import Quirks

NAME = "anthropic.messages"

NAMES: dict[str, str] = {
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "cache": "cache_control",
    "ttl_seconds": "ttl",
    "output": "output_config.format",
    "reasoning": "thinking",
    "Reasoning.effort": "output_config.effort",
    "mode": "type",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "parameters": "input_schema",
    "arguments": "input",
    "call_id": "tool_use_id",
    "parts": "content",
    "redacted": "data",
    "Stop.reason": "stop_reason",
    "Stop.sequence": "stop_sequence",
    "Stop.raw": "stop_reason",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "cache_write_1h_tokens": "cache_creation.ephemeral_1h_input_tokens",
    "reasoning_tokens": "output_tokens_details.thinking_tokens",
    "Reply.service_tier": "usage.service_tier",
}

QUIRKS: dict[str, str] = {
    "no_cache_control": "Takes no cache marks; they are left out.",
    "no_output_format": "Takes no `output_config.format`; the schema is left out.",
    "no_system_messages": "Takes system text at the top level only; a later one becomes a marked user text.",
    "no_sampling": "Refuses temperature, top_p and top_k; they are left out.",
    "one_sampler": "Refuses top_p beside temperature; top_p is left out.",
    "no_thinking_budget": "Thinks adaptively only; a token budget becomes `adaptive`.",
    "no_adaptive_thinking": "Thinks with a token budget only; `adaptive` is left out.",
    "no_effort": "Takes no `output_config.effort`; it is left out.",
    "vertex_version": "Has the model in the address, and `anthropic_version` of Vertex AI in the body.",
    "bedrock_version": "As `vertex_version`, Bedrock's InvokeModel; the address says whether to stream, too.",
    "unsigned_thinking": "Takes earlier thinking back without a signature.",
}

EMBODIED: dict[str, dict[bytes, str]] = {"bedrock_version": {b"anthropic-beta": "anthropic_beta"}}
"""Quirk -> header -> the body's field that has its values (Bedrock user guide, Anthropic Claude Messages)."""

REWRITES: dict[str, bytes] = {
    "no_cache_control": b'"cache_control"',
    "no_output_format": b'"output_config"',
    "no_system_messages": b'"role":"system"',
    "no_sampling": b'"temperature"',
    "no_effort": b'"effort"',
    "vertex_version": b'"model"',
    "bedrock_version": b'"model"',
}
"""Quirk -> the bytes that show a request to be one that such a provider would refuse."""

VERSIONS: dict[str, str] = {
    "vertex_version": "vertex-2023-10-16",
    "bedrock_version": "bedrock-2023-05-31",
}
"""Quirk -> the body's `anthropic_version` (Claude on Vertex AI; Bedrock user guide, Claude Messages API)."""

_FAMILY = "(opus|sonnet|haiku|fable|mythos)"
_MODEL = re.compile(
    rf"claude-{_FAMILY}-(\d+)(?:[-.](\d\d?)(?!\d))?"
    rf"|claude-(\d+)(?:[-.](\d\d?))?-{_FAMILY}"
    r"|claude-(mythos)-preview"
    r"|claude-(?:instant|v?[12]\b)"
)

MODELS: tuple[tuple[int, int, frozenset[str], Quirks], ...] = (
    # Mid-conversation system messages came with Opus 4.8 and are in every later model.
    (0, 47, frozenset(), frozenset({"no_system_messages"})),
    # Opus 4.7 and all later models answer 400 to sampling fields and to thinking budgets.
    (47, 999, frozenset(), frozenset({"no_sampling", "no_thinking_budget"})),
    # Adaptive thinking came with the 4.6 models; effort too, but Opus 4.5 had it.
    (0, 45, frozenset(), frozenset({"no_adaptive_thinking"})),
    (0, 44, frozenset(), frozenset({"no_effort"})),
    (45, 45, frozenset({"sonnet", "haiku"}), frozenset({"no_effort"})),
    # Opus 4.1 and the 4.5 and 4.6 models take one of temperature and top_p.
    (41, 46, frozenset(), frozenset({"one_sampler"})),
)
"""From and to a version (4.8 is 48), of these families (none: of all) -> the quirks a model adds."""


@lru_cache(maxsize=256)  # asked for each request, and the models in use are few
def quirks_of(model: str, quirks: Quirks) -> Quirks:
    """The provider's quirks and the model's. A name that is no Claude's adds none."""
    found = _MODEL.search(model) if "claude" in model else None
    if found is None:
        return quirks
    family, major, minor, major_first, minor_first, family_last, preview = found.groups()
    version = int(major or major_first or 0) * 10 + min(int(minor or minor_first or 0), 9)
    if preview:
        version = 46  # it came with the 4.6 models
    for low, high, families, more in MODELS:
        if low <= version <= high and (not families or (family or family_last) in families):
            quirks = quirks | more
    return quirks
