"""`har`: what a browser or a proxy saw (HTTP Archive 1.2). Bodies are whole there, and stay as they are.

An entry is a call if its address is one of a dialect's, whoever's the host; all others are passed over.
Headers are not read: they hold keys. Source: "HTTP Archive (HAR) format", W3C Web Performance group.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

import msgspec

from ..dialects import DIALECTS
from ..dialects.base import MODEL, Dialect, Located
from ..faults import Fault
from ..providers.table import PROVIDERS
from ..recording import Recording, compact, plain
from .rows import Entry, Json, decoded, fields, mapping, number, text, text_of, time_ms


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    for path in paths:
        document = decoded(text_of(path))
        log = document.get("log") if isinstance(document, dict) else None
        if not isinstance(log, dict) or not isinstance(log.get("entries"), list):
            raise Fault("bad_request", f"{path} is no HTTP Archive: it has no log.entries.")
        for line, entry in enumerate(log["entries"], 1):
            found = _dialect(entry) if isinstance(entry, dict) else None
            if found is not None:
                yield Entry(path, line, partial(_made, entry, found[0], found[1], line))


def _dialect(entry: dict[str, Json]) -> tuple[Dialect, Located | None] | None:
    """Whose address it is, by its path's end: hosts put their own before it."""
    request = fields(entry.get("request"))
    try:
        address = urlsplit(text(request.get("url")))
    except ValueError:
        return None
    if text(request.get("method")).upper() != "POST":
        return None
    for dialect in DIALECTS.values():
        if MODEL not in dialect.path and address.path.endswith(dialect.path):
            return dialect, None
        if dialect.locate is not None:
            for path in _tails(address.path):
                located = dialect.locate(path, address.query.encode())
                if located is not None and located.operation == "chat":
                    return dialect, located
    return None


def _tails(path: str) -> list[str]:
    """The path, and what is left of it without its first segments."""
    parts = path.split("/")
    return ["/" + "/".join(parts[n:]) for n in range(1, len(parts))]


def _made(entry: dict[str, Json], dialect: Dialect, located: Located | None, n: int) -> Recording:
    asked, told = entry["request"], mapping(entry.get("response"), "Its response")
    body = text(fields(asked.get("postData")).get("text")).encode()
    if not body:
        raise Fault("bad_request", "The request's body is not in the file.")
    peek = dialect.peek(body)
    if located is not None:
        peek = located.complete(peek)
    status = int(number(told.get("status")) or 0)
    wire, fault = _content(fields(told.get("content"))), ""
    reply: bytes | None = wire or None
    if status == 0:
        status, fault, reply = 502, "unreachable", None
    elif status != 200:
        fault = dialect.read_error(status, {}, wire).kind
        reply = wire if not isinstance(decoded(wire), Fault) else None
    elif not wire:
        raise Fault("bad_request", "The answer's body is not in the file.")
    elif isinstance(decoded(wire), Fault):
        reply, fault = plain(dialect.name, wire)
    timings = fields(entry.get("timings"))
    first = sum(number(timings.get(name)) or 0.0 for name in ("send", "wait")) if peek.stream else None
    usage = dialect.read_usage(reply) if reply is not None and not fault else None
    return Recording(
        id=f"{time_ms(entry.get('startedDateTime')) or 0}-{n}",
        at_ms=time_ms(entry.get("startedDateTime")) or 0,
        route=peek.model,
        dialect=dialect.name,
        request=msgspec.Raw(compact(body)),
        provider=_provider(urlsplit(text(asked.get("url"))).hostname or ""),
        model=peek.model,
        reply=msgspec.Raw(compact(reply)) if reply is not None else None,
        status=status,
        fault=fault,
        stream=peek.stream,
        first_ms=first,
        duration_ms=number(entry.get("time")) or 0.0,
        input_tokens=usage.input_tokens if usage is not None else None,
        output_tokens=usage.output_tokens if usage is not None else None,
    )


def _content(content: dict[str, Json]) -> bytes:
    words = text(content.get("text"))
    if content.get("encoding") != "base64":
        return words.encode()
    try:
        return base64.b64decode(words, validate=True)
    except binascii.Error:
        raise Fault("bad_request", "The answer's body is no base64.") from None


def _provider(host: str) -> str:
    """Ours of that address, else the address's name."""
    rows = [row for row in PROVIDERS.values() if urlsplit(row.base_url).hostname == host]
    return rows[0].name if rows else host
