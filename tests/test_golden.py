"""Each golden translation comes out as it is written down: body, losses, and no file too many."""

from pathlib import Path

import pytest

from fungible.dialects import DIALECTS

from .golden import inputs, outputs
from .golden.contents import FEATURES, README, complaints, written


@pytest.mark.parametrize("given", list(inputs()), ids=lambda p: p.parent.name)
def test_golden(given: Path) -> None:
    written = {p.name: p.read_text(encoding="utf-8") for p in given.parent.glob("to-*")}
    made = outputs(given)
    assert made == written, "if the difference is right, run: python -m tests.golden"


def test_every_feature_is_shown_in_every_dialect_or_says_why_not() -> None:
    assert all(stories.keys() == DIALECTS.keys() for stories in FEATURES.values())
    assert not complaints()


def test_the_folder_s_table_of_contents_is_current() -> None:
    assert README.read_text(encoding="utf-8") == written(), "run: python -m tests.golden"
