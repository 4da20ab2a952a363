"""Which recordings a rehearsal replays, and in which order.

Conversations are drawn whole, in an order that chance decided: by a hash of the seed and the conversation, so
that the same seed draws the same, and more of them is the same beginning and more. Within a conversation the
turns stand as they were said; each is replayed on the prefix that was recorded, as the incumbent met it.

Left out, and counted by why: what is not of a chat, what cannot be read, and what was not answered for a
reason that says nothing of the model (the caller left, a budget was spent).
"""

from hashlib import sha256

import msgspec

from ..dialects import dialect
from ..faults import Fault
from ..recording import compact, grouped
from ..recordings import BROKEN, Kept, opened
from .alone import NOT_THE_MODELS

LEFT_OUT: dict[str, str] = {
    "of another kind": "no chat: vectors and the like are not compared",
    "unreadable": "its request cannot be read by this version",
    "unanswered": "it has no answer, for a reason that says nothing of the model",
    "of another model": "another model answered than the one that is compared with",
}


def drawn(seed: int, name: str) -> int:
    """Where chance puts a name: a number of 64 bits, the same for the same seed."""
    return int.from_bytes(sha256(f"{seed}\0{name}".encode()).digest()[:8], "big")


class Taken(msgspec.Struct, frozen=True):
    """A recording that may be replayed: its place by chance, and who answered it."""

    place: int
    target: str


def sampled(k: Kept, seed: int, incumbent: str | None = None) -> Taken | str:
    """Where it comes in the order, or why it is left out. `incumbent`: only what this target answered."""
    target = f"{k.provider}/{k.model}" if k.provider else k.model
    try:
        spoken = dialect(k.dialect)
        if spoken.subject != "chat":
            return "of another kind"
        if incumbent is not None and target != incumbent:
            return "of another model"
        request = spoken.read_request(k.request)
        if _unanswered(k):
            return "unanswered"
    except (Fault, *BROKEN):
        return "unreadable"
    group = k.group or grouped(request, k.tagged)
    return Taken(drawn(seed, group or f"\0{k.id}"), target)


def _unanswered(k: Kept) -> bool:
    """Raises one of `BROKEN` for an answer that cannot be read. A whole one is not taken apart for this."""
    if k.fault in NOT_THE_MODELS:
        return True
    if k.status == 200:
        if not k.streamed and k.whole and k.answer:
            compact(k.answer)
        return False
    answer = opened(k).answered()
    return isinstance(answer, Fault) and answer.kind in NOT_THE_MODELS
