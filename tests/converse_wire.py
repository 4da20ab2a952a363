"""A scripted provider that speaks bedrock.converse, and its frames, made without the code under test."""

import json
import struct
import zlib
from typing import Any

from tests.upstream import JSON, Seen, Step, answer

EVENT_STREAM = "application/vnd.amazon.eventstream"
CITIES = ("Paris", "Oslo")
USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
BEFORE_IT_BREAKS_S = 0.2


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    block = b""
    for name, value in headers.items():
        block += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
    begin = struct.pack("!II", len(block) + len(payload) + 16, len(block))
    begin += struct.pack("!I", zlib.crc32(begin))
    body = begin + block + payload
    return body + struct.pack("!I", zlib.crc32(body))


def event(name: str, body: Any) -> bytes:
    headers = {":event-type": name, ":content-type": JSON, ":message-type": "event"}
    return frame(headers, json.dumps({**body, "p": "abcd"}).encode())


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":content-type": JSON, ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def gamma_reply(seen: Seen) -> list[Step]:
    if seen.path.endswith("count-tokens"):
        return answer(200, JSON, {"inputTokens": 42})
    body = seen.json
    said = json.dumps(body["messages"][-1])
    kinds = {
        "limit me": (429, "ThrottlingException", "Slow down"),
        "refuse me": (400, "ValidationException", "Bad thing"),
    }
    for words, (status, name, message) in kinds.items():
        if words in said:
            headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/", "retry-after": "0"}
            return answer(status, JSON, {"message": message}, headers)
    content: list[Any] = [{"text": "Hello from gamma"}]
    stop = "end_turn"
    if "outputConfig" in body:
        content = [{"text": '{"name":"Ann","age":30}'}]
    if "thinking" in body.get("additionalModelRequestFields", {}):
        thought = {"text": "Let me see", "signature": "sig=="}
        content.insert(0, {"reasoningContent": {"reasoningText": thought}})
    if body.get("toolConfig") and "weather" in said and "toolResult" not in said:
        content = [
            {"toolUse": {"toolUseId": f"tooluse_{n}", "name": "get_weather", "input": {"city": city}}}
            for n, city in enumerate(CITIES)
        ]
        stop = "tool_use"
    if not seen.path.endswith("converse-stream"):
        message = {"role": "assistant", "content": content}
        told = {
            "output": {"message": message},
            "stopReason": stop,
            "usage": USAGE,
            "metrics": {"latencyMs": 5},
        }
        return answer(200, JSON, told, {"x-amzn-requestid": "req_gamma"})
    return streamed(content, stop, "break off" in said)


def streamed(content: list[Any], stop: str, breaks: bool) -> list[Step]:
    frames = [event("messageStart", {"role": "assistant"})]
    for n, block in enumerate(content):
        at = {"contentBlockIndex": n}
        if "toolUse" in block:
            called = {k: v for k, v in block["toolUse"].items() if k != "input"}
            frames.append(event("contentBlockStart", {**at, "start": {"toolUse": called}}))
            text = json.dumps(block["toolUse"]["input"])
            deltas = [{"toolUse": {"input": piece}} for piece in (text[:4], text[4:])]
        elif "reasoningContent" in block:
            told = block["reasoningContent"]["reasoningText"].items()
            deltas = [{"reasoningContent": {name: value}} for name, value in told]
        else:
            deltas = [{"text": word} for word in block["text"].split(" ")]
        frames += [event("contentBlockDelta", {**at, "delta": delta}) for delta in deltas]
        frames.append(event("contentBlockStop", at))
    if breaks:
        frames.append(exception("throttlingException", "Too many requests"))
    else:
        frames.append(event("messageStop", {"stopReason": stop}))
        frames.append(event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}))
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {EVENT_STREAM}\r\ntransfer-encoding: chunked\r\n\r\n"
    steps: list[Step] = [head.encode(), *[b"%x\r\n%b\r\n" % (len(f), f) for f in frames], b"0\r\n\r\n"]
    if breaks:  # what came before has been shown by then
        steps.insert(-2, BEFORE_IT_BREAKS_S)
    return steps
