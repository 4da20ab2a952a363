"""A call as a state machine: events come in, actions go out, and nothing here waits.

    asked       admitted and routed; about to try              -> sent, waiting, over
    sent        an attempt is under way, the client has seen
                nothing of its answer                          -> streaming, waiting, closing, over
    waiting     a pause before the next attempt                -> sent, over
    streaming   the client has begun to receive a stream; no
                other answer may begin                         -> closing, over
    closing     the answer is whole and told; the upstream's
                connection is left to end by itself            -> over
    over        nothing more will happen

Until the first content event any failure may be tried again elsewhere and the client sees one clean
answer; after it a failure ends the stream with the dialect's own error event, never with a false end.
Each attempt's row is opened before it is sent and closed exactly once, before the client hears the end.

Events: `begin`, the four of `world.Sink`, `on_client_gone`, `on_client_blocked`, `on_client_ready`,
`on_time`. Actions: the methods of `World` and `Client`. The server, the in-process client and the
simulator drive this same machine. It knows no socket, no clock, no chance and no dialect by name.
"""

from typing import Literal

from .account import Key, Opened, Settled
from .admission import admit
from .answer import (
    NOTABLE,
    REQUEST_IDS,
    STREAM_TYPE,
    Client,
    Failure,
    Nobody,
    Translating,
    error_reply,
    given_back,
    only_keepalives,
    recounted,
    reply_head,
    retold,
    shut,
    trailer,
    uncounted,
    unread,
    upstream_error,
)
from .attempt import Ending, close, estimated, is_bill, special
from .call import Call, Local, World
from .dialects import SPOKEN
from .dialects.base import Watch
from .dialects.freetext import NONE
from .faults import Fault
from .foresight import nobody_takes, unsent
from .ir import Request, Usage
from .losses import Loss
from .models import Target
from .policies import breaker, budget, limits, retry, route
from .rewriting import barely, read, rewritten
from .translate import tidy
from .world import Flow, Headers, Outgoing

State = Literal["asked", "sent", "waiting", "streaming", "closing", "over"]

CLOSING_S = 5.0  # how long an upstream may take to end after it has said all
DRAIN_S = 120.0  # how long an answer is read to its end for nobody
ERROR_BYTES_MAX = 1024 * 1024
NEVER = float("inf")


class Exchange:
    """One call under way. Made by whoever has read a request; `begin` starts it."""

    __slots__ = (
        "_answer", "_answer_bytes", "_attempt", "_back", "_body_bytes", "_client", "_deadline",
        "_failure", "_first_ms", "_flow", "_headers", "_held", "_held_bytes", "_hold", "_idle_s", "_local",
        "_n", "_read", "_request_id", "_row_open", "_status", "_target", "_targets", "_tried", "_watch",
        "_world", "call", "due", "losses", "state",
    )  # fmt: skip

    _target: Target  # there is one from the first attempt on
    _headers: Headers  # of an error
    _idle_s: float  # how long a provider may be silent in the midst of an answer

    def __init__(self, call: Call, client: Client, local: Local, world: World) -> None:
        self.call = call
        self._client = client
        self._local = local
        self._world = world
        self._deadline = self.due = NEVER  # monotonic seconds: when patience ends, when `on_time` is wanted
        self.state: State = "asked"
        self.losses: tuple[Loss, ...] = ()  # of the attempt that answers
        self._read: Request | None = None  # the request in canonical form, once a target needs it
        self._targets: tuple[Target, ...] = ()
        self._tried: list[Target] = []
        self._n = 0
        self._failure: Failure | None = None
        self._hold: int | None = None
        self._attempt = ""
        self._row_open = False
        self._flow: Flow | None = None
        self._body_bytes = 0
        self._status = 0
        self._request_id: str | None = None
        self._watch: Watch | None = None
        self._back = b""  # header lines of the provider's that go back to a client of its dialect
        self._held: list[bytes] = []  # of a stream, until its first content event
        self._held_bytes = 0
        self._first_ms: int | None = None  # when that came, Unix milliseconds
        self._answer: list[bytes] = []  # a plain answer, or an error's body
        self._answer_bytes = 0

    # --- admission and routing

    def begin(self) -> None:
        call, local, world = self.call, self._local, self._world
        now = call.started
        deadlines = local.settings.deadlines
        self._deadline, self._idle_s = now + deadlines.total_ms / 1000, deadlines.idle_ms / 1000
        fault = admit(call, local, now)
        if fault is not None:
            self._finish_with(Failure(fault))
            return
        local.retries.calls += 1
        found = call.route
        assert found is not None
        targets = found.targets
        if len(targets) > 1:
            targets = route.order(found, local, now, world.wall_ms(), world.chance())
        if call.dialect.subject != "chat":
            targets = tuple([target.embedding(call.dialect.name) for target in targets])
        elif len(targets) > 1 or targets[0].also:
            name, counts = call.dialect.name, call.asking.operation == "count"
            targets = tuple([t.counter(name) if counts else t.spoken(name) for t in targets])
        self._targets = targets
        self._try_first(now)

    def _try_first(self, now: float) -> None:
        """The first target that may be asked and can take the request; the refusal of the first, if none."""
        refused: Fault | None = None
        for target in self._targets:
            if self.call.asking.operation != "chat" and self._answered_here(target):
                return
            if self._local.breakers and not breaker.admit(target, self._local, now):
                refused = refused or shut(target, *breaker.why(target, self._local, now))
                continue
            fault = self._try(target)
            if fault is None:
                return
            breaker.released(target, self._local)
            refused = nobody_takes(refused, fault)
        assert refused is not None
        self._finish_with(Failure(refused, final=refused.kind == "unavailable"))

    # --- attempts

    def _try(self, target: Target) -> Fault | None:
        """Send the request to this target. A fault: it was not sent, and no row was opened for it."""
        call, world = self.call, self._world
        try:
            body = self._body_for(target)
        except Fault as fault:
            return fault
        n = self._n + 1
        attempt = f"{call.id}.{n}"
        key, peek, settings = call.key, call.peek, self._local.settings
        if key is not None and key.budget_nanousd is not None:
            refusal = self._set_aside(key, key.budget_nanousd, target, attempt, body)
            if refusal is not None:
                return refusal
        row = Opened(
            attempt, call.id, n, world.wall_ms(), target.provider, target.model, target.dialect, peek.stream,
            key.id if key is not None else None, call.route.name if call.route is not None else "",
            call.asking.tags, self._hold,
        )  # fmt: skip
        try:
            world.opened(row)
        except Fault as unwritten:
            if self._hold is not None:
                self._hold = None
                world.post(attempt, 0)
            return unwritten
        if self._n:
            self._forget_attempt()
        self._n = n
        self._tried.append(target)
        self._target, self._attempt, self._row_open = target, attempt, True
        self._body_bytes = len(body)
        self.state = "sent"
        deadlines = settings.deadlines
        self.due = self._deadline
        if peek.stream:
            self.due = min(world.clock() + deadlines.first_ms / 1000, self._deadline)
        asking, name, head, path = call.asking, settings.attempt_header, target.sealed.head, target.path
        if peek.stream:
            head, path = target.sealed.stream_head, target.stream_path
        if asking.forward or asking.operation != "chat" or name is not None:
            head, path = special(head, path, target, call, attempt, name)
        outgoing = Outgoing(target.origin, path, head, body, deadlines.connect_ms)
        flow = world.send(target, outgoing, self)
        if self._n == n and self._row_open:
            self._flow = flow
        return None

    def _forget_attempt(self) -> None:
        """What was known of the last attempt's answer is not true of the next."""
        self._status, self._request_id, self._watch = 0, None, None
        self._back = b""
        self._held, self._held_bytes, self._first_ms = [], 0, None
        self._answer, self._answer_bytes = [], 0

    def _body_for(self, target: Target) -> bytes:
        """Moved where client and provider speak alike, written anew where they do not. Raises `Fault`."""
        call, peek = self.call, self.call.peek
        alike = target.dialect == call.dialect.name
        if alike and not (target.rewrites and any(mark in call.body for mark in target.rewrites)):
            self.losses, call.freetext = (), NONE
            ask = peek.stream and not peek.stream_usage and target.tells_usage
            if peek.model == target.model and not ask:
                return call.body
            return call.dialect.readdress(call.body, peek, target.model, ask)
        call.thoughts = self._local.thoughts
        bare = barely(call, target)
        if bare is not None:
            self.losses, call.freetext = (), NONE
            return bare
        if self._read is None:
            self._read = read(call)
        body, self.losses = rewritten(call, self._read, target)
        return body

    def _set_aside(self, key: Key, cap: int, target: Target, attempt: str, body: bytes) -> Fault | None:
        """Hold a part of the key's budget for the attempt. A fault: too little is left, or no price known."""
        price = self._local.price(target, self._world.wall_ms())
        amount = budget.hold(price, target.name, len(body), self.call.peek.max_output_tokens)
        if isinstance(amount, Fault):
            return amount
        if not self._world.reserve(key, attempt, amount):
            return budget.exhausted(cap)
        self._hold = amount
        return None

    # --- what the upstream tells (world.Sink)

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        if status != 200 or self.call.peek.stream or len(body) > self._local.settings.answer_bytes_max:
            return False
        self._flow = None
        self._answer_bytes = len(body)
        self._noted(status, headers)
        self._plain_reply(body)
        return True

    def _noted(self, status: int, headers: Headers) -> None:
        self._status = status
        spoken = self._target.dialect
        notable = NOTABLE[spoken]
        for name in notable.intersection(headers):
            if name in REQUEST_IDS:
                self._request_id = headers[name].decode("latin-1")[:128]
            if spoken == self.call.dialect.name:
                self._back += given_back(self.call.dialect, name, headers[name])

    def on_head(self, status: int, headers: Headers) -> None:
        self._noted(status, headers)
        client, dialect = self.call.dialect, SPOKEN[self._target.dialect]
        if status != 200:
            self._headers = headers
            return
        if self.call.peek.stream:
            if dialect is client and not self.call.freetext:
                self._watch = dialect.watch(self.call.peek.stream_usage)
            else:
                now_s = self._world.wall_ms() // 1000
                self._watch = Translating(dialect, self.call, self._target, now_s)

    def on_body(self, data: bytes) -> None:
        self._answer_bytes += len(data)
        watch = self._watch
        if watch is None:
            self._more_of_answer(data)
        elif self.state == "streaming" and watch.piece(data):  # nearly every time
            due = self._world.clock() + self._idle_s
            self.due = due if due < self._deadline else self._deadline
            self._client.write(data)
        elif self.state != "closing":
            self._more_of_stream(watch, data)

    def _more_of_stream(self, watch: Watch, data: bytes) -> None:
        try:
            out = watch.feed(data)
        except Fault as fault:
            self._give_up(fault)
            return
        except Exception:
            self._give_up(unread(self._target))
            raise
        if watch.fault is not None:
            self._stream_fault(watch, out)
        elif self.state != "streaming":
            self._gate(watch, out)
        else:
            self._pass_on(watch, out)

    def _more_of_answer(self, data: bytes) -> None:
        self._answer.append(data)
        limit = self._local.settings.answer_bytes_max if self._status == 200 else ERROR_BYTES_MAX
        if self._answer_bytes > limit:
            self._give_up(Fault("provider_answer", f"The provider's answer exceeds {limit} bytes."))
        elif self.state == "sent":
            self._begin_patience()

    def on_end(self) -> None:
        self._flow = None
        if self.state == "closing":
            self._over()
        elif self._status != 200:
            self._refused()
        elif self._watch is not None:
            self._stream_ended(self._watch)
        else:
            self._plain_reply(self._answer[0] if len(self._answer) == 1 else b"".join(self._answer))

    def on_lost(self, fault: Fault) -> None:
        self._flow = None
        if self.state == "closing":
            self._over()
        else:
            self._failed(fault)

    # --- plain answers

    def _plain_reply(self, body: bytes) -> None:
        call, target = self.call, self._target
        try:
            usage: Usage | None
            if call.asking.operation == "count":
                usage, body = NOTHING, recounted(body, call, target)
            elif target.dialect == call.dialect.name and not call.freetext:
                usage = call.dialect.read_usage(body)
            else:
                body, usage, lost = retold(body, call, target, self._world.wall_ms() // 1000)
                self.losses = self.losses + lost
        except Fault as fault:
            self._failed(fault)
            return
        except Exception:
            self._failed(unread(target))
            raise
        row = self._settle("settled", usage)
        if self._local.breakers:
            breaker.succeeded(target, self._local)
        self.state = "over"
        self._client.reply(200, reply_head(call.id, target, self._n, row, self.losses) + self._back, body)
        self._world.over(self.call)

    def _answered_here(self, target: Target) -> bool:
        """Whether the call is one that its target need not be asked for, and so was answered."""
        told = unsent(self.call, target, self._targets)
        if told is None:
            return False
        self.state = "over"
        self._client.reply(200, *told)
        self._world.over(self.call)
        return True

    # --- streams

    def _gate(self, watch: Watch, out: bytes) -> None:
        """Nothing has been shown yet: hold back until there is content, or an end without any."""
        if out:
            self._held.append(out)
            self._held_bytes += len(out)
        if watch.began or watch.done or self._held_bytes > self._local.settings.held_bytes_max:
            if watch.began:
                self._first_ms = self._world.wall_ms()
            held = b"".join(self._held)
            self._held = []
            self.state = "streaming"
            breaker.succeeded(self._target, self._local)
            head = reply_head(self.call.id, self._target, self._n, None, self.losses) + self._back
            self._client.start(200, head + STREAM_TYPE % self.call.dialect.stream_type.encode())
            self._pass_on(watch, held)

    def _pass_on(self, watch: Watch, out: bytes) -> None:
        if watch.done:
            self._stream_done(watch, out)
        elif out:
            if not out.startswith(self.call.dialect.keepalives) or not only_keepalives(
                out, self.call.dialect
            ):
                self._begin_patience()
            self._client.write(out)

    def _begin_patience(self) -> None:
        """The provider has said something; from now on it may be silent for `idle_ms`."""
        due = self._world.clock() + self._idle_s
        self.due = due if due < self._deadline else self._deadline

    def _stream_done(self, watch: Watch, out: bytes) -> None:
        row = self._settle("settled", watch.usage)
        self._client.write(out + trailer(self.call, row, self._n, self.losses))
        self._client.end()
        if self._flow is None:
            self._over()
        else:
            self.state = "closing"
            self.due = self._world.clock() + CLOSING_S

    def _stream_fault(self, watch: Watch, out: bytes) -> None:
        """The provider sent an error in its stream. In the client's own dialect its bytes are in `out`."""
        fault = watch.fault
        assert fault is not None
        self._drop_flow()
        if self.state != "streaming":
            self._failed(fault)
            return
        row = self._settle("estimated", watch.usage, fault)
        breaker.failed(self._target, self._local, fault, self._world.clock(), self._world.chance())
        if isinstance(watch, Translating):
            out += self.call.dialect.write_stream_error(fault, self.call.id)
        self._client.write(out + trailer(self.call, row, self._n, self.losses))
        self._client.end()
        self._over()

    def _stream_ended(self, watch: Watch) -> None:
        """The connection ended before the wire's end mark, or with it (`end` decides)."""
        out = watch.end()
        if watch.fault is not None:
            self._failed(watch.fault, out)
        elif self.state == "streaming":
            self._pass_on(watch, out)
        else:
            self._gate(watch, out)

    # --- failures

    def _refused(self) -> None:
        body, wall_ms = b"".join(self._answer), self._world.wall_ms()
        failure = upstream_error(self._target, self.call.dialect, self._status, self._headers, body, wall_ms)
        self._failed(failure.fault, b"", failure)

    def _give_up(self, fault: Fault) -> None:
        self._drop_flow()
        self._failed(fault)

    def _failed(self, fault: Fault, out: bytes = b"", failure: Failure | None = None) -> None:
        """The attempt is lost. Try again where that helps; otherwise tell the client, in its own dialect."""
        local, world, target = self._local, self._world, self._target
        now = world.clock()
        usage = self._watch.usage if self._watch is not None else None
        state: Ending = "estimated" if self._answer_bytes and self._status == 200 else "unknown"
        if fault.kind == "unreachable" or (self._status and self._status != 200):
            state = "void"
        row = self._settle(state, usage, fault)
        breaker.failed(target, local, fault, now, world.chance())
        if self.state == "streaming":
            end = self.call.dialect.write_stream_error(fault, self.call.id)
            self._client.write(out + end + trailer(self.call, row, self._n, self.losses))
            self._client.end()
            self._over()
            return
        if self._client is NOBODY:
            self._over()
            return
        self._failure = failure or Failure(fault)
        after = retry.again(
            fault, self._tried, self._targets, local, now, self._deadline - now, world.chance()
        )
        if after is None:
            self._finish_with(self._failure)
        elif after.pause_s == 0.0:
            self._try_next(after.target, now)
        else:
            self.state = "waiting"
            self._target = after.target
            self.due = now + after.pause_s

    def _try_next(self, target: Target, now: float) -> None:
        """The target the retry policy chose, or the next fresh one that may and can take the request."""
        others = [t for t in self._targets if t is not target and t not in self._tried]
        for candidate in (target, *others):
            if candidate in self._tried or breaker.admit(candidate, self._local, now):
                if self._try(candidate) is None:
                    return
                breaker.released(candidate, self._local)
        assert self._failure is not None
        self._finish_with(self._failure)

    def _finish_with(self, failure: Failure) -> None:
        target = self._target if self._n else None
        told = uncounted(self.call, self._targets)
        status, head, body = told or error_reply(self.call, failure, self._n, target, self.losses)
        if failure.body is not None and told is None:
            head += self._back
        self.state = "over"
        self._client.reply(status, head, body)
        self._world.over(self.call)

    # --- the client

    def on_client_gone(self) -> None:
        """Nobody listens: cancel the attempt, or drain it to learn its cost, as the provider's row says."""
        state = self.state
        if state in ("sent", "streaming") and self._target.on_abandon == "drain":
            self._client = NOBODY
            self._deadline = min(self._deadline, self._world.clock() + DRAIN_S)
            self.on_client_ready()
            return
        self._drop_flow()
        if state in ("sent", "streaming"):
            usage = self._watch.usage if self._watch is not None else None
            known: Ending = "estimated" if self._answer_bytes else "unknown"
            self._settle(known, usage, Fault("client_gone", "The client left."))
            breaker.released(self._target, self._local)
        if state != "over":
            self._over()

    def on_client_blocked(self) -> None:
        """The client reads too slowly: so do we, and do not blame the provider for its silence."""
        if self._flow is not None and self.state == "streaming":
            self._flow.pause()
            self.due = self._deadline

    def on_client_ready(self) -> None:
        if self._flow is not None:
            self._flow.resume()
            if self.state == "streaming":
                self._begin_patience()

    # --- time

    def on_time(self, now: float) -> None:
        """Called once `due` has passed. Says which patience ran out."""
        self.due = NEVER
        limits_ = self._local.settings.deadlines
        match self.state:
            case "waiting":
                self._try_next(self._target, now)
            case "closing":
                self._drop_flow()
                self._over()
            case "sent" if now < self._deadline and self._answer:
                self._give_up(Fault("timeout", f"The provider's answer stood still {limits_.idle_ms} ms."))
            case "sent" if now < self._deadline:
                self._give_up(Fault("timeout", f"The provider sent no content within {limits_.first_ms} ms."))
            case "streaming" if now < self._deadline:
                self._give_up(Fault("timeout", f"The provider's stream stood still {limits_.idle_ms} ms."))
            case "sent" | "streaming":
                self._give_up(Fault("timeout", f"The call took longer than {limits_.total_ms} ms."))
            case _:
                pass

    # --- endings

    def _settle(self, state: Ending, usage: Usage | None, fault: Fault | None = None) -> Settled:
        """Close the attempt's row, the budget's hold and the key's meter. Exactly once an attempt."""
        assert self._row_open, self.state
        self._row_open = False
        call, world, watch = self.call, self._world, self._watch
        if isinstance(watch, Translating) and watch.losses:
            self.losses = tidy((*self.losses, *watch.losses))
        wall_ms = world.wall_ms()
        price = self._local.price(self._target, wall_ms)
        if state == "settled" and not is_bill(usage):
            state = "estimated"
        if state == "estimated":
            said = self._answer_bytes if call.dialect.subject == "chat" else 0  # a vector is no tokens
            usage = estimated(usage, self._body_bytes, said)
        row = close(
            self._attempt, state, wall_ms, usage, price, self._request_id, self._status,
            fault.kind if fault is not None else None, self._first_ms, self.losses,
        )  # fmt: skip
        world.settled(row, call, self._target)
        if self._hold is not None:
            self._hold = None
            world.post(self._attempt, row.cost_nanousd)
        key = call.key
        if key is not None and key.tpm is not None:
            limits.spent(key, self._local, world.clock(), (row.input_tokens or 0) + (row.output_tokens or 0))
        return row

    def _drop_flow(self) -> None:
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.cancel()

    def _over(self) -> None:
        self.state = "over"
        self.due = NEVER
        self._world.over(self.call)


NOTHING = Usage(input_tokens=0, output_tokens=0)  # what counting tokens uses
NOBODY: Client = Nobody()
