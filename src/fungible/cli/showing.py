"""`fungible demo`: the main job from end to end."""

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click

from ..data.demo.stage import CAST, NEEDS, Stage
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
    began = time.monotonic()
    for package in NEEDS:
        if find_spec(package) is None:
            raise Fault(
                "bad_request", f"The demo needs {package}: pip install 'fungible[demo]', or run `make demo`."
            )
    from rich.panel import Panel  # noqa: PLC0415 - `serve` starts without it

    screen = console(markup=True)
    screen.print(Panel(CAST, title="fungible", title_align="left", expand=False))
    stage = None
    try:
        stage = Stage(folder)
        from ..data.demo.story import tell  # noqa: PLC0415 - the SDKs are extras, and come while the stage is set

        status = tell(stage, screen, began)
    except RuntimeError as error:
        raise Fault("internal", f"The demo could not go on: {error}") from None
    finally:
        if stage is not None:
            stage.close()
    sys.exit(status)
