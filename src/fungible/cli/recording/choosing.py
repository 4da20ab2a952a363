"""Which recordings a command is about: the options that choose them, and the shelf they lie on."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ... import config as configuration
from ...recordings import Recordings
from ...statement import moment_ms

Command = TypeVar("Command", bound=Callable[..., Any])


def route_option(command: Command) -> Command:
    return click.option("--route", metavar="NAME", help="Only of this name, as it was asked for.")(command)


def since_option(command: Command) -> Command:
    about = "Asked since: a date (2026-11-01) or an age (90m, 24h, 7d, 4w)."
    return click.option("--since", metavar="WHEN", help=about)(command)


def until_option(command: Command) -> Command:
    return click.option("--until", metavar="WHEN", help="Asked before: likewise.")(command)


def shelf_of(config_path: str | None) -> Recordings:
    return Recordings(Path(configuration.load_server(config_path).state))


def moment(text: str | None) -> int | None:
    return moment_ms(text, time.time()) if text is not None else None
