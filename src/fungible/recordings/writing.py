"""Recordings as others read them: JSON lines, and Parquet.

A column for each field of a `Recording`, always all of them, with the time in ISO 8601 and the target beside.
In JSON lines the bodies are JSON; in Parquet they are its text, for no two dialects have one schema.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from ..faults import Fault
from ..money import usd
from ..recording import Recording

BATCH_ROWS = 1_000
COLUMNS: dict[str, str] = {
    # column: type, as Parquet's readers know it
    "id": "string", "at": "string", "at_ms": "int64", "route": "string", "dialect": "string",
    "target": "string",
    "provider": "string", "model": "string", "status": "int32", "fault": "string", "stream": "bool_",
    "group": "string", "tags": "string", "first_ms": "float64", "duration_ms": "float64",
    "input_tokens": "int64", "output_tokens": "int64", "cost_nanousd": "int64", "cost_usd": "string",
    "losses": "int32", "request": "string", "reply": "string",
}  # fmt: skip


def row(recording: Recording) -> dict[str, Any]:
    """The columns; bodies are still `msgspec.Raw`."""
    fields = {name: getattr(recording, name, None) for name in COLUMNS}
    at = datetime.fromtimestamp(recording.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    cost = recording.cost_nanousd
    return fields | {"at": at.replace("+00:00", "Z"), "cost_usd": usd(cost) if cost is not None else None}


def said(recording: Recording) -> dict[str, Any]:
    """The same as JSON values."""
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row(recording)))
    return fields


def write_jsonl(recordings: Iterable[Recording], file: BinaryIO) -> int:
    """How many lines were written. Raises OSError."""
    count = 0
    for recording in recordings:
        file.write(msgspec.json.encode(row(recording)) + b"\n")
        count += 1
    return count


def write_parquet(recordings: Iterable[Recording], file: BinaryIO) -> int:
    """How many rows were written. Raises OSError, and Fault where the extra is not installed."""
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        raise Fault("bad_request", "Parquet needs pyarrow: pip install 'fungible[parquet]'.") from None
    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    count = 0
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(recordings):
            rows = [_flat(row(recording)) for recording in batch]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """With bodies and tags as JSON text."""
    reply = fields["reply"]
    return fields | {
        "request": bytes(fields["request"]).decode(),
        "reply": bytes(reply).decode() if reply is not None else None,
        "tags": msgspec.json.encode(fields["tags"]).decode(),
    }


def _batches(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    left = iter(recordings)
    while batch := list(islice(left, BATCH_ROWS)):
        yield batch
