"""Recordings that people already have, in the forms in which others keep them: one row each.

How it thinks. A source walks its files and gives `Entry`s: where one stands, and how to make a recording of
it. What it cannot be made of is told with its place and the reason, never passed over. Most of what others
keep is, or can be put as, a chat completion (`chat`); bodies that are kept whole stay as they are, in the
dialect that they are in. What the rules of recording take out of a call of that name is taken out of these.

Not here: where recordings go, and what redaction is (`recordings`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ..faults import Fault
from ..recording import Recording
from ..recordings.redaction import imported
from ..recordings.rules import Rules
from . import batches, har, langfuse, litellm, otlp, own, stored
from .rows import Entry


class Source(NamedTuple):
    says: str
    entries: Callable[[Sequence[str]], Iterator[Entry]]


SOURCES: dict[str, Source] = {
    "jsonl": Source("what `fungible recordings export` wrote", own.entries),
    "openai-stored": Source(
        "OpenAI's stored completions, an object a line, each with its messages", stored.entries
    ),
    "batch": Source(
        "OpenAI's or Anthropic's batches: the input file, then the output files", batches.entries
    ),
    "litellm": Source(
        "LiteLLM's spend logs or standard logging payloads, JSON or JSON lines", litellm.entries
    ),
    "langfuse": Source("Langfuse's generations: JSON, JSON lines or CSV", langfuse.entries),
    "otlp": Source("OpenTelemetry spans with gen_ai attributes, OTLP JSON", otlp.entries),
    "har": Source("HTTP Archive: what a browser or proxy saw of a provider's API", har.entries),
}


NUMBERS = ("at_ms", "status", "input_tokens", "output_tokens", "cost_nanousd", "losses")


class Unread(NamedTuple):
    """`line`: of the file; where entries are no lines, the entry's number. From 1; 0: the file itself."""

    path: str
    line: int
    why: str


def read(
    kind: str,
    paths: Sequence[str],
    route: str | None,
    unread: Callable[[Unread], None],
    rules: Rules | None = None,
) -> Iterator[Recording]:
    """The recordings in these files. `route`: the name to record them under; None: the model asked for.

    `rules`: by which they are redacted; None: not at all.
    """
    entries = SOURCES[kind].entries(paths)
    while True:
        try:
            entry = next(entries)
        except StopIteration:
            return
        try:
            recording = checked(entry.make())
            if route is not None:
                recording = msgspec.structs.replace(recording, route=route)
            rule = rules.of(recording.route) if rules is not None else None
            if rule is not None and rule.redaction:
                recording = imported(recording, rule.redaction)
        except Fault as fault:
            unread(Unread(entry.path, entry.line, fault.message))
            continue
        except RecursionError:
            unread(Unread(entry.path, entry.line, "It is nested too deeply."))
            continue
        yield recording


def checked(recording: Recording) -> Recording:
    """It can be kept, replayed and compared. Raises Fault where it cannot."""
    for name in NUMBERS:
        if not -(2**63) <= (getattr(recording, name) or 0) < 2**63:
            raise Fault("bad_request", f"Its {name} is a larger number than can be kept.")
    if not recording.route:
        raise Fault("bad_request", "It does not say which model was asked.")
    recording.asked()
    if recording.reply is None and not recording.fault:
        raise Fault("bad_request", "It has no answer and no error.")
    if (
        recording.status == 200
        and recording.reply is not None
        and isinstance(told := recording.answered(), Fault)
    ):
        raise Fault("bad_request", f"Its answer cannot be read: {told.message}")
    return recording
