"""fungible in this process: the very same calls, without a server and without a socket to it.

    client = fungible.Client()                              # or Client(config="fungible.toml")
    client.chat("local/llama", "What is fungible?").text
    SDK(api_key="x", base_url="http://fungible/v1", http_client=client.http())

`http()` is a transport for the HTTP library that the official SDKs use, so each of them runs through
fungible by one argument. No key is asked for: whoever can import this may use the providers' keys.

`Client` drives its app on a loop of its own in a daemon thread; `AsyncClient` on the loop it is used in.
Close them, or use them with `with`, so that the ledger is folded at once and not by the next reader.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from types import ModuleType, TracebackType
from typing import Any, Protocol, TypeVar

import httpx2
import msgspec

from . import config as configuration
from .app import App
from .dialects import DIALECTS
from .events import Failed, TextDelta
from .faults import Fault
from .ir import Message, Reply, Text
from .ir import Request as Canonical
from .losses import Report
from .serve import tick

Result = TypeVar("Result")
Piece_co = TypeVar("Piece_co", covariant=True)

QUEUED_BYTES_MAX = 64 * 1024
TOLD_S = 0.5  # how long those who wait may take to hear that the client is closed
CLOSED = "This Client is closed."


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: the text, and the whole canonical reply behind it.

    `cost_usd` is a decimal, None where the price is not known; `losses` as in the header x-fungible-losses.
    """

    text: str
    reply: Reply
    call: str
    target: str
    attempts: int
    cost_usd: str | None
    losses: str


class _Request:
    """Implements `gateway.Request`."""

    __slots__ = ("body", "headers", "method", "note", "path", "query")

    def __init__(self, method: bytes, target: str, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.method, self.headers, self.body = method, headers, body
        self.path, _, query = target.partition("?")
        self.query = query.encode()
        self.note: Any = None

    @property
    def head(self) -> "_Request":
        return self


class _Inbox:
    """Implements `exchange.Client`: what a call tells, kept for a reader on the same loop.

    It iterates over the answer's body itself. A reader who stops before the end must `aclose` it, begun or
    not: so the call hears that nobody listens any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.begun: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        self.exchange: Any = None
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._blocked = False
        self._ended = False
        self._more = asyncio.Event()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.start(status, head)
        self.write(body)
        self.end()

    def start(self, status: int, head: bytes) -> None:
        if not self.begun.done():
            self.begun.set_result((status, head))

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._bytes += len(data)
        self._more.set()
        if self._bytes > QUEUED_BYTES_MAX and self.exchange is not None and not self._blocked:
            self._blocked = True
            self.exchange.on_client_blocked()

    def end(self) -> None:
        self._ended = True
        self._more.set()

    def __aiter__(self) -> "_Inbox":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._ended:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        data, self._pieces, self._bytes = b"".join(self._pieces), [], 0
        if self._blocked:
            self._blocked = False
            self.exchange.on_client_ready()
        return data

    async def aclose(self) -> None:
        self.leave()

    def leave(self) -> None:
        if not self._ended:
            self._ended = True
            self._more.set()
            self.exchange.on_client_gone()

    async def whole(self) -> bytes:
        try:
            return b"".join([piece async for piece in self])
        finally:
            self.leave()


class AsyncClient:
    """Every provider, on the running loop. It starts when it is first used, and anew on another loop
    after the first has ended; two loops that live at once need a client each.
    """

    def __init__(self, config: str | None = None, *, record: bool = True) -> None:
        """`record` False: nothing is recorded, whatever the configuration says."""
        self._config = configuration.load(config)
        self._record = record
        self._app: App | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the calls under way, and fold the ledger."""
        app, self._app = self._app, None
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if app is not None:
            app.close()

    async def send(
        self, method: str, path: str, headers: Mapping[bytes, bytes], body: bytes
    ) -> tuple[int, bytes, _Inbox]:
        """One request as a client of the data port would send it: (status, header lines, body in pieces)."""
        app = self._running()
        inbox = _Inbox(asyncio.get_running_loop())
        inbox.exchange = app.front.on_request(_Request(method.encode(), path, headers, body), inbox)
        try:
            status, head = await inbox.begun
        except asyncio.CancelledError:
            inbox.leave()
            raise
        return status, head, inbox

    async def chat(self, model: str, prompt: str, *, system: str | None = None, **settings: Any) -> Answer:
        """Ask once. `settings` are fields of `ir.Request` (`max_output_tokens`, `temperature`, ...).

        Raises `Fault` with what went wrong, as the provider or fungible told it.
        """
        status, head, pieces = await self._ask(model, prompt, system, settings, stream=False)
        body = await pieces.whole()
        told = _fields(head)
        reply = _read(status, body)
        parts = reply.choices[0].parts if reply.choices else ()
        return Answer(
            text="".join(part.text for part in parts if isinstance(part, Text)),
            reply=reply,
            call=told.get("x-fungible-call", ""),
            target=told.get("x-fungible-target", ""),
            attempts=int(told.get("x-fungible-attempts", "0")),
            cost_usd=told.get("x-fungible-cost-usd"),
            losses=told.get("x-fungible-losses", "0"),
        )

    async def stream(
        self, model: str, prompt: str, *, system: str | None = None, **settings: Any
    ) -> AsyncGenerator[str, None]:
        """The answer's text as it comes. Raises `Fault`, also in the middle."""
        status, _, pieces = await self._ask(model, prompt, system, settings, stream=True)
        if status != 200:
            _read(status, await pieces.whole())
        reader = _dialect().stream_reader()
        try:
            async for piece in pieces:
                for event in reader.feed(piece):
                    if isinstance(event, TextDelta):
                        yield event.text
                    elif isinstance(event, Failed):
                        raise event.fault
        finally:
            pieces.leave()

    def http(self, library: ModuleType = httpx2) -> Any:
        """An async HTTP client for an official SDK. `library`: httpx2, or httpx for SDKs that want it."""
        return library.AsyncClient(transport=_async_transport(self, library), timeout=None)

    async def _ask(
        self, model: str, prompt: str, system: str | None, settings: Mapping[str, Any], *, stream: bool
    ) -> tuple[int, bytes, _Inbox]:
        said = [Message(role="system", parts=(Text(text=system),))] if system is not None else []
        messages = (*said, Message(role="user", parts=(Text(text=prompt),)))
        request = Canonical(model=model, messages=messages, stream=stream, **settings)
        dialect = _dialect()
        body = dialect.write_request(request, Report(), frozenset())
        return await self.send("POST", dialect.client_paths[0], {}, body)

    def app(self) -> App:
        """The object graph behind the calls, on the running loop; started where it is not yet."""
        return self._running()

    def _running(self) -> App:
        loop = asyncio.get_running_loop()
        if self._app is not None and self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError(
                    "This AsyncClient is at work on another event loop; make one for each loop."
                )
            self._app.close()
            self._app = None
        if self._app is None:
            self._app = App(self._config, record=self._record)
            self._app.serve_anyone()
            self._loop = loop
            self._ticking = loop.create_task(tick(self._app, _unheard))
        return self._app


class Client:
    """The same for code that does not await. Safe to use from several threads."""

    def __init__(self, config: str | None = None) -> None:
        self._inner = AsyncClient(config)
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fungible", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the calls under way, fold the ledger, end the thread."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10.0)
        self._loop.close()

    async def _end(self) -> None:
        await self._inner.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(left, timeout=TOLD_S) if left else None  # they were told the end of their calls
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def chat(self, model: str, prompt: str, *, system: str | None = None, **settings: Any) -> Answer:
        """As `AsyncClient.chat`."""
        return self.wait(self._inner.chat(model, prompt, system=system, **settings))

    def stream(self, model: str, prompt: str, *, system: str | None = None, **settings: Any) -> Iterator[str]:
        """As `AsyncClient.stream`."""
        return self.drawn(self._inner.stream(model, prompt, system=system, **settings))

    def http(self, library: ModuleType = httpx2) -> Any:
        """An HTTP client for an official SDK. `library`: httpx2, or httpx for an SDK that wants that."""
        return library.Client(transport=_sync_transport(self, self._inner, library), timeout=None)

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run on the client's loop, and wait here. Raises `Fault` (unavailable) once it is closed."""
        if self._closed:
            work.close()
            raise Fault("unavailable", CLOSED)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise Fault("unavailable", CLOSED) from None
        except BaseException:
            future.cancel()  # an interrupt: whoever waited is gone, and so is the call
            raise

    def drawn(self, pieces: "Pieces[Result]") -> Iterator[Result]:
        """What an iterator on the client's loop gives. Left early, it closes that iterator."""
        try:
            while (piece := self.wait(_next(pieces))) is not None:
                yield piece
        finally:
            self.leave(pieces)

    def leave(self, pieces: "Pieces[Any]") -> None:
        """Close an iterator on the client's loop, from any thread."""
        if threading.current_thread() is self._thread:  # the garbage collector may come by anywhere
            self._loop.create_task(_close(pieces))
        elif not self._closed:
            self.wait(_close(pieces))


class Pieces(Protocol[Piece_co]):
    """What is read on the client's loop."""

    def __anext__(self) -> Awaitable[Piece_co]: ...

    def aclose(self) -> Awaitable[None]: ...


async def _next(pieces: Pieces[Result]) -> Result | None:
    try:
        return await pieces.__anext__()
    except StopAsyncIteration:
        return None


async def _close(pieces: Pieces[Any]) -> None:
    await pieces.aclose()


def _unheard(text: str) -> None:
    """A library does not write to its user's terminal."""


def _dialect() -> Any:
    """The dialect that `chat` speaks inside; any would do."""
    return next(iter(DIALECTS.values()))


def _read(status: int, body: bytes) -> Reply:
    if status != 200:
        raise _dialect().read_error(status, {}, body)
    reply: Reply = _dialect().read_reply(body)
    return reply


def _fields(head: bytes) -> dict[str, str]:
    lines = [line.partition(b": ") for line in head.split(b"\r\n") if line]
    return {name.decode().lower(): value.decode("latin-1") for name, _, value in lines}


def _asked(request: Any) -> tuple[str, str, dict[bytes, bytes]]:
    headers = {name.lower(): value for name, value in request.headers.raw}
    return request.method, request.url.raw_path.decode(), headers


def _async_transport(client: AsyncClient, library: Any) -> Any:
    """A transport of the library's own kind over an `AsyncClient`."""

    class Body(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, pieces: _Inbox) -> None:
            self.pieces = pieces

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.pieces:
                yield piece

        async def aclose(self) -> None:
            self.pieces.leave()

    class Transport(library.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            body = await request.aread()
            status, head, pieces = await client.send(*_asked(request), body)
            return library.Response(status, headers=_fields(head), stream=Body(pieces), request=request)

    return Transport()


def _sync_transport(client: Client, inner: AsyncClient, library: Any) -> Any:
    """A transport of the library's own kind over a `Client`."""

    class Body(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, pieces: _Inbox) -> None:
            self.pieces = pieces

        def __iter__(self) -> Iterator[bytes]:
            yield from client.drawn(self.pieces)

        def close(self) -> None:
            client.leave(self.pieces)

    class Transport(library.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            body = request.read()
            status, head, pieces = client.wait(inner.send(*_asked(request), body))
            return library.Response(status, headers=_fields(head), stream=Body(pieces), request=request)

    return Transport()


__all__ = ["Answer", "AsyncClient", "Client", "Fault"]
