"""A request read. What is written of one is in `asking`.

Retired fields (`functions`, `function_call`) and those that only this dialect has ride in the extras of the
request. An absent model is read as none: Azure has it in the path, and `peek` refuses it for the rest.
"""

from typing import Any

from ...ir import (
    Effort,
    Extras,
    Json,
    Message,
    Native,
    Output,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
)
from ..checked import KINDS, Wire, a_list, an_object, check_schema, may, need, others, parse, wrong
from ..freetext import Names, names_of, read_grammar
from .messages import Calls, message, plain_message
from .names import EFFORTS, NAME, OURS, OWN_TIERS, UNNAMED_SCHEMA, ours
from .parts import cache

_SCALARS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "parallel_tool_calls": (bool,),
    "temperature": (float, int),
    "top_p": (float, int),
    "top_k": (int,),
    "frequency_penalty": (float, int),
    "presence_penalty": (float, int),
    "seed": (int,),
    "n": (int,),
    "logprobs": (bool,),
    "top_logprobs": (int,),
    "service_tier": (str,),
    "user": (str,),
    "stream": (bool,),
    "max_tokens": (int,),
    "max_completion_tokens": (int,),
}
"""Fields of one value, and their types. All but the two limits are called the same in the canonical form."""

_READ = frozenset({
    "tools", "tool_choice", "response_format", "reasoning_effort", "reasoning", "thinking",
    "stop", "metadata", "stream_options",
})  # fmt: skip
_TOOL = frozenset({"type", "function", "cache_control"})
_FUNCTION = frozenset({"name", "description", "parameters", "strict"})
_CUSTOM_TOOL = frozenset({"type", "custom", "cache_control"})
_CUSTOM = frozenset({"name", "description", "format"})
_SCHEMA = frozenset({"name", "description", "schema", "strict"})
_PLAIN_CHOICES = {"auto": "auto", "none": "none", "required": "required"}


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    fields: dict[str, Any] = {"model": ""}
    unknown: Wire = {}
    structured = False
    for name, value in node.items():
        if value is None or name == "messages":
            continue
        kinds = _SCALARS.get(name)
        if kinds is not None:
            if type(value) not in kinds:
                raise wrong(name, KINDS[kinds[0]], value)
            fields[name] = value
        elif name in _READ:
            structured = True
        else:
            unknown[name] = value
    if "max_tokens" in fields or "max_completion_tokens" in fields:
        limit, older = fields.pop("max_completion_tokens", None), fields.pop("max_tokens", None)
        fields["max_output_tokens"] = older if limit is None else limit
        if limit is not None and older is not None:
            unknown["max_tokens"] = older
    if "random_seed" in unknown and "seed" not in fields:
        fields["seed"] = _seed(unknown)
    if structured:
        _structured(node, fields, unknown)
    fields["messages"] = _messages(node.get("messages"))
    if unknown:
        fields["extras"] = Extras(dialect=NAME, fields=unknown)
    elif "top_k" in fields or ("service_tier" in fields and fields["service_tier"] not in OWN_TIERS):
        fields["extras"] = OURS
    return Request(**fields)


def _seed(unknown: Wire) -> int:
    """Mistral's name of it. A provider's row says which of the two it is told."""
    seed = unknown.pop("random_seed")
    if type(seed) is not int:
        raise wrong("random_seed", KINDS[int], seed)
    return seed


def _structured(node: Wire, fields: dict[str, Any], unknown: Wire) -> None:
    """The fields that are more than one value."""
    options = node.get("stream_options")
    if options is not None:
        options = an_object(options, "stream_options")
        fields["stream_usage"] = may(options, "include_usage", bool, "stream_options")
        unknown |= others(options, frozenset({"include_usage"}), "stream_options.")
    fields["tools"] = _tools(node.get("tools"), unknown)
    fields["tool_choice"] = _tool_choice(node.get("tool_choice"), names_of(fields["tools"]))
    fields["output"] = _output(node.get("response_format"), unknown)
    fields["reasoning"] = _reasoning(node, unknown)
    fields["stop"] = _stop(node.get("stop"))
    fields["metadata"] = _metadata(node.get("metadata"))


def _messages(value: Json) -> tuple[Message, ...]:
    calls, read = Calls(), []
    for i, said in enumerate(a_list(value, "messages")):
        at = f"messages[{i}]"
        read.append(plain_message(said, at) or message(said, at, calls))
    return tuple(read)


def _stop(value: Json) -> tuple[str, ...]:
    if value is None:
        return ()
    if type(value) is str:
        return (value,)
    for i, text in enumerate(a_list(value, "stop")):
        if type(text) is not str:
            raise wrong(f"stop[{i}]", "a string", text)
    return tuple(value)


def _metadata(value: Json) -> dict[str, str] | None:
    if value is None:
        return None
    for name, text in an_object(value, "metadata").items():
        if type(text) is not str:
            raise wrong(f"metadata.{name}", "a string", text)
    return dict(value)


# --- tools ---------------------------------------------------------------------------------------


def _tools(value: Json, unknown: Wire) -> tuple[Tool | Native, ...]:
    if value is None:
        return ()
    return tuple(_tool(tool, f"tools[{i}]", unknown) for i, tool in enumerate(a_list(value, "tools")))


def _tool(value: Json, at: str, unknown: Wire) -> Tool | Native:
    """A function, or a tool of free text. A tool of another type (server tools) rides whole."""
    node = an_object(value, at)
    kind = node.get("type", "function")
    if kind == "custom":
        return _custom(node, at, unknown)
    if kind != "function":
        return Native(dialect=NAME, body=node, at=at)
    inner = f"{at}.function"
    function = an_object(node.get("function"), inner)
    parameters = function.get("parameters")
    if parameters is not None:
        check_schema(parameters, f"{inner}.parameters")
    # The node is the function; a field beside it is the request's, by its whole path.
    unknown |= others(node, _TOOL, f"{at}.")
    return Tool(
        name=need(function, "name", str, inner),
        description=may(function, "description", str, inner),
        parameters=parameters,
        strict=may(function, "strict", bool, inner),
        cache=cache({"cache_control": node.get("cache_control")}, at),
        extras=ours(others(function, _FUNCTION)),
        at=inner,
    )


def _custom(node: Wire, at: str, unknown: Wire) -> Tool:
    inner = f"{at}.custom"
    custom = an_object(node.get("custom"), inner)
    fields = others(custom, _CUSTOM)
    unknown |= others(node, _CUSTOM_TOOL, f"{at}.")
    return Tool(
        name=need(custom, "name", str, inner),
        description=may(custom, "description", str, inner),
        custom=True,
        grammar=read_grammar(custom.get("format"), f"{inner}.format", fields, ours, "grammar"),
        cache=cache({"cache_control": node.get("cache_control")}, at),
        extras=ours(fields),
        at=inner,
    )


def _tool_choice(value: Json, customs: Names) -> ToolChoice | None:
    """`customs`: the tools of free text. A choice names one by its kind, which is kept where it is wrong."""
    if value is None:
        return None
    at = "tool_choice"
    if type(value) is str:
        if value == "any":  # Mistral's word
            return ToolChoice(mode="required", extras=OURS, at=at)
        mode: Any = _PLAIN_CHOICES.get(value)
        if mode is None:
            raise wrong(at, f"{', '.join(_PLAIN_CHOICES)} or a tool's name in an object", value)
        return ToolChoice(mode=mode, at=at)
    node = an_object(value, at)
    kind = node.get("type", "function")
    if kind == "allowed_tools":
        return _allowed(node, at, customs)
    if kind not in ("function", "custom", "tool"):
        raise wrong(f"{at}.type", "function, custom or allowed_tools", kind)
    inner = "custom" if kind == "custom" else "function"
    if node.get(inner) is None and type(node.get("name")) is str:
        # The spelling of other APIs, which some providers take as well.
        return ToolChoice(mode="named", name=node["name"], extras=Extras(dialect=NAME, fields=node), at=at)
    named = an_object(node.get(inner), f"{at}.{inner}")
    fields = others(node, frozenset({"type", inner})) | others(named, frozenset({"name"}), f"{inner}.")
    name = need(named, "name", str, f"{at}.{inner}")
    if kind != kind_of(name, customs):
        fields["type"] = kind
    extras = ours(fields) or (None if "type" in node else OURS)
    return ToolChoice(mode="named", name=name, extras=extras, at=at)


def kind_of(name: str, customs: Names) -> str:
    return "custom" if name in customs else "function"


def _allowed(node: Wire, at: str, customs: Names) -> ToolChoice:
    inner = f"{at}.allowed_tools"
    allowed = an_object(node.get("allowed_tools"), inner)
    mode: Any = need(allowed, "mode", str, inner)
    if mode not in ("auto", "required"):
        raise wrong(f"{inner}.mode", "auto or required", mode)
    tools = a_list(allowed.get("tools"), f"{inner}.tools")
    names = []
    for i, tool in enumerate(tools):
        where = f"{inner}.tools[{i}]"
        held = an_object(tool, where)
        of = "custom" if held.get("type") == "custom" else "function"
        names.append(need(an_object(held.get(of), f"{where}.{of}"), "name", str, f"{where}.{of}"))
    fields = others(node, frozenset({"type", "allowed_tools"}))
    if tools != allowed_tools(tuple(names), customs):
        fields["allowed_tools"] = allowed
    return ToolChoice(mode=mode, allowed=tuple(names), extras=ours(fields), at=at)


def allowed_tools(names: tuple[str, ...], customs: Names) -> list[Wire]:
    return [{"type": (kind := kind_of(name, customs)), kind: {"name": name}} for name in names]


# --- output and reasoning ------------------------------------------------------------------------


def _output(value: Json, unknown: Wire) -> Output | None:
    if value is None:
        return None
    at = "response_format"
    node = an_object(value, at)
    kind = need(node, "type", str, at)
    if kind in ("text", "json_object"):
        mode: Any = kind
        return Output(mode=mode, extras=ours(others(node, frozenset({"type"}))), at=at)
    if kind != "json_schema":
        unknown[at] = node
        return None
    inner = f"{at}.json_schema"
    schema = an_object(node.get("json_schema"), inner)
    if schema.get("schema") is not None:
        an_object(schema["schema"], f"{inner}.schema")
    name = may(schema, "name", str, inner)
    unknown |= others(node, frozenset({"type", "json_schema"}), f"{at}.")
    return Output(
        mode="json_schema",
        name=None if name == UNNAMED_SCHEMA else name,
        description=may(schema, "description", str, inner),
        schema=schema.get("schema"),
        strict=may(schema, "strict", bool, inner),
        extras=ours(others(schema, _SCHEMA)) or (OURS if name is None else None),
        at=inner,
    )


def _reasoning(node: Wire, unknown: Wire) -> Reasoning | None:
    """`reasoning_effort`, `thinking` (z.ai, DeepSeek) or `reasoning` (OpenRouter).

    The two objects are marked as ours. Whatever of the three a second one would overwrite rides along.
    """
    effort = _effort(node, "reasoning_effort", unknown)
    thinking, asked = node.get("thinking"), node.get("reasoning")
    if thinking is not None:
        mode: Any = an_object(thinking, "thinking").get("type")
        if mode in ("enabled", "disabled", "adaptive"):
            if asked is not None:
                unknown["reasoning"] = asked
            budget = may(thinking, "budget_tokens", int, "thinking")
            extras = ours(others(thinking, frozenset({"type", "budget_tokens"}))) or OURS
            return Reasoning(mode=mode, effort=effort, budget_tokens=budget, extras=extras, at="thinking")
        unknown["thinking"] = thinking
    if asked is not None:
        fields: Wire = {}
        inner = _effort(an_object(asked, "reasoning"), "effort", fields)
        if effort is not None:
            unknown["reasoning_effort"] = effort
        fields |= others(asked, frozenset({"effort", "max_tokens"}))
        budget = may(asked, "max_tokens", int, "reasoning")
        return Reasoning(effort=inner, budget_tokens=budget, extras=ours(fields) or OURS, at="reasoning")
    return None if effort is None else Reasoning(effort=effort, at="reasoning_effort")


def _effort(node: Wire, name: str, unknown: Wire) -> Effort | None:
    value: Any = may(node, name, str, "")
    if value is None or value in EFFORTS:
        return value  # type: ignore[no-any-return]
    unknown[name] = value
    return None
