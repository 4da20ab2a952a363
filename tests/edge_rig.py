"""What the tests of the two edges share: both event loops, a handler that remembers, raw sockets."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.http.limits import Limits
from fungible.http.loop import listen
from fungible.http.server import Request, Responder, Server
from fungible.world import Headers, Origin, Outgoing

try:
    import uvloop
except ImportError:
    uvloop = None

LOOPS = ["asyncio"] if uvloop is None else ["uvloop", "asyncio"]
TIME_MAX_S = 15

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


def runner(name: str) -> Runner:
    def run(main: Coroutine[Any, Any, Any]) -> Any:
        factory = uvloop.new_event_loop if name == "uvloop" else asyncio.SelectorEventLoop
        with asyncio.Runner(loop_factory=factory) as one:
            return one.run(asyncio.wait_for(main, TIME_MAX_S))

    return run


both_loops = pytest.mark.parametrize("run", [runner(name) for name in LOOPS], ids=LOOPS)


class Seen:
    """A call that remembers what the client did."""

    def __init__(self, request: Request, responder: Responder) -> None:
        self.request = request
        self.responder = responder
        self.heard: list[str] = []
        self.gone = asyncio.Event()
        self.ready = asyncio.Event()

    def on_client_gone(self) -> None:
        self.heard.append("gone")
        self.gone.set()

    def on_client_blocked(self) -> None:
        self.heard.append("blocked")
        self.ready.clear()

    def on_client_ready(self) -> None:
        self.heard.append("ready")
        self.ready.set()


class Desk:
    """A handler. `answer` is called for each request; without one the request's own body comes back."""

    def __init__(self, answer: Callable[[Seen], None] | None = None) -> None:
        self.calls: list[Seen] = []
        self.answer = answer or (lambda seen: seen.responder.reply(200, b"", seen.request.body))

    def on_request(self, request: Request, responder: Responder) -> Seen:
        seen = Seen(request, responder)
        self.calls.append(seen)
        self.answer(seen)
        return seen

    def refuse(self, status: int, message: str, path: str) -> bytes:
        return f"refused {status} {path} {message}".encode()


def hold(_: Seen) -> None:
    """An answer for `Desk`: none for now."""


@asynccontextmanager
async def serving(desk: Any, limits: Limits | None = None, **more: Any) -> Any:
    """(server, port)"""
    sock = listen("127.0.0.1", 0)
    server = Server(desk, limits, **more)
    await server.start(sock)
    try:
        yield server, sock.getsockname()[1]
    finally:
        await server.stop(0)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def raw(port: int, data: bytes, seconds: float = 5.0) -> bytes:
    """Everything the server says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read(-1)
    finally:
        writer.close()


STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in STATUS.findall(answer)]


class Pipe(asyncio.Transport):
    """A transport without a socket, for a protocol that is fed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False
        self.ended = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes) -> None:
        assert not self.ended and not self.closed, "written to after its end"
        self.sent += data

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Heard:
    """A sink that remembers: (status, headers), body pieces, and how it ended."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.ends = 0
        self.fault: Fault | None = None
        self.over = asyncio.Event()
        self.begun = asyncio.Event()
        self.takes_whole = True
        self.wholes = 0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        assert body
        if self.takes_whole:
            self.wholes += 1
            self.on_head(status, headers)
            self.on_body(body)
            self.on_end()
        return self.takes_whole

    def on_head(self, status: int, headers: Headers) -> None:
        assert not self.status and not self.over.is_set()
        self.status = status
        self.headers = dict(headers)
        self.begun.set()

    def on_body(self, data: bytes) -> None:
        assert self.status and not self.over.is_set() and data
        self.pieces.append(data)

    def on_end(self) -> None:
        assert self.status and not self.over.is_set()
        self.ends += 1
        self.over.set()

    def on_lost(self, fault: Fault) -> None:
        assert not self.over.is_set()
        self.fault = fault
        self.over.set()

    async def done(self, seconds: float = 5.0) -> "Heard":
        async with asyncio.timeout(seconds):
            await self.over.wait()
        return self


def post(
    port: int, body: bytes = b"{}", *, scheme: str = "http", host: str = "127.0.0.1", **more: Any
) -> Outgoing:
    head = b"POST /v1/x HTTP/1.1\r\nhost: %b:%d\r\ncontent-type: application/json\r\n" % (host.encode(), port)
    return Outgoing(Origin(scheme, host, port), "/v1/x", head, body, **more)


class Provider:
    """A scripted upstream: `script(reader, writer, n)` is run for each connection; n counts from 1."""

    def __init__(self, script: Callable[..., Coroutine[Any, Any, None]], **more: Any) -> None:
        self.script = script
        self.more = more
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = 0

    async def __aenter__(self) -> "Provider":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **self.more)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await settle()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(self, reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Reads one request; its head and body."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(found[1])) if found else b""
        self.requests.append(head + body)
        return head + body


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def answering(*answers: bytes, close: bool = False) -> Any:
    """A script: one of the answers for each request of each connection, the last for all further ones."""

    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        while True:
            await self.request(reader)
            writer.write(answers[min(len(self.requests), len(answers)) - 1])
            await writer.drain()
            if close:
                return

    return script


async def ask(pool: Any, provider: Provider, **more: Any) -> Heard:
    heard = Heard()
    pool.send(post(provider.port, **more), heard)
    return await heard.done()
