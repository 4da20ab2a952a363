"""The server's edge: bytes on client sockets to whole requests, answers to bytes.

One `Connection` per socket. Its states and what ends them:

    FRESH    connected, nothing sent yet      head_ms, then closed without a word
    IDLE     between two requests             idle_ms, then closed without a word
    HEAD     part of a head has arrived       head_ms, then 408
    BODY     part of a body has arrived       body_ms, then 408
    ANSWER   a call is under way              the call's own deadlines
    BEHIND   the client does not keep up      write_ms without progress, then it is gone
    LINGER   refused; rest is thrown away     linger_ms, then closed
    CLOSING  closed, answer still being sent  write_ms without progress, then cut

One request at a time: bytes of a next one are kept until the answer to this one has been sent. A head is
read when it is whole, by the two expressions of `framing`; its length or its chunks then say what the
body is, and nothing else does. A head that was in order is remembered by its bytes, all but the digits of
its one content-length, and not read again.

A client that closes its sending side while a call is under way has left: nobody can tell that from a
closed connection in time, and work for nobody costs money. So half-closed clients get no answer.

Prohibitions: no task per request, no timer per request (one sweep looks at all connections), nothing
awaited, and no knowledge of what a request asks for.
"""

import asyncio
from typing import Final

from .chunks import ChunkReader
from .framing import (
    BARE,
    CONTINUE,
    FIELDS,
    LENGTH_DIGITS_MAX,
    STATUS_LINES,
    Asked,
    Refusal,
    body_length,
    joined,
    looks_wrong,
    why_no_head,
)
from .gate import ANSWER, BEHIND, CLOSING, FRESH, IDLE, LINGER, NO_HEAD, READING_BODY, READING_HEAD, Gate
from .loop import tune
from .responder import COPY_BYTES_MAX, Call, Head, Request, Responder

SMALL_BODY_BYTES: Final = 256 * 1024  # bodies up to this are not counted against `bodies_bytes_max`
PENDING_BYTES_MAX: Final = 64 * 1024  # of requests sent before their turn
LENGTH: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")  # as clients spell it
LENGTH_BYTES: Final = len(LENGTH[0])
NOTHING_KNOWN: Final = (b"\n", b"")  # no head begins so


class Connection(asyncio.Protocol):
    """One client socket."""

    __slots__ = (
        "_answering",
        "_around",
        "_body",
        "_body_left",
        "_call",
        "_chunks",
        "_gate",
        "_head",
        "_part",
        "_peer",
        "_pending",
        "_pieces",
        "_reserved",
        "_responder",
        "_skipped",
        "_stalled_at",
        "behind",
        "held",
        "keep",
        "method",
        "old",
        "since",
        "state",
        "transport",
        "turn",
    )

    transport: asyncio.Transport

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.turn = gate.turn
        self._peer: str | None = None
        self._call: Call | None = None
        self._responder: Responder | None = None
        self._answering = False  # inside the handler, which may answer at once
        self._part = bytearray()  # of a head
        self._skipped = False  # the empty line that may stand before it
        self._pending = b""  # what came after the request that is being answered
        self._head: Head = NO_HEAD
        self._around = NOTHING_KNOWN  # what stands before and after a length, in the head read last
        self._body = b""
        self._pieces: list[bytes] = []  # of a body that did not come at once
        self._body_left = 0
        self._chunks: ChunkReader | None = None
        self._reserved = 0
        self._stalled_at = 0
        self.state = FRESH
        self.since = gate.tick
        self.method = b""
        self.keep = True  # another request may follow
        self.old = False  # HTTP/1.0
        self.behind = False  # the transport holds more than it should
        self.held: list[bytes] = []  # to be written when the turn closes

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP server's transports are
        sock = transport.get_extra_info("socket")
        if sock is not None:
            tune(sock)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else None
        self.transport.set_write_buffer_limits(high=self._gate.limits.write_buffer_bytes)
        self._gate.joined(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._gate.left(self)
        self.state = CLOSING
        self._forget()
        self._gone()

    def eof_received(self) -> None:
        """The client sends no more. The transport closes by itself, once what was written has been sent."""
        self._pending = b""
        if self.state != LINGER:
            self._closing()
        self._gone()

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state <= IDLE:
            self._advance(data)
        elif state == READING_BODY:
            self._read_body(data)
        elif state == READING_HEAD:
            try:
                self._more_of_head(data)
            except Refusal as refusal:
                self.refuse(refusal)
        elif state < LINGER:
            self._pending += data
            if len(self._pending) > PENDING_BYTES_MAX:
                self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.behind = True
        self.since = self._gate.tick
        self._stalled_at = self.transport.get_write_buffer_size()
        if self.state == ANSWER:
            self.state = BEHIND
            if self._call is not None:
                self._call.on_client_blocked()

    def resume_writing(self) -> None:
        self.behind = False
        if self.state != BEHIND:
            return
        if self._responder is None:
            self._idle()
            return
        self.state = ANSWER
        if self._call is not None:
            self._call.on_client_ready()

    # --- reading ---

    def _advance(self, data: bytes) -> None:
        """Reads requests from bytes that begin with one, while they are whole and answered at once."""
        while data:
            try:
                rest = self._read_head(data)
            except Refusal as refusal:
                self.refuse(refusal)
                return
            if rest is None:
                return
            data = self._dispatch(rest)

    def _part_of_head(self, data: bytes) -> None:
        """Keeps the part of a head for later. Raises `Refusal`."""
        if not self._skipped and data.startswith(b"\r\n"):
            self._skipped = True  # RFC 9112 section 2.2: an empty line before a request is ignored, one
            self._advance(data[2:])
            return
        if data == b"\r" and not self._skipped:
            pass
        elif b"\r\n\r\n" in data or looks_wrong(data):
            raise why_no_head(data, self._gate.head_bytes_max)
        if self.state == IDLE:
            self.since = self._gate.tick
        self.state = READING_HEAD
        self._part += data
        self._more_of_head(b"")

    def _more_of_head(self, data: bytes) -> None:
        """Looks at each byte once, however small the pieces are. Raises `Refusal`."""
        part = self._part
        start = len(part)
        part += data
        if part.find(b"\r\n\r\n", max(0, start - 3)) >= 0:
            whole = bytes(part)
            part.clear()
            self._advance(whole)
        elif len(part) > self._gate.head_bytes_max:
            raise self._gate.too_long()
        elif data and BARE.search(part, max(0, start - 1)) is not None:
            raise why_no_head(bytes(part), self._gate.head_bytes_max)

    def _read_head(self, data: bytes) -> bytes | None:
        """Returns what follows the request, None where it is not whole yet. Raises `Refusal`."""
        before, after = self._around
        if data.startswith(before):
            at = len(before)
            stop = data.find(b"\r\n", at)
            digits = data[at:stop]
            if data.startswith(after, stop) and digits.isdigit() and stop - at <= LENGTH_DIGITS_MAX:
                return self._again(self._head, data, stop + len(after), int(digits))
        gate = self._gate
        end = data.find(b"\r\n\r\n") + 2  # of the fields
        key = b""
        at = data.find(LENGTH[0], 0, end)
        if at < 0:
            at = data.find(LENGTH[1], 0, end)
        if at >= 0:
            at += LENGTH_BYTES
            stop = data.find(b"\r\n", at, end)
            key, digits = data[:at] + data[stop:end], data[at:stop]
            head = gate.heads.get(key)
            if head is not None and digits.isdigit() and stop - at <= LENGTH_DIGITS_MAX:
                self._around = data[:at], data[stop : end + 2]
                return self._again(head, data, end + 2, int(digits))
        return self._read_new_head(data, end, key)

    def _again(self, head: Head, data: bytes, start: int, length: int) -> bytes | None:
        """A request whose head is known: only its body's length is new."""
        self._head = head
        self.method = head.asked.method
        self.old = self._skipped = False
        gate = self._gate
        self.keep = not gate.draining
        stop = start + length
        if stop > len(data) or length > gate.body_bytes_max:
            return self._begin_body(data[start:], length)
        self._body = data[start:stop]
        return data[stop:]

    def _read_new_head(self, data: bytes, end: int, key: bytes) -> bytes | None:
        gate = self._gate
        self._around = NOTHING_KNOWN
        line = data[: data.find(b"\r\n")]
        if end < 2 or not line:
            self._part_of_head(data)
            return None
        self._skipped = False
        asked = gate.known.get(line) or self._new_line(line, data)
        self.method = asked.method
        self.old = old = asked.old
        found = FIELDS.findall(data, 0, end)
        count = data.count(b"\n", 0, end) - 1
        if len(found) != count:
            raise why_no_head(data, gate.head_bytes_max)
        if end + 2 > gate.head_bytes_max or count > gate.header_count_max:
            raise gate.too_long()
        headers: dict[bytes, bytes] = {}
        for name, value in found:
            headers[name.lower()] = value.strip()
        if len(headers) != count:
            headers = joined(found)
        self._head = head = Head(asked, headers)
        get = headers.get
        host = get(b"host")
        if host != gate.last_host or asked.where.authority is not None:
            gate.check_host(host, asked.where, old)
        left = body_length(get(b"content-length"), get(b"transfer-encoding"), old)
        connection = get(b"connection")
        self.keep = not (old or gate.draining or (connection and b"close" in connection.lower()))
        start = end + 2
        if (
            key
            and self.keep
            and left is not None
            and asked.where.authority is None
            and b"expect" not in headers
        ):
            gate.remember(key, head)
        if left is None or left > min(len(data) - start, gate.body_bytes_max) or b"expect" in headers:
            return self._begin_body(data[start:], left)
        end = start + left
        self._body = data[start:end]
        return data[end:]

    def _new_line(self, line: bytes, data: bytes) -> Asked:
        self._head = NO_HEAD  # for the refusal, if there is one
        asked = self._gate.read_line(line)
        if asked is None:
            raise why_no_head(data, self._gate.head_bytes_max)
        return asked

    def _begin_body(self, rest: bytes, left: int | None) -> bytes | None:
        """The rarer ways: a body in pieces, in chunks, or one that waits to be asked for."""
        expect = self._head.headers.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise Refusal(417, "The only expectation known here is `100-continue`.")
        if left is None:
            self._chunks = ChunkReader()
        else:
            self._gate.check_body(left)
            self._reserve(left)
            self._body_left = left
        if expect is not None and not rest and left != 0:
            self.transport.write(CONTINUE)
        self.state = READING_BODY
        self.since = self._gate.tick
        return self._take_body(rest)

    def _read_body(self, data: bytes) -> None:
        try:
            rest = self._take_body(data)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        if rest is not None:
            self._advance(self._dispatch(rest))

    def _take_body(self, data: bytes) -> bytes | None:
        """Returns what follows the body, None while it is not whole. Raises `Refusal`."""
        chunks = self._chunks
        if chunks is not None:
            chunks.feed(data)
            self._gate.check_body(chunks.size)
            self._reserve(chunks.size)
            if not chunks.whole:
                return None
            self._body, self._chunks = b"".join(chunks.pieces), None
            self.keep = self.keep and not chunks.more
            return b""
        left = self._body_left
        if len(data) < left:
            self._body_left = left - len(data)
            self._pieces.append(data)
            return None
        self._pieces.append(data if len(data) == left else data[:left])
        self._body, self._pieces = b"".join(self._pieces), []
        return data[left:]

    def _reserve(self, size: int) -> None:
        """Counts a larger body among those under way. Raises `Refusal` where they are too many."""
        if size > SMALL_BODY_BYTES:
            self._gate.reserve(size - self._reserved)
            self._reserved = size

    # --- serving ---

    def _dispatch(self, rest: bytes) -> bytes:
        """Hands a whole request over. Returns `rest` where it was answered at once, else keeps it."""
        request = Request(self._head, self._body, self._peer)
        self._body = b""
        self._responder = responder = Responder(self)
        self.state = ANSWER
        self._answering = True
        try:
            call = self._gate.handler.on_request(request, responder)
            self._call = call if self._responder is responder else None
        except Exception as error:
            self._failed(error, responder)
        self._answering = False
        if self.state == IDLE:
            return rest
        self._pending = rest
        return b""

    def _failed(self, error: Exception, responder: Responder) -> None:
        self._gate.report("A request's handler failed.", error)
        if responder.done:
            return
        if responder.started:
            responder.abort()
            return
        responder.client_gone()
        self.refuse(Refusal(500, "The gateway failed to handle this request; its log has more."))

    def answered(self) -> None:
        """The whole answer has been written."""
        self._call = self._responder = None
        if self._reserved:
            self._give_back()
        if not self.keep:
            self.close()
        elif self.behind:
            self.state = BEHIND
        elif self._pending or self._gate.draining:
            self._idle()
        else:
            self.state = IDLE
            self.since = self._gate.tick

    def _idle(self) -> None:
        self.state = IDLE
        self.since = self._gate.tick
        if self._gate.draining:
            self.close()
        elif self._pending and not self._answering:
            self._next()

    def _next(self) -> None:
        data, self._pending = self._pending, b""
        self.transport.resume_reading()
        self._advance(data)

    # --- writing ---

    def send(self, data: bytes) -> None:
        """Writes now, or with everything else of the turn."""
        if self.turn.open:
            if not self.held:
                self.turn.hold(self)
            self.held.append(data)
        else:
            self.transport.write(data)

    def abort(self) -> None:
        self.transport.abort()

    def flush(self) -> None:
        held = self.held
        if held:
            self.held = []
            if len(held) == 1:
                self.transport.write(held[0])
            elif sum(map(len, held)) > COPY_BYTES_MAX:
                self.transport.writelines(held)
            else:
                self.transport.write(b"".join(held))

    # --- ending ---

    def refuse(self, refusal: Refusal) -> None:
        """Answers with an error and closes, in a way that lets the client read it (RFC 9112 section 9.6)."""
        self.flush()
        body = self._gate.handler.refuse(refusal.status, refusal.message, self._head.asked.where.path)
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.transport.write(STATUS_LINES[refusal.status] + head + (b"" if self.method == b"HEAD" else body))
        self._forget()
        self._call = self._responder = None
        self.state = LINGER
        self.since = self._gate.tick
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Closes when everything has been sent."""
        self.flush()
        self._closing()
        self.transport.close()

    def cut(self, hard: bool) -> None:
        """Closes in the midst of an answer; `hard` where that would look like its end."""
        self._call = self._responder = None
        self._forget()
        if hard:
            self.held.clear()
            self.state = CLOSING
            self.transport.abort()
        else:
            self.close()

    def expired(self) -> None:
        """The sweep found that the state has lasted too long."""
        if self.state in (READING_HEAD, READING_BODY):
            what = "headers" if self.state == READING_HEAD else "body"
            self.refuse(Refusal(408, f"The request's {what} took too long to arrive."))
        elif self.state in (BEHIND, CLOSING):
            size = self.transport.get_write_buffer_size()
            if size > self._stalled_at - self._gate.limits.write_buffer_bytes:
                self.transport.abort()
            self._stalled_at = size
            self.since = self._gate.tick
        elif self.state == LINGER:
            self.transport.abort()
        else:
            self.close()

    def _closing(self) -> None:
        self.state = CLOSING
        self.since = self._gate.tick
        self._stalled_at = self.transport.get_write_buffer_size()

    def _forget(self) -> None:
        """Lets go of a request that was not, or not to its end, served."""
        self._part.clear()
        self._pending = self._body = b""
        self._pieces = []
        self._chunks = None
        if self._reserved:
            self._give_back()

    def _give_back(self) -> None:
        self._gate.reserve(-self._reserved)
        self._reserved = 0

    def _gone(self) -> None:
        call, responder = self._call, self._responder
        self._call = self._responder = None
        if responder is not None:
            responder.client_gone()
        if call is not None:
            call.on_client_gone()
