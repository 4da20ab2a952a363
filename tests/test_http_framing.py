"""What a request may look like: a table of heads and bodies, sent whole, and byte by byte.

A row says what the server answers. A refused request is answered once, the connection is closed, and
nothing that stood behind it is served: no row may make the handler see `/smuggled`.
"""

import asyncio
from typing import NamedTuple

import pytest

from fungible.http.connection import Connection
from fungible.http.gate import Gate
from fungible.http.limits import Limits
from fungible.http.turn import Turn

from .edge_rig import Desk, Pipe, Runner, both_loops, raw, runner, serving, settle, statuses

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class Row(NamedTuple):
    name: str
    sent: bytes
    answers: list[int]


def head(*lines: bytes, first: bytes = b"POST /x HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def first(line: bytes) -> bytes:
    return head(b"Host: a", b"Connection: close", first=line)


H, CLOSE, TE, CL3 = b"Host: a", b"Connection: close", b"Transfer-Encoding: chunked", b"Content-Length: 3"
EMPTY = b"0\r\n\r\n"

BAD_HOSTS = {
    "userinfo": b"u@a",
    "slash": b"a/b",
    "question mark": b"a?b",
    "hash": b"a#b",
    "space": b"a b",
    "two names": b"a, b",
    "empty": b"",
    "a port that is none": b"a:x",
    "two ports": b"a:1:2",
    "a port too long": b"a:123456",
    "backslash": b"a\\b",
    "scheme": b"http://a",
    "percent": b"a%2fb",
    "open bracket": b"[::1",
    "trailing dots and slash": b"a./",
}

REFUSED = [
    # --- the request line
    Row("no version", head(H, first=b"GET /x"), [400]),
    Row("HTTP/0.9 version", first(b"GET /x HTTP/0.9"), [505]),
    Row("HTTP/1.9", first(b"GET /x HTTP/1.9"), [505]),
    Row("HTTP/2.0", first(b"GET /x HTTP/2.0"), [505]),
    Row("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    Row("HTTP/1.10", first(b"GET /x HTTP/1.10"), [400]),
    Row("lower-case protocol", first(b"GET /x http/1.1"), [400]),
    Row("two spaces", first(b"GET  /x HTTP/1.1"), [400]),
    Row("tab for a space", first(b"GET\t/x HTTP/1.1"), [400]),
    Row("trailing space", first(b"GET /x HTTP/1.1 "), [400]),
    Row("leading space", first(b" GET /x HTTP/1.1"), [400]),
    Row("lower-case method", first(b"get /x HTTP/1.1"), [400]),
    Row("unknown method", first(b"BREW /x HTTP/1.1"), [501]),
    Row("CONNECT", first(b"CONNECT a:443 HTTP/1.1"), [400]),
    Row("TRACE", first(b"TRACE /x HTTP/1.1"), [400]),
    Row("CONNECT with a path", first(b"CONNECT /x HTTP/1.1"), [400]),
    Row("target without slash", first(b"GET x HTTP/1.1"), [400]),
    Row("asterisk target", first(b"OPTIONS * HTTP/1.1"), [400]),
    Row("fragment", first(b"GET /x#y HTTP/1.1"), [400]),
    Row("bytes above ASCII in the target", first(b"GET /\xc3\xa9 HTTP/1.1"), [400]),
    Row("NUL in the target", first(b"GET /x\0y HTTP/1.1"), [400]),
    Row("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40, [400]),
    Row("absolute target, other host", first(b"GET http://b/x HTTP/1.1"), [400]),
    Row("absolute target with userinfo", head(b"Host: u@a", first=b"GET http://u@a/x HTTP/1.1"), [400]),
    Row("absolute target, other scheme", first(b"GET ftp://a/x HTTP/1.1"), [400]),
    # --- the path
    Row("dot segments", first(b"GET /v1/../admin HTTP/1.1"), [400]),
    Row("a dot segment at the end", first(b"GET /v1/.. HTTP/1.1"), [400]),
    Row("a single dot", first(b"GET /v1/./x HTTP/1.1"), [400]),
    Row("two slashes", first(b"GET //v1/x HTTP/1.1"), [400]),
    Row("encoded slash", first(b"GET /v1/..%2fadmin HTTP/1.1"), [400]),
    Row("encoded slash, upper case", first(b"GET /v1%2Fadmin HTTP/1.1"), [400]),
    Row("encoded dots", first(b"GET /v1/%2e%2e/admin HTTP/1.1"), [400]),
    Row("encoded backslash", first(b"GET /v1/..%5cadmin HTTP/1.1"), [400]),
    Row("backslash", first(b"GET /v1\\admin HTTP/1.1"), [400]),
    Row("encoded NUL", first(b"GET /v1%00 HTTP/1.1"), [400]),
    Row("encoded line feed", first(b"GET /v1%0aX HTTP/1.1"), [400]),
    Row("percent with nothing after it", first(b"GET /v1% HTTP/1.1"), [400]),
    Row("percent with no hex after it", first(b"GET /v1%zz HTTP/1.1"), [400]),
    # --- header lines
    Row("space before the colon", head(H, b"Content-Length : 3") + b"abc", [400]),
    Row("no colon", head(H, b"Content-Length 3") + b"abc", [400]),
    Row("folded header", head(H, b"X: a", b" b"), [400]),
    Row("folded with a tab", head(H, b"X: a", b"\tContent-Length: 3") + b"abc", [400]),
    Row("first header folded", head(b" Host: a"), [400]),
    Row("bare LF between headers", b"POST /x HTTP/1.1\r\nHost: a\nContent-Length: 3\r\n\r\nabc", [400]),
    Row("bare LF everywhere", b"GET /x HTTP/1.1\nHost: a\n\n", [400]),
    Row("bare CR in a value", head(H, b"X: a\rContent-Length: 3"), [400]),
    Row("bare CR as a line end", b"GET /x HTTP/1.1\rHost: a\r\r", [400]),
    Row("NUL in a value", head(H, b"X: a\0b"), [400]),
    Row("NUL in a name", head(H, b"X\0: a"), [400]),
    Row("DEL in a value", head(H, b"X: a\x7fb"), [400]),
    Row("empty name", head(H, b": a"), [400]),
    Row("bytes above ASCII in a name", head(H, b"X\xe9: a"), [400]),
    Row("brackets in a name", head(H, b"X[]: a"), [400]),
    Row("LF CR CR LF", b"GET /x HTTP/1.1\r\nHost: a\n\r\r\n", [400]),
    # --- host
    Row("no host", head(b"X: a", first=b"GET /x HTTP/1.1"), [400]),
    Row("two hosts", head(H, H, first=b"GET /x HTTP/1.1"), [400]),
    Row("two hosts in other case", head(H, b"hOST: b", first=b"GET /x HTTP/1.1"), [400]),
    *(
        Row(f"host: {name}", head(b"Host: " + h, first=b"GET /x HTTP/1.1"), [400])
        for name, h in BAD_HOSTS.items()
    ),
    Row("HTTP/1.0 with a bad host", head(b"Host: a/b", first=b"GET /x HTTP/1.0"), [400]),
    # --- length
    Row("two lengths", head(H, CL3, b"Content-Length: 4") + b"abcd", [400]),
    Row("the same length twice", head(H, CL3, CL3) + b"abc", [400]),
    Row("a list of lengths", head(H, b"Content-Length: 3, 3") + b"abc", [400]),
    Row("signed length", head(H, b"Content-Length: +3") + b"abc", [400]),
    Row("negative length", head(H, b"Content-Length: -3") + b"abc", [400]),
    Row("hexadecimal length", head(H, b"Content-Length: 0x3") + b"abc", [400]),
    Row("length with an underscore", head(H, b"Content-Length: 1_0") + b"abc", [400]),
    Row("length with a fraction", head(H, b"Content-Length: 3.0") + b"abc", [400]),
    Row("empty length", head(H, b"Content-Length:") + NEXT, [400]),
    Row("length of many digits", head(H, b"Content-Length: " + b"9" * 30), [400]),
    Row("length with a space inside", head(H, b"Content-Length: 3 3") + b"abc", [400]),
    Row("length in other digits", head(H, b"Content-Length: \xd9\xa3") + b"abc", [400]),
    # --- chunks
    Row("length and chunks", head(H, CL3, TE) + EMPTY + NEXT, [400]),
    Row("chunks and length", head(H, TE, b"Content-Length: 5") + EMPTY + NEXT, [400]),
    Row("unknown coding", head(H, b"Transfer-Encoding: gzip") + EMPTY, [400]),
    Row("coding before chunked", head(H, b"Transfer-Encoding: gzip, chunked") + EMPTY, [400]),
    Row("chunked twice", head(H, TE, TE) + EMPTY, [400]),
    Row("chunked not last", head(H, b"Transfer-Encoding: chunked, identity") + EMPTY, [400]),
    Row("identity", head(H, b"Transfer-Encoding: identity") + EMPTY, [400]),
    Row("quoted chunked", head(H, b'Transfer-Encoding: "chunked"') + EMPTY, [400]),
    Row("vertical tab before chunked", head(H, b"Transfer-Encoding: \x0bchunked") + EMPTY, [400]),
    Row("chunked in HTTP/1.0", head(H, TE, first=b"POST /x HTTP/1.0") + EMPTY, [400]),
    Row("empty coding", head(H, b"Transfer-Encoding:") + EMPTY, [400]),
    Row("chunk size 0x3", head(H, TE) + b"0x3\r\nabc\r\n" + EMPTY, [400]),
    Row("chunk size +3", head(H, TE) + b"+3\r\nabc\r\n" + EMPTY, [400]),
    Row("chunk size -1", head(H, TE) + b"-1\r\nabc\r\n" + EMPTY, [400]),
    Row("chunk size 1_0", head(H, TE) + b"1_0\r\nabc\r\n" + EMPTY, [400]),
    Row("chunk size beyond 64 bits", head(H, TE) + b"1" + b"0" * 16 + b"3\r\nabc\r\n" + EMPTY, [400]),
    Row("empty chunk size", head(H, TE) + b"\r\nabc\r\n" + EMPTY, [400]),
    Row("space before a chunk size", head(H, TE) + b" 3\r\nabc\r\n" + EMPTY, [400]),
    Row("space after a chunk size", head(H, TE) + b"3 \r\nabc\r\n" + EMPTY, [400]),
    Row("chunk longer than its size", head(H, TE) + b"3\r\nabcd\r\n" + EMPTY, [400]),
    Row("chunk without a line end", head(H, TE) + b"3\r\nabc0\r\n\r\n", [400]),
    Row("bare LF after a chunk size", head(H, TE) + b"3\nabc\r\n" + EMPTY, [400]),
    Row("bare LF after a chunk", head(H, TE) + b"3\r\nabc\n" + EMPTY, [400]),
    Row("CR in a chunk extension", head(H, TE) + b"3;a\rb\r\nabc\r\n" + EMPTY, [400]),
    Row("LF in a chunk extension", head(H, TE) + b"3;a\nb\r\nabc\r\n" + EMPTY, [400]),
    Row("space before a trailer's colon", head(H, TE) + b"0\r\nX : y\r\n\r\n", [400]),
    Row("bare LF ends the trailers", head(H, TE) + b"0\r\n\n" + NEXT, [400]),
    # --- the rest
    Row("two authorizations", head(H, b"Authorization: Bearer a", b"authorization: Bearer b"), [400]),
    Row("two content types", head(H, b"Content-Type: a/b", b"Content-Type: c/d"), [400]),
    Row("unknown expectation", head(H, CL3, b"Expect: miracles") + b"abc", [417]),
    Row(
        "a good request, then a bad one", head(H, CL3) + b"abc" + head(H, CL3, TE) + EMPTY + NEXT, [200, 400]
    ),
]

SERVED = [
    Row("plain", head(H, CLOSE, CL3) + b"abc", [200]),
    Row("no body", head(H, CLOSE), [200]),
    Row("chunks", head(H, CLOSE, TE) + b"3\r\nabc\r\n" + EMPTY, [200]),
    Row(
        "chunks, upper-case coding",
        head(H, CLOSE, b"TRANSFER-ENCODING: Chunked") + b"3\r\nabc\r\n" + EMPTY,
        [200],
    ),
    Row("chunk extension", head(H, CLOSE, TE) + b'3;a="b"\r\nabc\r\n' + EMPTY, [200]),
    Row("leading zeros", head(H, CLOSE, TE) + b"0003\r\nabc\r\n" + EMPTY, [200]),
    Row("trailers", head(H, CLOSE, TE) + b"3\r\nabc\r\n0\r\nX-Sum: y\r\n\r\n", [200]),
    Row("upper-case names", head(b"HOST: a", CLOSE, b"CONTENT-LENGTH: 3") + b"abc", [200]),
    Row(
        "no space after the colon", head(b"Host:a", b"Connection:close", b"Content-Length:3") + b"abc", [200]
    ),
    Row(
        "spaces around values",
        head(b"Host:  a ", b"Connection: close\t", b"Content-Length: 3  ") + b"abc",
        [200],
    ),
    Row("empty value", head(H, CLOSE, b"X:"), [200]),
    Row("bytes above ASCII in a value", head(H, CLOSE, b"X: caf\xc3\xa9"), [200]),
    Row("HTTP/1.0", head(H, first=b"GET /x HTTP/1.0"), [200]),
    Row("HTTP/1.0 without a host", head(b"X: a", first=b"GET /x HTTP/1.0"), [200]),
    Row("an empty line before", b"\r\n" + head(H, CLOSE), [200]),
    Row("host with a port", head(b"Host: api.example.com:4000", CLOSE), [200]),
    Row("IPv6 host", head(b"Host: [::1]:4000", CLOSE), [200]),
    Row("absolute target", first(b"GET http://A/x HTTP/1.1"), [200]),
    Row("absolute target without a path", first(b"GET http://a HTTP/1.1"), [200]),
    Row("query", first(b"GET /x?alt=sse&a=%2f..//?b HTTP/1.1"), [200]),
    Row("colon in the path", first(b"POST /v1beta/models/m-1.5:generateContent HTTP/1.1"), [200]),
    Row("encoded colon in the path", first(b"POST /model/a.b%3A0/converse HTTP/1.1"), [200]),
    Row("a list header twice", head(H, CLOSE, b"Accept: a/b", b"Accept: c/d"), [200]),
    Row(
        "an upgrade that is ignored",
        head(H, b"Connection: upgrade, close", b"Upgrade: h2c", CL3) + b"abc",
        [200],
    ),
    Row("a chunked one, too", head(H, TE, b"Connection: upgrade, close", b"Upgrade: h2c") + EMPTY, [200]),
    Row("HEAD", first(b"HEAD /x HTTP/1.1"), [200]),
    Row("two requests at once", head(H, CL3) + b"abc" + head(H, CLOSE, CL3) + b"def", [200, 200]),
    Row("length zero", head(H, CLOSE, b"Content-Length: 0"), [200]),
    # Where chunks end llhttp does not tell, so what follows them is not read, and the connection closed.
    Row("a request behind chunks", head(H, TE) + b"3\r\nabc\r\n" + EMPTY + NEXT, [200]),
]


def test_the_table_is_large_enough() -> None:
    assert len(REFUSED) + len(SERVED) >= 60
    assert len({row.name for row in REFUSED + SERVED}) == len(REFUSED) + len(SERVED)


@both_loops
@pytest.mark.parametrize("rows", [REFUSED, SERVED], ids=["refused", "served"])
def test_whole(rows: list[Row], run: Runner) -> None:
    async def main() -> list[str]:
        wrong = []
        async with serving(desk := Desk()) as (_, port):
            for row in rows:
                desk.calls.clear()
                try:
                    answer = await raw(port, row.sent, 1.0)
                except TimeoutError:
                    wrong.append(f"{row.name}: not closed")
                    continue
                served = [seen.request.path for seen in desk.calls]
                if (
                    statuses(answer) != row.answers
                    or len(served) != row.answers.count(200)
                    or "/smuggled" in served
                ):
                    wrong.append(f"{row.name}: {statuses(answer)} {served}, not {row.answers}")
        return wrong

    assert run(main()) == []


def byte_by_byte(sent: bytes) -> tuple[list[int], list[str], bool]:
    """Statuses, bodies seen by the handler, and whether the connection was ended."""

    async def main() -> tuple[list[int], list[str], bool]:
        desk = Desk()
        gate = Gate(desk, Limits(), Turn(), asyncio.get_running_loop())
        connection, pipe = Connection(gate), Pipe()
        connection.connection_made(pipe)
        for i in range(len(sent)):
            if pipe.closed:
                break
            connection.data_received(sent[i : i + 1])
        paths = [seen.request.path for seen in desk.calls]
        return statuses(pipe.sent), paths, pipe.closed or pipe.ended

    return asyncio.run(main())


# A request right behind chunks is only seen as such when both arrive together.
@pytest.mark.parametrize(
    "row", [r for r in REFUSED + SERVED if "behind chunks" not in r.name], ids=lambda r: r.name
)
def test_byte_by_byte(row: Row) -> None:
    answers, paths, ended = byte_by_byte(row.sent)
    assert answers == row.answers
    assert len(paths) == row.answers.count(200)
    assert ended


def test_a_body_arrives_whole_however_it_is_cut() -> None:
    body = bytes(range(256)) * 3
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:1], body[1:500], body[500:])) + EMPTY
    plain = head(H, b"Content-Length: %d" % len(body)) + body
    pieces = head(H, TE) + chunked

    async def main() -> None:
        for sent in (plain, pieces):
            for cut in range(len(sent) + 1):
                desk = Desk()
                gate = Gate(desk, Limits(), Turn(), asyncio.get_running_loop())
                connection, pipe = Connection(gate), Pipe()
                connection.connection_made(pipe)
                for piece in (sent[:cut], sent[cut:]):
                    if piece:
                        connection.data_received(piece)
                assert [seen.request.body for seen in desk.calls] == [body], cut
                assert statuses(pipe.sent) == [200]
                assert not pipe.closed
                connection.data_received(plain)
                assert len(desk.calls) == 2, cut

    asyncio.run(main())


@both_loops
def test_what_a_request_holds(run: Runner) -> None:
    sent = head(
        b"Host: a:1", CLOSE, CL3, b"ACCEPT: a/b", b"Accept: c/d", b"X-Tag:  k=v ", b"Empty:",
        first=b"POST /v1/models/m%3Ax?alt=sse HTTP/1.1",
    )  # fmt: skip

    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            await raw(port, sent + b"abc")
        request = desk.calls[0].request
        assert request.method == b"POST"
        assert request.target == b"/v1/models/m%3Ax?alt=sse"
        assert request.path == "/v1/models/m%3Ax"
        assert request.query == b"alt=sse"
        assert request.body == b"abc"
        assert request.peer == "127.0.0.1"
        assert request.headers == {
            b"host": b"a:1",
            b"connection": b"close",
            b"content-length": b"3",
            b"accept": b"a/b, c/d",
            b"x-tag": b"k=v",
            b"empty": b"",
        }

    run(main())


@both_loops
def test_an_encoded_slash_may_be_allowed_below_a_prefix(run: Runner) -> None:
    limits = Limits(encoded_slash_under=("/model/",))

    async def main() -> None:
        async with serving(desk := Desk(), limits) as (_, port):
            assert statuses(await raw(port, first(b"POST /model/a%2Fb/converse HTTP/1.1"))) == [200]
            assert statuses(await raw(port, first(b"POST /model/..%2fb HTTP/1.1"))) == [400]
            assert statuses(await raw(port, first(b"POST /v1%2Fmodel/x HTTP/1.1"))) == [400]
        assert desk.calls[0].request.path == "/model/a%2Fb/converse"

    run(main())


def test_trailers_change_nothing() -> None:
    sent = (
        head(H, TE, b"Authorization: Bearer a")
        + b"3\r\nabc\r\n0\r\nAuthorization: Bearer b\r\nHost: b\r\n\r\n"
    )

    async def main() -> None:
        async with serving(desk := Desk()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await reader.readuntil(b"abc")
            writer.close()
            await settle()
        assert desk.calls[0].request.headers[b"authorization"] == b"Bearer a"
        assert desk.calls[0].request.headers[b"host"] == b"a"

    runner("asyncio")(main())
