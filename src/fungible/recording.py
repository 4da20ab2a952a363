"""A recording: one exchange as its caller saw it, kept to be looked at, replayed and judged.

It is in the caller's dialect: the body that was asked with, and the whole answer as a plain body of that
dialect, also where the answer was streamed. So it can be replayed on any target by the readers and writers
that serve a live call, and what it means is read here and nowhere else.

None is not said, which is not 0. Not here: where recordings lie and how they come about (`recordings`).
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from .dialects import dialect
from .events import assemble
from .faults import Fault, kind_of_status
from .ir import Part, Reply, Request, Text
from .losses import Report

GROUP_TAGS = ("conversation", "session", "thread", "user")
"""Tags that say what an exchange belongs to, the first that is there."""

GROUP_METADATA = ("conversation_id", "session_id", "thread_id", "user_id")
"""The same in a request's own metadata."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exchange.

    id:            the call's id, as in the ledger; of an imported one, what its source called it
    at_ms:         when it was asked, Unix milliseconds
    route:         the name that was asked for: a route, or a model
    dialect:       the caller's
    request:       the caller's JSON body, whole; where the address names the model, `route` has it
    provider, model:  who answered, '' where nobody did
    reply:         the whole answer as a plain body of `dialect`, an error's body where `status` is not 200;
                   None: not known
    status:        the HTTP status the caller was told
    fault:         a row of `faults.KINDS`, '' for none; a stream may fail after its 200
    stream:        whether the caller asked for a stream
    group:         the conversation, or else the user, that it belongs to; '' not known
    first_ms:      from asking to the first content of a stream; `duration_ms`: to the end of the answer
    losses:        how many things translation could not carry, request and reply together
    """

    id: str
    at_ms: int
    route: str
    dialect: str
    request: msgspec.Raw
    provider: str = ""
    model: str = ""
    reply: msgspec.Raw | None = None
    status: int = 200
    fault: str = ""
    stream: bool = False
    group: str = ""
    tags: dict[str, str] = {}
    first_ms: float | None = None
    duration_ms: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None
    losses: int = 0

    @property
    def target(self) -> str:
        """`provider/model` that answered, '' for none."""
        return f"{self.provider}/{self.model}" if self.provider else self.model

    def asked(self) -> Request:
        """The request in canonical form. Raises Fault: its dialect is none of this version, or it is broken.

        What the address said and the body does not, the model and whether to stream, is filled in.
        """
        request = dialect(self.dialect).read_request(bytes(self.request))
        return msgspec.structs.replace(
            request, model=request.model or self.route, stream=request.stream or self.stream
        )

    def answered(self) -> Reply | Fault:
        """The answer in canonical form, or what went wrong. Raises nothing for what an answer holds."""
        if self.status != 200 and self.reply is not None:
            return dialect(self.dialect).read_error(self.status, {}, bytes(self.reply))
        if self.fault or self.reply is None:
            kind = self.fault or ("provider_answer" if self.status == 200 else kind_of_status(self.status))
            return Fault(kind, "The answer is not in the recording.", status=self.status)
        try:
            return dialect(self.dialect).read_reply(bytes(self.reply))
        except Fault as fault:
            return fault


def grouped(request: Request, tags: Mapping[str, str]) -> str:
    """What an exchange belongs to: its tags, its metadata or its user say; else how the dialogue began.

    A client sends a dialogue's whole course again at each turn, so its system text and first question are
    those of the turn before. It is a digest: whom it stands for is not to be read from it.
    """
    said = next((f"{name}={tags[name]}" for name in GROUP_TAGS if tags.get(name)), None)
    metadata = request.metadata or {}
    said = said or next((f"{name}={metadata[name]}" for name in GROUP_METADATA if metadata.get(name)), None)
    if said is None and request.user:
        said = f"user={request.user}"
    if said is None:
        until = next((n for n, m in enumerate(request.messages, 1) if m.role == "user"), None)
        said = "begin=" + "\0".join(_said(part) for m in request.messages[:until] for part in m.parts)
    return sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _said(part: Part) -> str:
    """A part without its cache mark, which moves from turn to turn."""
    if isinstance(part, Text):
        return part.text
    source = getattr(part, "source", None)
    return f"{type(part).__name__}:{(source.data or source.url or source.file_id) if source else ''}"


def compact(body: bytes) -> bytes:
    """JSON without the white space between its tokens, each of which stays as written.

    Raises `msgspec.DecodeError` for what is no JSON.
    """
    return msgspec.json.format(body, indent=-1)


def plain(name: str, wire: bytes) -> tuple[bytes | None, str]:
    """A whole stream of the dialect `name` as a plain answer: (body, fault), of which one is empty."""
    spoken = dialect(name)
    reader = spoken.stream_reader()
    try:
        reply = assemble(reader.feed(wire) + reader.end())
    except Fault as fault:
        return None, fault.kind
    return spoken.write_reply(reply, Report(spoken.names)), ""
