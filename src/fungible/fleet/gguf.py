"""The head of a GGUF file: what has to be known of a model before it is loaded.

Theory: a GGUF file opens with key-value pairs and the model's sizes stand before its vocabulary, so a few
hundred bytes tell the context length and how embeddings are pooled. Anything that is no GGUF is refused
here, in words, since the engine's own answer to it is a bare failure.

Prohibitions: no weights are read and nothing is decided.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
TEXT_BYTES_MAX = 16 * 1024 * 1024

# The value types of the format: number -> struct code.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

Value = int | float | bool | str


class Head(msgspec.Struct, frozen=True):
    """`context_tokens` is what the model was trained for, 0 where the file does not say."""

    architecture: str
    context_tokens: int
    pools: bool  # the model itself says how token vectors become one


def read_head(path: Path) -> Head:
    """Read the sizes in the head of a GGUF file.

    Raises ValueError, with the path in its words, if the file is none or cut short; OSError if it cannot
    be read.
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ValueError(f"{path} is not a GGUF file")
        try:
            known = dict(_pairs(file))
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
            raise ValueError(f"{path} is a damaged GGUF file: {error}") from error
    architecture = str(known.get("general.architecture", ""))
    return Head(
        architecture=architecture,
        context_tokens=int(known.get(f"{architecture}.context_length", 0)),
        pools=int(known.get(f"{architecture}.pooling_type", 0)) > 0,
    )


def _pairs(file: IO[bytes]) -> Iterator[tuple[str, Value]]:
    """The scalar and text pairs before the vocabulary."""
    _version, _tensors, count = _unpack(file, "<IQQ")
    for _ in range(count):
        key = _text(file)
        if key.startswith("tokenizer."):
            return
        (kind,) = _unpack(file, "<I")
        if kind == ARRAY:
            _skip_array(file)
        elif kind == STRING:
            yield key, _text(file)
        else:
            yield key, _unpack(file, "<" + SCALARS[kind])[0]


def _unpack(file: IO[bytes], form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _text(file: IO[bytes]) -> str:
    (length,) = _unpack(file, "<Q")
    if length > TEXT_BYTES_MAX:
        raise OverflowError(f"a text of {length} bytes")
    return file.read(length).decode()


def _skip_array(file: IO[bytes]) -> None:
    kind, count = _unpack(file, "<IQ")
    if kind == STRING:
        for _ in range(count):
            _text(file)
    else:
        file.seek(count * struct.calcsize("<" + SCALARS[kind]), 1)
