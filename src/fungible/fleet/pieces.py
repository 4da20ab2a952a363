"""The pieces of an OpenAI chat stream as llama.cpp makes them: what is passed on, and how they become one
answer.

Theory: a piece is a `chat.completion.chunk`. Nearly all go on as they are; only the few that carry
llama.cpp's own figures are rewritten, found by a look at the bytes. Put together, the pieces of a stream
say the same as the plain answer would.

Prohibitions: pure; knows nothing of threads, sinks or models.
"""

from typing import Any

import msgspec

OWN_FIELDS = ("timings", "prompt_progress", "__verbose")
MARKS = tuple(f'"{name}"'.encode() for name in OWN_FIELDS)
ALIAS = (
    "embedded"  # what the engine calls every model; a quote inside a text is escaped, so it is found surely
)
ALIASED = b'"model":"embedded"'
JOINED = ("content", "reasoning_content", "refusal")


def is_progress(data: bytes) -> bool:
    """Whether a piece only tells how much of the prompt is read."""
    return b'"prompt_progress"' in data and "prompt_progress" in msgspec.json.decode(data)


def require_tool(body: dict[str, Any]) -> None:
    """Say that a tool must be called so that llama.cpp and the model's template understand it.

    A choice of one tool becomes a list of one tool. llama.cpp's grammar then lets the answer end only after
    a call, and a template that reads `tool_required`, as the shipped model's does, asks for it outright.
    Raises ValueError if the tool chosen is not among those given.
    """
    choice = body.get("tool_choice")
    if choice == "required":
        body["chat_template_kwargs"] = {**(body.get("chat_template_kwargs") or {}), "tool_required": True}
    if not isinstance(choice, dict) or "function" not in choice:
        return
    name = choice["function"].get("name")
    tools = [tool for tool in body.get("tools") or () if tool.get("function", {}).get("name") == name]
    if not tools:
        raise ValueError(f"tool_choice names the tool {name!r}, which is not among the tools")
    body |= {"tools": tools, "tool_choice": "required"}
    require_tool(body)


def tidy(data: bytes, model: str) -> bytes:
    """The piece under the name the model was asked for by, and without what no OpenAI answer has."""
    data = data.replace(ALIASED, b'"model":' + msgspec.json.encode(model), 1)
    if not any(mark in data for mark in MARKS):
        return data
    piece: dict[str, Any] = msgspec.json.decode(data)
    for name in OWN_FIELDS:
        piece.pop(name, None)
    return msgspec.json.encode(piece)


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """An error as OpenAI writes it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


class Assembly:
    """The answer that grows from a stream's pieces."""

    def __init__(self) -> None:
        self.pieces = 0
        self._frame: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, data: bytes) -> None:
        """Take one piece in."""
        piece: dict[str, Any] = msgspec.json.decode(data)
        self.pieces += 1
        self._frame = self._frame or piece
        self._usage = piece.get("usage") or self._usage
        for said in piece.get("choices", ()):
            choice = self._choices.setdefault(
                said["index"],
                {
                    "index": said["index"],
                    "message": {"role": "assistant", "content": None},
                    "logprobs": None,
                    "finish_reason": None,
                },
            )
            choice["finish_reason"] = said.get("finish_reason") or choice["finish_reason"]
            if said.get("logprobs"):
                choice["logprobs"] = choice["logprobs"] or {"content": []}
                choice["logprobs"]["content"] += said["logprobs"].get("content") or []
            _grow(choice["message"], said.get("delta", {}))

    def whole(self) -> bytes:
        """The plain `chat.completion` that the pieces make."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            message = choice["message"]
            if message["content"] is None and "tool_calls" not in message:
                message["content"] = ""
        frame = self._frame
        return msgspec.json.encode(
            {
                "id": frame.get("id"),
                "object": "chat.completion",
                "created": frame.get("created"),
                "model": frame.get("model"),
                "system_fingerprint": frame.get("system_fingerprint"),
                "choices": choices,
                "usage": self._usage,
            }
        )


def _grow(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece's delta to the message."""
    for name in JOINED:
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for call in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        while len(calls) <= call["index"]:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        known, said = calls[call["index"]], call.get("function", {})
        known["id"] = call.get("id") or known["id"]
        known["function"]["name"] += said.get("name") or ""
        known["function"]["arguments"] += said.get("arguments") or ""
