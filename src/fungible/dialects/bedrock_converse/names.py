"""What this wire calls things, and where its models differ. Tables only.

Sources: the service model of botocore (bedrock-runtime), the API reference (Converse, ConverseStream,
CountTokens) and the user guide (Prompt caching, Model parameters, Thinking). A row of `MODELS` is removed
when the last model it names is retired.
"""

import re

from ..base import Quirks
from ..checked import Own

NAME = "bedrock.converse"
SIGNS = "anthropic.messages"
"""Whose signatures these are: Claude's alone are signed, alike here and at its maker (Extended thinking)."""

SIGNERS = (None, NAME, SIGNS)
OWN = Own(NAME)
rest = OWN.rest

NAMES: dict[str, str] = {
    "max_output_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop": "inferenceConfig.stopSequences",
    "top_k": "additionalModelRequestFields.top_k",
    "metadata": "requestMetadata",
    "service_tier": "serviceTier",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "Request.output": "outputConfig.textFormat",
    "Reasoning.effort": "outputConfig.effort",
    "mode": "type",
    "cache": "cachePoint",
    "ttl_seconds": "ttl",
    "parameters": "inputSchema.json",
    "id": "toolUseId",
    "call_id": "toolUseId",
    "arguments": "input",
    "is_error": "status",
    "parts": "content",
    "redacted": "redactedContent",
    "signature": "reasoningText.signature",
    "media_type": "format",
    "Stop.reason": "stopReason",
    "Stop.raw": "stopReason",
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheWriteInputTokens",
    "cache_write_1h_tokens": "cacheDetails",
}

QUIRKS: dict[str, str] = {
    "anthropic_fields": "Takes Anthropic's `top_k` and `thinking` in `additionalModelRequestFields`.",
    "no_cache_points": "Takes no cache points; they are left out.",
    "no_output_format": "Takes no `outputConfig.textFormat`; the schema is left out.",
    "no_effort": "Takes no `outputConfig.effort`; it is left out.",
    "no_system_messages": "Takes system text at the top level only; a later one becomes a marked user text.",
    "no_sampling": "Refuses temperature, topP and top_k; they are left out.",
    "one_sampler": "Refuses topP beside temperature; topP is left out.",
    "no_thinking_budget": "Thinks adaptively only; a token budget becomes `adaptive`.",
    "no_adaptive_thinking": "Thinks with a token budget only; `adaptive` is left out.",
    "signed_thinking": "Takes earlier thinking back only with its signature.",
}

REWRITES: dict[str, bytes] = {
    "no_cache_points": b'"cachePoint"',
    "no_output_format": b'"textFormat"',
    "no_effort": b'"effort"',
    "no_system_messages": b'"role":"system"',
    "no_sampling": b'"temperature"',
}
"""Quirk -> the bytes that show a request to be one that such a provider would refuse."""

_FAMILY = "(opus|sonnet|haiku|fable|mythos)"
_CLAUDE = re.compile(
    rf"claude-{_FAMILY}-(\d+)(?:[-.](\d\d?)(?!\d))?"
    rf"|claude-(\d+)(?:[-.](\d\d?))?-{_FAMILY}"
    r"|claude-(mythos)-preview"
    r"|claude-(?:instant|v?[12]\b)"
)
_OTHERS = re.compile(
    r"(?:^|[./])(ai21|amazon|cohere|deepseek|google|meta|minimax|mistral|moonshot|nvidia|openai|qwen|"
    r"stability|writer|zai)\.(nova)?"
)

CLAUDES: tuple[tuple[int, int, frozenset[str], Quirks], ...] = (
    (0, 999, frozenset(), frozenset({"anthropic_fields", "signed_thinking"})),
    # Mid-conversation system messages came with Opus 4.8 and are in every later model.
    (0, 47, frozenset(), frozenset({"no_system_messages"})),
    # Opus 4.7 and all later models answer 400 to sampling fields and to thinking budgets.
    (47, 999, frozenset(), frozenset({"no_sampling", "no_thinking_budget"})),
    # Adaptive thinking came with the 4.6 models; effort too, but Opus 4.5 had it.
    (0, 45, frozenset(), frozenset({"no_adaptive_thinking"})),
    (0, 44, frozenset(), frozenset({"no_effort"})),
    (45, 45, frozenset({"sonnet", "haiku"}), frozenset({"no_effort"})),
    # Opus 4.1 and the 4.5 and 4.6 models take one of temperature and topP.
    (41, 46, frozenset(), frozenset({"one_sampler"})),
)
"""From and to a version (4.8 is 48), of these families (none: of all) -> the quirks a Claude has."""

OTHERS: dict[str, Quirks] = {
    "": frozenset({"no_cache_points", "no_effort", "no_system_messages"}),
    "nova": frozenset({"no_effort", "no_system_messages"}),
}
"""What the models of other makers have, and Amazon's Nova, which caches (user guide, Prompt caching)."""

UNKNOWN: Quirks = frozenset({"anthropic_fields"})
"""Of a request that names no model, as its body never does: nothing is left out that it may have been meant
for. A call has one, and an inference profile that does not tell its model has no quirk at all."""


def quirks_of(model: str, quirks: Quirks) -> Quirks:
    """The provider's quirks and the model's, as far as the model's name tells."""
    if not model:
        return quirks | UNKNOWN
    found = _CLAUDE.search(model) if "claude" in model else None
    if found is None:
        other = _OTHERS.search(model)
        return quirks | OTHERS[other[2] or ""] if other is not None else quirks
    family, major, minor, major_first, minor_first, family_last, preview = found.groups()
    version = int(major or major_first or 0) * 10 + min(int(minor or minor_first or 0), 9)
    if preview:
        version = 46  # it came with the 4.6 models
    for low, high, families, more in CLAUDES:
        if low <= version <= high and (not families or (family or family_last) in families):
            quirks = quirks | more
    return quirks


# --- formats -------------------------------------------------------------------------------------

IMAGES: dict[str, str] = {f: f"image/{f}" for f in ("png", "jpeg", "gif", "webp")}

DOCUMENTS: dict[str, str] = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}

SOUNDS = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm"}
    | {"webm"}
)

LIFETIMES: dict[str, int] = {"5m": 300, "1h": 3600}
