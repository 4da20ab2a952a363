"""The two passes of a call by batch: what goes in is what a live call sends, what comes out is what it gives."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible.asker import Asker
from fungible.batching.passes import BATCH, Passes, Put
from fungible.dialects import DIALECTS, dialect
from fungible.ir import Message, Request, Text, Tool, Usage
from fungible.losses import Report
from fungible.money import Price, cost, reduced
from fungible.prices import EMPTY, Clause, ListedModel, ListedPrice, ListedProvider, PriceBook, Rates
from fungible.providers.batches.base import Result
from fungible.recording import Recording
from tests.upstream import JSON, Upstream, answer

CONFIG = """
[server]
state = "{folder}/state"

[provider.openai]
base_url = "{base}/v1"
key = "env:TEST_KEY"

[provider.anthropic]
base_url = "{base}"
key = "env:TEST_KEY"

[provider.gemini]
base_url = "{base}"
key = "env:TEST_KEY"

[provider.mistral]
base_url = "{base}/v1"
key = "env:TEST_KEY"

[model."anthropic/priced"]
input_usd_per_mtok = 3.00
output_usd_per_mtok = 15.00

[route.two]
targets = ["openai/a", "anthropic/b"]
"""
MESSAGE = {
    "id": "m1", "type": "message", "role": "assistant", "model": "two", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 90, "output_tokens": 30},
}  # fmt: skip
FIRST = Request(
    model="assistant",
    messages=(
        Message(role="system", parts=(Text(text="Be brief."),)),
        Message(role="user", parts=(Text(text="Hi"),)),
    ),
    tools=(Tool(name="weather", parameters={"type": "object", "properties": {}}),),
    max_output_tokens=20,
)


def asked(name: str, *, stream: bool) -> Recording:
    spoken = dialect(name)
    request = msgspec.structs.replace(FIRST, stream=stream, stream_usage=True if stream else None)
    body = spoken.write_request(request, Report(spoken.names), frozenset())
    return Recording(
        id="r", at_ms=0, route="assistant", dialect=name, request=msgspec.Raw(body), stream=stream
    )  # fmt: skip


class Here:
    """An asker and its passes, on a loop of their own."""

    def __init__(self, folder: Path, base: str) -> None:
        config = folder / "fungible.toml"
        config.write_text(CONFIG.format(folder=folder, base=base))
        self.loop = asyncio.new_event_loop()
        self.asker = Asker(str(config))
        self.passes = self.run(self._made())

    async def _made(self) -> Passes:
        return Passes(self.asker.app(), self.asker)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def put(self, recording: Recording, target: str) -> Put:
        made = self.passes.put(recording, target, "rehearsal=r")
        assert isinstance(made, Put), made
        return made

    def close(self) -> None:
        self.run(self.asker.close())
        self.loop.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: answer(200, JSON, MESSAGE)) as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Here(tmp_path, upstream.base)
    yield made
    made.close()


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("target", ["openai/a", "anthropic/a", "gemini/a", "mistral/a"])
def test_a_stream_is_asked_for_at_once_and_nothing_else_changes(here: Here, name: str, target: str) -> None:
    streamed, plain = here.put(asked(name, stream=True), target), here.put(asked(name, stream=False), target)
    assert json.loads(streamed.body) == json.loads(plain.body)
    assert not json.loads(streamed.body).get("stream") and not streamed.row.stream


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_goes_in_is_what_a_live_call_sends_and_the_answer_is_the_same(
    here: Here, upstream: Upstream, name: str
) -> None:
    recording = asked(name, stream=False)
    live = here.run(here.asker.replay(recording, "anthropic/priced", "rehearsal=r"))
    put = here.put(recording, "anthropic/priced")
    assert put.body == upstream.seen[-1].body
    result = Result("x", 200, json.dumps(MESSAGE).encode(), request_id="req_1")
    row = here.passes.row(put, "x")
    here.passes.open([row])
    batch = here.passes.take(recording, "anthropic/priced", "rehearsal=r", result, row.attempt)
    assert batch.lost == live.lost
    same = {"at_ms": 0, "duration_ms": 0.0, "cost_nanousd": 0, "reply": None}
    assert msgspec.structs.replace(batch.recording, **same) == msgspec.structs.replace(live.recording, **same)
    assert _but_times(batch.recording) == _but_times(live.recording)
    assert 2 * (batch.recording.cost_nanousd or 0) == live.recording.cost_nanousd == 90 * 3000 + 30 * 15000


def _but_times(recording: Recording) -> Any:
    """Some wires tell the second of an answer, and an id of ours where the provider's has no place."""
    said = json.loads(bytes(recording.reply or b""))
    return {
        key: value
        for key, value in said.items()
        if key not in ("created", "created_at", "id", "completed_at")
    }


@pytest.mark.parametrize(
    ("name", "target", "url"),
    [
        ("openai.chat", "openai/a", "/v1/chat/completions"),
        ("openai.responses", "openai/a", "/v1/responses"),
        ("anthropic.messages", "openai/a", "/v1/chat/completions"),
        ("openai.responses", "mistral/a", "/v1/chat/completions"),
    ],
)
def test_a_batch_names_the_path_of_its_requests(here: Here, name: str, target: str, url: str) -> None:
    assert here.put(asked(name, stream=False), target).url == url


def test_of_several_targets_one_has_to_be_named(here: Here) -> None:
    with pytest.raises(Exception, match=r"several targets: name one of openai/a, anthropic/b"):
        here.passes.api("two")


def test_an_answer_that_cannot_be_read_is_a_failure_of_its_recording(here: Here) -> None:
    recording = asked("openai.chat", stream=False)
    for body in (b"nonsense", b'{"type":"message"}', b"[]"):
        row = here.passes.row(here.put(recording, "anthropic/priced"), f"x{len(body)}")
        here.passes.open([row])
        replayed = here.passes.take(
            recording, "anthropic/priced", "rehearsal=r", Result("x", 200, body), row.attempt
        )
        assert replayed.recording.status >= 500 and replayed.recording.fault, body


# --- the price -----------------------------------------------------------------------------------


def _book(*prices: ListedPrice) -> PriceBook:
    model = ListedModel(id="m", match=Clause("=", "m"), prices=prices)
    raw = msgspec.Raw(msgspec.msgpack.encode(ListedProvider((), (model,))))
    return PriceBook(msgspec.structs.replace(EMPTY, version="1", providers={"anthropic": raw}))


def test_the_price_lists_own_price_of_batches_comes_first(here: Here) -> None:
    app = here.passes._app
    usual = ListedPrice((Rates(input=3_000, output=9_000),))
    batch = ListedPrice((Rates(input=1_000, output=4_000),), when=BATCH)
    app.prices = _book(usual, batch)
    app._price_anew(app.config)
    price = here.passes.price("anthropic/m")
    assert (
        price is not None and (price.input, price.output) == (1_000, 4_000) and "processing=batch" in price.id
    )
    app.prices = _book(usual)
    app._price_anew(app.config)
    price = here.passes.price("anthropic/m")
    assert price is not None and (price.input, price.output) == (1_500, 4_500)
    assert price.id.endswith("#batch") and "50 % by the batch, https://" in price.source
    assert here.passes.price("anthropic/unlisted") is None, "what is not known stays so"


def test_a_reduced_price_rounds_up_and_keeps_its_tiers() -> None:
    above = Price(id="p", source="s", input=5, output=7)
    price = Price(
        id="p", source="s", input=3, output=8, cache_read=1, request=10, above_tokens=100, above=above
    )
    less = reduced(price, 50, "#batch", "half")
    assert (less.input, less.output, less.cache_read, less.request) == (2, 4, 1, 10)
    assert less.above is not None and (less.above.input, less.above.output) == (3, 4)
    assert less.cache_write is None and less.id == "p#batch" and less.source == "s; half"
    assert (
        cost(
            reduced(Price(id="p", source="", input=10**9, output=0), 50, "", ""),
            Usage(input_tokens=2, output_tokens=0),
        )
        == 1000
    )
