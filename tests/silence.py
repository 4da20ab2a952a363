"""The detector of silent losses: what a body says that neither its translation nor a loss speaks of.

It knows nothing of readers and writers. A leaf of the source body (a string, a number, a yes or no, an
empty object) is carried if the translation *depends* on it: with another value in its place, or without
it, other words come out. A leaf that makes no difference and is covered by no reported path was lost in
silence. A leaf that can be neither changed nor left out, because the body would be refused, must be one
of the `STRUCTURE` words or be found word for word in what came out.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from fungible.faults import Fault
from fungible.losses import Loss
from fungible.translate import Translation, translate

Steps = tuple[str | int, ...]
GONE = object()

STRUCTURE = {
    "type": "says what the object around it is; that object's other leaves are checked",
    "role": "says who speaks; a body with another word is refused",
    "object": "says what the object around it is",
}
"""Names of leaves that are words of the grammar rather than of the message."""


class Leaf(NamedTuple):
    steps: Steps
    value: Any
    inner: Steps = ()  # steps inside a string that is itself JSON

    @property
    def path(self) -> str:
        return path_of(self.steps)

    @property
    def pattern(self) -> str:
        return path_of(tuple("*" if isinstance(s, int) else s for s in (*self.steps, *self.inner)))


def path_of(steps: Steps) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def leaves(value: Any, steps: Steps = ()) -> Iterator[Leaf]:
    """Every leaf that says something. Null and an empty list say what absence says."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*steps, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*steps, i))
    elif value is not None:
        held = json_inside(value)
        if held is not None:
            yield from (Leaf(steps, leaf.value, leaf.steps) for leaf in leaves(held))
        yield Leaf(steps, value)


def json_inside(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == "{":
        try:
            held = json.loads(value)
        except ValueError:
            return None
        return held or None
    return None


def others(value: Any) -> list[Any]:
    """Values that could stand in the place of `value`, the likeliest to be accepted first."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value / 2 if isinstance(value, float) else value // 2, value - 1]
        case str():
            return [value + "~q", value + "q", value[:-4] if len(value) > 8 else "q"]
        case _:
            return [{"q": "q"}]


def varied(body: Any, leaf: Leaf) -> Iterator[Any]:
    """`body` with another value at `leaf`, and without it."""
    for other in [*others(leaf.value), GONE]:
        if leaf.inner:
            held = json_inside(at(body, leaf.steps))
            put(held, leaf.inner, other)
            yield replaced(body, leaf.steps, json.dumps(held, ensure_ascii=False))
        else:
            yield replaced(body, leaf.steps, other)


def at(body: Any, steps: Steps) -> Any:
    for step in steps:
        body = body[step]
    return body


def put(body: Any, steps: Steps, value: Any) -> None:
    holder = at(body, steps[:-1])
    if value is GONE:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value


def replaced(body: Any, steps: Steps, value: Any) -> Any:
    """A copy that shares everything but the way to `steps`."""
    if not steps:
        return value
    copied = copy.copy(body)
    if len(steps) > 1:
        copied[steps[0]] = replaced(body[steps[0]], steps[1:], value)
    elif value is GONE:
        del copied[steps[0]]
    else:
        copied[steps[0]] = value
    return copied


def covered(path: str, losses: Iterable[Loss]) -> bool:
    return any(
        path == loss.path or (path.startswith(loss.path) and path[len(loss.path)] in ".[") for loss in losses
    )


class Translator(Protocol):
    def translate(self, body: Any) -> Translation | None: ...


class Words(NamedTuple):
    """From what to what, in the words of `fungible.translate`."""

    source: str
    target: str
    kind: str = "request"

    def translate(self, body: Any) -> Translation | None:
        """None: refused."""
        try:
            return translate(body, source=self.source, target=self.target, kind=self.kind)
        except Fault:
            return None


def silent(body: Any, words: Translator) -> list[str]:
    """The leaves of `body` that are lost in silence, each with what it held."""
    done = words.translate(body)
    assert done is not None, "only what can be translated can be looked at"
    return [
        f"{leaf.path}{' > ' + path_of(leaf.inner) if leaf.inner else ''} = {leaf.value!r}"
        for leaf in leaves(body)
        if not covered(leaf.path, done.losses) and not carried(body, leaf, words, done)
    ]


def carried(body: Any, leaf: Leaf, words: Translator, done: Translation) -> bool:
    if leaf.inner:  # another spacing of the JSON inside is no difference that counts
        again = json.dumps(json_inside(at(body, leaf.steps)), ensure_ascii=False)
        done = words.translate(replaced(body, leaf.steps, again)) or done
    refused = True
    for variant in varied(body, leaf):
        other = words.translate(variant)
        if other is not None:
            refused = False
            if other.body != done.body:
                return True
    if not refused:
        return False
    return leaf.steps[-1] in STRUCTURE or any(
        leaf.value == told.value or (isinstance(leaf.value, str) and leaf.value in str(told.value))
        for told in leaves(done.body)
    )


# --- streams -------------------------------------------------------------------------------------


class Stream:
    """A wire text as its blocks; those that hold JSON can be varied."""

    def __init__(self, wire: str) -> None:
        self.blocks = [b for b in wire.replace("\r\n", "\n").replace("\r", "\n").split("\n\n") if b.strip()]
        self.frames: dict[int, tuple[str, Any]] = {}  # block -> the lines before its data, its JSON
        for i, block in enumerate(self.blocks):
            before, found, data = block.partition("data:")
            try:
                held = json.loads(data) if found and "\n" not in data else None
            except ValueError:
                continue
            if isinstance(held, dict):
                self.frames[i] = before, held

    def text(self, changed: int | None = None, frame: Any = None) -> str:
        blocks = list(self.blocks)
        for i, (before, held) in self.frames.items():
            said = frame if i == changed else held
            blocks[i] = f"{before}data: {json.dumps(said, ensure_ascii=False, separators=(',', ':'))}"
        return "\n\n".join(blocks) + "\n\n"

    def said(self) -> dict[tuple[str, str], list[tuple[int, Leaf]]]:
        """Everything the frames say: the same thing said again and again is said once."""
        found: dict[tuple[str, str], list[tuple[int, Leaf]]] = {}
        for i, (_, held) in self.frames.items():
            for leaf in leaves(held):
                if not leaf.inner:
                    found.setdefault((leaf.pattern, repr(leaf.value)), []).append((i, leaf))
        return found


Alias = Callable[[Any, str], str]  # a frame, a path in it -> the path in the answer

EACH_MAX = 4  # different values of one pattern that are tried; the text of all deltas is compared as a whole


def silent_in_stream(wire: str, words: Translator, alias: Alias) -> list[str]:
    """As `silent`, for a stream. `alias` turns a path in a frame into the one that losses speak of."""
    stream = Stream(wire)
    done = words.translate(stream.text())
    assert done is not None
    tried: dict[str, int] = {}
    found = []
    for (pattern, value), places in stream.said().items():
        tried[pattern] = tried.get(pattern, 0) + 1
        told = any(covered(alias(stream.frames[i][1], leaf.path), done.losses) for i, leaf in places)
        if tried[pattern] > EACH_MAX or told:
            continue
        if not any(
            _carried_in_stream(stream, i, leaf, words, done)
            for i, leaf in {p[0]: p for p in (places[0], places[-1])}.values()
        ):
            found.append(f"{places[0][1].path} = {value}")
    return found


def _carried_in_stream(stream: Stream, block: int, leaf: Leaf, words: Translator, done: Translation) -> bool:
    if leaf.steps[-1] in STRUCTURE:
        return True
    for variant in varied(stream.frames[block][1], leaf):
        other = words.translate(stream.text(block, variant))
        if other is not None and other.body != done.body:
            return True
    return False
