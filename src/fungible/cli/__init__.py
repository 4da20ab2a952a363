"""The command line. Each command is a thin shell over what a program could call; nothing is decided here.

Where a person looks the output is for people (rich); with `--json` it is one JSON document on standard
output. Progress and remarks go to standard error. A `Fault` is told in its own words and ends with 1, a
wrong option with 2.

Commands are imported when they are run, so that `fungible serve` starts without what the others need.
"""

import importlib
import sys
from collections.abc import Mapping

import click

from ..faults import Fault
from ..models import nearest_name
from ..version import VERSION

COMMANDS: Mapping[str, tuple[str, str]] = {
    # command: (module, what it does)
    "serve": ("serving", "Serve every model on one port."),
    "demo": ("showing", "The main job from end to end, without a key."),
    "chat": ("asking", "Ask one question, and read the answer as it comes."),
    "models": ("listing", "What can be asked for, with prices and where they come from."),
    "translate": ("translating", "A body from one dialect to another, with its losses."),
    "keys": ("keyring", "Make, list and revoke keys."),
    "spend": ("spending", "What was spent, exactly, by key, team, provider, model, route, tag or day."),
    "calls": ("calling", "Recent calls; one call with its attempts, losses and cost."),
    "recordings": ("recording", "Recorded calls: list, show, import, export, delete."),
    "switch": ("switching", "From one model to another, with evidence."),
    "risk": ("risking", "What traffic hangs on: shares, single points of failure, fallbacks never tried."),
    "drill": ("drilling", "Make a provider fail for a while, and see what its users feel."),
    "losses": ("losing", "What translation lost, by route, key or model, and what that cost."),
    "doctor": ("doctoring", "Check the configuration, keys, providers, prices and the ledger."),
}


class Program(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        module = importlib.import_module(f".{row[0]}", __name__)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"There is no command {args[0]!r}.{nearest_name(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="fungible")
def program() -> None:
    """Neutral ground for language models: any client, any model, and an exact account."""


def main() -> None:
    """The program `fungible`."""
    try:
        program(standalone_mode=True)
    except Fault as fault:
        print(f"fungible: {fault.message}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)  # the reader has seen enough (`| head`)
