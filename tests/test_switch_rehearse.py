"""`fungible switch rehearse` end to end: recordings, scripted providers, a verdict, money, and being killed."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fungible.recordings import Recordings
from fungible.store import Store
from tests.rehearsing import Fails, Stage, asked, measure, never, recorded
from tests.upstream import JSON, Seen, answer

KINDS = ("chat", "json", "tool")
EASY = ("--margin", "schema=0.04", "--margin", "calls=0.04", "--margin", "answered=0.02",
        "--margin", "willing=0.02", "--margin", "finished=0.02")  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        yield made


def mixed(n: int) -> list[Any]:
    return [recorded(i, KINDS[i % 3], streams=i % 4 == 0) for i in range(n)]


def every(step: int, kind: str, how: str) -> Fails:
    """Each so many of a kind goes wrong, numbers being drawn in no order."""
    return lambda k, n: how if k == kind and n // 3 % step == 0 else None


def test_a_good_candidate_is_safe(stage: Stage) -> None:
    stage.fill(mixed(520))
    found = stage.rehearsed("--route", "assistant", "--to", "new/two", *EASY)
    candidate = found["candidates"][0]
    assert found["verdict"] == candidate["verdict"] == "safe", candidate
    assert {row["measure"] for row in candidate["measures"] if row["decides"]} >= {
        "answered", "willing", "finished", "schema", "calls", "tools",
    }  # fmt: skip
    assert candidate["recordings"] < 520, "it stopped at the verdict"
    assert measure(candidate, "exact")["candidate"] < 1.0 and not measure(candidate, "exact")["decides"]
    low, high = candidate["ratios"]["cost"]["interval"]
    assert low < high < 1.0
    attempts = [row for row in _attempts(stage) if row["provider"] == "new"]
    assert sum(row["cost_nanousd"] for row in attempts) == found["spent_nanousd"]
    assert len(attempts) >= candidate["recordings"]
    there = [(found.route, found.count) for found in Recordings(stage.state).found()]
    assert there == [("assistant", 520)], "a rehearsal is not recorded"


def _attempts(stage: Stage) -> list[dict[str, Any]]:
    store = Store(stage.state)
    store.fold()
    rows = list(store.attempts())
    spent = [row for row in store.spend("tag") if row.who and row.who.startswith("rehearsal=")]
    assert sum(row.attempts for row in spent) == len(rows), "every row is tagged"
    store.close()
    return rows


@pytest.mark.parametrize(
    ("how", "kind", "name"),
    [
        ("error", "chat", "answered"),
        ("schema", "json", "schema"),
        ("tool", "tool", "tools"),
        ("refuse", "chat", "willing"),
        ("short", "chat", "finished"),
    ],
)
def test_a_bad_candidate_is_not_safe(tmp_path: Path, how: str, kind: str, name: str) -> None:
    with Stage(tmp_path, every(4, kind, how)) as stage:
        stage.fill([recorded(3 * i, kind, streams=i % 4 == 0) for i in range(150)])
        found = stage.rehearsed("--route", "assistant", "--to", "new/two")
    candidate = found["candidates"][0]
    assert found["verdict"] == "not_safe"
    assert [r["measure"] for r in candidate["measures"] if r["verdict"] == "not_safe" and r["decides"]] == [
        name
    ]
    assert candidate["recordings"] < 150, "it stopped at the verdict"
    worst = candidate["differences"][0]
    assert name in worst["behind"] and f"{kind}, please." in worst["asked"]
    if how == "error":
        assert worst["candidate"]["fault"] == "bad_request"
        assert candidate["failures"]["bad_request"] >= 5


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "kind", "name", "step", "n"),
    [
        ("error", "chat", "answered", 33, 2600),
        ("schema", "json", "schema", 50, 6000),
        ("tool", "tool", "tools", 10, 2000),
    ],
)
def test_small_faults_are_found_at_the_margins_of_the_table(
    tmp_path: Path, how: str, kind: str, name: str, step: int, n: int
) -> None:
    """3 % more errors, 2 % of broken schemas, 10 % of wrong calls."""
    with Stage(tmp_path, every(step, kind, how)) as stage:
        stage.fill([recorded(3 * i, kind) for i in range(n)])
        found = stage.rehearsed("--route", "assistant", "--to", "new/two")
    assert found["verdict"] == "not_safe"
    assert measure(found["candidates"][0], name)["verdict"] == "not_safe"
    print(how, measure(found["candidates"][0], name)["decided_at"])


@pytest.mark.long
def test_a_good_candidate_is_safe_at_the_margins_of_the_table(stage: Stage) -> None:
    stage.fill(mixed(2400))
    found = stage.rehearsed("--route", "assistant", "--to", "new/two")
    assert found["verdict"] == "safe"
    print(found["candidates"][0]["recordings"])


def test_few_recordings_are_not_enough_and_it_says_how_many_are(stage: Stage) -> None:
    stage.fill(mixed(30))
    candidate = stage.rehearsed("--route", "assistant", "--to", "new/two")["candidates"][0]
    assert candidate["verdict"] == "not_yet_known" and candidate["recordings"] == 30
    assert candidate["needed"] > 300


def test_two_candidates_at_once(tmp_path: Path) -> None:
    with Stage(tmp_path, lambda kind, n: None) as stage:
        stage.fill(mixed(60))
        found = stage.rehearsed("--route", "assistant", "--to", "new/two", "--to", "new/three", "--n", "60")
        asked_for = [seen.json["model"] for seen in stage.new.seen]
    assert sorted(set(asked_for)) == ["three", "two"] and asked_for.count("two") == 60
    assert [candidate["level"] for candidate in found["candidates"]] == [0.025, 0.025]


def test_the_incumbent_asked_again_tells_its_own_noise(stage: Stage) -> None:
    stage.fill([recorded(n, "tool") for n in range(40)])
    words = ("--route", "assistant", "--to", "new/two", "--n", "40", "--anew", "1")
    found = stage.rehearsed(*words)
    assert len(stage.old.seen) == 40
    assert found["noise"]["tools"] == 1.0
    assert measure(found["candidates"][0], "tools")["incumbent"] == 1.0
    assert not [remark for remark in found["judged"]["remarks"] if "--anew" in remark]


def test_agents_are_replayed_turn_by_turn_and_a_conversation_is_one_block(stage: Stage) -> None:
    stage.fill([recorded(n, "tool", group=f"c{n // 4}") for n in range(40)])
    candidate = stage.rehearsed("--route", "assistant", "--to", "new/two", "--n", "40")["candidates"][0]
    assert (candidate["recordings"], candidate["blocks"]) == (40, 10)


# --- being killed, and money -----------------------------------------------------------------------


def test_a_killed_rehearsal_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    with Stage(tmp_path, lambda kind, n: "slow") as stage:
        stage.fill(mixed(60))
        words = (
            "rehearse",
            "--route",
            "assistant",
            "--to",
            "new/two",
            "--n",
            "60",
            "--run",
            "r",
            "--concurrency",
            "4",
        )
        killed = subprocess.Popen(
            stage.command(*words), cwd=tmp_path, env=stage.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        answers = stage.state / "rehearsals" / "r" / "answers.jsonl"
        deadline = time.monotonic() + 60
        while not answers.exists() or answers.read_bytes().count(b"\n") < 30:
            assert time.monotonic() < deadline and killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        kept = answers.read_bytes().count(b'{"type":"answer"')
        with answers.open("ab") as file:
            file.write(b'{"type":"answer","n":7,"by":"new/tw')  # as a crash may leave it
        found = json.loads(stage.program("rehearse", "--resume", "r", "--json").stdout)
        lines = [json.loads(line) for line in answers.read_text().splitlines()]
        numbers = [line["n"] for line in lines if line["type"] == "answer"]
        measures = [line["n"] for line in lines if line["type"] == "measured"]
        assert 15 <= kept < 60
        assert sorted(numbers) == sorted(measures) == list(range(60))
        assert len(stage.new.seen) <= 60 + 4, "only what was on its way is asked again"
    assert found["candidates"][0]["recordings"] == 60


def test_two_processes_cannot_write_one_run(stage: Stage) -> None:
    stage.fill(mixed(3))
    stage.rehearsed("--route", "assistant", "--to", "new/two", "--run", "r", "--n", "3")
    import fcntl

    with (stage.state / "rehearsals" / "r" / "answers.jsonl").open("r+b") as file:
        file.seek(0)
        first = file.readline()
        file.truncate(len(first))
        fcntl.flock(file, fcntl.LOCK_EX)
        done = stage.program("rehearse", "--resume", "r", check=False)
    assert done.returncode == 1 and "Another process" in done.stderr


def test_it_stops_at_the_budget_and_goes_on_with_more(stage: Stage) -> None:
    stage.fill([recorded(n, "chat") for n in range(40)])
    words = ("--route", "assistant", "--to", "new/two", "--n", "40", "--run", "r")
    done = stage.program("rehearse", *words, "--budget-usd", "0.003", "--json", "--concurrency", "2")
    found = json.loads(done.stdout)
    dear = 240_000  # 90 tokens in, 30 out; forecast from 100 and 20: 200,000
    assert "40 calls, about 0.008 USD" in done.stderr and "the budget is spent" in done.stderr
    assert 3_000_000 - 2 * dear <= found["spent_nanousd"] <= 3_000_000 + 2 * (dear - 200_000)
    assert found["candidates"][0]["recordings"] == len(stage.new.seen) < 40
    more = stage.program("rehearse", "--resume", "r", "--budget-usd", "1", "--json")
    assert json.loads(more.stdout)["candidates"][0]["recordings"] == len(stage.new.seen) == 40


def test_a_budget_without_a_price_is_refused(stage: Stage) -> None:
    stage.fill(mixed(3))
    done = stage.program(
        "rehearse", "--route", "assistant", "--to", "new/unpriced", "--budget-usd", "1", check=False
    )
    assert done.returncode == 1 and "price of new/unpriced is not known" in done.stderr
    assert not stage.new.seen


# --- what stops it -------------------------------------------------------------------------------


def test_a_refused_key_judges_nothing(stage: Stage) -> None:
    error = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    stage.new.respond = lambda seen: answer(401, JSON, error)
    stage.fill(mixed(30))
    done = stage.program("rehearse", "--route", "assistant", "--to", "new/two", "--run", "r", check=False)
    assert done.returncode == 1 and "new/two cannot be asked" in done.stderr
    stage.new.respond = None
    report = json.loads(stage.program("report", "r", "--json").stdout)
    assert report["candidates"][0]["recordings"] == 0


def test_calls_that_are_turned_away_are_asked_again(stage: Stage) -> None:
    limit = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
    good = stage.new.respond
    assert good is not None
    count = 0

    def respond(seen: Seen) -> Any:
        nonlocal count
        count += 1
        return answer(429, JSON, limit, {"retry-after": "0"}) if count % 5 == 2 else good(seen)

    stage.new.respond = respond
    stage.fill([recorded(n, "chat") for n in range(12)])
    candidate = stage.rehearsed("--route", "assistant", "--to", "new/two", "--n", "12", "--concurrency", "1")
    assert measure(candidate["candidates"][0], "answered")["candidate"] == 1.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "new/two"), "--route is missing"),
        (("--route", "assistant"), "--to provider/model"),
        (("--route", "nobody", "--to", "new/two"), "nothing to replay"),
        (("--route", "assistant", "--to", "new/two", "--margin", "shema=1"), "Did you mean 'schema'"),
        (("--route", "assistant", "--to", "new/two", "--margin", "schema"), "NAME=0.02"),
        (("--route", "assistant", "--to", "nowhere/two"), "nowhere"),
        (("--route", "assistant", "--to", "new/two", "--budget-usd", "much"), "amount in USD"),
        (("--route", "assistant", "--to", "new/two", "--run", "../x"), "A run's name"),
        (("--resume", "nothing"), "There is no run 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_told(stage: Stage, words: tuple[str, ...], told: str) -> None:
    stage.fill(mixed(3))
    done = stage.program("rehearse", *words, check=False)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_the_stage_says_what_it_is_told() -> None:
    assert never("chat", 1) is None
    assert asked("json", 3, True)["stream"] is True
