"""Recorded provider traffic, where present: `wire/*.jsonl` in the `shared` folder beside the repository.

Each record is one real exchange: `request` and `response`, each with `body_kind` and `body`, and the
dialect it was spoken in. Without the folder the tests that need it skip and say so.
"""

import base64
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fungible.dialects import DIALECTS
from fungible.translate import TEXT_TYPES

from .converse_wire import frame

ROOT = Path(__file__).resolve().parent.parent
WIRE = ROOT.parent / "shared" / "wire"

RECORDED_AS = {"cohere.chat": "cohere.chat_v2"}
"""Our name of a dialect -> the recordings', where it is another."""

needs_recordings = pytest.mark.skipif(
    not WIRE.is_dir(), reason="no recorded provider traffic beside the repository"
)


@cache
def exchanges(dialect: str) -> tuple[dict[str, Any], ...]:
    """Every recorded exchange in `dialect`, whoever the provider."""
    records = []
    for path in sorted(WIRE.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            named = RECORDED_AS.get(dialect, dialect)
            records += [r for r in map(json.loads, lines) if r["dialect"] in (named, named + "_stream")]
    return tuple(records)


def requests(dialect: str) -> Iterator[tuple[str, Any]]:
    """(id, body) of every request."""
    for record in exchanges(dialect):
        if record["request"]["body_kind"] == "json":
            yield record["id"], record["request"]["body"]


def replies(dialect: str) -> Iterator[tuple[str, Any]]:
    """(id, body) of every plain answer with a good status."""
    for record in exchanges(dialect):
        answer = record["response"]
        if answer["body_kind"] == "json" and answer["status"] < 300 and not isinstance(answer["body"], list):
            yield record["id"], answer["body"]


def streams(dialect: str) -> Iterator[tuple[str, str]]:
    """(id, wire text) of every streamed answer; base64 where the wire is binary."""
    for record in exchanges(dialect):
        answer = record["response"]
        if answer["body_kind"] == "ndjson" and is_binary(dialect):
            yield record["id"], framed(answer["body"])
        elif answer["body_kind"] in ("sse", "ndjson", "eventstream_b64"):
            yield record["id"], answer["body"]
        elif answer["body_kind"] == "json" and answer["status"] < 300 and isinstance(answer["body"], list):
            # A stream that was not asked for as events; the same frames, as a list.
            yield record["id"], "".join(f"data: {json.dumps(item)}\n\n" for item in answer["body"])


def is_binary(dialect: str) -> bool:
    return not DIALECTS[dialect].stream_type.startswith(TEXT_TYPES)


def framed(lines: str) -> str:
    """The frames of a binary stream of which only names and payloads were kept, `{name: payload}` a line."""
    wire = b""
    for line in filter(None, lines.split("\n")):
        ((name, payload),) = json.loads(line).items()
        wire += frame({":event-type": name, ":message-type": "event"}, json.dumps(payload).encode())
    return base64.b64encode(wire).decode()


def wire_bytes(text: str, dialect: str) -> bytes:
    """A stream as `streams` or `fungible.translate` tell it, as it goes over the wire."""
    return base64.b64decode(text) if is_binary(dialect) else text.encode()


def errors(dialect: str) -> Iterator[tuple[str, int, Any]]:
    """(id, status, body) of every answer with a bad status."""
    for record in exchanges(dialect):
        answer = record["response"]
        if answer["status"] >= 300:
            yield record["id"], answer["status"], answer["body"]
