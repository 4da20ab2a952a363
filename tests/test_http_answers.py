"""Every way an answer can come to the client's edge, and every way it can be none."""

import asyncio
import socket
import zlib
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.http.client import Pool, Site, Wire
from fungible.http.limits import PoolLimits
from fungible.world import Origin

from .edge_rig import OK, Heard, Pipe, Provider, Runner, answering, ask, both_loops, post

# --- answers -------------------------------------------------------------------------------------

BODY = b'{"a": "bcdefghijklmnop"}'
PLAIN = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nX-Sum: z\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def fed(sent: bytes, cuts: list[int], **limits: int) -> tuple[Heard, Wire, Pool]:
    """An answer, fed to a connection in pieces, without a socket."""

    async def main() -> tuple[Heard, Wire, Pool]:
        pool = Pool(limits=PoolLimits(**limits))
        wire, pipe, heard = Wire(pool, site := Site(Origin("http", "a", 80), None)), Pipe(), Heard()
        wire.connection_made(pipe)
        pool._sites[site.origin] = site
        pool.freed(wire)
        pool.send(post(80, host="a"), heard)
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            piece = sent[start:end]
            while piece and not pipe.closed:
                view = wire.get_buffer(-1)
                n = min(len(view), len(piece))
                view[:n] = piece[:n]
                wire.buffer_updated(n)
                piece = piece[n:]
        return heard, wire, pool

    return asyncio.run(main())


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, EARLY], ids=["plain", "chunked", "early"])
def test_an_answer_is_the_same_however_it_is_cut(answer: bytes) -> None:
    ways = [[i] for i in range(1, len(answer))] + [list(range(1, len(answer)))]
    for cuts in ways:
        heard, wire, _ = fed(answer, cuts)
        assert (heard.status, heard.headers[b"x-a"], heard.body, heard.ends) == (200, b"b", BODY, 1), cuts
        assert wire.alive


def test_one_batch_is_told_in_one_piece() -> None:
    heard, _, _ = fed(CHUNKED, [])
    assert heard.pieces == [BODY]


@both_loops
def test_answers_of_every_form(run: Runner) -> None:
    until_closed = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
    forms = [
        (PLAIN, BODY, True),
        (CHUNKED, BODY, True),
        (EARLY, BODY, True),
        (until_closed, BODY, False),
        (PLAIN.replace(b"X-A: b", b"Connection: close"), BODY, False),
        (PLAIN.replace(b"1.1", b"1.0"), BODY, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            b"",
            True,
        ),
        (b"HTTP/1.1 529 \r\nContent-Length: 2\r\n\r\nno", b"no", True),
    ]

    async def main() -> None:
        for answer, body, keeps in forms:
            pool = Pool()
            async with Provider(answering(answer, close=not keeps)) as provider:
                heard = await ask(pool, provider)
                assert heard.fault is None, (answer, heard.fault)
                assert heard.body == body
                (site,) = pool._sites.values()
                assert bool(site.free) is keeps, answer
                pool.close()

    run(main())


@both_loops
def test_a_request_without_a_body(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            outgoing = post(provider.port, body=b"")
            heard = Heard()
            pool.send(outgoing, heard)
            await heard.done()
            assert provider.requests[0].endswith(b"content-length: 0\r\n\r\n")
            get = type(outgoing)(outgoing.origin, "/", b"GET / HTTP/1.1\r\nhost: a\r\n", b"")
            heard = Heard()
            pool.send(get, heard)
            await heard.done()
            assert provider.requests[1] == b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
            pool.close()

    run(main())


@both_loops
def test_a_large_request_and_a_large_answer(run: Runner) -> None:
    large = bytes(range(256)) * 20_000

    async def main() -> None:
        pool = Pool()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large
        async with Provider(answering(answer)) as provider:
            for _ in range(2):
                heard = await ask(pool, provider, body=large)
                assert heard.body == large
                assert provider.requests[-1].endswith(b"\r\n\r\n" + large)
                assert max(map(len, heard.pieces)) <= PoolLimits().batch_bytes
            assert provider.connections == 1
            pool.close()

    run(main())


@both_loops
def test_an_answer_before_the_request_was_sent_ends_the_connection(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(5)

    async def main() -> None:
        pool = Pool()
        async with Provider(script, limit=1024) as provider:
            heard = await ask(pool, provider, body=b"x" * 20_000_000)
            assert heard.status == 413
            assert heard.ends == 1
            (site,) = pool._sites.values()
            assert not site.free
            pool.close()

    run(main())


# --- failures ------------------------------------------------------------------------------------

BROKEN = {
    "no HTTP": (b"SSH-2.0-OpenSSH_9\r\n", "provider_answer", "not HTTP/1.1"),
    "closed before an answer": (b"", "provider_error", "before it answered"),
    "closed within the head": (b"HTTP/1.1 200 OK\r\nX: ", "provider_error", "before it answered"),
    "short body": (PLAIN[:-3], "provider_answer", "ended before it was whole"),
    "short chunks": (CHUNKED[:-9], "provider_answer", "ended before it was whole"),
    "no last chunk": (CHUNKED[: CHUNKED.index(b"0\r\nX-Sum")], "provider_answer", "ended before it was whole"),
    "bad chunk": (CHUNKED.replace(b"5;x=y", b"0x5"), "provider_answer", "not HTTP/1.1"),
    "length and chunks": (CHUNKED.replace(b"X-A: b", b"Content-Length: 3"), "provider_answer", "not HTTP/1.1"),
    "two lengths": (PLAIN.replace(b"X-A: b", b"Content-Length: 3"), "provider_answer", "not HTTP/1.1"),
    "upgrade": (
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "provider_answer", "not HTTP/1.1",
    ),
    "head too long": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "provider_answer", "a head over 65536 bytes"),
    "endless early heads": (b"HTTP/1.1 103 Early\r\n\r\n" * 10_000, "provider_answer", "a head over 65536 bytes"),
    "too many headers": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(100)) + b"\r\n", "provider_answer", "over 100 headers",
    ),
    "unknown coding": (
        PLAIN.replace(b"X-A: b", b"Content-Encoding: br"), "provider_answer", "in the coding 'br', unasked",
    ),
    "gzip that is none": (
        PLAIN.replace(b"X-A: b", b"Content-Encoding: gzip"), "provider_answer", "compressed answer is broken",
    ),
}  # fmt: skip


@both_loops
def test_answers_that_are_none(run: Runner) -> None:
    async def main() -> None:
        for name, (answer, kind, words) in BROKEN.items():
            pool = Pool()
            async with Provider(answering(answer, close=True)) as provider:
                heard = await ask(pool, provider)
                assert heard.fault is not None, name
                assert (heard.fault.kind, heard.ends) == (kind, 0), (name, heard.fault)
                assert words in heard.fault.message, (name, heard.fault)
                assert (
                    f"127.0.0.1:{provider.port}" in heard.fault.message
                    or "compressed" in heard.fault.message
                    or "coding" in heard.fault.message
                )
                (site,) = pool._sites.values()
                assert not site.free
                pool.close()

    run(main())


@both_loops
def test_a_reset_in_the_midst_is_told_after_what_came_before(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            heard = await ask(pool, provider)
            assert heard.body == b"abc"
            assert heard.fault is not None
            assert heard.fault.kind == "provider_error"
            assert "broke (" in heard.fault.message
            pool.close()

    run(main())


# --- compression ---------------------------------------------------------------------------------


def packed(body: bytes, wbits: int = 31) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(body) + packer.flush()


def coded(body: bytes, coding: bytes = b"gzip") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
        % (coding, len(body))
        + body
    )


def test_an_answer_compressed_unasked_is_decoded() -> None:
    for wbits, coding in ((31, b"gzip"), (15, b"deflate")):
        answer = coded(packed(BODY * 100, wbits), coding)
        for cuts in ([], [len(answer) - 30], list(range(1, len(answer)))):
            heard, wire, _ = fed(answer, cuts)
            assert (heard.body, heard.ends, heard.headers) == (BODY * 100, 1, {b"x-a": b"b"})
            assert wire.alive


def test_a_bomb_is_cut_at_the_cap() -> None:
    heard, wire, _ = fed(coded(packed(b"\0" * 10_000_000)), [], decoded_bytes_max=100_000)
    assert heard.fault == Fault("provider_answer", "The provider's compressed answer is too large.")
    assert len(heard.body) <= 100_000
    assert not wire.alive


def test_a_compressed_answer_cut_short_is_no_answer() -> None:
    heard, _, _ = fed(coded(packed(BODY * 100)[:-9]), [])
    assert heard.fault == Fault("provider_answer", "The provider's compressed answer was cut short.")
    assert heard.ends == 0
