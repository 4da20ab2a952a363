"""InvokeModel on Bedrock: Claude's own API and chat completions at another address, streams in AWS's frames."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anthropic
import pytest

import fungible
from fungible.dialects import DIALECTS
from fungible.events import assemble, disassemble
from fungible.faults import Fault
from fungible.frames.eventstream import frame, header_block
from fungible.losses import Report
from fungible.providers.wrapped import MEDIA_TYPE, Unwrapped
from fungible.world import Headers
from tests.clouds import REPLY
from tests.recordings import exchanges, needs_recordings
from tests.upstream import JSON, Seen, Step, Upstream, answer

CHUNK = header_block({":event-type": "chunk", ":content-type": JSON, ":message-type": "event"})
CLAUDE, CHAT = DIALECTS["anthropic.messages"], DIALECTS["openai.chat"]
IMPORTED = "bedrockopenai/arn:aws:bedrock:eu-west-1:123456789012:imported-model/abcdef"
MODEL = "bedrockanthropic/us.anthropic.claude-sonnet-4-6"


def framed(events: bytes) -> list[bytes]:
    inner = [piece.split(b"data: ", 1)[1] for piece in events.split(b"\n\n") if b"data: " in piece]
    return [
        frame(CHUNK, json.dumps({"bytes": base64.b64encode(i).decode(), "p": "ab"}).encode()) for i in inner
    ]


def exception(name: str, text: str) -> bytes:
    block = header_block({":exception-type": name, ":content-type": JSON, ":message-type": "exception"})
    return frame(block, json.dumps({"message": text}).encode())


class Bedrock:
    def __init__(self) -> None:
        self.up = Upstream(self.respond)
        self.breaks = False

    def respond(self, seen: Seen) -> Sequence[Step]:
        spoken = CHAT if "imported-model" in seen.path else CLAUDE
        if not seen.path.endswith("stream"):
            return answer(200, JSON, spoken.write_reply(REPLY, Report()))
        events = spoken.stream_writer(Report(), True).write(disassemble(REPLY))
        frames = framed(events.replace(b"data: [DONE]\n\n", b""))  # it stands for no event of the model's
        if self.breaks:
            frames = [*frames[:3], exception("modelStreamErrorException", "It broke.")]
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
        pieces = b"".join(frames)
        cut = [pieces[i : i + 50] for i in range(0, len(pieces), 50)]
        return [head.encode(), *(b"%x\r\n%b\r\n" % (len(p), p) for p in cut), b"0\r\n\r\n"]


@pytest.fixture
def bedrock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    monkeypatch.chdir(tmp_path)
    made = Bedrock()
    with made.up:
        rows = ("bedrockanthropic", "bedrockopenai")
        Path("fungible.toml").write_text(
            "".join(f'[provider.{row}]\nbase_url = "{made.up.base}"\n' for row in rows)
        )
        environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def client(bedrock: Bedrock) -> Iterator[fungible.Client]:
    made = fungible.Client()
    yield made
    made.close()


def test_it_is_asked_as_the_official_sdk_asks(bedrock: Bedrock, client: fungible.Client) -> None:
    theirs = anthropic.AnthropicBedrock(
        base_url=bedrock.up.base,
        aws_region="eu-west-1",
        aws_access_key="AKID",
        aws_secret_key="secret",
        max_retries=0,
    )
    ours = anthropic.Anthropic(
        api_key="x", base_url="http://fungible", http_client=client.http(), max_retries=0
    )
    asked: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
    for streamed in (False, True):
        theirs.messages.create(model=MODEL.partition("/")[2], stream=streamed, **asked)
        made: Any = ours.messages.create(model=MODEL, stream=streamed, **asked)
        if streamed:
            assert "".join(e.delta.text for e in made if e.type == "content_block_delta") == "Hello."
        else:
            assert made.content[0].text == "Hello."
        wanted, sent = bedrock.up.seen[-2:]
        assert sent.path == wanted.path
        assert sent.json.pop("anthropic_version") == "bedrock-2023-05-31"
        assert "model" not in sent.json and "stream" not in sent.json
        theirs_said = {k: v for k, v in wanted.json.items() if k != "anthropic_version"}
        assert {k: v for k, v in sent.json.items() if k != "anthropic_version"} == theirs_said
        assert "/eu-west-1/bedrock/aws4_request" in sent.headers["authorization"]


def test_betas_stand_in_the_body(bedrock: Bedrock, client: fungible.Client) -> None:
    """As the official SDK for Bedrock writes them, whatever stood in the body before."""
    key: Any = {"aws_region": "eu-west-1", "aws_access_key": "AKID", "aws_secret_key": "secret"}
    theirs = anthropic.AnthropicBedrock(base_url=bedrock.up.base, max_retries=0, **key)
    ours = anthropic.Anthropic(
        api_key="x", base_url="http://fungible", http_client=client.http(), max_retries=0
    )
    asked: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
    betas: Any = ["context-1m-2025-08-07", "output-128k-2025-02-19"]
    theirs.beta.messages.create(model=MODEL.partition("/")[2], betas=betas, **asked)
    raw = ours.beta.messages.with_raw_response.create(model=MODEL, betas=betas, **asked)
    wanted, sent = [seen.json["anthropic_beta"] for seen in bedrock.up.seen[-2:]]
    assert sent == wanted == betas and raw.headers["x-fungible-losses"] == "0"
    more = {"anthropic_beta": ["the-caller-s-own"]}
    ours.beta.messages.create(model=MODEL, betas=betas, extra_body=more, **asked)
    assert bedrock.up.seen[-1].json["anthropic_beta"] == ["the-caller-s-own"]


def test_a_client_of_another_dialect_gets_the_stream_too(client: fungible.Client) -> None:
    told = client.http().post(
        "http://fungible/v1/chat/completions",
        json={"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello"}]},
    )
    assert "Hello." in told.text and "data: [DONE]" in told.text


def test_an_exception_in_the_stream_is_an_error_to_the_client(
    bedrock: Bedrock, client: fungible.Client
) -> None:
    bedrock.breaks = True
    told = client.http().post(
        "http://fungible/v1/messages",
        json={
            "model": MODEL,
            "max_tokens": 9,
            "stream": True,
            "messages": [{"role": "user", "content": "x"}],
        },
    )
    assert "It broke." in told.text and "message_stop" not in told.text


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "messages", "responses"])
def test_an_imported_model_is_asked_for_chat_completions(
    bedrock: Bedrock, client: fungible.Client, path: str, streamed: bool
) -> None:
    said: Any = {"model": IMPORTED, "stream": streamed, "max_tokens": 64}
    said["messages"] = [{"role": "user", "content": "Hello"}]
    if path == "responses":
        said = {"model": IMPORTED, "stream": streamed, "input": "Hello"}
    told = client.http().post(f"http://fungible/v1/{path}", json=said)
    assert (
        told.status_code == 200
        and "Hello." in told.text
        and "error" not in told.text.replace('"error":null', "")
    )
    (sent,) = bedrock.up.seen
    at = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aimported-model%2Fabcdef/invoke"
    assert sent.path == at + ("-with-response-stream" if streamed else "")
    assert sent.json["messages"] == [{"role": "user", "content": "Hello"}]
    assert "/eu-west-1/bedrock/aws4_request" in sent.headers["authorization"]


class Heard:
    def __init__(self) -> None:
        self.body, self.ended = b"", False
        self.lost: Fault | None = None

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return False

    def on_head(self, status: int, headers: Headers) -> None: ...

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        assert not self.ended and self.lost is None
        self.ended = True

    def on_lost(self, fault: Fault) -> None:
        assert not self.ended and self.lost is None
        self.lost = fault


def test_frames_without_an_event_are_no_answer_and_an_end_is_told_once() -> None:
    heard = Heard()
    sink = Unwrapped(heard)
    sink.on_head(200, {b"content-type": MEDIA_TYPE})
    sink.on_body(frame(CHUNK, b'{"bytes": "!"}'))
    sink.on_body(frame(CHUNK, b"{}"))
    sink.on_end()
    assert heard.lost is not None and heard.lost.kind == "provider_answer" and not heard.body


@needs_recordings
def test_recorded_streams_are_read_whatever_their_cuts() -> None:
    found = [
        c
        for c in exchanges("bedrock.invoke_model_stream")
        if "invoke_anthropic" in c["features"] and c["response"]["body_kind"] == "eventstream_b64"
    ]
    assert found
    for call in found:
        data = base64.b64decode(call["response"]["body"])
        for size in (1, 7, len(data)):
            heard = Heard()
            sink = Unwrapped(heard)
            sink.on_head(200, {b"content-type": MEDIA_TYPE})
            for i in range(0, len(data), size):
                sink.on_body(data[i : i + size])
            assert heard.lost is None
            reader = CLAUDE.stream_reader()
            reply = assemble(reader.feed(heard.body) + reader.end())
            assert reply.choices[0].parts
