"""What an answer says, calls and looks like: the few questions that every measure asks of a reply.

Readers only, pure. A reply may hold several choices; the ones of `choices` are all looked at by those who
count, the first by those who compare.
"""

import re
from collections.abc import Iterable

from ..ir import Audio, Choice, Document, Image, Native, Part, Refusal, Reply, Request, Text, ToolCall

SAID = (Audio, Document, Image, Native, ToolCall)
"""Parts that are an answer without a word of text."""

FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.S)
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.S)
MARKS: dict[str, re.Pattern[str]] = {
    "code": re.compile(r"^```", re.M),
    "list": re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+\S", re.M),
    "heading": re.compile(r"^#{1,6}\s+\S", re.M),
    "table": re.compile(r"^\s*\|.+\|\s*$", re.M),
}
"""What a text looks like -> the mark that tells it."""


def text_of(parts: Iterable[Part]) -> str:
    return "".join([part.text for part in parts if isinstance(part, Text)])


def text(reply: Reply) -> str:
    """The first choice's text."""
    return text_of(reply.choices[0].parts) if reply.choices else ""


def calls_of(parts: Iterable[Part]) -> tuple[ToolCall, ...]:
    return tuple(part for part in parts if isinstance(part, ToolCall))


def calls(reply: Reply) -> tuple[ToolCall, ...]:
    """The first choice's calls."""
    return calls_of(reply.choices[0].parts) if reply.choices else ()


def empty(choice: Choice) -> bool:
    """Whether it says nothing: no text but white space, no call, no refusal, nothing to see or hear."""
    if text_of(choice.parts).strip():
        return False
    return not any(
        isinstance(part, SAID) or (isinstance(part, Refusal) and part.text) for part in choice.parts
    )


def prose(said: str) -> str:
    """A text without its code."""
    return CODE.sub(" ", said)


def unfenced(said: str) -> str:
    """What stands in the text's one fence, where the whole text is that; else the text."""
    whole = said.strip()
    found = FENCE.fullmatch(whole)
    return found.group(1).strip() if found else whole


def looks(said: str) -> frozenset[str]:
    """Which marks of form a text has; `json` alone where the whole is a JSON object or list."""
    whole = unfenced(said)
    if (whole[:1], whole[-1:]) in (("{", "}"), ("[", "]")):
        return frozenset({"json"})
    return frozenset(name for name, mark in MARKS.items() if mark.search(said))


def question(request: Request) -> str:
    """The text of the last thing a user said."""
    for message in reversed(request.messages):
        if message.role == "user" and (said := text_of(message.parts)).strip():
            return said
    return ""
