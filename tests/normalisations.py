"""What may differ between a recorded body and the same body read and written back: each row a function.

The rows, with their reasons, are those of `docs/normalisations/`; a test holds the two together. Each function
changes a body in place to the one of several spellings that says the same, and is applied to both sides.
"""

import copy
from collections.abc import Callable, Collection, Iterator
from typing import Any

Row = Callable[[str, dict[str, Any]], None]  # kind, body


def normalised(name: str, kind: str, body: Any, rows: Collection[str] | None = None) -> Any:
    changed = copy.deepcopy(body)
    for row, apply in NORMALISATIONS[name].items():
        if rows is None or row in rows:
            apply(kind, changed)
    return changed


JSON_OF_THE_CALLER = {"input", "input_schema", "schema", "parameters", "metadata"}
"""Fields whose value is not the wire's grammar but somebody's JSON, where a null is a value like any other."""


def null_is_absent(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in [n for n, value in node.items() if value is None]:
            del node[name]


def a_string_is_one_text(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("content", "system"):
            if isinstance(node.get(name), str) and (
                "role" in node or "tool_use_id" in node or name == "system"
            ):
                node[name] = [{"type": "text", "text": node[name]}]


def not_streaming_is_said_by_silence(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and body.get("stream") is False:
        del body["stream"]


def no_tools_are_none(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and body.get("tools") == []:
        del body["tools"]


def output_format_is_in_output_config(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and isinstance(body.get("output_format"), dict):
        body.setdefault("output_config", {}).setdefault("format", body.pop("output_format"))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the wire's own grammar."""
    if isinstance(value, dict):
        yield value
        for name, inner in list(value.items()):
            if name not in JSON_OF_THE_CALLER:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


NORMALISATIONS: dict[str, dict[str, Row]] = {
    "openai.chat": {
        "null is absent": null_is_absent,
        "string content is one text part": a_string_is_one_text,
        "stream: false is absent": not_streaming_is_said_by_silence,
    },
    "anthropic.messages": {
        "null is absent": null_is_absent,
        "string content is one text part": a_string_is_one_text,
        "stream: false is absent": not_streaming_is_said_by_silence,
        "tools: [] is absent": no_tools_are_none,
        "output_format is output_config.format": output_format_is_in_output_config,
    },
}
