"""A scripted provider on loopback: what it answers is a list of steps, byte for byte.

    with Upstream() as up:
        up.script = [answer(200, JSON, body)]           # the next requests, in order; the last one repeats
        up.base                                         # http://127.0.0.1:PORT

A step is bytes to send, a number of seconds to wait, CLOSE or RESET. It keeps what it was sent.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

CLOSE = "close"
RESET = "reset"
JSON = "application/json"
SSE = "text/event-stream"

Step = bytes | float | str


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    closed: threading.Event = field(default_factory=threading.Event)  # the gateway hung up

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(
    status: int, kind: str, body: bytes | str | dict, headers: dict[str, str] | None = None
) -> list[Step]:
    """A plain answer, with its length."""
    data = (
        json.dumps(body).encode()
        if isinstance(body, dict)
        else body.encode()
        if isinstance(body, str)
        else body
    )
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + data]


def stream(*pieces: Step, headers: dict[str, str] | None = None, end: bool = True) -> list[Step]:
    """A chunked event stream; waits and breaks may stand between its pieces."""
    lines = ["HTTP/1.1 200 OK", f"content-type: {SSE}", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    steps: list[Step] = ["\r\n".join(lines).encode() + b"\r\n\r\n"]
    steps += [b"%x\r\n%b\r\n" % (len(p), p) if isinstance(p, bytes) else p for p in pieces]
    return [*steps, b"0\r\n\r\n"] if end else steps


class Upstream:
    def __init__(self, respond: Callable[[Seen], Iterable[Step]] | None = None) -> None:
        self.script: list[Sequence[Step]] = []
        self.respond = respond
        self.seen: list[Seen] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lock = threading.Lock()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Upstream":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(10)

    def _stop(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.05, self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (seen := await self._read(reader)) is not None:
                with self._lock:
                    self.seen.append(seen)
                    steps = self.respond(seen) if self.respond is not None else self._next()
                try:
                    goes_on = await self._play(steps, reader, writer, seen)
                except ConnectionError:  # it hung up before it had read all: that comes as a reset
                    seen.closed.set()
                    raise
                if not goes_on:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _next(self) -> Sequence[Step]:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def _read(self, reader: asyncio.StreamReader) -> Seen | None:
        head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
        if not head:
            return None
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, path, headers, body)

    async def _play(
        self, steps: Iterable[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen
    ) -> bool:
        for step in steps:
            if step == CLOSE:
                return False
            if step == RESET:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif await self._gone(reader, float(step)):
                seen.closed.set()
                return False
        return True

    async def _gone(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        """Wait, and notice whether the other side hangs up meanwhile."""
        waiting = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait([waiting], timeout=seconds)
        if not done:
            waiting.cancel()
            await asyncio.wait([waiting])  # until it is cancelled nobody else may read
            return False
        return waiting.result() == b""
