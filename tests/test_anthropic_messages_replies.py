"""Messages replies, usage and errors: read and written exactly; the official SDK raises what its users know."""

import json
from typing import Any

import anthropic
import httpx2
import pytest

from fungible import ir
from fungible.dialects.anthropic_messages import DIALECT
from fungible.dialects.anthropic_messages.names import NAME
from fungible.dialects.anthropic_messages.usage import read_usage_object, write_usage_object
from fungible.faults import KINDS, Fault
from fungible.losses import Report


def answer(*content: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    } | more


def read(body: Any) -> ir.Reply:
    return DIALECT.read_reply(json.dumps(body).encode())


def written(reply: ir.Reply) -> tuple[dict[str, Any], set[tuple[str, str, str]]]:
    report = Report()
    body = json.loads(DIALECT.write_reply(reply, report))
    return body, {(loss.path, loss.kind, loss.why) for loss in report.losses}


def there_and_back(body: dict[str, Any]) -> dict[str, Any]:
    again, losses = written(read(body))
    assert losses == set()
    return again


def reply(*parts: ir.Part, stop: ir.Stop | None = None, **more: Any) -> ir.Reply:
    choice = ir.Choice(parts=parts, stop=stop or ir.Stop(reason="end"))
    usage = ir.Usage(input_tokens=3, output_tokens=4)
    return ir.Reply(**({"id": "msg_1", "model": "m", "choices": (choice,), "usage": usage} | more))


# --- content and stop reasons --------------------------------------------------------------------


def test_a_whole_reply() -> None:
    body = answer(
        {"type": "thinking", "thinking": "Hm", "signature": "s=="},
        {"type": "text", "text": ""},
        {
            "type": "tool_use",
            "id": "functions.f:0",
            "name": "f",
            "input": {"a": 1},
            "caller": {"type": "direct"},
        },
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        stop_reason="tool_use",
        container={"id": "c", "expires_at": "2026-01-01T00:00:00Z"},
        provider="router",
    )
    assert there_and_back(body) == body
    seen = read(body)
    assert seen.choices[0].parts[2] == ir.ToolCall(
        id="functions.f:0",
        name="f",
        arguments='{"a": 1}',
        extras=ir.Extras(dialect=NAME, fields={"caller": {"type": "direct"}}),
    )
    assert seen.choices[0].extras == ir.Extras(
        dialect=NAME, fields={"container": body["container"], "provider": "router"}
    )


STOPS: dict[str, ir.Stop] = {
    "end_turn": ir.Stop(reason="end"),
    "max_tokens": ir.Stop(reason="length"),
    "stop_sequence": ir.Stop(reason="stop_sequence", sequence="END"),
    "tool_use": ir.Stop(reason="tool"),
    "pause_turn": ir.Stop(reason="pause"),
    "refusal": ir.Stop(reason="refusal"),
    "model_context_window_exceeded": ir.Stop(reason="context"),
}


@pytest.mark.parametrize("word", STOPS)
def test_every_stop_reason(word: str) -> None:
    body = answer(stop_reason=word, stop_sequence=STOPS[word].sequence)
    assert read(body).choices[0].stop == STOPS[word]
    assert there_and_back(body) == body


def test_a_stop_reason_of_tomorrow_is_kept_for_people_and_written_as_the_nearest() -> None:
    stop = read(answer(stop_reason="of_tomorrow")).choices[0].stop
    assert stop == ir.Stop(reason="other", raw="of_tomorrow")
    wire, losses = written(reply(stop=ir.Stop(reason="other", raw="of_tomorrow", at="s")))
    assert wire["stop_reason"] == "end_turn"
    assert losses == {("s", "approximated", "stop")}


def test_a_content_filter_is_nearest_to_a_refusal() -> None:
    wire, losses = written(reply(stop=ir.Stop(reason="content_filter", at="s")))
    assert wire["stop_reason"] == "refusal"
    assert losses == {("s", "approximated", "stop")}


def test_what_a_message_has_no_place_for() -> None:
    first = ir.Choice(parts=(ir.Refusal(text="No.", at="r"),), logprobs={"content": []}, at="choices[0]")
    second = ir.Choice(parts=(ir.Text(text="Hi"),), at="choices[1]")
    wire, losses = written(reply(choices=(first, second), created=1, service_tier="default"))
    assert wire["content"] == [{"type": "text", "text": "No."}]
    assert wire["usage"]["service_tier"] == "standard"
    assert losses == {
        ("r", "changed", "refusal"),
        ("choices[0].logprobs", "dropped", "logprobs"),
        ("choices[1]", "dropped", "choices"),
        ("created", "dropped", "unknown_field"),
        ("service_tier", "approximated", "service_tier"),
    }


def test_arguments_cut_short_by_the_limit_are_carried_as_text() -> None:
    call = ir.ToolCall(id="a", name="f", arguments='{"city": "Par', at="p")
    wire, losses = written(reply(call, stop=ir.Stop(reason="length")))
    assert wire["content"][0]["input"] == {"_text": '{"city": "Par'}
    assert losses == {("p.arguments", "changed", "tool_arguments")}


def test_a_citation_of_another_dialect_is_lost_and_the_text_is_not() -> None:
    cited = ir.Citation(dialect="other.wire", body={}, at="c")
    wire, losses = written(reply(ir.Text(text="Hi", citations=(cited,))))
    assert wire["content"] == [{"type": "text", "text": "Hi"}]
    assert losses == {("c", "dropped", "citations")}


# --- usage ---------------------------------------------------------------------------------------

USAGES: list[tuple[dict[str, Any], ir.Usage]] = [
    ({"input_tokens": 1, "output_tokens": 2}, ir.Usage(input_tokens=1, output_tokens=2)),
    (
        {
            "input_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 7},
        },
        ir.Usage(
            input_tokens=321,
            output_tokens=9,
            cache_read_tokens=300,
            cache_write_tokens=20,
            cache_write_1h_tokens=15,
            reasoning_tokens=7,
        ),
    ),
    (
        {
            "input_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 5},
            "output_tokens": 9,
            "iterations": [{"type": "message", "input_tokens": 1, "output_tokens": 9}],
            "server_tool_use": {"web_search_requests": 1},
        },
        ir.Usage(
            input_tokens=21,
            output_tokens=9,
            cache_write_tokens=20,
            extras=ir.Extras(
                dialect=NAME,
                fields={
                    "iterations": [{"type": "message", "input_tokens": 1, "output_tokens": 9}],
                    "server_tool_use": {"web_search_requests": 1},
                    "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 5},
                },
            ),
        ),
    ),
]


def test_a_compaction_is_counted_that_the_top_level_leaves_out() -> None:
    """It is billed: guide, Compaction. The numbers are a recorded answer's."""
    wire = {
        "input_tokens": 181, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 8,
        "iterations": [
            {"type": "compaction", "input_tokens": 100, "output_tokens": 83, "cache_read_input_tokens": 55_096,
             "cache_creation_input_tokens": 0},
            {"type": "message", "input_tokens": 181, "output_tokens": 8, "cache_read_input_tokens": 0,
             "cache_creation_input_tokens": 0},
        ],
    }  # fmt: skip
    seen = read_usage_object(dict(wire))
    assert (seen.input_tokens, seen.cache_read_tokens, seen.output_tokens) == (55_377, 55_096, 91)
    assert write_usage_object(seen, Report()) == wire


@pytest.mark.parametrize(("wire", "usage"), USAGES)
def test_usage_counts_the_whole_input_and_is_written_back_exactly(
    wire: dict[str, Any], usage: ir.Usage
) -> None:
    body = answer(usage=wire)
    assert read(body).usage == usage == DIALECT.read_usage(json.dumps(body).encode())
    assert there_and_back(body) == body


def test_a_reply_without_usage_is_given_zeros_and_says_so() -> None:
    wire, losses = written(reply(usage=None))
    assert wire["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert losses == {("usage", "changed", "usage_detail")}
    body = answer()
    del body["usage"]
    assert read(body).usage is None
    assert DIALECT.read_usage(json.dumps(body).encode()) is None


def test_counts_this_wire_has_not() -> None:
    usage = ir.Usage(input_tokens=5, output_tokens=6, cache_read_tokens=9, input_audio_tokens=1, at="usage")
    wire, losses = written(reply(usage=usage))
    assert wire["usage"] == {"input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 6}
    assert losses == {
        ("usage.input_tokens", "changed", "usage_detail"),
        ("usage.input_audio_tokens", "dropped", "usage_detail"),
    }


def test_counting_tokens() -> None:
    counting = DIALECT.counting
    assert counting is not None
    assert counting.read(b'{"input_tokens": 16, "context_management": null}') == 16
    assert json.loads(counting.write(16)) == {"input_tokens": 16}
    with pytest.raises(Fault) as caught:
        counting.read(b'{"tokens": 16}')
    assert caught.value.kind == "provider_answer"


# --- errors --------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[int, Any, str]] = {
    "invalid": (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}},
        "bad_request",
    ),
    "key": (
        401,
        {"type": "error", "error": {"type": "authentication_error", "message": "x"}},
        "authentication",
    ),
    "billing": (402, {"type": "error", "error": {"type": "billing_error", "message": "x"}}, "billing"),
    "permission": (
        403,
        {"type": "error", "error": {"type": "permission_error", "message": "x"}},
        "permission",
    ),
    "model": (404, {"type": "error", "error": {"type": "not_found_error", "message": "x"}}, "not_found"),
    "conflict": (
        409,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}},
        "conflict",
    ),
    "large": (413, {"type": "error", "error": {"type": "request_too_large", "message": "x"}}, "too_large"),
    "rate": (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, "rate_limited"),
    "api": (500, {"type": "error", "error": {"type": "api_error", "message": "x"}}, "provider_error"),
    "unavailable": (503, {"type": "error", "error": {"type": "api_error", "message": "x"}}, "unavailable"),
    "timeout": (504, {"type": "error", "error": {"type": "timeout_error", "message": "x"}}, "timeout"),
    "overloaded": (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        "overloaded",
    ),
    "a string": (401, {"error": "x"}, "authentication"),
    "flat": (429, {"message": "x", "type": "rate_limited", "code": 3505}, "rate_limited"),
    "detail": (401, {"detail": "x"}, "authentication"),
    "an integer code": (502, {"error": {"message": "x", "code": 502}}, "provider_error"),
    "another word": (400, {"error": {"type": "of_tomorrow", "message": "x"}}, "bad_request"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_read_by_type_and_status(name: str) -> None:
    status, body, kind = ERRORS[name]
    fault = DIALECT.read_error(status, {b"retry-after": b"7"}, json.dumps(body).encode())
    assert (fault.kind, fault.message, fault.status, fault.retry_after_ms) == (kind, "x", status, 7000)


def test_an_error_that_is_no_json_is_told_as_it_is_up_to_a_limit() -> None:
    fault = DIALECT.read_error(502, {}, b"<html>" + b"y" * 9000)
    assert fault.kind == "provider_error"
    assert fault.message.startswith("<html>y")
    assert len(fault.message) == 2000
    assert DIALECT.read_error(503, {}, b"").message == "The provider answered 503 and said nothing."


def test_an_error_inside_a_200() -> None:
    for body in (
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        {"error": {"type": "overloaded_error", "message": "x"}},
    ):
        for reader in (DIALECT.read_reply, DIALECT.read_usage):
            with pytest.raises(Fault) as caught:
                reader(json.dumps(body).encode())
            assert (caught.value.kind, caught.value.status) == ("overloaded", 529)


def test_an_answer_that_is_none() -> None:
    for body in (b"", b"<html>", b"[]", b"{}", b'{"content": 3}', b'{"content": []}', b"\xff", b"[" * 9000):
        with pytest.raises(Fault) as caught:
            DIALECT.read_reply(body)
        assert caught.value.kind == "provider_answer"


RAISED = {
    "bad_request": anthropic.BadRequestError,
    "authentication": anthropic.AuthenticationError,
    "permission": anthropic.PermissionDeniedError,
    "not_found": anthropic.NotFoundError,
    "conflict": anthropic.ConflictError,
    "lossy": anthropic.UnprocessableEntityError,
    "rate_limited": anthropic.RateLimitError,
    "budget": anthropic.RateLimitError,
    "internal": anthropic.InternalServerError,
    "provider_error": anthropic.InternalServerError,
    "timeout": anthropic.InternalServerError,
    "overloaded": anthropic.InternalServerError,
}


def told_to_the_sdk(status: int, body: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    def answering(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": kind})

    http = httpx2.Client(transport=httpx2.MockTransport(answering))
    return anthropic.Anthropic(api_key="k", base_url="http://provider.test", http_client=http, max_retries=0)


@pytest.mark.parametrize("kind", RAISED)
def test_the_sdk_raises_its_own_exception(kind: str) -> None:
    fault = Fault(kind, "What is wrong.", path="messages[0].role")
    status, body = DIALECT.write_error(fault, "call_1")
    assert status == KINDS[kind].status
    with pytest.raises(RAISED[kind]) as caught:
        told_to_the_sdk(status, body).messages.create(model="m", max_tokens=9, messages=[])
    error: Any = caught.value.body
    assert error["error"]["message"] == "messages[0].role: What is wrong."
    assert error["request_id"] == "call_1"


def test_every_kind_of_fault_has_a_word() -> None:
    for kind in KINDS:
        status, body = DIALECT.write_error(Fault(kind, "x"), "")
        assert (status, json.loads(body)["error"]["message"]) == (KINDS[kind].status, "x")


def test_a_path_that_the_message_names_is_not_said_twice() -> None:
    _, body = DIALECT.write_error(Fault("bad_request", "model is missing.", path="model"), "")
    assert json.loads(body)["error"]["message"] == "model is missing."


def test_the_sdk_reads_a_written_reply() -> None:
    body, _ = written(reply(ir.Text(text="Hi"), ir.ToolCall(id="a", name="f", arguments='{"a": 1}')))
    client = told_to_the_sdk(200, json.dumps(body).encode())
    seen = client.messages.create(model="m", max_tokens=9, messages=[])
    assert seen.content[0].to_dict() == {"type": "text", "text": "Hi"}
    assert seen.content[1].to_dict() == {"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}}
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (3, 4)


def test_the_list_of_models() -> None:
    client = told_to_the_sdk(200, DIALECT.write_models(["a", "b"]))
    assert [model.id for model in client.models.list()] == ["a", "b"]
