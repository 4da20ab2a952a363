"""`fungible switch report`: what a rehearsal found, for people, as JSON or as one page."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from ...faults import Fault
from ...switch.findings import findings
from ...switch.page import page
from ...switch.runs import Run, runs
from ..options import config_option, json_option, load, private
from .batches import settled
from .showing import show


@click.command("report")
@click.argument("run", required=False)
@click.option(
    "--html", "path", type=click.Path(dir_okay=False), help="Write one self-contained page; - is stdout."
)
@click.option(
    "--from-json", "source", metavar="FILE", help="Make it from findings that --json printed; - is stdin."
)
@click.option("--list", "listed", is_flag=True, help="What runs there are.")
@click.option("--forget", is_flag=True, help="Delete the run, with its copies of what was recorded.")
@config_option
@json_option
def report(
    run: str | None, path: str | None, source: str | None, listed: bool, forget: bool,
    config_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """What the rehearsal RUN found; the newest by default. Works while it is at work, too."""
    if source is not None:
        document = _read(source)
    else:
        state = load(config_path).server.state
        if listed:
            for settings in runs(state):
                click.echo(f"{settings.run}  {settings.route} -> {', '.join(settings.targets)}")
            return
        opened = Run.opened(state, run)
        if forget:
            settled(opened)
            opened.forget()
            click.echo(f"{opened.settings.run} is deleted.", err=True)
            return
        document = findings(opened)
        opened.close()
    if path is not None:
        _write(path, page(document))
    if as_json:
        click.echo(json.dumps(document))
    elif path is None:
        show(document)


def _read(source: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
        document = json.loads(text)
    except OSError as error:
        raise Fault("not_found", f"{source} cannot be read: {error.strerror}.") from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or "candidates" not in document:
        raise Fault("bad_request", f"{source} holds no findings: give what `--json` printed.")
    return document


def _write(path: str, text: str) -> None:
    if path == "-":
        click.echo(text)
        return
    try:
        with private(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise Fault("bad_request", f"{path} cannot be written: {error.strerror}.") from None
    click.echo(f"Written: {path}", err=True)
