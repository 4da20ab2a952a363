"""Parts written as content: of a message in a request, of a tool's result, of an answer.

What the wire has no place for is told to the report and gives nothing. What was read here goes back as it
was, whether or not the API would take it from another.
"""

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
)
from ...losses import Report
from ..base import Quirks
from ..checked import Wire, merge
from .names import BREAKPOINTS, CACHE_CONTROLS, NAME, UNNAMED_FILE, is_ours


class Blocks:
    """Writes the content of one request, or one answer."""

    __slots__ = ("quirks", "report")

    def __init__(self, report: Report, quirks: Quirks = frozenset()) -> None:
        self.report = report
        self.quirks = quirks

    def content(self, parts: list[Part]) -> Json:
        """A string for one text and nothing beside it, else a list."""
        if len(parts) == 1 and type(parts[0]) is Text and not (parts[0].extras or parts[0].cache):
            self.uncited(parts[0])
            return parts[0].text
        return [block for part in parts if (block := self.one(part)) is not None]

    def one(self, part: Part) -> Wire | None:
        match part:
            case Text():
                self.uncited(part)
                return self.finished(part, {"type": "text", "text": part.text}, part.cache)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Audio():
                return self._audio(part)
            case Refusal():
                return self.finished(part, {"type": "refusal", "refusal": part.text}, None)
            case Thinking():
                return self._thinking(part)
            case Native():
                return self.native(part)
            case _:
                self.lost(part, "role")
                return None

    def native(self, part: Native) -> Wire | None:
        if part.dialect == NAME:
            body: Wire = part.body
            return body
        self.lost(part, "native_block")
        return None

    def uncited(self, part: Text) -> None:
        for cited in part.citations:
            self.report.lose(cited, None, "dropped", "citations")

    def finished(self, part: Node, block: Wire, cache: Cache | None) -> Wire:
        if cache is not None:
            block |= self.mark(cache, part)
        if part.extras is not None:
            merge(block, self.report.extras(part, NAME))
        return block

    def mark(self, cache: Cache, owner: Node) -> Wire:
        """The mark under its name, or nothing where the provider takes none."""
        if "no_cache_marks" in self.quirks:
            self.report.lose(owner, "cache", "dropped", "cache_mark")
            return {}
        control = is_control(cache) or "cache_control" in self.quirks
        mark: Wire = {"type": "ephemeral"} if control else {"mode": "explicit"}
        if cache.ttl_seconds is not None:
            mark["ttl"] = self._lifetime(cache, cache.ttl_seconds, CACHE_CONTROLS if control else BREAKPOINTS)
        for name, value in self.report.extras(cache, NAME).items():
            mark[name] = value
        return {"cache_control" if control else "prompt_cache_breakpoint": mark}

    def _lifetime(self, cache: Cache, seconds: int, known: dict[int, str]) -> str:
        if is_control(cache):
            return as_ttl(seconds)
        nearest = min(known, key=lambda k: abs(k - seconds))
        if nearest != seconds:
            self.report.lose(cache, "ttl_seconds", "approximated", "cache_lifetime")
        return known[nearest]

    # --- media

    def lost(self, part: Part, why: str) -> None:
        self.report.lose(part, None, "dropped", why)

    def _image(self, part: Image) -> Wire | None:
        source = part.source
        url = self._url(source)
        if url is None:
            self.lost(part, "image")
            return None
        if is_bare(source) and part.detail is None:
            return self.finished(part, {"type": "image_url", "image_url": url}, part.cache)
        image: Wire = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail
        merge(image, self.report.extras(source, NAME))
        return self.finished(part, {"type": "image_url", "image_url": image}, part.cache)

    def _url(self, source: Source) -> str | None:
        if source.data is not None:
            return f"data:{source.media_type or ''};base64,{source.data}"
        if source.url is not None and source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", "image")
        return source.url

    def _audio(self, part: Audio) -> Wire | None:
        source = part.source
        if source is None or source.data is None:
            self.lost(part, "audio")
            return None
        if is_bare(source) and part.format is None:
            return self.finished(part, {"type": "input_audio", "input_audio": source.data}, None)
        audio: Wire = {"data": source.data}
        if part.format is not None:
            audio["format"] = part.format
        if source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", "audio")
        for field in ("id", "transcript", "expires_at"):
            if getattr(part, field) is not None:
                self.report.lose(part, field, "dropped", "audio")
        merge(audio, self.report.extras(source, NAME))
        return self.finished(part, {"type": "input_audio", "input_audio": audio}, None)

    def _document(self, part: Document) -> Wire | None:
        source = part.source
        if source.text is not None:
            self.report.lose(part, None, "approximated", "document")
            said = [text for text in (part.name, part.context, source.text) if text]
            return self.finished(part, {"type": "text", "text": "\n\n".join(said)}, part.cache)
        if source.url is not None and is_bare(source):
            return self._document_url(part)
        file = self._file(part)
        if file is None:
            self.lost(part, "document")
            return None
        if part.name is not None:
            file["filename"] = part.name
        elif "file_data" in file and not is_ours(part):
            file["filename"] = UNNAMED_FILE
        if part.context is not None:
            self.report.lose(part, "context", "dropped", "document")
        if part.citations is not None:
            self.report.lose(part, "citations", "dropped", "citations")
        merge(file, self.report.extras(source, NAME))
        return self.finished(part, {"type": "file", "file": file}, part.cache)

    def _document_url(self, part: Document) -> Wire:
        block: Wire = {"type": "document_url", "document_url": part.source.url}
        if part.name is not None:
            block["document_name"] = part.name
        return self.finished(part, block, part.cache)

    def _file(self, part: Document) -> Wire | None:
        source = part.source
        if source.data is not None:
            if is_ours(source) and source.media_type is None:
                return {"file_data": source.data}
            return {"file_data": f"data:{source.media_type or ''};base64,{source.data}"}
        if source.file_id is None and (
            source.url is None or not (is_ours(part) or "file_url" in self.quirks)
        ):
            return None
        if source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", "document")
        return {"file_id": source.file_id} if source.file_id is not None else {"file_data": source.url}

    def _thinking(self, part: Thinking) -> Wire | None:
        """As Mistral has it, who has no redacted ones."""
        if part.redacted is not None:
            self.lost(part, "thinking")
            return None
        block: Wire = {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}
        if part.signature is not None:
            block["signature"] = part.signature
        return self.finished(part, block, part.cache)


def is_bare(source: Source) -> bool:
    """Whether it was read from a string in the place of an object."""
    return is_ours(source) and not (source.extras and source.extras.fields)


def is_control(cache: Cache) -> bool:
    """Whether it was read as `cache_control`."""
    return is_ours(cache) and "mode" not in (cache.extras.fields if cache.extras else ())


def as_ttl(seconds: int) -> str:
    for unit, word in ((3_600, "h"), (60, "m")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit}{word}"
    return f"{seconds}s"


def annotation(cited: Citation, start: int, end: int, report: Report) -> Json:
    """A citation on an answer's text, in characters of it; None for a ground that is no page of the web."""
    if cited.dialect == NAME:
        return cited.body
    if cited.url is None:
        report.lose(cited, None, "dropped", "citations")
        return None
    report.lose(cited, None, "approximated", "citations")
    for field in cited.body if type(cited.body) is dict else ():
        if field not in ("type", "url", "title"):
            report.lose(cited, field, "dropped", "citations")
    place = {"start_index": start, "end_index": end, "title": cited.title or "", "url": cited.url}
    return {"type": "url_citation", "url_citation": place}
