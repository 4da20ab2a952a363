"""What a relay of this shape costs at the least: uvloop, httptools and msgspec, and no gateway around them.

No routes, limits, deadlines, failover, prices, headers or metrics: a key's digest is looked up, `model` and
`usage` are decoded, and two lines of fixed text are appended a call. One upstream, no answer but a good one.

    python python_floor.py PORT UPSTREAM_PORT JOURNAL
"""

import asyncio
import hashlib
import os
import sys

import httptools
import msgspec
import uvloop

OPENED = b'["o","0123456789-1.1","0123456789-1",1,1790000000000,"openai","gpt-4o-mini","openai.chat"]\n'
SETTLED = b'["s","0123456789-1.1","settled",1790000000000,200,64,null,null,null,68400,"config"]\n'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n"
TOLD = b"HTTP/1.1 200 OK\r\nx-fungible-call: 0123456789-1\r\ncontent-type: "
KEYS = {hashlib.sha256(b"").digest(): "bench"}


class Asked(msgspec.Struct):
    model: str
    stream: bool = False


class Counted(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class Answered(msgspec.Struct):
    usage: Counted


asked = msgspec.json.Decoder(Asked).decode
answered = msgspec.json.Decoder(Answered).decode


class Wire(asyncio.Protocol):
    """One connection to the upstream."""

    def __init__(self, floor: "Floor") -> None:
        self.floor = floor
        self.client: Line | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def send(self, client: "Line", body: bytes) -> None:
        self.client, self.pieces, self.kind = client, [], b""
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (HEAD, len(body), body))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        if self.client is not None and self.client.streaming:
            self.client.piece(self.taken())

    def taken(self) -> bytes:
        data = b"".join(self.pieces)
        self.pieces = []
        return data

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.kind = value

    def on_headers_complete(self) -> None:
        self.client.begun(self.kind)

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        client, self.client = self.client, None
        self.floor.free.append(self)
        client.ended(self.taken())


class Line(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, floor: "Floor") -> None:
        self.floor = floor
        self.parser = httptools.HttpRequestParser(self)
        self.pieces: list[bytes] = []
        self.secret = b""
        self.streaming = self.last = False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"x-api-key":
            self.secret = value
        elif name == b"connection":
            self.last = value == b"close"

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self.pieces)
        self.pieces = []
        asked(body)
        assert KEYS[hashlib.sha256(self.secret).digest()]
        os.write(self.floor.journal, OPENED)
        if self.floor.free:
            self.floor.free.pop().send(self, body)
        else:
            self.floor.opening = asyncio.ensure_future(self.floor.open(self, body))

    def begun(self, kind: bytes) -> None:
        self.kind = kind
        self.streaming = kind.startswith(b"text/event-stream")
        if self.streaming:
            self.transport.write(TOLD + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n")

    def piece(self, data: bytes) -> None:
        if data:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def ended(self, rest: bytes) -> None:
        if self.streaming:
            self.piece(rest)
            self.streaming = False
            self.transport.write(b"0\r\n\r\n")
        else:
            answered(rest)
            self.transport.write(b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (TOLD, self.kind, len(rest), rest))
        os.write(self.floor.journal, SETTLED)
        if self.last:
            self.transport.close()


class Floor:
    def __init__(self, upstream: int, journal: str) -> None:
        self.upstream = upstream
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self.free: list[Wire] = []

    async def open(self, line: Line, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: Wire(self), "127.0.0.1", self.upstream)
        wire.send(line, body)

    async def serve(self, port: int) -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Line(self), "127.0.0.1", port)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(Floor(int(sys.argv[2]), sys.argv[3]).serve(int(sys.argv[1])))
