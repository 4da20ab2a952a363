"""What one call is, what the calls of one process share, and what a call may ask of the outside.

A `Call` is filled in as decisions are made; it holds no socket and no clock. `Local` is the knowledge
a process has made its own beforehand, so that deciding needs no waiting: snapshots of keys and routes,
counters, breakers. Both are plain records; who may change what is said at each field.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from .account import Key, Opened, Settled
from .dialects.base import Dialect, Located, Peek
from .dialects.freetext import NONE, Names
from .faults import Fault
from .models import Catalogue, Route, Target
from .money import Price
from .thoughts import Thoughts
from .world import Flow, Outgoing, Sink


class KeyRing(Protocol):
    def check(self, secret: bytes) -> Key:
        """Raises `Fault` (authentication) for a key that is none, or no longer."""


class Deadlines(msgspec.Struct, frozen=True):
    """Milliseconds. `first`: until the first content event of a stream; `idle`: between two events."""

    connect_ms: int = 5_000
    first_ms: int = 120_000
    idle_ms: int = 120_000
    total_ms: int = 600_000


class Settings(msgspec.Struct, frozen=True):
    """What the operator has set, as far as a call needs it."""

    open: bool = False  # no keys asked for
    attempt_header: str | None = None
    deadlines: Deadlines = Deadlines()
    attempts_max: int = 3
    retries_per_s: int = 10  # granted at any time, beside a share of the calls
    workers: int = 1  # processes that share the port, and each key's limits a minute
    answer_bytes_max: int = 64 * 1024 * 1024  # of one plain answer
    held_bytes_max: int = 256 * 1024  # of a stream held back until its first content event


class Passed(msgspec.Struct, frozen=True):
    """Who asked for what, once every policy let it pass; true until what it was found by is replaced."""

    keys: KeyRing
    catalogue: Catalogue
    settings: Settings
    key: Key | None
    route: Route


class Asking(msgspec.Struct, frozen=True):
    """What a request's head says of the call, whatever its body holds."""

    dialect: Dialect
    operation: str = "chat"  # or count, or dry: what would be lost
    secret: bytes | None = None  # the virtual key as sent
    strict: bool = False
    tags: str = ""
    hint: str = ""  # the target of the route to try first: `provider/model`, or its provider
    repeat: bytes | None = None  # the client's word for this very request, `idempotency-key`
    located: Located | None = None  # what the address says of the call, where it names the model
    forward: Sequence[tuple[bytes | None, bytes]] = ()
    """Header lines for a provider of the same dialect: (ours that it replaces, it)."""
    plain: bool = False  # nothing but the body is to be looked at, and nothing of the answer kept
    passed: dict[str, Passed] = {}
    """Model -> what such a call was found to be; of keys without limits a minute. By `admission` alone."""

    def __repr__(self) -> str:
        return "Asking(...)"  # it holds a key


class Call(msgspec.Struct, eq=False):
    """One call of a client, from its first byte to its last."""

    id: str
    asking: Asking
    dialect: Dialect
    body: bytes
    peek: Peek
    started: float  # monotonic seconds
    key: Key | None = None  # set by policies.auth
    route: Route | None = None  # set by policies.route
    thoughts: Thoughts | None = None  # where the call is translated, from then on
    freetext: Names = NONE  # likewise: its tools of free text, for which a function may have stood
    twins: str = ""  # set by policies.share: the sides that are asked the same, unserved

    @property
    def owner(self) -> str:
        """Whose it is, for what is remembered between calls."""
        return self.key.id if self.key is not None else ""

    def __repr__(self) -> str:
        return f"Call({self.id!r})"  # a prompt stands in no log


class Local:
    """What the calls of one process share. The app replaces `keys`, `catalogue` and `settings` whole."""

    __slots__ = (
        "breakers",
        "catalogue",
        "dialogues",
        "keys",
        "meters",
        "price",
        "retries",
        "settings",
        "thoughts",
    )

    def __init__(
        self,
        keys: KeyRing,
        catalogue: Catalogue,
        settings: Settings,
        price: Callable[[Target, int], Price | None],
    ) -> None:
        self.keys = keys
        self.catalogue = catalogue
        self.settings = settings
        self.price = price  # (target, Unix ms) -> what it costs
        self.breakers: dict[tuple[str, str, str], Breaker] = {}  # by policies.breaker
        self.meters: dict[str, Meter] = {}  # by policies.limits, one a key that has limits
        self.retries = RetryBudget()  # by policies.retry
        self.dialogues: dict[int, float] = {}  # by policies.share: the incumbent's, and when each last spoke
        self.thoughts = Thoughts()  # of answers that were translated


class Breaker:
    """Whether a (provider, model, key) is worth asking. Changed by policies.breaker alone."""

    __slots__ = ("failures", "kind", "open_until", "opened", "probing")

    def __init__(self) -> None:
        self.kind = ""  # of the last fault
        self.failures = 0  # in a row
        self.open_until = 0.0  # monotonic seconds; 0: closed
        self.opened = 0  # times in a row it opened: the pause doubles
        self.probing = False  # half-open, and the one probe is under way


class Meter:
    """Requests and tokens of one key in the running minute. Changed by policies.limits alone."""

    __slots__ = ("at", "requests", "tokens")

    def __init__(self, now: float) -> None:
        self.at = now
        self.requests = 0.0  # leaky buckets: what is left of the past minute
        self.tokens = 0.0


class RetryBudget:
    """What may be spent on second attempts. Changed by policies.retry alone, but for `calls`."""

    __slots__ = ("at", "balance", "calls")

    def __init__(self) -> None:
        self.at = 0.0
        self.calls = 0  # since `at`, each of which pays in; counted by the exchange
        self.balance = 100.0  # what ten quiet seconds would have saved up


Policy = Callable[[Call, Local, float], Fault | None]
"""(call, local, monotonic seconds now) -> None to go on, or the fault to refuse with."""


class World(Protocol):
    """What a call may ask of the outside. All of these return at once."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def wall_ms(self) -> int:
        """Unix milliseconds."""

    def chance(self) -> float:
        """A number in [0, 1)."""

    def send(self, target: Target, outgoing: Outgoing, sink: Sink) -> Flow: ...

    def opened(self, row: Opened) -> None:
        """Make the row durable. Raises `Fault` (unavailable) where it cannot: then nothing is sent."""

    def settled(self, row: Settled, call: Call, target: Target) -> None: ...

    def reserve(self, key: Key, attempt: str, nanousd: int) -> bool:
        """Set aside a part of the key's budget; False: not enough is left."""

    def post(self, attempt: str, nanousd: int | None) -> None:
        """Replace the hold by the cost; None: not known, the whole hold is taken."""

    def over(self, call: Call) -> None:
        """Nothing more will happen to it."""
