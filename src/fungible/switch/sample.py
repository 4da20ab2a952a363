"""Which recordings a rehearsal replays, and in which order.

Conversations are drawn whole, in an order that chance decided: by a hash of the seed and the conversation, so
that the same seed draws the same, more of them is the same beginning and more, and no list of all is needed.
Within a conversation the turns stand as they were said; each is replayed on the prefix that was recorded, as
the incumbent met it.

Left out, and counted by why: what is not of a chat, what cannot be read, and what was not answered for a
reason that says nothing of the model (the caller left, a budget was spent).
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from ..dialects import dialect
from ..faults import Fault
from ..recording import Recording
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


def sampled(
    recordings: Iterable[Recording], most: int, seed: int, incumbent: str | None = None
) -> tuple[list[Recording], dict[str, int]]:
    """At most `most` recordings, conversation by conversation; and how many were left out, by why.

    The last conversation may be cut to its first turns. `incumbent`: only what this target answered.
    Holds no more than about `most` recordings at a time.
    """
    why: Counter[str] = Counter()
    groups: dict[str, list[Recording]] = {}
    heap: list[tuple[int, str]] = []  # the last drawn first
    held = 0
    for recording in recordings:
        reason = _left_out(recording, incumbent)
        if reason is not None:
            why[reason] += 1
            continue
        name = recording.group or f"\0{recording.id}"
        place = drawn(seed, name)
        if name not in groups:
            if held >= most and heap and place >= -heap[0][0]:
                continue
            groups[name] = []
            heapq.heappush(heap, (-place, name))
        groups[name].append(recording)
        held += 1
        while len(heap) > 1 and held - len(groups[heap[0][1]]) >= most:
            _, last = heapq.heappop(heap)
            held -= len(groups.pop(last))
    chosen: list[Recording] = []
    for _, name in sorted((drawn(seed, name), name) for name in groups):
        turns = sorted(groups[name], key=lambda recording: (recording.at_ms, recording.id))
        chosen += turns[: most - len(chosen)]
    return chosen, dict(why)


def _left_out(recording: Recording, incumbent: str | None) -> str | None:
    try:
        if dialect(recording.dialect).subject != "chat":
            return "of another kind"
        if incumbent is not None and recording.target != incumbent:
            return "of another model"
        recording.asked()
    except Fault:
        return "unreadable"
    answer = recording.answered()
    if isinstance(answer, Fault) and answer.kind in NOT_THE_MODELS:
        return "unanswered"
    return None


def blocks(recordings: Iterable[Recording]) -> list[list[int]]:
    """The numbers of each conversation's recordings, in order: neighbours of one group."""
    made: list[list[int]] = []
    last = ""
    for n, recording in enumerate(recordings):
        if made and recording.group and recording.group == last:
            made[-1].append(n)
        else:
            made.append([n])
        last = recording.group
    return made
