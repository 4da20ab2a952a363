"""Errors: the wire's `{"error": "words"}`, both ways. The status says the rest; in a stream it
stands beside the words, where anything says it.

The wire has no field for a path, so the path of a `Fault` stands at the head of its message, unless it is
there already. The official SDK raises with the words and the status; within a stream, with the words.
"""

from ...faults import Fault, kind_of_status
from ...ir import Json
from ...world import Headers
from ..checked import Wire, encode
from ..failures import clean, is_bad, nothing_said, placed, said, wait_ms

KIND_OF_WORDS: tuple[tuple[str, str], ...] = (
    ("not found", "not_found"),
    ("does not support", "bad_request"),
    ("invalid", "bad_request"),
    ("unauthorized", "authentication"),
    ("too many requests", "rate_limited"),
    ("rate limit", "rate_limited"),
    ("server busy", "overloaded"),
    ("maximum pending requests exceeded", "overloaded"),
)
"""What an error without a status says, in lower case -> what it is; otherwise it is the provider's fault."""


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault that an answer with a bad status stands for."""
    return Fault(
        kind_of_status(status),
        clean(_said(said(body)) or nothing_said(status)),
        status=status if is_bad(status) else None,
        retry_after_ms=wait_ms(headers),
    )


def fault_inside(node: Wire) -> Fault | None:
    """The error in an answer or a line whose status was good."""
    if not node.get("error"):
        return None
    words, status = _said(node), node.get("status")
    if type(status) is int and is_bad(status):
        return Fault(kind_of_status(status), clean(words), status=status)
    lower = words.lower()
    kind = next((kind for part, kind in KIND_OF_WORDS if part in lower), "provider_error")
    return Fault(kind, clean(words))


def _said(node: Json) -> str:
    """The words; an object in their place, as proxies send it, is looked into."""
    if type(node) is dict:
        inner = node.get("error") or node.get("message") or node.get("detail")
        return _said(inner) if inner else ""
    return node if type(node) is str else "" if node is None else encode(node).decode()


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """(status, body)"""
    return fault.status, encode({"error": _words(fault, call)})


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last line of a stream that failed. No line with `done` follows: the answer is not whole.

    The server's own has no `status`; its clients pass over it, and a gateway behind this one knows more.
    """
    return encode({"error": _words(fault, call), "status": fault.status}) + b"\n"


def _words(fault: Fault, call: str) -> str:
    message = placed(fault)
    return f"{message} (call {call})" if call and fault.kind == "internal" else message
