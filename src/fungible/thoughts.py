"""Thoughts of earlier answers, for clients whose dialect has no place for them or that do not send them back.

How it thinks. A model's thought may be signed, and its provider wants it back unchanged, with the calls it
led to. Most clients carry it themselves, in their own dialect's place, and then nothing is done here. Of an
answer that was translated and holds a signed thought, the parts are remembered under what a client will send
back of it: its text and its calls. A later request with an assistant's message of just that, to the same
provider, gets the thoughts back where they stood; to any other provider it goes as the client sent it.

Of an answer only its thoughts are kept, and where something else stood between them. Bounded in the memory of
one process, oldest out first; on the shelf behind it, where there is one, they outlive the process and are
found by the others beside it. What is forgotten is as if it had never been kept, and a conversation goes on
without its thoughts. A key's are given back to no other.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import compress
from typing import Protocol, TypeAlias

import msgspec

from .events import Done, PartBegin, SignatureDelta, StreamEvent, TextRun, assemble, merged
from .ir import Message, Part, Refusal, Reply, Request, Text, Thinking, ToolCall
from .models import Target

BYTES_MAX = 32 * 1024 * 1024
MERGED_AT = 256  # events
OVERHEAD_BYTES = 400  # of an entry, beside its texts

encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder(tuple[Thinking | None, ...]).decode


Trace: TypeAlias = tuple[Thinking | None, ...]
"""An answer as it is remembered: its thoughts in their places, None for each other part."""


class Shelf(Protocol):
    """What is kept longer than a process lives, by names that only the same key and provider lead to."""

    @property
    def bare(self) -> bool:
        """Whether there is nothing on it; cheap, for it is asked before each translated call."""

    def put(self, names: Sequence[bytes], trace: bytes) -> None: ...

    def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Of the names, those that there are."""


class Thoughts:
    """Of one process. `shelf` None: nothing outlives it."""

    __slots__ = ("_bytes", "_kept", "shelf")

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[Trace, int]] = OrderedDict()
        self._bytes = 0
        self.shelf: Shelf | None = None

    def keep(self, owner: str, target: Target, parts: Sequence[Part], durable: bool = True) -> None:
        """Remember an answer of this target's, where it holds a thought that cannot be made again.

        `durable`: it may be put on the shelf.
        """
        if not any(is_signed(part) for part in parts):
            return
        names = _names(owner, target, visible(parts))
        trace = tuple(
            [
                part if isinstance(part, Thinking) else None
                for part in parts
                if isinstance(part, Thinking) or is_visible(part)
            ]
        )
        self._hold(names, trace)
        if durable and self.shelf is not None:
            self.shelf.put(names, encode(trace))

    def _hold(self, names: Sequence[bytes], trace: Trace) -> None:
        size = sum(_length(thought) for thought in trace) + OVERHEAD_BYTES
        for name in names:
            self._drop(name)
            self._kept[name] = trace, size
            self._bytes += size
        while self._bytes > BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: bytes) -> None:
        old = self._kept.pop(name, None)
        if old is not None:
            self._bytes -= old[1]

    @property
    def bare(self) -> bool:
        """Whether nothing is remembered."""
        return not self._kept and (self.shelf is None or self.shelf.bare)

    def given_back(self, request: Request, owner: str, target: Target) -> Request:
        """The request with the thoughts that this target's provider has had before."""
        shelf = self.shelf
        if "assistant" not in [message.role for message in request.messages] or self.bare:
            return request
        if shelf is not None and not shelf.bare:
            self._fetch(shelf, request, owner, target)
        messages = tuple([self._whole(m, owner, target) for m in request.messages])
        if all(a is b for a, b in zip(messages, request.messages, strict=True)):
            return request
        return msgspec.structs.replace(request, messages=messages)

    def _fetch(self, shelf: Shelf, request: Request, owner: str, target: Target) -> None:
        """What this process does not remember of the request's messages, in one look."""
        wanted: list[bytes] = []
        for message in request.messages:
            names = _names(owner, target, said) if (said := _bare(message)) else ()
            if not any(name in self._kept for name in names):
                wanted += names
        for name, trace in shelf.get(wanted).items() if wanted else ():
            self._hold((name,), decode(trace))

    def _whole(self, message: Message, owner: str, target: Target) -> Message:
        said = _bare(message)
        for name in _names(owner, target, said) if said else ():
            kept = self._kept.get(name)
            if kept is not None and kept[0].count(None) == len(said):
                self._kept.move_to_end(name)
                rest = iter(said)
                parts = [
                    next(rest) if thought is None else msgspec.structs.replace(thought, at=message.at)
                    for thought in kept[0]
                ]
                return msgspec.structs.replace(message, parts=tuple(parts))
        return message


def thinks(reply: Reply) -> bool:
    return any(Thinking in map(type, choice.parts) for choice in reply.choices)


_SIGNED = frozenset({PartBegin, SignatureDelta})


class Overhearing:
    """The events of one stream, until it ends and shows whether it held a signed thought.

    What is held is hardly more than the answer's own text: its pieces are put together now and then.
    """

    __slots__ = ("_events", "_full")

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []
        self._full = MERGED_AT

    def hear(self, events: list[StreamEvent]) -> tuple[Part, ...]:
        """The parts of the whole answer, once it is whole and worth remembering; nothing before."""
        if TextRun in map(type, events):
            events = [event.whole() if type(event) is TextRun else event for event in events]
        heard = self._events
        heard += events
        if len(heard) > self._full:
            self._events = heard = merged(heard)
            self._full = len(heard) + MERGED_AT
        if not events or not isinstance(events[-1], Done):
            return ()
        self._events = []
        may_sign = compress(heard, map(_SIGNED.__contains__, map(type, heard)))
        if not any(map(_signs, may_sign)):
            return ()
        choices = assemble(heard).choices
        return choices[0].parts if choices else ()


def _bare(message: Message) -> list[Part]:
    """What an assistant's message says, where its client sent no signed thought with it; else nothing."""
    if message.role != "assistant" or any(is_signed(part) for part in message.parts):
        return []
    return visible(message.parts)


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


def _length(thought: Thinking | None) -> int:
    if thought is None:
        return 0
    return len(thought.text) + len(thought.signature or "") + len(thought.redacted or "")
