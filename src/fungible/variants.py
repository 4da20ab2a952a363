"""Prompt variants: what a target of a route is told in the place of the caller's own system text.

Models want to be told the same in different words. A variant is a template: `{system}` in it stands for what
the caller said, so `"{system} Answer in one sentence."` adds to it, and one without it replaces it.

The caller's system text is what it said as `system` or `developer` before anybody else spoke; such texts in
the middle of a conversation stay. A mark of the prompt cache on it stays on what takes its place. What a
variant changes is told like a loss, `changed` with the code `prompt_variant`: nothing is changed in silence.
"""

from itertools import takewhile

import msgspec

from .ir import Message, Request, Text
from .losses import Loss

MARK = "{system}"
WHY = "prompt_variant"
SYSTEM = ("system", "developer")


def varied(request: Request, template: str) -> tuple[Request, tuple[Loss, ...]]:
    """The request with the variant, and what that changed; itself where it changed nothing."""
    before = tuple(takewhile(lambda message: message.role in SYSTEM, request.messages))
    texts = [part for message in before for part in message.parts if isinstance(part, Text)]
    said = "\n\n".join([part.text for part in texts])
    told = template.replace(MARK, said)
    if told == said:
        return request, ()
    cache = next((part.cache for part in reversed(texts) if part.cache is not None), None)
    role, at = (before[0].role, before[0].at) if before else ("system", "")
    message = Message(role=role, parts=(Text(text=told, cache=cache),), at=at)
    rest = request.messages[len(before) :]
    where = at or (rest[0].at if rest else "")
    changed = msgspec.structs.replace(request, messages=(message, *rest) if told.strip() else rest)
    return changed, (Loss(where, "changed", WHY),)


def system_of(request: Request) -> str:
    """The caller's system text."""
    before = takewhile(lambda message: message.role in SYSTEM, request.messages)
    return "\n\n".join([p.text for message in before for p in message.parts if isinstance(p, Text)])
