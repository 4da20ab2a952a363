"""A bare request as this wire has it (see `dialects/bare.py`)."""

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    model: str
    messages: list[Said]
    max_tokens: int | None = None
    temperature: Number | None = None
    p: Number | None = None
    stream: bool | None = None


def _taken(sent: _Body) -> Bare | None:
    return bare(sent.messages, sent.max_tokens, sent.temperature, sent.p)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    return _Body(
        model=model,
        messages=asked.messages,
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        p=asked.top_p,
        stream=stream or None,
    )


BARE = way(_Body, _taken, _made)
