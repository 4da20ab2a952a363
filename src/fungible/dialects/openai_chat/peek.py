"""A look at a request's bytes: what routing and money need, and the model's name changed in place.

Nothing is built of the messages here. The name is found where it stands at the top level and nothing else is
touched; where it is not certain which bytes those are, the body is decoded and written anew.
"""

import re

import msgspec

from ...faults import Fault
from ..base import Peek
from ..checked import BROKEN, decode, deep, encode, not_json, too_deep


class Seen(Peek, frozen=True, gc=False):
    """A peek that remembers the bytes of the messages, the one part of a body that may be long."""

    messages: msgspec.Raw = msgspec.Raw()


class _Options(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Head(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    messages: msgspec.Raw = msgspec.Raw()


_head = msgspec.json.Decoder(type=_Head).decode
_string = msgspec.json.Decoder(type=str).decode
_WHERE = re.compile(r"^(.*?)(?: - at `\$\.?([^`]*)`)?$", re.S)
_VALUE = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.)*")')
_SPACES = b" \t\n\r"
_KEY = b'"model"'
_MESSAGES = b'"messages"'
_OPTIONS = b'"stream_options"'
_ASKING = b',"stream_options":{"include_usage":true}'
_CANDIDATES_MAX = 8
_SHORT_BYTES_MAX = 4_096  # so few are searched whole


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
    return Seen(
        model,
        head.stream is True,
        options is not None and options.include_usage is True,
        head.max_tokens if limit is None else limit,
        None,
        head.messages,
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
    if len(body) <= _SHORT_BYTES_MAX and not (asking and _OPTIONS in body):
        old, colon = encode(seen.model), 8
        at = body.find(b'"model":' + old)
        if at < 0:
            at, colon = body.find(b'"model": ' + old), 9
        # Nowhere else, and with no escape that could spell it: this is the one.
        if at >= 0 and body.find(_KEY, at + 7) < 0 and body.find(_KEY, 0, at) < 0 and b"\\u006" not in body:
            more = _ASKING if asking else b""
            return b"".join((body[: at + colon], encode(model), more, body[at + colon + len(old) :]))
    before, after = _around_messages(body, seen)
    if not asking or not (_OPTIONS in body[:before] or _OPTIONS in body[after:]):
        place = _place(body, seen.model, model, before, after)
        if place is not None:
            start, stop = place
            return b"".join((body[:start], encode(model), _ASKING if asking else b"", body[stop:]))
    node = decode(body)
    node["model"] = model
    if asking:
        options = node.get("stream_options")
        node["stream_options"] = {**(options if type(options) is dict else {}), "include_usage": True}
    return encode(node)


def _around_messages(body: bytes, seen: Peek) -> tuple[int, int]:
    """Where the messages begin and end: no key of the top level stands between, so nobody need look there.

    The same bytes may stand elsewhere too, but they are one whole value wherever they stand.
    """
    raw = bytes(seen.messages) if type(seen) is Seen else b""
    at = body.find(_MESSAGES) if raw else -1
    if at >= 0:
        start = body.find(raw[:1], at)
        if body.startswith(raw, start) and not body[at + len(_MESSAGES) : start].strip(_SPACES + b":"):
            return start, start + len(raw)
    return len(body), len(body)


def _place(body: bytes, old: str, new: str, before: int, after: int) -> tuple[int, int] | None:
    """Where the top-level model's value stands; None where no look tells it for certain.

    One `"model"` outside the messages is the key itself, unless that key is spelled with escapes; inside a
    string its quotes would be escaped. Of several, the one whose change changes what `peek` sees.
    """
    found = [*_keys(body, 0, before), *_keys(body, after, len(body))]
    if len(found) == 1 and b"\\" not in body[:before] and b"\\" not in body[after:]:
        place = _value(body, found[0], old)
        if place is not None:
            return place
    marker = encode(new if new != old else old + "?")
    for key in found[:_CANDIDATES_MAX]:
        place = _value(body, key, old)
        if place is not None:
            tried = _head(body[: place[0]] + marker + body[place[1] :])
            if tried.model is not None and encode(tried.model) == marker:
                return place
    return None


def _keys(body: bytes, start: int, stop: int) -> list[int]:
    found = []
    at = body.find(_KEY, start, stop)
    while at >= 0:
        found.append(at)
        at = body.find(_KEY, at + len(_KEY), stop)
    return found


def _value(body: bytes, key: int, old: str) -> tuple[int, int] | None:
    value = _VALUE.match(body, key + len(_KEY))
    if value is None:
        return None
    try:
        same = _string(value[1]) == old
    except BROKEN:
        return None
    return value.span(1) if same else None
