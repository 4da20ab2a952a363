"""Errors: this wire's are error objects; in a stream an `error` event tells one, or a `response.failed`."""

from ...faults import Fault
from ..checked import encode
from ..error_objects import ErrorObjects, written

KIND_OF_VAGUE_WORD: dict[str, str] = {
    "api_error": "provider_error",
    "content_filter": "bad_request",
    "exceed_context_size_error": "bad_request",
    "empty_image_file": "bad_request",
    "failed_to_download_image": "bad_request",
    "image_content_policy_violation": "bad_request",
    "image_file_not_found": "bad_request",
    "image_file_too_large": "bad_request",
    "image_parse_error": "bad_request",
    "image_too_large": "bad_request",
    "image_too_small": "bad_request",
    "internal_server_error": "provider_error",
    "invalid_base64_image": "bad_request",
    "invalid_image": "bad_request",
    "invalid_image_format": "bad_request",
    "invalid_image_mode": "bad_request",
    "invalid_image_url": "bad_request",
    "invalid_request_error": "bad_request",
    "server_error": "provider_error",
    "unsupported_image_media_type": "bad_request",
    "vector_store_timeout": "timeout",
}
"""Words that say less than a status: looked at where there is no bad status, as in a stream."""

_ERRORS = ErrorObjects(KIND_OF_VAGUE_WORD)
read_error, fault_inside = _ERRORS.read, _ERRORS.inside


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last event of a stream that failed: the SDK raises on it. No end mark follows.

    The API writes the error as an object; the SDK's type has its fields beside the event's.
    """
    error = written(fault, call)
    flat = {name: error[name] for name in ("code", "message", "param")}
    body = {"type": "error", "sequence_number": 0, **flat, "error": error}
    return b"event: error\ndata: " + encode(body) + b"\n\n"
