"""Questions of our own, to a judge or a candidate, as recordings: they are asked as everything is."""

import msgspec

from ..dialects import DIALECTS
from ..ir import Message, Output, Request, Text
from ..losses import Report
from ..recording import Recording

TOKENS_MAX = 400


def posed(
    name: str, said: str, *, system: str | None = None, output: Output | None = None, tokens: int = TOKENS_MAX
) -> Recording:
    """One question; whoever is asked is named when it is asked."""
    spoken = next(iter(DIALECTS.values()))
    before = [Message(role="system", parts=(Text(text=system),))] if system is not None else []
    request = Request(
        model=name,
        messages=(*before, Message(role="user", parts=(Text(text=said),))),
        output=output,
        max_output_tokens=tokens,
    )
    body = spoken.write_request(request, Report(), frozenset())
    return Recording(id=name, at_ms=0, route=name, dialect=spoken.name, request=msgspec.Raw(body))
