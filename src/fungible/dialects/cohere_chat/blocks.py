"""Parts written as content blocks, for a request or for an answer. What has no block is reported."""

from collections.abc import Collection, Sequence

from ...ir import Audio, Document, Image, Json, Native, Node, Part, Refusal, Text, Thinking, ToolCall
from ...losses import Report
from ..checked import BROKEN, Wire, decode, merge
from ..freetext import as_function_call
from .names import NAME, is_ours

SPOKEN: frozenset[type] = frozenset({Text, Thinking, Refusal, Document})
ASKED: frozenset[type] = frozenset({Text, Image, Document})
RETURNED: frozenset[type] = frozenset({Text, Document})
"""What content may hold: an assistant's, a user's, a tool's."""


class Blocks:
    """Writes the content of one request, or one answer."""

    __slots__ = ("report",)

    def __init__(self, report: Report) -> None:
        self.report = report

    def all(self, parts: Sequence[Part], kinds: Collection[type]) -> list[Wire]:
        return [made for part in parts if (made := self.one(part, kinds)) is not None]

    def one(self, part: Part, kinds: Collection[type]) -> Wire | None:
        if type(part) is Native and part.dialect == NAME:
            return part.body  # type: ignore[no-any-return]
        if type(part) not in kinds:
            return self.lost(part, _WHY.get(type(part), "role"))
        match part:
            case Text():
                for cited in part.citations if kinds is not SPOKEN else ():
                    self.report.lose(cited, None, "dropped", "citations")
                return self.finished(part, {"type": "text", "text": part.text})
            case Thinking():
                return self._thinking(part)
            case Refusal():
                self.report.lose(part, None, "changed", "refusal")
                return self.finished(part, {"type": "text", "text": part.text})
            case Image():
                return self._image(part)
            case Document():
                return self._document(part, returned=kinds is RETURNED)
            case _:
                return None

    def lost(self, part: Part, why: str) -> Wire | None:
        self.report.lose(part, None, "dropped", why)
        return None

    def finished(self, part: Part, block: Wire) -> Wire:
        cache = getattr(part, "cache", None)
        if cache is not None:
            self.report.lose(cache, None, "dropped", "cache_mark")
        return merge(block, self.report.extras(part, NAME))

    def _thinking(self, part: Thinking) -> Wire | None:
        if part.redacted is not None:
            return self.lost(part, "thinking")
        if part.signature is not None:
            self.report.lose(part, "signature", "dropped", "thinking_signature")
        return self.finished(part, {"type": "thinking", "thinking": part.text})

    def _image(self, part: Image) -> Wire | None:
        source = part.source
        url = source.url
        if source.data is not None:
            url = f"data:{source.media_type or ''};base64,{source.data}"
        elif source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", "image")
        if url is None:
            return self.lost(part, "image")
        image: Wire = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail
        merge(image, self.report.extras(source, NAME))
        return self.finished(part, {"type": "image_url", "image_url": image})

    def _document(self, part: Document, returned: bool) -> Wire | None:
        """A block inside a tool's result; elsewhere its text."""
        source = part.source
        if source.text is None:
            return self.lost(part, "document")
        if not returned:
            self.report.lose(part, None, "approximated", "document")
            said = [text for text in (part.name, part.context, source.text) if text]
            self.report.homeless(source)
            self.report.homeless(part)
            if part.cache is not None:
                self.report.lose(part.cache, None, "dropped", "cache_mark")
            return {"type": "text", "text": "\n\n".join(said)}
        for field, why in (("context", "document"), ("citations", "citations")):
            if getattr(part, field) is not None:
                self.report.lose(part, field, "dropped", why)
        if source.media_type != "text/plain":
            self.report.lose(source, "media_type", "changed", "document")
        data: Json = _object(source.text) if is_ours(source) else None
        if data is None:
            data = {"text": source.text}
            if part.name is not None:
                data["title"] = part.name
        if not (is_ours(source) and source.extras is not None and not source.extras.fields):
            self.report.homeless(source)
        return self._own_document(part, {"data": data})

    def _own_document(self, part: Document, document: Wire) -> Wire:
        """The fields that a document was read with go back to where they stood."""
        block: Wire = {"type": "document", "document": document}
        if part.cache is not None:
            self.report.lose(part.cache, None, "dropped", "cache_mark")
        for name, value in self.report.extras(part, NAME).items():
            if name.startswith("document.data."):
                document["data"].setdefault(name[14:], value)
            elif name.startswith("document."):
                document.setdefault(name[9:], value)
            else:
                block.setdefault(name, value)
        return block

    def call(self, part: ToolCall) -> Wire:
        if part.custom:
            part = as_function_call(part, self.report)
        if part.cache is not None:
            self.report.lose(part.cache, None, "dropped", "cache_mark")
        function = {"name": part.name, "arguments": part.arguments}
        call: Wire = {"id": part.id, "type": "function", "function": function}
        return merge(call, self.report.extras(part, NAME))


_WHY: dict[type, str] = {
    Image: "image",
    Document: "document",
    Thinking: "thinking",
    Native: "native_block",
    ToolCall: "role",
    Refusal: "refusal",
    Audio: "audio",
}


def is_plan(part: Node) -> bool:
    """Whether it was read from a `tool_plan`."""
    return type(part) is Thinking and is_ours(part) and not (part.extras and part.extras.fields)


def _object(text: str) -> Json:
    try:
        value = decode(text.encode())
    except BROKEN:
        return None
    return value if type(value) is dict else None
