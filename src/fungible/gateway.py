"""The gateway: requests in, exchanges driven, and the world that they ask things of.

One `Gateway` serves one process. The server hands it requests, the in-process client likewise; both get
back an object that wants to hear when the client leaves. It keeps what `exchange` may not: the clock, the
ledger, the upstreams, and the set of calls under way, whose deadlines one sweep looks at.

It decides nothing about a call. What is decided stands in `exchange` and `policies`.
"""

import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

import msgspec

from .account import Key, Opened, Settled
from .answer import Client
from .call import Asking, Call, Local
from .dialects import DIALECTS, SPOKEN
from .dialects.base import MODEL, Dialect, KeyOf, Located
from .exchange import NOBODY, Exchange
from .faults import Fault
from .memory import Following, Keeper, Memory
from .models import Catalogue, Target
from .money import Price
from .observe import Metrics
from .policies.auth import MISSING
from .policies.share import TAG, twin
from .prices import LOCAL
from .providers.signers import EMBEDDED
from .providers.wrapped import Unwrapped
from .recordings.recorder import Recorder
from .repeats import Repeating, Repeats
from .world import Flow, Outgoing, Sink, Upstream

CREDENTIALS: tuple[tuple[bytes, bytes], ...] = (
    # (header, what stands before the key), in the order they are tried
    (b"authorization", b"bearer "),
    (b"x-api-key", b""),
    (b"api-key", b""),
    (b"x-goog-api-key", b""),
)
JSON = b"content-type: application/json\r\n"
IDEMPOTENCY = b"idempotency-key"
HINT = b"x-fungible-route-hint"
DRY = b"x-fungible-dry-run"
TAGS_BYTES_MAX = 512


class Noted(Protocol):
    """A request's head. Requests that have the same head may share it, and with it the gateway's note."""

    note: Any


class Request(Protocol):
    """One request as read. `headers`: names in lower case, values stripped."""

    @property
    def method(self) -> bytes: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def head(self) -> Noted: ...


class Books(Protocol):
    """Where attempts and budgets are written; `ledger` and `store` in a server, lists in a test."""

    def open(self, row: Opened) -> None: ...

    def settle(self, row: Settled) -> None: ...

    def reserve(self, key: Key, attempt: str, nanousd: int, now_ms: int) -> bool: ...

    def post(self, attempt: str, nanousd: int | None) -> None: ...


class Finished:
    """The call that is over already, for a client that still wants to tell it something."""

    def on_client_gone(self) -> None: ...

    def on_client_blocked(self) -> None: ...

    def on_client_ready(self) -> None: ...


FINISHED = Finished()


class Operation(NamedTuple):
    """What is done at a path.

    `forward`: request headers that go on to a provider of the same dialect; `ours`: the lines that such a
    provider gets otherwise, by header.
    """

    dialect: Dialect
    name: str  # chat, or count
    forward: tuple[bytes, ...]
    ours: Mapping[bytes, bytes]


def operations() -> tuple[Mapping[str, Operation], tuple[Operation, ...]]:
    """Path -> operation, for every dialect there is; and the operations of those that `locate` theirs."""
    table, placed = {}, []
    for dialect in SPOKEN.values():
        forward = tuple(sorted(dialect.forward))
        ours = {n.lower().encode(): f"{n.lower()}: {v}\r\n".encode() for n, v in dialect.headers.items()}
        chat = Operation(dialect, "chat", forward, ours)
        if dialect.locate is not None:
            placed.append(chat)
        for path in (p for p in dialect.client_paths if MODEL not in p):
            table[path] = chat
            if dialect.counting is not None:
                table[path + dialect.counting.path.removeprefix(dialect.path)] = chat._replace(name="count")
    return table, tuple(placed)


class Gateway:
    """Implements `exchange.World`. `chance` None: the system's."""

    def __init__(
        self,
        local: Local,
        books: Books,
        network: Upstream,
        embedded: Upstream | None,
        metrics: Metrics,
        *,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.local = local
        self.metrics = metrics
        self.active: dict[str, Exchange] = {}  # by the call's id
        self.last_call = 0.0  # monotonic seconds
        self.draining = False
        self._books = books
        self.opened = books.open
        self._settle = books.settle
        self._network = network
        self.unsigned = Unsigned(self.send)
        self.embedded = embedded
        self._operations, self._placed = operations()
        self._repeats = Repeats()
        self._boot = secrets.token_hex(5)
        self.memory: Memory | None = None  # nothing is kept
        self.recorder: Recorder | None = None  # nothing is recorded
        self.clock = time.monotonic
        self.chance = chance if chance is not None else random.random

    # --- requests

    def on_request(self, request: Request, client: Client) -> Exchange | Finished:
        """A whole request has been read. The answer goes to `client`, now or later."""
        head, body = request.head, request.body
        asking: Asking = head.note
        if asking is None:
            if self.memory is not None and self._told(self.memory, request, client):
                return FINISHED
            asking = head.note = self._read(request)
        metrics = self.metrics
        metrics.calls = count = metrics.calls + 1
        self.last_call = now = self.clock()
        dialect = asking.dialect
        identity = f"{self._boot}-{count}"
        try:
            if asking.plain:
                call = Call(identity, asking, dialect, body, dialect.peek(body), now)
            else:
                call = self._called(request, asking, identity, now)
                taken = self._taken(request, call, client)
                if taken is None:
                    return FINISHED
                client = taken
        except Fault as fault:
            refuse(client, dialect, fault, identity)
            return FINISHED
        return self.begun(call, client)

    def _called(self, request: Request, asking: Asking, identity: str, now: float) -> Call:
        """The call, where its head or its dialect asks for more than a look at the body. Raises `Fault`."""
        dialect, body, located = asking.dialect, request.body, asking.located
        if asking.secret is None and dialect.signed is not None:
            asking = self._signed(request, asking, dialect.signed)
        peek = dialect.peek(body)
        if located is not None:
            peek = located.complete(peek)
        return Call(identity, asking, dialect, body, peek, now)

    def _taken(self, request: Request, call: Call, client: Client) -> Client | None:
        """Whoever keeps the answer as it goes to the client; None: it is told without a new exchange."""
        asking = call.asking
        if call.dialect.keeping is not None and self.memory is not None:
            keeper = self._remembering(self.memory, call, client)
            if keeper is not None and keeper.waiting is not None:
                self._run_behind(self.memory, call, keeper, client)
                return None
            client = keeper or client
        if asking.repeat is not None:
            return self._repeated(request.path, call, asking.repeat, client)
        return client

    def begun(self, call: Call, client: Client) -> Exchange:
        """Sets a call going; one of fungible's own has passed already (`Asking.passed`)."""
        if self.recorder is not None:
            client = self.recorder.tap(call, client)
        exchange = Exchange(call, client, self.local, self)
        self.active[call.id] = exchange
        try:
            exchange.begin()
        except BaseException:
            self.over(call)
            raise
        for side in call.twins:
            self.begun(twin(call, side, self.local), NOBODY)
        return exchange

    # --- what is kept of earlier calls

    def _remembering(self, memory: Memory, call: Call, client: Client) -> Keeper | None:
        """As `Memory.take`. A key or a model that is none is refused later, as in any other call."""
        keeping, local = call.dialect.keeping, self.local
        if keeping is None or call.asking.operation != "chat":
            return None
        try:
            owner = self._owner(call.asking.secret)
            targets = local.catalogue.route(call.peek.model).targets
        except Fault:
            return None
        return memory.take(call, keeping, owner, client, targets)

    def _run_behind(self, memory: Memory, call: Call, keeper: Keeper, client: Client) -> None:
        exchange = self.begun(call, keeper)
        if not keeper.over or keeper.late is not None:
            memory.began(keeper, client, f"x-fungible-call: {call.id}\r\n".encode(), exchange)

    def _told(self, memory: Memory, request: Request, client: Client) -> bool:
        """Whether the request was for something kept, and so has been answered. Raises `Fault`."""
        told = memory.page(
            request.method,
            request.path,
            request.query,
            request.body,
            lambda: self._owner(credential(request.headers)),
        )
        if isinstance(told, Following):
            told.begin(client)
        elif told is not None:
            client.reply(200, JSON, told)
        return told is not None

    def _owner(self, secret: bytes | None) -> str:
        """Whose the call is: a key's id. Raises `Fault` for a key that does not hold."""
        if self.local.settings.open:
            return ""
        if not secret:
            raise Fault("authentication", MISSING)
        return self.local.keys.check(secret).id

    def _read(self, request: Request) -> Asking:
        """What the head says. Raises `Fault` where it asks for what is not here."""
        found, located = self._operations.get(request.path), None
        if found is None:
            found, located = self._locate(request)
        if found is None or request.method != b"POST":
            raise self._no_such(request, found is not None)
        dialect, operation, forward, ours = found
        headers = request.headers
        secret = credential(headers) if located is None else credential_of(request, dialect)
        repeat = headers.get(IDEMPOTENCY)
        return Asking(
            dialect,
            "dry" if headers.get(DRY) == b"1" and operation == "chat" else operation,
            secret=secret,
            strict=headers.get(b"x-fungible-strict") == b"1",
            tags=_tags(headers) if b"x-fungible-tags" in headers else "",
            hint=headers[HINT].decode("latin-1") if HINT in headers else "",
            located=located,
            repeat=repeat,
            forward=tuple((ours.get(n), b"%b: %b\r\n" % (n, headers[n])) for n in forward if n in headers),
            plain=(secret is not None or dialect.signed is None)
            and located is None
            and repeat is None
            and dialect.keeping is None,
        )

    def _signed(self, request: Request, asking: Asking, key_of: KeyOf) -> Asking:
        """With the key that signed this request. The head's note keeps none: each body needs its own proof.

        Raises `Fault` (authentication) for a signature that is none.
        """
        secret = key_of(
            request.method, request.path, request.query, request.headers, request.body, self.wall_ms()
        )
        return msgspec.structs.replace(asking, secret=secret)

    def _repeated(self, path: str, call: Call, key: bytes, client: Client) -> Repeating | None:
        """As `Repeats.take`; of a caller whose key holds, since an answer that is kept asks no policy."""
        owner = call.asking.secret or b""
        if not self.local.settings.open:
            self.local.keys.check(owner)
        return self._repeats.take(key, owner, path, call, client, self._under_way)

    def _under_way(self, call: str) -> bool:
        return call in self.active

    def _locate(self, request: Request) -> tuple[Operation | None, Located | None]:
        """What an address means that names the model."""
        for operation in self._placed:
            assert operation.dialect.locate is not None
            located = operation.dialect.locate(request.path, request.query)
            if located is not None:
                spoken = located.spoken or operation.dialect
                return operation._replace(dialect=spoken, name=located.operation), located
        return None, None

    def spoken(self, path: str, headers: Mapping[bytes, bytes]) -> Dialect:
        """The dialect to answer in when the path alone does not tell: by its prefix, or a header of its."""
        found = self._operations.get(path)
        if found is not None:
            return found.dialect
        for dialect in SPOKEN.values():
            told = {*dialect.known_by, *(name.lower().encode() for name in dialect.headers)}
            if (
                path in dialect.pages
                or any(path.startswith(p.partition(MODEL)[0]) for p in dialect.client_paths)
                or any(name in headers for name in told)
            ):
                return dialect
        return next(iter(DIALECTS.values()))

    def _no_such(self, request: Request, exists: bool) -> Fault:
        if exists:
            return Fault("method", f"{request.path} takes POST, not {request.method.decode('latin-1')}.")
        listed = [path for dialect in SPOKEN.values() for path in dialect.client_paths]
        paths = ", ".join(dict.fromkeys((*self._operations, *listed)))
        return Fault("not_found", f"There is nothing at {request.path[:200]}. Calls go by POST to: {paths}.")

    # --- time

    def sweep(self) -> None:
        """Look at the deadlines of all calls under way; to be called some ten times a second."""
        now = self.clock()
        for exchange in [e for e in self.active.values() if e.due <= now]:
            exchange.on_time(now)
        if self.unsigned.held:
            self.unsigned.sweep()
        if self.memory is not None and self.memory.followers:
            self.memory.tell()

    # --- exchange.World

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> Flow:
        if target.origin.scheme == EMBEDDED:
            assert self.embedded is not None, "the catalogue offers the engine only where there is one"
            return self.embedded.send(outgoing, sink)
        if target.framed:
            sink = Unwrapped(sink)
        if target.sign is not None:
            try:
                outgoing = target.sign(outgoing, self.wall_ms())
            except Fault as fault:
                return self.unsigned.hold(target, outgoing, sink, fault)
        return self._network.send(outgoing, sink)

    def settled(self, row: Settled, call: Call, target: Target) -> None:
        self._settle(row)
        if self.recorder is not None:
            self.recorder.settled(call.id, row, target)
        self.metrics.attempt(row, target, int((self.clock() - call.started) * 1000))
        if row.losses:
            self.metrics.lost(row, target, call.route.name if call.route is not None else "")

    def reserve(self, key: Key, attempt: str, nanousd: int) -> bool:
        return self._books.reserve(key, attempt, nanousd, self.wall_ms())

    def post(self, attempt: str, nanousd: int | None) -> None:
        self._books.post(attempt, nanousd)

    def over(self, call: Call) -> None:
        self.active.pop(call.id, None)
        if self.recorder is not None:
            self.recorder.over(call)


class Held:
    """Implements `world.Flow`: a request that waits for what it is signed with."""

    __slots__ = ("cancelled", "flow", "outgoing", "paused", "sink", "target")

    def __init__(self, target: Target, outgoing: Outgoing, sink: Sink) -> None:
        self.target, self.outgoing, self.sink = target, outgoing, sink
        self.flow: Flow | None = None  # once it has been sent
        self.cancelled = False

    def pause(self) -> None:
        if self.flow is not None:
            self.flow.pause()

    def resume(self) -> None:
        if self.flow is not None:
            self.flow.resume()

    def cancel(self) -> None:
        self.cancelled = True
        if self.flow is not None:
            self.flow.cancel()


class Unsigned:
    """Requests that cannot be signed yet. Only those that come before a first token was asked for wait."""

    __slots__ = ("_send", "held")

    def __init__(self, send: Callable[[Target, Outgoing, Sink], Flow]) -> None:
        self._send = send
        self.held: list[Held] = []

    def hold(self, target: Target, outgoing: Outgoing, sink: Sink, fault: Fault) -> Flow:
        made = Held(target, outgoing, sink)
        if target.sign is not None and target.sign.pending:
            self.held.append(made)
        else:
            sink.on_lost(fault)
        return made

    def sweep(self) -> None:
        held, self.held = self.held, []
        for one in held:
            if one.cancelled:
                continue
            if one.target.sign is not None and one.target.sign.pending:
                self.held.append(one)
            else:
                one.flow = self._send(one.target, one.outgoing, one.sink)


class Prices:
    """`Local.price`: the operator's own price, nothing for the user's own machines, then the price list's."""

    __slots__ = ("_find", "_models")

    def __init__(self, catalogue: Catalogue, find: Callable[[str, str, int], Price | None]) -> None:
        self._models = catalogue.models
        self._find = find

    def __call__(self, target: Target, wall_ms: int) -> Price | None:
        facts = self._models.get(target.name)
        if facts is not None and facts.price is not None:
            return facts.price
        if target.local:
            return LOCAL
        return self._find(target.prices, target.model, wall_ms) if target.prices else None


def credential(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The key as the caller's dialect sends it, or None."""
    for name, before in CREDENTIALS:
        value = headers.get(name)
        if value and value[: len(before)].lower() == before:
            return value[len(before) :].strip()
    return None


def credential_of(request: Request, dialect: Dialect) -> bytes | None:
    """The same, or the key that the query holds, where the caller's dialect has a place for it there."""
    found = credential(request.headers)
    if found is None and dialect.key_query is not None:
        asked = parse_qs(request.query.decode("latin-1"))
        found = asked.get(dialect.key_query, [""])[0].encode("latin-1", "replace") or None
    return found


def refuse(client: Client, dialect: Dialect, fault: Fault, call: str) -> None:
    """Answer a request that never became an exchange."""
    status, body = dialect.write_error(fault, call)
    head = f"x-fungible-call: {call}\r\nx-fungible-attempts: 0\r\nx-fungible-losses: 0\r\n"
    head += "content-type: application/json\r\n"
    if not fault.retry:
        head += "x-should-retry: false\r\n"
    client.reply(status, head.encode(), body)


def _tags(headers: Mapping[bytes, bytes]) -> str:
    """`k=v,k=v`, kept as sent where it is that; raises `Fault` otherwise."""
    text = headers[b"x-fungible-tags"].decode("latin-1")
    pairs = [pair.partition("=") for pair in text.split(",")]
    good = text.isascii() and text.isprintable() and len(text) <= TAGS_BYTES_MAX
    if not good or not all(name.strip() and mark for name, mark, _ in pairs):
        raise Fault(
            "bad_request",
            f"The header x-fungible-tags must be k=v,k=v in printable ASCII, at most {TAGS_BYTES_MAX} bytes.",
            path="headers.x-fungible-tags",
        )
    if any(name.strip() == TAG for name, _, _ in pairs):
        raise Fault(
            "bad_request",
            f"The tag {TAG!r} is fungible's own: it marks the calls of a switch. Name yours otherwise.",
            path="headers.x-fungible-tags",
        )
    return ",".join(f"{name.strip()}={value.strip()}" for name, _, value in pairs)
