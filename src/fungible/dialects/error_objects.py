"""Errors as an object of `message`, `type`, `param` and `code`, for the dialects of one family.

Their official SDK raises by the status alone and shows the four. Providers put the same in half a dozen
shapes: an object under `error`, a string there (xAI, Venice), flat (Mistral, an older `error` event),
`detail` (FastAPI servers), a list of one (Gemini); and some of them after a status of 200.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from ..faults import KINDS, Fault, kind_of_status
from ..ir import Json
from ..world import Headers
from .checked import Wire, encode
from .failures import clean, is_bad, said, wait_ms


class Told(NamedTuple):
    """How a kind of fault is told. `status` None: the fault's own."""

    type: str
    code: str | None = None
    status: int | None = None


TOLD: dict[str, Told] = {
    "bad_request": Told("invalid_request_error"),
    "authentication": Told("invalid_request_error", "invalid_api_key"),
    "billing": Told("insufficient_quota", "insufficient_quota", 429),
    "permission": Told("invalid_request_error", "permission_denied"),
    "not_found": Told("invalid_request_error", "not_found"),
    "method": Told("invalid_request_error", "method_not_allowed"),
    "timeout_client": Told("invalid_request_error", "request_timeout"),
    "conflict": Told("invalid_request_error", "conflict"),
    "too_large": Told("invalid_request_error", "request_too_large"),
    "lossy": Told("invalid_request_error", "lossy"),
    "unprocessable": Told("invalid_request_error", "unprocessable"),
    "headers_too_large": Told("invalid_request_error", "headers_too_large"),
    "rate_limited": Told("rate_limit_error", "rate_limit_exceeded"),
    "budget": Told("insufficient_quota", "budget_exceeded"),
    "provider_authentication": Told("server_error", "provider_authentication"),
    "internal": Told("server_error", "internal"),
    "provider_error": Told("server_error"),
    "provider_answer": Told("server_error", "provider_answer"),
    "unreachable": Told("server_error", "unreachable"),
    "unavailable": Told("server_error", "unavailable"),
    "timeout": Told("server_error", "timeout"),
    "overloaded": Told("server_error", "overloaded", 503),
    "client_gone": Told("server_error", "client_gone"),
}
"""Kind of fault -> the wire's words. The types are the API's; the codes too, where it has one."""

KIND_OF_WORD: dict[str, str] = {
    told.code: kind for kind, told in TOLD.items() if told.code is not None
} | {
    "authentication_error": "authentication",
    "billing_hard_limit_reached": "billing",
    "billing_not_active": "billing",
    "context_length_exceeded": "bad_request",
    "engine_overloaded": "overloaded",
    "insufficient_balance": "billing",
    "invalid_prompt": "bad_request",
    "model_decommissioned": "not_found",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "overloaded_error": "overloaded",
    "permission_error": "permission",
    "rate_limit_error": "rate_limited",
    "ratelimitreached": "rate_limited",
    "string_above_max_length": "bad_request",
    "too_many_requests": "rate_limited",
    "unsupported_country_region_territory": "permission",
}  # fmt: skip
"""The wire's `code` or `type`, in lower case -> kind of fault, whatever the status."""


class Said(NamedTuple):
    message: str
    words: tuple[str, ...]  # code, then type
    param: str | None
    status: int | None


class ErrorObjects:
    """Reads them. `vague`: words that say less than a status -> kind of fault; they are looked at where
    there is no bad status, as in a stream."""

    __slots__ = ("_vague",)

    def __init__(self, vague: Mapping[str, str]) -> None:
        self._vague = vague

    def read(self, status: int, headers: Headers, body: bytes) -> Fault:
        """The fault that an answer with a bad status stands for."""
        return self._fault(_told(said(body)), status, wait_ms(headers))

    def inside(self, node: Wire, event: bytes = b"") -> Fault | None:
        """The error in an answer or an event whose status was good. `event`: an event's name."""
        if not node.get("error") and event != b"error":
            return None
        told = _told(node)
        return self._fault(told, told.status, None)

    def _fault(self, told: Said, status: int | None, retry_after_ms: int | None) -> Fault:
        found = [word.lower() for word in told.words if word]
        kind = next((KIND_OF_WORD[word] for word in found if word in KIND_OF_WORD), None)
        bad = is_bad(status)
        if kind is None and bad and status is not None:
            kind = kind_of_status(status)
        if kind is None:
            kind = next((self._vague[word] for word in found if word in self._vague), "provider_error")
        return Fault(
            kind,
            clean(told.message) or f"The provider answered with status {status} and no message.",
            path=told.param,
            code=told.words[0] or None,
            status=status if bad else None,
            retry_after_ms=retry_after_ms,
        )


def _told(node: Json) -> Said:
    if type(node) is list and len(node) == 1:
        node = node[0]
    if type(node) is not dict:
        return Said(node if type(node) is str else "", ("", ""), None, None)
    error = node.get("error")
    if type(error) is str:
        return Said(error, (_word(node.get("code")), _word(node.get("type"))), None, _status(node))
    inner: Wire = error if type(error) is dict else node
    message = inner.get("message") or inner.get("detail") or inner.get("msg") or _first(inner.get("errors"))
    if type(message) is not str:
        message = encode(message).decode() if message else ""
    more = _more(inner)
    param = inner.get("param")
    return Said(
        f"{message} {more}".strip() if more and more not in message else message,
        (_word(inner.get("code")), _word(inner.get("type"))),
        param if type(param) is str and param else None,
        _status(inner),
    )


def _first(errors: Json) -> Json:
    """Cloudflare's list."""
    first = errors[0] if type(errors) is list and errors else None
    return first.get("message") if type(first) is dict else first


def _more(error: Wire) -> str:
    """OpenRouter's `metadata.raw` is what the provider behind it said."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if type(metadata) is dict else None
    return raw if type(raw) is str else ""


def _word(value: Json) -> str:
    """A number is a status rather than a word."""
    return value if type(value) is str and not value.isdecimal() else ""


def _status(error: Wire) -> int | None:
    for name in ("status_code", "status", "code"):
        value: Json = error.get(name)
        if type(value) is str and value.isdecimal() and len(value) == 3:
            value = int(value)
        if is_bad(value):
            return value  # type: ignore[no-any-return]
    return None


# --- told ----------------------------------------------------------------------------------------


def written(fault: Fault, call: str) -> Wire:
    """The object. `call` is the call's id, for a fault that is ours."""
    told = TOLD[fault.kind]
    message = fault.message
    if call and fault.kind == "internal":
        message = f"{message} (call {call})"
    return {"message": message, "type": told.type, "param": fault.path, "code": fault.code or told.code}


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """(status, body). A status that the fault was given goes before the table's."""
    status = fault.status
    told = TOLD[fault.kind]
    if told.status is not None and status == KINDS[fault.kind].status:
        status = told.status
    return status, encode({"error": written(fault, call)})


class _Model(msgspec.Struct, frozen=True):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "fungible"


def write_models(names: Sequence[str]) -> bytes:
    return encode({"object": "list", "data": [_Model(id=name) for name in names]})
