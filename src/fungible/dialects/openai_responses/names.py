"""What this wire calls things, and where its providers differ. Tables only.

Sources: the types of the official SDK (openai 3.54), the API reference (Responses) and the guides named at
each rule; for the fields of other providers, their own documentation and recorded answers.
"""

from ...ir import Effort, StopReason
from ..checked import Own

NAME = "openai.responses"
OWN = Own(NAME)
OURS, ours, is_ours = OWN.mark, OWN.extras, OWN.made

NAMES: dict[str, str] = {
    "output": "text.format",
    "id": "call_id",
    "cache": "prompt_cache_breakpoint",
    "ttl_seconds": "ttl",
    "display": "summary",
    "mode": "type",
    "signature": "encrypted_content",
    "parts": "output",
    "ToolChoice.name": "tool_choice.name",
    "ToolChoice.allowed": "tool_choice.tools",
    "Reply.id": "id",
    "created": "created_at",
    "Stop.reason": "incomplete_details.reason",
    "Stop.raw": "incomplete_details.reason",
    "cache_read_tokens": "input_tokens_details.cached_tokens",
    "cache_write_tokens": "input_tokens_details.cache_write_tokens",
    "reasoning_tokens": "output_tokens_details.reasoning_tokens",
    "Request.logprobs": "include",
    "Choice.logprobs": "output[0].content[0].logprobs",
    "why:previous_response_id": "conversation",
    "why:conversation": "conversation",
}

QUIRKS: dict[str, str] = {
    "no_cache_marks": "Takes no cache marks; they are left out.",
    "no_developer_role": "Has no role `developer`; it is written as `system`.",
    "checks_ids": "Knows its own thinking by its id; what fungible wrote for another's is left out.",
}

MADE = "fungible_"
MADE_MESSAGE = "msg_" + MADE
MADE_THOUGHT = "rs_" + MADE
MADE_SEALED = MADE_THOUGHT + "sealed_"
MADE_CALL = "fc_" + MADE
MADE_CUSTOM = "ctc_" + MADE
"""How the ids begin of items that another dialect's answer has none for. Read back, they are no ids."""

REWRITES: dict[str, bytes] = {
    "no_cache_marks": b'"prompt_cache_breakpoint"',
    "no_developer_role": b'"developer"',
    "checks_ids": b'"' + MADE_THOUGHT.encode(),
}
"""Quirk -> the bytes that show a request to be one that such a provider would refuse."""

INCOMPLETE: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""incomplete_details.reason -> what it says. Any other word is `other`, and rides in `Stop.raw`."""

NEAREST_INCOMPLETE: dict[StopReason, str] = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",  # both are answers cut short
    "content_filter": "content_filter",
    "refusal": "content_filter",  # without the model's own words nothing but this marks a withheld answer
    "pause": "max_output_tokens",  # the answer goes on; `completed` would call it whole
}
"""What an answer is that is not whole. Every other reason is told as `completed`."""

EFFORTS: frozenset[str] = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

EFFORT_OF_BUDGET: tuple[tuple[int, Effort], ...] = ((2_048, "low"), (8_192, "medium"))
"""A budget of up to so many tokens -> the nearest effort; a larger one is `high`, none at all `medium`."""

SHOWN = "auto"
"""The `reasoning.summary` that other dialects ask for when they ask to be shown a summary."""

OWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
SERVICE_TIERS: dict[str, str] = {
    "standard": "default",
    "standard_only": "default",
    "batch": "default",
    "on_demand": "default",
}
"""Tiers of other dialects -> the nearest here."""

BREAKPOINTS: dict[int, str] = {1_800: "30m", 43_200: "12h"}
"""Lifetimes of a `prompt_cache_breakpoint`, in seconds (ResponseInputTextParam)."""

UNNAMED_FILE = "unnamed"
UNNAMED_SCHEMA = "unnamed"
"""Names that the API requires and other dialects do not; read back as no name."""

LOGPROBS = "message.output_text.logprobs"
"""The word in `include` that asks for token probabilities."""
SEALS = "reasoning.encrypted_content"
"""The word there that asks for the seals of thoughts."""

CALLS = frozenset({"function_call", "custom_tool_call"})
RESULTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
