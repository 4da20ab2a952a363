"""A bare request as this wire has it (see `dialects/bare.py`)."""

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    model: str
    instructions: str | None = None
    input: list[Said] | str
    max_output_tokens: int | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    stream: bool | None = None


def _taken(sent: _Body) -> Bare | None:
    said = [Said("user", sent.input)] if isinstance(sent.input, str) else sent.input
    if said and said[0].role == "system":
        return None
    if sent.instructions is not None:
        said = [Said("system", sent.instructions), *said]
    return bare(said, sent.max_output_tokens, sent.temperature, sent.top_p)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    return _Body(
        model=model,
        instructions=asked.system,
        input=asked.turns,
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stream=stream or None,
    )


BARE = way(_Body, _taken, _made)
