"""Thinking, in the several spellings that providers of this dialect have made up for it.

`reasoning_content` (DeepSeek, vLLM, xAI, ...) and `reasoning` (OpenRouter, Groq, ...) are one string.
`reasoning_details` (OpenRouter) is a list of items, {"type": "reasoning.text", "text", "signature"},
{"type": "reasoning.summary", "summary"} and {"type": "reasoning.encrypted", "data"}, and says all there is to
say; a string beside it repeats the items' text. Mistral's parts of type `thinking` stand in the content.

A thought read here is marked as ours, for a provider of this dialect has shown that it deals in them: it is
written back whoever asks. A thought from elsewhere goes only where a quirk says it is taken.
"""

from collections.abc import Sequence

import msgspec

from ...ir import Json, Native, Part, Thinking
from ...losses import Report
from ..base import Quirks
from ..checked import Wire, an_object, may, merge, others, wrong
from .names import NAME, OURS, THINKING_QUIRKS, is_ours, ours

STRINGS = ("reasoning_content", "reasoning")
FIELDS = frozenset({*STRINGS, "reasoning_details"})

_READABLE = {"reasoning.text": "text", "reasoning.summary": "summary"}
_ITEM = frozenset({"type", "text", "signature"})
_SUMMARY = frozenset({"summary", "signature"})
_SEALED = frozenset({"type", "data"})


def item(value: Json, at: str) -> Thinking | Native:
    """One of `reasoning_details`."""
    node = an_object(value, at)
    kind = node.get("type")
    if kind == "reasoning.encrypted" and type(node.get("data")) is str:
        extras = ours(others(node, _SEALED)) or OURS
        return Thinking(redacted=node["data"], extras=extras, at=at)
    if type(kind) is not str or kind not in _READABLE:
        return Native(dialect=NAME, body=node, at=at)
    known = _ITEM if kind == "reasoning.text" else _SUMMARY
    return Thinking(
        text=may(node, _READABLE[kind], str, at) or "",
        signature=may(node, "signature", str, at) or None,
        extras=ours(others(node, known)) or OURS,
        at=at,
    )


def placeless(value: Json, place: Json) -> Json:
    """An item without an `index` that only repeats its place, as the pieces of a stream must tell it."""
    if type(value) is not dict or type(place) is not int or value.get("index") != place:
        return value
    return {name: said for name, said in value.items() if name != "index"}


def read(message: Wire, at: str, asked: bool) -> tuple[list[Part], Wire]:
    """The thoughts of a message, and the strings that say something else than the details beside them."""
    strings = {name: _string(message, name, at, asked) for name in STRINGS}
    details = message.get("reasoning_details")
    if details:
        if type(details) is not list:
            raise wrong(f"{at}.reasoning_details", "a list", details)
        parts: list[Part] = [
            item(placeless(d, i), f"{at}.reasoning_details[{i}]") for i, d in enumerate(details)
        ]
        return _joined(parts, strings)
    unsaid: Wire = {}
    thought: Thinking | None = None
    for name, text in strings.items():
        if text is None:
            continue
        if thought is not None:
            if asked or thought.text != text:
                unsaid[name] = text
        elif text or asked:
            thought = Thinking(text=text, extras=OURS, at=f"{at}.{name}")
    return ([] if thought is None else [thought]), unsaid


def _string(message: Wire, name: str, at: str, asked: bool) -> str | None:
    value = message.get(name)
    if value is None or type(value) is str:
        return value
    raise wrong(f"{at}.{name}", "a string", value)


def _joined(parts: list[Part], strings: dict[str, str | None]) -> tuple[list[Part], Wire]:
    """A client that put a stream together may hold the text in the string and the signature in the item."""
    readable = [p for p in parts if type(p) is Thinking and p.redacted is None]
    text = "".join(p.text for p in readable)
    said = {name: value for name, value in strings.items() if value and value != text}
    if said and not text and len(readable) == 1:
        value = next(iter(said.values()))
        whole = Thinking(
            text=value, signature=readable[0].signature, extras=readable[0].extras, at=readable[0].at
        )
        parts[parts.index(readable[0])] = whole
        said = {k: v for k, v in said.items() if v != value}
    return parts, said


def as_item(thought: Thinking) -> Wire:
    """One of `reasoning_details`, with the fields it came with."""
    fields = thought.extras.fields if is_ours(thought) and thought.extras is not None else {}
    if thought.redacted is not None:
        return merge({"type": "reasoning.encrypted", "data": thought.redacted}, fields)
    kind = fields.get("type", "reasoning.text")
    made: Wire = {"type": kind, _READABLE.get(str(kind), "text"): thought.text}
    if thought.signature is not None:
        made["signature"] = thought.signature
    return merge(made, fields)


def is_item(part: Part) -> bool:
    """Whether a native part is one of `reasoning_details` of a type that is not known here."""
    return (
        type(part) is Native
        and part.dialect == NAME
        and type(part.body) is dict
        and str(part.body.get("type")).startswith("reasoning.")
    )


def is_plain(thought: Thinking) -> bool:
    """Whether its text is all there is."""
    return (
        thought.signature is None
        and thought.redacted is None
        and (not is_ours(thought) or not (thought.extras and thought.extras.fields))
    )


def is_taken(thought: Thinking, quirks: Quirks) -> bool:
    """Whether an earlier thought has a place in a request; a redacted one only among the details."""
    spellings = quirks & THINKING_QUIRKS
    if not spellings:
        return is_ours(thought)
    return thought.redacted is None or "reasoning_details" in spellings


def answered(parts: Sequence[Part], report: Report) -> Wire:
    """The thoughts of an answer: the text for every client, the details for one that sends them back."""
    parts = [unsealed(p, report) if type(p) is Thinking else p for p in parts]
    thoughts = [p for p in parts if type(p) is Thinking]
    _foreign(thoughts, report)
    if not parts:
        return {}
    text = "".join(t.text for t in thoughts)
    made: Wire = {"reasoning_content": text} if text else {}
    if len(parts) > 1 or not text or not is_plain(thoughts[0]):
        made["reasoning_details"] = _items(parts)
    return made


def _items(parts: Sequence[Part]) -> list[Json]:
    return [
        p.body if isinstance(p, Native) else as_item(p) for p in parts if isinstance(p, Thinking | Native)
    ]


def unsealed(thought: Thinking, report: Report) -> Thinking:
    """Without a signature that only another dialect's provider takes."""
    if thought.signature is None or thought.signer in (None, NAME):
        return thought
    report.lose(thought, "signature", "dropped", "thinking_signature")
    return msgspec.structs.replace(thought, signature=None)


def _foreign(thoughts: Sequence[Thinking], report: Report) -> None:
    for thought in thoughts:
        if thought.cache is not None:
            report.lose(thought, "cache", "dropped", "cache_mark")
        report.extras(thought, NAME)


def asked(parts: Sequence[Part], report: Report, quirks: Quirks) -> Wire:
    """The thoughts of an earlier answer, for the provider that these quirks describe."""
    details, name = "reasoning_details" in quirks, next((n for n in STRINGS if n in quirks), None)
    kept: list[Part] = []
    for part in parts:
        if details or name or type(part) is not Thinking or is_ours(part):
            kept.append(unsealed(part, report) if type(part) is Thinking else part)
        else:
            report.lose(part, None, "dropped", "thinking")
    if not kept:
        return {}
    if not details and name is None:
        first = kept[0]
        details = len(kept) > 1 or type(first) is not Thinking or not is_plain(first)
    if details:
        _foreign([p for p in kept if type(p) is Thinking], report)
        return {"reasoning_details": _items(kept)}
    text = _text(kept, report)
    return {} if text is None else {name or "reasoning_content": text}


def _text(parts: Sequence[Part], report: Report) -> str | None:
    """One string of all, for a provider that takes no more; None where nothing is left to say."""
    text: str | None = None
    for part in parts:
        if type(part) is not Thinking or (not part.text and len(parts) > 1):
            report.lose(part, None, "dropped", "thinking")
            continue
        if part.signature is not None:
            report.lose(part, "signature", "dropped", "thinking_signature")
        if part.cache is not None:
            report.lose(part, "cache", "dropped", "cache_mark")
        report.homeless(part)
        if text:
            report.lose(part, None, "changed", "part_order")
        text = (text or "") + part.text
    return text
