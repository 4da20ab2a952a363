"""The command line. Each command is a thin shell over what a program could call; nothing is decided here.

Where a person looks the output is for people (rich); with `--json` it is one JSON document on standard
output. Progress and remarks go to standard error. A `Fault` is told in its own words and ends with 1, a
wrong option with 2.

Commands are imported when they are run, so that `fungible serve` starts without what the others need.
"""

import sys

import click

from ..faults import Fault
from ..version import VERSION
from .group import Late, Rows

COMMANDS: Rows = {
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


@click.group(
    cls=Late,
    rows=COMMANDS,
    package=__name__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
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
