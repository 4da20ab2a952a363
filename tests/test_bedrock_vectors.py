"""Vectors of Bedrock's models, which Converse does not serve: asked by InvokeModel, each in its maker's body."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cohere
import openai
import pytest

import fungible
from fungible import translate
from tests.recordings import exchanges, needs_recordings
from tests.upstream import JSON, Seen, Step, Upstream, answer

TITAN, V3, V4 = (
    f"bedrock/{name}"
    for name in ("amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "us.cohere.embed-v4:0")
)
VECTORS = [[0.5, -0.25, 1.0], [0.125, 2.0, -4.0]]
TEXTS = ["one", "two"]
COUNTED, ESTIMATED = "settled", "estimated"


def respond(seen: Seen) -> Sequence[Step]:
    """As the user guide has it, each model in its own words; anything else is a ValidationException."""
    asked = seen.json
    if "titan" in seen.path and set(asked) <= {"inputText", "dimensions"}:
        told: Any = {"embedding": VECTORS[0], "inputTextTokenCount": 7}
        return answer(200, JSON, told | {"embeddingsByType": {"float": VECTORS[0]}})
    if "cohere" in seen.path and asked.get("embedding_types") == ["float"] and "model" not in asked:
        told = {"id": "e1", "texts": asked["texts"], "response_type": "embeddings_by_type"}
        return answer(200, JSON, told | {"embeddings": {"float": VECTORS[: len(asked["texts"])]}})
    return answer(400, JSON, {"message": "Malformed input request, please reformat your input."})


@pytest.fixture
def bedrock() -> Iterator[Upstream]:
    with Upstream(respond) as up:
        yield up


@pytest.fixture
def client(bedrock: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fungible.Client]:
    monkeypatch.chdir(tmp_path)
    prices = "".join(
        f'[model."{name}"]\ninput_usd_per_mtok = 0.1\noutput_usd_per_mtok = 0\n' for name in (TITAN, V3, V4)
    )
    Path("fungible.toml").write_text(f'[provider.bedrock]\nbase_url = "{bedrock.base}"\n{prices}')
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    made = fungible.Client()
    yield made
    made.close()


def asking(client: fungible.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="x", base_url="http://fungible/v1", http_client=client.http(), max_retries=0)


@pytest.mark.parametrize(
    ("model", "body", "tokens"),
    [
        (TITAN, {"inputText": "one", "dimensions": 512}, 7),
        (V3, {"texts": ["one"], "input_type": "search_document", "embedding_types": ["float"],
              "output_dimension": 512}, None),
        (V4, {"texts": ["one"], "input_type": "search_document", "embedding_types": ["float"],
              "output_dimension": 512}, None),
    ],
)  # fmt: skip
def test_each_is_asked_in_its_makers_words(
    bedrock: Upstream, client: fungible.Client, model: str, body: Any, tokens: int | None
) -> None:
    raw = asking(client).embeddings.with_raw_response.create(model=model, input="one", dimensions=512)
    made = raw.parse()
    assert made.data[0].embedding == VECTORS[0] and made.model.endswith(model.partition("/")[2])
    (sent,) = bedrock.seen
    assert sent.json == body
    assert sent.path == f"/model/{model.partition('/')[2].replace(':', '%3A')}/invoke"
    assert "/eu-west-1/bedrock/aws4_request" in sent.headers["authorization"]
    if tokens is not None:
        assert made.usage.prompt_tokens == tokens and raw.headers["x-fungible-cost-usd"] == "0.0000007"


def test_several_texts_of_any_client(bedrock: Upstream, client: fungible.Client) -> None:
    assert [d.embedding for d in asking(client).embeddings.create(model=V4, input=TEXTS).data] == VECTORS
    theirs = cohere.ClientV2(api_key="x", base_url="http://fungible", httpx_client=client.http())
    told = theirs.embed(
        model=V3, texts=TEXTS, input_type="search_query", embedding_types=["float"], truncate="END"
    )
    assert told.embeddings.float_ == VECTORS
    assert bedrock.seen[-1].json["input_type"] == "search_query"
    assert bedrock.seen[-1].json["truncate"] == "END"
    theirs.embed(model=V4, texts=TEXTS, input_type="classification", truncate="END")
    assert bedrock.seen[-1].json["truncate"] == "RIGHT"


def test_one_text_is_all_that_titan_takes(bedrock: Upstream, client: fungible.Client) -> None:
    with pytest.raises(openai.BadRequestError, match="takes one text a call") as told:
        asking(client).embeddings.create(model=TITAN, input=TEXTS)
    assert told.value.param == "input[1]" and not bedrock.seen


def test_a_refusal_is_the_callers_own_error(bedrock: Upstream, client: fungible.Client) -> None:
    with pytest.raises(openai.BadRequestError, match="Malformed input request"):
        asking(client).embeddings.create(model="bedrock/acme.vectors-v1", input="one")
    assert len(bedrock.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"inputText": "one", "dimensions": 256},
        {"inputText": "one", "normalize": False, "embeddingTypes": ["binary"]},
        {"texts": TEXTS, "input_type": "clustering", "embedding_types": ["int8", "float"]},
        {"texts": TEXTS, "input_type": "image", "embedding_types": ["float"], "images": []},
    ],
)
def test_a_body_is_read_and_written_back(body: Any) -> None:
    model = "amazon.titan-embed-text-v2:0" if "inputText" in body else "cohere.embed-english-v3"
    same = translate(body, source="bedrock.embed", target="bedrock.embed", model=model)
    assert (same.body, same.losses) == (body, ())


@needs_recordings
def test_recorded_answers_are_read() -> None:
    found = [c for c in exchanges("bedrock.invoke_model") if "embed" in str(c["request"].get("path"))]
    assert found
    for call in found:
        asked, told = call["request"]["body"], call["response"]["body"]
        same = translate(asked, source="bedrock.embed", target="bedrock.embed", model="cohere.embed-v4:0")
        assert same.body == asked | {"embedding_types": ["float"]} and not same.losses
        made = translate(told, source="bedrock.embed", target="openai.embeddings", kind="response", model="m")
        assert [d["embedding"] for d in made.body["data"]] == told["embeddings"]["float"]
