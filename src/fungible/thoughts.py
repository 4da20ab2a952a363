"""Thoughts of earlier answers, for clients whose dialect has no place for them or that do not send them back.

How it thinks. A model's thought may be signed, and its provider wants it back unchanged, with the calls it
led to. Most clients carry it themselves, in their own dialect's place, and then nothing is done here. Of an
answer that was translated and holds a signed thought, the parts are remembered under what a client will send
back of it: its text and its calls. A later request with an assistant's message of just that, to the same
provider, gets the thoughts back where they stood; to any other provider it goes as the client sent it.

Bounded, in the memory of one process, oldest out first: what is forgotten is as if it had never been kept,
and a conversation goes on without its thoughts. A key's are given back to no other.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from .events import Done, PartBegin, SignatureDelta, StreamEvent, TextDelta, assemble
from .ir import Message, Native, Part, Refusal, Request, Text, Thinking, ToolCall
from .models import Target

BYTES_MAX = 32 * 1024 * 1024
EVENTS_MAX = 200_000  # of one stream; a longer one is not remembered
OVERHEAD_BYTES = 400  # of an entry, beside its texts

encode = msgspec.json.Encoder(order="deterministic").encode


class Thoughts:
    """Of one process."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[tuple[Part, ...], int]] = OrderedDict()
        self._bytes = 0

    def keep(self, owner: str, target: Target, parts: Sequence[Part]) -> None:
        """Remember an answer of this target's, where it holds a thought that cannot be made again."""
        if not any(is_signed(part) for part in parts):
            return
        size = sum(_length(part) for part in parts) + OVERHEAD_BYTES
        for name in _names(owner, target, visible(parts)):
            self._drop(name)
            self._kept[name] = tuple(parts), size
            self._bytes += size
        while self._bytes > BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: bytes) -> None:
        old = self._kept.pop(name, None)
        if old is not None:
            self._bytes -= old[1]

    def given_back(self, request: Request, owner: str, target: Target) -> Request:
        """The request with the thoughts that this target's provider has had before."""
        if not self._kept:
            return request
        messages = tuple([self._whole(m, owner, target) for m in request.messages])
        if all(a is b for a, b in zip(messages, request.messages, strict=True)):
            return request
        return msgspec.structs.replace(request, messages=messages)

    def _whole(self, message: Message, owner: str, target: Target) -> Message:
        if message.role != "assistant" or any(is_signed(part) for part in message.parts):
            return message
        said = visible(message.parts)
        for name in _names(owner, target, said) if said else ():
            kept = self._kept.get(name)
            if kept is not None and len(visible(kept[0])) == len(said):
                self._kept.move_to_end(name)
                rest = iter(said)
                parts = [
                    msgspec.structs.replace(part, at=message.at) if isinstance(part, Thinking) else next(rest)
                    for part in kept[0]
                    if isinstance(part, Thinking) or is_visible(part)
                ]
                return msgspec.structs.replace(message, parts=tuple(parts))
        return message


class Overhearing:
    """The events of one stream, until it ends and shows whether it held a signed thought."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []

    def hear(self, events: list[StreamEvent]) -> tuple[Part, ...]:
        """The parts of the whole answer, once it is whole and worth remembering; nothing before."""
        if len(self._events) < EVENTS_MAX:
            self._events += events
        if not events or not isinstance(events[-1], Done):
            return ()
        heard, self._events = self._events, []
        told = [event for event in heard if type(event) is not TextDelta]
        if len(heard) >= EVENTS_MAX or not any(_signs(event) for event in told):
            return ()
        choices = assemble(heard).choices
        return choices[0].parts if choices else ()


def _signs(event: StreamEvent) -> bool:
    return isinstance(event, SignatureDelta) or (isinstance(event, PartBegin) and is_signed(event.part))


def is_signed(part: Part) -> bool:
    return isinstance(part, Thinking) and (part.signature is not None or part.redacted is not None)


def is_visible(part: Part) -> bool:
    return not isinstance(part, Thinking) and not (isinstance(part, Text) and not part.text)


def visible(parts: Sequence[Part]) -> list[Part]:
    """What a client sends back whatever its dialect: all but thoughts, and texts that say nothing."""
    return [part for part in parts if is_visible(part)]


def _names(owner: str, target: Target, said: Sequence[Part]) -> tuple[bytes, bytes]:
    """With the ids of calls, and without: a client's dialect may have had other ones."""
    text = "".join(part.text for part in said if isinstance(part, Text | Refusal))
    calls = [(part.name, _meaning(part)) for part in said if isinstance(part, ToolCall)]
    ids = [part.id for part in said if isinstance(part, ToolCall)]
    whose = (owner, target.provider, target.dialect, text, calls)
    return sha256(encode((*whose, ids))).digest(), sha256(encode(whose)).digest()


def _meaning(call: ToolCall) -> str:
    """Its arguments, however they are written."""
    try:
        return encode(msgspec.json.decode(call.arguments)).decode()
    except (msgspec.DecodeError, RecursionError):
        return call.arguments


def _length(part: Part) -> int:
    match part:
        case Thinking():
            return len(part.text) + len(part.signature or "") + len(part.redacted or "")
        case Text() | Refusal():
            return len(part.text)
        case ToolCall():
            return len(part.arguments)
        case Native():
            return len(encode(part.body))
        case _:
            return OVERHEAD_BYTES
