"""What traffic hangs on: shares, single points of failure, and what has a way out that was tried.

How it thinks. The ledger says who asked what of whom (`account.Traffic`); the catalogue says where each
target lives (`Place`). All else is arithmetic, without a clock or a store.

- A share is of the calls that were answered and of the money that they cost. Concentration is the
  Herfindahl-Hirschman index, the sum of squared shares times 10,000 (US DOJ and FTC, Merger Guidelines 2023,
  guideline 1, which calls a market above 1,800 highly concentrated). 10,000 divided by it is how many equal
  ones would be as concentrated, which is easier to picture. Where it is not told who stands behind a target,
  each provider counts as one of its own, so that the index is then a lower bound.
- A route fails with one thing when all its targets share it (`POINTS`): hidden, where their names differ.
- A fallback is *tested* when it has answered calls of that very route in the time looked at. One that is only
  written down is a hope.

Not here: SQL, the text on a screen, what to do about it beyond one sentence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from .account import Traffic
from .faults import Fault
from .models import Catalogue, Target
from .providers.families import family_of
from .providers.homes import home_of
from .providers.signers import EMBEDDED
from .providers.whereabouts import OWN_MACHINES, cloud_of, region_of

HHI_WHOLE = 10_000
HHI_HIGH = 1_800  # US Merger Guidelines 2023, guideline 1
LOOPBACK = ("localhost", "127.", "::1")  # one machine has many servers; elsewhere a host is one point

DIMENSIONS = ("provider", "cloud", "region", "jurisdiction", "family")
LOST = ("provider", "cloud", "jurisdiction", "family")  # what may be gone from one day to the next


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a target lives. None: not told, which is not the same as any other that is not told.

    `address`: what is connected to; `account`: where its key comes from (`env:NAME`), never the key.
    """

    provider: str
    model: str
    cloud: str | None = None
    region: str | None = None
    jurisdiction: str | None = None
    family: str | None = None
    address: str | None = None
    account: str | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


class Point(NamedTuple):
    """A thing that all targets of a route may share. `{what}` is its name."""

    of: Callable[[Place], str | None]
    says: str
    mend: str


POINTS: Mapping[str, Point] = {
    # in this order; the first that holds is told, and `one_family` beside it
    "one_target": Point(
        lambda place: place.name,
        "{what} is its only target",
        "give it a second target on another provider",
    ),
    "one_provider": Point(
        lambda place: place.provider,
        "all its targets are {what}'s",
        "give it a target on another provider",
    ),
    "one_address": Point(
        lambda place: place.address,
        "its providers have different names and one address, {what}",
        "point one of them at another server",
    ),
    "one_account": Point(
        lambda place: place.account,
        "its providers are asked with one key, {what}: its limit, credit or revocation stops all of them",
        "give each its own key, of another account",
    ),
    "one_cloud": Point(
        lambda place: place.cloud,
        "its providers all run in one cloud, {what}",
        "give it a target in another cloud",
    ),
    "one_family": Point(
        lambda place: place.family,
        "all its targets are {what} models: their maker's retirement or mistake reaches every one",
        "give it a target of another family, and rehearse it",
    ),
}
HIDDEN = frozenset({"one_address", "one_account", "one_cloud"})


class Share(msgspec.Struct, frozen=True):
    """`who` None: not told."""

    who: str | None
    calls: int
    call_share: float
    cost_nanousd: int
    cost_share: float


class Concentration(msgspec.Struct, frozen=True):
    """`hhi_*` 0 to 10,000, None: nothing to share. `at_least`: not all is told, so it may be higher."""

    by: str
    shares: tuple[Share, ...]
    hhi_calls: int | None
    hhi_cost: int | None
    at_least: bool


class SinglePoint(msgspec.Struct, frozen=True):
    route: str
    why: str
    what: str
    hidden: bool
    says: str
    mend: str
    targets: tuple[str, ...]
    calls: int
    call_share: float


STATES = ("tested", "untested", "none")  # of a way out


class Way(msgspec.Struct, frozen=True):
    """A route's ways out: what has answered for it, and what has not yet. Of its answered calls."""

    route: str
    targets: tuple[str, ...]
    tested: tuple[str, ...]
    untested: tuple[str, ...]
    calls: int
    call_share: float
    rescued: int
    state: str  # of STATES


class Loss(msgspec.Struct, frozen=True):
    """What would become of the traffic of one provider, cloud, jurisdiction or family if it were gone.

    Shares are of all answered calls: `carried` goes on to a tested target, `hoped` to one that has not been
    tried, `stranded` has nowhere to go.
    """

    by: str
    who: str
    calls: int
    call_share: float
    carried: float
    hoped: float
    stranded: float
    routes_stranded: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """`verdict`: ok, look or wrong."""

    question: str
    answer: str
    verdict: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    since_ms: int
    until_ms: int
    calls: int
    answered: int
    cost_nanousd: int
    cost_unknown: int
    concentration: tuple[Concentration, ...]
    single_points: tuple[SinglePoint, ...]
    ways: tuple[Way, ...]
    losses: tuple[Loss, ...]
    answers: tuple[Answer, ...]


# --- where things are --------------------------------------------------------------------------------


def place(catalogue: Catalogue, provider: str, model: str) -> Place:
    """Of a provider that is no longer configured only the names are known."""
    row = catalogue.providers.get(provider)
    if row is None:
        return Place(
            provider=provider, model=model, jurisdiction=home_of(provider, None), family=family_of(model)
        )
    target = catalogue.target(provider, model)
    facts = catalogue.facts(target)
    origin = target.origin
    own = row.provider.local or origin.scheme == EMBEDDED
    family = facts.family if facts is not None and facts.family else family_of(model)
    cloud = row.provider.cloud or (OWN_MACHINES if own else cloud_of(origin.host))
    port = f":{origin.port}" if origin.host.startswith(LOOPBACK) else ""
    return Place(
        provider=provider,
        model=model,
        cloud=cloud,
        region=row.provider.region or region_of(origin.host, model),
        jurisdiction=row.provider.jurisdiction or (OWN_MACHINES if own else home_of(provider, cloud)),
        family=family,
        address=f"{origin.host}{port}" if origin.host else None,
        account=target.key_name if target.key_name not in ("", "none") else None,
    )


def targets_of(catalogue: Catalogue, route: str, seen: Iterable[tuple[str, str]]) -> tuple[Place, ...]:
    """The targets a name leads to today; where it leads nowhere any more, those that were seen."""
    try:
        found: Sequence[Target] = catalogue.route(route).targets
    except Fault:
        return tuple(place(catalogue, *pair) for pair in dict.fromkeys(seen))
    return tuple(place(catalogue, target.provider, target.model) for target in found)


# --- the report --------------------------------------------------------------------------------------


def assess(catalogue: Catalogue, rows: Sequence[Traffic], since_ms: int, until_ms: int) -> Report:
    """`rows`: the traffic between the two, in Unix milliseconds."""
    names = dict.fromkeys([*catalogue.plans, *(row.route or "" for row in rows)])
    seen = {name: [(r.provider, r.model) for r in rows if (r.route or "") == name] for name in names}
    routes = {name: targets_of(catalogue, name, seen[name]) for name in names}
    places = {(r.provider, r.model): place(catalogue, r.provider, r.model) for r in rows}
    answered = sum(row.answered for row in rows)
    concentration = tuple(_concentration(by, rows, places) for by in DIMENSIONS)
    points = _single_points(routes, rows, answered)
    ways = tuple(_way(name, routes[name], rows, answered) for name in names)
    ways = tuple(sorted(ways, key=lambda way: -way.calls))
    losses = _losses(routes, rows, places, ways, answered)
    return Report(
        since_ms=since_ms,
        until_ms=until_ms,
        calls=sum(row.calls for row in rows),
        answered=answered,
        cost_nanousd=sum(row.cost_nanousd for row in rows),
        cost_unknown=sum(row.cost_unknown for row in rows),
        concentration=concentration,
        single_points=points,
        ways=ways,
        losses=losses,
        answers=_answers(concentration, points, ways, losses) if answered else (),
    )


def hhi(parts: Iterable[float]) -> int | None:
    """The Herfindahl-Hirschman index of amounts, 0 to 10,000. None: they come to nothing."""
    amounts = list(parts)
    whole = sum(amounts)
    return round(sum((part / whole) ** 2 for part in amounts) * HHI_WHOLE) if whole else None


def _concentration(
    by: str, rows: Sequence[Traffic], places: Mapping[tuple[str, str], Place]
) -> Concentration:
    sums: dict[tuple[str | None, str], list[int]] = {}
    for row in rows:
        who: str | None = getattr(places[row.provider, row.model], by)
        amounts = sums.setdefault((who, row.provider if who is None else ""), [0, 0])
        amounts[0] += row.answered
        amounts[1] += row.cost_nanousd
    told: dict[str | None, list[int]] = {}
    for (who, _), (calls, cost) in sums.items():
        amounts = told.setdefault(who, [0, 0])
        amounts[0] += calls
        amounts[1] += cost
    all_calls, all_cost = (sum(a[n] for a in told.values()) for n in (0, 1))
    shares = [Share(w, c, _part(c, all_calls), m, _part(m, all_cost)) for w, (c, m) in told.items() if c or m]
    return Concentration(
        by,
        tuple(sorted(shares, key=lambda share: (-share.calls, -share.cost_nanousd, share.who or "~"))),
        hhi(calls for calls, _ in sums.values()),
        hhi(cost for _, cost in sums.values()),
        any(share.who is None for share in shares),
    )


def _part(amount: int, whole: int) -> float:
    return amount / whole if whole else 0.0


def shared(targets: Sequence[Place]) -> list[tuple[str, str]]:
    """What all targets share: (a row of POINTS, its name). At most one, and `one_family` beside it."""
    found = []
    for why, point in POINTS.items():
        if why == "one_target" and len(targets) > 1:
            continue
        values = {point.of(target) for target in targets}
        if len(values) == 1 and (what := values.pop()) is not None:
            found.append((why, what))
    if len(targets) == 1:
        return found[:1]
    outage = [pair for pair in found if pair[0] != "one_family"][:1]
    return [*outage, *(pair for pair in found if pair[0] == "one_family")]


def _single_points(
    routes: Mapping[str, tuple[Place, ...]], rows: Sequence[Traffic], answered: int
) -> tuple[SinglePoint, ...]:
    found = []
    for name, targets in routes.items():
        calls = sum(row.answered for row in rows if (row.route or "") == name)
        for why, what in shared(targets):
            point = POINTS[why]
            found.append(
                SinglePoint(
                    name,
                    why,
                    what,
                    why in HIDDEN,
                    point.says.format(what=what),
                    point.mend,
                    tuple(target.name for target in targets),
                    calls,
                    _part(calls, answered),
                )
            )
    order = list(POINTS)
    return tuple(sorted(found, key=lambda p: (-p.calls, order.index(p.why), p.route)))


def _way(name: str, targets: Sequence[Place], rows: Sequence[Traffic], answered: int) -> Way:
    of_route = [row for row in rows if (row.route or "") == name]
    worked = {f"{row.provider}/{row.model}" for row in of_route if row.answered}
    tested = tuple(target.name for target in targets if target.name in worked)
    providers = {target.provider for target in targets}
    working = {target.provider for target in targets if target.name in worked}
    state = "none" if len(providers) < 2 else "tested" if len(working) > 1 else "untested"
    calls = sum(row.answered for row in of_route)
    return Way(
        name,
        tuple(target.name for target in targets),
        tested,
        tuple(target.name for target in targets if target.name not in worked),
        calls,
        _part(calls, answered),
        sum(row.rescued for row in of_route),
        state,
    )


def _losses(
    routes: Mapping[str, tuple[Place, ...]],
    rows: Sequence[Traffic],
    places: Mapping[tuple[str, str], Place],
    ways: Sequence[Way],
    answered: int,
) -> tuple[Loss, ...]:
    tested = {way.route: frozenset(way.tested) for way in ways}
    found = []
    for by in LOST:
        sums: dict[str, list[int]] = {}
        stranded_routes: dict[str, dict[str, None]] = {}
        for row in rows:
            who: str | None = getattr(places[row.provider, row.model], by)
            if who is None or not row.answered:
                continue
            name = row.route or ""
            others = [target for target in routes[name] if getattr(target, by) != who]
            fate = 2 if not others else 0 if any(o.name in tested[name] for o in others) else 1
            sums.setdefault(who, [0, 0, 0])[fate] += row.answered
            if fate == 2:
                stranded_routes.setdefault(who, {})[name] = None
        for who, fates in sums.items():
            carried, hoped, stranded = (_part(count, answered) for count in fates)
            calls, routes_lost = sum(fates), tuple(stranded_routes.get(who, ()))
            share = _part(calls, answered)
            found.append(Loss(by, who, calls, share, carried, hoped, stranded, routes_lost))
    return tuple(sorted(found, key=lambda loss: (DIMENSIONS.index(loss.by), -loss.stranded, -loss.calls)))


# --- in a manager's words ----------------------------------------------------------------------------


def _answers(
    concentration: Sequence[Concentration],
    points: Sequence[SinglePoint],
    ways: Sequence[Way],
    losses: Sequence[Loss],
) -> tuple[Answer, ...]:
    return (
        _dependence(concentration[0]),
        _worst("provider", losses),
        *((_worst("cloud", losses),) if any(loss.by == "cloud" for loss in losses) else ()),
        _way_out(ways),
        _hidden(points),
    )


def _dependence(providers: Concentration) -> Answer:
    most = providers.shares[0]
    hhi_calls = providers.hhi_calls or 0
    like = f"as concentrated as {HHI_WHOLE / hhi_calls:.1f} equal ones" if hhi_calls else "not known"
    return Answer(
        "How much depends on one provider?",
        f"{most.call_share:.0%} of answered calls and {most.cost_share:.0%} of known spend are {most.who}'s;"
        f" over all providers that is {like} (HHI {hhi_calls:,} of {HHI_WHOLE:,}).",
        "look" if hhi_calls > HHI_HIGH else "ok",
    )


def _worst(by: str, losses: Sequence[Loss]) -> Answer:
    worst = max((loss for loss in losses if loss.by == by), key=lambda loss: (loss.stranded, loss.hoped))
    verdict = "wrong" if worst.stranded else "look" if worst.hoped else "ok"
    return Answer(
        f"What if one {by} were gone today?",
        f"Worst is {worst.who}, with {worst.call_share:.0%} of calls: {worst.carried:.0%} of all calls would"
        f" go on to a target that has been tried, {worst.hoped:.0%} to one that has not, and"
        f" {worst.stranded:.0%} would fail.",
        verdict,
    )


def _way_out(ways: Sequence[Way]) -> Answer:
    parts = {state: sum(w.call_share for w in ways if w.state == state) for state in STATES}
    verdict = "wrong" if parts["none"] else "look" if parts["untested"] else "ok"
    return Answer(
        "How much traffic has a way out that was tried?",
        f"{parts['tested']:.0%} of calls. {parts['untested']:.0%} have a second provider that has answered"
        f" none of them yet; {parts['none']:.0%} have no second provider at all.",
        verdict,
    )


def _hidden(points: Sequence[SinglePoint]) -> Answer:
    hidden = [point for point in points if point.hidden]
    if not hidden:
        return Answer(
            "Do fallbacks share what they should not?",
            "No route's targets were seen to share an address, a key or a cloud under different names."
            " Most providers do not tell which cloud they run in.",
            "ok",
        )
    told = "; ".join(f"{point.route}: {point.says}" for point in hidden[:3])
    more = f"; and {len(hidden) - 3} more" if len(hidden) > 3 else ""
    return Answer("Do fallbacks share what they should not?", f"Yes. {told}{more}.", "wrong")
