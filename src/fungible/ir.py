"""The canonical form: what every dialect is read into and written from.

A conversation is a list of messages in the order they were sent; a message is a role and a list of
parts; a part is one thing a person or a model said, showed, asked for or got back. That is all the
dialects have in common, and all this file says.

Rules that keep it small and honest:

* A field enters the canonical form when two dialects have it. Until then it rides in `extras`, whole,
  goes back untouched to the dialect that owns it, and is a reported loss to any other.
* Values are frozen. Absent is `None` or `()`; zero and empty are values and never mean absent.
* `at` says where a node stood in the body it was read from (`messages[2].content[0]`). It is for
  reports, it is not part of the value: two nodes that differ only in `at` are equal.
* Nothing here knows a dialect, a provider, bytes or a socket.

The shapes that every dialect's reader must produce, so that two readers agree:

* A tool's result is a message of its own: role `tool`, exactly one part, a `ToolResult`.
* A system text is a message of role `system` or `developer`, at the position where it was said; a
  top-level system field is the first message.
* Text that the wire writes as a plain string is one `Text` part. A null or absent content is no part;
  an empty string is one empty `Text`.
* Arguments of a tool call are kept as the JSON text the model wrote, which may be cut short.
"""

import base64
import struct
from typing import Any, Literal, TypeAlias, Union

import msgspec

Json: TypeAlias = Any  # any value that JSON can write

Role = Literal["system", "developer", "user", "assistant", "tool"]
"""`developer` is the application speaking with the authority of a system text."""

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
StopReason = Literal[
    "end",  # the model had said what it had to say
    "length",  # the caller's token limit
    "context",  # the model's context window was full
    "stop_sequence",  # one of the caller's stop sequences
    "tool",  # the model waits for tool results
    "refusal",  # the model declined
    "content_filter",  # the provider withheld the answer
    "pause",  # a long turn was interrupted by the provider and may be sent back to continue
    "other",  # a reason no other dialect has; its wire spelling is in `Stop.raw`
]


class Extras(msgspec.Struct, frozen=True, gc=False):
    """Fields that only one dialect has, as they stood on the wire. Not for anyone else to interpret."""

    dialect: str
    fields: dict[str, Json]


class Node(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """Anything that can be pointed at in a report."""

    at: str = ""
    extras: Extras | None = None

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in self.__struct_fields__ if f != "at")

    def __ne__(self, other: object) -> bool:  # the struct's own would compare identities
        return not self == other

    def __hash__(self) -> int:
        return hash(type(self))


class Cache(Node, frozen=True, kw_only=True, tag="cache"):
    """A mark: what stands before it, itself included, may be kept in the provider's prompt cache."""

    ttl_seconds: int | None = None  # None: the provider's default lifetime


# --- parts ---------------------------------------------------------------------------------------


class Source(Node, frozen=True, kw_only=True):
    """Where bytes are: exactly one of `data` (base64, as sent), `url`, `file_id` or `text` is set."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None


class Citation(Node, frozen=True, kw_only=True):
    """A claim's ground. `body` keeps the whole wire object of the dialect named in `dialect`."""

    dialect: str
    body: Json
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None


class Text(Node, frozen=True, kw_only=True, tag="text"):
    text: str
    citations: tuple[Citation, ...] = ()
    cache: Cache | None = None


class Image(Node, frozen=True, kw_only=True, tag="image"):
    source: Source
    detail: str | None = None  # low, high, auto, original: how closely to look
    cache: Cache | None = None


class Document(Node, frozen=True, kw_only=True, tag="document"):
    """A file to be read, usually a PDF or plain text."""

    source: Source
    name: str | None = None  # file name or title
    context: str | None = None
    citations: bool | None = None  # whether the answer may cite it
    cache: Cache | None = None


class Audio(Node, frozen=True, kw_only=True, tag="audio"):
    """Sound, heard or spoken. `id` names an answer that the provider keeps."""

    source: Source | None = None
    format: str | None = None
    id: str | None = None
    transcript: str | None = None
    expires_at: int | None = None  # Unix seconds


class Thinking(Node, frozen=True, kw_only=True, tag="thinking"):
    """What a model thought. `signature` is opaque and must return to its maker unchanged.

    A redacted thought has no readable text: `redacted` holds its opaque data. `signer` is the dialect whose
    provider made the signature, where no other dialect's takes it; None: the signature may go to any.
    """

    text: str = ""
    signature: str | None = None
    signer: str | None = None
    redacted: str | None = None
    cache: Cache | None = None


class ToolCall(Node, frozen=True, kw_only=True, tag="tool_call"):
    """The model asks for a tool. `arguments` is JSON text exactly as the model wrote it, or `{}`."""

    id: str
    name: str
    arguments: str
    custom: bool = False  # its arguments are free text, not JSON
    cache: Cache | None = None


class ToolResult(Node, frozen=True, kw_only=True, tag="tool_result"):
    """What the tool said to the call of the same id; may hold text, images and documents."""

    call_id: str
    parts: "tuple[Part, ...]" = ()
    is_error: bool | None = None
    cache: Cache | None = None


class Refusal(Node, frozen=True, kw_only=True, tag="refusal"):
    """The model's own words for not answering."""

    text: str


class Native(Node, frozen=True, kw_only=True, tag="native"):
    """A block, tool or event that only its own dialect understands (server tools and their results)."""

    dialect: str
    body: Json


Part: TypeAlias = Union[Text, Image, Document, Audio, Thinking, ToolCall, ToolResult, Refusal, Native]


class Message(Node, frozen=True, kw_only=True):
    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None  # who speaks, where several do


# --- what may be asked for -----------------------------------------------------------------------


class Grammar(Node, frozen=True, kw_only=True):
    """What a text must follow: a definition in the notation `syntax` (lark, regex). None: said to be free."""

    syntax: str | None = None
    definition: str = ""


class Tool(Node, frozen=True, kw_only=True, tag="tool"):
    """A function the caller can run. `parameters` is a JSON Schema, None where none was given.

    `custom`: it takes free text instead, by a grammar where one is given; then it has no parameters.
    """

    name: str
    description: str | None = None
    parameters: Json = None
    strict: bool | None = None
    custom: bool = False
    grammar: Grammar | None = None
    cache: Cache | None = None


class ToolChoice(Node, frozen=True, kw_only=True):
    """`named`: that one tool must be called. `allowed`: only these may be (None: all)."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None
    allowed: tuple[str, ...] | None = None


class Output(Node, frozen=True, kw_only=True):
    """The form the answer must have."""

    mode: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: Json = None
    strict: bool | None = None


class Reasoning(Node, frozen=True, kw_only=True):
    """How much to think: by effort, by a budget of tokens, or left to the model (`adaptive`)."""

    mode: Literal["enabled", "disabled", "adaptive"] | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None
    display: str | None = None  # summarized, omitted: how much of it the answer shows


class Request(Node, frozen=True, kw_only=True):
    """One call. Everything but the model and the messages may be absent."""

    model: str
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool | Native, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: Output | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    service_tier: str | None = None
    user: str | None = None  # an opaque id of the end user
    metadata: dict[str, str] | None = None
    cache: Cache | None = None  # cache the longest prefix the provider can
    stream: bool = False
    stream_usage: bool | None = None  # whether the stream must tell the usage
    sealed: bool = False  # thoughts come with their seals, for who keeps them; most wires do so unasked


# --- what comes back -----------------------------------------------------------------------------


class Usage(Node, frozen=True, kw_only=True):
    """Tokens as the provider counted them. None: not said, which is not 0.

    `input_tokens` and `output_tokens` are totals: cached input is part of the first, reasoning part of
    the second, whatever the dialect's own convention.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None  # all lifetimes
    cache_write_1h_tokens: int | None = None  # of those, the ones kept for an hour
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None


class Stop(Node, frozen=True, kw_only=True):
    reason: StopReason
    sequence: str | None = None  # the stop sequence that was hit
    raw: str | None = None  # the wire's own word, where `reason` is `other`


class Choice(Node, frozen=True, kw_only=True):
    """One answer. `logprobs` is kept in the one form that two dialects share."""

    parts: tuple[Part, ...] = ()
    stop: Stop | None = None
    logprobs: Json = None


class Reply(Node, frozen=True, kw_only=True):
    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int | None = None  # Unix seconds
    service_tier: str | None = None


# --- embeddings ----------------------------------------------------------------------------------

Task = Literal["query", "document", "classification", "clustering"]
"""What vectors are for; some models make others for each."""

Form = Literal["float", "base64"]
"""How a vector is written: as numbers, or as their bytes (IEEE 754 single, little-endian) in base64."""


class Input(Node, frozen=True, kw_only=True):
    """One thing to embed, which becomes one vector: parts, or token ids of the model's own tokenizer.

    `task` and `dimensions`: of this one alone, on a wire that says them for each.
    """

    parts: tuple[Part, ...] = ()
    tokens: tuple[int, ...] | None = None
    task: Task | None = None
    dimensions: int | None = None


class EmbeddingRequest(Node, frozen=True, kw_only=True):
    """Vectors asked for. `alone`: the one input was not written as a list.

    `forms`: the wire's words for how the vectors are to be written; a `Form` means the same anywhere.
    `truncate`: what is cut from an input that is too long; `none`: it is refused.
    """

    model: str
    inputs: tuple[Input, ...] = ()
    alone: bool = False
    dimensions: int | None = None
    forms: tuple[str, ...] = ()
    task: Task | None = None
    truncate: Literal["none", "start", "end"] | None = None
    user: str | None = None


class Vector(Node, frozen=True, kw_only=True):
    """The vector of the input of the same place. `packed`: its base64, where the wire had that.

    Models compute in single precision or less, so a number is not changed by being packed.
    """

    numbers: tuple[float, ...] = ()
    packed: str | None = None

    def unpacked(self) -> tuple[float, ...] | None:
        """Its numbers. None where what is packed is no vector."""
        if self.packed is None or self.numbers:
            return self.numbers
        try:
            data = base64.b64decode(self.packed, validate=True)
            return struct.unpack(f"<{len(data) // 4}f", data)
        except (ValueError, struct.error):
            return None

    def base64(self) -> str | None:
        """None where a number is too large for single precision."""
        if self.packed is not None:
            return self.packed
        try:
            return base64.b64encode(struct.pack(f"<{len(self.numbers)}f", *self.numbers)).decode()
        except (OverflowError, struct.error):
            return None


class EmbeddingReply(Node, frozen=True, kw_only=True):
    """`form`: how the vectors are to be written; None: as they were read, else as numbers."""

    model: str = ""
    id: str = ""
    vectors: tuple[Vector, ...] = ()
    usage: Usage | None = None
    form: Form | None = None
