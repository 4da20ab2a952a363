"""Wire bytes to checked values: JSON in, fields of the types they must have, or a `Fault` with the path.

What every dialect's readers begin with; nothing here knows what a field means. A request that is wrong is
its caller's fault (`bad_request`); an answer that is wrong is its provider's (`provider_answer`) and never
holds a path of the caller's. A reader that got a value from here never meets a wrong type below it.

Fields that only one dialect has are marked with its name: `Own` makes the marks, `merge` puts the fields
back where they stood.
"""

from collections.abc import Collection, Mapping, Set
from typing import Any, TypeVar

import msgspec

from ..faults import Fault
from ..ir import Extras, Json, Node

JSON_DEPTH_MAX = 64
COUNTED_BYTES_MAX = 2_048

T = TypeVar("T")
Wire = dict[str, Json]

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

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


# --- a body --------------------------------------------------------------------------------------


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
    left, at, find = JSON_DEPTH_MAX, -1, body.find
    while left:
        at = find(b"{", at + 1)
        if at < 0:
            break
        left -= 1
    while left:
        at = find(b"[", at + 1)
        if at < 0:
            break
        left -= 1
    return left > 0


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


def only(body: bytes, names: Collection[str]) -> bytes:
    """A body of ours with these of its fields."""
    return encode({name: value for name, value in decode(body).items() if name in names})


# --- a field -------------------------------------------------------------------------------------


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


def counts(node: Wire, names: tuple[str, ...], at: str) -> list[int | None]:
    """Whole numbers that may be absent or null."""
    found = list(map(node.get, names))
    if not _COUNTS.issuperset(map(type, found)):
        for name in names:
            may(node, name, int, at)
    return found


_COUNTS = frozenset({int, type(None)})


def an_object(value: Json, at: str) -> Wire:
    if type(value) is not dict:
        raise wrong(at, KINDS[dict], value)
    return value


def a_list(value: Json, at: str) -> list[Any]:
    if type(value) is not list:
        raise wrong(at, KINDS[list], value)
    return value


def check_schema(value: Json, at: str) -> None:
    """Raises `Fault` for what cannot be the JSON Schema of a tool's arguments, which are an object."""
    schema = an_object(value, at)
    if schema.get("type", "object") != "object":
        raise Fault(
            "bad_request",
            f"{at} is no JSON Schema of an object: its type is {schema['type']!r:.40}. "
            'Send {"type": "object", "properties": {...}}.',
            path=f"{at}.type",
        )
    if "properties" in schema and type(schema["properties"]) is not dict:
        raise wrong(f"{at}.properties", "an object", schema["properties"])


def strings(value: Json, at: str) -> list[str]:
    for i, text in enumerate(a_list(value, at)):
        if type(text) is not str:
            raise wrong(f"{at}[{i}]", "a string", text)
    return value  # type: ignore[no-any-return]


# --- what only one dialect has -------------------------------------------------------------------


def others(node: Wire, known: Set[str], prefix: str = "") -> Wire:
    """The fields that are none of `known`. A null says nothing.

    `prefix`: of a field inside this one, `function.`, so that a loss's path is the field's own.
    """
    if node.keys() <= known:
        return {}
    return {prefix + k: v for k, v in node.items() if k not in known and v is not None}


class Own:
    """What one dialect marks as its own, `mark` where it is no more than how a node was spelled.

    Such a node is spelled so again by its writer. The mark has no field, so no other dialect loses any.
    """

    __slots__ = ("mark", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.mark = Extras(dialect=name, fields={})

    def extras(self, fields: Wire) -> Extras | None:
        return Extras(self.name, fields) if fields else None

    def rest(self, node: Wire, known: Set[str]) -> Extras | None:
        """The `others`, marked."""
        return None if node.keys() <= known else self.extras(others(node, known))

    def made(self, node: Node) -> bool:
        """Whether this dialect's reader marked the node."""
        return node.extras is not None and node.extras.dialect == self.name


def merge(node: Wire, fields: Mapping[str, Json], inner: Collection[str] = ()) -> Wire:
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
