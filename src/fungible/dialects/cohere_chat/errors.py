"""Errors: the wire's `{"message": "words", "id"}`, both ways; the status says the rest.

Within a stream an error is told by the `message-end` that ends it: `finish_reason` is ERROR, `error` the
words (SDK, ChatMessageEndEventDelta). The wire has no field for a path; it stands at the head of the message.
"""

from ...faults import Fault, kind_of_status
from ...ir import Json
from ...world import Headers
from ..checked import BROKEN, Wire, decode, encode

MESSAGE_CHARACTERS_MAX = 2_000

STATUS_KINDS: dict[int, str] = {498: "authentication", 499: "provider_error"}
"""Statuses that are this API's own: an invalid token, a call that was cancelled."""


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault that an answer with a bad status stands for."""
    try:
        node: Json = decode(body)
    except BROKEN:
        node = {"message": body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace").strip()}
    return fault_of(node if type(node) is dict else {"message": node}, status, _wait_ms(headers))


def fault_of(node: Wire, status: int | None, retry_after_ms: int | None = None) -> Fault:
    """`status` None: it came within a 200, where `status` may stand in the object."""
    given = node.get("status_code")
    if status is None and type(given) is int and 400 <= given <= 599:
        status = given
    said = node.get("message") or node.get("error") or node.get("detail")
    if type(said) is dict:
        said = said.get("message")
    if type(said) is not str:
        said = encode(said).decode() if said else f"The provider answered {status} and said nothing."
    bad = status is not None and 400 <= status <= 599
    kind = "provider_error"
    if bad and status is not None:
        kind = STATUS_KINDS.get(status) or kind_of_status(status)
    return Fault(
        kind,
        said[:MESSAGE_CHARACTERS_MAX],
        status=status if bad else None,
        retry_after_ms=retry_after_ms,
    )


def _wait_ms(headers: Headers) -> int | None:
    """`retry-after` in seconds. A date is left alone: there is no clock here."""
    for name, value in headers:
        if name == b"retry-after" and value.isdigit():
            return int(value) * 1_000
    return None


def truncated() -> Fault:
    return Fault("provider_answer", "The provider's stream was truncated: it ended without message-end.")


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """(status, body)"""
    return fault.status, encode(
        {"id": call, "message": _words(fault)} if call else {"message": _words(fault)}
    )


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last event of a stream that failed. No end mark follows: the answer is not whole."""
    delta = {"finish_reason": "ERROR", "error": _words(fault), "status_code": fault.status}
    return b"event: message-end\ndata: " + encode({"type": "message-end", "delta": delta}) + b"\n\n"


def _words(fault: Fault) -> str:
    message, path = fault.message, fault.path
    return f"{path}: {message}" if path and path not in message else message
