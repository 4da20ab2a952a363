"""A request read. What is written of one is in `asking`.

Fields that only this wire has (`documents`, `safety_mode`, `citation_options`, `priority`) ride in the
request's extras.
"""

from typing import Any

import msgspec

from ...ir import Extras, Json, Native, Output, Reasoning, Request, Tool, ToolChoice
from ..checked import KINDS, Wire, a_list, an_object, check_schema, may, need, others, parse, strings, wrong
from .names import CHOICES, NAME, OURS, SCALARS, ours
from .parts import message

_KNOWN = frozenset({"model", "messages", "tools", "strict_tools", "tool_choice", "response_format"}) | {
    "thinking",
    "stop_sequences",
    *SCALARS,
}
_TOOL = frozenset({"type", "function"})
_FUNCTION = frozenset({"name", "description", "parameters"})


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    wire = parse(body)
    said = a_list(wire.get("messages"), "messages")
    asked: dict[str, Any] = {"model": need(wire, "model", str, "")}
    asked["messages"] = tuple([message(m, f"messages[{i}]") for i, m in enumerate(said)])
    unknown = others(wire, _KNOWN)
    for name, (field, kinds) in SCALARS.items():
        value = wire.get(name)
        if value is not None:
            if type(value) not in kinds:
                raise wrong(name, KINDS[kinds[0]], value)
            asked[field] = value
    if asked.get("stream"):
        asked["stream_usage"] = True  # every stream tells it
    if wire.get("stop_sequences") is not None:
        asked["stop"] = tuple(strings(wire["stop_sequences"], "stop_sequences"))
    _tools(wire, asked, unknown)
    if wire.get("response_format") is not None:
        asked["output"] = _output(wire["response_format"], unknown)
    if wire.get("thinking") is not None:
        asked["reasoning"] = _reasoning(an_object(wire["thinking"], "thinking"))
    return Request(extras=ours(unknown), **asked)


def _tools(wire: Wire, asked: dict[str, Any], unknown: Wire) -> None:
    """`strict_tools` is said of all of them together."""
    given = wire.get("tools")
    tools: list[Tool | Native] = []
    for i, tool in enumerate(a_list(given, "tools") if given is not None else ()):
        tools.append(_tool(tool, f"tools[{i}]", unknown))
    strict = may(wire, "strict_tools", bool, "")
    if strict is not None:
        if tools and all(type(tool) is Tool for tool in tools):
            tools = [msgspec.structs.replace(tool, strict=strict) for tool in tools]
        else:
            unknown["strict_tools"] = strict
    asked["tools"] = tuple(tools)
    choice = may(wire, "tool_choice", str, "")
    if choice is not None:
        mode = CHOICES.get(choice.upper())
        if mode is None:
            unknown["tool_choice"] = choice
        else:
            extras = None if choice in CHOICES else Extras(dialect=NAME, fields={"type": choice})
            asked["tool_choice"] = ToolChoice(mode=mode, extras=extras, at="tool_choice")  # type: ignore[arg-type]


def _tool(value: Json, at: str, unknown: Wire) -> Tool | Native:
    """A function. A tool of another type rides whole; a field beside the function is the request's."""
    node = an_object(value, at)
    if node.get("type", "function") != "function":
        return Native(dialect=NAME, body=node, at=at)
    inner = f"{at}.function"
    function = an_object(node.get("function"), inner)
    parameters = may(function, "parameters", dict, inner)
    if parameters is not None:
        check_schema(parameters, f"{inner}.parameters")
    unknown |= others(node, _TOOL, f"{at}.")
    return Tool(
        name=need(function, "name", str, inner),
        description=may(function, "description", str, inner),
        parameters=parameters,
        extras=ours(others(function, _FUNCTION)),
        at=inner,
    )


def _output(value: Json, unknown: Wire) -> Output | None:
    at = "response_format"
    node = an_object(value, at)
    kind = need(node, "type", str, at)
    if kind not in ("text", "json_object"):
        unknown[at] = node
        return None
    schema = may(node, "json_schema", dict, at)
    extras = ours(others(node, {"type", "json_schema"}))
    if schema is not None and kind == "json_object":
        return Output(mode="json_schema", schema=schema, extras=extras, at=at)
    return Output(mode=kind, schema=schema, extras=extras, at=at)  # type: ignore[arg-type]


def _reasoning(node: Wire) -> Reasoning:
    kind = may(node, "type", str, "thinking")
    fields = others(node, {"type", "token_budget"})
    if kind not in ("enabled", "disabled"):
        fields["type"] = kind
        kind = None
    return Reasoning(
        mode=kind,  # type: ignore[arg-type]
        budget_tokens=may(node, "token_budget", int, "thinking"),
        extras=ours({k: v for k, v in fields.items() if v is not None}) or OURS,
        at="thinking",
    )
