"""`fungible recordings`: what a person or a script does with what was recorded."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fungible.recording import grouped
from fungible.recordings import Recordings
from fungible.recordings.writing import COLUMNS
from fungible.sources import SOURCES
from tests.test_recordings import made

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "fungible", "recordings", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code else done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shelf = Recordings(tmp_path / ".fungible")
    shelf.append(
        [made(n, cost_nanousd=1_000_000, group=f"g{n % 2}") for n in range(30)] + [made(7, route="a/b")]
    )
    shelf.note_dropped(1, {"queue": 3})
    return tmp_path


def test_list_and_show(folder: Path) -> None:
    told = run(folder, "list")
    assert (
        "main" in told and "a/b" in told and "3 calls were not recorded, dropped: the queue was full" in told
    )
    summary: Any = json.loads(run(folder, "list", "--json"))
    assert {row["route"]: row["recordings"] for row in summary["routes"]} == {"main": 30, "a/b": 1}
    assert summary["dropped"] == {"queue": 3}
    latest = json.loads(run(folder, "list", "--route", "main", "--limit", "5", "--json"))["recordings"]
    assert [row["id"] for row in latest] == [f"call-{n}" for n in range(25, 30)]
    assert json.loads(run(folder, "list", "--route", "main", "--since", "1h", "--json"))["recordings"] == []
    assert "call-29" in run(folder, "list", "--route", "main")
    one = json.loads(run(folder, "show", "call-3", "--json"))
    assert one["target"] == "p/m/x" and one["cost_usd"] == "0.001"
    assert one["request"]["messages"][0]["content"] == "2²?" and one["reply"]["choices"]
    assert "2²?" in run(folder, "show", "call-3")
    assert "There is no recording 'call-99'" in run(folder, "show", "call-99", code=1)


def test_nothing_is_recorded_yet(tmp_path: Path) -> None:
    assert "Put [record.NAME] into the configuration" in run(tmp_path, "list")
    assert "There are none of 'x'" in run(tmp_path, "list", "--route", "x")


def test_duckdb_reads_both_exports(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    for name in ("out.jsonl", "out.parquet"):
        told = json.loads(run(folder, "export", name, "--json"))
        assert told["exported"] == 31 and told["damaged_bytes"] == 0
        assert (folder / name).stat().st_mode & 0o077 == 0  # nobody else's to read
        path = folder / name
        names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
        assert names == list(COLUMNS)
        rows = duckdb.sql(
            f"SELECT route, target, count(*), sum(cost_nanousd), avg(duration_ms) FROM '{path}' GROUP BY ALL ORDER BY 1"
        ).fetchall()
        assert rows == [("a/b", "p/m/x", 1, None, 1.5), ("main", "p/m/x", 30, 30_000_000, 1.5)]
        asked = "request" if name.endswith("parquet") else "to_json(request)"
        text = duckdb.sql(
            f"SELECT json_extract_string({asked}, '$.messages[0].content') FROM '{path}' LIMIT 1"
        )
        assert text.fetchall() == [("2²?",)]


def test_export_import_delete(folder: Path, tmp_path: Path) -> None:
    assert "30 recordings are in main.jsonl" in run(folder, "export", "main.jsonl", "--route", "main")
    assert len(run(folder, "export", "-", "--route", "a/b").splitlines()) == 1
    assert json.loads(run(folder, "delete", "--route", "main", "--group", "g1", "--json")) == {"deleted": 15}
    assert "1 recordings" in run(folder, "delete", "--id", "call-0")
    assert "Say which" in run(folder, "delete", code=2)
    told = json.loads(run(folder, "import", "jsonl", "main.jsonl", "--route", "copy", "--json"))
    assert told == {"imported": 30, "unread": []}
    with (folder / "main.jsonl").open("a") as file:
        file.write('{"id": 1}\n')
    assert "main.jsonl:31: It is no exported recording" in run(
        folder, "import", "jsonl", "main.jsonl", code=1
    )
    assert json.loads(run(folder, "delete", "--all", "--json"))["deleted"] == 14 + 1 + 30 + 30
    assert not list((folder / ".fungible" / "recordings").rglob("*.seg"))


SECRETS: dict[str, Any] = {
    "id": "x", "model": "gpt", "created": 1_700_000_000,
    "messages": [{"role": "user", "name": "Ann", "content": "I am ann@example.org"}],
    "choices": [{"message": {"role": "assistant", "content": "Hello ann@example.org"}, "finish_reason": "stop"}],
    "metadata": {"conversation": "that of ann@example.org"},
}  # fmt: skip
RULES = """
[record."kept-*"]
redact = ["emails"]
drop = ["messages[].name"]

[provider.house]
dialect = "openai.chat"
base_url = "http://127.0.0.1:1/v1"
key = "env:NOT_SET_ANYWHERE"
"""


@pytest.mark.parametrize(
    ("name", "words", "redacted"),
    [("kept-a", (), True), ("kept-a", ("--as-is",), False), ("other", (), False)],
)
def test_imports_are_redacted_as_calls_are(
    tmp_path: Path, name: str, words: tuple[str, ...], redacted: bool
) -> None:
    """No provider's key has to be there for it."""
    (tmp_path / "fungible.toml").write_text(RULES)
    (tmp_path / "in.jsonl").write_text(json.dumps(SECRETS) + "\n")
    told = json.loads(run(tmp_path, "import", "openai-stored", "in.jsonl", "--route", name, *words, "--json"))
    assert told == {"imported": 1, "unread": []}
    (one,) = Recordings(tmp_path / ".fungible").read(name)
    both = bytes(one.request) + bytes(one.reply or b"")
    assert both.count(b"[email-1]") == (2 if redacted else 0), both
    assert (b"ann@example.org" in both) == (b"Ann" in both) == (not redacted)
    who = "[email-1]" if redacted else "ann@example.org"
    assert one.tags["conversation"] == f"that of {who}"
    if redacted:
        assert one.group == grouped(one.asked(), SECRETS["metadata"]), "told before anything was taken out"


def test_rules_that_are_none_are_told_before_anything_is_imported(tmp_path: Path) -> None:
    (tmp_path / "fungible.toml").write_text('[record.x]\nredact = ["mails"]\n')
    (tmp_path / "in.jsonl").write_text(json.dumps(SECRETS) + "\n")
    assert "has 'mails'" in run(tmp_path, "import", "openai-stored", "in.jsonl", code=1)


def test_every_kind_is_documented() -> None:
    page = (ROOT / "docs" / "recordings.md").read_text()
    for name, source in SOURCES.items():
        assert f"| `{name}` | {source.says} |" in page
    assert ", ".join(COLUMNS).replace(" ", "") in page.replace("\n", "").replace(" ", "")
