"""Whatever JSON comes, readers answer with a value or with a `Fault`, and nothing else."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault
from fungible.losses import Report

from . import recordings
from .test_theorem import QUICK as THOROUGH

QUICK = settings(THOROUGH, max_examples=100)

WORDS = [
    "model", "messages", "role", "content", "user", "assistant", "tool", "system", "text", "type", "image_url", "url",
    "function", "name", "arguments", "tool_calls", "tool_call_id", "id", "index", "tools", "parameters", "tool_choice",
    "allowed_tools", "mode", "custom", "response_format", "json_schema", "schema", "stream", "stream_options",
    "include_usage", "reasoning", "reasoning_content", "reasoning_details", "reasoning.text", "reasoning.encrypted",
    "data", "signature", "thinking", "enabled", "effort", "max_tokens", "stop", "metadata", "audio", "refusal",
    "function_call", "annotations", "url_citation", "file", "file_data", "input_audio", "cache_control",
    "prompt_cache_breakpoint", "ttl", "5m", "choices", "message", "delta", "finish_reason", "usage", "prompt_tokens",
    "total_tokens", "prompt_tokens_details", "cached_tokens", "created", "error", "code", "logprobs", "x_groq",
    "data:image/png;base64,iVBORw0KGgo=", "data:;base64,", "{}", "", "stop", "service_tier", "object", "detail",
]  # fmt: skip

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 600), st.floats(allow_nan=False), st.sampled_from(WORDS)
)
junk = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=25,
)
message = st.dictionaries(st.sampled_from(WORDS), junk, max_size=4).map(lambda d: {"role": "assistant", **d})
requests = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(message, max_size=2)},
    optional=dict.fromkeys(WORDS[2:60], junk),
)
junk_dict = st.dictionaries(st.sampled_from(WORDS), junk, max_size=3)
replies = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.builds(lambda m, d: {"index": 0, **d, "message": m}, message, junk_dict), max_size=2
        )
    },
    optional=dict.fromkeys(("id", "usage", "created", "model", "service_tier", "object", "error"), junk),
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(st.builds(lambda m, d: {"index": 0, **d, "delta": m}, message, junk_dict), max_size=2)},
    optional=dict.fromkeys(("id", "usage", "created", "model", "service_tier", "x_groq"), junk),
)  # fmt: skip


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def read_request(body: bytes) -> None:
    try:
        DIALECT.peek(body)
    except Fault as fault:
        assert fault.kind == "bad_request"
    try:
        request = DIALECT.read_request(body)
    except Fault as fault:
        assert fault.kind == "bad_request", fault
        return
    for quirks in (frozenset(), frozenset(DIALECT.quirks)):
        json.loads(DIALECT.write_request(request, Report(), quirks))


def read_reply(body: bytes) -> None:
    try:
        reply = DIALECT.read_reply(body)
    except Fault:
        return
    DIALECT.read_usage(body)
    json.loads(DIALECT.write_reply(reply, Report()))


def read_stream(wire: bytes) -> None:
    reader = DIALECT.stream_reader()
    events = reader.feed(wire) + reader.end()
    DIALECT.stream_writer(Report(), True).write(events)
    watch = DIALECT.watch(False)
    try:
        watch.feed(wire)
        watch.end()
    except Fault:
        pass


def test_junk_requests() -> None:
    QUICK(given(st.one_of(junk, requests))(lambda value: read_request(encoded(value))))()


def test_junk_replies() -> None:
    QUICK(given(st.one_of(junk, replies))(lambda value: read_reply(encoded(value))))()


def test_junk_streams() -> None:
    events = st.lists(st.one_of(chunks, junk), max_size=4)
    QUICK(
        given(events)(lambda values: read_stream(b"".join(b"data: " + encoded(v) + b"\n\n" for v in values)))
    )()


def test_junk_errors() -> None:
    def check(value: Any) -> None:
        fault = DIALECT.read_error(400, {}, encoded(value))
        status, body = DIALECT.write_error(fault, "call_1")
        assert status == fault.status
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}

    QUICK(given(junk)(check))()


def test_junk_bytes() -> None:
    def check(body: bytes) -> None:
        read_request(body)
        read_reply(body)
        read_stream(b"data: " + body + b"\n\n")
        DIALECT.read_error(500, {}, body)

    QUICK(given(st.binary(max_size=40))(check))()


MUTATIONS: list[Any] = [None, 0, -1, 1.5, "", "x", [], {}, [1], {"type": "x"}, True, "a" * 70_000]


def mutated(value: Any, chance: random.Random) -> Any:
    """One place of it with something else there, or with nothing."""
    value = copy.deepcopy(value)
    here = value
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return value
        key = chance.choice(keys)
        inner = here[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
            here = inner
            continue
        if chance.random() < 0.2:
            del here[key]
        else:
            here[key] = chance.choice(MUTATIONS)
        return value


@recordings.needs_recordings
@pytest.mark.parametrize("dialect", ["openai.chat", "mistral.chat"])
def test_recorded_bodies_with_one_thing_wrong(dialect: str) -> None:
    chance = random.Random(11)
    for _, body in recordings.requests(dialect):
        read_request(encoded(body))
        for _ in range(4):
            read_request(encoded(mutated(body, chance)))
    for _, body in recordings.replies(dialect):
        read_reply(encoded(body))
        for _ in range(4):
            read_reply(encoded(mutated(body, chance)))


@recordings.needs_recordings
@pytest.mark.parametrize("dialect", ["openai.chat", "mistral.chat"])
def test_recorded_streams_with_one_thing_wrong(dialect: str) -> None:
    chance = random.Random(12)
    for _, text in recordings.streams(dialect):
        wire = text.encode()
        if len(wire) > 60_000:
            continue
        read_stream(wire)
        cut = chance.randrange(len(wire))
        read_stream(wire[:cut])
        read_stream(wire[:cut] + wire[cut + 1 :])
