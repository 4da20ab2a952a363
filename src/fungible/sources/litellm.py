"""`litellm`: rows of LiteLLM's spend logs, or its standard logging payloads (what its callbacks write).

Both have the prompt and the answer only where the proxy was told to store them; one without is told so.
Source: LiteLLM's documentation, "StandardLoggingPayload Specification" and the table LiteLLM_SpendLogs.
"""

from collections.abc import Iterator, Sequence

from ..recording import Recording
from . import chat
from .rows import Entry, Json, count, fields, first, mapping, nanousd, parsed, text, time_ms
from .rows import entries as row_entries

CHATS = ("completion", "acompletion", "responses", "aresponses", "anthropic_messages", "")
PARAMETERS = frozenset({
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n", "seed", "tools",
    "tool_choice", "response_format", "presence_penalty", "frequency_penalty", "reasoning_effort",
    "parallel_tool_calls",
})  # fmt: skip


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    return row_entries(paths, _made)


def _made(row: dict[str, Json]) -> Recording | None:
    row = (
        mapping(row["standard_logging_object"], "standard_logging_object")
        if "standard_logging_object" in row
        else row
    )
    if text(row.get("call_type")) not in CHATS:
        return None  # embeddings, images, speech: no calls of a model of chat
    begun, ended, first_at = (
        time_ms(row.get(name)) for name in ("startTime", "endTime", "completionStartTime")
    )
    sent = parsed(row.get("proxy_server_request")) or {}
    sent = fields(fields(sent).get("body", sent))
    route = text(first(row, "model_group")) or text(sent.get("model")) or text(row.get("model"))
    asked = {
        k: v
        for k, v in {**mapping(row.get("model_parameters") or {}, "model_parameters"), **sent}.items()
        if k in PARAMETERS
    }
    id = text(first(row, "request_id", "id"))
    answer = parsed(row.get("response"))
    status, fault = 200, ""
    if text(row.get("status")) == "failure" or row.get("error_str"):
        error = mapping(row.get("error_information") or {}, "error_information")
        status, fault = chat.fault_of(
            count(error.get("error_code")), text(error.get("error_class")) or text(row.get("error_str"))
        )
        answer = None
    messages = first(row, "messages") or first(sent, "messages", "input")
    tokens = count(row.get("prompt_tokens")), count(row.get("completion_tokens"))
    made = Recording(
        id=id,
        at_ms=begun or 0,
        route=route,
        dialect=chat.DIALECT,
        request=chat.request(route, messages, **asked),
        provider=text(row.get("custom_llm_provider")),
        model=text(row.get("model")),
        reply=chat.reply(
            id, text(row.get("model")), answer, created_ms=begun or 0, usage=chat.usage(*tokens)
        ),
        status=status,
        fault=fault,
        stream=row.get("stream") is True,
        first_ms=float(first_at - begun) if row.get("stream") is True and first_at and begun else None,
        duration_ms=float(ended - begun) if ended and begun else 0.0,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cost_nanousd=nanousd(first(row, "response_cost", "spend")),
    )
    return chat.named(made, {"session": text(first(row, "session_id")), "user": text(first(row, "end_user"))})
