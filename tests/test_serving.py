"""A running server over its life: clients that leave, slow readers, workers, signals, keys, budgets, secrets.

Real processes and real sockets throughout; providers are scripted.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from fungible.observe import Snapshot
from tests.asking import Asker
from tests.faulty import CHAT, FLOOD, INPUT, MESSAGES, OUTPUT, TEXT, Faulty
from tests.serving import Running, free_port
from tests.upstream import Upstream

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
PRICE = "input_usd_per_mtok = 2.50\noutput_usd_per_mtok = 10.00\n"
COST = INPUT * 2_500 + OUTPUT * 10_000
MORE = "".join(
    f'[model."{p}/{m}"]\n{PRICE}'
    for p in ("alpha", "beta", "kind")
    for m in ("good", "later", "drip", "echo-400")
)
MORE += """
[route.hinted]
targets = ["alpha/good", "beta/good"]

[provider.kind]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"
on_abandon = "drain"
"""
CANARY = "the-canary-sings-at-dawn"  # a prompt's secret


class Stage:
    def __init__(self, folder: Path, alpha: Upstream, beta: Upstream, server: str = "") -> None:
        assert isinstance(alpha.respond, Faulty) and isinstance(beta.respond, Faulty)
        self.alpha, self.beta = alpha.respond, beta.respond
        self.running = Running(
            folder, alpha.base, beta.base, server=server, more=MORE.replace("{alpha}", alpha.base)
        )
        self.ask = Asker(self.running.url, self.running.key)

    def row(self, attempt: str) -> dict[str, Any]:
        (row,) = [row for row in self.running.rows() if row["attempt"] == attempt]
        return row


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream(Faulty(CHAT)) as one, Upstream(Faulty(MESSAGES)) as two:
        yield one, two


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, providers: tuple[Upstream, Upstream]) -> Iterator[Stage]:
    made = Stage(
        tmp_path_factory.mktemp("serving"),
        *providers,
        server="idle_ms = 900\ntotal_ms = 20000\ndrain_ms = 8000",
    )
    yield made
    made.running.close()


def eventually(true: Callable[[], Any], seconds: float = 3.0) -> Any:
    """What `true` gives once it is that. Fails when it is not in time."""
    last = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < last, "not in time"
        time.sleep(0.02)
    return found


def connect(
    running: Running, client: str, model: str, *, stream: bool, buffer: int | None = None
) -> socket.socket:
    """A call on a bare socket, for a client that behaves badly."""
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "stream": stream}
    )
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", running.port))
    head = f"POST {PATHS[client]} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {running.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    sock.sendall((head + body).encode())
    return sock


# --- clients that leave, and clients that dawdle -------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", list(PATHS))
@pytest.mark.parametrize("provider", ["alpha", "beta"])
def test_a_client_that_leaves_frees_the_provider(
    stage: Stage, provider: str, client: str, stream: bool
) -> None:
    faulty = stage.alpha if provider == "alpha" else stage.beta
    model = f"drip.{client}-{stream}"
    sock = connect(stage.running, client, f"{provider}/{model}", stream=stream)
    seen = eventually(lambda: faulty.last.get(model))
    if stream:
        assert b"Hello" in eventually(lambda: sock.recv(65536))
    sock.close()
    assert seen.closed.wait(5.0), "the provider still works for nobody"
    row = eventually(lambda: (r := stage.row(seen.headers["x-fungible-attempt"]))["state"] != "open" and r)
    assert row["state"] == ("estimated" if stream else "unknown") and row["fault"] == "client_gone"


@pytest.mark.parametrize("client", list(PATHS))
@pytest.mark.parametrize("stream", [False, True])
def test_an_abandoned_answer_is_drained_where_that_is_asked_for(
    stage: Stage, client: str, stream: bool
) -> None:
    model = f"later.{client}-{stream}"
    sock = connect(stage.running, client, f"kind/{model}", stream=stream)
    seen = eventually(lambda: stage.alpha.last.get(model))
    sock.close()
    row = eventually(lambda: (r := stage.row(seen.headers["x-fungible-attempt"]))["state"] != "open" and r)
    assert (row["state"], row["input_tokens"], row["output_tokens"]) == ("settled", INPUT, OUTPUT)
    first = row["first_ms"]  # of the content
    assert row["started_ms"] <= first <= row["ended_ms"] if stream else first is None
    assert not seen.closed.is_set()


def memory_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.parametrize("client", list(PATHS))
def test_a_slow_reader_is_waited_for_and_not_buffered(stage: Stage, client: str) -> None:
    """32 MB for a client that does not read: they stay with the provider, which is not blamed for silence."""
    model = f"flood.{client}"
    pid = stage.running.process.pid
    before = memory_kb(pid)
    sock = connect(stage.running, client, f"alpha/{model}", stream=True, buffer=65536)
    time.sleep(2.0)  # more than twice the idle limit
    assert memory_kb(pid) - before < 8_000
    got = 0
    tail = b""
    while data := sock.recv(1 << 20):
        got += len(data)
        tail = (tail + data)[-300:]
        if tail.endswith(b"0\r\n\r\n"):
            break
    sock.close()
    assert got > FLOOD * 16_000 and b"state: settled" in tail
    row = stage.row(stage.alpha.last[model].headers["x-fungible-attempt"])
    assert (row["state"], row["fault"]) == ("settled", None)


# --- headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", list(PATHS))
def test_every_answer_has_our_headers(stage: Stage, client: str) -> None:
    good = stage.ask(client, "alpha/good").headers
    bad = stage.ask(client, "alpha/400").headers
    refused = stage.ask(client, "nobody/nothing").headers
    for headers in (good, bad, refused):
        assert {"x-fungible-call", "x-fungible-attempts", "x-fungible-losses"} <= headers.keys()
    assert good["x-fungible-target"] == "alpha/good" and bad["x-fungible-target"] == "alpha/400"
    assert good["x-fungible-cost-usd"] == "0.0000975" and good["x-fungible-attempts"] == "1"


def test_a_providers_own_headers_go_back_to_its_own_clients(stage: Stage) -> None:
    assert stage.ask("openai", "alpha/good").headers["x-request-id"] == "req_1"
    assert stage.ask("anthropic", "beta/good").headers["request-id"] == "req_1"
    assert "request-id" not in stage.ask("anthropic", "alpha/good").headers


# --- keys, budgets, limits, tags -----------------------------------------------------------------------------


def test_a_revoked_key_is_refused_soon(stage: Stage) -> None:
    made = stage.running.program("keys", "create", "--name", "short")
    ask = Asker(stage.running.url, made["key"])
    assert eventually(lambda: ask("openai", "alpha/good").text == TEXT)
    stage.running.program("keys", "revoke", "short")
    eventually(lambda: isinstance(ask("anthropic", "alpha/good").error, anthropic.AuthenticationError))
    assert isinstance(ask("openai", "alpha/good").error, openai.AuthenticationError)


def test_a_budget_is_never_overspent(stage: Stage) -> None:
    made = stage.running.program("keys", "create", "--name", "poor", "--budget-usd", "0.002")
    ask = Asker(stage.running.url, made["key"])
    eventually(lambda: ask("openai", "nobody/none").status == 404)  # the key is known now
    outcomes = ask.all([(("openai", "anthropic")[n % 2], "alpha/good") for n in range(40)], threads=12)
    good = [o for o in outcomes if o.error is None]
    refused = [o for o in outcomes if o.error is not None]
    assert good and refused and all(o.status == 429 and "budget" in o.told for o in refused)
    assert all(isinstance(o.error, openai.RateLimitError | anthropic.RateLimitError) for o in refused)
    assert all(o.headers["x-should-retry"] == "false" for o in refused)
    rows = [row for row in stage.running.rows() if row["key"] == made["id"]]
    assert len(rows) == len(good) and sum(row["cost_nanousd"] for row in rows) <= 2_000_000
    # Holds that are settled come free: what is left is spent to the last call that is certain to fit.
    while ask("openai", "alpha/good").error is None:
        pass
    spent = sum(row["cost_nanousd"] for row in stage.running.rows() if row["key"] == made["id"])
    assert 1_400_000 < spent <= 2_000_000


def test_a_budget_refuses_a_model_without_a_price(stage: Stage) -> None:
    made = stage.running.program("keys", "create", "--name", "careful", "--budget-usd", "10")
    ask = Asker(stage.running.url, made["key"])
    outcome = eventually(lambda: (o := ask("openai", "alpha/unpriced")).status != 401 and o)
    assert outcome.status == 429 and "input_usd_per_mtok" in outcome.told
    assert stage.alpha.asked["unpriced"] == 0


def test_requests_and_tokens_a_minute(stage: Stage) -> None:
    few = stage.running.program("keys", "create", "--name", "few", "--rpm", "3")
    short = stage.running.program("keys", "create", "--name", "short-of-tokens", "--tpm", "20")
    ask = Asker(stage.running.url, few["key"])
    eventually(lambda: not _refused(ask) and not _refused(Asker(stage.running.url, short["key"])))
    outcomes = [ask("anthropic", "beta/good") for _ in range(4)]
    assert [o.error is None for o in outcomes] == [True, True, True, False]
    assert (
        isinstance(outcomes[3].error, anthropic.RateLimitError)
        and 1 <= int(outcomes[3].headers["retry-after"]) <= 20
    )
    ask = Asker(stage.running.url, short["key"])
    outcomes = [ask("openai", "alpha/good") for _ in range(3)]  # 18 tokens each
    assert [o.error is None for o in outcomes] == [True, True, False]
    assert isinstance(outcomes[2].error, openai.RateLimitError) and "tokens" in outcomes[2].told


def _refused(ask: Asker) -> bool:
    try:
        ask.openai.models.list()
    except openai.AuthenticationError:
        return True
    return False


@pytest.mark.parametrize("client", list(PATHS))
def test_a_route_hint(stage: Stage, client: str) -> None:
    for hint, target in (("beta", "beta/good"), ("alpha/good", "alpha/good"), ("beta/good", "beta/good")):
        outcome = stage.ask(client, "hinted", extra_headers={"x-fungible-route-hint": hint})
        assert outcome.headers["x-fungible-target"] == target and outcome.text == TEXT
    outcome = stage.ask(client, "hinted", extra_headers={"x-fungible-route-hint": "gamma"})
    assert outcome.status == 400 and "alpha/good, beta/good" in outcome.told
    assert outcome.headers["x-fungible-attempts"] == "0"


def test_spending_by_tag(stage: Stage) -> None:
    for tags in ("app=shop,team=blue", "app=shop", "team=red"):
        assert stage.ask("openai", "alpha/good", extra_headers={"x-fungible-tags": tags}).error is None
    said = stage.running.program("spend", "--by", "tag")
    spent = {row["tag"]: row for row in said["spend"]}
    assert {name: spent[name]["attempts"] for name in ("app=shop", "team=blue", "team=red")} == {
        "app=shop": 2,
        "team=blue": 1,
        "team=red": 1,
    }
    assert spent["app=shop"]["cost_nanousd"] == 2 * COST


# --- configuration -------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_taken_up_and_a_broken_one_is_not(stage: Stage) -> None:
    running = stage.running
    text = running.config.read_text()
    ask = stage.ask
    assert ask("openai", "fresh").status == 404
    running.config.write_text(text + '\n[route.fresh]\ntargets = ["beta/good"]\n')
    eventually(lambda: ask("openai", "fresh").text == TEXT, 5)
    running.config.write_text(text + '\n[route.fresh]\ntargest = ["beta/good"]\n')
    eventually(lambda: "targest" in running.said(), 5)
    assert f"fungible.toml:{text.count(chr(10)) + 3}" in running.said() and "stays in force" in running.said()
    assert ask("anthropic", "fresh").text == TEXT, "the old one is still in force"
    running.config.write_text(text)
    eventually(lambda: ask("openai", "fresh").status == 404, 5)


def test_sighup_reads_the_configuration(stage: Stage) -> None:
    running = stage.running
    text, stat = running.config.read_text(), running.config.stat()
    running.config.write_text(text + '\n[route.hung]\ntargets = ["beta/good"]\n')
    os.utime(running.config, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # nothing to be noticed by itself
    time.sleep(1.3)
    assert stage.ask("openai", "hung").status == 404
    running.process.send_signal(signal.SIGHUP)
    eventually(lambda: stage.ask("openai", "hung").text == TEXT, 5)
    running.config.write_text(text)


# --- secrets -------------------------------------------------------------------------------------------------


def test_secrets_and_prompts_are_kept_nowhere(stage: Stage) -> None:
    running = stage.running
    models = (
        "good",
        "400",
        "500",
        "reset",
        "echo-400",
        "echo-401",
        "html",
        "malformed",
        "then-reset",
        "then-error",
        "no-such-fault",
    )
    asked: list[tuple[Any, ...]] = []
    for client in PATHS:
        for provider in ("alpha", "beta"):
            asked += [
                (client, f"{provider}/{m}.canary-{client}", stream, CANARY)
                for m in models[:-1]
                for stream in (False, True)
            ]
        asked += [(client, CANARY, False, CANARY)]  # as a model's name it is told back, and kept nowhere
    outcomes = stage.ask.all(asked)
    for outcome in outcomes:
        assert "provider-secret" not in outcome.told + repr(outcome.headers)
    strict = {"x-fungible-strict": "1"}
    stage.ask("openai", "beta/good", False, CANARY, extra_headers=strict, extra_body={"logit_bias": {"1": 2}})
    wrong: Any = [{"role": CANARY, "content": 7}]
    with suppress(openai.BadRequestError):
        stage.ask.openai.chat.completions.create(model="beta/good", messages=wrong)
    Asker(running.url, f"fk-{CANARY}")("openai", "alpha/good")
    for name, value in (("x-fungible-tags", f"nothing {CANARY}"), ("x-fungible-route-hint", CANARY)):
        stage.ask("openai", "alpha/good", extra_headers={name: value})
    running.program("calls")
    said = running.said().encode()
    kept = [path for path in (running.folder / "state").rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in kept)
    for data, where in [(said, "the log"), *((path.read_bytes(), str(path)) for path in kept)]:
        for secret in (b"provider-secret", running.key.encode(), running.key[-20:].encode(), CANARY.encode()):
            assert secret not in data, f"{secret!r} is in {where}"


# --- the process ---------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path, providers: tuple[Upstream, Upstream]) -> Iterator[Callable[[str], Stage]]:
    made: list[Stage] = []

    def start(server: str) -> Stage:
        made.append(Stage(tmp_path, *providers, server=server))
        return made[-1]

    yield start
    for stage in made:
        stage.running.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_a_running_stream_end(alone: Callable[[str], Stage], workers: int) -> None:
    stage = alone(f"workers = {workers}")
    told: list[Any] = []
    asking = threading.Thread(
        target=lambda: told.append(stage.ask("openai", f"alpha/later.term{workers}", True))
    )
    asking.start()
    eventually(lambda: stage.alpha.asked[f"later.term{workers}"])
    stage.running.process.terminate()
    asking.join(10)
    assert told[0].error is None and told[0].text == TEXT and told[0].stops == ["stop"]
    assert stage.running.process.wait(5) == 0
    (row,) = stage.running.rows()
    assert row["state"] == "settled"
    assert list((stage.running.folder / "state" / "journal").glob("*.jsonl")) == [], "the journal is folded"


def test_sigterm_cuts_what_takes_longer_than_the_drain(alone: Callable[[str], Stage]) -> None:
    stage = alone("drain_ms = 300")
    sock = connect(stage.running, "openai", "alpha/drip.cut", stream=True)
    assert b"Hello" in eventually(lambda: sock.recv(65536))
    stage.running.process.terminate()
    assert stage.running.process.wait(8) == 0  # the provider would send nothing more for ten seconds
    sock.close()
    (row,) = stage.running.rows()
    assert row["state"] in ("estimated", "unknown")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_workers(alone: Callable[[str], Stage]) -> None:
    stage = alone("workers = 2")
    running = stage.running

    def call() -> int:
        """On a connection of its own, so that either worker may get it."""
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        body = json.dumps({"model": "alpha/good", "messages": [{"role": "user", "content": "Hi"}]})
        try:
            connection.request("POST", PATHS["openai"], body, {"authorization": f"Bearer {running.key}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def counted() -> list[int]:
        paths = [running.folder / "state" / "metrics" / name for name in ("0", "1")]
        return [msgspec.msgpack.decode(p.read_bytes(), type=Snapshot).calls for p in paths if p.exists()]

    assert [call() for _ in range(30)] == [200] * 30
    eventually(lambda: sum(counted()) == 30)
    assert all(count > 0 for count in counted()) and len(counted()) == 2, "both serve"
    metrics = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    metrics.request("GET", "/metrics")
    text = metrics.getresponse().read().decode()
    assert "fungible_calls_total 30" in text
    assert 'fungible_attempts_total{provider="alpha",model="good",state="settled",fault=""} 30' in text
    workers = children(running.process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    fresh = eventually(
        lambda: len(now := children(running.process.pid)) == 2 and workers[0] not in now and now, 8
    )
    assert set(fresh) != set(workers) and "another takes its place" in running.said()
    eventually(lambda: [call() for _ in range(10)] == [200] * 10, 8)
    running.process.terminate()
    assert running.process.wait(10) == 0
    rows = running.rows()
    assert len({row["attempt"] for row in rows}) == len(rows) >= 40
    assert {row["state"] for row in rows} == {"settled"}


def test_without_uvloop_it_runs_on_asyncio_s_own_loop(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvloop'] = None; from fungible.http.loop import loop_name\n"
    code += "from fungible.cli import main; print(loop_name(), file=sys.stderr); main()"
    port = free_port()
    command = [sys.executable, "-c", code, "serve", "--port", str(port), "--admin-port", "0"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, cwd=tmp_path) as process:
        try:
            said = eventually(lambda: health(port), 20)
            assert json.loads(said) == {"status": "ok"}
            assert (tmp_path / "log").read_text().startswith("asyncio\n")
        finally:
            process.terminate()
    assert process.returncode == 0


def health(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_workers_do_not_outlive_their_parent(alone: Callable[[str], Stage]) -> None:
    stage = alone("workers = 2")
    workers = children(stage.running.process.pid)
    stage.running.kill()

    def gone(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/status").read_text().split("State:")[1].split()[0] == "Z"
        except OSError:
            return True

    eventually(lambda: all(gone(pid) for pid in workers), 5)
