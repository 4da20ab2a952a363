"""Errands at a provider's: what its batch API wants sent, sent by the gateway's own client.

The client sends a request once more where a connection that had waited for it ends at that moment. A request
that makes a batch must not be: so none of these is, and each asks for its connection to be closed after it.
Nothing is decided here but how long to wait for one answer.
"""

import asyncio
from typing import BinaryIO

from ..answer import upstream_error
from ..dialects import SPOKEN
from ..faults import Fault
from ..gateway import Gateway
from ..http.client import Fetch
from ..models import Target
from ..providers.batches.base import JSON_TYPE, Errand
from ..world import Headers, Outgoing

ERRAND_S = 600.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # but for results, which go to a file
CONNECT_MS = 10_000


class _Ear:
    """Implements `world.Sink`: an answer in memory, or one of status 200 in a file."""

    def __init__(self, over: "asyncio.Future[None]", file: BinaryIO | None) -> None:
        self.status = 0
        self.headers: Headers = {}
        self.body = bytearray()
        self._file = file
        self.over = over

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return False

    def on_head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def on_body(self, data: bytes) -> None:
        try:
            if self._file is not None and self.status == 200:
                self._file.write(data)
                return
        except OSError as error:
            self.on_lost(Fault("internal", f"The results cannot be written: {error.strerror}."))
            return
        self.body += data
        if len(self.body) > ANSWER_BYTES_MAX:
            self.on_lost(Fault("provider_answer", f"The provider's answer exceeds {ANSWER_BYTES_MAX} bytes."))

    def on_end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def on_lost(self, fault: Fault) -> None:
        if not self.over.done():
            self.over.set_exception(fault)


class Desk:
    """Where one target's batches are brought and fetched."""

    def __init__(self, gateway: Gateway, target: Target) -> None:
        self._gateway = gateway
        self._target = target

    async def run(self, errand: Errand, into: BinaryIO | None = None) -> bytes:
        """The answer's body; of results, nothing, for it goes `into` a file. Raises Fault for any but 2xx."""
        target = self._target
        head = target.head_for(errand.path).replace(b"POST ", errand.method.encode() + b" ", 1)
        if errand.content_type != JSON_TYPE:
            plain, theirs = JSON_TYPE.encode(), errand.content_type.encode()
            head = head.replace(b"content-type: " + plain, b"content-type: " + theirs, 1)
        if into is not None:  # a file is of no type that we would ask for
            head = head.replace(b"accept: " + JSON_TYPE.encode(), b"accept: */*", 1)
        head += b"connection: close\r\n"
        outgoing = Outgoing(target.origin, target.path_for(errand.path), head, errand.body, CONNECT_MS)
        ear = _Ear(asyncio.get_running_loop().create_future(), into)
        flow = self._gateway.send(target, outgoing, ear)
        if isinstance(flow, Fetch):
            flow.reused = False  # what is lost on it is lost
        try:
            async with asyncio.timeout(ERRAND_S):
                await ear.over
        except TimeoutError:
            raise Fault("timeout", f"{target.provider} did not answer within {ERRAND_S:g} s.") from None
        finally:
            flow.cancel()
        body = bytes(ear.body)
        if not 200 <= ear.status < 300:
            spoken = SPOKEN[target.dialect]
            wall_ms = self._gateway.wall_ms()
            raise upstream_error(target, spoken, ear.status, ear.headers, body, wall_ms).fault
        return body
