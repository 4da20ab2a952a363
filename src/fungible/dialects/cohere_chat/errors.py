"""Errors: the wire's `{"message": "words", "id"}`, both ways; the status says the rest.

Within a stream an error is told by the `message-end` that ends it: `finish_reason` is ERROR, `error` the
words (SDK, ChatMessageEndEventDelta). The wire has no field for a path; it stands at the head of the message.
"""

from ...faults import Fault, kind_of_status
from ...world import Headers
from ..checked import Wire, encode
from ..failures import clean, is_bad, nothing_said, placed, said, wait_ms

STATUS_KINDS: dict[int, str] = {498: "authentication", 499: "provider_error"}
"""Statuses that are this API's own: an invalid token, a call that was cancelled."""


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault that an answer with a bad status stands for."""
    node = said(body)
    return fault_of(node if type(node) is dict else {"message": node}, status, wait_ms(headers))


def fault_of(node: Wire, status: int | None, retry_after_ms: int | None = None) -> Fault:
    """`status` None: it came within a 200, where `status` may stand in the object."""
    if status is None and is_bad(given := node.get("status_code")):
        status = given
    words = node.get("message") or node.get("error") or node.get("detail")
    if type(words) is dict:
        words = words.get("message")
    if type(words) is not str:
        words = encode(words).decode() if words else nothing_said(status)
    bad = is_bad(status)
    kind = "provider_error"
    if bad and status is not None:
        kind = STATUS_KINDS.get(status) or kind_of_status(status)
    return Fault(
        kind,
        clean(words),
        status=status if bad else None,
        retry_after_ms=retry_after_ms,
    )


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """(status, body)"""
    return fault.status, encode(
        {"id": call, "message": placed(fault)} if call else {"message": placed(fault)}
    )


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last event of a stream that failed. No end mark follows: the answer is not whole."""
    delta = {"finish_reason": "ERROR", "error": placed(fault), "status_code": fault.status}
    return b"event: message-end\ndata: " + encode({"type": "message-end", "delta": delta}) + b"\n\n"
