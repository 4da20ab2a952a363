"""One try at one target: how its row is closed, and how its cost is known.

A row (`account.Opened`) is there before the first byte goes out, and is closed exactly once:

    settled     the provider told the usage                          cost: usage x price
    estimated   it did not, or not to the end; counted from bytes    cost: estimate x price, said as such
    void        provably not accepted, or refused with a status      cost: 0
    unknown     nobody can say (a crash, a lost answer)              cost: not known

A row that is `open` belongs to a call under way; after a crash it becomes `unknown`.
"""

from typing import Literal

from .account import Settled
from .ir import Usage
from .money import Price, cost

Ending = Literal["settled", "estimated", "void", "unknown"]

BYTES_PER_TOKEN = 4  # of text, for estimates only; English prose on today's tokenizers is near it


def estimated(told: Usage | None, request_bytes: int, answer_bytes: int) -> Usage:
    """What the provider told, filled up from bytes where it told nothing."""
    read = told.input_tokens if told is not None else None
    said = told.output_tokens if told is not None else None
    counted = -(-answer_bytes // BYTES_PER_TOKEN)
    return Usage(
        input_tokens=read if read is not None else -(-request_bytes // BYTES_PER_TOKEN),
        output_tokens=max(said or 0, counted),
        cache_read_tokens=told.cache_read_tokens if told is not None else None,
        cache_write_tokens=told.cache_write_tokens if told is not None else None,
    )


def close(
    attempt: str,
    state: Ending,
    ended_ms: int,
    usage: Usage | None,
    price: Price | None,
    *,
    provider_request_id: str | None = None,
    status: int = 0,
    fault: str | None = None,
    losses: int = 0,
) -> Settled:
    """The closing row. A void attempt costs nothing; otherwise the cost is usage x price, or not known."""
    if state == "void":
        usage, amount = Usage(), 0
    elif usage is None:
        usage, amount = Usage(), None
    else:
        amount = cost(price, usage) if price is not None else None
    return Settled(
        attempt=attempt,
        state=state,
        ended_ms=ended_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nanousd=amount,
        price_id=price.id if price is not None and amount is not None and state != "void" else None,
        provider_request_id=provider_request_id,
        status=status or None,
        fault=fault,
        losses=losses,
    )
