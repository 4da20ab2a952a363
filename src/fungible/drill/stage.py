"""The stage: what stands between a gateway and a provider while that provider is drilled.

How it thinks. A gateway's ways to the outside are its methods `opened`, `send`, `settled`, `post` and `over`
(exchange.World). While a drill runs the stage takes their places in the gateway; when it is over, and the
calls that it touched have ended, it puts them back. A gateway that is not drilled has no stage and pays
nothing for one.

What a drill did not send is not owed: its rows are closed `void`, its holds released, whatever the call's own
knowledge makes of a silence. Every row that it touched bears the drill's id (`plan.MARK`) in the place of
the provider's request id, before it where there is one.

The call notices nothing: retries, breakers, failover and error messages are those of a real outage, since
showing them is what a drill is for. Breakers that it left open are taken away with it.

Its limits hold over all workers: what a drilled call has felt goes to the store (`store.drills`), a failure
at once, the rest once a second, and every worker takes in everybody's, in one order, so that all have the
same count and the same guard, also one that begins anew. A drill whose limits cannot be kept ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ..account import Opened, Settled
from ..call import Call
from ..dialects import SPOKEN
from ..evidence import HarmGuard
from ..faults import KINDS, Fault
from ..gateway import Gateway
from ..models import Target
from ..store import Drills
from ..world import Flow, Headers, Outgoing, Sink
from . import plan
from .plan import Drill

ALPHA = 0.05  # of stopping a drill that hurts nobody more than it may
BESIDE_MAX = 64  # calls beside a drilled one that are kept to compare it with
PLACES = ("opened", "send", "settled", "post", "over")


class Stage:
    """One drill in one gateway. `stop` is told why the drill has to end at once."""

    def __init__(self, gateway: Gateway, drill: Drill, state: Path, stop: Callable[[str], None]) -> None:
        self.drill = drill
        self.drilled = self.hurt = 0
        self._state = state
        self._store: Drills | None = None
        self._felt: list[tuple[float, float]] = []  # here, and not yet in the store
        self._upto = 0  # of the store's, taken in
        self._gateway = gateway
        self._stop = stop
        self._on = True
        self._loop = asyncio.get_running_loop()
        self._guard = HarmGuard(ALPHA, drill.tolerance)
        self._beside: deque[float] = deque(maxlen=BESIDE_MAX)
        self._row: Opened | None = None
        self._sent: dict[str, bool] = {}  # drilled attempt -> whether the provider was asked
        self._unsent = ""  # the attempt closed last, if it was not sent
        self._faults: dict[str, str | None] = {}  # call that was drilled -> the fault of its last attempt
        self._others: dict[str, str | None] = {}  # the same of calls that were not, but might have been
        self._own: dict[str, Any] = {name: gateway.__dict__.get(name) for name in PLACES}
        self._real: dict[str, Callable[..., Any]] = {name: getattr(gateway, name) for name in PLACES}
        gateway.opened = self.opened
        gateway.send = self.send  # type: ignore[method-assign]  # whose types are still compared
        gateway.settled = self.settled  # type: ignore[method-assign]
        gateway.post = self.post  # type: ignore[method-assign]
        gateway.over = self.over  # type: ignore[method-assign]

    def end(self) -> bool:
        """Drill no more; True once all that was drilled has ended and the gateway is as it was before."""
        self._on = False
        if self._sent or self._faults:
            return False
        for name, own in self._own.items():
            if own is None:
                delattr(self._gateway, name)
            else:
                setattr(self._gateway, name, own)
        if self._store is not None:
            self._store.close()
        breakers = self._gateway.local.breakers
        for key in [key for key in breakers if key[0] == self.drill.provider]:
            del breakers[key]
        return True

    # --- exchange.World

    def opened(self, row: Opened) -> None:
        self._real["opened"](row)
        self._row = row

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> Flow:
        row, drill = self._row, self.drill
        assert row is not None, "an attempt is opened before it is sent"
        on = self._on and drill.running(self._gateway.wall_ms())
        if not on or not drill.takes(row.provider, row.route or "", row.call):
            if on and row.provider == drill.provider and drill.route in ("", row.route):
                self._others.setdefault(row.call, None)
            flow: Flow = self._real["send"](target, outgoing, sink)
            return flow
        self.drilled += 1
        self._sent[row.attempt] = False
        self._faults[row.call] = None
        return WAYS[drill.how](self, row, target, outgoing, sink)

    def really(self, row: Opened, target: Target, outgoing: Outgoing, sink: Sink) -> Flow:
        self._sent[row.attempt] = True
        flow: Flow = self._real["send"](target, outgoing, sink)
        return flow

    def later(self, delay_s: float, work: Callable[..., None], *given: Any) -> asyncio.Handle:
        return self._loop.call_later(delay_s, work, *given)

    def settled(self, row: Settled, call: Call, target: Target) -> None:
        sent = self._sent.pop(row.attempt, None)
        self._unsent = ""
        if sent is not None:
            mark = self.drill.mark
            if row.provider_request_id is not None and sent:
                mark = f"{mark}/{row.provider_request_id}"
            row = msgspec.structs.replace(row, provider_request_id=mark)
            if not sent:
                self._unsent = row.attempt
                row = msgspec.structs.replace(row, state="void", cost_nanousd=0, price_id=None, **NOTHING)
        if call.id in self._faults:
            self._faults[call.id] = row.fault
        elif call.id in self._others:
            self._others[call.id] = row.fault
        self._real["settled"](row, call, target)

    def post(self, attempt: str, nanousd: int | None) -> None:
        self._real["post"](attempt, 0 if attempt == self._unsent else nanousd)

    def over(self, call: Call) -> None:
        self._real["over"](call)
        if call.id in self._others:
            self._beside.append(_harm(self._others.pop(call.id)) or 0.0)
        elif call.id in self._faults:
            harm = _harm(self._faults.pop(call.id))
            if harm is not None and self._on:
                self._judge(harm)

    def _judge(self, harm: float) -> None:
        beside = list(self._beside) or [0.0]
        self._beside.clear()  # a call is compared with once
        self._felt.append((harm, sum(beside) / len(beside)))
        if harm > 0:
            self.reckon()

    def reckon(self) -> None:
        """Tell the store what was felt here, and judge by what was felt anywhere."""
        mine, self._felt = self._felt, []
        try:
            if self._store is None:
                self._store = Drills(self._state, self.drill.id)
            rows = self._store.felt(mine, self._upto)
        except Fault as fault:
            self._stop(f"its limits cannot be kept: {fault.message}")
            return
        for self._upto, harm, beside in rows:
            self.hurt += harm > 0
            if self.hurt >= self.drill.hurt_max:
                self._stop(f"{self.hurt} calls had failed, the most that this drill may hurt")
                return
            if self._guard.update(candidate=harm, baseline=[beside]):
                self._stop(
                    f"{self.hurt} of {self._guard.blocks} drilled calls had failed, surely more than"
                    f" {self.drill.tolerance:.0%} beyond the calls beside them"
                )
                return


NOTHING: Mapping[str, None] = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
)


def _harm(fault: str | None) -> float | None:
    """1: the call failed, and not by its caller's doing; None: the caller left."""
    if fault is None:
        return 0.0
    return (
        None if fault == "client_gone" else float(KINDS[fault].whose != "caller" or fault == "rate_limited")
    )


# --- the ways to fail ----------------------------------------------------------------------------------


class _Told:
    """A `Flow` of an answer that is made here, in the loop's next turn, as a socket's would come."""

    def __init__(self, handle: asyncio.Handle) -> None:
        self._handle = handle

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None:
        self._handle.cancel()


def refused(stage: Stage, row: Opened, target: Target, outgoing: Outgoing, sink: Sink) -> Flow:
    fault = Fault("unreachable", f"A drill: {target.provider} was not asked.")
    return _Told(stage.later(0.0, sink.on_lost, fault))


def _answering(kind: str) -> Callable[[Stage, Opened, Target, Outgoing, Sink], Flow]:
    def answered(stage: Stage, row: Opened, target: Target, outgoing: Outgoing, sink: Sink) -> Flow:
        fault = Fault(kind, f"A drill: {target.provider} was not asked.")
        status, body = SPOKEN[target.dialect].write_error(fault, row.call)

        def tell() -> None:
            sink.on_head(status, {b"content-type": b"application/json"})
            sink.on_body(body)
            sink.on_end()

        return _Told(stage.later(0.0, tell))

    return answered


class _Waiting:
    """A `Flow` that begins later."""

    def __init__(self, stage: Stage, row: Opened, target: Target, outgoing: Outgoing, sink: Sink) -> None:
        self._flow: Flow | None = None
        self._paused = False
        self._begin = (row, target, outgoing, sink)
        self._stage = stage
        self._handle = stage.later(stage.drill.slow_ms / 1000, self._go)

    def _go(self) -> None:
        self._flow = self._stage.really(*self._begin)
        if self._paused:
            self._flow.pause()

    def pause(self) -> None:
        self._paused = True
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        self._paused = False
        if self._flow is not None:
            self._flow.resume()

    def cancel(self) -> None:
        self._handle.cancel()
        if self._flow is not None:
            self._flow.cancel()


class _Cut:
    """A `Sink` that hears half of a plain answer, or of a stream up to its first content, and a `Flow`."""

    def __init__(self, stage: Stage, row: Opened, target: Target, outgoing: Outgoing, sink: Sink) -> None:
        self._sink = sink
        self._stream = row.stream
        self._ok = False
        self._over = False
        self._fault = Fault("provider_answer", f"A drill: the answer of {target.provider} was cut.")
        self._flow: Flow | None = None
        self._flow = stage.really(row, target, outgoing, self)
        if self._over:
            self._flow.cancel()

    def on_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        return False  # in pieces, for it is to be cut

    def on_head(self, status: int, headers: Headers) -> None:
        self._ok = status == 200
        self._sink.on_head(status, headers)

    def on_body(self, data: bytes) -> None:
        if self._over:
            return
        if not self._ok:  # the provider fails by itself
            self._sink.on_body(data)
            return
        half = len(data) // 2
        self._sink.on_body(data[:half])
        if not self._over and (not self._stream or getattr(self._sink, "state", "") == "streaming"):
            self._over = True
            if self._flow is not None:
                self._flow.cancel()
            self._sink.on_lost(self._fault)
        elif not self._over:
            self._sink.on_body(data[half:])

    def on_end(self) -> None:
        if not self._over:
            self._over = True
            self._sink.on_end()

    def on_lost(self, fault: Fault) -> None:
        if not self._over:
            self._over = True
            self._sink.on_lost(fault)

    def pause(self) -> None:
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        if self._flow is not None:
            self._flow.resume()

    def cancel(self) -> None:
        self._over = True
        if self._flow is not None:
            self._flow.cancel()


WAYS: Mapping[str, Callable[[Stage, Opened, Target, Outgoing, Sink], Flow]] = {
    # the rows of plan.HOW
    "refused": refused,
    "429": _answering("rate_limited"),
    "5xx": _answering("unavailable"),
    "slow": _Waiting,
    "cut": _Cut,
}


# --- in a process --------------------------------------------------------------------------------------


class Director:
    """Puts a stage up and takes it down as the file in the state folder says; one a process."""

    def __init__(self, state: str | Path, gateway: Gateway) -> None:
        self._state = Path(state)
        self._gateway = gateway
        self._stamp = 0
        self._drill: Drill | None = None
        self._stage: Stage | None = None

    def tend(self, now_ms: int) -> None:
        """About once a second."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp, self._drill = stamp, plan.load(self._state)
        drill = self._drill if self._drill is not None and self._drill.running(now_ms) else None
        stage = self._stage
        if stage is not None and (drill is None or drill.id != stage.drill.id) and stage.end():
            self._stage = stage = None
        if stage is None and drill is not None:
            self.begin(drill)
        elif stage is not None and drill is not None and drill.id == stage.drill.id:
            stage.reckon()

    def begin(self, drill: Drill) -> None:
        """In this process, whatever the file says, until it changes."""
        self._drill = drill
        self._stage = Stage(self._gateway, drill, self._state, self.end)

    @property
    def staged(self) -> bool:
        """Whether a stage stands, and drills or waits for its last calls."""
        return self._stage is not None

    @property
    def drill(self) -> Drill | None:
        """The drill as this process knows it, over or not."""
        return self._drill

    def end(self, why: str) -> None:
        """For all workers; for this one at once."""
        drill, now_ms = self._drill, self._gateway.wall_ms()
        if drill is not None and drill.running(now_ms):
            with suppress(Fault):  # it is in force here all the same
                plan.stop(self._state, drill.id, now_ms, why)
            self._drill = msgspec.structs.replace(drill, stopped_ms=now_ms, stopped_why=why)
            self.tend(now_ms)

    def _stamped(self) -> int:
        try:
            return (self._state / plan.NAME).stat().st_mtime_ns
        except OSError:
            return 0
