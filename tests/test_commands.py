"""The commands: help for each, `--json` where one reports, one document on standard output and no more."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fungible
from fungible.cli import COMMANDS, main
from fungible.money import NANO
from tests.faulty import CHAT, INPUT, MESSAGES, OUTPUT, TEXT, Faulty
from tests.recordings import ROOT
from tests.upstream import Upstream

COST = INPUT * 2_500 + OUTPUT * 10_000
CONFIG = """
[server]
state = "state"

[provider.alpha]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"
models = ["good"]

[provider.beta]
dialect = "anthropic.messages"
base_url = "{beta}"
key = "env:TEST_KEY"

[model."alpha/good"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
context_tokens = 128000

[route.both]
targets = ["alpha/529.command", "beta/good"]
"""
EMBEDDED = Path(fungible.__file__).parent / "data" / "llama.gguf"
ROLLOUT = ("start", "status", "promote", "rollback", "history", "score")
REPORTING = (
    "models",
    "keys create",
    "keys list",
    "keys revoke",
    "spend",
    "losses",
    "risk",
    "drill",
    "translate",
    "calls",
    "doctor",
    "chat",
    "switch judge",
    *(f"switch {name}" for name in ROLLOUT),
)


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Exactly one document."""
        value, end = json.JSONDecoder().raw_decode(self.out)
        assert self.out[end:] == "\n", self.out[end:]
        return value


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream(Faulty(CHAT)) as one, Upstream(Faulty(MESSAGES)) as two:
        yield one, two


@pytest.fixture
def run(
    tmp_path: Path,
    providers: tuple[Upstream, Upstream],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """A command in this process, in a folder of its own with a configuration and a few calls behind it."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fungible.toml").write_text(CONFIG.format(alpha=providers[0].base, beta=providers[1].base))

    def command(*words: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["fungible", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, told.out, told.err)

    return command


@pytest.fixture
def called(run: Run) -> Run:
    """Three calls: one good, one that failed over, one that was refused."""
    with fungible.Client() as client:
        client.chat("alpha/good", "Hello")
        client.chat("both", "Hello")
        with pytest.raises(fungible.Fault):
            client.chat("alpha/400", "Hello")
    return run


# --- all of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        "keys create",
        "keys list",
        "keys revoke",
        "switch judge",
        *(f"switch {name}" for name in ROLLOUT),
    ],
)
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert (
        done.status == 0
        and done.out.startswith("Usage: ")
        and len(done.out.splitlines()) > 4
        and not done.err
    )
    assert ("--json" in done.out) == (command in REPORTING)


def test_the_program_lists_its_commands(run: Run) -> None:
    done = run("--help")
    assert done.status == 0 and all(f"  {name}" in done.out for name in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [["models"], ["keys", "list"], ["spend"], ["calls"], ["calls", "--attempts"], ["doctor", "--offline"]],
)
def test_what_people_read_and_what_programs_read(called: Run, words: list[str]) -> None:
    shown, told = called(*words), called(*words, "--json")
    assert shown.status == told.status == 0, shown.err + told.err
    assert shown.out and isinstance(told.json, dict)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(shown.out)


def test_what_a_caller_wrote_in_brackets_is_shown_as_it_is(run: Run) -> None:
    run("keys", "create", "--name", "[/b] key", "--team", "[/t]")
    body = {"model": "alpha/good.[/m]", "messages": [{"role": "user", "content": "Hello"}]}
    with fungible.Client() as client:
        headers = {"x-fungible-tags": "team=[/x]"}
        told = client.http().post("http://fungible/v1/chat/completions", json=body, headers=headers)
        assert told.status_code == 200
    for words, held in {
        "keys list": ("[/b] key", "[/t]"),
        "calls": ("alpha/good.[/m]",),
        f"calls {told.headers['x-fungible-call']}": ("alpha/good.[/m]",),
        "calls --attempts": ("alpha/good.[/m]",),
        "spend --by tag": ("team=[/x]",),
        "spend --by model": ("good.[/m]",),
        "risk": ("alpha/good.[/m]",),
    }.items():
        done = run(*words.split())
        assert done.status == 0 and all(text in done.out for text in held), (words, done.out)


def test_a_wrong_configuration_is_no_absence_of_switches(run: Run) -> None:
    assert "No route is" in run("switch", "status").out
    done = run("switch", "status", "--config", "absent.toml")
    assert done.status == 1 and "absent.toml" in done.err and not done.out


def test_it_is_the_same_program_by_either_name(tmp_path: Path) -> None:
    words = [[sys.executable, "-m", "fungible"], [str(Path(sys.executable).with_name("fungible"))]]
    said = [
        subprocess.run([*w, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        for w in words
    ]
    assert said[0] == said[1] and fungible.__version__ in said[0]


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    command = f"{sys.executable} -m fungible models --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "{" and "Traceback" not in done.stderr


# --- keys ----------------------------------------------------------------------------------------------------


def test_keys(run: Run) -> None:
    made = run(
        "keys",
        "create",
        "--name",
        "app",
        "--budget-usd",
        "2.5",
        "--window",
        "week",
        "--rpm",
        "9",
        "--tpm",
        "900",
        "--models",
        "both,alpha/*",
        "--team",
        "blue",
        "--json",
    ).json
    assert made["key"].startswith("fk-") and made["key"].split("-")[1] == made["id"]
    row = {k: v for k, v in made.items() if k != "key"}
    assert row | {"created_ms": 0} == {
        "id": made["id"],
        "name": "app",
        "team": "blue",
        "models": ["both", "alpha/*"],
        "rpm": 9,
        "tpm": 900,
        "budget_usd": "2.5",
        "window": "week",
        "created_ms": 0,
        "revoked_ms": None,
    }
    listed = run("keys", "list", "--json")
    assert listed.json == {"keys": [row]} and made["key"] not in listed.out
    assert run("keys", "create", "--name", "app").status == 1
    shown = run("keys", "create", "--name", "second")
    assert shown.out.strip().startswith("fk-") and "not shown again" in shown.err
    revoked = run("keys", "revoke", "app", "--json").json
    assert revoked["id"] == made["id"] and revoked["revoked_ms"] is not None
    again = run("keys", "revoke", "app")
    assert again.status == 1 and "keys list" in again.err
    for wrong in (["--budget-usd", "much"], ["--rpm", "0"], ["--window", "year"]):
        assert run("keys", "create", "--name", "wrong", *wrong).status in (1, 2)


# --- the account ---------------------------------------------------------------------------------------------

FIELDS = {
    "attempt", "call", "provider", "model", "key", "route", "state", "started_ms", "ended_ms", "input_tokens", "output_tokens", "cost_nanousd", "price_id", "provider_request_id",
}  # fmt: skip


def test_calls(called: Run) -> None:
    calls = called("calls", "--json").json["calls"]
    assert [call["state"] for call in calls] == ["void", "settled", "settled"]
    failed_over = calls[1]
    assert [a["state"] for a in failed_over["attempts"]] == ["void", "settled"] and failed_over[
        "route"
    ] == "both"
    one = called("calls", failed_over["call"], "--json").json
    assert one == failed_over
    assert failed_over["call"] in called("calls", failed_over["call"]).out
    lines = [json.loads(line) for line in called("calls", "--attempts", "--json-lines").out.splitlines()]
    assert len(lines) == 4 and all(line.keys() >= FIELDS for line in lines)
    assert lines[0]["cost_nanousd"] == COST and lines[0]["provider_request_id"] == "req_1"
    assert called("calls", "--limit", "1", "--json").json["calls"] == calls[:1]
    unknown = called("calls", "no-such-call")
    assert unknown.status == 1 and "fungible calls" in unknown.err and not unknown.out


def test_spend(called: Run) -> None:
    for by in ("key", "team", "provider", "model", "route", "tag", "day"):
        said = called("spend", "--by", by, "--json").json
        assert said["by"] == by and sum(row["attempts"] for row in said["spend"]) == 4
        assert said["total_nanousd"] == COST and said["total_usd"] == f"{COST / NANO:.7f}".rstrip("0")
    rows = {row["provider"]: row for row in called("spend", "--json").json["spend"]}
    assert rows["alpha"]["cost_nanousd"] == COST and rows["alpha"]["void"] == 2
    assert rows["beta"]["cost_nanousd"] == 0 and rows["beta"]["cost_unknown"] == 1, (
        "unknown is counted, never 0"
    )
    assert called("spend", "--since", "1h", "--json").json["total_nanousd"] == COST
    assert called("spend", "--since", "2999-01-01", "--json").json["spend"] == []
    assert called("spend", "--since", "yesterday").status == 1
    assert called("spend", "--by", "mood").status == 2


def test_nothing_was_called_yet(run: Run) -> None:
    assert run("calls").out == run("spend").out == "Nothing was called yet.\n"
    assert run("calls", "--json").json == {"calls": []}


# --- models, doctor ------------------------------------------------------------------------------------------


def test_models(run: Run) -> None:
    said = run("models", "--json").json
    rows = {row["id"]: row for row in said["models"]}
    assert rows["both"] == {
        "id": "both",
        "kind": "route",
        "strategy": "failover",
        "targets": ["alpha/529.command", "beta/good"],
    }
    good = rows["alpha/good"]
    assert (
        good["price"]["input_usd_per_mtok"] == 2.5
        and good["price"]["source"]
        and good["context_tokens"] == 128_000
    )
    assert "openai" in said["providers_off"] and "OPENAI_API_KEY" in said["providers_off"]["openai"]
    assert [row["id"] for row in run("models", "alpha", "--json").json["models"]] == ["alpha/good"]


def test_prices_come_with_their_date_and_source(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    rows = [row for row in run("models", "openai/", "--json").json["models"] if row["price"]]
    assert len(rows) > 10 and all("genai-prices" in row["price"]["source"] for row in rows)


def test_doctor(run: Run, tmp_path: Path) -> None:
    done = run("doctor", "--json")
    found = {f["about"]: f for f in done.json["findings"]}
    assert done.status == 0 and found["provider alpha"]["verdict"] == found["ledger"]["verdict"] == "ok"
    assert found["keys"]["verdict"] == "look" and "keys create" in found["keys"]["text"]
    config = (tmp_path / "fungible.toml").read_text()
    (tmp_path / "fungible.toml").write_text(
        config
        + '\n[provider.gone]\ndialect = "openai.chat"\nbase_url = "http://127.0.0.1:1/v1"\nkey = "env:TEST_KEY"\n'
    )
    gone = run("doctor")
    assert gone.status == 1 and "provider gone" in gone.out and "wrong" in gone.out
    (tmp_path / "fungible.toml").write_text(config + "\n[server]\n")
    broken = run("doctor", "--json")
    assert broken.status == 1 and broken.json["findings"][0]["verdict"] == "wrong"


# --- translate -----------------------------------------------------------------------------------------------

ASK = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def test_translate(run: Run) -> None:
    there = run(
        "translate",
        "--from",
        "openai.chat",
        "--to",
        "anthropic.messages",
        "--model",
        "n",
        stdin=json.dumps(ASK | {"logit_bias": {"1": 2}}),
    ).json
    assert there["body"]["model"] == "n" and there["body"]["max_tokens"] == 5
    (loss,) = there["losses"]
    assert loss["path"] == "logit_bias" and loss["kind"] == "dropped" and loss["why"]
    reply = run(
        "translate",
        "--from",
        "anthropic.messages",
        "--to",
        "openai.chat",
        "--kind",
        "response",
        stdin=json.dumps(MESSAGES.reply),
    ).json
    assert reply["body"]["choices"][0]["message"]["content"] == TEXT
    wire = b"".join([*MESSAGES.open, *MESSAGES.content, *MESSAGES.end]).decode()
    stream = run(
        "translate", "--from", "anthropic.messages", "--to", "openai.chat", "--kind", "stream", stdin=wire
    ).json
    assert stream["body"].endswith("data: [DONE]\n\n") and '"content":"Hello "' in stream["body"]
    error = {"status": 429, "body": MESSAGES.error("rate_limit_error", "Slow down")}
    told = run(
        "translate",
        "--from",
        "anthropic.messages",
        "--to",
        "openai.chat",
        "--kind",
        "error",
        stdin=json.dumps(error),
    ).json
    assert told["body"]["status"] == 429 and told["body"]["body"]["error"]["message"] == "Slow down"


def test_translate_refuses_in_words(run: Run) -> None:
    pair = ["translate", "--from", "openai.chat", "--to", "anthropic.messages"]
    strict = run(*pair, "--strict", stdin=json.dumps(ASK | {"logit_bias": {"1": 2}}))
    assert strict.status == 1 and "logit_bias" in strict.err and not strict.out
    assert run(*pair, stdin="{").status == 1
    assert run(*pair, stdin='{"model": 7}').status == 1
    assert run("translate", stdin="{}").status == 2
    assert run("translate", "--from", "latin", "--to", "openai.chat").status == 2


def test_translate_thousands_of_lines(run: Run) -> None:
    """What cannot be read is answered on its line, and the next goes on."""
    record = {"from": "openai.chat", "to": "anthropic.messages", "kind": "request", "body": ASK}
    lines = [json.dumps(record | {"body": ASK | {"max_tokens": n + 1}}) for n in range(4_000)]
    bad = {
        100: "{",
        200: "[]",
        300: '{"from": "openai.chat"}',
        400: json.dumps(record | {"to": "latin"}),
        500: json.dumps(record | {"body": {"messages": 7}}),
        600: "nonsense",
        700: json.dumps(record | {"kind": "song"}),
    }
    for number, line in bad.items():
        lines[number] = line
    done = run("translate", "--lines", stdin="\n".join(lines) + "\n")
    assert done.status == 0 and not done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert len(answers) == len(lines)
    for number, answer in enumerate(answers):
        if number in bad:
            assert answer.keys() == {"error"} and answer["error"]["message"], (number, answer)
        else:
            assert answer["body"]["max_tokens"] == number + 1 and isinstance(answer["losses"], list)


# --- chat ----------------------------------------------------------------------------------------------------


def test_chat(run: Run) -> None:
    assert run("chat", "alpha/good", "Hello").out == f"{TEXT}\n"
    assert run("chat", "beta/good", stdin="Hello\n").out == f"{TEXT}\n"
    said = run("chat", "alpha/good", "Hello", "--json").json
    assert said["text"] == TEXT and said["target"] == "alpha/good" and said["cost_usd"] == "0.0000975"
    assert run("chat", "alpha/good", stdin=" ").status == 1
    for words in (["chat", "alpha/400", "Hello"], ["chat", "alpha/400", "Hello", "--json"]):
        refused = run(*words)
        assert refused.status == 1 and "made up 400" in refused.err and not refused.out
    near = run("chat", "bott", "Hello")
    assert near.status == 1 and "both" in near.err


@pytest.mark.skipif(
    not EMBEDDED.is_file() or find_spec("xllamacpp") is None,
    reason="the embedded model or its engine is not here",
)
def test_chat_with_the_embedded_model(tmp_path: Path) -> None:
    """In a process of its own, as a person without any key would."""
    env = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")} | {
        "PYTHONPATH": str(ROOT / "src")
    }
    command = [sys.executable, "-m", "fungible", "chat", "local/llama", "What is fungible?"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "fungible" in done.stdout.lower() and len(done.stdout.split()) > 4
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, check=True, cwd=tmp_path, env=env, timeout=60
    )
    said = json.loads(done.stdout)
    assert said["target"] == "local/llama" and float(said["cost_usd"]) == 0
