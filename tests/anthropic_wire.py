"""Messages bodies and canonical requests in few words, for the tests of that dialect."""

import json
from typing import Any

from fungible import ir
from fungible.dialects.anthropic_messages import DIALECT
from fungible.losses import Report

PNG, PDF = "iVBORw0KGgoAAAANSUhEUg==", "JVBERi0xLjQK"
OBJECT = {"type": "object", "properties": {}}


def read(body: Any) -> ir.Request:
    return DIALECT.read_request(json.dumps(body).encode())


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": list(messages)} | more


def written(request: ir.Request, *quirks: str) -> tuple[dict[str, Any], set[tuple[str, str, str]]]:
    report = Report()
    body = DIALECT.write_request(request, report, frozenset(quirks))
    return json.loads(body), {(loss.path, loss.kind, loss.why) for loss in report.losses}


def request(*messages: ir.Message, **more: Any) -> ir.Request:
    return ir.Request(**({"model": "m", "max_output_tokens": 9, "messages": messages} | more))


def message(role: Any, *parts: ir.Part, at: str = "") -> ir.Message:
    return ir.Message(role=role, parts=parts, at=at)


def user(text: str, at: str = "") -> ir.Message:
    return message("user", ir.Text(text=text), at=at)


def result(call: str, text: str, at: str = "") -> ir.Message:
    return message("tool", ir.ToolResult(call_id=call, parts=(ir.Text(text=text),)), at=at)


def there_and_back(body: dict[str, Any]) -> dict[str, Any]:
    report = Report(DIALECT.names)
    again = json.loads(DIALECT.write_request(read(body), report, frozenset()))
    assert report.losses == []
    return again
