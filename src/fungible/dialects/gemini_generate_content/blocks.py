"""Parts written, for a request or for a reply. What cannot be written is told to the report.

A text without a character is refused by the API, so it is left out, unless a signature rides on it. A
thought of which nothing was shown but its signature is written as the signature of the part after it.
"""

import base64

import msgspec

from ...ir import (
    Audio,
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
from ..base import Quirks
from ..freetext import as_function_call
from ..media import kind_of
from .names import NAME
from .parts import AUDIO, UNSIGNED, is_response

Block = dict[str, Json]

ENDINGS: dict[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
}
FALLBACK = {Image: "image/jpeg", Document: "application/pdf"}
"""The wire needs a media type; where nothing tells it, the commonest of the kind is named."""

_FORMATS = {form: kind for kind, form in AUDIO.items()}
_an_object = msgspec.json.Decoder(type=dict[str, Json]).decode


def own_extras(node: Node) -> dict[str, Json]:
    extras = node.extras
    return extras.fields if extras is not None and extras.dialect == NAME else {}


class Blocks:
    """Writes the parts of one request or one reply.

    `names`: call id -> the name it called, for results have to repeat it.
    """

    __slots__ = ("asking", "moved", "names", "quirks", "report")

    def __init__(self, report: Report, quirks: Quirks = frozenset(), asking: bool = True) -> None:
        self.report = report
        self.quirks = quirks
        self.asking = asking
        self.names: dict[str, str] = {}
        self.moved: list[Block] = []  # media of results that have to follow as a user's

    def all(self, parts: tuple[Part, ...]) -> list[Block]:
        if len(parts) == 1 and type(parts[0]) is Text and is_plain(parts[0]) and parts[0].text:
            return [{"text": parts[0].text}]
        found: list[Block] = []
        waiting: Thinking | None = None
        for part in parts:
            if waiting is not None:
                if takes_signature(part):
                    block = self.one(part, signed=True)
                    if block is not None:
                        block |= self.signature(waiting)
                        found.append(block)
                        waiting = None
                        continue
                found.append(self.thought(waiting))
                waiting = None
                if takes_signature(part):
                    continue
            if type(part) is Thinking and is_bare(part) and is_taken(part):
                waiting = part
            elif (block := self.one(part)) is not None:
                found.append(block)
        if waiting is not None:
            found.append(self.thought(waiting))
        if self.asking and "signed_calls" in self.quirks:
            sign_first_call(found)
        return found

    def one(self, part: Part, signed: bool = False) -> Block | None:
        """`signed`: a signature will ride on it, so that it may be empty."""
        match part:
            case Text():
                if not part.text and not signed and not own_extras(part):
                    return self._lost(part, "empty_text")
                self._lose_marks(part)
                return self._finish(part, {"text": part.text})
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return self._tool_call(part)
            case ToolResult():
                return self._tool_result(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Audio():
                return self._audio(part)
            case Refusal():
                if not part.text and not signed:
                    return self._lost(part, "empty_text")
                self.report.lose(part, None, "changed", "refusal")
                return self._finish(part, {"text": part.text})
            case Native():
                return dict(part.body) if part.dialect == NAME else self._lost(part, "native_block")

    def thought(self, part: Thinking) -> Block:
        if part.cache is not None:
            self.report.lose(part.cache, None, "dropped", "cache_mark")
        block: Block = {"text": part.text, "thought": True}
        return self._finish(part, block | self.signature(part))

    def signature(self, part: Thinking) -> Block:
        """Bytes in base64; what is not base64 would not be read, here or by the client."""
        if part.signature is None:
            return {}
        if not is_taken(part):
            self.report.lose(part, "signature", "dropped", "thinking_signature")
            return {}
        return {"thoughtSignature": part.signature}

    def _lost(self, part: Part, why: str) -> Block | None:
        self.report.lose(part, None, "dropped", why)
        return None

    def _lose_marks(self, part: Text | Image | Document | ToolCall | ToolResult) -> None:
        if part.cache is not None:
            self.report.lose(part.cache, None, "dropped", "cache_mark")
        if type(part) is Text:
            for citation in part.citations:
                self.report.lose(citation, None, "dropped", "citations")

    def _finish(self, part: Part, block: Block) -> Block:
        """Adds the fields that only this wire has; those named `outer.inner` stand in its object."""
        if part.extras is not None:
            for name, value in self.report.extras(part, NAME).items():
                outer, dot, inner = name.partition(".")
                if dot and type(block.get(outer)) is dict:
                    block[outer][inner] = value
                else:
                    block[name] = value
        return block

    def _thinking(self, part: Thinking) -> Block | None:
        if part.redacted is not None:
            return self._lost(part, "thinking")
        return self.thought(part)

    # --- calls -----------------------------------------------------------------------------------

    def _tool_call(self, part: ToolCall) -> Block:
        self._lose_marks(part)
        args: Json = {}
        if part.custom:
            part = as_function_call(part, self.report)
        try:
            args = _an_object(part.arguments)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.report.lose(part, "arguments", "changed", "tool_arguments")
            args = {"_text": part.arguments} if part.arguments else {}
        self.names[part.id] = part.name
        return self._finish(part, {"functionCall": {"id": part.id, "name": part.name, "args": args}})

    def _tool_result(self, part: ToolResult) -> Block:
        self._lose_marks(part)
        result: Block = {
            "id": part.call_id,
            "name": self.names.get(part.call_id, part.call_id),
            "response": {},
        }
        texts: list[str] = []
        media: list[Block] = []
        alone = sum(type(said) is Text for said in part.parts) == 1
        for said in part.parts:
            if type(said) is Text:
                self._result_text(said, texts, alone, bool(media))
            elif isinstance(said, Image | Document) and (block := self.one(said)) is not None:
                if "no_result_media" in self.quirks:
                    self.report.lose(said, None, "changed", "tool_result_media")
                    self.moved.append(block)
                else:
                    media.append(block)
            elif not isinstance(said, Image | Document):
                self._lost(said, "native_block")
        text = "\n".join(texts) if texts else None
        if part.is_error:
            result["response"] = {"error": text}
        elif text is not None:
            result["response"] = is_response(text) or {"output": text}
        if part.is_error is False:
            self.report.lose(part, "is_error", "dropped", "tool_result_error")
        if media:
            result["parts"] = media
        return self._finish(part, {"functionResponse": result})

    def _result_text(self, said: Text, texts: list[str], alone: bool, after_media: bool) -> None:
        """Several texts are joined to one. An empty one is an output only where there is no other."""
        if not said.text and not alone:
            self._lost(said, "empty_text")
            return
        self._lose_marks(said)
        self.report.homeless(said)
        if texts or after_media:
            self.report.lose(said, None, "changed", "part_order")
        texts.append(said.text)

    # --- media -----------------------------------------------------------------------------------

    def _image(self, part: Image) -> Block | None:
        self._lose_marks(part)
        if part.detail is not None:
            self.report.lose(part, "detail", "dropped", "image")
        return self._media(part, part.source, "image", {})

    def _document(self, part: Document) -> Block | None:
        self._lose_marks(part)
        for field in ("context", "citations"):
            if getattr(part, field) is not None:
                self.report.lose(part, field, "dropped", "document")
        named: Block = {"displayName": part.name} if part.name is not None else {}
        return self._media(part, part.source, "document", named)

    def _media(self, part: Image | Document, source: Source, why: str, more: Block) -> Block | None:
        if source.text is not None:
            kind: str | None = "text/plain"
            if source.media_type != kind:
                self.report.lose(source, "media_type", "changed", why)
            blob: Block = {"data": base64.b64encode(source.text.encode()).decode()}
        elif source.data is not None:
            kind = source.media_type or _kind_of(source.data, FALLBACK[type(part)])
            blob = {"data": source.data}
        else:
            uri = source.url if source.url is not None else source.file_id
            if uri is None:
                return self._lost(part, why)
            kind = source.media_type or _ending(uri, FALLBACK[type(part)])
            blob = {"fileUri": uri}
        if source.media_type is None:
            self.report.lose(source, "media_type", "changed", why)
        blob = {"mimeType": kind, **blob, **more, **self.report.extras(source, NAME)}
        return self._finish(part, {"inlineData" if "data" in blob else "fileData": blob})

    def _audio(self, part: Audio) -> Block | None:
        source = part.source
        kind = None
        if source is not None and source.data is not None:
            kind = source.media_type or _FORMATS.get(part.format or "")
        if source is None or kind is None:
            return self._lost(part, "audio")
        for field in ("id", "transcript", "expires_at"):
            if getattr(part, field) is not None:
                self.report.lose(part, field, "dropped", "audio")
        blob = {"mimeType": kind, "data": source.data, **self.report.extras(source, NAME)}
        return self._finish(part, {"inlineData": blob})


def is_plain(part: Text) -> bool:
    return part.cache is None and not part.citations and part.extras is None


def is_bare(part: Thinking) -> bool:
    """A thought of which there is nothing but its signature."""
    return (
        not part.text
        and part.signature is not None
        and part.redacted is None
        and part.cache is None
        and part.extras is None
    )


def takes_signature(part: Part) -> bool:
    return isinstance(part, Text | ToolCall | Image | Document | Refusal) and (
        "thoughtSignature" not in own_extras(part)
    )


def sign_first_call(blocks: list[Block]) -> None:
    """Guide, Thought signatures: the first call of a step has to be signed; one of another model's is not."""
    for block in blocks:
        if "functionCall" in block:
            block.setdefault("thoughtSignature", UNSIGNED)
            return


def _kind_of(data: str, fallback: str) -> str:
    kind = kind_of(data)
    return kind if kind is not None and kind.partition("/")[0] == fallback.partition("/")[0] else fallback


def is_taken(part: Thinking) -> bool:
    """Whether its signature can be written: nobody else's alone, and bytes."""
    return part.signer in (None, NAME) and is_signature(part.signature or "")


def is_signature(text: str) -> bool:
    """Whether it is base64, of either alphabet: the wire's signatures are bytes."""
    plain = text.replace("-", "+").replace("_", "/")
    whole = plain if "=" in plain else plain + "=" * (-len(plain) % 4)
    try:
        return base64.b64encode(base64.b64decode(whole, validate=True)).decode() == whole
    except ValueError:
        return False


def _ending(uri: str, fallback: str) -> str:
    """The media type that an address shows by its ending, if it is of the kind of `fallback`."""
    found = ENDINGS.get(uri.partition("?")[0].rpartition(".")[2].lower(), fallback)
    return found if found.partition("/")[0] == fallback.partition("/")[0] else fallback
