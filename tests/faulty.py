"""A scripted provider that does what the model's name says: `reset.7` breaks the connection, whoever asks.

What follows the first dot only tells cases apart, so that each has a breaker of its own. One function a
fault, in both dialects; `BEFORE` are the faults before any content, `AFTER` those in the midst of a stream.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple

from tests.upstream import CLOSE, JSON, RESET, Seen, Step, answer, stream

TEXT = "Hello there"
INPUT, OUTPUT = 11, 7
NEVER = 10.0  # seconds: longer than any test waits


class Wire(NamedTuple):
    """What a provider of one dialect says, piece by piece."""

    reply: dict[str, Any]
    open: list[bytes]
    content: list[bytes]
    end: list[bytes]
    ping: bytes
    broken: bytes  # an event that is no JSON
    failed: bytes  # an event that tells an error

    def error(self, kind: str, message: str) -> dict[str, Any]:
        if self is CHAT:
            return {"error": {"message": message, "type": kind, "param": None, "code": None}}
        return {"type": "error", "error": {"type": kind, "message": message}}


def _chunk(
    delta: dict[str, Any] | None, reason: str | None = None, usage: dict[str, int] | None = None
) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    told: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
    }
    return b"data: " + json.dumps(told | ({"usage": usage} if usage else {})).encode() + b"\n\n"


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


CHAT_USAGE = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
USAGE = {"input_tokens": INPUT, "output_tokens": OUTPUT}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
BEGUN = MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": INPUT, "output_tokens": 1}}
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}

CHAT = Wire(
    reply={
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": CHAT_USAGE,
    },
    open=[_chunk({"role": "assistant", "content": ""})],
    content=[_chunk({"content": "Hello "}), _chunk({"content": "there"})],
    end=[_chunk({}, "stop"), _chunk(None, usage=CHAT_USAGE), b"data: [DONE]\n\n"],
    ping=b": keep-alive\n\n",
    broken=b'data: {"choices": [{"delta": {"content"\n\n',
    failed=b"data: "
    + json.dumps({"error": {"message": "Overloaded", "type": "server_error", "code": "overloaded"}}).encode()
    + b"\n\n",
)
MESSAGES = Wire(
    reply=MESSAGE,
    open=[
        _event("message_start", message=BEGUN),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ],
    content=[
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": t})
        for t in ("Hello ", "there")
    ],
    end=[
        _event("content_block_stop", index=0),
        _event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": OUTPUT},
        ),
        _event("message_stop"),
    ],
    ping=_event("ping"),
    broken=b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta\n\n',
    failed=_event("error", error=OVERLOADED),
)

Play = Callable[[Wire, bool], Sequence[Step]]


def _good(w: Wire, streamed: bool) -> Sequence[Step]:
    return (
        stream(*w.open, w.ping, *w.content, *w.end)
        if streamed
        else answer(200, JSON, w.reply, {"x-request-id": "req_1", "request-id": "req_1"})
    )


def _half(last: Step) -> Play:
    """Headers, and a part of what was promised, but no content of a stream."""

    def play(w: Wire, streamed: bool) -> Sequence[Step]:
        if streamed:
            return stream(*w.open, 0.02, last, end=False)
        (whole,) = answer(200, JSON, w.reply)
        assert isinstance(whole, bytes)
        return [whole[:-30], 0.02, last]

    return play


def _status(status: int, kind: str = "api_error", **headers: str) -> Play:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda w, streamed: answer(status, JSON, w.error(kind, f"made up {status}"), named)


def _pings(w: Wire, streamed: bool) -> Sequence[Step]:
    return stream(*w.open, *[s for _ in range(60) for s in (w.ping, 0.05)], end=False)


class Before(NamedTuple):
    play: Play
    state: str  # of the ledger's row
    fault: str
    streams_only: bool = False


BEFORE: dict[str, Before] = {
    "reset": Before(lambda w, s: [RESET], "unknown", "provider_error"),
    "close": Before(lambda w, s: [CLOSE], "unknown", "provider_error"),
    "reset-body": Before(_half(RESET), "estimated", "provider_error"),
    "eof-body": Before(_half(CLOSE), "estimated", "provider_answer"),
    "html": Before(
        lambda w, s: answer(200, "text/html", "<html>Bad gateway</html>"), "estimated", "provider_answer"
    ),
    "malformed": Before(
        lambda w, s: stream(w.broken) if s else answer(200, JSON, '{"choices": 7'),
        "estimated",
        "provider_answer",
    ),
    "error-200": Before(
        lambda w, s: stream(w.failed) if s else answer(200, JSON, w.error("overloaded_error", "Overloaded")),
        "estimated",
        "overloaded",
    ),
    "no-answer": Before(lambda w, s: [NEVER], "unknown", "timeout", streams_only=True),
    "no-content": Before(
        lambda w, s: stream(*w.open, NEVER, end=False), "estimated", "timeout", streams_only=True
    ),
    "pings": Before(_pings, "estimated", "timeout", streams_only=True),
    "500": Before(_status(500), "void", "provider_error"),
    "503": Before(_status(503), "void", "unavailable"),
    "529": Before(_status(529, "overloaded_error"), "void", "overloaded"),
    "429": Before(_status(429, "rate_limit_error"), "void", "rate_limited"),
    "429-wait": Before(_status(429, "rate_limit_error", retry_after="2"), "void", "rate_limited"),
    "401": Before(_status(401, "authentication_error"), "void", "provider_authentication"),
    "403": Before(_status(403, "permission_error"), "void", "provider_authentication"),
    "404": Before(_status(404, "not_found_error"), "void", "not_found"),
    "302": Before(
        lambda w, s: answer(302, "text/html", "moved", {"location": "http://127.0.0.1:9/"}),
        "void",
        "provider_answer",
    ),
}

AFTER: dict[str, tuple[Play, str]] = {
    # what a stream does after its first content -> (the steps, the ledger's fault)
    "then-reset": (lambda w, s: stream(*w.open, *w.content, 0.05, RESET, end=False), "provider_error"),
    "then-cut": (lambda w, s: stream(*w.open, *w.content, 0.05, CLOSE, end=False), "provider_answer"),
    "then-end": (lambda w, s: stream(*w.open, *w.content), "provider_answer"),
    "then-stall": (lambda w, s: stream(*w.open, *w.content, NEVER, end=False), "timeout"),
    "then-pings": (
        lambda w, s: stream(*w.open, *w.content, *[p for _ in range(60) for p in (w.ping, 0.05)], end=False),
        "timeout",
    ),
    "then-error": (lambda w, s: stream(*w.open, *w.content, 0.05, w.failed), "overloaded"),
    "then-broken": (lambda w, s: stream(*w.open, *w.content, 0.05, w.broken, *w.end), "provider_answer"),
}

REFUSALS: dict[str, tuple[int, str]] = {
    # what the caller did wrong -> (status, the wire's word)
    "400": (400, "invalid_request_error"),
    "404-here": (404, "not_found_error"),
    "413": (413, "request_too_large"),
    "422": (422, "invalid_request_error"),
}


def _later(w: Wire, streamed: bool) -> Sequence[Step]:
    """The whole answer, with a pause in its midst."""
    if streamed:
        return stream(*w.open, *w.content, 0.6, *w.end)
    return [0.6, *_good(w, streamed)]


def _soon(w: Wire, streamed: bool) -> Sequence[Step]:
    """A small pause, so that a moment chosen by chance falls into the midst of some answer."""
    if streamed:
        return stream(*w.open, 0.01, w.content[0], 0.02, w.content[1], *w.end)
    return [0.03, *_good(w, streamed)]


def _drip(w: Wire, streamed: bool) -> Sequence[Step]:
    return stream(*w.open, *w.content, NEVER, end=False) if streamed else [NEVER]


def _flood(w: Wire, streamed: bool) -> Sequence[Step]:
    more = w.content[0].replace(b"Hello ", b"x" * 16_000)
    return stream(*w.open, *w.content, *[more] * FLOOD, *w.end)


FLOOD = 2_000  # pieces of 16 KB


def _billed(*changes: tuple[str, Any]) -> Play:
    """A good answer whose usage is none: each change is (input or output, what is told of it)."""

    def play(w: Wire, streamed: bool) -> Sequence[Step]:
        names = (
            {"input": "prompt_tokens", "output": "completion_tokens"}
            if w is CHAT
            else {"input": "input_tokens", "output": "output_tokens"}
        )
        told = {names[side]: count for side, count in changes}
        if not streamed:
            return answer(200, JSON, w.reply | {"usage": w.reply["usage"] | told})
        if w is CHAT:
            return stream(*w.open, *w.content, w.end[0], _chunk(None, usage=CHAT_USAGE | told), w.end[2])
        begun = _event("message_start", message=BEGUN | {"usage": BEGUN["usage"] | told})
        return stream(
            begun,
            w.open[1],
            *w.content,
            w.end[0],
            _event(
                "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=USAGE | told
            ),
            w.end[2],
        )

    return play


def _untold(w: Wire) -> list[bytes]:
    if w is CHAT:
        return [*w.open, *w.content, w.end[0], w.end[2]]
    begun = _event("message_start", message={k: v for k, v in BEGUN.items() if k != "usage"})
    return [
        begun,
        w.open[1],
        *w.content,
        w.end[0],
        _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}),
        w.end[2],
    ]


OTHER: dict[str, Play] = {
    "good": _good,
    "later": _later,
    "soon": _soon,
    "drip": _drip,
    "flood": _flood,
    "usage-negative": _billed(("input", -5)),
    "usage-huge": _billed(("output", 10**23)),
    "no-usage": lambda w, s: stream(*_untold(w)) if s else answer(200, JSON, w.reply | {"usage": None}),
}


class Faulty:
    """`respond` of an `Upstream`, for the wire it speaks."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.asked: Counter[str] = Counter()  # by model
        self.last: dict[str, Seen] = {}  # the last request for each model
        self.attempts: list[str] = []
        self.also: dict[str, str] = {}  # more names of models, and which one each stands for

    def __call__(self, seen: Seen) -> Sequence[Step]:
        body = seen.json
        model: str = body["model"]
        self.asked[model] += 1
        self.last[model] = seen
        self.attempts.append(seen.headers.get("x-fungible-attempt", ""))
        name, streamed = self.also.get(model, model).partition(".")[0], bool(body.get("stream"))
        if name.startswith("once-"):
            name = "good" if self.asked[model] > 1 else name
        return self._play(name, seen)(self.wire, streamed)

    def _play(self, name: str, seen: Seen) -> Play:
        if name in BEFORE:
            return BEFORE[name].play
        if name in AFTER:
            return AFTER[name][0]
        if name in REFUSALS:
            status, kind = REFUSALS[name]
            return _status(status, kind)
        if name.startswith("once-"):
            return _status(429, "rate_limit_error", **WAITS[name](time.time()))
        if name.startswith("echo-"):  # repeats the key that it was sent
            key = seen.headers.get("authorization") or seen.headers["x-api-key"]
            status = int(name.removeprefix("echo-"))
            kind = "authentication_error" if status == 401 else "invalid_request_error"
            return lambda w, s: answer(status, JSON, w.error(kind, f"Incorrect API key: {key}"))
        return OTHER[name]


WAITS: dict[str, Callable[[float], dict[str, str]]] = {
    # how a provider says when to come back -> the headers, given the time
    "once-seconds": lambda now: {"retry_after": "1"},
    "once-ms": lambda now: {"retry_after_ms": "400"},
    "once-date": lambda now: {"retry_after": formatdate(int(now) + 2, usegmt=True)},
    "once-negative": lambda now: {"retry_after": "-5"},
    "once-nonsense": lambda now: {"retry_after": "soon"},
    "once-absurd": lambda now: {"retry_after": "1000000000"},
    "once-nothing": lambda now: {},
}


def cases(names: Sequence[str], *more: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Every combination, the names first."""
    combined: list[tuple[Any, ...]] = [(name,) for name in names]
    for values in more:
        combined = [(*case, value) for case in combined for value in values]
    return iter(combined)
