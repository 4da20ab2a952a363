"""Policies by themselves: plain functions, so each rule is a line."""

import json
from typing import Any

import pytest

from fungible.account import Key
from fungible.call import Asking, Call, Local, RetryBudget, Settings
from fungible.dialects import DIALECTS
from fungible.faults import KINDS, Fault
from fungible.keys import KeyRing, digest, new_secret
from fungible.models import Target
from fungible.money import Price, cost, rate
from fungible.policies import auth, breaker, budget, limits, retry, route
from tests.targets import catalogue

SECRET = new_secret("abcdefghij")
PRICE = Price(id="p", source="test", input=rate(1), output=rate(2))


def key(**fields: Any) -> Key:
    return Key(id="abcdefghij", name="test", created_ms=0, **fields)


def local(owner: Key | None = None, **settings: Any) -> Local:
    ring = KeyRing({digest(SECRET): owner} if owner is not None else {})
    return Local(ring, catalogue(), Settings(**settings), lambda target, ms: PRICE)


def call(model: str = "both", secret: str | None = SECRET, hint: str = "") -> Call:
    body = json.dumps({"model": model, "messages": []}).encode()
    dialect = DIALECTS["openai.chat"]
    asking = Asking(dialect, secret=secret.encode() if secret else None, hint=hint)
    return Call("c-1", asking, dialect, body, dialect.peek(body), 0.0)


def targets() -> tuple[Target, ...]:
    return catalogue().route("both").targets


# --- auth ----------------------------------------------------------------------------------------------------


def test_a_known_key_is_its_owner_and_the_secret_is_not_shown() -> None:
    asked = call()
    assert auth.identify(asked, local(key()), 0.0) is None
    assert asked.key is not None and asked.key.name == "test"
    assert SECRET not in repr(asked) + repr(asked.asking)


@pytest.mark.parametrize("secret", [None, "fk-wrong", ""])
def test_no_key_or_a_wrong_one_is_refused_with_the_mend(secret: str | None) -> None:
    fault = auth.identify(call(secret=secret), local(key()), 0.0)
    assert fault is not None and fault.kind == "authentication" and "fungible keys create" in fault.message


def test_open_asks_for_no_key() -> None:
    asked = call(secret=None)
    assert auth.identify(asked, local(open=True), 0.0) is None and asked.key is None


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        ((), "both", True),
        (("both",), "both", True),
        (("a/*",), "a/one", True),
        (("a/*",), "both", False),
        (("A/*",), "a/one", False),
    ],
)
def test_a_key_s_models(patterns: tuple[str, ...], model: str, allowed: bool) -> None:
    asked = call(model)
    asked.key = key(models=patterns)
    fault = auth.permit(asked, local(), 0.0)
    assert (fault is None) == allowed
    assert fault is None or (
        fault.kind == "permission" and fault.path == "model" and patterns[0] in fault.message
    )


# --- limits --------------------------------------------------------------------------------------------------


def test_requests_a_minute_leak_and_never_pass_the_limit() -> None:
    owner, here = key(rpm=10), local()
    asked = call()
    asked.key = owner
    admitted = [limits.admit(asked, here, n * 0.1) is None for n in range(600)]
    assert sum(admitted) <= 10 + 10 and all(admitted[:10]) and not admitted[10]
    assert limits.admit(asked, here, 3_600.0) is None


def test_a_refusal_says_how_long_to_wait_and_keeps_its_word() -> None:
    owner, here = key(rpm=6), local()
    asked = call()
    asked.key = owner
    for _ in range(6):
        assert limits.admit(asked, here, 0.0) is None
    fault = limits.admit(asked, here, 0.0)
    assert fault is not None and fault.kind == "rate_limited" and fault.retry_after_ms is not None
    assert limits.admit(asked, here, fault.retry_after_ms / 1000) is None


def test_tokens_a_minute_are_counted_after_the_call() -> None:
    owner, here = key(tpm=1_000), local()
    asked = call()
    asked.key = owner
    assert limits.admit(asked, here, 0.0) is None
    limits.spent(owner, here, 0.0, 1_500)
    assert limits.admit(asked, here, 1.0) is not None
    assert limits.admit(asked, here, 60.0) is None


# --- route ---------------------------------------------------------------------------------------------------


def test_failover_keeps_the_order_and_puts_open_breakers_last() -> None:
    here, way = local(), catalogue().route("both")
    assert route.order(way, here, 0.0, 0, 0.5) == way.targets
    breaker.failed(way.targets[0], here, Fault("unavailable", "x", retry_after_ms=5_000), 0.0, 0.5)
    assert route.order(way, here, 1.0, 0, 0.5) == way.targets[::-1]
    assert route.order(way, here, 6.0, 0, 0.5) == way.targets


@pytest.mark.parametrize("pick", ["name", "provider"])
def test_a_hint_s_target_is_tried_first_and_the_others_follow(pick: str) -> None:
    first, second = targets()
    asked = call(hint=getattr(second, pick))
    assert route.find(asked, local(), 0.0) is None and asked.route is not None
    found = route.order(asked.route, local(), 0.0, 0, 0.0)
    assert [t.name for t in found] == [second.name, first.name] and asked.route.name == "both"


@pytest.mark.parametrize("hint", ["nobody", "a/two", "both", " "])
def test_a_hint_that_means_no_target_is_refused_with_the_targets(hint: str) -> None:
    asked = call(hint=hint)
    fault = route.find(asked, local(), 0.0)
    assert fault is not None and (fault.kind, fault.path) == ("bad_request", "headers.x-fungible-route-hint")
    assert repr(hint) in fault.message and all(t.name in fault.message for t in targets())


def test_weighted_follows_the_lot() -> None:
    way, here = catalogue().route("spread"), local()
    first = [route.weighted(way, here, 0, n / 400)[0] for n in range(400)]
    assert sum(t is way.targets[0] for t in first) == 300


def test_cheapest_asks_the_cheapest_first_and_unknown_prices_last() -> None:
    way = catalogue().route("both")
    prices: dict[Target, Price | None] = {
        way.targets[0]: PRICE,
        way.targets[1]: Price(id="q", source="t", input=1, output=1),
    }
    here = Local(KeyRing({}), catalogue(), Settings(), lambda target, ms: prices[target])
    assert route.cheapest(way, here, 0, 0.0) == way.targets[::-1]
    prices[way.targets[1]] = None
    assert route.cheapest(way, here, 0, 0.0) == way.targets


# --- breaker -------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_five_failures_lets_one_probe_and_closes_on_success() -> None:
    target, here = targets()[0], local()
    for _ in range(breaker.FAILURES):
        assert breaker.admit(target, here, 0.0)
        breaker.failed(target, here, Fault("provider_error", "x"), 0.0, 0.99)
    assert not breaker.admit(target, here, 1.0)
    assert breaker.admit(target, here, 10.0) and not breaker.admit(target, here, 10.0)
    breaker.succeeded(target, here)
    assert breaker.admit(target, here, 10.0) and breaker.admit(target, here, 10.0)


def test_a_failed_probe_doubles_the_pause() -> None:
    target, here = targets()[0], local()
    for _ in range(breaker.FAILURES):
        breaker.failed(target, here, Fault("provider_error", "x"), 0.0, 0.99)
    first = here.breakers[target.breaker].open_until
    assert breaker.admit(target, here, first)
    breaker.failed(target, here, Fault("provider_error", "x"), first, 0.99)
    assert here.breakers[target.breaker].open_until - first == pytest.approx(2 * first)


def test_a_callers_fault_opens_nothing() -> None:
    target, here = targets()[0], local()
    for _ in range(20):
        breaker.failed(target, here, Fault("bad_request", "x"), 0.0, 0.5)
    assert breaker.admit(target, here, 0.0)


# --- retry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_where_another_attempt_helps(kind: str) -> None:
    one, two = targets()
    here = local()
    fault = Fault(kind, "x")
    other = retry.again(fault, [one], (one, two), here, 1.0, 100.0, 0.5)
    same = retry.again(fault, [one], (one,), here, 1.0, 100.0, 0.5)
    where = retry.HELP.get(kind)
    assert (other is not None) == (where is not None) and (same is not None) == (where == "anywhere")
    assert other is None or (other.target is two and other.pause_s == 0.0)
    assert same is None or (same.target is one and 0.0 < same.pause_s <= retry.PAUSE_BASE_S)


def test_at_most_three_attempts() -> None:
    one, two = targets()
    assert (
        retry.again(Fault("provider_error", "x"), [one, two, one], (one, two), local(), 1.0, 100.0, 0.5)
        is None
    )


def test_retry_after_is_honoured_within_the_deadline_only() -> None:
    (one, _) = targets()
    fault = Fault("rate_limited", "x", retry_after_ms=5_000)
    waiting = retry.again(fault, [one], (one,), local(), 1.0, 100.0, 0.0)
    assert waiting is not None and waiting.pause_s == 5.0
    assert retry.again(fault, [one], (one,), local(), 1.0, 4.0, 0.0) is None
    absurd = Fault("rate_limited", "x", retry_after_ms=-7)
    assert (
        retry.again(absurd, [one], (one,), local(), 1.0, 4.0, 0.0) or retry.Again(one, 9.0)
    ).pause_s == 0.0


def test_the_retry_budget_is_a_fifth_of_the_calls_and_ten_a_second() -> None:
    here = local()
    here.retries = RetryBudget()
    here.retries.balance = 0.0
    granted = 0
    (one, _) = targets()
    for n in range(10_000):  # 10 s at 1,000 calls a second, all failing
        here.retries.calls += 1
        again = retry.again(Fault("provider_error", "x"), [one], (one,), here, n / 1_000, 100.0, 0.5)
        granted += again is not None
    assert granted == pytest.approx(0.2 * 10_000 + 10 * 10, abs=2)


# --- budget --------------------------------------------------------------------------------------------------


def test_a_hold_is_never_below_the_cost() -> None:
    from fungible.ir import Usage

    amount = budget.hold(PRICE, "a/one", 1_000, 50)
    assert isinstance(amount, int)
    most = cost(PRICE, Usage(input_tokens=1_000, output_tokens=50))
    assert most is not None and amount >= most


def test_an_unknown_price_is_refused_under_a_budget() -> None:
    fault = budget.hold(None, "a/one", 1_000, 50)
    assert isinstance(fault, Fault) and "input_usd_per_mtok" in fault.message and "a/one" in fault.message
