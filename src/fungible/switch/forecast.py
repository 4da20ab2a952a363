"""What a rehearsal will cost, before it is begun: recorded tokens at the price of who is asked.

A recording without counts is counted by its bytes. The candidate's own tokens may be more or fewer: another
tokenizer, a longer answer; so while it runs the forecast is corrected by what the answers so far did cost.
A price that is not known makes the forecast not known, never 0.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ..ir import Usage
from ..money import Price, cost
from ..recordings import Kept

BYTES_PER_TOKEN = 4  # of text, for estimates only


class Forecast(msgspec.Struct, frozen=True):
    """`total` in nano-dollars of all that may be asked; `unknown`: whose price is not known."""

    total: int
    calls: int
    by: Mapping[str, int]
    unknown: tuple[str, ...] = ()


def usage_of(k: Kept) -> Usage:
    """What the recording took, or is likely to have taken."""
    read = k.row.input_tokens if k.row is not None else None
    wrote = k.row.output_tokens if k.row is not None else None
    return Usage(
        input_tokens=read if read is not None else -(-len(k.request) // BYTES_PER_TOKEN),
        output_tokens=wrote if wrote is not None else -(-len(k.answer) // BYTES_PER_TOKEN),
    )


def priced(usage: Usage, price: Price | None) -> int | None:
    """What it would cost at this price, in nano-dollars."""
    return cost(price, usage) if price is not None else None


def forecast(asked: Iterable[tuple[Usage, str]], prices: Mapping[str, Price | None]) -> Forecast:
    """Of replays, each what its recording took and who is asked."""
    by: dict[str, int] = {}
    unknown: dict[str, None] = {}
    calls = 0
    for usage, target in asked:
        amount = priced(usage, prices.get(target))
        calls += 1
        if amount is None:
            unknown[target] = None
        else:
            by[target] = by.get(target, 0) + amount
    return Forecast(sum(by.values()), calls, by, tuple(unknown))


JUDGING_TOKENS = (250, 60)
"""What a judge reads and writes beside the request and the answers."""


def judging(asked: Iterable[Usage], price: Price, share: float) -> int:
    """What judging these will cost: both orders, each with the request and two answers."""
    total = 0
    for usage in asked:
        read = (usage.input_tokens or 0) + 2 * (usage.output_tokens or 0) + JUDGING_TOKENS[0]
        total += 2 * (cost(price, Usage(input_tokens=read, output_tokens=JUDGING_TOKENS[1])) or 0)
    return round(total * share)


class Purse:
    """What may be spent: held before a call by forecast, settled by what it did cost.

    `limit` None: no limit. Nothing is held that would pass it; a call that turns out dearer than its forecast
    may pass it by that much, and the forecasts that follow are corrected by the ratio so far.
    """

    def __init__(self, limit: int | None, spent: int = 0) -> None:
        self.limit = limit
        self.spent = spent
        self.unpriced = 0  # calls whose cost is not known
        self._held = 0
        self._foreseen: dict[str, int] = {}
        self._came: dict[str, int] = {}

    def hold(self, target: str, foreseen: int | None) -> int | None:
        """What was held; None: there is too little left. What costs nothing is never too much."""
        amount = self.corrected(target, foreseen or 0)
        if amount and self.limit is not None and self.spent + self._held + amount > self.limit:
            return None
        self._held += amount
        return amount

    def settle(self, target: str, held: int, foreseen: int | None, came: int | None) -> None:
        self._held -= held
        if came is None:
            self.unpriced += 1
            self.spent += held
            return
        self.spent += came
        if foreseen:
            self._foreseen[target] = self._foreseen.get(target, 0) + foreseen
            self._came[target] = self._came.get(target, 0) + came

    def corrected(self, target: str, foreseen: int) -> int:
        """A forecast, made no smaller than what answers so far came to."""
        before = self._foreseen.get(target, 0)
        return foreseen if not before else max(foreseen, foreseen * self._came[target] // before)
