"""`jsonl`: what `fungible recordings export` wrote, read again without loss."""

from collections.abc import Iterator, Sequence

import msgspec

from ..faults import KINDS, Fault
from ..recording import Recording
from .rows import Entry, Json
from .rows import entries as row_entries


def entries(paths: Sequence[str]) -> Iterator[Entry]:
    return row_entries(paths, _made)


def _made(row: dict[str, Json]) -> Recording:
    reply = row.get("reply")
    told = {name: value for name, value in row.items() if value is not None and name != "reply"}
    try:
        recording = msgspec.json.decode(msgspec.json.encode(told), type=Recording)
    except msgspec.ValidationError as error:
        raise Fault("bad_request", f"It is no exported recording: {error}.") from None
    if recording.fault and recording.fault not in KINDS:
        raise Fault("bad_request", f"It has a fault {recording.fault!r}, which is none.")
    if reply is None:
        return recording
    return msgspec.structs.replace(recording, reply=msgspec.Raw(msgspec.json.encode(reply)))
