"""Bare requests: texts of a user and an assistant in turn, and the usual knobs. Most requests are no more.

What such a request says is the same on every wire, and nothing of it is lost between any two; so it need not
be taken apart to canonical values and put together again. A dialect reads it by one typed decode and writes
it by one encode, each of the body that its `bare` file declares: a field that the body has not, another type,
a list where a text may stand, and the request is no bare one.

This is a short cut and never another road. Where a reader or a writer here gives None, or where there is no
reader, the request goes by its dialect's own; where it gives something, that is what those would have made
of it, without a loss. `tests/test_bare.py` holds them to it.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Literal, TypeAlias, TypeVar

import msgspec

from .checked import BROKEN, encode

Number: TypeAlias = float | int

_TURNS = ["user", "assistant"] * 256


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A message as most wires have it."""

    role: Literal["system", "user", "assistant"]
    content: str


_role, _text = attrgetter("role"), attrgetter("content")


class Bare(msgspec.Struct, frozen=True, gc=False):
    """`messages`: the system text, if there is one, then a user's and an assistant's in turn, a user's last.

    Each has a visible character; a limit is at least 1.
    """

    messages: list[Said]
    system: str | None
    max_output_tokens: int | None
    temperature: Number | None
    top_p: Number | None

    @property
    def turns(self) -> list[Said]:
        """Without the system text, for a wire that has it elsewhere."""
        return self.messages if self.system is None else self.messages[1:]


def bare(
    messages: list[Said], limit: int | None, temperature: Number | None, top_p: Number | None
) -> Bare | None:
    roles, texts = [*map(_role, messages)], [*map(_text, messages)]
    system = messages[0].content if roles[:1] == ["system"] else None
    if system is not None:
        del roles[0]
    count = len(roles)
    if count % 2 == 0 or roles != _TURNS[:count] or (limit is not None and limit < 1):
        return None
    if "" in texts or any(map(str.isspace, texts)):
        return None
    return Bare(messages, system, limit, temperature, top_p)


class Way(msgspec.Struct, frozen=True):
    """One dialect's.

    read(body)                              None: no bare request
    write(bare, model, stream, quirks)      the body for a provider, None where it would lose something; a
                                            stream is to tell its usage
    """

    read: Callable[[bytes], Bare | None]
    write: Callable[[Bare, str, bool, frozenset[str]], bytes | None]


B = TypeVar("B")


def way(
    body: type[B],
    taken: Callable[[B], Bare | None],
    made: Callable[[Bare, str, bool, frozenset[str]], B | None],
) -> Way:
    """Of a wire whose bare requests are `body`: what one says, and one that says it."""
    decode = msgspec.json.Decoder(body).decode

    def read(sent: bytes) -> Bare | None:
        try:
            return taken(decode(sent))
        except BROKEN:
            return None

    def write(asked: Bare, model: str, stream: bool, quirks: frozenset[str]) -> bytes | None:
        wire = made(asked, model, stream, quirks)
        return None if wire is None else encode(wire)

    return Way(read, write)
