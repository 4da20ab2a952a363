"""`make evidence`: the vectorised twin is the shipped code, and the short table meets its goals."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.evidence import streams
from benchmarks.evidence.__main__ import BEGIN, END, main
from benchmarks.evidence.twin import decided_at

from fungible.evidence import HarmGuard, PassGuard

ROOT = Path(__file__).resolve().parent.parent
RATES = streams.after(300, 0.02, 0.12, 3000)
SCENES = {
    "equal": streams.blocks(0.2, 0.2, 3000),
    "worse": streams.blocks(0.3, 0.2, 3000),
    "worse beside four": streams.blocks(0.06, 0.02, 3000, 4),
    "worse late": streams.blocks(RATES, 0.02, 3000),
    "scores": streams.scores(0.75, 0.80, 0.15, 1500),
    "ramp": lambda chance, count: streams.ramp(0.02)(chance, count)[0],
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("kind", "limit"), [("harm", 0.0), ("harm", 0.01), ("pass", 0.02), ("pass", 0.1)])
def test_the_twin_is_the_shipped_guard(scene: str, kind: str, limit: float) -> None:
    some = next(streams.portions(scene, 8, SCENES[scene]))
    twin = decided_at(kind, some, limit, 0.05)
    for row, at in zip(some, twin, strict=True):
        guard = HarmGuard(0.05, limit) if kind == "harm" else PassGuard(0.05, limit)
        for difference in row.tolist():
            if guard.take(difference):
                break
        assert (guard.decided_at or 0) == at


def test_scenes_decide_and_do_not() -> None:
    """The comparison above is of something: some of its streams decide, some never."""
    some = {
        name: decided_at("harm", next(streams.portions(name, 8, make)), 0.0, 0.05)
        for name, make in SCENES.items()
    }
    assert (
        np.all(some["worse"] > 0)
        and np.all(some["worse beside four"] > 0)
        and np.mean(some["equal"] > 0) < 0.5
    )


def test_the_short_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evidence", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) > 30 and all(row["met"] is not False for row in rows)
    ramp = next(row for row in rows if "ramp" in row["scene"])
    assert "z test at every check" in ramp["beside"] and "windows" in ramp["beside"]


def test_the_table_of_the_page_has_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    copy = tmp_path / "evidence.md"
    copy.write_text(page, encoding="utf-8")
    main(["--streams", "20", "--docs", str(copy)])
    told = capsys.readouterr().out.strip()
    again = copy.read_text(encoding="utf-8")
    assert told in again and again.partition(BEGIN)[0] == page.partition(BEGIN)[0]

    def scenes(text: str) -> list[str]:
        table = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
        return [line.split("|")[1].strip() for line in table]

    assert scenes(again) == scenes(page)
    assert "**no**" not in page.partition(BEGIN)[2]
