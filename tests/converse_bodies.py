"""Bodies of bedrock.converse in few words, and the checks that one becomes another: for tests of breakers."""

from typing import Any

from .wires import OBJECT, crosses

CONVERSE, OPENAI, ANTHROPIC = "bedrock.converse", "openai.chat", "anthropic.messages"
CLAUDE_ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LIMIT = {"inferenceConfig": {"maxTokens": 64}}


def converse(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages)} | LIMIT | more


def asks(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def says(*content: Any) -> dict[str, Any]:
    return asks(*content) | {"role": "assistant"}


def uses(id_: str, name: str, input_: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id_, "name": name, "input": input_}}


def gives(id_: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id_, "content": list(content)} | more}


def spec(name: str, **more: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": OBJECT}} | more}


POINT = {"cachePoint": {"type": "default"}}


def to(source: str, body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(source, CONVERSE, body, expected, losses, kind)


def of(target: str, body: Any, expected: Any, *losses: tuple[str, str, str], kind: str = "request") -> None:
    crosses(CONVERSE, target, body, expected, losses, kind)
