"""The world outside a call, as the inside may know it: shapes only, no clock, no socket, no chance.

An `Upstream` takes one outgoing request and tells a `Sink` what comes back. The HTTP client, the
embedded engine and the simulator are three of them, and a call cannot tell which it talks to.
All calls are made on one thread, the event loop's; nothing here blocks or awaits.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from .faults import Fault

Headers: TypeAlias = Mapping[bytes, bytes]  # names in lower case; of a name sent twice, the last


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """One address to connect to. `host` is a name or an IP without brackets."""

    scheme: str  # http or https
    host: str
    port: int


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One request to a provider.

    `head` is the request line and every header but content-length and the blank line, ready to send,
    each line ended by CRLF; `path` is the request target in `head`, for upstreams that are no HTTP.
    """

    origin: Origin
    path: str
    head: bytes
    body: bytes
    connect_ms: int = 5_000


class Sink(Protocol):
    """Who listens to an answer. `on_lost` or `on_end` is the last call; neither follows a `cancel`."""

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """An answer that came at once: all there is. False: it is wanted as head, body and end instead."""

    def on_head(self, status: int, headers: Headers) -> None: ...

    def on_body(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_lost(self, fault: Fault) -> None:
        """The answer will not come, or not whole. Kind `unreachable`: no byte of the request was sent."""


class Flow(Protocol):
    """A running exchange with an upstream, seen from the side that reads it."""

    def pause(self) -> None:
        """Stop reading from the upstream until `resume`; what is under way may still arrive."""

    def resume(self) -> None: ...

    def cancel(self) -> None:
        """Give up: close the connection or free the slot. The sink hears nothing more."""


class Upstream(Protocol):
    def send(self, outgoing: Outgoing, sink: Sink) -> Flow: ...


Chance: TypeAlias = Callable[[], float]  # a number in [0, 1)
