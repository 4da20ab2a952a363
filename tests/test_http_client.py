"""The client's edge: pooled connections, and the flow of one answer over them."""

import asyncio
from typing import Any

from fungible.http.client import Pool
from fungible.http.limits import PoolLimits
from fungible.world import Headers

from .edge_rig import OK, Heard, Provider, Runner, answering, ask, both_loops, post, settle, until

BODY = b'{"a": "bcdefghijklmnop"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nX-Sum: z\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
)


# --- connections ---------------------------------------------------------------------------------


@both_loops
def test_a_connection_is_used_again(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            for i in range(5):
                heard = await ask(pool, provider, body=b"%d" % i)
                assert (heard.status, heard.body, heard.ends) == (200, b"{}", 1)
                assert heard.headers == {b"content-type": b"application/json", b"content-length": b"2"}
            assert provider.connections == 1
            assert provider.requests[3].endswith(
                b"\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n3"
            )
            pool.close()

    run(main())


@both_loops
def test_an_answer_that_comes_at_once_is_told_at_once_or_piece_by_piece_as_its_sink_wants(
    run: Runner,
) -> None:
    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            told = []
            for takes in (True, False, True):
                heard = Heard()
                heard.takes_whole = takes
                pool.send(post(provider.port), heard)
                await heard.done()
                told.append(heard.wholes)
                assert (heard.status, heard.body, heard.ends) == (200, b"{}", 1)
            assert told == [1, 0, 1]
            assert provider.connections == 1
            pool.close()

    run(main())


@both_loops
def test_a_sink_that_fails_on_a_whole_answer_costs_its_connection_and_no_more(run: Runner) -> None:
    class Failing(Heard):
        def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
            self.begun.set()
            raise RuntimeError("as a mistake would")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            failing = Failing()
            pool.send(post(provider.port), failing)
            await failing.begun.wait()
            heard = await ask(pool, provider)
            assert (heard.body, provider.connections) == (b"{}", 2)
            (site,) = pool._sites.values()
            await until(lambda: site.count == 1)
            pool.close()

    run(main())


@both_loops
def test_calls_at_once_have_connections_of_their_own_and_the_last_used_is_first(run: Runner) -> None:
    async def main() -> None:
        pool = Pool(limits=PoolLimits(idle_per_origin=3))
        async with Provider(answering(OK)) as provider:
            heard = await asyncio.gather(*(ask(pool, provider) for _ in range(5)))
            assert [h.ends for h in heard] == [1] * 5
            assert provider.connections == 5
            (site,) = pool._sites.values()
            await until(lambda: len(site.free) == 3 and site.count == 3)
            last = site.free[-1]
            await ask(pool, provider)
            assert site.free[-1] is last
            assert provider.connections == 5
            pool.close()

    run(main())


@both_loops
def test_a_cap_makes_calls_wait_for_each_other(run: Runner) -> None:
    async def main() -> None:
        pool = Pool(limits=PoolLimits(connections_per_origin=2))
        async with Provider(answering(OK)) as provider:
            heard = [Heard() for _ in range(8)]
            flows = [pool.send(post(provider.port), h) for h in heard]
            flows[5].cancel()
            for i, h in enumerate(heard):
                if i != 5:
                    await h.done()
            assert not heard[5].over.is_set()
            assert provider.connections == 2
            assert len(provider.requests) == 7
            pool.close()

    run(main())


@both_loops
def test_a_cap_counts_lost_connections_out(run: Runner) -> None:
    async def main() -> None:
        pool = Pool(limits=PoolLimits(connections_per_origin=1))
        async with Provider(answering(OK, close=True)) as provider:
            heard = await asyncio.gather(*(ask(pool, provider) for _ in range(4)))
            assert [h.ends for h in heard] == [1] * 4
            pool.close()

    run(main())


@both_loops
def test_a_stale_connection_is_replaced_unnoticed(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(OK)
        await writer.drain()
        if n == 1:  # reads the next request and closes: the client cannot have known
            await self.request(reader)
            self.requests.pop()
            writer.transport.abort()
            return
        await reader.read(1)

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            await ask(pool, provider, body=b"one")
            heard = await ask(pool, provider, body=b"two")
            assert (heard.status, heard.ends, heard.fault) == (200, 1, None)
            assert provider.connections == 2
            assert [r[-3:] for r in provider.requests] == [b"one", b"two"]
            pool.close()

    run(main())


@both_loops
def test_an_idle_connection_that_the_provider_closes_is_forgotten(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.02)

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            for _ in range(3):
                assert (await ask(pool, provider)).ends == 1
                (site,) = pool._sites.values()
                await until(lambda site=site: site.count == 0 and not site.free)
            assert provider.connections == 3
            pool.close()

    run(main())


@both_loops
def test_only_a_stale_connection_is_tried_again(run: Runner) -> None:
    async def first(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)

    async def after_a_byte(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(OK)
        await self.request(reader)
        writer.write(b"H")

    async def after_work(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(OK)
        await self.request(reader)
        await asyncio.sleep(0.3)

    async def twice(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        if n == 1:
            writer.write(OK)
            await self.request(reader)

    async def main() -> None:
        for script, before, requests in (
            (first, 0, 1),
            (after_a_byte, 1, 2),
            (after_work, 1, 2),
            (twice, 1, 3),
        ):
            pool = Pool(limits=PoolLimits(sweep_ms=100))
            async with Provider(script) as provider:
                for _ in range(before):
                    assert (await ask(pool, provider)).ends == 1
                heard = await ask(pool, provider)
                assert heard.fault is not None, script.__name__
                assert heard.fault.kind == "provider_error"
                assert "before it answered" in heard.fault.message
                assert len(provider.requests) == requests, script.__name__
                pool.close()

    run(main())


@both_loops
def test_an_idle_connection_grows_old(run: Runner) -> None:
    async def main() -> None:
        pool = Pool(limits=PoolLimits(idle_ms=100, sweep_ms=20))
        async with Provider(answering(OK)) as provider:
            await ask(pool, provider)
            await until(lambda: provider.closed == 1, 2)
            await until(lambda: pool._sweeping is None, 2)
            pool.close()

    run(main())


# --- the flow ------------------------------------------------------------------------------------


@both_loops
def test_cancelling_closes_at_once_and_the_sink_hears_nothing(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        if n > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await reader.read(1)  # ends when the client closes

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            heard = Heard()
            flow = pool.send(post(provider.port), heard)
            flow.cancel()  # while connecting
            await settle()
            for round_ in (1, 2):  # while waiting, and in the midst
                heard = Heard()
                flow = pool.send(post(provider.port), heard)
                await until(lambda round_=round_: len(provider.requests) == round_)
                if round_ == 2:
                    await heard.begun.wait()
                closed = provider.closed
                flow.cancel()
                flow.cancel()
                flow.pause()
                flow.resume()
                await until(lambda closed=closed: provider.closed > closed)
                assert not heard.over.is_set()
            (site,) = pool._sites.values()
            await until(lambda: site.count == 0)
            pool.close()

    run(main())


@both_loops
def test_a_flow_that_is_over_has_no_hold_on_its_connection(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            heard = Heard()
            old = pool.send(post(provider.port), heard)
            await heard.done()
            heard = Heard()
            pool.send(post(provider.port), heard)
            old.cancel()
            old.pause()
            await heard.done()
            assert heard.ends == 1
            assert provider.connections == 1
            pool.close()

    run(main())


@both_loops
def test_a_sink_may_cancel_or_send_again_from_any_call(run: Runner) -> None:
    class Canceller(Heard):
        def __init__(self, at: str) -> None:
            super().__init__()
            self.at = at

        def on_head(self, status: int, headers: Any) -> None:
            super().on_head(status, headers)
            if self.at == "head":
                self.flow.cancel()

        def on_body(self, data: bytes) -> None:
            super().on_body(data)
            if self.at == "body":
                self.flow.cancel()

        def on_end(self) -> None:
            super().on_end()
            self.flow.cancel()
            self.next = Heard()
            self.pool.send(self.outgoing, self.next)

    async def main() -> None:
        pool = Pool()
        async with Provider(answering(CHUNKED)) as provider:
            for at in ("head", "body", "end"):
                heard = Canceller(at)
                heard.pool, heard.outgoing = pool, post(provider.port)
                heard.flow = pool.send(heard.outgoing, heard)
                await heard.begun.wait()
                await asyncio.sleep(0.02)
                assert heard.ends == (at == "end")
                assert bool(heard.pieces) == (at != "head")
            assert (await heard.next.done()).body == BODY
            pool.close()

    run(main())


@both_loops
def test_a_paused_answer_waits_in_the_kernel(run: Runner) -> None:
    size = 30_000_000

    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()
        self.wrote = True
        await self.request(reader)
        writer.write(OK)
        await reader.read(1)

    async def main() -> None:
        pool = Pool()
        async with Provider(script) as provider:
            provider.wrote = False
            heard = Heard()
            flow = pool.send(post(provider.port), heard)
            await heard.begun.wait()
            flow.pause()
            flow.pause()
            got = len(heard.body)
            await asyncio.sleep(0.2)
            assert len(heard.body) - got <= PoolLimits().batch_bytes
            assert not provider.wrote
            flow.resume()
            await heard.done(10)
            assert len(heard.body) == size
            assert (await ask(pool, provider)).ends == 1
            assert provider.connections == 1
            pool.close()

    run(main())


@both_loops
def test_a_flow_paused_before_it_is_connected(run: Runner) -> None:
    async def main() -> None:
        pool = Pool()
        async with Provider(answering(OK)) as provider:
            heard = Heard()
            flow = pool.send(post(provider.port), heard)
            flow.pause()
            await until(lambda: provider.requests)
            await asyncio.sleep(0.05)
            assert not heard.begun.is_set()
            flow.resume()
            await heard.done()
            pool.close()

    run(main())


@both_loops
def test_closing_the_pool_tells_everyone(run: Runner) -> None:
    async def script(self: Provider, reader: Any, writer: Any, n: int) -> None:
        await self.request(reader)
        await reader.read(1)

    async def main() -> None:
        pool = Pool(limits=PoolLimits(connections_per_origin=1))
        async with Provider(script) as provider:
            heard = [Heard(), Heard()]
            for h in heard:
                pool.send(post(provider.port), h)
            await until(lambda: provider.requests)
            pool.close()
            assert [h.fault and h.fault.message for h in heard] == ["The gateway is stopping."] * 2
            late = Heard()
            pool.send(post(provider.port), late)
            await late.done()
            assert late.fault is not None
            assert late.fault.kind == "unreachable"
            await until(lambda: provider.closed == 1)

    run(main())
