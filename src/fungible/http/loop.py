"""The event loop and the socket to listen on: uvloop where it is to be had, otherwise asyncio's own."""

import asyncio
import errno
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..faults import Fault

try:
    import uvloop
except ImportError:  # not made for every platform
    uvloop = None  # type: ignore[assignment, unused-ignore]

Result = TypeVar("Result")

BACKLOG = 1024
KEEPALIVE_IDLE_S = 30
KEEPALIVE_PROBES = 4
USER_TIMEOUT_MS = 60_000  # sent bytes unacknowledged for this long: the peer has vanished


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Runs `main` to its end on a new loop."""
    if uvloop is None:
        return asyncio.run(main)
    return uvloop.run(main)


def loop_name() -> str:
    return "asyncio" if uvloop is None else "uvloop"


def tune(sock: socket.socket) -> None:
    """What both edges want of a TCP socket: no delay for small writes, and to learn of a vanished peer.

    Accepted sockets need it said: asyncio sets no TCP_NODELAY on a socket whose `proto` is 0, and a
    stream then stalls for 40 ms at a time.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
            ("TCP_KEEPINTVL", KEEPALIVE_IDLE_S // 3),
            ("TCP_KEEPCNT", KEEPALIVE_PROBES),
            ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
        ):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except OSError:  # the peer was faster and is gone; reading will say so
        pass


def listen(host: str, port: int, reuse_port: bool = False) -> socket.socket:
    """A listening TCP socket. `port` 0: any free one. `reuse_port`: several workers may listen on it.

    Raises `Fault`: `conflict` for a port in use, `permission`, or `bad_request` for an address that
    this machine does not have.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, proto, _, address = found[0]
        sock = socket.socket(family, kind, proto or socket.IPPROTO_TCP)
    except OSError as error:
        raise Fault("bad_request", f"Cannot listen on {host!r}: {_reason(error)}.") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise Fault("bad_request", "This system cannot share a port; run with --workers 1.")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise _cannot_listen(error, host, port) from None
        raise
    return sock


def _cannot_listen(error: OSError, host: str, port: int) -> Fault:
    if error.errno == errno.EADDRINUSE:
        return Fault(
            "conflict",
            f"Port {port} on {host} is already in use. Choose another with --port, or stop the program "
            f"that listens there (`ss -ltnp 'sport = :{port}'` names it).",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Fault(
            "permission",
            f"This user may not listen on port {port} of {host}. Choose one above 1023 with --port.",
        )
    return Fault("bad_request", f"Cannot listen on port {port} of {host}: {_reason(error)}.")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
