"""Pieces of one text that come together: frames that differ in a JSON string alone, read and written at once.

A stream's events are nearly all deltas of one text, and providers as well as networks send many of them in
one piece. What stands around their strings is the same, so that the strings are cut out and decoded as one
list, and written with the same bytes between them.

That is exact. A raw line end cannot stand inside a JSON string (RFC 8259, section 7), so strings that are put
together by one can neither begin nor end in a neighbour; and a list of as many strings as there were pieces
has one in each. Anything else is None, and is read frame by frame.
"""

from collections.abc import Iterable
from itertools import takewhile
from operator import itemgetter, methodcaller

import msgspec

from .checked import BROKEN, encode

BLANK = b"\n\n"
MAX = 8  # runs in what is read at once; for each, all that follows is looked at

_strings = msgspec.json.Decoder(list[str]).decode


def cut(data: bytes, at: int, before: bytes) -> tuple[Iterable[bytes], int]:
    """What follows `before` in the frames from `at` on, up to one that begins otherwise; where that one is.

    `data` is whole frames, each ended by a blank line.
    """
    frames = [*takewhile(methodcaller("startswith", before), data[at:].split(BLANK))]
    end = at + sum(map(len, frames)) + len(frames) * len(BLANK)
    return map(itemgetter(slice(len(before), None)), frames), end


def read(pieces: Iterable[bytes]) -> list[str] | None:
    """The texts of the pieces, each a JSON string; an empty one says nothing. None where a piece is none."""
    strings = [*pieces]
    try:
        texts = _strings(b"[%b]" % b",\n".join(strings))
    except BROKEN:
        return None
    if len(texts) != len(strings):
        return None
    return [text for text in texts if text] if "" in texts else texts


def write(texts: list[str], before: bytes, after: bytes) -> bytes:
    """A frame for each text: `before`, the text as a JSON string, `after`."""
    return b"%b%b%b" % (before, (after + before).join(map(encode, texts)), after)
