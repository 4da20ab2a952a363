"""What routing and money need of a request, and the same bytes for another model, without a parse.

`peek` reads three top-level fields and skips the rest. `readdress` must find the top-level `"model"` and no
other. Where those bytes stand in a small body once, they are it, unless the key that `peek` has read is
spelled with escapes. In a large body the lengths of the other top-level values leave a small window that
holds it; where it stands there once, and nothing there is escaped, that is it. Where neither is certain
the body is put together anew from its top-level fields, each value's bytes as they were.
"""

import re

import msgspec

from ...faults import Fault
from ..base import Peek
from ..checked import BROKEN, deep, not_json, parse, too_deep


class _Asked(msgspec.Struct, gc=False):
    model: str
    stream: bool | None = None
    max_tokens: int | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode
_SMALL = 4096  # bytes; searching one for a word is faster than taking it apart

_VALUE = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
_MENDS = {
    "model": "a model's name, a string",
    "stream": "true or false",
    "max_tokens": "a whole number",
}


def peek(body: bytes) -> Peek:
    """Raises `Fault` (bad_request): not JSON, too deep, no model, a wrong type of a field it reads."""
    try:
        asked = _asked(body)
    except msgspec.ValidationError as error:
        raise _wrong(body, str(error)) from None
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    return Peek(asked.model, asked.stream is True, True, asked.max_tokens)


def _wrong(body: bytes, said: str) -> Fault:
    wire = parse(body)
    for name, mend in _MENDS.items():
        if f"$.{name}`" in said or f"`{name}`" in said:
            what = "missing" if wire.get(name) is None else "of a wrong type"
            return Fault("bad_request", f"{name} is {what}. Send {mend}.", path=name)
    return Fault("bad_request", f"The body cannot be read: {said}.")


def readdress(body: bytes, peeked: Peek, model: str, usage: bool) -> bytes:
    """`usage` asks for nothing: every stream of this dialect tells it."""
    name = _encode(model)
    if len(body) < _SMALL:
        if body.count(b'"model"') == 1 and b"\\u006" not in body:
            found = _VALUE.search(body)
            if found is not None:
                return b"".join((body[: found.start(1)], name, body[found.end(1) :]))
        fields = _fields(body)
    else:
        fields = _fields(body)
        start, end = _window(body, fields)
        window = body[start:end]
        if b"\\" not in window:
            places = list(_VALUE.finditer(window))
            if len(places) == 1 and places[0][1] == bytes(fields["model"]):
                first, last = places[0].span(1)
                return b"".join((body[: start + first], name, body[start + last :]))
    fields["model"] = msgspec.Raw(name)
    return _encode(fields)


def _window(body: bytes, fields: dict[str, msgspec.Raw]) -> tuple[int, int]:
    """Where the key `model` and its value must be: after the values before it, before those after it."""
    before = after = 0
    seen = False
    for key, value in fields.items():
        if key == "model":
            seen = True
        elif seen:
            after += memoryview(value).nbytes
        else:
            before += memoryview(value).nbytes
    return before, len(body) - after
