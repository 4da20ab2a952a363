"""Wire bytes to checked values: JSON in, fields of the types they must have, or a `Fault` with the path.

Nothing here knows what a field means. A request that is wrong is its caller's fault (`bad_request`); an
answer that is wrong is its provider's (`provider_answer`).
"""

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from ...faults import Fault
from ...ir import Extras, Json, Node
from ...losses import Report
from .names import NAME

JSON_DEPTH_MAX = 64

T = TypeVar("T")
Wire = dict[str, Json]

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

OURS = Extras(dialect=NAME, fields={})
"""Marks a node that was read here, where its spelling would say something else if another had made it."""

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
    """Whether valid JSON nests deeper than `JSON_DEPTH_MAX`: strings cut out, innermost pairs taken away."""
    if body.count(b"{") + body.count(b"[") <= JSON_DEPTH_MAX:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(body.translate(None, _BUT_STRUCTURE).split(b'"')[::2])
    for _ in range(JSON_DEPTH_MAX):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return False
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


def strings(value: Json, at: str) -> list[str]:
    for i, text in enumerate(a_list(value, at)):
        if type(text) is not str:
            raise wrong(f"{at}[{i}]", "a string", text)
    return value  # type: ignore[no-any-return]


def ours(fields: Wire) -> Extras | None:
    return Extras(dialect=NAME, fields=fields) if fields else None


def rest(node: Wire, known: Collection[str], prefix: str = "") -> Wire:
    """The fields that are none of `known`. A null says nothing.

    `prefix`: of a field inside this one, `function.`, so that a loss's path is the field's own.
    """
    return {prefix + k: v for k, v in node.items() if k not in known and v is not None}


def is_ours(node: Node) -> bool:
    return node.extras is not None and node.extras.dialect == NAME


def homeless(node: Node, report: Report, but: Collection[str] = ()) -> None:
    """Tell the fields of a node that is no object on this wire: they have no place, whoever's they are."""
    for name in node.extras.fields if node.extras is not None else ():
        if name not in but:
            report.lose(Node(at=under(node.at, name)), None, "dropped", "unknown_field")


def merge(node: Wire, fields: Wire) -> Wire:
    """Puts unknown fields back where they stood: `function.x` into `function`. What is known wins."""
    for name, value in fields.items():
        head, dot, tail = name.partition(".")
        if dot and type(node.get(head)) is dict:
            node[head].setdefault(tail, value)
        else:
            node.setdefault(name, value)
    return node
