"""A turn: one readable batch of one upstream connection, and the answers that it moves on.

An answer's head, its pieces and its end often arrive in one batch. While a turn is open, what is written
to a client is held; when it closes, each client gets its bytes in one write. A system call costs more
than everything else that is done for a small piece.

The client opens and closes turns, the server asks whether one is open; both are given the same `Turn`
by whoever builds them. Turns do not nest: a batch is read to its end before the next.
"""

from typing import Protocol


class Held(Protocol):
    def flush(self) -> None: ...


class Turn:
    """Whoever sets `open` calls `flush` after it is over, where anything is `held`."""

    __slots__ = ("held", "open")

    def __init__(self) -> None:
        self.open = False
        self.held: list[Held] = []

    def hold(self, who: Held) -> None:
        """`who` has bytes to write when the turn closes; to be said once until it is flushed."""
        self.held.append(who)

    def flush(self) -> None:
        held, self.held = self.held, []
        for who in held:
            who.flush()
