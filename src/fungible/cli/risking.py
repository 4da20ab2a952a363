"""`fungible risk`: what traffic hangs on, and what has a way out."""

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec
from rich.table import Table

from .. import risk
from ..config import Config
from ..forcing import Looked, looked, opened
from ..money import usd
from ..moves import PriceChange, answers
from ..prices import PriceBook
from ..retirement.affected import Affected
from ..statement import moment_ms
from ..store import Store
from .options import config_option, console, json_option, load, styled
from .retiring import calendar_of, sources, users, when

if TYPE_CHECKING:
    from rich.console import Console

SINCE = "30d"
ROWS = 8  # of one table for people; --json has all
STYLES = {"ok": "green", "look": "yellow", "wrong": "red"}
WAYS = {
    # a way's state: (how it is said, in which style)
    "tested": ("tested", "green"),
    "untested": ("not tried yet", "yellow"),
    "none": ("none", "red"),
}


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
    report: risk.Report
    looked: Looked
    opened: frozenset[str]  # runs of rehearsals of forced moves


def assessed(config: Config, since_ms: int, now_ms: int, *, fetch: bool) -> Assessed:
    state = config.server.state
    store = Store(state)
    store.fold()
    catalogue = config.catalogue.knowing(PriceBook.load(state))
    report = risk.assess(catalogue, store.traffic(since_ms), since_ms, now_ms)
    found = looked(store, config, calendar_of(config, fetch=fetch), since_ms, now_ms)
    heard = bool(config.retirement.sources)
    more = answers(found.pressing, found.changes, heard, config.retirement.warn_days)
    report = msgspec.structs.replace(report, answers=report.answers + more)
    return Assessed(report, found, frozenset(m.run for m in found.moves if opened(state, m)))


def said(found: Assessed) -> dict[str, Any]:
    """As JSON: the report's fields, with the spend in dollars beside the nano-dollars."""
    built: dict[str, Any] = msgspec.to_builtins(found.report)
    return built | {
        "cost_usd": usd(found.report.cost_nanousd),
        "retiring": msgspec.to_builtins(found.looked.retiring),
        "price_changes": [msgspec.to_builtins(c) | {"change": c.change} for c in found.looked.changes],
        "moves": [msgspec.to_builtins(m) | {"opened": m.run in found.opened} for m in found.looked.moves],
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
        mark = (f"{answer.verdict:<5} ", STYLES[answer.verdict])
        out.print(styled(mark, (answer.question, "bold")))
        out.print(f"      {answer.answer}", highlight=False)
    if report.answered:
        for one in report.concentration:
            _shares(out, one)
        _ways(out, report.ways)
    _points(out, report.single_points)
    _retiring(out, found.looked.pressing)
    _prices(out, found.looked.changes)
    _moves(out, found)


def _table(out: "Console", title: str, *columns: str, beside: str = "") -> Table:
    out.print(styled("\n", (title, "bold"), (beside, "dim")))
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        numeric = column in ("calls", "of calls", "spend", "of spend")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def _shares(out: "Console", one: risk.Concentration) -> None:
    at_least = "at least " if one.at_least else ""
    index = "" if one.hhi_calls is None else f", HHI {at_least}{one.hhi_calls:,} of 10,000 by calls"
    index += "" if one.hhi_cost is None else f", {one.hhi_cost:,} by spend"
    columns = (one.by, "calls", "of calls", "spend", "of spend")
    table = _table(out, f"By {one.by}", *columns, beside=index)
    for share in one.shares[:ROWS]:
        numbers = (f"{share.calls:,}", f"{share.call_share:.1%}")
        table.add_row(share.who or "(not told)", *numbers, usd(share.cost_nanousd), f"{share.cost_share:.1%}")
    out.print(table)
    _more(out, len(one.shares))


def _ways(out: "Console", ways: tuple[risk.Way, ...]) -> None:
    table = _table(out, "Ways out", "route", "of calls", "fallback", "answered by", "not tried")
    for way in ways[:ROWS]:
        names = (", ".join(way.tested) or "-", ", ".join(way.untested) or "-")
        table.add_row(way.route, f"{way.call_share:.1%}", styled(WAYS[way.state]), *names)
    out.print(table)
    _more(out, len(ways))


def _points(out: "Console", points: tuple[risk.SinglePoint, ...]) -> None:
    if not points:
        return
    table = _table(out, "Single points of failure", "route", "of calls", "why", "mend")
    for point in points[:ROWS]:
        why = styled(("hidden: ", "red") if point.hidden else "", point.says)
        table.add_row(point.route, f"{point.call_share:.1%}", why, point.mend)
    out.print(table)
    _more(out, len(points))


def _retiring(out: "Console", found: tuple[Affected, ...]) -> None:
    if not found:
        return
    table = _table(out, "Retirements ahead", "target", "when", "replaced by", "said by", "used by")
    for one in found[:ROWS]:
        cells = (one.target, when(one), ", ".join(one.replacements) or "-", sources(one), users(one))
        table.add_row(*cells)
    out.print(table)
    _more(out, len(found))


def _prices(out: "Console", found: tuple[PriceChange, ...]) -> None:
    if not found:
        return
    table = _table(
        out, "Prices that changed, on this traffic", "target", "paid", "would be", "change", "from"
    )
    for one in found[:ROWS]:
        table.add_row(
            one.target, usd(one.paid_nanousd), usd(one.would_nanousd), f"{one.change:+.1%}",
            one.now + (" (ahead)" if one.ahead else ""),
        )  # fmt: skip
    out.print(table)
    _more(out, len(found))


def _moves(out: "Console", found: Assessed) -> None:
    moves = found.looked.moves
    if not moves:
        return
    out.print(styled("\n", ("Moves that are forced", "bold")))
    for move in moves[:ROWS]:
        mark = ("now  ", "red") if move.urgent else ("soon ", "yellow")
        out.print(styled(mark, f" {move.route}: {move.says}"))
        lines = move.commands if move.run not in found.opened else (f"fungible switch report {move.run}",)
        for line in lines:
            out.print(f"        {line}", style="dim", highlight=False)
    _more(out, len(moves))


def _more(out: "Console", count: int) -> None:
    if count > ROWS:
        out.print(f"... and {count - ROWS} more; --json has all.", style="dim", highlight=False)
