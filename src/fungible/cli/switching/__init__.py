"""`fungible switch`: from one model to another, with evidence. A file for each command."""

import click

from .judging import judge_pairs
from .rehearsing import rehearse
from .reporting import report
from .rolling import COMMANDS


@click.group("switch")
def command() -> None:
    """Move from one model to another, with evidence.

    `rehearse` replays recorded traffic on a candidate and gives a verdict; `report` shows it. `start` moves a
    route to the candidate step by step, and back by itself when it is worse. `judge` gives a verdict on
    scores that you already have; nothing is sent anywhere.
    """


for member in (rehearse, report, *COMMANDS, judge_pairs):
    command.add_command(member)
