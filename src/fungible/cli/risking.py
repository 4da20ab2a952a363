"""`fungible risk`: what traffic hangs on, and what has a way out."""

import json
import time
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from .. import risk
from ..money import usd
from ..prices import PriceBook
from ..statement import moment_ms
from ..store import Store
from .options import config_option, console, json_option, load

if TYPE_CHECKING:
    from rich.console import Console

SINCE = "30d"
ROWS = 8  # of one table for people; --json has all
MARKS = {"ok": "[green]ok[/]   ", "look": "[yellow]look[/] ", "wrong": "[red]wrong[/]"}
WAYS = {"tested": "[green]tested[/]", "untested": "[yellow]not tried yet[/]", "none": "[red]none[/]"}


@click.command("risk")
@click.option(
    "--since",
    metavar="WHEN",
    default=SINCE,
    show_default=True,
    help="The traffic looked at: since a date (2026-11-01), or an age (24h, 7d, 4w).",
)
@config_option
@json_option
def command(since: str, config_path: str | None, as_json: bool) -> None:
    """What traffic hangs on: shares, single points of failure, fallbacks that were never tried.

    From the ledger and the configuration; nothing is sent anywhere.
    """
    now = time.time()
    since_ms = moment_ms(since, now)
    report = assessed(config_path, since_ms, int(now * 1000))
    if as_json:
        click.echo(json.dumps(said(report)))
    else:
        _show(console(), report, since)


def assessed(config_path: str | None, since_ms: int, now_ms: int) -> risk.Report:
    config = load(config_path)
    state = config.server.state
    store = Store(state)
    store.fold()
    catalogue = config.catalogue.knowing(PriceBook.load(state))
    return risk.assess(catalogue, store.traffic(since_ms), since_ms, now_ms)


def said(report: risk.Report) -> dict[str, Any]:
    """As JSON: the report's fields, with the spend in dollars beside the nano-dollars."""
    built: dict[str, Any] = msgspec.to_builtins(report)
    return built | {"cost_usd": usd(report.cost_nanousd)}


def _show(out: "Console", report: risk.Report, since: str) -> None:
    if not report.answered:
        out.print(f"No call was answered since {since}; what follows is from the configuration alone.")
    else:
        unknown = f", {report.cost_unknown} attempts of unknown cost" if report.cost_unknown else ""
        out.print(
            f"{report.answered:,} calls answered since {since}, {usd(report.cost_nanousd)} USD{unknown}.\n",
            highlight=False,
        )
    for answer in report.answers:
        out.print(f"{MARKS[answer.verdict]} [bold]{answer.question}[/]", highlight=False)
        out.print(f"      {answer.answer}", highlight=False, markup=False)
    if report.answered:
        for one in report.concentration:
            _shares(out, one)
        _ways(out, report.ways)
    _points(out, report.single_points)


def _table(out: "Console", title: str, *columns: str) -> Table:
    out.print(f"\n[bold]{title}[/]")
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        numeric = column in ("calls", "of calls", "spend", "of spend")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def _shares(out: "Console", one: risk.Concentration) -> None:
    at_least = "at least " if one.at_least else ""
    index = "" if one.hhi_calls is None else f", HHI {at_least}{one.hhi_calls:,} of 10,000 by calls"
    index += "" if one.hhi_cost is None else f", {one.hhi_cost:,} by spend"
    table = _table(out, f"By {one.by}[/][dim]{index}", one.by, "calls", "of calls", "spend", "of spend")
    for share in one.shares[:ROWS]:
        numbers = (f"{share.calls:,}", f"{share.call_share:.1%}")
        table.add_row(share.who or "(not told)", *numbers, usd(share.cost_nanousd), f"{share.cost_share:.1%}")
    out.print(table)
    _more(out, len(one.shares))


def _ways(out: "Console", ways: tuple[risk.Way, ...]) -> None:
    table = _table(out, "Ways out", "route", "of calls", "fallback", "answered by", "not tried")
    for way in ways[:ROWS]:
        names = (", ".join(way.tested) or "-", ", ".join(way.untested) or "-")
        table.add_row(way.route, f"{way.call_share:.1%}", WAYS[way.state], *names)
    out.print(table)
    _more(out, len(ways))


def _points(out: "Console", points: tuple[risk.SinglePoint, ...]) -> None:
    if not points:
        return
    table = _table(out, "Single points of failure", "route", "of calls", "why", "mend")
    for point in points[:ROWS]:
        hidden = "[red]hidden[/]: " if point.hidden else ""
        table.add_row(point.route, f"{point.call_share:.1%}", hidden + point.says, point.mend)
    out.print(table)
    _more(out, len(points))


def _more(out: "Console", count: int) -> None:
    if count > ROWS:
        out.print(f"... and {count - ROWS} more; --json has all.", style="dim", highlight=False)
