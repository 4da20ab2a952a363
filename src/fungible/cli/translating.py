"""`fungible translate`: one body, or thousands of lines, from one dialect to another."""

import json
import sys

import click
import msgspec
from rich.table import Table

from ..dialects import SPOKEN, dialect
from ..faults import Fault
from ..foresight import Foreseen, foresee, foresee_dialects
from ..losses import WHY
from ..prices import PriceBook
from ..translate import line, said, translate
from .options import config_option, console, json_option, load, styled

ALL = "all"


@click.command("translate")
@click.option(
    "--from", "source", type=click.Choice(list(SPOKEN)), help="The dialect of the body that is read."
)
@click.option(
    "--to",
    "target",
    type=click.Choice([*SPOKEN, ALL]),
    help="The dialect of the body that is written; all: what every dialect would lose.",
)
@click.option(
    "--route", metavar="NAME", help="What every target of a route, or of any model's name, would lose."
)
@click.option(
    "--kind",
    type=click.Choice(["request", "response", "stream", "error"]),
    default="request",
    show_default=True,
)
@click.option("--model", help="The model's name in the body that is written.")
@click.option("--strict", is_flag=True, help="Refuse what would lose something; ends with 1.")
@config_option
@json_option
@click.option(
    "--lines", is_flag=True, help='One JSON record a line: {"from", "to", "kind", "model", "body"}.'
)
def command(
    source: str | None,
    target: str | None,
    route: str | None,
    kind: str,
    model: str | None,
    strict: bool,
    lines: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Translate standard input to standard output: {"body": ..., "losses": [{"path", "kind", "why"}]}.

    A request for a dialect whose address names the model comes with that address, as "path".
    With --route, or --to all, no body is written: a table for people, or with --json a document, says what
    each target would lose. Nothing is sent anywhere. docs/losses.md says what each `why` means.
    """
    if lines:
        for text in sys.stdin:
            if text.strip():
                click.echo(json.dumps(_line(text, source, target, kind, model), ensure_ascii=False))
        return
    if source is None or (target is None and route is None):
        raise click.UsageError("--from and --to are needed, unless --lines gives them in every record.")
    if route is not None or target == ALL:
        if kind != "request":
            raise click.UsageError("What targets would lose is told of a request: leave --kind out.")
        told = _foreseen(sys.stdin.buffer.read(), source, route, config_path)
        _show(told, as_json)
        sys.exit(1 if strict and not any(row.whole for row in told) else 0)
    assert target is not None
    text = sys.stdin.read()
    body = text if kind == "stream" else _parsed(text)
    done = translate(body, source=source, target=target, kind=kind, model=model, strict=strict)
    click.echo(json.dumps(said(done), ensure_ascii=False))


def _line(text: str, source: str | None, target: str | None, kind: str, model: str | None) -> object:
    try:
        record = json.loads(text)
    except ValueError as error:
        return {"error": {"kind": "bad_request", "message": f"The line is not JSON: {error}.", "path": None}}
    if isinstance(record, dict):
        said = {"from": source, "to": target, "kind": kind, "model": model}
        record = {**{name: value for name, value in said.items() if value is not None}, **record}
    return line(record)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Fault("bad_request", f"Standard input is not JSON: {error}.") from None


def _foreseen(body: bytes, source: str, route: str | None, config_path: str | None) -> list[Foreseen]:
    if route is None:
        return foresee_dialects(body, dialect(source))
    config = load(config_path)
    catalogue = config.catalogue.knowing(PriceBook.load(config.server.state))
    return foresee(body, dialect(source), catalogue.route(route).targets)


def _show(rows: list[Foreseen], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"targets": rows}).decode())
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("target", "dialect", "what is lost", "how", "why"):
        table.add_column(column, overflow="fold")
    for row in rows:
        if row.refused is not None:
            table.add_row(row.target, row.dialect, styled((f"refused: {row.refused}", "red")))
        elif row.whole:
            nothing = styled(("nothing", "green"))
            table.add_row(row.target, row.dialect, nothing, "moved" if row.moved else "translated")
        for n, loss in enumerate(row.losses):
            first = (row.target, row.dialect) if n == 0 else ("", "")
            table.add_row(*first, loss.path, loss.kind, f"{loss.why}: {WHY[loss.why]}")
    console().print(table)
