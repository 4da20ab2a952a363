"""A look at a request's bytes: what routing and money need, and the model's name changed in place.

Nothing is built of the messages here. The name is found where it stands at the top level and nothing else is
touched; where it is not certain which bytes those are, the body is decoded and written anew.
"""

import re

import msgspec

from ...faults import Fault
from ..base import Peek
from .shape import BROKEN, decode, deep, encode, not_json, too_deep


class _Options(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Head(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_head = msgspec.json.Decoder(type=_Head).decode
_string = msgspec.json.Decoder(type=str).decode
_WHERE = re.compile(r"^(.*?)(?: - at `\$\.?([^`]*)`)?$", re.S)
_VALUE = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.)*")')
_KEY = b'"model"'
_ASKING = b',"stream_options":{"include_usage":true}'
_CANDIDATES_MAX = 8


def peek(body: bytes) -> Peek:
    """Raises `Fault` (bad_request): not JSON, too deep, no model, wrong types of what is looked at."""
    try:
        head = _head(body)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    model = head.model
    if not model:
        raise Fault(
            "bad_request",
            "The body names no model. Send `model`: a route's name, provider/model, or a model's own name.",
            path="model",
        )
    options, limit = head.stream_options, head.max_completion_tokens
    return Peek(
        model,
        head.stream is True,
        options is not None and options.include_usage is True,
        head.max_tokens if limit is None else limit,
    )


def _wrong(said: str) -> Fault:
    found = _WHERE.match(said)
    what, path = (found[1], found[2] or "") if found else (said, "")
    if not path:
        return Fault("bad_request", f"The body must be a JSON object: {what}.")
    return Fault("bad_request", f"`{path}`: {what}. See the API reference for its type.", path=path)


def readdress(body: bytes, seen: Peek, model: str, usage: bool) -> bytes:
    """The same body for another model name; `usage`: also asking for the usage in the stream."""
    asking = usage and seen.stream and not seen.stream_usage
    if model == seen.model and not asking:
        return body
    if not (asking and b'"stream_options"' in body):
        place = _place(body, seen.model, model)
        if place is not None:
            start, stop = place
            return b"".join((body[:start], encode(model), _ASKING if asking else b"", body[stop:]))
    node = decode(body)
    node["model"] = model
    if asking:
        options = node.get("stream_options")
        node["stream_options"] = {**(options if type(options) is dict else {}), "include_usage": True}
    return encode(node)


def _place(body: bytes, old: str, new: str) -> tuple[int, int] | None:
    """Where the top-level model's value stands; None where no look tells it for certain.

    One `"model"` in the whole body is the key itself, unless that key is spelled with escapes; inside a
    string its quotes would be escaped. Of several, the one whose change changes what `peek` sees.
    """
    found = body.find(_KEY)
    if found < 0:
        return None
    again = body.find(_KEY, found + len(_KEY))
    if again < 0 and b"\\u006" not in body and b"\\u004" not in body:
        place = _value(body, found, old)
        if place is not None:
            return place
    marker = encode(new if new != old else old + "?")
    for _ in range(_CANDIDATES_MAX):
        place = _value(body, found, old)
        if place is not None:
            tried = _head(body[: place[0]] + marker + body[place[1] :])
            if tried.model is not None and encode(tried.model) == marker:
                return place
        found = body.find(_KEY, found + len(_KEY))
        if found < 0:
            return None
    return None


def _value(body: bytes, key: int, old: str) -> tuple[int, int] | None:
    value = _VALUE.match(body, key + len(_KEY))
    if value is None:
        return None
    try:
        same = _string(value[1]) == old
    except BROKEN:
        return None
    return value.span(1) if same else None
