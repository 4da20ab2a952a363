"""Bytes of openai.chat that are only moved: what is seen of a request, its new address, and a stream looked at."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible import ir
from fungible.dialects.base import Peek
from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault

from . import recordings
from .test_theorem import QUICK

# --- peek ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({"model": "m", "messages": []}, ("m", False, False, None)),
        ({"model": "m", "stream": True}, ("m", True, False, None)),
        ({"model": "m", "stream": True, "stream_options": {"include_usage": True}}, ("m", True, True, None)),
        (
            {"model": "m", "stream": None, "stream_options": {"include_usage": False}},
            ("m", False, False, None),
        ),
        ({"model": "m", "max_tokens": 5}, ("m", False, False, 5)),
        ({"model": "m", "max_tokens": 5, "max_completion_tokens": 6}, ("m", False, False, 6)),
    ],
)
def test_what_is_seen(body: Any, seen: Any) -> None:
    found = DIALECT.peek(json.dumps(body).encode())
    assert isinstance(found, Peek)
    assert (found.model, found.stream, found.stream_usage, found.max_output_tokens) == seen


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{", None),
        (b"[1]", None),
        (b"null", None),
        (b"{}", "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": null}', "model"),
        (b'{"model": 5}', "model"),
        (b'{"model": "m", "stream": "yes"}', "stream"),
        (b'{"model": "m", "max_tokens": "9"}', "max_tokens"),
        (b'{"model": "m", "stream_options": {"include_usage": 1}}', "stream_options.include_usage"),
    ],
)
def test_what_is_refused_at_first_sight(body: bytes, path: str | None) -> None:
    with pytest.raises(Fault) as caught:
        DIALECT.peek(body)
    assert (caught.value.kind, caught.value.path) == ("bad_request", path)


def nested(levels: int, text: str = "x") -> bytes:
    return b'{"model": "m", "a": ' + b"[" * levels + json.dumps(text).encode() + b"]" * levels + b"}"


@pytest.mark.parametrize("text", ["x", "[[[{{{" * 40, "]" * 90, '"[" \\ \\\\" [', "[]" * 90])
def test_depth_is_counted_outside_strings(text: str) -> None:
    assert DIALECT.peek(nested(63, text)).model == "m"
    with pytest.raises(Fault, match="deeper than 64"):
        DIALECT.peek(nested(64, text))


def test_a_body_of_very_great_depth_is_refused() -> None:
    with pytest.raises(Fault, match="deeper"):
        DIALECT.peek(nested(100_000))


def test_deep_brackets_that_strings_seem_to_close_are_seen() -> None:
    body = b'{"model":"m","a":' + b'{"}":' * 70 + b"1" + b',"{":1}' * 69 + b"}}"
    with pytest.raises(Fault, match="deeper than 64"):
        DIALECT.peek(body)


# --- readdress -----------------------------------------------------------------------------------


def readdressed(body: bytes, model: str = "other", usage: bool = False) -> bytes:
    return DIALECT.readdress(body, DIALECT.peek(body), model, usage)


MOVED: dict[str, tuple[bytes, bytes]] = {
    "first": (b'{"model":"m","messages":[]}', b'{"model":"other","messages":[]}'),
    "last, spaced": (
        b'{ "messages" : [ ] , "model" : "m" }',
        b'{ "messages" : [ ] , "model" : "other" }',
    ),
    "beside a value that is called so": (
        b'{"messages":[{"role":"model","content":"\\"model\\":\\"m\\""}],"model":"m"}',
        b'{"messages":[{"role":"model","content":"\\"model\\":\\"m\\""}],"model":"other"}',
    ),
    "beside a deeper key": (
        b'{"metadata":{"model":"m"},"model":"m","messages":[]}',
        b'{"metadata":{"model":"m"},"model":"other","messages":[]}',
    ),
    "before a deeper key": (
        b'{"model":"m","messages":[{"model":"m"}],"x":{"model":"m"}}',
        b'{"model":"other","messages":[{"model":"m"}],"x":{"model":"m"}}',
    ),
    "the same bytes twice": (
        b'{"x":{"messages":[1]},"messages":[1],"model":"m"}',
        b'{"x":{"messages":[1]},"messages":[1],"model":"other"}',
    ),
}


@pytest.mark.parametrize("story", MOVED)
def test_only_the_name_changes(story: str) -> None:
    before, after = MOVED[story]
    assert readdressed(before) == after


@pytest.mark.parametrize(
    "body",
    [
        b'{"mod\\u0065l":"m","x":{"model":"m"}}',
        b'{"model":"a","messages":[],"model":"m"}',
        b'{"model":"m","messages":[],"mod\\u0065l":"m"}',
        b'{"model":"\\u006d","messages":[]}',
    ],
)
def test_tricks_with_the_name_do_not_get_past(body: bytes) -> None:
    changed = json.loads(readdressed(body))
    assert changed["model"] == "other"
    assert DIALECT.peek(readdressed(body)).model == "other"
    assert changed.get("x") == json.loads(body).get("x")


def test_names_that_need_escapes() -> None:
    assert json.loads(readdressed(b'{"model":"a/b"}', 'q"\\/\u00e9'))["model"] == 'q"\\/\u00e9'


ASKED: dict[str, tuple[bytes, bytes]] = {
    "of a stream": (
        b'{"model":"m","stream":true}',
        b'{"model":"other","stream_options":{"include_usage":true},"stream":true}',
    ),
    "of no stream": (b'{"model":"m","messages":[]}', b'{"model":"other","messages":[]}'),
    "that asks itself": (
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
        b'{"model":"other","stream":true,"stream_options":{"include_usage":true}}',
    ),
}


@pytest.mark.parametrize("story", ASKED)
def test_the_usage_is_asked_for(story: str) -> None:
    before, after = ASKED[story]
    assert readdressed(before, usage=True) == after


def test_other_stream_options_are_kept() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false}}'
    assert json.loads(readdressed(body, usage=True))["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }


def test_the_same_name_and_nothing_to_ask_moves_the_same_bytes() -> None:
    body = b'{"model":"m","messages":[]}'
    assert readdressed(body, "m") is body


words = st.sampled_from(["model", "messages", "m", '"model":"m"', "\\", "\u00e9", "[", "}", "stream_options"])
values = st.recursive(
    st.one_of(words, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


def test_readdress_is_what_decoding_and_encoding_would_do() -> None:
    def check(before: dict[str, Any], after: dict[str, Any], ascii_: bool, spaced: bool) -> None:
        body = {**{k: v for k, v in before.items() if k != "model"}, "model": "m", "stream": True, **after}
        body["model"] = "m"
        body.pop("stream_options", None)
        wire = json.dumps(body, ensure_ascii=ascii_, separators=None if spaced else (",", ":")).encode()
        for usage in (False, True):
            options = {"stream_options": {"include_usage": True}} if usage else {}
            changed = readdressed(wire, "other", usage)
            assert json.loads(changed) == {**body, "model": "other", **options}

    pairs = st.dictionaries(words, values, max_size=3)
    QUICK(given(pairs, pairs, st.booleans(), st.booleans())(check))()


@recordings.needs_recordings
def test_recorded_requests_are_readdressed() -> None:
    for _, body in recordings.requests("openai.chat"):
        wire = json.dumps(body, separators=(",", ":")).encode()
        if body.get("model"):
            assert json.loads(readdressed(wire)) == {**body, "model": "other"}


# --- watch ---------------------------------------------------------------------------------------


def event(**more: Any) -> bytes:
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        **more,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


USAGE = event(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
DONE = b"data: [DONE]\n\n"
STREAM = [
    delta(role="assistant", content=""),
    delta(content="Hel"),
    delta(content='lo "usage":{'),
    delta("stop"),
    USAGE,
    DONE,
]


def watched(pieces: list[bytes], usage: bool = True) -> tuple[bytes, Any]:
    watch = DIALECT.watch(usage)
    out = b"".join(watch.feed(piece) for piece in pieces)
    return out + watch.end(), watch


def test_a_stream_passes_unchanged_and_is_understood() -> None:
    out, watch = watched(STREAM)
    assert out == b"".join(STREAM)
    assert (watch.began, watch.done, watch.fault) == (True, True, None)
    assert watch.usage == ir.Usage(input_tokens=3, output_tokens=2)


def test_the_event_with_nothing_but_usage_is_kept_from_who_did_not_ask() -> None:
    out, watch = watched(STREAM, usage=False)
    assert out == b"".join(piece for piece in STREAM if piece != USAGE)
    assert watch.usage == ir.Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_cut_anywhere_it_is_the_same(usage: bool, ends: bytes) -> None:
    wire = b"".join(STREAM).replace(b"\n", ends)
    whole, first = watched([wire], usage)
    for place in range(1, len(wire)):
        out, watch = watched([wire[:place], wire[place:]], usage)
        assert out == whole
        assert (watch.began, watch.done, watch.usage, watch.fault) == (True, True, first.usage, None)
    out, watch = watched([wire[i : i + 1] for i in range(len(wire))], usage)
    assert (out, watch.done, watch.usage) == (whole, True, first.usage)


def test_only_whole_events_are_passed_on() -> None:
    watch = DIALECT.watch(True)
    assert watch.feed(STREAM[0] + STREAM[1][:-5]) == STREAM[0]
    assert not watch.began
    assert watch.feed(STREAM[1][-5:]) == STREAM[1]
    assert watch.began


@pytest.mark.parametrize(
    ("fields", "began"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "tool_calls": None}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}, True),
        ({"content": [{"type": "thinking", "thinking": []}]}, True),
    ],
)
def test_when_the_answer_has_begun(fields: Any, began: bool) -> None:
    watch = DIALECT.watch(True)
    watch.feed(b": keep-alive\n\n" + delta(**fields))
    assert watch.began is began


@pytest.mark.parametrize(
    "wire",
    [
        b'data: {"error":{"message":"down","code":502}}\n\n',
        b'event: error\ndata: {"error":{"message":"down","status_code":502}}\n\n',
        event(choices=[{"index": 0, "delta": {}, "finish_reason": "error"}], error={"message": "down", "code": 502}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [[], STREAM[:2]])
def test_an_error_in_the_stream(wire: bytes, before: list[bytes]) -> None:
    watch = DIALECT.watch(True)
    out = b"".join(watch.feed(piece) for piece in [*before, wire])
    assert out.endswith(wire)
    assert watch.fault is not None and (watch.fault.kind, watch.fault.message) == ("provider_error", "down")
    assert watch.began is bool(before)


def test_an_error_deeper_inside_is_none() -> None:
    choice = {
        "index": 0,
        "delta": {"content": "x"},
        "content_filter_result": {"error": {"code": "x", "message": "y"}},
    }
    _, watch = watched([event(choices=[choice]), *STREAM[3:]])  # fmt: skip
    assert (watch.fault, watch.done) == (None, True)


def test_a_stream_cut_short_is_a_fault() -> None:
    _, watch = watched(STREAM[:2])
    assert watch.fault is not None and watch.fault.kind == "provider_answer"
    assert not watch.done


@pytest.mark.parametrize("last", [b"", b"\n"])
def test_a_stream_without_an_end_mark_is_whole_if_it_told_why_it_ended(last: bytes) -> None:
    wire = b"".join(STREAM[:5]).rstrip(b"\n") + last
    out, watch = watched([wire])
    assert (watch.done, watch.fault) == (True, None)
    assert out.strip() == wire.strip()
    assert watch.usage == ir.Usage(input_tokens=3, output_tokens=2)


def test_usage_beside_choices_in_every_event_and_in_groqs_own_field() -> None:
    told = [
        event(choices=[{"index": 0, "delta": {"content": "a"}, "finish_reason": None}], usage={"prompt_tokens": 3, "completion_tokens": n, "total_tokens": None})
        for n in range(1, 9)
    ]  # fmt: skip
    out, watch = watched([b"".join(told), DONE], usage=False)
    assert out == b"".join(told) + DONE
    assert watch.usage == ir.Usage(input_tokens=3, output_tokens=8)
    groq = event(
        choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}],
        x_groq={"id": "r", "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )
    _, watch = watched([STREAM[1], groq, DONE])
    assert watch.usage == ir.Usage(input_tokens=1, output_tokens=2)


@recordings.needs_recordings
@pytest.mark.parametrize("dialect", ["openai.chat", "mistral.chat"])
def test_recorded_streams_are_watched_as_they_are_read(dialect: str) -> None:
    chance = random.Random(5)
    for id_, text in recordings.streams(dialect):
        wire = text.encode()
        place = chance.randrange(len(wire) + 1)
        reader = DIALECT.stream_reader()
        events = reader.feed(wire) + reader.end()
        out, watch = watched([wire[:place], wire[place:]])
        assert watch.done is (type(events[-1]).__name__ == "Done"), id_
        assert (watch.fault is not None) is (type(events[-1]).__name__ == "Failed"), id_
        assert out.rstrip() == wire.rstrip(), id_
        counted = [e.usage for e in events if type(e).__name__ == "UsageSeen"]
        if counted:
            assert watch.usage is not None, id_
            last = counted[-1]
            assert (watch.usage.input_tokens, watch.usage.output_tokens) == (
                last.input_tokens,
                last.output_tokens,
            ), id_
