"""Schemas: the OpenAPI subset of `parameters` and `responseSchema`, read as JSON Schema.

API reference, Schema: types are words in upper case, `nullable` stands beside the type, and the names are
the wire's own. JSON Schema says the same in its own words, and every current model takes it, in
`parametersJsonSchema` and `responseJsonSchema`; so that is what is written.
"""

from ...ir import Json
from .shape import spelled

TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})

_ONE = frozenset({"items", "additionalProperties", "not"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS = frozenset({"properties", "defs", "$defs"})


def json_schema(schema: Json) -> Json:
    """JSON Schema for a schema of the wire. What is neither is left as it is."""
    if type(schema) is not dict:
        return schema
    made: dict[str, Json] = {}
    for name, value in spelled(schema).items():
        if name in _ONE:
            made[name] = json_schema(value)
        elif name in _LISTS and type(value) is list:
            made[name] = [json_schema(one) for one in value]
        elif name in _MAPS and type(value) is dict:
            made[name] = {key: json_schema(one) for key, one in value.items()}
        elif name == "type":
            made[name] = _type(value)
        else:
            made[name] = value
    if made.get("nullable") is True and type(made.get("type")) is str:
        del made["nullable"]
        made["type"] = [made["type"], "null"]
        if type(made.get("enum")) is list and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
    return made


def _type(value: Json) -> Json:
    if type(value) is list:
        return [_type(one) for one in value]
    return value.lower() if type(value) is str and value.lower() in TYPES else value
