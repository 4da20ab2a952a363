"""`fungible keys`: make, list and revoke virtual keys."""

import json
import time
from datetime import UTC, datetime

import click
from rich.table import Table

from .. import keys, statement
from ..account import WINDOWS
from ..money import usd
from .options import config_option, console, json_option, store_of, styled


@click.group("keys")
def command() -> None:
    """Make, list and revoke keys.

    A key is what an application sends as its SDK's api_key. It is shown once, when it is made; only a
    digest of it is kept.
    """


@command.command("create")
@click.option("--name", required=True, help="What it is for; unique among the keys in force.")
@click.option("--budget-usd", metavar="USD", help="A hard limit of spending in each window, such as 25.")
@click.option("--window", type=click.Choice(list(WINDOWS)), default="month", show_default=True)
@click.option("--rpm", type=int, help="Requests a minute.")
@click.option("--tpm", type=int, help="Tokens a minute.")
@click.option(
    "--models",
    metavar="PATTERNS",
    help="Which models it may use, as in 'assistant,house/*'; all by default.",
)
@click.option("--team", help="A team that it counts for.")
@config_option
@json_option
def create(
    name: str,
    budget_usd: str | None,
    window: str,
    rpm: int | None,
    tpm: int | None,
    models: str | None,
    team: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Make a key and show it, this once."""
    store = store_of(config_path)
    patterns = tuple(p.strip() for p in models.split(",") if p.strip()) if models else ()
    row, secret = keys.create(
        store,
        name,
        now_ms=time.time_ns() // 1_000_000,
        budget_usd=budget_usd,
        window=window,
        rpm=rpm,
        tpm=tpm,
        models=patterns,
        team=team,
    )
    if as_json:
        click.echo(json.dumps({"key": secret, **statement.key(row)}))
        return
    click.echo("Keep it now: it is not shown again.", err=True)
    click.echo(secret)


@command.command("list")
@config_option
@json_option
def list_keys(config_path: str | None, as_json: bool) -> None:
    """All keys, revoked ones included."""
    rows = [key for key, _ in store_of(config_path).keys()]  # noqa: SIM118 - a store is no dict
    if as_json:
        click.echo(json.dumps({"keys": [statement.key(key) for key in rows]}))
        return
    if not rows:
        click.echo("There are no keys yet: fungible keys create --name NAME")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("id", "name", "team", "models", "rpm", "tpm", "budget", "made", "state"):
        table.add_column(column)
    for key in rows:
        budget = f"${usd(key.budget_nanousd)} a {key.window}" if key.budget_nanousd is not None else "-"
        limits = [str(n) if n is not None else "-" for n in (key.rpm, key.tpm)]
        state = styled(("revoked", "red") if key.revoked_ms is not None else "in force")
        models = ", ".join(key.models) or "all"
        table.add_row(key.id, key.name, key.team or "-", models, *limits, budget, _day(key.created_ms), state)
    console().print(table)


@command.command("revoke")
@click.argument("name_or_id")
@config_option
@json_option
def revoke(name_or_id: str, config_path: str | None, as_json: bool) -> None:
    """Take a key back; running servers refuse it within about a second."""
    row = store_of(config_path).revoke_key(name_or_id, time.time_ns() // 1_000_000)
    click.echo(json.dumps(statement.key(row)) if as_json else f"Revoked {row.name} ({row.id}).")


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
