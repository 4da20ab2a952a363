"""Errors: `{"error": {"code", "message", "status", "details"}}`, a google.rpc.Status, both ways.

Sources: google/rpc/code.proto and error_details.proto, the API's troubleshooting guide, and the SDK's
`errors` (a list of one around the error, where the answer would have been a list).
"""

import re
from typing import Any

from ...faults import Fault, kind_of_status
from ...ir import Json
from ...world import Headers
from ..checked import encode
from ..failures import clean, placed, said, said_object, wait_ms

STATUSES: dict[str, tuple[str, int]] = {
    "INVALID_ARGUMENT": ("bad_request", 400),
    "FAILED_PRECONDITION": ("bad_request", 400),
    "OUT_OF_RANGE": ("bad_request", 400),
    "UNAUTHENTICATED": ("authentication", 401),
    "PERMISSION_DENIED": ("permission", 403),
    "NOT_FOUND": ("not_found", 404),
    "ABORTED": ("conflict", 409),
    "ALREADY_EXISTS": ("conflict", 409),
    "RESOURCE_EXHAUSTED": ("rate_limited", 429),
    "CANCELLED": ("provider_error", 499),
    "UNKNOWN": ("provider_error", 500),
    "INTERNAL": ("provider_error", 500),
    "DATA_LOSS": ("provider_error", 500),
    "UNIMPLEMENTED": ("provider_error", 501),
    "UNAVAILABLE": ("unavailable", 503),
    "DEADLINE_EXCEEDED": ("timeout", 504),
}
"""The wire's word -> the kind of fault, and the status it comes with where it came without one."""

WORDS: dict[str, str] = {
    "bad_request": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "billing": "FAILED_PRECONDITION",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "method": "UNIMPLEMENTED",
    "timeout_client": "DEADLINE_EXCEEDED",
    "conflict": "ABORTED",
    "too_large": "INVALID_ARGUMENT",
    "lossy": "INVALID_ARGUMENT",
    "unprocessable": "INVALID_ARGUMENT",
    "headers_too_large": "INVALID_ARGUMENT",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "budget": "RESOURCE_EXHAUSTED",
    "timeout": "DEADLINE_EXCEEDED",
    "unavailable": "UNAVAILABLE",
    "overloaded": "UNAVAILABLE",
}
"""The kind of a fault -> the wire's word; what is not here is `INTERNAL`."""

_BAD_KEYS = frozenset({"API_KEY_INVALID", "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING"})
"""Reasons of an ErrorInfo that say the key is at fault; a bad key is told with status 400."""

_TYPE = "type.googleapis.com/google.rpc."
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault an upstream's answer stands for: by the error's status word, else by its number."""
    value = said(body)
    inner = value[0] if type(value) is list and value else value
    return fault_of(inner if type(inner) is dict else said_object(body, status), status, wait_ms(headers))


def fault_of(answer: dict[str, Json], status: int | None = None, retry_after_ms: int | None = None) -> Fault:
    """From an error as answers and streams hold it. `status` None: it came within a 200."""
    error = answer.get("error")
    inner: dict[str, Any] = error if type(error) is dict else {}
    word = inner.get("status") if type(inner.get("status")) is str else ""
    told = inner.get("message")
    for other in (error, answer.get("message"), answer.get("detail")):
        if type(told) is not str:
            told = other
    message = told if type(told) is str else f"The provider answered with an error: {word or status}."
    known = STATUSES.get(word or "")
    if status is None or status < 400:
        code = inner.get("code")
        status = known[1] if known is not None else 502
        if type(code) is int and 400 <= code < 600:
            status = code
    kind = known[0] if known is not None else kind_of_status(status)
    path, reason = None, None
    for detail in inner.get("details") or ():
        if type(detail) is not dict:
            continue
        if type(detail.get("retryDelay")) is str and (found := _SECONDS.fullmatch(detail["retryDelay"])):
            retry_after_ms = int(float(found[1]) * 1000)
        for violation in detail.get("fieldViolations") or ():
            if path is None and type(violation) is dict and type(violation.get("field")) is str:
                path = violation["field"] or None
        if type(detail.get("reason")) is str:
            reason = reason or detail["reason"]
    if reason in _BAD_KEYS:
        kind = "authentication"
    return Fault(
        kind,
        clean(message),
        path=path,
        code=reason or word or None,
        status=status,
        retry_after_ms=retry_after_ms,
    )


def error_body(fault: Fault, call: str) -> dict[str, Json]:
    path = fault.path
    details: list[Json] = []
    if path:
        violation = {"field": path, "description": fault.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if fault.retry_after_ms is not None:
        seconds = f"{max(fault.retry_after_ms, 0) / 1000:.3f}".rstrip("0").rstrip(".")
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{seconds}s"})
    if call:
        details.append({"@type": f"{_TYPE}RequestInfo", "requestId": call})
    error: dict[str, Json] = {
        "code": fault.status,
        "message": placed(fault),
        "status": WORDS.get(fault.kind, "INTERNAL"),
    }
    if details:
        error["details"] = details
    return {"error": error}


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    return fault.status, encode(error_body(fault, call))


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last frame of a stream that failed. No `finishReason` stands in it: the answer is not whole."""
    return b"data: " + encode(error_body(fault, call)) + b"\n\n"
