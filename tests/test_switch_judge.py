"""`fungible switch judge`: the document as promised, lines that cannot be read, and what people see."""

import io
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fungible.cli import main
from fungible.evidence import read_pairs
from fungible.faults import Fault

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def command(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fungible", "switch", "judge", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), told.out, told.err

    return command


def lines(n: int, incumbent: float, candidate: float, **more: Any) -> str:
    chance = random.Random(n)
    rows = [
        {
            "id": f"r{i}",
            "incumbent": float(chance.random() < incumbent),
            "candidate": float(chance.random() < candidate),
            **more,
        }
        for i in range(n)
    ]
    return "\n".join(map(json.dumps, rows)) + "\n"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (lines(4000, 0.98, 0.98), "safe"),
        (lines(2000, 0.9, 0.7), "not_safe"),
        (lines(60, 0.9, 0.9), "not_yet_known"),
        ("", "not_yet_known"),
    ],
)
def test_the_document(run: Run, text: str, verdict: str) -> None:
    Path("pairs.jsonl").write_text(text)
    status, out, err = run("--pairs", "pairs.jsonl", "--json")
    said = json.loads(out)
    assert status == 0 and not err and out.count("\n") == 1
    assert list(said)[:6] == ["verdict", "pairs", "decided_at", "difference", "interval", "needed"]
    assert said["verdict"] == verdict and said["pairs"] == text.count("\n")
    low, high = said["interval"]
    assert said["difference"] is None or low <= said["difference"] <= high
    decided = verdict != "not_yet_known"
    assert (said["decided_at"] is not None) == decided
    assert (said["needed"] is not None) == (not decided and bool(text))
    assert run("--pairs", "-", "--json", stdin=text)[1] == out


def test_margin_and_alpha_and_sense_count(run: Run) -> None:
    text = lines(1000, 0.95, 0.93)
    wide = json.loads(run("--pairs", "-", "--json", "--margin", "0.1", stdin=text)[1])
    strict = json.loads(run("--pairs", "-", "--json", "--margin", "0.1", "--alpha", "0.001", stdin=text)[1])
    assert wide["verdict"] == strict["verdict"] == "safe" and wide["decided_at"] < strict["decided_at"]
    errors = lines(2000, 0.05, 0.3)
    assert json.loads(run("--pairs", "-", "--json", stdin=errors)[1])["verdict"] == "safe"
    assert (
        json.loads(run("--pairs", "-", "--json", "--higher-is", "worse", stdin=errors)[1])["verdict"]
        == "not_safe"
    )


def test_what_people_see(run: Run) -> None:
    for text, words in (
        (lines(4000, 0.98, 0.98), ("safe: the candidate is not worse", "decided at  ", "+0.0")),
        (lines(2000, 0.9, 0.7), ("not safe: the candidate is worse",)),
        (lines(60, 0.9, 0.9), ("not yet known", "more pairs, if they are like these")),
        (lines(400, 0.9, 0.9, group="one"), ("400 in 1 blocks",)),
        ("", ("not yet known", "difference")),
    ):
        status, out, err = run("--pairs", "-", stdin=text)
        assert status == 0 and not err and all(word in out for word in words), out


GOOD = '{"id": "r1", "incumbent": 1, "candidate": 0.5}'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: it is not JSON"),
        ("[1, 2]", "line 2: it is a list"),
        ("7", "line 2: it is a number"),
        ('{"id": "a", "incumbent": 1}', "line 2: candidate is missing"),
        ('{"id": "a", "incumbent": 1, "candidate": null}', "line 2: candidate is null"),
        ('{"id": "a", "incumbent": 4, "candidate": 1}', "line 2: incumbent is 4"),
        ('{"id": "a", "incumbent": NaN, "candidate": 1}', "line 2: incumbent is NaN"),
        ('{"id": "a", "incumbent": "1", "candidate": 1}', 'line 2: incumbent is "1"'),
        ('{"id": "a", "incumbent": 1, "candidate": 1, "group": []}', "line 2: group is []"),
        ('{"id": {}, "incumbent": 1, "candidate": 1}', "line 2: id is {}"),
        (GOOD, "line 2: id 'r1' stands on line 1 already"),
        ("[" * 100_000, "line 2: it is not JSON"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_no_verdict_is_given(run: Run, line: str, words: str) -> None:
    status, out, err = run("--pairs", "-", "--json", stdin=f"{GOOD}\n{line}\n")
    assert status == 1 and not out and words in err and len(err) < 500


def test_many_bad_lines_are_told_in_part() -> None:
    with pytest.raises(Fault) as told:
        read_pairs(["x"] * 25)
    assert told.value.message.count("\n") == 11 and "and 15 more lines" in told.value.message


def test_what_may_be_left_out_or_said_otherwise() -> None:
    text = [
        '\ufeff{"incumbent": true, "candidate": false}',
        "",
        '  {"incumbent": 0, "candidate": 1, "group": 7, "x": 1} ',
    ]
    first, second = read_pairs(text)
    assert (first.incumbent, first.candidate, first.group, first.id) == (1.0, 0.0, None, None)
    assert second.group == "7"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--pairs", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        (("--pairs", "."), "cannot be read"),
        (("--pairs", "-", "--margin", "2"), "margin must be"),
        (("--pairs", "-", "--alpha", "0"), "alpha must lie"),
        ((), "--pairs"),
    ],
)
def test_wrong_options(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run(*words)
    assert status != 0 and not out and told in err


def test_a_file_that_is_no_text(run: Run) -> None:
    Path("pairs.jsonl").write_bytes(b"\xff\xfe\x00")
    status, out, err = run("--pairs", "pairs.jsonl")
    assert status == 1 and not out and "no UTF-8 text" in err
