"""Errors of openai.chat: every recorded shape read for what it is, and every fault told so that the SDK knows it."""

import json
from typing import Any

import httpx2
import openai
import pytest

from fungible.dialects.openai_chat import DIALECT
from fungible.faults import KINDS, Fault

SHAPES: dict[str, tuple[int, Any, str, str, str | None]] = {
    # story: status, body -> kind, words, code
    "OpenAI": (401, {"error": {"message": "Incorrect key", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}}, "authentication", "Incorrect key", "invalid_api_key"),
    "a model that is none": (404, {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}, "not_found", "no such model", "model_not_found"),
    "a quota is no rate": (429, {"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}}, "billing", "quota", "insufficient_quota"),
    "tokens a minute": (429, {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}, "rate_limited", "slow down", "rate_limit_exceeded"),
    "Groq retires a model": (400, {"error": {"message": "gone", "type": "invalid_request_error", "code": "model_decommissioned"}}, "not_found", "gone", "model_decommissioned"),
    "a string (Venice)": (404, {"error": "Specified model not found"}, "not_found", "Specified model not found", None),
    "a string and a code (xAI)": (400, {"code": "Client specified an invalid argument", "error": "no such parameter"}, "bad_request", "no such parameter", "Client specified an invalid argument"),
    "flat (Mistral)": (400, {"object": "error", "message": "Invalid model", "type": "invalid_model", "param": None, "code": "1500"}, "bad_request", "Invalid model", None),
    "a detail (Mistral)": (401, {"detail": "Unauthorized"}, "authentication", "Unauthorized", None),
    "a list of details (FastAPI)": (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, "unprocessable", '[{"loc":["body"],"msg":"field required"}]', None),
    "a list of one (Gemini)": (400, [{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}], "bad_request", "bad", None),
    "an integer code (OpenRouter)": (429, {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "try again"}}}, "rate_limited", "Provider returned error try again", None),
    "an integer code (llama.cpp)": (400, {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}, "bad_request", "too long", None),
    "Azure's word": (429, {"error": {"code": "RateLimitReached", "message": "exceeded"}}, "rate_limited", "exceeded", "RateLimitReached"),
    "overloaded": (503, {"error": {"message": "busy", "type": "overloaded_error"}}, "overloaded", "busy", None),
    "unavailable": (503, {"error": {"message": "busy", "type": "server_error"}}, "unavailable", "busy", None),
    "no JSON": (502, "<html>Bad Gateway</html>", "provider_error", "<html>Bad Gateway</html>", None),
    "nothing": (500, None, "provider_error", "The provider answered with status 500 and no message.", None),
}  # fmt: skip


@pytest.mark.parametrize("story", SHAPES)
def test_shapes(story: str) -> None:
    status, body, kind, words, code = SHAPES[story]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fault = DIALECT.read_error(status, {}, data)
    assert (fault.kind, fault.message, fault.code, fault.status) == (kind, words, code, status)


def test_param_is_the_path() -> None:
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": "messages[0]", "code": None}}
    fault = DIALECT.read_error(400, {}, json.dumps(body).encode())
    assert fault.path == "messages[0]"
    status, told = DIALECT.write_error(fault, "call_1")
    assert (status, json.loads(told)) == (400, body)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({b"retry-after-ms": b"1500"}, 1_500),
        ({b"retry-after": b"2"}, 2_000),
        ({b"retry-after": b"2", b"retry-after-ms": b"10"}, 10),
        ({b"retry-after-ms": b"soon", b"retry-after": b"2"}, 2_000),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: Any, wait: int | None) -> None:
    assert DIALECT.read_error(429, headers, b"{}").retry_after_ms == wait


def test_words_are_cut_and_keys_are_not_repeated() -> None:
    long = DIALECT.read_error(400, {}, json.dumps({"error": {"message": "x" * 9_000}}).encode())
    assert len(long.message) == 2_000
    told = DIALECT.read_error(401, {}, b'{"error": {"message": "Incorrect key: sk-proj-abcdefgh12345678."}}')
    assert told.message == "Incorrect key: [key]."


EXCEPTIONS: dict[str, type[openai.APIError]] = {
    "bad_request": openai.BadRequestError,
    "authentication": openai.AuthenticationError,
    "billing": openai.RateLimitError,
    "permission": openai.PermissionDeniedError,
    "not_found": openai.NotFoundError,
    "method": openai.APIStatusError,
    "timeout_client": openai.APIStatusError,
    "conflict": openai.ConflictError,
    "too_large": openai.APIStatusError,
    "lossy": openai.UnprocessableEntityError,
    "unprocessable": openai.UnprocessableEntityError,
    "headers_too_large": openai.APIStatusError,
    "rate_limited": openai.RateLimitError,
    "budget": openai.RateLimitError,
    "provider_authentication": openai.InternalServerError,
    "internal": openai.InternalServerError,
    "provider_error": openai.InternalServerError,
    "provider_answer": openai.InternalServerError,
    "unreachable": openai.InternalServerError,
    "unavailable": openai.InternalServerError,
    "timeout": openai.InternalServerError,
    "overloaded": openai.InternalServerError,
    "client_gone": openai.APIStatusError,
}


def client(answer: Any) -> openai.OpenAI:
    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="x", base_url="http://x/v1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_raises_what_the_sdks_users_catch(kind: str) -> None:
    fault = Fault(kind, "It is so.", path="messages[0].content")
    status, body = DIALECT.write_error(fault, "call_1")

    def answer(request: Any) -> Any:
        return httpx2.Response(status, content=body, headers={"content-type": "application/json"})

    with pytest.raises(openai.APIStatusError) as caught:
        client(answer).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert type(caught.value) is EXCEPTIONS[kind]
    assert "It is so." in str(caught.value)
    assert caught.value.param == "messages[0].content"
    assert caught.value.type in (
        "invalid_request_error",
        "rate_limit_error",
        "insufficient_quota",
        "server_error",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_told_is_the_kind_read(kind: str) -> None:
    status, body = DIALECT.write_error(Fault(kind, "x"), "")
    read = DIALECT.read_error(status, {}, body).kind
    assert read == kind or (kind, read) == ("provider_error", "provider_error")


def test_the_call_is_named_where_it_helps() -> None:
    _, ours = DIALECT.write_error(Fault("internal", "Broken."), "call_7")
    _, theirs = DIALECT.write_error(Fault("bad_request", "Wrong."), "call_7")
    assert b"call_7" in ours
    assert b"call_7" not in theirs


def test_a_stream_that_failed_raises_in_the_sdk() -> None:
    wire = DIALECT.write_stream_error(Fault("provider_error", "The provider broke off."), "call_1")
    assert wire.startswith(b"data: ")
    assert b"[DONE]" not in wire

    def answer(request: Any) -> Any:
        return httpx2.Response(200, content=wire, headers={"content-type": "text/event-stream"})

    stream = client(answer).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    )
    with pytest.raises(openai.APIError, match="The provider broke off"):
        list(stream)


def test_the_list_of_models() -> None:
    def answer(request: Any) -> Any:
        return httpx2.Response(
            200, content=DIALECT.write_models(["a", "b/c"]), headers={"content-type": "application/json"}
        )

    assert [model.id for model in client(answer).models.list()] == ["a", "b/c"]
