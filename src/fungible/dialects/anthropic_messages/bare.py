"""A bare request as this wire has it (see `dialects/bare.py`)."""

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks
from .names import VERSIONS, quirks_of


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    model: str
    max_tokens: int | None = None
    system: str | None = None
    messages: list[Said]
    temperature: Number | None = None
    top_p: Number | None = None
    stream: bool | None = None


def _taken(sent: _Body) -> Bare | None:
    said = sent.messages
    if said and said[0].role == "system":
        return None
    if sent.system is not None:
        said = [Said("system", sent.system), *said]
    return bare(said, sent.max_tokens, sent.temperature, sent.top_p)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    temperature, top_p = asked.temperature, asked.top_p
    if asked.max_output_tokens is None or not quirks.isdisjoint(VERSIONS):
        return None
    if temperature is not None or top_p is not None:
        quirks = quirks_of(model, quirks)
        if "no_sampling" in quirks or (temperature is not None and temperature > 1):
            return None
        if temperature is not None and top_p is not None and "one_sampler" in quirks:
            return None
    return _Body(
        model=model,
        max_tokens=asked.max_output_tokens,
        system=asked.system,
        messages=asked.turns,
        temperature=temperature,
        top_p=top_p,
        stream=stream or None,
    )


BARE = way(_Body, _taken, _made)
