#!/usr/bin/env python3
"""Cost of pure translation between openai.chat and anthropic.messages, in microseconds of CPU.

    ../.venv/bin/python codec.py [--quick] [--json]

No server and no socket: the dialects' own readers and writers on bytes, as a call in the
server walks them, and `fungible.translate` as a program meets it.  A figure is CPU time of
this process per call (or per stream event); each is measured in short repeats, and the
median and the least of them are printed.  The bodies are the load's 1 KB request and
answers like the mock upstream's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from scenarios import SCENARIOS, request_body
from tables import markdown

from fungible import translate
from fungible.dialects import dialect
from fungible.losses import Report

if TYPE_CHECKING:
    from fungible.dialects.base import Dialect

OPENAI, ANTHROPIC = "openai.chat", "anthropic.messages"
EVENTS = 64
WORDS = "the quick brown fox jumps over the lazy dog"
REPEATS, REPEAT_S = 7, 0.1
QUIRKS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cost:
    what: str
    per: str  # what one figure is of
    median_us: float
    least_us: float


# --------------------------------------------------------------------------- bodies


def request_of(name: str) -> bytes:
    key = {OPENAI: "a", ANTHROPIC: "m"}[name]
    return request_body(SCENARIOS[key], "gpt-4o-mini" if name == OPENAI else "claude-sonnet-4-5")


def reply_of(name: str) -> bytes:
    text = " ".join([WORDS] * 3)
    if name == OPENAI:
        message = {"role": "assistant", "content": text, "refusal": None}
        body: dict[str, object] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1760000000,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 210, "completion_tokens": 31, "total_tokens": 241},
        }
    else:
        body = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 210, "output_tokens": 31},
        }
    return json.dumps(body, separators=(",", ":")).encode()


def _chunk(delta: dict[str, object], finish: str | None) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def _event(kind: str, **rest: object) -> bytes:
    body = json.dumps({"type": kind, **rest}, separators=(",", ":"))
    return f"event: {kind}\ndata: {body}\n\n".encode()


def stream_of(name: str) -> list[bytes]:
    """The frames of a stream of EVENTS pieces of text."""
    if name == OPENAI:
        return [
            _chunk({"role": "assistant", "content": ""}, None),
            *(_chunk({"content": f" {WORDS} {i}"}, None) for i in range(EVENTS)),
            _chunk({}, "stop"),
            b"data: [DONE]\n\n",
        ]
    message: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 210, "output_tokens": 1},
    }
    return [
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" {WORDS} {i}"})
            for i in range(EVENTS)
        ),
        _event("content_block_stop", index=0),
        _event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": EVENTS},
        ),
        _event("message_stop"),
    ]


# --------------------------------------------------------------------------- what is timed


def same(name: str) -> list[tuple[str, str, int, Callable[[], object]]]:
    """Same dialect in and out: what looking at the bytes costs where they are only moved."""
    d, body, reply, frames = dialect(name), request_of(name), reply_of(name), stream_of(name)

    def request() -> object:
        return d.readdress(body, d.peek(body), "another-model", False)

    def watched(pieces: list[bytes]) -> Callable[[], object]:
        def run() -> object:
            watch = d.watch(False)
            for piece in pieces:
                watch.feed(piece)
            return watch.usage

        return run

    return [
        (f"{name}: peek and readdress a request", "request", 1, request),
        (f"{name}: usage of a reply", "reply", 1, lambda: d.read_usage(reply)),
        (f"{name}: watch a stream that came at once", "event", EVENTS, watched([b"".join(frames)])),
        (f"{name}: watch a stream, a frame at a time", "event", EVENTS, watched(frames)),
    ]


def translated(source: Dialect, target: Dialect) -> list[tuple[str, str, int, Callable[[], object]]]:
    """A request of `source` to a provider of `target`; replies and streams of `source` to a client."""
    body, reply, frames = request_of(source.name), reply_of(source.name), stream_of(source.name)
    parsed = json.loads(body)

    def request() -> object:
        return target.write_request(source.read_request(body), Report(source.names), QUIRKS)

    def answer() -> object:
        return target.write_reply(source.read_reply(reply), Report(source.names))

    def streamed(pieces: list[bytes]) -> Callable[[], object]:
        def run() -> object:
            reader, writer = source.stream_reader(), target.stream_writer(Report(source.names), True)
            out = [writer.write(reader.feed(piece)) for piece in pieces]
            return [*out, writer.write(reader.end())]

        return run

    way = f"{source.name} to {target.name}"
    return [
        (f"{way}: request", "request", 1, request),
        (
            f"{way}: request by fungible.translate",
            "request",
            1,
            lambda: translate(parsed, source=source.name, target=target.name, kind="request"),
        ),
        (f"{way}: reply", "reply", 1, answer),
        (f"{way}: stream that came at once", "event", EVENTS, streamed([b"".join(frames)])),
        (f"{way}: stream, a frame at a time", "event", EVENTS, streamed(frames)),
    ]


def measured(
    what: str, per: str, count: int, run: Callable[[], object], repeats: int, repeat_s: float
) -> Cost:
    begin = time.process_time()
    run()
    once = max(time.process_time() - begin, 1e-6)
    loops = max(1, min(200_000, int(repeat_s / once)))
    samples = []
    for _ in range(repeats):
        begin = time.process_time()
        for _ in range(loops):
            run()
        samples.append((time.process_time() - begin) / loops / count * 1e6)
    return Cost(what, per, statistics.median(samples), min(samples))


def costs(repeats: int, repeat_s: float) -> list[Cost]:
    openai, anthropic = dialect(OPENAI), dialect(ANTHROPIC)
    jobs = [
        *translated(openai, anthropic),
        *translated(anthropic, openai),
        *same(OPENAI),
        *same(ANTHROPIC),
    ]
    return [measured(*job, repeats, repeat_s) for job in jobs]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    args = parser.parse_args()
    found = costs(3 if args.quick else REPEATS, REPEAT_S / 2 if args.quick else REPEAT_S)
    if args.json:
        print(json.dumps([asdict(cost) for cost in found], indent=1))
        return 0
    rows = [[c.what, c.per, f"{c.median_us:.2f}", f"{c.least_us:.2f}"] for c in found]
    print(markdown(["pure translation", "CPU us per", "median", "least"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
