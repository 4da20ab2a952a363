"""Wire bytes to checked values: JSON in, and fields of the types they must have, or a `Fault` with the path.

Nothing here knows what a field means. Readers never meet a wrong type below what these functions return.
"""

from typing import Any, TypeVar

import msgspec

from ...faults import Fault
from ...ir import Extras, Json
from .names import NAME

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
_SMALL = 4096  # bytes


def too_deep(body: bytes) -> bool:
    """Whether valid JSON nests deeper than `JSON_DEPTH_MAX`. Most bodies have too few brackets for that."""
    if len(body) < _SMALL:
        if body.count(b"{") + body.count(b"[") <= JSON_DEPTH_MAX:
            return False
    elif not _many_brackets(body):
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = b"".join(body.split(b'"')[::2]).translate(None, _NOT_BRACKETS)
    for _ in range(JSON_DEPTH_MAX):
        bare = bare.replace(b"{}", b"").replace(b"[]", b"")
        if not bare:
            return False
    return True


def _many_brackets(body: bytes) -> bool:
    """Looking for the next one is faster than counting all, where they are far apart."""
    found = 0
    for bracket in (b"{", b"["):
        place = body.find(bracket)
        while place >= 0:
            found += 1
            if found > JSON_DEPTH_MAX:
                return True
            place = body.find(bracket, place + 1)
    return False


def deep() -> Fault:
    return Fault(
        "bad_request", f"The body nests deeper than {JSON_DEPTH_MAX} levels. Send a flatter one.", path=None
    )


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
    return value


def parse_answer(body: bytes) -> dict[str, Json]:
    """Raises `Fault` (provider_answer): not JSON, no object."""
    try:
        value = _decode(body)
    except BROKEN as error:
        raise Fault("provider_answer", f"The provider's answer is not JSON: {error}.") from None
    if type(value) is not dict:
        raise Fault("provider_answer", f"The provider's answer is {_named(value)}, not an object.")
    return value


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


def an_object(value: Json, at: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise wrong(at, _KINDS[dict], value)
    return value


def others(node: dict[str, Json], known: frozenset[str]) -> dict[str, Json]:
    """The fields that are none of `known` and say something."""
    return {k: v for k, v in node.items() if k not in known and v is not None}


def rest(node: dict[str, Json], known: frozenset[str]) -> Extras | None:
    if node.keys() <= known:
        return None
    fields = others(node, known)
    return Extras(dialect=NAME, fields=fields) if fields else None
