"""What the server hands over, and what it takes back: a whole request, and the answer to it.

These are all that the rest of the tree needs to know of the server's edge. The rings below describe the
same shapes as protocols of their own and never see this file.
"""

import asyncio
from typing import Any, Final, Protocol

import msgspec

from .framing import LAST_CHUNK, NO_BODY, STATUS_LINES, Asked, fields

COPY_BYTES_MAX: Final = 16 * 1024  # above this a body is written beside its head rather than joined to it


class Head(msgspec.Struct, eq=False):
    """A request's head, read. A client repeats its head with every request, so it is kept and read once.

    Names of `headers` are in lower case; repeated lists are joined by a comma. `note` is for the handler,
    which finds there what it wrote when a request last came with this head.
    """

    asked: Asked
    headers: dict[bytes, bytes]
    note: Any = None

    def __repr__(self) -> str:
        return f"Head({self.asked!r})"  # the headers hold a key


class Request(msgspec.Struct, eq=False):
    """One whole request. `peer` is the client's address without its port."""

    head: Head
    body: bytes
    peer: str | None = None

    def __repr__(self) -> str:
        return f"Request({self.head!r})"

    @property
    def method(self) -> bytes:
        return self.head.asked.method

    @property
    def target(self) -> bytes:
        """As sent."""
        return self.head.asked.target

    @property
    def path(self) -> str:
        """The target's path, percent-encoding kept, without `.`, `..` and empty segments."""
        return self.head.asked.where.path

    @property
    def query(self) -> bytes:
        """What follows the question mark."""
        return self.head.asked.where.query

    @property
    def headers(self) -> dict[bytes, bytes]:
        return self.head.headers


class Call(Protocol):
    """Who works on a request. `on_client_gone` is the last it hears; it may not answer after that."""

    def on_client_gone(self) -> None: ...

    def on_client_blocked(self) -> None:
        """The client is behind by `write_buffer_bytes`: write no more until `on_client_ready`."""

    def on_client_ready(self) -> None: ...


class Handler(Protocol):
    """What the server serves. `on_request` may answer at once or later, through the responder."""

    def on_request(self, request: Request, responder: "Responder") -> Call: ...

    def refuse(self, status: int, message: str, path: str) -> bytes:
        """The JSON body of a refusal by the edge itself; `path` is empty where none could be read."""


class Line(Protocol):
    """A client's connection, as an answer sees it."""

    keep: bool
    old: bool
    behind: bool
    method: bytes
    held: list[bytes]
    transport: asyncio.Transport

    def send(self, data: bytes) -> None: ...

    def answered(self) -> None: ...

    def cut(self, hard: bool) -> None: ...


class Responder(msgspec.Struct, eq=False):
    """The answer to one request: `reply`, or `start`, any number of `write`, and `end`.

    After `end`, `abort` or the client's leaving everything here does nothing. The head given to `start`
    leaves with the first `write`, `flush` or `end`. `writable` is false while the client is behind.
    """

    _conn: Line | None
    _head: bytes = b""
    _started: bool = False
    _chunked: bool = False
    _muted: bool = False

    @property
    def writable(self) -> bool:
        conn = self._conn
        return conn is not None and not conn.behind

    @property
    def started(self) -> bool:
        return self._started

    @property
    def done(self) -> bool:
        """Answered, aborted, or nobody is there to answer."""
        return self._conn is None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        """A whole answer in one write. `head`: header lines, each ended by CRLF, without content-length."""
        conn = self._conn
        if conn is None:
            return
        assert not self._started, "an answer was begun already"
        self._conn = None
        if not conn.keep:
            head += b"connection: close\r\n"
        if status in NO_BODY:  # no length either, RFC 9110 section 8.6
            conn.send(b"%b%b\r\n" % (STATUS_LINES[status], head))
        elif conn.method == b"HEAD":
            conn.send(b"%b%bcontent-length: %d\r\n\r\n" % (STATUS_LINES[status], head, len(body)))
        elif len(body) > COPY_BYTES_MAX:
            conn.send(b"%b%bcontent-length: %d\r\n\r\n" % (STATUS_LINES[status], head, len(body)))
            conn.send(body)
        else:
            data = b"%b%bcontent-length: %d\r\n\r\n%b" % (STATUS_LINES[status], head, len(body), body)
            if conn.held:
                conn.send(data)
            else:
                conn.transport.write(data)  # one write is all there is to gain by a turn
        conn.answered()

    def start(
        self, status: int, headers: list[tuple[bytes, bytes]] | bytes, *, length: int | None = None
    ) -> None:
        """`headers` as pairs or as ready lines. `length` None: as long as it takes (chunks)."""
        conn = self._conn
        if conn is None:
            return
        assert not self._started, "an answer was begun already"
        self._started = True
        head = STATUS_LINES[status] + (headers if isinstance(headers, bytes) else fields(headers))
        self._muted = status in NO_BODY or conn.method == b"HEAD"
        if length is not None:
            head += b"content-length: %d\r\n" % length
        elif status in NO_BODY:
            pass
        elif conn.old:
            conn.keep = False  # HTTP/1.0: the end of the connection is the end of the answer
        else:
            head += b"transfer-encoding: chunked\r\n"
            self._chunked = not self._muted
        if not conn.keep:
            head += b"connection: close\r\n"
        self._head = head + b"\r\n"

    def write(self, data: bytes) -> None:
        conn = self._conn
        if conn is None or not data or self._muted:
            return
        if self._head:
            head, self._head = self._head, b""
            data = b"%b%x\r\n%b\r\n" % (head, len(data), data) if self._chunked else head + data
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        else:
            assert self._started, "an answer begins with start"
        conn.send(data)

    def flush(self) -> None:
        """Sends the head now, before there is anything to follow it."""
        if self._conn is not None and self._head:
            self._conn.send(self._head)
            self._head = b""

    def end(self) -> None:
        conn = self._conn
        if conn is None:
            return
        assert self._started, "an answer begins with start"
        self._conn = None
        last = self._head + LAST_CHUNK if self._chunked else self._head
        self._head = b""
        if last:
            conn.send(last)
        conn.answered()

    def abort(self) -> None:
        """Closes without the end that the client waits for, so that it knows the answer is not whole."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.cut(self._started and not self._chunked)

    def client_gone(self) -> None:
        """For the connection: whoever holds this writes into nothing from now on."""
        self._conn = None
