"""Reaching a provider: names, addresses, deadlines, proxies, certificates."""

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fungible.faults import Fault
from fungible.http.client import Pool
from fungible.http.dial import Proxies, default_tls
from fungible.http.limits import PoolLimits
from fungible.world import Origin

from .edge_rig import OK, Heard, Provider, Runner, answering, both_loops, post, settle, until


@both_loops
def test_addresses_that_cannot_be_reached(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        heard = Heard()
        pool.send(post(port), heard)
        assert not heard.over.is_set(), "a sink is not called from within send"
        await heard.done()
        assert heard.fault == Fault(
            "unreachable", f"127.0.0.1:{port} refused the connection: nothing listens there."
        )

        heard = Heard()
        pool.send(post(80, host="no-such-host.invalid"), heard)
        await heard.done(10)
        assert heard.fault is not None
        assert heard.fault.kind == "unreachable"
        assert "The name no-such-host.invalid could not be resolved" in heard.fault.message

        heard = Heard()
        pool.send(post(80, host="a" * 70 + ".example"), heard)
        await heard.done()
        assert heard.fault is not None
        assert heard.fault.kind == "unreachable"
        assert all(site.count == 0 for site in pool._sites.values())
        pool.close()

    run(main())


@both_loops
def test_connecting_has_a_deadline(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        with socket.socket() as full:  # a queue of one, and nobody takes from it
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            taken = [socket.socket() for _ in range(3)]
            for sock in taken:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            heard = Heard()
            began = time.monotonic()
            pool.send(post(port, connect_ms=200), heard)
            await heard.done()
            assert time.monotonic() - began > 0.15
            assert heard.fault == Fault("unreachable", f"127.0.0.1:{port} took no connection within 200 ms.")
            for sock in taken:
                sock.close()
        pool.close()

    run(main())


@both_loops
def test_a_name_with_a_dead_address_is_reached_by_another(run: Runner) -> None:
    """`localhost` is often ::1 and 127.0.0.1, with a listener on one of them."""

    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            loop = asyncio.get_running_loop()
            info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            dead = [(*info, ("127.0.0.2", provider.port)), (*info, ("127.0.0.1", provider.port))]

            async def found(*_: object, **__: object) -> Any:
                return dead

            class Resolver:
                def __getattr__(self, name: str) -> Any:
                    return found if name == "getaddrinfo" else getattr(loop, name)

            from fungible.http import dial

            original = dial.asyncio.get_running_loop
            dial.asyncio.get_running_loop = Resolver
            try:
                sock = await dial.reach("two.example", provider.port)
            finally:
                dial.asyncio.get_running_loop = original
            assert sock.getpeername() == ("127.0.0.1", provider.port)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sock.close()
        pool.close()

    run(main())


# --- which proxy ---------------------------------------------------------------------------------

ALL = {"http": "http://one:1", "https": "http://user:p%40ss@two:2", "all": "three:3"}


@pytest.mark.parametrize(
    ("origin", "no_proxy", "proxy"),
    [
        (Origin("http", "a.example", 80), (), "one:1"),
        (Origin("https", "a.example", 443), (), "two:2"),
        (Origin("https", "a.example", 443), ("*",), None),
        (Origin("https", "a.example", 443), ("example",), None),
        (Origin("https", "a.example", 443), (".example",), None),
        (Origin("https", "a.example", 443), ("*.example",), None),
        (Origin("https", "A.EXAMPLE", 443), ("a.Example",), None),
        (Origin("https", "example", 443), (".example",), None),
        (Origin("https", "another", 443), ("other",), "two:2"),
        (Origin("https", "a.example", 443), ("a.example:443",), None),
        (Origin("https", "a.example", 8443), ("a.example:443",), "two:2"),
        (Origin("http", "10.1.2.3", 80), ("10.0.0.0/8",), None),
        (Origin("http", "11.1.2.3", 80), ("10.0.0.0/8",), "one:1"),
        (Origin("http", "127.0.0.1", 80), "localhost, 127.0.0.1", None),
        (Origin("http", "::1", 80), ("::1",), None),
        (Origin("http", "::1", 80), ("[::1]",), None),
        (Origin("http", "a.example", 80), ("", " "), "one:1"),
    ],
)
def test_which_proxy_leads_where(origin: Origin, no_proxy: Any, proxy: str | None) -> None:
    found = Proxies(ALL, no_proxy).find(origin)
    assert (found and f"{found.host}:{found.port}") == proxy


def test_proxies_of_all_schemes() -> None:
    only = Proxies({"all": "three:3"}, ())
    found = only.find(Origin("https", "a", 443))
    assert found is not None
    assert (found.host, found.port, found.authorization) == ("three", 3, b"")
    assert Proxies({"https": ""}, ()).find(Origin("https", "a", 443)) is None
    secret = Proxies(ALL, ()).find(Origin("https", "a", 443))
    assert secret is not None
    assert secret.authorization == b"proxy-authorization: Basic dXNlcjpwQHNz\r\n"
    assert "p@ss" not in repr(secret)


@pytest.mark.parametrize(
    "url",
    [
        "socks5://user:secret@a:1",
        "https://user:secret@a:1",
        "http://user:secret@a:x",
        "http://u:secret@[a",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Fault, match="cannot be used") as caught:
        Pool(proxies={"https": url})
    assert "secret" not in caught.value.message


# --- through a proxy -----------------------------------------------------------------------------


class Middle:
    """An HTTP proxy for the tests: CONNECT, and forwarding of absolute targets to one provider."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.heads: list[bytes] = []

    async def script(self, provider: Provider, reader: Any, writer: Any, n: int) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT":
            writer.write(OK)
            await reader.read(-1)
            return
        step = 1 if len(self.answer) < 1_000 else 997
        for i in range(0, len(self.answer), step):
            if writer.is_closing():
                return
            writer.write(self.answer[i : i + step])
            await asyncio.sleep(0)
        if not self.answer.startswith(b"HTTP/1.1 2"):
            return
        host, _, port = target.decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))

        async def move(source: Any, sink: Any) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(move(reader, back), move(there, writer))


@both_loops
def test_plain_http_through_a_proxy_has_an_absolute_target(run: Runner) -> None:
    async def main() -> None:
        middle = Middle()
        async with Provider(middle.script) as proxy:
            pool = Pool(proxies={"http": f"http://me:pass@127.0.0.1:{proxy.port}"})
            heard = Heard()
            pool.send(post(8080, host="a.example"), heard)
            assert (await heard.done()).body == b"{}"
            assert middle.heads[0].startswith(
                b"POST http://a.example:8080/v1/x HTTP/1.1\r\nhost: a.example:8080\r\n"
            )
            assert b"\r\nproxy-authorization: Basic bWU6cGFzcw==\r\n" in middle.heads[0]
            pool.close()

    run(main())


@both_loops
def test_a_proxy_that_is_not_there(run: Runner) -> None:
    async def main() -> None:
        pool = Pool(proxies={"all": "http://127.0.0.1:1"})
        heard = Heard()
        pool.send(post(443, host="a.example", scheme="https"), heard)
        await heard.done()
        assert heard.fault is not None
        assert heard.fault.kind == "unreachable"
        assert "through the proxy 127.0.0.1:1" in heard.fault.message
        pool.close()

    run(main())


# --- TLS -----------------------------------------------------------------------------------------


class Papers(NamedTuple):
    """A folder with an authority's certificate, and what it issued: `site` for localhost, and `other`."""

    room: Path

    def server(self, name: str = "site") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.room / f"{name}.pem", self.room / f"{name}.key")
        context.set_alpn_protocols(["http/1.1", "h2"])
        return context

    def client(self) -> ssl.SSLContext:
        context = default_tls()
        context.load_verify_locations(self.room / "ca.pem")
        return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    room = tmp_path_factory.mktemp("papers")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=room, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test authority",
        "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    for name, names in (("site", "DNS:localhost,IP:127.0.0.1"), ("other", "DNS:b.example")):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (room / "names").write_text(f"subjectAltName={names}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip
    return Papers(room)


@both_loops
def test_a_provider_over_tls(run: Runner, papers: Papers) -> None:
    async def main() -> None:
        pool = Pool(tls=papers.client())
        async with Provider(answering(OK), ssl=papers.server()) as provider:
            for host in ("localhost", "127.0.0.1"):
                for _ in range(3):
                    heard = Heard()
                    pool.send(post(provider.port, host=host, scheme="https"), heard)
                    await heard.done()
                    assert heard.fault is None
                    assert heard.body == b"{}"
            assert provider.connections == 2
            for wire in pool._wires:
                assert wire.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            pool.close()
            await settle()

    run(main())


@both_loops
def test_large_bodies_and_pausing_over_tls(run: Runner, papers: Papers) -> None:
    large = bytes(range(256)) * 40_000  # 10 MB

    async def main() -> None:
        pool = Pool(tls=papers.client())
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large
        async with Provider(answering(answer), ssl=papers.server()) as provider:
            heard = Heard()
            flow = pool.send(post(provider.port, body=large, scheme="https"), heard)
            await heard.begun.wait()
            flow.pause()
            await asyncio.sleep(0.02)
            got = len(heard.body)
            await asyncio.sleep(0.1)
            assert len(heard.body) - got <= 64 * 1024
            flow.resume()
            await heard.done(10)
            assert heard.body == large
            assert provider.requests[0].endswith(large)
            assert max(map(len, heard.pieces)) <= PoolLimits().batch_bytes
            pool.close()
            await settle()

    run(main())


@both_loops
def test_a_certificate_that_is_not_trusted_is_told_plainly(run: Runner, papers: Papers) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda *_: None
        )  # the provider's side complains, too
        async with Provider(answering(OK), ssl=papers.server()) as provider:
            strange = Pool()
            heard = Heard()
            strange.send(post(provider.port, scheme="https"), heard)
            await heard.done()
            assert heard.fault is not None
            assert heard.fault.kind == "unreachable"
            assert f"The certificate of 127.0.0.1:{provider.port} was not accepted" in heard.fault.message
            assert "SSL_CERT_FILE" in heard.fault.message
            strange.close()
            assert not provider.requests

    run(main())


@both_loops
def test_a_certificate_for_another_name(run: Runner, papers: Papers) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        pool = Pool(tls=papers.client())
        async with Provider(answering(OK), ssl=papers.server("other")) as provider:
            heard = Heard()
            pool.send(post(provider.port, host="localhost", scheme="https"), heard)
            await heard.done()
            assert heard.fault is not None
            assert heard.fault.kind == "unreachable"
            assert "not valid for 'localhost'" in heard.fault.message
            assert not provider.requests
            pool.close()

    run(main())


@both_loops
def test_a_provider_that_speaks_no_tls(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            heard = Heard()
            pool.send(post(provider.port, scheme="https"), heard)
            await heard.done()
            assert heard.fault is not None
            assert heard.fault.kind == "unreachable"
            assert "No TLS connection with" in heard.fault.message
            pool.close()

    run(main())


@both_loops
def test_a_handshake_that_stalls_has_the_deadline_of_connecting(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await reader.read(-1)

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            heard = Heard()
            pool.send(post(provider.port, scheme="https", connect_ms=200), heard)
            await heard.done(2)
            assert heard.fault == Fault(
                "unreachable", f"127.0.0.1:{provider.port} took no connection within 200 ms."
            )
            await until(lambda: provider.closed == 1)
            pool.close()

    run(main())


@both_loops
def test_tls_through_a_proxy(run: Runner, papers: Papers) -> None:
    async def main() -> None:
        middle = Middle()
        async with Provider(answering(OK), ssl=papers.server()) as provider, Provider(middle.script) as proxy:
            pool = Pool(proxies={"https": f"http://me:pass@127.0.0.1:{proxy.port}"}, tls=papers.client())
            for _ in range(3):
                heard = Heard()
                pool.send(post(provider.port, host="localhost", scheme="https"), heard)
                await heard.done()
                assert heard.fault is None
                assert heard.body == b"{}"
            (head,) = middle.heads
            assert head.startswith(
                b"CONNECT localhost:%d HTTP/1.1\r\nhost: localhost:%d\r\n" % ((provider.port,) * 2)
            )
            assert b"\r\nproxy-authorization: Basic bWU6cGFzcw==\r\n" in head
            assert all(b"proxy-authorization" not in request for request in provider.requests)
            pool.close()
            await settle()

    run(main())


@both_loops
def test_a_proxy_that_refuses(run: Runner) -> None:
    async def main() -> None:
        for answer, words in (
            (
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
                "answered 407 to CONNECT",
            ),
            (b"HTTP/1.1 503 No\r\n\r\n", "answered 503 to CONNECT"),
            (b"", "did not answer CONNECT"),
            (b"SSH-2.0\r\n\r\n", "to CONNECT"),
            (b"HTTP/1.1 407 " + b"x" * 40_000, "did not answer CONNECT"),
        ):
            middle = Middle(answer)
            async with Provider(middle.script) as proxy:
                pool = Pool(proxies={"https": f"http://me:secret@127.0.0.1:{proxy.port}"})
                heard = Heard()
                pool.send(post(443, host="a.example", scheme="https"), heard)
                await heard.done()
                assert heard.fault is not None
                assert heard.fault.kind == "unreachable"
                assert words in heard.fault.message, heard.fault
                assert "secret" not in heard.fault.message
                pool.close()

    run(main())
