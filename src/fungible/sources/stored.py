"""`openai-stored`: chat completions that OpenAI kept (`store: true`), one JSON object a line.

Each is the completion as `GET /v1/chat/completions/ID` tells it, with its `messages` beside, as a list or as
the page that `GET .../ID/messages` gives. A line of fine-tuning data (`messages` alone, the last of which is
the assistant's) is read as well. Source: OpenAI's API reference, Chat Completions, "list" and "messages".
"""

from collections.abc import Iterator, Sequence

from ..faults import Fault
from ..recording import Recording
from . import chat
from .rows import Entry, Json, count, fields, first, mapping, text, time_ms
from .rows import entries as row_entries

ASKED = (
    "tools", "tool_choice", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed",
    "response_format", "max_completion_tokens", "max_tokens", "stop", "n", "reasoning_effort",
    "parallel_tool_calls",
)  # fmt: skip
OF_A_PAGE = frozenset({"id", "object", "content_parts"})


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    return row_entries(paths, _made)


def _made(row: dict[str, Json]) -> Recording:
    messages = first(row, "messages", "input_messages", "input")
    if isinstance(messages, dict):
        messages = messages.get("data")
    if not isinstance(messages, list):
        raise Fault("bad_request", "It has no messages. Export each completion with its messages.")
    told = [_message(message) for message in messages]
    said: Json = row
    if not isinstance(row.get("choices"), list):
        if told[-1].get("role") != "assistant":
            raise Fault("bad_request", "It has no choices, and its last message is not the assistant's.")
        said = told.pop()
    model = text(first(row, "request_model", "model"))
    usage = chat.usage_of(row)
    id, at_ms = text(row.get("id")) or "stored", time_ms(row.get("created")) or 0
    completion = {
        k: row[k]
        for k in (
            "id",
            "object",
            "created",
            "model",
            "choices",
            "usage",
            "service_tier",
            "system_fingerprint",
        )
        if row.get(k) is not None
    }
    made = Recording(
        id=id,
        at_ms=at_ms,
        route=model or "stored",
        dialect=chat.DIALECT,
        request=chat.request(model or "stored", told, **{k: row.get(k) for k in ASKED}),
        model=text(row.get("model")),
        reply=chat.reply(id, model, completion if said is row else said, created_ms=at_ms),
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
    )
    return chat.named(made, fields(row.get("metadata")))


def _message(message: Json) -> dict[str, Json]:
    """A message of a page is as it was sent, but for an id; what was no text stands in `content_parts`."""
    message = mapping(message, "A message")
    parts = message.get("content_parts")
    told = {k: v for k, v in message.items() if k not in OF_A_PAGE and v is not None}
    return told | {"content": parts if parts else message.get("content")}
