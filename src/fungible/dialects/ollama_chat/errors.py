"""Errors: the wire's `{"error": "words"}`, both ways. The status says the rest; in a stream it
stands beside the words, where anything says it.

The wire has no field for a path, so the path of a `Fault` stands at the head of its message, unless it is
there already. The official SDK raises with the words and the status; within a stream, with the words.
"""

from ...faults import Fault, kind_of_status
from ...ir import Json
from ...world import Headers
from ..checked import BROKEN, Wire, decode, encode

MESSAGE_CHARACTERS_MAX = 2_000

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
    try:
        node: Json = decode(body)
    except BROKEN:
        node = body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace").strip()
    said = _said(node) or f"The provider answered {status} and said nothing."
    return Fault(
        kind_of_status(status),
        said[:MESSAGE_CHARACTERS_MAX],
        status=status if 400 <= status <= 599 else None,
        retry_after_ms=_wait_ms(headers),
    )


def fault_inside(node: Wire) -> Fault | None:
    """The error in an answer or a line whose status was good."""
    if not node.get("error"):
        return None
    said, status = _said(node), node.get("status")
    if type(status) is int and 400 <= status <= 599:
        return Fault(kind_of_status(status), said[:MESSAGE_CHARACTERS_MAX], status=status)
    words = said.lower()
    kind = next((kind for part, kind in KIND_OF_WORDS if part in words), "provider_error")
    return Fault(kind, said[:MESSAGE_CHARACTERS_MAX])


def _said(node: Json) -> str:
    """The words; an object in their place, as proxies send it, is looked into."""
    if type(node) is dict:
        inner = node.get("error") or node.get("message") or node.get("detail")
        return _said(inner) if inner else ""
    return node if type(node) is str else "" if node is None else encode(node).decode()


def _wait_ms(headers: Headers) -> int | None:
    """`retry-after` in seconds. A date is left alone: there is no clock here."""
    for name, value in headers:
        if name == b"retry-after" and value.isdigit():
            return int(value) * 1_000
    return None


def truncated() -> Fault:
    return Fault("provider_answer", 'The provider\'s stream was truncated: no line says "done": true.')


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """(status, body)"""
    return fault.status, encode({"error": _words(fault, call)})


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last line of a stream that failed. No line with `done` follows: the answer is not whole.

    The server's own has no `status`; its clients pass over it, and a gateway behind this one knows more.
    """
    return encode({"error": _words(fault, call), "status": fault.status}) + b"\n"


def _words(fault: Fault, call: str) -> str:
    message, path = fault.message, fault.path
    if path and path not in message:
        message = f"{path}: {message}"
    return f"{message} (call {call})" if call and fault.kind == "internal" else message
