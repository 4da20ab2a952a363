"""What a request's head may look like, on the bytes: RFC 9110 and 9112, read strictly.

Two readers of one message that differ about where it ends are how requests are smuggled, so nothing here
is repaired, guessed or skipped: a head is as the grammar says, or it is refused and the connection
closed. One regular expression says what a request line is, one what a field is; a head that is not made
of these is looked at again, slowly, only to tell what is wrong.

Prohibitions: no sockets, no state, no knowledge of what a request asks for.
"""

import re
from typing import Final

import msgspec

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # RFC 9110 section 5.6.2
FIELD: Final = TCHAR + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n"  # no folding, no space before the colon

LINE: Final = re.compile(rb"([A-Z]{1,16}) ([!-~]++) HTTP/1\.([01])")
"""A request line without its end. Groups: method, target, minor version."""

FIELDS: Final = re.compile(rb"\n(" + TCHAR + rb"++):([\t\x20-\x7e\x80-\xff]*+)\r(?=\n)")
"""The fields of a head. Each match is one whole line, so a head with as many as lines has no other."""

METHODS: Final = frozenset([b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])

SINGLE: Final = frozenset(
    [b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type", b"expect"]
)
"""Fields that a request may hold once: two of them leave open which counts."""

LENGTH_DIGITS_MAX: Final = 15

_HOST: Final = re.compile(
    rb"(?:(?!-)[0-9A-Za-z_-](?:[0-9A-Za-z_.-]{0,253}[0-9A-Za-z_.])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_PATH: Final = re.compile(rb"(?:/(?:[0-9A-Za-z\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*+)++")
_QUERY: Final = re.compile(rb"[!$-~]*+")  # printable ASCII but the quote and the hash
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE)
BARE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]")
_REQUEST_LINE: Final = re.compile(rb"([^ \r\n]+) ([^ \r\n]+) (HTTP/([0-9])\.([0-9]))")
_FIELD_LINE: Final = re.compile(FIELD)
_ENCODED: Final = re.compile(rb"%(?:2[ef]|5c|00|0[ad])", re.IGNORECASE)  # . / \ NUL LF CR


class Refusal(Exception):
    """A request that is answered with an error and a closed connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Target(msgspec.Struct, frozen=True):
    """`path` is as sent, percent-encoding kept. `authority`: of an absolute target, to compare with Host."""

    path: str
    query: bytes
    authority: bytes | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request line, read. `old`: HTTP/1.0."""

    method: bytes
    target: bytes
    where: Target
    old: bool


def why_no_head(data: bytes, bytes_max: int) -> Refusal:
    """What is wrong with a head, whole or not, that is not made of a `LINE` and `FIELDS`."""
    end = data.find(b"\r\n\r\n")
    data = data if end < 0 else data[: end + 4]
    if len(data) > bytes_max:
        return Refusal(431, f"The request's head is over {bytes_max} bytes.")
    line, _, rest = data.partition(b"\r\n")
    if BARE.search(data):
        return Refusal(400, "The request's head has a CR or an LF alone; lines end in CR LF.")
    if data.startswith(b"\x16\x03"):
        return Refusal(400, "This port speaks plain HTTP; the client began a TLS handshake. Use http://.")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return Refusal(400, "The request line is not `METHOD target HTTP/1.1`.")
    if match[4] != b"1":
        return Refusal(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if match[5] not in (b"0", b"1"):
        return Refusal(505, f"There is no {match[3].decode()}.")
    for field in rest.split(b"\r\n"):
        if field and _FIELD_LINE.fullmatch(field + b"\r\n") is None:
            return Refusal(400, _why_no_field(field))
    return Refusal(400, "The request's head is not valid HTTP/1.1.")


def _why_no_field(field: bytes) -> str:
    name, colon, _ = field.partition(b":")
    if field[:1] in (b" ", b"\t"):
        return "A header line begins with a space: folded headers are not accepted."
    if not colon:
        return "A header line has no colon."
    if name != name.rstrip():
        return "There is a space before the colon of a header."
    if b"\r" in field:
        return "A header holds a CR alone."
    return "A header's name or value holds a character that is not allowed there."


def looks_wrong(data: bytes | bytearray) -> bool:
    """Whether an unfinished head can be refused now rather than waited for."""
    return not (65 <= data[0] <= 90) or BARE.search(data) is not None


def read_target(target: bytes, encoded_slash_under: tuple[str, ...]) -> Target:
    """Raises `Refusal` for a target that another reader might take for another path."""
    authority = None
    if not target.startswith(b"/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise Refusal(400, "The request's target is neither a path nor an http URL.")
        authority, target = match[1], match[2] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        raise Refusal(400, "The request's target holds a character that is not allowed there.")
    segments = path.replace(b"%2F", b"/").replace(b"%2f", b"/") + b"/"
    if b"//" in segments[:-1] or b"/./" in segments or b"/../" in segments:
        raise Refusal(400, "The path has empty, `.` or `..` segments; write it without them.")
    text = path.decode("ascii")
    if b"%" in path:
        for found in _ENCODED.finditer(path):
            slash = found[0].lower() == b"%2f"
            if not (slash and any(text[: found.start()].startswith(p) for p in encoded_slash_under)):
                raise Refusal(400, f"The path holds {found[0].decode()}, which is not accepted in a path.")
    return Target(text, query, authority)


def is_host(host: bytes) -> bool:
    """RFC 9112 section 3.2: a name or an address, with or without a port, and nothing else."""
    return _HOST.fullmatch(host) is not None


def joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Fields with repeated names; lists are joined. Raises `Refusal` for a repeated single."""
    headers: dict[bytes, bytes] = {}
    for sent, blank in fields:
        name, value = sent.lower(), blank.strip()
        if name not in headers:
            headers[name] = value
        elif name in SINGLE:
            raise Refusal(400, f"The request has more than one {name.decode()} header.")
        else:
            headers[name] += b", " + value
    return headers


def body_length(length: bytes | None, coding: bytes | None, old: bool) -> int | None:
    """How many bytes of body follow, None for chunks. Raises `Refusal` where two readers could differ."""
    if coding is None:
        if length is None:
            return 0
        if length.isdigit() and len(length) <= LENGTH_DIGITS_MAX:
            return int(length)
        raise Refusal(400, "The content-length is not a number of bytes.")
    if length is not None:
        raise Refusal(400, "The request has both content-length and transfer-encoding.")
    if old:
        raise Refusal(400, "HTTP/1.0 has no transfer-encoding.")
    if coding.lower() != b"chunked":
        raise Refusal(400, "The only transfer-encoding accepted is `chunked`.")
    return None


# --- answers -------------------------------------------------------------------------------------

REASONS: Final = {
    100: "Continue",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    529: "Overloaded",
}

STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n".encode() for status in range(100, 600)
}
NO_BODY: Final = frozenset([204, 304])
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_FIELD_END: Final = re.compile(rb"[\r\n\0]")


def fields(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Header lines, each ended. A value that would end its line early is a mistake of ours: ValueError."""
    for name, value in headers:
        if _FIELD_END.search(name) or _FIELD_END.search(value):
            raise ValueError(f"header {name!r} would break its line")
    return b"".join([b"%b: %b\r\n" % field for field in headers])
