"""A `Request` written as the wire's body. What the body has no place for is told to the report.

Sources: as in `request`, and the user guide (Prompt caching, Thinking, Structured output).
"""

import re

import msgspec

from ...ir import Json, Native, Output, Reasoning, Request, Tool
from ...losses import Report
from ..base import Quirks, Unplaced
from ..freetext import as_function
from .blocks import Blocks
from .names import NAME, quirks_of
from .parts import Block
from .request import CHOICES, EFFORTS
from .turns import Turns

NEAREST_EFFORT = {"minimal": "low"}
_CHOICES = {mode: kind for kind, mode in CHOICES.items()}

TIERS = frozenset({"priority", "default", "flex", "reserved"})
NEAREST_TIER = {"standard_only": "default", "standard": "default", "scale": "reserved"}

NOT_HERE = Unplaced(
    {
        "frequency_penalty": "sampling",
        "presence_penalty": "sampling",
        "seed": "sampling",
        "n": "choices",
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "user": "metadata",
        "parallel_tool_calls": "tool_choice",
        "cache": "cache_mark",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

METADATA_ITEMS_MAX = 16
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")

encode = msgspec.json.encode


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    quirks = quirks_of(request.model, quirks)
    blocks = Blocks(report, quirks)
    wire: Block = {}
    system, messages = Turns(blocks).write(request.messages)
    if system:
        wire["system"] = system
    wire["messages"] = messages
    _write_inference(request, wire, report, quirks)
    _write_tools(request, wire, blocks)
    if request.output is not None:
        _write_output(request.output, wire, report, quirks)
    if request.reasoning is not None:
        _write_reasoning(request.reasoning, wire, report, quirks)
    _write_rest(request, wire, report)
    return encode(wire)


def _write_inference(request: Request, wire: Block, report: Report, quirks: Quirks) -> None:
    """Temperature runs from 0 to 1 here (service model, InferenceConfiguration)."""
    config: Block = {}
    if request.max_output_tokens is not None:
        config["maxTokens"] = request.max_output_tokens
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if "no_sampling" in quirks:
        for field in ("temperature", "top_p", "top_k"):
            if getattr(request, field) is not None:
                report.lose(request, field, "dropped", "sampling")
        temperature = top_p = top_k = None
    if temperature is not None:
        if temperature > 1:
            report.lose(request, "temperature", "approximated", "sampling")
        config["temperature"] = min(temperature, 1.0)
    if top_p is not None:
        if "one_sampler" in quirks and temperature is not None:
            report.lose(request, "top_p", "dropped", "sampling")
        else:
            config["topP"] = top_p
    if top_k is not None:
        if "anthropic_fields" in quirks:
            wire["additionalModelRequestFields"] = {"top_k": top_k}
        else:
            report.lose(request, "top_k", "dropped", "sampling")
    if request.stop:
        stops = [stop for stop in request.stop if stop.strip()]
        if stops:
            config["stopSequences"] = stops
        if len(stops) != len(request.stop):  # one without a visible character is refused
            report.lose(request, "stop", "approximated" if stops else "dropped", "stop_sequences")
    if config:
        wire["inferenceConfig"] = config


# --- tools ---------------------------------------------------------------------------------------


def _write_tools(request: Request, wire: Block, blocks: Blocks) -> None:
    """The service refuses calls and results in a conversation without tools: then their names stand in."""
    report, choice, called = blocks.report, request.tool_choice, blocks.called
    if not (request.tools or called or choice):
        return
    none = choice is not None and choice.mode == "none"
    allowed = set(choice.allowed or ()) if choice is not None else set()
    if not any(isinstance(t, Tool) and t.name in allowed for t in request.tools):
        allowed = set()
    tools: list[Json] = []
    for tool in request.tools:
        if isinstance(tool, Native):
            if tool.dialect != NAME:
                report.lose(tool, None, "dropped", "native_block")
            elif none and not called:
                report.lose(tool, None, "dropped", "tool_choice")
            else:
                tools.append(tool.body)
        elif (none and not called) or (allowed and tool.name not in allowed):
            report.lose(tool, None, "dropped", "tool_choice")
        else:
            tools.append({"toolSpec": _tool(tool, report)})
            tools += blocks.point(tool)
    if not tools and called:
        report.lose(request, "tools", "changed", "tool_schema")
        tools = [_stand_in(name) for name in called]
    config: Block = {"tools": tools} if tools else {}
    if choice is not None:
        _write_choice(request, config, report)
    if config:
        wire["toolConfig"] = config


STANDS_IN = "A tool of an earlier turn. It cannot be called any more."


def _stand_in(name: str) -> Block:
    schema = {"json": {"type": "object", "properties": {}}}
    return {"toolSpec": {"name": name, "description": STANDS_IN, "inputSchema": schema}}


def _tool(tool: Tool, report: Report) -> Block:
    if tool.custom:
        tool = as_function(tool, report)
    written: Block = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    elif tool.description is not None:  # an empty one is refused
        report.lose(tool, "description", "dropped", "empty_text")
    schema = tool.parameters
    if type(schema) is not dict or not schema or ("type" not in schema and "properties" in schema):
        report.lose(tool, "parameters", "changed", "tool_schema")
        schema = {"type": "object", "properties": {}, **(schema if type(schema) is dict else {})}
    written["inputSchema"] = {"json": schema}
    if tool.strict is not None:
        written["strict"] = tool.strict
    written.update(report.extras(tool, NAME))
    return written


def _write_choice(request: Request, config: Block, report: Report) -> None:
    choice = request.tool_choice
    assert choice is not None
    if choice.mode == "none" or not config:
        report.lose(request, "tool_choice", "dropped", "tool_choice")
        return
    inner: Block = dict(report.extras(choice, NAME))
    if choice.mode == "named":
        inner["name"] = choice.name or ""
    elif choice.name is not None:
        report.lose(choice, "name", "dropped", "tool_choice")
    if choice.allowed is not None:
        report.lose(choice, "allowed", "approximated", "tool_choice")
    config["toolChoice"] = {_CHOICES[choice.mode]: inner}


# --- output, thinking, and the rest -----------------------------------------------------------------


def _write_output(output: Output, wire: Block, report: Report, quirks: Quirks) -> None:
    """Only a JSON schema has a place, and it is always followed to the letter."""
    if output.mode != "json_schema" or type(output.schema) is not dict or "no_output_format" in quirks:
        report.lose(output, None, "dropped", "schema")
        return
    if output.strict is not None:
        report.lose(output, "strict", "dropped", "schema")
    schema: Block = {"schema": encode(output.schema).decode()}
    for field in ("name", "description"):
        value = getattr(output, field)
        if value is not None:
            schema[field] = value
    schema.update(report.extras(output, NAME))
    form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    wire["outputConfig"] = {"textFormat": form}


def _write_reasoning(reasoning: Reasoning, wire: Block, report: Report, quirks: Quirks) -> None:
    """The effort has a field of its own; the rest is Anthropic's, for models that take it."""
    thinking: Block = {}
    mode: str | None = reasoning.mode
    if "anthropic_fields" not in quirks:
        for field in ("mode", "budget_tokens", "display"):
            if getattr(reasoning, field) is not None:
                report.lose(reasoning, field, "dropped", "reasoning")
    else:
        if mode is None and reasoning.budget_tokens is not None:
            mode = "enabled"
            report.lose(reasoning, "mode", "changed", "reasoning")
        if mode == "enabled" and (reasoning.budget_tokens is None or "no_thinking_budget" in quirks):
            mode = "adaptive"
            report.lose(reasoning, "mode", "approximated", "reasoning")
        if mode == "adaptive" and "no_adaptive_thinking" in quirks:
            mode = None
            report.lose(reasoning, "mode", "dropped", "reasoning")
        if mode is not None:
            thinking["type"] = mode
        _write_thinking(reasoning, mode, thinking, report)
    if reasoning.effort is not None:
        _write_effort(reasoning, thinking, wire, report, quirks)
    if thinking:
        thinking.update(report.extras(reasoning, NAME))
        wire.setdefault("additionalModelRequestFields", {})["thinking"] = thinking
    elif reasoning.extras is not None:
        for name in report.extras(reasoning, NAME):
            report.lose(reasoning, name, "dropped", "reasoning")


def _write_thinking(reasoning: Reasoning, mode: str | None, thinking: Block, report: Report) -> None:
    if reasoning.budget_tokens is not None:
        if mode == "enabled":
            thinking["budget_tokens"] = reasoning.budget_tokens
        else:
            report.lose(reasoning, "budget_tokens", "dropped", "reasoning")
    if reasoning.display is not None:
        if mode in ("enabled", "adaptive"):
            thinking["display"] = reasoning.display
        else:
            report.lose(reasoning, "display", "dropped", "reasoning")


def _write_effort(reasoning: Reasoning, thinking: Block, wire: Block, report: Report, quirks: Quirks) -> None:
    effort: str = NEAREST_EFFORT.get(reasoning.effort or "", reasoning.effort or "")
    if effort == "none" and not thinking and "anthropic_fields" in quirks:
        thinking["type"] = "disabled"
        report.lose(reasoning, None, "changed", "reasoning")
    elif effort not in EFFORTS or "no_effort" in quirks:
        report.lose(reasoning, "effort", "dropped", "reasoning")
    else:
        if effort != reasoning.effort:
            report.lose(reasoning, "effort", "approximated", "reasoning")
        wire.setdefault("outputConfig", {})["effort"] = effort


def _write_rest(request: Request, wire: Block, report: Report) -> None:
    tier = request.service_tier
    if tier is not None:
        nearest = NEAREST_TIER.get(tier, tier)
        if nearest in TIERS:
            wire["serviceTier"] = {"type": nearest}
        if nearest != tier:
            report.lose(request, "service_tier", "approximated", "service_tier")
        elif nearest not in TIERS:
            report.lose(request, "service_tier", "dropped", "service_tier")
    if request.metadata is not None:
        _write_metadata(request, request.metadata, wire, report)
    NOT_HERE.tell(request, report)
    for name, value in report.extras(request, NAME).items():
        outer, dot, inner = name.partition(".")
        if dot and type(wire.get(outer, {})) is dict:
            wire.setdefault(outer, {}).setdefault(inner, value)
        else:
            wire.setdefault(name, value)


def _write_metadata(request: Request, metadata: dict[str, str], wire: Block, report: Report) -> None:
    """The service takes few and short ones (service model, RequestMetadata)."""
    taken = {k: v for k, v in metadata.items() if k and _METADATA.fullmatch(k) and _METADATA.fullmatch(v)}
    taken = dict(list(taken.items())[:METADATA_ITEMS_MAX])
    if taken:
        wire["requestMetadata"] = taken
    if len(taken) != len(metadata) or not taken:
        report.lose(request, "metadata", "approximated" if taken else "dropped", "metadata")
