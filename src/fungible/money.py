"""Money: integers of nano-dollars (1e-9 USD), computed exactly, rounded once, up.

A rate is an integer too: femto-dollars (1e-15 USD) per token, so one dollar per million tokens is
1,000,000,000. Every price that providers publish is a whole number of these; a finer one is refused.
An unknown price is None and never 0.
"""

from decimal import Decimal, InvalidOperation

import msgspec

from .ir import Usage

NANO = 1_000_000_000
FEMTO_PER_NANO = 1_000_000
FEMTO_PER_USD_PER_MTOK = 1_000_000_000


def rate(usd_per_mtok: str | int | float | Decimal) -> int:
    """Femto-dollars per token, exact in the decimal that was written (0.15, not its binary neighbour).

    Raises ValueError for what is no number, negative, or finer than a billionth of a dollar per million.
    """
    try:
        exact = Decimal(str(usd_per_mtok)) * FEMTO_PER_USD_PER_MTOK
    except InvalidOperation:
        raise ValueError(f"{usd_per_mtok!r} is not a price") from None
    if not exact.is_finite() or exact < 0 or exact != exact.to_integral_value():
        raise ValueError(f"{usd_per_mtok!r} is not a price in USD per million tokens")
    return int(exact)


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one model costs, from one source, at one time. Rates in femto-dollars per token.

    `id` names the row and its version. `cache_read` and `cache_write` default to the input's rate,
    `cache_write_1h` to `cache_write`'s, audio to text's: providers that name no such rate bill none.
    `request` is femto-dollars a call. With more than `above_tokens` of input, the row `above` holds
    for the whole call (long-context tiers).
    """

    id: str
    source: str
    input: int | None
    output: int | None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    request: int = 0
    above_tokens: int | None = None
    above: "Price | None" = None


def reduced(price: Price, percent: int, name: str, source: str) -> Price:
    """The price with `percent` of its rates for tokens, each rounded up; `name` is put behind the id."""
    rates = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "input_audio", "output_audio")
    said = {field: getattr(price, field) for field in rates}
    less = {field: -(-value * percent // 100) for field, value in said.items() if value is not None}
    above = price.above and reduced(price.above, percent, name, source)
    return msgspec.structs.replace(
        price, id=price.id + name, source=f"{price.source}; {source}", above=above, **less
    )


def cost(price: Price, usage: Usage) -> int | None:
    """Nano-dollars, or None where the price or the usage does not tell enough.

    A part larger than its total is cut to the total: a provider's miscount is no negative bill.
    """
    tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
    if tokens_in is None or tokens_out is None or price.input is None or price.output is None:
        return None
    if price.above is not None and price.above_tokens is not None and tokens_in > price.above_tokens:
        return cost(price.above, usage)
    total = price.request + tokens_in * price.input + tokens_out * price.output
    read, wrote = usage.cache_read_tokens, usage.cache_write_tokens
    if not (read or wrote or usage.input_audio_tokens or usage.output_audio_tokens):
        return -(-total // FEMTO_PER_NANO)
    left = tokens_in
    for count, special in (
        (read, price.cache_read),
        (wrote, price.cache_write),
        (usage.input_audio_tokens, price.input_audio),
    ):
        if count and special is not None:
            taken = min(count, left)
            left -= taken
            total += taken * (special - price.input)
    if usage.cache_write_1h_tokens and price.cache_write_1h is not None:
        short = price.cache_write if price.cache_write is not None else price.input
        unread = tokens_in - min(read or 0, tokens_in)
        hours = min(usage.cache_write_1h_tokens, wrote or 0, unread)
        total += hours * (price.cache_write_1h - short)
    if usage.output_audio_tokens and price.output_audio is not None:
        total += min(usage.output_audio_tokens, tokens_out) * (price.output_audio - price.output)
    return -(-total // FEMTO_PER_NANO)


def usd(nanousd: int) -> str:
    """Decimal dollars, exact, without an exponent: 1234567 -> '0.001234567'."""
    whole, part = divmod(abs(nanousd), NANO)
    text = f"{'-' if nanousd < 0 else ''}{whole}.{part:09d}".rstrip("0")
    return text + "0" if text.endswith(".") else text
