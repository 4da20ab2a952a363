"""Recordings: what is written is read again, and what a crash leaves is passed over and counted."""

import os
from pathlib import Path

import msgspec
import pytest

from fungible.faults import Fault
from fungible.ir import Reply, Text
from fungible.recording import Recording
from fungible.recordings import Recordings, kept
from fungible.recordings.segments import rewrite
from fungible.recordings.shelf import folder_of

ASKED = b'{"model": "main", "messages": [{"role": "user", "content": "2\\u00b2?"}], "n": 1}'
REPLY = (
    b'{"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,'
    b' "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}'
)


def made(n: int = 1, **more: object) -> Recording:
    fields: dict[str, object] = {
        "id": f"call-{n}",
        "at_ms": 1_000 + n,
        "route": "main",
        "dialect": "openai.chat",
        "request": msgspec.Raw(ASKED),
        "reply": msgspec.Raw(REPLY),
        "provider": "p",
        "model": "m/x",
        "tags": {"team": "a"},
        "input_tokens": 0,
        "duration_ms": 1.5,
        "group": "g1",
    }
    return Recording(**{**fields, **more})  # type: ignore[arg-type]


def body(raw: msgspec.Raw | None) -> object:
    return msgspec.json.decode(raw) if raw is not None else None


def same(one: Recording, other: Recording) -> bool:
    for name in Recording.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if name in ("request", "reply"):
            mine, theirs = body(mine), body(theirs)
        if mine != theirs:
            return False
    return True


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    given = [made(n) for n in range(600)] + [
        made(7, route="a/b"),
        made(8, reply=None, status=502, fault="timeout"),
    ]
    assert shelf.append(given) == 602
    read = list(shelf.read())
    assert len(read) == 602
    by_id = {(r.id, r.route, r.status): r for r in read}
    assert all(same(by_id[r.id, r.route, r.status], r) for r in given)
    assert [r.id for r in shelf.read("a/b")] == ["call-7"]
    assert [r.id for r in shelf.read("main", since_ms=1_598, until_ms=1_599)] == ["call-598"]
    found = shelf.get("call-300")
    assert found is not None and same(found, made(300))
    assert shelf.get("call-999") is None and shelf.damaged == 0


def test_its_meaning_is_read_through_its_dialect() -> None:
    recording = made()
    request = recording.asked()
    assert request.model == "main" and isinstance(part := request.messages[0].parts[0], Text)
    assert part.text == "2²?" and recording.target == "p/m/x"
    reply = recording.answered()
    assert isinstance(reply, Reply) and reply.choices[0].parts == (Text(text="4"),)


def test_an_answer_that_is_a_fault() -> None:
    error = msgspec.Raw(b'{"error": {"message": "slow down", "type": "rate_limit_error", "code": null}}')
    fault = made(reply=error, status=429, fault="rate_limited").answered()
    assert isinstance(fault, Fault) and fault.kind == "rate_limited" and "slow down" in fault.message
    fault = made(reply=None, fault="client_gone").answered()
    assert isinstance(fault, Fault) and fault.kind == "client_gone"
    fault = made(reply=msgspec.Raw(b"[]")).answered()
    assert isinstance(fault, Fault) and fault.kind == "provider_answer"


def test_the_address_says_what_the_body_does_not() -> None:
    asked = msgspec.Raw(b'{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}')
    request = made(dialect="gemini.generate_content", request=asked, stream=True).asked()
    assert request.model == "main" and request.stream


@pytest.mark.parametrize("cut", [1, 5, 12, 40, 200])
def test_a_torn_end_is_passed_over_and_counted(tmp_path: Path, cut: int) -> None:
    shelf = Recordings(tmp_path)
    shelf.append([made(n) for n in range(300)])
    (path,) = shelf.segments()
    whole = path.stat().st_size
    os.truncate(path, whole - cut)
    assert [r.id for r in shelf.read()] == [f"call-{n}" for n in range(256)]
    assert 0 < shelf.damaged < whole


def test_a_broken_block_costs_itself_only(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    shelf.append([made(n) for n in range(600)])
    (path,) = shelf.segments()
    data = bytearray(path.read_bytes())
    data[-20] ^= 255  # in the last block's bodies
    path.write_bytes(data)
    assert len(list(shelf.read())) == 512
    data[2] ^= 255  # the first block's own beginning
    path.write_bytes(data)
    assert len(list(shelf.read())) == 256
    data = bytearray(path.read_bytes())
    data[200 + data.find(b"\x28\xb5\x2f\xfd")] ^= 255  # in the bodies of the first block that is left
    path.write_bytes(data)
    (line,) = shelf.found()
    assert line.route == "main" and line.damaged > 0


def test_deleting_leaves_the_rest(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    shelf.append([made(n) for n in range(300)])
    assert shelf.delete("main", until_ms=1_290) == 290
    assert [r.id for r in shelf.read()] == [f"call-{n}" for n in range(290, 300)]
    assert shelf.delete(ids={"call-291"}, group="g1") == 1 and shelf.delete(group="g2") == 0
    assert shelf.delete() == 9
    assert shelf.segments() == [] and shelf.delete("main") == 0


def test_deleting_after_a_delete_that_was_killed_leaves_no_copy(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    shelf.append([made(n) for n in range(10)])
    (path,) = shelf.segments()
    path.with_suffix(".fresh").write_bytes(path.read_bytes())  # as far as it came
    assert shelf.delete("main", until_ms=1_005) == 5
    assert [r.id for r in shelf.read()] == [f"call-{n}" for n in range(5, 10)]
    assert list(path.parent.iterdir()) == [path]
    path.with_suffix(".fresh").write_bytes(path.read_bytes())
    shelf.expire("main", 2**62, 0)
    assert list(path.parent.iterdir()) == []


def test_a_segment_that_goes_while_it_is_deleted_from_has_nothing_to_go(tmp_path: Path) -> None:
    assert rewrite(tmp_path / "1-1-a.seg", lambda row: False) == 0


def test_a_writer_whose_file_was_replaced_begins_another(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    writer = shelf.begun("main", 1)
    row = kept(made())
    writer.append([row])
    shelf.delete("main")
    with pytest.raises(OSError, match="Stale"):
        writer.append([row])
    writer.close()


def test_every_route_has_a_folder_of_its_own() -> None:
    names = ["", ".", "..", "a/b", "a%2Fb", "A", "a", "x" * 256, "x" * 255 + "y", "%"]
    folders = [folder_of(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all("/" not in f and f not in (".", "..") and len(f) <= 140 for f in folders)


def test_a_summary_from_the_index(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    shelf.append([made(n) for n in range(300)] + [made(5, route="a/b")])
    found = {line.route: line for line in shelf.found()}
    assert found["main"].count == 300 and (found["main"].from_ms, found["main"].to_ms) == (1_000, 1_299)
    assert found["a/b"].count == 1 and found["a/b"].damaged == 0


def test_the_latest_of_several_writers(tmp_path: Path) -> None:
    shelf = Recordings(tmp_path)
    for part in (range(0, 900, 3), range(2, 900, 3), range(1, 900, 3)):  # each in a segment of its own
        shelf.append([made(n) for n in part])
    assert [r.id for r in shelf.latest(5)] == [f"call-{n}" for n in range(895, 900)]
    assert [r.id for r in shelf.latest(5, "main", 1_898)] == ["call-898", "call-899"]
    assert shelf.latest(5, "else") == []
