"""Parts written: as content of a message or a tool's result, and as the items of the model's.

What the wire has no place for is told to the report and gives nothing. What was read here goes back as it
was. An item has to have an id in an answer; one that another dialect's answer has none for is given one
that says so (`names.MADE`), and what an item of such an id holds is read back as its own dialect's.
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
    ToolCall,
)
from ...losses import Report
from ..base import Quirks, is_plain
from ..checked import Wire, merge
from .names import (
    BREAKPOINTS,
    MADE_CALL,
    MADE_CUSTOM,
    MADE_MESSAGE,
    MADE_SEALED,
    MADE_THOUGHT,
    NAME,
    UNNAMED_FILE,
    is_ours,
)


class Blocks:
    """Writes the content of one request."""

    __slots__ = ("quirks", "report")

    def __init__(self, report: Report, quirks: Quirks = frozenset()) -> None:
        self.report = report
        self.quirks = quirks

    def content(self, parts: tuple[Part, ...] | list[Part]) -> Json:
        """A string for one text and nothing beside it, else a list."""
        if len(parts) == 1 and type(parts[0]) is Text and not (parts[0].extras or parts[0].cache):
            self.uncited(parts[0])
            return parts[0].text
        return [block for part in parts if (block := self.one(part)) is not None]

    def one(self, part: Part) -> Wire | None:
        match part:
            case Text():
                self.uncited(part)
                return self._finished(part, {"type": "input_text", "text": part.text}, part.cache)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Refusal():
                self.report.lose(part, None, "changed", "refusal")
                return {"type": "input_text", "text": part.text}
            case Native() if part.dialect == NAME:
                return part.body  # type: ignore[no-any-return]
            case _:
                self.lost(part, _WHY.get(type(part), "role"))
                return None

    def uncited(self, part: Text) -> None:
        for cited in part.citations:
            self.report.lose(cited, None, "dropped", "citations")

    def lost(self, part: Part, why: str) -> None:
        self.report.lose(part, None, "dropped", why)

    def _finished(self, part: Node, block: Wire, cache: Cache | None) -> Wire:
        if cache is not None:
            if "no_cache_marks" in self.quirks:
                self.report.lose(cache, None, "dropped", "cache_mark")
            else:
                block["prompt_cache_breakpoint"] = self._mark(cache)
        return merge(block, self.report.extras(part, NAME))

    def _mark(self, cache: Cache) -> Wire:
        mark: Wire = {"mode": "explicit"}
        seconds = cache.ttl_seconds
        if seconds is not None:
            nearest = min(BREAKPOINTS, key=lambda known: abs(known - seconds))
            if nearest != seconds:
                self.report.lose(cache, "ttl_seconds", "approximated", "cache_lifetime")
            mark["ttl"] = BREAKPOINTS[nearest]
        return mark | self.report.extras(cache, NAME)

    def _image(self, part: Image) -> Wire | None:
        source = part.source
        block: Wire = {"type": "input_image"}
        if source.data is not None:
            block["image_url"] = f"data:{source.media_type or ''};base64,{source.data}"
        elif source.url is not None or source.file_id is not None:
            block["image_url" if source.url is not None else "file_id"] = source.url or source.file_id
            self._untyped(source, "image")
        else:
            self.lost(part, "image")
            return None
        if part.detail is not None:
            block["detail"] = part.detail
        self._unplaced(source)
        return self._finished(part, block, part.cache)

    def _untyped(self, source: Source, why: str) -> None:
        if source.media_type is not None:
            self.report.lose(source, "media_type", "dropped", why)

    def _unplaced(self, source: Source) -> None:
        """A source is no object here, so it has no fields of its own."""
        self.report.homeless(source)

    def _document(self, part: Document) -> Wire | None:
        source = part.source
        if source.text is not None:
            self.report.lose(part, None, "approximated", "document")
            said = [text for text in (part.name, part.context, source.text) if text]
            return self._finished(part, {"type": "input_text", "text": "\n\n".join(said)}, part.cache)
        block: Wire = {"type": "input_file"}
        if source.data is not None:
            bare = is_ours(source) and source.media_type is None
            block["file_data"] = (
                source.data if bare else f"data:{source.media_type or ''};base64,{source.data}"
            )
        elif source.file_id is not None or source.url is not None:
            block["file_id" if source.file_id is not None else "file_url"] = source.file_id or source.url
            self._untyped(source, "document")
        else:
            self.lost(part, "document")
            return None
        if part.name is not None:
            block["filename"] = part.name
        elif source.data is not None and not is_ours(part):
            block["filename"] = UNNAMED_FILE
        if part.context is not None:
            self.report.lose(part, "context", "dropped", "document")
        if part.citations is not None:
            self.report.lose(part, "citations", "dropped", "citations")
        self._unplaced(source)
        return self._finished(part, block, part.cache)


_WHY: dict[type, str] = {Native: "native_block", Audio: "audio", Thinking: "thinking"}


# --- the model's items ---------------------------------------------------------------------------


_SPOKEN = frozenset({Text, Refusal})
ITEMS = _SPOKEN | {Thinking, ToolCall}
"""Parts that an item of the model's is made of."""


def continues(part: Part, before: Part | None) -> bool:
    """Whether a part belongs to the item of the part before it."""
    if not is_ours(part) or before is None or part.extras is None:
        return False
    if type(part) in _SPOKEN:
        return type(before) in _SPOKEN and not part.extras.fields
    if type(part) is not Thinking or type(before) is not Thinking or not is_ours(before):
        return False
    return before.signature is None and before.redacted is None and part.extras.fields.keys() <= {"type"}


def opened(part: Part, made: str) -> Wire:
    """The item that a part begins, as far as it is known at its start, without what the part says.

    made: what ends the id of an item that has none, "" where none is needed.
    """
    match part:
        case Text() | Refusal():
            item: Wire = {"id": MADE_MESSAGE + made, "type": "message", "status": "completed"}
            item["role"], item["content"] = "assistant", []
        case Thinking(redacted=redacted):
            item = {"id": (MADE_SEALED if redacted is not None else MADE_THOUGHT) + made, "type": "reasoning"}
            item["summary"] = []
        case ToolCall(custom=True):
            item = {"id": MADE_CUSTOM + made, "type": "custom_tool_call"}
            item |= {"call_id": part.id, "name": part.name, "input": ""}
        case _:
            assert type(part) is ToolCall
            item = {"id": MADE_CALL + made, "type": "function_call", "status": "completed"}
            item |= {"call_id": part.id, "name": part.name, "arguments": ""}
    if not made:
        del item["id"]
        item.pop("status", None)
    if part.extras is not None and is_ours(part):
        own = part.extras.fields
        item |= {name: value for name, value in own.items() if "." not in name and name not in _INSIDE}
    return item


_INSIDE = frozenset({"type"})


def is_raw(part: Thinking) -> bool:
    """Whether it is the reasoning itself, and no summary of it."""
    if part.extras is None or not is_ours(part):
        return False
    return any(
        n.rpartition(".")[2] == "type" and v == "reasoning_text" for n, v in part.extras.fields.items()
    )


def piece(part: Part, n: int, text: str, cited: list[Json], odds: Json) -> Wire:
    """What a part says, as the n-th piece of its item's content."""
    if type(part) is Thinking:
        return {"type": "reasoning_text" if is_raw(part) else "summary_text", "text": text}
    if type(part) is Refusal:
        made: Wire = {"type": "refusal", "refusal": text}
    else:
        made = _said(text, cited, odds)
    prefix = f"content[{n}]."
    fields = part.extras.fields if part.extras is not None and is_ours(part) else {}
    for name, value in fields.items():
        if name.startswith(prefix):
            made[name[len(prefix) :]] = value
    return made


def _said(text: str, cited: list[Json], odds: Json) -> Wire:
    return {"type": "output_text", "text": text, "annotations": cited, "logprobs": odds or []}


def unmarked(part: Part, report: Report) -> None:
    """The model's items have no cache marks, and nobody else's fields."""
    cache = getattr(part, "cache", None)
    if cache is not None:
        report.lose(cache, None, "dropped", "cache_mark")
    if part.extras is not None:
        report.extras(part, NAME)


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
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "title": cited.title or "",
        "url": cited.url,
    }


class Items:
    """Writes parts of the model's as items: of a request's input (`made` is "") or of an answer's output.

    `odds`: the probabilities of the first text.
    """

    __slots__ = ("_made", "_odds", "_report")

    def __init__(self, report: Report, made: str = "", odds: Json = None) -> None:
        self._report = report
        self._made = made
        self._odds = odds

    def all(self, parts: tuple[Part, ...], first: int = 0) -> list[Wire]:
        out: list[Wire] = []
        before: Part | None = None
        for part in parts:
            if type(part) is Native and part.dialect == NAME:
                out.append(part.body)
            elif is_plain(part):  # as most are
                item = opened(part, self._next_id(first, out))
                item["content"].append(_said(part.text, [], self._odds))
                self._odds = None
                out.append(item)
            elif type(part) in ITEMS:
                if not continues(part, before):
                    out.append(opened(part, self._next_id(first, out)))
                self._into(out[-1], part)
            else:
                self._report.lose(part, None, "dropped", _LOST.get(type(part), "role"))
                continue
            before = part
        return out

    def _next_id(self, first: int, out: list[Wire]) -> str:
        return f"{self._made}_{first + len(out)}" if self._made else ""

    def _into(self, item: Wire, part: Part) -> None:
        unmarked(part, self._report)
        match part:
            case Text() | Refusal():
                cited = part.citations if type(part) is Text else ()
                told = [annotation(c, 0, len(part.text), self._report) for c in cited]
                odds, self._odds = (self._odds, None) if type(part) is Text else (None, self._odds)
                said = item["content"]
                said.append(piece(part, len(said), part.text, [a for a in told if a is not None], odds))
            case Thinking():
                if part.text or is_raw(part) or item["summary"]:
                    kept = item.setdefault("content", []) if is_raw(part) else item["summary"]
                    kept.append(piece(part, 0, part.text, [], None))
                seal(item, part, self._report)
            case ToolCall(custom=True):
                item["input"] = part.arguments
            case ToolCall():
                item["arguments"] = part.arguments
            case _:
                pass


def seal(item: Wire, part: Thinking, report: Report) -> None:
    """What is opaque in a thought, and of a redacted one nothing but that."""
    if part.redacted is not None:
        if part.text:
            report.lose(part, "text", "dropped", "thinking")
        if part.signature is not None:
            report.lose(part, "signature", "dropped", "thinking_signature")
        item["summary"] = []
        item["encrypted_content"] = part.redacted
    elif part.signature is not None:
        item["encrypted_content"] = part.signature


_LOST: dict[type, str] = {**_WHY, Image: "image", Document: "document"}
