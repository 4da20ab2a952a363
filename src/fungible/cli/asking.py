"""`fungible chat`: one question to any model, in this process."""

import json
import sys
import time

import click

from ..client import Client
from ..faults import Fault
from .options import config_option, json_option


@click.command("chat")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", help="What the model is told beforehand.")
@click.option("--max-output-tokens", type=int, default=1024, show_default=True)
@config_option
@json_option
def command(
    model: str,
    prompt: str | None,
    system: str | None,
    max_output_tokens: int,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Ask MODEL one question and read the answer as it comes. Without PROMPT, standard input is the question.

    No server is needed; the call is in the same ledger.
    """
    question = prompt if prompt is not None else _read()
    with Client(config_path) as client:
        if as_json:
            answer = client.chat(model, question, system=system, max_output_tokens=max_output_tokens)
            click.echo(_json(answer.text, answer.target, answer.call, answer.cost_usd, answer.losses))
            return
        began = time.monotonic()
        for piece in client.stream(model, question, system=system, max_output_tokens=max_output_tokens):
            click.echo(piece, nl=False)
            sys.stdout.flush()
        click.echo()
        if sys.stderr.isatty():
            click.secho(f"{time.monotonic() - began:.1f} s", dim=True, err=True)


def _read() -> str:
    if sys.stdin.isatty():
        click.echo("Type the question, then Ctrl-D:", err=True)
    text = sys.stdin.read().strip()
    if not text:
        raise Fault("bad_request", "There is no question: give it as PROMPT or on standard input.")
    return text


def _json(text: str, target: str, call: str, cost_usd: str | None, losses: str) -> str:
    return json.dumps({"text": text, "target": target, "call": call, "cost_usd": cost_usd, "losses": losses})
