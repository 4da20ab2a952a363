"""How much may this attempt cost at most? The hold that a hard budget sets aside before it is sent.

A hold is an upper bound: every byte of the request counts as a token (a byte-level tokenizer makes no
more tokens than bytes), every allowed output token is used, at the dearest rate of the price. Where no
bound is known, an attempt under a budget is refused; nothing is admitted on a guess.
"""

from ..faults import Fault
from ..money import FEMTO_PER_NANO, Price

INPUT_RATES = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio")
OUTPUT_RATES = ("output", "output_audio")
OUTPUT_TOKENS_MAX = 128_000  # when the caller sets no limit: no model served today writes more in a call


def hold(price: Price | None, model: str, request_bytes: int, max_output_tokens: int | None) -> int | Fault:
    """Nano-dollars to set aside, or the refusal."""
    if price is None or price.input is None or price.output is None:
        return Fault(
            "budget",
            f"The price of {model!r} is not known, and this key has a budget. "
            f'Set [model."{model}"] input_usd_per_mtok and output_usd_per_mtok in the configuration.',
            code="price_unknown",
        )
    dearest_in, dearest_out = max(_rates(price, INPUT_RATES)), max(_rates(price, OUTPUT_RATES))
    output = max_output_tokens if max_output_tokens is not None else OUTPUT_TOKENS_MAX
    total = price.request + request_bytes * dearest_in + output * dearest_out
    return -(-total // FEMTO_PER_NANO)


def exhausted(budget_nanousd: int) -> Fault:
    from_usd = budget_nanousd / 1_000_000_000
    return Fault(
        "budget",
        f"This key's budget of ${from_usd:.2f} does not cover this call. Lower the call's token limit, "
        "wait for the next window, or ask an operator for a larger budget.",
        code="insufficient_quota",
    )


def _rates(price: Price, names: tuple[str, ...]) -> list[int]:
    rows = [price] if price.above is None else [price, price.above]
    return [r for row in rows for name in names if (r := getattr(row, name)) is not None]
