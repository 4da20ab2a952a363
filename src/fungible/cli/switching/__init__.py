"""`fungible switch`: from one model to another, with evidence. A file for each command."""

import importlib
from collections.abc import Mapping

import click

from ...models import nearest_name

COMMANDS: Mapping[str, tuple[str, str]] = {
    # command: (module, what it does)
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


class Switch(click.Group):
    """Its commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        held = vars(importlib.import_module(f".{row[0]}", __name__)).values()
        return next(one for one in held if isinstance(one, click.Command) and one.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest_name(args[0], list(COMMANDS))
            raise click.UsageError(f"There is no command {args[0]!r} of switch.{near}")
        return super().resolve_command(ctx, args)


@click.group("switch", cls=Switch)
def command() -> None:
    """Move from one model to another, with evidence.

    `rehearse` replays recorded traffic on a candidate and gives a verdict; `report` shows it. `start` moves a
    route to the candidate step by step, and back by itself when it is worse. `judge` gives a verdict on
    scores that you already have; nothing is sent anywhere.
    """
