"""Prices: the list says what the package it is made from says, for every model, and otherwise nothing."""

import itertools
from collections import Counter
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import pytest
from genai_prices import types as theirs
from genai_prices.data_snapshot import DataSnapshot, get_snapshot

from fungible import pricelist, prices
from fungible.faults import Fault
from fungible.ir import Usage
from fungible.money import cost
from fungible.prices import LOCAL, PriceBook, configured

MOMENTS = [
    datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    datetime(2026, 11, 23, 3, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 0, 0, tzinfo=UTC),
    datetime(2024, 1, 1, 23, 59, tzinfo=UTC),
    datetime(2028, 1, 1, 8, 0, tzinfo=UTC),
]
NOW = MOMENTS[0]

USAGES = [
    {"input_tokens": 0, "output_tokens": 0},
    {"input_tokens": 1_000, "output_tokens": 500},
    {"input_tokens": 1_000_001, "output_tokens": 7, "cache_read_tokens": 999_999},
    {"input_tokens": 200_001, "output_tokens": 3, "cache_write_tokens": 100_000, "cache_read_tokens": 50_000},
    {
        "input_tokens": 90_000,
        "output_tokens": 3,
        "cache_write_tokens": 90_000,
        "cache_write_1h_tokens": 40_001,
    },
]
SOUND = {"input_tokens": 1_000, "output_tokens": 500, "input_audio_tokens": 400, "output_audio_tokens": 300}


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    state = tmp_path_factory.mktemp("prices")
    prices.compile_list(state)
    return state


@pytest.fixture
def book(folder) -> PriceBook:
    return PriceBook.load(folder)


def said_by_the_package(snapshot: DataSnapshot, provider: str, model: str, usage, moment, context=None):
    """Nano-dollars rounded up, None where it knows no such model."""
    try:
        told = snapshot.calc(theirs.Usage(**usage), model, provider, None, moment, context)
    except LookupError:
        return None
    return int((told.total_price * 10**9).to_integral_value(ROUND_CEILING))


def every_model() -> list[tuple[str, theirs.ModelInfo]]:
    return [(p.id, m) for p in get_snapshot().providers for m in p.models]


def parts(model: theirs.ModelInfo, moment: datetime) -> set[str]:
    return {k for k, v in vars(model.get_prices(moment)).items() if v is not None}


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m.strftime("%Y-%m-%dT%H%MZ"))
def test_every_model_costs_what_the_package_says(book, moment):
    snapshot, seen = get_snapshot(), Counter()
    for (provider, model), usage in itertools.product(every_model(), USAGES):
        price = book.find(provider, model.id, ms(moment))
        try:
            theirs_model = snapshot.find_provider_model(model.id, None, provider, None)[1]
        except LookupError:  # an id that its own clause does not mean
            assert price is None
            continue
        if price is None:
            assert not_told_by_tokens(theirs_model, moment), (provider, model.id)
            seen["not told by tokens"] += 1
            continue
        expected = said_by_the_package(snapshot, provider, model.id, usage, moment)
        told = cost(price, Usage(**usage))
        if finer_than_femto_dollars(theirs_model, moment):
            assert abs(told - expected) <= 1, (provider, model.id, usage, price)
            seen["rounded"] += 1
            continue
        assert told == expected, (provider, model.id, usage, price)
        seen["equal"] += 1
    assert seen["equal"] > 9_000
    assert seen["rounded"] < 200
    assert seen["not told by tokens"] < seen["equal"] / 5


def not_told_by_tokens(model: theirs.ModelInfo, moment: datetime) -> bool:
    said = parts(model, moment)
    return "input_mtok" not in said or bool(
        said - pricelist.PLAIN.keys() - pricelist.APART.keys() - {"requests_kcount"}
    )


def finer_than_femto_dollars(model: theirs.ModelInfo, moment: datetime) -> bool:
    values = [v for v in vars(model.get_prices(moment)).values() if v is not None]
    tiers = [t.price for v in values if isinstance(v, theirs.TieredPrices) for t in v.tiers]
    flat = [v.base if isinstance(v, theirs.TieredPrices) else v for v in values] + tiers
    return any(v != v.quantize(pricelist.FINEST) for v in flat)


def test_sound_costs_what_the_package_says(book):
    seen = 0
    for provider, model in every_model():
        if not parts(model, NOW) & {"input_audio_mtok", "output_audio_mtok"}:
            continue
        price = book.find(provider, model.id, ms(NOW))
        if price is None:
            continue
        usage = {
            k: v
            for k, v in SOUND.items()
            if "audio" not in k or getattr(price, k.removesuffix("_tokens")) is not None
        }
        expected = said_by_the_package(get_snapshot(), provider, model.id, usage, NOW)
        assert cost(price, Usage(**usage)) == expected, (provider, model.id)
        seen += 1
    assert seen > 5


def texts(match) -> list[str]:
    """Names made from what a model's own clause speaks of."""
    match match:
        case theirs.ClauseOr():
            return [t for c in match.or_ for t in texts(c)]
        case theirs.ClauseAnd():
            inner = ["".join(ts) for ts in itertools.product(*(texts(c)[:2] or [""] for c in match.and_))]
            return inner + [t for c in match.and_ for t in texts(c)]
        case theirs.ClauseRegex():
            return []
        case theirs.ClauseEquals():
            return [match.equals, match.equals.upper(), match.equals + "-x", match.equals + "-20251211"]
        case theirs.ClauseStartsWith():
            return [match.starts_with, match.starts_with + "-20260401:free", "x" + match.starts_with]
        case theirs.ClauseEndsWith():
            return [match.ends_with, "x" + match.ends_with]
        case theirs.ClauseContains():
            return [match.contains, f"a{match.contains}b"]
    raise AssertionError(match)


def test_names_are_matched_as_the_package_matches_them(book):
    snapshot, found, missed = get_snapshot(), 0, 0
    for provider, model in every_model()[::4]:
        for name in texts(model.match):
            try:
                expected = snapshot.find_provider_model(name, None, provider, None)[1].id
            except LookupError:
                expected = None
            mine = book.model(provider, name)
            assert (mine.id if mine else None) == expected, (provider, name)
            found, missed = found + (mine is not None), missed + (mine is None)
    assert found > 1_000
    assert missed > 100


def test_variants_cost_what_the_package_says(book):
    snapshot, seen = get_snapshot(), 0
    for provider, model in every_model():
        for variant in model.price_variants or ():
            for moment in MOMENTS:
                context = dict(variant.when)
                price = book.find(provider, model.id, ms(moment), tuple(context.items()))
                if price is None:
                    continue
                for usage in USAGES:
                    expected = said_by_the_package(snapshot, provider, model.id, usage, moment, context)
                    assert cost(price, Usage(**usage)) == expected, (provider, model.id, context, usage)
                    seen += 1
    assert seen > 1_000


def test_a_price_names_its_list_its_model_and_its_day(book):
    dated = [
        book.find(p, m.id, ms(NOW))
        for p, m in every_model()
        if isinstance(m.prices, list)
        and any(isinstance(c.constraint, theirs.StartDateConstraint) for c in m.prices)
    ]
    ids = [price.id for price in dated if price is not None]
    version = prices.package_version()
    assert all(i.startswith(f"genai-prices:{version}/") for i in ids)
    assert sum("@20" in i for i in ids) > 50
    assert all(price.source == f"genai-prices {version}" for price in dated if price is not None)


def test_a_remembered_price_gives_way_on_its_day(book):
    turns = 0
    for provider, model in every_model():
        listed = book.model(provider, model.id)
        days = [p.start_ms for p in listed.prices if p.start_ms] if listed is not None else []
        for day in days:
            before, after = book.find(provider, model.id, day - 1), book.find(provider, model.id, day)
            fresh = PriceBook(book._list)
            assert after == fresh.find(provider, model.id, day)
            assert before == fresh.find(provider, model.id, day - 1)
            turns += before != after
    assert turns > 50


def test_prices_by_the_hour_change_within_a_day(book):
    by_hour = [
        (p, m.id)
        for p, m in every_model()
        if isinstance(m.prices, list)
        and any(isinstance(c.constraint, theirs.TimeOfDateConstraint) for c in m.prices)
    ]
    assert by_hour
    changed = 0
    for provider, model in by_hour:
        told = []
        for quarter in range(96):
            at = ms(datetime(2025, 11, 23, tzinfo=UTC)) + quarter * 900_000
            price, again = book.find(provider, model, at), PriceBook(book._list).find(provider, model, at)
            assert price == again
            told.append(price.id if price else None)
        changed += len(set(told)) > 1
    assert changed


@pytest.mark.parametrize(
    ("provider", "model"), [("nobody", "gpt-4o"), ("openai", "no-such-model"), ("", ""), ("openai", "")]
)
def test_what_is_not_listed_has_no_price(book, provider, model):
    assert book.find(provider, model, ms(NOW)) is None


def test_without_a_list_nothing_is_known_and_nothing_is_free(tmp_path):
    empty = PriceBook.load(tmp_path)
    assert empty.find("openai", "gpt-4o", ms(NOW)) is None
    assert empty.names("openai") == frozenset()
    assert not empty.serves("openai", "gpt-4o")
    assert (empty.version, empty.newest_ms) == ("", 0)


def test_a_list_that_cannot_be_read_is_none(tmp_path):
    prices.current_list(tmp_path).write_bytes(b"\x81no list")
    assert PriceBook.load(tmp_path).version == ""


def test_an_older_list_serves_until_the_new_one_is_made(folder, tmp_path):
    data = prices.current_list(folder).read_bytes()
    prices.list_path(tmp_path, "0.0.1").write_bytes(data)
    assert PriceBook.load(tmp_path).find("openai", "gpt-4o", ms(NOW)) is not None
    running = prices.start_compiling(tmp_path)
    assert running is not None
    assert running.wait(60) == 0
    running.stderr.close()
    assert prices.current_list(tmp_path).exists()
    assert prices.start_compiling(tmp_path) is None
    assert not list(tmp_path.glob("*.new"))


def test_a_list_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault) as refused:
        prices.compile_list(tmp_path / "file" / "state")
    assert refused.value.kind == "internal"
    assert "price list" in refused.value.message


def test_the_configuration_comes_before_the_list(folder):
    own = configured("openai/gpt-4o", input_usd_per_mtok=0.15, output_usd_per_mtok="0.60")
    book = PriceBook.load(folder, {"openai/gpt-4o": own})
    assert book.find("openai", "gpt-4o", ms(NOW)) is own
    assert own.id == "config:openai/gpt-4o"
    assert cost(own, Usage(input_tokens=10**6, output_tokens=10**6)) == 750_000_000
    assert book.find("openai", "gpt-4o-mini", ms(NOW)).source != own.source


def test_a_configured_price_with_a_part_missing_stays_unknown():
    half = configured("house/x", input_usd_per_mtok=1, output_usd_per_mtok=None)
    assert cost(half, Usage(input_tokens=1, output_tokens=1)) is None


def test_models_of_ones_own_machine_cost_nothing_and_say_so():
    assert cost(LOCAL, Usage(input_tokens=10**9, output_tokens=10**9)) == 0
    assert LOCAL.id == "local"


def test_the_list_knows_its_age_and_its_models(book):
    assert (
        datetime(2026, 1, 1, tzinfo=UTC)
        < datetime.fromtimestamp(book.newest_ms / 1000, UTC)
        <= datetime.now(UTC)
    )
    assert book.version == prices.package_version()
    assert "gpt-4o" in book.names("openai")
    assert book.serves("openai", "gpt-4o")
    rows = list(prices.listed_models(book, "anthropic", ms(NOW)))
    assert len(rows) > 10
    assert all(row.context_tokens or row.context_tokens is None for row, _ in rows)
    assert sum(price is not None for _, price in rows) > 10


def test_names_made_up_by_callers_do_not_pile_up(book, monkeypatch):
    monkeypatch.setattr(prices, "REMEMBERED_MAX", 50)
    for number in range(500):
        book.find("openai", f"made-up-{number}", ms(NOW))
    assert len(book._remembered) <= 50


def test_a_price_that_tokens_do_not_tell_is_left_out():
    by_kind = theirs.ModelPrice(
        input_mtok=Decimal(2), output_mtok=Decimal(8), output_reasoning_mtok=Decimal(3)
    )
    by_page = theirs.ModelPrice(
        input_mtok=Decimal(2), output_mtok=Decimal(8), input_document_kpages=Decimal(1)
    )
    same = theirs.ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(8), input_image_mtok=Decimal(2))
    assert pricelist.rates(by_kind, partial=False) is None
    assert pricelist.rates(by_page, partial=False) is None
    (row,) = pricelist.rates(same, partial=False)
    assert (row.input, row.output) == (2 * 10**9, 8 * 10**9)
