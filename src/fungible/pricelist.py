"""The price list: what `genai-prices` knows, as plain data that loads in a few milliseconds.

Importing that package takes about a second and 30 MB, so it is imported here and nowhere else, and this
module is never imported by a server: it is run in a process of its own (`python -m fungible.pricelist
FOLDER`, see `prices.compile_list`) and leaves one file behind.

Rates become integers (femto-dollars a token). A model whose price has a part that a token count cannot
tell (dearer image tokens, reasoning apart from output, pages, hours) is left without a price rather than
given a wrong one. Fees by the search are not in the list.
"""

import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import types as theirs
from genai_prices.data import providers

from .money import rate
from .prices import (
    FORMAT,
    Clause,
    Kind,
    ListedModel,
    ListedPrice,
    ListedProvider,
    PriceList,
    Rates,
    list_path,
)

PLAIN = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
}
APART = {
    "web_searches_kcount": "a fee for a tool of the provider's, not for tokens",
    "storage_searches_kcount": "likewise",
    "cache_audio_read_mtok": "usage does not tell cached sound from cached text; text's rate is used",
    "cache_image_read_mtok": "likewise, of images",
}
"""Rates that are left out of a price that is listed all the same, and why."""

FINEST = Decimal("0.000000001")
"""USD per million tokens. Where the package has more digits they are a binary float's residue, or a twelfth
written out; to the nearest, they come to less than a nano-dollar in a million tokens."""

CLAUSES: dict[type, tuple[Kind, str]] = {
    theirs.ClauseEquals: ("=", "equals"),
    theirs.ClauseStartsWith: ("^", "starts_with"),
    theirs.ClauseEndsWith: ("$", "ends_with"),
    theirs.ClauseContains: ("*", "contains"),
}


def clause(match: Any) -> Clause:
    kind = CLAUSES.get(type(match))
    if kind is not None:
        return Clause(kind[0], getattr(match, kind[1]).lower())
    match match:
        case theirs.ClauseRegex():
            return Clause("~", match.regex)
        case theirs.ClauseOr():
            return Clause("|", "", tuple(clause(c) for c in match.or_))
        case theirs.ClauseAnd():
            return Clause("&", "", tuple(clause(c) for c in match.and_))
    raise TypeError(f"an unknown kind of match: {match!r}")


def rates(prices: theirs.ModelPrice, *, partial: bool) -> tuple[Rates, ...] | None:
    """Each tier's rates, lowest threshold first; None for a price that tokens cannot tell.

    `partial`: the rest is as in the standard price (a service tier's, say).
    """
    said = {k: v for k, v in vars(prices).items() if v is not None and not k.startswith("_")}
    if not partial and "input_mtok" not in said:
        return None
    starts = {0}
    for value in said.values():
        if isinstance(value, theirs.TieredPrices):
            starts |= {tier.start for tier in value.tiers}
    free_output = not partial and not any(name.startswith("output") for name in said)
    tiers = [_tier(said, start, free_output) for start in sorted(starts)]
    return None if any(t is None for t in tiers) else tuple(t for t in tiers if t is not None)


def _tier(said: dict[str, Any], start: int, free_output: bool) -> Rates | None:
    plain: dict[str, int] = {"output": 0} if free_output else {}  # embeddings: the list has no rate for it
    for name, value in said.items():
        usd = value
        if isinstance(value, theirs.TieredPrices):
            usd = ([value.base] + [tier.price for tier in value.tiers if tier.start <= start])[-1]
        if name in PLAIN:
            plain[PLAIN[name]] = rate(usd.quantize(FINEST))
        elif name == "requests_kcount":
            plain["request"] = rate(usd.quantize(FINEST)) * 1000
        elif name not in APART and usd != _text_rate(said, name):
            return None
    return Rates(above_tokens=start, **plain)


def _text_rate(said: dict[str, Any], name: str) -> Any:
    """What tokens of another kind would cost as text: such a rate is nothing of its own."""
    return said.get(name.split("_", 1)[0] + "_mtok") if name.endswith("_mtok") else None


def listed(prices: theirs.ModelPrice, constraint: Any, when: dict[str, str] | None = None) -> ListedPrice:
    start: date | None = None
    day: tuple[int, int] | None = None
    match constraint:
        case theirs.StartDateConstraint():
            start = constraint.start_date
        case theirs.TimeOfDateConstraint():
            day = (_day_ms(constraint.start_time), _day_ms(constraint.end_time))
        case None:
            pass
        case _:
            raise TypeError(f"an unknown kind of constraint: {constraint!r}")
    return ListedPrice(
        rates=rates(prices, partial=when is not None),
        start_ms=None if start is None else _date_ms(start),
        day_ms=day,
        when=tuple(sorted((when or {}).items())),
    )


def _date_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _day_ms(at: time) -> int:
    offset = at.utcoffset()
    seconds = at.hour * 3600 + at.minute * 60 + at.second - (offset.total_seconds() if offset else 0)
    return int(seconds % 86_400) * 1000


def compiled(today_ms: int) -> PriceList:
    rows: dict[str, ListedProvider] = {}
    starts = [0]
    for provider in providers:
        models = []
        for model in provider.models:
            said = model.prices
            if isinstance(said, theirs.ModelPrice):
                prices = [listed(said, None)]
            else:
                prices = [listed(p.prices, p.constraint) for p in said]
            prices += [listed(v.prices, v.constraint, v.when) for v in model.price_variants or ()]
            starts += [p.start_ms for p in prices if p.start_ms is not None and p.start_ms <= today_ms]
            models.append(
                ListedModel(
                    id=model.id,
                    match=clause(model.match),
                    prices=tuple(prices),
                    name=model.name,
                    context_tokens=model.context_window,
                    deprecated=bool(model.deprecated),
                )
            )
        rows[provider.id] = ListedProvider(tuple(provider.fallback_model_providers or ()), tuple(models))
    encode = msgspec.msgpack.Encoder().encode
    return PriceList(
        format=FORMAT,
        package="genai-prices",
        version=version("genai-prices"),
        newest_ms=max(starts),
        providers={name: msgspec.Raw(encode(row)) for name, row in rows.items()},
    )


def main(folder: str) -> None:
    book = compiled(int(datetime.now(UTC).timestamp() * 1000))
    path = list_path(Path(folder), book.version)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    bare = path.with_suffix(f".{id(book)}.new")
    bare.write_bytes(msgspec.msgpack.encode(book))
    bare.replace(path)


if __name__ == "__main__":
    main(sys.argv[1])
