"""What all client connections of a process share: the limits, the count of ticks, the room that is left.

A connection asks the gate whether a target, a host, a size may pass; it answers by raising `Refusal`, or
not. The states of a connection stand here, each with the limit that ends it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from .framing import LINE, METHODS, Asked, Refusal, Target, is_host, read_target
from .limits import Limits
from .responder import Handler, Head
from .turn import Turn

try:
    import resource
except ImportError:  # not made for every platform
    resource = None  # type: ignore[assignment]

FRESH: Final = 0
IDLE: Final = 1
READING_HEAD: Final = 2
READING_BODY: Final = 3
ANSWER: Final = 4
BEHIND: Final = 5
LINGER: Final = 6
CLOSING: Final = 7

TIME_MS: Final[dict[int, Callable[[Limits], int]]] = {
    FRESH: lambda limits: limits.head_ms,
    IDLE: lambda limits: limits.idle_ms,
    READING_HEAD: lambda limits: limits.head_ms,
    READING_BODY: lambda limits: limits.body_ms,
    BEHIND: lambda limits: limits.write_ms,
    LINGER: lambda limits: limits.linger_ms,
    CLOSING: lambda limits: limits.write_ms,
}
"""How long a state may last. ANSWER is not here: a call has deadlines of its own."""

KNOWN_LINES_MAX: Final = 1024
KNOWN_LINE_BYTES: Final = 256
KNOWN_HEADS_MAX: Final = 512
KNOWN_HEAD_BYTES: Final = 4096
FOREVER: Final = 1 << 62
NO_HEAD: Final = Head(Asked(b"", b"", Target("", b""), False), {})


class Member(Protocol):
    """A connection, as the gate sees it."""

    state: int
    since: int  # the tick at which its state began
    keep: bool

    def refuse(self, refusal: Refusal) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def expired(self) -> None: ...


class Gate:
    def __init__(self, handler: Handler, limits: Limits, turn: Turn, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.limits = limits
        self.turn = turn
        self.head_bytes_max = limits.head_bytes_max
        self.header_count_max = limits.header_count_max
        self.body_bytes_max = limits.body_bytes_max
        self.members: set[Member] = set()
        self.members_max = min(limits.connections_max, _connections_possible())
        self.draining = False
        self.tick = 0
        self.emptied = asyncio.Event()
        self._loop = loop
        self._bodies_bytes = 0
        self.known: dict[bytes, Asked] = {}  # request lines that were found to be in order
        self.heads: dict[bytes, Head] = {}  # by their bytes without the content-length's digits
        self.last_host = b"\n"  # the last that was found to be in order; no Host is a line feed
        self._limit_ticks = tuple(
            limits.ticks(TIME_MS[state](limits)) if state in TIME_MS else FOREVER
            for state in range(CLOSING + 1)
        )

    def joined(self, member: Member) -> None:
        self.members.add(member)
        if self.draining:
            member.close()
        elif len(self.members) > self.members_max:
            member.refuse(Refusal(503, "Too many connections; try again later."))
            member.close()

    def left(self, member: Member) -> None:
        self.members.discard(member)
        if not self.members:
            self.emptied.set()

    def sweep(self) -> None:
        """One more tick, and an end to every state that has lasted too long."""
        self.tick = tick = self.tick + 1
        limits = self._limit_ticks
        for member in [m for m in self.members if tick - m.since >= limits[m.state]]:
            member.expired()

    def read_line(self, line: bytes) -> Asked | None:
        """None for what is no request line at all. Raises `Refusal` for one that is not served."""
        match = LINE.fullmatch(line)
        if match is None:
            return None
        method, target, minor = match.groups()
        asked = Asked(method, target, read_target(target, self.limits.encoded_slash_under), minor == b"0")
        if method not in METHODS:
            status = 400 if method in (b"CONNECT", b"TRACE") else 501
            raise Refusal(status, f"The method {method.decode()} is not served here.")
        if len(line) <= KNOWN_LINE_BYTES:
            if len(self.known) >= KNOWN_LINES_MAX:
                self.known.clear()
            self.known[line] = asked
        return asked

    def remember(self, key: bytes, head: Head) -> None:
        """A head that was in order, of a request with a body of known length on a connection that stays."""
        if len(key) <= KNOWN_HEAD_BYTES:
            if len(self.heads) >= KNOWN_HEADS_MAX:
                self.heads.clear()
            self.heads[key] = head

    def too_long(self) -> Refusal:
        bytes_max, count_max = self.head_bytes_max, self.header_count_max
        return Refusal(431, f"The request's head has over {bytes_max} bytes or {count_max} headers.")

    def check_host(self, host: bytes | None, where: Target, old: bool) -> None:
        """RFC 9112 section 3.2; an absolute target must name the same host, or two readers may differ."""
        if host is None:
            if not old:
                raise Refusal(400, "The request has no Host header.")
        elif host != self.last_host:
            if not is_host(host):
                raise Refusal(400, "The Host header is not a host name or address with or without a port.")
            self.last_host = host
        if where.authority is not None and (host is None or where.authority.lower() != host.lower()):
            raise Refusal(400, "The target names another host than the Host header.")

    def check_body(self, size: int) -> None:
        if size > self.limits.body_bytes_max:
            raise Refusal(413, f"The request's body is over {self.limits.body_bytes_max} bytes.")

    def reserve(self, size: int) -> None:
        """Room for a larger body; negative gives it back."""
        if size > 0 and self._bodies_bytes + size > self.limits.bodies_bytes_max:
            raise Refusal(503, "Too many large requests are under way; try again later.")
        self._bodies_bytes += size

    def report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})


def _connections_possible() -> int:
    """Half of the file descriptors that may be opened: each call may need one more, to its provider."""
    if resource is None:
        return 1 << 30
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(8, (soft - 32) // 2)
