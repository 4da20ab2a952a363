"""What two scripted providers answer to the official SDKs: alpha in openai.chat, beta in anthropic.messages."""

import json
from typing import Any

from tests.upstream import JSON, Seen, answer, stream

CITIES = ("Paris", "Oslo")
THOUGHT = "Let me see"


def text_of(body: dict[str, Any]) -> str:
    """Which case the last user message asks for."""
    return json.dumps(body["messages"][-1])


def alpha_reply(seen: Seen) -> list:
    body = seen.json
    said = text_of(body)
    if "limit me" in said:
        return answer(
            429,
            JSON,
            {
                "error": {
                    "message": "Slow down",
                    "type": "requests",
                    "param": None,
                    "code": "rate_limit_exceeded",
                }
            },
            {"retry-after": "0"},
        )
    if "refuse me" in said:
        return answer(
            400,
            JSON,
            {
                "error": {
                    "message": "Bad thing",
                    "type": "invalid_request_error",
                    "param": "messages",
                    "code": None,
                }
            },
        )
    message: dict[str, Any] = {"role": "assistant", "content": "Hello from alpha"}
    finish = "stop"
    if "reasoning_effort" in body:
        message["reasoning_content"] = THOUGHT
    if "response_format" in body:
        message["content"] = '{"name":"Ann","age":30}'
    if body.get("tools") and body["messages"][-1]["role"] != "tool" and "weather" in said:
        calls = [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": "get_weather", "arguments": json.dumps({"city": c})},
            }
            for n, c in enumerate(CITIES)
        ]
        message, finish = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return answer(
            200,
            JSON,
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "one",
                "choices": [choice],
                "usage": usage,
            },
            {"x-request-id": "req_alpha"},
        )
    return stream(*alpha_chunks(message, finish, usage))


def alpha_chunks(message: dict[str, Any], finish: str, usage: dict[str, int]) -> list[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]
        return (
            b"data: "
            + json.dumps(
                {
                    "id": "chatcmpl-1",
                    "object": "chat.completion.chunk",
                    "created": 1,
                    "model": "one",
                    "choices": choices,
                }
            ).encode()
            + b"\n\n"
        )

    chunks = [chunk({"role": "assistant", "content": ""})]
    if "reasoning_content" in message:
        chunks.append(chunk({"reasoning_content": message["reasoning_content"]}))
    for n, call in enumerate(message.get("tool_calls") or ()):
        chunks.append(
            chunk(
                {
                    "tool_calls": [
                        {
                            "index": n,
                            "id": call["id"],
                            "type": "function",
                            "function": {"name": call["function"]["name"], "arguments": ""},
                        }
                    ]
                }
            )
        )
        chunks += [
            chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
            for piece in (call["function"]["arguments"][:5], call["function"]["arguments"][5:])
        ]
    chunks += [chunk({"content": word}) for word in (message["content"] or "").split(" ") if word]
    chunks.append(chunk({}, finish))
    last = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "one",
        "choices": [],
        "usage": usage,
    }
    return [*chunks, b"data: " + json.dumps(last).encode() + b"\n\n", b"data: [DONE]\n\n"]


def beta_reply(seen: Seen) -> list:
    if seen.path.endswith("count_tokens"):
        return answer(200, JSON, {"input_tokens": 42})
    body = seen.json
    said = text_of(body)
    if "limit me" in said:
        return answer(
            429,
            JSON,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}},
            {"retry-after": "0"},
        )
    if "refuse me" in said:
        return answer(
            400, JSON, {"type": "error", "error": {"type": "invalid_request_error", "message": "Bad thing"}}
        )
    blocks: list[dict[str, Any]] = [{"type": "text", "text": "Hello from beta"}]
    reason = "end_turn"
    if "format" in body.get("output_config", {}):
        blocks = [{"type": "text", "text": '{"name":"Ann","age":30}'}]
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive") or "effort" in body.get(
        "output_config", {}
    ):
        blocks.insert(0, {"type": "thinking", "thinking": THOUGHT, "signature": "sig=="})
    if body.get("tools") and "tool_result" not in said and "weather" in said:
        blocks = [
            {"type": "tool_use", "id": f"toolu_{n}", "name": "get_weather", "input": {"city": c}}
            for n, c in enumerate(CITIES)
        ]
        reason = "tool_use"
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "two",
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return answer(200, JSON, message, {"request-id": "req_beta"})
    return stream(*beta_events(message))


def beta_events(message: dict[str, Any]) -> list[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    out = [event("message_start", message={**message, "content": [], "stop_reason": None}), event("ping")]
    for n, block in enumerate(message["content"]):
        if block["type"] == "text":
            out.append(event("content_block_start", index=n, content_block={"type": "text", "text": ""}))
            out += [
                event("content_block_delta", index=n, delta={"type": "text_delta", "text": w})
                for w in (block["text"][:6], block["text"][6:])
            ]
        elif block["type"] == "thinking":
            out.append(
                event(
                    "content_block_start",
                    index=n,
                    content_block={"type": "thinking", "thinking": "", "signature": ""},
                )
            )
            out.append(
                event(
                    "content_block_delta",
                    index=n,
                    delta={"type": "thinking_delta", "thinking": block["thinking"]},
                )
            )
            out.append(
                event(
                    "content_block_delta",
                    index=n,
                    delta={"type": "signature_delta", "signature": block["signature"]},
                )
            )
        else:
            out.append(event("content_block_start", index=n, content_block={**block, "input": {}}))
            out.append(
                event(
                    "content_block_delta",
                    index=n,
                    delta={"type": "input_json_delta", "partial_json": json.dumps(block["input"])},
                )
            )
        out.append(event("content_block_stop", index=n))
    out.append(
        event(
            "message_delta",
            delta={"stop_reason": message["stop_reason"], "stop_sequence": None},
            usage={"output_tokens": 7},
        )
    )
    return [*out, event("message_stop")]
