"""Tokens counted by the target's own provider, whatever dialects the client and the target speak.

Each client asks in its own words; the scripted provider counts in its own. What it is sent has no field that its
API does not count.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageCountTokensParams
from openai.types.responses.input_token_count_params import InputTokenCountParams

import fungible

from .upstream import JSON, Seen, Step, Upstream, answer

TOOL = {"type": "object", "properties": {"path": {"type": "string"}}}
SYSTEM, SAID = "You are a coding agent.", "What does it do?"

CLIENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    # dialect -> where it asks for a count of tokens of MODEL, how, and the answer's field
    "anthropic.messages": (
        "/v1/messages/count_tokens",
        {
            "model": "MODEL",
            "system": SYSTEM,
            "messages": [{"role": "user", "content": SAID}],
            "tools": [{"name": "read", "input_schema": TOOL}],
        },
        "input_tokens",
    ),
    "openai.responses": (
        "/v1/responses/input_tokens",
        {
            "model": "MODEL",
            "instructions": SYSTEM,
            "input": SAID,
            "tools": [{"type": "function", "name": "read", "parameters": TOOL, "strict": False}],
        },
        "input_tokens",
    ),
    "gemini.generate_content": (
        "/v1beta/models/MODEL:countTokens",
        {
            "generateContentRequest": {
                "model": "models/MODEL",
                "systemInstruction": {"parts": [{"text": SYSTEM}]},
                "contents": [{"role": "user", "parts": [{"text": SAID}]}],
                "tools": [{"functionDeclarations": [{"name": "read", "parametersJsonSchema": TOOL}]}],
            }
        },
        "totalTokens",
    ),
    "bedrock.converse": (
        "/model/MODEL/count-tokens",
        {
            "input": {
                "converse": {
                    "system": [{"text": SYSTEM}],
                    "messages": [{"role": "user", "content": [{"text": SAID}]}],
                    "toolConfig": {"tools": [{"toolSpec": {"name": "read", "inputSchema": {"json": TOOL}}}]},
                }
            }
        },
        "inputTokens",
    ),
}

PROVIDERS: dict[str, tuple[str, str, frozenset[str], dict[str, Any]]] = {
    # name -> its dialect, where it is asked, the fields that it takes there, and what it answers
    "claude": (
        "anthropic.messages",
        "/v1/messages/count_tokens",
        frozenset(MessageCountTokensParams.__annotations__),
        {"input_tokens": 42},
    ),
    "answering": (
        "openai.responses",
        "/v1/responses/input_tokens",
        frozenset(InputTokenCountParams.__annotations__),
        {"object": "response.input_tokens", "input_tokens": 42},
    ),
    "google": (
        "gemini.generate_content",
        "/v1beta/models/m:countTokens",
        frozenset({"contents", "generateContentRequest"}),
        {"totalTokens": 42},
    ),
    "cloud": ("bedrock.converse", "/model/m/count-tokens", frozenset({"input"}), {"inputTokens": 42}),
}


class Provider:
    """Counts, or fails as it is told."""

    def __init__(self) -> None:
        self.up = Upstream(self.respond)
        self.fails: list[Step] | None = None

    def respond(self, seen: Seen) -> list[Step]:
        told = next(told for _, path, _, told in PROVIDERS.values() if seen.path == path)
        return self.fails or answer(200, JSON, told)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with made.up:
        yield made


@pytest.fixture
def client(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fungible.Client]:
    base = provider.up.base
    rows = [
        f'[provider.{name}]\ndialect = "{dialect}"\nkey = "env:TEST_KEY"\n'
        f'base_url = "{base}{"/v1" if dialect.startswith("openai") else ""}"\n'
        for name, (dialect, *_) in PROVIDERS.items()
    ]
    rows.append(f'[provider.openai]\nkey = "env:TEST_KEY"\nbase_url = "{base}/v1"\n')
    config = tmp_path / "fungible.toml"
    config.write_text(f'[server]\nstate = "{tmp_path / "state"}"\n' + "\n".join(rows))
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    with fungible.Client(config=str(config)) as made:
        yield made


def ask(client: fungible.Client, dialect: str, model: str) -> Any:
    path, body, _ = CLIENTS[dialect]
    inside = "%2F".join(model.split("/"))
    text = json.dumps(body).replace("MODEL", model)
    headers = {"content-type": JSON, "x-api-key": "x", "x-goog-api-key": "x", "authorization": "Bearer x"}
    return client.http().post(
        f"http://fungible{path.replace('MODEL', inside)}", content=text.encode(), headers=headers
    )


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("dialect", CLIENTS)
def test_the_target_counts(client: fungible.Client, provider: Provider, dialect: str, name: str) -> None:
    _, path, fields, _ = PROVIDERS[name]
    told = ask(client, dialect, f"{name}/m")
    assert told.status_code == 200 and "x-fungible-estimated" not in told.headers
    assert told.json()[CLIENTS[dialect][2]] == 42
    (seen,) = provider.up.seen
    assert seen.path == path and set(seen.json) <= fields
    assert all(json.dumps(text) in seen.body.decode() for text in (SYSTEM, SAID, "read"))


def test_a_provider_counts_in_another_dialect_than_it_answers_in(
    client: fungible.Client, provider: Provider
) -> None:
    assert ask(client, "anthropic.messages", "openai/gpt-5.4").json() == {"input_tokens": 42}
    assert provider.up.seen[-1].path == "/v1/responses/input_tokens"


FAILURES = {
    "no such address": answer(404, JSON, {"error": {"message": "Not found"}}),
    "broken": answer(500, JSON, {"error": {"message": "Oh"}}),
    "no count": answer(200, JSON, {"tokens": "many"}),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_count_that_fails_elsewhere_is_an_estimate(
    client: fungible.Client, provider: Provider, how: str
) -> None:
    provider.fails = FAILURES[how]
    told = ask(client, "anthropic.messages", "answering/m")
    assert told.status_code == 200 and told.headers["x-fungible-estimated"] == "input_tokens"
    assert 20 < told.json()["input_tokens"] < 100


def test_a_count_that_fails_in_the_client_s_own_dialect_is_told_as_that(
    client: fungible.Client, provider: Provider
) -> None:
    provider.fails = FAILURES["no such address"]
    assert ask(client, "anthropic.messages", "claude/m").status_code == 404


def test_a_key_that_is_none_is_told_no_estimate(client: fungible.Client, provider: Provider) -> None:
    sdk = anthropic.Anthropic(
        api_key="x", base_url="http://fungible", http_client=client.http(), max_retries=0
    )
    with pytest.raises(anthropic.NotFoundError):
        sdk.messages.count_tokens(model="nowhere/m", messages=[{"role": "user", "content": SAID}])


def test_vertex_is_asked_in_its_own_way() -> None:
    counting = fungible.dialects.DIALECTS["gemini.generate_content"].counting
    assert counting is not None
    body = json.dumps({"contents": [], "toolConfig": {}}).encode()
    assert json.loads(counting.asks(body, "m", frozenset({"counts_bare"}))) == {"contents": []}
