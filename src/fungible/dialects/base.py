"""What a dialect is: one wire API, written once, in both directions, as pure functions on bytes.

Every folder beside this file fills in one `Dialect`; nothing else in the tree knows a dialect by name.
Readers turn wire bytes into canonical values or raise a `Fault` that says where and how to mend it.
Writers turn canonical values into wire bytes and tell a `Report` whatever they cannot carry; a writer
never raises for what a value holds.

Two ways lead through a dialect. Translation reads into the canonical form and writes from it. Where
client and provider speak the same dialect the bytes are moved: `peek` looks at what routing needs,
`readdress` changes no more than the model's name, a `Watch` looks at what money and safety need.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeGuard
from urllib.parse import quote

import msgspec

from ..events import StreamEvent
from ..faults import Fault
from ..ir import (
    Audio,
    Document,
    EmbeddingRequest,
    Form,
    Image,
    Input,
    Json,
    Message,
    Part,
    Reply,
    Request,
    Text,
    Usage,
    Vector,
)
from ..losses import Report
from ..world import Headers
from .bare import Way

Quirks = frozenset[str]


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What routing and money need to know of a request before anything is translated.

    `stream_usage`: whether the client asked to be told the usage in the stream (or its dialect always
    does). `max_output_tokens` None: not said. `tools`, `images`: whether the request holds any.
    """

    model: str
    stream: bool = False
    stream_usage: bool = True
    max_output_tokens: int | None = None
    form: Form | None = None  # of the vectors asked for, where the request says one


class Located(msgspec.Struct, frozen=True, gc=False):
    """What the address of a call says, in a dialect whose addresses name the model.

    `spoken`: the form of the dialect to answer in, where the address asks for another than the usual.
    """

    operation: str  # chat, or count
    model: str
    stream: bool = False
    spoken: "Dialect | None" = None

    def complete(self, peeked: Peek) -> Peek:
        """What the body says, with what only the address does."""
        return msgspec.structs.replace(peeked, model=self.model, stream=self.stream)


KeyOf = Callable[[bytes, str, bytes, Mapping[bytes, bytes], bytes, int], bytes | None]

MODEL = "{model}"  # in a path: where the model's name stands
MODELS = "/v1/models"


class StreamReader(Protocol):
    """Reads one upstream stream. The bytes may be cut anywhere; the events are the same."""

    def feed(self, data: bytes) -> list[StreamEvent]: ...

    def gather(self, data: bytes) -> list[StreamEvent]:
        """The same events, where deltas of one text that stand together may be told as a `TextRun`."""

    def end(self) -> list[StreamEvent]:
        """The connection has ended. Without the wire's end mark the last event is `Failed`."""


class StreamWriter(Protocol):
    """Writes one stream for a client: any events in, whole frames out (perhaps none)."""

    def write(self, events: list[StreamEvent]) -> bytes: ...


class Watch(Protocol):
    """Looks on while a stream's bytes are moved from a provider to a client of the same dialect.

    `began`: a content event has been seen, so no other answer may begin. `fault`: the provider sent an
    error. `done`: the wire's end mark was seen. `usage`: the last that was told.
    """

    began: bool
    done: bool
    usage: Usage | None
    fault: Fault | None

    def piece(self, data: bytes) -> bool:
        """Whether `data` is no more than whole pieces of an answer under way: passed on as it is, unfed."""

    def feed(self, data: bytes) -> bytes:
        """What to pass on now: whole frames only, less the usage frame the client did not ask for."""

    def end(self) -> bytes:
        """The connection has ended; sets `done`, or `fault` where it was cut short. The rest to pass on."""


class Counting(msgspec.Struct, frozen=True):
    """Token counting, for a dialect that has it. `path` as in `Dialect.path`.

    read, write:  the answer's count; `read` raises Fault
    asked(body)   the request whose tokens a client's body asks to count, as `read_request` takes it; raises
                  Fault for one that it cannot be read from
    asks(body, model, quirks)  a count's own body, made of a request's: without what is not counted
    """

    path: str
    read: Callable[[bytes], int]
    write: Callable[[int], bytes]
    asked: Callable[[bytes], bytes]
    asks: Callable[[bytes, str, Quirks], bytes]


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a request asks of whoever keeps answers.

    earlier:      the id of the answer it goes on from; `conversation`: of the conversation it belongs to
    store:        whether its answer may be named later
    background:   nobody waits for the answer; it is asked for by its id
    stream:       it is told in events
    """

    earlier: str | None
    conversation: str | None
    store: bool
    background: bool
    stream: bool = False


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """For a dialect whose requests may name earlier answers instead of sending what was said.

    answers, conversations:  the paths below which what is kept is asked for by its id
    items_path:              what follows an answer's id there, for what it was asked with
    words                    a body with none of these asks for nothing but perhaps not to be stored
    asked(body)              raises Fault for what makes no sense
    resumed(body, earlier, whole)   the body with the earlier items before its own; `whole`: without the
                             fields that whoever keeps answers has seen to
    items(body)              what the request said, as items
    answered(data)           the whole answer, from a plain one or what ends a stream; None: not there
    identity(data)           the answer's id, from the beginning of its stream
    spoken(answer)           what the answer said, as items
    begun(id, seconds, body) an answer that is not there yet; ended(answer, status, error body) how it ended
    numbered(data)           the events in these bytes, each with its number
    event(answer, number)    the event by which an answer begins, or the one that says that it failed
    listed(items, prefix, query)  a page of items; raises Fault
    conversation(id, seconds, body)  one, and the items it begins with; raises Fault
    deleted(id, kind)        kind: answer or conversation
    """

    answers: str
    conversations: str
    answer_prefix: str
    conversation_prefix: str
    items_path: str
    words: tuple[bytes, ...]
    asked: Callable[[bytes], Asked]
    resumed: Callable[[bytes, list[Json], bool], bytes]
    items: Callable[[bytes], list[Json]]
    answered: Callable[[bytes], dict[str, Json] | None]
    identity: Callable[[bytes], str | None]
    spoken: Callable[[dict[str, Json]], list[Json]]
    begun: Callable[[str, int, bytes], dict[str, Json]]
    ended: Callable[[dict[str, Json], str, bytes], dict[str, Json]]
    numbered: Callable[[bytes], list[tuple[int, bytes]]]
    event: Callable[[dict[str, Json], int], bytes]
    listed: Callable[[list[Json], str, dict[str, str]], bytes]
    conversation: Callable[[str, int, bytes], tuple[dict[str, Json], list[Json]]]
    deleted: Callable[[str, str], bytes]


SEAL = b64encode(b"fungible:").decode()
"""How a signature begins that its client carries for a maker of another dialect."""


def sealed(signature: str, maker: str) -> str:
    """For a client whose dialect's providers do not know the signature: it tells whose it is."""
    return SEAL + b64encode(f"{maker}:{signature}".encode()).decode()


def unsealed(signature: str) -> tuple[str, str]:
    """The signature and its maker, "" where it is not sealed. Of pieces sealed one by one, all together."""
    if not signature.startswith(SEAL):
        return signature, ""
    try:
        pieces = [b64decode(p, validate=True).decode().split(":", 1) for p in signature.split(SEAL)[1:]]
        return "".join(said for _, said in pieces), pieces[0][0]
    except ValueError:  # not ours, or broken
        return signature, ""


def addressed(path: str, model: str) -> str:
    """`path` for a model. Each byte of the name that could be read otherwise is encoded."""
    return path.replace(MODEL, quote(model, safe=""), 1) if MODEL in path else path


def comment(text: str) -> bytes:
    """A comment of an event stream (WHATWG HTML, section 9.2)."""
    return f": {text}\n\n".encode("utf-8", "replace")


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire API.

    name:           as in the contract, `openai.chat`
    subject:        what is asked for: `chat`, or `embeddings`, made by `embeddings` below
    path:           what a provider's base URL is followed by; `{model}` in it is the model's name
    stream_path:    the same for a call that streams, where that is another
    client_paths:   where fungible serves it; those with `{model}` are for people to read, `locate` reads them
    models_path:    where fungible lists its models in this dialect
    known_by:       request headers (lower case) that only its clients send
    key_query:      the query parameter that may hold the caller's key
    names:          canonical field -> this wire's spelling, for the paths of losses; `why:field` -> the code
                    of the loss of a field that only this wire has
    quirks:         the named differences that providers of this dialect may have -> what each means
    rewrites:       quirk -> what a request holds that has to be written otherwise for such a provider; bytes
                    of the same dialect are moved only where none of it stands in them
    silent:         the quirk of providers that cannot be asked to tell the usage in a stream
    forward:        request headers that go on to a provider of the same dialect (lower case)
    telling:        those of them that change what is answered: to another dialect's provider they are a loss
    embodied:       quirk -> header -> the body's field that such a provider has its values in, as a list
    give_back:      response headers that go back to a client of the same dialect (lower case)
    headers:        headers every request to a provider carries

    signs:          whose the signatures in its bodies are: the name of a dialect, "" where they
                    tell it themselves or hold none
    wary:           what a request holds that no provider of this dialect can be sent as it is

    signed(method, path, query, headers, body, now_ms):  the key of a caller who signs calls, None where this
                                    one is not signed; raises Fault for a signature that is none
    locate(path, query):            what the address says, None where it is none of this dialect's
    peek(body):                     raises Fault: not JSON, too deep, no model, wrong types of these
    readdress(body, peek, model, usage):  the same body for another model name; `usage`: also ask for the
                                    usage in the stream. Every other byte is as it was.
    read_request(body):             raises Fault with the path of what is wrong. Where the address names the
                                    model and says whether to stream, the request has neither.
    write_request(request, report, quirks)
    bare                            the short cut of requests that are no more than texts
    read_reply(body):               raises Fault: not JSON, no reply, an error inside a 200
    write_reply(reply, report)
    read_usage(body):               usage of a plain reply, None where it says none; raises like read_reply
    stream_reader()                 one for each stream
    stream_writer(report, usage)    `usage`: whether the client is to be told the usage
    watch(usage)                    likewise
    read_error(status, headers, body)   the fault an upstream's answer stands for
    write_error(fault, call)        (status, body); `call` is the call's id, for people who ask
    write_stream_error(fault, call) the frames that end a stream that failed
    write_models(names)             the body of `GET` on `models_path`
    pages                           what else this wire's clients GET: path -> the body, made of the names
    keepalives                      prefixes of frames that say no more than that the provider lives
    repeating(body)                 the dialect, its writers of answers repeating what this request asked for,
                                    where answers of this wire do
    remark(text)                    what a stream's end tells people, in a form that its readers pass over;
                                    nothing where the wire has no such form
    """

    name: str
    subject: Literal["chat", "embeddings"] = "chat"
    path: str
    stream_path: str | None = None
    client_paths: tuple[str, ...]
    models_path: str = MODELS
    known_by: frozenset[bytes] = frozenset()
    key_query: str | None = None
    locate: Callable[[str, bytes], Located | None] | None = None
    signed: KeyOf | None = None
    names: dict[str, str]
    quirks: dict[str, str]
    rewrites: dict[str, bytes] = {}
    silent: str | None = None
    forward: frozenset[bytes] = frozenset()
    telling: frozenset[bytes] = frozenset()
    embodied: dict[str, dict[bytes, str]] = {}
    give_back: frozenset[bytes] = frozenset()
    signs: str = ""
    wary: tuple[bytes, ...] = ()
    headers: dict[str, str] = {}
    stream_type: str = "text/event-stream; charset=utf-8"
    peek: Callable[[bytes], Peek]
    readdress: Callable[[bytes, Peek, str, bool], bytes]
    read_request: Callable[[bytes], Request]
    write_request: Callable[[Request, Report, Quirks], bytes]
    bare: Way | None = None
    read_reply: Callable[[bytes], Reply]
    write_reply: Callable[[Reply, Report], bytes]
    read_usage: Callable[[bytes], Usage | None]
    stream_reader: Callable[[], StreamReader]
    stream_writer: Callable[[Report, bool], StreamWriter]
    watch: Callable[[bool], Watch]
    read_error: Callable[[int, Headers, bytes], Fault]
    write_error: Callable[[Fault, str], tuple[int, bytes]]
    write_stream_error: Callable[[Fault, str], bytes]
    write_models: Callable[[Sequence[str]], bytes]
    pages: dict[str, Callable[[Sequence[str]], bytes]] = {}
    keepalives: tuple[bytes, ...] = (b":",)
    remark: Callable[[str], bytes] = comment
    counting: Counting | None = None
    keeping: Keeping | None = None
    repeating: "Callable[[bytes], Dialect] | None" = None

    def address(self, model: str, operation: str = "chat", stream: bool = False) -> str:
        """The path of a call to a provider."""
        path = self.path
        if operation == "count" and self.counting is not None:
            path = self.counting.path
        elif stream and self.stream_path is not None:
            path = self.stream_path
        return addressed(path, model)


def embeddings(owner: Dialect, **fields: Any) -> Dialect:
    """The dialect in which `owner`'s providers are asked for vectors, with its errors and headers.

    `fields` replace the owner's. It reads and writes `ir.EmbeddingRequest` and `ir.EmbeddingReply`, and
    has no streams: its `peek` never says `stream`.
    """
    own: dict[str, Any] = {
        "subject": "embeddings",
        "stream_path": None,
        "locate": None,
        "counting": None,
        "bare": None,
        "quirks": {},
        "rewrites": {},
        "wary": (),
        "silent": None,
        "pages": {},
    }
    return msgspec.structs.replace(owner, **(own | fields))


def is_plain(part: Part) -> TypeGuard[Text]:
    """A text with nothing but its text, as most are; a wire may write it as a string."""
    return type(part) is Text and part.extras is None and part.cache is None and not part.citations


def plain_text(message: Message) -> str | None:
    """What a message says that is one plain text and nothing else, as most are; None for any other."""
    parts = message.parts
    if len(parts) == 1 and message.extras is None and message.name is None:
        part = parts[0]
        if type(part) is Text and part.extras is None and part.cache is None and not part.citations:
            return part.text
    return None


class UnplacedCounts:
    """The counts of a usage but for those that a wire tells; most answers have no other."""

    __slots__ = ("_fields", "_values")

    def __init__(self, *told: str) -> None:
        known = {"at", "extras", *told}
        self._fields = tuple([field for field in Usage.__struct_fields__ if field not in known])
        self._values: Callable[[Usage], tuple[int | None, ...]] = attrgetter(*self._fields)

    def tell(self, usage: Usage, report: Report) -> None:
        values = self._values(usage)
        if values.count(None) < len(values):
            for value, field in zip(values, self._fields, strict=True):
                if value is not None:
                    report.lose(usage, field, "dropped", "usage_detail")


class Unplaced:
    """Fields of a request that a wire has no place for -> the reason they are lost; usually there is none.

    The streams of these wires tell the usage, asked or not.
    """

    __slots__ = ("_values", "_whys")

    def __init__(self, whys: Mapping[str, str]) -> None:
        self._whys = tuple(whys.items())
        self._values: Callable[[Request], tuple[Json, ...]] = attrgetter(*whys)

    def tell(self, request: Request, report: Report) -> None:
        values = self._values(request)
        if values.count(None) < len(values):
            for value, (field, why) in zip(values, self._whys, strict=True):
                if value is not None:
                    report.lose(request, field, "dropped", why)
        if request.stream:
            if not request.stream_usage:
                report.lose(request, "stream_usage", "changed", "stream_usage")
        elif request.stream_usage is not None:
            report.lose(request, "stream_usage", "dropped", "stream_usage")


def wanted(request: EmbeddingRequest, field: str, report: Report, why: str) -> Any:
    """What all inputs are asked with on a wire that says it once: the request's own, or the first input's.

    An input that asks for something else is told as lost.
    """
    value = getattr(request, field)
    if value is None:
        value = next((v for given in request.inputs if (v := getattr(given, field)) is not None), None)
    for given in request.inputs:
        if getattr(given, field) not in (None, value):
            report.lose(given, field, "approximated", why)
    return value


def unwanted(request: EmbeddingRequest, field: str, report: Report, why: str) -> None:
    """The same for a wire that has no such field."""
    for node in (request, *request.inputs):
        if getattr(node, field, None) is not None:
            report.lose(node, field, "dropped", why)


def one_text(given: Input, report: Report, owner: str) -> str:
    """An input for a wire that takes a text for each. Token ids and media are told as lost.

    `owner`: the dialect whose extras the wire takes; none of them have a place here.
    """
    for name in report.extras(given, owner):
        report.lose_at(f"{given.at}.{name}", "dropped", "unknown_field")
    if given.tokens is not None:
        report.lose(given, None, "dropped", "tokens")
        return ""
    texts = []
    for part in given.parts:
        if isinstance(part, Text):
            texts.append(part.text)
            report.extras(part, "")
        else:
            report.lose(part, None, "dropped", MEDIA.get(type(part), "native_block"))
    if len(texts) > 1:
        report.lose(given, None, "changed", "part_order")
    return "\n".join(texts)


MEDIA: dict[type, str] = {Image: "image", Document: "document", Audio: "audio"}
"""A part that is no text -> the code of its loss."""


def numbers_read(value: Any) -> tuple[float, ...] | None:
    """A list of JSON numbers; None where it is no such list."""
    if type(value) is not list or not {float, int}.issuperset(map(type, value)):
        return None
    return tuple(value)


def numbers_of(vector: Vector, report: Report) -> list[float]:
    """For a wire that writes vectors as numbers."""
    numbers = vector.unpacked()
    if numbers is None:
        report.lose(vector, "packed", "dropped", "vector_form")
    return list(numbers or ())
