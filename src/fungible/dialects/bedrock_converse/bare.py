"""A bare request as this wire has it (see `dialects/bare.py`).

The address has the model, and whether to stream.
"""

from typing import Literal

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks
from .names import quirks_of


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant"]
    content: tuple[_Text]


class _Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    maxTokens: int | None = None  # noqa: N815 (as the wire has it)
    temperature: Number | None = None
    topP: Number | None = None  # noqa: N815


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    system: tuple[_Text] | None = None
    messages: list[_Message]
    inferenceConfig: _Config | None = None  # noqa: N815


_NONE = _Config()


def _taken(sent: _Body) -> Bare | None:
    said = [Said(message.role, message.content[0].text) for message in sent.messages]
    if sent.system is not None:
        said.insert(0, Said("system", sent.system[0].text))
    config = sent.inferenceConfig or _NONE
    return bare(said, config.maxTokens, config.temperature, config.topP)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    limit, temperature, top_p = asked.max_output_tokens, asked.temperature, asked.top_p
    if temperature is not None or top_p is not None:
        quirks = quirks_of(model, quirks)
        if "no_sampling" in quirks or (temperature is not None and temperature > 1):
            return None
        if temperature is not None and top_p is not None and "one_sampler" in quirks:
            return None
    config = _Config(maxTokens=limit, temperature=temperature, topP=top_p)
    return _Body(
        system=None if asked.system is None else (_Text(asked.system),),
        messages=[_Message(said.role, (_Text(said.content),)) for said in asked.turns],  # type: ignore[arg-type]
        inferenceConfig=None if config == _NONE else config,
    )


BARE = way(_Body, _taken, _made)
