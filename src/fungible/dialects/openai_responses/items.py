"""Items read: of a request's input, and of an answer's output. Both lists have the same items.

An item of the model's (a message of the assistant's, reasoning, a call) is one or more parts. What the item
says of itself (`id`, `status`, `phase`) rides on its first part, whose `at` is the item's; a further part of
the same item is marked as ours and has no such field. An item of any other type rides whole, as `Native`.

`status: "completed"` says what absence says. An id that fungible made for an answer of another dialect is
no id, and what stands in such an item is its own dialect's again.
"""

from typing import NamedTuple

from ...ir import Citation, Extras, Json, Native, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ..checked import Wire, an_object, encode, may, need, others, wrong
from .names import CALLS, MADE, MADE_SEALED, MADE_THOUGHT, NAME, OURS, is_ours, ours
from .parts import content

_MESSAGE = frozenset({"type", "id", "role", "content", "status"})
_REASONING = frozenset({"type", "id", "summary", "content", "encrypted_content", "status"})
_CALL = frozenset({"type", "id", "call_id", "name", "arguments", "status"})
_CUSTOM = frozenset({"type", "id", "call_id", "name", "input", "status"})
_RESULT = frozenset({"type", "id", "call_id", "output", "status"})
_OUTPUT_TEXT = frozenset({"type", "text", "annotations", "logprobs"})
_REFUSAL = frozenset({"type", "refusal"})


class Said(NamedTuple):
    """The parts of a message, and the probabilities of each that has some."""

    parts: list[Part]
    odds: list[tuple[int, Json]]


def own_fields(node: Wire, known: frozenset[str]) -> Wire:
    """Of one of the model's items."""
    fields = others(node, known)
    own_id = node.get("id")
    if own_id is not None and not (type(own_id) is str and own_id.partition("_")[2].startswith(MADE)):
        fields = {"id": own_id, **fields}
    status = node.get("status")
    if status not in (None, "completed"):
        fields["status"] = status
    return fields


def assistant(node: Wire, at: str) -> Said:
    """A message of the assistant's."""
    fields = own_fields(node, _MESSAGE)
    value = node.get("content")
    if type(value) is str:
        return Said([Text(text=value, extras=ours(fields), at=at)], [])
    if type(value) is not list or not value:
        if value not in (None, []):
            raise wrong(f"{at}.content", "a string or a list of parts", value)
        return Said([Native(dialect=NAME, body=node, at=at)], [])
    if len(value) == 1 and (text := _only_text(value[0])) is not None:
        return Said([Text(text=text, extras=ours(fields), at=at)], [])
    parts: list[Part] = []
    odds: list[tuple[int, Json]] = []
    for i, item in enumerate(value):
        where = f"{at}.content[{i}]"
        piece = an_object(item, where)
        kind = piece.get("type")
        known = _OUTPUT_TEXT if kind == "output_text" else _REFUSAL
        unknown = others(piece, known, f"content[{i}].")
        if kind not in ("output_text", "refusal") or (unknown and i):
            return Said([Native(dialect=NAME, body=node, at=at)], [])
        extras = (ours({**fields, **unknown}) or (OURS if kind == "refusal" else None)) if i == 0 else OURS
        if kind == "refusal":
            parts.append(
                Refusal(text=need(piece, "refusal", str, where), extras=extras, at=at if not i else where)
            )
            continue
        cited = may(piece, "annotations", list, where) or ()
        parts.append(
            Text(
                text=need(piece, "text", str, where),
                citations=tuple([citation(c, f"{where}.annotations[{n}]") for n, c in enumerate(cited)]),
                extras=extras,
                at=where if i else at,
            )
        )
        if piece.get("logprobs"):
            odds.append((i, piece["logprobs"]))
    return Said(parts, odds)


def _only_text(piece: Json) -> str | None:
    """The text of a piece that is no more than that, as most are."""
    if type(piece) is not dict or piece.get("type") != "output_text" or not piece.keys() <= _OUTPUT_TEXT:
        return None
    text = piece.get("text")
    plain = piece.get("annotations") in (None, []) and not piece.get("logprobs")
    return text if plain and type(text) is str else None


def citation(value: Json, at: str) -> Citation:
    node = value if type(value) is dict else {}
    url, title = node.get("url"), node.get("title")
    return Citation(
        dialect=NAME,
        body=value,
        url=url if type(url) is str else None,
        title=title if type(title) is str else None,
        at=at,
    )


def reasoning(node: Wire, at: str, before: Part | None = None) -> list[Part]:
    """A thought for each summary, then one for each text of the reasoning itself; the last is signed.

    `before`: the part before this item, from which an item without any field must be told apart.
    """
    fields = own_fields(node, _REASONING)
    made = node.get("id")
    foreign = type(made) is str and made.startswith(MADE_THOUGHT)
    seal = may(node, "encrypted_content", str, at) or None
    if foreign and str(made).startswith(MADE_SEALED):
        return [Thinking(redacted=seal or "", extras=ours(fields), at=at)]
    pieces: list[tuple[str, str, str]] = []
    for field, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        for i, value in enumerate(may(node, field, list, at) or ()):
            where = f"{field}[{i}]"
            piece = an_object(value, f"{at}.{where}")
            if piece.get("type") != kind or piece.keys() != {"type", "text"}:
                return [Native(dialect=NAME, body=node, at=at)]
            pieces.append((where, kind, need(piece, "text", str, f"{at}.{where}")))
    if (
        not fields
        and not foreign
        and type(before) is Thinking
        and is_ours(before)
        and before.signature is None
    ):
        fields["status"] = "completed"
    found: list[Part] = []
    for i, (where, kind, text) in enumerate(pieces or [("", "", "")]):
        last = i == max(len(pieces) - 1, 0)
        found.append(
            Thinking(
                text=text,
                signature=seal if last else None,
                signer=None if foreign else NAME,
                extras=_of_thought(fields if i == 0 else {}, kind, where, i == 0, foreign),
                at=at,
            )
        )
    return found


def _of_thought(fields: Wire, kind: str, where: str, first: bool, foreign: bool) -> Extras | None:
    """Raw reasoning is told from its summary by its type, which no other dialect keeps apart."""
    told = {f"{where}.type" if first else "type": kind} if kind == "reasoning_text" else {}
    return ours({**fields, **told}) or (None if foreign and first else OURS)


def call(node: Wire, at: str) -> ToolCall:
    custom = node["type"] == "custom_tool_call"
    if custom:
        arguments = may(node, "input", str, at) or ""
    else:
        arguments = as_arguments(node.get("arguments"), f"{at}.arguments")
    return ToolCall(
        id=need(node, "call_id", str, at),
        name=need(node, "name", str, at),
        arguments=arguments,
        custom=custom,
        extras=ours(own_fields(node, _CUSTOM if custom else _CALL)),
        at=at,
    )


def as_arguments(value: Json, at: str) -> str:
    """JSON text. Nothing at all is no argument, and some servers send the object itself."""
    if type(value) is str:
        return value or "{}"
    if value is None:
        return "{}"
    if type(value) is dict:
        return encode(value).decode()
    raise wrong(at, "JSON text", value)


def result(node: Wire, at: str, custom: bool | None) -> ToolResult:
    """`custom`: whether its call was one, None where the call is not here. `""` is no part."""
    fields = own_fields(node, _RESULT)
    if (node["type"] == "custom_tool_call_output") is not bool(custom):
        fields["type"] = node["type"]
    return ToolResult(
        call_id=need(node, "call_id", str, at),
        parts=content(node.get("output") or None, f"{at}.output"),
        extras=ours(fields),
        at=at,
    )


def model_said(value: Json, at: str, before: Part | None = None) -> Said:
    """An item of the model's, or one that rides whole."""
    node = an_object(value, at)
    kind = node.get("type")
    if kind == "reasoning":
        return Said(reasoning(node, at, before), [])
    if type(kind) is str and kind in CALLS:
        return Said([call(node, at)], [])
    if kind == "message" and node.get("role") == "assistant":
        return assistant(node, at)
    return Said([Native(dialect=NAME, body=node, at=at)], [])
