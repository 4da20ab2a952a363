"""fungible without a server: `Client`, `AsyncClient`, and the official SDKs through `client.http()`."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

import fungible
from fungible import config as configuration
from fungible.app import App
from fungible.store import Store
from tests.faulty import CHAT, INPUT, MESSAGES, OUTPUT, TEXT, Faulty
from tests.upstream import Upstream

CONFIG = """
[server]
state = "state"
idle_ms = 5000
attempt_header = "x-fungible-attempt"

[provider.alpha]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"

[provider.beta]
dialect = "anthropic.messages"
base_url = "{beta}"
key = "env:TEST_KEY"

[model."alpha/good"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[route.both]
targets = ["alpha/500.in-process", "beta/good"]
"""


class Stage:
    def __init__(self, folder: Path, alpha: Upstream, beta: Upstream) -> None:
        assert isinstance(alpha.respond, Faulty)
        self.alpha = alpha.respond
        self.folder = folder
        self.config = str(folder / "fungible.toml")
        Path(self.config).write_text(CONFIG.format(alpha=alpha.base, beta=beta.base))

    def rows(self) -> list[dict[str, Any]]:
        store = Store(self.folder / "state")
        try:
            return list(store.attempts())  # without folding: closing has done it
        finally:
            store.close()


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream(Faulty(CHAT)) as one, Upstream(Faulty(MESSAGES)) as two:
        yield one, two


@pytest.fixture
def stage(tmp_path: Path, providers: tuple[Upstream, Upstream], monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Stage(tmp_path, *providers)


def eventually(true: Callable[[], Any], seconds: float = 3.0) -> Any:
    last = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < last, "not in time"
        time.sleep(0.01)
    return found


def test_chat(stage: Stage) -> None:
    with fungible.Client(config=stage.config) as client:
        answer = client.chat("alpha/good", "Hello", system="Be brief", max_output_tokens=20)
        other = client.chat("both", "Hello")
    assert (answer.text, answer.target, answer.attempts, answer.losses) == (TEXT, "alpha/good", 1, "0")
    assert (
        answer.cost_usd == "0.0000975"
        and answer.reply.usage is not None
        and answer.reply.usage.input_tokens == INPUT
    )
    assert (other.text, other.target, other.attempts, other.cost_usd) == (TEXT, "beta/good", 2, None)
    sent = stage.alpha.last["good"].json
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    rows = {row["call"]: row for row in stage.rows()}
    assert (rows[answer.call]["state"], rows[answer.call]["output_tokens"]) == ("settled", OUTPUT)


def test_stream(stage: Stage) -> None:
    with fungible.Client(config=stage.config) as client:
        assert list(client.stream("alpha/good", "Hello")) == ["Hello ", "there"]
        assert list(client.stream("beta/good", "Hello")) == ["Hello ", "there"]


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("alpha/400", "bad_request"),
        ("alpha/once-absurd", "rate_limited"),
        ("nobody/at-all", "not_found"),
        ("alpha/403", "provider_authentication"),
        ("beta/413", "too_large"),
    ],
)
def test_errors_are_faults(stage: Stage, model: str, kind: str) -> None:
    with fungible.Client(config=stage.config) as client:
        with pytest.raises(fungible.Fault) as plain:
            client.chat(model, "Hello")
        with pytest.raises(fungible.Fault) as streamed:
            list(client.stream(f"{model}.streamed" if "/" in model else model, "Hello"))
    assert plain.value.kind == streamed.value.kind == kind


def test_an_error_in_the_midst_of_a_stream(stage: Stage) -> None:
    got: list[str] = []
    with (
        fungible.Client(config=stage.config) as client,
        pytest.raises(fungible.Fault, match=r"whole|Overloaded"),
    ):
        for piece in client.stream("alpha/then-reset", "Hello"):
            got.append(piece)  # noqa: PERF402 - what came before the error is looked at
    assert "".join(got) == TEXT


def test_leaving_a_stream_cancels_the_provider(stage: Stage) -> None:
    with fungible.Client(config=stage.config) as client:
        for piece in client.stream("alpha/drip.left", "Hello"):
            assert piece == "Hello "
            break
        assert stage.alpha.last["drip.left"].closed.wait(3.0)
        for number, library in enumerate((httpx2, httpx)):
            model = f"drip.http{number}"
            body = {
                "model": f"alpha/{model}",
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
            }
            with client.http(library).stream(
                "POST", "http://fungible/v1/chat/completions", json=body
            ) as reply:
                assert reply.status_code == 200  # and not a byte of the body is read
            assert stage.alpha.last[model].closed.wait(3.0)
    told = {row["model"]: (row["state"], row["fault"]) for row in stage.rows()}
    assert told == dict.fromkeys(("drip.left", "drip.http0", "drip.http1"), ("estimated", "client_gone"))


def test_an_async_task_that_is_cancelled_cancels_the_provider(stage: Stage) -> None:
    async def leave() -> None:
        async with fungible.AsyncClient(config=stage.config) as client:
            task = asyncio.create_task(client.chat("alpha/drip.cancelled", "Hello"))
            while "drip.cancelled" not in stage.alpha.last:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async for _ in client.stream("alpha/drip.async", "Hello"):
                break
            await asyncio.to_thread(stage.alpha.last["drip.cancelled"].closed.wait, 5.0)
            await asyncio.to_thread(stage.alpha.last["drip.async"].closed.wait, 5.0)

    asyncio.run(leave())
    assert (
        stage.alpha.last["drip.cancelled"].closed.is_set() and stage.alpha.last["drip.async"].closed.is_set()
    )
    states = {row["model"]: row["state"] for row in stage.rows()}
    assert states == {"drip.cancelled": "unknown", "drip.async": "estimated"}


def test_one_client_for_several_threads(stage: Stage) -> None:
    with fungible.Client(config=stage.config) as client, ThreadPoolExecutor(12) as pool:
        texts = list(
            pool.map(lambda n: client.chat(("alpha/good", "beta/good")[n % 2], "Hello").text, range(60))
        )
        streams = list(pool.map(lambda n: "".join(client.stream("beta/soon", "Hello")), range(24)))
    assert texts == [TEXT] * 60 and streams == [TEXT] * 24
    rows = stage.rows()
    assert len(rows) == 84 == len({row["attempt"] for row in rows}) and {row["state"] for row in rows} == {
        "settled"
    }


def test_many_streams_may_be_open_at_once_and_read_in_any_order(stage: Stage) -> None:
    with fungible.Client(config=stage.config) as client:
        streams = [client.stream("alpha/good", "Hello") for _ in range(40)]
        assert [next(s) for s in streams] == ["Hello "] * 40
        assert ["".join(s) for s in reversed(streams)] == ["there"] * 40


def test_an_async_client_on_one_loop_after_another(stage: Stage) -> None:
    client = fungible.AsyncClient(config=stage.config)

    async def ask() -> str:
        return (await client.chat("alpha/good", "Hello")).text

    assert [asyncio.run(ask()) for _ in range(3)] == [TEXT] * 3

    async def two_at_once() -> None:
        await ask()
        other: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(ask())
            except RuntimeError as error:
                other.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert other and "loop" in str(other[0])
        assert await ask() == TEXT
        await client.close()

    asyncio.run(two_at_once())
    assert len(stage.rows()) == 5 and {row["state"] for row in stage.rows()} == {"settled"}


@pytest.mark.parametrize("library", [httpx2, httpx], ids=lambda library: library.__name__)
def test_the_sdks_with_either_http_library(stage: Stage, library: Any) -> None:
    """SDKs check the type of the client they are given, so only the one they import fits them."""
    with fungible.Client(config=stage.config) as client:
        http = client.http(library)
        assert isinstance(http, library.Client)
        reply = http.post(
            "http://fungible/v1/messages",
            json={"model": "alpha/good", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]},
        )
        assert reply.status_code == 200 and reply.json()["content"][0]["text"] == TEXT
        assert reply.headers["x-fungible-target"] == "alpha/good"
        assert http.get("http://fungible/v1/models").json()["data"]
        assert http.get("http://fungible/nothing").status_code == 404
        if library is httpx2:
            one = openai.OpenAI(api_key="x", base_url="http://fungible/v1", http_client=http, max_retries=0)
            two = anthropic.Anthropic(
                api_key="x", base_url="http://fungible", http_client=http, max_retries=0
            )
            ask: Any = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
            assert one.chat.completions.create(model="beta/good", **ask).choices[0].message.content == TEXT
            with two.messages.stream(model="alpha/good", **ask) as events:
                assert "".join(events.text_stream) == TEXT
            with (
                pytest.raises(openai.APIError),
                one.chat.completions.create(model="beta/then-end", stream=True, **ask) as chunks,
            ):
                list(chunks)


def test_closing_ends_what_is_under_way(stage: Stage) -> None:
    client = fungible.Client(config=stage.config)
    told: list[BaseException] = []

    def ask() -> None:
        try:
            client.chat("alpha/drip.closed", "Hello")
        except fungible.Fault as fault:
            told.append(fault)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: "drip.closed" in stage.alpha.last)
    client.close()
    thread.join(3)
    assert not thread.is_alive() and told
    client.close()
    with pytest.raises(fungible.Fault, match="closed"):
        client.chat("alpha/good", "Hello")
    (row,) = stage.rows()
    assert row["state"] == "unknown"


def test_without_a_configuration_the_state_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with fungible.Client() as client, pytest.raises(fungible.Fault) as raised:
        client.chat("nothing/like-it", "Hello")
    assert raised.value.kind == "not_found"
    assert (tmp_path / ".fungible" / "ledger.db").is_file()


def test_a_wrong_configuration_is_told_when_the_client_is_made(tmp_path: Path) -> None:
    wrong = tmp_path / "fungible.toml"
    wrong.write_text("[server]\nprot = 1\n")
    with pytest.raises(fungible.Fault, match="prot"):
        fungible.Client(config=str(wrong))


# --- the ledger's durability -------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "waits"), [("", 0), ('durable = "power"', 2)])
def test_power_waits_for_the_disk_twice_an_attempt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, setting: str, waits: int
) -> None:
    config = Path(stage.config)
    config.write_text(config.read_text().replace("[server]", f"[server]\n{setting}"))
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with fungible.Client(config=stage.config) as client:
        assert client.chat("alpha/good", "Hello", max_output_tokens=5).text == TEXT
        assert len(synced) == waits


def test_a_reload_leaves_what_only_a_start_can_change(stage: Stage) -> None:
    """A ledger in one folder and its reader in another would lose the account."""
    loaded = configuration.load(stage.config)

    async def through() -> App:
        app = App(loaded)
        config = Path(stage.config)
        text = config.read_text().replace('state = "state"', 'state = "other"\ndurable = "power"\nport = 1')
        config.write_text(text + '[route.fresh]\ntargets = ["beta/good"]\n')
        app.reload()
        while not app.said:
            await asyncio.sleep(0.05)
            app.tend()
        app.close()
        return app

    app = asyncio.run(through())
    assert app.said == ["The changed configuration is in force."] and "fresh" in app.config.catalogue.names()
    for name in ("state", "durable", "port"):
        assert getattr(app.config.server, name) == getattr(loaded.server, name)
    assert not (stage.folder / "other").exists()
