"""A group of commands that are imported when they are named, so that no command waits for what others need.

Its rows say where each command is, and what it does, in the order of `--help`.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import click

from ..models import nearest_name

Rows = Mapping[str, tuple[str, str]]  # command: (module, what it does)


class Late(click.Group):
    """`rows` are commands of modules of `package`; `of` follows the name in what is said of a wrong one."""

    def __init__(self, *args: Any, rows: Rows, package: str, of: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._rows, self._package, self._of = rows, package, of

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        row = self._rows.get(cmd_name)
        if row is None:
            return None
        held = vars(importlib.import_module(f".{row[0]}", self._package)).values()
        return next(one for one in held if isinstance(one, click.Command) and one.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._rows.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._rows and not args[0].startswith("-"):
            near = nearest_name(args[0], list(self._rows))
            raise click.UsageError(f"There is no command {args[0]!r}{self._of}.{near}")
        return super().resolve_command(ctx, args)
