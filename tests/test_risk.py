"""`fungible risk`: shares, single points of failure, and fallbacks that have been tried or not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fungible import config, risk
from fungible.account import Traffic
from fungible.providers.families import family_of
from fungible.providers.homes import CLOUD_HOMES, HOMES
from fungible.providers.table import ROWS
from fungible.providers.whereabouts import CLOUDS, cloud_of, region_of
from tests.faulty import CHAT, MESSAGES, Faulty
from tests.serving import Running
from tests.upstream import Upstream

CONFIG = """
[provider.alpha]
dialect = "openai.chat"
base_url = "https://api.alpha.example/v1"
key = "env:ONE"
[provider.alias]
dialect = "openai.chat"
base_url = "https://api.alpha.example/other"
key = "env:TWO"
[provider.beta]
dialect = "anthropic.messages"
base_url = "https://api.beta.example"
key = "env:ONE"
[provider.gamma]
dialect = "anthropic.messages"
base_url = "https://api.gamma.example"
key = "env:THREE"
cloud = "Cloud Nine"
[provider.azure]
base_url = "https://one.openai.azure.com/openai/v1"
key = "env:TWO"
[provider.azure-second]
dialect = "openai.chat"
base_url = "https://two.openai.azure.com/openai/v1"
key = "env:THREE"
[model."gamma/house-model"]
family = "Claude"
[route.good]
targets = ["alpha/gpt-x", "gamma/house-model"]
[route.alone]
targets = ["alpha/gpt-x"]
[route.two_names]
targets = ["alpha/gpt-x", "alias/llama-4"]
[route.one_key]
targets = ["alpha/gpt-x", "beta/claude-y"]
[route.one_cloud]
targets = ["azure/gpt-x", "azure-second/llama-4"]
[route.same_models]
targets = ["beta/claude-y", "gamma/house-model"]
[route.one_provider]
targets = ["alpha/gpt-x", "alpha/llama-4"]
"""
KEYS = {name: f"a-key-called-{name}" for name in ("ONE", "TWO", "THREE")}


def row(route: str, name: str, answered: int, cost: int = 0, rescued: int = 0, calls: int = -1) -> Traffic:
    provider, _, model = name.partition("/")
    asked = answered if calls < 0 else calls
    last = 5 if answered else None
    return Traffic(
        route, "k", "key", "team", provider, model, asked, asked, answered, rescued, cost, 0, 1, 1, 0, 0, last
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Any:
    path = tmp_path / "fungible.toml"
    path.write_text(CONFIG)
    return config.load(str(path), KEYS).catalogue


def whys(report: risk.Report, route: str) -> list[str]:
    return [point.why for point in report.single_points if point.route == route]


def test_single_points_are_found_the_hidden_ones_too(catalogue: Any) -> None:
    report = risk.assess(catalogue, [], 0, 1)
    assert whys(report, "good") == []
    assert whys(report, "alone") == ["one_target"]
    assert whys(report, "one_provider") == ["one_provider"]
    assert whys(report, "two_names") == ["one_address"]
    assert whys(report, "one_key") == ["one_account"]
    assert whys(report, "one_cloud") == ["one_cloud"]
    assert whys(report, "same_models") == ["one_family"]
    hidden = {point.route: point.says for point in report.single_points if point.hidden}
    assert set(hidden) == {"two_names", "one_key", "one_cloud"}
    assert hidden["two_names"] == "its providers have different names and one address, api.alpha.example"
    assert "env:ONE" in hidden["one_key"] and KEYS["ONE"] not in repr(report)
    assert report.answers == () and report.answered == 0


def test_what_is_not_told_is_not_the_same() -> None:
    unknown = [risk.Place(provider=name, model="m") for name in ("a", "b")]
    assert risk.shared(unknown) == []


def test_shares_and_their_concentration(catalogue: Any) -> None:
    rows = [row("good", "alpha/gpt-x", 60, 900), row("good", "gamma/house-model", 40, 100)]
    report = risk.assess(catalogue, rows, 0, 1)
    by = {one.by: one for one in report.concentration}
    assert by["provider"].hhi_calls == 60**2 + 40**2
    assert by["provider"].hhi_cost == 90**2 + 10**2
    assert [(s.who, s.calls, s.call_share, s.cost_share) for s in by["provider"].shares] == [
        ("alpha", 60, 0.6, 0.9),
        ("gamma", 40, 0.4, 0.1),
    ]
    assert {s.who for s in by["family"].shares} == {"GPT", "Claude"}
    assert [s.who for s in by["cloud"].shares] == [None, "Cloud Nine"] and by["cloud"].at_least
    assert not by["provider"].at_least


def test_untold_clouds_count_apart_so_the_index_is_a_lower_bound(catalogue: Any) -> None:
    rows = [row("one_key", "alpha/gpt-x", 50), row("one_key", "beta/claude-y", 50)]
    cloud = risk.assess(catalogue, rows, 0, 1).concentration[1]
    assert (cloud.hhi_calls, cloud.at_least) == (5_000, True)
    assert [(s.who, s.call_share) for s in cloud.shares] == [(None, 1.0)]


def test_jurisdictions_are_of_the_terms_then_of_the_cloud_and_what_is_said_comes_first(
    tmp_path: Path,
) -> None:
    told = """
[provider.mistral]
key = "env:ONE"
[provider.deepseek]
key = "env:ONE"
jurisdiction = "SG"
[provider.house]
dialect = "openai.chat"
base_url = "https://one.openai.azure.com/openai/v1"
key = "env:ONE"
[provider.strange]
dialect = "openai.chat"
base_url = "https://api.strange.example/v1"
key = "env:ONE"
[provider.vllm]
own_machine = true
[route.away]
targets = ["house/gpt-x", "mistral/small"]
"""
    path = tmp_path / "fungible.toml"
    path.write_text(told)
    found = config.load(str(path), {"ONE": "1"}).catalogue
    where = {name: risk.place(found, name, "m").jurisdiction for name in found.providers}
    assert {name: where[name] for name in ("mistral", "deepseek", "house", "strange", "vllm")} == {
        "mistral": "FR", "deepseek": "SG", "house": "US", "strange": None, "vllm": "own machines"}  # fmt: skip
    assert risk.place(found, "openai", "gone").jurisdiction == "US", "no longer configured, and still a name"
    rows = [row("away", "house/gpt-x", 60), row("away", "mistral/small", 30), row("alone", "house/gpt-x", 10)]
    report = risk.assess(found, rows, 0, 1)
    by = next(one for one in report.concentration if one.by == "jurisdiction")
    assert (by.hhi_calls, by.at_least) == (70**2 + 30**2, False)
    assert [(share.who, share.call_share) for share in by.shares] == [("US", 0.7), ("FR", 0.3)]
    lost = next(loss for loss in report.losses if (loss.by, loss.who) == ("jurisdiction", "US"))
    assert (lost.carried, lost.stranded, lost.routes_stranded) == (0.6, 0.1, ("alone",))


def test_every_home_is_a_provider_or_a_cloud_there_is_and_says_where_it_is_told() -> None:
    names, clouds = {row.name for row in ROWS}, {cloud for _, cloud in CLOUDS}
    assert set(HOMES) <= names and set(CLOUD_HOMES) <= clouds
    assert not {row.name for row in ROWS if row.local} & set(HOMES)
    for home in (*HOMES.values(), *CLOUD_HOMES.values()):
        assert re.fullmatch("[A-Z]{2}", home.country) and home.source.startswith("https://")


def test_hhi() -> None:
    assert risk.hhi([]) is None and risk.hhi([0, 0]) is None
    assert risk.hhi([7]) == 10_000
    assert risk.hhi([30, 30, 20, 20]) == 2_600  # the Department of Justice's own example
    assert risk.hhi([1] * 10) == 1_000


def test_a_fallback_is_tested_when_it_has_answered(catalogue: Any) -> None:
    rows = [
        row("good", "alpha/gpt-x", 50),
        row("good", "gamma/house-model", 2, rescued=2, calls=0),
        row("same_models", "beta/claude-y", 30),
        row("alone", "alpha/gpt-x", 18),
        row("one_key", "beta/claude-y", 0, calls=4),
    ]
    report = risk.assess(catalogue, rows, 0, 1)
    ways = {way.route: way for way in report.ways}
    assert (ways["good"].state, ways["good"].rescued) == ("tested", 2)
    assert (ways["same_models"].state, ways["same_models"].untested) == ("untested", ("gamma/house-model",))
    assert (ways["alone"].state, ways["one_key"].calls) == ("none", 0)
    losses = {(loss.by, loss.who): loss for loss in report.losses}
    alpha = losses["provider", "alpha"]
    assert (alpha.carried, alpha.hoped, alpha.stranded) == (0.5, 0.0, 0.18)
    assert alpha.routes_stranded == ("alone",)
    beta = losses["provider", "beta"]
    assert (beta.carried, beta.hoped, beta.stranded) == (0.0, 0.3, 0.0)
    claude = losses["family", "Claude"]
    assert (claude.carried, claude.stranded, claude.routes_stranded) == (0.02, 0.3, ("same_models",))
    told = {answer.question: answer for answer in report.answers}
    assert told["What if one provider were gone today?"].verdict == "wrong"
    assert "18% would fail" in told["What if one provider were gone today?"].answer
    assert told["How much traffic has a way out that was tried?"].answer.startswith("52% of calls. 30% have")


def test_a_route_and_a_provider_that_are_gone_are_still_counted(catalogue: Any) -> None:
    report = risk.assess(catalogue, [row("old", "closed/claude-1", 3)], 0, 1)
    assert report.answered == 3
    assert whys(report, "old") == ["one_target"]
    assert report.concentration[0].shares[0].who == "closed"


@pytest.mark.parametrize(
    ("host", "model", "cloud", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "anthropic.claude-x", "AWS", "us-east-1"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu.anthropic.claude-x", "AWS", "eu (any region)"),
        ("x.openai.azure.com", "gpt-4o", "Azure", None),
        ("europe-west4-aiplatform.googleapis.com", "m", "Google Cloud", "europe-west4"),
        ("us-south.ml.cloud.ibm.com", "m", "IBM Cloud", "us-south"),
        ("dbc-1.cloud.databricks.com", "m", "AWS", None),
        ("1.gcp.databricks.com", "m", "Google Cloud", None),
        ("adb-1.azuredatabricks.net", "m", "Azure", None),
        ("notamazonaws.com", "m", None, None),
        ("amazonaws.com.evil.example", "m", None, None),
        ("api.example.com", "us.m", None, None),
    ],
)
def test_clouds_and_regions(host: str, model: str, cloud: str | None, region: str | None) -> None:
    assert (cloud_of(host), region_of(host, model)) == (cloud, region)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-5.4-mini", "GPT"),
        ("o4-mini", "GPT"),
        ("chatgpt-4o-latest", "GPT"),
        ("openai/gpt-oss-120b", "gpt-oss"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "Claude"),
        ("anthropic/claude-3.5-sonnet", "Claude"),
        ("models/gemini-2.5-flash", "Gemini"),
        ("google/gemma-3-27b-it", "Gemma"),
        ("meta-llama/llama-3.3-70b-instruct", "Llama"),
        ("nvidia/llama-3.1-nemotron-70b", "Nemotron"),
        ("deepseek-r1-distill-llama-70b", "DeepSeek"),
        ("open-mixtral-8x22b", "Mistral"),
        ("mistral-large-latest", "Mistral"),
        ("command-r-plus", "Command"),
        ("amazon.nova-pro-v1:0", "Nova"),
        ("innovation-1", None),
        ("phi-4", "Phi"),
        ("alphi-4", None),
        ("go3-x", None),
        ("my-model", None),
    ],
)
def test_families(model: str, family: str | None) -> None:
    assert family_of(model) == family


def test_every_provider_s_row_can_be_placed() -> None:
    told = {
        r.name: cloud_of(r.base_url.partition("//")[2].partition("/")[0])
        for r in ROWS
        if "{" not in r.base_url
    }
    assert told["gemini"] == "Google Cloud" and told["alibaba"] == "Alibaba Cloud"
    assert told["openai"] is None, "it does not tell where it runs"


# --- end to end ------------------------------------------------------------------------------------

MORE = """
[model."alpha/gpt-500"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
[route.rescued]
targets = ["alpha/500.a", "beta/good"]
[route.hoped]
targets = ["beta/good", "alpha/good"]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Upstream(Faulty(CHAT)) as alpha, Upstream(Faulty(MESSAGES)) as beta:
        here = Running(tmp_path_factory.mktemp("risk"), alpha.base, beta.base, more=MORE)
        try:
            yield here
        finally:
            here.close()


def test_the_report_of_a_server_s_traffic(running: Running) -> None:
    client = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)
    for model, count in (("rescued", 2), ("hoped", 5), ("alpha/good", 3)):
        for _ in range(count):
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    told = running.program("risk", "--since", "1h")
    assert (told["calls"], told["answered"]) == (10, 10)
    by = {one["by"]: one for one in told["concentration"]}
    assert [(s["who"], s["calls"]) for s in by["provider"]["shares"]] == [("beta", 7), ("alpha", 3)]
    assert by["provider"]["hhi_calls"] == 70**2 + 30**2
    ways = {way["route"]: way for way in told["ways"]}
    assert (ways["rescued"]["state"], ways["rescued"]["rescued"]) == ("untested", 2), "alpha answered none"
    assert ways["hoped"]["untested"] == ["alpha/good"]
    assert ways["alpha/good"]["state"] == "none"
    losses = {(loss["by"], loss["who"]): loss for loss in told["losses"]}
    assert losses["provider", "alpha"]["stranded"] == 0.3
    assert losses["provider", "beta"]["hoped"] == 0.7
    spent = running.program("spend")["total_nanousd"]
    assert told["cost_nanousd"] == spent
    shown = running.program("risk", json_option=False)
    assert "What if one provider were gone today?" in shown and "Single points of failure" in shown
    assert "env:TEST_KEY" in shown, "both providers are asked with one key"
