"""`fungible recordings`: what was recorded, to look at, bring in, take out and throw away."""

import click

from .looking import delete, listed, show
from .moving import export, imported


@click.group("recordings")
def command() -> None:
    """Recorded calls: list, show, import, export, delete.

    Calls are recorded where the configuration has a [record.NAME] table; docs/recordings.md says what that
    means. A rehearsal (`fungible switch rehearse`) replays them.
    """


for member in (listed, show, imported, export, delete):
    command.add_command(member)
