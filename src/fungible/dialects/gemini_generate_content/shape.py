"""Wire bytes to checked values: JSON in, and fields of the types they must have, or a `Fault` with the path.

The API reads its JSON as protocol buffers do (ProtoJSON): a name may be written in camelCase or in
snake_case, null says what absence says, and an enum's word may be its number. `spelled` gives the one
spelling the readers look for. Nothing here knows what a field means.
"""

import re
from typing import Any, TypeVar

import msgspec

from ...faults import Fault
from ...ir import Extras, Json
from .names import FIELDS, NAME

JSON_DEPTH_MAX = 64

T = TypeVar("T")

_KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_decode = msgspec.json.Decoder().decode
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_SNAKE = {re.sub(r"([A-Z])", r"_\1", name).lower(): name for name in FIELDS}


def too_deep(body: bytes) -> bool:
    """Whether valid JSON nests deeper than `JSON_DEPTH_MAX`. Most bodies have too few brackets for that."""
    if body.count(b"{") + body.count(b"[") <= JSON_DEPTH_MAX:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = b"".join(body.split(b'"')[::2]).translate(None, _NOT_BRACKETS)
    for _ in range(JSON_DEPTH_MAX):
        bare = bare.replace(b"{}", b"").replace(b"[]", b"")
        if not bare:
            return False
    return True


def deep() -> Fault:
    return Fault("bad_request", f"The body nests deeper than {JSON_DEPTH_MAX} levels. Send a flatter one.")


def not_json(error: BaseException) -> Fault:
    return Fault("bad_request", f"The body is not JSON: {error}. Send one JSON object, in UTF-8.")


def parse(body: bytes) -> dict[str, Json]:
    """Raises `Fault` (bad_request): not JSON, too deep, no object."""
    try:
        value = _decode(body)
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    if type(value) is not dict:
        raise Fault("bad_request", f"The body is {_named(value)}. Send one JSON object.")
    return spelled(value)


def parse_answer(body: bytes) -> dict[str, Json]:
    """Raises `Fault` (provider_answer): not JSON, no object."""
    try:
        value = _decode(body)
    except BROKEN as error:
        raise Fault("provider_answer", f"The provider's answer is not JSON: {error}.") from None
    if type(value) is not dict:
        raise Fault("provider_answer", f"The provider's answer is {_named(value)}, not an object.")
    return spelled(value)


def spelled(node: dict[str, Json]) -> dict[str, Json]:
    """The same object with its own names in camelCase, and without what is null."""
    if not any(value is None or "_" in name for name, value in node.items()):
        return node
    return {_SNAKE.get(name, name): value for name, value in node.items() if value is not None}


def as_sent(node: dict[str, Json], name: str) -> str:
    """How the sender spelled the field that is `name` once `spelled`."""
    for sent in node:
        if sent == name or _SNAKE.get(sent) == name:
            return sent
    return name


def wrong(at: str, expected: str, value: Json) -> Fault:
    return Fault("bad_request", f"{at} is {_named(value)}. Send {expected}.", path=at)


def _named(value: Json) -> str:
    return "missing" if value is None else _KINDS.get(type(value), "of another type")


def under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def need(node: dict[str, Json], name: str, kind: type[T], at: str) -> T:
    """A field that must be there."""
    value = node.get(name)
    if type(value) is not kind:
        raise wrong(under(at, name), _KINDS[kind], value)
    return value


def may(node: dict[str, Json], name: str, kind: type[T], at: str) -> T | None:
    """A field that may be absent or null."""
    value = node.get(name)
    if value is None or type(value) is kind:
        return value
    raise wrong(under(at, name), _KINDS[kind], value)


def object_at(value: Json, at: str) -> dict[str, Any]:
    """The object, `spelled`."""
    if type(value) is not dict:
        raise wrong(at, _KINDS[dict], value)
    return spelled(value)


def inner(node: dict[str, Json], name: str, at: str) -> dict[str, Any] | None:
    """An object's field that is an object, `spelled`; None where it is absent."""
    value = node.get(name)
    return None if value is None else object_at(value, under(at, name))


def several(node: dict[str, Json], name: str, at: str) -> list[Json]:
    """A repeated field: ProtoJSON readers take one value for a list of one, and absence for none."""
    value = node.get(name)
    if value is None:
        return []
    return value if type(value) is list else [value]


def extras_of(fields: dict[str, Json]) -> Extras | None:
    return Extras(dialect=NAME, fields=fields) if fields else None


def rest(node: dict[str, Json], known: frozenset[str]) -> Extras | None:
    """The fields of a `spelled` object that are none of `known`."""
    if node.keys() <= known:
        return None
    return extras_of({k: v for k, v in node.items() if k not in known})
