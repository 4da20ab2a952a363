"""`fungible recordings import` and `export`."""

import json
import sys
from inspect import cleandoc
from pathlib import Path

import click

from ... import config as configuration
from ...faults import Fault
from ...recordings import Recordings
from ...recordings.writing import write_jsonl, write_parquet
from ...sources import SOURCES, Unread
from ...sources import read as read_source
from ..options import config_option, console, json_option, private
from .choosing import moment, route_option, shelf_of, since_option, until_option

SHOWN_MAX = 20
WRITERS = {"jsonl": write_jsonl, "parquet": write_parquet}


@click.command("import")
@click.argument("kind", type=click.Choice(list(SOURCES)), metavar="KIND")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--route", metavar="NAME", help="Record them under this name; by default the model asked for.")
@click.option("--as-is", is_flag=True, help="Take nothing out, whatever [record.NAME] says.")
@config_option
@json_option
def imported(
    kind: str,
    paths: tuple[str, ...],
    route: str | None,
    as_is: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Bring recordings in from what others have kept; KIND says whose form it is.

    What [record.NAME] says is to be taken out of a call's recording is taken out of these as well.
    What cannot be read is told by file and line, with the reason, and the rest is imported all the same.
    Then the command ends with 1.
    """
    unread: list[Unread] = []
    shelf = shelf_of(config_path)
    rules = None if as_is else configuration.load_records(config_path)
    try:
        count = shelf.append(read_source(kind, paths, route, unread.append, rules))
    except OSError as error:
        raise Fault("internal", f"{shelf.folder} cannot be written: {error.strerror}.") from None
    if as_json:
        problems = [{"file": u.path, "line": u.line, "why": u.why} for u in unread]
        click.echo(json.dumps({"imported": count, "unread": problems}))
    else:
        click.echo(f"{count:,} recordings were imported.")
        for u in unread[:SHOWN_MAX]:
            click.echo(f"{u.path}:{u.line}: {u.why}", err=True)
        if len(unread) > SHOWN_MAX:
            click.echo(f"and {len(unread) - SHOWN_MAX:,} more that cannot be read; --json has all.", err=True)
    if unread:
        sys.exit(1)


imported.help = f"{cleandoc(imported.help or '')}\n\n\b\n" + "\n".join(
    f"{name:<20} {row.says}" for name, row in SOURCES.items()
)


@click.command("export")
@click.argument("path", metavar="FILE")
@route_option
@since_option
@until_option
@click.option("--format", "form", type=click.Choice(list(WRITERS)), help="By the file's name, if not said.")
@config_option
@json_option
def export(
    path: str,
    route: str | None,
    since: str | None,
    until: str | None,
    form: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Write recordings to FILE, as JSON lines or Parquet; - is standard output, JSON lines.

    A column for each field; DuckDB reads both: SELECT target, avg(duration_ms) FROM 'FILE' GROUP BY 1.
    """
    shelf = shelf_of(config_path)
    recordings = shelf.read(route, since_ms=moment(since), until_ms=moment(until))
    if path == "-":
        write_jsonl(recordings, sys.stdout.buffer)
        return
    form = form or ("parquet" if Path(path).suffix == ".parquet" else "jsonl")
    try:
        with private(path) as file:
            count = WRITERS[form](recordings, file)
    except OSError as error:
        raise Fault("internal", f"{path} cannot be written: {error.strerror or error}.") from None
    if as_json:
        click.echo(json.dumps({"exported": count, "file": path, "damaged_bytes": shelf.damaged}))
    else:
        console().print(f"{count:,} recordings are in {path}.", highlight=False)
    _tell(shelf)


def _tell(shelf: Recordings) -> None:
    if shelf.damaged:
        click.echo(f"{shelf.damaged:,} bytes were passed over: they cannot be read.", err=True)
