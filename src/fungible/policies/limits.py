"""Requests and tokens a minute, by key: leaky buckets in this process.

A bucket leaks its limit in a minute and refuses when full, so the limit holds over every window and not
only over clock minutes. Tokens are counted when they are known, after the call; a key over its tokens
waits until enough has leaked. Of several workers each has an equal share, rounded up.
"""

from ..account import Key
from ..call import Call, Local, Meter
from ..faults import Fault

WINDOW_S = 60.0


def admit(call: Call, local: Local, now: float) -> Fault | None:
    key = call.key
    if key is None or (key.rpm is None and key.tpm is None):
        return None
    meter = _leaked(key, local, now)
    workers = local.settings.workers
    if key.rpm is not None and (over := meter.requests + 1 - -(-key.rpm // workers)) > 0:
        return _refusal("requests", key.rpm, over, workers)
    if key.tpm is not None and (over := meter.tokens - -(-key.tpm // workers)) >= 0:
        return _refusal("tokens", key.tpm, over + 1, workers)
    meter.requests += 1
    return None


def spent(key: Key, local: Local, now: float, tokens: int) -> None:
    """Tokens of an attempt that has ended."""
    if key.tpm is not None:
        _leaked(key, local, now).tokens += tokens


def _leaked(key: Key, local: Local, now: float) -> Meter:
    meter = local.meters.get(key.id)
    if meter is None:
        meter = local.meters[key.id] = Meter(now)
    passed = (now - meter.at) / WINDOW_S
    meter.at = now
    workers = local.settings.workers
    meter.requests = max(0.0, meter.requests - passed * (key.rpm or 0) / workers)
    meter.tokens = max(0.0, meter.tokens - passed * (key.tpm or 0) / workers)
    return meter


def _refusal(what: str, limit: int, over: float, workers: int) -> Fault:
    wait_ms = int(over * workers / limit * WINDOW_S * 1000) + 1
    return Fault(
        "rate_limited",
        f"This key may make {limit} {what} a minute, and has. Try again in {wait_ms / 1000:.1f} s.",
        code="rate_limit_exceeded",
        retry_after_ms=wait_ms,
    )
