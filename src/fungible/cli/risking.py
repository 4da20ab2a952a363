"""`fungible risk`: what traffic hangs on, and what has a way out."""

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from .. import risk
from ..config import Config
from ..money import usd
from ..prices import PriceBook
from ..retirement.affected import Affected, affected, pressing
from ..statement import moment_ms
from ..store import Store
from .options import config_option, console, json_option, load
from .retiring import calendar_of, sources, users, when

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
@click.option("--offline", is_flag=True, help="Fetch no retirement feed; use what was kept.")
@config_option
@json_option
def command(since: str, offline: bool, config_path: str | None, as_json: bool) -> None:
    """What traffic hangs on: shares, single points of failure, fallbacks that were never tried.

    From the ledger and the configuration. Only retirement feeds that the configuration names are fetched,
    when what was kept of them is too old.
    """
    now = time.time()
    found = assessed(load(config_path), moment_ms(since, now), int(now * 1000), fetch=not offline)
    if as_json:
        click.echo(json.dumps(said(found)))
    else:
        _show(console(), found, since)


class Assessed(NamedTuple):
    """`retiring`: all that is said to end; `pressing` those near enough to act."""

    report: risk.Report
    retiring: tuple[Affected, ...]
    pressing: tuple[Affected, ...]


def assessed(config: Config, since_ms: int, now_ms: int, *, fetch: bool) -> Assessed:
    state = config.server.state
    store = Store(state)
    store.fold()
    rows = store.traffic(since_ms)
    catalogue = config.catalogue.knowing(PriceBook.load(state))
    retiring = affected(calendar_of(config, fetch=fetch), catalogue, rows, now_ms)
    near = pressing(retiring, config.retirement.warn_days)
    report = risk.assess(catalogue, rows, since_ms, now_ms)
    return Assessed(report, retiring, near)


def said(found: Assessed) -> dict[str, Any]:
    """As JSON: the report's fields, with the spend in dollars beside the nano-dollars."""
    built: dict[str, Any] = msgspec.to_builtins(found.report)
    return built | {
        "cost_usd": usd(found.report.cost_nanousd),
        "retiring": msgspec.to_builtins(found.retiring),
    }


def _show(out: "Console", found: Assessed, since: str) -> None:
    report = found.report
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
    _retiring(out, found.pressing)


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
        table.add_row(escape(way.route), f"{way.call_share:.1%}", WAYS[way.state], *map(escape, names))
    out.print(table)
    _more(out, len(ways))


def _points(out: "Console", points: tuple[risk.SinglePoint, ...]) -> None:
    if not points:
        return
    table = _table(out, "Single points of failure", "route", "of calls", "why", "mend")
    for point in points[:ROWS]:
        hidden = "[red]hidden[/]: " if point.hidden else ""
        table.add_row(escape(point.route), f"{point.call_share:.1%}", hidden + escape(point.says), point.mend)
    out.print(table)
    _more(out, len(points))


def _retiring(out: "Console", found: tuple[Affected, ...]) -> None:
    if not found:
        return
    table = _table(out, "Retirements ahead", "target", "when", "replaced by", "said by", "used by")
    for one in found[:ROWS]:
        cells = (one.target, when(one), ", ".join(one.replacements) or "-", sources(one), users(one))
        table.add_row(*map(escape, cells))
    out.print(table)
    for line in dict.fromkeys(line for one in found[:ROWS] for line in one.rehearse):
        out.print(f"  {line}", style="dim", highlight=False, markup=False)
    _more(out, len(found))


def _more(out: "Console", count: int) -> None:
    if count > ROWS:
        out.print(f"... and {count - ROWS} more; --json has all.", style="dim", highlight=False)
