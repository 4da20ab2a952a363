"""`translate` and `line`: what they take, what they refuse, and how losses are told."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fungible
from fungible.faults import Fault
from fungible.losses import Loss
from fungible.translate import KINDS, Translation, line, lossy, tidy, translate

CHAT = {"model": "m", "max_completion_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
SEEDED = CHAT | {"seed": 7}
OPENAI, ANTHROPIC = "openai.chat", "anthropic.messages"


def test_a_request_as_dict_text_or_bytes() -> None:
    forms = [CHAT, json.dumps(CHAT), json.dumps(CHAT).encode()]
    done = [translate(form, source=OPENAI, target=ANTHROPIC) for form in forms]
    assert done[0] == done[1] == done[2]
    assert done[0].body["max_tokens"] == 64
    assert done[0].losses == ()


def test_it_is_what_the_package_offers() -> None:
    assert fungible.translate is translate
    assert fungible.Translation is Translation


def test_the_model_may_be_another() -> None:
    assert translate(CHAT, source=OPENAI, target=ANTHROPIC, model="claude-x").body["model"] == "claude-x"
    assert translate(CHAT, source=OPENAI, target=OPENAI, model="gpt-x").body["model"] == "gpt-x"


def test_the_model_of_answers_may_be_another() -> None:
    reply = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "old", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "Hi"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    assert (
        translate(reply, source=ANTHROPIC, target=OPENAI, kind="response", model="new").body["model"] == "new"
    )
    start = {"type": "message_start", "message": reply | {"content": [], "stop_reason": None}}
    wire = f'event: message_start\ndata: {json.dumps(start)}\n\nevent: message_stop\ndata: {{"type":"message_stop"}}\n\n'
    told = translate(wire, source=ANTHROPIC, target=OPENAI, kind="stream", model="new").body
    assert '"model":"new"' in told
    assert '"model":"old"' not in told


def test_the_same_dialect_is_read_and_written_too() -> None:
    assert translate(SEEDED, source=OPENAI, target=OPENAI) == Translation(SEEDED, ())
    with pytest.raises(Fault) as caught:
        translate({"model": "m", "messages": 5}, source=OPENAI, target=OPENAI)
    assert (caught.value.kind, caught.value.path) == ("bad_request", "messages")


def test_strict_refuses_with_the_list() -> None:
    with pytest.raises(Fault) as caught:
        translate(SEEDED | {"n": 2}, source=OPENAI, target=ANTHROPIC, strict=True)
    assert (caught.value.kind, caught.value.status) == ("lossy", 422)
    assert "seed (dropped: sampling)" in caught.value.message
    assert "n (dropped: choices)" in caught.value.message
    assert translate(CHAT, source=OPENAI, target=ANTHROPIC, strict=True).losses == ()


@pytest.mark.parametrize(
    ("asked", "path", "says"),
    [
        ({"source": "smoke.signals"}, "source", "smoke.signals"),
        ({"target": "smoke.signals"}, "target", OPENAI),
        ({"kind": "dream"}, "kind", "request, response, stream, error"),
        ({"quirks": frozenset({"none_such"})}, "quirks", "none_such"),
    ],
)
def test_names_that_are_none(asked: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(Fault) as caught:
        translate(CHAT, **({"source": OPENAI, "target": ANTHROPIC} | asked))
    assert (caught.value.kind, caught.value.path) == ("bad_request", path)
    assert says in caught.value.message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body", [None, 5, [], {}, "", "{", b"\xff", {"a": {1, 2}}, "\ud800", {"status": "x"}]
)
@pytest.mark.parametrize("source", [OPENAI, ANTHROPIC])
def test_what_is_no_body_is_a_fault_or_a_translation(kind: str, body: Any, source: str) -> None:
    try:
        done = translate(body, source=source, target=ANTHROPIC, kind=kind)
    except Fault:
        return
    assert isinstance(done, Translation)
    assert kind in ("stream", "error")


def test_a_body_too_deep_is_a_fault() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Fault):
        translate(CHAT | {"deep": deep}, source=OPENAI, target=ANTHROPIC)
    while isinstance(deep, list):  # a value this deep must be taken apart by hand
        deep = deep.pop()


def test_an_error_says_what_it_leaves_out() -> None:
    said = {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "seed",
        "code": "odd",
        "weather": {"sky": "blue"},
    }
    done = translate({"status": 400, "body": {"error": said}}, source=OPENAI, target=ANTHROPIC, kind="error")
    assert done.body["status"] == 400
    assert done.body["body"]["error"]["type"] == "invalid_request_error"
    assert "No." in done.body["body"]["error"]["message"]
    assert Loss("body.error.weather.sky", "dropped", "unknown_field") in done.losses
    assert Loss("body.error.code", "dropped", "unknown_field") in done.losses


def test_losses_are_tidied() -> None:
    a = Loss("a", "dropped", "image")
    inner = Loss("a.b[0].c", "dropped", "cache_mark")
    near = Loss("ab", "changed", "role")
    assert tidy([near, inner, a, a]) == (a, near)
    assert tidy([inner, Loss("a.b[0]", "approximated", "image")]) == (
        Loss("a.b[0]", "approximated", "image"),
        inner,
    )
    assert tidy([Loss("a[10].x", "dropped", "name"), Loss("a[1]", "dropped", "image")]) == (
        Loss("a[10].x", "dropped", "name"),
        Loss("a[1]", "dropped", "image"),
    )


def test_of_two_reports_of_one_thing_the_graver_stays() -> None:
    near, gone = Loss("stop_reason", "approximated", "stop"), Loss("stop_reason", "dropped", "stop")
    assert tidy([near, gone]) == (gone,)
    moved, nearest = Loss("m", "changed", "role"), Loss("m.role", "approximated", "role")
    assert tidy([moved, Loss("m.name", "changed", "name")]) == (moved,)
    assert tidy([moved, nearest]) == (moved, nearest)


def test_the_refusal_names_every_loss() -> None:
    fault = lossy([Loss("a", "dropped", "image"), Loss("b", "changed", "role")])
    assert "a (dropped: image); b (changed: role)" in fault.message
    assert fault.path == "a"


def test_a_line_of_many() -> None:
    assert line({"from": OPENAI, "to": ANTHROPIC, "kind": "request", "model": "x", "body": SEEDED}) == {
        "body": {"model": "x", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]},
        "losses": [{"path": "seed", "kind": "dropped", "why": "sampling"}],
    }
    assert line({"from": OPENAI, "to": OPENAI, "body": CHAT}) == {"body": CHAT, "losses": []}
    assert line({"from": OPENAI, "to": ANTHROPIC, "strict": True, "body": SEEDED})["error"]["kind"] == "lossy"


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (5, None),
        ({}, "from"),
        ({"from": OPENAI, "to": ANTHROPIC}, "body"),
        ({"from": 1, "to": ANTHROPIC, "body": {}}, "from"),
        ({"from": OPENAI, "to": None, "body": {}}, "to"),
        ({"from": OPENAI, "to": ANTHROPIC, "model": 5, "body": CHAT}, "model"),
        ({"from": OPENAI, "to": ANTHROPIC, "kind": "dream", "body": CHAT}, "kind"),
        ({"from": OPENAI, "to": ANTHROPIC, "body": {"model": "m"}}, "messages"),
    ],
)
def test_a_line_that_cannot_be_read_says_so(record: Any, path: str | None) -> None:
    told = line(record)
    assert told["error"]["kind"] == "bad_request"
    assert told["error"]["path"] == path
    assert told["error"]["status"] == 400
    assert len(told["error"]["message"]) > 10


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["user", "text"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["model", "messages", "role", "content", "type", "text", "tools", "input", "choices", "delta"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([OPENAI, ANTHROPIC]), st.sampled_from(list(KINDS)), junk)
def test_a_line_never_raises(source: str, kind: str, body: Any) -> None:
    told = line({"from": source, "to": ANTHROPIC, "kind": kind, "body": body})
    assert told.keys() in ({"body", "losses"}, {"error"})
    assert told.get("error", {}).get("kind") != "internal", (body, told)


BINARY = "bedrock.converse"


def test_a_binary_stream_is_base64_in_and_out() -> None:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told = [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
    ended = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    frames = [json.dumps({**chunk, "choices": choices}) for choices in (told, ended)]
    wire = "".join(f"data: {frame}\n\n" for frame in [*frames, "[DONE]"])
    binary = translate(wire, source=OPENAI, target=BINARY, kind="stream").body
    data = base64.b64decode(binary, validate=True)
    for form in (binary, f"{binary}\n", data):
        back = translate(form, source=BINARY, target=OPENAI, kind="stream").body
        assert '"content":"Hi"' in back and back.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("body", ["%%%", 7, {"a": 1}])
def test_a_binary_stream_that_is_no_base64_is_refused(body: Any) -> None:
    with pytest.raises(Fault) as caught:
        translate(body, source=BINARY, target=OPENAI, kind="stream")
    assert (caught.value.kind, caught.value.path) == ("bad_request", "body")


def test_a_request_whose_address_names_the_model_is_told_with_its_address() -> None:
    done = translate(CHAT | {"stream": True}, source=OPENAI, target=BINARY, model="a/b:0")
    assert done.path == "/model/a%2Fb%3A0/converse-stream"


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}


def test_signatures_go_as_in_a_call() -> None:
    """Told as lost to another maker in a request, sealed in an answer, and unsealed on the way back."""
    said = {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "Hello"}]}
    asked = {"model": "m", "max_tokens": 9, "messages": [said, {"role": "user", "content": "And?"}]}
    done = translate(asked, source="anthropic.messages", target="gemini.generate_content")
    assert "c2lnbmVk" not in json.dumps(done.body)
    assert "thinking_signature" in {loss.why for loss in done.losses if "content[0]" in loss.path}
    same = translate(asked, source="anthropic.messages", target="bedrock.converse")  # Claude's, too
    assert "c2lnbmVk" in json.dumps(same.body)

    answer = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": said["content"]}
    answer |= {"stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
    told = translate(
        answer, source="anthropic.messages", target="gemini.generate_content", kind="response"
    ).body
    sealed = json.dumps(told["candidates"][0]["content"])
    assert "thoughtSignature" in sealed and "c2lnbmVk" not in sealed
    turns = [told["candidates"][0]["content"], {"role": "user", "parts": [{"text": "And?"}]}]
    back = translate({"contents": turns}, source="gemini.generate_content", target="anthropic.messages")
    assert back.body["messages"][0]["content"][0] == SIGNED
