"""`POST /api/generate`: one prompt and what follows it, in the words of the same server's chat.

Sources: the server's OpenAPI description, the types of the official SDK (ollama 0.6) and recorded answers.
A prompt is a user's message, `system` a system text before it, `response` what the chat calls
`message.content`. What has no counterpart in a chat (`suffix`, `template`, `context`, `raw`, ...) belongs to
this API alone: another target, the same server's chat included, loses it loudly.
"""

from ...events import StreamEvent
from ...frames.ndjson import LineReader
from ...ir import Extras, Image, Json, Message, Part, Reply, Request, Source, Text, ToolCall, Usage
from ...losses import Report
from ..base import Quirks
from ..checked import BROKEN, Wire, decode, encode, may, merge, need, others, parse, strings
from . import asking, reply, stream
from .chunks import Writer as ChatWriter
from .names import NAMES as CHAT_NAMES
from .names import ours
from .reply import answered
from .request import knobs
from .usage import read_usage

GENERATE = "ollama.generate"

NAMES: dict[str, str] = CHAT_NAMES | {"messages": "prompt", "parts": "prompt"}

_SHARED = frozenset(
    {"model", "format", "options", "think", "stream", "logprobs", "top_logprobs", "keep_alive"}
    | {"truncate", "shift"}
)
_SAID = frozenset({"prompt", "system", "images"})
_KNOWN = frozenset({"model", "format", "options", "think", "stream", "logprobs", "top_logprobs"}) | _SAID


def read_request(body: bytes) -> Request:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    wire = parse(body)
    asked: Wire = {"model": need(wire, "model", str, "")}
    unknown = knobs({k: v for k, v in wire.items() if k != "tools"}, asked)
    own = {k: v for k, v in others(wire, _KNOWN | _SHARED).items() if v not in ("", [], False)}
    unknown |= {k: v for k, v in others(wire, _KNOWN).items() if k in _SHARED}
    messages = []
    system, prompt = may(wire, "system", str, ""), may(wire, "prompt", str, "")
    if system:
        messages.append(Message(role="system", parts=(Text(text=system, at="system"),), at="system"))
    parts: list[Part] = [Text(text=prompt, at="prompt")] if prompt is not None else []
    shown = wire.get("images")
    for i, data in enumerate(strings(shown, "images") if shown is not None else ()):
        parts.append(Image(source=Source(data=data, at=f"images[{i}]"), at=f"images[{i}]"))
    if parts or own:
        extras = Extras(dialect=GENERATE, fields=own) if own else None
        messages.append(Message(role="user", parts=tuple(parts), extras=extras))
    return Request(messages=tuple(messages), extras=ours(unknown), **asked)


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises. A conversation becomes one prompt; each turn before the last is told."""
    talk, asked = request.messages, decode(asking.write_request(_silent(request), report, quirks))
    del asked["messages"]
    if asked.pop("tools", None):
        report.lose(request, "tools", "dropped", "native_block")
    made: Wire = {}
    system: list[str] = []
    prompt: list[str] = []
    for n, message in enumerate(talk):
        heading = message.role in ("system", "developer")
        if not heading and n != len(talk) - 1:
            report.lose(message, None, "approximated", "role")
        texts = system if heading else prompt
        for part in message.parts:
            if isinstance(part, Text):
                texts.append(part.text)
                report.extras(part, "")
            elif isinstance(part, Image) and part.source.data is not None and not heading:
                made.setdefault("images", []).append(part.source.data)
            else:
                report.lose(part, None, "dropped", "image" if isinstance(part, Image) else "native_block")
        merge(made, report.extras(message, GENERATE))
    if system:
        made["system"] = "\n\n".join(system)
    if prompt:
        made["prompt"] = "\n\n".join(prompt)
    return encode(asked | made)


def _silent(request: Request) -> Request:
    """The same, with nothing said: what is asked of the answer."""
    fields = {f: getattr(request, f) for f in request.__struct_fields__ if f != "messages"}
    return Request(**fields)


# --- answers -------------------------------------------------------------------------------------


def _as_chat(wire: Wire) -> Wire:
    message = {"role": "assistant", "content": wire.get("response") or ""}
    if wire.get("thinking"):
        message["thinking"] = wire["thinking"]
    return {**{k: v for k, v in wire.items() if k not in ("response", "thinking")}, "message": message}


def _from_chat(wire: Wire) -> Wire:
    message = wire.pop("message", None) or {}
    wire["response"] = message.get("content") or ""
    if message.get("thinking"):
        wire["thinking"] = message["thinking"]
    return wire


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    return reply.read_reply(encode(_as_chat(answered(body))))


def read_plain_usage(body: bytes) -> Usage | None:
    """The usage alone. Raises as `read_reply` does."""
    return read_usage(answered(body))


def write_reply(told: Reply, report: Report) -> bytes:
    for choice in told.choices[:1]:
        for part in choice.parts:
            if isinstance(part, ToolCall | Image):
                report.lose(part, None, "dropped", "native_block")
    return encode(_from_chat(decode(reply.write_reply(told, report))))


class Reader:
    """As the chat's, of this API's lines."""

    __slots__ = ("_inner", "_lines")

    def __init__(self) -> None:
        self._inner = stream.Reader()
        self._lines = LineReader()

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._inner.feed(b"".join(map(_chat_line, self._lines.feed(data))))

    def end(self) -> list[StreamEvent]:
        rest_of = b"".join(map(_chat_line, self._lines.end()))
        return [*(self._inner.feed(rest_of) if rest_of else ()), *self._inner.end()]


def _chat_line(line: bytes) -> bytes:
    try:
        wire: Json = decode(line)
    except BROKEN:
        return line + b"\n"
    if type(wire) is dict and not wire.get("error"):
        wire = _as_chat(wire)
    return encode(wire) + b"\n"


class Writer:
    """As the chat's, in this API's lines. Calls of tools, which nobody could ask for, are told as lost."""

    __slots__ = ("_inner", "_report")

    def __init__(self, report: Report, usage: bool) -> None:
        self._inner = ChatWriter(report, usage)
        self._report = report

    def write(self, events: list[StreamEvent]) -> bytes:
        for event in events:
            part = getattr(event, "part", None)
            if isinstance(part, ToolCall | Image):
                self._report.lose(part, None, "dropped", "native_block")
        lines = self._inner.write(events).split(b"\n")
        return b"".join(_own_line(line) for line in lines if line)


def _own_line(line: bytes) -> bytes:
    wire: Wire = decode(line)
    return encode(_from_chat(wire) if "message" in wire else wire) + b"\n"
