"""Bytes that are only moved: the same body for another model's name, without a parse of what is in it.

Where `"model"` stands in a small body once, that is it, unless a key may be spelled with escapes. In a large
body the lengths of the other top-level values leave a small window that holds it; where it stands there once,
and nothing there is escaped, that is it. Where neither is certain the body is put together anew from its
top-level fields, each value's bytes as they were.
"""

import re
from collections.abc import Mapping

import msgspec

from ..faults import Fault
from .base import Peek
from .checked import deep, encode, not_json, parse

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SMALL = 4_096  # bytes; searching one for a word is faster than taking it apart

_VALUE = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')


def refused(error: BaseException, body: bytes, mends: Mapping[str, str]) -> Fault:
    """What is wrong with a body that a typed peek could not read.

    `mends`: the fields that it reads -> what to send.
    """
    if isinstance(error, RecursionError):
        return deep()
    if not isinstance(error, msgspec.ValidationError):
        return not_json(error)
    wire, said = parse(body), str(error)
    for name, mend in mends.items():
        if f"$.{name}`" in said or f"`{name}`" in said:
            what = "missing" if wire.get(name) is None and "." not in name else "of a wrong type"
            return Fault("bad_request", f"{name} is {what}. Send {mend}.", path=name)
    return Fault("bad_request", f"The body cannot be read: {said}.")


def readdress(body: bytes, peeked: Peek, model: str, usage: bool) -> bytes:
    """For dialects whose streams tell the usage always: `usage` asks for nothing."""
    name = encode(model)
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
    return encode(fields)


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
