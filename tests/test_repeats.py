"""Idempotency keys: the same request is asked once, in both dialects, plain and streamed."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fungible import repeats
from fungible.call import Asking, Call
from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.repeats import Repeating, Repeats
from tests.asking import Asker
from tests.faulty import CHAT, MESSAGES, TEXT, Faulty
from tests.serving import Running
from tests.upstream import Upstream


class Told:
    """Implements `answer.Client`, and keeps it all."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.said.append((status, head, body))

    def start(self, status: int, head: bytes) -> None:
        self.said.append((status, head))

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def end(self) -> None:
        self.said.append("end")


def take(
    book: Repeats, key: bytes = b"k", *, body: str = "a", owner: bytes = b"o", now: float = 0.0,
    alive: bool = True, path: str = "/p", call: str = "c-1",
) -> tuple[Repeating | None, Told]:  # fmt: skip
    wire = json.dumps({"model": "m", "messages": [], "x": body}).encode()
    told = Told()
    dialect = DIALECTS["openai.chat"]
    asked = Call(call, Asking(dialect, secret=owner, repeat=key), dialect, wire, dialect.peek(wire), now)
    return book.take(key, owner, path, asked, told, lambda id: alive), told


STREAMED = [b"data: x\n\n", b": x-fungible-cost-usd: 0.1, x-fungible-attempts: 1, state: settled, x: 0\n\n"]


def stream(recorder: Repeating | None, pieces: list[bytes]) -> None:
    assert recorder is not None
    recorder.start(200, b"a: b\r\n")
    for piece in pieces:
        recorder.write(piece)
    recorder.end()


def test_an_answer_is_told_again() -> None:
    book = Repeats()
    first, heard = take(book)
    assert first is not None
    first.reply(200, b"a: b\r\n", b"hello")
    assert heard.said == [(200, b"a: b\r\n", b"hello")]
    again, told = take(book)
    assert again is None and told.said == [(200, b"a: b\r\nidempotent-replayed: true\r\n", b"hello")]


def test_a_stream_is_told_again() -> None:
    book = Repeats()
    stream(take(book)[0], STREAMED)
    again, told = take(book)
    assert again is None
    assert told.said == [(200, b"a: b\r\nidempotent-replayed: true\r\n"), b"".join(STREAMED), "end"]


def test_a_key_is_its_owner_s_at_one_path() -> None:
    book = Repeats()
    first, _ = take(book)
    assert first is not None
    first.reply(200, b"", b"hello")
    for other in ({"owner": b"p"}, {"path": "/q"}, {"key": b"l"}):
        assert take(book, **other)[0] is not None  # type: ignore[arg-type]


def test_under_way_and_another_request() -> None:
    book = Repeats()
    first, _ = take(book)
    with pytest.raises(Fault) as fault:
        take(book)
    assert fault.value.kind == "conflict" and fault.value.status == 409
    with pytest.raises(Fault) as fault:
        take(book, body="b")
    assert fault.value.kind == "unprocessable" and fault.value.status == 422
    assert first is not None
    first.reply(200, b"", b"")
    with pytest.raises(Fault) as fault:
        take(book, body="b")
    assert fault.value.status == 422


@pytest.mark.parametrize("status", [401, 403, 408, 409, 429, 500, 502, 503, 529])
def test_what_another_try_may_mend_is_forgotten(status: int) -> None:
    book = Repeats()
    first, _ = take(book)
    assert first is not None
    first.reply(status, b"", b"no")
    assert take(book)[0] is not None


@pytest.mark.parametrize("pieces", [STREAMED[:1], [*STREAMED[:1], b'data: {"error": 1}\n\n'], []])
def test_a_stream_that_broke_off_is_forgotten(pieces: list[bytes]) -> None:
    book = Repeats()
    stream(take(book)[0], pieces)
    assert take(book)[0] is not None


def test_a_call_whose_client_left_is_forgotten_and_its_late_answer_not_kept() -> None:
    book = Repeats()
    late, _ = take(book)
    second, _ = take(book, alive=False)
    assert late is not None and second is not None
    late.reply(200, b"", b"late")
    second.reply(200, b"", b"second")
    assert take(book)[1].said[0][2] == b"second"


def test_answers_grow_old_and_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Repeats()
    first, _ = take(book)
    assert first is not None
    first.reply(200, b"", b"x")
    assert take(book, now=repeats.KEPT_S - 1)[0] is None
    assert take(book, now=repeats.KEPT_S + 1)[0] is not None
    monkeypatch.setattr(repeats, "KEPT_BYTES_MAX", 1000)
    monkeypatch.setattr(repeats, "ANSWER_BYTES_MAX", 400)
    for number in range(20):
        recorder, _ = take(book, b"%d" % number, now=700.0)
        assert recorder is not None
        recorder.reply(200, b"", b"x" * 300)
    assert book._bytes <= 1000
    assert take(book, b"19", now=700.0)[0] is None and take(book, b"1", now=700.0)[0] is not None
    recorder, _ = take(book, b"long", now=700.0)
    assert recorder is not None
    recorder.reply(200, b"", b"x" * 401)
    assert take(book, b"long", now=700.0)[0] is not None


@pytest.mark.parametrize("key", [b"", b"x" * 256])
def test_a_key_that_is_none(key: bytes) -> None:
    with pytest.raises(Fault, match="1 to 255 bytes"):
        take(Repeats(), key)


# --- end to end ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, Faulty]]]:
    alpha, beta = Faulty(CHAT), Faulty(MESSAGES)
    with Upstream(alpha) as one, Upstream(beta) as two:
        running = Running(tmp_path_factory.mktemp("repeats"), one.base, two.base)
        yield running, {"alpha": alpha, "beta": beta}
        running.close()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", ["alpha", "beta"])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_the_sdks(
    stage: tuple[Running, dict[str, Faulty]], client: str, provider: str, streamed: bool
) -> None:
    running, faulty = stage
    name = f"{client}-{provider}-{streamed}"
    ask, model = Asker(running.url, running.key), f"{provider}/good.{name}"
    sent = {"idempotency-key": name}
    first = ask(client, model, streamed, extra_headers=sent)
    assert first.text == TEXT and "idempotent-replayed" not in first.headers
    again = ask(client, model, streamed, extra_headers=sent)
    assert (again.text, again.stops, again.call) == (first.text, first.stops, first.call)
    assert again.headers["idempotent-replayed"] == "true"
    assert faulty[provider].asked[f"good.{name}"] == 1
    assert len([row for row in running.rows() if row["model"] == f"good.{name}"]) == 1
    other = ask(client, model, streamed, prompt="Another", extra_headers=sent)
    assert other.status == 422 and "idempotency-key" in other.told
    nobody = Asker(running.url, "fk-nobody")(client, model, streamed, extra_headers=sent)
    assert nobody.status == 401 and faulty[provider].asked[f"good.{name}"] == 1


def test_two_at_once(stage: tuple[Running, dict[str, Faulty]]) -> None:
    running, faulty = stage
    ask = Asker(running.url, running.key)
    sent = ("openai", "alpha/later.twice")
    outcomes = _both(ask, sent)
    assert sorted(o.status for o in outcomes) == [200, 409]
    assert faulty["alpha"].asked["later.twice"] == 1


def _both(ask: Asker, sent: tuple[str, str]) -> list[Any]:

    with ThreadPoolExecutor(2) as pool:
        futures = []
        for _ in range(2):
            futures.append(pool.submit(ask, *sent, extra_headers={"idempotency-key": "twice"}))
            time.sleep(0.3)
        return [f.result() for f in futures]
