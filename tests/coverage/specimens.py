"""Specimens: for every field and every word of a type, the smallest body that holds it.

A type is given as the JSON Schema that its SDK's own models write. The walk goes down to every leaf: a
string, a number, yes and no, each word of an enumeration, each key of an object that is open to any. On the
way it builds nothing but what the type requires. What a required string may hold is no matter of types, so
`VALUES` has a likely value for names whose readers look closely.

A type that holds itself is entered once on each way down. Nothing here knows a dialect.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]
Steps = tuple[str | int, ...]

PNG = "iVBORw0KGgoAAAANSUhEUg=="
VALUES: dict[str, Any] = {
    "arguments": '{"city": "Oslo"}',
    "media_type": "image/png",
    "image_url": "https://example.com/a.png",
    "url": "https://example.com/a.png",
    "file_data": "data:application/pdf;base64,JVBERi0xLjQ=",
    "created": 1_700_000_000,
    "budget_tokens": 2048,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "name": "look",
    "id": "call_1",
    "tool_call_id": "call_1",
    "tool_use_id": "call_1",
    "call_id": "call_1",
    "model": "m-1",
}
"""Values for names, whatever the type; a value of another kind than the schema's is passed over."""


class Specimen(NamedTuple):
    """`field` names the place in the type, its list items as `[]`; `word` is the enumeration's, where it has one."""

    field: str
    word: Any
    steps: Steps
    body: Any


Put = Callable[[Any], Any]


class Walk:
    """One type. `values` are likely values by name, or by the end of a field's path, before `VALUES`.

    `passed`: the ends of paths that are not entered.
    """

    def __init__(
        self, schema: Schema, values: dict[str, Any] | None = None, passed: Iterable[str] | None = None
    ) -> None:
        self.root = schema
        self.defs: dict[str, Schema] = schema.get("$defs", {})
        self.values = VALUES | (values or {})
        self.passed = frozenset(passed or ())

    def specimens(self) -> Iterator[Specimen]:
        """Each once: where a type is one of several that have a field alike, it is one field."""
        told = set()
        for specimen in self._walk(self.root, "", (), lambda value: value, frozenset()):
            body = specimen.body
            if isinstance(
                body, dict
            ):  # a call that streams and one that does not are two types, otherwise alike
                body = {
                    name: value
                    for name, value in body.items()
                    if name != "stream" or "stream" in specimen.steps
                }
            key = specimen.field, json.dumps([specimen.word, body])
            if key not in told:
                told.add(key)
                yield specimen

    def _walk(
        self, schema: Schema, field: str, steps: Steps, put: Put, inside: frozenset[str]
    ) -> Iterator[Specimen]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in inside:
                yield from self._walk(self.defs[name], field, steps, put, inside | {name})
            return
        for choices in ("anyOf", "oneOf"):
            for choice in schema.get(choices, ()):
                yield from self._walk(choice, field, steps, put, inside)
        if "const" in schema or "enum" in schema:
            for word in schema.get("enum", [schema.get("const")]):
                yield Specimen(field, word, steps, put(word))
        elif schema.get("type") == "object":
            yield from self._object(schema, field, steps, put, inside)
        elif schema.get("type") == "array":
            items = schema.get("items") or {}
            yield from self._walk(items, field + "[]", (*steps, 0), lambda value: put([value]), inside)
        elif schema.get("type") == "boolean":
            for word in (True, False):
                yield Specimen(field, word, steps, put(word))
        elif "anyOf" not in schema and "oneOf" not in schema and schema.get("type") != "null":
            yield Specimen(field, None, steps, put(self.value(schema, field)))

    def _object(
        self, schema: Schema, field: str, steps: Steps, put: Put, inside: frozenset[str]
    ) -> Iterator[Specimen]:
        held = schema.get("properties")
        if not held:
            value = self.value(schema, field)
            yield Specimen(field, None, (*steps, *way_down(value)), put(value))
            return
        here = of_kind(schema, field)
        least = self.least(schema, field, inside)
        for name, inner in held.items():
            path = f"{here}.{name}" if here else name
            if self.passed and not self.passed.isdisjoint(ends_of(path)):
                continue
            yield from self._walk(
                inner, path, (*steps, name), lambda value, name=name: put({**least, name: value}), inside
            )

    def least(self, schema: Schema, field: str, inside: frozenset[str] = frozenset()) -> Any:
        """The smallest value of a type."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.least(self.defs[name], field, inside | {name})
        for choices in ("anyOf", "oneOf"):
            if choices in schema:
                return self.least(self._simplest(schema[choices], inside), field, inside)
        if "const" in schema or "enum" in schema:
            return schema.get("enum", [schema.get("const")])[0]
        known = self._known(of_kind(schema, field))
        if isinstance(known, dict | list) and schema.get("type") == (
            "object" if isinstance(known, dict) else "array"
        ):
            return known
        if schema.get("type") == "object" and schema.get("properties"):
            wanted = schema.get("required", ())
            names = [n for n, inner in schema["properties"].items() if n in wanted or "const" in inner]
            field = of_kind(schema, field)
            return {
                n: self.least(schema["properties"][n], f"{field}.{n}" if field else n, inside) for n in names
            }
        if schema.get("type") == "array":
            return [self.least(schema.get("items") or {}, field + "[]", inside)]
        return self.value(schema, field)

    def _simplest(self, choices: list[Schema], inside: frozenset[str]) -> Schema:
        """A string before an object before a list; one that is not under way already before one that is."""
        order = ["string", "integer", "number", "boolean", "object", "array", "null"]

        def rank(choice: Schema) -> tuple[bool, int]:
            name = choice.get("$ref", "").rpartition("/")[2]
            kind = choice.get("type") or (self.defs[name].get("type") if name else None)
            return name in inside, order.index(kind) if kind in order else len(order)

        return min(choices, key=rank)

    def value(self, schema: Schema, field: str) -> Any:
        known = self._known(field)
        name = field.rpartition(".")[2].rstrip("[]")
        kinds = {"string": str, "integer": int, "number": int | float, "object": dict, "array": list}
        kind = kinds.get(schema.get("type", ""), object)
        if known is not None and isinstance(known, kind) and not isinstance(known, bool):
            return known
        if kind is dict and schema.get("maxProperties") == 0:
            return {}
        if kind is dict:
            inner = schema.get("additionalProperties")
            return {"k": self.least(inner, f"{field}.k") if isinstance(inner, dict) and inner else "v"}
        return {"string": f"a {name}", "integer": 3, "number": 0.5, "boolean": True}.get(
            schema.get("type", ""), f"a {name}"
        )

    def _known(self, field: str) -> Any:
        """The value of the longest end of the path that has one."""
        ends = [self.values[end] for end in ends_of(field) if end in self.values]
        return ends[0] if ends else None


def way_down(value: Any) -> Steps:
    """The steps to a value's first leaf."""
    if isinstance(value, dict) and value:
        name = next(iter(value))
        return (name, *way_down(value[name]))
    return (0, *way_down(value[0])) if isinstance(value, list) and value else ()


def of_kind(schema: Schema, field: str) -> str:
    """The field with the word that tells this type from others that may stand there."""
    held = schema.get("properties") or {}
    kind = next((str(held[n]["const"]) for n in ("type", "role") if "const" in held.get(n, ())), None)
    return f"{field}({kind})" if kind else field


def ends_of(field: str) -> Iterator[str]:
    """`a.b[].c`, `b[].c`, `c`: the ends of a path, the longest first."""
    while field:
        yield field
        field = field.partition(".")[2]
