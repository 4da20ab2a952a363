"""What others have kept becomes recordings, and what cannot is told by its line and the reason."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.ir import Reply, Text, ToolCall, ToolResult
from fungible.recording import Recording
from fungible.recordings import Recordings
from fungible.recordings.writing import write_jsonl
from fungible.sources import SOURCES, Unread, read
from tests.test_recordings import made

ASK = {"model": "gpt-x", "messages": [{"role": "user", "content": "2+2?"}], "temperature": 0}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_764_000_000, "model": "gpt-x-2026",
          "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}  # fmt: skip


def taken(kind: str, *paths: Path, route: str | None = None) -> tuple[list[Recording], list[Unread]]:
    unread: list[Unread] = []
    return list(read(kind, [str(p) for p in paths], route, unread.append)), unread


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def said(recording: Recording) -> str:
    reply = recording.answered()
    assert isinstance(reply, Reply), reply
    return "".join(p.text for p in reply.choices[0].parts if isinstance(p, Text))


def asked(recording: Recording) -> str:
    return "".join(p.text for m in recording.asked().messages for p in m.parts if isinstance(p, Text))


def test_own_export_comes_back_whole(tmp_path: Path) -> None:
    given = [made(n, losses=n, first_ms=1.5, stream=True) for n in range(3)] + [
        made(9, reply=None, fault="timeout", status=504)
    ]
    path = tmp_path / "out.jsonl"
    with path.open("wb") as file:
        assert write_jsonl(given, file) == 4
    found, unread = taken("jsonl", path)
    assert unread == [] and [r.id for r in found] == [r.id for r in given]
    for one, other in zip(found, given, strict=True):
        for name in set(Recording.__struct_fields__) - {"request", "reply"}:
            assert getattr(one, name) == getattr(other, name), name
        assert json.loads(bytes(one.request)) == json.loads(bytes(other.request))


def test_stored_completions(tmp_path: Path) -> None:
    page = {"object": "list", "data": [{"id": "m1", "role": "user", "content": None, "content_parts": [
        {"type": "text", "text": "2+2?"}]}]}  # fmt: skip
    path = lines(
        tmp_path / "stored.jsonl",
        {**ANSWER, "metadata": {"team": "a"}, "messages": page, "temperature": 0.5},
        {**ANSWER, "id": "chatcmpl-2", "messages": ASK["messages"]},
        {"messages": [*ASK["messages"], {"role": "assistant", "content": "4"}], "model": "gpt-x"},
        ANSWER,
        "{broken",
    )
    found, unread = taken("openai-stored", path, route="main")
    assert [said(r) for r in found] == ["4"] * 3 and [asked(r) for r in found] == ["2+2?"] * 3
    assert found[0].route == "main" and found[0].tags == {"team": "a"} and found[0].at_ms == 1_764_000_000_000
    assert (found[0].input_tokens, found[0].output_tokens, found[0].asked().temperature) == (9, 1, 0.5)
    assert [(u.line, u.why[:22]) for u in unread] == [
        (4, "It has no messages. Ex"),
        (5, "It is no JSON: "),
    ] or [u.line for u in unread] == [4, 5]


def test_batches_of_openai_in_any_order(tmp_path: Path) -> None:
    asking = lines(
        tmp_path / "in.jsonl",
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASK},
        {
            "custom_id": "b",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": "gpt-x", "input": "2+2?"},
        },
        {"custom_id": "c", "method": "POST", "url": "/v1/embeddings", "body": {"model": "e", "input": "x"}},
        {"custom_id": "d", "method": "POST", "url": "/v1/chat/completions", "body": ASK},
        {"custom_id": "e", "method": "POST", "url": "/v1/chat/completions", "body": ASK},
    )
    response = {"id": "resp_1", "object": "response", "created_at": 1_764_000_001, "status": "completed", "model": "gpt-x",
                "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": "4", "annotations": []}]}],
                "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}}  # fmt: skip
    error = {
        "error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded", "param": None}
    }
    output = lines(
        tmp_path / "out.jsonl",
        {
            "id": "r1",
            "custom_id": "b",
            "response": {"status_code": 200, "request_id": "q", "body": response},
            "error": None,
        },
        {
            "id": "r2",
            "custom_id": "a",
            "response": {"status_code": 200, "request_id": "q", "body": ANSWER},
            "error": None,
        },
        {"id": "r3", "custom_id": "c", "response": {"status_code": 200, "body": {}}, "error": None},
        {"id": "r4", "custom_id": "d", "response": {"status_code": 429, "body": error}, "error": None},
        {"id": "r5", "custom_id": "z", "response": {"status_code": 200, "body": ANSWER}, "error": None},
    )
    found, unread = taken("batch", output, asking)
    assert [(r.dialect, r.status) for r in found] == [
        ("openai.responses", 200),
        ("openai.chat", 200),
        ("openai.chat", 429),
    ]
    assert said(found[0]) == said(found[1]) == "4" and found[2].fault == "rate_limited"
    assert (found[0].input_tokens, found[1].output_tokens) == (9, 1)
    assert sorted((Path(u.path).name, u.line) for u in unread) == [
        ("in.jsonl", 5),
        ("out.jsonl", 3),
        ("out.jsonl", 5),
    ]


def test_batches_of_anthropic(tmp_path: Path) -> None:
    params = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "2+2?"}]}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
               "stop_sequence": None, "content": [{"type": "text", "text": "4"}],
               "usage": {"input_tokens": 9, "output_tokens": 1}}  # fmt: skip
    path = lines(
        tmp_path / "all.jsonl",
        {"custom_id": "a", "params": params},
        {"custom_id": "b", "params": params},
        {"custom_id": "c", "params": params},
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "b", "result": {"type": "errored", "error": {"type": "error", "error": {
            "type": "invalid_request_error", "message": "no"}}}},
        {"custom_id": "c", "result": {"type": "expired"}},
    )  # fmt: skip
    found, unread = taken("batch", path)
    assert [said(found[0]), found[0].dialect, found[1].status, found[1].fault] == [
        "4",
        "anthropic.messages",
        400,
        "bad_request",
    ]
    assert [(u.line, u.why) for u in unread] == [(6, "It was not answered: expired.")]


def test_batches_that_use_the_same_names_are_not_mixed_up(tmp_path: Path) -> None:
    request = {"custom_id": "1", "url": "/v1/chat/completions", "body": ASK}
    other = {**request, "body": {**ASK, "messages": [{"role": "user", "content": "3+3?"}]}}
    answer = {"id": "r", "custom_id": "1", "response": {"status_code": 200, "body": ANSWER}}
    path = lines(tmp_path / "two.jsonl", request, other, answer, answer)
    found, unread = taken("batch", path)
    assert found == [] and [u.line for u in unread] == [3, 4] and "each batch by itself" in unread[0].why


def test_litellm_spend_logs_and_payloads(tmp_path: Path) -> None:
    log = {"request_id": "chatcmpl-1", "call_type": "acompletion", "spend": 0.00012, "prompt_tokens": 9, "completion_tokens": 1,
           "startTime": "2026-11-01T10:00:00.000Z", "endTime": "2026-11-01T10:00:01.500Z", "model": "gpt-x-2026",
           "model_group": "fast", "custom_llm_provider": "openai", "end_user": "ann", "session_id": "s1",
           "messages": json.dumps(ASK["messages"]), "response": json.dumps(ANSWER)}  # fmt: skip
    payload = {"id": "p1", "call_type": "completion", "stream": True, "response_cost": 0.5, "status": "success",
               "startTime": 1_764_000_000.0, "endTime": 1_764_000_002.0, "completionStartTime": 1_764_000_000.25,
               "model": "claude-x", "custom_llm_provider": "anthropic", "prompt_tokens": 9, "completion_tokens": 1,
               "model_parameters": {"temperature": 0.3, "extra_headers": {}}, "messages": ASK["messages"], "response": ANSWER}  # fmt: skip
    failure = {**payload, "id": "p2", "status": "failure", "error_str": "x", "response": {},
               "error_information": {"error_code": "429", "error_class": "RateLimitError"}}  # fmt: skip
    path = lines(
        tmp_path / "logs.jsonl",
        log,
        {"standard_logging_object": payload},
        failure,
        {**log, "messages": {}, "response": {}},
        {**log, "call_type": "aembedding"},
    )
    found, unread = taken("litellm", path)
    assert [r.route for r in found] == ["fast", "claude-x", "claude-x"]
    assert said(found[0]) == said(found[1]) == "4" and found[0].cost_nanousd == 120_000
    assert found[0].duration_ms == 1500 and found[0].target == "openai/gpt-x-2026"
    assert found[0].tags == {"session": "s1", "user": "ann"} and found[1].asked().temperature == 0.3
    assert (found[1].first_ms, found[1].stream) == (250, True)
    assert (found[2].status, found[2].fault) == (429, "rate_limited")
    assert [u.line for u in unread] == [4] and "prompts were not kept" in unread[0].why


def test_langfuse_in_both_spellings_and_csv(tmp_path: Path) -> None:
    row = {"id": "g1", "type": "GENERATION", "traceId": "t", "model": "gpt-x", "startTime": "2026-11-01T10:00:00.000Z",
           "endTime": "2026-11-01T10:00:02.000Z", "completionStartTime": "2026-11-01T10:00:00.500Z", "sessionId": "s1",
           "modelParameters": {"temperature": "0.5", "max_tokens": 50}, "input": ASK["messages"],
           "output": {"role": "assistant", "content": "4"}, "usageDetails": {"input": 9, "output": 1},
           "totalCost": 0.001}  # fmt: skip
    row["modelParameters"] = {"temperature": 0.5, "max_tokens": 50}
    blob = {"id": "g2", "type": "GENERATION", "provided_model_name": "gpt-x", "start_time": "2026-11-01 10:00:00.000000",
            "end_time": "2026-11-01 10:00:01.000000", "input": "2+2?", "output": "4", "user_id": "u",
            "usage_details": json.dumps({"input": 9, "output": 1}), "cost_details": {"total": "0.002"}}  # fmt: skip
    error = {**row, "id": "g3", "level": "ERROR", "statusMessage": "Request timeout", "output": None}
    tools = {**row, "id": "g4", "input": {"messages": ASK["messages"], "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        "output": {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}  # fmt: skip
    listed = tmp_path / "g.json"
    listed.write_text(
        json.dumps({"data": [row, blob, error, tools, {**row, "type": "SPAN"}, {**row, "input": None}]})
    )
    found, unread = taken("langfuse", listed)
    assert [r.id for r in found] == ["g1", "g2", "g3", "g4"] and [said(r) for r in found[:2]] == ["4", "4"]
    assert (
        found[0].first_ms == 500 and found[0].cost_nanousd == 1_000_000 and found[0].tags["session"] == "s1"
    )
    assert found[0].asked().max_output_tokens == 50 and (found[1].input_tokens, found[1].cost_nanousd) == (
        9,
        2_000_000,
    )
    assert found[1].at_ms == found[0].at_ms and (found[2].fault, found[2].status) == ("timeout", 504)
    reply = found[3].answered()
    assert (
        isinstance(reply, Reply)
        and isinstance(reply.choices[0].parts[0], ToolCall)
        and found[3].asked().tools
    )
    assert [u.line for u in unread] == [6]
    table = tmp_path / "g.csv"
    table.write_text('id,type,model,startTime,latency,input,output,usage\n'
                     'g1,GENERATION,gpt-x,2026-11-01T10:00:00Z,1.5,"[{""role"":""user"",""content"":""2+2?""}]","4","{""input"":9,""output"":1}"\n'
                     'g2,GENERATION,gpt-x,2026-11-01T10:00:00Z,1.5,,"4",\n')  # fmt: skip
    found, unread = taken("langfuse", table)
    assert [(r.id, said(r), r.duration_ms, r.input_tokens) for r in found] == [("g1", "4", 1500, 9)]
    assert [u.line for u in unread] == [3]


def attributes(values: dict[str, Any]) -> list[Any]:
    kinds = {str: "stringValue", bool: "boolValue", float: "doubleValue"}

    def value(v: Any) -> Any:
        if isinstance(v, int) and not isinstance(v, bool):
            return {"intValue": str(v)}
        if isinstance(v, list):
            return {"arrayValue": {"values": [value(x) for x in v]}}
        if isinstance(v, dict):
            return {"kvlistValue": {"values": attributes(v)}}
        return {kinds[type(v)]: v}

    return [{"key": k, "value": value(v)} for k, v in values.items()]


def span(told: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spanId": "00f067aa0ba902b7", "startTimeUnixNano": "1764000000000000000",
            "endTimeUnixNano": "1764000001500000000", "attributes": attributes(told), **more}  # fmt: skip


TOLD = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x",
        "gen_ai.response.model": "gpt-x-2026", "gen_ai.request.temperature": 0.5, "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 1, "gen_ai.conversation.id": "c1"}  # fmt: skip
INPUT = [
    {"role": "user", "parts": [{"type": "text", "content": "weather?"}]},
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "k", "name": "w", "arguments": {"city": "Oslo"}}],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "k", "response": {"sky": "blue"}}]},
]
OUTPUT = [{"role": "assistant", "parts": [{"type": "text", "content": "blue"}], "finish_reason": "stop"}]
SYSTEM = [{"type": "text", "content": "be kind"}]
NOW = {"gen_ai.input.messages": INPUT, "gen_ai.output.messages": OUTPUT, "gen_ai.system_instructions": SYSTEM}


@pytest.mark.parametrize("form", ["text", "structured", "event", "events", "numbered"])
def test_spans_of_every_age(tmp_path: Path, form: str) -> None:
    events: list[Any] = []
    told: dict[str, Any] = dict(TOLD)
    if form == "text":
        told |= {k: json.dumps(v) for k, v in NOW.items()}
    elif form == "structured":
        told |= NOW
    elif form == "event":
        events = [{"name": "gen_ai.client.inference.operation.details", "attributes": attributes(NOW)}]
    elif form == "events":
        calls = [{"id": "k", "type": "function", "function": {"name": "w", "arguments": '{"city": "Oslo"}'}}]
        events = [{"name": f"gen_ai.{name}", "attributes": attributes(fields)} for name, fields in (
            ("system.message", {"content": "be kind"}), ("user.message", {"content": "weather?"}),
            ("assistant.message", {"tool_calls": json.dumps(calls)}), ("tool.message", {"id": "k", "content": "blue sky"}),
            ("choice", {"index": 0, "finish_reason": "stop", "message": json.dumps({"content": "blue"})}))]  # fmt: skip
    else:
        told |= {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "be kind", "gen_ai.prompt.1.role": "user",
                 "gen_ai.prompt.1.content": "weather?", "gen_ai.prompt.2.role": "assistant",
                 "gen_ai.prompt.2.tool_calls.0.id": "k", "gen_ai.prompt.2.tool_calls.0.name": "w",
                 "gen_ai.prompt.2.tool_calls.0.arguments": '{"city": "Oslo"}', "gen_ai.prompt.3.role": "tool",
                 "gen_ai.prompt.3.tool_call_id": "k", "gen_ai.prompt.3.content": "blue sky",
                 "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "blue",
                 "gen_ai.completion.0.finish_reason": "stop"}  # fmt: skip
    others = [
        span({"http.method": "GET"}),
        span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "w"}),
    ]
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [*others, span(told, events=events)]}]}]}
    found, unread = taken("otlp", lines(tmp_path / "spans.json", document))
    assert unread == [] and len(found) == 1
    recording = found[0]
    assert (
        said(recording) == "blue"
        and recording.target == "openai/gpt-x-2026"
        and recording.duration_ms == 1500
    )
    assert recording.at_ms == 1_764_000_000_000 and recording.tags == {"conversation": "c1"}
    request = recording.asked()
    assert [m.role for m in request.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
    ] and request.temperature == 0.5
    call, result = request.messages[2].parts[0], request.messages[3].parts[0]
    assert isinstance(call, ToolCall) and json.loads(call.arguments) == {"city": "Oslo"} and call.id == "k"
    assert isinstance(result, ToolResult) and result.call_id == "k"


def test_spans_that_failed_or_say_nothing(tmp_path: Path) -> None:
    good = {**TOLD, **{k: json.dumps(v) for k, v in NOW.items()}}
    strange = json.dumps([{"role": "user", "parts": [{"type": "hologram"}]}])
    rows = [
        span({**good, "error.type": "429"}),
        span({**good, "error.type": "timeout"}, status={"code": 2}),
        span(TOLD),
        span({**good, "gen_ai.input.messages": strange}),
    ]
    path = lines(
        tmp_path / "s.jsonl", *({"resourceSpans": [{"scopeSpans": [{"spans": [row]}]}]} for row in rows), "[]"
    )
    found, unread = taken("otlp", path)
    assert [(r.status, r.fault) for r in found] == [(429, "rate_limited"), (504, "timeout")]
    assert [u.line for u in unread] == [3, 4, 5] and "hologram" in unread[1].why


def entry(
    url: str, body: Any, answer: str, *, status: int = 200, encoding: str | None = None
) -> dict[str, Any]:
    content = {"mimeType": "x", "text": answer} | ({"encoding": encoding} if encoding else {})
    return {"startedDateTime": "2026-11-01T10:00:00.000Z", "time": 900, "timings": {"send": 1, "wait": 400, "receive": 499},
            "request": {"method": "POST", "url": url, "headers": [{"name": "authorization", "value": "Bearer sk-secret"}],
                        "postData": {"mimeType": "application/json", "text": json.dumps(body)}},
            "response": {"status": status, "content": content}}  # fmt: skip


def test_har_keeps_every_dialect_as_it_is_and_no_key(tmp_path: Path) -> None:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    deltas = [{"content": "4"}, {}]
    events = [
        {**chunk, "choices": [{"index": 0, "delta": d, "finish_reason": None if d else "stop"}]}
        for d in deltas
    ]
    wire = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
    gemini = {"contents": [{"role": "user", "parts": [{"text": "2+2?"}]}]}
    told = {"candidates": [{"content": {"role": "model", "parts": [{"text": "4"}]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}, "modelVersion": "g"}  # fmt: skip
    converse = {"messages": [{"role": "user", "content": [{"text": "2+2?"}]}]}
    answered = {"output": {"message": {"role": "assistant", "content": [{"text": "4"}]}}, "stopReason": "end_turn",
                "usage": {"inputTokens": 9, "outputTokens": 1, "totalTokens": 10}, "metrics": {"latencyMs": 1}}  # fmt: skip
    error = json.dumps(
        {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}}
    )
    entries = [
        entry("https://api.openai.com/v1/chat/completions", ASK, json.dumps(ANSWER)),
        entry("https://x.azure.com/openai/deployments/d/chat/completions?api-version=1", {**ASK, "stream": True},
              base64.b64encode(wire.encode()).decode(), encoding="base64"),
        entry("https://generativelanguage.googleapis.com/v1beta/models/gemini-x:generateContent", gemini, json.dumps(told)),
        entry("https://bedrock-runtime.eu-central-1.amazonaws.com/model/m%3A0/converse", converse, json.dumps(answered)),
        entry("https://api.openai.com/v1/chat/completions", ASK, error, status=400),
        entry("https://api.openai.com/v1/chat/completions", ASK, ""),
        entry("https://example.org/login", {}, "<html>"),
    ]  # fmt: skip
    path = lines(tmp_path / "x.har", {"log": {"version": "1.2", "entries": entries}})
    found, unread = taken("har", path)
    assert [r.dialect for r in found] == [
        "openai.chat",
        "openai.chat",
        "gemini.generate_content",
        "bedrock.converse",
        "openai.chat",
    ]
    assert [said(r) for r in found[:4]] == ["4"] * 4 and [r.route for r in found] == [
        "gpt-x",
        "gpt-x",
        "gemini-x",
        "m:0",
        "gpt-x",
    ]
    assert found[0].provider == "openai" and found[1].first_ms == 401 and found[0].input_tokens == 9
    assert (found[4].status, found[4].fault) == (400, "bad_request")
    assert [(u.line, u.why) for u in unread] == [(6, "The answer's body is not in the file.")]
    assert "sk-secret" not in repr([bytes(r.request) for r in found])


@pytest.mark.parametrize("kind", list(SOURCES))
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        taken(kind, tmp_path / "absent")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Fault, match="no UTF-8 text"):
        taken(kind, binary)
    rubbish = lines(tmp_path / "rubbish", "{}", '{"a": 1}', "null", "nonsense")
    if kind == "har":
        with pytest.raises(Fault, match="no HTTP Archive"):
            taken(kind, rubbish)
        return
    found, unread = taken(kind, rubbish)
    assert found == [] and {3, 4} <= {u.line for u in unread}
    if kind != "otlp":  # where an object without spans is an empty one
        assert [u.line for u in unread] == [1, 2, 3, 4]


def test_what_is_imported_is_replayed_from_the_shelf(tmp_path: Path) -> None:
    path = lines(tmp_path / "stored.jsonl", {**ANSWER, "messages": ASK["messages"]})
    shelf = Recordings(tmp_path)
    unread: list[Unread] = []
    assert shelf.append(read("openai-stored", [str(path)], "main", unread.append)) == 1
    (found,) = shelf.read("main")
    assert said(found) == "4" and found.group and unread == []
