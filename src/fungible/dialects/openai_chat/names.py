"""What this wire calls things, and where its providers differ. Tables only.

Sources: the types of the official SDK (openai 3.54) and the API reference; for the fields of other
providers, their own documentation and recorded answers.
"""

from ...ir import Effort, StopReason
from ..base import SEAL, Quirks
from ..checked import Own

NAME = "openai.chat"
OWN = Own(NAME)
OURS, ours, is_ours = OWN.mark, OWN.extras, OWN.made

NAMES: dict[str, str] = {
    "max_output_tokens": "max_completion_tokens",
    "output": "response_format",
    "reasoning": "reasoning_effort",
    "Reasoning.effort": "reasoning_effort",
    "mode": "type",
    "ToolChoice.name": "tool_choice.function.name",
    "ToolChoice.allowed": "tool_choice.allowed_tools.tools",
    "stream_usage": "stream_options.include_usage",
    "cache": "prompt_cache_breakpoint",
    "ttl_seconds": "ttl",
    "detail": "image_url.detail",
    "format": "input_audio.format",
    "arguments": "function.arguments",
    "call_id": "tool_call_id",
    "parts": "content",
    "redacted": "data",
    "reason": "finish_reason",
    "raw": "finish_reason",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cache_read_tokens": "prompt_tokens_details.cached_tokens",
    "cache_write_tokens": "prompt_tokens_details.cache_write_tokens",
    "input_audio_tokens": "prompt_tokens_details.audio_tokens",
    "reasoning_tokens": "completion_tokens_details.reasoning_tokens",
    "output_audio_tokens": "completion_tokens_details.audio_tokens",
}

QUIRKS: dict[str, str] = {
    "random_seed": "Knows `random_seed` and not `seed`.",
    "max_tokens": "Knows `max_tokens` and not `max_completion_tokens`.",
    "no_stream_options": "Takes no `stream_options`; tells the usage by itself, or not at all.",
    "no_developer_role": "Has no role `developer`; it is written as `system`.",
    "no_json_schema": "Takes no `json_schema` as `response_format`, only `json_object`.",
    "no_parallel_tool_calls": "Takes no `parallel_tool_calls`; it is left out.",
    "no_custom_tools": "Takes no tools of type `custom`; a function with one field of text stands for each.",
    "no_strict": "Takes no `strict` on tools; it is left out.",
    "no_cache_marks": "Takes no cache marks; they are left out.",
    "cache_control": "Takes cache marks as `cache_control`, on tools too, for 5 minutes or an hour.",
    "reasoning_content": "Takes earlier thinking back as a message's `reasoning_content`.",
    "reasoning": "Takes earlier thinking back as a message's `reasoning`.",
    "reasoning_details": "Takes earlier thinking back as `reasoning_details`, signatures and all.",
    "thinking_parts": "Takes earlier thinking back as content parts of type `thinking`.",
    "thinking_object": 'Is told how much to think by `thinking`: {"type", "budget_tokens"}, and the effort.',
    "reasoning_object": 'Is told how much to think by `reasoning`: {"effort", "max_tokens"}.',
    "tool_result_media": "Takes images and files inside tool results.",
    "file_url": "Takes a web address as a file's `file_data`.",
    "top_k": "Takes `top_k`.",
    "model_in_address": "Has the model in the address; the body's `model` is empty.",
}

REWRITES: dict[str, bytes] = {
    "random_seed": b'"seed"',
    "max_tokens": b'"max_completion_tokens"',
    "no_stream_options": b'"stream_options"',
    "no_developer_role": b'"developer"',
    "no_json_schema": b'"json_schema"',
    "no_parallel_tool_calls": b'"parallel_tool_calls"',
    "no_custom_tools": b'"custom"',
    "no_strict": b'"strict"',
    "no_cache_marks": b'"prompt_cache_breakpoint"',
    "cache_control": b'"prompt_cache_breakpoint"',
    "thinking_object": b'"reasoning_effort"',
    "reasoning_object": b'"reasoning_effort"',
    "model_in_address": b'"model"',
    "reasoning_details": SEAL.encode(),
}
"""Quirk -> the bytes that show a request to be one that such a provider would refuse or not understand."""

FINISH: dict[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool",
    "content_filter": "content_filter",
    "model_length": "context",  # Mistral's: the model's window was full
}
"""finish_reason -> what it says. Any other word is `other`, and rides in `Stop.raw`."""

NEAREST_FINISH: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "context": "length",  # both are answers cut short
    "stop_sequence": "stop",  # which is how this wire tells a stop sequence that was hit
    "tool": "tool_calls",
    "refusal": "content_filter",  # without the model's own words nothing but this marks a withheld answer
    "content_filter": "content_filter",
    "pause": "length",  # the answer goes on; `stop` would call it whole
    "other": "stop",
}

SERVICE_TIERS: dict[str, str] = {
    "standard": "default",
    "standard_only": "default",
    "batch": "default",
    "provisioned": "default",
}
"""Tiers of other dialects -> the nearest here."""

OWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

EFFORTS: frozenset[str] = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

EFFORT_OF_BUDGET: tuple[tuple[int, Effort], ...] = ((2_048, "low"), (8_192, "medium"))
"""A budget of up to so many tokens -> the nearest effort; a larger one is `high`, none at all `medium`.

Models think about a thousand, some thousand and tens of thousands of tokens at the three efforts that every
reasoning model of this dialect has.
"""

BREAKPOINTS: dict[int, str] = {1_800: "30m", 43_200: "12h"}
"""Lifetimes of a `prompt_cache_breakpoint`, in seconds (ChatCompletionContentPartTextParam)."""

CACHE_CONTROLS: dict[int, str] = {300: "5m", 3_600: "1h"}
"""Lifetimes of a `cache_control` (OpenRouter, prompt caching)."""

PADDING = frozenset({"obfuscation", "p"})
"""Random text that evens out the sizes of stream events (OpenAI, Mistral). It says nothing."""

UNNAMED_FILE = "unnamed"
UNNAMED_SCHEMA = "unnamed"
"""Names that the API requires and other dialects do not; read back as no name."""

THINKING_QUIRKS: Quirks = frozenset({"reasoning_content", "reasoning", "reasoning_details", "thinking_parts"})
