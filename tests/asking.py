"""Calls through the official SDKs, and what came of each: the same questions for both dialects."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

HELLO: Any = [{"role": "user", "content": "Hello"}]
SDKS: dict[str, Any] = {"openai": openai, "anthropic": anthropic}


@dataclass
class Outcome:
    """`error`: what the SDK raised. `text` and `stops` are what had arrived until then."""

    text: str = ""
    stops: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    status: int = 0
    seconds: float = 0.0

    @property
    def call(self) -> str:
        return self.headers["x-fungible-call"]

    @property
    def told(self) -> str:
        return str(self.error)


class Asker:
    """Both SDKs on one server."""

    def __init__(self, url: str, key: str, **options: Any) -> None:
        options = {"max_retries": 0, "timeout": 20, **options}
        self.openai = openai.OpenAI(api_key=key, base_url=f"{url}/v1", **options)
        self.anthropic = anthropic.Anthropic(api_key=key, base_url=url, **options)

    def __call__(
        self, sdk: str, model: str, streamed: bool = False, prompt: str = "Hello", **fields: Any
    ) -> Outcome:
        outcome = Outcome()
        began = time.monotonic()
        messages: Any = [{"role": "user", "content": prompt}]
        request = {"model": model, "messages": messages, "max_tokens": 20, "stream": streamed, **fields}
        create = (
            self.openai.chat.completions.with_raw_response
            if sdk == "openai"
            else self.anthropic.messages.with_raw_response
        )
        try:
            raw: Any = create.create(**request)
            outcome.status, outcome.headers = raw.status_code, dict(raw.headers)
            (self._stream if streamed else self._plain)(raw.parse(), outcome)
        except Exception as error:
            outcome.error = error
            response = getattr(error, "response", None)
            if response is not None and not outcome.status:
                outcome.status, outcome.headers = response.status_code, dict(response.headers)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _plain(self, reply: Any, outcome: Outcome) -> None:
        if isinstance(reply, anthropic.types.Message):
            outcome.text, outcome.stops = (
                "".join(b.text for b in reply.content if b.type == "text"),
                [reply.stop_reason or ""],
            )
        else:
            outcome.text, outcome.stops = reply.choices[0].message.content, [reply.choices[0].finish_reason]

    def _stream(self, events: Any, outcome: Outcome) -> None:
        for event in events:
            if getattr(event, "choices", None):
                outcome.text += event.choices[0].delta.content or ""
                outcome.stops += [event.choices[0].finish_reason] if event.choices[0].finish_reason else []
            elif getattr(event, "type", "") == "content_block_delta":
                outcome.text += event.delta.text
            elif getattr(event, "type", "") == "message_stop":
                outcome.stops.append("message_stop")

    def all(self, asked: list[tuple[Any, ...]], threads: int = 8) -> list[Outcome]:
        """Several at a time; the outcomes in the order asked."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda question: self(*question), asked))
