"""Reaching an address: proxies, names, sockets, certificates. The slow path, once per connection.

Gives a connected socket, or raises `Fault` (unreachable): nothing of a request has been sent by then.
Addresses of a name are tried a quarter of a second apart (RFC 8305), so that one dead network does not
use up the time. The environment is not read here; who builds the pool says which proxies there are.
"""

import asyncio
import base64
import ipaddress
import socket
import ssl
from asyncio import staggered
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec

from ..faults import Fault
from ..world import Origin
from .loop import tune

Info: TypeAlias = tuple[int, int, int, str, Any]  # as getaddrinfo gives it

STAGGER_S: Final = 0.25
TUNNEL_HEAD_BYTES_MAX: Final = 16 * 1024


class Proxy(msgspec.Struct, frozen=True):
    """`authorization`: header line for the proxy, with its CRLF; empty where it asks for none."""

    host: str
    port: int
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Proxies:
    """Which proxy leads to an origin: `http`, `https` and `all` as in HTTP_PROXY and its like.

    `no_proxy` holds what is reached directly: `*`, a host name (and all below it, with or without a
    leading dot), either with `:port`, an IP address or a network (`10.0.0.0/8`).
    """

    def __init__(self, proxies: Mapping[str, str], no_proxy: Iterable[str] | str) -> None:
        """Raises `Fault` (bad_request) for a proxy that is no http URL."""
        self._by_scheme = {
            scheme: read_proxy(url) for scheme, url in proxies.items() if url and scheme != "no"
        }
        if isinstance(no_proxy, str):
            no_proxy = no_proxy.split(",")
        self._direct = tuple(name.strip().lower() for name in no_proxy if name.strip())

    def find(self, origin: Origin) -> Proxy | None:
        proxy = self._by_scheme.get(origin.scheme) or self._by_scheme.get("all")
        if proxy is None or any(_covers(entry, origin) for entry in self._direct):
            return None
        return proxy


PROXIES = "only http://HOST:PORT proxies are spoken to"


def read_proxy(url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else "http://" + url)
    except ValueError:  # whose words would repeat it, password and all
        raise Fault("bad_request", f"A proxy cannot be used, for it is no URL: {PROXIES}.") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or port == 0:
        shown = f"{parts.scheme}://{parts.hostname or ''}"
        raise Fault("bad_request", f"The proxy {shown} cannot be used: {PROXIES}.")
    authorization = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = b"proxy-authorization: Basic " + base64.b64encode(pair) + b"\r\n"
    return Proxy(parts.hostname, port or 80, authorization)


def _covers(entry: str, origin: Origin) -> bool:
    host = origin.host.lower()
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit():
        if int(port) != origin.port:
            return False
        entry = name.strip("[]")
    entry = entry.removeprefix("*").lstrip(".")
    return bool(entry) and (host == entry or host.endswith("." + entry))


# --- sockets -------------------------------------------------------------------------------------


async def reach(host: str, port: int) -> socket.socket:
    """A connected socket, tuned. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    if len(found) == 1:
        return await _connect(loop, found[0])
    tries = [lambda info=info: _connect(loop, info) for info in _alternating(found)]
    winner, _, errors = await staggered.staggered_race(tries, STAGGER_S)
    if isinstance(winner, socket.socket):
        return winner
    raise next((e for e in errors if isinstance(e, OSError)), OSError("no address could be reached"))


def _alternating(found: Sequence[Info]) -> list[Info]:
    """RFC 8305 section 4: the families take turns, the resolver's first choice first."""
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    mixed = [info for pair in zip(first, other, strict=False) for info in pair]
    return mixed + first[len(other) :] + other[len(first) :]


async def _connect(loop: asyncio.AbstractEventLoop, info: Info) -> socket.socket:
    family, kind, proto, _, address = info
    sock = socket.socket(family, kind, proto or socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        tune(sock)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def tunnel(sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Has the proxy connect the socket to the origin (RFC 9110 section 9.3.6). Raises `Fault`, OSError."""
    loop = asyncio.get_running_loop()
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    to = f"{host}:{origin.port}".encode()
    await loop.sock_sendall(
        sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (to, to, proxy.authorization)
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte at the end would be safe too; the proxy sends nothing more before we do.
        more = await loop.sock_recv(sock, 4096)
        head += more
        if not more or len(head) > TUNNEL_HEAD_BYTES_MAX:
            raise Fault("unreachable", f"The proxy {proxy.host}:{proxy.port} did not answer CONNECT.")
    line = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(line) < 2 or not line[0].startswith(b"HTTP/1.") or not line[1].startswith(b"2"):
        status = line[1].decode("latin-1")[:3] if len(line) > 1 else "nothing"
        hint = " Check the name and password in the proxy's URL." if status == "407" else ""
        raise Fault(
            "unreachable",
            f"The proxy {proxy.host}:{proxy.port} answered {status} to CONNECT {host}:{origin.port}.{hint}",
        )


def default_tls() -> ssl.SSLContext:
    """The system's trust store (OpenSSL honours SSL_CERT_FILE and SSL_CERT_DIR), HTTP/1.1 by ALPN."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def unreachable(error: BaseException, origin: Origin, proxy: Proxy | None, limit_ms: int) -> Fault:
    """The fault that a failure to connect is, in words."""
    if isinstance(error, Fault):
        return error
    at = f"{origin.host}:{origin.port}"
    by = f" through the proxy {proxy.host}:{proxy.port}" if proxy is not None else ""
    if isinstance(error, TimeoutError):
        return Fault("unreachable", f"{at} took no connection within {limit_ms} ms{by}.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault(
            "unreachable",
            f"The certificate of {at} was not accepted{by}: {error.verify_message}. Add the authority that "
            "issued it to the system's trust store, or name its file in SSL_CERT_FILE.",
        )
    if isinstance(error, ssl.SSLError):
        return Fault("unreachable", f"No TLS connection with {at}{by}: {error.reason or error}.")
    if isinstance(error, socket.gaierror):
        name = proxy.host if proxy is not None else origin.host
        return Fault("unreachable", f"The name {name} could not be resolved: {error.strerror or error}.")
    if isinstance(error, ConnectionRefusedError):
        return Fault("unreachable", f"{at} refused the connection{by}: nothing listens there.")
    if isinstance(error, UnicodeError):
        return Fault("unreachable", f"{origin.host!r} is not a host name.")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Fault("unreachable", f"No connection with {at}{by}: {reason}.")
