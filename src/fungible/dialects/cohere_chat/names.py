"""What this wire calls things. Tables only.

Sources: the types of the official SDK (cohere 7.3, v2), the API reference of Chat v2, and recorded answers.
"""

from ...ir import StopReason
from ..base import Unplaced
from ..checked import Own

NAME = "cohere.chat"
OWN = Own(NAME)
OURS, ours, is_ours = OWN.mark, OWN.extras, OWN.made

NAMES: dict[str, str] = {
    "max_output_tokens": "max_tokens",
    "top_k": "k",
    "top_p": "p",
    "Request.stop": "stop_sequences",
    "output": "response_format",
    "Output.schema": "response_format.json_schema",
    "Reasoning.mode": "thinking.type",
    "budget_tokens": "token_budget",
    "reasoning": "thinking",
    "Tool.strict": "strict_tools",
    "mode": "type",
    "detail": "image_url.detail",
    "arguments": "function.arguments",
    "call_id": "tool_call_id",
    "parts": "content",
    "Stop.reason": "finish_reason",
    "Stop.raw": "finish_reason",
    "Usage.input_tokens": "usage.billed_units.input_tokens",
    "Usage.output_tokens": "usage.billed_units.output_tokens",
    "Usage.cache_read_tokens": "usage.cached_tokens",
    "Usage.reasoning_tokens": "usage.tokens.reasoning_tokens",
}

QUIRKS: dict[str, str] = {
    "no_thinking": "Takes neither `thinking` nor earlier thinking back; both are left out.",
}

REWRITES: dict[str, bytes] = {"no_thinking": b'"thinking"'}
"""Quirk -> the bytes that show a request to be one that such a provider would refuse."""

SCALARS: dict[str, tuple[str, tuple[type, ...]]] = {
    "max_tokens": ("max_output_tokens", (int,)),
    "temperature": ("temperature", (float, int)),
    "seed": ("seed", (int,)),
    "frequency_penalty": ("frequency_penalty", (float, int)),
    "presence_penalty": ("presence_penalty", (float, int)),
    "k": ("top_k", (int,)),
    "p": ("top_p", (float, int)),
    "logprobs": ("logprobs", (bool,)),
    "stream": ("stream", (bool,)),
}
"""A wire's field -> the canonical one, and its types."""

NOT_HERE = Unplaced(
    {
        "parallel_tool_calls": "tool_choice",
        "n": "choices",
        "top_logprobs": "logprobs",
        "service_tier": "service_tier",
        "user": "metadata",
        "metadata": "metadata",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

CHOICES: dict[str, str] = {"REQUIRED": "required", "NONE": "none"}

FINISH: dict[str, StopReason] = {
    "COMPLETE": "end",
    "MAX_TOKENS": "length",
    "STOP_SEQUENCE": "stop_sequence",
    "TOOL_CALL": "tool",
}
"""finish_reason -> what it says. Any other word (ERROR, TIMEOUT) is `other`, and rides in `Stop.raw`."""

NEAREST_FINISH: dict[StopReason, str] = {
    "context": "MAX_TOKENS",  # both are answers cut short
    "refusal": "COMPLETE",
    "content_filter": "COMPLETE",
    "pause": "MAX_TOKENS",  # the answer goes on; `COMPLETE` would call it whole
    "other": "COMPLETE",
}
