"""Bare requests: the short cut leads where the road does, between every two dialects, whatever is sent."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fungible.dialects import DIALECTS, SPOKEN
from fungible.dialects.bare import Bare
from fungible.dialects.base import Dialect
from fungible.faults import Fault
from fungible.ir import Message, Request, Text
from fungible.losses import Report

from . import recordings, strategies

QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
spoken = pytest.mark.parametrize("name", list(DIALECTS))
MODELS = ["a-model", "claude-opus-4-8", "claude-sonnet-4-5", "gemini-3-pro", "anthropic.claude-opus-4-1"]


def written(source: Dialect, request: Request, quirks: frozenset[str] = frozenset()) -> bytes:
    return source.write_request(request, Report(), quirks)


def asked(*texts: str, system: str | None = None, **knobs: Any) -> Request:
    roles = itertools.cycle(("user", "assistant"))
    said = [Message(role=role, parts=(Text(text=text),)) for role, text in zip(roles, texts, strict=False)]  # type: ignore[arg-type]
    if system is not None:
        said.insert(0, Message(role="system", parts=(Text(text=system),)))
    return Request(model="a-model", messages=tuple(said), **knobs)


USUAL = asked("Hi.", "Hello.", "And?", system="Be brief.", max_output_tokens=9, temperature=0.5, top_p=0.9)


def taken(source: Dialect, body: bytes) -> Bare | None:
    assert source.bare is not None
    return source.bare.read(body)


def agree(source: Dialect, body: bytes, model: str = "a-model", stream: bool = False) -> int:
    """How many dialects the short cut leads to; where it does, it is the road without a loss."""
    bare = taken(source, body)
    if bare is None:
        return 0
    request = source.read_request(body)
    assert request.extras is None
    request = msgspec.structs.replace(request, model=model, stream=stream, stream_usage=stream or None)
    led = 0
    for target in DIALECTS.values():
        for quirks in (frozenset[str](), *(frozenset({quirk}) for quirk in target.quirks)):
            assert target.bare is not None
            made = target.bare.write(bare, model, stream, quirks)
            if made is None:
                continue
            led += 1
            report = Report(source.names)
            wanted = target.write_request(request, report, quirks)
            assert not report.losses, (target.name, quirks, report.losses)
            assert json.loads(made) == json.loads(wanted), (target.name, quirks)
    return led


@spoken
@pytest.mark.parametrize("stream", [False, True])
def test_the_usual_request_takes_it_everywhere(name: str, stream: bool) -> None:
    body = written(DIALECTS[name], USUAL)
    bare = taken(DIALECTS[name], body)
    assert bare is not None
    for target in DIALECTS.values():
        assert target.bare is not None
        assert target.bare.write(bare, "a-model", stream, frozenset()) is not None, target.name
    assert agree(DIALECTS[name], body, stream=stream) >= len(DIALECTS)


@spoken
def test_recorded_requests(name: str) -> None:
    for _, body in recordings.requests(name):
        for model, stream in itertools.product(MODELS, (False, True)):
            agree(DIALECTS[name], json.dumps(body).encode(), model, stream)


@spoken
def test_requests_of_any_kind(name: str) -> None:
    @QUICK
    @given(strategies.requests, st.sampled_from(MODELS), st.booleans())
    def holds(request: Request, model: str, stream: bool) -> None:
        agree(DIALECTS[name], written(DIALECTS[name], request), model, stream)

    holds()


knobs = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(-2, 2**70),
        "temperature": st.floats(-1, 3) | st.integers(-1, 3),
        "top_p": st.floats(0, 1) | st.integers(0, 1),
        "stream": st.booleans(),
        "stop": st.just(("x",)),
        "seed": st.just(7),
    },
)
words = st.text(max_size=6) | st.sampled_from(["Hi.", " ", "\u00a0", "\n", "\u2028", "a\\b", '"', "é🌊"])


@spoken
def test_requests_that_are_nearly_bare(name: str) -> None:
    @QUICK
    @given(
        st.lists(words, min_size=1, max_size=5),
        st.none() | words,
        knobs,
        st.sampled_from(MODELS),
        st.booleans(),
    )
    def holds(said: list[str], system: str | None, more: dict[str, Any], model: str, stream: bool) -> None:
        agree(DIALECTS[name], written(DIALECTS[name], asked(*said, system=system, **more)), model, stream)

    holds()


ODD = [
    "null",
    "0",
    "1",
    "1.0",
    "-0",
    "1e0",
    "1e400",
    "NaN",
    "true",
    '""',
    '" "',
    '"system"',
    '"x"',
    "[]",
    "{}",
    "[{}]",
]
ODD += ['{"role":"user","content":"x"}', '[{"role":"user","content":"x"}]', '[{"text":"x"}]', "9" * 30]


@spoken
def test_bodies_that_are_spoiled(name: str) -> None:
    """Doubled keys, other types, other spellings, more fields and less, cut bytes."""
    text = written(DIALECTS[name], USUAL).decode()
    values = [text[m:n] for m in range(len(text)) for n in [_value_end(text, m)] if n]

    @QUICK
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        body, value = text, data.draw(st.sampled_from(values))
        other = data.draw(st.sampled_from(ODD) | st.sampled_from(values))
        match data.draw(st.sampled_from(["value", "double", "field", "space", "escape", "cut", "byte"])):
            case "value":
                body = text.replace(value, other, 1)
            case "double":
                key = data.draw(st.sampled_from(sorted(json.loads(text))))
                body = data.draw(
                    st.sampled_from([f'{{"{key}":{other},{text[1:]}', f'{text[:-1]},"{key}":{other}}}'])
                )
            case "field":
                body = text.replace("{", f'{{"unknown":{other},', data.draw(st.integers(1, 9)))
            case "space":
                body = text.replace(":", " :\t", 9).replace(",", "\r\n, ", 9)
            case "escape":
                body = text.replace("e", "\\u0065", data.draw(st.integers(1, 9)))
            case "cut":
                body = text[: data.draw(st.integers(0, len(text)))]
            case _:
                place, byte = data.draw(st.integers(0, len(text))), data.draw(st.binary(max_size=2))
                agree_or_refuse(DIALECTS[name], text[:place].encode() + byte + text[place:].encode())
        agree_or_refuse(DIALECTS[name], body.encode())

    holds()


def agree_or_refuse(source: Dialect, body: bytes) -> None:
    """What its own reader refuses is never taken for a bare request."""
    try:
        source.read_request(body)
    except Fault:
        assert taken(source, body) is None
    else:
        agree(source, body)


def _value_end(text: str, start: int) -> int | None:
    """Where the JSON value ends that begins at `start`, behind a colon."""
    if start == 0 or text[start - 1] != ":":
        return None
    return json.JSONDecoder().raw_decode(text, start)[1]


def test_only_chat_has_it() -> None:
    assert {name for name, dialect in SPOKEN.items() if dialect.bare is not None} == set(DIALECTS)
