"""The batch endpoints that tests play are those that the official SDKs' clients speak: each runs through them."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from mistralai.client import Mistral

from fungible.providers.batches import BATCH_APIS
from fungible.providers.batches.base import Errand, Job
from fungible.providers.table import PROVIDERS
from tests.batch_server import BatchServer
from tests.recordings import exchanges, needs_recordings
from tests.upstream import JSON, Seen, Step, Upstream, answer

CHAT = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip
MESSAGE = {
    "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "4"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
}  # fmt: skip
CONTENT = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "4"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
}  # fmt: skip


def said(seen: Seen) -> Sequence[Step]:
    if "bad" in seen.body.decode():
        return answer(
            400, JSON, {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}
        )
    for path, body in (("/chat/", CHAT), ("/messages", MESSAGE), (":generateContent", CONTENT)):
        if path in seen.path:
            return answer(200, JSON, body)
    raise AssertionError(seen.path)


@pytest.fixture
def played() -> Iterator[tuple[BatchServer, str]]:
    server = BatchServer(said)
    with Upstream(server.respond) as upstream:
        yield server, upstream.base


def _lines(data: bytes) -> dict[str, Any]:
    rows = [json.loads(line) for line in data.splitlines() if line]
    return {row["custom_id"]: row for row in rows}


def test_openai_by_its_sdk(played: tuple[BatchServer, str]) -> None:
    server, base = played
    client = openai.OpenAI(api_key="k", base_url=f"{base}/v1")
    asked = [
        {"custom_id": n, "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "m", "messages": [{"role": "user", "content": n}]}}
        for n in ("a", "bad", "late")
    ]  # fmt: skip
    server.gone = lambda body: "expired" if "late" in json.dumps(body) else ""
    data = "\n".join(map(json.dumps, asked)).encode()
    file = client.files.create(file=("x.jsonl", io.BytesIO(data)), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    assert made.status == "in_progress" and made.metadata == {"a": "b"}
    assert [one.id for one in client.batches.list()] == [made.id]
    client.batches.retrieve(made.id)
    ended = client.batches.retrieve(made.id)
    assert (
        ended.status == "completed" and ended.request_counts is not None and ended.request_counts.total == 3
    )
    good = _lines(client.files.content(str(ended.output_file_id)).content)
    bad = _lines(client.files.content(str(ended.error_file_id)).content)
    assert good["a"]["response"]["body"]["choices"][0]["message"]["content"] == "4"
    assert bad["bad"]["response"]["status_code"] == 400 and bad["late"]["error"]["code"] == "batch_expired"
    assert client.files.delete(file.id).deleted
    assert client.batches.cancel(made.id).status == "cancelling"


def test_anthropic_by_its_sdk(played: tuple[BatchServer, str]) -> None:
    server, base = played
    server.gone = lambda body: "expired" if "late" in json.dumps(body) else ""
    client = anthropic.Anthropic(api_key="k", base_url=base)
    made = client.messages.batches.create(
        requests=[
            {
                "custom_id": n,
                "params": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": n}]},
            }
            for n in ("a", "bad", "late")
        ]
    )
    assert made.processing_status == "in_progress" and made.request_counts.processing == 3
    assert [one.id for one in client.messages.batches.list()] == [made.id]
    client.messages.batches.retrieve(made.id)
    ended = client.messages.batches.retrieve(made.id)
    assert ended.processing_status == "ended" and ended.results_url is not None
    server_path = ended.results_url.removeprefix("https://api.anthropic.com")
    assert server_path == f"/v1/messages/batches/{made.id}/results"
    results = {}
    for line in (json.loads(one) for one in _raw(base, server_path).splitlines()):
        read = anthropic.types.messages.MessageBatchIndividualResponse.model_validate(line)
        results[read.custom_id] = read.result
    assert results["a"].type == "succeeded" and results["late"].type == "expired"
    failed = results["bad"]
    assert failed.type == "errored" and failed.error.error.type == "invalid_request_error"
    assert client.messages.batches.cancel(made.id).processing_status == "canceling"


def _raw(base: str, path: str) -> bytes:
    import urllib.request

    with urllib.request.urlopen(f"{base}{path}") as found:
        data: bytes = found.read()
    return data


def test_mistral_by_its_sdk(played: tuple[BatchServer, str]) -> None:
    _, base = played
    client = Mistral(api_key="k", server_url=base)
    asked = [{"custom_id": n, "body": {"messages": [{"role": "user", "content": n}]}} for n in ("a", "bad")]
    data = "\n".join(map(json.dumps, asked)).encode()
    file = client.files.upload(file={"file_name": "x.jsonl", "content": data}, purpose="batch")
    made = client.batch.jobs.create(
        input_files=[file.id], endpoint="/v1/chat/completions", model="m", metadata={"a": "b"}
    )
    assert made.status == "RUNNING" and made.metadata == {"a": "b"}
    listed = client.batch.jobs.list().data
    assert listed is not None and [one.id for one in listed] == [made.id]
    client.batch.jobs.get(job_id=made.id)
    ended = client.batch.jobs.get(job_id=made.id)
    assert (ended.status, ended.total_requests, ended.succeeded_requests) == ("SUCCESS", 2, 1)
    good = _lines(client.files.download(file_id=str(ended.output_file)).read())
    assert good["a"]["response"]["body"]["choices"][0]["message"]["content"] == "4"
    assert client.batch.jobs.cancel(job_id=made.id).status == "CANCELLATION_REQUESTED"


def test_gemini_by_its_sdk(played: tuple[BatchServer, str]) -> None:
    _, base = played
    client = genai.Client(api_key="k", http_options={"base_url": base, "api_version": "v1beta"})
    asked = [
        {"contents": [{"role": "user", "parts": [{"text": n}]}], "metadata": {"custom_id": n}}
        for n in ("a", "bad")
    ]
    made = client.batches.create(model="m", src=asked, config={"display_name": "ours"})
    assert made.display_name == "ours" and made.state is not None and made.state.name == "JOB_STATE_RUNNING"
    assert [one.name for one in client.batches.list()] == [made.name]
    client.batches.get(name=str(made.name))
    ended = client.batches.get(name=str(made.name))
    assert ended.state is not None and ended.state.name == "JOB_STATE_SUCCEEDED" and ended.dest is not None
    results = {str((one.metadata or {}).get("custom_id")): one for one in ended.dest.inlined_responses or ()}
    good = results["a"].response
    assert good is not None and good.text == "4" and results["bad"].error is not None
    client.batches.cancel(name=str(made.name))


# --- what we send is what the SDKs send, and what was recorded is read ------------------------------


@pytest.mark.parametrize("name", sorted(BATCH_APIS))
def test_a_row_names_each_api_with_its_terms(name: str) -> None:
    rows = [row for row in PROVIDERS.values() if row.batch is not None and row.batch.api == name]
    assert rows and all(0 < row.batch.percent < 100 for row in rows if row.batch is not None)
    assert all(row.batch.site.startswith("https://") for row in rows if row.batch is not None)


@needs_recordings
def test_recorded_jobs_are_read() -> None:
    found: list[Job] = []
    for kind, api in (
        ("anthropic.batches", "messages"),
        ("openai.batches", "files"),
        ("gemini.batch", "operations"),
    ):
        for row in exchanges(kind):
            body = row["response"]["body"]
            ours = "operations" if "generativelanguage" in json.dumps(body) else api
            if "batch_id" in body or body is None or isinstance(body, str):
                continue  # another provider's
            found.append(BATCH_APIS[ours].job(json.dumps(body).encode()))
    assert {job.state for job in found} == {"running", "ended"} and len(found) >= 8
    ended = [job for job in found if job.state == "ended"]
    assert all(job.outputs for job in ended) and all(job.created_s > 1.6e9 for job in found)
    assert all(job.done == job.total for job in ended)


@needs_recordings
def test_recorded_requests_are_as_ours() -> None:
    """Of those whose API is told inline: our errand has the recorded path and the recorded fields."""
    rows = [row for row in exchanges("gemini.batch") if row["request"]["body"]]
    assert rows
    for row in rows:
        recorded = row["request"]["body"]["batch"]
        api = BATCH_APIS["operations"]
        lines = [
            api.line(one["metadata"]["custom_id"], "", json.dumps(one["request"]).encode())
            for one in recorded["inputConfig"]["requests"]["requests"]
        ]
        made = api.create(recorded["displayName"], row["model"], "", b"\n".join(lines) + b"\n")
        assert isinstance(made, Errand) and made.path == row["request"]["path"]
        assert json.loads(made.body) == {"batch": recorded}
