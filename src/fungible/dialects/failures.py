"""What all dialects' errors have in common, read and told.

A provider's words are shown, cut and without what looks like a key; how long to wait stands in the same
headers everywhere; a wire without a field for a path has it at the head of the message.
"""

import re

from ..faults import Fault
from ..ir import Json
from ..world import Headers
from .checked import BROKEN, Wire, decode

MESSAGE_CHARACTERS_MAX = 2_000

_KEYS = re.compile(r"\b(?:sk|gsk|xai|nvapi|pplx|hf|fw|csk|tgp|AIza|Bearer )[-_A-Za-z0-9*]{8,}")


def is_bad(status: Json) -> bool:
    return type(status) is int and 400 <= status <= 599


def said(body: bytes) -> Json:
    """An answer's JSON, or its text where it is none."""
    try:
        return decode(body)
    except BROKEN:
        return _text(body)


def said_object(body: bytes, status: int) -> Wire:
    """An answer's JSON object. Whatever else it is stands as `message` in one."""
    value = said(body)
    return value if type(value) is dict else {"message": _text(body) or nothing_said(status)}


def _text(body: bytes) -> str:
    return body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace").strip()


def clean(text: str) -> str:
    """A provider's words, at most so many of them, and without what looks like a key."""
    return _KEYS.sub("[key]", text[: MESSAGE_CHARACTERS_MAX + 100])[:MESSAGE_CHARACTERS_MAX]


def nothing_said(status: int | None) -> str:
    return f"The provider answered {status} and said nothing."


def wait_ms(headers: Headers) -> int | None:
    """`retry-after-ms`, or `retry-after` in seconds (RFC 9110, 10.2.3). A date needs a clock."""
    for name, ms in ((b"retry-after-ms", 1), (b"retry-after", 1_000)):
        try:
            if name in headers:
                return max(0, int(float(headers[name]) * ms))
        except (ValueError, OverflowError):
            continue
    return None


def cut_short(end: str) -> Fault:
    """Of a stream that ended without its end mark."""
    return Fault("provider_answer", f"The provider's stream was truncated: it ended without {end}.")


def broken_event(error: BaseException, what: str = "an event") -> Fault:
    return Fault("provider_answer", f"The provider sent {what} that is not JSON: {error}.")


def placed(fault: Fault) -> str:
    """The message with its path at the head, unless it is there already."""
    message, path = fault.message, fault.path
    return f"{path}: {message}" if path and path not in message else message
