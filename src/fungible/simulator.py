"""Whole bad days in milliseconds: the real state machine of a call, in a world made up from a seed.

Providers refuse, stall, break off, answer nonsense and recover; clients leave and read slowly; all in
virtual time. Everything random comes from one seed, so a failure repeats by its seed:

    Simulation(seed, local, targets, requests).run()

After every step the invariants below must hold; a broken one raises `AssertionError` with the seed and
the story of the call. The simulator makes its providers' bytes with the dialects' own writers, so it
knows none by name.

    * nothing is sent before its row is open; every open row is closed exactly once
    * at most `attempts_max` attempts a call
    * a client gets one plain answer, or one stream that begins once and ends once; then nothing
    * a stream that did not come to its provider's end mark never shows one
    * nobody is told anything after leaving
    * no call outlives its total deadline by more than a sweep
"""

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from .account import Key, Opened, Settled
from .call import Asking, Call, Local
from .dialects import DIALECTS
from .dialects.base import Dialect
from .events import Begin, Done, End, Failed, PartBegin, PartEnd, StreamEvent, TextDelta, UsageSeen
from .exchange import Exchange
from .faults import Fault
from .ir import Choice, Reply, Stop, Text, Usage
from .losses import Report
from .models import Target
from .world import Headers, Outgoing, Sink

SWEEP_S = 0.1
WORDS = ("one", "two", "three", "four", "five", "six")

BEHAVIOURS: Mapping[str, int] = {
    # what a provider may do with an attempt -> how often, in a bad hour
    "answer": 40,
    "answer slowly": 6,
    "refuse the connection": 6,
    "reset before headers": 5,
    "break off": 8,
    "end early": 6,
    "stand still": 5,
    "say nothing": 4,
    "500": 5,
    "529": 3,
    "429": 5,
    "429 for a second": 4,
    "401": 2,
    "400": 2,
    "404": 2,
    "error in a 200": 5,
    "error after some content": 5,
    "nonsense": 4,
    "a web page": 2,
}
LEAVES = 0.12  # share of clients that leave before the end
BLOCKS = 0.15  # share that stop reading for a while


class Story:
    """What happened to one call, for whoever has to find out why."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines: list[str] = []
        self.sent: list[str] = []  # attempts
        self.began = 0
        self.ended = 0
        self.replies: list[int] = []
        self.shown = b""
        self.gone = False
        self.started = 0.0
        self.finished: float | None = None


class SimulatedClient:
    """Implements `exchange.Client`, and checks that it is treated as promised."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        story = self.story
        assert not story.gone, "told something after leaving"
        assert not story.replies and not story.began, "a second answer"
        assert b"\r\n\r\n" not in head and head.endswith(b"\r\n"), head
        story.replies.append(status)
        story.shown = body
        story.lines.append(f"client got {status}")

    def start(self, status: int, head: bytes) -> None:
        story = self.story
        assert not story.gone and not story.replies and not story.began, "a second beginning"
        assert status == 200 and head.endswith(b"\r\n"), head
        story.began += 1
        story.lines.append("client's stream began")

    def write(self, data: bytes) -> None:
        story = self.story
        assert not story.gone and story.began and not story.ended, "written outside of a stream"
        story.shown += data

    def end(self) -> None:
        story = self.story
        assert not story.gone and story.began and not story.ended, "ended twice, or never begun"
        story.ended += 1
        story.lines.append("client's stream ended")


class SimulatedFlow:
    """Implements `world.Flow`: a list of steps still to come, which pausing holds up and cancelling drops."""

    def __init__(self) -> None:
        self.cancelled = False
        self.paused = False
        self.waiting: list[Callable[[], None]] = []

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for step in waiting:
            self.run(step)

    def cancel(self) -> None:
        self.cancelled = True

    def run(self, step: Callable[[], None]) -> None:
        if self.cancelled:
            return
        if self.paused:
            self.waiting.append(step)
        else:
            step()


class Simulation:
    """One bad day. `requests`: (dialect, body) of each call, in order; `weights` replaces BEHAVIOURS."""

    def __init__(
        self,
        seed: int,
        local: Local,
        requests: Sequence[tuple[Dialect, bytes]],
        *,
        secret: bytes | None = None,
        weights: Mapping[str, int] | None = None,
        every_s: float = 0.5,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 - repeatable is what it is for
        self.now = 1_000.0
        self.local = local
        self.secret = secret
        self.weights = weights if weights is not None else BEHAVIOURS
        self.requests = requests
        self.every_s = every_s
        self.stories: list[Story] = []
        self.rows: dict[str, Opened] = {}
        self.ends: dict[str, Settled] = {}
        self.attempts_sent: list[str] = []
        self._steps: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._active: dict[str, tuple[Exchange, Story]] = {}  # by the call's id

    # --- exchange.World

    def clock(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.now * 1000)

    def chance(self) -> float:
        return self.rng.random()

    def opened(self, row: Opened) -> None:
        assert row.attempt not in self.rows, f"{row.attempt} opened twice"
        self.rows[row.attempt] = row

    def settled(self, row: Settled, call: Call, target: Target) -> None:
        assert row.attempt in self.rows, f"{row.attempt} closed and never opened"
        assert row.attempt not in self.ends, f"{row.attempt} closed twice"
        self.ends[row.attempt] = row

    def reserve(self, key: Key, attempt: str, nanousd: int) -> bool:
        return True

    def post(self, attempt: str, nanousd: int | None) -> None: ...

    def over(self, call: Call) -> None:
        _, story = self._active.pop(call.id, (None, None))
        if story is not None:
            story.finished = self.now

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> SimulatedFlow:
        exchange = sink
        assert isinstance(exchange, Exchange)
        story = self._active[exchange.call.id][1]
        newest = next(reversed(self.rows))
        assert newest.startswith(exchange.call.id + ".") and newest not in self.attempts_sent, (
            "sent without a row"
        )
        self.attempts_sent.append(newest)
        story.sent.append(newest)
        assert len(story.sent) <= self.local.settings.attempts_max, "too many attempts"
        behaviour = self.rng.choices(list(self.weights), list(self.weights.values()))[0]
        story.lines.append(f"{self.now:.2f} {newest} to {target.name}: {behaviour}")
        flow = SimulatedFlow()
        Provider(self, flow, DIALECTS[target.dialect], exchange.call.peek.stream, sink).behave(behaviour)
        return flow

    # --- the run

    def at(self, delay_s: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._steps, (self.now + delay_s, next(self._count), step))

    def run(self) -> list[Story]:
        """Run all calls to their ends. Raises AssertionError, with the seed, where an invariant breaks."""
        for number, (dialect, body) in enumerate(self.requests):
            self.at(number * self.every_s, lambda n=number, d=dialect, b=body: self._call(n, d, b))  # type: ignore[misc]
        self.at(SWEEP_S, self._sweep)
        story: Story | None = None
        try:
            while self._steps:
                self.now, _, step = heapq.heappop(self._steps)
                step()
                self._check()
            for story in self.stories:
                self._check_end(story)
        except AssertionError as error:
            lines = "\n  ".join(story.lines if story is not None else [])
            raise AssertionError(f"seed {self.seed}: {error}\n  {lines}") from error
        return self.stories

    def _call(self, number: int, dialect: Dialect, body: bytes) -> None:
        story = Story(number)
        story.started = self.now
        self.stories.append(story)
        asking = Asking(dialect, secret=self.secret)
        call = Call(f"s{self.seed}-{number}", asking, dialect, body, dialect.peek(body), self.now)
        exchange = Exchange(call, SimulatedClient(story), self.local, self)
        self._active[exchange.call.id] = exchange, story
        exchange.begin()
        if self.rng.random() < LEAVES:
            self.at(self.rng.expovariate(1.0), lambda: self._leave(exchange, story))
        if self.rng.random() < BLOCKS:
            start, length = self.rng.expovariate(2.0), self.rng.expovariate(0.5)
            self.at(start, lambda: self._tell(exchange, exchange.on_client_blocked))
            self.at(start + length, lambda: self._tell(exchange, exchange.on_client_ready))

    def _tell(self, exchange: Exchange, what: Callable[[], None]) -> None:
        if exchange.call.id in self._active:
            what()

    def _leave(self, exchange: Exchange, story: Story) -> None:
        if exchange.call.id in self._active and not story.ended and not story.replies:
            story.gone = True
            story.lines.append(f"{self.now:.2f} the client left")
            exchange.on_client_gone()

    def _sweep(self) -> None:
        for exchange in [e for e, _ in self._active.values() if e.due <= self.now]:
            exchange.on_time(self.now)
        if self._active or self._steps:
            self.at(SWEEP_S, self._sweep)

    def _check(self) -> None:
        total_s = self.local.settings.deadlines.total_ms / 1000
        for exchange, story in self._active.values():
            late = self.now - story.started - total_s
            assert late <= SWEEP_S * 2 or exchange.state == "closing", (
                f"call {story.number} outlives its deadline"
            )

    def _check_end(self, story: Story) -> None:
        assert story.finished is not None, f"call {story.number} never ended"
        assert story.gone or bool(story.replies) != bool(story.ended), (
            f"call {story.number}: no answer, or two"
        )
        for attempt in story.sent:
            assert attempt in self.ends, f"{attempt} was never closed"
        dialect = self.requests[story.number][0]
        if story.ended:
            reader = dialect.stream_reader()
            events = [*reader.feed(story.shown), *reader.end()]
            whole = any(isinstance(e, Done) for e in events)
            failed = any(isinstance(e, Failed) for e in events)
            last = self.ends[story.sent[-1]]
            assert whole != failed, f"call {story.number}: a stream must end well or say that it failed"
            assert whole == (last.fault is None), (
                f"call {story.number}: ended {whole}, ledger says {last.fault}"
            )
        elif story.replies == [200]:
            dialect.read_reply(story.shown)


class Provider:
    """One attempt, from the provider's side."""

    def __init__(
        self, day: Simulation, flow: SimulatedFlow, dialect: Dialect, stream: bool, sink: Sink
    ) -> None:
        self.day = day
        self.flow = flow
        self.sink = sink
        self.stream = stream
        self.time = 0.0
        self.body = streamed(dialect, day.rng) if stream else plain(dialect, day.rng)
        self.dialect = dialect

    def later(self, seconds: float, step: Callable[[], None]) -> None:
        self.time += seconds
        self.day.at(self.time, lambda: self.flow.run(step))

    def head(self, status: int = 200, extra: Headers | None = None) -> None:
        kind = b"text/event-stream" if self.stream else b"application/json"
        headers = {b"content-type": kind, **(extra or {})}
        self.later(self.day.rng.expovariate(20), lambda: self.sink.on_head(status, headers))

    def send(self, data: bytes) -> None:
        """In pieces cut anywhere, as a network does."""
        rng, cuts = self.day.rng, [0]
        while cuts[-1] < len(data):
            cuts.append(min(len(data), cuts[-1] + rng.choice((1, 7, 60, 400, 5_000))))
        for a, b in itertools.pairwise(cuts):
            self.later(rng.expovariate(200), lambda piece=data[a:b]: self.sink.on_body(piece))  # type: ignore[misc]

    def end(self) -> None:
        self.later(0.0, self.sink.on_end)

    def lose(self, kind: str, message: str) -> None:
        self.later(0.01, lambda: self.sink.on_lost(Fault(kind, message)))

    def error(self, status: int, extra: Headers | None = None) -> None:
        kind = {
            429: "rate_limited",
            529: "overloaded",
            400: "bad_request",
            401: "authentication",
            404: "not_found",
        }
        self.head(status, extra)
        self.send(self.dialect.write_error(Fault(kind.get(status, "internal"), "made up"), "made-up")[1])
        self.end()

    def behave(self, behaviour: str) -> None:
        """One of BEHAVIOURS."""
        rng, body = self.day.rng, self.body
        part = body[: rng.randrange(1, len(body))]
        failed = Fault("overloaded", "made up")
        match behaviour:
            case "refuse the connection":
                self.lose("unreachable", "refused")
            case "reset before headers":
                self.lose("provider_error", "reset")
            case "say nothing":
                pass
            case "answer slowly":
                self.time += rng.uniform(5, 200)
                self.behave("answer")
            case "break off":
                self.head()
                self.send(part)
                self.lose("provider_error", "broken off")
            case "end early":
                self.head()
                self.send(part)
                self.end()
            case "stand still":
                self.head()
                self.send(part)
            case "error in a 200":
                self.head()
                self.send(self._error_frames(failed))
                self.end()
            case "error after some content":
                self.head()
                self.send(
                    (body[: body.find(b"\n\n") + 2] if self.stream else b"") + self._error_frames(failed)
                )
                self.end()
            case "nonsense":
                self.head()
                self.send(b"data: {nonsense\n\n" if self.stream else b'{"choices": 7')
                self.end()
            case "a web page":
                self.head(200)
                self.send(b"<html><body>Bad gateway</body></html>")
                self.end()
            case "429 for a second":
                self.error(429, {b"retry-after": b"1"})
            case "answer":
                self.head()
                self.send(body)
                self.end()
            case _:
                self.error(int(behaviour))

    def _error_frames(self, fault: Fault) -> bytes:
        if self.stream:
            return self.dialect.write_stream_error(fault, "made-up")
        return self.dialect.write_error(fault, "made-up")[1]


USAGE = Usage(input_tokens=11, output_tokens=6)


def plain(dialect: Dialect, rng: random.Random) -> bytes:
    """A plain answer in the dialect's own bytes."""
    text = " ".join(rng.choices(WORDS, k=6))
    choice = Choice(parts=(Text(text=text),), stop=Stop(reason="end"))
    return dialect.write_reply(Reply(id="r1", model="m", created=1, choices=(choice,), usage=USAGE), Report())


def streamed(dialect: Dialect, rng: random.Random) -> bytes:
    """The same as a stream."""
    events: list[StreamEvent] = [Begin(id="r1", model="m", created=1), PartBegin(part=Text(text=""))]
    events += [TextDelta(text=word + " ") for word in rng.choices(WORDS, k=6)]
    events += [PartEnd(), End(stop=Stop(reason="end")), UsageSeen(usage=USAGE), Done()]
    return dialect.stream_writer(Report(), True).write(events)
