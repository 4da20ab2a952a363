"""`docs/coverage.md`: what survives between any two dialects, written from the walk."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from fungible.dialects import DIALECTS

from .types import SOURCES, spoken
from .verdicts import Verdict
from .walked import KINDS, Row, walked

PATH = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
SHOWN_DEEP = 3  # fields that stand deeper are counted, and shown with the field they stand in

HEAD = """# Coverage

What becomes of every field of every dialect in every other. This page is written by `make coverage-page`, from the
types of the official SDKs: each field and each word that may stand in it is put into the smallest body that can hold
it, the body is translated, and what came out is watched. Of a stream it is each field of each event, in the smallest stream
that has such an event. [The test](../tests/test_coverage.py) fails on a value that
is lost in silence, whatever this page says.

| mark | meaning |
|---|---|
| `=` | carried: the target is told the same |
| `~` | approximated or moved, and the loss says so |
| `-` | dropped, and the loss says so |
| `·` | implied: the target says it by itself, or the rest of the body does |
| `!` | refused: it is an error, and is told as one |

Two marks: some words of the field, or some fields in it, the one; some the other. The codes of the losses beside them
are those of [losses.md](losses.md). Within a dialect bytes are moved and nothing is lost. `mistral` is `openai.chat` as
the types of Mistral's own SDK have it.
"""

STEP = re.compile(r"\.(?![^(]*\))")
"""What parts the steps of a path: a dot that stands in no event's name."""

MARKS = {"carried": "=", "approximated": "~", "changed": "~", "dropped": "-", "implied": "·", "refused": "!"}


def written() -> str:
    return "\n".join([HEAD, *_summary(), *[line for name in SOURCES for line in _dialect(name)]])


def _summary() -> Iterator[str]:
    yield "## How much survives\n"
    yield "Fields and words of the source that are carried or implied, of all that its SDK's types have.\n"
    for kind in KINDS:
        yield f"| {kind}, from \\ to | of | " + " | ".join(DIALECTS) + " |"
        yield "|---|---|" + "---|" * len(DIALECTS)
        for source in SOURCES:
            rows, _ = walked(source, kind)
            told = {t: Counter(row.verdicts[t].mark for row in rows) for t in DIALECTS}
            cells = [
                "all" if target == spoken(source) else str(told[target]["carried"] + told[target]["implied"])
                for target in DIALECTS
            ]
            yield f"| {source} | {len(rows)} | " + " | ".join(cells) + " |"
        yield ""


def _dialect(source: str) -> Iterator[str]:
    targets = [name for name in DIALECTS if name != spoken(source)]
    for kind in KINDS:
        yield f"## {source}, {kind}\n"
        yield "| field | " + " | ".join(targets) + " |"
        yield "|---|" + "---|" * len(targets)
        for field, rows in _grouped(walked(source, kind)[0]).items():
            cells = [_cell([row.verdicts[target] for row in rows]) for target in targets]
            count = f" ({len(rows)})" if len(rows) > 1 else ""
            yield f"| `{field}`{count} | " + " | ".join(cells) + " |"
        yield ""


def _grouped(rows: tuple[Row, ...], depth: int = 1) -> dict[str, list[Row]]:
    """By the field that holds them, as high as all that it holds fare alike, or stand deep."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[".".join(STEP.split(row.specimen.field)[:depth])].append(row)
    found: dict[str, list[Row]] = {}
    for field, held in groups.items():
        fates = {tuple((m.mark, m.why) for m in row.verdicts.values() if m.mark != "implied") for row in held}
        deeper = any(row.specimen.field != field for row in held)
        if len(fates) > 1 and deeper and depth < SHOWN_DEEP:
            found |= _grouped(tuple(held), depth + 1)
        else:
            found[field + (".…" if deeper else "")] = held
    return found


def _cell(verdicts: list[Verdict]) -> str:
    marks = "".join(dict.fromkeys(MARKS.get(verdict.mark, "?") for verdict in verdicts))
    whys = sorted({verdict.why for verdict in verdicts if verdict.why and verdict.mark != "refused"})
    return marks + (" " + ", ".join(whys) if whys else "")


if __name__ == "__main__":
    PATH.write_text(written(), encoding="utf-8")
