"""Silent losses of streams: the detector of `silence`, for a wire text of frames.

A stream is taken apart into its frames; a leaf of a frame is given other values there, and the whole stream is
translated again. What is said again and again is looked at once; of one that repeats itself, the last holds.
"""

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from fungible.translate import Translation

from .silence import Leaf, Translator, covered, excepted, leaves, varied


class Stream:
    """A wire text as its blocks; those that hold JSON can be varied. A text that begins with JSON is lines of it."""

    def __init__(self, wire: str) -> None:
        self.lined = wire[:1] == "{"
        self.frames: dict[int, tuple[str, Any]] = {}  # block -> the lines before its data, its JSON
        if self.lined:
            self.blocks = [line for line in wire.split("\n") if line.strip()]
            self.frames = {i: ("", json.loads(line)) for i, line in enumerate(self.blocks)}
            return
        self.blocks = [b for b in wire.replace("\r\n", "\n").replace("\r", "\n").split("\n\n") if b.strip()]
        for i, block in enumerate(self.blocks):
            before, found, data = block.partition("data:")
            try:
                alone_in_line = found and "\n" not in data and before[-1:] in ("", "\n")
                held = json.loads(data) if alone_in_line else None
            except ValueError:
                continue
            if isinstance(held, dict) and held != {"type": "ping"}:
                self.frames[i] = before, held

    def text(self, changed: int | None = None, frame: Any = None) -> str:
        blocks = list(self.blocks)
        for i, (before, held) in self.frames.items():
            said = frame if i == changed else held
            data = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
            blocks[i] = data if self.lined else f"{before}data: {data}"
        end = "\n" if self.lined else "\n\n"
        return end.join(blocks) + end

    def said(self) -> dict[tuple[str, str], list[tuple[int, Leaf]]]:
        """Everything the frames say: the same thing said again and again is said once."""
        found: dict[tuple[str, str], list[tuple[int, Leaf]]] = {}
        for i, (_, held) in self.frames.items():
            for leaf in leaves(held):
                if not leaf.inner:
                    found.setdefault((leaf.pattern, repr(leaf.value)), []).append((i, leaf))
        return found


class BinaryStream(Stream):
    """The same of AWS event-stream frames in base64."""

    def __init__(self, wire: str) -> None:
        data, at = base64.b64decode(wire), 0
        self.heads: list[bytes] = []
        self.payloads: list[bytes] = []
        self.frames: dict[int, tuple[str, Any]] = {}
        while at < len(data):
            length, headers = struct.unpack_from("!II", data, at)
            self.heads.append(data[at + 12 : at + 12 + headers])
            self.payloads.append(data[at + 12 + headers : at + length - 4])
            self.frames[len(self.frames)] = "", json.loads(self.payloads[-1])
            at += length

    def text(self, changed: int | None = None, frame: Any = None) -> str:
        wire = b""
        for i, (head, payload) in enumerate(zip(self.heads, self.payloads, strict=True)):
            told = json.dumps(frame).encode() if i == changed else payload
            begin = struct.pack("!II", len(head) + len(told) + 16, len(head))
            framed = begin + struct.pack("!I", zlib.crc32(begin)) + head + told
            wire += framed + struct.pack("!I", zlib.crc32(framed))
        return base64.b64encode(wire).decode()


def stream_of(wire: str) -> Stream:
    return Stream(wire) if "\n" in wire else BinaryStream(wire)


Alias = Callable[[Any, str], str]  # a frame, a path in it -> the path in the answer

ONCE = {
    "id", "model", "created", "created_at", "choices.*.delta.role", "choices.*.finish_reason",
    "responseId", "modelVersion", "createTime", "candidates.*.finishReason",
}  # fmt: skip
"""What is told once of a stream, or of a choice; some providers tell it again, and otherwise."""

CUT_BY_HAND = {"msg_0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e52"}
"""Answers whose recording leaves out deltas, so that their end contradicts their pieces."""

EACH_MAX = 4  # different values of one pattern that are tried; the text of all deltas is compared as a whole


def silent_in_stream(
    wire: str, words: Translator, alias: Alias, wanted: Callable[[Leaf], bool] = lambda leaf: True
) -> list[str]:
    """As `silent`, for a stream. `alias` turns a path in a frame into the one that losses speak of."""
    stream = stream_of(wire)
    done = words.translate(stream.text())
    assert done is not None
    losses = [msgspec.structs.replace(loss, path=grown(loss.path)) for loss in done.losses]
    tried: dict[str, int] = {}
    found = []
    for (pattern, value), places in stream.said().items():
        if not wanted(places[0][1]):
            continue
        tried[pattern] = tried.get(pattern, 0) + 1
        if places[-1][1].value in ("", {}) or all(repeated(stream, i, leaf) for i, leaf in places):
            continue
        if all(superseded(stream, i, leaf, alias) or retold(stream, i, leaf, alias) for i, leaf in places):
            continue
        told = any(covered(grown(alias(stream.frames[i][1], leaf.path)), losses) for i, leaf in places)
        if tried[pattern] > EACH_MAX or told or (pattern == "text" and any(m in wire for m in CUT_BY_HAND)):
            continue
        if not any(
            _carried_in_stream(stream, i, leaf, words, done)
            for i, leaf in dict(places[:3] + places[-1:]).items()
        ):
            found.append(f"{places[0][1].path} = {value}")
    return found


GROWING = re.compile(r"(reasoning_details|annotations|citations|parts)\[\d+\]")
"""Lists of which each frame holds the next items, counted from 0 again."""


def grown(path: str) -> str:
    return GROWING.sub(r"\1[*]", path)


def repeated(stream: Stream, block: int, leaf: Leaf) -> bool:
    """Told before; or a name of a stream that failed, which may have had no time to tell it."""
    if leaf.pattern not in ONCE:
        return False
    return any("error" in frame for _, frame in stream.frames.values()) or any(
        other.pattern == leaf.pattern and other.value
        for i, (_, frame) in stream.frames.items()
        if i < block or (i > block and leaf.pattern.endswith(("finish_reason", "finishReason")))
        for other in leaves(frame)
    )


def retold(stream: Stream, block: int, leaf: Leaf, alias: Alias) -> bool:
    """Whether an earlier frame has said the same of the same place in the answer."""
    path = alias(stream.frames[block][1], leaf.path)
    return any(
        earlier.value == leaf.value and alias(frame, earlier.path) == path
        for i, (_, frame) in stream.frames.items()
        if i < block
        for earlier in leaves(frame)
    )


def superseded(stream: Stream, block: int, leaf: Leaf, alias: Alias) -> bool:
    """Counts of usage, or the answer so far, are told again and again; the last holds.

    A `usageMetadata` is told whole each time, so that what the last leaves out is not so.
    """
    if leaf.steps[0] == "usageMetadata":
        return any("usageMetadata" in frame for i, (_, frame) in stream.frames.items() if i > block)
    path = alias(stream.frames[block][1], leaf.path)
    return (path.startswith("usage") or leaf.steps[0] in ("response", "item")) and any(
        alias(frame, later.path) == path
        for i, (_, frame) in stream.frames.items()
        if i > block
        for later in leaves(frame)
    )


def _carried_in_stream(stream: Stream, block: int, leaf: Leaf, words: Translator, done: Translation) -> bool:
    frame = stream.frames[block][1]
    if excepted(frame, leaf, words, done):
        return True
    for variants in varied(frame, leaf):
        for variant in variants:
            other = words.translate(stream.text(block, variant))
            if other is not None and other.body != done.body:
                return True
    return False
