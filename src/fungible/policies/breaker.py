"""Breakers: after some failures in a row a target is left alone for a while, then tried by one call.

    closed     --FAILURES failures in a row, or a told Retry-After-->  open
    open       --its time is over-->                                   half open: one call may probe
    half open  --the probe succeeds--> closed      --it fails--> open, twice as long (to PAUSE_MAX_S)

One breaker for each (provider, model, provider key): a key without credit says nothing of another.
"""

from ..call import Breaker, Local
from ..faults import Fault
from ..models import Target

FAILURES = 5
KEPT_MAX = 4_096
PAUSE_S = 5.0
PAUSE_MAX_S = 60.0
RETRY_AFTER_MAX_S = 300.0  # nobody is believed for longer
QUARANTINE_S = 30.0  # a refused provider key does not mend itself within seconds


def admit(target: Target, local: Local, now: float) -> bool:
    """Whether this target may be asked now; the first that asks after the pause becomes the probe."""
    breaker = local.breakers.get(target.breaker)
    if breaker is None or breaker.open_until == 0.0:
        return True
    if breaker.open_until > now or breaker.probing:
        return False
    breaker.probing = True
    return True


def why(target: Target, local: Local, now: float) -> tuple[str, float]:
    """Of a target that may not be asked: the kind of its last fault, and seconds until it may be."""
    breaker = local.breakers[target.breaker]
    return breaker.kind, max(breaker.open_until - now, 1.0)


def succeeded(target: Target, local: Local) -> None:
    if local.breakers and target.breaker in local.breakers:
        del local.breakers[target.breaker]


def released(target: Target, local: Local) -> None:
    """The attempt told nothing of the target (the client left): a probe makes room for another."""
    breaker = local.breakers.get(target.breaker)
    if breaker is not None:
        breaker.probing = False


def failed(target: Target, local: Local, fault: Fault, now: float, chance: float) -> None:
    """`chance` spreads the pauses over [0.5, 1) of their length, so that no herd returns at once."""
    if not fault.retry:
        released(target, local)
        return
    breaker = local.breakers.get(target.breaker)
    if breaker is None:
        if len(local.breakers) >= KEPT_MAX:  # callers choose models' names, so there is a limit
            local.breakers.clear()
        breaker = local.breakers[target.breaker] = Breaker()
    breaker.failures += 1
    breaker.kind = fault.kind
    told_s = max(fault.retry_after_ms, 0) / 1000 if fault.retry_after_ms is not None else None
    pause = 0.0
    if fault.kind == "provider_authentication":
        pause = QUARANTINE_S
    elif told_s or (told_s == 0.0 and fault.kind == "rate_limited"):
        pause = min(told_s, RETRY_AFTER_MAX_S)
    elif breaker.probing or breaker.failures >= FAILURES:
        pause = min(PAUSE_S * 2**breaker.opened, PAUSE_MAX_S) * (0.5 + chance / 2)
    if pause > 0.0:
        breaker.open_until = now + pause
        breaker.opened += 1
    breaker.probing = False
