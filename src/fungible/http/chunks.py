"""Request bodies in chunks (RFC 9112 section 7.1), decoded by llhttp on a head of our own.

The request's own head has been read and judged by then; nothing in the chunks can change it, and their
trailers are read past, not read. What follows the last chunk is not looked at either: where exactly it
begins llhttp does not tell, so a connection on which something follows is closed after the answer.
"""

from typing import Final

import httptools

from .framing import Refusal

_HEAD: Final = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
IDLE_BYTES_MAX: Final = 64 * 1024  # of chunk headers, extensions and trailers, between two bytes of body


class ChunkReader:
    """Feed it the bytes after the head. `pieces` grows, `size` is their sum, `whole` says it is the end."""

    __slots__ = ("_idle", "_parser", "more", "pieces", "size", "whole")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.whole = False
        self.more = False  # something follows the body
        self._idle = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def on_message_begin(self) -> None:
        self.more = self.whole

    def on_body(self, data: bytes) -> None:
        if not self.whole:
            self.pieces.append(data)
            self.size += len(data)
            self._idle = 0

    def on_message_complete(self) -> None:
        self.whole = True

    def feed(self, data: bytes) -> None:
        """Raises `Refusal` for chunks that are none, or too much that is not body."""
        self._idle += len(data)
        size = self.size
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.whole:
                raise Refusal(400, f"The chunks of the request's body are not valid: {error}.") from None
            self.more = True
        if size == self.size and self._idle > IDLE_BYTES_MAX and not self.whole:
            raise Refusal(431, f"Over {IDLE_BYTES_MAX} bytes of chunk extensions or trailers.")
