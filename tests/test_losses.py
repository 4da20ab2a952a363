"""Losses to act on: counted by route and code, what lost cache marks cost, lossless routes, dry runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import fungible
from fungible.account import Losing
from fungible.cli import program
from fungible.losses import LISTED_CHARS_MAX, OTHER, WHY, Loss, counted, listed
from fungible.money import Price
from fungible.statement import lost_marks
from fungible.store import Store
from tests.answering import alpha_reply, beta_reply
from tests.upstream import Upstream

CONFIG = """
[server]
state = "state"

[provider.alpha]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"
quirks = ["no_cache_marks"]

[provider.beta]
dialect = "anthropic.messages"
base_url = "{beta}"
key = "env:TEST_KEY"

[route.both]
targets = ["alpha/one", "beta/two"]

[route.whole]
targets = ["alpha/one", "beta/two"]
lossless = true

[route.nowhere]
targets = ["alpha/one", "alpha/three"]
lossless = true
"""
MARKED: dict[str, Any] = {
    "max_tokens": 20,
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}],
        }
    ],
}

BOTH = {"cache_mark": 1, "unknown_field": 1}  # of the request, and of alpha's answer


class Stage:
    def __init__(self, folder: Path, alpha: Upstream, beta: Upstream) -> None:
        self.folder, self.alpha, self.beta = folder, alpha, beta
        config = folder / "fungible.toml"
        config.write_text(CONFIG.format(alpha=alpha.base, beta=beta.base))
        self.client = fungible.Client(config=str(config))
        self.http = self.client.http(httpx)

    def ask(self, model: str, **headers: str) -> httpx.Response:
        return self.http.post(
            "http://fungible/v1/messages",
            json={"model": model, **MARKED},
            headers={"x-api-key": "x", "anthropic-version": "2023-06-01", **headers},
        )

    def store(self) -> Store:
        store = Store(self.folder / "state")
        store.fold()
        return store


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    monkeypatch.chdir(tmp_path)
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        stage = Stage(tmp_path, alpha, beta)
        yield stage
        stage.client.close()


def test_counts_add_up_however_many_codes_there_are() -> None:
    every = [Loss(f"p{n}", "dropped", why) for n, why in enumerate(WHY)] * 3
    text = listed(every)
    assert len(text) <= LISTED_CHARS_MAX
    assert sum(counted(text).values()) == len(every) and counted(text)[OTHER] > 3
    assert counted(listed(every[:1] * 2 + every[1:2])) == {every[0].why: 2, every[1].why: 1}
    assert counted("") == {}


def test_the_ledger_and_the_metrics_count_by_route_and_code(stage: Stage) -> None:
    for _ in range(2):
        assert stage.ask("both").status_code == 200
    assert stage.ask("beta/two").status_code == 200
    store = stage.store()
    rows = list(store.attempts())
    assert [row["lost"] for row in rows] == [BOTH, BOTH, {}]
    assert [row["losses"] for row in rows] == [2, 2, 0]
    assert store.call(rows[0]["call"])["lost"] == BOTH  # type: ignore[index]
    by_route = [(row.who, row.lost, row.attempts) for row in store.losing("route")]
    assert by_route == [("beta/two", {}, 1), ("both", BOTH, 2)]
    store.close()
    app = stage.client._inner._app
    assert app is not None
    text = app.metrics.text({}).decode()
    line = 'fungible_losses_by_code_total{route="both",provider="alpha",model="one",code="cache_mark"} 2'
    assert line in text.splitlines() and text.count("code=") == 2


def test_a_lossless_route_asks_only_who_takes_it_whole(stage: Stage) -> None:
    answer = stage.ask("whole")
    assert answer.status_code == 200 and answer.headers["x-fungible-target"] == "beta/two"
    assert answer.headers["x-fungible-losses"] == "0" and not stage.alpha.seen


def test_where_nobody_does_each_target_is_listed_and_nothing_sent(stage: Stage) -> None:
    answer = stage.ask("nowhere")
    assert answer.status_code == 422 and not stage.alpha.seen
    said = answer.json()["error"]["message"]
    for target in ("alpha/one", "alpha/three"):
        assert target in said
    assert said.count("messages[0].content[0].cache_control (dropped: cache_mark)") == 2
    strict = stage.ask("alpha/one", **{"x-fungible-strict": "1"})
    assert strict.status_code == 422 and "cache_mark" in strict.text


def test_a_dry_run_says_what_each_target_would_lose_and_sends_nothing(stage: Stage) -> None:
    answer = stage.ask("both", **{"x-fungible-dry-run": "1"})
    assert answer.status_code == 200 and not stage.alpha.seen and not stage.beta.seen
    first, second = answer.json()["targets"]
    assert (first["target"], first["whole"], first["moved"]) == ("alpha/one", False, False)
    assert first["losses"] == [
        {"path": "messages[0].content[0].cache_control", "kind": "dropped", "why": "cache_mark"}
    ]
    assert (second["target"], second["whole"], second["moved"]) == ("beta/two", True, True)
    store = stage.store()
    assert list(store.attempts()) == []
    store.close()


PRICE = Price(id="x", source="x", input=3_000_000_000, output=1, cache_read=300_000_000)
DAY_MS = 86_400_000


def losing(lost: dict[str, int], provider: str, read: int, cached: int = 0) -> Losing:
    return Losing("r", provider, "m", lost, 10, read, cached, 0)


def test_lost_marks_cost_what_was_not_read_from_a_cache() -> None:
    """A million tokens at 3.00 that could have cost 0.30, in two days: at most 1.35 USD a day."""
    told = lost_marks([losing({"cache_mark": 10}, "a", 1_000_000)], 2 * DAY_MS, lambda p, m: PRICE)
    assert (told["estimate_usd"], told["estimate_usd_per_day"], told["at_most"]) == ("2.7", "1.35", True)
    told = lost_marks(
        [losing({"cache_mark": 10}, "a", 1_200_000, 200_000), losing({}, "b", 1_000_000, 500_000)],
        2 * DAY_MS,
        lambda p, m: PRICE,
    )
    assert (told["estimate_usd"], told["at_most"], told["share_cached"]) == ("1.35", False, 0.5)


def test_what_has_no_price_of_cached_input_has_no_estimate() -> None:
    told = lost_marks([losing({"cache_mark": 1}, "a", 500)], DAY_MS, lambda p, m: None)
    assert told["estimate_usd"] is None and told["input_tokens_unpriced"] == 500


def test_the_commands(stage: Stage) -> None:
    assert stage.ask("both").status_code == 200
    stage.client.close()
    run = CliRunner().invoke
    told = json.loads(run(program, ["losses", "--json"]).stdout)
    (row,) = told["losses"]
    assert (row["route"], row["attempts"], row["codes"]) == ("both", 1, BOTH)
    table = run(program, ["losses"]).stdout
    assert "both" in table and "cache_mark" in table and WHY["cache_mark"][:30] in table
    assert "cache_mark of both: not known" in table
    body = json.dumps({"model": "both", **MARKED})
    words = ["translate", "--from", "anthropic.messages", "--route"]
    dry = run(program, [*words, "both", "--json"], input=body)
    assert [t["whole"] for t in json.loads(dry.stdout)["targets"]] == [False, True] and dry.exit_code == 0
    assert run(program, [*words, "nowhere", "--strict"], input=body).exit_code == 1
    table = run(program, [*words, "both"], input=body).stdout
    assert "messages[0].content[0].cache_control" in table and "nothing" in table
    every = json.loads(
        run(
            program, ["translate", "--from", "anthropic.messages", "--to", "all", "--json"], input=body
        ).stdout
    )
    whole = {t["dialect"]: t["whole"] for t in every["targets"]}
    assert whole["anthropic.messages"] is True and len(whole) >= 6
