"""Golden translations: one input, one output for every dialect, each with its losses.

A folder is a story and its name tells it. In it stand one input, `<dialect>.<kind>.json` (or `.sse`), and for
every dialect an output `to-<dialect>.json` with `body` and `losses`; a stream's wire text is beside it in
`to-<dialect>.sse` or `.ndjson`, or its frames in `to-<dialect>.events` where it is binary (an input then is base64). `python
-m tests.golden` writes the outputs anew; read the difference before you keep it.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.eventstream import EventStreamBuffer

from fungible.dialects import DIALECTS
from fungible.translate import translate

FOLDER = Path(__file__).resolve().parent


def inputs() -> Iterator[Path]:
    for story in sorted(p for p in FOLDER.iterdir() if p.is_dir() and p.name != "__pycache__"):
        found = [p for p in story.iterdir() if not p.name.startswith("to-")]
        assert len(found) == 1, f"{story.name} has {len(found)} inputs"
        yield found[0]


def outputs(given: Path) -> dict[str, str]:
    """File name -> text, for one input."""
    source, _, kind = given.stem.rpartition(".")
    text = given.read_text(encoding="utf-8")
    body = text if kind == "stream" else json.loads(text)
    files = {}
    for target in sorted(DIALECTS):
        done = translate(body, source=source, target=target, kind=kind)
        losses = [f"{loss.path}: {loss.kind}, {loss.why}" for loss in done.losses]
        if kind == "stream":
            files |= readable(target, done.body)
            files[f"to-{target}.json"] = pretty({"losses": losses})
        else:
            files[f"to-{target}.json"] = pretty({"body": done.body, "losses": losses})
    return files


def readable(target: str, wire: str) -> dict[str, str]:
    """A stream's wire text; of a binary one, each frame's name and payload."""
    if DIALECTS[target].stream_type.startswith("text/"):
        return {f"to-{target}.sse": wire}
    if "ndjson" in DIALECTS[target].stream_type:
        return {f"to-{target}.ndjson": wire}
    buffer = EventStreamBuffer()
    buffer.add_data(base64.b64decode(wire))
    lines = [
        f"{e.headers.get(':event-type') or e.headers[':exception-type']} {e.payload.decode()}\n"
        for e in buffer
    ]
    return {f"to-{target}.events": "".join(lines)}


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
