"""Options that several commands share, and what they open."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from .. import config as configuration
from ..config import Config
from ..store import Store

WIDTH_ELSEWHERE = 160

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

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


def private(path: str) -> BinaryIO:
    """A file to be written anew that its owner alone can read: it holds what people wrote. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def console(markup: bool = False) -> "Console":
    """For people: as wide as their terminal, and wide enough for a line a row where there is none.

    Text is shown as it is: names and tags are their callers', who may write brackets. See `styled`. With
    `markup`, brackets are styles: for text that is all our own.
    """
    from rich.console import Console  # noqa: PLC0415 - `serve` starts without it

    return Console(markup=markup, width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)


def styled(*pieces: "str | tuple[str, str]") -> "Text":
    """A text of pieces, each perhaps with its style: `styled(("ok", "green"), " it is")`."""
    from rich.text import Text  # noqa: PLC0415 - as in `console`

    return Text.assemble(*pieces)
