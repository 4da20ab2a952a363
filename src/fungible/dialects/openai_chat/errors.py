"""Errors: this wire's are error objects, in an answer as in a stream."""

from ...faults import Fault
from ..checked import encode
from ..error_objects import ErrorObjects, written

KIND_OF_VAGUE_WORD: dict[str, str] = {
    "api_error": "provider_error",
    "content_filter": "bad_request",
    "exceed_context_size_error": "bad_request",
    "internal_server_error": "provider_error",
    "invalid_request_error": "bad_request",
    "server_error": "provider_error",
    "tool_use_failed": "bad_request",
}
"""Words that say less than a status: looked at where there is no bad status, as in a stream."""

_ERRORS = ErrorObjects(KIND_OF_VAGUE_WORD)
read_error, fault_inside = _ERRORS.read, _ERRORS.inside


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last event of a stream that failed: the SDK raises on it. No end mark follows."""
    return b"data: " + encode({"error": written(fault, call)}) + b"\n\n"
