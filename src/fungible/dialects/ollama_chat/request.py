"""A request read. What is written of one is in `asking`.

Fields that only this wire has (`keep_alive`, `truncate`, ...) ride in the request's extras; those inside
`options` are named with a dot (`options.num_ctx`).
"""

from typing import Any

from ...faults import Fault
from ...ir import Extras, Json, Native, Output, Reasoning, Request, Tool
from ..checked import KINDS, Wire, a_list, an_object, check_schema, may, need, others, parse, strings, wrong
from .names import LEVELS, NAME, OPTIONS, ours
from .parts import Conversation, keep_arguments

_KNOWN = frozenset(
    {"model", "messages", "tools", "format", "options", "think", "stream", "logprobs", "top_logprobs"}
)
_TOOL = frozenset({"type", "function"})
_FUNCTION = frozenset({"name", "description", "parameters"})


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    wire = parse(body)
    if b'"arguments"' in body:
        keep_arguments(body, wire)
    said, talk = a_list(wire.get("messages"), "messages"), Conversation()
    asked: dict[str, Any] = {"model": need(wire, "model", str, "")}
    asked["messages"] = tuple([talk.message(m, f"messages[{i}]") for i, m in enumerate(said)])
    unknown = knobs(wire, asked)
    unknown |= others(wire, _KNOWN)
    return Request(extras=ours(unknown), **asked)


def knobs(wire: Wire, asked: dict[str, Any]) -> Wire:
    """Everything but what is said, into `asked`. What has no canonical field is returned."""
    unknown: Wire = {}
    asked["stream"] = may(wire, "stream", bool, "") is not False
    if asked["stream"]:
        asked["stream_usage"] = True  # every stream tells it
    for name, kind in (("logprobs", bool), ("top_logprobs", int)):
        value = may(wire, name, kind, "")
        if value is not None:
            asked[name] = value
    tools = wire.get("tools")
    if tools:
        asked["tools"] = tuple(
            [_tool(t, f"tools[{i}]", unknown) for i, t in enumerate(a_list(tools, "tools"))]
        )
    if wire.get("options") is not None:
        _options(an_object(wire["options"], "options"), asked, unknown)
    if wire.get("format") not in (None, ""):
        asked["output"] = _output(wire["format"])
    if wire.get("think") is not None:
        asked["reasoning"] = _reasoning(wire["think"], unknown)
    return unknown


def _options(options: Wire, asked: dict[str, Any], unknown: Wire) -> None:
    """A limit below 1 is none: -1 goes on for ever, -2 fills the context."""
    for name, value in options.items():
        row = OPTIONS.get(name)
        if value is None:
            continue
        if name == "stop":
            asked["stop"] = (value,) if type(value) is str else tuple(strings(value, "options.stop"))
        elif row is None or (name == "num_predict" and type(value) is int and value < 1):
            unknown[f"options.{name}"] = value
        elif type(value) not in row[1]:
            raise wrong(f"options.{name}", KINDS[row[1][0]], value)
        else:
            asked[row[0]] = value


def _output(value: Json) -> Output:
    if value == "json":
        return Output(mode="json_object", at="format")
    if type(value) is not dict:
        raise Fault(
            "bad_request",
            f'format is {value!r:.40}. Send "json", or a JSON Schema as an object.',
            path="format",
        )
    return Output(mode="json_schema", schema=value, at="format")


def _reasoning(value: Json, unknown: Wire) -> Reasoning | None:
    if type(value) is bool:
        return Reasoning(mode="enabled" if value else "disabled", at="think")
    if type(value) is not str:
        raise wrong("think", "true, false or a level such as high", value)
    if value in LEVELS:
        return Reasoning(effort=value, at="think")  # type: ignore[arg-type]
    unknown["think"] = value
    return None


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
    fields = others(function, _FUNCTION)
    return Tool(
        name=need(function, "name", str, inner),
        description=may(function, "description", str, inner),
        parameters=parameters,
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
        at=inner,
    )
