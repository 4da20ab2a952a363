"""One choice of a stream under way: which parts have begun, and what a delta adds to which.

Where a part stands is said as in the plain answer that the stream adds up to, `choices[0].message.content`.

Nothing here trusts a provider's numbering of tool calls: an index may be missing (Mistral), reused for
another call (Cerebras), or stand without an id (Gemini); a name may be repeated, empty, or late.
"""

from ...events import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    PartBegin,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from ...ir import (
    Audio,
    Extras,
    Json,
    Native,
    Part,
    Refusal,
    Source,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from ..checked import Wire, a_list, an_object, may, others, wrong
from . import thoughts
from .messages import citation
from .names import OURS, ours
from .parts import as_arguments, part
from .reply import probabilities, read_stop

_CHOICE = frozenset({"index", "delta", "message", "finish_reason", "logprobs", "usage"})
_DELTA = thoughts.FIELDS | {
    "role", "content", "refusal", "tool_calls", "audio", "annotations", "function_call", "type"
}  # fmt: skip
_CALL = frozenset({"index", "id", "type", "function", "custom"})
_AUDIO = frozenset({"id", "data", "transcript", "expires_at"})
_NO_FUNCTION: Wire = {"name": "", "arguments": ""}


class _Call:
    """A tool call under way. Its event waits for its name."""

    __slots__ = ("given", "index", "part", "text")

    def __init__(self, part: ToolCall, given: bool) -> None:
        self.part = part
        self.given = given  # whether the provider gave it an id
        self.index: int | None = None
        self.text = ""


class OpenChoice:
    __slots__ = (
        "_calls", "_cited", "_count", "_details", "_index", "_indexed", "_kind", "_logprobs", "_number",
        "_said", "_thought", "_unknown", "finish", "pieces",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self._number = number
        self._count = 0  # parts begun so far
        self._kind: type[Part] | None = None  # of the part that is open, tool calls apart
        self._index = 0
        self._thought: tuple[str, Json] | None = None  # type and index of the details the open thought is of
        self._said: set[type[Part]] = set()
        self._calls: list[_Call] = []
        self._details = 0  # thoughts of `reasoning_details` begun so far
        self._cited = 0
        self._indexed: dict[int, _Call] = {}
        self._unknown: Wire = {}
        self._logprobs: Json = None
        self.pieces: list[str] = []  # of the open thought
        self.finish: str | None = None

    def take(self, choice: Wire, events: list[StreamEvent]) -> None:
        at = f"choices[{self._number}]"
        for name, value in others(choice, _CHOICE).items():
            self._unknown[name] = value
        delta = choice.get("delta")
        if delta is None and not self._count:
            delta = choice.get("message")  # some servers stream it in the place of a delta
        self._logprobs = probabilities(choice.get("logprobs"))
        if delta is not None:
            self._delta(an_object(delta, f"{at}.delta"), f"{at}.message", events)
        if self._logprobs is not None:
            self._unspoken(events)
        word = choice.get("finish_reason")
        if word is not None and word != "":
            self.finish = word if type(word) is str else str(word)

    def stop(self) -> Stop:
        said: list[Part] = [Refusal(text="")] if Refusal in self._said else []
        said += [call.part for call in self._calls]
        at = f"choices[{self._number}]"
        stop = read_stop(self.finish or "stop", said, at)
        assert stop is not None
        return stop if self.finish else Stop(reason=stop.reason, at=at)

    def extras(self) -> Extras | None:
        return ours(self._unknown)

    def close(self, events: list[StreamEvent]) -> None:
        """Ends the open part, and says the calls whose name never came."""
        if self._kind is not None:
            events.append(PartEnd(self._index, self._number))
            self._kind = None
        for call in self._calls:
            if call.index is None:
                self._say(call, events)

    def called(self) -> list[int]:
        return [call.index for call in self._calls if call.index is not None]

    def trusts_ids(self) -> bool:
        """Whether a call is known by its id alone, whatever its arguments are."""
        return all(call.given for call in self._calls)

    # --- one delta

    def _delta(self, delta: Wire, at: str, events: list[StreamEvent]) -> None:
        if not thoughts.FIELDS.isdisjoint(delta):
            self._think(delta, at, events)
        content, kind = delta.get("content"), delta.get("type")
        if kind is not None:
            self._begin_as_told(delta, at, kind, events)
        elif type(content) is str:
            if content:
                self._text(Text, content, f"{at}.content", events)
        elif content is not None:
            self._listed(content, f"{at}.content", events)
        refusal = may(delta, "refusal", str, at)
        if refusal:
            self._text(Refusal, refusal, f"{at}.refusal", events)
        calls = delta.get("tool_calls")
        if calls is not None:
            for call in a_list(calls, f"{at}.tool_calls"):
                where = f"{at}.tool_calls[{len(self._calls)}]"
                self._call(an_object(call, where), where, events)
        if delta.get("audio"):
            self._audio(an_object(delta["audio"], f"{at}.audio"), f"{at}.audio", events)
        if delta.get("annotations"):
            self._cite(delta["annotations"], f"{at}.annotations", events)
        legacy = delta.get("function_call")
        if legacy is not None and legacy != _NO_FUNCTION:
            self._legacy(an_object(legacy, f"{at}.function_call"))
        if kind is None and not delta.keys() <= _DELTA:
            for name, value in others(delta, _DELTA).items():
                self._unknown[f"message.{name}"] = value
        if delta.get("role") not in (None, "", "assistant"):
            self._unknown["message.role"] = delta["role"]

    def _open(self, begun: Part, events: list[StreamEvent]) -> None:
        self._end(events)
        self._kind, self._index = type(begun), self._count
        self._said.add(type(begun))
        self._count += 1
        events.append(PartBegin(begun, self._index, self._number))

    def _end(self, events: list[StreamEvent]) -> None:
        if self._kind is not None:
            events.append(PartEnd(self._index, self._number))
            self._kind = None

    def _begin_as_told(self, delta: Wire, at: str, kind: Json, events: list[StreamEvent]) -> None:
        """Our own writer's: a text, or a refusal, that begins anew, with fields of its own, or empty."""
        fields = ours(others(delta, _DELTA))
        if kind == "refusal":
            self._open(Refusal(text="", extras=fields or OURS, at=f"{at}.refusal"), events)
            return
        self._open(Text(text="", extras=fields, at=f"{at}.content"), events)
        content = delta.get("content")
        if type(content) is str and content:
            self._text(Text, content, f"{at}.content", events)

    def _text(self, kind: type[Text] | type[Refusal], text: str, at: str, events: list[StreamEvent]) -> None:
        if self._kind is not kind:
            self._open(kind(text="", at=at), events)
        events.append(TextDelta(text, self._index, self._number, self._logprobs))
        self._logprobs = None

    def _unspoken(self, events: list[StreamEvent]) -> None:
        """Probabilities of tokens that made no text here, a thought's or an empty one's."""
        if not any(self._logprobs.values()):
            return
        if self._kind is None:
            self._open(Text(text=""), events)
        events.append(TextDelta("", self._index, self._number, self._logprobs))

    def _listed(self, content: Json, at: str, events: list[StreamEvent]) -> None:
        """Content as a list of parts (Mistral)."""
        if type(content) is not list:
            self._text(Text, as_arguments(content, at), at, events)
            return
        for i, item in enumerate(content):
            where = f"{at}[{i}]"
            read = part(item, where, asked=False)
            match read:
                case Text() | Refusal():
                    if read.text:
                        self._text(type(read), read.text, where, events)
                case Thinking():
                    self._thought_piece(read, None, events)
                case _:
                    self._open(read, events)
                    self._end(events)

    # --- thinking

    def _think(self, delta: Wire, at: str, events: list[StreamEvent]) -> None:
        details = delta.get("reasoning_details")
        if details:
            for value in a_list(details, f"{at}.reasoning_details"):
                self._detail(value, f"{at}.reasoning_details[{self._details}]", events)
            return
        for name in thoughts.STRINGS:
            text = may(delta, name, str, at)
            if text:
                self._thought_piece(Thinking(text=text, extras=OURS, at=f"{at}.{name}"), None, events)
                return

    def _thought_piece(self, piece: Thinking, of: tuple[str, Json] | None, events: list[StreamEvent]) -> None:
        if self._kind is not Thinking or (of is not None and self._thought != of):
            self._details += of is not None
            begun = Thinking(extras=piece.extras, at=piece.at)
            self._open(begun, events)
            self._thought, self.pieces = of, []
        if piece.text:
            self.pieces.append(piece.text)
            events.append(ThinkingDelta(piece.text, self._index, self._number))
        if piece.signature:
            events.append(SignatureDelta(piece.signature, self._index, self._number))

    def _detail(self, value: Json, at: str, events: list[StreamEvent]) -> None:
        number = value.get("index") if type(value) is dict else None
        read = thoughts.item(thoughts.placeless(value, number), at)
        if type(read) is Native or (type(read) is Thinking and read.redacted is not None):
            self._details += 1
            self._open(read, events)
            self._end(events)
            return
        assert type(read) is Thinking
        of = (value["type"], number)
        if self._kind is Thinking and value.get("signature") == "":
            self._end(events)  # our own writer's seal: the next thought is another
            return
        whole = self._kind is Thinking and self._thought is None and read.text == "".join(self.pieces)
        if self._kind is Thinking and (whole or not read.text):
            if read.signature:
                events.append(SignatureDelta(read.signature, self._index, self._number))
        else:
            self._thought_piece(read, of, events)
        if read.signature:
            self._end(events)

    # --- the rest

    def _call(self, call: Wire, at: str, events: list[StreamEvent]) -> None:
        inner = "custom" if call.get("type") == "custom" or "function" not in call else "function"
        said = call.get(inner)
        said = {} if said is None else an_object(said, f"{at}.{inner}")
        given, name = may(call, "id", str, at) or "", may(said, "name", str, f"{at}.{inner}") or ""
        text = self._arguments(said, inner, at)
        index = call.get("index")
        held = self._continued(index if type(index) is int else None, given, name)
        if held is None:
            self._end(events)
            made = given or f"call_{len(self._calls)}"
            fields = others(call, _CALL) | others(
                said, frozenset({"name", "arguments", "input"}), f"{inner}."
            )
            begun = ToolCall(
                id=made, name=name, arguments="", custom=inner == "custom", extras=ours(fields), at=at
            )
            held = _Call(begun, bool(given))
            self._calls.append(held)
        if type(index) is int:
            self._indexed[index] = held
        if held.index is None:
            if name and not held.part.name:
                part = held.part
                held.part = ToolCall(
                    id=part.id, name=name, arguments="", custom=part.custom, extras=part.extras, at=part.at
                )
            if held.part.name:
                held.text += text
                self._say(held, events)
                return
        elif text:
            events.append(ArgumentsDelta(text, held.index, self._number))
        held.text += text

    def _arguments(self, said: Wire, inner: str, at: str) -> str:
        value = said.get("input" if inner == "custom" else "arguments")
        if value is None or type(value) is str:
            return value or ""
        return as_arguments(value, f"{at}.{inner}.arguments")

    def _continued(self, index: int | None, given: str, name: str) -> _Call | None:
        """The call that a piece goes on with, None for a new one."""
        if index is not None:
            held = self._indexed.get(index)
        elif given:
            held = next((c for c in self._calls if c.given and c.part.id == given), None)
        else:
            held = self._calls[-1] if self._calls else None
        if held is None:
            return None
        if given and held.given and held.part.id != given:
            return None
        if not given and not held.given and name and held.text.rstrip().endswith("}"):
            return None
        return held

    def _say(self, call: _Call, events: list[StreamEvent]) -> None:
        call.index = self._count
        self._count += 1
        self._said.add(ToolCall)
        events.append(PartBegin(call.part, call.index, self._number))
        if call.text:
            events.append(ArgumentsDelta(call.text, call.index, self._number))

    def _audio(self, audio: Wire, at: str, events: list[StreamEvent]) -> None:
        data, said = may(audio, "data", str, at), may(audio, "transcript", str, at)
        expires = audio.get("expires_at")
        if expires is not None and type(expires) is not int:
            raise wrong(f"{at}.expires_at", "Unix seconds", expires)
        if not any(audio.values()):
            return
        if self._kind is not Audio:
            source = Source(data="", at=at)
            extras = ours(others(audio, _AUDIO))
            self._open(Audio(source=source, id=may(audio, "id", str, at), extras=extras, at=at), events)
        if data or said or expires:
            events.append(AudioDelta(data or None, said or None, expires, self._index, self._number))

    def _cite(self, annotations: Json, at: str, events: list[StreamEvent]) -> None:
        if self._kind is not Text:
            self._open(Text(text="", at=at), events)
        for value in a_list(annotations, at):
            held = citation(value, f"{at}[{self._cited}]")
            self._cited += 1
            events.append(CitationDelta(held, self._index, self._number))

    def _legacy(self, call: Wire) -> None:
        """`function_call`, retired: its pieces add up, and ride along as in a plain answer."""
        held = self._unknown.setdefault("message.function_call", {})
        for name, value in call.items():
            if type(value) is str and type(held.get(name)) is str:
                held[name] += value
            elif value is not None:
                held[name] = value
