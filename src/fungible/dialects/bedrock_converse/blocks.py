"""Parts written as content blocks, for a request or for a reply.

In a request the service refuses blank text, ids with other characters than letters, digits, `_`, `.`, `:`
and `-` or more than 64 of them, and names of documents with other characters than those of `_NAME`. A reply
may hold all of them. What cannot be written is told to the report and gives no block.

A cache mark is a block of its own, after what it marks.
"""

import base64
import binascii
import re
from typing import NamedTuple

import msgspec

from ...ir import (
    Audio,
    Cache,
    Citation,
    Document,
    Extras,
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
from ..base import Quirks
from ..checked import BROKEN
from ..freetext import as_function_call
from ..media import kind_of
from .names import DOCUMENTS, IMAGES, LIFETIMES, NAME, SIGNERS, SOUNDS
from .parts import GUARDED, Block, is_base64

_TTL = {seconds: word for word, seconds in LIFETIMES.items()}
_IMAGES = {media_type: form for form, media_type in IMAGES.items()} | {"image/jpg": "jpeg"}
_DOCUMENTS = {media_type: form for form, media_type in DOCUMENTS.items()}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
_ID_CHARS_MAX = 64
_NAME = re.compile(r"[^A-Za-z0-9_\s()\[\]-]|\s+")
_NAME_CHARS_MAX = 200
_object = msgspec.json.Decoder(type=dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode


def tool_id(call_id: str) -> str:
    """The id itself, or one of allowed characters that the same id always gives."""
    if call_id and len(call_id) <= _ID_CHARS_MAX and _NOT_IN_IDS.search(call_id) is None:
        return call_id
    kept = _NOT_IN_IDS.sub("_", call_id)[: _ID_CHARS_MAX - 9]
    return f"{kept}_{binascii.crc32(call_id.encode()):08x}"


def document_name(name: str) -> str:
    """The nearest name that the service takes."""
    neat = _NAME.sub(lambda found: " " if found[0].isspace() else "-", name)
    return neat.strip()[:_NAME_CHARS_MAX]


def is_object(arguments: str) -> bool:
    """Whether a tool call's arguments are one JSON object."""
    try:
        _object(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


class Where(NamedTuple):
    """The bytes of a file, or its text, and in what format."""

    form: str
    source: Block


class Blocks:
    """Writes the parts of one request or one reply."""

    __slots__ = ("_answered", "_called", "asking", "documents", "quirks", "report")

    def __init__(self, report: Report, quirks: Quirks = frozenset(), asking: bool = True) -> None:
        self.report = report
        self.quirks = quirks
        self.asking = asking
        self.documents = 0  # those that were given a name
        self._called: dict[str, None] = {}  # by name, in their order
        self._answered = False

    def all(self, parts: tuple[Part, ...]) -> list[Block]:
        blocks: list[Block] = []
        for part in parts:
            block = self.one(part)
            if block is not None:
                blocks.append(block)
                if getattr(part, "cache", None) is not None:
                    blocks += self.point(part)
        return blocks

    @property
    def called(self) -> list[str]:
        """The names of the tools that were called, or one to stand for a result without a call."""
        return list(self._called) or (["tool"] if self._answered else [])

    def one(self, part: Part) -> Block | None:
        """The block without what marks it."""
        match part:
            case Text():
                text = part.text
                if (not text or text.isspace()) and self.asking and not part.citations:
                    return self._lost(part, "empty_text")
                if part.extras is None and not part.citations:
                    return {"text": text}
                return self.text(part)
            case ToolCall():
                return self._tool_call(part)
            case ToolResult():
                return self._tool_result(part)
            case Thinking():
                return self._thinking(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Refusal():
                if self.asking and not part.text.strip():
                    return self._lost(part, "empty_text")
                self.report.lose(part, None, "changed", "refusal")
                return {"text": part.text, **self.report.extras(part, NAME)}
            case Audio():
                return self._audio(part)
            case Native():
                return part.body if part.dialect == NAME else self._lost(part, "native_block")

    # --- marks -----------------------------------------------------------------------------------

    def point(self, part: Node) -> list[Block]:
        """The block that marks what stands before it; none where there is no mark, or no place for it.

        Nobody caches an answer.
        """
        cache: Cache | None = getattr(part, "cache", None)
        if cache is None:
            return []
        if not self.asking or "no_cache_points" in self.quirks or type(part) is Thinking:
            self.report.lose(part, "cache", "dropped", "cache_mark")
            return []
        return [{"cachePoint": self._cache(cache)}]

    def _cache(self, cache: Cache) -> Block:
        point: Block = {"type": "default"}
        if cache.ttl_seconds is not None:
            ttl = min(_TTL, key=lambda seconds: abs(seconds - (cache.ttl_seconds or 0)))
            if ttl != cache.ttl_seconds:
                self.report.lose(cache, "ttl_seconds", "approximated", "cache_lifetime")
            point["ttl"] = _TTL[ttl]
        point.update(self.report.extras(cache, NAME))
        return point

    def _lost(self, part: Part, why: str) -> Block | None:
        self.report.lose(part, None, "dropped", why)
        return None

    def _finish(self, kind: str, part: Part, block: Block) -> Block:
        if part.extras is not None:
            block.update(self.report.extras(part, NAME))
        return {kind: block}

    # --- text ------------------------------------------------------------------------------------

    def text(self, part: Text) -> Block:
        extras = self.report.extras(part, NAME) if part.extras is not None else {}
        cited = [c.body for c in part.citations if self._mine(c)] if part.citations else []
        if cited:
            content = {"content": [{"text": part.text}]} if part.text else {}
            return {"citationsContent": {**content, "citations": cited, **extras}}
        if GUARDED in extras:
            guarded: Block = {"text": part.text}
            if extras[GUARDED]:
                guarded["qualifiers"] = extras[GUARDED]
            return {"guardContent": {"text": guarded}}
        return {"text": part.text, **extras}

    def _mine(self, citation: Citation) -> bool:
        if citation.dialect != NAME:
            self.report.lose(citation, None, "dropped", "citations")
            return False
        self.report.extras(citation, NAME)
        return True

    def _thinking(self, part: Thinking) -> Block | None:
        if part.redacted is not None:
            if part.text:
                self.report.lose(part, "text", "dropped", "thinking")
            if part.signature is not None:
                self.report.lose(part, "signature", "dropped", "thinking_signature")
            data = part.redacted
            if not is_base64(data):  # the wire's type is bytes
                self.report.lose(part, "redacted", "changed", "thinking")
                data = base64.b64encode(data.encode()).decode()
            return self._finish("reasoningContent", part, {"redactedContent": data})
        signature = part.signature if part.signer in SIGNERS else None
        if signature is None and self.asking and "signed_thinking" in self.quirks:
            return self._lost(part, "thinking")
        said = {"text": part.text}
        if signature is not None:
            said["signature"] = signature
        elif part.signature is not None:
            self.report.lose(part, "signature", "dropped", "thinking_signature")
        return self._finish("reasoningContent", part, {"reasoningText": said})

    # --- tools -----------------------------------------------------------------------------------

    def _tool_call(self, part: ToolCall) -> Block:
        arguments: Json
        if part.custom:
            part = as_function_call(part, self.report)
        if is_object(part.arguments):
            arguments = msgspec.Raw(part.arguments.encode())
        else:
            self.report.lose(part, "arguments", "changed", "tool_arguments")
            arguments = {"_text": part.arguments} if part.arguments else {}
        self._called[part.name] = None
        called = {"toolUseId": self._id(part, part.id, "id"), "name": part.name, "input": arguments}
        return self._finish("toolUse", part, called)

    def _id(self, part: Part, call_id: str, field: str) -> str:
        """In a reply an id is the provider's and comes back to it, so it stays as it is."""
        mapped = tool_id(call_id) if self.asking else call_id
        if mapped != call_id:
            self.report.lose(part, field, "changed", "tool_call_id")
        return mapped

    def _tool_result(self, part: ToolResult) -> Block:
        self._answered = True
        said: list[Block] = []
        for inner in part.parts:
            block = self._said(inner)
            if block is not None:
                said.append(block)
                if getattr(inner, "cache", None) is not None:
                    self.report.lose(inner, "cache", "dropped", "cache_mark")
        result: Block = {"toolUseId": self._id(part, part.call_id, "call_id"), "content": said}
        if part.is_error is not None:
            result["status"] = "error" if part.is_error else "success"
        return self._finish("toolResult", part, result)

    def _said(self, part: Part) -> Block | None:
        """Inside a tool's result a text may be blank, and JSON stands as such."""
        if type(part) is not Text:
            return self.one(part)
        if part.extras is not None and is_json(part.extras):
            try:
                return {"json": _decode(part.text)}
            except BROKEN:
                pass
        return self.text(part)

    # --- media -----------------------------------------------------------------------------------

    def _image(self, part: Image) -> Block | None:
        source = part.source
        media_type = source.media_type or kind_of(source.data or "")
        form = _IMAGES.get(media_type or "")
        if not source.data or form is None or not is_base64(source.data):
            return self._lost(part, "image")
        if IMAGES[form] != source.media_type:
            self.report.lose(source, "media_type", "changed", "image")
        if part.detail is not None:
            self.report.lose(part, "detail", "dropped", "image")
        wire = {"bytes": source.data, **self.report.extras(source, NAME)}
        return self._finish("image", part, {"format": form, "source": wire})

    def _audio(self, part: Audio) -> Block | None:
        source = part.source
        if source is None or not source.data or part.format not in SOUNDS or not is_base64(source.data):
            return self._lost(part, "audio")
        if source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", "audio")
        for field in ("id", "transcript", "expires_at"):
            if getattr(part, field) is not None:
                self.report.lose(part, field, "dropped", "audio")
        wire = {"bytes": source.data, **self.report.extras(source, NAME)}
        return self._finish("audio", part, {"format": part.format, "source": wire})

    def _document(self, part: Document) -> Block | None:
        where = self._where(part.source)
        if where is None:
            return self._lost(part, "document")
        where.source.update(self.report.extras(part.source, NAME))
        name = document_name(part.name or "") if self.asking else (part.name or "")
        if not name:
            self.documents += 1
            name = f"document {self.documents}"
        if name != part.name:
            self.report.lose(part, "name", "changed", "document")
        block: Block = {"name": name, "source": where.source}
        if where.form:
            block["format"] = where.form
        if part.context is not None:
            block["context"] = part.context
        if part.citations is not None:
            block["citations"] = {"enabled": part.citations}
        return self._finish("document", part, block)

    def _where(self, source: Source) -> Where | None:
        """None for a document that is elsewhere, or of a kind that the wire has no word for."""
        if source.text is not None:
            form = _DOCUMENTS.get(source.media_type or "", "" if source.media_type is None else "txt")
            if source.media_type is not None and DOCUMENTS[form] != source.media_type:
                self.report.lose(source, "media_type", "changed", "document")
            return Where(form, {"text": source.text})
        if not source.data or not is_base64(source.data):
            return None
        kind = source.media_type or kind_of(source.data)
        form = _DOCUMENTS.get(kind or "", "")
        if kind is not None and not form and not kind.startswith("text/") and kind != "application/json":
            return None
        if kind is not None and DOCUMENTS.get(form := form or "txt") != source.media_type:
            self.report.lose(source, "media_type", "changed", "document")
        return Where(form, {"bytes": source.data})


def is_json(extras: Extras) -> bool:
    """Whether a text stood on this wire as JSON."""
    return extras.dialect == NAME and not extras.fields
