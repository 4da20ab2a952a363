"""A bare request as this wire has it (see `dialects/bare.py`).

The address has the model, and whether to stream.
"""

from typing import Literal

import msgspec

from ..bare import Bare, Number, Said, bare, way
from ..base import Quirks


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "model"]
    parts: tuple[_Text]


class _System(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    parts: tuple[_Text]
    role: Literal["user", "system"] | None = None


class _Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    maxOutputTokens: int | None = None  # noqa: N815 (as the wire has it)
    temperature: Number | None = None
    topP: Number | None = None  # noqa: N815


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    contents: list[_Content]
    systemInstruction: _System | None = None  # noqa: N815
    generationConfig: _Config | None = None  # noqa: N815


_NONE = _Config()
_ROLES: dict[str, Literal["user", "assistant"]] = {"user": "user", "model": "assistant"}
_WORDS: dict[str, Literal["user", "model"]] = {role: word for word, role in _ROLES.items()}  # type: ignore[misc]


def _taken(sent: _Body) -> Bare | None:
    said = [Said(_ROLES[content.role], content.parts[0].text) for content in sent.contents]
    if sent.systemInstruction is not None:
        said.insert(0, Said("system", sent.systemInstruction.parts[0].text))
    config = sent.generationConfig or _NONE
    return bare(said, config.maxOutputTokens, config.temperature, config.topP)


def _made(asked: Bare, model: str, stream: bool, quirks: Quirks) -> _Body | None:
    config = _Config(maxOutputTokens=asked.max_output_tokens, temperature=asked.temperature, topP=asked.top_p)
    return _Body(
        contents=[_Content(_WORDS[said.role], (_Text(said.content),)) for said in asked.turns],
        systemInstruction=None if asked.system is None else _System((_Text(asked.system),)),
        generationConfig=None if config == _NONE else config,
    )


BARE = way(_Body, _taken, _made)
