"""`fungible switch`: from one model to another, with evidence. A file for each command."""

import click

from ..group import Late, Rows

COMMANDS: Rows = {
    "rehearse": ("rehearsing", "Replay recorded traffic on candidates: safe, not safe, or not yet known."),
    "report": ("reporting", "What a rehearsal found, for people, as JSON or as one page."),
    "adapt": ("adapting", "Propose a prompt for a candidate, judged on recordings it has not seen."),
    "start": ("rolling", "Move a route to the candidate step by step, and back by itself."),
    "status": ("rolling", "Where a switch stands."),
    "history": ("rolling", "All that became of a switch."),
    "promote": ("rolling", "To the next step now."),
    "rollback": ("rolling", "Back to the incumbent now."),
    "score": ("rolling", "Tell a switch what calls were worth, as judged elsewhere."),
    "judge": ("judging", "A verdict on scores that you already have."),
}


@click.group("switch", cls=Late, rows=COMMANDS, package=__name__, of=" of switch")
def command() -> None:
    """Move from one model to another, with evidence.

    `rehearse` replays recorded traffic on a candidate and gives a verdict; `report` shows it. `start` moves a
    route to the candidate step by step, and back by itself when it is worse. `judge` gives a verdict on
    scores that you already have; nothing is sent anywhere.
    """
