"""What a client is told: headers, error bodies, and a stream in its own dialect.

Pure, and free of states: `exchange` decides when, this file how it is put.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from .account import Settled
from .attempt import BYTES_PER_TOKEN
from .call import Call
from .dialects import SPOKEN
from .dialects.base import Dialect
from .dialects.freetext import Freeing, freed
from .events import (
    Begin,
    End,
    Failed,
    PartBegin,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    TextRun,
    UsageSeen,
    has_content,
    revise,
)
from .events import Done as StreamDone
from .faults import Fault
from .ir import EmbeddingReply, Reply, Usage
from .losses import Loss, Report
from .models import Target
from .money import usd
from .policies import retry
from .signatures import maker_of, signed_as_told, signed_by
from .thoughts import Overhearing, thinks
from .translate import tidy
from .world import Headers

JSON_TYPE = "content-type: application/json\r\n"
LOSSES_BYTES_MAX = 2048
RETRY_AFTER_MAX_MS = 300_000  # a client is not sent away for longer
ESTIMATED = b"content-type: application/json\r\nx-fungible-estimated: input_tokens\r\n"
STREAM_TYPE = b"content-type: %b\r\ncache-control: no-cache\r\n"

REQUEST_IDS = frozenset({b"x-request-id", b"request-id", b"x-amzn-requestid", b"apim-request-id"})
NOTABLE = {dialect.name: REQUEST_IDS | dialect.give_back for dialect in SPOKEN.values()}
"""Dialect -> the headers of a provider's answer that are looked at."""


class Client(Protocol):
    """Who asked. `head`: response header lines, each ended by CRLF, without length or framing."""

    def reply(self, status: int, head: bytes, body: bytes) -> None: ...

    def start(self, status: int, head: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


class Nobody:
    """The client that left, while its attempt is drained. Implements `Client`."""

    def reply(self, status: int, head: bytes, body: bytes) -> None: ...

    def start(self, status: int, head: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


def counted(call: Call, target: Target) -> tuple[bytes, bytes]:
    """An estimate for a client whose target has not counted, said to be one: (header lines, body)."""
    counting = call.dialect.counting
    assert counting is not None
    head = reply_head(call.id, target, 0, None, ()) + ESTIMATED
    return head, counting.write(-(-len(call.body) // BYTES_PER_TOKEN))


def uncounted(call: Call, targets: Iterable[Target]) -> tuple[int, bytes, bytes] | None:
    """(status, header lines, body) of a count that a target of another dialect failed to make: estimated."""
    if call.asking.operation != "count":
        return None
    target = next((t for t in targets if t.dialect != call.dialect.name), None)
    return None if target is None else (200, *counted(call, target))


def recounted(body: bytes, call: Call, target: Target) -> bytes:
    """The target's own count, as the client's dialect tells it. Raises `Fault` for an answer that is none."""
    ours, theirs = call.dialect.counting, SPOKEN[target.dialect].counting
    assert ours is not None and theirs is not None
    return body if target.dialect == call.dialect.name else ours.write(theirs.read(body))


class Failure:
    """A fault to be told. `body`: the provider's own error, where it is in the client's dialect.

    `final`: the client's SDK should not try again by itself; it would only multiply what was tried here.
    """

    __slots__ = ("body", "fault", "final", "status")

    def __init__(
        self, fault: Fault, *, status: int | None = None, body: bytes | None = None, final: bool = False
    ) -> None:
        self.fault = fault
        self.status = status if body is not None and status is not None else fault.status
        self.body = body
        self.final = final


Told = TypeVar("Told", Reply, Begin)


def completed(told: Told, call: Call, target: Target, created: int) -> Told:
    """An answer with what its wire leaves unsaid: its id is the call's, its model the one that was asked."""
    if told.id and told.model and told.created is not None:
        return told
    return msgspec.structs.replace(
        told,
        id=told.id or call.id,
        model=told.model or target.model,
        created=told.created if told.created is not None else created,
    )


class Translating:
    """A `Watch` between two dialects: reads the provider's stream, writes the client's.

    `losses` grows as the stream goes; `created` (Unix seconds) and `model`: for a wire that tells none.
    """

    __slots__ = (
        "_call",
        "_created",
        "_freeing",
        "_heard",
        "_maker",
        "_reader",
        "_report",
        "_target",
        "_writer",
        "began",
        "done",
        "fault",
        "usage",
    )

    def __init__(self, source: Dialect, call: Call, target: Target, created: int) -> None:
        self._report = Report(source.names)
        self._reader = source.stream_reader()
        self._writer = _speaking(call).stream_writer(self._report, call.peek.stream_usage)
        self._call, self._target, self._created = call, target, created
        self._maker = maker_of(source, call.dialect)
        self._freeing = Freeing(call.freetext, self._report) if call.freetext else None
        self._heard = Overhearing() if call.thoughts is not None else None
        self.began = False
        self.done = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None

    @property
    def losses(self) -> list[Loss]:
        return self._report.losses

    def piece(self, data: bytes) -> bool:
        return False

    def feed(self, data: bytes) -> bytes:
        return self._take(self._reader.gather(data))

    def end(self) -> bytes:
        return self._take(self._reader.end())

    def _take(self, events: list[StreamEvent]) -> bytes:
        began, signed = self.began, False
        for n, event in enumerate(events):
            kind = type(event)
            if kind is TextDelta or kind is TextRun:  # nearly every event is one
                began = True
            elif kind is PartEnd or kind is End:
                continue
            elif isinstance(event, PartBegin):
                began = began or has_content(event)
            elif isinstance(event, UsageSeen):
                self.usage = revise(self.usage, event.usage)
            elif isinstance(event, SignatureDelta):
                signed, began = True, True
            elif isinstance(event, Begin):
                events[n] = completed(event, self._call, self._target, self._created)
            elif isinstance(event, StreamDone):
                self.done = True
            elif isinstance(event, Failed):
                self.fault = event.fault
                events = events[:n]
                break
            elif not began:
                began = has_content(event)
        self.began = began
        if self._freeing is not None:
            events = self._freeing.all(events)
        if self._heard is not None and self._call.thoughts is not None:
            parts = self._heard.hear(events)
            if parts:
                self._call.thoughts.keep(
                    self._call.owner, self._target, parts, self._call.dialect.keeping is None
                )
        if signed and self._maker:
            events = signed_as_told(events, self._maker)
        return self._writer.write(events)


def retold(
    body: bytes, call: Call, target: Target, created: int
) -> tuple[bytes, Usage | None, tuple[Loss, ...]]:
    """A plain answer in the client's dialect: (body, usage, losses). Raises `Fault` for one that is none.

    `created`: Unix seconds, for a wire that tells none.
    """
    source = SPOKEN[target.dialect]
    report = Report(source.names)
    read: Reply | EmbeddingReply = source.read_reply(body)
    if isinstance(read, EmbeddingReply):
        model, form = read.model or target.model, call.peek.form
        reply: Any = msgspec.structs.replace(read, model=model, form=form)
    else:
        reply = completed(read, call, target, created)
        if call.freetext:
            reply = freed(reply, call.freetext, report)
        if thinks(reply):
            if call.thoughts is not None:
                call.thoughts.keep(call.owner, target, reply.choices[0].parts, call.dialect.keeping is None)
            maker = maker_of(source, call.dialect)
            reply = signed_by(reply, maker) if maker else reply
    written = _speaking(call).write_reply(reply, report)
    return written, reply.usage, tidy(report.losses) if report.losses else ()


def _speaking(call: Call) -> Dialect:
    """The client's dialect, as an answer to this very request is written in it."""
    repeating = call.dialect.repeating
    return call.dialect if repeating is None else repeating(call.body)


def reply_head(
    call: str, target: Target, attempts: int, row: Settled | None, losses: tuple[Loss, ...]
) -> bytes:
    """The response headers every call has, as lines; for a plain answer with its type and cost."""
    listed = _listed(losses) if losses else "0"
    if row is None:
        rest = ""
    elif row.cost_nanousd is None:
        rest = JSON_TYPE
    else:
        rest = f"{JSON_TYPE}x-fungible-cost-usd: {usd(row.cost_nanousd)}\r\n"
    return (
        f"x-fungible-call: {call}\r\n{target.told}x-fungible-attempts: {attempts}\r\n"
        f"x-fungible-losses: {listed}\r\n{rest}"
    ).encode("latin-1", "replace")


def upstream_error(
    target: Target, client: Dialect, status: int, headers: Headers, body: bytes, wall_ms: int
) -> Failure:
    """What an answer with a bad status means, and the provider's own body where the client can read it."""
    body = target.aim.redacted(body)
    fault = SPOKEN[target.dialect].read_error(status, headers, body)
    if not 400 <= status < 600:
        return Failure(
            Fault("provider_answer", f"{target.provider} answered {status}, which is not followed.")
        )
    if fault.kind == "authentication" or (status in (401, 403) and fault.kind == "permission"):
        return Failure(
            Fault(
                "provider_authentication",
                f"{target.provider} refused the key it was sent ({status}): {fault.message} "
                "The operator's `fungible doctor` checks the keys.",
            )
        )
    if fault.retry_after_ms is None:
        fault.retry_after_ms = retry.until(headers, wall_ms)
    passed = target.dialect == client.name and body.lstrip()[:1] in (b"{", b"[")
    return Failure(fault, status=status, body=body if passed else None)


def given_back(dialect: Dialect, name: bytes, value: bytes) -> bytes:
    """The header line for a client of the provider's own dialect; nothing for a header it has no use for."""
    return b"%b: %b\r\n" % (name, value) if name in dialect.give_back else b""


def only_keepalives(frames: bytes, dialect: Dialect) -> bool:
    """Whether these whole frames say no more than that the provider lives."""
    lines = frames.replace(b"\r\n", b"\n")
    return all(
        frame.startswith(dialect.keepalives) and not (frame.startswith(b":") and b"\ndata:" in frame)
        for frame in lines.split(b"\n\n")
        if frame.strip()
    )


def _listed(losses: tuple[Loss, ...]) -> str:
    text = str(len(losses))
    for loss in losses:
        item = f", {loss.path};{loss.kind}"
        if len(text) + len(item) > LOSSES_BYTES_MAX:
            return text + ", ..."
        text += item
    return text.replace("\r", " ").replace("\n", " ")


def trailer(call: Call, row: Settled, attempts: int, losses: tuple[Loss, ...]) -> bytes:
    """The last lines of a stream, which every reader of its dialect passes over."""
    cost = usd(row.cost_nanousd) if row.cost_nanousd is not None else "unknown"
    listed = _listed(losses) if losses else "0"
    return call.dialect.remark(
        f"x-fungible-cost-usd: {cost}, x-fungible-attempts: {attempts}, state: {row.state}, "
        f"x-fungible-losses: {listed}"
    )


def error_reply(
    call: Call, failure: Failure, attempts: int, target: Target | None, losses: tuple[Loss, ...]
) -> tuple[int, bytes, bytes]:
    """(status, header lines, body) in the client's dialect."""
    fault = failure.fault
    if failure.body is not None:
        status, body = failure.status, failure.body
    else:
        status, body = call.dialect.write_error(fault, call.id)
    lines = [f"x-fungible-call: {call.id}", f"x-fungible-attempts: {attempts}"]
    lines.append(f"x-fungible-losses: {_listed(losses)}")
    lines.append("content-type: application/json")
    if target is not None:
        lines.append(target.told.removesuffix("\r\n"))
    if fault.retry_after_ms is not None:
        wait_ms = min(max(fault.retry_after_ms, 0), RETRY_AFTER_MAX_MS)
        lines.append(f"retry-after: {-(-wait_ms // 1000)}")
        lines.append(f"retry-after-ms: {wait_ms}")
    if attempts or failure.final or not fault.retry:
        lines.append("x-should-retry: false")
    return status, ("\r\n".join(lines) + "\r\n").encode("latin-1", "replace"), body


WHY_SHUT: Mapping[str, str] = {
    "provider_authentication": "refused the key it was sent (`fungible doctor` checks the keys)",
    "rate_limited": "has said that it is asked too often",
}
"""What a target's last fault was -> why it is left alone; any other has come several times in a row."""


def shut(target: Target, kind: str, wait_s: float) -> Fault:
    """The fault of a call whose targets are all left alone for the moment."""
    reason = WHY_SHUT.get(kind, "has failed several times in a row")
    return Fault(
        "unavailable",
        f"{target.provider} {reason} and is left alone for {wait_s:.0f} s. "
        "Give the route another target to fail over to.",
        retry_after_ms=int(wait_s * 1000),
    )


def unread(target: Target) -> Fault:
    """The fault of an answer that a dialect failed on: our mistake, which another target may not meet."""
    return Fault("internal", f"The gateway could not read the answer of {target.name}; its log has more.")
