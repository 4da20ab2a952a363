"""Requests: the wire's body read into a `Request`, and a `Request` written as a body.

Sources: the API reference (Converse, CountTokens), botocore's service model, and the pages named at each
rule. Which model is asked, and whether it streams, is said by the address and not here. Fields that only
this wire has (guardrails, prompt variables, ...) ride in the request's extras; those inside an object we
read are named with a dot (`inferenceConfig.x`). Of a request to count tokens the conversation is read.
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
    Tool,
    ToolChoice,
    ToolResult,
)
from ..checked import BROKEN, an_object, may, need, parse, wrong
from .names import NAME, rest
from .parts import Block, keep_inputs, mark, read_content

CHOICES: dict[str, str] = {"auto": "auto", "any": "required", "tool": "named"}

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
MODES = frozenset({"enabled", "disabled", "adaptive"})

SCALARS: dict[str, tuple[str, tuple[type, ...], str]] = {
    "maxTokens": ("max_output_tokens", (int,), "a whole number"),
    "temperature": ("temperature", (int, float), "a number"),
    "topP": ("top_p", (int, float), "a number"),
}
"""A field of `inferenceConfig` -> the canonical one, its types, and what to say to send."""

_KNOWN = frozenset({"messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "serviceTier"}) | {
    "requestMetadata",
    "additionalModelRequestFields",
}


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    wire = conversation(parse(body))
    said = may(wire, "messages", list, "") or []
    if b'"toolUse"' in body:
        keep_inputs(body, [m.get("content") if type(m) is dict else None for m in said])
    messages: list[Message] = []
    system = wire.get("system")
    if system:
        messages.append(Message(role="system", parts=read_content(system, "system"), at="system"))
    for i, message in enumerate(said):
        _read_message(message, f"messages[{i}]", messages)
    asked: dict[str, Json] = {}
    own = rest(wire, _KNOWN)
    fields: dict[str, Json] = dict(own.fields) if own is not None else {}
    for name, read in _OBJECTS.items():
        if wire.get(name) is not None:
            read(wire, asked, fields)
    return Request(
        model="",
        messages=tuple(messages),
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
        **asked,
    )


def conversation(wire: Block) -> Block:
    """The request itself, or the one inside a request to count tokens."""
    counted = wire.get("input")
    if counted is None or "messages" in wire:
        return wire
    inner = may(an_object(counted, "input"), "converse", dict, "input")
    if inner is None:
        raise Fault(
            "bad_request",
            "input.converse is missing. Send the conversation there; bodies of InvokeModel are not counted.",
            path="input.converse",
        )
    return inner


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
            f"{at}.role is {role!r}. It is one of {', '.join(_ROLES)}; a tool's result is a `toolResult` "
            "block of a user message.",
            path=f"{at}.role",
        )
    if message.get("content") is None:
        raise wrong(f"{at}.content", "a list of content blocks", None)
    parts = read_content(message["content"], f"{at}.content")
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


def _own(node: Block, known: frozenset[str], at: str, fields: Block) -> None:
    """What of an object that we read is not ours to read."""
    others = rest(node, known)
    if others is not None:
        fields |= {f"{at}.{name}": value for name, value in others.fields.items()}


def _read_inference(wire: Block, asked: Block, fields: Block) -> None:
    at = "inferenceConfig"
    config = need(wire, at, dict, "")
    for name, (field, kinds, mend) in SCALARS.items():
        value = config.get(name)
        if value is not None:
            if type(value) not in kinds:
                raise wrong(f"{at}.{name}", mend, value)
            asked[field] = value
    stops = may(config, "stopSequences", list, at)
    for i, stop in enumerate(stops or ()):
        if type(stop) is not str:
            raise wrong(f"{at}.stopSequences[{i}]", "a string", stop)
    if stops:
        asked["stop"] = tuple(stops)
    _own(config, _INFERENCE, at, fields)


_INFERENCE = frozenset({*SCALARS, "stopSequences"})


# --- tools ---------------------------------------------------------------------------------------


def _read_tool_config(wire: Block, asked: Block, fields: Block) -> None:
    at = "toolConfig"
    config = need(wire, at, dict, "")
    tools: list[Tool | Native] = []
    for i, tool in enumerate(may(config, "tools", list, at) or ()):
        here = f"{at}.tools[{i}]"
        if type(tool) is dict and "cachePoint" in tool and mark(tools, tool, here):
            continue
        tools.append(_read_tool(tool, here))
    asked["tools"] = tuple(tools)
    choice = may(config, "toolChoice", dict, at)
    if choice is not None:
        _read_choice(choice, f"{at}.toolChoice", asked, fields)
    _own(config, _TOOL_CONFIG, at, fields)


_TOOL_CONFIG = frozenset({"tools", "toolChoice"})
_TOOL = frozenset({"name", "description", "inputSchema", "strict"})


def _read_tool(tool: Json, at: str) -> Tool | Native:
    an_object(tool, at)
    spec = may(tool, "toolSpec", dict, at)
    if spec is None or len(tool) != 1:
        return Native(dialect=NAME, body=tool, at=at)
    at = f"{at}.toolSpec"
    schema = need(spec, "inputSchema", dict, at)
    parameters = need(schema, "json", dict, f"{at}.inputSchema")
    if parameters.get("type", "object") != "object":
        path = f"{at}.inputSchema.json.type"
        raise Fault(
            "bad_request",
            f'{path} is {parameters["type"]!r}. A tool\'s input is an object: write "type": "object".',
            path=path,
        )
    return Tool(
        name=need(spec, "name", str, at),
        description=may(spec, "description", str, at),
        parameters=parameters,
        strict=may(spec, "strict", bool, at),
        at=at,
        extras=rest(spec, _TOOL),
    )


def _read_choice(choice: Block, at: str, asked: Block, fields: Block) -> None:
    kind = next(iter(choice), "")
    mode = CHOICES.get(kind)
    if mode is None or len(choice) != 1:
        raise Fault(
            "bad_request", f"{at} holds {kind!r}. It holds exactly one of {', '.join(CHOICES)}.", path=at
        )
    inner = an_object(choice[kind], f"{at}.{kind}")
    asked["tool_choice"] = ToolChoice(
        mode=mode,  # type: ignore[arg-type]
        name=need(inner, "name", str, f"{at}.{kind}") if mode == "named" else None,
        at=at,
        extras=rest(inner, _CHOICE),
    )


_CHOICE = frozenset({"name"})


# --- output, thinking, and the rest -----------------------------------------------------------------


def _read_output_config(wire: Block, asked: Block, fields: Block) -> None:
    at = "outputConfig"
    config = need(wire, at, dict, "")
    effort = may(config, "effort", str, at)
    if effort in EFFORTS:
        asked["reasoning"] = Reasoning(effort=effort, at=f"{at}.effort")  # type: ignore[arg-type]
    elif effort is not None:
        fields[f"{at}.effort"] = effort
    form = may(config, "textFormat", dict, at)
    if form is not None:
        _read_format(form, f"{at}.textFormat", asked, fields)
    _own(config, _OUTPUT_CONFIG, at, fields)


_OUTPUT_CONFIG = frozenset({"effort", "textFormat"})


def _read_format(form: Block, at: str, asked: Block, fields: Block) -> None:
    structure = may(form, "structure", dict, at)
    if may(form, "type", str, at) != "json_schema" or structure is None or not form.keys() <= _FORMAT:
        fields[at] = form
        return
    at = f"{at}.structure.jsonSchema"
    schema = need(structure, "jsonSchema", dict, at.removesuffix(".jsonSchema"))
    text = need(schema, "schema", str, at)
    try:
        held = msgspec.json.decode(text)
    except BROKEN as error:
        raise Fault(
            "bad_request",
            f"{at}.schema is no JSON: {error}. Send the schema as JSON in a string.",
            path=f"{at}.schema",
        ) from None
    asked["output"] = Output(
        mode="json_schema",
        schema=an_object(held, f"{at}.schema"),
        name=may(schema, "name", str, at),
        description=may(schema, "description", str, at),
        at=at,
        extras=rest(schema, _SCHEMA),
    )


_FORMAT = frozenset({"type", "structure"})
_SCHEMA = frozenset({"schema", "name", "description"})


def _read_additional(wire: Block, asked: Block, fields: Block) -> None:
    """What a model takes beside the wire's own fields. Anthropic's are read, whoever the model."""
    at = "additionalModelRequestFields"
    more = wire[at]
    if type(more) is not dict or not more:
        fields[at] = more
        return
    more = dict(more)
    top_k = more.get("top_k")
    if type(top_k) is int:
        asked["top_k"] = more.pop("top_k")
    for name in ("thinking", "reasoning_config"):  # the second is the service's older name for the first
        thinking = more.get(name)
        if type(thinking) is dict and thinking.get("type") in MODES and _is_budget(thinking):
            effort = asked.get("reasoning")
            asked["reasoning"] = Reasoning(
                mode=thinking["type"],
                effort=effort.effort if effort is not None else None,
                budget_tokens=thinking.get("budget_tokens"),
                display=may(thinking, "display", str, f"{at}.{name}"),
                at=f"{at}.{name}",
                extras=rest(thinking, _THINKING),
            )
            del more[name]
            break
    fields |= {f"{at}.{name}": value for name, value in more.items()}


_THINKING = frozenset({"type", "budget_tokens", "display"})


def _is_budget(thinking: Block) -> bool:
    budget = thinking.get("budget_tokens")
    return budget is None or type(budget) is int


def _read_tier(wire: Block, asked: Block, fields: Block) -> None:
    tier = need(wire, "serviceTier", dict, "")
    if tier.keys() == {"type"}:
        asked["service_tier"] = need(tier, "type", str, "serviceTier")
    else:
        fields["serviceTier"] = tier


def _read_metadata(wire: Block, asked: Block, fields: Block) -> None:
    metadata = need(wire, "requestMetadata", dict, "")
    for name in metadata:
        need(metadata, name, str, "requestMetadata")
    asked["metadata"] = metadata


_OBJECTS: dict[str, Callable[[Block, Block, Block], None]] = {
    "inferenceConfig": _read_inference,
    "toolConfig": _read_tool_config,
    "outputConfig": _read_output_config,
    "additionalModelRequestFields": _read_additional,
    "serviceTier": _read_tier,
    "requestMetadata": _read_metadata,
}
"""In this order: what `thinking` reads adds to the effort."""
