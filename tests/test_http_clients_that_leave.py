"""Clients that leave, or lag: who works for them hears of it at once, and is held back."""

import asyncio
import socket
import struct

import pytest

from fungible.http.limits import Limits

from .edge_rig import Desk, Runner, both_loops, hold, serving, until

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = Limits(head_ms=200, body_ms=400, idle_ms=300, write_ms=300, linger_ms=200, sweep_ms=20)


def post(body: bytes, *more: bytes) -> bytes:
    lines = [b"POST /x HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *more, b"", body]
    return b"\r\n".join(lines)


def closed(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_closed(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("streaming", [False, True], ids=["waiting", "streaming"])
@pytest.mark.parametrize("leave", [closed, reset, half_closed])
@both_loops
def test_a_client_that_leaves_is_reported_at_once(run: Runner, leave: object, streaming: bool) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (server, port):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(post(b"abc"))
            await until(lambda: desk.calls)
            seen = desk.calls[0]
            if streaming:
                seen.responder.start(200, b"")
                seen.responder.write(b"a piece")
                await asyncio.sleep(0.02)
            leave(sock)
            async with asyncio.timeout(5):
                await seen.gone.wait()
            assert seen.heard == ["gone"]
            assert seen.responder.done
            seen.responder.write(b"into nothing")
            seen.responder.end()
            await until(lambda: server.connections == 0)
            sock.close()

    run(main())


@both_loops
def test_a_client_that_leaves_with_requests_sent_ahead(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (server, port):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(post(b"one") + post(b"two"))
            await until(lambda: desk.calls)
            sock.close()
            await until(lambda: server.connections == 0)
            assert len(desk.calls) == 1
            assert desk.calls[0].heard == ["gone"]

    run(main())


@both_loops
def test_a_slow_reader_holds_the_writer_back(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(GET)
            await until(lambda: desk.calls)
            seen = desk.calls[0]
            seen.responder.start(200, b"")
            sent = 0
            while seen.responder.writable:
                seen.responder.write(b"x" * 10_000)
                sent += 10_000
                await asyncio.sleep(0)
            assert seen.heard == ["blocked"]
            (connection,) = server._gate.members
            assert connection.transport.get_write_buffer_size() < 64 * 1024 + 11_000
            got = 0
            while got < sent:
                got += len(await reader.read(100_000))
            async with asyncio.timeout(2):
                await seen.ready.wait()
            assert seen.heard == ["blocked", "ready"]
            assert seen.responder.writable
            seen.responder.end()
            writer.close()

    run(main())


@both_loops
def test_a_reader_that_stops_is_gone_in_time(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold), QUICK) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(GET)
            await until(lambda: desk.calls)
            seen = desk.calls[0]
            seen.responder.start(200, b"")
            while seen.responder.writable:
                seen.responder.write(b"x" * 50_000)
                await asyncio.sleep(0)
            async with asyncio.timeout(2):
                await seen.gone.wait()
            assert seen.heard == ["blocked", "gone"]
            await until(lambda: server.connections == 0)
            writer.close()

    run(main())


@both_loops
def test_an_answered_reader_that_stops_is_closed_in_time(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold), QUICK) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(GET + GET)
            await until(lambda: desk.calls)
            desk.calls[0].responder.reply(200, b"", b"x" * 20_000_000)
            await asyncio.sleep(0.05)
            assert len(desk.calls) == 1, "a client that does not read is asked for no more work"
            await until(lambda: server.connections == 0, 3)
            writer.close()

    run(main())
