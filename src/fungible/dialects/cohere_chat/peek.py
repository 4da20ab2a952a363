"""What routing and money need of a request, and the same bytes for another model's name.

`peek` reads three fields and skips the rest. `readdress` must find the top-level `"model"` and no other:
where those bytes stand in the body once, and nothing is spelled with escapes that could be it, they are it.
Otherwise the body is put together anew from its top-level fields, each value's bytes as they were.
"""

import re

import msgspec

from ...faults import Fault
from ..base import Peek
from ..checked import BROKEN, deep, encode, not_json, parse, too_deep


class _Asked(msgspec.Struct, gc=False):
    model: str
    stream: bool | None = None
    max_tokens: int | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
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
    if not asked.model:
        raise Fault("bad_request", f"model is empty. Send {_MENDS['model']}.", path="model")
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
    name = encode(model)
    if body.count(b'"model"') == 1 and b"\\u006" not in body:
        found = _VALUE.search(body)
        if found is not None:
            return b"".join((body[: found.start(1)], name, body[found.end(1) :]))
    fields = _fields(body)
    fields["model"] = msgspec.Raw(name)
    return encode(fields)
