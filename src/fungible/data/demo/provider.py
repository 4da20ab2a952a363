"""A scripted provider on loopback, for the demo: it speaks one provider's dialect, from a script.

    python -m fungible.data.demo.provider openai.chat 0 alpha ./log

It is not a model. It knows one question, can ask for the weather, and repeats what the tool said. It counts
tokens as words, writes each answered attempt to its log as one JSON line (what it would put on a bill), and
prints its port when it is ready.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ...ir import Json

WORD_S = 0.012  # between two words of a stream
SENTENCE = "fungible lets an application keep the API it speaks and use any model behind it, says {name}."
CITY = re.compile(r"in ([A-Z][a-zé]+)")


class Turn:
    """What the script says to one request: text, or a call of the first tool."""

    def __init__(self, body: Json, name: str) -> None:
        last = body["messages"][-1]
        said = json.dumps(last, ensure_ascii=False)
        self.model = body["model"]
        self.stream = bool(body.get("stream"))
        self.tool: str | None = None
        self.arguments: dict[str, str] = {}
        result = tool_result(last)
        city = CITY.search(said)
        if result is not None:
            self.text = f"{result}, says {name}."
        elif body.get("tools") and city is not None:
            tool = body["tools"][0]
            self.tool = tool.get("name") or tool["function"]["name"]
            self.arguments = {"city": city[1]}
            self.text = ""
        else:
            self.text = SENTENCE.format(name=name)
        self.input_tokens = len(re.findall(r"\w+", json.dumps(body["messages"])))
        self.output_tokens = len(self.text.split()) or 8


def tool_result(message: Json) -> str | None:
    """The text of a tool's result, in either dialect's form; None where the message is no result."""
    if message["role"] == "tool":
        content = message["content"]
        return content if isinstance(content, str) else content[0]["text"]
    if isinstance(message["content"], list):
        for block in message["content"]:
            if block["type"] == "tool_result":
                content = block["content"]
                return content if isinstance(content, str) else content[0]["text"]
    return None


# --- openai.chat -------------------------------------------------------------------------------------


def chat_usage(turn: Turn) -> Json:
    total = turn.input_tokens + turn.output_tokens
    return {
        "prompt_tokens": turn.input_tokens,
        "completion_tokens": turn.output_tokens,
        "total_tokens": total,
    }


def chat_plain(turn: Turn, number: int) -> Json:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.tool:
        function = {"name": turn.tool, "arguments": json.dumps(turn.arguments)}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": turn.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if turn.tool else "stop"}],
        "usage": chat_usage(turn),
    }


def chat_stream(turn: Turn, number: int) -> Iterator[bytes]:
    base = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": turn.model,
    }

    def chunk(delta: Json, finish: str | None = None, **more: Json) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return b"data: " + json.dumps({**base, "choices": choices, **more}).encode() + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    if turn.tool:
        function = {"name": turn.tool, "arguments": ""}
        yield chunk(
            {"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]}
        )
        for piece in re.findall(r".{1,6}", json.dumps(turn.arguments)):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    for word in re.findall(r"\S+\s*", turn.text):
        yield chunk({"content": word})
    yield chunk({}, "tool_calls" if turn.tool else "stop")
    yield b"data: " + json.dumps({**base, "choices": [], "usage": chat_usage(turn)}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


# --- anthropic.messages ------------------------------------------------------------------------------


def messages_plain(turn: Turn, number: int) -> Json:
    block: dict[str, Any] = {"type": "text", "text": turn.text}
    if turn.tool:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": turn.tool, "input": turn.arguments}
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [block],
        "stop_reason": "tool_use" if turn.tool else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": turn.input_tokens, "output_tokens": turn.output_tokens},
    }


def messages_stream(turn: Turn, number: int) -> Iterator[bytes]:
    def event(kind: str, **more: Json) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    whole = messages_plain(turn, number)
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield event("message_start", message=begun)
    if turn.tool:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": turn.tool, "input": {}}
        yield event("content_block_start", index=0, content_block=block)
        for piece in re.findall(r".{1,6}", json.dumps(turn.arguments)):
            yield event(
                "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece}
            )
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in re.findall(r"\S+\s*", turn.text):
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": turn.output_tokens})
    yield event("message_stop")


WRITERS = {"openai.chat": (chat_plain, chat_stream), "anthropic.messages": (messages_plain, messages_stream)}


def handler(dialect: str, name: str, log: Path) -> type[BaseHTTPRequestHandler]:
    plain, streamed = WRITERS[dialect]
    lock = threading.Lock()
    count = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """The log of bills is enough."""

        def do_POST(self) -> None:
            nonlocal count
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                count += 1
                number = count
            turn = Turn(body, name)
            try:
                if turn.stream:
                    self.stream_of(streamed(turn, number), turn)
                else:
                    self.whole(json.dumps(plain(turn, number)).encode(), turn)
            except (BrokenPipeError, ConnectionResetError):
                return

        def bill(self, turn: Turn) -> None:
            """Before the answer's last byte: who has the answer may kill this process."""
            row = {
                "model": turn.model,
                "input_tokens": turn.input_tokens,
                "output_tokens": turn.output_tokens,
            }
            row["attempt"] = self.headers.get("x-fungible-attempt", "")
            with lock, log.open("a") as file:
                file.write(json.dumps(row) + "\n")

        def whole(self, data: bytes, turn: Turn) -> None:
            self.bill(turn)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def stream_of(self, pieces: Iterator[bytes], turn: Turn) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
                time.sleep(WORD_S)
            self.bill(turn)
            self.wfile.write(b"0\r\n\r\n")

    return Handler


def main(dialect: str, port: str, name: str, log: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler(dialect, name, Path(log)))
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
