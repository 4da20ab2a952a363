"""`fungible models`: what can be asked for."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from rich.table import Table

from ..config import Config
from ..gateway import Prices
from ..models import Catalogue
from ..money import FEMTO_PER_USD_PER_MTOK, Price
from ..prices import PriceBook, compile_list
from ..retirement import Calendar, Retirement
from .options import config_option, console, json_option, load, styled
from .retiring import calendar_of


@click.command("models")
@click.argument("search", required=False)
@config_option
@json_option
def command(search: str | None, config_path: str | None, as_json: bool) -> None:
    """Routes, and the models of every provider that is on; with SEARCH those whose name holds it.

    A price is in USD per million tokens, with its source and the date it holds from. Names that are not
    listed can be asked for too, as provider/model: the provider decides.
    """
    config = load(config_path)
    compile_list(config.server.state)
    rows = [row for row in listed(config) if search is None or search in row["id"]]
    if as_json:
        off = {name: row.mend for name, row in config.catalogue.off.items()}
        click.echo(json.dumps({"models": rows, "providers_off": off}))
        return
    out = console()
    out.print(_table(rows))
    names = ", ".join(config.catalogue.off)
    if names and search is None:
        out.print(f"Not on, for want of a key: {names}.", style="dim", highlight=False)
        out.print("A provider is on when its usual environment variable is set.", style="dim")


def listed(config: Config) -> list[dict[str, Any]]:
    """A row for each name that can be asked for. Prices in USD per million tokens, None: not known."""
    book = PriceBook.load(config.server.state)
    catalogue = config.catalogue.knowing(book)
    price_of = Prices(catalogue, book.find)
    now_ms = time.time_ns() // 1_000_000
    return [*_routes(catalogue), *_models(catalogue, book, price_of, calendar_of(config), now_ms)]


def _routes(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    for name, plan in catalogue.plans.items():
        targets = [f"{provider}/{model}" for provider, model in plan.targets]
        yield {"id": name, "kind": "route", "strategy": plan.strategy, "targets": targets}


def _models(
    catalogue: Catalogue, book: PriceBook, price_of: Prices, calendar: Calendar, now_ms: int
) -> Iterator[dict[str, Any]]:
    newest = datetime.fromtimestamp(book.newest_ms / 1000, UTC).strftime("%Y-%m-%d")
    for provider in catalogue.providers:
        for model in catalogue.of(provider):
            target = catalogue.target(provider, model)
            facts = catalogue.facts(target)
            known = book.model(target.prices, model) if target.prices else None
            retirement = calendar.find(catalogue.providers[provider].provider, model)
            context = facts.context_tokens if facts is not None else None
            yield {
                "id": target.name,
                "kind": "model",
                "dialect": target.dialect,
                "context_tokens": context or (known.context_tokens if known is not None else None),
                "max_output_tokens": facts.max_output_tokens if facts is not None else None,
                "abilities": sorted(facts.abilities) if facts is not None and facts.abilities else None,
                "price": _price(price_of(target, now_ms), newest),
                "deprecated": known.deprecated if known is not None else None,
                "retires": retirement.on if retirement is not None and retirement.firm else None,
                "retirement": _retirement(retirement) if retirement is not None else None,
            }


def _retirement(found: Retirement) -> dict[str, Any]:
    """What each source says; `retires` above is empty where a day is only `not sooner than`."""
    built: dict[str, Any] = msgspec.to_builtins(found)
    return {name: value for name, value in built.items() if name not in ("provider", "model")}


def _price(price: Price | None, newest: str) -> dict[str, Any] | None:
    if price is None:
        return None
    _, _, date = price.id.partition("@")
    return {
        "id": price.id,
        "source": price.source,
        "since": date or None,
        "as_of": None if price.id.startswith(("local", "config:")) else newest,
        "input_usd_per_mtok": _usd(price.input),
        "output_usd_per_mtok": _usd(price.output),
        "cache_read_usd_per_mtok": _usd(price.cache_read),
        "cache_write_usd_per_mtok": _usd(price.cache_write),
    }


def _usd(rate: int | None) -> float | None:
    return rate / FEMTO_PER_USD_PER_MTOK if rate is not None else None


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("ask for", overflow="fold")
    for column in ("input", "output", "context"):
        table.add_column(column, justify="right")
    table.add_column("price from", overflow="fold")
    for row in rows:
        if row["kind"] == "route":
            name = styled((row["id"], "bold"))
            table.add_row(name, "", "", "", f"{row['strategy']}: {', '.join(row['targets'])}")
            continue
        price = row["price"] or {}
        numbers = [_shown(price.get(f"{side}_usd_per_mtok")) for side in ("input", "output")]
        context = f"{row['context_tokens']:,}" if row["context_tokens"] else "-"
        origin = _origin(price) if price else "not known"
        note = " (deprecated)" if row["deprecated"] else ""
        if row["retires"]:
            note = f" (retires {row['retires']})"
        table.add_row(styled(row["id"], (note, "yellow")), *numbers, context, origin)
    table.caption = f"USD per million tokens, {datetime.now(UTC):%Y-%m-%d}"
    table.caption_justify = "left"
    return table


def _shown(usd: float | None) -> str:
    return f"{usd:g}" if usd is not None else "-"


def _origin(price: dict[str, Any]) -> str:
    if price["since"]:
        return f"{price['source']}, since {price['since']}"
    return f"{price['source']}, as of {price['as_of']}" if price["as_of"] else str(price["source"])
