"""The report: findings as JSON, the same from a file, one page that loads nothing and believes nobody."""

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible.faults import Fault
from fungible.switch.findings import findings, overall
from fungible.switch.hand import measured
from fungible.switch.page import page, why
from fungible.switch.pairing import Pairing
from fungible.switch.runs import Answer, Control, Run, Settings, fresh_name, runs
from tests.rehearsing import Stage, recorded

EVIL = '<script>alert(1)</script><img src="http://127.0.0.1:9/x">'
OUTSIDE = re.compile(r"""(?:src|href|url|@import|action)\s*[=(]\s*["']?\s*(?:https?:|//)""", re.I)


class Outline(HTMLParser):
    """Every element, and whether each that was opened was closed."""

    VOID = frozenset({"meta", "line", "rect", "circle", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another"


def made(state: Path, answers: int, text: str = "fine", *, targets: tuple[str, ...] = ("new/two",)) -> Run:
    """A run of `answers` answered recordings, of which every second lost its text."""
    asked = [recorded(n, "chat") for n in range(answers)]
    settings = Settings(
        run="r",
        route=f"r{EVIL}"[:60],
        targets=targets,
        begun_ms=1_700_000_000_000,
        deciding={"answered": 0.01},
        until="all",
    )
    run = Run.of(state, settings, asked)
    for n, recording in enumerate(asked):
        reply = json.loads(bytes(recording.reply or b""))
        reply["choices"][0]["message"]["content"] = "" if n % 2 else text
        body = msgspec.Raw(json.dumps(reply).encode())
        answer = msgspec.structs.replace(
            recording, reply=body, provider="new", model="two", cost_nanousd=1000
        )
        lost = (("messages[3].cache_control", "dropped"), ("messages[5].cache_control", "dropped"))
        for target in targets:
            said = Answer(n=n, by=target, recording=answer, lost=lost)
            told = measured(Pairing(n, recording, said), settings)
            run.add(msgspec.structs.replace(told, at=run.add(said)))
    run.close()
    return run


def test_the_page_is_whole_loads_nothing_and_believes_nobody(tmp_path: Path) -> None:
    document = findings(made(tmp_path, 40, EVIL))
    text = page(json.loads(json.dumps(document)))
    outline = Outline()
    outline.feed(text)
    assert not outline.open and "details" in outline.seen and "svg" in outline.seen
    assert "script" not in outline.seen and "img" not in outline.seen and "link" not in outline.seen
    assert not OUTSIDE.search(text)
    assert "prefers-color-scheme:dark" in text and "width=device-width" in text
    assert "Not safe" in text


def test_findings_tell_the_worst_pairs_and_the_losses_by_place(tmp_path: Path) -> None:
    candidate = findings(made(tmp_path, 40))["candidates"][0]
    assert candidate["verdict"] == "not_safe"
    assert len(candidate["differences"]) == 8
    assert candidate["differences"][0]["incumbent"]["text"].startswith("The answer to number")
    assert candidate["losses"] == [{"path": "messages[].cache_control", "kind": "dropped", "recordings": 40}]
    assert "answered 100 % → 50.0 %" in why(candidate)
    assert candidate["ratios"]["cost"]["interval"][1] < 1.0


def test_an_empty_run_is_told_too(tmp_path: Path) -> None:
    document = findings(made(tmp_path, 0))
    assert document["verdict"] == "not_yet_known" and "Not yet known" in page(document)


def test_a_run_with_a_cut_last_line_is_read(tmp_path: Path) -> None:
    run = made(tmp_path, 6)
    with (run.folder / "answers.jsonl").open("ab") as file:
        file.write(b'{"type":"ans')
    assert findings(run)["candidates"][0]["recordings"] == 6


def test_a_run_is_read_in_order_up_to_the_first_gap(tmp_path: Path) -> None:
    run = made(tmp_path, 6)
    lines = (run.folder / "answers.jsonl").read_bytes().splitlines(keepends=True)
    (run.folder / "answers.jsonl").write_bytes(b"".join(lines[:6] + lines[8:]))
    assert findings(run)["candidates"][0]["recordings"] == 3


@pytest.mark.parametrize(
    ("words", "all_of_it"),
    [
        (["safe", "not_safe"], "safe"),
        (["not_safe", "not_safe"], "not_safe"),
        (["not_safe", "not_yet_known"], "not_yet_known"),
        ([], "not_yet_known"),
    ],
)
def test_of_several_candidates_one_is_enough(words: list[Any], all_of_it: str) -> None:
    assert overall(words) == all_of_it


def test_names_of_runs(tmp_path: Path) -> None:
    made(tmp_path, 1)
    assert [settings.run for settings in runs(tmp_path)] == ["r"]
    assert fresh_name(tmp_path, "a/b c") == "a-b-c-1" and fresh_name(tmp_path, "…") == "run-1"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as ready:
        yield ready


def test_the_commands(stage: Stage, tmp_path: Path) -> None:
    made(stage.state, 12)
    printed = stage.program("report", "--json").stdout
    (tmp_path / "found.json").write_text(printed)
    stage.program("report", "--from-json", "found.json", "--html", "one.html")
    stage.program("report", "r", "--html", "two.html")
    assert (tmp_path / "one.html").read_text() == (tmp_path / "two.html").read_text()
    assert (tmp_path / "one.html").stat().st_mode & 0o077 == 0  # it holds what people wrote
    assert "r  " in stage.program("report", "--list").stdout
    assert "Answered" in stage.program("report").stdout
    stage.program("report", "r", "--forget")
    done = stage.program("report", check=False)
    assert done.returncode == 1 and "There is no rehearsal yet" in done.stderr


@pytest.mark.parametrize(("content", "told"), [("[]", "holds no findings"), ("{", "holds no findings")])
def test_what_is_no_findings_is_told(stage: Stage, tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "x.json").write_text(content)
    done = stage.program("report", "--from-json", "x.json", check=False)
    assert done.returncode == 1 and told in done.stderr


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path, 3)
    line = Control(n=1, kind="same", expected=0.5, said=0.5)
    write = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        return write(fd, data[: len(data) // 2], at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Fault, match=r"No space left on device\. It can be resumed"):
        run.add(line)
    monkeypatch.setattr(os, "pwrite", write)
    run.add(line)
    run.close()
    assert len(list(run.lines())) == 7 and list(run.lines())[6][1] == line
