"""A rehearsal's plan: what is replayed, and which measures decide; fixed before the first answer.

A measure decides if it has a margin (the table's or the user's) and the incumbent's own recorded answers have
it often enough; that is known beforehand and does not look at any candidate. Looked at are the first in the
order, which chance made: of thousands, a share of one in a hundred is told well enough. A measure that too
few recordings have is told and shown, and decides nothing: it would leave the verdict open for ever. Give it
a margin, and it decides.

The shelf is read through once, one recording at a time; what is kept of each is a row (`order`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec

from ..faults import Fault
from ..recording import Recording
from ..recordings import Recordings, opened
from .alone import unmeasured
from .asked import found, tie_of
from .forecast import usage_of
from .measures import MEASURES, margins
from .order import FIELD_MAX, Drawing, Row
from .pairing import told_of
from .runs import Settings
from .sample import Taken, sampled

SHARE_MIN = 0.01
LOOKED_MAX = 4000
ASKED: Mapping[str, str] = {
    "check": "checks",
    "scorer": "scorer",
    "judge": "judge",
    "closeness": "embedder",
}
"""A measure that is asked for -> the setting that asks for it."""


def planned(
    shelf: Recordings,
    wanted: Settings,
    most: int | None = None,
    incumbent: str | None = None,
    since_ms: int | None = None,
) -> tuple[Settings, Drawing]:
    """The settings with what is decided here, and the order of at most `most` of the route's recordings.

    Raises Fault: there are no recordings, or a setting makes no sense.
    """
    _sensible(wanted)
    drawing = Drawing(shelf.folder, most)
    try:
        return _planned(shelf, wanted, drawing, incumbent, since_ms), drawing
    except BaseException:
        drawing.close()
        raise


def _planned(
    shelf: Recordings, wanted: Settings, drawing: Drawing, incumbent: str | None, since_ms: int | None
) -> Settings:
    names, left_out = _drawn(shelf, wanted, drawing, incumbent, since_ms)
    answered, places, last = Counter[int](), 0, -1
    for row in drawing.rows():
        answered[row.who] += 1
        places += row.place != last
        last = row.place
    if not places:
        raise _nothing(wanted, left_out)
    head = islice(enumerate(drawing.rows()), LOOKED_MAX)
    looked = (opened(kept) for _, kept in found(shelf, list(drawing.segments), head))
    missing = unmeasured()
    common, rare, seen = _in_play(looked, wanted, missing, answered.total())
    deciding = margins(wanted.margins, common)
    if not deciding:
        raise Fault("bad_request", "No measure decides: leave at least one its margin.", path="margin")
    return msgspec.structs.replace(
        wanted,
        deciding=deciding,
        rare=rare,
        unmeasured={
            name: mend for name, mend in missing.items() if wanted.margins.get(name, 0.0) is not None
        },
        left_out=left_out,
        recordings=answered.total(),
        conversations=places,
        incumbents={name: answered[who] for who, name in enumerate(names)},
        looked=seen,
    )


def _drawn(
    shelf: Recordings, wanted: Settings, drawing: Drawing, incumbent: str | None, since_ms: int | None
) -> tuple[list[str], dict[str, int]]:
    """Who answered, by number; and how many were left out, by why."""
    why: Counter[str] = Counter()
    names: dict[str, int] = {}
    for placed in shelf.placed(wanted.route, since_ms, None):
        kept = placed.kept
        taken = sampled(kept, wanted.seed, incumbent)
        if not isinstance(taken, Taken):
            why[taken] += 1
            continue
        usage = usage_of(kept)
        segment = str(placed.segment.relative_to(shelf.folder))
        drawing.take(
            Row(
                taken.place,
                max(0, int(kept.at_ms)),
                tie_of(kept.id),
                drawing.segments.setdefault(segment, len(drawing.segments)),
                placed.at,
                placed.row,
                names.setdefault(taken.target, len(names)),
                min(usage.input_tokens or 0, FIELD_MAX),
                min(usage.output_tokens or 0, FIELD_MAX),
            )
        )
    return list(names), dict(why)


def _nothing(wanted: Settings, left_out: Mapping[str, int]) -> Fault:
    passed = ", ".join(f"{count} {why}" for why, count in left_out.items())
    return Fault(
        "not_found",
        f"There is nothing to replay: no recordings of {wanted.route!r}"
        + (f" but {passed}." if passed else ".")
        + f" Record some: [record.{wanted.route}] in the configuration, or `fungible recordings import`.",
    )


def _sensible(wanted: Settings) -> None:
    if not wanted.targets:
        raise Fault("bad_request", "Name at least one candidate: --to provider/model.", path="to")
    if len(set(wanted.targets)) != len(wanted.targets):
        raise Fault("bad_request", "A candidate is named twice; name each once.", path="to")
    for name in ("anew", "judged"):
        if not 0.0 <= getattr(wanted, name) <= 1.0:
            raise Fault("bad_request", f"{name} is a share from 0 to 1.", path=name)
    if not 0.0 < wanted.alpha < 1.0:
        raise Fault("bad_request", "alpha must lie between 0 and 1, such as 0.05.", path="alpha")


def _in_play(
    looked: Iterable[Recording], wanted: Settings, missing: Mapping[str, str], all_of_them: int
) -> tuple[list[str], dict[str, int], int]:
    """The measures that may decide; those that too few recordings have -> how many have them; of how many."""
    counts: Counter[str] = Counter()
    seen = 0
    for recording in looked:
        counts.update(told_of(recording, wanted))
        seen += 1
    least = max(1.0, SHARE_MIN * seen)
    names, rare = [], {}
    for name, row in MEASURES.items():
        there = counts[name] or seen < all_of_them
        if row.kind == "asked":
            if getattr(wanted, ASKED[name]):
                names.append(name)
        elif counts[name] >= least or name == "answered" or (there and wanted.margins.get(name)):
            names.append(name)
        elif counts[name] and row.margin is not None and name not in missing:
            rare[name] = counts[name]
    return names, rare, seen
