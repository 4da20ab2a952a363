"""What this wire calls things. Tables only.

Sources: the OpenAPI description and the types of the server (ollama/ollama, `docs/openapi.yaml` and
`api/types.go`), the types of the official SDK (ollama 0.6), and recorded answers.
"""

from ...ir import StopReason
from ..base import Unplaced
from ..checked import Own

NAME = "ollama.chat"
OWN = Own(NAME)
OURS, ours, is_ours = OWN.mark, OWN.extras, OWN.made

NAMES: dict[str, str] = {
    "max_output_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "frequency_penalty": "options.frequency_penalty",
    "presence_penalty": "options.presence_penalty",
    "seed": "options.seed",
    "Request.stop": "options.stop",
    "output": "format",
    "Output.schema": "format",
    "reasoning": "think",
    "Reasoning.mode": "think",
    "Reasoning.effort": "think",
    "arguments": "function.arguments",
    "ToolCall.name": "function.name",
    "call_id": "tool_call_id",
    "parts": "content",
    "created": "created_at",
    "Stop.reason": "done_reason",
    "Stop.raw": "done_reason",
    "input_tokens": "prompt_eval_count",
    "output_tokens": "eval_count",
    "Choice.logprobs": "logprobs",
}

QUIRKS: dict[str, str] = {
    "no_think_levels": "Is told whether to think, not how much; an effort is written as true.",
}

REWRITES: dict[str, bytes] = {"no_think_levels": b'"think"'}
"""Quirk -> the bytes that show a request to be one that such a provider may refuse."""

OPTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    "num_predict": ("max_output_tokens", (int,)),
    "temperature": ("temperature", (float, int)),
    "top_p": ("top_p", (float, int)),
    "top_k": ("top_k", (int,)),
    "frequency_penalty": ("frequency_penalty", (float, int)),
    "presence_penalty": ("presence_penalty", (float, int)),
    "seed": ("seed", (int,)),
}
"""A field of `options` -> the canonical one, and its types. All others ride along (num_ctx, min_p, ...)."""

NOT_HERE = Unplaced(
    {
        "parallel_tool_calls": "tool_choice",
        "n": "choices",
        "service_tier": "service_tier",
        "user": "metadata",
        "metadata": "metadata",
        "cache": "cache_mark",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

LEVELS = frozenset({"low", "medium", "high", "max"})
NEAREST_LEVEL: dict[str, str] = {"minimal": "low", "xhigh": "high"}

FINISH: dict[str, StopReason] = {"stop": "end", "length": "length"}
"""done_reason -> what it says. Any other word (load, unload) is `other`, and rides in `Stop.raw`."""

NEAREST_FINISH: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "context": "length",  # both are answers cut short
    "stop_sequence": "stop",
    "tool": "stop",  # the calls beside it say the rest
    "refusal": "stop",
    "content_filter": "stop",
    "pause": "length",  # the answer goes on; `stop` would call it whole
    "other": "stop",
}

DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
"""Nanoseconds; counts of the server's work, so they ride with the usage."""
