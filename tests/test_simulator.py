"""Bad days from a seed: every invariant of `simulator` holds, and the same seed tells the same story."""

import json

import pytest

from fungible.call import Deadlines, Local, Settings
from fungible.dialects import DIALECTS
from fungible.keys import KeyRing
from fungible.models import Catalogue, Plan
from fungible.money import Price
from fungible.simulator import BEHAVIOURS, Simulation
from tests.targets import catalogue

PRICE = Price(id="test", source="test", input=1_000_000_000, output=2_000_000_000)
CHAT, MESSAGES = (DIALECTS[name] for name in ("openai.chat", "anthropic.messages"))


def request(dialect: str, model: str, stream: bool) -> tuple:
    body = {
        "model": model,
        "max_tokens": 50,
        "stream": stream,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    return DIALECTS[dialect], json.dumps(body).encode()


def day(seed: int, calls: int = 40, weights: dict[str, int] | None = None) -> Simulation:
    local = Local(
        KeyRing({}),
        catalogue(),
        Settings(open=True, deadlines=Deadlines(5_000, 20_000, 20_000, 60_000)),
        lambda t, ms: PRICE,
    )
    requests = [
        request(("openai.chat", "anthropic.messages")[n % 2], ("both", "a/one", "b/two")[n % 3], n % 4 < 2)
        for n in range(calls)
    ]
    return Simulation(seed, local, requests, weights=weights)


@pytest.mark.parametrize("seed", range(60))
def test_a_bad_day_keeps_every_promise(seed: int) -> None:
    day(seed).run()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_000, 3_000))
def test_many_bad_days_keep_every_promise(seed: int) -> None:
    day(seed, 80).run()


def test_a_seed_repeats() -> None:
    one, two = day(7).run(), day(7).run()
    assert [s.lines for s in one] == [s.lines for s in two]


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_each_behaviour_alone(behaviour: str) -> None:
    stories = day(1, 24, {behaviour: 1}).run()
    ends = (b'"type":"message_stop"', b"data: [DONE]")
    good = [s for s in stories if s.replies == [200] or (s.ended and any(end in s.shown for end in ends))]
    assert bool(good) == behaviour.startswith("answer"), [s.lines for s in stories]


def test_one_dead_provider_of_two_costs_no_answers() -> None:
    """Goal: with a dead primary at least 99.9 % of calls are answered by the other."""
    simulation = day(3, 300)
    simulation.requests = [request("openai.chat", "both", False)] * 300
    alive = simulation.send

    def send(target, outgoing, sink):
        simulation.weights = {"refuse the connection": 1} if target.provider == "a" else {"answer": 1}
        return alive(target, outgoing, sink)

    simulation.send = send  # type: ignore[method-assign]
    stories = simulation.run()
    stayed = [s for s in stories if not s.gone]
    assert all(s.replies == [200] for s in stayed)
    assert sum(len(s.sent) for s in stories) <= 1.25 * len(stories), "the breaker keeps attempts down"


def test_steady_failure_is_not_multiplied() -> None:
    """Goal: with every attempt failing, attempts are at most 1.2 times the calls beyond the budget's floor."""
    simulation = day(5, 4_000, {"500": 1})
    simulation.every_s = 0.002
    stories = simulation.run()
    seconds = 4_000 * 0.002
    assert sum(len(s.sent) for s in stories) <= 1.2 * len(stories) + 10 * seconds + 100


def test_a_route_of_one_target_waits_before_it_tries_again() -> None:
    simulation = day(9, 1, {"500": 1})
    (story,) = simulation.run()
    assert len(story.sent) == 3 and story.replies == [500]
    times = [simulation.rows[a].started_ms for a in story.sent]
    assert times == sorted(set(times))


def test_plans_are_what_the_catalogue_says() -> None:
    assert isinstance(catalogue(), Catalogue)
    assert isinstance(catalogue().plans["both"], Plan)
