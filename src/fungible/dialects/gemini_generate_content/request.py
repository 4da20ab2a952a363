"""Requests: the wire's body read into a `Request`, and a `Request` written as a body.

Sources: API reference (models.generateContent, models.countTokens), the discovery document, the SDK's
types. The model and whether to stream stand in the address, so they are in neither. Fields that only this
wire has (safetySettings, cachedContent, labels, ...) ride in the request's extras; those inside an object
we read are named with a dot (`toolConfig.retrievalConfig`).
"""

from collections.abc import Callable

import msgspec

from ...faults import Fault
from ...ir import Extras, Json, Message, Native, Request, Tool, ToolChoice
from ...losses import Report
from .. import checked
from ..base import Quirks, Unplaced
from ..checked import may, need
from ..freetext import as_function
from .blocks import Block, Blocks
from .config import AT as CONFIG
from .config import read_config, write_config
from .contents import Turns, read_contents, read_system
from .names import NAME, ours, quirks_of, rest
from .schema import json_schema
from .shape import as_sent, inner, object_at, several, spelled

MODES: dict[str, str] = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}

TIERS = frozenset({"standard", "flex", "priority"})
NEAREST_TIER = {"default": "standard", "standard_only": "standard", "on_demand": "standard"}

NOT_HERE = Unplaced(
    {
        "user": "metadata",
        "metadata": "metadata",
        "parallel_tool_calls": "tool_choice",
        "cache": "cache_mark",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

_DOTTED = frozenset({CONFIG, "toolConfig"})
_CHOICE = "functionCallingConfig"

encode = msgspec.json.encode


# --- read ----------------------------------------------------------------------------------------


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong.

    To count tokens a whole request may be sent in `generateContentRequest` instead of `contents`.
    """
    sent = checked.parse(body)
    wire = spelled(sent)
    if "generateContentRequest" in wire:
        wire = object_at(wire["generateContentRequest"], "generateContentRequest")
    messages: list[Message] = []
    asked: dict[str, Json] = {}
    fields: dict[str, Json] = {}
    if "systemInstruction" in wire:
        read_system(wire["systemInstruction"], as_sent(sent, "systemInstruction"), messages)
    read_contents(wire.get("contents"), "contents", messages)
    if not wire.keys() <= _KNOWN:
        fields |= {name: value for name, value in wire.items() if name not in _KNOWN}
    for name, read in _OBJECTS.items():
        if name in wire:
            read(wire, asked, fields, as_sent(sent, name))
    tier = may(wire, "serviceTier", str, "")
    if tier is not None:
        asked["service_tier"] = tier.lower()
    return Request(model="", messages=tuple(messages), extras=ours(fields), **asked)


def _read_tools(wire: Block, asked: Block, fields: Block, at: str) -> None:
    found: list[Tool | Native] = []
    for i, one in enumerate(several(wire, "tools", "")):
        where = f"{at}[{i}]" if type(wire["tools"]) is list else at
        for name, value in object_at(one, where).items():
            here = f"{where}.{as_sent(one, name)}"
            if name != "functionDeclarations":
                found.append(Native(dialect=NAME, body={name: value}, at=here))
                continue
            declared = value if type(value) is list else [value]
            found += [_read_tool(tool, f"{here}[{n}]") for n, tool in enumerate(declared)]
    asked["tools"] = tuple(found)


_TOOL = frozenset({"name", "description", "parameters", "parametersJsonSchema"})


def _read_tool(sent: Json, at: str) -> Tool:
    tool = object_at(sent, at)
    schema = may(tool, "parametersJsonSchema", dict, at)
    older = may(tool, "parameters", dict, at)
    known = _TOOL
    if schema is not None and older is not None:
        known = _TOOL - {"parameters"}
    return Tool(
        name=need(tool, "name", str, at),
        description=may(tool, "description", str, at),
        parameters=json_schema(older) if schema is None else schema,
        at=at,
        extras=rest(tool, known),
    )


def _read_choice(wire: Block, asked: Block, fields: Block, at: str) -> None:
    config = object_at(wire["toolConfig"], at)
    fields |= {f"toolConfig.{name}": value for name, value in config.items() if name != _CHOICE}
    choice = inner(config, _CHOICE, at)
    if choice is None:
        return
    at = f"{at}.{as_sent(wire['toolConfig'], _CHOICE)}"
    word = may(choice, "mode", str, at)
    mode = MODES.get(word.upper()) if word is not None else None
    if word is not None and mode is None and word.upper() != "MODE_UNSPECIFIED":
        known = ", ".join(MODES)
        raise Fault("bad_request", f"{at}.mode is {word!r}. It is one of {known}.", path=f"{at}.mode")
    if mode is None:
        fields[f"toolConfig.{_CHOICE}"] = choice
        return
    names = several(choice, "allowedFunctionNames", at)
    for i, name in enumerate(names):
        if type(name) is not str:
            raise Fault("bad_request", f"{at}.allowedFunctionNames[{i}] is no string. Send a name.", path=at)
    own = {name: value for name, value in choice.items() if name not in ("mode", "allowedFunctionNames")}
    validated = word is not None and word.upper() == "VALIDATED"
    if (validated and not names) or (mode in ("auto", "none") and names and not validated):
        own["mode"] = word
    allowed: tuple[str, ...] | None = tuple(names) or None
    named = mode == "required" and len(names) == 1
    asked["tool_choice"] = ToolChoice(
        mode="named" if named else mode,  # type: ignore[arg-type]
        name=names[0] if named else None,
        allowed=None if named else allowed,
        at=at,
        extras=ours(own),
    )


_OBJECTS: dict[str, Callable[[Block, Block, Block, str], None]] = {
    "tools": _read_tools,
    "toolConfig": _read_choice,
    CONFIG: read_config,
}
_KNOWN = frozenset(_OBJECTS) | {"contents", "systemInstruction", "serviceTier"}


# --- write ---------------------------------------------------------------------------------------


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    quirks = quirks_of(request.model, quirks)
    blocks = Blocks(report, quirks)
    wire: Block = {}
    system, contents = Turns(blocks).write(request.messages)
    wire["contents"] = contents
    if system is not None:
        wire["systemInstruction"] = system
    if request.tools:
        _write_tools(request, wire, report)
    if request.tool_choice is not None:
        wire["toolConfig"] = {_CHOICE: _choice(request.tool_choice, report)}
    config = write_config(request, report, quirks)
    if config:
        wire[CONFIG] = config
    tier = request.service_tier
    if tier is not None:
        nearest = NEAREST_TIER.get(tier, tier)
        if nearest in TIERS:
            wire["serviceTier"] = nearest
        if nearest != tier or nearest not in TIERS:
            kind = "approximated" if nearest in TIERS else "dropped"
            report.lose(request, "service_tier", kind, "service_tier")  # type: ignore[arg-type]
    NOT_HERE.tell(request, report)
    if request.extras is not None:
        _write_extras(request.extras, request, wire, report)
    return encode(wire)


def _write_extras(extras: Extras, request: Request, wire: Block, report: Report) -> None:
    for name, value in report.extras(request, NAME).items():
        outer, dot, field = name.partition(".")
        if dot and outer in _DOTTED:
            wire.setdefault(outer, {})[field] = value
        else:
            wire.setdefault(name, value)


def _write_tools(request: Request, wire: Block, report: Report) -> None:
    """Declarations that follow each other share a list; every other tool stands alone."""
    tools: list[Block] = []
    for tool in request.tools:
        if isinstance(tool, Native):
            if tool.dialect == NAME:
                tools.append(dict(tool.body))
            else:
                report.lose(tool, None, "dropped", "native_block")
        elif tools and "functionDeclarations" in tools[-1]:
            tools[-1]["functionDeclarations"].append(_tool(tool, report))
        else:
            tools.append({"functionDeclarations": [_tool(tool, report)]})
    if tools:
        wire["tools"] = tools


def _tool(tool: Tool, report: Report) -> Block:
    if tool.custom:
        tool = as_function(tool, report)
    written: Block = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if type(tool.parameters) is dict:
        written["parametersJsonSchema"] = tool.parameters
    elif tool.parameters is not None:
        report.lose(tool, "parameters", "dropped", "tool_schema")
    if tool.strict is not None:
        report.lose(tool, "strict", "dropped", "tool_strict")
    if tool.cache is not None:
        report.lose(tool.cache, None, "dropped", "cache_mark")
    written.update(report.extras(tool, NAME))
    return written


def _choice(choice: ToolChoice, report: Report) -> Block:
    """`VALIDATED` is the mode in which a free choice may be among some (reference, FunctionCallingConfig)."""
    written: Block = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        written["allowedFunctionNames"] = [choice.name or ""]
    elif choice.name is not None:
        report.lose(choice, "name", "dropped", "tool_choice")
    if choice.allowed and choice.mode in ("auto", "required"):
        written["allowedFunctionNames"] = list(choice.allowed)
        if choice.mode == "auto":
            written["mode"] = "VALIDATED"
        elif choice.mode == "required" and len(choice.allowed) == 1:
            report.lose(choice, None, "changed", "tool_choice")
    elif choice.allowed is not None:
        report.lose(choice, "allowed", "dropped", "tool_choice")
    written.update(report.extras(choice, NAME))
    return written


__all__ = ["read_request", "spelled", "write_request"]
