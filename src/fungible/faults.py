"""Faults: what went wrong, and whose fault it is.

The one exception type that crosses from ring to ring. Foreign exceptions become a `Fault` at the border
where they arise. Each kind is a row: the HTTP status it is told with, whose fault it is, and whether
another attempt may help. Each dialect has its own table from these kinds to its wire's error types.

A message says what is wrong, where, and how to mend it. It never holds a secret or a prompt.
"""

from typing import Literal, NamedTuple

Whose = Literal["caller", "operator", "provider", "gateway", "nobody"]


class Kind(NamedTuple):
    status: int
    whose: Whose
    retry: bool  # whether the same attempt elsewhere, or later, may succeed


KINDS: dict[str, Kind] = {
    "bad_request": Kind(400, "caller", False),
    "authentication": Kind(401, "caller", False),
    "billing": Kind(402, "operator", False),
    "permission": Kind(403, "caller", False),
    "not_found": Kind(404, "caller", False),
    "method": Kind(405, "caller", False),
    "timeout_client": Kind(408, "caller", False),
    "conflict": Kind(409, "caller", False),
    "too_large": Kind(413, "caller", False),
    "lossy": Kind(422, "caller", False),
    "unprocessable": Kind(422, "caller", False),
    "headers_too_large": Kind(431, "caller", False),
    "rate_limited": Kind(429, "caller", True),
    "budget": Kind(429, "caller", False),
    "provider_authentication": Kind(502, "operator", True),
    "internal": Kind(500, "gateway", True),
    "provider_error": Kind(502, "provider", True),
    "provider_answer": Kind(502, "provider", True),  # an answer that is no answer: not JSON, cut short
    "unreachable": Kind(502, "provider", True),  # no byte of the request was taken: never billed
    "unavailable": Kind(503, "provider", True),
    "timeout": Kind(504, "provider", True),
    "overloaded": Kind(529, "provider", True),
    "client_gone": Kind(499, "nobody", False),
}

BY_STATUS: dict[int, str] = {
    400: "bad_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "unprocessable",
    429: "rate_limited",
    431: "headers_too_large",
    500: "provider_error",
    502: "provider_error",
    503: "unavailable",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}


def kind_of_status(status: int) -> str:
    """The kind an upstream's status stands for, where its body says no more."""
    return BY_STATUS.get(status) or ("bad_request" if 400 <= status < 500 else "provider_error")


class Fault(Exception):
    """`path` is where in the caller's body; `code` the wire's own finer word; `status` overrides the kind's.

    `retry_after_ms` is how long to wait, where someone said so.
    """

    __slots__ = ("code", "kind", "message", "path", "retry_after_ms", "status")

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        path: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.path = path
        self.code = code
        self.status = status if status is not None else KINDS[kind].status
        self.retry_after_ms = retry_after_ms

    @property
    def whose(self) -> Whose:
        return KINDS[self.kind].whose

    @property
    def retry(self) -> bool:
        return KINDS[self.kind].retry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fault) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.kind, self.message, self.path, self.code, self.status, self.retry_after_ms)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """For another process: exceptions are made again from what `args` has, which is the message only."""
        return _again, self._key()

    def __repr__(self) -> str:
        return f"Fault({self.kind!r}, {self.message!r}, path={self.path!r}, status={self.status})"


def _again(
    kind: str, message: str, path: str | None, code: str | None, status: int | None, wait_ms: int | None
) -> Fault:
    return Fault(kind, message, path=path, code=code, status=status, retry_after_ms=wait_ms)
