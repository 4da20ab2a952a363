"""Messages bytes: peeked at, readdressed, and any junk whatever read without a crash."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible import events as ev
from fungible.dialects.anthropic_messages import DIALECT
from fungible.dialects.anthropic_messages.names import NAME
from fungible.dialects.base import Peek
from fungible.faults import Fault
from fungible.losses import Report

from . import recordings

QUICK = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def readdressed(body: bytes, model: str = "other/é") -> bytes:
    return DIALECT.readdress(body, DIALECT.peek(body), model, True)


# --- peek ----------------------------------------------------------------------------------------


def test_peek() -> None:
    assert DIALECT.peek(b'{"model":"m","messages":[]}') == Peek("m", False, True, None)
    body = b'{"max_tokens": 9, "stream": true, "messages": [{"x": [1]}], "model": "m"}'
    assert DIALECT.peek(body) == Peek("m", True, True, 9)
    assert DIALECT.peek(b'{"model":"m","stream":null,"max_tokens":null}') == Peek("m")


BAD: dict[str, tuple[bytes, str | None, str]] = {
    "nothing": (b"", None, "not JSON"),
    "no JSON": (b'{"model": "m"', None, "not JSON"),
    "no UTF-8": (b'{"model": "\xff"}', None, "not JSON"),
    "no object": (b"[]", None, "Send one JSON object"),
    "no model": (b"{}", "model", "model is missing"),
    "a wrong model": (b'{"model": 3}', "model", "wrong type"),
    "a wrong limit": (b'{"model": "m", "max_tokens": "9"}', "max_tokens", "whole number"),
    "a wrong stream": (b'{"model": "m", "stream": "yes"}', "stream", "true or false"),
    "too deep": (b'{"model": "m", "x": ' + b"[" * 64 + b"]" * 64 + b"}", None, "64 levels"),
    "far too deep": (b'{"model": "m", "x": ' + b"[" * 9000 + b"]" * 9000 + b"}", None, "64 levels"),
    "deep in a large body": (
        b'{"model": "m", "y": "' + b"y" * 9000 + b'", "x": ' + b'{"a":' * 64 + b"1" + b"}" * 65,
        None,
        "64 levels",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_cannot_be_read_says_why(name: str) -> None:
    body, path, word = BAD[name]
    for look in (DIALECT.peek, DIALECT.read_request):
        with pytest.raises(Fault) as caught:
            look(body)
        assert caught.value.kind == "bad_request"
        if look is DIALECT.peek:
            assert caught.value.path == path
            assert word in caught.value.message


def test_depth_counts_structure_and_not_what_strings_hold() -> None:
    deepest = b'{"model": "m", "x": ' + b"[" * 63 + b"]" * 63 + b"}"
    assert DIALECT.peek(deepest).model == "m"
    wide = json.dumps({"model": "m", "x": [{"y": [1]}] * 400, "z": '[{"\\' * 900}).encode()
    assert DIALECT.peek(wide).model == "m"


# --- readdress -----------------------------------------------------------------------------------

LONG = '"text": "' + "lorem \\\\ ipsum [{ " * 400 + '"'

PLACES = {
    "first": '{"model": "m", "messages": []}',
    "last": '{"messages": [], "model" : "m"\n}',
    "beside one of the same name": '{"messages": [{"model": "m"}], "model":  "m", "tools": [{"model": "m"}]}',
    "beside one in a string": '{"messages": "\\"model\\": \\"m\\"", "model": "m"}',
    "a value of that word": '{"x": "model", "model": "m"}',
    "spelled with an escape": '{"x": {"model": "m"}, "mod\\u0065l": "m"}',
    "a name with an escape": '{"model": "\\u006d", "x": 1}',
    "long, first": '{"model": "m", ' + LONG + "}",
    "long, last": "{" + LONG + ', "model": "m"}',
    "long, in the middle": "{" + LONG + ', "model": "m", "max_tokens": 9, ' + LONG.replace("text", "t") + "}",
    "long, beside others": '{"a": {"model": "m"}, "model": "m", "b": {"model": "m"}, ' + LONG + "}",
    "long, with space to hide in": '{    "a":{"model":"m"},"mod\\u0065l":"m", ' + LONG + "}",
    "long, twice": '{"model": "x", ' + LONG + ', "model": "m"}',
}


@pytest.mark.parametrize("name", PLACES)
def test_only_the_models_name_changes(name: str) -> None:
    body = PLACES[name].encode()
    made = json.loads(readdressed(body))
    assert made == json.loads(body) | {"model": "other/é"}
    assert DIALECT.peek(readdressed(body)).model == "other/é"


@pytest.mark.parametrize("name", ["first", "last", "long, first", "long, last", "long, in the middle"])
def test_every_other_byte_is_as_it_was(name: str) -> None:
    body = PLACES[name].encode()
    assert readdressed(body, "z") == body.replace(b'"m"', b'"z"')


@recordings.needs_recordings
def test_recorded_requests_are_readdressed() -> None:
    for id_, body in recordings.requests(NAME):
        wire = json.dumps(body, ensure_ascii=False).encode()
        assert DIALECT.peek(wire).max_output_tokens == body.get("max_tokens"), id_
        assert json.loads(readdressed(wire, "z")) == body | {"model": "z"}, id_


# --- junk ----------------------------------------------------------------------------------------

WORDS = ["type", "text", "role", "content", "messages", "model", "tools", "name", "input", "source", "data", "usage",
         "index", "delta", "message", "content_block", "tool_use", "tool_result", "image", "base64", "user",
         "assistant", "system", "error", "cache_control", "thinking", "document", "citations"]  # fmt: skip
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=25,
)


def only_faults(read: Callable[[bytes], Any], body: bytes) -> None:
    try:
        value = read(body)
    except Fault:
        return
    if read is DIALECT.read_request:
        DIALECT.write_request(value, Report(DIALECT.names), frozenset())
    if read is DIALECT.read_reply:
        DIALECT.write_reply(value, Report(DIALECT.names))


def read_stream(wire: bytes) -> None:
    reader = DIALECT.stream_reader()
    told = reader.feed(wire) + reader.end()
    assert isinstance(told[-1], ev.Failed | ev.Done)
    DIALECT.stream_writer(Report(), True).write(told)
    watch = DIALECT.watch(True)
    watch.feed(wire)
    watch.end()
    assert watch.usage is None or watch.usage.at == "usage"


def read_error(body: bytes) -> None:
    for status in (200, 400, 503):
        DIALECT.write_error(DIALECT.read_error(status, {b"retry-after": b"soon"}, body), "")


READERS: list[Callable[[bytes], Any]] = [
    DIALECT.read_request,
    DIALECT.read_reply,
    DIALECT.read_usage,
    DIALECT.peek,
]


@QUICK
@given(junk)
def test_any_json_is_read_or_refused(value: Any) -> None:
    for wrapped in (
        value,
        {"model": "m", "messages": value, "content": value, "usage": value},
        {"model": "m", "messages": [{"role": "user", "content": [value]}], "system": value, "tools": [value],
         "id": "i", "content": [value], "thinking": value, "tool_choice": value, "output_config": value},
    ):  # fmt: skip
        body = json.dumps(wrapped).encode()
        for read in READERS:
            only_faults(read, body)
        read_error(body)


@QUICK
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "message_start",
                    "content_block_start",
                    "content_block_delta",
                    "content_block_stop",
                    "message_delta",
                    "error",
                    "x",
                ]
            ),
            junk,
        ),
        max_size=4,
    )
)
def test_any_events_are_read_or_refused(told: list[tuple[str, Any]]) -> None:
    wire = 'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m"}}\n\n'
    for name, value in told:
        body = value | {"type": name} if isinstance(value, dict) else value
        wire += f"event: {name}\ndata: {json.dumps(body)}\n\n"
    read_stream(wire.encode())


@QUICK
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in READERS:
        only_faults(read, body)
    read_error(body)
    read_stream(body)
    read_stream(b"event: message_start\ndata: " + body + b"\n\n")


def mutated(value: Any, chance: random.Random) -> Any:
    """A copy with one place changed."""
    changed = copy.deepcopy(value)
    holders = [changed]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders += [v for v in inner if isinstance(v, dict | list) and v]
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice([None, True, 0, -1, 1.5, "", "x", [], {}, [{}], {"type": "x"}, "9" * 30])
    return changed


@recordings.needs_recordings
def test_recorded_bodies_with_one_place_changed_are_read_or_refused() -> None:
    chance = random.Random(5)
    for read, bodies in (
        (DIALECT.read_request, recordings.requests(NAME)),
        (DIALECT.read_reply, recordings.replies(NAME)),
    ):
        for _, body in bodies:
            for _ in range(6):
                only_faults(read, json.dumps(mutated(body, chance)).encode())


@recordings.needs_recordings
def test_recorded_streams_with_one_place_changed_are_read_or_refused() -> None:
    chance = random.Random(6)
    for _, wire in recordings.streams(NAME):
        frames = wire.split("\n\n")
        at = chance.randrange(min(len(frames) - 1, 12))
        name, _, data = frames[at].partition("data:")
        frames[at] = f"{name}data: {json.dumps(mutated(json.loads(data), chance))}"
        read_stream("\n\n".join(frames).encode())
