"""Which model answers, while a route is on its way from one to another.

A switch gives the candidate a share of the traffic. Who belongs to the share is no lot drawn for each call
but a keyed hash of whoever must not change models in mid-air:

    conversation   the tag `conversation=...`, or who asks together with the first message of a user: every
                   turn repeats it, and prompt caches hold it
    user           the tag `user=...`, the end user the request names, or the key it came with
    call           the call itself: nothing sticks

The hash is a point in 0..1, and the candidate has the points below its share. So whoever it has at 1 % it
has at 5 % too, and every worker decides alike without asking another. The key (`Split.salt`) is the
switch's own: nobody outside can choose his side, and two switches draw independently, which is what the
statistics on them rest upon.

A dialogue that has begun with the other model stays with it when the share grows: its hash stands in
`Split.held` for as long as it goes on, and until that has been told, each process remembers its own of the
last seconds (`Local.dialogues`). Only a rollback moves everybody, at once.

A switched call carries its mark as the first of its tags, so that its attempts tell in the ledger which side
they were on; a caller cannot write that tag. Nothing is changed for calls that name their target by a hint,
and for anything but chat: vectors of two models cannot be mixed.

Answers cannot be told right or wrong by themselves: a valid call of the wrong tool looks well. So of a sample
(`Split.anew`) the incumbent is asked the same once more, unserved, and what either side answered is held
against that answer: the candidate's, and the incumbent's own, which is not always like itself either. The
sample is one of units, by a hash of its own, and as large on the incumbent's side as on the candidate's.

Pure, like every policy: (call, snapshot) to a decision.
"""

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from ..call import Asking, Call, Local, Passed
from ..faults import Fault
from ..ir import Part, Request, Text
from ..models import Route, Split

TAG = "switch"
SIDES = {
    "c": "the candidate's, served",
    "b": "the incumbent's",
    "h": "the incumbent's, because the conversation began there: no part of the comparison",
    "p": "the incumbent's, and the candidate is asked the same",
    "s": "the candidate's, asked for comparison and not served",
    "a": "the incumbent's, asked anew for comparison and not served",
    "j": "the judging model's, about two answers",
}
FOR_COMPARISON = "aj"  # no outcomes of their own: others are held against them
UNSERVED = {"s": "-shadow", "a": "-anew"}
"""Side of a twin -> what its call's id ends in, behind that of the call whose twin it is."""

BITS = 63  # a database counts to there
WHOLE = float(2**BITS)
ODD = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads neighbours (Knuth, TAOCP 3, 6.4)

TOLD_S = 10.0  # after that, whoever began with the incumbent stands in `Split.held`
DIALOGUES_MAX = 20_000

encode = msgspec.json.Encoder().encode


class Mark(NamedTuple):
    """A call's place in a switch. The hashes cannot be read back without the switch's salt."""

    switch: str
    side: str
    stage: int
    unit: int  # who stays with one model
    user: int
    talk: int  # the conversation; 0 where it does not matter

    def tag(self) -> str:
        return f"{TAG}={self.switch}:{self.side}:{self.stage}:{self.unit:x}:{self.user:x}:{self.talk:x}"


def read_mark(tags: str) -> Mark | None:
    """The mark of an attempt's tags; None where it was in no switch."""
    first = tags.partition(",")[0]
    if not first.startswith(TAG + "="):
        return None
    parts = first[len(TAG) + 1 :].split(":")
    if len(parts) != len(Mark._fields) or parts[1] not in SIDES:
        return None
    try:
        unit, user, talk = (int(part, 16) for part in parts[3:])
        return Mark(parts[0], parts[1], int(parts[2]), unit, user, talk)
    except ValueError:
        return None


def divide(call: Call, local: Local, now: float) -> Fault | None:
    """Sends the call to its side of the switch, if its route is in one, and marks it."""
    route = call.route
    split = route.split if route is not None else None
    if route is None or split is None or call.dialect.subject != "chat":
        return None
    mark = placed(call, split)
    if mark is None:
        return None
    if mark.talk:
        mark = remembered(mark, local, now)
    if mark.side == "c":
        call.route = Route(route.name, split.ahead, lossless=route.lossless, split=split)
    if call.asking.operation == "chat":
        call.twins = _twins(mark, split)
        call.asking = marked(call, mark)
    return None


def placed(call: Call, split: Split) -> Mark | None:
    """Where the call belongs. None: its body cannot be read, which whoever answers will say."""
    tags, salt = _tags(call.asking.tags), split.salt
    if split.by == "call":
        point = _point(salt, "call", call.id)
        who = tags.get("user") or call.owner
        return Mark(split.id, side_of(point, 0, split), split.stage, point, _point(salt, "user", who), 0)
    opening, who = tags.get("conversation", ""), tags.get("user", "")
    if not opening or not who:
        try:
            request = call.dialect.read_request(call.body)
        except Fault:
            return None
        opening = opening or _opening(request)
        who = who or request.user or call.owner
    talk = _point(salt, "conversation", who, opening)
    user = _point(salt, "user", who) if who else talk
    unit = user if split.by == "user" else talk
    return Mark(split.id, side_of(unit, talk, split), split.stage, unit, user, talk)


def twin(call: Call, side: str, local: Local) -> Call:
    """The same call for the candidate alone, or as the route has it without a switch (side `a`): no key pays
    for it, and nobody hears the answer."""
    route, mark = call.route, read_mark(call.asking.tags)
    assert route is not None and route.split is not None and mark is not None
    if side == "a":
        alone = local.catalogue.route(route.name)
    else:
        alone = Route(route.name, route.split.ahead[:1], lossless=route.lossless, split=route.split)
    passed = {call.peek.model: Passed(local.keys, local.catalogue, local.settings, None, alone)}
    _, comma, theirs = call.asking.tags.partition(",")
    tags = mark._replace(side=side).tag() + comma + theirs
    asking = msgspec.structs.replace(call.asking, tags=tags, passed=passed)
    return Call(call.id + UNSERVED[side], asking, call.dialect, call.body, call.peek, call.started)


def remembered(mark: Mark, local: Local, now: float) -> Mark:
    """Held, where the incumbent has spoken last and too little while ago for other processes to know."""
    dialogues = local.dialogues
    if mark.side == "c":
        if now - dialogues.get(mark.talk, -TOLD_S) >= TOLD_S:
            return mark
        mark = mark._replace(side="h")
    if len(dialogues) >= DIALOGUES_MAX:
        kept = {talk: at for talk, at in dialogues.items() if now - at < TOLD_S}
        dialogues.clear()
        dialogues.update(kept if len(kept) < DIALOGUES_MAX else {})
    dialogues[mark.talk] = now
    return mark


def marked(call: Call, mark: Mark) -> Asking:
    """What the call's head says, with the mark as its first tag."""
    tags = f"{mark.tag()},{call.asking.tags}" if call.asking.tags else mark.tag()
    return msgspec.structs.replace(call.asking, tags=tags)


def side_of(unit: int, talk: int, split: Split) -> str:
    """The shadow has a hash of its own: who is in it must not tell who will be in the share."""
    if unit / WHOLE < split.share:
        return "h" if talk in split.held else "c"
    return "p" if (unit * ODD) % 2**BITS / WHOLE < split.shadow else "b"


def compared(unit: int, side: str, share: float, anew: float) -> bool:
    """Whether the unit's answers are held against a new one of the incumbent's, while the candidate has
    `share`. Drawn by neither of the hashes that sides are drawn by."""
    if side == "b":  # as many as the candidate has, where there are
        anew = min(anew, anew * share / (1.0 - share)) if share < 1.0 else 0.0
    elif side not in "cps":
        return False
    mixed = (unit * ODD) % 2**BITS
    point: int = (mixed ^ (mixed >> 31)) * ODD % 2**BITS
    return point / WHOLE < anew


def _twins(mark: Mark, split: Split) -> str:
    again = "a" if split.anew and compared(mark.unit, mark.side, split.share, split.anew) else ""
    return ("s" if mark.side == "p" else "") + again


def _opening(request: Request) -> str:
    """What a user said first, which every later turn repeats word by word; marks for caches move on."""
    for message in request.messages:
        if message.role == "user":
            return "\0".join(map(_said, message.parts))
    return ""


def _said(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    plain = {"at": "", "extras": None} | ({"cache": None} if hasattr(part, "cache") else {})
    return encode(msgspec.structs.replace(part, **plain)).decode()


def _point(salt: bytes, *parts: str) -> int:
    """A keyed hash that nobody can foretell without the salt (BLAKE2, RFC 7693)."""
    words = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(words, digest_size=8, key=salt).digest()) >> (64 - BITS)


def _tags(text: str) -> dict[str, str]:
    return (
        {name: value for name, _, value in (pair.partition("=") for pair in text.split(","))} if text else {}
    )
