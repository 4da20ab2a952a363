"""A rehearsal's plan: what is replayed, and which measures decide; fixed before the first answer.

A measure decides if it has a margin (the table's or the user's) and the incumbent's own recorded answers have
it often enough; that is known beforehand and does not look at any candidate. A measure that too few
recordings have is told and shown, and decides nothing: it would leave the verdict open for ever. Give it a
margin, and it decides.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ..faults import Fault
from ..recording import Recording
from .alone import unmeasured
from .measures import MEASURES, margins
from .pairing import told_of
from .runs import Settings
from .sample import sampled

SHARE_MIN = 0.01
RECORDINGS_MAX = 100_000  # of one run on one machine: they are held in memory
ASKED: Mapping[str, str] = {
    "check": "checks",
    "scorer": "scorer",
    "judge": "judge",
    "closeness": "embedder",
}
"""A measure that is asked for -> the setting that asks for it."""


def planned(
    recordings: Iterable[Recording], wanted: Settings, most: int, incumbent: str | None = None
) -> tuple[Settings, list[Recording]]:
    """The settings with what is decided here, and the recordings in order.

    Raises Fault: there are no recordings, or a setting makes no sense.
    """
    _sensible(wanted)
    chosen, left_out = sampled(recordings, min(most, RECORDINGS_MAX), wanted.seed, incumbent)
    if not chosen:
        passed = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise Fault(
            "not_found",
            f"There is nothing to replay: no recordings of {wanted.route!r}"
            + (f" but {passed}." if passed else ".")
            + f" Record some: [record.{wanted.route}] in the configuration, or `fungible recordings import`.",
        )
    missing = unmeasured()
    common, rare = _in_play(chosen, wanted, missing)
    deciding = margins(wanted.margins, common)
    if not deciding:
        raise Fault("bad_request", "No measure decides: leave at least one its margin.", path="margin")
    told = {name: mend for name, mend in missing.items() if wanted.margins.get(name, 0.0) is not None}
    settings = msgspec.structs.replace(
        wanted, deciding=deciding, rare=rare, unmeasured=told, left_out=left_out
    )
    return settings, chosen


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
    chosen: Sequence[Recording], wanted: Settings, missing: Mapping[str, str]
) -> tuple[list[str], dict[str, int]]:
    """The measures that may decide; and those that too few recordings have -> how many have them."""
    counts = Counter(name for recording in chosen for name in told_of(recording, wanted))
    least = max(1.0, SHARE_MIN * len(chosen))
    names, rare = [], {}
    for name, row in MEASURES.items():
        if row.kind == "asked":
            if getattr(wanted, ASKED[name]):
                names.append(name)
        elif counts[name] >= least or name == "answered" or (counts[name] and wanted.margins.get(name)):
            names.append(name)
        elif counts[name] and row.margin is not None and name not in missing:
            rare[name] = counts[name]
    return names, rare
