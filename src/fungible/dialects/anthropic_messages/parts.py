"""Content blocks read into parts. A block of a type that is not in `BLOCKS` rides whole, as `Native`.

Server tools and their results, search results, compaction and whatever comes next are such blocks: no
other dialect's provider understands them.
"""

import binascii
from collections.abc import Callable

import msgspec

from ...faults import Fault
from ...ir import (
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
    ToolCall,
    ToolResult,
)
from ..checked import BROKEN, an_object, may, need, under, wrong
from ..media import CHECKED_CHARS_MAX, IMAGES, kind_of
from .names import NAME
from .shape import rest

encode = msgspec.json.encode

LIFETIMES: dict[str, int] = {"5m": 300, "1h": 3600}


_PDF_HEAD = 1368  # base64 of the 1,024 bytes within which a PDF begins (ISO 32000, annex H)


def check_base64(data: str, media_type: str | None, at: str) -> None:
    """Raises `Fault`: no base64, or no file of the kind that `media_type` names.

    A JPEG called a PNG is let pass: the API takes it.
    """
    head = data[:CHECKED_CHARS_MAX]
    try:
        binascii.a2b_base64(head.replace("\n", "").replace("\r", ""), strict_mode=True)
    except ValueError:
        raise Fault(
            "bad_request",
            f"{at} is not base64. Send the file's bytes in base64, without a data: prefix.",
            path=at,
        ) from None
    if not data:
        raise Fault("bad_request", f"{at} is empty. Send the file's bytes in base64.", path=at)
    if media_type is not None and media_type.startswith("image/") and kind_of(data) not in IMAGES:
        raise Fault("bad_request", f"{at} is no PNG, JPEG, GIF or WebP file. Send one in base64.", path=at)
    if media_type == "application/pdf" and b"%PDF" not in binascii.a2b_base64(head[:_PDF_HEAD]):
        raise Fault("bad_request", f"{at} is no PDF file. Send one in base64.", path=at)


def read_cache(node: dict[str, Json], at: str) -> Cache | None:
    mark = node.get("cache_control")
    if mark is None:
        return None
    at = under(at, "cache_control")
    an_object(mark, at)
    kind, ttl = need(mark, "type", str, at), may(mark, "ttl", str, at)
    if len(mark) == 1 and kind == "ephemeral":
        return Cache(at=at)
    fields = {k: v for k, v in mark.items() if k not in ("type", "ttl") and v is not None}
    if kind != "ephemeral":
        fields["type"] = kind
    if ttl is not None and ttl not in LIFETIMES:
        fields["ttl"] = ttl
    return Cache(
        at=at,
        ttl_seconds=LIFETIMES.get(ttl) if ttl else None,
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
    )


_ABSENT = msgspec.Raw(b"")


class _RawBlock(msgspec.Struct, gc=False):
    input: msgspec.Raw = _ABSENT


class _RawMessage(msgspec.Struct, gc=False):
    content: list[_RawBlock] | str | None = None


class _RawBody(msgspec.Struct, gc=False):
    messages: list[_RawMessage] = []
    content: list[_RawBlock] = []


_raw_body = msgspec.json.Decoder(_RawBody).decode


def keep_inputs(body: bytes, contents: list[Json]) -> None:
    """Put the text of each tool's input, as the model wrote it, in the place of the parsed object.

    contents: every message's content, or the one of a reply, as parsed from the same `body`. A body whose
    shape is not as it should be is left as it is: its readers say what is wrong.
    """
    try:
        raw = _raw_body(body)
    except BROKEN:
        return
    written = [m.content for m in raw.messages] if raw.messages else [raw.content]
    for content, blocks in zip(contents, written, strict=False):
        if type(content) is not list or type(blocks) is not list:
            continue
        for block, held in zip(content, blocks, strict=False):
            if type(block) is dict and block.get("type") == "tool_use" and held.input != _ABSENT:
                block["input"] = held.input if type(block["input"]) is dict else block["input"]


def read_content(content: Json, at: str) -> tuple[Part, ...]:
    """A string, a list of blocks, or nothing. Raises `Fault` with the path."""
    if type(content) is str:
        return (Text(text=content, at=at),)
    if content is None:
        return ()
    if type(content) is not list:
        raise wrong(at, "a string or a list of content blocks", content)
    return tuple([read_block(block, f"{at}[{i}]") for i, block in enumerate(content)])


def read_block(block: Json, at: str) -> Part:
    if type(block) is not dict:
        raise wrong(at, "a content block, an object with a `type`", block)
    kind = block.get("type")
    if type(kind) is not str:
        raise wrong(f"{at}.type", "the name of a block type", kind)
    read = BLOCKS.get(kind)
    return read(block, at) if read is not None else Native(dialect=NAME, body=block, at=at)


_TEXT = frozenset({"type", "text", "cache_control", "citations"})


def _text(block: dict[str, Json], at: str) -> Part:
    text = need(block, "text", str, at)
    if len(block) == 2:
        return Text(text=text, at=at)
    citations = may(block, "citations", list, at) or ()
    return Text(
        text=text,
        citations=tuple([read_citation(c, f"{at}.citations[{i}]") for i, c in enumerate(citations)]),
        cache=read_cache(block, at),
        at=at,
        extras=rest(block, _TEXT),
    )


def read_citation(body: Json, at: str) -> Citation:
    an_object(body, at)
    return Citation(
        dialect=NAME,
        body=body,
        url=_word(body.get("url")),
        title=_word(body.get("title")) or _word(body.get("document_title")),
        cited_text=_word(body.get("cited_text")),
        at=at,
    )


def _word(value: Json) -> str | None:
    return value if type(value) is str else None


_IMAGE = frozenset({"type", "source", "cache_control"})


def _image(block: dict[str, Json], at: str) -> Part:
    source = _source(block, at)
    if source is None or source.text is not None:
        return Native(dialect=NAME, body=block, at=at)
    return Image(source=source, cache=read_cache(block, at), at=at, extras=rest(block, _IMAGE))


_DOCUMENT = frozenset({"type", "source", "cache_control", "title", "context", "citations"})


def _document(block: dict[str, Json], at: str) -> Part:
    source = _source(block, at)
    if source is None:
        return Native(dialect=NAME, body=block, at=at)
    known, cited = _DOCUMENT, may(block, "citations", dict, at)
    plain = cited is not None and cited.keys() == {"enabled"} and type(cited["enabled"]) is bool
    if cited is not None and not plain:
        known = _DOCUMENT - {"citations"}
    return Document(
        source=source,
        name=may(block, "title", str, at),
        context=may(block, "context", str, at),
        citations=cited["enabled"] if cited is not None and plain else None,
        cache=read_cache(block, at),
        at=at,
        extras=rest(block, known),
    )


def _source(block: dict[str, Json], at: str) -> Source | None:
    """None: a kind of source that only this wire has; the block rides whole."""
    source = need(block, "source", dict, at)
    at = f"{at}.source"
    kind = need(source, "type", str, at)
    if kind == "base64":
        data, media_type = need(source, "data", str, at), need(source, "media_type", str, at)
        check_base64(data, media_type, f"{at}.data")
        return Source(data=data, media_type=media_type, at=at, extras=rest(source, _SOURCE))
    if kind == "url":
        return Source(url=need(source, "url", str, at), at=at, extras=rest(source, _URL))
    if kind == "file":
        return Source(file_id=need(source, "file_id", str, at), at=at, extras=rest(source, _FILE))
    if kind == "text":
        return Source(
            text=need(source, "data", str, at),
            media_type=need(source, "media_type", str, at),
            at=at,
            extras=rest(source, _SOURCE),
        )
    return None


_SOURCE = frozenset({"type", "data", "media_type"})
_URL = frozenset({"type", "url"})
_FILE = frozenset({"type", "file_id"})


def _thinking(block: dict[str, Json], at: str) -> Part:
    return Thinking(
        text=need(block, "thinking", str, at),
        signature=may(block, "signature", str, at) or None,
        at=at,
        extras=rest(block, _THINKING),
    )


_THINKING = frozenset({"type", "thinking", "signature"})


def _redacted(block: dict[str, Json], at: str) -> Part:
    return Thinking(redacted=need(block, "data", str, at), at=at, extras=rest(block, _REDACTED))


_REDACTED = frozenset({"type", "data"})
_TOOL_USE = frozenset({"type", "id", "name", "input", "cache_control"})


def _tool_use(block: dict[str, Json], at: str) -> Part:
    value: Json = block.get("input")
    written = bytes(value) if type(value) is msgspec.Raw else encode(need(block, "input", dict, at))
    return ToolCall(
        id=need(block, "id", str, at),
        name=need(block, "name", str, at),
        arguments=written.decode(),
        cache=read_cache(block, at),
        at=at,
        extras=rest(block, _TOOL_USE),
    )


_TOOL_RESULT = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})


def _tool_result(block: dict[str, Json], at: str) -> Part:
    return ToolResult(
        call_id=need(block, "tool_use_id", str, at),
        parts=read_content(block.get("content"), f"{at}.content"),
        is_error=may(block, "is_error", bool, at),
        cache=read_cache(block, at),
        at=at,
        extras=rest(block, _TOOL_RESULT),
    )


BLOCKS: dict[str, Callable[[dict[str, Json], str], Part]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
