"""What a target is sent that cannot be sent a call's own bytes: the request, written anew in its dialect.

Pure, and free of states: `exchange` decides when. A call for vectors is a call like any other, routed, tried
and counted; only its body is another, and not every target can take it.
"""

from typing import Any

import msgspec

from .call import Call
from .dialects import SPOKEN
from .dialects.freetext import names_of
from .faults import Fault
from .ir import Extras, Reasoning, Request
from .losses import Loss, Report
from .models import Target
from .signatures import ascribed
from .translate import lossy, tidy
from .variants import varied


def barely(call: Call, target: Target) -> bytes | None:
    """What `rewritten` would make of a bare request for another dialect, without a loss; None of others."""
    spoken, other = call.dialect, SPOKEN[target.dialect]
    reads, writes = spoken.bare, other.bare
    if reads is None or writes is None or spoken is other:
        return None
    if target.prompt is not None or not target.tells_usage or call.asking.operation != "chat":
        return None
    forward = call.asking.forward
    if forward and any(line.partition(b":")[0] in spoken.telling for _, line in forward):
        return None
    bare = reads.read(call.body)
    if bare is None or (call.thoughts is not None and len(bare.turns) > 1 and not call.thoughts.bare):
        return None
    return writes.write(bare, target.model, call.peek.stream, target.quirks)


def read(call: Call) -> Any:
    """The call's request in canonical form; of a count, the one to be counted. Raises `Fault`."""
    body, counting = call.body, call.dialect.counting
    if call.asking.operation == "count" and counting is not None:
        body = counting.asked(body)
    return call.dialect.read_request(body)


def rewritten(call: Call, read: Any, target: Target) -> tuple[bytes, tuple[Loss, ...]]:
    """The body, and what it cannot carry. `read`: an `ir.Request` or an `ir.EmbeddingRequest`.

    Raises `Fault` where the target cannot take it, or where it would lose something that nobody wants lost.
    """
    spoken, report = SPOKEN[target.dialect], Report(call.dialect.names)
    if call.dialect.subject == "chat":
        call.freetext = names_of(read.tools)
        if target.prompt is not None:
            read, report.losses[:] = varied(read, target.prompt)
        stream = call.peek.stream
        usage = (stream and target.tells_usage) or None
        sealed = read.sealed or thinks(read.reasoning)
        if call.asking.forward:
            read = _headed(call, read, target, report)
        request = msgspec.structs.replace(
            ascribed(read, call.dialect), model=target.model, stream=stream, stream_usage=usage, sealed=sealed
        )
        if call.thoughts is not None:
            request = call.thoughts.given_back(request, call.owner, target)
    else:
        request = _of_vectors(call, read, target)
    body = spoken.write_request(request, report, target.quirks)
    if call.asking.operation == "count" and spoken.counting is not None:
        body = spoken.counting.asks(body, target.model, target.quirks)
    losses = tidy(report.losses) if report.losses else ()
    if losses and call.dialect.subject != "chat":
        _no_tokens(losses, target)
    if losses and (call.asking.strict or (call.route is not None and call.route.lossless)):
        raise lossy(losses, target.name)
    return body, losses


def _headed(call: Call, read: Request, target: Target, report: Report) -> Request:
    """With what the request's own headers say, for a target that has it in the body, or not at all."""
    said = dict([line.removesuffix(b"\r\n").split(b": ", 1) for _, line in call.asking.forward])
    spoken, fields = call.dialect, {}
    for name in said.keys() & spoken.telling if target.dialect != spoken.name else ():
        report.lose_at(f"headers.{name.decode()}", "dropped", "header")
    for quirk in target.quirks & spoken.embodied.keys() if target.dialect == spoken.name else ():
        held = spoken.embodied[quirk]
        for name in said.keys() & held.keys():
            values = said[name].decode("latin-1").split(",")
            fields[held[name]] = [text for value in values if (text := value.strip())]
    if not fields:
        return read
    own = read.extras.fields if read.extras is not None else {}
    return msgspec.structs.replace(read, extras=Extras(dialect=spoken.name, fields=fields | own))


def thinks(reasoning: Reasoning | None) -> bool:
    """Whether thoughts were asked for. Then their seals are too, for they have to go home."""
    return reasoning is not None and reasoning.mode != "disabled" and reasoning.effort != "none"


def _of_vectors(call: Call, read: Any, target: Target) -> Any:
    """A form that the client is given anyway is not asked for: the answer is written anew."""
    spoken = SPOKEN[target.dialect]
    if spoken.subject != call.dialect.subject:
        raise Fault(
            "bad_request",
            f"{target.provider} has no API for embeddings that fungible knows. "
            "Ask a model of another provider; `fungible models` lists them.",
            path="model",
        )
    forms = read.forms if spoken is call.dialect or call.peek.form is None else ()
    return msgspec.structs.replace(read, model=target.model, forms=forms)


def _no_tokens(losses: tuple[Loss, ...], target: Target) -> None:
    """Raises `Fault` (bad_request) where nothing of an input would be left."""
    path = next((loss.path for loss in losses if loss.why == "tokens"), None)
    if path is not None:
        raise Fault(
            "bad_request",
            f"{path} is token ids, which {target.provider} does not take: another model's tokenizer made "
            "them. Send the text.",
            path=path,
        )
