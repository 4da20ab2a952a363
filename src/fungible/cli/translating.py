"""`fungible translate`: one body, or thousands of lines, from one dialect to another."""

import json
import sys

import click

from ..dialects import DIALECTS
from ..faults import Fault
from ..translate import line, said, translate


@click.command("translate")
@click.option(
    "--from", "source", type=click.Choice(list(DIALECTS)), help="The dialect of the body that is read."
)
@click.option(
    "--to", "target", type=click.Choice(list(DIALECTS)), help="The dialect of the body that is written."
)
@click.option(
    "--kind",
    type=click.Choice(["request", "response", "stream", "error"]),
    default="request",
    show_default=True,
)
@click.option("--model", help="The model's name in the body that is written.")
@click.option("--strict", is_flag=True, help="Refuse what would lose something; ends with 1.")
@click.option(
    "--lines", is_flag=True, help='One JSON record a line: {"from", "to", "kind", "model", "body"}.'
)
def command(
    source: str | None, target: str | None, kind: str, model: str | None, strict: bool, lines: bool
) -> None:
    """Translate standard input to standard output: {"body": ..., "losses": [{"path", "kind", "why"}]}.

    A request for a dialect whose address names the model comes with that address, as "path".
    Nothing is sent anywhere. docs/losses.md says what each `why` means.
    """
    if lines:
        for text in sys.stdin:
            if text.strip():
                click.echo(json.dumps(_line(text, source, target, kind, model), ensure_ascii=False))
        return
    if source is None or target is None:
        raise click.UsageError("--from and --to are needed, unless --lines gives them in every record.")
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
