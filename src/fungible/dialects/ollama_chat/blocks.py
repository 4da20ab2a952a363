"""A message's parts put into its fields, for a request or for an answer.

Thinking, images, text and calls have a field each, read in that order. A part that stands behind one it must
come before is moved, texts are joined; both are reported. What has no field is told to the report.
"""

from collections.abc import Sequence

import msgspec

from ...ir import (
    Audio,
    Document,
    Image,
    Json,
    Native,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ...losses import Report
from ..base import is_plain
from ..checked import BROKEN, Wire, merge
from ..freetext import as_function_call
from .names import NAME
from .parts import kind_of

_an_object = msgspec.json.Decoder(type=dict[str, msgspec.Raw]).decode

_RANK: dict[type, int] = {Thinking: 0, Image: 1, Text: 2, Refusal: 2, Document: 2, ToolCall: 3}
"""The order in which a message's fields are read."""


class Fields:
    """The fields of one message as they fill. `between`: what stands between two texts that are joined."""

    __slots__ = ("_asked", "_between", "_highest", "_said", "_texts", "calls", "images", "report", "thoughts")

    def __init__(self, report: Report, asked: bool, between: str) -> None:
        self.report = report
        self.thoughts: list[str] = []
        self.images: list[str] = []
        self.calls: list[ToolCall] = []
        self._asked = asked
        self._between = between
        self._texts: list[str] = []
        self._highest = 0  # rank of the parts so far that stand where they were said
        self._said: set[int] = set()  # ranks whose field has a part that stands where it was said

    def take(self, parts: Sequence[Part], speaks: bool) -> None:
        """`speaks`: a model's, which thinks and calls."""
        if len(parts) == 1 and type(only := parts[0]) is Text and (only.text or self._asked):
            if not is_plain(only):
                self.marks(only)
            self._texts.append(only.text)
            return
        for part in parts:
            why = self._why_not(part, speaks)
            if why is not None:
                self.report.lose(part, None, "dropped", why)
            else:
                self._put(part)

    def content(self) -> str | None:
        """None where nothing at all was said."""
        if self._texts or self.thoughts or self.images or self.calls:
            return self._between.join(self._texts)
        return None

    def _why_not(self, part: Part, speaks: bool) -> str | None:
        """The reason for which a part has no place here; None where it has one."""
        match part:
            case Thinking():
                return None if speaks and part.redacted is None and part.text else "thinking"
            case ToolCall():
                return None if speaks else "role"
            case Text():
                return None if part.text else "empty_text"
            case Image():
                return None if part.source.data is not None else "image"
            case Document():
                return None if part.source.text is not None else "document"
            case Refusal():
                return None if part.text else "empty_text"
            case Audio():
                return "audio"
            case Native():
                return "native_block"
            case ToolResult():
                return "role"

    def _put(self, part: Part) -> None:
        rank = _RANK[type(part)]
        joined = rank in self._said and rank in (0, 2)
        if type(part) is Refusal:
            self.report.lose(part, None, "changed", "refusal")
        elif type(part) is Document:
            self.report.lose(part, None, "approximated", "document")
        elif type(part) is ToolCall and part.custom and part.arguments:
            pass  # which is reported whole, as what it becomes
        elif rank < self._highest or joined:
            self.report.lose(part, None, "changed", "part_order")
        else:
            self._said.add(rank)
            self._highest = rank
        self.marks(part)
        match part:
            case Thinking():
                if part.signature is not None:
                    self.report.lose(part, "signature", "dropped", "thinking_signature")
                self.thoughts.append(part.text)
            case Image():
                self.images.append(self._image(part))
            case Text() | Refusal():
                self._texts.append(part.text)
            case Document():
                said = (part.name, part.context, part.source.text)
                self._texts.append("\n\n".join(text for text in said if text))
                self.report.homeless(part.source)
            case ToolCall():
                self.calls.append(part)

    def marks(self, part: Part) -> None:
        """What parts have beside what they say, and this wire has not."""
        report = self.report
        cache = getattr(part, "cache", None)
        if cache is not None:
            report.lose(cache, None, "dropped", "cache_mark")
        if type(part) is not ToolCall:
            report.homeless(part)
        for cited in part.citations if type(part) is Text else ():
            report.lose(cited, None, "dropped", "citations")

    def _image(self, part: Image) -> str:
        source: Source = part.source
        data = source.data or ""
        if source.media_type != kind_of(data):  # the bytes themselves say what they are
            self.report.lose(source, "media_type", "dropped", "image")
        if part.detail is not None:
            self.report.lose(part, "detail", "dropped", "image")
        self.report.homeless(source)
        return data


def as_call(call: ToolCall, report: Report, index: int | None = None, made_id: str | None = None) -> Wire:
    """A call. `made_id`: the id that a reader makes up, which is left out. `index`: told in answers."""
    if call.custom:
        call = as_function_call(call, report)
    if is_object(call.arguments):
        arguments: Json = msgspec.Raw(call.arguments.encode())
    else:
        report.lose(call, "arguments", "changed", "tool_arguments")
        arguments = {"_text": call.arguments} if call.arguments else {}
    function: Wire = {"name": call.name, "arguments": arguments}
    if index is not None:
        function = {"index": index, **function}
    made: Wire = {"function": function}
    if call.id != made_id:
        made = {"id": call.id, **made}
    fields = report.extras(call, NAME)
    if "function.index" in fields:
        function.pop("index", None)
    return merge(made, fields)


def is_object(arguments: str) -> bool:
    """Whether a tool call's arguments are one JSON object."""
    try:
        _an_object(arguments)
    except BROKEN:
        return False
    return True
