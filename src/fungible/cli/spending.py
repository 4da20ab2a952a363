"""`fungible spend`: what was spent, from the ledger, exactly."""

import json
import re
import time
from datetime import UTC, datetime

import click
from rich.table import Table

from ..faults import Fault
from ..money import NANO, usd
from ..store import SPEND_BY
from .options import config_option, console, json_option, store_of

AGO = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


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
    rows = sorted(store_of(config_path).spend(by, since_ms), key=lambda r: (-r.cost_nanousd, r.who or ""))
    if as_json:
        spent = [{by: row.who, **_numbers(row)} for row in rows]
        total = sum(row.cost_nanousd for row in rows)
        click.echo(
            json.dumps(
                {
                    "by": by,
                    "since_ms": since_ms,
                    "spend": spent,
                    "total_nanousd": total,
                    "total_usd": usd(total),
                }
            )
        )
        return
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


def moment_ms(text: str, now_s: float) -> int:
    """Unix milliseconds. Raises `Fault` for what is neither a date nor an age."""
    age = re.fullmatch(r"(\d+)([mhdw])", text)
    if age:
        return int((now_s - int(age[1]) * AGO[age[2]]) * 1000)
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise Fault(
            "bad_request", f"--since takes a date such as 2026-11-01 or an age such as 24h, not {text!r}."
        ) from None
    return int(day.replace(tzinfo=day.tzinfo or UTC).timestamp() * 1000)


def _numbers(row: object) -> dict[str, object]:
    fields = [name for name in row.__struct_fields__ if name != "who"]  # type: ignore[attr-defined]
    numbers = {name: getattr(row, name) for name in fields}
    return {**numbers, "cost_usd": usd(numbers["cost_nanousd"])}
