"""One try at one target: how its row is closed, and how its cost is known.

A row (`account.Opened`) is there before the first byte goes out, and is closed exactly once:

    settled     the provider told the usage                          cost: usage x price
    estimated   it did not, or not to the end; counted from bytes    cost: estimate x price, said as such
    void        provably not accepted, or refused with a status      cost: 0
    unknown     nobody can say (a crash, a lost answer)              cost: not known

A row that is `open` belongs to a call under way; after a crash it becomes `unknown`.
"""

from collections.abc import Collection
from typing import Literal

from .account import Settled
from .call import Call
from .ir import Usage
from .losses import Loss, listed
from .models import Target
from .money import Price, cost

Ending = Literal["settled", "estimated", "void", "unknown"]

BYTES_PER_TOKEN = 4  # of text, for estimates only; English prose on today's tokenizers is near it
NO_PARTS = (None,) * 5
TOKENS_MAX = 1_000_000_000  # of one attempt; a provider that counts more has miscounted


def special(
    head: bytes, path: str, target: Target, call: Call, attempt: str, name: str | None
) -> tuple[bytes, str]:
    """A target's head and path, with what the call's own head adds to them or puts in their place.

    `name`: the header that tells the provider the attempt's id, where one is set.
    """
    asking, dialect = call.asking, call.dialect
    if asking.operation == "count":
        head, path = target.head_for(target.counting), target.path_for(target.counting)
    if target.dialect == dialect.name:
        for ours, theirs in asking.forward:
            head = head.replace(ours, theirs, 1) if ours is not None else head + theirs
    return (head if name is None else head + f"{name}: {attempt}\r\n".encode()), path


def is_bill(told: Usage | None) -> bool:
    """Whether a provider's usage says enough to be billed by: both totals, and no impossible number."""
    if told is None:
        return False
    read, said = told.input_tokens, told.output_tokens
    if read is None or said is None or not (0 <= read <= TOKENS_MAX and 0 <= said <= TOKENS_MAX):
        return False
    parts = (
        told.cache_read_tokens,
        told.cache_write_tokens,
        told.cache_write_1h_tokens,
        told.input_audio_tokens,
        told.output_audio_tokens,
    )
    return parts == NO_PARTS or all(count is None or count >= 0 for count in parts)


def estimated(told: Usage | None, request_bytes: int, answer_bytes: int) -> Usage:
    """What the provider told, filled up from bytes where it told nothing."""
    told = told if told is not None else Usage()
    read, said = _possible(told.input_tokens), _possible(told.output_tokens)
    counted = -(-answer_bytes // BYTES_PER_TOKEN)
    return Usage(
        input_tokens=read if read is not None else -(-request_bytes // BYTES_PER_TOKEN),
        output_tokens=max(said or 0, counted),
        cache_read_tokens=_possible(told.cache_read_tokens),
        cache_write_tokens=_possible(told.cache_write_tokens),
    )


def _possible(count: int | None) -> int | None:
    return count if count is not None and 0 <= count <= TOKENS_MAX else None


def close(
    attempt: str,
    state: Ending,
    ended_ms: int,
    usage: Usage | None,
    price: Price | None,
    provider_request_id: str | None = None,
    status: int = 0,
    fault: str | None = None,
    first_ms: int | None = None,
    losses: Collection[Loss] = (),
) -> Settled:
    """The closing row. A void attempt costs nothing; otherwise the cost is usage x price, or not known."""
    if state == "void":
        usage, amount = Usage(), 0
    elif usage is None:
        usage, amount = Usage(), None
    else:
        amount = cost(price, usage) if price is not None else None
    return Settled(
        attempt, state, ended_ms,
        usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens,
        usage.reasoning_tokens,
        amount, price.id if price is not None and amount is not None and state != "void" else None,
        provider_request_id, status or None, fault, first_ms, len(losses),
        listed(losses) if losses else "",
    )  # fmt: skip
