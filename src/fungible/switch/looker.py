"""Looks at the answers of switched routes: what their guards want to know that the ledger cannot tell.

It gets exchanges that are over from the recorder's thread, reads them as a rehearsal reads recordings, and
keeps what the measures say, as rows of the store that are never changed: of one answer (`alone`) at once, of
two (`beside`) once the incumbent's new answer to the same request is there. Only a call's first attempt is
looked at, where it came to its end and was the one that its side is on trial for: a failure is counted by
`errors`, and what answered in another's stead says nothing.

What cannot be looked at (the queue was full, a library is missing) is missing, which is not good. What the
disk does not take waits, a while. Pairs of answers that a judging model is to see are left in `pairs`, for
whoever may ask one; what it said comes back in `heard`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ..faults import Fault
from ..policies.share import FOR_COMPARISON, UNSERVED, Mark, compared, read_mark
from ..recordings.segments import Kept, opened
from ..store import Switches
from .alone import alone
from .anew import Answered, Awaited, Pair
from .beside import beside
from .plan import GUARDS, Plan, Told, road
from .sample import drawn

WAITING_MAX = 10_000  # rows that the disk did not take
PAIRS_MAX = 1_000  # that no judge has been shown yet
LOOKER, ANEW, JURY = "looker", "anew", "jury"  # who has judged
Row = tuple[str, str, int, dict[str, float]]


class Looker:
    """For one thread. `plans`: of the switches that have guards to be looked for."""

    def __init__(self, state: str | Path, now_ms: Callable[[], int]) -> None:
        self._state = Path(state)
        self._now_ms = now_ms
        self._switches: Switches | None = None
        self._rows: list[tuple[str, Row]] = []  # (who, row)
        self._awaited = Awaited()
        self.plans: Mapping[str, Plan] = {}
        self.pairs: deque[Pair] = deque(maxlen=PAIRS_MAX)
        self.heard: deque[Row] = deque()

    def look(self, kept: Kept) -> None:
        mark = read_mark(kept.tags)
        plan = self.plans.get(mark.switch) if mark is not None else None
        if mark is None or plan is None:
            return
        answered = _answered(kept, mark, plan)
        if answered is not None and mark.side not in FOR_COMPARISON:
            self._alone(answered, plan)
        if plan.anew and self._compared(mark, plan):
            name = kept.id.removesuffix(UNSERVED.get(mark.side, ""))
            for other, anew in self._awaited.take(name, mark.side, answered):
                self._beside(name, other, anew, plan)

    def _alone(self, answered: Answered, plan: Plan) -> None:
        wanted = _named(plan, "one")
        if wanted:
            self._note(LOOKER, answered, alone(answered.request, answered.reply, names=wanted), wanted)

    def _beside(self, call: str, answered: Answered, anew: Answered, plan: Plan) -> None:
        wanted = _named(plan, "two")
        self._note(ANEW, answered, beside(answered.request, anew.reply, answered.reply), wanted)
        asked = plan.judge is not None and _named(plan, "asked")
        if asked and drawn(0, f"judge\0{call}") < plan.judged * 2**64:  # both of a shadow, or none
            self.pairs.append(Pair(answered, anew, self._now_ms()))

    def _note(
        self, who: str, answered: Answered, told: Mapping[str, float | None], wanted: tuple[str, ...]
    ) -> None:
        scores = {name: 1.0 - score for name in wanted if (score := told.get(name)) is not None}
        if scores:
            self._rows.append((who, (answered.attempt, answered.mark.tag(), self._now_ms(), scores)))

    def _compared(self, mark: Mark, plan: Plan) -> bool:
        """Whether the incumbent was asked anew: as `policies.share` has it, while the budget lasts."""
        return mark.side == "a" or compared(mark.unit, mark.side, road(plan)[mark.stage].share, plan.anew)

    def keep(self) -> None:
        """Write what was seen, and what judges have said."""
        for _ in range(len(self.heard)):
            self._rows.append((JURY, self.heard.popleft()))
        if not self._rows:
            return
        try:
            if self._switches is None:
                self._switches = Switches(self._state)
            for who in (LOOKER, ANEW, JURY):
                self._switches.judge([row for by, row in self._rows if by == who], who)
        except Fault:
            self._rows = self._rows[-WAITING_MAX:]
        else:
            self._rows = []

    def close(self) -> None:
        self.keep()
        if self._switches is not None:
            self._switches.close()
            self._switches = None


def _named(plan: Plan, told: Told) -> tuple[str, ...]:
    return tuple([guard.name for guard in plan.guards if GUARDS[guard.name].told == told])


def _answered(kept: Kept, mark: Mark, plan: Plan) -> Answered | None:
    """None: there is no answer that says something of its side."""
    row, target = kept.row, f"{kept.provider}/{kept.model}"
    if row is None or row.fault or not row.attempt.endswith(".1") or not plan.expects(mark.side, target):
        return None
    try:
        recording = opened(kept)
        request, reply = recording.asked(), recording.answered()
    except (Fault, msgspec.DecodeError):
        return None
    if isinstance(reply, Fault):
        return None
    return Answered(row.attempt, mark, request, reply, len(kept.request) + sum(map(len, kept.said)))
