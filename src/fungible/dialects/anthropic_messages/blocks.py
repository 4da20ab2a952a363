"""Parts written as content blocks, for a request or for a reply.

In a request the API refuses text without a visible character, thinking without a signature and tool ids
with other characters than letters, digits, `_` and `-`; a reply may hold all of them. What cannot be
written is told to the report and gives no block.
"""

import binascii
import re

import msgspec

from ...ir import (
    Audio,
    Cache,
    Citation,
    Document,
    Image,
    Json,
    Native,
    Node,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ...losses import Report
from ..base import Quirks, is_plain
from ..freetext import as_function_call
from ..media import IMAGES, kind_of
from .names import NAME
from .parts import LIFETIMES

Block = dict[str, Json]

_TTL = {seconds: word for word, seconds in LIFETIMES.items()}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_an_object = msgspec.json.Decoder(type=dict[str, msgspec.Raw]).decode


def tool_id(call_id: str) -> str:
    """The id itself, or one of allowed characters that the same id always gives."""
    if call_id and _NOT_IN_IDS.search(call_id) is None:
        return call_id
    return f"{_NOT_IN_IDS.sub('_', call_id)}_{binascii.crc32(call_id.encode()):08x}"


def is_object(arguments: str) -> bool:
    """Whether a tool call's arguments are one JSON object."""
    try:
        _an_object(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


class Blocks:
    """Writes the parts of one request or one reply."""

    __slots__ = ("asking", "quirks", "report")

    def __init__(self, report: Report, quirks: Quirks = frozenset(), asking: bool = True) -> None:
        self.report = report
        self.quirks = quirks
        self.asking = asking

    def all(self, parts: tuple[Part, ...]) -> list[Block]:
        if len(parts) == 1 and is_plain(parts[0]) and (parts[0].text.strip() or not self.asking):
            return [{"type": "text", "text": parts[0].text}]
        return [block for part in parts if (block := self.one(part)) is not None]

    def one(self, part: Part) -> Block | None:
        match part:
            case Text():
                if self.asking and not part.text.strip():
                    return self._lost(part, "empty_text")
                return self.text(part)
            case ToolCall():
                return self._tool_call(part)
            case ToolResult():
                return self._tool_result(part)
            case Thinking():
                return self._thinking(part)
            case Image():
                return self._image(part) if self.asking else self._lost(part, "image")
            case Document():
                return self._document(part) if self.asking else self._lost(part, "document")
            case Refusal():
                if self.asking and not part.text.strip():
                    return self._lost(part, "empty_text")
                self.report.lose(part, None, "changed", "refusal")
                return self._finish(part, {"type": "text", "text": part.text}, None)
            case Audio():
                return self._lost(part, "audio")
            case Native():
                return part.body if part.dialect == NAME else self._lost(part, "native_block")

    def text(self, part: Text) -> Block:
        block: Block = {"type": "text", "text": part.text}
        if part.citations and (cited := [c.body for c in part.citations if self._mine(c)]):
            block["citations"] = cited
        return self._finish(part, block, part.cache)

    def cache(self, cache: Cache, owner: Node) -> Json:
        """The mark, None where the provider takes none."""
        if "no_cache_control" in self.quirks:
            self.report.lose(owner, "cache", "dropped", "cache_mark")
            return None
        mark: Block = {"type": "ephemeral"}
        if cache.ttl_seconds is not None:
            ttl = min(_TTL, key=lambda seconds: abs(seconds - (cache.ttl_seconds or 0)))
            if ttl != cache.ttl_seconds:
                self.report.lose(cache, "ttl_seconds", "approximated", "cache_lifetime")
            mark["ttl"] = _TTL[ttl]
        mark.update(self.report.extras(cache, NAME))
        return mark

    def _mine(self, citation: Citation) -> bool:
        if citation.dialect != NAME:
            self.report.lose(citation, None, "dropped", "citations")
            return False
        self.report.extras(citation, NAME)
        return True

    def _lost(self, part: Part, why: str) -> Block | None:
        self.report.lose(part, None, "dropped", why)
        return None

    def _finish(self, part: Part, block: Block, cache: Cache | None) -> Block:
        if cache is not None and (mark := self.cache(cache, part)) is not None:
            block["cache_control"] = mark
        if part.extras is not None:
            block.update(self.report.extras(part, NAME))
        return block

    def _tool_call(self, part: ToolCall) -> Block:
        arguments: Json
        if part.custom:
            part = as_function_call(part, self.report)
        if is_object(part.arguments):
            arguments = msgspec.Raw(part.arguments.encode())
        else:
            self.report.lose(part, "arguments", "changed", "tool_arguments")
            arguments = {"_text": part.arguments} if part.arguments else {}
        block = {
            "type": "tool_use",
            "id": self._id(part, part.id, "id"),
            "name": part.name,
            "input": arguments,
        }
        return self._finish(part, block, part.cache)

    def _id(self, part: Part, call_id: str, field: str) -> str:
        """In a reply an id is the provider's and comes back to it, so it stays as it is."""
        mapped = tool_id(call_id) if self.asking else call_id
        if mapped != call_id:
            self.report.lose(part, field, "changed", "tool_call_id")
        return mapped

    def _tool_result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._id(part, part.call_id, "call_id")}
        parts = part.parts
        if len(parts) == 1 and is_plain(parts[0]):
            block["content"] = parts[0].text
        elif parts and (said := self._said(parts)):
            block["content"] = said
        if part.is_error is not None:
            block["is_error"] = part.is_error
        return self._finish(part, block, part.cache)

    def _said(self, parts: tuple[Part, ...]) -> list[Block]:
        """Inside a tool's result only text without any character is refused."""
        blocks = []
        for part in parts:
            block = self.text(part) if type(part) is Text and part.text else self.one(part)
            if block is not None:
                blocks.append(block)
        return blocks

    def _thinking(self, part: Thinking) -> Block | None:
        if part.cache is not None:
            self.report.lose(part, "cache", "dropped", "cache_mark")
        if part.redacted is not None:
            if part.text:
                self.report.lose(part, "text", "dropped", "thinking")
            if part.signature is not None:
                self.report.lose(part, "signature", "dropped", "thinking_signature")
            return self._finish(part, {"type": "redacted_thinking", "data": part.redacted}, None)
        signature = part.signature
        if signature is not None and part.signer not in (None, NAME):
            signature = None
        if signature is None and self.asking and "unsigned_thinking" not in self.quirks:
            return self._lost(part, "thinking")
        if signature != part.signature:
            self.report.lose(part, "signature", "dropped", "thinking_signature")
        block = {"type": "thinking", "thinking": part.text, "signature": signature or ""}
        return self._finish(part, block, None)

    def _image(self, part: Image) -> Block | None:
        source = part.source
        if source.data is not None:
            kind = (source.media_type or kind_of(source.data) or "").replace("image/jpg", "image/jpeg")
            if kind not in IMAGES:
                return self._lost(part, "image")
            wire: Block = {"type": "base64", "media_type": kind, "data": source.data}
            if kind != source.media_type:
                self.report.lose(source, "media_type", "changed", "image")
        else:
            found = self._elsewhere(source, "image")
            if found is None:
                return self._lost(part, "image")
            wire = found
        if part.detail is not None:
            self.report.lose(part, "detail", "dropped", "image")
        wire.update(self.report.extras(source, NAME))
        return self._finish(part, {"type": "image", "source": wire}, part.cache)

    def _elsewhere(self, source: Source, why: str) -> Block | None:
        """A source that names where the bytes are, and so says no media type."""
        if source.url is not None:
            wire: Block = {"type": "url", "url": source.url}
        elif source.file_id is not None:
            wire = {"type": "file", "file_id": source.file_id}
        else:
            return None
        if source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", why)
        return wire

    def _document(self, part: Document) -> Block | None:
        wire = self._document_source(part.source)
        if wire is None:
            return self._lost(part, "document")
        wire.update(self.report.extras(part.source, NAME))
        block: Block = {"type": "document", "source": wire}
        if part.name is not None:
            block["title"] = part.name
        if part.context is not None:
            block["context"] = part.context
        if part.citations is not None:
            block["citations"] = {"enabled": part.citations}
        return self._finish(part, block, part.cache)

    def _document_source(self, source: Source) -> Block | None:
        """PDF in base64, plain text, a URL or a file; text of any other kind goes as plain text."""
        if source.text is not None:
            if source.media_type != "text/plain":
                self.report.lose(source, "media_type", "changed", "document")
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        if source.data is None:
            return self._elsewhere(source, "document")
        kind = source.media_type or kind_of(source.data) or ""
        if kind == "application/pdf":
            if source.media_type is None:
                self.report.lose(source, "media_type", "changed", "document")
            return {"type": "base64", "media_type": kind, "data": source.data}
        text = _as_text(source.data) if kind.startswith("text/") or kind == "application/json" else None
        if text is None:
            return None
        self.report.lose(source, None, "changed", "document")
        return {"type": "text", "media_type": "text/plain", "data": text}


def _as_text(data: str) -> str | None:
    try:
        return binascii.a2b_base64(data).decode()
    except ValueError:
        return None
