"""What the user wants of a switch: from where to where, by which road, watched by which guards.

A plan does not change once the switch has begun: guards, margins and alpha that are chosen after looking
would make the statistics worth nothing.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from ..faults import Fault
from ..models import nearest_name

BY: Mapping[str, str] = {
    "conversation": "every turn of a dialogue is answered by one model",
    "user": "a user is answered by one model, whatever he asks",
    "call": "each call by itself",
}
STEPS = (0.01, 0.05, 0.25, 0.5, 1.0)


class Guard(msgspec.Struct, frozen=True):
    """One thing that may become worse.

    tolerance  how much worse is not yet harm; beyond it the switch is rolled back
    margin     how much worse is still good enough; less than that must be shown before all traffic goes over
    limit      milliseconds, or nano-dollars: over it is bad. None: over the incumbent's usual times `factor`
    """

    name: str
    tolerance: float = 0.0
    margin: float = 0.02
    limit: float | None = None
    factor: float = 1.0


Told = Literal["ledger", "one", "two", "asked"]


class Kind(NamedTuple):
    tolerance: float
    margin: float
    default: bool
    told: Told  # by the ledger; by looking at one answer, or at two; by whoever is asked
    says: str

    @property
    def judged(self) -> bool:
        """Whether the ledger cannot tell it."""
        return self.told != "ledger"


GUARDS: Mapping[str, Kind] = {
    "errors": Kind(0.0, 0.02, True, "ledger", "the provider failed, or refused the call"),
    "latency": Kind(0.05, 0.1, True, "ledger", "later than nine in ten of the incumbent's, or a limit"),
    "cost": Kind(0.05, 0.1, False, "ledger", "dearer than nine in ten of the incumbent's, or a limit"),
    "willing": Kind(0.0, 0.02, True, "one", "the model declined, by mark or by its words"),
    "schema": Kind(0.0, 0.02, True, "one", "the answer does not fit the JSON Schema that was asked for"),
    "calls": Kind(0.0, 0.02, True, "one", "a call of a tool there is not, or with arguments that do not fit"),
    "answered": Kind(0.0, 0.02, False, "one", "an answer with nothing in it"),
    "finished": Kind(0.01, 0.02, False, "one", "cut off by a limit, or withheld"),
    "language": Kind(0.0, 0.02, False, "one", "an answer in another language than the question"),
    "tools": Kind(0.02, 0.05, True, "two", "other tools than the incumbent's, or other arguments"),
    "exact": Kind(0.05, 0.1, False, "two", "another text than the incumbent's"),
    "format": Kind(0.02, 0.05, False, "two", "another form than the incumbent's: JSON, code, lists, a table"),
    "length": Kind(0.02, 0.05, False, "two", "thrice as long as the incumbent's, or a third of it"),
    "judge": Kind(0.0, 0.05, True, "asked", "the judging model prefers the incumbent's; or as it is told"),
}  # fmt: skip
"""Guard -> what it tolerates, its margin, whether it is on by itself, where it is told, what is bad.

Those that are judged are named as the measures of answers (`switch.measures`); bad is one less. Those told of
two answers want the incumbent to be asked anew (`Plan.anew`), and are never on without that. They tolerate
more: two models that are as good do not call the same tools in every case."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are in 0..1, times in seconds, money in nano-dollars.

    candidate  `provider/model`; `incumbents`: the route's targets, in their order, when the switch began
    first      whether the first of them should answer every call (failover), so that another is a failure
    shadow     answers to compare before anything is served; 0: none
    anew       of how many the incumbent is asked anew, unserved, to compare answers with; `anew_nanousd`: cap
    judge      the model that is shown two answers, and the share of the compared ones that it is shown
    holdback   what the incumbent keeps for `holdback_s` when the candidate has all else, for comparison
    auto       it promotes itself; else it waits for a person at every stage
    calls_min  answers of the candidate that a stage takes at least, beside `stage_s`
    window_s   how long a unit's outcomes are waited for; `hold_s`: a dialogue that paused longer has ended
    """

    route: str
    candidate: str
    incumbents: tuple[str, ...]
    first: bool = True
    by: str = "conversation"
    steps: tuple[float, ...] = STEPS
    shadow: int = 0
    shadow_share: float = 1.0
    shadow_nanousd: int | None = None
    anew: float = 0.0
    anew_nanousd: int | None = None
    judge: str | None = None
    judged: float = 1.0
    holdback: float = 0.0
    holdback_s: int = 0
    auto: bool = True
    calls_min: int = 200
    stage_s: int = 60
    guards: tuple[Guard, ...] = ()
    alpha: float = 0.05
    window_s: int = 60
    hold_s: int = 3600

    def expects(self, side: str, target: str) -> bool:
        """Whether this side's answers are this target's; another's were given in its stead."""
        if side in "cs":
            return target == self.candidate
        return not self.first or target == self.incumbents[0]


class Stage(NamedTuple):
    """A part of the road, by the state it is walked in."""

    state: str
    share: float


def road(plan: Plan) -> tuple[Stage, ...]:
    """The stages in their order; the last is the end."""
    stages = [Stage("shadow", 0.0)] if plan.shadow else []
    stages += [Stage("step", share) for share in plan.steps if share < 1.0]
    if plan.holdback:
        stages.append(Stage("holdback", 1.0 - plan.holdback))
    return (*stages, Stage("done", 1.0))


def steps_of(text: str) -> tuple[float, ...]:
    """`1,5,25,50,100`, in percent. Raises `Fault` for what is no road."""
    try:
        steps = tuple(float(part) / 100 for part in text.split(","))
    except ValueError:
        steps = ()
    rising = all(a < b for a, b in pairwise(steps))
    if not steps or not rising or not all(0.0 < step <= 1.0 for step in steps):
        raise Fault(
            "bad_request",
            f"The steps are percentages that grow, such as 1,5,25,50,100, not {text!r}.",
            path="steps",
        )
    return steps


def guards_of(said: Iterable[str], *, anew: bool = False, judge: bool = False) -> tuple[Guard, ...]:
    """The guards that are on by themselves, as `said` changes them; `only` first: none but those said.

    Each is `NAME`, `NAME=off` or `NAME:tolerance=0.01,margin=0.02,over=2s`. Raises `Fault` for others.
    `anew`: the incumbent is asked anew, so that there are two answers to compare; `judge`: by a model, too.
    """
    given = list(said)
    on: Mapping[Told, bool] = {"ledger": True, "one": True, "two": anew, "asked": judge}
    usual = {name: kind for name, kind in GUARDS.items() if kind.default and on[kind.told]}
    chosen = {name: Guard(name, kind.tolerance, kind.margin) for name, kind in usual.items()}
    if given[:1] == ["only"]:
        chosen = {}
        given = given[1:]
    for text in given:
        name, _, terms = text.partition(":")
        name, _, off = name.partition("=")
        if name not in GUARDS:
            raise Fault(
                "bad_request",
                f"There is no guard {name!r}.{nearest_name(name, list(GUARDS))}"
                f" There are: {', '.join(GUARDS)}.",
                path="guard",
            )
        if off == "off":
            chosen.pop(name, None)
            continue
        kind = GUARDS[name]
        if kind.told == "two" and not anew:
            raise Fault(
                "bad_request",
                f"The guard {name!r} compares two answers to one request: say how often the incumbent is to"
                " be asked anew, such as --anew 20, in percent.",
                path="guard",
            )
        chosen[name] = _with(Guard(name, kind.tolerance, kind.margin), terms, text)
    if not chosen:
        raise Fault("bad_request", "A switch needs a guard: leave one on.", path="guard")
    return tuple(chosen.values())


def _with(guard: Guard, terms: str, text: str) -> Guard:
    for term in terms.split(",") if terms else ():
        name, _, value = term.partition("=")
        try:
            if name in ("tolerance", "margin") and 0.0 <= float(value) < 1.0:
                guard = msgspec.structs.replace(guard, **{name: float(value)})
                continue
            if name == "over" and guard.name in UNITS:
                guard = _over(guard, value)
                continue
        except ValueError:
            pass
        raise Fault(
            "bad_request",
            f"The guard {text!r} says {term!r}. Say tolerance=0.01 or margin=0.02, shares from 0 to 1; of"
            " latency over=2s or over=800ms, of cost over=0.05usd, of both over=1.5x of the incumbent's"
            " usual.",
            path="guard",
        )
    if guard.margin <= guard.tolerance:
        raise Fault(
            "bad_request",
            f"The guard {guard.name!r} has a margin of {guard.margin:g}, which must be above its tolerance of"
            f" {guard.tolerance:g}: what is harm cannot be good enough.",
            path="guard",
        )
    return guard


UNITS: Mapping[str, Mapping[str, float]] = {"latency": {"ms": 1.0, "s": 1000.0}, "cost": {"usd": 1e9}}


def _over(guard: Guard, value: str) -> Guard:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(x|ms|s|usd)", value)
    if found is None or float(found[1]) <= 0.0:
        raise ValueError(value)
    number, unit = float(found[1]), found[2]
    if unit == "x":
        return msgspec.structs.replace(guard, factor=number)
    if unit not in UNITS[guard.name]:
        raise ValueError(value)
    return msgspec.structs.replace(guard, limit=number * UNITS[guard.name][unit])
