"""`otlp`: spans of OpenTelemetry's GenAI conventions, as a collector's file exporter writes them (OTLP JSON).

What was said stands, by the age of what wrote it, in

1. `gen_ai.input.messages`, `gen_ai.output.messages` and `gen_ai.system_instructions`, on the span or on its
   event `gen_ai.client.inference.operation.details`: messages of a role and parts, as text or structured;
2. an event a message: `gen_ai.user.message` and the like, `gen_ai.choice`;
3. numbered attributes: `gen_ai.prompt.0.content`, `gen_ai.completion.0.content` (OpenLLMetry).

Spans that are no call of a model of chat (tools, agents, embeddings) are passed over. Source: OpenTelemetry,
semantic conventions for generative AI: "Spans", "Events", and the JSON schemas of its messages.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial

from ..faults import Fault
from ..recording import Recording
from . import chat
from .rows import Entry, Json, count, decoded, fields, listed, mapping, parsed, refusing, text, text_of, whole

DETAILS = "gen_ai.client.inference.operation.details"
CHATS = ("chat", "text_completion", "generate_content", "completion", "")
PARAMETERS: dict[str, str] = {
    # attribute, after gen_ai.request. -> field
    "max_tokens": "max_completion_tokens", "temperature": "temperature", "top_p": "top_p", "seed": "seed",
    "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
    "stop_sequences": "stop", "choice.count": "n", "reasoning.level": "reasoning_effort",
}  # fmt: skip
FINISHES = {
    "tool_call": "tool_calls",
    "tool_calls": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
}


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    for path in paths:
        body = text_of(path)
        whole = decoded(body)
        lines = enumerate(body.split("\n"), 1) if isinstance(whole, Fault) else [(0, body)]
        for line, words in lines:
            if not words.strip():
                continue
            document = decoded(words) if line else whole
            if isinstance(document, Fault) or not isinstance(document, dict):
                yield Entry(
                    path,
                    line,
                    refusing(document if isinstance(document, Fault) else "It is no OTLP JSON object."),
                )
                continue
            for number, span in enumerate(_spans(document), 1):
                told = _attributes(span.get("attributes"))
                if _is_call(told):
                    yield Entry(path, line or number, partial(_made, span, told))


def _spans(document: dict[str, Json]) -> Iterator[dict[str, Json]]:
    for resource in listed(document.get("resourceSpans") or document.get("resource_spans")):
        for scope in listed(fields(resource).get("scopeSpans") or fields(resource).get("scope_spans")):
            yield from (span for span in listed(fields(scope).get("spans")) if isinstance(span, dict))


def _is_call(told: dict[str, Json]) -> bool:
    names = any(name.startswith("gen_ai.") for name in told)
    return names and text(told.get("gen_ai.operation.name")) in CHATS and "gen_ai.request.model" in told


def _made(span: dict[str, Json], told: dict[str, Json]) -> Recording:
    logged = [fields(event) for event in listed(span.get("events"))]
    events = [(text(event.get("name")), _attributes(event.get("attributes"))) for event in logged]
    for name, more in events:
        if name == DETAILS:
            told = {**told, **more}
    begun, ended = (
        (whole(span.get(name)) or 0) // 1_000_000 for name in ("startTimeUnixNano", "endTimeUnixNano")
    )
    model, answered = text(told.get("gen_ai.request.model")), text(told.get("gen_ai.response.model"))
    tokens = _count(told, "input", "prompt"), _count(told, "output", "completion")
    status, fault = 200, ""
    if fields(span.get("status")).get("code") in (2, "STATUS_CODE_ERROR") or "error.type" in told:
        kind = told.get("error.type")
        status, fault = chat.fault_of(count(kind), text(kind))
    id = text(told.get("gen_ai.response.id")) or text(span.get("spanId"))
    asked, said = _said(told, events)
    made = Recording(
        id=id,
        at_ms=begun,
        route=model,
        dialect=chat.DIALECT,
        request=chat.request(model, asked, **_parameters(told)),
        provider=text(told.get("gen_ai.provider.name")) or text(told.get("gen_ai.system")),
        model=answered or model,
        reply=None
        if fault
        else chat.reply(id, answered or model, said, created_ms=begun, usage=chat.usage(*tokens)),
        status=status,
        fault=fault,
        duration_ms=float(ended - begun) if ended else 0.0,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
    )
    user = text(told.get("enduser.id")) or text(told.get("user.id"))
    return chat.named(made, {"conversation": text(told.get("gen_ai.conversation.id")), "user": user})


def _count(told: dict[str, Json], now: str, before: str) -> int | None:
    return count(told.get(f"gen_ai.usage.{now}_tokens", told.get(f"gen_ai.usage.{before}_tokens")))


def _parameters(told: dict[str, Json]) -> dict[str, Json]:
    found = {
        field: told[f"gen_ai.request.{name}"]
        for name, field in PARAMETERS.items()
        if f"gen_ai.request.{name}" in told
    }
    tools = parsed(told.get("gen_ai.tool.definitions"))
    if isinstance(tools, list) and tools:
        found["tools"] = [t if "function" in t else _tool(t) for t in tools if isinstance(t, dict)]
    if told.get("gen_ai.output.type") == "json":
        found["response_format"] = {"type": "json_object"}
    return found


def _tool(told: dict[str, Json]) -> Json:
    function = {k: told[k] for k in ("name", "description", "parameters") if told.get(k) is not None}
    return {"type": "function", "function": function}


# --- messages --------------------------------------------------------------------------------------


def _said(told: dict[str, Json], events: list[tuple[str, dict[str, Json]]]) -> tuple[list[Json], list[Json]]:
    """(messages asked with, answers), in the form of a chat."""
    asked = parsed(told.get("gen_ai.input.messages"))
    if isinstance(asked, list):
        system = parsed(told.get("gen_ai.system_instructions"))
        if isinstance(system, list) and system:
            asked = [{"role": "system", "parts": system}, *asked]
        answers = parsed(told.get("gen_ai.output.messages"))
        return [m for message in asked for m in _messages(message)], [
            {"message": m, "finish_reason": FINISHES.get(text(message.get("finish_reason")), "stop")}
            for message in (answers if isinstance(answers, list) else [])
            for m in _messages(message)
        ]
    asked = [_event(more, name.split(".")[1]) for name, more in events if name.endswith(".message")]
    answers = [_answer(more) for name, more in events if name == "gen_ai.choice"]
    if asked:
        return asked, answers
    return _numbered(told, "gen_ai.prompt."), [
        {"message": m, "finish_reason": FINISHES.get(text(m.pop("finish_reason", "")), "stop")}
        for m in _numbered(told, "gen_ai.completion.")
    ]


def _messages(message: Json) -> list[Json]:
    """A message of parts as one, or as one for each tool's result. Raises Fault for a part with no place."""
    message = mapping(message, "A message")
    if "parts" not in message:
        return [{k: v for k, v in message.items() if k != "finish_reason"}]
    content: list[Json] = []
    calls, results, thoughts = [], [], []
    for told in listed(message["parts"]):
        part = told if isinstance(told, dict) else {"type": "text", "content": told}
        kind = part.get("type")
        if kind == "text":
            content.append({"type": "text", "text": text(part.get("content"))})
        elif kind == "reasoning":
            thoughts.append(text(part.get("content")))
        elif kind == "tool_call":
            function = {"name": part.get("name"), "arguments": _json_text(part.get("arguments") or {})}
            calls.append({"id": text(part.get("id")), "type": "function", "function": function})
        elif kind == "tool_call_response":
            said = part.get("response", part.get("result"))
            results.append(
                {"role": "tool", "tool_call_id": text(part.get("id")), "content": _json_text(said)}
            )
        elif kind in ("uri", "blob") and str(part.get("modality") or part.get("mime_type")).startswith(
            "image"
        ):
            url = part.get("uri") or f"data:{part.get('mime_type')};base64,{part.get('content')}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        else:
            raise Fault("bad_request", f"It has a part of type {kind!r}, which a chat has no place for.")
    if results and not content and not calls:
        return results
    plain = "".join(p["text"] for p in content) if all(p["type"] == "text" for p in content) else content
    made: dict[str, Json] = {"role": message.get("role") or "assistant", "content": plain or None}
    if calls:
        made["tool_calls"] = calls
    if thoughts:
        made["reasoning_content"] = "\n".join(thoughts)
    return [made, *results]


def _event(told: dict[str, Json], role: str) -> Json:
    made = {"role": text(told.get("role")) or role, "content": parsed(told.get("content"))}
    if isinstance(made["content"], dict):  # a body that is a message
        made = {"role": made["role"], **made["content"]}
    if told.get("tool_calls"):
        made["tool_calls"] = parsed(told["tool_calls"])
    if told.get("id"):
        made["tool_call_id"] = told["id"]
    return made


def _answer(told: dict[str, Json]) -> Json:
    message = parsed(told.get("message"))
    if not isinstance(message, dict):
        message = {"content": message if message is not None else told.get("content")}
    message = {"role": "assistant", "content": None} | message
    if told.get("tool_calls"):
        message["tool_calls"] = parsed(told["tool_calls"])
    return {"message": message, "finish_reason": FINISHES.get(text(told.get("finish_reason")), "stop")}


def _numbered(told: dict[str, Json], prefix: str) -> list[Json]:
    found: dict[int, dict[str, Json]] = {}
    for name, value in told.items():
        number, _, field = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and number.isdecimal() and field:
            found.setdefault(int(number), {})[field] = value
    return [_unfolded(found[number]) for number in sorted(found)]


def _unfolded(fields: dict[str, Json]) -> Json:
    kept = ("role", "content", "finish_reason", "tool_call_id")
    made: dict[str, Json] = {k: fields[k] for k in kept if k in fields}
    calls: dict[str, dict[str, Json]] = {}
    for name, value in fields.items():
        if name.startswith("tool_calls."):
            _, number, field = name.split(".", 2)
            calls.setdefault(number, {})[field] = value
    if calls:
        made["tool_calls"] = [
            {"id": text(c.get("id")), "type": "function",
             "function": {"name": c.get("name"), "arguments": _json_text(c.get("arguments") or {})}}
            for _, c in sorted(calls.items())
        ]  # fmt: skip
    made["content"] = parsed(made.get("content"))
    return {"role": "assistant"} | made


def _json_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- attributes ------------------------------------------------------------------------------------


def _attributes(told: Json) -> dict[str, Json]:
    """OTLP's list of key and value; a plain object, as some exporters write, is taken as it is."""
    if isinstance(told, dict):
        return told
    return {text(a.get("key")): _value(a.get("value")) for a in listed(told) if isinstance(a, dict)}


def _value(value: Json) -> Json:
    """`AnyValue` of OTLP's protobuf, in its JSON form: 64-bit integers are text there."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "intValue":
        return whole(inner)
    if kind == "arrayValue":
        return [_value(v) for v in listed(fields(inner).get("values"))]
    if kind == "kvlistValue":
        return _attributes(fields(inner).get("values"))
    return inner
