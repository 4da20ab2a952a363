"""The two passes of a call by batch, through the very machine that serves live calls.

The first stops at `send`: what was to be sent is what the batch is made of. The second is told the answer.
Each is an exchange of its own; to the ledger they are one attempt, opened by the first and closed by the
second, under the name that the batch has for it.
"""

from collections.abc import Mapping

import msgspec

from ..account import Awaited, Key, Opened, Settled
from ..app import App
from ..asker import Asker, Told, addressed
from ..attempt import close
from ..call import Local
from ..dialects import SPOKEN, dialect
from ..faults import Fault
from ..gateway import Gateway
from ..losses import Report
from ..models import Target
from ..money import Price, reduced
from ..observe import Metrics
from ..providers.batches import BATCH_APIS
from ..providers.batches.base import BatchApi, Result
from ..recording import Recording
from ..store import Store
from ..switch.world import Replayed
from ..world import Outgoing, Sink

BATCH = (("processing", "batch"),)
"""How price data tells the price of a batch from the usual one."""

REQUEST_ID = b"x-request-id"


class Put(msgspec.Struct, frozen=True):
    """What a first pass leads to. `url`: its path for the whole of its provider; `row`: its attempt's."""

    target: Target
    url: str
    body: bytes
    row: Opened


class Passes:
    """Of the calls of one app. `asker`: reads answers as those of live replays."""

    def __init__(self, app: App, asker: Asker) -> None:
        self._app = app
        self._asker = asker
        self._books = _Books(app)
        settings = msgspec.structs.replace(app.local.settings, attempts_max=1)
        self._local = Local(app.local.keys, app.local.catalogue, settings, self._price)
        self._local.thoughts = app.local.thoughts
        self._gateway = _Gateway(self._local, self._books, app)

    # --- who takes batches, and for how much

    def target(self, name: str) -> Target:
        """The one that `name` leads to. Raises Fault: there is none, or there are several."""
        targets = self._app.local.catalogue.route(name).targets
        if len(targets) > 1:
            listed = ", ".join(target.name for target in targets)
            raise Fault("bad_request", f"{name} leads to several targets: name one of {listed}.", path="to")
        return targets[0]

    def api(self, name: str) -> BatchApi | None:
        """Of whoever answers for this name; None: it takes no batches. Raises Fault: there is nobody."""
        terms = self._app.local.catalogue.providers[self.target(name).provider].provider.batch
        return BATCH_APIS[terms.api] if terms is not None else None

    def price(self, name: str) -> Price | None:
        return self._price(self.target(name), self._gateway.wall_ms())

    def _price(self, target: Target, wall_ms: int) -> Price | None:
        """The price list's for batches; else, and of a price of the operator's own, the row's share of it."""
        app = self._app
        live = app.local.price(target, wall_ms)
        terms = app.local.catalogue.providers[target.provider].provider.batch
        if live is None or terms is None or target.local:
            return live
        facts = app.local.catalogue.facts(target)
        if facts is None or facts.price is None:
            listed = app.prices.find(target.prices, target.model, wall_ms, BATCH)
            if listed is not None and listed.id != live.id:
                return listed
        said = f"{terms.percent} % by the batch, {terms.site}, {terms.seen}"
        return reduced(live, terms.percent, "#batch", said)

    # --- the two passes

    def put(self, recording: Recording, target: str, tags: str) -> Put | Replayed:
        """The request as it goes into a batch; or an answer, where it could not be sent."""
        asked = unstreamed(recording)
        self._books.names = None
        client = self._run(asked, target, tags)
        sent, row = self._gateway.sent, self._books.opened
        if sent is None or row is None:
            return self._replayed(asked, target, client)
        to, outgoing, _ = sent
        return Put(to, "/v1" + SPOKEN[to.dialect].path, outgoing.body, row)

    def take(self, recording: Recording, target: str, tags: str, result: Result, attempt: str) -> Replayed:
        """The answer as a live call would have given it; its row is closed."""
        asked = unstreamed(recording)
        if result.gone:
            self.gone(attempt, result)
            answer = msgspec.structs.replace(
                asked,
                at_ms=self._gateway.wall_ms(),
                provider=self.target(target).provider,
                model=self.target(target).model,
                reply=None,
                status=504,
                fault=result.gone,
                first_ms=None,
                duration_ms=0.0,
                input_tokens=None,
                output_tokens=None,
                cost_nanousd=None if result.unsure else 0,
                losses=0,
                request=msgspec.Raw(b"null"),
            )
            return Replayed(answer)
        self._books.names = attempt
        client = self._run(asked, target, tags)
        if self._gateway.sent is None:  # it was sent once, and could not be now: whatever it cost was paid
            self.unknown(attempt)
            return self._replayed(asked, target, client)
        try:
            _deliver(self._gateway.sent[2], result)
        except Exception:
            if not client.status:  # else it was told that the answer cannot be read
                raise
        return self._replayed(asked, target, client)

    def void(self, attempt: str, fault: str) -> None:
        """Close the row of a request that was not answered, and costs nothing."""
        self._books.close(close(attempt, "void", self._gateway.wall_ms(), None, None, fault=fault))

    def gone(self, attempt: str, result: Result) -> None:
        """Close the row of a request that was never answered."""
        if result.unsure:
            self.unknown(attempt)
        else:
            self.void(attempt, result.gone)

    def unknown(self, attempt: str) -> None:
        """Close the row of a request that nobody can tell any more what became of."""
        self._books.close(close(attempt, "unknown", self._gateway.wall_ms(), None, None))

    def _run(self, asked: Recording, target: str, tags: str) -> "_Client":
        spoken = dialect(asked.dialect)
        path, body = addressed(asked, spoken, target)
        local = self._local
        local.catalogue, local.keys = self._app.local.catalogue, self._app.local.keys
        local.breakers.clear()  # what came of a batch says nothing of whether to ask now
        self._gateway.sent = self._books.opened = None
        client = _Client()
        self._gateway.on_request(_Request(path, {b"x-fungible-tags": tags.encode()}, body), client)
        self._gateway.active.clear()
        return client

    def _replayed(self, asked: Recording, target: str, client: "_Client") -> Replayed:
        told = Told(client.status, client.head, client.body, self._gateway.wall_ms(), None, 0.0)
        return self._asker.replayed(asked, target, told, self.price)

    # --- the ledger

    def open(self, rows: list[Awaited]) -> None:
        """Raises Fault `unavailable`: none of them is open then."""
        opened = []
        try:
            for row in rows:
                self._app.books.ledger.open(row)
                opened.append(row.attempt)
                self._app.books.ledger.leave(row.attempt)
                self._books.awaited.add(row.attempt)
        except Fault:
            for attempt in opened:
                self.void(attempt, "unavailable")
            raise

    def recall(self) -> None:
        """Look which attempts of earlier processes are still open."""
        store = Store(self._app.config.server.state)
        try:
            store.fold()
            self._books.awaited |= store.awaited()
        finally:
            store.close()

    def row(self, put: Put, name: str) -> Awaited:
        """The attempt of a request that is called `name` in its batch."""
        fields = {field: getattr(put.row, field) for field in put.row.__struct_fields__}
        return Awaited(**{**fields, "attempt": attempt_of(name), "call": name})


def attempt_of(name: str) -> str:
    return f"{name}.1"


def unstreamed(recording: Recording) -> Recording:
    """The recording, asked for at once: no batch streams. What it says of a stream goes with it."""
    if not recording.stream:
        return recording
    spoken = dialect(recording.dialect)
    request = spoken.read_request(bytes(recording.request))
    body = bytes(recording.request)
    if request.stream:
        request = msgspec.structs.replace(request, stream=False, stream_usage=None)
        body = spoken.write_request(request, Report(spoken.names), frozenset())
    return msgspec.structs.replace(recording, request=msgspec.Raw(body), stream=False)


def _deliver(sink: Sink, result: Result) -> None:
    headers = {REQUEST_ID: result.request_id.encode("latin-1", "replace")} if result.request_id else {}
    if not result.status:
        sink.on_lost(Fault("provider_answer", "The batch has no answer to this request."))
    elif not sink.on_whole(result.status, headers, result.body):
        sink.on_head(result.status, headers)
        sink.on_body(result.body)
        sink.on_end()


class _Request:
    """Implements `gateway.Request`."""

    __slots__ = ("body", "headers", "method", "note", "path", "query")

    def __init__(self, target: str, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.method, self.headers, self.body = b"POST", headers, body
        self.path, _, query = target.partition("?")
        self.query = query.encode()
        self.note = None

    @property
    def head(self) -> "_Request":
        return self


class _Client:
    """Implements `answer.Client`: keeps a plain answer."""

    __slots__ = ("body", "head", "status")

    def __init__(self) -> None:
        self.status, self.head, self.body = 0, b"", b""

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.head, self.body = status, head, body

    def start(self, status: int, head: bytes) -> None:
        raise AssertionError("no batch streams")

    def write(self, data: bytes) -> None:
        raise AssertionError("no batch streams")

    def end(self) -> None:
        raise AssertionError("no batch streams")


class _Flow:
    """Implements `world.Flow` of what is not sent."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...


FLOW = _Flow()


class _Gateway(Gateway):
    """Sends nothing: `sent` is what was to be."""

    def __init__(self, local: Local, books: "_Books", app: App) -> None:
        super().__init__(local, books, app.pool, None, Metrics(None, "batch"))
        self.sent: tuple[Target, Outgoing, Sink] | None = None

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> _Flow:
        self.sent = (target, outgoing, sink)
        return FLOW


class _Books:
    """Implements `gateway.Books`. `names`: the attempt that a second pass closes; None in a first."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.names: str | None = None
        self.opened: Opened | None = None
        self.awaited: set[str] = set()

    def open(self, row: Opened) -> None:
        self.opened = row

    def settle(self, row: Settled) -> None:
        assert self.names is not None, "a first pass ends nothing"
        self.close(msgspec.structs.replace(row, attempt=self.names))

    def close(self, row: Settled) -> None:
        """Once only: an earlier process may have closed it, and not come to write down the answer."""
        if row.attempt in self.awaited:
            self._app.books.ledger.take(row.attempt)
            self._app.books.ledger.settle(row)
            self.awaited.discard(row.attempt)

    def reserve(self, key: Key, attempt: str, nanousd: int, now_ms: int) -> bool:
        return True

    def post(self, attempt: str, nanousd: int | None) -> None: ...
