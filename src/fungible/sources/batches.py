"""`batch`: the files of a batch. The input says what was asked, the output what was answered, by `custom_id`.

OpenAI: `{"custom_id", "method", "url", "body"}`, and `{"id", "custom_id", "response": {"status_code",
"body"}, "error"}`. Anthropic: `{"custom_id", "params"}`, and `{"custom_id", "result": {"type", "message"
or "error"}}`. Files may come in any order. Source: both API references, "Batch" and "Message Batches".
"""

from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from ..faults import Fault
from ..recording import Recording
from . import chat
from .rows import Entry, Json, count, fields, mapping, refusing, rows, text, time_ms

ALONE = "Its request is in none of the files: give the input file too."
TWICE = "Several requests of these files have its custom_id: import each batch by itself."
URLS = {"/v1/chat/completions": "openai.chat", "/v1/responses": "openai.responses"}


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    asked: dict[str, list[tuple[str, int, dict[str, Json]]]] = {}
    told: list[tuple[str, int, dict[str, Json]]] = []
    for path in paths:
        for line, row in rows(path):
            if isinstance(row, Fault) or not isinstance(row, dict):
                yield Entry(
                    path, line, refusing(row.message if isinstance(row, Fault) else "It is no object.")
                )
            elif "body" in row or "params" in row:
                asked.setdefault(text(row.get("custom_id")), []).append((path, line, row))
            elif {"response", "result", "error"} & row.keys():
                told.append((path, line, row))
            else:
                yield Entry(path, line, refusing("It is neither a request of a batch nor an answer."))
    answered = set()
    for path, line, row in told:
        found = asked.get(name := text(row.get("custom_id")), ())
        answered.add(name)
        if len(found) == 1:
            yield Entry(path, line, partial(_made, found[0][2], row))
        else:
            yield Entry(path, line, refusing(TWICE if found else ALONE))
    for name, requests in asked.items():
        for path, line, _ in requests if name not in answered else ():
            yield Entry(path, line, refusing("It has no answer in any of the files."))


def _made(asked: dict[str, Json], told: dict[str, Json]) -> Recording:
    if "params" in asked:
        dialect, body = "anthropic.messages", mapping(asked["params"], "params")
        status, answer, at = _result(mapping(told.get("result"), "result"))
    else:
        url = text(asked.get("url")) or "/v1/chat/completions"
        if url not in URLS:
            raise Fault("bad_request", f"It is a call of {url}, not of a model of chat.")
        dialect, body = URLS[url], mapping(asked["body"], "body")
        status, answer, at = _response(told)
    usage = chat.usage_of(answer)
    fault = "" if status == 200 else chat.fault_of(status, "")[1]
    return Recording(
        id=text(told.get("id")) or text(told.get("custom_id")),
        at_ms=time_ms(at) or 0,
        route=text(body.get("model")),
        dialect=dialect,
        request=msgspec.Raw(msgspec.json.encode({k: v for k, v in body.items() if k != "stream"})),
        model=text(answer.get("model")) if isinstance(answer, dict) else "",
        reply=msgspec.Raw(msgspec.json.encode(answer)) if answer is not None else None,
        status=status,
        fault=fault,
        input_tokens=count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=count(usage.get("completion_tokens", usage.get("output_tokens"))),
    )


def _response(told: dict[str, Json]) -> tuple[int, Json, Json]:
    response = told.get("response")
    if not isinstance(response, dict):
        error = told.get("error")
        return 500, {"error": error} if isinstance(error, dict) else None, None
    body = response.get("body")
    at = (body.get("created") or body.get("created_at")) if isinstance(body, dict) else None
    return count(response.get("status_code")) or 200, body, at


def _result(result: dict[str, Json]) -> tuple[int, Json, Json]:
    if result.get("type") == "succeeded":
        return 200, result.get("message"), None
    if result.get("type") == "errored":
        error = result.get("error")
        kind = text(fields(fields(error).get("error")).get("type"))
        return (400 if kind == "invalid_request_error" else 500), error, None
    raise Fault("bad_request", f"It was not answered: {text(result.get('type')) or 'no result'}.")
