"""Idempotency keys: a request sent again under its `idempotency-key` is answered, not asked again.

As is customary (IETF draft-ietf-httpapi-idempotency-key-header; Stripe's API has the same four cases):

    first seen                          the call goes on, and its answer is kept
    the same request, answered          the answer again, with `idempotent-replayed: true`; nothing is spent
    the same request, under way         409
    another request under the same key  422

A key belongs to a virtual key and a path. What is no whole answer is forgotten, so that it can be tried
again: a failure that another try may mend, a stream that broke off, a client that left. All of it is this
process's own memory: it ends with the process, and another worker knows nothing of it.

Not here: clocks, sockets. Nothing of this is touched by a call without the header.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import TypeAlias

from .answer import Client
from .call import Call
from .faults import Fault

UnderWay: TypeAlias = Callable[[str], bool]

KEPT_S = 600.0
KEPT_BYTES_MAX = 64 * 1024 * 1024  # all answers together; the oldest go first
ANSWER_BYTES_MAX = 4 * 1024 * 1024  # a longer answer is not kept
KEY_BYTES_MAX = 255
TRY_AGAIN = frozenset({401, 403, 408, 409, 429})
WHOLE = b", state: settled, "  # in the last lines of a stream that came to its end
REPLAYED = b"idempotent-replayed: true\r\n"


class Kept:
    """One key's request, and its answer once that is whole. `body` None: not yet."""

    __slots__ = ("body", "call", "head", "print", "status", "streamed", "until")

    def __init__(self, call: str, print: bytes, until: float) -> None:
        self.call = call  # its id
        self.print = print
        self.until = until  # monotonic seconds
        self.status, self.head, self.streamed = 0, b"", False
        self.body: bytes | None = None


class Repeats:
    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}  # oldest first
        self._bytes = 0

    def take(
        self,
        key: bytes,
        owner: bytes,
        path: str,
        call: Call,
        client: Client,
        under_way: Callable[[str], bool],
    ) -> "Repeating | None":
        """The client to answer through; None where `client` has its answer. Raises `Fault` (409, 422, 400).

        `owner`: the virtual key as sent, which holds. `under_way`: whether the call of an id is.
        """
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise Fault(
                "bad_request", f"The header idempotency-key must have 1 to {KEY_BYTES_MAX} bytes.",
                path="headers.idempotency-key",
            )  # fmt: skip
        self._expire(call.started)
        name = sha256(b"%b\0%b\0%b" % (sha256(owner).digest(), path.encode(), key)).digest()
        print = sha256(call.body).digest()
        kept = self._kept.get(name)
        if kept is not None and (kept.body is not None or under_way(kept.call)):
            if kept.print != print:
                raise Fault(
                    "unprocessable",
                    "This idempotency-key was sent with another request. Send a new key with a new request.",
                    path="headers.idempotency-key",
                )
            if kept.body is None:
                raise Fault(
                    "conflict",
                    "The request with this idempotency-key is under way. Wait, or send it again later.",
                    path="headers.idempotency-key",
                )
            replay(kept, client)
            return None
        self.forget(name)
        self._kept[name] = kept = Kept(call.id, print, call.started + KEPT_S)
        return Repeating(client, self, name, kept)

    def keep(self, name: bytes, kept: Kept, body: bytes) -> None:
        if self._kept.get(name) is not kept:
            return
        kept.body = body
        self._bytes += len(body)
        for oldest in list(self._kept) if self._bytes > KEPT_BYTES_MAX else ():
            if self._kept[oldest].body is not None:
                self.forget(oldest)
            if self._bytes <= KEPT_BYTES_MAX:
                return

    def forget(self, name: bytes) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None and kept.body is not None:
            self._bytes -= len(kept.body)

    def _expire(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].until > now:
                return
            self.forget(oldest)


def replay(kept: Kept, client: Client) -> None:
    assert kept.body is not None, "only a whole answer is told again"
    if kept.streamed:
        client.start(kept.status, kept.head + REPLAYED)
        client.write(kept.body)
        client.end()
    else:
        client.reply(kept.status, kept.head + REPLAYED, kept.body)


class Repeating:
    """Implements `answer.Client`: tells the client, and keeps what it was told."""

    __slots__ = ("_client", "_length", "_name", "_pieces", "_repeats", "kept")

    def __init__(self, client: Client, repeats: Repeats, name: bytes, kept: Kept) -> None:
        self._client, self._repeats, self._name, self.kept = client, repeats, name, kept
        self._pieces: list[bytes] = []
        self._length = 0

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.kept.status, self.kept.head = status, head
        if status >= 500 or status in TRY_AGAIN or len(body) > ANSWER_BYTES_MAX:
            self._repeats.forget(self._name)
        else:
            self._repeats.keep(self._name, self.kept, body)
        self._client.reply(status, head, body)

    def start(self, status: int, head: bytes) -> None:
        self.kept.status, self.kept.head, self.kept.streamed = status, head, True
        self._client.start(status, head)

    def write(self, data: bytes) -> None:
        self._length += len(data)
        if self._length <= ANSWER_BYTES_MAX:
            self._pieces.append(data)
        self._client.write(data)

    def end(self) -> None:
        body = b"".join(self._pieces)
        if self._length <= ANSWER_BYTES_MAX and WHOLE in body[-4096:]:
            self._repeats.keep(self._name, self.kept, body)
        else:
            self._repeats.forget(self._name)
        self._client.end()
