"""How a request to a provider begins: where it goes, and how the key goes on it.

A provider's base URL is read once into an `Aim`: the origin to connect to, the path that every request
path is put behind, and the header lines that are the same for each request, key included. A head is
then a request line and those lines.

What stands in an `Aim` may be a secret. A `Secret` and an `Aim` show nothing of it in repr, str, format,
JSON or pickle; only `reveal` and `head` give it out. What this file refuses, it refuses without quoting
a secret: a key or a header with a line break in it (it would begin another header), a URL with a user
name or password (RFC 9110, section 4.2.4), a scheme that is not http or https.
"""

import re
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol
from urllib.parse import urlsplit

import msgspec

from ..dialects.base import Dialect
from ..faults import Fault
from ..version import VERSION
from ..world import Origin, Outgoing
from .base import Provider

EMBEDDED = "local"  # the scheme of a base URL that is no address: the engine in this very process
PORTS = {"http": 80, "https": 443}
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name, RFC 9110 section 5.6.2
OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}
)
REDACTED = b"[secret]"
SECRET_CHARS_MIN = 8  # a shorter header value is a flag or a version, and may stand in any text
SECRET_QUERY = re.compile(r"(?i)(^|[^a-z])(.*key|.*token|.*secret|sig|signature|password)$")


class Secret:
    """A text that is not shown by accident. `reveal` gives it out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not copied or pickled")


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _x_api_key(key: str) -> dict[str, str]:
    return {"x-api-key": key}


def _api_key(key: str) -> dict[str, str]:
    return {"api-key": key}


def _x_goog_api_key(key: str) -> dict[str, str]:
    return {"x-goog-api-key": key}


def _none(_key: str) -> dict[str, str]:
    return {}


SIGNERS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": _bearer,  # RFC 6750
    "x-api-key": _x_api_key,
    "api-key": _api_key,
    "x-goog-api-key": _x_goog_api_key,
    # Each request is signed by itself, as it goes out:
    "sigv4": _none,  # `sigv4.Signer`
    "sigv4-token": _none,  # `sigv4.Presigner`
    "google": _none,  # `tokens.Bearer`, as "entra"
    "entra": _none,
    "none": _none,
}


class Sign(Protocol):
    """What signs each request by itself. Raises `Fault` (unreachable) where it cannot: nothing is sent then.

    `pending`: it cannot yet, and will soon be able to, or know why not.
    """

    @property
    def pending(self) -> bool: ...

    def __call__(self, outgoing: Outgoing, now_ms: int) -> Outgoing: ...

    def secrets(self) -> tuple[bytes, ...]:
        """What a request shows of what it is signed with, and an answer that refuses it may repeat."""


class Address(msgspec.Struct, frozen=True):
    """A base URL, read. `path` has no slash at its end; `query` is put behind every path, with its `?`."""

    origin: Origin
    path: str = ""
    query: str = ""


def address(base_url: str) -> Address:
    """Raises `Fault` (bad_request) that says what is wrong with the URL, without its secrets."""
    if base_url.startswith(EMBEDDED + ":"):
        return Address(Origin(EMBEDDED, base_url.removeprefix(EMBEDDED + ":"), 0))
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        raise _bad("has a character that a URL cannot hold; write it percent-encoded")
    try:
        url = urlsplit(base_url)
        port = url.port
    except ValueError:
        raise _bad("is no URL: its host or port is malformed") from None
    if url.scheme not in PORTS:
        raise _bad("must begin with http:// or https://")
    if "@" in url.netloc:
        raise _bad("holds a user name or password. Take it out and give the key as `key`")
    host = url.hostname or ""
    if not re.fullmatch(r"[0-9a-z._-]+|[0-9a-f:.]+", host):
        raise _bad("has no valid host")
    if url.fragment or base_url.endswith("#"):
        raise _bad("has a fragment (#...); take it out")
    if any(SECRET_QUERY.search(pair.partition("=")[0]) for pair in url.query.split("&") if url.query):
        raise _bad("seems to hold a secret in its query. Take it out and give the key as `key`")
    if port == 0:
        raise _bad("has no valid port")
    origin = Origin(url.scheme, host, port if port is not None else PORTS[url.scheme])
    return Address(origin, url.path.rstrip("/"), f"?{url.query}" if url.query else "")


def _bad(what: str) -> Fault:
    return Fault("bad_request", what, path="base_url")


class Aim:
    """Where one provider's requests go and what they carry. It holds the key, so it shows nothing."""

    __slots__ = ("_lines", "_path", "_query", "_secrets", "origin", "sign")

    def __init__(
        self, to: Address, lines: bytes, secrets: tuple[bytes, ...] = (), sign: Sign | None = None
    ) -> None:
        self.sign = sign
        self.origin = to.origin
        self._path = to.path
        self._query = to.query
        self._lines = lines
        self._secrets = secrets

    def path(self, suffix: str) -> str:
        """The request target: base path, `suffix`, query. The suffix may have a query of its own."""
        query = self._query
        if query and "?" in suffix:
            query = "&" + query[1:]
        return f"{self._path}{suffix}{query}"

    def head(self, suffix: str) -> bytes:
        """`Outgoing.head`: the request line and the headers but for content-length, each ended by CRLF."""
        return b"POST %b HTTP/1.1\r\n%b" % (self.path(suffix).encode("ascii"), self._lines)

    def redacted(self, data: bytes) -> bytes:
        """What a provider said, without the secrets it was sent: some repeat a key that they refuse."""
        for secret in (*self._secrets, *(self.sign.secrets() if self.sign is not None else ())):
            data = data.replace(secret, REDACTED)
        return data

    def __repr__(self) -> str:
        return f"Aim({self.origin!r}, {self._path!r}, ...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Aim is not copied or pickled")


def aim(
    provider: Provider,
    dialect: Dialect,
    key: Secret | None,
    headers: Mapping[str, Secret],
    sign: Sign | None = None,
) -> Aim:
    """What every request to `provider` shares. `headers` are the operator's; they replace ours and the rows'.

    `sign`: what signs each request by itself.

    Raises `Fault` (bad_request) for a base URL, a header or a key that cannot be sent.
    """
    to = address(provider.base_url)
    if dialect.name not in provider.paths:
        _no_doubled_path(to.path, dialect.path)
    if to.origin.scheme == EMBEDDED:
        return Aim(to, b"")
    signed = SIGNERS[provider.signer](key.reveal()) if key is not None else {}
    fields = {
        "host": _host(to.origin),
        "content-type": "application/json",
        "accept": "application/json",  # as the official SDKs send it, for streams too
        "accept-encoding": "identity",  # bytes are looked at and moved as they are
        "user-agent": f"fungible/{VERSION}",
        **dialect.headers,
        **provider.headers,
        **signed,
    }
    for name, value in headers.items():
        fields[header_name(name)] = value.reveal()
    given = [value.reveal() for value in (key, *headers.values()) if value is not None]
    secrets = tuple(text.encode() for text in given if len(text) >= SECRET_CHARS_MIN)
    return Aim(to, b"".join(_line(name, value) for name, value in fields.items()), secrets, sign)


def header_name(name: str) -> str:
    """In lower case. Raises `Fault` for what is no header name, or is set by the sender of the bytes."""
    lower = name.lower()
    if not TOKEN.fullmatch(name):
        raise Fault("bad_request", f"{name!r} is no header name", path="headers")
    if lower in OURS:
        raise Fault(
            "bad_request", f"the header {lower!r} is set by fungible and cannot be replaced", path="headers"
        )
    return lower


def sendable(value: str) -> bool:
    """Whether a header can carry it: visible ASCII, spaces and tabs inside (RFC 9110, section 5.5)."""
    return value.isascii() and value.replace("\t", " ").isprintable() and value == value.strip()


def _line(name: str, value: str) -> bytes:
    if not sendable(value):
        raise Fault(
            "bad_request",
            f"the value of the header {name!r} has a line break or another character that no header can hold",
            path="headers",
        )
    return f"{name}: {value}\r\n".encode("ascii")


def _host(origin: Origin) -> str:
    name = f"[{origin.host}]" if ":" in origin.host else origin.host
    return name if origin.port == PORTS[origin.scheme] else f"{name}:{origin.port}"


def _no_doubled_path(base: str, suffix: str) -> None:
    """People paste the whole address, or a `/v1` that the dialect's path begins with."""
    if base.endswith(suffix):
        raise _bad(f"ends in {suffix!r}, which fungible puts there itself; take it out")
    first = "/" + suffix.split("/")[1]
    if suffix.count("/") > 1 and base.endswith(first):
        raise _bad(f"ends in {first!r}, which fungible puts there itself; take it out")
