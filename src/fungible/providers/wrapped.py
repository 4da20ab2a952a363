"""Streams that come in AWS's binary frames around the events of another dialect.

InvokeModelWithResponseStream sends each event of the model's own API as `{"bytes": BASE64}` in a frame called
`chunk` (API reference, ResponseStream). What is inside is put back as the server-sent events that the dialect
reads, with their names where they have any; an exception in the stream is the end of it. Answers that are no
such stream pass as they are.
"""

from base64 import b64decode

import msgspec

from ..faults import Fault, kind_of_status
from ..frames.eventstream import Frame, FrameReader
from ..world import Headers, Sink

MEDIA_TYPE = b"application/vnd.amazon.eventstream"
STATUS = {
    # An exception's name -> the status that it would have been an answer with (API reference, Errors)
    "throttlingException": 429,
    "validationException": 400,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "internalServerException": 500,
    "modelStreamErrorException": 424,
}


class _Chunk(msgspec.Struct, gc=False):
    bytes: str


class _Event(msgspec.Struct, gc=False):
    type: str | None = None


_chunk = msgspec.json.Decoder(_Chunk).decode
_event = msgspec.json.Decoder(_Event).decode


class Unwrapped:
    """Implements `world.Sink`, in front of another."""

    __slots__ = ("_frames", "_over", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._frames: FrameReader | None = None
        self._over = False  # an end has been told

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return not _is_framed(headers) and self._sink.on_whole(status, headers, body)

    def on_head(self, status: int, headers: Headers) -> None:
        if _is_framed(headers):
            self._frames = FrameReader()
        self._sink.on_head(status, headers)

    def on_body(self, data: bytes) -> None:
        if self._over:
            return
        if self._frames is None:
            self._sink.on_body(data)
            return
        out: list[bytes] = []
        try:
            for frame in self._frames.feed(data):
                if frame.kind != "event":
                    self._pass_on(out)
                    self.on_lost(_refused(frame))
                    return
                out.append(_unwrapped(frame))
        except Fault as fault:
            self._pass_on(out)
            self.on_lost(fault)
            return
        self._pass_on(out)

    def _pass_on(self, out: list[bytes]) -> None:
        if out:
            self._sink.on_body(b"".join(out))

    def on_end(self) -> None:
        if not self._over:
            self._over = True
            self._sink.on_end()

    def on_lost(self, fault: Fault) -> None:
        if not self._over:
            self._over = True
            self._sink.on_lost(fault)


def _is_framed(headers: Headers) -> bool:
    return headers.get(b"content-type", b"").startswith(MEDIA_TYPE)


def _unwrapped(frame: Frame) -> bytes:
    try:
        inner = b64decode(_chunk(frame.payload).bytes, validate=True)
        name = _event(inner).type
    except ValueError as error:  # as msgspec's errors are
        raise Fault("provider_answer", "The provider sent a frame without an event in it.") from error
    return b"event: %b\ndata: %b\n\n" % (name.encode(), inner) if name else b"data: %b\n\n" % inner


def _refused(frame: Frame) -> Fault:
    try:
        told = msgspec.json.decode(frame.payload) if frame.payload else {}
    except ValueError:
        told = {}
    said = told.get("message") if isinstance(told, dict) else None
    kind = kind_of_status(STATUS.get(frame.name, 500))
    return Fault(kind, str(said or frame.headers.get(":error-message") or f"The stream ended: {frame.name}."))
