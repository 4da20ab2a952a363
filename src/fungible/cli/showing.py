"""`fungible demo`: the main job from end to end."""

import sys
from pathlib import Path

import click

from ..faults import Fault
from .options import console


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".fungible") / "demo",
    show_default=True,
    help="Where the demo keeps its files; made anew each time.",
)
def command(folder: Path) -> None:
    """The main job from end to end, in under a minute: no key, no account, no network."""
    try:
        from ..data.demo.story import run  # noqa: PLC0415 - the official SDKs are an optional extra
    except ImportError as error:
        raise Fault(
            "bad_request", f"The demo needs {error.name}: pip install 'fungible[demo]', or run `make demo`."
        ) from None
    try:
        sys.exit(run(folder, console()))
    except RuntimeError as error:
        raise Fault("internal", f"The demo could not go on: {error}") from None
