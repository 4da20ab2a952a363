"""Options that several commands share, and what they open."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .. import config as configuration
from ..config import Config
from ..store import Store

WIDTH_ELSEWHERE = 160

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False),
        help="The configuration file; fungible.toml in this folder by default.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(
        command
    )


def load(config_path: str | None) -> Config:
    return configuration.load(config_path)


def store_of(config_path: str | None) -> Store:
    """The state's store, with everything folded that has been written so far."""
    store = Store(Path(configuration.load_server(config_path).state))
    store.fold()
    return store


def console() -> "Console":
    """For people: as wide as their terminal, and wide enough for a line a row where there is none."""
    from rich.console import Console  # noqa: PLC0415 - `serve` starts without it

    return Console() if sys.stdout.isatty() else Console(width=WIDTH_ELSEWHERE)
