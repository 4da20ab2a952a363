"""What others have kept, spoilt at every place by every kind of value: read, or told with its reason; no crash."""

import copy
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.recordings import kept
from fungible.recordings.segments import Writer
from fungible.sources import SOURCES, Unread, read
from tests.test_recording_sources import ANSWER, ASK, INPUT, NOW, OUTPUT, TOLD, attributes, entry, span

PARAMS = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "2+2?"}]}
PAGE = {
    "data": [
        {"id": "m1", "role": "user", "content": None, "content_parts": [{"type": "text", "text": "2+2?"}]}
    ]
}
TIMES = {
    "startTime": "2026-11-01T10:00:00.000Z",
    "endTime": 1_764_000_002.0,
    "completionStartTime": 1_764_000_000.25,
}
TOOL = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
PROMPT = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi", "gen_ai.prompt.0.tool_calls.0.name": "w",
          "gen_ai.completion.0.content": "ho", "gen_ai.completion.0.finish_reason": "stop"}  # fmt: skip
EVENTS = [{"name": "gen_ai.user.message", "attributes": attributes({"content": "hi"})},
          {"name": "gen_ai.choice", "attributes": attributes({"finish_reason": "stop", "message": '{"content": "ho"}'})}]  # fmt: skip


def traced(**more: Any) -> Any:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span(TOLD | more.pop("told", {}), **more)]}]}]}


ROWS: dict[str, list[Any]] = {
    # kind -> documents, a line each
    "jsonl": [{"id": "a", "at_ms": 1, "route": "r", "dialect": "openai.chat", "request": ASK, "reply": ANSWER, "tags": {}}],
    "openai-stored": [{**ANSWER, "metadata": {"team": "a"}, "messages": PAGE, "temperature": 0.5}],
    "batch": [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASK},
        {"id": "r", "custom_id": "a", "response": {"status_code": 200, "body": ANSWER}, "error": None},
        {"custom_id": "b", "params": PARAMS},
        {"custom_id": "b", "result": {"type": "errored", "error": {"error": {"type": "invalid_request_error"}}}},
    ],
    "litellm": [
        {"request_id": "c", "call_type": "acompletion", "spend": 0.1, "prompt_tokens": 9, "completion_tokens": 1, **TIMES,
         "stream": True, "model": "m", "model_group": "fast", "model_parameters": {"temperature": 1},
         "proxy_server_request": {"body": {"model": "m"}}, "messages": ASK["messages"], "response": ANSWER},
        {"status": "failure", "error_information": {"error_code": "429", "error_class": "X"}, "messages": "hi", "model": "m"},
    ],
    "langfuse": [
        {"id": "g", "type": "GENERATION", "model": "m", **TIMES, "sessionId": "s", "modelParameters": {"temperature": 1},
         "input": ASK["messages"], "output": TOOL, "usageDetails": {"input": 9, "output": 1}, "totalCost": 0.1, "latency": 1},
        {"model": "m", "level": "ERROR", "statusMessage": "timeout", "input": {"messages": ASK["messages"]}, "costDetails": {"total": 1}},
    ],
    "otlp": [
        traced(told=NOW),
        traced(told={k: json.dumps(v) for k, v in {"gen_ai.input.messages": INPUT, "gen_ai.output.messages": OUTPUT}.items()}),
        traced(events=EVENTS, status={"code": 0}),
        traced(told={**PROMPT, "gen_ai.tool.definitions": [{"name": "w"}]}),
    ],
    "har": [{"log": {"entries": [entry("https://api.openai.com/v1/chat/completions", {**ASK, "stream": True}, json.dumps(ANSWER))]}}],
}  # fmt: skip
VALUES = (
    None,
    True,
    -1,
    1e300,
    "",
    "inf",
    "{",
    "[1]",
    "http://[",
    [],
    [None],
    ["x"],
    {},
    {"a": 1},
    {"type": []},
)
"""What stands in the place of each value, whatever it was."""
STRIDES = {"otlp": 5}  # of pairs of a place and a value, where there are many; no divisor of the values


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def spoilt(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    held = made
    for key in at[:-1]:
        held = held[key]
    held[at[-1]] = value
    return made


@pytest.mark.parametrize("kind", SOURCES)
def test_whatever_stands_anywhere_is_read_or_told(tmp_path: Path, kind: str) -> None:
    path, writer = tmp_path / "file", Writer(tmp_path / "segment")
    rows = ROWS[kind]
    path.write_text("\n".join(map(json.dumps, rows)))
    unread: list[Unread] = []
    assert list(read(kind, [str(path)], None, unread.append)) and unread == []
    for n, row in enumerate(rows):
        beside = (
            rows[:n] + rows[n + 1 :] if kind == "batch" else []
        )  # the only one whose rows belong together
        for at, value in list(product(places(row), VALUES))[:: STRIDES.get(kind, 1)]:
            path.write_text("\n".join(map(json.dumps, [*beside, spoilt(row, at, value)])))
            try:
                found = list(read(kind, [str(path)], None, unread.append))
            except Fault:
                continue
            except Exception as problem:
                raise AssertionError(f"{value!r} at {at} of row {n}") from problem
            if found:
                writer.append([kept(recording) for recording in found])
    writer.close()
