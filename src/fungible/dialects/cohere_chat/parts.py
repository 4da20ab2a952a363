"""Messages read: content blocks into parts. A block of an unknown type rides whole, as `Native`.

An assistant's message is a list of blocks, then its `tool_plan`, then its calls. The plan is what the model
thought before it called: it is read as thinking, marked as ours, so that it goes back to its own field.
"""

from ...faults import Fault
from ...ir import (
    Citation,
    Document,
    Extras,
    Image,
    Json,
    Message,
    Native,
    Part,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..checked import Wire, a_list, an_object, encode, may, need, others, wrong
from .names import NAME, OURS, ours

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}

_SAID = frozenset({"role", "content"})
_ASSISTANT = _SAID | {"tool_calls", "tool_plan", "citations"}
_RESULT = _SAID | {"tool_call_id"}
_CALL = frozenset({"id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})
_PLACES = (None, "TEXT_CONTENT")
"""Types of citations that stand in a text; others (of thinking, of the plan) ride along."""


def message(value: Json, at: str) -> Message:
    node = an_object(value, at)
    said = node.get("role")
    role = ROLES.get(said) if type(said) is str else None
    if role is None:
        raise Fault(
            "bad_request", f"{at}.role is {said!r:.40}. Send one of: {', '.join(ROLES)}.", path=f"{at}.role"
        )
    if role == "assistant":
        parts, fields = assistant(node, at)
        return Message(role=role, parts=tuple(parts), extras=ours(fields), at=at)
    parts = content(node.get("content"), f"{at}.content")
    if role == "tool":
        if node.get("content") == "":
            parts = []
        result = ToolResult(call_id=need(node, "tool_call_id", str, at), parts=tuple(parts), at=at)
        return Message(role="tool", parts=(result,), extras=ours(others(node, _RESULT)), at=at)
    return Message(role=role, parts=tuple(parts), extras=ours(others(node, _SAID)), at=at)


def assistant(node: Wire, at: str) -> tuple[list[Part], Wire]:
    """What an assistant's message says, in a request or an answer, and its unknown fields."""
    fields = others(node, _ASSISTANT)
    parts = _cited(content(node.get("content"), f"{at}.content"), node, at, fields)
    plan = may(node, "tool_plan", str, at)
    if plan:
        parts.append(Thinking(text=plan, extras=OURS, at=f"{at}.tool_plan"))
    called = node.get("tool_calls")
    for i, call in enumerate(a_list(called, f"{at}.tool_calls") if called is not None else ()):
        parts.append(tool_call(call, f"{at}.tool_calls[{i}]"))
    return parts, fields


def content(value: Json, at: str) -> list[Part]:
    """A string, a list of blocks, or nothing."""
    if value is None:
        return []
    if type(value) is str:
        return [Text(text=value, at=at)]
    if type(value) is not list:
        raise wrong(at, "a string or a list of content blocks", value)
    return [block(item, f"{at}[{i}]") for i, item in enumerate(value)]


def block(value: Json, at: str) -> Part:
    node = an_object(value, at)
    match node.get("type"):
        case "text":
            extras = ours(others(node, {"type", "text"}))
            return Text(text=need(node, "text", str, at), extras=extras, at=at)
        case "thinking":
            extras = ours(others(node, {"type", "thinking"}))
            return Thinking(text=need(node, "thinking", str, at), extras=extras, at=at)
        case "image_url":
            return _image(node, at)
        case "document":
            return _document(node, at)
        case str():
            return Native(dialect=NAME, body=node, at=at)
        case other:
            raise wrong(f"{at}.type", "the block's type, such as text or image_url", other)


def _image(node: Wire, at: str) -> Part:
    inner = f"{at}.image_url"
    image = an_object(node.get("image_url"), inner)
    url, extras = need(image, "url", str, inner), ours(others(image, {"url", "detail"}))
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        source = Source(media_type=head[5:-7] or None, data=data, extras=extras, at=inner)
    else:
        source = Source(url=url, extras=extras, at=inner)
    detail = may(image, "detail", str, inner)
    return Image(source=source, detail=detail, extras=ours(others(node, {"type", "image_url"})), at=at)


def _document(node: Wire, at: str) -> Part:
    """A result's document: an object whose `text`, or whose JSON, is what a model reads."""
    inner = f"{at}.document"
    held = node.get("document")
    if type(held) is not dict or type(held.get("data")) is not dict:
        return Native(dialect=NAME, body=node, at=at)
    data = held["data"]
    fields = others(node, {"type", "document"}) | others(held, {"data"}, "document.")
    text, title = data.get("text"), data.get("title")
    if type(text) is str and (title is None or type(title) is str):
        fields |= others(data, {"text", "title"}, "document.data.")
        source = Source(media_type="text/plain", text=text, at=f"{inner}.data")
    else:
        text, title = encode(data).decode(), None
        source = Source(media_type="text/plain", text=text, extras=OURS, at=f"{inner}.data")
    return Document(source=source, name=title, extras=ours(fields), at=at)


def tool_call(value: Json, at: str) -> ToolCall:
    call = an_object(value, at)
    inner = f"{at}.function"
    function = an_object(call.get("function"), inner)
    fields = others(call, _CALL) | others(function, _FUNCTION, "function.")
    if call.get("type") not in (None, "function"):
        fields["type"] = call["type"]
    return ToolCall(
        id=need(call, "id", str, at),
        name=need(function, "name", str, inner),
        arguments=may(function, "arguments", str, inner) or "{}",
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
        at=at,
    )


# --- citations -----------------------------------------------------------------------------------


def _cited(parts: list[Part], node: Wire, at: str, fields: Wire) -> list[Part]:
    """Citations belong to the text they stand in; of an unknown one, or out of order, they ride along."""
    told = node.get("citations")
    if not told:
        return parts
    held: dict[int, list[Citation]] = {}
    last = -1
    for i, body in enumerate(a_list(told, f"{at}.citations")):
        place = place_of(body, [type(p) is Text for p in parts])
        if place is None or place < last:
            fields["citations"] = told
            return parts
        last = place
        held.setdefault(place, []).append(citation(body, f"{at}.citations[{i}]"))
    out = list(parts)
    for place, cited in held.items():
        text = parts[place]
        assert type(text) is Text
        out[place] = Text(text=text.text, citations=tuple(cited), extras=text.extras, at=text.at)
    return out


def place_of(body: Json, texts: list[bool]) -> int | None:
    """Which of the blocks a citation stands in; without an index, the first text."""
    if type(body) is not dict or body.get("type") not in _PLACES:
        return None
    index = body.get("content_index")
    if index is None:
        return texts.index(True) if True in texts else None
    return index if type(index) is int and 0 <= index < len(texts) and texts[index] else None


def citation(body: Wire, at: str) -> Citation:
    text = body.get("text")
    return Citation(dialect=NAME, body=body, cited_text=text if type(text) is str else None, at=at)
