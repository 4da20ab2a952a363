"""The configuration: what is on, what a name leads to, where secrets come from, what nothing shows."""

import copy
import os
import pickle
import re
from pathlib import Path

import msgspec
import pytest

from fungible import config
from fungible.call import Deadlines
from fungible.config.settings import PROVIDER, SERVER, TABLES, TARGET
from fungible.faults import Fault
from fungible.models import ABILITIES
from fungible.policies.route import STRATEGIES
from fungible.providers.signers import SIGNERS
from fungible.providers.table import PROVIDERS
from tests.work import lines

ROOT = Path(__file__).resolve().parent.parent

CONTRACT = """
[server]
port = 4000
auth = "keys"            # "keys" (default) or "open" (loopback only)
attempt_header = "X-Fungible-Attempt"

[provider.openai]          # a known provider: override what you need
key = "env:OPENAI_API_KEY"

[provider.house]           # an own one
dialect = "openai.chat"
base_url = "http://127.0.0.1:9100/v1"
key = "env:HOUSE_KEY"
on_abandon = "drain"

[model."house/gpt-x"]    # facts about a model of one's own
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.60
context_tokens = 128000

[route.assistant]        # the name applications ask for
targets = ["openai/gpt-5.4-mini", "anthropic/claude-haiku-4-5", "house/gpt-x"]
strategy = "failover"
"""
ENVIRON = {"OPENAI_API_KEY": "sk-first", "ANTHROPIC_API_KEY": "sk-second", "HOUSE_KEY": "sk-third"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str, environ: dict[str, str] | None = None) -> config.Config:
    Path("fungible.toml").write_text(text)
    return config.load(None, ENVIRON if environ is None else environ)


def hosted(found: config.Config) -> list[str]:
    """The providers that are on, but for the engine, which depends on what is installed."""
    return [name for name in found.catalogue.providers if name != "local"]


# --- the file of the contract --------------------------------------------------------------------


def test_the_contract_s_example() -> None:
    found = loaded(CONTRACT)
    assert found.path == "fungible.toml"
    assert found.server.port == 4000
    assert found.server.attempt_header == "x-fungible-attempt"
    route = found.catalogue.route("assistant")
    assert [t.name for t in route.targets] == [
        "openai/gpt-5.4-mini",
        "anthropic/claude-haiku-4-5",
        "house/gpt-x",
    ]
    assert (route.strategy, route.weights) == ("failover", (1.0, 1.0, 1.0))
    assert [t.on_abandon for t in route.targets] == ["cancel", "cancel", "drain"]
    assert [t.key_name for t in route.targets] == [
        "env:OPENAI_API_KEY",
        "env:ANTHROPIC_API_KEY",
        "env:HOUSE_KEY",
    ]
    facts = found.catalogue.facts(route.targets[2])
    assert facts is not None
    assert facts.context_tokens == 128_000
    assert facts.price is not None
    assert (facts.price.input, facts.price.output) == (150_000_000, 600_000_000)  # femto-dollars a token


def test_the_version_of_a_price_is_its_own() -> None:
    ids = set()
    for dollars in ("0.15", "0.150", "0.16"):
        found = loaded(CONTRACT.replace("0.15", dollars))
        facts = found.catalogue.models["house/gpt-x"]
        assert facts.price is not None
        ids.add(facts.price.id)
    assert len(ids) == 2
    assert all(price.startswith("config:house/gpt-x:") for price in ids)


def test_every_rate_of_a_price() -> None:
    found = loaded(
        CONTRACT
        + """
        [model."house/full"]
        input_usd_per_mtok = 3
        output_usd_per_mtok = 15
        cache_read_usd_per_mtok = 0.3
        cache_write_usd_per_mtok = 3.75
        cache_write_1h_usd_per_mtok = 6
        input_audio_usd_per_mtok = 10
        output_audio_usd_per_mtok = 20
        request_usd = 0.001
        max_output_tokens = 64000
        abilities = ["tools", "images"]
        """
    )
    facts = found.catalogue.models["house/full"]
    price = facts.price
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (3 * 10**9, 15 * 10**9, 3 * 10**8)
    assert (price.cache_write, price.cache_write_1h) == (3_750_000_000, 6 * 10**9)
    assert (price.input_audio, price.output_audio) == (10**10, 2 * 10**10)
    assert price.request == 10**12  # a thousandth of a dollar in femto-dollars
    assert facts.max_output_tokens == 64_000
    assert facts.abilities == {"tools", "images"}


# --- what is on ----------------------------------------------------------------------------------


def test_without_a_file_the_environment_says_what_is_on() -> None:
    found = config.load(None, ENVIRON)
    assert found.path is None
    assert hosted(found) == ["openai", "anthropic"]
    assert found.server.port == 4000
    assert found.server.state == str(Path.cwd() / ".fungible")
    assert found.server.settings().deadlines == Deadlines(5_000, 120_000, 120_000, 600_000)


def test_without_anything_nothing_but_the_engine_is_on() -> None:
    assert hosted(config.load(None, {})) == []


def test_an_empty_variable_is_none() -> None:
    assert hosted(config.load(None, {"OPENAI_API_KEY": " "})) == []


def test_with_a_file_the_environment_s_stay_on() -> None:
    assert hosted(loaded(CONTRACT)) == ["openai", "house", "anthropic"]


def test_a_provider_can_be_switched_off() -> None:
    found = loaded("[provider.openai]\nenabled = false\n")
    assert hosted(found) == ["anthropic"]
    with pytest.raises(
        Fault, match=r"'openai' is not on\. \[provider\.openai\] in fungible\.toml says enabled"
    ):
        found.catalogue.route("openai/gpt-5")


def test_the_engine_is_on_where_its_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.config.providers.ENGINE_PACKAGE", "pytest")
    found = config.load(None, {})
    target = found.catalogue.route("local/llama").targets[0]
    assert (target.embedded, target.local, target.head, target.prices) == (
        True,
        True,
        b"POST /chat/completions HTTP/1.1\r\n",
        "",
    )
    monkeypatch.setattr("fungible.config.providers.ENGINE_PACKAGE", "no_such_package")
    found = config.load(None, {})
    with pytest.raises(Fault, match=r"'local' is not on\. It needs the embedded engine: pip install"):
        found.catalogue.route("local/llama")


def test_model_files_stand_beside_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.config.providers.ENGINE_PACKAGE", "pytest")
    below = folder / "etc"
    below.mkdir()
    (below / "mine.gguf").write_bytes(b"GGUF....")
    (below / "f.toml").write_text(
        "[provider.local]\nmodels = { mine = 'mine.gguf' }\n[server]\nstate = 'here'\n"
    )
    found = config.load("etc/f.toml", {})
    assert found.local_models == {"mine": str(below / "mine.gguf")}
    assert found.catalogue.of("local") == ("llama", "mine")
    assert found.catalogue.route("mine").targets[0].name == "local/mine"
    assert found.server.state == str(below / "here")


def test_a_server_of_one_s_own_needs_no_key() -> None:
    found = loaded("[provider.vllm]\n[provider.ollama]\nbase_url = 'http://10.0.0.5:11434/v1'\n", {})
    head = found.catalogue.route("vllm/some/model").targets[0].head
    assert b"authorization" not in head
    assert b"host: 127.0.0.1:8000\r\n" in head
    assert found.catalogue.route("ollama/llama3.2").targets[0].origin.host == "10.0.0.5"


def test_variables_fill_the_address() -> None:
    keys = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"}
    target = config.load(None, keys).catalogue.route("azure/my-deployment").targets[0]
    assert (target.origin.host, target.path) == ("mine.openai.azure.com", "/openai/v1/chat/completions")
    assert b"api-key: k\r\n" in target.head
    keys["AZURE_OPENAI_ENDPOINT"] = "https://mine.openai.azure.com/openai/v1/"
    assert config.load(None, keys).catalogue.route("azure/x").targets[0].path == "/openai/v1/chat/completions"


def test_an_address_without_a_scheme_is_https() -> None:
    found = config.load(None, {"DATABRICKS_TOKEN": "k", "DATABRICKS_HOST": "adb-1.azuredatabricks.net"})
    target = found.catalogue.route("databricks/llama").targets[0]
    assert (target.origin.scheme, target.origin.host) == ("https", "adb-1.azuredatabricks.net")


def test_a_variable_alone_is_not_enough() -> None:
    found = config.load(None, {"CLOUDFLARE_API_KEY": "k"})
    with pytest.raises(Fault, match="Set CLOUDFLARE_API_KEY and CLOUDFLARE_ACCOUNT_ID in the environment"):
        found.catalogue.route("cloudflare/x")


def test_an_unusable_variable_leaves_its_provider_off_and_says_so() -> None:
    found = config.load(None, {"OPENAI_API_KEY": "two\nlines", "ANTHROPIC_API_KEY": "k"})
    assert hosted(found) == ["anthropic"]
    with pytest.raises(Fault, match="The environment's OPENAI_API_KEY cannot be used: ") as caught:
        found.catalogue.route("openai/x")
    assert "lines" not in caught.value.message


# --- providers of one's own ----------------------------------------------------------------------


def test_the_owner_of_a_dialect_says_how_its_key_is_sent() -> None:
    found = loaded(
        "[provider.mirror]\ndialect = 'anthropic.messages'\nbase_url = 'http://mirror'\nkey = 'env:HOUSE_KEY'\n"
    )
    head = found.catalogue.route("mirror/claude").targets[0].head
    assert b"x-api-key: sk-third\r\n" in head
    assert b"anthropic-version: " in head


def test_a_known_provider_in_another_dialect() -> None:
    found = loaded(
        "[provider.deepseek]\ndialect = 'anthropic.messages'\n"
        "base_url = 'https://api.deepseek.com/anthropic'\nkey = 'env:HOUSE_KEY'\n"
    )
    target = found.catalogue.route("deepseek/deepseek-chat").targets[0]
    assert (target.dialect, target.path, target.quirks) == (
        "anthropic.messages",
        "/anthropic/v1/messages",
        frozenset(),
    )
    assert b"x-api-key: sk-third\r\n" in target.head
    assert target.prices == "deepseek"


def test_headers_and_signer_of_one_s_own() -> None:
    found = loaded(
        CONTRACT.replace(
            'on_abandon = "drain"', 'headers = {X-Team = "blue", authorization = "env:HOUSE_KEY"}'
        )
    )
    head = found.catalogue.route("gpt-x").targets[0].head
    assert b"x-team: blue\r\n" in head
    assert b"authorization: sk-third\r\n" in head
    assert b"Bearer" not in head


def test_weights() -> None:
    found = loaded(
        CONTRACT + "[route.split]\nstrategy = 'weighted'\n"
        "targets = [{target = 'openai/a', weight = 9}, {target = 'house/b', weight = 0.5}, 'anthropic/c']\n"
    )
    assert found.catalogue.route("split").weights == (9.0, 0.5, 1.0)


# --- secrets -------------------------------------------------------------------------------------


def test_secrets_from_files_and_commands(folder: Path) -> None:
    (folder / "key.txt").write_text("from-a-file\n")
    found = loaded(
        CONTRACT.replace('key = "env:HOUSE_KEY"', 'key = "file:key.txt"').replace(
            'key = "env:OPENAI_API_KEY"', "key = 'exec:printf \"%s-command\" from-a'"
        )
    )
    house, first = found.catalogue.route("house/a").targets[0], found.catalogue.route("openai/a").targets[0]
    assert b"authorization: Bearer from-a-file\r\n" in house.head
    assert house.key_name == "file:key.txt"
    assert b"authorization: Bearer from-a-command\r\n" in first.head
    assert first.key_name == "exec:printf"
    assert found.watched == ("fungible.toml", str(folder / "key.txt"))


def test_commands_run_without_a_shell(folder: Path) -> None:
    found = loaded(CONTRACT.replace('key = "env:HOUSE_KEY"', "key = 'exec:echo a;touch made $HOME'"))
    assert b"authorization: Bearer a;touch made $HOME\r\n" in found.catalogue.route("house/a").targets[0].head
    assert not (folder / "made").exists()


def test_nothing_shows_a_secret() -> None:
    found = loaded(
        CONTRACT
        + "[provider.x]\ndialect='openai.chat'\nbase_url='http://x/v1'\nheaders={a='env:HOUSE_KEY'}\n",
        {**ENVIRON, "https_proxy": "http://me:sk-proxy@proxy:1"},
    )
    route = found.catalogue.route("assistant")
    everything = [
        found,
        found.catalogue,
        route,
        *route.targets,
        *found.catalogue.providers.values(),
        found.proxies,
    ]
    for value in everything:
        for text in (repr(value), str(value), f"{value}"):
            assert "sk-" not in text
        with pytest.raises(TypeError):
            msgspec.json.encode(value)
        with pytest.raises((TypeError, AttributeError)):  # of a secret; of a dialect's functions
            pickle.dumps(value)
    with pytest.raises(TypeError):
        copy.deepcopy(found.proxies["https"])


# --- what is around it ---------------------------------------------------------------------------


def test_the_command_line_goes_before_the_file() -> None:
    Path("fungible.toml").write_text(CONTRACT)
    found = config.load(None, ENVIRON, {"port": 5000, "host": "0.0.0.0"})
    assert (found.server.port, found.server.host) == (5000, "0.0.0.0")


def test_open_is_for_loopback() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        found = loaded(f"[server]\nauth = 'open'\nhost = '{host}'\n")
        assert found.server.settings().open


def test_proxies_of_the_environment() -> None:
    environ = {
        "HTTPS_PROXY": "http://loud:1",
        "https_proxy": "http://quiet:1",
        "HTTP_PROXY": "http://plain:1",
        "ALL_PROXY": "http://all:1",
        "NO_PROXY": "localhost,.internal",
    }
    found = config.load(None, environ)
    assert {scheme: url.reveal() for scheme, url in found.proxies.items()} == {
        "http": "http://plain:1",
        "https": "http://quiet:1",
        "all": "http://all:1",
    }
    assert found.no_proxy == "localhost,.internal"
    assert (
        "http" not in config.load(None, {**environ, "REQUEST_METHOD": "GET"}).proxies
    )  # CGI: a client's header
    assert "https" not in config.load(None, {"HTTPS_PROXY": "http://loud:1", "https_proxy": ""}).proxies


def test_the_environment_is_the_process_s_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in PROVIDERS.values():
        for variable in row.env:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert hosted(config.load()) == ["groq"]
    assert os.environ["GROQ_API_KEY"] == "k"


def test_a_byte_order_mark_and_windows_line_ends() -> None:
    Path("fungible.toml").write_bytes(b"\xef\xbb\xbf" + CONTRACT.replace("\n", "\r\n").encode())
    assert config.load(None, ENVIRON).server.port == 4000


def test_loading_is_little_work() -> None:
    loaded(CONTRACT)
    assert lines(lambda: config.load(None, ENVIRON)) < 20_000


# --- the page ------------------------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", page, re.M)
    said = {(name, says) for name, _, says in rows}
    there = {(name, s.says) for table in (*TABLES.values(), TARGET) for name, s in table.items()}
    assert said == there
    defaults = {name: default for name, default, _ in rows if name in SERVER}
    for name, setting in SERVER.items():
        if setting.default is not None:
            assert defaults[name] == f"`{setting.default}`", name


def test_every_word_that_a_setting_takes_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for name in STRATEGIES:
        assert f"- `{name}`: " in page
    for name in (*SIGNERS, *ABILITIES):
        assert f"`{name}`" in page


def test_every_example_of_the_page_loads(folder: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.S)
    assert len(examples) >= 3
    (folder / "my-model.gguf").write_bytes(b"GGUF")
    (folder / "house.key").write_text("k")
    for example in examples:
        if "[provider.local" in example:
            pytest.importorskip("xllamacpp")
        loaded(
            example.replace("/run/secrets/house", "house.key").replace("exec:op read", "exec:echo"),
            {**ENVIRON, "TEAM_KEY": "k"},
        )


def test_the_server_has_a_field_for_every_setting() -> None:
    assert set(SERVER) == set(config.Server.__struct_fields__)
    assert "local" not in PROVIDER
