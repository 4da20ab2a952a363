"""What a rehearsal asks of the outside: that a recording be replayed, texts be embedded, a price be told.

Given by whoever runs it, so that nothing here knows a client, a loop or a clock.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..money import Price
from ..recording import Recording


class Replayed(msgspec.Struct, frozen=True):
    """An answer, and [path, kind] of what translation lost on both ways. `sent`: it was put to a provider.

    `wait_ms`: how long the provider, or fungible, asks to be left alone.
    """

    recording: Recording
    lost: tuple[tuple[str, str], ...] = ()
    sent: bool = True
    wait_ms: int | None = None


class Asker(Protocol):
    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        """Ask `target` what the recording asked. Raises nothing for what the answer is."""

    async def embed(
        self, model: str, texts: Sequence[str], tags: str
    ) -> tuple[list[tuple[float, ...]], int | None]:
        """A vector for each text, and what that cost in nano-dollars. Raises Fault."""

    def price(self, target: str) -> Price | None:
        """Of a name that can be asked for, now. Raises Fault (not_found) for one that cannot."""

    async def pause(self, seconds: float) -> None: ...

    def now_s(self) -> float:
        """Monotonic."""
