"""Thinking in openai.chat's requests: earlier thoughts in every spelling, and how much to think."""

from typing import Any

import pytest

from fungible import ir

from .test_openai_chat_request import again, asked, read, user, write

DETAILS = [
    {
        "type": "reasoning.text",
        "text": "Hm.",
        "signature": "c2ln",
        "format": "anthropic-claude-v1",
        "index": 0,
    },
    {"type": "reasoning.encrypted", "data": "b3BhcXVl", "id": "rs_1", "index": 1},
    {"type": "reasoning.summary", "summary": "Short.", "index": 2},
    {"type": "reasoning.dream", "of": "sheep"},
]
PLACELESS = [{name: value for name, value in item.items() if name != "index"} for item in DETAILS]


def test_thinking_and_redacted_thinking_are_kept_across_turns() -> None:
    message = {"role": "assistant", "content": "Yes.", "reasoning_details": DETAILS}
    parts = read(message).messages[0].parts
    assert [(type(p), p.at) for p in parts] == [
        (ir.Thinking, "messages[0].reasoning_details[0]"),
        (ir.Thinking, "messages[0].reasoning_details[1]"),
        (ir.Thinking, "messages[0].reasoning_details[2]"),
        (ir.Native, "messages[0].reasoning_details[3]"),
        (ir.Text, "messages[0].content"),
    ]
    thoughts = [p for p in parts if isinstance(p, ir.Thinking)]
    assert [(t.text, t.signature, t.redacted) for t in thoughts] == [
        ("Hm.", "c2ln", None),
        ("", None, "b3BhcXVl"),
        ("Short.", None, None),
    ]
    assert again(message)["messages"] == [{**message, "reasoning_details": PLACELESS}]


def test_a_thoughts_number_that_is_not_its_place_is_kept() -> None:
    message = {"role": "assistant", "content": "Yes.", "reasoning_details": [DETAILS[1], DETAILS[0]]}
    assert again(message)["messages"] == [message]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_thought_in_a_string_goes_back(field: str) -> None:
    (thought,) = read({"role": "assistant", "content": None, field: "Hm."}).messages[0].parts
    assert isinstance(thought, ir.Thinking)
    assert (thought.text, thought.at) == ("Hm.", f"messages[0].{field}")
    assert again({"role": "assistant", field: "Hm."})["messages"][0]["reasoning_content"] == "Hm."


def test_a_client_that_put_a_stream_together_sends_text_and_signature_apart() -> None:
    message = {
        "role": "assistant",
        "reasoning_content": "Hm.",
        "reasoning_details": [{"type": "reasoning.text", "signature": "c2ln"}],
    }
    (thought,) = read(message).messages[0].parts
    assert isinstance(thought, ir.Thinking)
    assert (thought.text, thought.signature) == ("Hm.", "c2ln")


THOUGHT = ir.Thinking(text="Hm.", signature="c2ln", at="t")
REDACTED = ir.Thinking(redacted="b3BhcXVl", at="r")


@pytest.mark.parametrize(
    ("quirks", "fields", "losses"),
    [
        ((), {}, ["t: dropped, thinking", "r: dropped, thinking"]),
        (
            ("reasoning_content",),
            {"reasoning_content": "Hm."},
            ["t.signature: dropped, thinking_signature", "r: dropped, thinking"],
        ),
        (
            ("reasoning",),
            {"reasoning": "Hm."},
            ["t.signature: dropped, thinking_signature", "r: dropped, thinking"],
        ),
        (
            ("reasoning_details",),
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln"},
                    {"type": "reasoning.encrypted", "data": "b3BhcXVl"},
                ]
            },
            [],
        ),
        (("thinking_parts",), None, ["r: dropped, thinking"]),
    ],
)
def test_another_dialects_thinking_goes_where_it_is_taken(quirks: Any, fields: Any, losses: Any) -> None:
    body, told = write(asked(THOUGHT, REDACTED, ir.Text(text="Yes."), role="assistant"), *quirks)
    if fields is None:
        part = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "c2ln"}
        fields = {"content": [part, {"type": "text", "text": "Yes."}]}
    assert body["messages"] == [{"role": "assistant", "content": "Yes.", **fields}]
    assert sorted(told) == sorted(losses)


def test_mistral_takes_thinking_among_the_content() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True}
    message = {"role": "assistant", "content": [part, {"type": "text", "text": "Yes."}]}
    request = read(message)
    assert [type(p) for p in request.messages[0].parts] == [ir.Thinking, ir.Text]
    body, losses = write(request, "thinking_parts")
    assert (body["messages"], losses) == ([message], [])


@pytest.mark.parametrize(
    ("reasoning", "quirks", "fields", "losses"),
    [
        (ir.Reasoning(effort="max"), (), {"reasoning_effort": "max"}, []),
        (ir.Reasoning(mode="enabled", budget_tokens=2_048), (), {"reasoning_effort": "low"}, ["reasoning: approximated, reasoning"]),
        (ir.Reasoning(mode="enabled", budget_tokens=4_096), (), {"reasoning_effort": "medium"}, ["reasoning: approximated, reasoning"]),
        (ir.Reasoning(mode="enabled", budget_tokens=30_000), (), {"reasoning_effort": "high"}, ["reasoning: approximated, reasoning"]),
        (ir.Reasoning(mode="enabled"), (), {"reasoning_effort": "medium"}, ["reasoning: approximated, reasoning"]),
        (ir.Reasoning(mode="disabled"), (), {}, ["reasoning: dropped, reasoning"]),
        (ir.Reasoning(mode="adaptive"), (), {}, ["reasoning: dropped, reasoning"]),
        (ir.Reasoning(mode="adaptive", effort="high", at="r"), (), {"reasoning_effort": "high"}, ["r.mode: dropped, reasoning"]),
        (ir.Reasoning(mode="enabled", budget_tokens=9), ("thinking_object",), {"thinking": {"type": "enabled", "budget_tokens": 9}}, []),
        (ir.Reasoning(mode="disabled"), ("thinking_object",), {"thinking": {"type": "disabled"}}, []),
        (ir.Reasoning(effort="low", budget_tokens=9), ("reasoning_object",), {"reasoning": {"effort": "low", "max_tokens": 9}}, []),
        (ir.Reasoning(mode="disabled"), ("reasoning_object",), {"reasoning": {"effort": "none"}}, ["reasoning: approximated, reasoning"]),
    ],
)  # fmt: skip
def test_how_much_to_think(reasoning: Any, quirks: Any, fields: Any, losses: Any) -> None:
    body, told = write(asked(reasoning=reasoning), *quirks)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == fields
    assert told == losses


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "enabled", "clear_thinking": False}, "reasoning_effort": "high"},
        {"reasoning": {"max_tokens": 2_000, "exclude": True}},
        {"reasoning": {"effort": "high"}, "reasoning_effort": "low"},
        {"reasoning_effort": "default"},
        {"thinking": {"type": "dreaming"}},
    ],
)
def test_other_spellings_of_it_come_back(fields: Any) -> None:
    assert again(user(), **fields) == {"model": "m", "messages": [user()], **fields}
