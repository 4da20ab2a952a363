"""The stream as one JSON list, which is what the API sends where events are not asked for (`alt=sse`).

The same frames, as the items of a list: `[{...},\r\n{...}]`. An error is an item, too.
"""

from ...events import Done, Failed, StreamEvent
from ...faults import Fault
from ...losses import Report
from .errors import write_stream_error
from .stream_write import StreamWriter

_DATA = b"data: "


class ListWriter:
    """Writes the frames of a `StreamWriter` as items."""

    __slots__ = ("_events", "_head")

    def __init__(self, report: Report, usage: bool) -> None:
        self._events = StreamWriter(report, usage)
        self._head = b"["

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for frame in self._events.write(events).split(b"\n\n"):
            if frame:
                out += (self._head, frame.removeprefix(_DATA))
                self._head = b",\r\n"
        if any(type(event) in (Done, Failed) for event in events):
            out.append(b"]" if self._head != b"[" else b"[]")
        return b"".join(out)


def write_list_error(fault: Fault, call: str) -> bytes:
    """The last item: it comes after others, for a stream that has shown nothing fails as a plain answer."""
    return b",\r\n" + write_stream_error(fault, call).removeprefix(_DATA).strip() + b"]"


def no_remark(text: str) -> bytes:
    """JSON has no comments, and the official SDK reads none in streams of events either."""
    return b""
