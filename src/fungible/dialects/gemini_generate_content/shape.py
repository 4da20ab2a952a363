"""Checked values as ProtoJSON spells them.

The API reads its JSON as protocol buffers do: a name may be written in camelCase or in snake_case, null says
what absence says, a list of one may stand without its brackets, and an enum's word may be its number.
`spelled` gives the one spelling the readers look for. Nothing here knows what a field means.
"""

import re

from ...ir import Json
from .. import checked
from ..checked import KINDS, Wire, under, wrong
from .names import FIELDS

_SNAKE = {re.sub(r"([A-Z])", r"_\1", name).lower(): name for name in FIELDS}
_SNAKE_NAMES = frozenset(_SNAKE)


def parse(body: bytes) -> Wire:
    """Raises `Fault` (bad_request): not JSON, too deep, no object."""
    return spelled(checked.parse(body))


def parse_answer(body: bytes) -> Wire:
    """Raises `Fault` (provider_answer): not JSON, no object."""
    return spelled(checked.parse_answer(body))


def spelled(node: Wire) -> Wire:
    """The same object with its own names in camelCase, and without what is null."""
    if None not in node.values() and node.keys().isdisjoint(_SNAKE_NAMES):
        return node
    return {_SNAKE.get(name, name): value for name, value in node.items() if value is not None}


def as_sent(node: Wire, name: str) -> str:
    """How the sender spelled the field that is `name` once `spelled`."""
    for sent in node:
        if sent == name or _SNAKE.get(sent) == name:
            return sent
    return name


def object_at(value: Json, at: str) -> Wire:
    """The object, `spelled`."""
    if type(value) is not dict:
        raise wrong(at, KINDS[dict], value)
    return spelled(value)


def inner(node: Wire, name: str, at: str) -> Wire | None:
    """An object's field that is an object, `spelled`; None where it is absent."""
    value = node.get(name)
    if type(value) is dict:
        return spelled(value)
    if value is None:
        return None
    raise wrong(under(at, name), KINDS[dict], value)


def several(node: Wire, name: str, at: str) -> list[Json]:
    """A repeated field: ProtoJSON readers take one value for a list of one, and absence for none."""
    value = node.get(name)
    if value is None:
        return []
    return value if type(value) is list else [value]
