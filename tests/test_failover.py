"""Providers that fail in every way, behind the real server, asked through the official SDKs in both dialects.

Before the first content any failure is made good by the next target, and the client sees one clean answer.
After it a stream ends with the error that the client's SDK raises, never with a false end or a second answer.
Each attempt is one row of the ledger, closed in the state that is true of it.
"""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.asking import SDKS, Asker, Outcome
from tests.faulty import AFTER, BEFORE, CHAT, INPUT, MESSAGES, OUTPUT, REFUSALS, TEXT, WAITS, Faulty, cases
from tests.serving import Running
from tests.upstream import Upstream

CLIENTS = ("openai", "anthropic")
PROVIDERS = ("alpha", "beta")
OTHER = {"alpha": "beta", "beta": "alpha"}
SAME = {"openai": "alpha", "anthropic": "beta"}
PRICES = "input_usd_per_mtok = 2.50\noutput_usd_per_mtok = 10.00\n"
GONE = """
[provider.gone_alpha]
dialect = "openai.chat"
base_url = "http://127.0.0.1:1/v1"
key = "env:TEST_KEY"

[provider.gone_beta]
dialect = "anthropic.messages"
base_url = "http://127.0.0.1:1"
key = "env:TEST_KEY"
"""
TIMES = "first_ms = 1500\nidle_ms = 1200\ntotal_ms = 6000\nretries_per_s = 1000\n"
Case = tuple[Any, ...]

FAILING: list[Case] = [
    case
    for case in cases([*BEFORE, "gone"], CLIENTS, PROVIDERS, (False, True))
    if case[3] or case[0] == "gone" or not BEFORE[case[0]].streams_only
]
BREAKING: list[Case] = list(cases(list(AFTER), CLIENTS, PROVIDERS))
ALONE: list[Case] = list(cases(["500", "529", "429", "reset", "malformed"], CLIENTS, PROVIDERS))
COMING_BACK: list[Case] = list(cases(list(WAITS), ["openai"], PROVIDERS))


def route(case: Case) -> str:
    return "-".join(str(word).lower() for word in case)


def routes() -> str:
    """A route for each case: the failing target first, a good one behind it."""
    text = ""
    for case in [*FAILING, *BREAKING]:
        name, _, first = case[:3]
        model = f"{name}.{route(case)}"
        target = f"gone_{first}/m" if name == "gone" else f"{first}/{model}"
        text += f'[route."fo-{route(case)}"]\ntargets = ["{target}", "{OTHER[first]}/good.{route(case)}"]\n'
        if name in AFTER:
            text += f'[model."{first}/{model}"]\n{PRICES}'
        text += f'[model."{OTHER[first]}/good.{route(case)}"]\n{PRICES}'
    text += '[route.steady]\ntargets = ["alpha/500.steady", "beta/good.steady"]\n'
    text += '[route.nobody]\ntargets = ["alpha/500.nobody", "beta/500.nobody"]\n'
    return GONE + text


class Stage:
    def __init__(self, running: Running, alpha: Faulty, beta: Faulty) -> None:
        self.running = running
        self.faulty = {"alpha": alpha, "beta": beta}
        self.ask = Asker(running.url, running.key)
        self._rows: list[dict[str, Any]] = []

    def rows(self, call: str) -> list[dict[str, Any]]:
        """The attempts of a call, from the ledger."""
        if not any(row["call"] == call for row in self._rows):
            self._rows = self.running.rows()
        return sorted((row for row in self._rows if row["call"] == call), key=lambda row: row["attempt"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    alpha, beta = Faulty(CHAT), Faulty(MESSAGES)
    with Upstream(alpha) as one, Upstream(beta) as two:
        running = Running(
            tmp_path_factory.mktemp("failover"), one.base, two.base, server=TIMES, more=routes()
        )
        yield Stage(running, alpha, beta)
        running.close()
        assert "Traceback" not in running.said()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server whose budget of second attempts is not spent yet."""
    alpha, beta = Faulty(CHAT), Faulty(MESSAGES)
    with Upstream(alpha) as one, Upstream(beta) as two:
        running = Running(tmp_path_factory.mktemp("fresh"), one.base, two.base, server=TIMES)
        yield Stage(running, alpha, beta)
        running.close()


@pytest.fixture(scope="module")
def failed_over(stage: Stage) -> dict[Case, Outcome]:
    asked = [(case[1], f"fo-{route(case)}", case[3]) for case in FAILING]
    return dict(zip(FAILING, stage.ask.all(asked), strict=True))


@pytest.fixture(scope="module")
def broken(stage: Stage) -> dict[Case, Outcome]:
    asked = [(case[1], f"fo-{route(case)}", True) for case in BREAKING]
    return dict(zip(BREAKING, stage.ask.all(asked), strict=True))


@pytest.mark.parametrize("case", FAILING, ids=route)
def test_a_failure_before_content_is_made_good(
    stage: Stage, failed_over: dict[Case, Outcome], case: Case
) -> None:
    name, _, first, streamed = case
    outcome = failed_over[case]
    assert outcome.error is None and outcome.text == TEXT and len(outcome.stops) == 1, outcome
    headers = outcome.headers
    assert headers["x-fungible-attempts"] == "2" and headers["x-fungible-target"].startswith(OTHER[first])
    lost, good = stage.rows(outcome.call)
    state, fault = ("void", "unreachable") if name == "gone" else BEFORE[name][1:3]
    if name in ("reset-body", "eof-body") and streamed:
        assert lost["state"] == "estimated"
    else:
        assert (lost["state"], lost["fault"]) == (state, fault), lost
    assert lost["cost_nanousd"] == (0 if lost["state"] == "void" else None), "no price is known for it"
    assert good["state"] == "settled" and good["cost_nanousd"] == INPUT * 2_500 + OUTPUT * 10_000
    assert (good["input_tokens"], good["output_tokens"]) == (INPUT, OUTPUT)


@pytest.mark.parametrize("case", BREAKING, ids=route)
def test_a_failure_after_content_is_told(stage: Stage, broken: dict[Case, Outcome], case: Case) -> None:
    name, client, first = case
    outcome = broken[case]
    (row,) = stage.rows(outcome.call)
    assert outcome.status == 200 and outcome.headers["x-fungible-attempts"] == "1"
    if name == "then-broken" and SAME[client] == first:
        assert (
            outcome.text == TEXT and outcome.error is not None
        )  # its own bytes reach it, as without a gateway
        return
    wanted = openai.APIError if client == "openai" else anthropic.APIStatusError
    assert isinstance(outcome.error, wanted), repr(outcome.error)
    assert outcome.text == TEXT and outcome.stops == [], "what came is there once, and no end is made up"
    assert (row["state"], row["fault"]) == ("estimated", AFTER[name][1])
    assert row["cost_nanousd"] >= INPUT * 2_500 if first == "beta" else row["cost_nanousd"] > 0
    assert stage.faulty[OTHER[first]].asked[f"good.{route(case)}"] == 0, "no other answer was begun"


TYPED: dict[str, dict[str, tuple[type[Exception], int]]] = {
    # fault -> client -> (what its SDK raises, the status)
    "500": {"openai": (openai.InternalServerError, 500), "anthropic": (anthropic.InternalServerError, 500)},
    "529": {"openai": (openai.InternalServerError, 0), "anthropic": (anthropic.InternalServerError, 529)},
    "429": {"openai": (openai.RateLimitError, 429), "anthropic": (anthropic.RateLimitError, 429)},
    "reset": {"openai": (openai.InternalServerError, 502), "anthropic": (anthropic.InternalServerError, 502)},
    "malformed": {
        "openai": (openai.InternalServerError, 502),
        "anthropic": (anthropic.InternalServerError, 502),
    },
}


def test_a_single_target_is_tried_three_times_and_no_more(fresh: Stage) -> None:
    """And the SDK, whose habit is to try twice again by itself, is told not to."""
    stage, insisting = fresh, Asker(fresh.running.url, fresh.running.key, max_retries=2)
    asked = [(client, f"{provider}/{name}.alone-{client}") for name, client, provider in ALONE]
    outcomes = insisting.all(asked, threads=20)
    for (name, client, provider), (_, model), outcome in zip(ALONE, asked, outcomes, strict=True):
        kind, status = TYPED[name][client]
        assert isinstance(outcome.error, kind) and outcome.status == (status or outcome.status), (
            name,
            client,
            outcome,
        )
        assert outcome.headers["x-should-retry"] == "false" and outcome.headers["x-fungible-attempts"] == "3"
        asked_for = stage.faulty[provider].asked[model.partition("/")[2]]
        # A reset of a kept connection may be a stale one: then the same attempt goes out once more.
        assert asked_for == 3 or (name == "reset" and asked_for <= 6)
        rows = stage.rows(outcome.call)
        assert len(rows) == 3 and all(row["state"] != "open" for row in rows)


def test_a_provider_is_asked_again_when_it_said(fresh: Stage) -> None:
    asked = [(client, f"{provider}/{name}.back") for name, client, provider in COMING_BACK]
    outcomes = fresh.ask.all(asked, threads=20)
    least = {"once-seconds": 1.0, "once-ms": 0.4, "once-date": 0.9}
    for (name, *_), outcome in zip(COMING_BACK, outcomes, strict=True):
        if name == "once-absurd":
            assert isinstance(outcome.error, openai.RateLimitError) and outcome.seconds < 1.0
            assert (
                int(outcome.headers["retry-after"]) <= 300 and outcome.headers["x-fungible-attempts"] == "1"
            )
        else:
            assert outcome.text == TEXT and outcome.headers["x-fungible-attempts"] == "2", (name, outcome)
            assert outcome.seconds >= least.get(name, 0.0), (name, outcome.seconds)


@pytest.mark.parametrize("name", list(REFUSALS))
@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_caller_did_wrong_is_passed_on(stage: Stage, name: str, client: str) -> None:
    status, word = REFUSALS[name]
    for provider in PROVIDERS:
        outcome = stage.ask(client, f"{provider}/{name}.{client}")
        sdk = SDKS[client]
        assert isinstance(outcome.error, sdk.APIStatusError) and outcome.status == status
        assert f"made up {status}" in outcome.told and outcome.headers["x-fungible-attempts"] == "1"
        assert outcome.headers["x-should-retry"] == "false"
        if SAME[client] == provider:
            sent = stage.faulty[provider].wire.error(word, f"made up {status}")
            assert outcome.error.response.content == json.dumps(sent).encode()  # type: ignore[attr-defined]
        (row,) = stage.rows(outcome.call)
        assert (row["state"], row["cost_nanousd"], row["status"]) == ("void", 0, status)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_refused_provider_key_is_the_operators_to_mend(stage: Stage, provider: str, client: str) -> None:
    model = f"{provider}/echo-401.{client}"
    outcome = stage.ask(client, model)
    assert outcome.status == 502 and "fungible doctor" in outcome.told and provider in outcome.told
    assert "provider-secret" not in outcome.told + str(outcome.headers)
    again = stage.ask(client, model)
    assert again.status == 503 and "refused the key" in again.told, "the key is left alone for a while"
    assert stage.faulty[provider].asked[f"echo-401.{client}"] == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_repeats_its_key_is_not_repeated(stage: Stage, provider: str) -> None:
    for client in CLIENTS:
        outcome = stage.ask(client, f"{provider}/echo-400.{client}")
        assert outcome.status == 400 and "provider-secret" not in outcome.told and "[secret]" in outcome.told


def test_the_total_time_ends_a_call(stage: Stage) -> None:
    """A plain answer has no first content to wait for: only the whole call's time."""
    outcomes = stage.ask.all([("openai", "alpha/drip.total"), ("anthropic", "beta/drip.total")])
    for outcome in outcomes:
        assert outcome.status == 504 and 5.5 < outcome.seconds < 7.5, outcome
        (row,) = stage.rows(outcome.call)
        assert row["fault"] == "timeout" and row["state"] == "unknown"


def test_a_failing_target_is_soon_passed_over(stage: Stage) -> None:
    outcomes = [stage.ask("openai", "steady") for _ in range(15)]
    assert all(outcome.text == TEXT for outcome in outcomes)
    assert stage.faulty["alpha"].asked["500.steady"] <= 10
    assert [outcome.headers["x-fungible-attempts"] for outcome in outcomes[-5:]] == ["1"] * 5
    assert sorted(outcome.seconds for outcome in outcomes[-5:])[2] < 0.1


def test_nobody_left_is_told_at_once(stage: Stage) -> None:
    for _ in range(5):
        stage.ask("openai", "nobody")
    for client in CLIENTS:
        outcome = stage.ask(client, "nobody")
        assert outcome.status == 503 and outcome.headers["x-should-retry"] == "false"
        assert int(outcome.headers["retry-after"]) >= 1 and outcome.headers["x-fungible-attempts"] == "0"
        assert outcome.seconds < 0.3 and stage.rows(outcome.call) == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("usage", ["no-usage", "usage-negative", "usage-huge"])
def test_usage_that_is_none_is_estimated(stage: Stage, provider: str, streamed: bool, usage: str) -> None:
    for client in CLIENTS:
        model = f"{provider}/{usage}.{client}"
        outcome = stage.ask(client, model, streamed)
        assert outcome.error is None and outcome.text == TEXT
        (row,) = stage.rows(outcome.call)
        assert (
            row["state"] == "estimated" and 0 < row["input_tokens"] < 1000 and 0 < row["output_tokens"] < 1000
        )
        assert row["cost_nanousd"] is None and "x-fungible-cost-usd" not in outcome.headers, (
            "its price is not known"
        )


def raw_stream(running: Running, path: str, model: str) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "stream": True}
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {running.key}"})
    reply = connection.getresponse()
    return dict(reply.getheaders()), reply.read()


@pytest.mark.parametrize(
    ("path", "end"), [("/v1/chat/completions", b"data: [DONE]\n\n"), ("/v1/messages", b'"message_stop"}\n\n')]
)
@pytest.mark.parametrize("model", ["alpha/one", "beta/two"])
def test_a_stream_tells_its_cost_at_its_end(stage: Stage, path: str, end: bytes, model: str) -> None:
    for faulty in stage.faulty.values():
        faulty.also = {"one": "good", "two": "good"}
    headers, body = raw_stream(stage.running, path, model)
    cost = "0.0000975" if model == "alpha/one" else "0.000138"
    assert (
        body.partition(end)[2].decode().startswith(f": x-fungible-cost-usd: {cost}, x-fungible-attempts: 1")
    )
    assert headers["x-fungible-target"] == model and headers["x-fungible-losses"] == "0"
    assert headers["content-type"].startswith("text/event-stream")


def test_every_provider_was_told_each_attempt(stage: Stage) -> None:
    time.sleep(0.3)
    ours = [row["attempt"] for row in stage.running.attempts() if not row["provider"].startswith("gone")]
    assert len(set(ours)) == len(ours)
    assert {name for faulty in stage.faulty.values() for name in faulty.attempts} == set(ours)
