"""A request read. What is written of one is in `asking`.

The assistant's turn is a run of items here (reasoning, messages, calls) and one message in the canonical
form. `instructions` are the first message; a system text that is an item of the input is marked as ours, so
that it stays one. Fields that only this dialect has (store, include, truncation, conversation, ...) ride in
the request's extras. `previous_response_id` and `conversation` are among them, under a loss of their own:
without the past they name, a call to another provider is another call.
"""

from typing import Any

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
    Role,
    Text,
    Tool,
    ToolChoice,
)
from ..checked import KINDS, Wire, a_list, an_object, check_schema, may, need, others, parse, wrong
from ..freetext import Names, names_of, read_grammar
from .items import Said, assistant, call, reasoning, result
from .names import CALLS, EFFORTS, LOGPROBS, NAME, OURS, OWN_TIERS, SEALS, SHOWN, UNNAMED_SCHEMA, ours
from .parts import content

_SCALARS: dict[str, tuple[type, ...]] = {
    "parallel_tool_calls": (bool,),
    "max_output_tokens": (int,),
    "temperature": (float, int),
    "top_p": (float, int),
    "top_logprobs": (int,),
    "service_tier": (str,),
    "user": (str,),
    "stream": (bool,),
}
"""Fields that are called the same in the canonical form, and their types."""

_READ = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "metadata", "include"}
)
_MESSAGE = frozenset({"type", "role", "content"})
_FUNCTION = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM = frozenset({"type", "name", "description", "format"})
_SCHEMA = frozenset({"type", "name", "description", "schema", "strict"})
_REASONING = frozenset({"effort", "summary"})
ROLES: dict[str, Role] = {
    "user": "user",
    "system": "system",
    "developer": "developer",
    "assistant": "assistant",
}


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    fields: dict[str, Any] = {"model": need(node, "model", str, "")}
    unknown: Wire = {}
    for name, value in node.items():
        if value is None:
            continue
        kinds = _SCALARS.get(name)
        if kinds is not None:
            if type(value) not in kinds:
                raise wrong(name, KINDS[kinds[0]], value)
            fields[name] = value
        elif name not in _READ:
            unknown[name] = value
    fields["messages"] = _messages(node)
    if node.get("tools") is not None:
        fields["tools"] = tuple(
            [_tool(t, f"tools[{i}]") for i, t in enumerate(a_list(node["tools"], "tools"))]
        )
    fields["tool_choice"] = _tool_choice(node.get("tool_choice"), names_of(fields.get("tools", ())), unknown)
    fields["output"] = _text(node.get("text"), unknown)
    fields["reasoning"] = _reasoning(node.get("reasoning"), unknown)
    fields["metadata"] = _metadata(node.get("metadata"))
    _include(node.get("include"), fields, unknown)
    if fields.get("stream"):
        fields["stream_usage"] = True  # every stream tells it
    if unknown:
        fields["extras"] = Extras(dialect=NAME, fields=unknown)
    elif fields.get("service_tier", "auto") not in OWN_TIERS:
        fields["extras"] = OURS
    return Request(**fields)


# --- the conversation ----------------------------------------------------------------------------


def _messages(node: Wire) -> tuple[Message, ...]:
    messages: list[Message] = []
    instructions = may(node, "instructions", str, "")
    if instructions is not None:
        said: tuple[Part, ...] = (Text(text=instructions, at="instructions"),)
        messages.append(Message(role="system", parts=said, at="instructions"))
    value = node.get("input")
    if type(value) is str:
        messages.append(Message(role="user", parts=(Text(text=value, at="input"),), at="input"))
    elif value is not None:
        if type(value) is not list:
            raise wrong("input", "a string or a list of items", value)
        _Conversation(messages).read(value)
    return tuple(messages)


class _Conversation:
    """Puts items together to messages."""

    __slots__ = ("_at", "_custom", "_messages", "_turn")

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._turn: list[Part] = []  # of the assistant, under way
        self._at = ""
        self._custom: dict[str, bool] = {}  # call id -> whether its tool is a custom one

    def read(self, items: list[Json]) -> None:
        for i, value in enumerate(items):
            self._item(an_object(value, f"input[{i}]"), f"input[{i}]")
        self._close()

    def _item(self, node: Wire, at: str) -> None:
        kind = node.get("type")
        if kind is None:  # the API takes both without their type
            kind = "message" if "role" in node else "item_reference" if "id" in node else None
        if type(kind) is not str:
            raise wrong(f"{at}.type", "the item's type, such as message or function_call", kind)
        if kind == "message":
            self._message(node, at)
        elif kind in CALLS:
            called = call(node, at)
            self._custom[called.id] = called.custom
            self._said([called], at)
        elif kind == "reasoning":
            self._said(reasoning(node, at, self._turn[-1] if self._turn else None), at)
        elif kind in ("function_call_output", "custom_tool_call_output") and node.get("call_id") is not None:
            self._close()
            part = result(node, at, self._custom.get(str(node["call_id"])))
            self._messages.append(Message(role="tool", parts=(part,), at=at))
        else:
            self._said([Native(dialect=NAME, body=node, at=at)], at)

    def _message(self, node: Wire, at: str) -> None:
        said = node.get("role")
        role = ROLES.get(said) if type(said) is str else None
        if role is None:
            raise Fault(
                "bad_request",
                f"{at}.role is {said!r:.40}. Send one of: {', '.join(ROLES)}; a tool's result is an item of "
                "type function_call_output.",
                path=f"{at}.role",
            )
        if role == "assistant":
            held: Said = assistant(node, at)
            self._said(_with_odds(held), at)
            return
        self._close()
        if node.get("content") is None:
            raise wrong(f"{at}.content", "a string or a list of parts", None)
        fields = others(node, _MESSAGE)
        if fields.get("status") == "completed":
            del fields["status"]
        extras = ours(fields) or (OURS if role == "system" and not self._messages else None)
        parts = content(node["content"], f"{at}.content")
        self._messages.append(Message(role=role, parts=parts, extras=extras, at=at))

    def _said(self, parts: list[Part], at: str) -> None:
        if not self._turn:
            self._at = at
        self._turn += parts

    def _close(self) -> None:
        if self._turn:
            self._messages.append(Message(role="assistant", parts=tuple(self._turn), at=self._at))
            self._turn = []


def _with_odds(said: Said) -> list[Part]:
    """In a request token probabilities are only sent back: they ride on their text."""
    for i, odds in said.odds:
        text = said.parts[i]
        if type(text) is Text and i == 0:
            fields = text.extras.fields if text.extras else {}
            extras = Extras(dialect=NAME, fields={**fields, "content[0].logprobs": odds})
            said.parts[i] = msgspec.structs.replace(text, extras=extras)
    return said.parts


# --- tools ---------------------------------------------------------------------------------------


def _tool(value: Json, at: str) -> Tool | Native:
    """A function, or a tool of free text. A tool of another type (built-in tools) rides whole.

    Where `strict` is not said, the API is as strict as the schema allows (guide, Function calling); other
    dialects are not, so that is marked as ours, and their silence is written as `false`.
    """
    node = an_object(value, at)
    if node.get("type") != "function":
        if type(node.get("type")) is not str:
            raise wrong(f"{at}.type", "the tool's type, such as function", node.get("type"))
        if node["type"] == "custom":
            return _custom(node, at)
        return Native(dialect=NAME, body=node, at=at)
    parameters = node.get("parameters")
    if parameters is not None:
        check_schema(parameters, f"{at}.parameters")
    strict = may(node, "strict", bool, at)
    fields = others(node, _FUNCTION)
    if fields and strict is False:
        fields["strict"] = strict
    return Tool(
        name=need(node, "name", str, at),
        description=may(node, "description", str, at),
        parameters=parameters,
        strict=strict or None,
        extras=ours(fields) or (OURS if strict is None else None),
        at=at,
    )


def _custom(node: Wire, at: str) -> Tool:
    fields = others(node, _CUSTOM)
    return Tool(
        name=need(node, "name", str, at),
        description=may(node, "description", str, at),
        custom=True,
        grammar=read_grammar(node.get("format"), f"{at}.format", fields, ours),
        extras=ours(fields),
        at=at,
    )


def _tool_choice(value: Json, customs: Names, unknown: Wire) -> ToolChoice | None:
    """`customs`: the tools of free text. A choice names one by its kind, which is kept where it is wrong."""
    if value is None:
        return None
    at = "tool_choice"
    if type(value) is str:
        if value not in ("auto", "none", "required"):
            raise wrong(at, "auto, none, required or a tool in an object", value)
        return ToolChoice(mode=value, at=at)  # type: ignore[arg-type]
    node = an_object(value, at)
    kind = node.get("type")
    if kind == "allowed_tools":
        return _allowed(node, at, customs)
    if kind not in ("function", "custom") or type(node.get("name")) is not str:
        unknown[at] = node  # a built-in tool
        return None
    fields = others(node, frozenset({"type", "name"}))
    if kind != kind_of(node["name"], customs):
        fields["type"] = kind
    return ToolChoice(mode="named", name=node["name"], extras=ours(fields), at=at)


def kind_of(name: str, customs: Names) -> str:
    return "custom" if name in customs else "function"


def _allowed(node: Wire, at: str, customs: Names) -> ToolChoice:
    mode: Any = need(node, "mode", str, at)
    if mode not in ("auto", "required"):
        raise wrong(f"{at}.mode", "auto or required", mode)
    tools = a_list(node.get("tools"), f"{at}.tools")
    names = [t["name"] for t in tools if type(t) is dict and type(t.get("name")) is str]
    fields = others(node, frozenset({"type", "mode", "tools"}))
    if tools != allowed_tools(tuple(names), customs):
        fields["tools"] = tools
    return ToolChoice(mode=mode, allowed=tuple(names), extras=ours(fields), at=at)


def allowed_tools(names: tuple[str, ...], customs: Names) -> list[Wire]:
    return [{"type": kind_of(name, customs), "name": name} for name in names]


# --- output, reasoning and the rest --------------------------------------------------------------


def _text(value: Json, unknown: Wire) -> Output | None:
    """`text`: the format, and fields of its own such as the verbosity."""
    if value is None:
        return None
    text = an_object(value, "text")
    if not text:
        unknown["text"] = {}
    unknown |= others(text, frozenset({"format"}), "text.")
    at = "text.format"
    if text.get("format") is None:
        return None
    node = an_object(text["format"], at)
    kind = need(node, "type", str, at)
    if kind in ("text", "json_object"):
        return Output(mode=kind, extras=ours(others(node, frozenset({"type"}))), at=at)  # type: ignore[arg-type]
    if kind != "json_schema":
        unknown[at] = node
        return None
    if node.get("schema") is not None:
        an_object(node["schema"], f"{at}.schema")
    name = may(node, "name", str, at)
    return Output(
        mode="json_schema",
        name=None if name == UNNAMED_SCHEMA else name,
        description=may(node, "description", str, at),
        schema=node.get("schema"),
        strict=may(node, "strict", bool, at),
        extras=ours(others(node, _SCHEMA)) or (OURS if name is None else None),
        at=at,
    )


def _reasoning(value: Json, unknown: Wire) -> Reasoning | None:
    """A summary of another length than `auto` has no word elsewhere."""
    if value is None:
        return None
    at = "reasoning"
    node = an_object(value, at)
    fields = others(node, _REASONING)
    effort: Any = may(node, "effort", str, at)
    if effort is not None and effort not in EFFORTS:
        fields["effort"] = effort
        effort = None
    shown = may(node, "summary", str, at)
    if shown not in (None, SHOWN):
        fields["summary"] = shown
    if not node:
        unknown[at] = {}
        return None
    return Reasoning(
        effort=effort, display="summarized" if shown == SHOWN else None, extras=ours(fields) or OURS, at=at
    )


def _metadata(value: Json) -> dict[str, str] | None:
    if value is None:
        return None
    for name, text in an_object(value, "metadata").items():
        if type(text) is not str:
            raise wrong(f"metadata.{name}", "a string", text)
    return dict(value)


def _include(value: Json, fields: dict[str, Any], unknown: Wire) -> None:
    """Token probabilities are asked for here; the word is written last, and read where it stands last.

    So are the seals of thoughts, first.
    """
    if value is None:
        return
    words = a_list(value, "include")
    if words and words[0] == SEALS and words.count(SEALS) == 1:
        fields["sealed"] = True
        words = words[1:]
        if not words:
            return
    if words and words[-1] == LOGPROBS and words.count(LOGPROBS) == 1:
        fields["logprobs"] = True
        words = words[:-1]
        if not words:
            return
    unknown["include"] = words
