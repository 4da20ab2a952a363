"""`fungible switch rehearse --batch` end to end, on batch endpoints that are played (`batch_server`)."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fungible.store import Store
from tests.batch_server import BatchServer
from tests.rehearsing import CONFIG as REHEARSING
from tests.rehearsing import Fails, Stage, measure, never, recorded, said_by_candidate, said_by_incumbent
from tests.upstream import JSON, Seen, Step, answer

KINDS = ("chat", "json", "tool")
CONFIG = (
    REHEARSING
    + """
[provider.anthropic]
base_url = "{new}"
key = "env:TEST_KEY"

[provider.openai]
base_url = "{new}/v1"
key = "env:TEST_KEY"

[provider.mistral]
base_url = "{new}/v1"
key = "env:TEST_KEY"

[provider.gemini]
base_url = "{new}"
key = "env:TEST_KEY"

[model."anthropic/two"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 5.00

[model."openai/one"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."mistral/one"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."gemini/two"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 5.00
"""
)
NUMBER = re.compile(r"(chat|json|tool)[^#]*#(\d+)")
EVERY = [
    "anthropic/two",
    "openai/one",
    pytest.param("mistral/one", marks=pytest.mark.long),
    pytest.param("gemini/two", marks=pytest.mark.long),
]
ONE = 90 * 500 + 30 * 2500  # nano-dollars of one answer of anthropic/two, by the batch


class BatchStage(Stage):
    """The candidate's provider takes batches, in every way that one can."""

    def __init__(self, folder: Path, fails: Fails = never) -> None:
        super().__init__(folder, fails)
        candidate = said_by_candidate(fails)

        def live(seen: Seen) -> Sequence[Step]:
            if "/chat/completions" in seen.path:
                return said_by_incumbent(seen)
            return said_by_gemini(seen) if "generateContent" in seen.path else candidate(seen)

        self.server = BatchServer(live)
        self.new.respond = self.server.respond

    def __enter__(self) -> "BatchStage":
        super().__enter__()
        self.config.write_text(CONFIG.format(old=self.old.base, new=self.new.base))
        return self

    def to(self, target: str, *words: str) -> tuple[str, ...]:
        return ("--route", "assistant", "--to", target, *words)

    def rows(self) -> list[dict[str, Any]]:
        store = Store(self.state)
        store.fold()
        rows = list(store.attempts())
        assert not store.awaited() or any(row["state"] == "open" for row in rows)
        troubles = store.check()
        store.close()
        assert not troubles, troubles
        return rows

    def creations(self) -> int:
        return len(self.server.batches)

    def left(self, run: str) -> list[str]:
        """Files of the run that are of batches, but for the journal."""
        folder = self.state / "rehearsals" / run
        return [path.name for path in folder.iterdir() if path.name.startswith("fungible-")]


def said_by_gemini(seen: Seen) -> Sequence[Step]:
    found = NUMBER.search(json.dumps(seen.json["contents"][-1]))
    assert found is not None
    parts: list[dict[str, Any]] = [{"text": f"The answer to number {found[2]} is plain, too."}]
    if found[1] == "json":
        parts = [{"text": json.dumps({"n": int(found[2])})}]
    if found[1] == "tool":
        parts = [{"functionCall": {"name": "weather", "args": {"city": f"C{found[2]}"}}}]
    reply = {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 90, "candidatesTokenCount": 30, "totalTokenCount": 120},
        "modelVersion": "two", "responseId": "r1",
    }  # fmt: skip
    return answer(200, JSON, reply)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[BatchStage]:
    with BatchStage(tmp_path) as made:
        yield made


def mixed(n: int) -> list[Any]:
    return [recorded(i, KINDS[i % 3], streams=i % 4 == 0) for i in range(n)]


def test_the_verdict_is_that_of_live_calls_at_half_the_price(tmp_path: Path) -> None:
    def fails(kind: str, n: int) -> str | None:
        return {"chat": "refuse", "json": "schema", "tool": "tool"}[kind] if n % 7 == 0 else None

    with BatchStage(tmp_path, fails) as stage:
        stage.fill(mixed(45))
        live = stage.rehearsed(*stage.to("new/two", "--n", "45", "--run", "live"))
        before = stage.rows()
        done = stage.program(
            "rehearse", *stage.to("anthropic/two", "--n", "45", "--batch", "--run", "b"), "--json"
        )
        found = json.loads(done.stdout)
        rows = stage.rows()[len(before) :]
        assert not stage.left("b") and stage.creations() == 1
    one, other = live["candidates"][0], found["candidates"][0]
    assert other["measures"] == one["measures"] and found["verdict"] == live["verdict"]
    losses = [sorted(map(str, side["losses"])) for side in (one, other)]
    assert losses[0] == losses[1] != [], "translated by the same path"
    assert [d["behind"] for d in other["differences"]] == [d["behind"] for d in one["differences"]]
    assert {row["cost_nanousd"] for row in before if not row["stream"]} == {2 * ONE}
    assert found["spent_nanousd"] == 45 * ONE and not any(row["stream"] for row in rows)
    assert {row["state"] for row in rows} == {"settled"} and len(rows) == 45
    assert sum(row["cost_nanousd"] for row in rows) == found["spent_nanousd"]
    assert all(re.fullmatch(r"config:anthropic/two:\w+#batch", row["price_id"]) for row in rows)
    assert {row["tags"] for row in rows} == {"rehearsal=b"}
    assert [row["losses"] for row in rows] == [row["losses"] for row in before]
    assert "45 calls, about 0.0045 USD" in done.stderr, done.stderr
    assert "duration" in one["ratios"] and not {"duration", "first"} & set(other["ratios"])
    assert other["ratios"]["cost"]["pairs"] == one["ratios"]["cost"]["pairs"] > 30
    assert any("Times of anthropic/two are not told" in remark for remark in found["judged"]["remarks"])
    page = stage.program("report", "b", "--html", "x.html") and (tmp_path / "x.html").read_text()
    assert "Times of anthropic/two are not told" in page and "Time to the end" not in page
    assert "not compared</p><p>asked by the batch" in page


@pytest.mark.parametrize("target", ["openai/one", "mistral/one", "gemini/two"])
def test_every_api(stage: BatchStage, target: str) -> None:
    stage.fill(mixed(12))
    found = stage.rehearsed(*stage.to(target, "--n", "12", "--batch", "--run", "b"))
    candidate = found["candidates"][0]
    assert candidate["recordings"] == 12 and not candidate["failures"]
    assert measure(candidate, "tools")["candidate"] == 1.0
    rows = stage.rows()
    assert {row["state"] for row in rows} == {"settled"} and len(rows) == stage.server.answered == 12
    assert sum(row["cost_nanousd"] for row in rows) == found["spent_nanousd"] > 0
    assert stage.creations() == 1 and not stage.server.files and not stage.left("b")


@pytest.mark.parametrize("target", EVERY)
def test_what_fails_by_itself_fails_alone(tmp_path: Path, target: str) -> None:
    def gone(body: dict[str, Any]) -> str:
        found = NUMBER.search(json.dumps(body))
        assert found is not None
        number = int(found[2])
        return "expired" if number == 1 else "canceled" if number == 2 else ""

    with BatchStage(tmp_path, lambda kind, n: "error" if n == 3 else None) as stage:
        stage.server.gone = gone
        stage.fill(mixed(9))
        found = stage.rehearsed(*stage.to(target, "--n", "9", "--batch"))
        rows = stage.rows()
    candidate = found["candidates"][0]
    assert candidate["recordings"] == 9
    fails = target == "anthropic/two"
    late = "timeout" if target == "gemini/two" else "expired"
    assert candidate["failures"] == {late: 1, "canceled": 1, **({"provider_error": 1} if fails else {})}
    assert sorted(row["state"] for row in rows) == ["settled"] * (6 if fails else 7) + ["void"] * (
        3 if fails else 2
    )
    assert {row["cost_nanousd"] for row in rows if row["state"] == "void"} == {0}
    told = 7 if late == "expired" else 8
    assert measure(candidate, "answered")["pairs"] == told, "what was not put to the model says nothing of it"


def _killed(stage: BatchStage, words: Sequence[str], when: Callable[[], bool], how: signal.Signals) -> str:
    running = subprocess.Popen(
        stage.command("rehearse", *words), cwd=stage.folder, env=stage.env,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not when():
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(how)
    return running.communicate(timeout=60)[1]


def _journaled(stage: BatchStage, kind: str) -> Callable[[], bool]:
    def there() -> bool:
        paths = list((stage.state / "rehearsals").glob("*/batches.jsonl"))
        return bool(paths) and f'"{kind}"'.encode() in paths[0].read_bytes()

    return there


@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("anthropic/two", signal.SIGKILL),
        ("openai/one", signal.SIGINT),
        pytest.param("anthropic/two", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("openai/one", signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_killed_rehearsal_finds_its_batch_and_submits_nothing_twice(
    stage: BatchStage, target: str, how: signal.Signals
) -> None:
    stage.server.looks = 1000
    stage.fill(mixed(20))
    words = stage.to(target, "--n", "20", "--batch")
    said = _killed(stage, words, _journaled(stage, "sent"), how)
    assert how is signal.SIGKILL or "go on at the provider's" in said, said
    rows = stage.rows()
    assert {row["state"] for row in rows} == {"open"} and len(rows) == 20, "they wait for their batch"
    for batch in stage.server.batches.values():
        batch["left"] = 1
    done = stage.program("rehearse", *words, "--json")
    assert "going on with batch" in done.stderr
    assert json.loads(done.stdout)["candidates"][0]["recordings"] == 20
    rows = stage.rows()
    assert stage.creations() == 1 and stage.server.answered == 20
    assert {row["state"] for row in rows} == {"settled"} and len(rows) == 20
    assert not stage.left("assistant-1")


@pytest.mark.parametrize("target", EVERY)
def test_a_batch_whose_id_was_never_heard_is_found(stage: BatchStage, target: str) -> None:
    stage.server.deaf = 1
    stage.fill(mixed(6))
    found = stage.rehearsed(*stage.to(target, "--n", "6", "--batch"))
    assert found["candidates"][0]["recordings"] == 6
    assert stage.creations() == 1 and stage.server.answered == 6
    assert [row["state"] for row in stage.rows()] == ["settled"] * 6


def test_a_batch_that_was_never_taken_is_void_and_asked_in_another(stage: BatchStage) -> None:
    stage.fill(mixed(6))
    words = stage.to("anthropic/two", "--n", "6", "--batch", "--run", "b")
    hold = stage.new.respond

    def slow(seen: Seen) -> Sequence[Step]:
        return [30.0] if seen.method == "POST" else hold(seen)  # type: ignore[misc]

    stage.new.respond = slow
    _killed(stage, words, lambda: any(seen.method == "POST" for seen in stage.new.seen), signal.SIGKILL)
    stage.new.respond = hold
    done = stage.program("rehearse", "--resume", "b", "--json")
    assert json.loads(done.stdout)["candidates"][0]["recordings"] == 6
    assert sorted(row["state"] for row in stage.rows()) == ["settled"] * 6 + ["void"] * 6
    assert stage.creations() == 1


def test_a_budget_is_held_against_the_price_of_a_batch(stage: BatchStage) -> None:
    stage.fill([recorded(n, "chat") for n in range(40)])
    words = stage.to("anthropic/two", "--n", "40", "--batch", "--run", "b")
    done = stage.program("rehearse", *words, "--budget-usd", "0.001", "--json")
    foreseen = 100 * 500 + 20 * 2500  # nano-dollars: what was recorded, at the price of a batch
    assert "the budget is spent" in done.stderr
    asked = 1_000_000 // foreseen
    found = json.loads(done.stdout)
    assert stage.server.answered == found["candidates"][0]["recordings"] == asked
    assert found["spent_nanousd"] == asked * ONE
    more = stage.program("rehearse", "--resume", "b", "--budget-usd", "1", "--json")
    assert json.loads(more.stdout)["candidates"][0]["recordings"] == stage.server.answered == 40


def test_it_stops_at_the_verdict_in_rounds(tmp_path: Path) -> None:
    with BatchStage(tmp_path, lambda kind, n: "error" if n // 3 % 4 == 0 else None) as stage:
        stage.fill([recorded(3 * n, "chat") for n in range(700)])
        found = stage.rehearsed(*stage.to("anthropic/two", "--batch"))
    assert found["verdict"] == "not_safe"
    assert stage.server.answered == 500, "a round, and no second"


def test_a_batch_is_stopped_and_what_it_answered_is_kept(stage: BatchStage) -> None:
    stage.server.looks = 1000
    stage.fill(mixed(10))
    words = stage.to("anthropic/two", "--n", "10", "--batch", "--run", "b")
    _killed(stage, words, _journaled(stage, "sent"), signal.SIGINT)
    done = stage.program("rehearse", "--resume", "b", "--cancel", "--json")
    assert "its batches are stopped" in done.stderr
    assert sorted(row["state"] for row in stage.rows()) == ["settled"] * 5 + ["void"] * 5
    assert json.loads(done.stdout)["spent_nanousd"] == 5 * ONE
    stage.server.looks = 1
    more = json.loads(stage.program("rehearse", "--resume", "b", "--json").stdout)
    assert more["candidates"][0]["recordings"] == 10 and stage.creations() == 2
    assert not more["candidates"][0]["failures"]


@pytest.mark.parametrize("target", EVERY[:1])
def test_a_batch_that_is_no_more_is_told_and_asked_anew(stage: BatchStage, target: str) -> None:
    stage.server.looks = 1000
    stage.fill(mixed(4))
    words = stage.to(target, "--n", "4", "--batch", "--run", "b")
    _killed(stage, words, _journaled(stage, "sent"), signal.SIGKILL)
    stage.server.batches.clear()
    stage.server.looks = 1
    done = stage.program("rehearse", "--resume", "b", check=False)
    assert done.returncode == 1 and "no more" in done.stderr and "not known" in done.stderr, done.stderr
    assert [row["state"] for row in stage.rows()] == ["unknown"] * 4
    more = json.loads(stage.program("rehearse", "--resume", "b", "--json").stdout)
    assert more["candidates"][0]["recordings"] == 4
    assert sorted(row["state"] for row in stage.rows()) == ["settled"] * 4 + ["unknown"] * 4


def test_a_run_is_not_forgotten_while_its_batches_are_under_way(stage: BatchStage) -> None:
    stage.server.looks = 1000
    stage.fill(mixed(3))
    words = stage.to("anthropic/two", "--n", "3", "--batch", "--run", "b")
    _killed(stage, words, _journaled(stage, "sent"), signal.SIGKILL)
    done = stage.program("report", "b", "--forget", check=False)
    assert done.returncode == 1 and "--cancel" in done.stderr
    stage.program("rehearse", "--resume", "b", "--cancel")
    stage.program("report", "b", "--forget")
    assert not (stage.state / "rehearsals" / "b").exists()


@pytest.mark.long
def test_what_a_stopped_batch_has_cost_is_unknown_where_its_provider_does_not_say(stage: BatchStage) -> None:
    stage.server.looks = 1000
    stage.fill(mixed(4))
    words = stage.to("gemini/two", "--n", "4", "--batch", "--run", "b")
    _killed(stage, words, _journaled(stage, "sent"), signal.SIGINT)
    stage.program("rehearse", "--resume", "b", "--cancel")
    assert [(row["state"], row["cost_nanousd"]) for row in stage.rows()] == [("unknown", None)] * 4
    stage.server.looks = 1
    more = json.loads(stage.program("rehearse", "--resume", "b", "--json").stdout)
    assert more["candidates"][0]["recordings"] == 4 and stage.creations() == 2


def test_what_was_turned_away_is_sent_again(stage: BatchStage) -> None:
    stage.server.turned_away = 2
    stage.fill(mixed(3))
    found = stage.rehearsed(*stage.to("anthropic/two", "--n", "3", "--batch"))
    assert found["candidates"][0]["recordings"] == 3 and stage.creations() == 1


def test_a_batch_that_is_refused_judges_nothing(stage: BatchStage) -> None:
    stage.server.refuses = lambda lines: "The model one is not supported."
    stage.fill(mixed(3))
    done = stage.program(
        "rehearse", *stage.to("openai/one", "--n", "3", "--batch", "--run", "b"), check=False
    )
    assert done.returncode == 1 and "not supported" in done.stderr
    assert [row["state"] for row in stage.rows()] == ["void"] * 3
    assert json.loads(stage.program("report", "b", "--json").stdout)["candidates"][0]["recordings"] == 0


def test_a_run_goes_on_the_way_it_was_begun(stage: BatchStage) -> None:
    stage.fill(mixed(3))
    stage.rehearsed(*stage.to("new/two", "--n", "3", "--run", "live"))
    for word, told in (("--batch", "begun without --batch"), ("--cancel", "no batches to stop")):
        done = stage.program("rehearse", "--resume", "live", word, check=False)
        assert done.returncode == 1 and told in done.stderr, done.stderr
    assert not stage.server.batches


def test_auto_asks_live_what_takes_no_batches(stage: BatchStage) -> None:
    stage.fill(mixed(6))
    words = ("--route", "assistant", "--to", "anthropic/two", "--to", "new/two", "--n", "6", "--batch=auto")
    found = stage.rehearsed(*words)
    batched, live = found["candidates"]
    assert batched["recordings"] == live["recordings"] == 6 and stage.server.answered == 6
    assert "duration" in live["ratios"] and "duration" not in batched["ratios"]
    spent = sum(row["cost_nanousd"] for row in stage.rows() if row["provider"] == "new")
    assert found["spent_nanousd"] == 6 * ONE + spent


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "new/two", "--batch"), "no batch API"),
        (("--to", "anthropic/two", "--batch", "--timely-ms", "10"), "--timely-ms"),
        (("--to", "anthropic/two", "--batch", "--engine", "ray"), "--engine"),
        (("--to", "anthropic/two", "--batch", "--cancel"), "--resume RUN"),
        (("--to", "anthropic/two", "--batch=never"), "never"),
    ],
)
def test_what_makes_no_sense_is_told(stage: BatchStage, words: tuple[str, ...], told: str) -> None:
    stage.fill(mixed(3))
    done = stage.program("rehearse", "--route", "assistant", *words, check=False)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not stage.server.batches
