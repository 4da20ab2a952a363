"""When models retire: feeds of every shape, careful names, conflicts shown, and what users and clients are told."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from fungible import config
from fungible.account import Traffic
from fungible.faults import Fault
from fungible.models import Model
from fungible.providers.base import Provider
from fungible.providers.table import PROVIDERS
from fungible.retirement import Calendar, Kept, Notice, Source, read, refresh
from fungible.retirement.affected import affected, pressing
from fungible.retirement.calendar import day_ms, normal
from tests.faulty import CHAT, MESSAGES, Faulty
from tests.recordings import WIRE
from tests.serving import Running
from tests.upstream import JSON, Upstream, answer

ALPHA = Provider(name="alpha", dialect="openai.chat", base_url="https://a.example/v1")
INFO = [
    {
        "provider": "Alpha",
        "model_id": "one-2024-05-13",
        "shutdown_date": "2026-10-23",
        "deprecation_date": "2026-04-23",
        "announcement_date": "2026-04-01",
        "replacement_models": ["two"],
        "url": "https://a.example/deprecations",
    },
    {"provider": "Alpha", "model_id": "undated"},
]
MODELS = {
    "models": [
        {
            "provider": "alpha",
            "model": "one-20240513",
            "aliases": ["one-latest", "one"],
            "status": "deprecated",
            "shutdown_on": "2026-11-01",
            "replacements": [
                {"provider": "alpha", "model": "plain"},
                {"provider": "other", "model": "best", "recommended": True},
            ],
            "sources": [{"url": "https://a.example/models"}],
        },
        {"provider": "alpha", "model": "later", "status": "active", "earliest_shutdown_on": "2027-06-09"},
        {"provider": "alpha", "model": "alive", "status": "active"},
    ]
}
LITELLM = {
    "sample_spec": {
        "litellm_provider": "one of https://docs",
        "deprecation_date": "date when the model is deprecated",
    },
    "alpha/one-2024-05-13": {"litellm_provider": "alpha", "mode": "chat", "deprecation_date": "2026-10-23"},
    "alpha/forever": {"litellm_provider": "alpha", "mode": "chat"},
}
OWN_LIST = {
    "object": "list",
    "data": [
        {"id": "moment", "deprecation": "2026-08-31T12:00:00Z", "deprecation_replacement_model": "two"},
        {"id": "seconds", "lifecycle_status": "deprecated", "deprecation": {"inference": 1751241600}},
        {"id": "expires", "expiration_date": "2026-12-31"},
        {"id": "alive", "deprecation": None},
    ],
}


def notices(*shapes: Any) -> Calendar:
    return Calendar(
        [(f"feed {n}", 5, "", read(json.dumps(shape).encode(), "x")) for n, shape in enumerate(shapes)]
    )


def test_every_shape_is_read() -> None:
    first, second = read(json.dumps(INFO).encode(), "x")
    assert first == Notice(
        provider="Alpha",
        model="one-2024-05-13",
        on="2026-10-23",
        since="2026-04-23",
        deprecated=True,
        replacements=(("", "two"),),
        page="https://a.example/deprecations",
    )
    assert (second.on, second.deprecated) == (None, True)
    firm, later = read(json.dumps(MODELS).encode(), "x")
    assert (firm.on, firm.firm, firm.aliases, firm.page) == (
        "2026-11-01",
        True,
        ("one-latest", "one"),
        "https://a.example/models",
    )
    assert firm.replacements[0] == ("other", "best"), "the recommended one first"
    assert (later.on, later.firm) == ("2027-06-09", False)
    (lite,) = read(json.dumps(LITELLM).encode(), "x")
    assert (lite.provider, lite.model, lite.on) == ("alpha", "one-2024-05-13", "2026-10-23")
    own = {n.model: n for n in read(json.dumps(OWN_LIST).encode(), "x")}
    assert {name: n.on for name, n in own.items()} == {
        "moment": "2026-08-31",
        "seconds": "2025-06-30",
        "expires": "2026-12-31",
    }
    assert own["moment"].replacements == (("", "two"),)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b"{}", b'[{"a": 1}]', b'{"data": [1, null, []]}', b"\xff"]
)
def test_what_is_no_feed_is_told(data: bytes) -> None:
    with pytest.raises(Fault, match=r"no JSON|no rows of a known shape"):
        read(data, "x")


@pytest.mark.parametrize("row", [{"model_id": None}, {"model_id": ["x"]}, {"model": 7, "status": "retired"}])
def test_a_row_that_is_none_takes_no_other_with_it(row: dict[str, Any]) -> None:
    assert [n.model for n in read(json.dumps([row, INFO[0]]).encode(), "x")] == ["one-2024-05-13"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Claude-X-20250514", "claude-x-2025-05-14"),
        ("us.anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
        ("models/gemini-x", "gemini-x"),
        ("eu/gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("claude-x@20240620", "claude-x-2024-06-20"),
        ("ft:gpt-x:org::id", "ft:gpt-x"),
    ],
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt-4o", "gpt-4o-2024-05-13"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("gpt-4o", "gpt-4o-mini"),
        ("anthropic.claude-x-v1:0", "anthropic.claude-x-v2:0"),
        ("us.one", "one"),
        ("meta-llama/llama-x", "llama-x"),
    ],
)
def test_names_that_are_not(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_a_conflict_is_shown_and_the_earliest_day_holds() -> None:
    found = notices(INFO, MODELS, LITELLM).find(ALPHA, "one-2024-05-13")
    assert found is not None
    assert (found.on, found.conflict, found.basis, found.firm) == ("2026-10-23", True, "exact", True)
    assert found.sources() == "2026-10-23 by feed 0, feed 2; 2026-11-01 by feed 1"
    assert found.replacements == ("alpha/two", "other/best", "alpha/plain")


def test_the_provider_s_own_word_comes_before_a_feed_s_and_the_operator_s_before_both() -> None:
    own = [Notice(provider="", model="one-2024-05-13", on="2026-12-01")]
    kept = [("feed", 5, "", read(json.dumps(INFO).encode(), "x")), ("alpha's models", 6, "alpha", own)]
    found = Calendar(kept).find(ALPHA, "one-2024-05-13")
    assert found is not None and (found.on, found.conflict) == ("2026-12-01", True)
    beta = Provider(name="beta", dialect="openai.chat", base_url="https://b.example/v1")
    assert Calendar(kept).find(beta, "one-2024-05-13") is None, (
        "another provider's model has a day of its own"
    )
    mine = Model(name="alpha/one-2024-05-13", retires="2027-01-31")
    found = Calendar(kept, {mine.name: mine}).find(ALPHA, "one-2024-05-13")
    assert found is not None and (found.on, found.conflict) == ("2027-01-31", True)


def test_an_alias_is_told_as_one() -> None:
    calendar = notices(MODELS)
    found, moving = calendar.find(ALPHA, "one"), calendar.find(ALPHA, "one-latest")
    assert found is not None and moving is not None
    assert (found.basis, found.sure, moving.basis, moving.sure) == ("alias", True, "alias", False)
    assert calendar.lines(ALPHA, "one-latest") == ""


def test_not_sooner_than_is_no_day_to_tell_clients() -> None:
    calendar = notices(MODELS)
    found = calendar.find(ALPHA, "later")
    assert found is not None and (found.on, found.firm, found.sure) == ("2027-06-09", False, False)
    assert calendar.lines(ALPHA, "later") == ""
    assert calendar.find(ALPHA, "alive") is None


def test_deployments_are_named_by_users_so_a_name_is_a_guess() -> None:
    azure = PROVIDERS["azure"]
    row = {"provider": "Azure", "model_id": "gpt-4o", "shutdown_date": "2026-10-01"}
    calendar = notices([row])
    found = calendar.find(azure, "gpt-4o")
    assert found is not None and (found.basis, found.sure) == ("deployment", False)
    assert calendar.lines(azure, "gpt-4o") == ""
    assert calendar.find(PROVIDERS["openai"], "gpt-4o") is None


def test_header_lines() -> None:
    assert notices(INFO).lines(ALPHA, "ONE-20240513") == (
        "deprecation: @1776902400\r\n"
        "sunset: Fri, 23 Oct 2026 00:00:00 GMT\r\n"
        'link: <https://a.example/deprecations>; rel="deprecation", <https://a.example/deprecations>; rel="sunset"\r\n'
    )
    assert notices(LITELLM).lines(ALPHA, "one-2024-05-13") == "sunset: Fri, 23 Oct 2026 00:00:00 GMT\r\n"
    late = INFO[0] | {"deprecation_date": "2027-01-01", "url": 'https://a.example/"\r\nset-cookie: x'}
    assert notices([late]).lines(ALPHA, "one-2024-05-13") == "sunset: Fri, 23 Oct 2026 00:00:00 GMT\r\n"


def test_days_left() -> None:
    found = notices(INFO).find(ALPHA, "one-2024-05-13")
    assert found is not None
    day = day_ms("2026-10-23")
    assert [found.days_left(day + ms) for ms in (-86_400_000, -1, 0, 86_400_000)] == [1, 1, 0, -1]


# --- fetching and keeping --------------------------------------------------------------------------


def test_what_cannot_be_fetched_leaves_what_was_kept_and_says_so(tmp_path: Path) -> None:
    with Upstream() as up:
        feed = Source(f"{up.base}/feed.json", url=f"{up.base}/feed.json")
        up.script = [answer(200, JSON, json.dumps(INFO))]
        kept = refresh(tmp_path, [feed], 1_000_000, 1_000)
        assert len(kept.feeds[feed.name].notices) == 2 and kept == Kept.load(tmp_path)
        refresh(tmp_path, [feed], 1_000_500, 1_000)
        assert len(up.seen) == 1, "it was fresh"
        for now_ms, status, body in ((2_000_000, 500, "x"), (3_000_000, 200, "<html>")):
            up.script = [answer(status, JSON, body)]
            kept = refresh(tmp_path, [feed], now_ms, 1_000)
            now = kept.feeds[feed.name]
            assert len(now.notices) == 2 and now.fetched_ms == 1_000_000
            assert now.problem is not None and ("500" in now.problem or "no JSON" in now.problem)
        assert len(up.seen) == 3
        up.script = [[b"nonsense\r\n\r\n", "close"]]
        now = refresh(tmp_path, [feed], 9_000_000_000, 1_000).feeds[feed.name]
        assert len(now.notices) == 2 and "cannot be fetched" in (now.problem or "")
        assert refresh(tmp_path, [], 1, 1).feeds == {}, "a feed that is not named any more is dropped"


def test_a_provider_is_asked_with_its_key_on_its_own_address_only(tmp_path: Path) -> None:
    with Upstream() as up, Upstream() as elsewhere:
        path = tmp_path / "fungible.toml"
        path.write_text(
            f'[provider.alpha]\ndialect = "openai.chat"\nbase_url = "{up.base}/v1"\nkey = "env:KEY"\n'
            '[retirement]\nask = ["alpha"]\n'
        )
        due = config.load(str(path), {"KEY": "a-secret-key"}).retirement
        up.script = [answer(200, JSON, OWN_LIST)]
        kept = refresh(tmp_path, due.sources, 1_000_000, 1_000)
        assert (up.seen[0].method, up.seen[0].path) == ("GET", "/v1/models")
        assert up.seen[0].headers["authorization"] == "Bearer a-secret-key"
        found = kept.calendar({}).find(ALPHA, "moment")
        assert found is not None and (found.on, found.said[0].own) == ("2026-08-31", True)
        assert "a-secret-key" not in (tmp_path / "retirement.json").read_text() + repr(due)
        up.script = [answer(302, JSON, "", {"location": f"{elsewhere.base}/v1/models"})]
        kept = refresh(tmp_path, due.sources, 9_000_000_000, 1_000)
        assert "302" in (kept.feeds["alpha's models"].problem or "") and not elsewhere.seen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('feeds = ["ftp://x/y"]', "must be a file, or an http or https URL without a password"),
        ('feeds = ["https://u:p4ss@x/y"]', "must be a file, or an http or https URL without a password"),
        ('feeds = ["https://[x/y"]', "must be a file, or an http or https URL without a password"),
        ('ask = ["alhpa"]', "the provider 'alhpa' is not on. Did you mean 'alpha'"),
        ('rehearse = ["nobody"]', "there is no route 'nobody'"),
        ("rehearse = 3", "rehearse must be true, false or a list of names"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "fungible.toml"
    path.write_text(
        '[provider.alpha]\ndialect = "openai.chat"\nbase_url = "https://a.example/v1"\nkey = "env:KEY"\n'
        f"[retirement]\n{text}\n"
    )
    with pytest.raises(Fault, match="retirement") as told:
        config.load(str(path), {"KEY": "a-secret-key"})
    assert said in told.value.message and "p4ss" not in told.value.message
    path.write_text('[model."local/x"]\nretires = "soon"\n')
    with pytest.raises(Fault, match=r"retires must be a day such as 2027-01-31, not soon"):
        config.load(str(path), {})


def test_who_is_hit(tmp_path: Path) -> None:
    path = tmp_path / "fungible.toml"
    path.write_text(
        '[provider.alpha]\ndialect = "openai.chat"\nbase_url = "https://a.example/v1"\nkey = "env:KEY"\n'
        '[route.shop]\ntargets = ["alpha/one-2024-05-13", "alpha/later"]\n'
        '[route.idle]\ntargets = ["alpha/one-2024-05-13"]\n'
    )
    catalogue = config.load(str(path), {"KEY": "a-secret-key"}).catalogue

    def row(route: str, key: str, cost: int) -> Traffic:
        return Traffic(route, key, key, "team", "alpha", "one-2024-05-13", 2, 2, 2, 0, cost, 0, 1, 1, 0, 0, 5)

    rows = [row("shop", "k1", 10), row("alpha/one-2024-05-13", "k2", 90)]
    found = affected(notices(INFO, MODELS), catalogue, rows, day_ms("2026-10-01"))
    assert [one.target for one in found] == ["alpha/one-2024-05-13", "alpha/later"]
    first = found[0]
    assert (first.days_left, first.calls, first.cost_nanousd) == (22, 4, 100)
    assert [(u.key, u.team, u.cost_nanousd) for u in first.users] == [("k2", "team", 90), ("k1", "team", 10)]
    assert first.routes == ("shop", "idle", "alpha/one-2024-05-13")
    assert first.rehearse[0] == "fungible switch rehearse --route shop --to alpha/two"
    assert [one.target for one in pressing(found, 180)] == ["alpha/one-2024-05-13"]
    assert pressing(found, 10) == ()


# --- as feeds are -----------------------------------------------------------------------------------

FEEDS = WIRE.parent / "lifecycle"


@pytest.mark.skipif(not FEEDS.is_dir(), reason="the snapshots of feeds are not here")
def test_snapshots_of_real_feeds() -> None:
    names = ("deprecations_info", "modeldeprecations", "litellm_deprecation_dates")
    kept = [(name, 5, "", read((FEEDS / f"{name}.json").read_bytes(), name)) for name in names]
    assert all(len(rows) > 200 for _, _, _, rows in kept)
    calendar = Calendar(kept)

    def on(provider: str, model: str) -> tuple[str | None, bool, str] | None:
        found = calendar.find(PROVIDERS[provider], model)
        return None if found is None else (found.on, found.firm, found.basis)

    assert on("anthropic", "claude-3-5-haiku-20241022") == ("2026-02-19", True, "exact")
    assert on("anthropic", "claude-3-5-haiku-latest") == ("2026-02-19", True, "alias")
    assert on("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0") == ("2026-10-14", True, "exact")
    assert on("bedrock", "eu.amazon.nova-canvas-v1:0") == ("2026-09-30", True, "exact")
    assert on("groq", "llama-3.1-8b-instant") == ("2026-08-16", True, "exact")
    assert on("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo") == ("2026-10-22", True, "exact")
    assert on("fireworks", "accounts/fireworks/models/glm-5p2") == ("2026-09-25", True, "exact")
    assert on("azure", "gpt-4.1-mini") is not None and on("azure", "gpt-4.1-mini")[2] == "deployment"  # type: ignore[index]
    assert on("mistral", "no-such-model") is None
    gemini = calendar.find(PROVIDERS["gemini"], "gemini-2.5-flash")
    assert gemini is not None and gemini.replacements[0] == "gemini/gemini-3.6-flash"
    assert all(said.source != "vertex" for said in gemini.said)


# --- end to end -------------------------------------------------------------------------------------

SOON = (datetime.now(UTC) + timedelta(days=45)).date().isoformat()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("retirement")
    rows = [
        {"provider": "alpha", "model_id": "good", "shutdown_date": SOON, "replacement_models": ["better"]}
    ]
    (folder / "feed.json").write_text(json.dumps(rows))
    more = '[retirement]\nfeeds = ["feed.json"]\n[route.ending]\ntargets = ["alpha/good", "beta/good"]\n'
    with Upstream(Faulty(CHAT)) as alpha, Upstream(Faulty(MESSAGES)) as beta:
        here = Running(folder, alpha.base, beta.base, more=more)
        try:
            yield here
        finally:
            here.close()


def test_clients_are_told_and_so_are_the_commands(running: Running) -> None:
    client = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    last = time.monotonic() + 20
    while True:  # the feed is fetched beside, so the first answers may come before it
        told = client.chat.completions.with_raw_response.create(model="ending", **ask)
        if "sunset" in told.headers or time.monotonic() > last:
            break
        time.sleep(0.1)
    sunset = datetime.strptime(told.headers["sunset"], "%a, %d %b %Y %H:%M:%S GMT").date().isoformat()
    assert sunset == SOON and told.headers["x-fungible-target"] == "alpha/good"
    assert told.parse().choices[0].message.content == "Hello there"
    with client.chat.completions.with_streaming_response.create(
        model="ending", stream=True, **ask
    ) as streamed:
        assert "sunset" in streamed.headers
        streamed.read()
    other = anthropic.Anthropic(api_key=running.key, base_url=running.url, max_retries=0)
    crossed = other.messages.with_raw_response.create(model="alpha/good", max_tokens=9, **ask)
    assert "sunset" in crossed.headers, "whatever dialect the client speaks"
    beta = other.messages.with_raw_response.create(model="beta/good", max_tokens=9, **ask)
    assert "sunset" not in beta.headers and "deprecation" not in beta.headers
    risk = running.program("risk")
    (one,) = risk["retiring"]
    assert (one["target"], one["on"], one["conflict"]) == ("alpha/good", SOON, False)
    assert one["days_left"] in (44, 45) and one["calls"] >= 3
    assert one["users"][0]["key"] == "test" and one["said"][0]["source"] == "feed.json"
    assert "fungible switch rehearse --route ending --to alpha/better" in one["rehearse"]
    shown = running.program("risk", json_option=False)
    assert "Retirements ahead" in shown and f"{SOON}, in 4" in shown
    doctor = running.program("doctor", "--offline")["findings"]
    (found,) = [f for f in doctor if f["about"] == "retirement"]
    assert found["verdict"] == "look" and "alpha/good" in found["text"] and "switch rehearse" in found["text"]
