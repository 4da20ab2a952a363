"""Each golden translation comes out as it is written down: body, losses, and no file too many."""

from pathlib import Path

import pytest

from .golden import inputs, outputs


@pytest.mark.parametrize("given", list(inputs()), ids=lambda p: p.parent.name)
def test_golden(given: Path) -> None:
    written = {p.name: p.read_text(encoding="utf-8") for p in given.parent.glob("to-*")}
    made = outputs(given)
    assert made == written, "if the difference is right, run: python -m tests.golden"
