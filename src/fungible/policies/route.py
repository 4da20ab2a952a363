"""Which targets may answer, and in which order to try them.

`find` sets the call's route. `order` is one function a strategy, a table below; each gives all targets,
the one to try first at the front. Targets whose breaker is open go to the back, not away: when all are
open the first of them is still the best guess the caller can decide upon.
"""

from collections.abc import Callable, Mapping

from ..call import Call, Local
from ..faults import Fault
from ..ir import Usage
from ..models import Route, Target
from ..money import cost

TYPICAL = Usage(input_tokens=3_000, output_tokens=1_000)  # to compare prices by; chat traffic's usual shape


def find(call: Call, local: Local, _now: float) -> Fault | None:
    try:
        found = local.catalogue.route(call.peek.model)
        call.route = preferring(found, call.asking.hint) if call.asking.hint else found
    except Fault as fault:
        return fault
    return None


def preferring(route: Route, hint: str) -> Route:
    """The route with the hinted targets first and the others behind them, all as listed.

    Raises `Fault` (bad_request) where none is meant: a hint that did nothing would be a silent loss.
    """
    meant = tuple(t for t in route.targets if hint in (t.name, t.provider))
    if not meant:
        names = ", ".join(t.name for t in route.targets)
        raise Fault(
            "bad_request",
            f"The header x-fungible-route-hint is {hint[:200]!r}, which is no target of {route.name!r}."
            f" Send one of: {names}; or the provider's name alone.",
            path="headers.x-fungible-route-hint",
        )
    others = tuple(t for t in route.targets if t not in meant)
    return Route(route.name, (*meant, *others), lossless=route.lossless)


def failover(route: Route, _local: Local, _wall_ms: int, _chance: float) -> tuple[Target, ...]:
    return route.targets


def weighted(route: Route, _local: Local, _wall_ms: int, chance: float) -> tuple[Target, ...]:
    """The first by lot, in proportion to the weights; the others follow as listed."""
    point = chance * sum(route.weights)
    for target, weight in zip(route.targets, route.weights, strict=True):
        point -= weight
        if point < 0:
            return (target, *(t for t in route.targets if t is not target))
    return route.targets


def cheapest(route: Route, local: Local, wall_ms: int, _chance: float) -> tuple[Target, ...]:
    """By today's price of a typical call; unknown prices last, equals as listed."""

    def price_of(target: Target) -> tuple[bool, int]:
        price = local.price(target, wall_ms)
        amount = cost(price, TYPICAL) if price is not None else None
        return amount is None, amount or 0

    return tuple(sorted(route.targets, key=price_of))


STRATEGIES: Mapping[str, Callable[[Route, Local, int, float], tuple[Target, ...]]] = {
    "failover": failover,
    "weighted": weighted,
    "cheapest": cheapest,
}


def order(route: Route, local: Local, now: float, wall_ms: int, chance: float) -> tuple[Target, ...]:
    targets = route.targets
    if len(targets) == 1:
        return targets
    targets = STRATEGIES[route.strategy](route, local, wall_ms, chance)
    breakers = local.breakers
    if not breakers:
        return targets
    shut = [t for t in targets if (b := breakers.get(t.breaker)) is not None and b.open_until > now]
    return (*(t for t in targets if t not in shut), *shut) if shut else targets
