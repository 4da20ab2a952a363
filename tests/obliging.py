"""A scripted model that does what it is asked: it calls the tool it must, and fills any schema from the words said.

`wish` of each dialect says what a request asks for; `made` is the answer, in values; the writers are those of
`answering`. So a suite written for real models passes against it if, and only if, everything it asks for arrives.
"""

import json
import re
from typing import Any, NamedTuple

from tests.answering import alpha_chunks, beta_events
from tests.upstream import JSON, Seen, Step, answer, stream


class Wish(NamedTuple):
    """`said`: the last words of the user. `must`: the tool that has to be called, `*` any of them."""

    said: str
    tools: dict[str, dict[str, Any]]
    must: str | None
    schema: dict[str, Any] | None
    after_results: bool

    def called(self) -> str | None:
        if not self.tools or self.must == "":
            return None
        if self.must not in (None, "*"):
            return self.must
        wanted = self.must == "*" or re.search(r"weather|[Uu]s(e|ing) the tool", self.said)
        return next(iter(self.tools)) if wanted and not self.after_results else None

    def text(self) -> str:
        if self.schema is not None:
            return json.dumps(filled(self.schema, self.said), ensure_ascii=False)
        named = re.search(r"JSON with '(\w+)' and '(\w+)'", self.said)
        return json.dumps(dict.fromkeys(named.groups(), "Meow")) if named else "Hello from a scripted model"


def filled(schema: dict[str, Any], said: str, whole: dict[str, Any] | None = None, name: str = "") -> Any:
    """A value of the schema: numbers and quoted words as they were said."""
    whole = whole or schema
    if "$ref" in schema:
        return filled(whole["$defs"][schema["$ref"].rpartition("/")[2]], said, whole, name)
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], said, whole, name)
    kind = schema.get("type")
    if kind == "object":
        return {n: filled(inner, said, whole, n) for n, inner in schema.get("properties", {}).items()}
    if kind == "integer":
        return int((re.findall(r"\d+", said) or ["3"])[0])
    quoted = re.search(r"'([^']+)'", said)
    return {"string": quoted[1] if quoted else f"a {name}", "array": [], "number": 0.5, "boolean": True}.get(
        kind
    )


def text_in(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or () if isinstance(part, dict))


def chat_wish(body: dict[str, Any]) -> Wish:
    """What a request of openai.chat asks for."""
    users = [m for m in body["messages"] if m["role"] == "user"]
    choice = body.get("tool_choice")
    must = {"required": "*", "none": ""}.get(choice) if isinstance(choice, str) else None
    if isinstance(choice, dict):
        must = choice["function"]["name"]
    return Wish(
        said=text_in(users[-1]["content"]),
        tools={t["function"]["name"]: t["function"].get("parameters", {}) for t in body.get("tools", ())},
        must=must,
        schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
        after_results=body["messages"][-1]["role"] == "tool",
    )


def claude_wish(body: dict[str, Any]) -> Wish:
    """What a request of anthropic.messages asks for."""
    said = [text_in(m["content"]) for m in body["messages"] if m["role"] == "user" and text_in(m["content"])]
    choice = body.get("tool_choice", {})
    last = body["messages"][-1]["content"]
    return Wish(
        said=said[-1],
        tools={t["name"]: t["input_schema"] for t in body.get("tools", ())},
        must={"any": "*", "none": "", "tool": choice.get("name")}.get(choice.get("type")),
        schema=body.get("output_config", {}).get("format", {}).get("schema"),
        after_results=isinstance(last, list) and any(b["type"] == "tool_result" for b in last),
    )


def alpha_obliges(seen: Seen) -> list[Step]:
    """In openai.chat."""
    body = seen.json
    wish = chat_wish(body)
    name, finish = wish.called(), "stop"
    message: dict[str, Any] = {"role": "assistant", "content": None if name else wish.text()}
    if name:
        finish = "tool_calls"
        arguments = json.dumps(filled(wish.tools[name], wish.said), ensure_ascii=False)
        function = {"name": name, "arguments": arguments}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    usage: dict[str, Any] = {
        "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }  # fmt: skip
    if body.get("stream"):
        chunks = alpha_chunks(message, finish, usage)
        return stream(
            *(chunk.replace(b'"model": "one"', b'"model": "%b"' % body["model"].encode()) for chunk in chunks)
        )
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return answer(200, JSON, {**head, "choices": [choice], "usage": usage})


def beta_obliges(seen: Seen) -> list[Step]:
    """In anthropic.messages."""
    body = seen.json
    wish = claude_wish(body)
    name = wish.called()
    block: dict[str, Any] = {"type": "text", "text": wish.text()}
    if name:
        block = {
            "type": "tool_use",
            "id": "toolu_1",
            "name": name,
            "input": filled(wish.tools[name], wish.said),
        }
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [block],
        "stop_reason": "tool_use" if name else "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
        },
    }  # fmt: skip
    return stream(*beta_events(message)) if body.get("stream") else answer(200, JSON, message)
