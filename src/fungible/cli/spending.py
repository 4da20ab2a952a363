"""`fungible spend`: what was spent, from the ledger, exactly."""

import json
import time

import click
from rich.table import Table

from ..money import NANO, usd
from ..statement import moment_ms, spending
from ..store import SPEND_BY
from .options import config_option, console, json_option, store_of


@click.command("spend")
@click.option("--by", type=click.Choice(list(SPEND_BY)), default="provider", show_default=True)
@click.option(
    "--since", metavar="WHEN", help="A date (2026-11-01) or an age (90m, 24h, 7d, 4w); all time by default."
)
@config_option
@json_option
def command(by: str, since: str | None, config_path: str | None, as_json: bool) -> None:
    """What was spent, summed from the ledger's rows without rounding.

    Attempts whose cost is not known are counted beside the sum, never as zero.
    """
    since_ms = moment_ms(since, time.time()) if since is not None else 0
    store = store_of(config_path)
    if as_json:
        click.echo(json.dumps(spending(store, by, since_ms)))
        return
    rows = sorted(store.spend(by, since_ms), key=lambda r: (-r.cost_nanousd, r.who or ""))
    if not rows:
        click.echo("Nothing was called yet.")
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(by)
    for column in ("attempts", "input tokens", "output tokens", "cost in USD", "cost not known"):
        table.add_column(column, justify="right")
    for row in rows:
        unknown = str(row.cost_unknown) if row.cost_unknown else "-"
        counts = (f"{row.attempts:,}", f"{row.input_tokens:,}", f"{row.output_tokens:,}")
        table.add_row(row.who or "(none)", *counts, usd(row.cost_nanousd), unknown)
    out = console()
    out.print(table)
    if by != "tag":
        total = sum(row.cost_nanousd for row in rows)
        out.print(
            f"Total: {usd(total)} USD ({total:,} of {NANO:,} to the dollar).", style="dim", highlight=False
        )
