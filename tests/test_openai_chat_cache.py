"""Cache marks in openai.chat's requests, at every level, with their lifetimes."""

from typing import Any

import pytest

from fungible import ir

from .test_openai_chat_request import again, asked, read, write


def marked(ttl: int | None, at: str = "c") -> ir.Cache:
    return ir.Cache(ttl_seconds=ttl, at=at)


@pytest.mark.parametrize(
    ("ttl", "quirks", "mark", "losses"),
    [
        (None, (), {"prompt_cache_breakpoint": {"mode": "explicit"}}, []),
        (1_800, (), {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, []),
        (43_200, (), {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}, []),
        (
            300,
            (),
            {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            ["c.ttl_seconds: approximated, cache_lifetime"],
        ),
        (300, ("cache_control",), {"cache_control": {"type": "ephemeral", "ttl": "5m"}}, []),
        (None, ("cache_control",), {"cache_control": {"type": "ephemeral"}}, []),
        (300, ("no_cache_marks",), {}, ["c: dropped, cache_mark"]),
    ],
)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_mark_on_a_text(role: str, ttl: Any, quirks: Any, mark: Any, losses: Any) -> None:
    body, told = write(asked(ir.Text(text="x", cache=marked(ttl), at="t"), role=role), *quirks)
    assert body["messages"][0]["content"] == [{"type": "text", "text": "x", **mark}]
    assert told == losses


def test_marks_at_tool_and_result_and_call() -> None:
    request = ir.Request(
        model="m",
        messages=(
            ir.Message(
                role="assistant",
                parts=(
                    ir.ToolCall(id="c", name="f", arguments="{}", cache=marked(None, "call.mark"), at="call"),
                ),
            ),
            ir.Message(
                role="tool",
                parts=(
                    ir.ToolResult(
                        call_id="c",
                        parts=(ir.Text(text="x", cache=marked(None)),),
                        cache=marked(None, "result.mark"),
                        at="result",
                    ),
                ),
            ),
        ),
        tools=(ir.Tool(name="f", cache=marked(3_600, "tool.mark"), at="tool"),),
    )
    body, losses = write(request)
    assert body["messages"][1]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert losses == [
        "call.mark: dropped, cache_mark",
        "result.mark: dropped, cache_mark",
        "tool.mark: dropped, cache_mark",
    ]
    body, _ = write(request, "cache_control")
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_marks_in_either_spelling_come_back_in_it() -> None:
    content = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
    ]
    tools = [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]
    request = read({"role": "user", "content": content}, tools=tools)
    marks = [p.cache for p in request.messages[0].parts if isinstance(p, ir.Text)]
    assert [(m.ttl_seconds, m.at) for m in marks if m] == [
        (300, "messages[0].content[0].cache_control"),
        (43_200, "messages[0].content[1].prompt_cache_breakpoint"),
    ]
    body = again({"role": "user", "content": content}, tools=tools)
    assert (body["messages"][0]["content"], body["tools"]) == (content, tools)
