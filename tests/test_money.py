"""Money: integers, exact against rational arithmetic, rounded once, up; unknown is never 0."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.ir import Usage
from fungible.money import NANO, Price, cost, rate, usd

RATES = st.one_of(st.integers(0, 10**12), st.sampled_from([0, 1, 10**9, 75 * 10**7, 10**12 - 1]))
COUNTS = st.integers(0, 10**8)
MAYBE = st.one_of(st.none(), RATES)


@st.composite
def price_of(draw: st.DrawFn, tiers: bool = True) -> Price:
    flat = Price(
        id="p", source="test", input=draw(RATES), output=draw(RATES), cache_read=draw(MAYBE),
        cache_write=draw(MAYBE), cache_write_1h=draw(MAYBE), input_audio=draw(MAYBE), output_audio=draw(MAYBE),
        request=draw(st.integers(0, 10**14)),
    )  # fmt: skip
    if not tiers or draw(st.booleans()):
        return flat
    return msgspec.structs.replace(flat, above_tokens=draw(COUNTS), above=draw(price_of(tiers=False)))


@st.composite
def usage_of(draw: st.DrawFn) -> Usage:
    """Parts that are no more than their totals, as a provider that can count tells them."""
    text, read, short, hour, sound = (draw(COUNTS) for _ in range(5))
    out, spoken = draw(COUNTS), draw(COUNTS)
    return Usage(
        input_tokens=text + read + short + hour + sound, output_tokens=out + spoken, cache_read_tokens=read,
        cache_write_tokens=short + hour, cache_write_1h_tokens=hour, input_audio_tokens=sound,
        output_audio_tokens=spoken,
    )  # fmt: skip


def in_fractions(price: Price, usage: Usage) -> int:
    """The same bill, written as a sum over the kinds of tokens, in dollars, rounded at the end."""
    if price.above is not None and usage.input_tokens > price.above_tokens:
        return in_fractions(price.above, usage)
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    hour = write if price.cache_write_1h is None else price.cache_write_1h
    sound = price.input if price.input_audio is None else price.input_audio
    spoken = price.output if price.output_audio is None else price.output_audio
    hours = usage.cache_write_1h_tokens
    shorts = usage.cache_write_tokens - hours
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens - usage.input_audio_tokens
    written = usage.output_tokens - usage.output_audio_tokens
    lines = [
        (plain, price.input), (usage.cache_read_tokens, read), (shorts, write), (hours, hour),
        (usage.input_audio_tokens, sound), (written, price.output), (usage.output_audio_tokens, spoken),
        (1, price.request),
    ]  # fmt: skip
    dollars = sum((Fraction(count) * Fraction(femto, 10**15) for count, femto in lines), Fraction(0))
    return ceil(dollars * NANO)


@given(price_of(), usage_of())
def test_a_bill_is_the_exact_sum_rounded_up_once(price: Price, usage: Usage):
    assert cost(price, usage) == in_fractions(price, usage)


@given(price_of(tiers=False), usage_of(), st.integers(1, 10**6))
def test_more_tokens_never_cost_less(price: Price, usage: Usage, more: int):
    longer = msgspec.structs.replace(
        usage, input_tokens=usage.input_tokens + more, output_tokens=usage.output_tokens + more
    )
    assert cost(price, longer) >= cost(price, usage) >= 0


@given(price_of(), st.tuples(*[st.one_of(st.none(), COUNTS)] * 5), COUNTS, COUNTS)
def test_a_miscount_is_no_crash_and_no_fraction(price: Price, parts: tuple, tokens_in: int, tokens_out: int):
    read, write, hour, sound, spoken = parts
    bill = cost(price, Usage(
        input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=read, cache_write_tokens=write,
        cache_write_1h_tokens=hour, input_audio_tokens=sound, output_audio_tokens=spoken,
    ))  # fmt: skip
    assert isinstance(bill, int)


def test_cached_tokens_beyond_the_input_are_cut_to_it():
    price = Price(id="p", source="test", input=10**9, output=0, cache_read=10**8)
    told = Usage(input_tokens=100, output_tokens=0, cache_read_tokens=10**9)
    assert cost(price, told) == cost(price, msgspec.structs.replace(told, cache_read_tokens=100)) == 10_000


@pytest.mark.parametrize(
    ("price", "usage"),
    [
        (Price(id="p", source="t", input=1, output=None), Usage(input_tokens=1, output_tokens=1)),
        (Price(id="p", source="t", input=None, output=1), Usage(input_tokens=1, output_tokens=1)),
        (Price(id="p", source="t", input=1, output=1), Usage(input_tokens=None, output_tokens=1)),
        (Price(id="p", source="t", input=1, output=1), Usage(input_tokens=1, output_tokens=None)),
    ],
)
def test_what_is_not_known_has_no_cost(price: Price, usage: Usage):
    assert cost(price, usage) is None


def test_a_long_context_holds_for_the_whole_call():
    tier = Price(id="p", source="t", input=2 * 10**9, output=4 * 10**9)
    price = Price(id="p", source="t", input=10**9, output=10**9, above_tokens=200_000, above=tier)
    assert cost(price, Usage(input_tokens=200_000, output_tokens=1)) == 200_001_000
    assert cost(price, Usage(input_tokens=200_001, output_tokens=1)) == 400_006_000


def test_the_smallest_part_of_a_nano_dollar_is_rounded_up():
    price = Price(id="p", source="t", input=1, output=0)
    assert cost(price, Usage(input_tokens=1, output_tokens=0)) == 1
    assert cost(price, Usage(input_tokens=0, output_tokens=0)) == 0


@given(st.integers(0, 10**15))
def test_a_rate_is_exact_in_the_decimal_that_was_written(billionths: int):
    written = Decimal(billionths) / 10**9
    assert rate(written) == rate(f"{written:f}") == billionths


@pytest.mark.parametrize(
    ("written", "femto"), [(0.1, 10**8), (0.15, 15 * 10**7), ("3", 3 * 10**9), (0, 0), ("1e-9", 1)]
)
def test_a_float_means_what_it_prints(written, femto):
    assert rate(written) == femto


@pytest.mark.parametrize(
    "wrong", ["", "free", "-1", -0.5, float("nan"), float("inf"), "1e-10", "0.0000000005"]
)
def test_what_is_no_price_is_refused(wrong):
    with pytest.raises(ValueError, match="price"):
        rate(wrong)


@given(st.integers(-(2**63), 2**63))
def test_dollars_are_written_out_exactly(nano: int):
    text = usd(nano)
    assert Decimal(text) * NANO == nano
    assert "e" not in text.lower()
    assert "." in text


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0.0"), (1, "0.000000001"), (1_234_567, "0.001234567"), (-5 * NANO, "-5.0")]
)
def test_dollars_read_like_dollars(nano, text):
    assert usd(nano) == text


def test_what_was_read_from_the_cache_was_not_written_to_it() -> None:
    """A provider that counts more cached tokens than input bills no surcharge for tokens that are not there."""
    price = Price(
        id="p",
        source="t",
        input=rate(3),
        output=rate(15),
        cache_read=rate("0.3"),
        cache_write=rate("3.75"),
        cache_write_1h=rate(6),
    )
    usage = Usage(
        input_tokens=100,
        output_tokens=0,
        cache_read_tokens=100,
        cache_write_tokens=50,
        cache_write_1h_tokens=50,
    )
    assert cost(price, usage) == 100 * 300
