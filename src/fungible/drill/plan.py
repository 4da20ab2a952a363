"""A drill as it is ordered, and the file in the state folder that every worker obeys.

    none     --start-->  running    the file is there, and its end lies ahead
    running  --its time is over-->  ended      whoever started it may be long gone
    running  --stop, or too many were hurt-->  stopped    the file says when and why

One at a time: two at once would be told apart by nobody. What is drilled is decided by a hash of the call's
id, so that every attempt of a call, in whatever worker, meets the same provider.
"""

import os
import secrets
from pathlib import Path
from zlib import crc32

import msgspec

from ..faults import Fault
from ..store import Switches, has_switches
from ..switch.pilot import plan_of
from ..switch.rollout import LIVE

NAME = "drill.json"
MARK = "drill:"  # before a drill's id, in the place of the provider's request id
MINUTES_MAX = 24 * 60

HOW: dict[str, str] = {
    "refused": "Nothing is sent, as if nobody listened there.",
    "429": "Nothing is sent; the answer is 429, asked too often.",
    "5xx": "Nothing is sent; the answer is 503, not available.",
    "slow": "Sent after a wait (`slow_ms`); the answer is the provider's own, and so is its bill.",
    "cut": "Sent, and its answer is cut in two: a stream after its first content. The provider bills it.",
}


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """`share` of the calls that would go to `provider`, on `route` or, where that is "", on any.

    It stops itself when `hurt_max` calls have failed for want of a way out, or when more of the drilled calls
    than `tolerance` fail beyond those beside them, which a guard decides (evidence.HarmGuard).
    """

    id: str
    provider: str
    how: str
    started_ms: int
    until_ms: int
    route: str = ""
    share: float = 0.1
    slow_ms: int = 10_000
    hurt_max: int = 20
    tolerance: float = 0.05
    stopped_ms: int | None = None
    stopped_why: str = ""

    @property
    def ended_ms(self) -> int:
        return self.until_ms if self.stopped_ms is None else min(self.stopped_ms, self.until_ms)

    @property
    def mark(self) -> str:
        return MARK + self.id

    def running(self, now_ms: int) -> bool:
        return self.started_ms <= now_ms < self.ended_ms

    def takes(self, provider: str, route: str, call: str) -> bool:
        return (
            provider == self.provider
            and (not self.route or route == self.route)
            and crc32(f"{self.id} {call}".encode()) < self.share * 2**32
        )


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for, as JSON."""

    provider: str
    how: str = "refused"
    route: str = ""
    minutes: float = 10.0
    share: float = 0.1
    slow_ms: int = 10_000
    hurt_max: int = 20
    tolerance: float = 0.05

    def checked(self) -> "Order":
        """Raises `Fault` (bad_request) that names the field."""
        ranges: dict[str, tuple[float, float, float]] = {
            "minutes": (self.minutes, 0.01, MINUTES_MAX),
            "share": (self.share, 0.0001, 1.0),
            "slow_ms": (self.slow_ms, 1, 600_000),
            "hurt_max": (self.hurt_max, 1, 1_000_000),
            "tolerance": (self.tolerance, 0.0, 0.99),
        }
        if self.how not in HOW:
            raise Fault("bad_request", f"how is one of {', '.join(HOW)}; not {self.how!r}.", path="how")
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise Fault("bad_request", f"{name} is from {low:g} to {high:g}, not {value:g}.", path=name)
        return self

    def drill(self, now_ms: int) -> Drill:
        until_ms = now_ms + int(self.minutes * 60_000)
        said = {name: getattr(self, name) for name in self.__struct_fields__ if name != "minutes"}
        return Drill(id=secrets.token_hex(4), started_ms=now_ms, until_ms=until_ms, **said)


def load(state: Path) -> Drill | None:
    """The last drill that was ordered. None: none was, or the file is none."""
    try:
        return msgspec.json.decode((state / NAME).read_bytes(), type=Drill)
    except (OSError, msgspec.DecodeError):
        return None


def undisturbed(state: Path, provider: str, route: str) -> None:
    """Raises `Fault` (conflict) where a switch is under way that would take a drill for its evidence."""
    if not has_switches(state):
        return
    switches = Switches(state)
    try:
        for row in switches.all():
            plan = plan_of(row)
            asked = any(name.startswith(f"{provider}/") for name in (plan.candidate, *plan.incumbents))
            if row.state in LIVE and route in ("", row.route) and asked:
                raise Fault(
                    "conflict",
                    f"The route {row.route!r} is being switched, and {provider} is part of it: a drill would"
                    " be taken for its evidence. Drill another --route, or wait for the switch to end.",
                )
    finally:
        switches.close()


def start(state: Path, drill: Drill, now_ms: int) -> None:
    """Raises `Fault` (conflict) while another runs."""
    last = load(state)
    if last is not None and last.running(now_ms):
        left_s = (last.ended_ms - now_ms) // 1000
        raise Fault(
            "conflict",
            f"A drill of {last.provider} is running for another {left_s} s. `fungible drill --stop` ends it.",
        )
    write(state, drill)


def stop(state: Path, identity: str, now_ms: int, why: str) -> Drill | None:
    """End the drill of this id before its time, for every worker. None: it is not running."""
    last = load(state)
    if last is None or last.id != identity or not last.running(now_ms):
        return None
    ended = msgspec.structs.replace(last, stopped_ms=now_ms, stopped_why=why)
    write(state, ended)
    return ended


def write(state: Path, drill: Drill) -> None:
    bare = state / f".{NAME}.{os.getpid()}.new"
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        bare.write_bytes(msgspec.json.encode(drill))
        bare.replace(state / NAME)
    except OSError as error:
        raise Fault("internal", f"{state / NAME} cannot be written ({error.strerror}).") from error
