"""`fungible calls`: recent calls, one call whole, or every attempt for a program."""

import json
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..faults import Fault
from ..losses import WHY
from ..money import usd
from ..policies.share import SIDES, read_mark
from .options import config_option, console, json_option, store_of, styled

COLOURS = {"settled": "green", "estimated": "yellow", "unknown": "red", "void": "dim", "open": "blue"}


@click.command("calls")
@click.argument("call_id", required=False)
@click.option("--limit", default=20, show_default=True, help="How many of the latest calls.")
@click.option("--attempts", is_flag=True, help="Every attempt of the ledger, in order.")
@click.option("--json-lines", is_flag=True, help="With --attempts: one JSON object a line.")
@config_option
@json_option
def command(
    call_id: str | None, limit: int, attempts: bool, json_lines: bool, config_path: str | None, as_json: bool
) -> None:
    """Recent calls; with CALL_ID one call, with its attempts, losses and cost."""
    store = store_of(config_path)
    if json_lines and not attempts:
        raise click.UsageError("--json-lines goes with --attempts.")
    if attempts:
        rows = store.attempts() if call_id is None else store.attempts(call=call_id)
        if json_lines:
            for row in rows:
                click.echo(json.dumps(row))
        elif as_json:
            click.echo(json.dumps({"attempts": list(rows)}))
        else:
            console().print(_attempts(list(rows)))
        return
    if call_id is not None:
        call = store.call(call_id)
        if call is None:
            raise Fault(
                "not_found", f"The ledger has no call {call_id!r}. `fungible calls` lists the latest."
            )
        _one(call, as_json)
        return
    calls = store.calls(limit)
    if as_json:
        click.echo(json.dumps({"calls": calls}))
    elif not calls:
        click.echo("Nothing was called yet.")
    else:
        console().print(_many(calls))


def _many(calls: list[dict[str, Any]]) -> Table:
    table = _table(
        "call", "when (UTC)", "route", "answered by", "attempts", "state", "tokens in", "out", "USD", "losses"
    )
    for call in calls:
        table.add_row(
            call["call"],
            _when(call["started_ms"]),
            call["route"] or "-",
            call["target"],
            str(len(call["attempts"])),
            _state(call["state"]),
            _number(call["input_tokens"]),
            _number(call["output_tokens"]),
            _cost(call["cost_nanousd"]),
            str(call["losses"]),
        )
    return table


def _one(call: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(call))
        return
    out = console()
    out.print(
        styled("Call ", (call["call"], "bold"), f", route {call['route'] or '-'}, key {call['key'] or '-'}")
    )
    out.print(_attempts(call["attempts"]))
    mark = read_mark(call["attempts"][0]["tags"])
    if mark is not None:
        out.print(f"Switch {mark.switch}, stage {mark.stage}: {SIDES[mark.side]}.", highlight=False)
    for why, count in call["lost"].items():
        out.print(f"Lost: {why}, {count} times. {WHY.get(why, '')}", highlight=False)
    out.print(f"Cost: {_cost(call['cost_nanousd'])} USD", highlight=False)


def _attempts(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "attempt",
        "when (UTC)",
        "target",
        "state",
        "fault",
        "status",
        "ms",
        "tokens in",
        "out",
        "USD",
        "price",
    )
    for row in rows:
        took = row["ended_ms"] - row["started_ms"] if row["ended_ms"] is not None else None
        table.add_row(
            row["attempt"],
            _when(row["started_ms"]),
            f"{row['provider']}/{row['model']}",
            _state(row["state"]),
            row["fault"] or "-",
            _number(row["status"]),
            _number(took),
            _number(row["input_tokens"]),
            _number(row["output_tokens"]),
            _cost(row["cost_nanousd"]),
            row["price_id"] or "-",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column in ("attempts", "status", "ms", "tokens in", "out", "USD", "losses")
        table.add_column(
            column, justify="right" if right else "left", no_wrap=column != "price", overflow="fold"
        )
    return table


def _state(state: str) -> Text:
    return styled((state, COLOURS[state]))


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"


def _cost(nanousd: int | None) -> str:
    return usd(nanousd) if nanousd is not None else "not known"
