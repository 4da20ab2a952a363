"""Requests: the wire's body read into a `Request`, and a `Request` written as a body.

Sources: API reference (Messages, Count tokens), the SDK's MessageCreateParams, and the pages named at each
rule. Fields that only this wire has (container, mcp_servers, context_management, speed, ...) ride in the
request's extras; those inside an object we read are named with a dot (`output_config.task_budget`).
"""

from collections.abc import Callable

import msgspec

from ...faults import Fault
from ...ir import (
    Extras,
    Json,
    Message,
    Native,
    Output,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from ...losses import Report
from ..base import Quirks, Unplaced
from ..checked import an_object, may, need, parse, wrong
from ..freetext import as_function
from .blocks import Block, Blocks
from .names import NAME, VERSIONS, quirks_of
from .parts import keep_inputs, read_cache, read_content
from .shape import others, rest
from .turns import SYSTEM_ROLES, Turns

MAX_TOKENS_DEFAULT = 4096
"""The wire needs a limit. This is the smallest maximum of any Claude 3 model, so every model takes it."""

CHOICES: dict[str, str] = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
_CHOICES = {mode: kind for kind, mode in CHOICES.items()}

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
NEAREST_EFFORT = {"minimal": "low"}

MODES: dict[str, str] = {
    "enabled": "enabled",
    "disabled": "disabled",
    "adaptive": "adaptive",
    "between_tools": "disabled",  # the least thinking of models that cannot stop it (Sonnet 5.5 guide)
}

TIERS = frozenset({"auto", "standard_only"})
NEAREST_TIER = {"default": "standard_only"}

NOT_HERE = Unplaced(
    {
        "frequency_penalty": "sampling",
        "presence_penalty": "sampling",
        "seed": "sampling",
        "n": "choices",
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "metadata": "metadata",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

SCALARS: dict[str, tuple[str, tuple[type, ...], str]] = {
    "max_tokens": ("max_output_tokens", (int,), "a whole number"),
    "temperature": ("temperature", (int, float), "a number"),
    "top_p": ("top_p", (int, float), "a number"),
    "top_k": ("top_k", (int,), "a whole number"),
    "service_tier": ("service_tier", (str,), "a string"),
    "stream": ("stream", (bool,), "true or false"),
}
"""A wire's field -> the canonical one, its types, and what to say to send."""

_KNOWN = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "output_config", "output_format", "thinking"}
    | {"max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "service_tier", "metadata"}
    | {"cache_control", "stream"}
)
_DOTTED = frozenset({"metadata", "output_config"})

encode = msgspec.json.encode


# --- read ----------------------------------------------------------------------------------------


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong. `max_tokens` may be absent: counting."""
    wire = parse(body)
    if "model" not in wire and wire.pop("anthropic_version", None) in VERSIONS.values():
        wire["model"] = ""  # it stands in the address
    model = need(wire, "model", str, "")
    said = need(wire, "messages", list, "")
    if b'"tool_use"' in body:
        keep_inputs(body, [m.get("content") if type(m) is dict else None for m in said])
    messages: list[Message] = []
    system = wire.get("system")
    if system is not None and system != []:
        messages.append(Message(role="system", parts=read_content(system, "system"), at="system"))
    for i, message in enumerate(said):
        _read_message(message, f"messages[{i}]", messages)
    asked: dict[str, Json] = {}
    for name, value in wire.items():
        row = SCALARS.get(name)
        if row is not None and value is not None:
            if type(value) not in row[1]:
                raise wrong(name, row[2], value)
            asked[row[0]] = value
    fields: dict[str, Json] = others(wire, _KNOWN) if not wire.keys() <= _KNOWN else {}
    for name, read in _OBJECTS.items():
        if wire.get(name) is not None:
            read(wire, asked, fields)
    if asked.get("stream"):
        asked["stream_usage"] = True  # every stream tells it
    return Request(
        model=model,
        messages=tuple(messages),
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
        **asked,
    )


_MESSAGE = frozenset({"role", "content"})
_ROLES = ("user", "assistant", "system")


def _read_message(message: Json, at: str, messages: list[Message]) -> None:
    """A user message with tool results is one message for each, and one for what else it holds."""
    if type(message) is not dict:
        raise wrong(at, "a message, an object with `role` and `content`", message)
    role = message.get("role")
    if role not in _ROLES:
        raise Fault(
            "bad_request",
            f"{at}.role is {role!r}. It is one of user, assistant, system; a tool's result is a "
            "`tool_result` block of a user message.",
            path=f"{at}.role",
        )
    content = message.get("content")
    if type(content) is str and len(message) == 2:
        messages.append(Message(role=role, parts=(Text(text=content, at=f"{at}.content"),), at=at))
        return
    if content is None:
        raise wrong(f"{at}.content", "a string or a list of content blocks", content)
    parts = read_content(content, f"{at}.content")
    extras = rest(message, _MESSAGE)
    results = [p for p in parts if type(p) is ToolResult] if role == "user" else []
    if not results:
        messages.append(Message(role=role, parts=parts, at=at, extras=extras))
        return
    said: tuple[Part, ...] = tuple([p for p in parts if type(p) is not ToolResult])
    messages += [Message(role="tool", parts=(p,), at=p.at) for p in results]
    if said:
        messages.append(Message(role="user", parts=said, at=at, extras=extras))
    elif extras is not None:
        messages[-1] = msgspec.structs.replace(messages[-1], at=at, extras=extras)


_TOOL = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


def _read_tools(wire: Block, asked: Block, fields: Block) -> None:
    asked["tools"] = tuple(_read_tool(t, f"tools[{i}]") for i, t in enumerate(need(wire, "tools", list, "")))


def _read_stops(wire: Block, asked: Block, fields: Block) -> None:
    stops = need(wire, "stop_sequences", list, "")
    for i, stop in enumerate(stops):
        if type(stop) is not str:
            raise wrong(f"stop_sequences[{i}]", "a string", stop)
    asked["stop"] = tuple(stops)


def _read_cache(wire: Block, asked: Block, fields: Block) -> None:
    asked["cache"] = read_cache(wire, "")


def _read_tool(tool: Json, at: str) -> Tool | Native:
    an_object(tool, at)
    if (may(tool, "type", str, at) or "custom") != "custom":
        return Native(dialect=NAME, body=tool, at=at)
    return Tool(
        name=need(tool, "name", str, at),
        description=may(tool, "description", str, at),
        parameters=_schema(need(tool, "input_schema", dict, at), f"{at}.input_schema"),
        strict=may(tool, "strict", bool, at),
        cache=read_cache(tool, at),
        at=at,
        extras=rest(tool, _TOOL),
    )


def _schema(schema: dict[str, Json], at: str) -> dict[str, Json]:
    if schema.get("type", "object") != "object":
        raise Fault(
            "bad_request",
            f'{at}.type is {schema["type"]!r}. A tool\'s input is an object: write "type": "object".',
            path=f"{at}.type",
        )
    may(schema, "properties", dict, at)
    may(schema, "required", list, at)
    return schema


def _read_choice(wire: Block, asked: Block, fields: Block) -> None:
    """`auto` beside `disable_parallel_tool_use` is how this wire says the latter alone."""
    at = "tool_choice"
    choice = need(wire, at, dict, "")
    kind = need(choice, "type", str, at)
    mode = CHOICES.get(kind)
    if mode is None:
        raise Fault(
            "bad_request", f"{at}.type is {kind!r}. It is one of {', '.join(CHOICES)}.", path=f"{at}.type"
        )
    alone = may(choice, "disable_parallel_tool_use", bool, at)
    if alone is not None:
        asked["parallel_tool_calls"] = not alone
    extras = rest(choice, _CHOICE)
    if mode == "auto" and alone is not None and extras is None:
        return
    name = need(choice, "name", str, at) if mode == "named" else None
    asked["tool_choice"] = ToolChoice(mode=mode, name=name, at=at, extras=extras)  # type: ignore[arg-type]


_CHOICE = frozenset({"type", "name", "disable_parallel_tool_use"})


def _read_config(wire: Block, asked: Block, fields: Block) -> None:
    """The format and the effort."""
    at = "output_config"
    config = need(wire, at, dict, "")
    if not config:
        fields[at] = {}
    effort = may(config, "effort", str, at)
    if effort in EFFORTS:
        asked["reasoning"] = Reasoning(effort=effort, at=f"{at}.effort")  # type: ignore[arg-type]
    elif effort is not None:
        fields[f"{at}.effort"] = effort
    fields |= {f"{at}.{k}": v for k, v in config.items() if k not in ("effort", "format")}
    form = may(config, "format", dict, at)
    if form is not None:
        _read_format(form, f"{at}.format", asked, fields)


def _read_older_format(wire: Block, asked: Block, fields: Block) -> None:
    """`output_format` is the format's place in the beta of structured outputs."""
    form = need(wire, "output_format", dict, "")
    if "output" in asked:
        fields["output_format"] = form
    else:
        _read_format(form, "output_format", asked, fields)


def _read_format(form: Block, at: str, asked: Block, fields: Block) -> None:
    if need(form, "type", str, at) != "json_schema":
        fields[at] = form
        return
    schema = need(form, "schema", dict, at)
    asked["output"] = Output(mode="json_schema", schema=schema, at=at, extras=rest(form, _FORMAT))


_FORMAT = frozenset({"type", "schema"})


def _read_thinking(wire: Block, asked: Block, fields: Block) -> None:
    at = "thinking"
    thinking = need(wire, at, dict, "")
    kind = may(thinking, "type", str, at)
    own = others(thinking, _THINKING)
    if kind is not None and kind != MODES.get(kind):
        own["type"] = kind
    effort = asked.get("reasoning")
    asked["reasoning"] = Reasoning(
        mode=MODES.get(kind or ""),  # type: ignore[arg-type]
        effort=effort.effort if effort is not None else None,
        budget_tokens=may(thinking, "budget_tokens", int, at),
        display=may(thinking, "display", str, at),
        at=at,
        extras=Extras(dialect=NAME, fields=own) if own else None,
    )


_THINKING = frozenset({"type", "budget_tokens", "display"})


def _read_metadata(wire: Block, asked: Block, fields: Block) -> None:
    metadata = need(wire, "metadata", dict, "")
    if not metadata:
        fields["metadata"] = {}
    fields |= {f"metadata.{k}": v for k, v in metadata.items() if k != "user_id"}
    asked["user"] = may(metadata, "user_id", str, "metadata")


_OBJECTS: dict[str, Callable[[Block, Block, Block], None]] = {
    "tools": _read_tools,
    "tool_choice": _read_choice,
    "stop_sequences": _read_stops,
    "output_config": _read_config,
    "output_format": _read_older_format,
    "thinking": _read_thinking,
    "metadata": _read_metadata,
    "cache_control": _read_cache,
}
"""In this order: what `thinking` reads adds to the effort, an older format yields to the newer."""


# --- write ---------------------------------------------------------------------------------------


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    if _asks_for_knobs(request):
        quirks = quirks_of(request.model, quirks)
    blocks = Blocks(report, quirks)
    wire: Block = {"model": request.model}
    if not quirks.isdisjoint(VERSIONS):
        wire = {"anthropic_version": next(VERSIONS[quirk] for quirk in quirks if quirk in VERSIONS)}
    if request.max_output_tokens is not None:
        wire["max_tokens"] = request.max_output_tokens
    else:
        report.lose(request, "max_output_tokens", "approximated", "token_limit")
        wire["max_tokens"] = MAX_TOKENS_DEFAULT + _budget(request)
    system, messages = Turns(blocks).write(request.messages)
    if system is not None:
        wire["system"] = system
    wire["messages"] = messages
    if request.tools:
        _write_tools(request, wire, blocks)
    if request.tool_choice is not None or request.parallel_tool_calls is not None:
        _write_choice(request, wire, report)
    if request.output is not None:
        _write_output(request.output, wire, report, quirks)
    if request.reasoning is not None:
        _write_reasoning(request.reasoning, wire, report, quirks)
    _write_sampling(request, wire, report, quirks)
    _write_rest(request, wire, blocks)
    if "bedrock_version" in quirks:
        wire.pop("stream", None)
    return encode(wire)


def _asks_for_knobs(request: Request) -> bool:
    """Whether there is anything in the request in which models differ."""
    return (
        request.temperature is not None
        or request.top_p is not None
        or request.top_k is not None
        or request.reasoning is not None
        or any(message.role in SYSTEM_ROLES for message in request.messages[1:])
    )


def _budget(request: Request) -> int:
    """A thinking budget counts within the limit, so a default one leaves room for it."""
    reasoning = request.reasoning
    return (reasoning.budget_tokens or 0) if reasoning is not None else 0


def _write_tools(request: Request, wire: Block, blocks: Blocks) -> None:
    report, choice = blocks.report, request.tool_choice
    allowed = set(choice.allowed or ()) if choice is not None else set()
    if not any(isinstance(t, Tool) and t.name in allowed for t in request.tools):
        allowed = set()
    tools: list[Json] = []
    for tool in request.tools:
        if isinstance(tool, Native):
            if tool.dialect == NAME:
                tools.append(tool.body)
            else:
                report.lose(tool, None, "dropped", "native_block")
        elif allowed and tool.name not in allowed:
            report.lose(tool, None, "dropped", "tool_choice")
        else:
            tools.append(_tool(tool, blocks))
    if tools:
        wire["tools"] = tools


def _tool(tool: Tool, blocks: Blocks) -> Block:
    if tool.custom:
        tool = as_function(tool, blocks.report)
    written: Block = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    schema = tool.parameters
    if type(schema) is not dict or not schema or ("type" not in schema and "properties" in schema):
        blocks.report.lose(tool, "parameters", "changed", "tool_schema")
        schema = {"type": "object", "properties": {}, **(schema if type(schema) is dict else {})}
    written["input_schema"] = schema
    if tool.strict is not None:
        written["strict"] = tool.strict
    if tool.cache is not None and (mark := blocks.cache(tool.cache, tool)) is not None:
        written["cache_control"] = mark
    written.update(blocks.report.extras(tool, NAME))
    return written


def _write_choice(request: Request, wire: Block, report: Report) -> None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None:
        wire["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": not parallel}
        return
    written: Block = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        written["name"] = choice.name or ""
    elif choice.name is not None:
        report.lose(choice, "name", "dropped", "tool_choice")
    mine = choice.extras is not None and choice.extras.dialect == NAME
    if parallel is not None:
        if choice.mode == "none":
            report.lose(request, "parallel_tool_calls", "dropped", "tool_choice")
        else:
            written["disable_parallel_tool_use"] = not parallel
    if choice.mode == "auto" and parallel is not None and not mine:
        # `auto` is written either way, and a reader takes it for no choice: nothing of it is lost alone.
        if choice.allowed is not None:
            report.lose(request, "tool_choice", "dropped", "tool_choice")
        else:
            report.extras(choice, NAME)
    else:
        if choice.allowed is not None:
            report.lose(choice, "allowed", "approximated", "tool_choice")
        written.update(report.extras(choice, NAME))
    wire["tool_choice"] = written


def _write_output(output: Output, wire: Block, report: Report, quirks: Quirks) -> None:
    """Only a JSON schema has a place, and it is always followed to the letter."""
    if output.mode != "json_schema" or type(output.schema) is not dict or "no_output_format" in quirks:
        report.lose(output, None, "dropped", "schema")
        return
    for field in ("name", "description", "strict"):
        if getattr(output, field) is not None:
            report.lose(output, field, "dropped", "schema")
    form = {"type": "json_schema", "schema": output.schema, **report.extras(output, NAME)}
    wire["output_config"] = {"format": form}


def _write_reasoning(reasoning: Reasoning, wire: Block, report: Report, quirks: Quirks) -> None:
    """The mode with its budget in `thinking`, the effort in `output_config`.

    A model without effort gets none, rather than a budget: thinking with a budget refuses a history whose
    tool calls have no thinking before them, which other dialects do not send back.
    """
    thinking: Block = {}
    mode: str | None = reasoning.mode
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
    if reasoning.effort is not None:
        _write_effort(reasoning, thinking, wire, report, quirks)
    thinking.update(report.extras(reasoning, NAME))
    if thinking:
        wire["thinking"] = thinking


def _write_effort(reasoning: Reasoning, thinking: Block, wire: Block, report: Report, quirks: Quirks) -> None:
    effort: str = NEAREST_EFFORT.get(reasoning.effort or "", reasoning.effort or "")
    if effort == "none" and not thinking:
        thinking["type"] = "disabled"
        report.lose(reasoning, None, "changed", "reasoning")
    elif effort not in EFFORTS or "no_effort" in quirks:
        report.lose(reasoning, "effort", "dropped", "reasoning")
    else:
        if effort != reasoning.effort:
            report.lose(reasoning, "effort", "approximated", "reasoning")
        wire.setdefault("output_config", {})["effort"] = effort


def _write_sampling(request: Request, wire: Block, report: Report, quirks: Quirks) -> None:
    """Temperature runs from 0 to 1 here (API reference)."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if "no_sampling" in quirks:
        for field in ("temperature", "top_p", "top_k"):
            if getattr(request, field) is not None:
                report.lose(request, field, "dropped", "sampling")
        return
    if temperature is not None:
        if temperature > 1:
            report.lose(request, "temperature", "approximated", "sampling")
            temperature = 1.0
        wire["temperature"] = temperature
    if top_p is not None:
        if temperature is not None and "one_sampler" in quirks:
            report.lose(request, "top_p", "dropped", "sampling")
        else:
            wire["top_p"] = top_p
    if top_k is not None:
        wire["top_k"] = top_k


def _write_rest(request: Request, wire: Block, blocks: Blocks) -> None:
    report = blocks.report
    if request.stop:
        stops = [stop for stop in request.stop if stop.strip()]
        if stops:
            wire["stop_sequences"] = stops
        if len(stops) != len(request.stop):  # the API refuses one without a visible character
            report.lose(request, "stop", "approximated" if stops else "dropped", "stop_sequences")
    tier = request.service_tier
    if tier is not None:
        nearest = NEAREST_TIER.get(tier, tier)
        if nearest in TIERS:
            wire["service_tier"] = nearest
        if nearest != tier:
            report.lose(request, "service_tier", "approximated", "service_tier")
        elif nearest not in TIERS:
            report.lose(request, "service_tier", "dropped", "service_tier")
    if request.user is not None:
        wire["metadata"] = {"user_id": request.user}
    if request.cache is not None and (mark := blocks.cache(request.cache, request)) is not None:
        wire["cache_control"] = mark
    if request.stream:
        wire["stream"] = True
    NOT_HERE.tell(request, report)
    for name, value in report.extras(request, NAME).items() if request.extras is not None else ():
        outer, dot, inner = name.partition(".")
        if dot and outer in _DOTTED:
            wire.setdefault(outer, {})[inner] = value
        else:
            wire.setdefault(name, value)
