"""JSON Schema: whether a value fits one, and whether two values mean the same under it.

Validity is decided by the library `jsonschema_rs` (all drafts, no network: a reference to another address
is refused, not fetched). It is an extra; without it nothing is decided and None is said.

Two values mean the same where a program that reads them by the schema could not tell them apart:

    an absent property with a default    is that default
    null where the property may be left out, and null is not said to be a value of its own    is absent
    1 and 1.0                            are one number
    a list of `uniqueItems`              is a set
    text                                 in one Unicode form, without white space around it
    an object                            has no order

Everything else is compared as it stands: letter case and wording are the model's choice, and may matter.
"""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import msgspec

from ..ir import Json

VALIDATOR = "jsonschema_rs"
EXTRA = "pip install 'fungible[switch]'"  # where the validator is not there
DEPTH_MAX = 64
ABSENT = object()


def can_validate() -> bool:
    return find_spec(VALIDATOR) is not None


def fits(value: Json, schema: Json) -> bool | None:
    """Whether `value` is valid. None: not to be told, for the schema is none, or the library is not there."""
    if not isinstance(schema, dict | bool) or not can_validate():
        return None
    import jsonschema_rs  # noqa: PLC0415 - an extra

    try:
        return bool(_validator(msgspec.json.encode(schema)).is_valid(value))
    except (jsonschema_rs.ValidationError, ValueError, TypeError, OverflowError):
        return None


def flaw(schema: Json) -> str | None:
    """Why `fits` could not tell by this schema; None where it can."""
    if not isinstance(schema, dict | bool):
        return "schema is a JSON Schema, an object"
    if not can_validate():
        return f"schema needs a library: {EXTRA}"
    try:
        _validator(msgspec.json.encode(schema))
    except Exception as error:  # the library's own, whose types differ by what is wrong
        return f"schema is no JSON Schema: {str(error).partition(chr(10))[0]:.200}"
    return None


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    """Kept, for a route's requests have few schemas, and one takes longer to make than to use."""
    import jsonschema_rs  # noqa: PLC0415 - an extra

    return jsonschema_rs.validator_for(msgspec.json.decode(schema), offline=True)


def read(text: str) -> Any:
    """The JSON value of a text; ABSENT where it is none."""
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return ABSENT


def alike(one: Json, other: Json, schema: Json) -> bool:
    """Whether both mean the same under the schema, or as they stand where there is none."""
    root = schema if isinstance(schema, dict) else {}
    return bool(_plain(one, root, root, 0) == _plain(other, root, root, 0))


def _plain(value: Json, schema: Json, root: Mapping[str, Json], depth: int) -> Any:
    """The value in the one form that all its equivalents have, hashable: (type, content)."""
    if depth > DEPTH_MAX:
        return ("deep", repr(value))
    rules = _rules(schema, root, 0)
    if isinstance(value, dict):
        return ("object", frozenset(_members(value, rules, root, depth)))
    if isinstance(value, list):
        items = rules.get("items")
        inner = [_plain(item, items, root, depth + 1) for item in value]
        return ("set", frozenset(inner)) if rules.get("uniqueItems") is True else ("list", tuple(inner))
    if isinstance(value, str):
        return ("text", unicodedata.normalize("NFC", value).strip())
    if isinstance(value, bool) or value is None:
        return ("word", value)
    return ("number", value)


def _members(
    value: dict[str, Json], rules: Mapping[str, Json], root: Mapping[str, Json], depth: int
) -> list[tuple[str, Any]]:
    said = rules.get("properties")
    properties = said if isinstance(said, dict) else {}
    required = rules.get("required") or ()
    members = []
    for name in value.keys() | properties.keys():
        inner = properties.get(name)
        own = _rules(inner, root, 0)
        given = value.get(name, ABSENT)
        if given is None and name not in required and "default" not in own and not _null_is_a_value(inner):
            given = ABSENT
        if given is ABSENT and "default" in own:
            given = own["default"]
        if given is not ABSENT:
            members.append((name, _plain(given, inner, root, depth + 1)))
    return members


def _null_is_a_value(schema: Json) -> bool:
    """Null said in an enum or const is a choice; null as a type only says that nothing may be given."""
    return isinstance(schema, dict) and (
        (isinstance(schema.get("enum"), list) and None in schema["enum"])
        or schema.get("const", ABSENT) is None
    )


def _rules(schema: Json, root: Mapping[str, Json], depth: int) -> dict[str, Json]:
    """The schema's own words with those it refers to: local `$ref`s, `allOf`, the one choice besides null."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        return {}
    merged: dict[str, Json] = {}
    pointer = schema.get("$ref")
    if isinstance(pointer, str):
        merged = _rules(_pointed(pointer, root), root, depth + 1)
    parts = list(schema["allOf"]) if isinstance(schema.get("allOf"), list) else []
    for word in ("anyOf", "oneOf"):
        branches = schema.get(word)
        if isinstance(branches, list):
            real = [b for b in branches if not (isinstance(b, dict) and b.get("type") == "null")]
            parts += real if len(real) == 1 else []
    for part in parts:
        merged = _joined(merged, _rules(part, root, depth + 1))
    return _joined(merged, schema)


def _joined(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    both = {**one, **other}
    for word in ("properties",):
        if isinstance(one.get(word), dict) and isinstance(other.get(word), dict):
            both[word] = {**one[word], **other[word]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        both["required"] = [*one["required"], *other["required"]]
    return both


def _pointed(pointer: str, root: Mapping[str, Json]) -> Json:
    """What a pointer such as `#/$defs/city` points at (RFC 6901); None outside this schema."""
    if not pointer.startswith("#"):
        return None
    found: Json = root
    for step in pointer[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict):
            found = found.get(name)
        else:
            return None
    return found
