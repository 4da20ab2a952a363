"""Fuzzing of what reads bytes that strangers send: frames, heads and chunks, and each dialect's readers.

    python -m tests.fuzz [TARGET ...] [--seconds 60] [--runs N]

A target is a function on bytes that is content or raises what its module says it raises; any other exception
is a crash. Where Atheris is installed (`make fuzz` does that) libFuzzer chooses the bytes by what they
reach, with the golden files as its first ones; `tests/test_fuzz.py` changes these by chance alone.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOUND = ROOT / ".fuzz"
BYTES_MAX = 4_096
Target = Callable[[bytes], None]


def pieces(data: bytes) -> list[bytes]:
    """The data cut at places that its first byte chooses, so that what is found is found again."""
    if not data:
        return []
    step = data[0] % 7 * 13 + 1
    body = data[1:]
    return [body[i : i + step] for i in range(0, len(body), step)] if data[0] % 2 else [body]


# --- frames and heads ----------------------------------------------------------------------------


def frames(make: Callable[[], Any], whole: Callable[[bytes], int], data: bytes) -> None:
    """However the bytes are cut, the frames are the same; what `whole` says is whole is."""
    from fungible.faults import Fault

    def read(parts: list[bytes]) -> tuple[list[Any], bool]:
        reader, found = make(), []
        try:
            for part in parts:
                found += reader.feed(part)
            found += reader.end()
        except Fault:
            return found, False
        return found, True

    cut, body = pieces(data), data[1:]
    (once, well), (often, also) = read([body]), read(cut)
    assert well == also, "broken or not, by how it was cut"
    assert once == often, "other frames, by how it was cut"
    try:
        assert 0 <= whole(body) <= len(body)
    except Fault:
        assert not well, "`whole` refuses what the reader takes"


def heads(data: bytes) -> None:
    """A connection answers whatever comes, in pieces, and never raises."""
    from fungible.http.connection import Connection
    from fungible.http.gate import Gate
    from fungible.http.limits import Limits
    from fungible.http.turn import Turn

    from .edge_rig import Desk, Pipe

    async def talk() -> None:
        pipe = Pipe()
        connection = Connection(Gate(Desk(), Limits(), Turn(), asyncio.get_running_loop()))
        connection.connection_made(pipe)
        for part in pieces(data):
            if pipe.closed or pipe.ended:
                break
            connection.data_received(part)
        if not (pipe.closed or pipe.ended):
            connection.eof_received()
        connection.connection_lost(None)

    asyncio.run(talk())


def chunks(data: bytes) -> None:
    from fungible.http.chunks import ChunkReader
    from fungible.http.framing import Refusal

    reader = ChunkReader()
    try:
        for part in pieces(data):
            reader.feed(part)
    except Refusal:
        pass
    assert reader.size == sum(map(len, reader.pieces))


# --- dialects ------------------------------------------------------------------------------------


def stream(name: str, data: bytes) -> None:
    """Read however it is cut, and written for another; watched as it is moved."""
    from fungible.dialects import DIALECTS
    from fungible.events import Done, Failed
    from fungible.faults import Fault
    from fungible.losses import Report

    source = DIALECTS[name]
    target = list(DIALECTS.values())[data[0] % len(DIALECTS) if data else 0]
    cut, body = pieces(data), data[1:]
    reader, again, watch = source.stream_reader(), source.stream_reader(), source.watch(False)
    events = [event for part in cut for event in reader.feed(part)] + reader.end()
    assert [type(e) for e in events if isinstance(e, Done | Failed)] == [type(events[-1])], "it ends twice"
    assert again.feed(body) + again.end() == events, "other events, by how it was cut"
    target.stream_writer(Report(source.names), True).write(events)
    try:
        for part in cut:
            watch.feed(part)
        watch.end()
    except Fault:
        return
    assert watch.done or watch.fault is not None


def body(name: str, kind: str, data: bytes) -> None:
    """A request, an answer or an error: read, and written for another."""
    from fungible.dialects import SPOKEN
    from fungible.faults import Fault
    from fungible.losses import Report

    source = SPOKEN[name]
    alike = [d for d in SPOKEN.values() if d.subject == source.subject]
    target = alike[data[0] % len(alike) if data else 0]
    report, wire = Report(source.names), data[1:]
    try:
        if kind == "error":
            target.write_error(source.read_error(400 + len(wire) % 200, {}, wire), "call")
        elif kind == "reply":
            target.write_reply(source.read_reply(wire), report)
            source.read_usage(wire)
        else:
            request = source.read_request(wire)
            target.write_request(request, report, frozenset())
            source.readdress(wire, source.peek(wire), "a-model", True)
    except Fault:
        pass


# --- what there is -------------------------------------------------------------------------------


def batch(name: str, kind: str, data: bytes) -> None:
    """What a batch API tells is read, or is a fault; what is asked by it can stand in a request line."""
    from fungible.faults import Fault
    from fungible.providers.batches import BATCH_APIS

    api = BATCH_APIS[name]
    try:
        if kind == "results":
            for result in api.results(data[1:].splitlines(keepends=True)):
                assert isinstance(result.id, str) and (result.status or result.gone)
            return
        jobs, after = api.jobs(data[1:]) if kind == "jobs" else ([api.job(data[1:])], "")
    except Fault:
        return
    for errand in (
        api.page(1, after),
        *(e for job in jobs for e in (api.look(job.id), api.cancel(job.id), *job.leavings)),
    ):
        assert errand.path.isascii() and errand.path.isprintable() and " " not in errand.path
    assert all(place.isascii() and place.isprintable() for job in jobs for place in job.outputs)


def targets() -> dict[str, Target]:
    from fungible.dialects import DIALECTS, SPOKEN
    from fungible.frames import eventstream, ndjson, sse
    from fungible.providers.batches import BATCH_APIS

    return {
        "frames.sse": partial(frames, sse.FrameReader, sse.whole),
        "frames.ndjson": partial(frames, ndjson.LineReader, ndjson.whole),
        "frames.eventstream": partial(frames, eventstream.FrameReader, eventstream.whole),
        "http.heads": heads,
        "http.chunks": chunks,
        **{f"batches.{name}.{kind}": partial(batch, name, kind) for name in BATCH_APIS for kind in TOLD},
        **{f"{name}.stream": partial(stream, name) for name in DIALECTS},
        **{f"{name}.{kind}": partial(body, name, kind) for name in SPOKEN for kind in ("request", "reply", "error")},
    }  # fmt: skip


HEAD = b"\x03POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
PLAIN: dict[str, list[bytes]] = {
    "frames.sse": [b"\x03event: a\r\ndata: {}\r\n\r\ndata: 1\ndata: 2\n\n: c\n\n", b"\x02\xef\xbb\xbfdata: x\r\r"],
    "frames.ndjson": [b"\x03{}\n[1]\r\n\n{"],
    "http.heads": [
        HEAD + b"Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    ],
    "http.chunks": [b"\x032\r\n{}\r\n0\r\n\r\n", b"\x02a;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n"],
}  # fmt: skip
FILED = {
    "id": "batch_1",
    "status": "completed",
    "input_file_id": "file-1",
    "output_file_id": "file-2",
    "errors": None,
    "error_file_id": None,
    "created_at": 1,
    "request_counts": {"total": 2, "completed": 1},
    "metadata": {"fungible": "m"},
}
JOB = {
    "id": "j",
    "status": "SUCCESS",
    "input_files": ["f"],
    "output_file": "g",
    "errors": [],
    "created_at": 1,
    "total_requests": 2,
    "completed_requests": 2,
    "metadata": None,
}
MESSAGES = {
    "id": "msgbatch_1",
    "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 2},
    "created_at": "2026-08-19T14:47:10.487960+00:00",
}
OPERATION = {
    "name": "batches/b",
    "metadata": {
        "state": "BATCH_STATE_SUCCEEDED",
        "displayName": "m",
        "createTime": "2026-08-19T14:34:12.267870162Z",
        "batchStats": {"requestCount": "2"},
        "output": {
            "inlinedResponses": {
                "inlinedResponses": [
                    {"metadata": {"custom_id": "a"}, "response": {}},
                    {"metadata": {"custom_id": "b"}, "error": {"code": 3, "message": "no"}},
                ]
            }
        },
    },
}
FILE_LINES = (
    {"custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": {}}, "error": None},
    {"custom_id": "b", "response": None, "error": {"code": "batch_expired", "message": "late"}},
)
LINES = (
    {"custom_id": "a", "result": {"type": "succeeded", "message": {}}},
    {"custom_id": "b", "result": {"type": "expired"}},
    {
        "custom_id": "c",
        "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}},
    },
)
TOLD = ("job", "jobs", "results")
BATCHED: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[dict[str, Any], ...]]] = {
    "files": (FILED, {"data": [FILED], "has_more": True}, FILE_LINES),
    "jobs": (JOB, {"data": [JOB], "total": 1}, FILE_LINES),
    "messages": (MESSAGES, {"data": [MESSAGES], "has_more": True}, LINES),
    "operations": (OPERATION, {"operations": [OPERATION], "nextPageToken": "a=b"}, (OPERATION,)),
}  # fmt: skip
for _name, _told in BATCHED.items():
    for _kind, _said in zip(TOLD, _told, strict=True):
        _rows = _said if isinstance(_said, tuple) else (_said,)
        PLAIN[f"batches.{_name}.{_kind}"] = [b"\x03" + "\n".join(map(json.dumps, _rows)).encode()]
KINDS = {"request": "request", "reply": "response", "error": "error", "stream": "stream"}


def seeds(target: str) -> list[bytes]:
    """What the fuzzing of a target begins with: the golden files, in its dialect. The first byte is a choice."""
    from fungible.dialects import DIALECTS
    from fungible.faults import Fault
    from fungible.translate import TEXT_TYPES, translate

    from .golden import inputs

    name, _, ours = target.rpartition(".")
    name, ours = ("bedrock.converse", "stream") if target == "frames.eventstream" else (name, ours)
    found = list(PLAIN.get(target, []))
    for given in inputs() if ours in KINDS else ():
        source, _, kind = given.stem.rpartition(".")
        if kind != KINDS[ours]:
            continue
        text = given.read_text(encoding="utf-8")
        try:
            told = translate(
                text if kind == "stream" else json.loads(text), source=source, target=name, kind=kind
            ).body
        except Fault:  # of vectors, or of a dialect of one prompt
            continue
        if kind == "stream":
            wire = (
                told.encode() if DIALECTS[name].stream_type.startswith(TEXT_TYPES) else base64.b64decode(told)
            )
        else:
            wire = json.dumps(told["body"] if kind == "error" else told).encode()
        found += [b"\x02" + wire, b"\x03" + wire]
    return found


JUNK = (b"null", b"{}", b"[]", b'""', b"-1", b"1e999", b"\n\n", b"\r\n", b"\xff", b"\\u0000")


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes of it lost, doubled, flipped or exchanged."""
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data) + 1), chance.randint(1, 16)
        some = data[at : at + length]
        flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in some)
        new = chance.choice([b"", some * 2, flipped, chance.randbytes(length), *JUNK])
        data = data[:at] + new + data[at + length :]
    return data


# --- Atheris -------------------------------------------------------------------------------------


def fuzz(target: str, seconds: int, runs: int) -> int:
    """In a process of its own, for libFuzzer ends the process. Its exit status: 0 where nothing was found.

    What crashed is kept in `.fuzz/`.
    """
    import subprocess

    with tempfile.TemporaryDirectory() as corpus:
        for n, seed in enumerate(seeds(target)):
            (Path(corpus) / str(n)).write_bytes(seed)
        command = [sys.executable, "-m", "tests.fuzz", "--one", target, corpus, f"-max_len={BYTES_MAX}"]
        FOUND.mkdir(exist_ok=True)
        command += [f"-artifact_prefix={FOUND}/{target}."]
        command += [f"-runs={runs}"] if runs else [f"-max_total_time={seconds}"]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False
        ).returncode


def one(target: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["fungible"]):
        run = targets()[target]
        run(b"\x02")  # which imports what it needs
    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


def main() -> int:
    if "--one" in sys.argv[:2]:
        one(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", help="all, where none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=0, help="in the place of seconds: so many for each")
    asked = parser.parse_args()
    known = targets()
    if unknown := [name for name in asked.target if name not in known]:
        parser.error(f"there is no target {unknown[0]!r}; there are: {', '.join(known)}")
    found = [name for name in asked.target or known if fuzz(name, asked.seconds, asked.runs)]
    print(f"{len(asked.target or known)} targets, crashes in: {', '.join(found) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
