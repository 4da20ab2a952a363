"""AWS event-stream frames: read and written as botocore does, cut anywhere, and refused where they are broken."""

import struct
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.faults import Fault
from fungible.frames.eventstream import FrameReader, frame, header_block, whole
from tests import converse_wire

BRIEF = settings(max_examples=60, deadline=None, derandomize=True, database=None)
HEADERS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=30), max_size=4)
WIRE = (
    converse_wire.event("messageStart", {"role": "assistant"})
    + converse_wire.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hé"}})
    + converse_wire.exception("throttlingException", "Too many")
)


@BRIEF
@given(HEADERS, st.binary(max_size=200))
def test_what_is_written_botocore_reads(headers: dict[str, str], payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(frame(header_block(headers), payload))
    (read,) = list(buffer)
    assert (read.headers, read.payload) == (headers, payload)


@BRIEF
@given(HEADERS, st.binary(max_size=200))
def test_what_is_written_is_read(headers: dict[str, str], payload: bytes) -> None:
    reader = FrameReader()
    told = reader.feed(frame(header_block(headers), payload))
    assert [(f.headers, f.payload) for f in told] == [(headers, payload)]
    assert not reader.inside


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_bytes_may_be_cut_anywhere(size: int) -> None:
    reader = FrameReader()
    told = [f for i in range(0, len(WIRE), size) for f in reader.feed(WIRE[i : i + size])]
    assert told == FrameReader().feed(WIRE) and not reader.inside
    assert [(f.kind, f.name) for f in told] == [
        ("event", "messageStart"),
        ("event", "contentBlockDelta"),
        ("exception", "throttlingException"),
    ]


def test_a_part_of_a_frame_is_no_frame() -> None:
    reader = FrameReader()
    assert len(reader.feed(WIRE[:-1])) == 2 and reader.inside
    assert whole(WIRE[:-1]) < len(WIRE[:-1]) and whole(WIRE) == len(WIRE)


def test_a_changed_byte_is_seen_wherever_it_is() -> None:
    one = converse_wire.event("messageStop", {"stopReason": "end_turn"})
    for place in range(len(one)):
        changed = one[:place] + bytes([one[place] ^ 1]) + one[place + 1 :]
        with pytest.raises(Fault, match=r"broken event-stream frame") as caught:
            FrameReader().feed(changed + one)
        assert caught.value.kind == "provider_answer"


def test_what_is_whole_before_a_broken_frame_is_told_however_it_was_cut() -> None:
    wire = WIRE + b"\x00" * 16
    for size in (1, 7, len(wire)):
        reader, told, fault = FrameReader(), [], None
        try:
            for i in range(0, len(wire), size):
                told += reader.feed(wire[i : i + size])
            reader.end()
        except Fault as problem:
            fault = problem
        assert told == FrameReader().feed(WIRE) and fault is not None
    assert whole(wire) == len(WIRE)


def raw(block: bytes, payload: bytes = b"", length: int | None = None) -> bytes:
    begin = struct.pack("!II", len(block) + len(payload) + 16 if length is None else length, len(block))
    begin += struct.pack("!I", zlib.crc32(begin))
    return begin + block + payload + struct.pack("!I", zlib.crc32(begin + block + payload))


TYPES: dict[str, tuple[bytes, Any]] = {
    "true": (b"\x00", True),
    "false": (b"\x01", False),
    "byte": (b"\x02\xff", -1),
    "short": (b"\x03\x01\x00", 256),
    "integer": (b"\x04\x00\x01\x00\x00", 65536),
    "long": (b"\x05" + struct.pack("!q", -(2**40)), -(2**40)),
    "bytes": (b"\x06\x00\x02ab", b"ab"),
    "string": (b"\x07\x00\x02ab", "ab"),
    "timestamp": (b"\x08" + struct.pack("!q", 1_700_000_000_000), 1_700_000_000_000),
    "uuid": (b"\x09" + bytes(range(16)), bytes(range(16)).hex()),
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_header_is_read(kind: str) -> None:
    told, value = TYPES[kind]
    (read,) = FrameReader().feed(raw(b"\x01x" + told + b"\x01y\x07\x00\x01z", b"p"))
    assert read.headers == {"x": value, "y": "z"} and read.payload == b"p"


BROKEN = {
    "a type that is none": raw(b"\x01x\x0a"),
    "a name beyond the headers": raw(b"\x09x"),
    "a value beyond the headers": raw(b"\x01x\x07\x00\x09ab"),
    "a number cut short": raw(b"\x01x\x04\x00"),
    "a name that is no UTF-8": raw(b"\x01\xff\x00"),
    "a length below its own parts": raw(b"", length=8),
    "a length beyond all measure": raw(b"", length=2**31),
    "text in the place of frames": b"data: {}\n\ndata: {}\n\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_frame_is_refused(name: str) -> None:
    with pytest.raises(Fault, match=r"broken event-stream frame"):
        FrameReader().feed(BROKEN[name])


@BRIEF
@given(st.binary(max_size=80))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    for wire in (data, WIRE + data, raw(data), raw(data[:20], data[20:])):
        try:
            FrameReader().feed(wire)
        except Fault as fault:
            assert fault.kind == "provider_answer"
