"""The server's edge over time: deadlines, limits, one request after another, answers of every form."""

import asyncio
import socket
import time

import pytest

from fungible.faults import Fault
from fungible.http.framing import fields
from fungible.http.limits import Limits
from fungible.http.loop import listen

from .edge_rig import Desk, Runner, Seen, both_loops, hold, raw, serving, settle, statuses, until

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = Limits(head_ms=200, body_ms=400, idle_ms=300, write_ms=300, linger_ms=200, sweep_ms=20)


def post(body: bytes, *more: bytes) -> bytes:
    lines = [b"POST /x HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *more, b"", body]
    return b"\r\n".join(lines)


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


# --- heads that come again ------------------------------------------------------------------------


@both_loops
def test_a_head_is_known_again_by_every_byte_but_its_length(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for body, key in (
                (b"one", b"k1"),
                (b"three", b"k1"),
                (b"", b"k1"),
                (b"four", b"k2"),
                (b"x" * 70, b"k1"),
            ):
                writer.write(post(body, b"X-Key: " + key))
                assert await read_answer(reader) == body
            for known in (b"POST /x HTTP/1.1", b"POST /y HTTP/1.1"):
                writer.write(post(b"ab").replace(b"POST /x HTTP/1.1", known))
                assert await read_answer(reader) == b"ab"
            seen = [(c.request.path, c.request.headers.get(b"x-key"), c.request.body) for c in desk.calls]
            assert seen[:5] == [
                ("/x", b"k1", b"one"),
                ("/x", b"k1", b"three"),
                ("/x", b"k1", b""),
                ("/x", b"k2", b"four"),
                ("/x", b"k1", b"x" * 70),
            ]
            assert [path for path, *_ in seen[5:]] == ["/x", "/y"]
            writer.close()

    run(main())


@both_loops
@pytest.mark.parametrize("length", [b"+2", b"2_0", b"0x2", b"2 2", b"-2", b"", b"2" * 40, "\u0662".encode()])
def test_a_known_head_with_a_length_that_is_none_is_refused(run: Runner, length: bytes) -> None:
    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            twice = post(b"ab") * 2
            answer = await raw(
                port, twice + post(b"ab").replace(b"Content-Length: 2", b"Content-Length: " + length), 2
            )
            assert statuses(answer)[:2] == [200, 200] and statuses(answer)[2] in (400, 413)
            assert len(desk.calls) == 2

    run(main())


# --- deadlines -----------------------------------------------------------------------------------


@both_loops
def test_headers_that_trickle_are_given_up(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(), QUICK) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began = time.monotonic()

            async def trickle() -> None:
                for byte in GET * 10:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.03)

            task = asyncio.create_task(trickle())
            answer = await reader.read(-1)
            took = time.monotonic() - began
            task.cancel()
            assert statuses(answer) == [408]
            assert b"headers took too long" in answer
            assert took > 0.1
            assert not desk.calls
            writer.close()

    run(main())


@both_loops
def test_a_connection_that_says_nothing_is_closed_without_a_word(run: Runner) -> None:
    async def main() -> None:
        async with serving(Desk(), QUICK) as (_, port):
            assert await raw(port, b"", 2) == b""

    run(main())


@both_loops
def test_a_body_that_stalls_is_given_up(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(), QUICK) as (_, port):
            answer = await raw(port, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 2)
            assert statuses(answer) == [408]
            assert b"body took too long" in answer
            answer = await raw(
                port, b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", 2
            )
            assert statuses(answer) == [408]
            assert not desk.calls

    run(main())


@both_loops
def test_an_idle_connection_is_closed_and_a_busy_one_is_not(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold), QUICK) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: desk.calls)
            await asyncio.sleep(0.8)  # longer than any limit: a call has deadlines of its own
            desk.calls[0].responder.reply(200, b"", b"late")
            assert await read_answer(reader) == b"late"
            began = time.monotonic()
            assert await reader.read(-1) == b""
            assert time.monotonic() - began > 0.15
            assert desk.calls[0].heard == []
            writer.close()

    run(main())


@both_loops
def test_many_slow_clients_do_not_slow_a_good_one(run: Runner) -> None:
    async def main() -> None:
        limits = Limits(head_ms=1_000, sweep_ms=50)
        async with serving(Desk(), limits) as (server, port):
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
            for _, writer in slow:
                writer.write(GET[:20])
            await until(lambda: server.connections == 100)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(20):
                writer.write(post(b"good"))
                assert await read_answer(reader) == b"good"
            answers = await asyncio.gather(*(reader.read(-1) for reader, _ in slow))
            assert [statuses(answer) for answer in answers] == [[408]] * 100
            writer.close()
            for _, slow_writer in slow:
                slow_writer.close()
            await until(lambda: server.connections == 0)

    run(main())


# --- limits --------------------------------------------------------------------------------------


@both_loops
def test_too_many_or_too_large_headers(run: Runner) -> None:
    def request(count: int, size: int = 1) -> bytes:
        lines = b"".join(b"X-%d: %b\r\n" % (i, b"v" * size) for i in range(count - 2))
        return b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + b"\r\n"

    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            assert statuses(await raw(port, request(100))) == [200]
            assert statuses(await raw(port, request(101))) == [431]
            assert statuses(await raw(port, request(90, 700))) == [200]
            assert statuses(await raw(port, request(90, 750))) == [431]
            endless = b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 300_000
            assert statuses(await raw(port, endless)) == [431]
            assert statuses(await raw(port, b"GET /" + b"v" * 300_000)) == [431]
            assert len(desk.calls) == 2

    run(main())


@both_loops
def test_a_body_over_the_limit_is_refused_and_the_client_can_read_why(run: Runner) -> None:
    limits = Limits(body_bytes_max=1_000_000)

    async def main() -> None:
        async with serving(desk := Desk(), limits) as (_, port):
            told = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"
            assert statuses(await raw(port, told)) == [413]
            # The whole of it is on its way already: what is unread must not turn into a reset.
            answer = await raw(port, told + b"x" * 5_000_000)
            assert statuses(answer) == [413]
            assert b"over 1000000 bytes" in answer
            chunks = (
                b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"8000\r\n%b\r\n" % (b"x" * 0x8000) * 40
            )
            assert statuses(await raw(port, chunks)) == [413]
            extension = (
                b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;" + b"x" * 900_000
            )
            assert statuses(await raw(port, extension)) == [431]
            trailers = (
                b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                + b"X: y\r\n" * 200_000
            )
            assert statuses(await raw(port, trailers)) == [431]
            assert not desk.calls
            exact = post(b"x" * 1_000_000, b"Connection: close")
            assert statuses(await raw(port, exact)) == [200]

    run(main())


@both_loops
def test_large_bodies_come_and_go_whole(run: Runner) -> None:
    body = bytes(range(256)) * 20_000  # 5 MB

    async def main() -> None:
        async with serving(Desk()) as (_, port):
            answer = await raw(port, post(body, b"Connection: close"))
            assert answer.partition(b"\r\n\r\n")[2] == body

    run(main())


@both_loops
def test_all_large_bodies_together_have_a_limit(run: Runner) -> None:
    limits = Limits(bodies_bytes_max=1_000_000)

    async def main() -> None:
        async with serving(Desk(), limits) as (_, port):
            _, first = await asyncio.open_connection("127.0.0.1", port)
            first.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n")
            await asyncio.sleep(0.05)
            large = post(b"x" * 600_000, b"Connection: close")
            assert statuses(await raw(port, large)) == [503]
            assert statuses(await raw(port, post(b"x" * 1000, b"Connection: close"))) == [200]
            first.close()
            await asyncio.sleep(0.05)
            assert statuses(await raw(port, large)) == [200]
            assert statuses(await raw(port, large)) == [200]

    run(main())


@both_loops
def test_too_many_connections(run: Runner) -> None:
    async def main() -> None:
        async with serving(Desk(), Limits(connections_max=3)) as (server, port):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            await until(lambda: server.connections == 3)
            assert statuses(await raw(port, b"")) == [503]
            held[0][1].close()
            await until(lambda: server.connections == 2)
            assert statuses(await raw(port, post(b"x", b"Connection: close"))) == [200]
            for _, writer in held:
                writer.close()

    run(main())


# --- one request after another -------------------------------------------------------------------


@both_loops
def test_a_body_may_wait_to_be_asked_for(run: Runner) -> None:
    async def main() -> None:
        async with serving(Desk()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert await read_answer(reader) == b"abc"
            writer.write(post(b"def", b"Expect: 100-continue"))  # did not wait: nothing to say
            assert await read_answer(reader) == b"def"
            writer.close()

    run(main())


@both_loops
def test_requests_sent_ahead_are_answered_in_turn(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(b"one") + post(b"two") + post(b"three"))
            for count, word in enumerate((b"one", b"two", b"three"), 1):
                await until(lambda count=count: len(desk.calls) == count)
                await asyncio.sleep(0.02)
                assert len(desk.calls) == count, "the next was begun before this was answered"
                assert desk.calls[-1].request.body == word
                desk.calls[-1].responder.reply(200, b"", word)
                assert await read_answer(reader) == word
            writer.close()

    run(main())


@both_loops
def test_a_flood_of_requests_sent_ahead_waits_in_the_kernel(run: Runner) -> None:
    flood = post(b"x" * 1000) * 12_000  # 12 MB

    async def main() -> None:
        async with serving(desk := Desk(hold)) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(flood)
            await until(lambda: desk.calls)
            await asyncio.sleep(0.1)
            (connection,) = server._gate.members
            assert len(connection._pending) < 400_000
            desk.answer = lambda seen: seen.responder.reply(200, b"", b"ok")
            desk.calls[0].responder.reply(200, b"", b"ok")
            for _ in range(12_000):
                assert await read_answer(reader) == b"ok"
            assert len(desk.calls) == 12_000
            writer.close()

    run(main())


# --- answers -------------------------------------------------------------------------------------


@both_loops
def test_the_forms_of_an_answer(run: Runner) -> None:
    def stream(seen: Seen) -> None:
        responder = seen.responder
        responder.start(200, [(b"content-type", b"text/event-stream")])
        responder.write(b"one")
        responder.write(b"")
        responder.write(b"two")
        responder.end()
        responder.write(b"nothing of this arrives")
        responder.end()

    def sized(seen: Seen) -> None:
        seen.responder.start(200, b"x-y: z\r\n", length=6)
        seen.responder.write(b"one")
        seen.responder.write(b"two")
        seen.responder.end()

    def empty(seen: Seen) -> None:
        seen.responder.reply(204, b"", b"")

    closing = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    cases = [
        (
            stream,
            closing,
            b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        ),
        (stream, b"GET /x HTTP/1.0\r\n\r\n", b"text/event-stream\r\nconnection: close\r\n\r\nonetwo"),
        (
            stream,
            closing.replace(b"GET", b"HEAD"),
            b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        ),
        (sized, closing, b"x-y: z\r\ncontent-length: 6\r\nconnection: close\r\n\r\nonetwo"),
        (sized, closing.replace(b"GET", b"HEAD"), b"content-length: 6\r\nconnection: close\r\n\r\n"),
        (empty, closing, b"204 No Content\r\nconnection: close\r\n\r\n"),
    ]

    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            for answer, request, end in cases:
                desk.answer = answer
                got = await raw(port, request)
                assert got.endswith(end), (answer.__name__, got)

    run(main())


@both_loops
def test_a_held_head_can_be_sent_before_its_body(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: desk.calls)
            responder = desk.calls[0].responder
            responder.start(200, b"")
            responder.flush()
            assert statuses(await reader.readuntil(b"\r\n\r\n")) == [200]
            responder.end()
            assert await reader.readexactly(5) == b"0\r\n\r\n"
            writer.close()

    run(main())


@both_loops
def test_an_aborted_answer_has_no_end(run: Runner) -> None:
    def cut(seen: Seen) -> None:
        seen.responder.start(200, b"")
        seen.responder.write(b"half")
        seen.responder.abort()
        seen.responder.end()

    async def main() -> None:
        async with serving(Desk(cut)) as (_, port):
            got = await raw(port, GET)
            assert got.endswith(b"\r\n\r\n4\r\nhalf\r\n")

    run(main())


@both_loops
def test_a_handler_that_fails_is_answered_for(run: Runner) -> None:
    def fail(seen: Seen) -> None:
        raise RuntimeError("a mistake")

    def fail_late(seen: Seen) -> None:
        seen.responder.start(200, b"")
        seen.responder.write(b"half")
        raise RuntimeError("a mistake")

    async def main() -> list[object]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        async with serving(desk := Desk(fail)) as (_, port):
            answer = await raw(port, GET)
            assert statuses(answer) == [500]
            assert b"a mistake" not in answer
            desk.answer = fail_late
            assert (await raw(port, GET)).endswith(b"half\r\n")
        return told

    assert [type(error) for error in run(main())] == [RuntimeError, RuntimeError]


def test_a_header_cannot_break_its_line() -> None:
    assert fields([(b"a", b"b c")]) == b"a: b c\r\n"
    for value in (b"b\r\nc: d", b"b\nc", b"b\0"):
        with pytest.raises(ValueError, match="would break"):
            fields([(b"a", value)])


# --- the process ---------------------------------------------------------------------------------


@both_loops
def test_stopping_lets_calls_finish_and_nothing_else(run: Runner) -> None:
    async def main() -> None:
        desk = Desk(hold)
        async with serving(desk) as (server, port):
            idle, _idle_writer = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: desk.calls and server.connections == 2)
            stopping = asyncio.create_task(server.stop(5))
            assert await idle.read(-1) == b""
            with pytest.raises(OSError, match=r".+"):
                await asyncio.open_connection("127.0.0.1", port)
            assert not stopping.done()
            desk.calls[0].responder.reply(200, b"", b"done")
            answer = await reader.read(-1)
            assert answer.endswith(b"connection: close\r\ncontent-length: 4\r\n\r\ndone")
            assert await stopping is True
            writer.close()
            _idle_writer.close()

    run(main())


@both_loops
def test_stopping_cuts_what_lasts_too_long(run: Runner) -> None:
    async def main() -> None:
        desk = Desk(hold)
        async with serving(desk) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: desk.calls)
            assert await server.stop(0.1) is False
            await settle()
            assert desk.calls[0].heard == ["gone"]
            writer.close()

    run(main())


@both_loops
def test_accepted_sockets_do_not_delay(run: Runner) -> None:
    async def main() -> None:
        async with serving(desk := Desk(hold)) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: desk.calls)
            (connection,) = server._gate.members
            sock = connection.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            writer.close()

    run(main())


def test_a_port_in_use_is_told_with_the_mend() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Fault) as caught:
            listen("127.0.0.1", port)
    assert caught.value.kind == "conflict"
    assert f"Port {port} on 127.0.0.1 is already in use" in caught.value.message
    assert "--port" in caught.value.message


def test_workers_share_a_port() -> None:
    with listen("127.0.0.1", 0, reuse_port=True) as one:
        port = one.getsockname()[1]
        with listen("127.0.0.1", port, reuse_port=True) as two:
            assert two.getsockname() == one.getsockname()
        with pytest.raises(Fault, match="already in use"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_here() -> None:
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(Fault, match="Cannot listen on") as caught:
            listen(host, 0)
        assert caught.value.kind == "bad_request"
