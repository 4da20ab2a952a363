"""A bare request as this wire has it (see `dialects/bare.py`)."""

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks


class _Options(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    include_usage: bool | None = None


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    model: str | None = None
    messages: list[Said]
    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: _Options | None = None


_ASKING = _Options(True)


def _taken(sent: _Body) -> Bare | None:
    limit = sent.max_completion_tokens
    if limit is None:
        limit = sent.max_tokens
    elif sent.max_tokens is not None:
        return None
    return bare(sent.messages, limit, sent.temperature, sent.top_p)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    if "model_in_address" in quirks or (stream and "no_stream_options" in quirks):
        return None
    older = "max_tokens" in quirks
    return _Body(
        model=model or None,
        messages=asked.messages,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_output_tokens if older else None,
        max_completion_tokens=None if older else asked.max_output_tokens,
        stream=stream or None,
        stream_options=_ASKING if stream else None,
    )


BARE = way(_Body, _taken, _made)
