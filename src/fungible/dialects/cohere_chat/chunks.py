"""Events written as the wire's stream. Blocks and calls are numbered, so those under way may interleave."""

from ...events import (
    ArgumentsDelta,
    AudioDelta,
    Begin,
    CitationDelta,
    Done,
    End,
    Failed,
    NativeEvent,
    PartBegin,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    TextRun,
    ThinkingDelta,
    UsageSeen,
    revise,
)
from ...ir import Choice, Json, Part, Refusal, Reply, Text, Thinking, ToolCall, Usage
from ...losses import Report
from .. import runs
from ..checked import Wire, encode
from ..freetext import HEAD, TAIL, escaped
from .blocks import SPOKEN, Blocks, is_plan
from .errors import write_stream_error
from .names import NAME, is_ours
from .reply import own_fields, unsaid, write_stop
from .usage import write_usage

_TEXT_HEAD = (
    b'event: content-delta\ndata: {"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":'
)
END_MARK = b"data: [DONE]\n\n"


def frame(kind: str, body: Wire) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **body}) + b"\n\n"


_TEXT, _THOUGHT, _CALL = Text(text=""), Thinking(), ToolCall(id="", name="", arguments="")
"""The parts of deltas whose beginning was not told."""


class _Part:
    """A part under way. `kind`: the field of its deltas; "" where nothing of it is written.

    `free`: a call that stands for one of free text.
    """

    __slots__ = ("kind", "number", "part")

    def __init__(self, part: Part, kind: str, number: int) -> None:
        self.part = part
        self.kind = kind
        self.number = number


class Writer:
    __slots__ = (
        "_blocks", "_calls", "_cited", "_contents", "_end", "_hot", "_hot_head", "_last", "_parts",
        "_report", "_said", "_usage",
    )  # fmt: skip

    def __init__(self, report: Report, usage: bool) -> None:
        self._report = report
        self._blocks = Blocks(report)
        self._parts: dict[int, _Part] = {}
        self._contents = 0
        self._hot: int | None = None  # the text that is being written
        self._hot_head = b""  # what its frames begin with
        self._calls = 0
        self._cited = 0
        self._last = ""  # kind of the part that began last
        self._end: End | None = None
        self._usage: Usage | None = None
        self._said: set[str] = set()

    def write(self, events: list[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if (
                type(event) is TextDelta
                and event.index == self._hot
                and event.choice == 0
                and event.logprobs is None
            ):
                if event.text:
                    out.append(self._hot_head + encode(event.text) + b"}}}}\n\n")
            elif type(event) is TextRun and event.index == self._hot and event.choice == 0:
                out.append(runs.write(event.texts, self._hot_head, b"}}}}\n\n"))
            else:
                self._event(event, out)
        return b"".join(out)

    def _event(self, event: StreamEvent, out: list[bytes]) -> None:
        match event:
            case Begin():
                self._begin(event, out)
            case TextRun():
                out.append(self.write(event.deltas()))
            case UsageSeen():
                self._usage = revise(self._usage, event.usage)
            case NativeEvent():
                if event.dialect == NAME and type(event.body) is dict:
                    out.append(frame(str(event.name or event.body.get("type")), event.body))
                else:
                    self._lose(event.name or "event", "stream_event")
            case Done():
                self._finish(out)
            case Failed():
                out.append(write_stream_error(event.fault, ""))
            case _ if event.choice != 0:
                self._lose(f"{self._report.names.get('choices', 'choices')}[{event.choice}]", "choices")
            case PartBegin():
                self._begin_part(event.part, event.index, out)
            case TextDelta():
                self._text(event, out)
            case ThinkingDelta():
                self._grow(event.index, event.text, out, _THOUGHT)
            case ArgumentsDelta():
                self._grow(event.index, event.text, out, _CALL)
            case SignatureDelta():
                held = self._parts.get(event.index)
                part = held.part if held is not None else Thinking()
                self._lose(self._report.path(part, "signature"), "thinking_signature")
            case CitationDelta():
                self._cite(event, out)
            case PartEnd():
                self._end_part(event.index, out)
            case End():
                self._end = event
            case AudioDelta():
                pass  # its part was lost whole

    def _lose(self, path: str, why: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._report.lose_at(path, "dropped", why)

    def _begin(self, event: Begin, out: list[bytes]) -> None:
        node = Reply(
            id=event.id, model=event.model, created=event.created, service_tier=event.service_tier,
            extras=event.extras, choices=(),
        )  # fmt: skip
        unsaid(node, self._report)
        own = event.extras.fields if event.extras is not None and is_ours(node) else {}
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        out.append(frame("message-start", {"id": event.id, "delta": {"message": message}, **own}))

    # --- parts

    def _begin_part(self, part: Part, index: int, out: list[bytes]) -> None:
        self._hot = None
        match part:
            case ToolCall():
                self._begin_call(part, index, out)
            case Thinking() if is_plan(part) and self._last not in ("plan", "call"):
                self._parts[index] = _Part(part, "plan", 0)
                self._blocks.finished(part, {})
                self._last = "plan"
                self._grow(index, part.text, out, part)
            case Text() | Refusal() | Thinking():
                self._begin_content(part, index, out)
            case _:
                made = self._blocks.one(part, SPOKEN)
                self._parts[index] = _Part(part, "", 0)
                if made is not None:
                    self._whole(made, out)
                    self._last = "content"

    def _whole(self, made: Wire, out: list[bytes]) -> None:
        """A block that comes complete."""
        number, self._contents = self._contents, self._contents + 1
        out.append(frame("content-start", {"index": number, "delta": {"message": {"content": made}}}))
        out.append(frame("content-end", {"index": number}))

    def _begin_content(self, part: Text | Refusal | Thinking, index: int, out: list[bytes]) -> None:
        made = self._blocks.one(part, SPOKEN)
        if made is None:
            self._parts[index] = _Part(part, "", 0)
            return
        number, self._contents = self._contents, self._contents + 1
        kind = "thinking" if type(part) is Thinking else "text"
        self._parts[index] = _Part(part, kind, number)
        self._last = "content"
        made[kind] = ""
        out.append(frame("content-start", {"index": number, "delta": {"message": {"content": made}}}))
        self._grow(index, part.text, out, part)
        for cited in part.citations if type(part) is Text else ():
            self._cite(CitationDelta(cited, index), out)

    def _begin_call(self, part: ToolCall, index: int, out: list[bytes]) -> None:
        number, self._calls = self._calls, self._calls + 1
        self._parts[index] = _Part(part, "call", number)
        self._last = "call"
        made = self._blocks.call(part)
        made["function"]["arguments"] = ""
        out.append(frame("tool-call-start", {"index": number, "delta": {"message": {"tool_calls": made}}}))
        if part.custom:
            self._parts[index].kind = "free"
            self._say_call(number, HEAD + escaped(part.arguments), out)
        else:
            self._grow(index, "" if part.arguments == "{}" else part.arguments, out, part)

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.logprobs is not None:
            at = f"{self._report.names.get('choices', 'choices')}[0]"
            self._lose(self._report.path(Choice(at=at), "logprobs"), "logprobs")
        self._grow(event.index, event.text, out, _TEXT)

    def _grow(self, index: int, text: str, out: list[bytes], of: Part) -> None:
        """More of a part; `of`: what it is where its beginning was not told."""
        if not text:
            return
        held = self._parts.get(index)
        if held is None:
            self._begin_part(of, index, out)
            held = self._parts[index]
        body: dict[str, Json] = {"index": held.number}
        match held.kind:
            case "text" | "thinking":
                body["delta"] = {"message": {"content": {held.kind: text}}}
                out.append(frame("content-delta", body))
                if held.kind == "text":
                    self._hot, self._hot_head = index, _TEXT_HEAD % held.number
            case "plan":
                out.append(frame("tool-plan-delta", {"delta": {"message": {"tool_plan": text}}}))
            case "call":
                self._say_call(held.number, text, out)
            case "free":
                self._say_call(held.number, escaped(text), out)
            case _:
                pass

    def _say_call(self, number: int, text: str, out: list[bytes]) -> None:
        delta = {"message": {"tool_calls": {"function": {"arguments": text}}}}
        out.append(frame("tool-call-delta", {"index": number, "delta": delta}))

    def _cite(self, event: CitationDelta, out: list[bytes]) -> None:
        if event.citation.dialect != NAME:
            self._report.lose(event.citation, None, "dropped", "citations")
            return
        number, self._cited = self._cited, self._cited + 1
        delta = {"message": {"citations": event.citation.body}}
        out.append(frame("citation-start", {"index": number, "delta": delta}))
        out.append(frame("citation-end", {"index": number}))

    def _end_part(self, index: int, out: list[bytes]) -> None:
        held = self._parts.get(index)
        if held is not None and held.kind in ("text", "thinking"):
            out.append(frame("content-end", {"index": held.number}))
        elif held is not None and held.kind in ("call", "free"):
            if held.kind == "free":
                self._say_call(held.number, TAIL, out)
            out.append(frame("tool-call-end", {"index": held.number}))

    # --- the end

    def _finish(self, out: list[bytes]) -> None:
        end = self._end
        stop = end.stop if end is not None else None
        head = stop.at.partition(".")[0] if stop is not None else ""
        at = head if "[" in head else ""  # of a source that lists its choices
        choice = Choice(at=at, extras=end.extras if end is not None else None)
        delta: Wire = {"finish_reason": write_stop(stop, choice, self._report)}
        for name, value in own_fields(choice, self._report).items():
            delta[name.removeprefix("message.")] = value
        if self._usage is not None:
            delta["usage"] = write_usage(self._usage, self._report)
        out.append(frame("message-end", {"delta": delta}))
        out.append(END_MARK)
