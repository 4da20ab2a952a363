"""Vectors: any official SDK with any provider, by the server and in process, and as translations by themselves.

The providers are scripted with the bytes a real one sends; everything else is real.
"""

import asyncio
import base64
import json
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import cohere
import google.genai
import httpx
import ollama
import openai
import pytest
from google.genai import types

import fungible
from fungible import translate
from fungible.dialects import EMBEDDINGS, SPOKEN
from fungible.faults import Fault
from fungible.ir import EmbeddingReply, EmbeddingRequest, Input, Text, Usage, Vector
from fungible.losses import Report
from tests.recordings import WIRE, needs_recordings
from tests.serving import Running
from tests.upstream import JSON, Seen, Step, Upstream, answer

VECTORS = [[0.5, -0.25, 1.0], [0.125, 2.0, -4.0]]
TEXTS = ["one", "two"]
PACKED = [base64.b64encode(struct.pack("<3f", *v)).decode() for v in VECTORS]

MORE = """
[provider.gamma]
dialect = "ollama.chat"
base_url = "{gamma}"

[provider.delta]
dialect = "cohere.chat"
base_url = "{delta}"
key = "env:TEST_KEY"

[provider.epsilon]
dialect = "gemini.generate_content"
base_url = "{epsilon}"
key = "env:TEST_KEY"

[provider.zeta]
dialect = "openai.chat"
base_url = "{alpha}/zeta"
key = "env:TEST_KEY"
quirks = ["output_dimension"]

[model."gamma/two"]
input_usd_per_mtok = 0.10
output_usd_per_mtok = 0

[model."delta/three"]
input_usd_per_mtok = 0.10
output_usd_per_mtok = 0

[model."epsilon/four"]
input_usd_per_mtok = 0.10
output_usd_per_mtok = 0

[route.vectors]
targets = ["beta/two", "epsilon/four"]
"""
PROVIDERS = ("alpha/one", "gamma/two", "delta/three", "epsilon/four")
TARGETS = pytest.mark.parametrize("model", PROVIDERS)


def respond(seen: Seen) -> Sequence[Step]:
    """Every provider's answer to its own request, for as many inputs as it has."""
    asked = seen.json
    if "fail" in seen.body.decode():
        return answer(
            429, JSON, {"error": {"message": "slow down", "status": "RESOURCE_EXHAUSTED", "code": 429}}
        )
    if seen.path.endswith("/embeddings"):
        n = (
            1
            if isinstance(asked["input"], str) or isinstance(asked["input"][0], int)
            else len(asked["input"])
        )
        form = PACKED if asked.get("encoding_format") == "base64" else VECTORS
        data = [{"object": "embedding", "index": i, "embedding": form[i]} for i in range(n)]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return answer(200, JSON, {"object": "list", "data": data, "model": asked["model"], "usage": usage})
    if seen.path == "/api/embed":
        n = 1 if isinstance(asked["input"], str) else len(asked["input"])
        return answer(200, JSON, {"model": "two", "embeddings": VECTORS[:n], "prompt_eval_count": 7})
    if seen.path == "/v2/embed":
        n = len(asked.get("texts") or asked.get("inputs"))
        told = {"billed_units": {"input_tokens": 7}}
        return answer(
            200, JSON, {"id": "e1", "embeddings": {"float": VECTORS[:n]}, "texts": TEXTS, "meta": told}
        )
    values = [{"values": v} for v in VECTORS]
    usage = {"promptTokenCount": 7}
    if seen.path.endswith(":embedContent"):
        return answer(200, JSON, {"embedding": values[0], "usageMetadata": usage})
    assert seen.path.endswith(":batchEmbedContents"), seen.path
    n = len(asked["requests"])
    return answer(200, JSON, {"embeddings": values[:n], "usageMetadata": usage})


class Stage:
    def __init__(self, running: Running, providers: dict[str, Upstream]) -> None:
        self.running, self.providers = running, providers
        self.key, self.url = running.key, running.url

    def sent(self, model: str) -> Any:
        return self.providers[model.partition("/")[0]].seen[-1].json

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as got:
                return got.status, json.load(got), got.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    names = ("alpha", "beta", "gamma", "delta", "epsilon")
    ups = {name: Upstream(respond) for name in names}
    for up in ups.values():
        up.__enter__()
    more = MORE.format(**{name: up.base for name, up in ups.items()})
    running = Running(tmp_path_factory.mktemp("vectors"), ups["alpha"].base, ups["beta"].base, more=more)
    yield Stage(running, ups)
    running.close()
    for up in ups.values():
        up.__exit__()


# --- the official SDKs ---------------------------------------------------------------------------


@TARGETS
def test_openai(stage: Stage, model: str) -> None:
    with openai.OpenAI(api_key=stage.key, base_url=f"{stage.url}/v1", max_retries=0) as client:
        reply = client.embeddings.create(model=model, input=TEXTS, dimensions=3)
        numbers = client.embeddings.create(model=model, input="one", encoding_format="float")
    assert [list(one.embedding) for one in reply.data] == VECTORS
    assert [one.index for one in reply.data] == [0, 1]
    assert (reply.usage.prompt_tokens, reply.model.rpartition("/")[2]) == (7, model.partition("/")[2])
    assert numbers.data[0].embedding == VECTORS[0]


@TARGETS
def test_openai_async(stage: Stage, model: str) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(api_key=stage.key, base_url=f"{stage.url}/v1", max_retries=0) as client:
            return await client.embeddings.create(model=model, input=TEXTS)

    assert [list(one.embedding) for one in asyncio.run(ask()).data] == VECTORS


@TARGETS
def test_gemini(stage: Stage, model: str) -> None:
    options = types.HttpOptions(base_url=stage.url)
    client = google.genai.Client(api_key=stage.key, http_options=options)
    wish = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=3)
    reply = client.models.embed_content(model=model, contents=TEXTS, config=wish)
    assert [one.values for one in reply.embeddings or ()] == VECTORS


@TARGETS
def test_ollama(stage: Stage, model: str) -> None:
    client = ollama.Client(host=stage.url, headers={"Authorization": f"Bearer {stage.key}"})
    reply = client.embed(model=model, input=TEXTS, dimensions=3, truncate=False)
    assert [list(one) for one in reply.embeddings] == VECTORS
    assert reply.prompt_eval_count == 7


@TARGETS
@pytest.mark.parametrize("form", ["float", "base64"])
def test_cohere(stage: Stage, model: str, form: str) -> None:
    client = cohere.ClientV2(api_key=stage.key, base_url=stage.url, max_retries=0)
    if model.startswith("delta") and form == "base64":
        return  # scripted without
    reply = client.embed(model=model, texts=TEXTS, input_type="search_query", embedding_types=[form])
    told = reply.embeddings.float_ if form == "float" else reply.embeddings.base64
    assert told == (VECTORS if form == "float" else PACKED)


@TARGETS
def test_in_process(stage: Stage, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "provider-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with fungible.Client(config=str(stage.running.config)) as client:
        sdk = openai.OpenAI(api_key="x", base_url="http://fungible/v1", http_client=client.http())
        assert [
            list(one.embedding) for one in sdk.embeddings.create(model=model, input=TEXTS).data
        ] == VECTORS
        other = cohere.ClientV2(api_key="x", base_url="http://fungible", httpx_client=client.http(httpx))
        told = other.embed(model=model, texts=TEXTS, input_type="clustering", embedding_types=["float"])
        assert told.embeddings.float_ == VECTORS


def test_the_embedded_model(stage: Stage) -> None:
    with openai.OpenAI(api_key=stage.key, base_url=f"{stage.url}/v1", max_retries=0) as client:
        packed = client.embeddings.create(model="local/llama", input=TEXTS)
        numbers = client.embeddings.create(model="local/llama", input=TEXTS, encoding_format="float")
    assert len(packed.data) == 2 and len(packed.data[0].embedding) > 8
    assert packed.data[1].embedding == pytest.approx(numbers.data[1].embedding, rel=1e-6)
    host = ollama.Client(host=stage.url, headers={"Authorization": f"Bearer {stage.key}"})
    assert host.embed(model="local/llama", input="one").embeddings[0] == pytest.approx(
        numbers.data[0].embedding, rel=1e-6
    )
    status, _, head = stage.post("/v1/embeddings", {"model": "local/llama", "input": "x", "dimensions": 8})
    assert (status, head["x-fungible-losses"]) == (200, "1, dimensions;dropped")


# --- what is sent, told and counted --------------------------------------------------------------


def test_what_each_provider_is_sent(stage: Stage) -> None:
    body = {"input": TEXTS, "dimensions": 3, "encoding_format": "base64"}
    heads = {model: stage.post("/v1/embeddings", {**body, "model": model})[2] for model in PROVIDERS}
    assert stage.sent("alpha/one") == {**body, "model": "one"}
    assert stage.sent("gamma/two") == {"model": "two", "input": TEXTS, "dimensions": 3}
    assert stage.sent("delta/three") == {
        "model": "three", "input_type": "search_document", "texts": TEXTS, "output_dimension": 3,
    }  # fmt: skip
    assert stage.sent("epsilon/four") == {
        "requests": [
            {"model": "models/four", "content": {"parts": [{"text": t}]}, "outputDimensionality": 3}
            for t in TEXTS
        ]
    }
    assert heads["alpha/one"]["x-fungible-losses"] == "0"
    assert heads["gamma/two"]["x-fungible-losses"] == "0"  # base64 is written here
    assert heads["delta/three"]["x-fungible-losses"] == "2, input;approximated, texts;dropped"
    assert heads["epsilon/four"]["x-fungible-losses"] == "0"
    assert stage.post("/v1/embeddings", {**body, "model": "zeta/x"})[0] == 200
    assert stage.sent("alpha/x") == {**{k: body[k] for k in ("input", "encoding_format")}, "model": "x",
                                     "output_dimension": 3}  # fmt: skip


def test_one_content_of_gemini_s(stage: Stage) -> None:
    body = {"content": {"parts": [{"text": "one"}]}, "taskType": "RETRIEVAL_QUERY", "title": "T"}
    for model in PROVIDERS:
        status, told, head = stage.post(f"/v1beta/models/{model}:embedContent", body)
        assert (status, told["embedding"]["values"]) == (200, VECTORS[0])
        lost = {"alpha": "2, taskType;dropped, title;dropped", "gamma": "2, taskType;dropped, title;dropped",
                "delta": "3, id;dropped, texts;dropped, title;dropped", "epsilon": "0"}  # fmt: skip
        assert sorted(head["x-fungible-losses"].split(", ")) == sorted(
            lost[model.partition("/")[0]].split(", ")
        )
    assert stage.providers["epsilon"].seen[-1].path == "/v1beta/models/four:embedContent"


def test_the_ledger_has_each(stage: Stage) -> None:
    _, _, head = stage.post("/v1/embeddings", {"model": "epsilon/four", "input": TEXTS})
    rows = {row["call"]: row for row in stage.running.rows()}
    row = rows[head["x-fungible-call"]]
    assert (row["state"], row["input_tokens"], row["output_tokens"]) == ("settled", 7, 0)
    assert row["cost_nanousd"] == 700 and head["x-fungible-cost-usd"] == "0.0000007"


def test_a_budget_holds_the_input_alone(stage: Stage) -> None:
    made = stage.running.program("keys", "create", "--name", "poor", "--budget-usd", "0.001")
    body = {"model": "epsilon/four", "input": "one"}
    for _ in range(50):
        status, told, _ = stage.post("/v1/embeddings", body, authorization=f"Bearer {made['key']}")
        if status != 401:
            break
        time.sleep(0.1)  # keys are looked for once a second
    assert status == 200, told
    big = {"model": "epsilon/four", "input": "word " * 4000}
    assert stage.post("/v1/embeddings", big, authorization=f"Bearer {made['key']}")[0] == 429


def test_a_provider_without_vectors_is_told_by_name_and_passed_over(stage: Stage) -> None:
    status, told, _ = stage.post("/v1/embeddings", {"model": "beta/two", "input": "one"})
    assert status == 400 and "beta has no API for embeddings" in told["error"]["message"]
    status, told, head = stage.post("/v1/embeddings", {"model": "vectors", "input": "one"})
    assert (status, head["x-fungible-target"]) == (200, "epsilon/four")


def test_token_ids_go_to_their_own_kind_only(stage: Stage) -> None:
    body = {"model": "alpha/one", "input": [[1, 2], [3]]}
    assert stage.post("/v1/embeddings", body)[0] == 200
    assert stage.sent("alpha/one")["input"] == [[1, 2], [3]]
    status, told, _ = stage.post("/v1/embeddings", {**body, "model": "epsilon/four"})
    assert (status, told["error"]["param"]) == (400, "input[0]")


def test_a_strict_call_is_refused(stage: Stage) -> None:
    body = {"model": "gamma/two", "texts": TEXTS, "input_type": "clustering"}
    status, told, _ = stage.post("/v2/embed", body, x_fungible_strict="1")
    assert status == 422 and "input_type" in told["message"]


@TARGETS
def test_errors_are_the_client_s_own(stage: Stage, model: str) -> None:
    with openai.OpenAI(api_key=stage.key, base_url=f"{stage.url}/v1", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError):
            client.embeddings.create(model=f"{model}-fail", input="fail")
        with pytest.raises(openai.BadRequestError, match="input"):
            client.embeddings.create(model="epsilon/four", input=[{"a": 1}])  # type: ignore[list-item]


# --- translation ---------------------------------------------------------------------------------

REQUEST = EmbeddingRequest(
    model="m",
    inputs=(Input(parts=(Text(text="one"),)), Input(parts=(Text(text="two"),))),
    dimensions=3,
    task="query",
    truncate="end",
)
REPLY = EmbeddingReply(
    model="m",
    vectors=tuple(Vector(numbers=tuple(v)) for v in VECTORS),
    usage=Usage(input_tokens=7, output_tokens=0),
)


@pytest.mark.parametrize("name", sorted(EMBEDDINGS))
def test_what_is_written_is_read_but_for_the_losses(name: str) -> None:
    spoken, report = SPOKEN[name], Report()
    back: Any = spoken.read_request(spoken.write_request(REQUEST, report, frozenset()))  # type: ignore[arg-type]
    lost = {loss.path for loss in report.losses}
    each = back.inputs[0]
    assert (back.dimensions or each.dimensions) == 3
    assert ((back.task or each.task) == "query") != ("task" in lost)
    assert (back.truncate == "end") != ("truncate" in lost)
    texts = [i.parts[0].text for i in back.inputs]
    assert texts == ["one", "two"] if len(texts) == 2 else report.losses
    told: Any = spoken.read_reply(spoken.write_reply(REPLY, report))  # type: ignore[arg-type]
    assert told.vectors[0] == REPLY.vectors[0]
    untold = any(loss.why == "usage_detail" for loss in report.losses)
    assert told.usage is None if untold else told.usage.input_tokens == 7


def test_either_name_of_an_owner_will_do() -> None:
    body = {"model": "m", "input": "one", "encoding_format": "base64"}
    made = translate(body, source="openai.embeddings", target="gemini.generate_content")
    assert made.path == "/v1beta/models/m:batchEmbedContents"
    assert made.body["requests"][0]["content"] == {"parts": [{"text": "one"}]}
    assert [(loss.path, loss.kind) for loss in made.losses] == [("encoding_format", "changed")]
    packed = {"data": [{"embedding": PACKED[0], "index": 0}], "model": "m"}
    told = translate(packed, source="openai.embeddings", target="ollama.chat", kind="response")
    assert told.body["embeddings"] == [VECTORS[0]]
    with pytest.raises(Fault, match="has no embeddings"):
        translate(body, source="openai.embeddings", target="anthropic.messages")
    with pytest.raises(Fault, match="no streams"):
        translate("", source="openai.embeddings", target="ollama.embed", kind="stream")
    error = {"status": 429, "body": {"error": {"message": "slow", "type": "x"}}}
    assert (
        translate(error, source="openai.embeddings", target="cohere.embed", kind="error").body["status"]
        == 429
    )


def test_parts_of_one_content_stay_one_input() -> None:
    body = {"requests": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "taskType": "CLUSTERING"}]}
    made = translate(body, source="gemini.batch_embed_contents", target="openai.embeddings", model="m")
    assert made.body["input"] == ["a\nb"]
    assert {(loss.path, loss.why) for loss in made.losses} == {
        ("requests[0]", "part_order"),
        ("requests[0].taskType", "task"),
    }


def test_images_and_forms_of_cohere_s() -> None:
    url = "data:image/png;base64,aGk="
    body = {"model": "m", "input_type": "image", "images": [url], "embedding_types": ["int8", "float"]}
    same = translate(body, source="cohere.embed", target="cohere.embed")
    assert (same.body, same.losses) == (body, ())
    made = translate(body, source="cohere.embed", target="gemini.generate_content")
    part = made.body["requests"][0]["content"]["parts"][0]
    assert part["inlineData"] == {"data": "aGk=", "mimeType": "image/png"}
    assert {loss.path for loss in made.losses} == {"embedding_types", "input_type"}
    assert {loss.path for loss in translate(body, source="cohere.embed", target="ollama.embed").losses} == {
        "embedding_types", "images[0]", "input_type",
    }  # fmt: skip


RECORDED = {
    "openai.embeddings": "openai.embeddings",
    "mistral.embeddings": "openai.embeddings",
    "cohere.embed": "cohere.embed",
    "gemini.embed": "gemini.batch_embed_contents",
}


@needs_recordings
@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("target", sorted(EMBEDDINGS))
def test_recorded_traffic(recorded: str, target: str) -> None:
    source, seen = RECORDED[recorded], 0
    for line in (WIRE / f"other.{recorded}.jsonl").read_text().splitlines():
        record = json.loads(line)
        asked, told = record["request"], record["response"]
        one = "content" in (asked["body"] or {}) or (
            "/v1/" in (asked["path"] or "") and source.startswith("cohere")
        )
        if one or told["body_kind"] != "json":
            continue
        if asked["body_kind"] == "json":
            made = translate(asked["body"], source=source, target=target, model="m")
            seen += 1
            if target == source:
                assert not made.losses, record["id"]
        if told["status"] == 200:
            reply = translate(told["body"], source=source, target=target, kind="response", model="m")
            if target == source and source != "openai.embeddings":
                assert not reply.losses, record["id"]
        elif told["body"]:
            error = {"status": told["status"], "body": told["body"]}
            assert translate(error, source=source, target=target, kind="error").body["status"] >= 400
    assert seen
