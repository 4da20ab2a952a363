"""`fungible recordings list`, `show` and `delete`."""

import json
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from ...faults import Fault
from ...recording import Recording
from ...recordings import Recordings
from ...recordings.recorder import OUTCOMES
from ...recordings.writing import said
from ..options import config_option, console, json_option, styled
from .choosing import moment, route_option, shelf_of, since_option, until_option

HEAD = (
    "id",
    "at",
    "target",
    "status",
    "fault",
    "stream",
    "duration_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)
TOLD_ALREADY = frozenset({"at_ms", "provider", "model", "cost_nanousd"})  # by `HEAD`, as people read them


@click.command("list")
@route_option
@since_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The latest so many.")
@config_option
@json_option
def listed(route: str | None, since: str | None, limit: int, config_path: str | None, as_json: bool) -> None:
    """What there is of each name; of one --route, its latest recordings."""
    shelf = shelf_of(config_path)
    if route is None and since is None:
        _summary(shelf, as_json)
        return
    rows = [_head(recording) for recording in shelf.latest(limit, route, moment(since))]
    if as_json:
        click.echo(json.dumps({"recordings": rows, "damaged_bytes": shelf.damaged}))
        return
    out = console()
    if not rows:
        click.echo("There are none." if route is None else f"There are none of {route!r}.")
        return
    table = _table(("id", "asked", "by", "status", "ms", "tokens in", "tokens out", "USD"))
    for row in rows:
        ended = row["fault"] or str(row["status"])
        numbers = [_number(row[name]) for name in ("input_tokens", "output_tokens")]
        table.add_row(
            row["id"], row["at"], row["target"] or "-", ended, f"{row['duration_ms']:,.0f}", *numbers,
            row["cost_usd"] or "-",
        )  # fmt: skip
    out.print(table, highlight=False)
    _damage(shelf)


def _summary(shelf: Recordings, as_json: bool) -> None:
    found, dropped = shelf.found(), shelf.dropped()
    if as_json:
        rows = [
            {"route": f.route, "recordings": f.count, "from": _when(f.from_ms), "to": _when(f.to_ms),
             "bytes": f.bytes, "segments": f.segments, "damaged_bytes": f.damaged}
            for f in found
        ]  # fmt: skip
        click.echo(json.dumps({"routes": rows, "dropped": dropped, "folder": str(shelf.folder)}))
        return
    if not found:
        click.echo("Nothing is recorded. Put [record.NAME] into the configuration, or import recordings.")
    else:
        table = _table(("name", "recordings", "from", "to", "MB"))
        for f in found:
            table.add_row(f.route, f"{f.count:,}", _when(f.from_ms), _when(f.to_ms), f"{f.bytes / 1e6:,.2f}")
        console().print(table, highlight=False)
    for why, count in dropped.items():
        click.echo(f"{count:,} calls were not recorded, {OUTCOMES.get(why, why)}.")
    damaged = sum(f.damaged for f in found)
    if damaged:
        click.echo(f"{damaged:,} bytes cannot be read; a process was killed while it wrote them.")


@click.command("show")
@click.argument("id")
@config_option
@json_option
def show(id: str, config_path: str | None, as_json: bool) -> None:
    """One recording, whole; ID is the call's, as in `fungible calls`."""
    found = shelf_of(config_path).get(id)
    if found is None:
        raise Fault(
            "not_found", f"There is no recording {id!r}. `fungible recordings list` shows what there is."
        )
    document = said(found)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    out = console()
    bodies = {name: document.pop(name) for name in ("request", "reply")}
    table = _table(("", ""), header=False)
    for name, value in (_head(found) | document).items():
        if value not in (None, "", {}) and name not in TOLD_ALREADY:
            shown = f"{value:,.1f}" if isinstance(value, float) else str(value)
            table.add_row(styled((name, "dim")), shown)
    out.print(table, highlight=False)
    for name, body in bodies.items():
        out.print(styled("\n", (name, "bold")))
        out.print_json(data=body) if body is not None else out.print("not known", style="dim")


@click.command("delete")
@route_option
@since_option
@until_option
@click.option("--id", "ids", multiple=True, help="Only the one of this id; repeatable.")
@click.option("--group", help="Only those of this conversation or user, as `show` tells it.")
@click.option("--all", "everything", is_flag=True, help="Without any of the above: all there is.")
@config_option
@json_option
def delete(
    route: str | None,
    since: str | None,
    until: str | None,
    ids: tuple[str, ...],
    group: str | None,
    everything: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Throw recordings away, for good."""
    if not (route or since or until or ids or group or everything):
        raise click.UsageError("Say which: --route, --since, --until, --id, --group, or --all.")
    shelf = shelf_of(config_path)
    try:
        count = shelf.delete(
            route, since_ms=moment(since), until_ms=moment(until), ids=frozenset(ids), group=group
        )
    except OSError as error:
        raise Fault("internal", f"{shelf.folder} cannot be written: {error.strerror}.") from None
    click.echo(json.dumps({"deleted": count}) if as_json else f"{count:,} recordings were thrown away.")


def _head(recording: Recording) -> dict[str, Any]:
    document = said(recording)
    head = {name: document[name] for name in HEAD if name in document}
    return {"id": recording.id, "at": document["at"], "target": recording.target} | head


def _damage(shelf: Recordings) -> None:
    if shelf.damaged:
        click.echo(f"{shelf.damaged:,} bytes were passed over: they cannot be read.")


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _number(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"


def _table(columns: tuple[str, ...], *, header: bool = True) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0), show_header=header)
    for column in columns:
        right = column in ("recordings", "MB", "ms", "tokens in", "tokens out", "USD")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table
