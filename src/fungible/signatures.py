"""Whose the signatures of thoughts are, and how a client carries those of another dialect's maker.

A signature is opaque and only its maker takes it. In the bytes of most dialects it is the dialect's own. A
client whose dialect has a place for signatures, but whose providers make others, gets them sealed, with their
maker's name; they are unsealed on the way back.
"""

import msgspec

from .dialects.base import Dialect, sealed, unsealed
from .events import SignatureDelta, StreamEvent
from .ir import Part, Reply, Request, Thinking


def ascribed(request: Request, dialect: Dialect) -> Request:
    """A client's request with the maker of each signature: its dialect's own, unless it says another."""
    for message in request.messages:
        if message.role == "assistant" and Thinking in map(type, message.parts):
            break
    else:
        return request
    if not any(m.role == "assistant" and any(map(_is_anonymous, m.parts)) for m in request.messages):
        return request
    messages = [
        msgspec.structs.replace(m, parts=tuple([_ascribed(p, dialect) for p in m.parts]))
        if m.role == "assistant"
        else m
        for m in request.messages
    ]
    return msgspec.structs.replace(request, messages=tuple(messages))


def _is_anonymous(part: Part) -> bool:
    return isinstance(part, Thinking) and part.signature is not None and part.signer is None


def _ascribed(part: Part, dialect: Dialect) -> Part:
    if not isinstance(part, Thinking) or part.signature is None or part.signer is not None:
        return part
    signature, maker = unsealed(part.signature)
    return msgspec.structs.replace(part, signature=signature, signer=maker or dialect.signs or None)


def maker_of(source: Dialect, client: Dialect) -> str:
    """Whose name the signatures of an answer need, for a client of this dialect; "" where they need none."""
    return source.signs if source.signs != client.signs else ""


def signed_by(reply: Reply, maker: str) -> Reply:
    """An answer for a client that is to carry its signatures."""
    if not any(_is_anonymous(part) for choice in reply.choices for part in choice.parts):
        return reply
    choices = [
        msgspec.structs.replace(choice, parts=tuple([_sealed(part, maker) for part in choice.parts]))
        for choice in reply.choices
    ]
    return msgspec.structs.replace(reply, choices=tuple(choices))


def _sealed(part: Part, maker: str) -> Part:
    if not isinstance(part, Thinking) or part.signature is None or part.signer is not None:
        return part
    return msgspec.structs.replace(part, signature=sealed(part.signature, maker))


def signed_as_told(events: list[StreamEvent], maker: str) -> list[StreamEvent]:
    """The same of a stream's events."""
    return [
        msgspec.structs.replace(event, signature=sealed(event.signature, maker))
        if isinstance(event, SignatureDelta)
        else event
        for event in events
    ]
