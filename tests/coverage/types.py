"""The types of the official SDKs, each as a JSON Schema: what the walk goes through.

They are the very types that the installed packages define, so a field that a new version brings is walked at once.
"""

import re
from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

import mistralai.client.models as mi
from cohere.v2.client import V2Client
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, PydanticOmit

from fungible.dialects import DIALECTS

from .. import sdk_types
from .specimens import Schema


class AsSchema(GenerateJsonSchema):
    """What no JSON can be (an open file, a path) is left out of unions."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        raise PydanticOmit


@cache
def schema(dialect: str, kind: str) -> Schema:
    """The SDK's type of a body; of a stream, of one event."""
    if dialect == "bedrock.converse":
        return converse(kind)
    adapter = MORE.get((dialect, kind)) or sdk_types.TYPES[dialect, kind]
    told = adapter.json_schema(by_alias=True, schema_generator=AsSchema)
    return sent(told) if dialect in SPEAKS else told


OURS = re.compile(r"/(Unset|Unknown\w+)$")
"""Names of types that are an SDK's own way of telling what it was not given, or does not know yet."""


def sent(value: Any) -> Any:
    """A schema as bodies follow it: an SDK sends its words for what an object is, though nobody has to give them."""
    if isinstance(value, list):
        return [
            sent(inner)
            for inner in value
            if not (isinstance(inner, dict) and OURS.search(inner.get("$ref", "")))
        ]
    if not isinstance(value, dict):
        return value
    for choice in value.get("anyOf", ()):
        if "const" in choice and choice["const"] == value.get("default"):
            return choice
    return {name: sent(inner) for name, inner in value.items()}


MORE: dict[tuple[str, str], TypeAdapter[Any]] = {
    ("mistral", "request"): TypeAdapter(mi.ChatCompletionRequest),
    ("mistral", "response"): TypeAdapter(mi.ChatCompletionResponse),
    ("mistral", "stream"): TypeAdapter(mi.CompletionChunk),
}
"""A provider's own SDK, for a provider that speaks a dialect with quirks."""

SPEAKS = {"mistral": "openai.chat"}
"""The dialect of a provider in `MORE`."""

SOURCES = (*DIALECTS, *SPEAKS)
"""Whose types are walked."""


def spoken(source: str) -> str:
    """The dialect of a source."""
    return SPEAKS.get(source, source)


# --- botocore ------------------------------------------------------------------------------------

SCALARS = {
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
}


def converse(kind: str) -> Schema:
    if kind == "request":
        root = sdk_types.CONVERSE.input_shape
    else:
        root = sdk_types.CONVERSE.output_shape if kind == "response" else sdk_types.STREAMED
    defs: dict[str, Schema] = {}
    return {**_shape(root, defs), "$defs": defs}


def _shape(shape: Any, defs: dict[str, Schema]) -> Schema:
    if shape.type_name == "structure" and getattr(shape, "is_document_type", False):
        return {"type": "object"}
    if shape.type_name == "structure":
        if shape.name not in defs:
            defs[shape.name] = {}  # it may hold itself
            held = {n: _shape(s, defs) for n, s in shape.members.items() if "location" not in s.serialization}
            if (
                shape.is_tagged_union
                or getattr(shape, "is_eventstream", False)
                or "ConverseStream" in shape.name
            ):
                one = [{"type": "object", "properties": {n: s}, "required": [n]} for n, s in held.items()]
                defs[shape.name] = {"oneOf": one}
            else:
                wanted = [n for n in shape.required_members if n in held]
                defs[shape.name] = {"type": "object", "properties": held, "required": wanted}
                if not held:
                    defs[shape.name]["maxProperties"] = 0
        return {"$ref": f"#/$defs/{shape.name}"}
    if shape.type_name == "list":
        return {"type": "array", "items": _shape(shape.member, defs)}
    if shape.type_name == "map":
        return {"type": "object", "additionalProperties": _shape(shape.value, defs)}
    if getattr(shape, "enum", None):
        return {"type": "string", "enum": list(shape.enum)}
    return {"type": SCALARS.get(shape.type_name, "string")}


# --- types that are written down here, against the SDK's own ---------------------------------------


def cohere_keywords() -> set[str]:
    """What the SDK's method for a plain chat takes, of what goes into the body."""
    return set(signature(V2Client.chat).parameters) - {"self", "request_options"}


WRITTEN: dict[type[BaseModel], Callable[[], set[str]]] = {sdk_types.CohereRequest: cohere_keywords}
