"""`fungible switch`: from one model to another, with evidence. A file for each command."""

import click

from .judging import judge_pairs
from .rehearsing import rehearse
from .reporting import report


@click.group("switch")
def command() -> None:
    """Move from one model to another, with evidence.

    `rehearse` replays recorded traffic on a candidate and gives a verdict; `report` shows it. `judge` gives
    a verdict on scores that you already have; nothing is sent anywhere.
    """


for member in (rehearse, report, judge_pairs):
    command.add_command(member)
