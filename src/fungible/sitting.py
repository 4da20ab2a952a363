"""The sitting: live pairs put to judging models, by calls of fungible's own, beside those that it serves.

The looker finds the pairs, in the recorder's thread; here, on the loop, their judges are asked, a few at a
time; the looker writes down what they said. A question goes through the gateway as any call does, admitted
beforehand: its attempt is a row of the ledger with the mark `j` of its switch, which is how it counts against
the switch's budget. Nobody waits for a judge: what comes faster than it answers is dropped, whoever's it is.

What is judged, and whether the judge is to be believed, is `switch.hearing`.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence

import msgspec

from .call import Asking, Call, Passed
from .dialects import dialect
from .faults import Fault
from .gateway import Gateway
from .money import NANO, Price
from .policies.share import Mark
from .recording import Recording, compact
from .switch.anew import Pair
from .switch.hearing import Hearing
from .switch.jury import Judge
from .switch.looker import Looker
from .switch.plan import Plan
from .switch.world import Replayed

AT_ONCE = 4  # pairs, and each is at most two calls one after the other
QUEUE_MAX = 1_000
PAUSE_S = 60.0  # after a judge that cannot be asked


class Heard:
    """Implements `answer.Client` for a plain answer, which is told whole."""

    def __init__(self) -> None:
        self.told: asyncio.Future[tuple[int, bytes, bytes]] = asyncio.get_running_loop().create_future()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        if not self.told.done():
            self.told.set_result((status, head, body))

    def start(self, status: int, head: bytes) -> None:
        self.reply(status, head, b"")

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


class Inside:
    """Implements `switch.world.Asker` over a gateway that is at work."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._boot, self._count = secrets.token_hex(5), 0

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        gateway, spoken = self._gateway, dialect(recording.dialect)
        body = bytes(recording.request)
        body = spoken.readdress(body, spoken.peek(body), target, True)
        local, peek = gateway.local, spoken.peek(body)
        try:
            found = local.catalogue.route(target)
        except Fault as fault:
            return Replayed(_answer(recording, 404, b"", spoken.write_error(fault, "")[1]))
        passed = {peek.model: Passed(local.keys, local.catalogue, local.settings, None, found)}
        self._count += 1
        name = f"{self._boot}-judge-{self._count}"
        call = Call(name, Asking(spoken, tags=tags, passed=passed), spoken, body, peek, gateway.clock())
        heard = Heard()
        exchange = gateway.begun(call, heard)
        try:
            told = await heard.told
        except asyncio.CancelledError:
            exchange.on_client_gone()
            raise
        return Replayed(_answer(recording, *told))

    async def embed(
        self, model: str, texts: Sequence[str], tags: str
    ) -> tuple[list[tuple[float, ...]], int | None]:
        raise Fault("bad_request", "Live answers are not compared by vectors.")

    def price(self, target: str) -> Price | None:
        local = self._gateway.local
        return local.price(local.catalogue.route(target).targets[0], self._gateway.wall_ms())

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_s(self) -> float:
        return time.monotonic()


class Sitting:
    """Of one process, on its loop. `said`: what an operator should read."""

    def __init__(self, gateway: Gateway, looker: Looker) -> None:
        self._asker = Inside(gateway)
        self._looker = looker
        self._queue: deque[tuple[str, Pair]] = deque(maxlen=QUEUE_MAX)  # (switch, pair)
        self._hearings: dict[str, Hearing] = {}
        self._paused: dict[str, float] = {}  # switch -> until when, monotonic seconds
        self._task: asyncio.Task[None] | None = None
        self.said: list[str] = []

    def tend(self, plans: Mapping[str, Plan], paying: Collection[str]) -> None:
        """Once a second. `paying`: the switches whose budgets are not spent; of others nobody is asked."""
        pairs, now = self._looker.pairs, time.monotonic()
        for _ in range(len(pairs)):
            pair = pairs.popleft()
            switch = pair.answered.mark.switch
            if switch in plans and switch in paying and now >= self._paused.get(switch, 0.0):
                self._queue.append((switch, pair))
                if switch not in self._hearings:
                    self._hearings[switch] = Hearing(self._judge(plans[switch], pair.answered.mark))
        for switch in self._hearings.keys() - plans.keys():
            del self._hearings[switch]
        if self._queue and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _judge(self, plan: Plan, mark: Mark) -> Judge:
        assert plan.judge is not None, "only then are there pairs to be judged"
        tags = Mark(mark.switch, "j", mark.stage, 0, 0, 0).tag()
        return Judge(self._asker, plan.judge, tags)

    async def _work(self) -> None:
        while self._queue:
            some = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
            await asyncio.gather(*(self._hear(switch, pair) for switch, pair in some))

    async def _hear(self, switch: str, pair: Pair) -> None:
        hearing = self._hearings.get(switch)
        if hearing is None or time.monotonic() < self._paused.get(switch, 0.0):
            return
        before = hearing.state
        try:
            self._looker.heard.extend(await hearing.hear(pair))
        except Fault as fault:
            self._paused[switch] = time.monotonic() + PAUSE_S
            self.said.append(f"Switch {switch}: {fault.message} It is tried again in {PAUSE_S:.0f} s.")
        if hearing.state == "not believed" and before != "not believed":
            self.said.append(
                f"Switch {switch}: {hearing.why} So it is not heard, and the switch does not go to its end by"
                " itself: begin it anew with another judge, or promote it by hand."
            )


def _answer(question: Recording, status: int, head: bytes, body: bytes) -> Recording:
    told = dict(line.partition(b": ")[::2] for line in head.lower().split(b"\r\n") if line)
    paid = told.get(b"x-fungible-cost-usd")
    try:
        reply: msgspec.Raw | None = msgspec.Raw(compact(body))
    except msgspec.DecodeError:
        reply = None
    fault = "" if status == 200 else dialect(question.dialect).read_error(status, {}, body).kind
    cost = round(float(paid) * NANO) if paid is not None else None
    return msgspec.structs.replace(question, status=status, reply=reply, fault=fault, cost_nanousd=cost)
