"""Models in this process: the embedded engine, seen by a call as one more upstream.

Theory: llama.cpp batches requests in slots on its own threads. A model is loaded when it is first asked
for, in a worker thread; each model then has as many workers as slots, so a worker that runs a request
holds a slot and the others wait in a queue. Every request is run as a stream, because only a stream can
be given up half-way: a plain answer is put together here from the stream's pieces. What a worker hears is
handed to the event loop in lots: many tokens, one wake-up. `pause` makes the worker wait, so no more is
taken from llama.cpp than the reader can take.

Prohibitions: no sink is called but on the event loop's thread; the event loop never waits for a model; no
socket of the engine stays reachable and no signal handler of it stays in place; nothing it logs reaches
our output.
"""

import asyncio
import atexit
import contextlib
import ctypes
import importlib
import os
import queue
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..faults import Fault
from ..world import Flow, Headers, Outgoing, Sink
from .gguf import read_head
from .pieces import ALIAS, Assembly, error_body, is_progress, require_tool, tidy

INSTALL = "the embedded engine is not installed; install it with: pip install 'fungible[local]'"
EMBEDDINGS = "/embeddings"
PLAIN: Headers = {b"content-type": b"application/json"}
STREAM: Headers = {b"content-type": b"text/event-stream"}
DONE = b"data: [DONE]\n\n"
BATCH_TOKENS = 512  # a prompt is taken in such steps, and a cancel is noticed between two
SMALL_BYTES = 64 * 1024 * 1024  # below this, threads cost more in waiting for each other than they bring
CLOSE_SECONDS = 5.0
SIGNALS = (2, 15)  # SIGINT and SIGTERM, which llama.cpp's server takes for itself


class _Options(msgspec.Struct):
    include_usage: bool = False


class _Peek(msgspec.Struct):
    """What has to be known of a request to run it."""

    model: str = ""
    stream: bool | None = False
    stream_options: _Options | None = None


class _Exchange:
    """One request under way: a `Flow` to the call, and to the worker a place to put what it hears."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink, body: bytes, peek: _Peek) -> None:
        self.body = body
        self.peek = peek
        self.cancelled = False
        self._loop = loop
        self._sink = sink
        self._lock = threading.Lock()
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._waiting: list[bytes] = []
        self._head: tuple[int, Headers] | None = None
        self._last: Fault | bool = False  # True: all is said; a fault: it broke
        self._woken = False
        self._over = False

    def pause(self) -> None:
        self._may_go_on.clear()

    def resume(self) -> None:
        self._may_go_on.set()

    def cancel(self) -> None:
        self.cancelled = self._over = True
        self._may_go_on.set()

    def wait(self) -> None:
        """For the worker: go no further while the reader is paused."""
        self._may_go_on.wait()

    def put(
        self, data: bytes = b"", head: tuple[int, Headers] | None = None, last: Fault | bool = False
    ) -> bool:
        """Hand over what was heard; `last` ends it, well or with a fault. False: nobody listens, stop."""
        if self.cancelled:
            return False
        with self._lock:
            if data:
                self._waiting.append(data)
            self._head = head or self._head
            self._last = self._last or last
            wake, self._woken = not self._woken, True
        if wake:
            try:
                self._loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # the loop is closed, and the caller with it
                self.cancelled = True
                return False
        return True

    def _tell(self) -> None:
        with self._lock:
            data, self._waiting = b"".join(self._waiting), []
            head, self._head = self._head, None
            last, self._woken = self._last, False
        if head and not self._over:
            self._sink.on_head(*head)
        if data and not self._over:
            self._sink.on_body(data)
        if last and not self._over:
            self._over = True
            if isinstance(last, Fault):
                self._sink.on_lost(last)
            else:
                self._sink.on_end()

    def refuse(self, status: int, body: bytes) -> None:
        self.put(body, (status, PLAIN), last=True)


class _Engine:
    """One GGUF file with its slots; `pooled` when it makes embeddings instead of text."""

    def __init__(
        self, path: Path, parallel: int, context_tokens: int, threads: int | None, *, pooled: bool
    ) -> None:
        self.path = path
        self._parallel = parallel
        self._context_tokens = context_tokens
        self._threads = threads
        self._pooled = pooled
        self._jobs: queue.SimpleQueue[_Exchange | None] = queue.SimpleQueue()
        self._loading = threading.Lock()
        self._server: Any = None
        self._workers: list[threading.Thread] = []
        self._running: weakref.WeakSet[_Exchange] = weakref.WeakSet()

    def submit(self, exchange: _Exchange) -> None:
        self._running.add(exchange)
        if not self._workers:
            name = f"fungible-{self.path.stem}"
            self._workers = [
                threading.Thread(target=self._work, name=name, daemon=True) for _ in range(self._parallel)
            ]
            for worker in self._workers:
                worker.start()
        self._jobs.put(exchange)

    def close(self) -> None:
        """Give up what runs, stop the workers and free the model."""
        for exchange in list(self._running):
            exchange.put(last=Fault("unavailable", f"the embedded model {self.path.stem} was shut down"))
            exchange.cancelled = True
            exchange.resume()
        for _ in self._workers:
            self._jobs.put(None)
        for worker in self._workers:
            worker.join(CLOSE_SECONDS)
        self._workers, self._server = [], None

    def _work(self) -> None:
        while exchange := self._jobs.get():
            if exchange.cancelled:
                continue
            try:
                server = self._loaded()
            except Fault as fault:
                exchange.put(last=fault)
                continue
            try:
                (_embed if self._pooled else _chat)(server, exchange)
            except Exception as error:  # the binding raises bare errors; none may end the worker
                _raised(exchange, error)
            del server

    def _loaded(self) -> Any:
        with self._loading:
            if self._server is None:
                self._server = self._load()
            return self._server

    def _load(self) -> Any:
        try:
            xllamacpp = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise Fault("unavailable", INSTALL) from error
        try:
            head = read_head(self.path)
        except (OSError, ValueError) as error:
            raise Fault("unavailable", f"the embedded model cannot be read: {error}") from error
        context = min(self._context_tokens, head.context_tokens or self._context_tokens)
        settings = xllamacpp.CommonParams()
        settings.model.path = str(self.path)
        settings.model_alias = {ALIAS}
        settings.n_parallel = self._parallel
        settings.n_ctx = context * self._parallel
        settings.n_batch = settings.n_ubatch = context if self._pooled else min(BATCH_TOKENS, context)
        settings.embedding = self._pooled
        if self._pooled and not head.pools:
            settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        threads = self._threads or (1 if self.path.stat().st_size < SMALL_BYTES else None)
        if threads:
            settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.verbosity = -1
        settings.warmup = settings.ui = settings.endpoint_slots = False
        settings.cache_ram_mib = 0
        settings.n_threads_http = 1
        with tempfile.TemporaryDirectory(prefix="fungible-") as folder, _signals_kept():
            # The engine insists on a listener. It gets a socket in a private folder that is gone once it is
            # up.
            settings.hostnames = [os.path.join(folder, "engine.sock")]
            settings.api_keys = [os.urandom(16).hex()]
            try:
                return xllamacpp.Server(settings)
            except Exception as error:
                raise Fault("unavailable", f"llama.cpp cannot load {self.path}: {error}") from error


class Embedded:
    """Models in this process, served by llama.cpp on its own threads; one engine per GGUF file, loaded at
    first use.

    `models` maps the names asked for to GGUF files. `parallel` requests of one model run at once and
    further ones queue; `context_tokens` is the most one request may hold, question and answer together
    (less where the model was trained for less); `threads` are llama.cpp's own, by default one for a small
    file, else one a core.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        parallel: int = 4,
        context_tokens: int = 4096,
        threads: int | None = None,
    ) -> None:
        self._models = dict(models)
        self._parallel = parallel
        self._context_tokens = context_tokens
        self._threads = threads
        self._engines: dict[tuple[Path, bool], _Engine] = {}
        self._closed = False
        # A loaded model left to the interpreter's last breath can hang it, so it is freed before.
        leave = weakref.WeakMethod(self.close)
        atexit.register(lambda: (close := leave()) and close())

    def send(self, outgoing: Outgoing, sink: Sink) -> Flow:
        """Run an OpenAI-shaped request. To be called on a running event loop; the sink is called there.

        An unknown model, a malformed body and too long a prompt are answered as OpenAI would, with a
        status and an error body. A model that cannot be loaded is a fault of kind `unavailable`.
        """
        loop = asyncio.get_running_loop()
        try:
            peek = msgspec.json.decode(outgoing.body, type=_Peek)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            exchange = _Exchange(loop, sink, b"", _Peek())
            exchange.refuse(400, error_body(str(error), "invalid_request_error"))
            return exchange
        exchange = _Exchange(loop, sink, outgoing.body, peek)
        path = self._models.get(peek.model)
        if self._closed:
            exchange.put(last=Fault("unavailable", "the embedded engine is closed"))
        elif path is None:
            said = f"The model '{peek.model}' does not exist. There is: {', '.join(self._models) or 'none'}."
            exchange.refuse(404, error_body(said, "invalid_request_error", "model_not_found", "model"))
        else:
            self._engine(path, outgoing.path.partition("?")[0].endswith(EMBEDDINGS)).submit(exchange)
        return exchange

    def close(self) -> None:
        """Stop all that runs and free the models; their sinks hear a fault. Waits some seconds at most."""
        self._closed = True
        while self._engines:
            self._engines.popitem()[1].close()

    def _engine(self, path: Path, pooled: bool) -> _Engine:
        engine = self._engines.get((path, pooled))
        if engine is None:
            engine = _Engine(path, self._parallel, self._context_tokens, self._threads, pooled=pooled)
            self._engines[path, pooled] = engine
        return engine


def _chat(server: Any, exchange: _Exchange) -> None:
    """Run a chat request and hand its answer over, streamed or whole."""
    streamed = bool(exchange.peek.stream)
    wanted: dict[str, Any] = msgspec.json.decode(exchange.body)
    require_tool(wanted)
    wanted["return_progress"] = True  # so that a cancel is noticed while a long prompt is read
    if not streamed:
        wanted |= {"stream": True, "stream_options": {"include_usage": True}}
    assembly, begun = Assembly(), False

    def heard(data: bytes) -> bool:
        """Called by llama.cpp for each piece; true tells it to stop and to free the slot."""
        nonlocal begun
        if data.startswith(b'{"error"'):
            _failed(exchange, data, begun)
            return True
        if is_progress(data):
            return exchange.cancelled
        if not streamed:
            assembly.add(tidy(data, exchange.peek.model))
            return exchange.cancelled
        exchange.wait()
        head, begun = None if begun else (200, STREAM), True
        return not exchange.put(b"data: " + tidy(data, exchange.peek.model) + b"\n\n", head)

    server.handle_chat_completions(msgspec.json.encode(wanted), heard)
    if streamed:
        if begun:
            exchange.put(DONE, last=True)
    elif assembly.pieces:
        exchange.put(assembly.whole(), (200, PLAIN), last=True)


def _embed(server: Any, exchange: _Exchange) -> None:
    """Run an embeddings request."""
    data = server.handle_embeddings(exchange.body)
    if data.startswith(b'{"error"'):
        _failed(exchange, data, False)
    else:
        exchange.put(tidy(data, exchange.peek.model), (200, PLAIN), last=True)


def _failed(exchange: _Exchange, data: bytes, begun: bool) -> None:
    """Pass llama.cpp's own error on: as an answer, or as a fault where an answer has begun."""
    error = msgspec.json.decode(data)["error"]
    status, message, kind = (
        int(error.get("code", 500)),
        str(error.get("message", "")),
        str(error.get("type", "")),
    )
    if begun:
        exchange.put(last=Fault("provider_error", f"the embedded model broke off: {message}"))
    elif kind == "exceed_context_size_error":
        exchange.refuse(
            400, error_body(message, "invalid_request_error", "context_length_exceeded", "messages")
        )
    else:
        exchange.refuse(status, error_body(message, kind or "server_error"))


def _raised(exchange: _Exchange, error: Exception) -> None:
    """Errors that the binding raises instead of answering: nearly all tell of a request it cannot read."""
    said = str(error)
    if isinstance(error, ValueError | TypeError) or "parse" in said or "expected" in said.lower():
        exchange.refuse(400, error_body(said, "invalid_request_error"))
    else:
        exchange.put(last=Fault("provider_error", f"the embedded model failed: {said}"))


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back what handled SIGINT and SIGTERM before.

    By libc, for `signal.signal` works in the main thread only.
    """
    if sys.platform == "win32":
        yield
        return
    libc = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(512) for number in SIGNALS}
    for number, room in before.items():
        libc.sigaction(number, None, room)
    try:
        yield
    finally:
        for number, room in before.items():
            libc.sigaction(number, room, None)
