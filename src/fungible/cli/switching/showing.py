"""A rehearsal's findings for people, on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from ...money import NANO
from ..options import console, styled

WORDS = {
    # verdict: (how it is said, in which style)
    "safe": ("safe", "bold green"),
    "not_safe": ("not safe", "bold red"),
    "not_yet_known": ("not yet known", "bold yellow"),
}
UNITS = {"cost": ("USD", NANO), "duration": ("s", 1000.0), "first": ("s", 1000.0)}
"""A ratio -> the unit its totals are shown in, and what they are divided by."""


def show(document: Mapping[str, Any]) -> None:
    out = console()
    for candidate in document["candidates"]:
        out.print(styled(f"{candidate['target']}: ", WORDS[candidate["verdict"]]))
        out.print(_why(candidate), highlight=False)
        out.print(_measures(candidate))
        if candidate["ratios"]:
            out.print(_ratios(candidate))
    for remark in document["judged"]["remarks"]:
        out.print(remark, style="dim", highlight=False)
    out.print(f"The report: fungible switch report {document['run']} --html report.html", highlight=False)


def _why(candidate: Mapping[str, Any]) -> str:
    deciding = [row for row in candidate["measures"] if row["decides"]]
    bad = [row["title"] for row in deciding if row["verdict"] == "not_safe"]
    if bad:
        return f"worse by more than the margin: {', '.join(bad)}"
    unknown = [row["title"] for row in deciding if row["verdict"] == "not_yet_known"]
    if not unknown:
        return "not worse by more than the margin in any measure that decides"
    needed = candidate["needed"]
    more = (
        f"about {needed:,} more recordings are needed"
        if needed is not None
        else "no forecast of how many more are"
    )
    return (
        f"still open: {', '.join(unknown)}; {more}"
        if needed is not None
        else f"still open: {', '.join(unknown)}"
    )


def _measures(candidate: Mapping[str, Any]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("measure", "verdict"):
        table.add_column(column)
    for column in ("incumbent", "candidate", "difference", "margin", "pairs"):
        table.add_column(column, justify="right")
    for row in candidate["measures"]:
        low, high = row["interval"]
        word = styled(WORDS[row["verdict"]] if row["decides"] else ("for information", "dim"))
        difference = (
            "-" if row["difference"] is None else f"{row['difference']:+.4f} ({low:+.3f} to {high:+.3f})"
        )
        margin = f"{row['margin']:g}" if row["decides"] else "-"
        sides = ["-" if row[side] is None else f"{row[side]:.4f}" for side in ("incumbent", "candidate")]
        table.add_row(row["title"], word, *sides, difference, margin, f"{row['pairs']:,}")
    return table


def _ratios(candidate: Mapping[str, Any]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("per call")
    for column in ("incumbent", "candidate", "median ratio", "interval"):
        table.add_column(column, justify="right")
    for name, row in candidate["ratios"].items():
        unit, scale = UNITS.get(name, ("", 1.0))
        sides = [
            f"{row[side] / scale / row['pairs']:.6g} {unit}".strip() for side in ("incumbent", "candidate")
        ]
        low, high = row["interval"]
        median = "-" if row["median"] is None else f"{row['median']:.3f}"
        table.add_row(name, *sides, median, f"{low:.3f} to {'∞' if high is None else f'{high:.3f}'}")
    return table
