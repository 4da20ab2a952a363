"""What a request would lose on its way to each of several targets, without sending it to any.

The same reader, writer and report as a call's: what is told here is what a call would lose. A target of the
caller's own dialect takes the bytes as they are, unless its provider's row says otherwise.
"""

from collections.abc import Iterable

import msgspec

from .answer import counted
from .call import Call
from .dialects import DIALECTS, EMBEDDINGS, SPOKEN
from .dialects.base import Dialect, Quirks
from .faults import Fault
from .ir import Request
from .losses import Loss, Report
from .models import Target
from .signatures import ascribed
from .translate import tidy
from .variants import varied

JSON_HEAD = "content-type: application/json\r\nx-fungible-call: {call}\r\nx-fungible-attempts: 0\r\n"


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """`whole`: nothing would be lost. `moved`: the bytes would go as they are, but for the model's name."""

    target: str
    dialect: str
    whole: bool
    moved: bool
    losses: tuple[Loss, ...] = ()
    refused: str | None = None


def foresee(body: bytes, source: Dialect, targets: Iterable[Target]) -> list[Foreseen]:
    """For every target, in the dialect that serves the caller best. Raises Fault for what cannot be read."""
    request = source.read_request(body)
    if source.subject == "chat":
        request = ascribed(request, source)
    if source.subject == "chat":
        spoken = [target.spoken(source.name) for target in targets]
    else:
        spoken = [target.embedding(source.name) for target in targets]
    return [
        _foreseen(
            target.name,
            body,
            request,
            source,
            target.dialect,
            target.quirks,
            target.takes(body),
            target.prompt,
        )
        for target in spoken
    ]


def foresee_dialects(body: bytes, source: Dialect) -> list[Foreseen]:
    """For a provider of each dialect that has no quirks."""
    request = source.read_request(body)
    names = sorted(DIALECTS if source.name in DIALECTS else EMBEDDINGS)
    return [_foreseen(name, body, request, source, name, frozenset(), moves=True) for name in names]


def _foreseen(
    name: str,
    body: bytes,
    request: Request,
    source: Dialect,
    dialect: str,
    quirks: Quirks,
    moves: bool,
    prompt: str | None = None,
) -> Foreseen:
    if dialect == source.name and moves:
        return Foreseen(target=name, dialect=dialect, whole=True, moved=True)
    report = Report(source.names)
    if SPOKEN[dialect].subject != source.subject:
        refused = "It has no API for embeddings that fungible knows."
        return Foreseen(target=name, dialect=dialect, whole=False, moved=False, refused=refused)
    if prompt is not None:
        request, report.losses[:] = varied(request, prompt)
    try:
        SPOKEN[dialect].write_request(request, report, quirks)
    except Fault as fault:
        return Foreseen(target=name, dialect=dialect, whole=False, moved=False, refused=fault.message)
    losses = tidy(report.losses)
    return Foreseen(target=name, dialect=dialect, whole=not losses, moved=False, losses=losses)


def unsent(call: Call, target: Target, targets: Iterable[Target]) -> tuple[bytes, bytes] | None:
    """The answer to a call that is not sent, (header lines, body): a dry run, or a count not made there."""
    if call.asking.operation == "dry":
        return rehearsed(call, targets)
    return counted(call, target) if not target.counting else None


def rehearsed(call: Call, targets: Iterable[Target]) -> tuple[bytes, bytes]:
    """Of every target of the call's route, what it would lose."""
    told = {"model": call.peek.model, "targets": foresee(call.body, call.dialect, targets)}
    return JSON_HEAD.format(call=call.id).encode(), msgspec.json.encode(told)


def nobody_takes(first: Fault | None, fault: Fault) -> Fault:
    """What a call is told that no target takes: the first reason; where all would lose something, each."""
    if first is None or (first.kind == "unavailable" and fault.kind != "lossy"):
        return fault
    if fault.kind != "lossy" or first.kind not in ("lossy", "unavailable"):
        return first
    joined = f"{first.message}\n{fault.message}"
    if first.kind == "unavailable":  # the one that is left alone might have taken it whole
        return Fault("unavailable", joined, retry_after_ms=first.retry_after_ms)
    return Fault("lossy", joined, path=first.path, code=first.code)
