"""Wire bytes to checked values: JSON in, fields of the types they must have, or a `Fault` with the path.

Nothing here knows what a field means. A request that is wrong is its caller's fault (`bad_request`); an
answer that is wrong is its provider's (`provider_answer`) and never holds a path of the caller's.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ...faults import Fault
from ...ir import Extras, Json, Node
from .names import NAME

JSON_DEPTH_MAX = 64
COUNTED_BYTES_MAX = 2_048

T = TypeVar("T")
Wire = dict[str, Json]

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

OURS = Extras(dialect=NAME, fields={})
"""Marks a node that was read here and spelled in the rarer of two ways; its writer spells it so again.

It has no field, so no other dialect loses any.
"""

KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_BUT_STRUCTURE = bytes(set(range(256)) - set(b'{}[]"'))

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def too_deep(body: bytes) -> bool:
    """Whether valid JSON nests deeper than `JSON_DEPTH_MAX`.

    A body with no more brackets than that does not, which settles most. For the others the strings are cut
    out, and the innermost pairs of brackets taken away once for each level.
    """
    if _has_few_brackets(body):
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(body.translate(None, _BUT_STRUCTURE).split(b'"')[::2])
    for _ in range(JSON_DEPTH_MAX):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _has_few_brackets(body: bytes) -> bool:
    """By hops from one to the next where the body is long, for counting reads every byte by itself."""
    if len(body) <= COUNTED_BYTES_MAX:
        return body.count(b"{") + body.count(b"[") <= JSON_DEPTH_MAX
    left = JSON_DEPTH_MAX
    for bracket in (b"{", b"["):
        at = body.find(bracket)
        while at >= 0:
            left -= 1
            if left < 0:
                return False
            at = body.find(bracket, at + 1)
    return True


def deep() -> Fault:
    return Fault("bad_request", f"The body nests deeper than {JSON_DEPTH_MAX} levels. Send a flatter one.")


def not_json(error: BaseException) -> Fault:
    return Fault("bad_request", f"The body is not JSON: {error}. Send one JSON object, in UTF-8.")


def parse(body: bytes) -> Wire:
    """Raises `Fault` (bad_request): not JSON, too deep, no object."""
    try:
        value = decode(body)
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    if type(value) is not dict:
        raise Fault("bad_request", f"The body is {named(value)}. Send one JSON object.")
    return value


def parse_answer(body: bytes) -> Wire:
    """Raises `Fault` (provider_answer): not JSON, no object."""
    try:
        value = decode(body)
    except BROKEN as error:
        raise Fault("provider_answer", f"The provider's answer is not JSON: {error}.") from None
    if type(value) is not dict:
        raise Fault("provider_answer", f"The provider's answer is {named(value)}, not an object.")
    return value


def named(value: Json) -> str:
    return "missing" if value is None else KINDS.get(type(value), "of another type")


def wrong(at: str, expected: str, value: Json) -> Fault:
    return Fault("bad_request", f"{at} is {named(value)}. Send {expected}.", path=at)


def under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def need(node: Wire, name: str, kind: type[T], at: str) -> T:
    """A field that must be there."""
    value = node.get(name)
    if type(value) is not kind:
        raise wrong(under(at, name), KINDS[kind], value)
    return value


def may(node: Wire, name: str, kind: type[T], at: str) -> T | None:
    """A field that may be absent or null."""
    value = node.get(name)
    if value is None or type(value) is kind:
        return value
    raise wrong(under(at, name), KINDS[kind], value)


def an_object(value: Json, at: str) -> Wire:
    if type(value) is not dict:
        raise wrong(at, KINDS[dict], value)
    return value


def a_list(value: Json, at: str) -> list[Any]:
    if type(value) is not list:
        raise wrong(at, KINDS[list], value)
    return value


def ours(fields: Wire) -> Extras | None:
    return Extras(dialect=NAME, fields=fields) if fields else None


def rest(node: Wire, known: frozenset[str], prefix: str = "") -> Wire:
    """The fields that are none of `known`. A null says nothing.

    `prefix`: of a field inside this one, `function.`, so that a loss's path is the field's own.
    """
    if node.keys() <= known:
        return {}
    return {prefix + k: v for k, v in node.items() if k not in known and v is not None}


def is_ours(node: Node) -> bool:
    return node.extras is not None and node.extras.dialect == NAME


def merge(node: Wire, fields: Mapping[str, Json], inner: frozenset[str] = frozenset()) -> Wire:
    """Puts unknown fields back where they stood: `function.x` into `function`. What is known wins.

    `inner`: the objects to make, where only unknown fields of theirs were there.
    """
    for name, value in fields.items():
        head, dot, tail = name.partition(".")
        if dot and head in inner and head not in node:
            node[head] = {}
        if dot and type(node.get(head)) is dict:
            node[head].setdefault(tail, value)
        else:
            node.setdefault(name, value)
    return node
