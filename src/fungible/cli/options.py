"""Options that several commands share, and what they open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import config as configuration
from ..config import Config
from ..store import Store

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
    store = Store(Path(load(config_path).server.state))
    store.fold()
    return store
