"""`fungible losses`: what was lost in translation, by route and code, and what it cost where known."""

import json
import time
from collections.abc import Callable
from typing import Any

import click
from rich.table import Table

from ..config import Config
from ..gateway import Prices
from ..losses import WHY
from ..money import Price
from ..prices import PriceBook
from ..statement import CACHE_MARK, losing, moment_ms
from ..store import SPEND_BY
from .options import config_option, console, json_option, load, store_of


@click.command("losses")
@click.option("--by", type=click.Choice(list(SPEND_BY)), default="route", show_default=True)
@click.option(
    "--since", metavar="WHEN", help="A date (2026-11-01) or an age (90m, 24h, 7d, 4w); all time by default."
)
@config_option
@json_option
def command(by: str, since: str | None, config_path: str | None, as_json: bool) -> None:
    """What translation could not carry, counted by code over the ledger's calls.

    docs/losses.md says of every code what it means, what it can cost and what to do. What would be lost of a
    request that was not sent yet: `fungible translate --route`.
    """
    since_ms = moment_ms(since, time.time()) if since is not None else 0
    now_ms = time.time_ns() // 1_000_000
    config = load(config_path)
    told = losing(store_of(config_path), by, since_ms, now_ms, priced(config, now_ms))
    if as_json:
        click.echo(json.dumps(told))
        return
    if not told["losses"]:
        click.echo("Nothing was lost: every call went whole, or none was translated.")
        return
    out = console()
    out.print(_table(by, told["losses"]))
    for row in told["losses"]:
        if row["cache_marks"] is not None:
            out.print(_cost(row[by], row["cache_marks"]), style="dim", highlight=False)


def priced(config: Config, now_ms: int) -> Callable[[str, str], Price | None]:
    """Today's price of a model, None for one whose provider is not on any more."""
    book = PriceBook.load(config.server.state)
    catalogue = config.catalogue.knowing(book)
    prices = Prices(catalogue, book.find)

    def price_of(provider: str, model: str) -> Price | None:
        return prices(catalogue.target(provider, model), now_ms) if provider in catalogue.providers else None

    return price_of


def _table(by: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(by)
    table.add_column("lossy attempts", justify="right")
    table.add_column("code")
    table.add_column("times", justify="right")
    table.add_column("what it means", overflow="fold")
    for row in rows:
        who, share = row[by] or "(none)", f"{row['lossy_attempts']:,} of {row['attempts']:,}"
        for why, count in row["codes"].items():
            table.add_row(who, share, why, f"{count:,}", WHY.get(why, "Codes for which a row had no room."))
            who = share = ""
    return table


def _cost(who: str | None, told: dict[str, Any]) -> str:
    day = told["estimate_usd_per_day"]
    about = "not known" if day is None else f"{'at most' if told['at_most'] else 'about'} {day} USD a day"
    return f"{CACHE_MARK} of {who or '(none)'}: {about}. An estimate: {told['basis']}."
