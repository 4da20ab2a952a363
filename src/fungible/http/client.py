"""The client's edge: requests to providers over pooled connections, answers to their sinks.

One `Wire` per socket, on llhttp, and one `Fetch` per request. Where a free connection exists, sending is
one write and nothing else: no task, no timer. Connecting is a task. The last used connection is taken
first, so that the others can grow old and be closed.

A provider may close a free connection at the moment we write to it. If such a connection ends before any
byte of an answer, the request is sent once more, on a new one; that is not another attempt, for the
provider never read the first (RFC 9112 section 9.3.1). Only within a second or two of sending: one that
ends later may have been at work on the request, and that would be paid for twice.

Never here: redirects (a key would follow them), cookies, deadlines but the one for connecting. The
sink is never called from within `send`, `pause`, `resume` or `cancel`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import httptools
import msgspec

from ..faults import Fault
from ..world import Headers, Origin, Outgoing, Sink
from .dial import Proxies, Proxy, default_tls, reach, tunnel, unreachable
from .inflate import Inflate
from .limits import PoolLimits
from .spellings import Spellings
from .turn import Turn

COPY_BYTES_MAX: Final = 16 * 1024  # above this a body is written beside its head rather than joined to it
STALE_TICKS: Final = 1


class Site:
    """One origin, and the connections to it."""

    __slots__ = ("authorization", "count", "free", "origin", "prefix", "proxy", "waiting")

    def __init__(self, origin: Origin, proxy: Proxy | None) -> None:
        self.origin = origin
        self.proxy = proxy
        self.free: list[Wire] = []  # the last one was used last
        self.waiting: deque[Fetch] = deque()
        self.count = 0  # connections, those being made included
        self.prefix = b""  # of an absolute target, for a proxy that forwards
        self.authorization = b""
        if proxy is not None and origin.scheme == "http":
            host = f"[{origin.host}]" if ":" in origin.host else origin.host
            self.prefix = f"http://{host}:{origin.port}".encode()
            self.authorization = proxy.authorization

    def __str__(self) -> str:
        return f"{self.origin.host}:{self.origin.port}"


class Nobody:
    """The sink of a fetch that is over: who was told keeps the fetch, and must not be kept by it."""

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return True

    def on_head(self, status: int, headers: Headers) -> None: ...

    def on_body(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_lost(self, fault: Fault) -> None: ...


NOBODY: Final = Nobody()


class Unasked(Exception):
    """More bytes than the answer."""


class Fetch(msgspec.Struct, eq=False):
    """One request and its answer; what `send` returns."""

    _pool: "Pool"
    site: Site
    outgoing: Outgoing
    sink: Sink
    wire: "Wire | None" = None
    task: "asyncio.Task[None] | None" = None
    paused: bool = False
    reused: bool = False

    def lost(self, fault: Fault) -> None:
        sink, self.sink = self.sink, NOBODY
        sink.on_lost(fault)

    def pause(self) -> None:
        self.paused = True
        if self.wire is not None:
            self.wire.transport.pause_reading()

    def resume(self) -> None:
        self.paused = False
        if self.wire is not None:
            self.wire.transport.resume_reading()

    def cancel(self) -> None:
        self.sink = NOBODY
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.drop()
        else:
            self._pool.withdraw(self)


class Wire(asyncio.BufferedProtocol):
    """One connection to a provider. `get_buffer` bounds what is read at once, before a pause can act."""

    __slots__ = (
        "_complete",
        "_fields",
        "_headers",
        "_inflate",
        "_large",
        "_parser",
        "_pieces",
        "_pool",
        "_read",
        "_spellings",
        "_status",
        "_turn",
        "_usual",
        "_view",
        "alive",
        "fetch",
        "on_body",
        "on_header",
        "since",
        "site",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: "Pool", site: Site) -> None:
        self._pool = pool
        self._turn = pool.turn
        self._view = pool.view
        self._spellings = pool.spellings
        self._status = 0  # of the answer; 0 until its head is whole
        self._headers: Headers = {}
        self._fields: dict[bytes, bytes] = {}  # of the head under way, as spelled; of a name, the last
        self.on_header = self._fields.__setitem__  # as `on_body`
        self._pieces: list[bytes] = []  # this very list, always
        self.on_body = self._pieces.append  # told by llhttp for every chunk, so no Python stands between
        self._parser = httptools.HttpResponseParser(self)
        self._complete = False
        self._read = 0  # bytes of the answer before its head was whole
        self._large = False  # the request may still be on its way when the answer is there
        self._usual = False  # the head has nothing that needs a look here
        self._inflate: Inflate | None = None
        self.site = site
        self.alive = True  # may carry another request
        self.fetch: Fetch | None = None
        self.since = 0  # the tick when it was last written to, or became free

    # --- writing ---

    def begin(self, fetch: Fetch) -> None:
        """Sends the request; the connection is free and alive."""
        self.fetch = fetch
        fetch.wire = self
        self.since = self._pool.tick
        head, body = fetch.outgoing.head, fetch.outgoing.body
        if self.site.prefix:
            head = self._forwarded(head)
        size = len(body)
        if size > COPY_BYTES_MAX:
            self._large = True
            self.transport.writelines((b"%bcontent-length: %d\r\n\r\n" % (head, size), body))
        elif size or not head.startswith(b"GET "):
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, size, body))
        else:
            self.transport.write(head + b"\r\n")
        if fetch.paused:
            self.transport.pause_reading()

    def _forwarded(self, head: bytes) -> bytes:
        """The head as a proxy wants it: an absolute target (RFC 9112 section 3.2.2), and its password."""
        method, _, rest = head.partition(b" ")
        return method + b" " + self.site.prefix + rest + self.site.authorization

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's it is
        limit = getattr(transport, "set_read_buffer_limits", None)
        if limit is not None:  # TLS has a buffer of its own before ours
            limit(high=self._pool.limits.batch_bytes)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """One readable batch: parsed first, then told, so that a sink may do as it likes meanwhile."""
        fetch = self.fetch
        if fetch is None:
            self.drop()  # nobody asked for anything
            return
        begun, pieces = self._status, self._pieces
        fault = None
        try:
            self._parser.feed_data(self._view[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._complete:
                self.alive = False  # bytes after the end: the next answer could be one to nothing
            else:
                fault = Fault("provider_answer", f"{self.site} sent what is not HTTP/1.1: {error}.")
        if begun:
            if pieces and not self._complete and fault is None and self._inflate is None:
                fetch.sink.on_body(pieces.pop() if len(pieces) == 1 else self._joined())
                return  # in the midst of an answer: the one thing to do is to pass it on
        elif self._complete and self._usual and fault is None and len(pieces) == 1:
            try:
                whole = fetch.sink.on_whole(self._status, self._headers, pieces[0])
            except BaseException:
                self._let_go(fetch)
                self.drop()
                raise
            if whole:
                self._free(fetch)
                return
        turn = self._turn
        turn.open = True
        try:
            self._tell(fetch, nbytes, begun, fault)
        finally:
            turn.open = False
            if turn.held:
                turn.flush()

    def _joined(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    def eof_received(self) -> None:
        if self.fetch is None:
            self.drop()
        else:
            self._ended(self.fetch, None)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.fetch is not None:
            self._ended(self.fetch, exc)
        self._pool.closed(self)

    # --- called by llhttp ---

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        fields = self._fields
        if status >= 200:
            self._status = status
            names, self._usual = self._spellings[tuple(fields)]
            self._headers = dict(zip(names, fields.values(), strict=True))
        fields.clear()  # after a 1xx another head follows; what follows this one are trailers

    def on_message_begin(self) -> None:
        if self._complete:
            raise Unasked

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True
            if not self._parser.should_keep_alive():  # to be asked now: it forgets
                self.alive = False

    # --- reading ---

    def _tell(self, fetch: Fetch, nbytes: int, begun: int, fault: Fault | None) -> None:
        if not begun:
            fault = fault or self._judge_head(nbytes)
            if fault is not None:
                self._lose(fetch, fault)
                return
            if not self._status:
                return
            fetch.sink.on_head(self._status, self._headers)
            if self.fetch is not fetch:
                return
        pieces = self._pieces
        if pieces:
            data = pieces.pop() if len(pieces) == 1 else self._joined()
            if self._inflate is not None:
                data, inflating = self._inflate.feed(data)
                fault = fault or inflating
            if data:
                fetch.sink.on_body(data)
                if self.fetch is not fetch:
                    return
        if fault is not None:
            self._lose(fetch, fault)
        elif self._complete:
            self._finish(fetch)

    def _judge_head(self, nbytes: int) -> Fault | None:
        limits = self._pool.limits
        if not self._status:
            self._read += nbytes
            if self._read > limits.head_bytes_max:
                return Fault(
                    "provider_answer", f"{self.site} sent a head over {limits.head_bytes_max} bytes."
                )
            return None
        if self._usual:
            return None
        if len(self._headers) > limits.header_count_max:
            return Fault("provider_answer", f"{self.site} sent over {limits.header_count_max} headers.")
        coding = self._headers.get(b"content-encoding", b"").lower()
        return self._decode(coding) if coding not in (b"", b"identity") else None

    def _decode(self, coding: bytes) -> Fault | None:
        try:
            self._inflate = Inflate(coding, self._pool.limits.decoded_bytes_max)
        except Fault as fault:
            return fault
        gone = (b"content-encoding", b"content-length")  # neither is true of what the sink is told
        self._headers = {n: v for n, v in self._headers.items() if n not in gone}
        return None

    # --- the end of an answer ---

    def _finish(self, fetch: Fetch) -> None:
        fault = None if self._inflate is None else self._inflate.end()
        self._free(fetch)
        if fault is None:
            sink, fetch.sink = fetch.sink, NOBODY
            sink.on_end()
        else:
            fetch.lost(fault)

    def _free(self, fetch: Fetch) -> None:
        """The answer is whole: the connection may carry another request."""
        if self._large and self.transport.get_write_buffer_size() > 0:
            self.alive = False  # answered before all of the request was sent
        self._let_go(fetch)
        if self.alive:
            if fetch.paused:
                self.transport.resume_reading()
            self._pool.freed(self)
        else:
            self.drop()

    def _ended(self, fetch: Fetch, exc: BaseException | None) -> None:
        """The connection has ended while an answer was awaited, which may be how that answer ends."""
        early = not self._status and not self._read and self._pool.tick - self.since <= STALE_TICKS
        if early and fetch.reused:
            self._let_go(fetch)
            self.drop()
            self._pool.again(fetch)
        elif not self._status:
            how = "closed the connection" if exc is None else f"broke the connection ({_short(exc)})"
            self._lose(fetch, Fault("provider_error", f"{self.site} {how} before it answered."))
        elif exc is None and self._ends_with_connection():
            self.alive = False
            self._finish(fetch)
        else:
            kind, how = (
                ("provider_answer", "ended") if exc is None else ("provider_error", f"broke ({_short(exc)})")
            )
            self._lose(fetch, Fault(kind, f"The answer of {self.site} {how} before it was whole."))

    def _ends_with_connection(self) -> bool:
        """RFC 9112 section 6.3: neither a length nor chunks."""
        if self._inflate is not None:
            return True  # its own end mark is looked at
        return b"content-length" not in self._headers and b"transfer-encoding" not in self._headers

    def _lose(self, fetch: Fetch, fault: Fault) -> None:
        self._let_go(fetch)
        self.drop()
        fetch.lost(fault)

    def _let_go(self, fetch: Fetch) -> None:
        fetch.wire = self.fetch = None
        self._status = self._read = 0
        self._complete = self._large = False
        self._headers = {}
        self._pieces.clear()
        self._inflate = None

    def drop(self) -> None:
        """Closes at once; whoever used it hears nothing."""
        self.fetch = None
        self.alive = False
        self._pool.not_free(self)
        self.transport.abort()


class Pool:
    """Implements `world.Upstream` over HTTP/1.1.

    proxies:   scheme (`http`, `https`, `all`) -> URL of an HTTP proxy, as in HTTP_PROXY and its like
    no_proxy:  what is reached directly all the same, as in NO_PROXY: names, or one text with commas
    tls:       what TLS trusts; by default the system's store, loaded when first needed
    turn:      open while a batch is being told, for the server that writes answers

    Raises `Fault` (bad_request) for a proxy that cannot be used. One thread, one event loop.
    """

    def __init__(
        self,
        *,
        proxies: Mapping[str, str] | None = None,
        no_proxy: Iterable[str] | str = (),
        tls: ssl.SSLContext | None = None,
        limits: PoolLimits | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.limits = limits or PoolLimits()
        self.turn = turn or Turn()
        self.view = memoryview(bytearray(self.limits.batch_bytes))  # every connection reads into it, in turn
        self.tick = 0
        self.spellings = Spellings(self.limits.header_count_max)
        self._proxies = Proxies(proxies or {}, no_proxy)
        self._tls = tls
        self._sites: dict[Origin, Site] = {}
        self._wires: set[Wire] = set()
        self._opening: set[Fetch] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def send(self, outgoing: Outgoing, sink: Sink) -> Fetch:
        site = self._sites.get(outgoing.origin)
        if site is None:
            site = self._sites[outgoing.origin] = Site(outgoing.origin, self._proxies.find(outgoing.origin))
        fetch = Fetch(self, site, outgoing, sink)
        free = site.free
        while free:
            wire = free.pop()
            if not wire.transport.is_closing():
                fetch.reused = True
                wire.begin(fetch)
                return fetch
        self._seek(fetch)
        return fetch

    def close(self) -> None:
        """Closes every connection. Who still waits for an answer hears that it is lost."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        lost = [*self._opening, *(wire.fetch for wire in self._wires if wire.fetch is not None)]
        for site in self._sites.values():
            lost += site.waiting
            site.waiting.clear()
        sinks = [(fetch.sink, "unreachable" if fetch.wire is None else "provider_error") for fetch in lost]
        for fetch in lost:
            fetch.cancel()
        for wire in tuple(self._wires):
            wire.drop()
        for sink, kind in sinks:
            sink.on_lost(Fault(kind, "The gateway is stopping."))

    # --- for the connections ---

    def freed(self, wire: Wire) -> None:
        site = wire.site
        if site.waiting:
            fetch = site.waiting.popleft()
            fetch.reused = True
            wire.begin(fetch)
        elif len(site.free) < self.limits.idle_per_origin and not self._closed:
            wire.since = self.tick
            site.free.append(wire)
        else:
            wire.drop()

    def not_free(self, wire: Wire) -> None:
        if wire in wire.site.free:
            wire.site.free.remove(wire)

    def closed(self, wire: Wire) -> None:
        self.not_free(wire)
        if wire in self._wires:
            self._wires.discard(wire)
            self._one_less(wire.site)

    def again(self, fetch: Fetch) -> None:
        """Once more, on a new connection."""
        fetch.reused = False
        self._seek(fetch, first=True)

    def withdraw(self, fetch: Fetch) -> None:
        task = fetch.task
        if task is not None:
            self._opened(fetch)
            self._one_less(fetch.site)
            task.cancel()
        elif fetch in fetch.site.waiting:
            fetch.site.waiting.remove(fetch)

    # --- connecting ---

    def _seek(self, fetch: Fetch, *, first: bool = False) -> None:
        site, limit = fetch.site, self.limits.connections_per_origin
        if limit is None or site.count < limit or self._closed:
            self._start_opening(fetch)
        elif first:
            site.waiting.appendleft(fetch)
        else:
            site.waiting.append(fetch)

    def _start_opening(self, fetch: Fetch) -> None:
        fetch.site.count += 1
        self._opening.add(fetch)
        fetch.task = asyncio.get_running_loop().create_task(self._open(fetch))

    def _one_less(self, site: Site) -> None:
        site.count -= 1
        if site.waiting and not self._closed:
            self._start_opening(site.waiting.popleft())

    def _opened(self, fetch: Fetch) -> None:
        """Connecting is over, one way or another."""
        self._opening.discard(fetch)
        fetch.task = None

    async def _open(self, fetch: Fetch) -> None:
        site, limit_ms = fetch.site, fetch.outgoing.connect_ms
        try:
            if self._closed:
                raise Fault("unreachable", "The gateway is stopping.")
            async with asyncio.timeout(limit_ms / 1000):
                wire = await self._connect(site)
        except Exception as error:  # the border: whatever a name, a socket or TLS can raise
            if fetch in self._opening:
                self._opened(fetch)
                self._one_less(site)
                fetch.lost(unreachable(error, site.origin, site.proxy, limit_ms))
            return
        if fetch not in self._opening:  # withdrawn at the very moment
            wire.drop()
            return
        self._opened(fetch)
        self._wires.add(wire)
        if self._sweeping is None:
            self._sweep_later()
        wire.begin(fetch)

    async def _connect(self, site: Site) -> Wire:
        origin, proxy = site.origin, site.proxy
        sock = await reach(*(origin.host, origin.port) if proxy is None else (proxy.host, proxy.port))
        secure = origin.scheme == "https"
        try:
            if secure and proxy is not None:
                await tunnel(sock, origin, proxy)
            if secure and self._tls is None:
                self._tls = default_tls()
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(self, site),
                sock=sock,
                ssl=self._tls if secure else None,
                server_hostname=origin.host if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return wire

    # --- time ---

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(self.limits.sweep_ms / 1000, self._sweep)

    def _sweep(self) -> None:
        """Closes connections that have been free for long. The oldest are at the front."""
        self.tick = tick = self.tick + 1
        old = tick - self.limits.idle_ms // self.limits.sweep_ms
        for site in self._sites.values():
            while site.free and site.free[0].since <= old:
                site.free[0].drop()
        self._sweeping = None
        if self._wires and not self._closed:
            self._sweep_later()


def _short(exc: BaseException) -> str:
    return getattr(exc, "strerror", None) or type(exc).__name__
