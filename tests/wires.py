"""Bodies of both dialects in few words, and the check that one becomes the other: for the tests of breakers."""

from typing import Any

from fungible.translate import translate

OPENAI, ANTHROPIC = "openai.chat", "anthropic.messages"
PNG, PDF = "iVBORw0KGgoAAAANSUhEUg==", "JVBERi0xLjQK"
OBJECT = {"type": "object", "properties": {}}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), "max_completion_tokens": 64} | more


def claude(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 64, "messages": list(messages)} | more


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content} | more


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words} | more


def function_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name} | more}


def tool_use(id_: str, name: str, input_: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": input_} | more


def tool_result(id_: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content} | more


def answered(id_: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def to_claude(body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(OPENAI, ANTHROPIC, body, expected, losses, kind)


def to_chat(body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(ANTHROPIC, OPENAI, body, expected, losses, kind)


def crosses(source: str, target: str, body: Any, expected: Any, losses: Any, kind: str) -> None:
    done = translate(body, source=source, target=target, kind=kind)
    assert done.body == expected, done.body
    told = [(loss.path, loss.kind, loss.why) for loss in done.losses]
    assert told == list(losses), told
