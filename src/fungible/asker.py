"""Asking for a rehearsal: a recorded request to any target, by the very calls that serve applications.

It goes through the in-process client as its caller sent it, in the caller's dialect, so translation, retries,
the ledger's row and the price are those of live traffic. The answer comes back as a `Recording` like the one
it was made of. Nothing is decided here.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from .app import App
from .client import AsyncClient
from .dialects import EMBEDDINGS, dialect
from .dialects.base import MODEL, Dialect
from .faults import Fault
from .ir import EmbeddingReply, EmbeddingRequest, Input, Reply, Text, Usage
from .losses import Report
from .models import Target
from .money import NANO, Price, cost
from .recording import Recording, compact, plain
from .switch.world import Replayed

AS_EVENTS = "alt=sse"  # where an address has two forms of stream, the one that readers read
LOST = re.compile(r"([^,;\s]\S*);(dropped|approximated|changed)")
NOT_SENT = frozenset({"unavailable", "rate_limited"})


class Told(NamedTuple):
    """What a caller was told: the header lines, the body as it came, and when. Times as in `Recording`."""

    status: int
    head: bytes
    wire: bytes
    at_ms: int
    first_ms: float | None
    duration_ms: float


class Asker:
    """Implements `switch.world.Asker`, on the running loop. Close it."""

    def __init__(self, config: str | None = None) -> None:
        self._client = AsyncClient(config, record=False)  # a rehearsal is no traffic to be rehearsed on

    def app(self) -> App:
        """What serves the replays."""
        return self._client.app()

    async def close(self) -> None:
        await self._client.close()

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        spoken = dialect(recording.dialect)
        path, body = addressed(recording, spoken, target)
        at_ms, began = int(time.time() * 1000), time.monotonic()
        status, head, pieces = await self._client.send(
            "POST", path, {b"x-fungible-tags": tags.encode()}, body
        )
        first_ms: float | None = None
        got: list[bytes] = []
        try:
            async for piece in pieces:
                first_ms = first_ms if first_ms is not None else (time.monotonic() - began) * 1000
                got.append(piece)
        finally:
            pieces.leave()
        duration_ms = (time.monotonic() - began) * 1000
        came = Told(status, head, b"".join(got), at_ms, first_ms, duration_ms)
        return self.replayed(recording, target, came, self.price)

    def replayed(
        self, recording: Recording, target: str, came: Told, price: Callable[[str], Price | None]
    ) -> Replayed:
        """What came back, as a recording like the one that was asked."""
        spoken = dialect(recording.dialect)
        status, wire = came.status, came.wire
        told = _fields(came.head)
        streamed = recording.stream and status == 200
        reply, fault = plain(spoken.name, wire) if streamed else _body(wire)
        if status != 200:
            fault = spoken.read_error(status, {}, wire).kind
        usage = _usage(spoken, reply) if status == 200 and reply is not None else None
        provider, _, model = told.get("x-fungible-target", target).partition("/")
        wait = told.get("retry-after-ms", "")
        answer = msgspec.structs.replace(
            recording,
            at_ms=came.at_ms,
            provider=provider,
            model=model,
            reply=msgspec.Raw(compact(reply)) if reply is not None else None,
            status=status,
            fault=fault,
            first_ms=came.first_ms if recording.stream else None,
            duration_ms=came.duration_ms,
            input_tokens=usage.input_tokens if usage is not None else None,
            output_tokens=usage.output_tokens if usage is not None else None,
            cost_nanousd=_cost(told, target, usage, status, price),
            losses=int(told.get("x-fungible-losses", "0").partition(",")[0]),
            request=msgspec.Raw(b"null"),  # the recording has it
        )
        sent = told.get("x-fungible-attempts") != "0" or fault not in NOT_SENT
        listed = wire.decode("utf-8", "replace").rpartition("x-fungible-losses: ")[2] if streamed else ""
        lost = tuple(LOST.findall(told.get("x-fungible-losses", "") + " " + listed.partition("\n")[0]))
        return Replayed(answer, tuple(dict.fromkeys(lost)), sent, int(wait) if wait.isdigit() else None)

    async def embed(
        self, model: str, texts: Sequence[str], tags: str
    ) -> tuple[list[tuple[float, ...]], int | None]:
        spoken = next(iter(EMBEDDINGS.values()))
        inputs = tuple(Input(parts=(Text(text=text),)) for text in texts)
        request = EmbeddingRequest(model=model, inputs=inputs)
        body = spoken.write_request(request, Report(), frozenset())  # type: ignore[arg-type]
        headers = {b"x-fungible-tags": tags.encode()}
        status, head, pieces = await self._client.send("POST", spoken.client_paths[0], headers, body)
        answer = await pieces.whole()
        if status != 200:
            raise spoken.read_error(status, {}, answer)
        reply = spoken.read_reply(answer)
        assert isinstance(reply, EmbeddingReply)
        amount = _cost(_fields(head), model, reply.usage, status, self.price)
        return [vector.unpacked() or () for vector in reply.vectors], amount

    def price(self, target: str) -> Price | None:
        found = self._target(target)
        local = self._client.app().local
        return local.price(found, int(time.time() * 1000))

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_s(self) -> float:
        return time.monotonic()

    def _target(self, name: str) -> Target:
        return self._client.app().local.catalogue.route(name).targets[0]


def addressed(recording: Recording, spoken: Dialect, target: str) -> tuple[str, bytes]:
    """The path and the body of the recorded request, for another model."""
    body = bytes(recording.request)
    if spoken.locate is None:
        peek = spoken.peek(body)
        return spoken.client_paths[0], spoken.readdress(body, peek, target, True)
    for template in spoken.client_paths:
        path = template.replace(MODEL, quote(target, safe=""), 1)
        located = spoken.locate(path, AS_EVENTS.encode())
        if located is not None and (located.operation, located.stream) == ("chat", recording.stream):
            return f"{path}?{AS_EVENTS}", spoken.readdress(body, spoken.peek(body), target, True)
    raise Fault("internal", f"{spoken.name} has no address for this request.")


def _cost(
    told: dict[str, str],
    target: str,
    usage: Usage | None,
    status: int,
    priced: Callable[[str], Price | None],
) -> int | None:
    """As the ledger has it: told in the head of a plain answer; of a stream, computed alike."""
    if "x-fungible-cost-usd" in told:
        return round(float(told["x-fungible-cost-usd"]) * NANO)
    if status != 200:
        return 0
    price = priced(told.get("x-fungible-target", target))
    return cost(price, usage) if price is not None and usage is not None else None


def _body(wire: bytes) -> tuple[bytes | None, str]:
    try:
        return compact(wire), ""
    except msgspec.DecodeError:
        return None, "provider_answer"


def _usage(spoken: Dialect, reply: bytes) -> Usage | None:
    try:
        read = spoken.read_reply(reply)
    except Fault:
        return None
    return read.usage if isinstance(read, Reply) else None


def _fields(head: bytes) -> dict[str, str]:
    lines = [line.partition(b": ") for line in head.split(b"\r\n") if line]
    return {name.decode().lower(): value.decode("latin-1") for name, _, value in lines}
