"""Bad input, in both dialects: the caller's SDK raises what its users know, the text says what, where and the
mend, and nothing is spent. Bad configuration and a bad state folder: the program says so and ends."""

import http.client
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from fungible.http.loop import listen
from tests.serving import Running
from tests.upstream import JSON, Upstream, answer

HELLO: Any = [{"role": "user", "content": "Hello"}]
OK = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "one",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        up.script = [answer(200, JSON, OK)]
        yield up


@pytest.fixture(scope="module")
def running(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(
        tmp_path_factory.mktemp("bad"), upstream.base, upstream.base, server="body_bytes_max = 200000"
    )
    yield server
    server.close()


@pytest.fixture(autouse=True)
def nothing_spent(running: Running, upstream: Upstream) -> Iterator[None]:
    """Whatever was wrong: no provider was asked, and the ledger has no row."""
    upstream.seen.clear()
    yield
    assert upstream.seen == []
    assert running.attempts() == []


def raw(running: Running, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    every = {"authorization": f"Bearer {running.key}", "content-type": "application/json", **headers}
    connection.request("POST", path, body, every)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def message(said: Any) -> str:
    return said["error"]["message"]


Ask = Callable[..., Any]


@pytest.fixture(params=["openai", "anthropic"])
def ask(request: pytest.FixtureRequest, running: Running) -> tuple[Ask, Any]:
    """(a call through the SDK, the SDK's module)"""
    if request.param == "openai":
        client = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)

        def chat(key: str | None = None, **fields: Any) -> Any:
            mine = client.with_options(api_key=key) if key is not None else client
            return mine.chat.completions.create(**{"messages": HELLO, "max_tokens": 5, **fields})

        return chat, openai
    other = anthropic.Anthropic(api_key=running.key, base_url=running.url, max_retries=0)

    def messages(key: str | None = None, **fields: Any) -> Any:
        mine = other.with_options(api_key=key) if key is not None else other
        return mine.messages.create(**{"messages": HELLO, "max_tokens": 5, **fields})

    return messages, anthropic


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("body", [b"", b"{", b"hello", b"[1, 2]", b'"text"', b"\xff\xfe", b'{"model": }'])
def test_not_json(running: Running, path: str, body: bytes) -> None:
    status, said = raw(running, path, body)
    assert status == 400 and "JSON" in message(said), said


def test_wrong_types_with_their_path(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    # To a target of the other dialect the whole request is read, so that its every field is looked at.
    model = "beta/two" if sdk is openai else "alpha/one"
    wrong: Any = [{"role": "user", "content": [{"type": "text", "text": 7}]}]
    with pytest.raises(sdk.BadRequestError, match=r"messages\[0\]\.content\[0\]\.text"):
        call(model=model, messages=wrong)
    with pytest.raises(sdk.BadRequestError, match="temperature"):
        call(model=model, extra_body={"temperature": "hot"})


@pytest.mark.parametrize("field", ["model", "stream"])
def test_wrong_types_of_what_routing_needs(ask: tuple[Ask, Any], field: str) -> None:
    call, sdk = ask
    with pytest.raises(sdk.BadRequestError, match=field):
        call(model="alpha/one", extra_body={field: 7})


def test_unknown_model_with_the_nearest_names(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    with pytest.raises(sdk.NotFoundError, match=r"alpha/one.*fungible models|alpha/one.*fungible\.toml"):
        call(model="alpah/one")


def test_missing_key(running: Running) -> None:
    for path in (CHAT, MESSAGES):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        connection.request("POST", path, b'{"model":"alpha/one","messages":[]}')
        reply = connection.getresponse()
        said = json.loads(reply.read())
        assert reply.status == 401 and "fungible keys create" in message(said)


def test_unknown_key(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    with pytest.raises(sdk.AuthenticationError, match="fungible keys create"):
        call(key="fk-nobody", model="alpha/one")


def test_revoked_key(ask: tuple[Ask, Any], running: Running) -> None:
    call, sdk = ask
    made = running.program("keys", "create", "--name", f"short-lived-{sdk.__name__}")
    running.program("keys", "revoke", made["id"])
    time.sleep(1.5)
    with pytest.raises(sdk.AuthenticationError, match="revoked"):
        call(key=made["key"], model="alpha/one")


def test_a_model_the_key_may_not_use(ask: tuple[Ask, Any], running: Running) -> None:
    call, sdk = ask
    made = running.program("keys", "create", "--name", f"narrow-{sdk.__name__}", "--models", "alpha/*")
    time.sleep(1.5)
    with pytest.raises(sdk.PermissionDeniedError, match=r"alpha/\*"):
        call(key=made["key"], model="beta/two")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_over_long_body(running: Running, path: str) -> None:
    body = json.dumps(
        {"model": "alpha/one", "messages": [{"role": "user", "content": "x" * 300_000}]}
    ).encode()
    status, said = raw(running, path, body)
    assert status == 413 and "200000" in message(said).replace(",", ""), said


def test_over_long_body_by_the_sdk(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    with pytest.raises(sdk.APIStatusError, match="over 200000 bytes") as caught:
        call(model="alpha/one", messages=[{"role": "user", "content": "x" * 300_000}])
    assert caught.value.status_code == 413
    if sdk is anthropic:
        assert isinstance(caught.value, anthropic.RequestTooLargeError)


def test_too_deep_by_the_sdk(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    deep: Any = "here"
    for _ in range(70):
        deep = {"x": deep}
    with pytest.raises(sdk.BadRequestError, match=r"deeper than 64 levels\. Send a flatter one"):
        call(model="alpha/one", extra_body={"x": deep})


def test_a_missing_key_by_the_sdk(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    without = {"Authorization": sdk.Omit(), "X-Api-Key": sdk.Omit()}
    with pytest.raises(sdk.AuthenticationError, match="fungible keys create"):
        call(model="alpha/one", extra_headers=without)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_too_deep(running: Running, path: str) -> None:
    deep = b"[" * 5_000 + b"]" * 5_000
    status, said = raw(
        running, path, b'{"model": "alpha/one", "messages": [], "max_tokens": 5, "x": ' + deep + b"}"
    )
    assert status == 400 and "deep" in message(said), said


def test_an_image_that_is_none(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    if sdk is openai:
        part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,this is no base64!"}}
    else:
        part = {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "this is no base64!"},
        }
    with pytest.raises(sdk.BadRequestError, match=r"messages\[0\]\.content\[0\].*Send "):
        call(
            model="beta/two" if sdk is openai else "alpha/one", messages=[{"role": "user", "content": [part]}]
        )


def test_a_file_that_is_none(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    if sdk is openai:
        part: Any = {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,***"},
        }
    else:
        part = {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "***"},
        }
    with pytest.raises(sdk.BadRequestError, match=r"messages\[0\]\.content\[0\].*Send "):
        call(
            model="beta/two" if sdk is openai else "alpha/one", messages=[{"role": "user", "content": [part]}]
        )


def test_a_tool_schema_that_is_none(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    wrong: Any = "not a schema"
    tool = (
        {"type": "function", "function": {"name": "f", "parameters": wrong}}
        if sdk is openai
        else {"name": "f", "input_schema": wrong}
    )
    with pytest.raises(sdk.BadRequestError, match=r"tools\[0\]"):
        call(model="beta/two" if sdk is openai else "alpha/one", tools=[tool])


def test_a_strict_call_that_would_lose_something(ask: tuple[Ask, Any]) -> None:
    call, sdk = ask
    strict = {"x-fungible-strict": "1"}
    field = {"seed": 7} if sdk is openai else {"top_k": 7}
    (name,) = field
    with pytest.raises(sdk.UnprocessableEntityError, match=name):
        call(model="beta/two" if sdk is openai else "alpha/one", extra_body=field, extra_headers=strict)


def test_an_unknown_path(running: Running) -> None:
    for path in ("/v1/nothing", "/v1/chat/completions/more", "/", "/v1/messages/batches"):
        status, said = raw(running, path, b"{}")
        assert status == 404 and "/v1/messages" in message(said), (path, said)


def test_an_unknown_path_by_the_sdk(running: Running) -> None:
    one = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)
    with pytest.raises(openai.NotFoundError, match=r"nothing at /v1/completions.*/v1/chat/completions"):
        one.completions.create(model="alpha/one", prompt="Hello")
    other = anthropic.Anthropic(api_key=running.key, base_url=running.url, max_retries=0)
    with pytest.raises(anthropic.NotFoundError, match=r"nothing at /v1/messages/batches.*/v1/messages"):
        other.messages.batches.list()


def test_a_wrong_method(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", CHAT)
    reply = connection.getresponse()
    assert reply.status == 405 and "POST" in message(json.loads(reply.read()))


def test_tags_that_are_none(running: Running) -> None:
    body = json.dumps({"model": "alpha/one", "messages": HELLO}).encode()
    status, said = raw(running, CHAT, body, **{"x-fungible-tags": "no pairs here"})
    assert status == 400 and "k=v" in message(said)


# --- the program ---------------------------------------------------------------------------------------------


def program(folder: Path, *words: str, config: str | None = None) -> tuple[int, str]:
    if config is not None:
        (folder / "fungible.toml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-m", "fungible", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("[server]\nprot = 4000\n", ["fungible.toml:2", "prot", "port"]),
        ("[server\nport = 1\n", ["fungible.toml:1"]),
        ('[provider.openai]\nkey = "sk-live-1234567890"\n', ["fungible.toml:2", "env:"]),
        (
            '[model."a/b"]\ninput_usd_per_mtok = -1\noutput_usd_per_mtok = 1\n',
            ["fungible.toml:2", "input_usd_per_mtok"],
        ),
        (
            '[model."a/b"]\ninput_usd_per_mtok = "cheap"\noutput_usd_per_mtok = 1\n',
            ["fungible.toml:2", "input_usd_per_mtok"],
        ),
        ('[route.r]\ntargets = ["nobody/m"]\n', ["fungible.toml:2", "nobody"]),
        ('[server]\nauth = "open"\nhost = "0.0.0.0"\n', ["fungible.toml:2", "keys"]),
        ('[provider.local]\nmodels = {mine = "missing.gguf"}\n', ["fungible.toml:2", "missing.gguf"]),
    ],
)
def test_a_wrong_configuration(tmp_path: Path, config: str, expected: list[str]) -> None:
    status, said = program(tmp_path, "serve", config=config)
    assert status == 1 and all(word in said for word in expected), said
    assert "sk-live-1234567890" not in said and "Traceback" not in said


def test_a_port_in_use(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        for workers in ("1", "2"):
            status, said = program(tmp_path, "serve", "--port", str(port), "--workers", workers)
            assert status == 1 and str(port) in said and "--port" in said and "Traceback" not in said


def test_a_state_folder_from_a_newer_version(tmp_path: Path) -> None:
    assert program(tmp_path, "spend")[0] == 0
    (database,) = (tmp_path / ".fungible").glob("ledger.db")
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 999")
    for words in (["spend"], ["serve", "--port", "0"]):
        status, said = program(tmp_path, *words)
        assert status == 1 and "newer" in said and "999" in said and "Traceback" not in said


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / ".fungible").write_text("in the way")
    status, said = program(tmp_path, "spend")
    assert status == 1 and ".fungible" in said and "Traceback" not in said


def test_an_unknown_command(tmp_path: Path) -> None:
    status, said = program(tmp_path, "serv")
    assert status == 2 and "serve" in said
