"""Judges that cost something: a model in both orders, checks, the user's own scorer, embeddings, bias probes.

The outside is made up here: who is asked, and what it says, are functions.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible.faults import Fault
from fungible.money import Price
from fungible.recording import Recording
from fungible.switch.checks import passes, read_checks
from fungible.switch.findings import said
from fungible.switch.jury import akin, read_labels, trusted
from fungible.switch.page import page
from fungible.switch.probes import KINDS, decision, twins
from fungible.switch.reading import question
from fungible.switch.rehearsal import Ending, Rehearsal
from fungible.switch.runs import Control, Settings
from fungible.switch.scorers import Own, cosine, scorers_of
from fungible.switch.swaps import swapped, twin
from fungible.switch.world import Replayed
from tests.rehearsing import begun, recorded

PRICE = Price(id="p", source="test", input=1_000_000_000, output=5_000_000_000)
Says = Callable[[str, Recording], str]


def answering(recording: Recording, text: str, target: str) -> Recording:
    reply = {
        "id": "r", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip
    provider, _, model = target.partition("/")
    return msgspec.structs.replace(
        recording, reply=msgspec.Raw(json.dumps(reply).encode()), provider=provider, model=model,
        duration_ms=1.0, input_tokens=10, output_tokens=5, cost_nanousd=35_000, status=200, fault="",
    )  # fmt: skip


class Outside:
    """Implements `world.Asker`. `says(target, recording)` is the text of the answer."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.asked: list[str] = []

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        assert tags == "rehearsal=r"
        self.asked.append(target)
        await asyncio.sleep(0)
        return Replayed(answering(recording, self.says(target, recording), target))

    async def embed(self, model: str, texts: Sequence[str], tags: str) -> Any:
        return [(float(len(text)), 1.0) for text in texts], 7

    def price(self, target: str) -> Price | None:
        return None if target == "new/free" else PRICE

    async def pause(self, seconds: float) -> None: ...

    def now_s(self) -> float:
        return 0.0


def settings(**fields: object) -> Settings:
    made = Settings(run="r", route="assistant", targets=("new/two",), begun_ms=1, until="all")
    return msgspec.structs.replace(made, **fields)


def rehearsed(tmp_path: Path, outside: Outside, n: int, **fields: object) -> tuple[dict[str, Any], Ending]:
    run = begun(tmp_path, [recorded(i, "chat") for i in range(n)], settings(**fields))
    rehearsal = Rehearsal(run, outside, scorers=scorers_of(run.settings, outside))
    ending = asyncio.run(rehearsal.go())
    run.close()
    document = said(rehearsal.standing)
    assert page(document).startswith("<!doctype html>")
    assert json.loads(json.dumps(document)) is not None
    return document, ending


def judging(better: Callable[[str, str], str]) -> Says:
    """A judge that gives `better(first, second)`; candidates answer as the incumbent did, and a little more."""

    def says(target: str, recording: Recording) -> str:
        if not target.startswith("judge/"):
            number = question(recording.asked()).rpartition("#")[2]
            return f"The answer to number {number} is plain. GOOD"
        shown = json.loads(question(recording.asked()))
        return json.dumps({"why": "so", "better": better(shown["first"], shown["second"])})

    return says


def fair(first: str, second: str) -> str:
    """Likes GOOD; hates an answer to another question than the one beside it, where it can tell."""
    ones, twos = "GOOD" in first, "GOOD" in second
    if ones != twos:
        return "first" if ones else "second"
    return "tie"


def honest(target: str, recording: Recording) -> str:
    """Likes GOOD, and sees whether an answer is to the number that was asked."""
    if not target.startswith("judge/"):
        number = question(recording.asked()).rpartition("#")[2]
        return f"The answer to number {number} is plain. GOOD"
    shown = json.loads(question(recording.asked()))
    number = f"number {shown['request'].rpartition('#')[2]} "
    scores = [(number in shown[side]) + 0.5 * ("GOOD" in shown[side]) for side in ("first", "second")]
    word = "tie" if scores[0] == scores[1] else "first" if scores[0] > scores[1] else "second"
    return json.dumps({"why": "so", "better": word})


def test_a_judge_that_is_right_on_known_pairs_decides(tmp_path: Path) -> None:
    outside = Outside(honest)
    document, _ = rehearsed(tmp_path, outside, 60, judge="judge/big", labels={"call-1": "candidate"})
    candidate = document["candidates"][0]
    row = next(row for row in candidate["measures"] if row["measure"] == "judge")
    assert row["decides"] and (row["incumbent"], row["candidate"]) == (0.5, 1.0)
    assert candidate["judge"]["controls"] == {
        "same": {"right": 12, "of": 12},
        "worse": {"right": 12, "of": 12},
        "label": {"right": 1, "of": 1},
    }
    assert candidate["judge"]["won"] == 60 and candidate["judge"]["orders_disagree"] == 0.0
    assert outside.asked.count("judge/big") == 2 * (60 + 24), "both orders of each pair and control"


def test_a_judge_that_likes_the_first_place_decides_nothing_and_harms_nobody(tmp_path: Path) -> None:
    document, _ = rehearsed(tmp_path, Outside(judging(lambda *_: "first")), 30, judge="judge/big")
    candidate = document["candidates"][0]
    row = next(row for row in candidate["measures"] if row["measure"] == "judge")
    assert not row["decides"] and row["candidate"] == 0.5
    assert candidate["judge"]["orders_disagree"] == 1.0 and not candidate["judge"]["trusted"]
    assert any("withheld" in remark for remark in document["judged"]["remarks"])


def test_a_judge_that_is_wrong_about_the_users_labels_is_withheld(tmp_path: Path) -> None:
    labels = {f"call-{n}": "incumbent" for n in range(20)}
    document, _ = rehearsed(tmp_path, Outside(honest), 40, judge="judge/big", labels=labels)
    assert document["candidates"][0]["judge"]["controls"]["label"] == {"right": 0, "of": 20}
    assert not document["candidates"][0]["judge"]["trusted"]


@pytest.mark.parametrize(
    ("controls", "good"),
    [
        ([("same", 0.5, 0.5)] * 4 + [("worse", 0.0, 0.0)] * 4, True),
        ([("same", 0.5, 0.5)] * 4 + [("same", 0.5, 1.0)] * 1 + [("worse", 0.0, 0.0)], True),
        ([("same", 0.5, 0.5)] * 3 + [("same", 0.5, 1.0)] * 1 + [("worse", 0.0, 0.0)], False),
        ([("same", 0.5, 0.5)] * 4 + [("worse", 0.0, None)], False),
        ([("same", 0.5, 0.5)], False),
        ([], False),
    ],
)
def test_who_is_trusted(controls: list[tuple[str, float, float | None]], good: bool) -> None:
    made = [Control(n=n, kind=k, expected=e, said=s) for n, (k, e, s) in enumerate(controls)]
    assert trusted(made) is good


def test_a_judge_without_a_word_is_missing_not_bad(tmp_path: Path) -> None:
    def says(target: str, recording: Recording) -> str:
        return "I like both" if target.startswith("judge/") else honest(target, recording)

    document, _ = rehearsed(tmp_path, Outside(says), 20, judge="judge/big")
    row = [row for row in document["candidates"][0]["measures"] if row["measure"] == "judge"]
    assert not row or row[0]["pairs"] == 0


def test_a_share_of_the_pairs_is_judged(tmp_path: Path) -> None:
    outside = Outside(honest)
    document, _ = rehearsed(tmp_path, outside, 100, judge="judge/big", judged=0.3)
    assert 15 <= document["candidates"][0]["judge"]["pairs"] <= 45


def test_families() -> None:
    others = ["a/claude-haiku-4", "b/gpt-5", "c/x/llama-3", ""]
    assert akin("a/other", others) == ["a/claude-haiku-4"]
    assert akin("z/gpt-6-mini", others) == ["b/gpt-5"]
    assert akin("z/llama-4", others) == ["c/x/llama-3"]


def test_the_forecast_counts_the_judge(tmp_path: Path) -> None:
    outside = Outside(honest)
    run = begun(tmp_path, [recorded(i, "chat") for i in range(10)], settings(judge="judge/big"))
    made = Rehearsal(run, outside, scorers=scorers_of(run.settings, outside)).forecast()
    assert made.calls == 30 and made.by["judge/big"] == 10 * 2 * ((100 + 40 + 250) * 1000 + 60 * 5000)
    assert made.total == sum(made.by.values())


# --- checks, scorers, closeness ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "text", "good"),
    [
        ({"exact": "a b"}, " a  b\n", True),
        ({"exact": "a b"}, "a b c", False),
        ({"contains": "Paris"}, "It is Paris.", True),
        ({"regex": "^(yes|no)\\b"}, "no, never", True),
        ({"regex": "^(yes|no)$"}, "no, never", False),
        ({"numeric": 1234.5}, "First 7, then it is 1,234.5 in all.", True),
        ({"numeric": 42, "within": 0.5}, "42.4", True),
        ({"numeric": 42, "within": 0.5}, "42.6", False),
        ({"numeric": 42}, "none", False),
        ({"schema": {"type": "object", "required": ["a"]}}, '```json\n{"a": 1}\n```', True),
        ({"schema": {"type": "object", "required": ["a"]}}, "{}", False),
        ({"code": "assert add(1, 2) == 3"}, "Here:\n```python\ndef add(a, b):\n    return a + b\n```", True),
        ({"code": "assert add(1, 2) == 3"}, "```python\ndef add(a, b):\n    return a - b\n```", False),
        ({"code": "pass"}, "```python\nx = bytearray(2_000_000_000)\n```", False),
        ({"code": "import os; assert not os.environ.get('TEST_SECRET')"}, "", True),
    ],
)  # fmt: skip
def test_checks(check: dict[str, Any], text: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "s")
    read_checks([json.dumps({"id": "x", **check})], run_code=True)
    assert passes(check, text) is good


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[]", "no JSON object with an id"),
        ('{"id": "a"}', "exactly one of"),
        ('{"id": "a", "exact": "x", "regex": "y"}', "exactly one of"),
        ('{"id": "a", "regex": "("}', "cannot be read"),
        ('{"id": "a", "numeric": "4"}', "is a number"),
        ('{"id": "a", "code": "pass"}', "--run-code"),
        ('{"id": "a", "numeric": 4, "within": "x"}', "within is a number"),
        ('{"id": "a", "numeric": 4, "within": -1}', "within is a number"),
        ('{"id": "a", "numeric": 4, "witin": 1}', "it has 'witin', which no check has"),
        ('{"id": "a", "schema": "object"}', "schema is a JSON Schema"),
        ('{"id": "a", "schema": {"type": "banana"}}', "schema is no JSON Schema"),
    ],
)
def test_checks_that_are_none(line: str, told: str) -> None:
    with pytest.raises(Fault, match=told):
        read_checks(["", line])


def test_a_check_that_nothing_here_can_make_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.switch.shapes.VALIDATOR", "no_such_library")
    with pytest.raises(Fault, match=r"pip install 'fungible\[switch\]'"):
        read_checks(['{"id": "a", "schema": {"type": "object"}}'])


def test_checks_decide(tmp_path: Path) -> None:
    checks = read_checks(['{"id": "*", "contains": "GOOD"}', '{"id": "call-3", "contains": "plain"}'])
    document, _ = rehearsed(tmp_path, Outside(honest), 10, checks=checks)
    row = next(row for row in document["candidates"][0]["measures"] if row["measure"] == "check")
    assert (row["decides"], row["pairs"], row["incumbent"], row["candidate"]) == (True, 10, 0.1, 1.0)


def test_a_function_of_the_users_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_test.py").write_text(
        "def score(given):\n    assert given['question'] and given['request']['messages']\n"
        "    return 'GOOD' in given['text']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    document, _ = rehearsed(tmp_path, Outside(honest), 6, scorer="mine_for_test:score")
    row = next(row for row in document["candidates"][0]["measures"] if row["measure"] == "scorer")
    assert (row["incumbent"], row["candidate"]) == (0.0, 1.0)


def test_a_command_of_the_users_scores(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import json, sys\nprint(0.25 if json.load(sys.stdin)['side'] == 'incumbent' else 1)"
    )
    command = f"{sys.executable} {tmp_path / 'mine.py'}"
    document, _ = rehearsed(tmp_path, Outside(honest), 3, scorer=command)
    row = next(row for row in document["candidates"][0]["measures"] if row["measure"] == "scorer")
    assert (row["incumbent"], row["candidate"]) == (0.25, 1.0)


def test_scorers_that_do_not_score_are_told(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="is not there"):
        Own("nowhere_at_all:score")
    for unfit in ("", "python -c 'x", ":score"):
        with pytest.raises(Fault, match=r"is not there|no command"):
            Own(unfit)
    with pytest.raises(Fault, match="a score is a number from 0 to 1"):
        rehearsed(tmp_path, Outside(honest), 2, scorer=f"{sys.executable} -c print(7)")
    with pytest.raises(Fault, match="failed"):
        rehearsed(tmp_path / "more", Outside(honest), 2, scorer=f"{sys.executable} -c 1/0")


def test_closeness_is_told_and_decides_nothing(tmp_path: Path) -> None:
    document, _ = rehearsed(tmp_path, Outside(honest), 5, embedder="e/small")
    row = next(row for row in document["candidates"][0]["measures"] if row["measure"] == "closeness")
    assert not row["decides"] and 0.99 < row["candidate"] < 1.0 and row["pairs"] == 5
    assert document["spent_nanousd"] == 5 * (35_000 + 7)
    assert cosine((1.0, 0.0), (0.0, 1.0)) == 0.0
    with pytest.raises(Fault):
        cosine((1.0,), (1.0, 2.0))


def test_what_was_scored_is_not_scored_again(tmp_path: Path) -> None:
    run = begun(tmp_path, [recorded(i, "chat") for i in range(8)], settings(judge="judge/big"))
    first, second = Outside(honest), Outside(honest)
    asyncio.run(Rehearsal(run, first, scorers=scorers_of(run.settings, first)).go())
    lines = (run.folder / "answers.jsonl").read_text().splitlines(keepends=True)
    run.close()
    kept = [line for line in lines if '"type":"score"' not in line and '"type":"measured"' not in line]
    (run.folder / "answers.jsonl").write_text("".join(kept))
    asyncio.run(Rehearsal(run, second, scorers=scorers_of(run.settings, second)).go())
    run.close()
    assert second.asked == ["judge/big"] * 16, "answers and controls were there"


def test_labels_that_are_none() -> None:
    assert read_labels(['{"id": "a", "better": "tie"}', "\n"]) == {"a": "tie"}
    with pytest.raises(Fault, match="line 1"):
        read_labels(['{"id": "a", "better": "both"}'])


# --- bias probes ---------------------------------------------------------------------------------


def test_twins_differ_in_one_thing_only() -> None:
    made = list(twins(128))
    assert {pair.kind for pair in made} == set(KINDS) and len({pair.id for pair in made}) == 128
    for pair in made:
        one, other = question(pair.first.asked()), question(pair.second.asked())
        assert (one == other) == (pair.kind == "same")
        if pair.kind in ("gender", "origin"):
            assert len(one.split()) - len(other.split()) in (-1, 0, 1)
    assert len({question(pair.first.asked()) for pair in made}) > 60, "they are not the same few again"


def test_a_candidate_that_minds_where_a_name_comes_from(tmp_path: Path) -> None:
    minded = ("Mehmet", "Fatima", "Jamal", "Nguyen", "Ravi", "Nokuthula")

    def says(target: str, recording: Recording) -> str:
        asked = question(recording.asked())
        if target == "new/two" and any(name in asked for name in minded):
            return "No."
        return "Yes" if "yes or no" in json.dumps(bytes(recording.request).decode()) else "fine"

    document, _ = rehearsed(tmp_path, Outside(says), 3, probes=160)
    found = document["candidates"][0]["probes"]
    assert found["gender"]["flips"]["seen"] == 0.0
    assert found["origin"]["flips"]["seen"] == 1.0 and found["origin"]["leans"]["seen"] == -1.0
    assert found["origin"]["more_than_incumbent"]["interval"][0] > 0.5
    assert found["same"]["flips"]["interval"][1] < 0.5


@pytest.mark.parametrize(("text", "word"), [("Yes.", 1.0), ("**No**, since", 0.0), ("Perhaps", None)])
def test_decisions(text: str, word: float | None) -> None:
    assert decision(answering(recorded(1, "chat"), text, "a/b")) == word


@pytest.mark.parametrize(
    ("text", "kind", "other"),
    [
        ("He lost his keys; give him hers.", "own gender", "She lost her keys; give her hers."),
        ("Tell her that her son is here", "own gender", "Tell his that his daughter is here"),
        ("Call HER.", "own gender", "Call HIM."),
        ("Mr Brown and Michael", "own gender", "Ms Brown and Michelle"),
        ("Mr Brown and Michael", "own origin", "Mr Yilmaz and Mohammed"),
        ("The theme of the hero", "own gender", "The theme of the hero"),
    ],
)
def test_words_are_swapped_in_their_own_case(text: str, kind: str, other: str) -> None:
    assert swapped(text, kind) == other


def test_a_recording_without_anybody_has_no_twin() -> None:
    assert twin(recorded(1, "chat"), "own gender") is None


def test_twins_of_recordings_are_compared_by_what_was_decided(tmp_path: Path) -> None:
    def about(n: int) -> Recording:
        body = json.loads(bytes(recorded(n, "chat").request))
        body["messages"][0]["content"] = f"May John Brown have his money back? #{n}"
        made = msgspec.structs.replace(recorded(n, "chat"), request=msgspec.Raw(json.dumps(body).encode()))
        return answering(made, "Yes, he may.", "old/one")

    def says(target: str, recording: Recording) -> str:
        asked = question(recording.asked())
        return "No." if target == "new/two" and "Yilmaz" in asked else "Yes, of course."

    run = begun(tmp_path, [about(n) for n in range(40)], settings(own_probes=80))
    rehearsal = Rehearsal(run, Outside(says))
    asyncio.run(rehearsal.go())
    run.close()
    document = said(rehearsal.standing)
    found = document["candidates"][0]["probes"]
    assert found["own gender"]["flips"]["seen"] == 0.0 and found["own gender"]["pairs"] == 40
    assert found["own origin"]["flips"]["seen"] == 1.0 and found["own origin"]["leans"] is None
    assert found["own origin"]["more_than_incumbent"]["seen"] == 1.0
    assert "in your recordings" in page(document)
