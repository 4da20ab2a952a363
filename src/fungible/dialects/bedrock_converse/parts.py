"""Content blocks read into parts. A block of a kind that is not in `BLOCKS` rides whole, as `Native`.

A block is an object with one member that names its kind. Video, search results, what lies in S3, server
tools and their results, changes to the list of tools, and whatever comes next are such wholes: no other
dialect's provider understands them.

A cache point is a block of its own after what it marks; here it is the mark of the part before it.
"""

import binascii
from collections.abc import Callable
from typing import Any

import msgspec

from ...faults import Fault
from ...ir import (
    Audio,
    Cache,
    Citation,
    Document,
    Extras,
    Image,
    Json,
    Native,
    Part,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from ..checked import BROKEN, an_object, may, need, wrong
from ..media import CHECKED_CHARS_MAX
from .names import DOCUMENTS, IMAGES, LIFETIMES, NAME, SOUNDS, rest

encode = msgspec.json.encode

Block = dict[str, Json]

MARKABLE = (Text, Image, Document, ToolCall, ToolResult, Tool)
"""What a cache point can mark."""

AS_JSON = Extras(dialect=NAME, fields={})
"""Of a text that stands on the wire as JSON (`toolResult.content[].json`). It holds no field, for another
dialect misses nothing: it has the same JSON as text."""

GUARDED = "guardContent.text.qualifiers"
"""The extra field of a text that a guardrail is to look at: what for, a list that may be empty."""


# --- lists of blocks -----------------------------------------------------------------------------


def read_content(content: Json, at: str) -> tuple[Part, ...]:
    """Raises `Fault` with the path."""
    if content is None:
        return ()
    if type(content) is not list:
        raise wrong(at, "a list of content blocks", content)
    parts: list[Part] = []
    for i, block in enumerate(content):
        here = f"{at}[{i}]"
        if type(block) is dict and "cachePoint" in block and mark(parts, block, here):
            continue
        parts.append(read_block(block, here))
    return tuple(parts)


def mark(before: list[Any], block: Block, at: str) -> bool:
    """Put a cache point on what stands before it; False where that cannot hold one."""
    last = before[-1] if before else None
    if len(block) != 1 or not isinstance(last, MARKABLE) or last.cache is not None:
        return False
    cache = read_cache(block["cachePoint"], f"{at}.cachePoint")
    before[-1] = msgspec.structs.replace(last, cache=cache)
    return True


def read_cache(point: Json, at: str) -> Cache:
    an_object(point, at)
    kind, ttl = may(point, "type", str, at), may(point, "ttl", str, at)
    fields = {k: v for k, v in point.items() if k not in ("type", "ttl") and v is not None}
    if kind not in (None, "default"):
        fields["type"] = kind
    if ttl is not None and ttl not in LIFETIMES:
        fields["ttl"] = ttl
    return Cache(
        at=at,
        ttl_seconds=LIFETIMES.get(ttl) if ttl else None,
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
    )


def read_block(block: Json, at: str) -> Part:
    if type(block) is not dict or not block:
        raise wrong(at, "a content block, an object with one member", block)
    text = block.get("text")
    if type(text) is str:
        return Text(text=text, at=at, extras=rest(block, _TEXT) if len(block) > 1 else None)
    if "text" in block:
        raise wrong(f"{at}.text", "a string", text)
    if len(block) == 1:
        kind, inner = next(iter(block.items()))
        read = BLOCKS.get(kind)
        if read is not None:
            where = f"{at}.{kind}"
            part = read(an_object(inner, where), where)
            if part is not None:
                return part
    return Native(dialect=NAME, body=block, at=at)


_TEXT = frozenset({"text"})


# --- kinds of blocks -----------------------------------------------------------------------------


def check_base64(data: str, at: str) -> None:
    """Raises `Fault`: no base64, or none at all."""
    if not is_base64(data[:CHECKED_CHARS_MAX]):
        raise Fault("bad_request", f"{at} is not base64. Send the file's bytes in base64.", path=at)


def is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data.replace("\n", "").replace("\r", ""), strict_mode=True)
    except ValueError:
        return False
    return bool(data)


def _bytes(block: Block, at: str) -> str | None:
    """Base64 as sent; None where the bytes are elsewhere, or in a form that only this wire has."""
    source = need(block, "source", dict, at)
    data = may(source, "bytes", str, f"{at}.source")
    if data is None or len(source) != 1:
        return None
    check_base64(data, f"{at}.source.bytes")
    return data


def _image(block: Block, at: str) -> Part | None:
    if "error" in block:  # in its place: the image that there would have been
        return None
    media_type, data = IMAGES.get(need(block, "format", str, at)), _bytes(block, at)
    if media_type is None or data is None:
        return None
    return Image(
        source=Source(data=data, media_type=media_type, at=at),
        at=at,
        extras=rest(block, _MEDIA),
    )


_MEDIA = frozenset({"format", "source"})


def _audio(block: Block, at: str) -> Part | None:
    form, data = need(block, "format", str, at), _bytes(block, at)
    if form not in SOUNDS or data is None:
        return None
    return Audio(source=Source(data=data, at=at), format=form, at=at, extras=rest(block, _MEDIA))


def _document(block: Block, at: str) -> Part | None:
    form = may(block, "format", str, at)
    source = need(block, "source", dict, at)
    media_type = DOCUMENTS.get(form) if form is not None else None
    if form is not None and media_type is None:
        return None
    text = may(source, "text", str, f"{at}.source")
    if text is not None and len(source) == 1:
        read = Source(text=text, media_type=media_type, at=at)
    else:
        data = _bytes(block, at)
        if data is None:
            return None
        read = Source(data=data, media_type=media_type, at=at)
    known, cited = _DOCUMENT, may(block, "citations", dict, at)
    plain = cited is not None and cited.keys() == {"enabled"} and type(cited["enabled"]) is bool
    if cited is not None and not plain:
        known = _DOCUMENT - {"citations"}
    return Document(
        source=read,
        name=may(block, "name", str, at),
        context=may(block, "context", str, at),
        citations=cited["enabled"] if cited is not None and plain else None,
        at=at,
        extras=rest(block, known),
    )


_DOCUMENT = frozenset({"format", "source", "name", "context", "citations"})


def _tool_use(block: Block, at: str) -> Part | None:
    if block.get("type") is not None:  # a tool that the provider runs
        return None
    return ToolCall(
        id=need(block, "toolUseId", str, at),
        name=need(block, "name", str, at),
        arguments=encode(block["input"]).decode() if "input" in block else "{}",
        at=at,
        extras=rest(block, _TOOL_USE),
    )


_TOOL_USE = frozenset({"toolUseId", "name", "input"})


def _tool_result(block: Block, at: str) -> Part | None:
    if block.get("type") is not None:
        return None
    status = may(block, "status", str, at)
    parts = may(block, "content", list, at) or []
    known = _TOOL_RESULT if status in (None, "success", "error") else _TOOL_RESULT - {"status"}
    return ToolResult(
        call_id=need(block, "toolUseId", str, at),
        parts=tuple([_said(part, f"{at}.content[{i}]") for i, part in enumerate(parts)]),
        is_error={"success": False, "error": True}.get(status or ""),
        at=at,
        extras=rest(block, known),
    )


_TOOL_RESULT = frozenset({"toolUseId", "content", "status"})


def _said(block: Json, at: str) -> Part:
    if type(block) is dict and block.keys() == {"json"}:
        return Text(text=encode(block["json"]).decode(), at=f"{at}.json", extras=AS_JSON)
    return read_block(block, at)


def _guarded(block: Block, at: str) -> Part | None:
    text = block.get("text")
    if len(block) != 1 or type(text) is not dict or not text.keys() <= _GUARDED:
        return None
    at = at.removesuffix(".guardContent")
    inner = f"{at}.guardContent.text"
    fields = {GUARDED: may(text, "qualifiers", list, inner) or []}
    return Text(text=need(text, "text", str, inner), at=at, extras=Extras(dialect=NAME, fields=fields))


_GUARDED = frozenset({"text", "qualifiers"})


def _reasoning(block: Block, at: str) -> Part | None:
    redacted = may(block, "redactedContent", str, at)
    if redacted is not None:
        return Thinking(redacted=redacted, at=at, extras=rest(block, _REDACTED))
    said = may(block, "reasoningText", dict, at)
    if said is None or not said.keys() <= _REASONING_TEXT:
        return None
    inner = f"{at}.reasoningText"
    return Thinking(
        text=need(said, "text", str, inner),
        signature=may(said, "signature", str, inner) or None,
        at=at,
        extras=rest(block, _REASONING),
    )


_REDACTED = frozenset({"redactedContent"})
_REASONING = frozenset({"reasoningText"})
_REASONING_TEXT = frozenset({"text", "signature"})


def _cited(block: Block, at: str) -> Part | None:
    """The text and what it rests on. Several pieces of text are one."""
    texts = []
    for i, piece in enumerate(may(block, "content", list, at) or ()):
        here = f"{at}.content[{i}]"
        texts.append(need(an_object(piece, here), "text", str, here))
    citations = may(block, "citations", list, at) or ()
    return Text(
        text="".join(texts),
        citations=tuple([read_citation(c, f"{at}.citations[{i}]") for i, c in enumerate(citations)]),
        at=at,
        extras=rest(block, _CITED),
    )


_CITED = frozenset({"content", "citations"})


def read_citation(body: Json, at: str) -> Citation:
    an_object(body, at)
    location = body.get("location")
    web = location.get("web") if type(location) is dict else None
    said = body.get("sourceContent")
    texts = [s["text"] for s in said if type(s) is dict and type(s.get("text")) is str] if said else []
    return Citation(
        dialect=NAME,
        body=body,
        url=_word(web.get("url")) if type(web) is dict else None,
        title=_word(body.get("title")),
        cited_text="".join(texts) or None,
        at=at,
    )


def _word(value: Json) -> str | None:
    return value if type(value) is str else None


BLOCKS: dict[str, Callable[[Block, str], Part | None]] = {
    "image": _image,
    "audio": _audio,
    "document": _document,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "guardContent": _guarded,
    "reasoningContent": _reasoning,
    "citationsContent": _cited,
}
"""A kind of block -> its reader. What it gives None for rides whole."""


# --- JSON as it was written ----------------------------------------------------------------------

_ABSENT = msgspec.Raw(b"")


class _RawUse(msgspec.Struct, gc=False):
    input: msgspec.Raw = _ABSENT


class _RawBlock(msgspec.Struct, gc=False, rename="camel"):
    tool_use: _RawUse | None = None


class _RawMessage(msgspec.Struct, gc=False):
    content: list[_RawBlock] | None = None


class _RawOutput(msgspec.Struct, gc=False):
    message: _RawMessage | None = None


class _RawBody(msgspec.Struct, gc=False):
    messages: list[_RawMessage] = []
    output: _RawOutput | None = None


_raw_body = msgspec.json.Decoder(_RawBody).decode


def keep_inputs(body: bytes, contents: list[Json]) -> None:
    """Put the text of each tool's input, as the model wrote it, in the place of the parsed value.

    contents: every message's content, or the one of a reply, as parsed from the same `body`. A body whose
    shape is not as it should be is left as it is: its readers say what is wrong.
    """
    try:
        raw = _raw_body(body)
    except BROKEN:
        return
    written = [m.content for m in raw.messages]
    if raw.output is not None and raw.output.message is not None:
        written = [raw.output.message.content]
    for content, blocks in zip(contents, written, strict=False):
        if type(content) is not list or type(blocks) is not list:
            continue
        for block, held in zip(content, blocks, strict=False):
            used = block.get("toolUse") if type(block) is dict else None
            if type(used) is not dict or "type" in used or held.tool_use is None:
                continue
            if held.tool_use.input != _ABSENT:
                used["input"] = held.tool_use.input
