"""How many more pairs a verdict needs: the forecast of few pairs is of the right size, and costs little."""

from pathlib import Path

import pytest
from benchmarks.evidence.needed import BEGIN, END, LOOKS, SCENES, rows

from fungible.evidence import Pair, Trial
from fungible.evidence.needed import blocks_needed
from tests.work import lines

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "evidence.md").read_text(encoding="utf-8")
EQUAL = Pair(1.0, 1.0)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("seen", [1, 3, 10, 30, 100])
def test_of_pairs_that_are_all_equal_it_knows_what_is_missing(margin: float, seen: int) -> None:
    trial = Trial(margin)
    for _ in range(seen):
        trial.take([EQUAL])
    said = trial.verdict().needed
    while trial.answer == "not_yet_known":
        trial.take([EQUAL])
    assert said is not None and trial.decided_at is not None
    needed = trial.decided_at - seen
    assert needed / 3 <= said <= 3 * needed


def test_what_always_fails_needs_hundreds_and_not_thousands() -> None:
    trial = Trial(0.02)
    for _ in range(4):
        trial.take([Pair(1.0, 0.0)])
    assert trial.answer == "not_yet_known" and 1 <= (trial.verdict().needed or 0) <= 300


@pytest.mark.parametrize("n", [2, 5, 10])
def test_the_forecast_is_of_the_right_size(n: int) -> None:
    """Equal at 2 % errors, equal scores of a judge, 20 % to 30 % errors: the medians, after 100 pairs."""
    (told,) = rows(SCENES[n], 40, (100,))
    said, _, rest = told.partition(" : ")
    forecast, needed = (float(text.replace(",", "")) for text in (said, rest.rpartition(", ")[0]))
    assert needed / 3 <= forecast <= needed * 3, told


def test_at_the_margin_there_is_none() -> None:
    assert blocks_needed({0.0: 450, 1.0: 50}, 0.1, 0.025, 0.025) is None
    assert blocks_needed({}, 0.1, 0.025, 0.025) is None


def test_scores_of_any_kind_are_little_work() -> None:
    counts = {n / 2000: 3 for n in range(-1800, 1801)}
    assert lines(lambda: blocks_needed(counts, 0.05, 0.025, 0.025)) < 45 * len(counts)


def test_the_table_of_the_page_has_every_scene() -> None:
    table = PAGE.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in table] == [scene.says for scene in SCENES]
    assert all(len(line.split("|")) == len(LOOKS) + 4 for line in table)
