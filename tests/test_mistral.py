"""Mistral's chat is openai.chat with quirks: what its SDK may send and get, each a named test."""

import json
from typing import Any

import pytest
from mistralai.client import models

from fungible import ir
from fungible.dialects import DIALECTS
from fungible.losses import Report
from fungible.providers.table import COMPATIBLE, PROVIDERS
from fungible.translate import translate

DIALECT = DIALECTS["openai.chat"]
ROW = PROVIDERS["mistral"]
TEXT = {"type": "text", "text": "q"}


def asked(*content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": list(content) or "q"}], **more}


def back(body: dict[str, Any]) -> dict[str, Any]:
    """Read, and written for Mistral. Nothing may be lost, and its SDK's type takes it."""
    report = Report(DIALECT.names)
    wire = DIALECT.write_request(DIALECT.read_request(json.dumps(body).encode()), report, ROW.quirks)
    assert not report.losses
    made: dict[str, Any] = json.loads(wire)
    models.ChatCompletionRequest.model_validate(made)
    return made


def answered(content: Any, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def test_its_row_has_three_quirks_of_its_own() -> None:
    assert len(ROW.quirks - COMPATIBLE - {"output_dimension"}) == 3  # that one is of vectors


@pytest.mark.parametrize(
    "more",
    [
        {"safe_prompt": True},
        {"random_seed": 7},
        {"max_tokens": 5},
        {"prompt_mode": "reasoning"},
        {"min_tokens": 2, "repetition_penalty": 1.1, "top_k": 4},
        {"prediction": {"type": "content", "content": "x"}},
        {"reasoning_effort": "high"},
        {"stop": ["a"], "n": 2, "guardrails": []},
    ],
    ids=str,
)
def test_fields_of_its_own_come_back(more: dict[str, Any]) -> None:
    made = back(asked(**more))
    assert {name: made.get(name) for name in more} == more


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "document_url", "document_url": "https://example.com/d.pdf", "document_name": "d.pdf"},
        {"type": "reference", "reference_ids": [1, 2]},
        {"type": "file", "file_id": "0b9b8bd5-8cf4-4c1f-a0a1-d2b9e2f8f2f1"},
        {"type": "input_audio", "input_audio": "UklGRg=="},
    ],
    ids=lambda block: f"{block['type']}-{type(block.get(block['type'])).__name__}",
)
def test_chunks_come_back_as_they_were(block: dict[str, Any]) -> None:
    assert back(asked(TEXT, block))["messages"][0]["content"] == [TEXT, block]


def test_a_prefix_comes_back() -> None:
    said = {"role": "assistant", "content": "The answer is", "prefix": True}
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, said]}
    assert back(body)["messages"][1] == said


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_thinking_chunks_come_back(role: str) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}
    body = {"model": "m", "messages": [{"role": role, "content": [thought, TEXT]}, *asked()["messages"]]}
    assert back(body)["messages"][0]["content"] == [thought, TEXT]


def test_a_thought_with_references_rides_whole() -> None:
    inside = [{"type": "text", "text": "hm"}, {"type": "reference", "reference_ids": [1]}]
    content = [{"type": "thinking", "thinking": inside}, TEXT]
    body = {"model": "m", "messages": [{"role": "assistant", "content": content}, *asked()["messages"]]}
    assert back(body)["messages"][0]["content"] == content


def test_any_tool_is_required() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = asked(tools=[tool], tool_choice="any")
    assert back(body)["tool_choice"] == "any"
    there = translate(body, source="openai.chat", target="anthropic.messages").body
    assert there["tool_choice"] == {"type": "any"}


def test_a_seed_of_another_client_is_its_random_seed() -> None:
    made = translate(
        asked(seed=7), source="openai.chat", target="openai.chat", quirks=frozenset({"random_seed"})
    )
    assert made.body["random_seed"] == 7 and "seed" not in made.body and not made.losses
    assert any(mark in b'{"seed":7}' for mark in (DIALECT.rewrites["random_seed"],))


def test_its_seed_and_its_document_reach_others() -> None:
    there = translate(asked(random_seed=7), source="openai.chat", target="ollama.chat")
    assert there.body["options"]["seed"] == 7 and not there.losses
    document = {"type": "document_url", "document_url": "https://example.com/d.pdf", "document_name": "d.pdf"}
    body = asked(TEXT, document, max_tokens=5)
    there = translate(body, source="openai.chat", target="anthropic.messages")
    assert there.body["messages"][0]["content"][1] == {
        "type": "document",
        "source": {"type": "url", "url": "https://example.com/d.pdf"},
        "title": "d.pdf",
    }
    assert not there.losses


@pytest.mark.parametrize(
    ("word", "reason", "elsewhere"),
    [("model_length", "context", "model_context_window_exceeded"), ("error", "other", "end_turn")],
)
def test_its_own_finish_reasons(word: str, reason: str, elsewhere: str) -> None:
    body = answered("cut", word)
    read = DIALECT.read_reply(json.dumps(body).encode())
    assert read.choices[0].stop is not None and read.choices[0].stop.reason == reason
    again = translate(body, source="openai.chat", target="openai.chat", kind="response")
    assert again.body["choices"][0]["finish_reason"] == word and not again.losses
    there = translate(body, source="openai.chat", target="anthropic.messages", kind="response")
    assert there.body["stop_reason"] == elsewhere
    assert (word == "error") is any(loss.why == "stop" for loss in there.losses)


def test_references_in_an_answer_are_kept_or_said() -> None:
    reference = {"type": "reference", "reference_ids": [1]}
    body = answered([TEXT, reference])
    models.ChatCompletionResponse.model_validate(body)
    read = DIALECT.read_reply(json.dumps(body).encode())
    assert [type(part) for part in read.choices[0].parts] == [ir.Text, ir.Native]
    again = translate(body, source="openai.chat", target="openai.chat", kind="response")
    assert again.body["choices"][0]["message"]["content"] == [TEXT, reference]
    there = translate(body, source="openai.chat", target="cohere.chat", kind="response")
    assert "choices[0].message.content[1]" in {loss.path for loss in there.losses}
