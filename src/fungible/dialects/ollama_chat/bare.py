"""A bare request as this wire has it (see `dialects/bare.py`)."""

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks


class _Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    num_predict: int | None = None
    temperature: Number | None = None
    top_p: Number | None = None


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    model: str
    messages: list[Said]
    stream: bool | None = None
    options: _Options | None = None


_NONE = _Options()


def _taken(sent: _Body) -> Bare | None:
    options = sent.options or _NONE
    return bare(sent.messages, options.num_predict, options.temperature, options.top_p)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    limit, temperature, top_p = asked.max_output_tokens, asked.temperature, asked.top_p
    options = _Options(num_predict=limit, temperature=temperature, top_p=top_p)
    told = None if options == _NONE else options
    return _Body(model=model, messages=asked.messages, stream=stream, options=told)


BARE = way(_Body, _taken, _made)
