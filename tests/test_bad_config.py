"""Every wrong configuration names its line, its key and its mend, and never shows a secret."""

import sys
from pathlib import Path

import pytest

from fungible import config
from fungible.faults import Fault

KEYS = {"OPENAI_API_KEY": "key-of-openai", "HOUSE_KEY": "key-of-house"}
HOUSE = '[provider.house]\ndialect = "openai.chat"\nbase_url = "http://127.0.0.1:9100/v1"\n'
SECRET_FORM = "Write env:NAME, file:PATH or exec:COMMAND."
LITERAL = f"holds the secret itself, which is refused and not shown. {SECRET_FORM}"

CASES: dict[str, tuple[str, str]] = {
    # --- what is no TOML
    "a text without quotes": (
        "[provider.openai]\nkey = sk-abc\n",
        "2: this is no TOML value; text needs quotes.",
    ),
    "a text without its end": ('[server]\nhost = "127.0.0.1', "2: a text lacks its closing quote."),
    "a line without an equals sign": ('[server]\nhost "x"\n', "2: a setting is written name = value."),
    "two settings on a line": (
        "[server]\nport = 1 workers = 2\n",
        "2: only one setting can stand on a line.",
    ),
    "a setting twice": (
        "[server]\nport = 1\nport = 2\n\n",
        "3: a setting or a table is written twice; keep one.",
    ),
    "a table twice": (
        "[server]\nport = 1\n[server]\nworkers = 1\n",
        "3: a table is written twice; put its settings under one header.",
    ),
    "a header without its end": (
        "[server\nport = 1\n",
        "1: not TOML: Expected ']' at the end of a table declaration.",
    ),
    # --- what no setting is called
    "an unknown table": ("[sever]\nport = 1\n", "1: there is no table [sever]. Did you mean 'server'?"),
    "an unknown setting": ("[server]\nprot = 1\n", "2: [server] has no setting 'prot'. Did you mean 'port'?"),
    "an unknown setting like none": ("[server]\nxyz = 1\n", "2: [server] has no setting 'xyz'. There are: "),
    "a hyphen for an underscore": (
        HOUSE + "on-abandon = 'drain'\n",
        "4: [provider.house] has no setting 'on-abandon'. Did you mean 'on_abandon'?",
    ),
    "an unknown setting of a model": (
        HOUSE + '[model."house/x"]\ninput_usd_per_token = 1\n',
        "5: [model.\"house/x\"] has no setting 'input_usd_per_token'. Did you mean 'input_usd_per_mtok'?",
    ),
    "an unknown setting of a route": (
        HOUSE + "[route.a]\ntarget = ['house/x']\n",
        "5: [route.a] has no setting 'target'. Did you mean 'targets'?",
    ),
    "an unknown setting of a target": (
        HOUSE + "[route.a]\nstrategy = 'weighted'\ntargets = [\n  {target = 'house/x', wieght = 2},\n]\n",
        "7: [route.a] targets has no setting 'wieght'. Did you mean 'weight'?",
    ),
    "a setting outside any table": (
        "port = 1\n",
        "1: the setting 'port' stands outside any table. It belongs under [server].",
    ),
    "a table that is a value": ("server = 1\n", "1: [server] must be a table, not a number."),
    "tables that are a value": ("route = 'x'\n", "1: route must be tables, each [route.NAME], not text."),
    "a provider that is a value": (
        "[provider]\nopenai = 'x'\n",
        "2: [provider.openai] must be a table, not text.",
    ),
    # --- values
    "a durability that is none": (
        "[server]\ndurable = 'disk'\n",
        "2: [server] durable must be 'process' or 'power', not 'disk'.",
    ),
    "a port as text": (
        "[server]\nport = '80'\n",
        "2: [server] port must be a whole number from 0 to 65535, not text.",
    ),
    "a port out of range": (
        "[server]\nport = 70000\n",
        "2: [server] port must be a whole number from 0 to 65535, not 70000.",
    ),
    "a port with a fraction": (
        "[server]\nport = 80.5\n",
        "2: [server] port must be a whole number from 0 to 65535, not 80.5.",
    ),
    "no worker": (
        "[server]\nworkers = 0\n",
        "2: [server] workers must be a whole number from 1 to 256, not 0.",
    ),
    "true for a number": (
        "[server]\nworkers = true\n",
        "2: [server] workers must be a whole number from 1 to 256, not true or false.",
    ),
    "a number for text": ("[server]\nhost = 1\n", "2: [server] host must be text in quotes, not a number."),
    "empty text": ("[server]\nhost = ''\n", "2: [server] host is empty."),
    "a misspelt choice": (
        "[server]\nauth = 'opne'\n",
        "2: [server] auth must be 'keys' or 'open', not 'opne'. Did you mean 'open'?",
    ),
    "a header's name that is none": (
        "[server]\nattempt_header = 'x y'\n",
        "2: [server] attempt_header is no header name: letters, digits and hyphens.",
    ),
    "a deadline of nothing": (
        "[server]\ntotal_ms = 0\n",
        "2: [server] total_ms must be a whole number from 1 to 86400000, not 0.",
    ),
    "open to the world": (
        "[server]\nauth = 'open'\nhost = '0.0.0.0'\n",
        "2: [server] auth = 'open' answers anybody, so host must be a loopback address such as 127.0.0.1, "
        "not '0.0.0.0'. Use auth = 'keys' to serve others.",
    ),
    # --- providers
    "an unknown provider": (
        "[provider.house]\nkey = 'env:HOUSE_KEY'\n",
        "1: [provider.house] is no known provider, so it needs dialect and base_url.",
    ),
    "a misspelt provider": (
        "[provider.opnai]\n",
        "1: [provider.opnai] is no known provider, so it needs dialect and base_url. Did you mean 'openai'?",
    ),
    "no base_url": (
        "[provider.house]\ndialect = 'openai.chat'\n",
        "1: [provider.house] is no known provider, so it needs base_url.",
    ),
    "another dialect at the old address": (
        "[provider.openai]\ndialect = 'anthropic.messages'\n",
        "1: [provider.openai] speaks another dialect than its row, so it needs base_url.",
    ),
    "a misspelt dialect": (
        "[provider.house]\ndialect = 'openai.chta'\nbase_url = 'http://x/v1'\n",
        "2: [provider.house] dialect 'openai.chta' is none. Did you mean 'openai.chat'?",
    ),
    "an odd name": (
        "[provider.'a/b']\n",
        "1: [provider.\"a/b\"] is no name for a provider: letters, digits, '_', '-' and '.'.",
    ),
    "an unknown signer": (
        HOUSE + "signer = 'beer'\n",
        "4: [provider.house] signer must be 'bearer', 'x-api-key', 'api-key', 'x-goog-api-key', 'sigv4', 'sigv4-token', 'google', 'entra' or 'none', not 'beer'. "
        "Did you mean 'bearer'?",
    ),
    "an unknown quirk": (
        HOUSE + "quirks = ['no_such_quirk_at_all_zzz']\n",
        "4: [provider.house] quirks: openai.chat has no quirk 'no_such_quirk_at_all_zzz'. There are: ",
    ),
    "another way to abandon": (
        HOUSE + "on_abandon = 'kill'\n",
        "4: [provider.house] on_abandon must be 'cancel' or 'drain', not 'kill'.",
    ),
    "a URL without a scheme": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'house:9100/v1'\n",
        "3: [provider.house] base_url must begin with http:// or https://.",
    ),
    "a URL of another scheme": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'ftp://house/v1'\n",
        "3: [provider.house] base_url must begin with http:// or https://.",
    ),
    "a URL with a password": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'http://me:hidden@house/v1'\n",
        "3: [provider.house] base_url holds a user name or password. Take it out and give the key as `key`.",
    ),
    "a URL with a key": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'http://house/v1?api_key=hidden'\n",
        "3: [provider.house] base_url seems to hold a secret in its query. Take it out and give the key as `key`.",
    ),
    "a URL with its path": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'http://house/v1/chat/completions'\n",
        "3: [provider.house] base_url ends in '/chat/completions', which fungible puts there itself; take it out.",
    ),
    "a URL with a doubled version": (
        "[provider.house]\ndialect = 'anthropic.messages'\nbase_url = 'http://house/v1'\n",
        "3: [provider.house] base_url ends in '/v1', which fungible puts there itself; take it out.",
    ),
    "a port that is none": (
        "[provider.house]\ndialect = 'openai.chat'\nbase_url = 'http://house:99999/v1'\n",
        "3: [provider.house] base_url is no URL: its host or port is malformed.",
    ),
    "a line break in a URL": (
        '[provider.house]\ndialect = "openai.chat"\nbase_url = "http://house/v1\\r\\nx: y"\n',
        "3: [provider.house] base_url has a character that a URL cannot hold; write it percent-encoded.",
    ),
    "files for a provider elsewhere": (
        HOUSE + "models = {a = 'a.gguf'}\n",
        "4: [provider.house] models must be a list of names; only the embedded engine takes files.",
    ),
    "a model twice": (
        HOUSE + "models = ['a', 'a']\n",
        "4: [provider.house] models has 'a' twice; keep one.",
    ),
    # --- secrets
    "a literal secret": (HOUSE + "key = 'sk-hidden'\n", f"4: [provider.house] key {LITERAL}"),
    "a literal secret of a known provider": (
        "[provider.openai]\nkey = 'hidden'\n",
        f"2: [provider.openai] key {LITERAL}",
    ),
    "a variable without env:": (
        HOUSE + "key = 'HOUSE_KEY'\n",
        "4: [provider.house] key must say where the secret is. Did you mean 'env:HOUSE_KEY'?",
    ),
    "a variable as in a shell": (
        HOUSE + "key = '${HOUSE_KEY}'\n",
        "4: [provider.house] key must say where the secret is. Did you mean 'env:HOUSE_KEY'?",
    ),
    "a variable that is not set": (
        HOUSE + "key = 'env:NOT_SET'\n",
        "4: [provider.house] key needs the environment variable NOT_SET, which is not set.",
    ),
    "a variable that is empty": (
        HOUSE + "key = 'env:EMPTY'\n",
        "4: [provider.house] key needs the environment variable EMPTY, which is empty.",
    ),
    "a variable that is none": (
        HOUSE + "key = 'env:sk-hidden'\n",
        "4: [provider.house] key names no environment variable. "
        "Write env:NAME, where NAME is letters, digits and '_'.",
    ),
    "a command that is none": (
        HOUSE + "key = 'exec:no-such-command-here'\n",
        "4: [provider.house] key has a command 'no-such-command-here' that cannot be run: No such file or directory.",
    ),
    "a command that fails": (
        HOUSE + f"key = 'exec:{sys.executable} -c \"print(1); exit(3)\"'\n",
        f"4: [provider.house] key has a command {sys.executable!r} that ended with status 3.",
    ),
    "a command that says nothing": (
        HOUSE + f"key = 'exec:{sys.executable} -c pass'\n",
        f"4: [provider.house] key gets no text from the command {sys.executable!r}, or more than 65536 bytes.",
    ),
    "a command with an open quote": (
        HOUSE + "key = 'exec:echo \"hidden'\n",
        "4: [provider.house] key has a command with an open quote.",
    ),
    "a secret of two lines": (
        HOUSE + "key = 'env:TWO_LINES'\n",
        "4: [provider.house] key leads to a text with a line break or another character that no header can hold.",
    ),
    "no key at all": (
        "[provider.mistral]\n",
        "1: [provider.mistral] has no key: set MISTRAL_API_KEY in the environment, or key = 'env:NAME'.",
    ),
    "no address": (
        "[provider.azure]\nkey = 'env:HOUSE_KEY'\n",
        "1: [provider.azure] needs AZURE_OPENAI_ENDPOINT in the environment, or base_url.",
    ),
    "a secret in a header": (
        HOUSE + "headers = {Authorization = 'Bearer hidden'}\n",
        f"4: [provider.house] headers: 'Authorization' {LITERAL}",
    ),
    "a secret in an innocent header": (
        HOUSE + "headers = {x-team = 'sk-hidden'}\n",
        f"4: [provider.house] headers: 'x-team' {LITERAL}",
    ),
    "a header of ours": (
        HOUSE + "headers = {Content-Length = '5'}\n",
        "4: [provider.house] headers: the header 'content-length' is set by fungible and cannot be replaced.",
    ),
    "a header with a space": (
        HOUSE + "headers = {'a b' = 'c'}\n",
        "4: [provider.house] headers: 'a b' is no header name.",
    ),
    "a header of two lines": (
        HOUSE + 'headers = {x-a = "b\\r\\nx-c: d"}\n',
        "4: [provider.house] headers: 'x-a' has a line break or another character that no header can hold.",
    ),
    # --- models
    "a price that is text": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 'a lot'\noutput_usd_per_mtok = 1\n",
        '5: [model."house/x"] input_usd_per_mtok must be a number of USD per million tokens, not text.',
    ),
    "a negative price": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = -0.5\n",
        '6: [model."house/x"] output_usd_per_mtok must be USD per million tokens, from 0 to 1000000 and no finer '
        "than 1e-9, not -0.5.",
    ),
    "a price that is no number": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = nan\noutput_usd_per_mtok = 1\n",
        '5: [model."house/x"] input_usd_per_mtok must be USD per million tokens, from 0 to 1000000 and no finer '
        "than 1e-9, not NaN.",
    ),
    "a price of a call that is none": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\nrequest_usd = true\n",
        '7: [model."house/x"] request_usd must be a number of USD a call, not true or false.',
    ),
    "a price too fine": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 1e-10\noutput_usd_per_mtok = 1\n",
        '5: [model."house/x"] input_usd_per_mtok must be USD per million tokens, from 0 to 1000000 and '
        "no finer than 1e-9, not 1E-10.",
    ),
    "half a price": (
        HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 1\n",
        '4: [model."house/x"] has a price, so it needs output_usd_per_mtok too; 0 is a price.',
    ),
    "a model of nobody": (
        HOUSE + "[model.'x']\ncontext_tokens = 1\n",
        '4: [model.x] must be named [model."provider/model"].',
    ),
    "a model of an unknown provider": (
        HOUSE + "[model.'hous/x']\ncontext_tokens = 1\n",
        "4: [model.\"hous/x\"]: there is no provider 'hous'. Did you mean 'house'?",
    ),
    "an ability that is none": (
        HOUSE + "[model.'house/x']\nabilities = ['tool']\n",
        "5: [model.\"house/x\"] abilities has 'tool'; there are tools, images, documents, audio, thinking, "
        "json_schema. Did you mean 'tools'?",
    ),
    # --- routes
    "no targets": (
        "[route.a]\nstrategy = 'failover'\n",
        "1: [route.a] needs targets, as in targets = ['provider/model'].",
    ),
    "a prompt where nothing may be lost": (
        HOUSE + "[route.a]\nlossless = true\ntargets = [{target = 'house/x', prompt = 'Be brief.'}]\n",
        "6: [route.a] targets: a prompt changes what was said, so it cannot be lossless too.",
    ),
    "an empty list of targets": (
        "[route.a]\ntargets = []\n",
        "2: [route.a] targets must be a list of targets, as in ['provider/model', ...].",
    ),
    "a target without a provider": (
        "[route.a]\ntargets = ['gpt-x']\n",
        "2: [route.a] targets: 'gpt-x' must be 'provider/model'.",
    ),
    "a target of an unknown provider": (
        "[route.a]\ntargets = [\n  'openai/x',\n  'opena/y',\n]\n",
        "4: [route.a] targets: 'opena/y': there is no provider 'opena'. Did you mean 'openai'?",
    ),
    "a target whose provider is not on": (
        "[route.a]\ntargets = ['anthropic/x']\n",
        "2: [route.a] targets: 'anthropic/x': its provider is not on. "
        "Set ANTHROPIC_API_KEY in the environment, or add [provider.anthropic] to fungible.toml.",
    ),
    "a target whose provider is off": (
        "[provider.openai]\nenabled = false\n[route.a]\ntargets = ['openai/x']\n",
        "4: [route.a] targets: 'openai/x': its provider is not on. "
        "[provider.openai] in fungible.toml says enabled = false.",
    ),
    "a target of a local server": (
        "[route.a]\ntargets = ['ollama/x']\n",
        "2: [route.a] targets: 'ollama/x': its provider is not on. Add [provider.ollama] to fungible.toml; "
        "without base_url it is looked for at http://127.0.0.1:11434.",
    ),
    "a target that the engine has not": (
        "[route.a]\ntargets = ['local/lama']\n",
        "2: [route.a] targets: 'local/lama': local has no model 'lama'. Did you mean 'llama'?",
    ),
    "a target twice": (
        "[route.a]\ntargets = ['openai/x', 'openai/x']\n",
        "2: [route.a] targets: 'openai/x' stands twice; keep one.",
    ),
    "a target that is a number": (
        "[route.a]\ntargets = [1]\n",
        "2: [route.a] targets must be texts or tables, not a number.",
    ),
    "a table without a target": (
        "[route.a]\nstrategy = 'weighted'\ntargets = [{weight = 1}]\n",
        "3: [route.a] targets: a table needs target = 'provider/model'.",
    ),
    "a weight of nothing": (
        "[route.a]\nstrategy = 'weighted'\ntargets = [{target = 'openai/x', weight = 0}]\n",
        "3: [route.a] targets weight must be a number above 0 and at most 1000000, not 0.",
    ),
    "a weight that is text": (
        "[route.a]\nstrategy = 'weighted'\ntargets = [{target = 'openai/x', weight = '1'}]\n",
        "3: [route.a] targets weight must be a number above 0, not text.",
    ),
    "a weight without its strategy": (
        "[route.a]\ntargets = [{target = 'openai/x', weight = 2}]\n",
        "2: [route.a] targets: a weight means something only with strategy = 'weighted'.",
    ),
    "a strategy of later": (
        "[route.a]\ntargets = ['openai/x']\nstrategy = 'learned'\n",
        "3: [route.a] strategy 'learned' is none of this version. There are: cheapest, failover, weighted.",
    ),
    "a misspelt strategy": (
        "[route.a]\ntargets = ['openai/x']\nstrategy = 'weigthed'\n",
        "3: [route.a] strategy 'weigthed' is none of this version. Did you mean 'weighted'?",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(text: str | bytes, environ: dict[str, str] | None = None) -> str:
    Path("fungible.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    environ = {**KEYS, "EMPTY": " ", "TWO_LINES": "one\ntwo", **(environ or {})}
    with pytest.raises(Fault) as caught:
        config.load(None, environ)
    assert caught.value.kind == "bad_request"
    assert caught.value.path == "fungible.toml"
    return caught.value.message


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file(case: str, folder: Path) -> None:
    text, wanted = CASES[case]
    said = complaint(text)
    if wanted.endswith("There are: "):  # what follows is the dialect's own list
        assert said.startswith(f"fungible.toml:{wanted}")
    else:
        assert said == f"fungible.toml:{wanted}"
    assert "hidden" not in said


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    said = complaint(
        "[server]\nport = -1\n[provider.openai]\nkey = 'x'\n[route.a]\ntargets = ['b']\nfoo = 1\n"
    )
    assert [line.split(" ")[0] for line in said.split("\n")] == [
        "fungible.toml:2:",
        "fungible.toml:4:",
        "fungible.toml:6:",
        "fungible.toml:7:",
    ]


def test_a_wrong_provider_is_one_mistake_and_not_one_for_each_route(folder: Path) -> None:
    said = complaint(
        "[provider.house]\ndialect = 'x.y'\n[route.a]\ntargets = ['house/x']\n[model.'house/x']\n"
    )
    assert said.count("\n") == 0


def test_a_model_file_that_is_not_there(folder: Path) -> None:
    pytest.importorskip("xllamacpp")
    said = complaint("[provider.local]\nmodels = {mine = 'mine.gguf'}\n")
    path = folder / "mine.gguf"
    assert (
        said
        == f"fungible.toml:2: [provider.local] models: 'mine': {path} cannot be read: No such file or directory."
    )


def test_a_model_file_that_is_none(folder: Path) -> None:
    pytest.importorskip("xllamacpp")
    (folder / "mine.gguf").write_bytes(b"PK\x03\x04")
    said = complaint("[provider.local.models]\nmine = 'mine.gguf'\n")
    assert (
        said == f"fungible.toml:2: [provider.local] models: 'mine': {folder / 'mine.gguf'} is no GGUF file."
    )


def test_models_of_the_engine_as_a_list(folder: Path) -> None:
    pytest.importorskip("xllamacpp")
    said = complaint("[provider.local]\nmodels = ['a']\n")
    assert (
        said
        == "fungible.toml:2: [provider.local] models must be a table of files, as in { name = 'path.gguf' }."
    )


def test_the_engine_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.config.providers.ENGINE_PACKAGE", "no_such_package")
    said = complaint("[provider.local]\n")
    assert said == (
        "fungible.toml:1: [provider.local] needs the embedded engine: pip install 'fungible[local]'."
    )


def test_a_secret_file_that_is_not_there(folder: Path) -> None:
    said = complaint(HOUSE + "key = 'file:secret.txt'\n")
    path = folder / "secret.txt"
    assert said == (
        f"fungible.toml:4: [provider.house] key needs the file {path}, "
        "which cannot be read: No such file or directory."
    )


def test_a_command_that_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.config.references.COMMAND_S", 0.05)
    said = complaint(HOUSE + "key = 'exec:sleep 5'\n")
    assert said == "fungible.toml:4: [provider.house] key has a command 'sleep' that took longer than 0.05 s."


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(Fault) as caught:
        config.load("else.toml", {})
    assert caught.value.message == "else.toml: cannot be read: No such file or directory."


def test_a_file_that_is_no_text(folder: Path) -> None:
    assert (
        complaint(b"[server]\nhost = '\xff'\n")
        == "fungible.toml:2: is not UTF-8 text. Save the file as UTF-8."
    )


def test_a_file_that_is_too_long(folder: Path) -> None:
    assert complaint(b"#" * (1024 * 1024 + 1)) == "fungible.toml: is longer than 1048576 bytes."


def test_a_file_that_is_nested_too_deeply(folder: Path) -> None:
    said = complaint("a = " + "[" * 5000 + "]" * 5000)
    assert said.startswith("fungible.toml:1: ")


def test_a_number_that_cannot_be(folder: Path) -> None:
    said = complaint(HOUSE + "[model.'house/x']\ninput_usd_per_mtok = 1e99999\noutput_usd_per_mtok = 1\n")
    assert said.startswith(
        'fungible.toml:5: [model."house/x"] input_usd_per_mtok must be USD per million tokens'
    )


def test_wrong_settings_of_the_command_line(folder: Path) -> None:
    with pytest.raises(Fault) as caught:
        config.load(None, {}, {"admin_port": 99999, "workers": 0})
    assert caught.value.message == (
        "--admin-port must be a whole number from 0 to 65535, not 99999.\n"
        "--workers must be a whole number from 1 to 256, not 0."
    )


def test_the_command_line_cannot_open_to_the_world(folder: Path) -> None:
    Path("fungible.toml").write_text("[server]\nauth = 'open'\n")
    config.load(None, {})
    with pytest.raises(Fault, match=r"fungible\.toml:2: .* not '192\.168\.0\.1'"):
        config.load(None, {}, {"host": "192.168.0.1"})


def test_no_complaint_quotes_any_value_of_the_environment(folder: Path) -> None:
    for text, _ in CASES.values():
        said = complaint(text, {"OPENAI_API_KEY": "value-of-one", "HOUSE_KEY": "value-of-two"})
        assert "value-of" not in said
