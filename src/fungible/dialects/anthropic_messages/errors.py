"""Errors: the wire's `{"type": "error", "error": {"type", "message"}, "request_id"}`, both ways.

Source: API reference, Errors; the SDK's ErrorType and the classes it makes of a status. The wire has no
field for a path, so the path of a `Fault` stands at the head of its message, unless it is there already.
"""

from typing import Any

from ...faults import Fault, kind_of_status
from ...ir import Json
from ...world import Headers
from ..checked import encode
from ..failures import clean, placed, said_object, wait_ms

TYPES: dict[str, str] = {
    "bad_request": "invalid_request_error",
    "authentication": "authentication_error",
    "billing": "billing_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "method": "invalid_request_error",
    "timeout_client": "timeout_error",
    "conflict": "conflict_error",
    "too_large": "request_too_large",
    "lossy": "invalid_request_error",
    "unprocessable": "invalid_request_error",
    "headers_too_large": "request_too_large",
    "rate_limited": "rate_limit_error",
    "budget": "rate_limit_error",
    "timeout": "timeout_error",
    "overloaded": "overloaded_error",
}
"""The kind of a fault -> the wire's word; what is not here is an `api_error`."""

KINDS: dict[str, str] = {
    "invalid_request_error": "bad_request",
    "authentication_error": "authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
    "api_error": "provider_error",
    "overloaded_error": "overloaded",
}
"""The wire's word -> the kind of fault. A word that is not here is read by its status."""

STATUS: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status each word comes with, for an error that came without one: in a stream, or in a 200."""

_BROAD = frozenset({"invalid_request_error", "api_error"})  # the status says more than these words


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault an upstream's answer stands for: by the error's type, else by its status."""
    return fault_of(said_object(body, status), status, wait_ms(headers))


def fault_of(answer: dict[str, Json], status: int | None = None, retry_after_ms: int | None = None) -> Fault:
    """From an error object as answers and stream events hold it. `status` None: it came within a 200."""
    error = answer.get("error")
    inner: dict[str, Any] = error if type(error) is dict else {}
    word = inner.get("type")
    if type(word) is not str:
        word = ""
    told = inner.get("message")
    for other in (error, answer.get("message"), answer.get("detail")):
        if type(told) is not str:
            told = other
    message = told if type(told) is str else f"The provider answered with an error: {word or status}."
    if status is None or status < 400:
        status = STATUS.get(word, 502)
        kind = KINDS.get(word, "provider_error")
    elif word in KINDS and word not in _BROAD:
        kind = KINDS[word]
    else:
        kind = kind_of_status(status)
    return Fault(
        kind,
        clean(message),
        code=word or None,
        status=status,
        retry_after_ms=retry_after_ms,
    )


def error_body(fault: Fault, call: str) -> dict[str, Json]:
    error = {"type": TYPES.get(fault.kind, "api_error"), "message": placed(fault)}
    return {"type": "error", "error": error, "request_id": call or None}


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    return fault.status, encode(error_body(fault, call))


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last frame of a stream that failed. No `message_stop` follows: the answer is not whole."""
    return b"event: error\ndata: " + encode(error_body(fault, call)) + b"\n\n"
