"""What is asked of a gateway: kinds of requests, and how hard each is sent.

A scenario is a row of a table, and its request body is a pure function of the row and a
model name.  Nothing here starts a process or opens a socket.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One kind of request, and how hard it is sent."""

    key: str
    title: str
    short: str  # for the head of a column
    upstream: str  # "openai" or "anthropic": which model (and so upstream API) is asked for
    stream: bool
    rate: float  # requests/s of the fixed-rate part
    connections: int = 32  # of the closed-loop part
    padding: int = 0  # extra bytes of prompt
    delay_us: int = 0  # pause between two chunks of a stream
    chunks: int = 64
    ingress: str = "openai"  # API spoken to the gateway

    @property
    def stamps(self) -> int:
        """Time stamps that a whole answer carries."""
        return self.chunks if self.stream else 1


SCENARIOS = {
    s.key: s
    for s in (
        Scenario("a", "chat, JSON, OpenAI upstream", "JSON", "openai", False, 50),
        Scenario(
            "A",
            "chat, JSON, OpenAI upstream, 100 KB request",
            "JSON, 100 KB request",
            "openai",
            False,
            30,
            padding=100_000,
        ),
        Scenario(
            "b", "chat, JSON, Anthropic upstream (translated)", "JSON, translated", "anthropic", False, 50
        ),
        Scenario("c", "chat, SSE 64 chunks at once, OpenAI upstream", "stream at once", "openai", True, 10),
        Scenario(
            "C",
            "chat, SSE 64 chunks 10 ms apart, OpenAI upstream",
            "stream paced",
            "openai",
            True,
            10,
            64,
            delay_us=10_000,
        ),
        Scenario(
            "d",
            "chat, SSE 64 chunks at once, Anthropic upstream (translated)",
            "stream at once, translated",
            "anthropic",
            True,
            10,
        ),
        Scenario(
            "D",
            "chat, SSE 64 chunks 10 ms apart, Anthropic upstream (translated)",
            "stream paced, translated",
            "anthropic",
            True,
            10,
            64,
            delay_us=10_000,
        ),
        Scenario(
            "m",
            "messages, JSON, Anthropic upstream",
            "Messages, JSON",
            "anthropic",
            False,
            50,
            ingress="anthropic",
        ),
        Scenario(
            "n",
            "messages, SSE 64 chunks at once, Anthropic upstream",
            "Messages, stream at once",
            "anthropic",
            True,
            10,
            ingress="anthropic",
        ),
    )
}

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}

_SENTENCE = "The gateway keeps every byte of the prompt and forwards it to the upstream. "


def request_body(scenario: Scenario, model: str) -> bytes:
    """About 1 KB: a system prompt and three messages, plus the scenario's padding."""
    directive = f"[[mock chunks={scenario.chunks} delay_us={scenario.delay_us} ttfb_us=0]]"
    system = "You are a careful assistant. " + _SENTENCE * 5
    padding = (_SENTENCE * (scenario.padding // len(_SENTENCE) + 1))[: scenario.padding]
    messages = [
        {"role": "user", "content": "What does a gateway do? " + _SENTENCE * 2},
        {"role": "assistant", "content": "It routes requests. " + _SENTENCE * 2 + padding},
        {"role": "user", "content": "Say it again in other words. " + directive},
    ]
    body: dict[str, object] = {"model": model}
    if scenario.ingress == "anthropic":
        body |= {"system": system, "messages": messages}
    else:
        body["messages"] = [{"role": "system", "content": system}, *messages]
    body |= {"max_tokens": 256, "temperature": 0.7}
    if scenario.stream:
        body["stream"] = True
    return json.dumps(body).encode()
