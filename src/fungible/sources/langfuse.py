"""`langfuse`: generations as Langfuse exports them: from its tables (JSON, CSV), its API, or to blob storage.

One thing has two spellings: `modelParameters` and `model_parameters`. A generation's input is a list of chat
messages, a text, or the keywords of the call (`{"messages", "tools"}`); its output a message, a text, or a
whole completion. Source: Langfuse's API reference ("observations") and "Blob storage export field reference".
"""

from collections.abc import Iterator, Sequence

from ..faults import Fault
from ..recording import Recording
from . import chat
from .rows import (
    Entry,
    Json,
    count,
    first,
    mapping,
    nanousd,
    number,
    parsed,
    text,
    time_ms,
)
from .rows import (
    entries as row_entries,
)

RENAMED = {
    "max_output_tokens": "max_completion_tokens",
    "maxTokens": "max_completion_tokens",
    "topP": "top_p",
}
NOT_ASKED = frozenset({"user", "model", "messages", "stream"})


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    return row_entries(paths, _made)


def _made(row: dict[str, Json]) -> Recording | None:
    if text(row.get("type")).upper() not in ("", "GENERATION"):
        return None  # spans and events: no calls of a model
    begun, ended, first_at = (
        time_ms(first(row, *names))
        for names in (
            ("startTime", "start_time"),
            ("endTime", "end_time"),
            ("completionStartTime", "completion_start_time"),
        )
    )
    model = text(first(row, "model", "providedModelName", "provided_model_name"))
    usage = _usage(row)
    status, fault = 200, ""
    if text(row.get("level")).upper() == "ERROR":
        status, fault = chat.fault_of(None, text(first(row, "statusMessage", "status_message")))
    id, said = text(first(row, "id")), row.get("output")
    latency = number(first(row, "latency"))
    ms = float(ended - begun) if ended and begun else (latency or 0.0) * 1000
    made = Recording(
        id=id,
        at_ms=begun or 0,
        route=model,
        dialect=chat.DIALECT,
        request=chat.request(model, _input(row.get("input")), **_parameters(row)),
        model=model,
        reply=None
        if fault
        else chat.reply(id, model, _output(said), created_ms=begun or 0, usage=chat.usage(*usage)),
        status=status,
        fault=fault,
        stream=first_at is not None,
        first_ms=float(first_at - begun) if first_at and begun else None,
        duration_ms=ms,
        input_tokens=usage[0],
        output_tokens=usage[1],
        cost_nanousd=nanousd(_cost(row)),
    )
    return chat.named(made, {
        "session": text(first(row, "sessionId", "session_id")), "user": text(first(row, "userId", "user_id")),
        "name": text(row.get("name")),
    })  # fmt: skip


def _input(value: Json) -> Json:
    value = parsed(value)
    if isinstance(value, dict) and "messages" not in value and "role" not in value:
        raise Fault("bad_request", "Its input is neither messages nor text.")
    return value


def _output(value: Json) -> Json:
    value = parsed(value)
    if isinstance(value, dict) and not ({"choices", "content", "tool_calls", "message"} & value.keys()):
        return {"content": None, "tool_calls": [value]} if "function" in value else value
    return value


def _parameters(row: dict[str, Json]) -> dict[str, Json]:
    said = mapping(first(row, "modelParameters", "model_parameters") or {}, "modelParameters")
    return {
        RENAMED.get(k, k): parsed(v) for k, v in said.items() if k not in NOT_ASKED and v not in ("", "inf")
    }


def _usage(row: dict[str, Json]) -> tuple[int | None, int | None]:
    told = mapping(first(row, "usageDetails", "usage_details", "usage") or {}, "usage")
    asked = first(told, "input", "prompt_tokens", "input_tokens", "promptTokens")
    said = first(told, "output", "completion_tokens", "output_tokens", "completionTokens")
    if asked is None and said is None:
        asked, said = (
            first(row, "inputTokens", "promptTokens", "inputUsage"),
            first(row, "outputTokens", "completionTokens", "outputUsage"),
        )
    return count(asked), count(said)


def _cost(row: dict[str, Json]) -> Json:
    details = mapping(first(row, "costDetails", "cost_details") or {}, "costDetails")
    return first(row, "totalCost", "total_cost", "calculatedTotalCost") or details.get("total")
