"""`fungible switch judge`: a verdict on scores from elsewhere."""

import json
from typing import TYPE_CHECKING

import click

from ... import evidence
from ...evidence import Verdict, read_pairs
from ...evidence.verdict import Sense
from ..options import console, json_option, styled
from .files import lines_of

if TYPE_CHECKING:
    from rich.console import Console

WORDS = {
    "safe": (("safe", "bold green"), "the candidate is not worse by more than the margin of {margin:g}"),
    "not_safe": (("not safe", "bold red"), "the candidate is worse by more than the margin of {margin:g}"),
    "not_yet_known": (
        ("not yet known", "bold yellow"),
        "the interval still holds the margin of {margin:g}; more pairs are needed",
    ),
}
"""Verdict -> how it is said, and what it means."""


@click.command("judge")
@click.option(
    "--pairs", "path", required=True, metavar="FILE", help="One pair a line, in order of arrival; - is stdin."
)
@click.option(
    "--margin",
    type=float,
    default=0.02,
    show_default=True,
    help="How much worse is still good enough, in the scores' unit.",
)
@click.option(
    "--alpha",
    type=float,
    default=0.05,
    show_default=True,
    help="The probability of error, over all looks together.",
)
@click.option(
    "--higher-is",
    type=click.Choice(["better", "worse"]),
    default="better",
    show_default=True,
    help="What a higher score means: better (1 is passed) or worse (1 is an error).",
)
@json_option
def judge(path: str, margin: float, alpha: float, higher_is: Sense, as_json: bool) -> None:
    """Judge scores of the same requests answered by both models: safe, not safe, or not yet known.

    Each line is one JSON object: {"id": "r1", "incumbent": 0..1, "candidate": 0..1, "group": "c7"};
    the group may be left out. A look after every pair is allowed: judge the file again as it grows, and stop
    when you know enough. The difference is candidate less incumbent.
    """
    verdict = evidence.judge(read_pairs(lines_of(path)), margin, alpha, higher_is=higher_is)
    if as_json:
        click.echo(json.dumps(verdict.said()))
    else:
        _show(console(), verdict)


def _show(out: "Console", verdict: Verdict) -> None:
    said, meaning = WORDS[verdict.verdict]
    out.print(styled(said, f": {meaning.format(margin=verdict.margin)}"))
    from rich.table import Table  # noqa: PLC0415 - as in `console`

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    low, high = verdict.interval
    rows = {
        "pairs": f"{verdict.pairs:,}"
        + (f" in {verdict.groups:,} blocks" if verdict.groups != verdict.pairs else ""),
        "difference": "-" if verdict.difference is None else f"{verdict.difference:+.4f}",
        "interval": f"{low:+.4f} to {high:+.4f} (with {1 - verdict.alpha:.4g} at all looks together)",
    }
    if verdict.decided_at is not None:
        rows["decided at"] = f"pair {verdict.decided_at:,}"
    elif verdict.pairs:
        rows["needed"] = (
            "beyond forecast: the difference lies at the margin"
            if verdict.needed is None
            else f"about {verdict.needed:,} more pairs, if they are like these"
        )
    rows["a higher score is"] = verdict.higher_is
    for name, value in rows.items():
        table.add_row(name, value)
    out.print(table, highlight=False)
