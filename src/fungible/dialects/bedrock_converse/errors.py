"""Errors: an exception's name and a message, both ways, in an answer or in a frame of a stream.

The name stands in the header `x-amzn-errortype`, followed by a colon and more, or in the body as `__type` or
`code`, after a `#` (Smithy, AWS REST JSON protocol, Operation error serialization). A stream's frame names it
in camel case. Sources: the service model of botocore and the API reference (Converse, Common errors).

The wire has no field for a path, so the path of a `Fault` stands at the head of its message, unless it is
there already.
"""

from ...faults import Fault, kind_of_status
from ...frames.eventstream import Frame, frame, header_block
from ...ir import Json
from ...world import Headers
from ..checked import encode
from ..failures import clean, placed, said, said_object, wait_ms

WORDS: dict[str, str] = {
    "authentication": "AccessDeniedException",
    "permission": "AccessDeniedException",
    "not_found": "ResourceNotFoundException",
    "timeout_client": "ModelTimeoutException",
    "conflict": "ConflictException",
    "billing": "ServiceQuotaExceededException",
    "rate_limited": "ThrottlingException",
    "budget": "ThrottlingException",
    "timeout": "ModelTimeoutException",
    "overloaded": "ServiceUnavailableException",
    "unavailable": "ServiceUnavailableException",
    "internal": "InternalServerException",
    "provider_error": "ModelErrorException",
    "provider_answer": "ModelErrorException",
    "provider_authentication": "ModelErrorException",
    "unreachable": "ModelErrorException",
}
"""The kind of a fault -> the wire's word; what is not here is a `ValidationException`."""

TOLD_STATUS: dict[int, int] = {401: 403, 502: 424, 504: 408, 529: 503}
"""Statuses that this wire has another for. Its clients try again after most above 499."""

MEANT_STATUS: dict[tuple[str, int], int] = {("provider_error", 424): 502, ("timeout", 408): 504}
"""The same, read: a client of another wire would take these for faults of its own, and not try again."""

KINDS: dict[str, str] = {
    "ValidationException": "bad_request",
    "SerializationException": "bad_request",
    "UnrecognizedClientException": "authentication",
    "InvalidSignatureException": "authentication",
    "IncompleteSignatureException": "authentication",
    "MissingAuthenticationTokenException": "authentication",
    "ExpiredTokenException": "authentication",
    "InvalidClientTokenId": "authentication",
    "AccessDeniedException": "permission",
    "OptInRequired": "permission",
    "ResourceNotFoundException": "not_found",
    "UnknownOperationException": "not_found",
    "ConflictException": "conflict",
    "ServiceQuotaExceededException": "rate_limited",
    "ThrottlingException": "rate_limited",
    "TooManyRequestsException": "rate_limited",
    "ModelNotReadyException": "unavailable",
    "ModelTimeoutException": "timeout",
    "ModelErrorException": "provider_error",
    "ModelStreamErrorException": "provider_error",
    "InternalServerException": "provider_error",
    "InternalFailure": "provider_error",
    "ServiceUnavailableException": "unavailable",
}
"""The wire's word -> the kind of fault. A word that is not here is read by its status."""

STATUS: dict[str, int] = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
"""The status each word comes with, for one that came inside a stream (service model, httpStatusCode)."""

STREAMED = frozenset(
    {"InternalServerException", "ModelStreamErrorException", "ValidationException", "ThrottlingException"}
    | {"ServiceUnavailableException"}
)
"""The words that a stream has (service model, ConverseStreamOutput)."""


def read_error(status: int, headers: Headers, body: bytes) -> Fault:
    """The fault an upstream's answer stands for: by the exception's name, else by the status."""
    value = said_object(body, status)
    word = bare(headers.get(b"x-amzn-errortype", b"").decode("latin-1"))
    for name in ("__type", "code", "Code"):
        if not word and type(value.get(name)) is str:
            word = bare(value[name])
    return fault_of(word, value, status, wait_ms(headers))


def bare(word: str) -> str:
    """An exception's name without its namespace and what follows a colon."""
    return word.partition(":")[0].rpartition("#")[2]


def fault_of(
    word: str, value: dict[str, Json], status: int | None = None, retry_after_ms: int | None = None
) -> Fault:
    """From what an answer or a frame says. `status` None: it came within a 200."""
    message = value.get("message", value.get("Message"))
    if type(message) is not str:
        message = f"The provider answered with an error: {word or status}."
    if status is None or status < 400:
        status = STATUS.get(word, 502)
        kind = KINDS.get(word, "provider_error")
    else:
        kind = KINDS.get(word) or kind_of_status(status)
    return Fault(
        kind,
        clean(message),
        code=word or None,
        status=MEANT_STATUS.get((kind, status), status),
        retry_after_ms=retry_after_ms,
    )


def fault_in(told: Frame) -> Fault:
    """The fault that a frame of type `exception` or `error` stands for."""
    if told.kind == "error":
        return fault_of(bare(told.name), {"message": told.headers.get(":error-message")})
    word, value = bare(told.name), said(told.payload)
    if type(value) is not dict:
        value = {}
    more = [str(value[name]) for name in ("originalStatusCode", "originalMessage") if value.get(name)]
    message = value.get("message")
    if more and type(message) is str and more[-1] not in message:
        value = {**value, "message": f"{message} ({': '.join(more)})"}
    return fault_of(word[:1].upper() + word[1:], value)


def write_error(fault: Fault, call: str) -> tuple[int, bytes]:
    """The name twice, for some SDKs look for the one and some for the other."""
    word = WORDS.get(fault.kind, "ValidationException")
    body = {"__type": word, "code": word, "message": placed(fault)}
    if call:
        body["call"] = call
    return TOLD_STATUS.get(fault.status, fault.status), encode(body)


def write_stream_error(fault: Fault, call: str) -> bytes:
    """The last frame of a stream that failed. No `messageStop` follows: the answer is not whole."""
    word = WORDS.get(fault.kind, "ValidationException")
    body: dict[str, Json] = {"message": placed(fault)}
    if word not in STREAMED:
        word = "ModelStreamErrorException"
        body |= {"originalStatusCode": fault.status, "originalMessage": fault.message}
    headers = {
        ":exception-type": word[0].lower() + word[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(header_block(headers), encode(body))
