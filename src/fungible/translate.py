"""Translation: a body of one dialect in, the same of another out, and every loss by its path.

Read, change at most the model's name, write: there is nothing else here, and no way round it. Source
and target may be the same, which normalises a body and checks it. This is the whole of translation as
a person or a program meets it (`fungible translate`, `fungible.translate`); a call in the server walks
the same readers and writers with its own report. Signatures of thoughts are sealed and stripped as in a call.

It must not know a dialect by name, keep anything between two calls, or let a loss go unsaid.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

import msgspec

from .dialects import EMBEDDINGS, dialect, embeddings_of
from .dialects.base import Dialect, Quirks
from .events import Begin, Failed, StreamEvent
from .faults import Fault
from .frames.eventstream import FrameReader as BinaryReader
from .frames.sse import FrameReader
from .ir import Json
from .losses import Loss, Report
from .signatures import ascribed, maker_of, signed_as_told, signed_by

SEVERITY = {"changed": 0, "approximated": 1, "dropped": 2}
"""What was moved may have been approximated inside, or lost something, which its own loss must say."""

WORDS_OF_ERRORS = frozenset({"type", "status", "status_code", "object"})
"""What an error reply says by its kind: the target says it in its own words, which is no loss."""

TEXT_TYPES = ("text/", "application/json", "application/x-ndjson")
"""Media types of streams that are text. Any other stream is base64, in and out."""


class Translation(msgspec.Struct, frozen=True):
    """`body` is parsed JSON; for a stream the wire text, for an error `{"status", "body"}`.

    `path`: of a request in a dialect whose address names the model, that address.
    """

    body: Json
    losses: tuple[Loss, ...]
    path: str | None = None


_Made: TypeAlias = tuple[Json, Iterable[Loss]] | tuple[Json, Iterable[Loss], str]


def translate(
    body: Json,
    *,
    source: str,
    target: str,
    kind: str = "request",
    model: str | None = None,
    strict: bool = False,
    quirks: Quirks = frozenset(),
) -> Translation:
    """One body of `source` as one of `target`.

    body:    request, response: parsed JSON, or its text or bytes. stream: the wire text or its bytes,
             base64 text where the dialect's stream is binary. error: `{"status": int, "body": Json}`.
    kind:    a row of `KINDS`
    model:   the name to put in the place of the body's own; a body whose address names it has none
    strict:  raise rather than lose
    quirks:  the target provider's, as its dialect names them

    Raises `Fault`: `bad_request` for a dialect, kind or quirk that is none and for a request that cannot
    be read, with its path; `provider_answer` and the like for a reply that is none; `lossy` when strict.
    """
    make = KINDS.get(kind)
    if make is None:
        raise Fault("bad_request", f"There is no kind {kind!r}. There are: {', '.join(KINDS)}.", path="kind")
    reads, writes = _dialect(source, "source"), _dialect(target, "target")
    if source in EMBEDDINGS or target in EMBEDDINGS:
        reads, writes = _of_vectors(reads, "source"), _of_vectors(writes, "target")
    for quirk in sorted(quirks - writes.quirks.keys()):
        known = ", ".join(writes.quirks) or "none"
        raise Fault("bad_request", f"{target} has no quirk {quirk!r}. It has: {known}.", path="quirks")
    made, losses, *address = make(body, reads, writes, model, quirks)
    found = tidy(losses)
    if strict and found:
        raise lossy(found)
    return Translation(made, found, *address)


def line(record: Json) -> dict[str, Json]:
    """One record of `fungible translate --lines`. Never raises.

    In `{"from", "to", "kind", "model", "strict", "body"}`, where `kind`, `model` and `strict` may be absent.
    Out `{"body", "losses": [{"path", "kind", "why"}]}`, with the `path` of a `Translation` that has one, or
    `{"error": {"kind", "message", "path", "status"}}`.
    """
    try:
        asked = _record(record)
        done = translate(
            record["body"],
            source=asked["from"],
            target=asked["to"],
            kind=asked.get("kind") or "request",
            model=asked.get("model"),
            strict=record.get("strict") is True,
        )
    except Fault as fault:
        error = {"kind": fault.kind, "message": fault.message, "path": fault.path, "status": fault.status}
        return {"error": error}
    except Exception as problem:  # the promise of this function, for a fault of ours as well
        text = f"fungible could not read this: {type(problem).__name__}. Please report it."
        return {"error": {"kind": "internal", "message": text, "path": None, "status": 500}}
    return said(done)


def said(done: Translation) -> dict[str, Json]:
    """A translation as JSON."""
    told = {"body": done.body, "losses": [msgspec.to_builtins(loss) for loss in done.losses]}
    return told if done.path is None else {**told, "path": done.path}


def tidy(losses: Iterable[Loss]) -> tuple[Loss, ...]:
    """Each loss once, by path, without those that one as bad higher up covers."""
    worst: dict[str, int] = {}
    every: dict[tuple[str, str], Loss] = {}
    for loss in sorted(losses, key=lambda loss: (loss.path, loss.why, -SEVERITY[loss.kind])):
        every.setdefault((loss.path, loss.why), loss)
        worst[loss.path] = max(worst.get(loss.path, -1), SEVERITY[loss.kind])
    return tuple(
        loss
        for loss in every.values()
        if all(worst.get(above, -1) < SEVERITY[loss.kind] for above in _above(loss.path))
    )


def lossy(losses: Iterable[Loss], target: str | None = None) -> Fault:
    """The refusal of a strict call: all that would be lost, on the way to the model `target`."""
    found = tuple(losses)
    listed = "; ".join(f"{loss.path} ({loss.kind}: {loss.why})" for loss in found)
    way = f" for {target}" if target is not None else ""
    return Fault(
        "lossy",
        f"Nothing may be lost here, and translating it{way} would lose something at {len(found)} places: "
        f"{listed}. "
        "Leave these out, ask a model of the same dialect, or do not ask for strictness.",
        path=found[0].path if found else None,
        code="lossy",
    )


def _above(path: str) -> list[str]:
    """The paths that cover `path`, itself not among them: `a`, `a[0]` of `a[0].b`."""
    return [path[:i] for i, char in enumerate(path) if char in ".["]


def _dialect(name: str, where: str) -> Dialect:
    try:
        return dialect(name)
    except Fault as fault:
        raise Fault(fault.kind, fault.message, path=where) from None


def _record(record: Json) -> dict[str, str]:
    if not isinstance(record, dict):
        raise Fault("bad_request", "A record is a JSON object with from, to and body.")
    for name in ("from", "to", "body"):
        if name not in record:
            raise Fault("bad_request", f"The record has no {name!r}: it needs from, to and body.", path=name)
    for name in ("from", "to", "kind", "model"):
        if not isinstance(record.get(name), str | None) or (name in ("from", "to") and record[name] is None):
            raise Fault("bad_request", f"{name!r} must be a string.", path=name)
    return record


def _of_vectors(spoken: Dialect, which: str) -> Dialect:
    """Where one side is of vectors, a dialect of chat stands for its owner's dialect of vectors.

    Raises `Fault` (bad_request) where there is none.
    """
    found = (spoken,) if spoken.name in EMBEDDINGS else embeddings_of(spoken.name)
    if not found:
        names = ", ".join(EMBEDDINGS)
        message = f"{spoken.name} has no embeddings. These have: {names}."
        raise Fault("bad_request", message, path=which)
    return found[0]


# --- the kinds -----------------------------------------------------------------------------------


def _request(body: Json, source: Dialect, target: Dialect, model: str | None, quirks: Quirks) -> _Made:
    request = source.read_request(_bytes(body))
    if source.subject == "chat":
        request = ascribed(request, source)
    if model is not None:
        request = msgspec.structs.replace(request, model=model)
    report = Report(source.names)
    made = msgspec.json.decode(target.write_request(request, report, quirks))
    if target.locate is None:
        return made, report.losses
    stream = target.subject == "chat" and request.stream
    return made, report.losses, target.address(request.model, "chat", stream)


def _response(body: Json, source: Dialect, target: Dialect, model: str | None, _: Quirks) -> _Made:
    reply = source.read_reply(_bytes(body))
    if source.subject == "chat" and (maker := maker_of(source, target)):
        reply = signed_by(reply, maker)
    if model is not None:
        reply = msgspec.structs.replace(reply, model=model)
    report = Report(source.names)
    return msgspec.json.decode(target.write_reply(reply, report)), report.losses


def _stream(body: Json, source: Dialect, target: Dialect, model: str | None, _: Quirks) -> _Made:
    if source.subject != "chat":
        raise Fault("bad_request", f"{source.name} has no streams: vectors come whole.", path="kind")
    reader, report, wire = source.stream_reader(), Report(source.names), _wire(body, source)
    events = reader.feed(wire) + reader.end()
    if maker := maker_of(source, target):
        events = signed_as_told(events, maker)
    made = target.stream_writer(report, True).write([_renamed(event, model) for event in events])
    text = made.decode() if _is_text(target) else base64.b64encode(made).decode()
    if any(isinstance(event, Failed) for event in events):
        errors = _errors_in(wire) if _is_text(source) else _exceptions_in(wire)
        return text, report.losses + _unsaid_by(errors, made.decode("utf-8", "replace"))
    return text, report.losses


def _errors_in(wire: bytes) -> Iterator[dict[str, Json]]:
    """What holds an error: an event, or the whole answer that stands in one."""
    lined = wire[:1] == b"{"
    for data in wire.split(b"\n") if lined else [data for _, data in FrameReader().feed(wire)]:
        for said in _object(data) if b'"error"' in data else ():
            yield from [v for v in (said, *said.values()) if isinstance(v, dict) and _tells_error(v)][:1]


def _tells_error(said: dict[str, Json]) -> bool:
    return bool(said.get("error")) or said.get("type") == "error"


def _exceptions_in(wire: bytes) -> Iterator[dict[str, Json]]:
    with suppress(Fault):  # it failed for being no frame, and says nothing
        for frame in BinaryReader().feed(wire):
            if frame.kind != "event":
                yield from _object(frame.payload)


def _object(data: bytes) -> list[dict[str, Json]]:
    """None where it is no object."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [said] if isinstance(said, dict) else []


def _unsaid_by(errors: Iterable[dict[str, Json]], made: str) -> list[Loss]:
    """An error inside a stream is read for its kind and its words, like any other."""
    told = [(name, value) for said in errors for name, value in said.items() if name not in WORDS_OF_ERRORS]
    return [loss for name, value in told for loss in _unsaid(value, name, [made])]


def _error(body: Json, source: Dialect, target: Dialect, _: str | None, __: Quirks) -> _Made:
    status = body.get("status") if isinstance(body, dict) else None
    if not isinstance(status, int) or isinstance(status, bool) or "body" not in body:
        raise Fault(
            "bad_request", 'An error is {"status": 429, "body": ...}: the status and the body.', path="status"
        )
    said = body["body"]
    told, data = target.write_error(source.read_error(status, {}, _bytes(said)), "")
    made = msgspec.json.decode(data)
    return {"status": told, "body": made}, _unsaid(said, "body", [*_leaves(made), str(told)])


KINDS: dict[str, Callable[[Json, Dialect, Dialect, str | None, Quirks], _Made]] = {
    "request": _request,
    "response": _response,
    "stream": _stream,
    "error": _error,
}


def _bytes(body: Json) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise Fault("bad_request", f"The body is no JSON: {problem}.") from None


def _wire(body: Json, source: Dialect) -> bytes:
    if isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        raise Fault("bad_request", "A stream's body is its wire text, a string.", path="body")
    if _is_text(source):
        return _bytes(body)
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise Fault(
            "bad_request", f"A stream of {source.name} is binary: give it as base64.", path="body"
        ) from None


def _is_text(spoken: Dialect) -> bool:
    return spoken.stream_type.startswith(TEXT_TYPES)


def _renamed(event: StreamEvent, model: str | None) -> StreamEvent:
    if model is not None and isinstance(event, Begin):
        return msgspec.structs.replace(event, model=model)
    return event


def _unsaid(said: Json, path: str, told: list[str]) -> list[Loss]:
    """An error is read for its kind and its words; what else it said, and the target does not, is lost."""
    if isinstance(said, dict):
        inner = [(f"{path}.{name}", value) for name, value in said.items() if name not in WORDS_OF_ERRORS]
    elif isinstance(said, list):
        inner = [(f"{path}[{i}]", value) for i, value in enumerate(said)]
    elif said is None or any(str(said) in text for text in told):
        return []
    else:
        return [Loss(path, "dropped", "unknown_field")]
    return [loss for at, value in inner for loss in _unsaid(value, at, told)]


def _leaves(value: Json) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _leaves(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _leaves(inner)]
    return [] if value is None else [str(value)]
