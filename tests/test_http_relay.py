"""Both edges together: a handler that moves a call's bytes from one to the other, as the gateway does."""

import asyncio
import gc
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.http.client import Pool, Site, Wire
from fungible.http.connection import Connection
from fungible.http.gate import Gate
from fungible.http.limits import Limits
from fungible.http.server import Request, Responder
from fungible.world import Flow, Headers, Origin, Outgoing

from .edge_rig import OK, Pipe, Provider, Runner, answering, both_loops, raw, serving, statuses, until

ROOT = Path(__file__).resolve().parent.parent
HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = GET.replace(b"Host: a", b"Host: a\r\nConnection: close")

by_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it is measured in /proc")


class Move:
    """One call: a `Call` for the server, a `Sink` for the client."""

    flow: Flow

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.fault: Fault | None = None
        self.told = 0

    def on_client_gone(self) -> None:
        self.flow.cancel()

    def on_client_blocked(self) -> None:
        self.flow.pause()

    def on_client_ready(self) -> None:
        self.flow.resume()

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return False

    def on_head(self, status: int, headers: Headers) -> None:
        self.responder.start(status, [(k, v) for k, v in headers.items() if k.startswith(b"x-")])

    def on_body(self, data: bytes) -> None:
        self.told += len(data)
        self.responder.write(data)

    def on_end(self) -> None:
        self.responder.end()

    def on_lost(self, fault: Fault) -> None:
        self.fault = fault
        self.responder.abort()


class Relay:
    def __init__(self, pool: Pool, port: int) -> None:
        self.pool = pool
        self.origin = Origin("http", "127.0.0.1", port)
        self.moves: list[Move] = []
        self.remember = True

    def on_request(self, request: Request, responder: Responder) -> Move:
        move = Move(responder)
        move.flow = self.pool.send(Outgoing(self.origin, "/v1/x", HEAD, request.body), move)
        if self.remember:
            self.moves.append(move)
        return move

    def refuse(self, status: int, message: str, path: str) -> bytes:
        return message.encode()


def unchunked(answer: bytes) -> bytes:
    rest, body = answer.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size, 16)
        body += rest[:n]
        rest = rest[n + 2 :]
        if n == 0:
            return body
    raise AssertionError("no last chunk")


@both_loops
def test_a_call_comes_through(run: Runner) -> None:
    large = bytes(range(256)) * 4_000
    answer = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: %d\r\n\r\n" % len(large) + large

    async def main() -> None:
        async with Provider(answering(OK, answer)) as provider:
            pool = Pool()
            async with serving(Relay(pool, provider.port), turn=pool.turn) as (_, port):
                assert unchunked(await raw(port, LAST)) == b"{}"
                got = await raw(port, LAST)
                assert b"\r\nx-a: b\r\n" in got
                assert unchunked(got) == large
                assert provider.connections == 1
            pool.close()

    run(main())


def test_one_batch_is_one_write() -> None:
    """However many pieces, with the head before them and the end behind."""

    class Counting(Pipe):
        writes = 0

        def write(self, data: bytes) -> None:
            self.writes += 1
            super().write(data)

    chunk = b"data: {}\n\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%b\r\n" % (len(chunk), chunk) * 64
    end = b"0\r\n\r\n"

    async def main() -> None:
        pool = Pool()
        relay = Relay(pool, 80)
        connection = Connection(Gate(relay, Limits(), pool.turn, asyncio.get_running_loop()))
        client = Counting()
        connection.connection_made(client)
        site = pool._sites[relay.origin] = Site(relay.origin, None)
        wire = Wire(pool, site)
        wire.connection_made(provider := Counting())
        pool.freed(wire)
        for batches, writes in (
            ([head + chunks + end], 1),
            ([head, chunks, end], 2),
            ([head + chunks, chunks + end], 2),
        ):
            client.writes = provider.writes = 0
            client.sent = b""
            connection.data_received(GET)
            assert provider.writes == 1
            for batch in batches:
                wire.get_buffer(-1)[: len(batch)] = batch
                wire.buffer_updated(len(batch))
            assert client.writes == writes, batches
            assert unchunked(client.sent) == chunk * (64 * sum(chunks in batch for batch in batches))

    asyncio.run(main())


@both_loops
def test_a_slow_reader_costs_a_quarter_of_a_megabyte(run: Runner) -> None:
    size = 40_000_000

    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()
        await reader.read(1)

    async def main() -> None:
        async with Provider(script) as provider:
            pool = Pool()
            relay = Relay(pool, provider.port)
            async with serving(relay, turn=pool.turn) as (server, port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
                writer.write(LAST)
                await until(lambda: relay.moves and relay.moves[0].told)
                (connection,) = server._gate.members
                most = got = 0
                while got < size:
                    data = await reader.read(200_000)
                    assert data, "the answer was cut short"
                    got += len(data)
                    most = max(most, connection.transport.get_write_buffer_size())
                    if got < 3_000_000:
                        await asyncio.sleep(0.002)
                assert got > size
                assert 0 < most <= 256 * 1024
                writer.close()
            pool.close()

    run(main())


def closed(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("leave", [closed, reset])
@pytest.mark.parametrize("when", ["waiting", "streaming", "behind"])
@both_loops
def test_a_client_that_leaves_ends_the_providers_work(run: Runner, when: str, leave: Any) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        if when != "waiting":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        while when == "behind":
            writer.write(b"10000\r\n%b\r\n" % (b"x" * 0x10000))
            await writer.drain()
        await reader.read(1)

    async def main() -> None:
        async with Provider(script) as provider:
            pool = Pool()
            relay = Relay(pool, provider.port)
            async with serving(relay, turn=pool.turn) as (server, port):
                sock = socket.create_connection(("127.0.0.1", port))
                sock.sendall(GET)
                await until(lambda: provider.requests)
                if when == "streaming":
                    await until(lambda: relay.moves[0].told == 3)
                elif when == "behind":
                    await until(lambda: not relay.moves[0].responder.writable)
                    await asyncio.sleep(0.05)
                leave(sock)
                await until(lambda: provider.closed == 1)
                assert relay.moves[0].fault is None
                await until(lambda: server.connections == 0)
            pool.close()

    run(main())


@both_loops
def test_a_provider_that_breaks_off_leaves_no_end(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    async def main() -> None:
        async with Provider(script) as provider:
            pool = Pool()
            async with serving(Relay(pool, provider.port), turn=pool.turn) as (_, port):
                got = await raw(port, GET)
                assert statuses(got) == [200]
                assert got.endswith(b"\r\n\r\n3\r\nabc\r\n")
            pool.close()

    run(main())


@both_loops
def test_a_call_leaves_no_garbage(run: Runner) -> None:
    """What a call made is freed when it ends, by counting; nothing waits for the collector."""

    async def main() -> int:
        async with Provider(answering(OK)) as provider:
            provider.requests = Forgetful()
            pool = Pool()
            relay = Relay(pool, provider.port)
            relay.remember = False
            async with serving(relay, turn=pool.turn) as (_, port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)

                async def calls(n: int) -> None:
                    for _ in range(n):
                        writer.write(GET)
                        await reader.readuntil(b"0\r\n\r\n")

                await calls(10)
                gc.collect()
                gc.disable()
                try:
                    await calls(200)
                    found = gc.collect()
                finally:
                    gc.enable()
                writer.close()
            pool.close()
        return found

    assert run(main()) < 100


@by_proc
@both_loops
def test_memory_does_not_grow_with_calls(run: Runner) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def main() -> int:
        async with Provider(answering(OK)) as provider:
            provider.requests = Forgetful()
            pool = Pool()
            relay = Relay(pool, provider.port)
            relay.remember = False
            async with serving(relay, turn=pool.turn) as (_, port):

                async def calls(n: int) -> None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    for _ in range(n):
                        writer.write(GET)
                        await reader.readuntil(b"0\r\n\r\n")
                    writer.close()

                for _ in range(10):
                    await calls(20)
                before = resident()
                for _ in range(50):
                    await calls(20)
                grown = resident() - before
            pool.close()
        return grown

    assert run(main()) < 2_000_000


class Forgetful(list[bytes]):
    def append(self, _: bytes) -> None:
        pass


FEW = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from fungible.http.limits import Limits
from fungible.http.loop import listen, run
from fungible.http.server import Server
class Desk:
    def on_request(self, request, responder):
        responder.reply(200, b"", b"ok")
    def refuse(self, status, message, path):
        return message.encode()
async def main():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    sock = listen("127.0.0.1", 0)
    server = Server(Desk(), Limits(sweep_ms=50))
    if sys.argv[1] == "no margin":
        server._gate.members_max = 1000
    await server.start(sock)
    print(sock.getsockname()[1], flush=True)
    await asyncio.sleep(30)
runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) if sys.argv[2] == "asyncio" else None
run(main()) if runner is None else runner.run(main())
"""


@by_proc
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("margin", ["a margin", "no margin"])
def test_a_process_out_of_file_descriptors_waits_and_recovers(loop: str, margin: str) -> None:
    """More connections than descriptors: no spinning, and service again once some are closed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", FEW, margin, loop],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            held = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
            time.sleep(0.3)
            before = cpu_seconds(process.pid)
            time.sleep(0.5)
            assert cpu_seconds(process.pid) - before < 0.25
            for sock in held:
                sock.close()
            give_up = time.monotonic() + 5
            while not served(port):
                assert time.monotonic() < give_up, "it does not recover"
                time.sleep(0.1)
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.sendall(LAST)
            return sock.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
