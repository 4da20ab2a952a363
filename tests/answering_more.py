"""What two more scripted providers answer: gamma in ollama.chat, delta in cohere.chat."""

import json
from typing import Any

from tests.answering import CITIES, text_of
from tests.upstream import JSON, Seen, Step, answer, stream


def _is_asked_for_weather(body: dict[str, Any], said: str) -> bool:
    return bool(body.get("tools")) and body["messages"][-1]["role"] != "tool" and "weather" in said


def gamma_reply(seen: Seen) -> list[Step]:
    """As Ollama: streamed unless told otherwise, a line for each piece."""
    body = seen.json
    said = text_of(body)
    if "limit me" in said:
        return answer(429, JSON, {"error": "Slow down"}, {"retry-after": "0"})
    if "refuse me" in said:
        return answer(400, JSON, {"error": "Bad thing"})
    message: dict[str, Any] = {"role": "assistant", "content": "Hello from gamma"}
    if body.get("format"):
        message["content"] = '{"name":"Ann","age":30}'
    if body.get("think"):
        message["thinking"] = "Let me see"
    if _is_asked_for_weather(body, said):
        calls = [
            {"id": f"call_g{n}", "function": {"index": n, "name": "get_weather", "arguments": {"city": city}}}
            for n, city in enumerate(CITIES)
        ]
        message = {"role": "assistant", "content": "", "tool_calls": calls}
    head = {"model": body["model"], "created_at": "2026-01-02T03:04:05.123456789Z"}
    end = {
        "done": True,
        "done_reason": "stop",
        "total_duration": 5,
        "prompt_eval_count": 11,
        "eval_count": 7,
    }
    if body.get("stream") is False:
        return answer(200, JSON, {**head, "message": message, **end})
    pieces: list[dict[str, Any]] = []
    if "thinking" in message:
        pieces.append({"content": "", "thinking": message["thinking"]})
    pieces += [{"content": text} for text in (message["content"][:6], message["content"][6:]) if text]
    pieces += [{"content": "", "tool_calls": [call]} for call in message.get("tool_calls", ())]
    lines = [{**head, "message": {"role": "assistant", **piece}, "done": False} for piece in pieces]
    if "break off" in said:
        broken = json.dumps({"error": "the model runner is gone"}).encode()
        return stream(*[json.dumps(line).encode() + b"\n" for line in lines], 0.3, broken + b"\n")
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **end})
    return stream(*[json.dumps(line).encode() + b"\n" for line in lines])


def delta_reply(seen: Seen) -> list[Step]:
    """As Cohere: blocks, a plan before calls, what is billed."""
    body = seen.json
    said = text_of(body)
    if "limit me" in said:
        return answer(429, JSON, {"message": "Slow down"}, {"retry-after": "0"})
    if "refuse me" in said:
        return answer(400, JSON, {"message": "Bad thing"})
    text = '{"name":"Ann","age":30}' if body.get("response_format") else "Hello from delta"
    message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    finish = "COMPLETE"
    if body.get("thinking", {}).get("type") == "enabled":
        message["content"].insert(0, {"type": "thinking", "thinking": "Let me see"})
    if _is_asked_for_weather(body, said):
        calls = [
            {
                "id": f"get_weather_{n}",
                "type": "function",
                "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
            }
            for n, city in enumerate(CITIES)
        ]
        message, finish = {"role": "assistant", "tool_plan": "I will look.", "tool_calls": calls}, "TOOL_CALL"
    counts = {"input_tokens": 11, "output_tokens": 7}
    usage = {"billed_units": counts, "tokens": {"input_tokens": 80, "output_tokens": 9}, "cached_tokens": 0}
    if not body.get("stream"):
        return answer(200, JSON, {"id": "d-1", "finish_reason": finish, "message": message, "usage": usage})
    return stream(*delta_events(message, finish, usage))


def delta_events(message: dict[str, Any], finish: str, usage: dict[str, Any]) -> list[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    def told(**fields: Any) -> dict[str, Any]:
        return {"message": fields}

    empty: dict[str, Any] = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    out = [event("message-start", id="d-1", delta=told(role="assistant", **empty))]
    for n, block in enumerate(message.get("content", ())):
        kind = block["type"]
        out.append(event("content-start", index=n, delta=told(content={"type": kind, kind: ""})))
        pieces = (block[kind][:6], block[kind][6:])
        out += [event("content-delta", index=n, delta=told(content={kind: piece})) for piece in pieces]
        out.append(event("content-end", index=n))
    if message.get("tool_plan"):
        out.append(event("tool-plan-delta", delta=told(tool_plan=message["tool_plan"])))
    for n, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        begun = {**call, "function": {**function, "arguments": ""}}
        out.append(event("tool-call-start", index=n, delta=told(tool_calls=begun)))
        for piece in (function["arguments"][:5], function["arguments"][5:]):
            grown = {"function": {"arguments": piece}}
            out.append(event("tool-call-delta", index=n, delta=told(tool_calls=grown)))
        out.append(event("tool-call-end", index=n))
    out.append(event("message-end", delta={"finish_reason": finish, "usage": usage}))
    return [*out, b"data: [DONE]\n\n"]
