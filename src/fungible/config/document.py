"""One configuration file as it is read: its values, the line of each, and the complaints so far.

Complaints are collected, not raised, so that a person sees every mistake of a file at once. Each is a
line of its own: `fungible.toml:12: [provider.house] has no setting 'base-url'. Did you mean 'base_url'?`
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..faults import Fault
from ..models import nearest_name
from .places import Place, places
from .settings import TABLES, Setting, WrongError, kind_of

FILE_BYTES_MAX = 1024 * 1024
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

MENDS: tuple[tuple[str, str], ...] = (  # what tomllib says -> what to do about it
    ("Cannot overwrite a value", "a setting or a table is written twice; keep one"),
    ("Cannot declare", "a table is written twice; put its settings under one header"),
    ("Invalid value", "this is no TOML value; text needs quotes"),
    ("Expected '=' after a key", "a setting is written name = value"),
    ("Invalid statement", "a setting is written name = value, a table [name]"),
    ("Unterminated string", "a text lacks its closing quote"),
    ("Expected newline or end of document after a statement", "only one setting can stand on a line"),
    ("Unescaped '\\' in a string", "write a backslash twice, or put the text in single quotes"),
)


class Document:
    """`path` None: no file; then `root` is empty and the environment is all there is."""

    def __init__(self, path: str | None, text: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.folder = Path(path).resolve().parent if path is not None else Path.cwd()
        self.environ = environ
        self.root: dict[str, Any] = _parsed(path, text) if path is not None else {}
        self.lines = places(text)
        self.problems: list[tuple[int, str]] = []  # line, message
        self.watched: list[str] = [path] if path is not None else []  # files that matter to what is read

    def wrong(self, where: Place, what: str) -> None:
        """Complains of what stands at `where`, or else in the nearest table around it."""
        line = next((self.lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self.lines), 0)
        at = f"{self.path}:{line}: " if line else f"{self.path}: " if self.path is not None else ""
        self.problems.append((line, f"{at}{what}{'' if what.endswith(('.', '?')) else '.'}"))

    def named(self, kind: str) -> dict[str, Any]:
        """The tables of one kind by name: `[provider.a]`, `[provider.b]`."""
        raw = self.root.get(kind, {})
        if isinstance(raw, dict):
            return raw
        self.wrong((kind,), f"{kind} must be tables, each [{kind}.NAME], not {kind_of(raw)}")
        return {}

    def table(self, where: Place, raw: Any, settings: Mapping[str, Setting]) -> dict[str, Any]:
        """Every setting with its value, or its default where it is absent or wrong."""
        values = {name: setting.default for name, setting in settings.items()}
        if not isinstance(raw, dict):
            self.wrong(where, f"{title(where)} must be a table, not {kind_of(raw)}")
            return values
        for name, value in raw.items():
            if name not in settings:
                self.wrong((*where, name), f"{title(where)} has no setting {name!r}.{meant(name, settings)}")
                continue
            try:
                values[name] = settings[name].kind(value)
            except WrongError as wrong:
                self.wrong((*where, name), f"{title(where)} {name} {wrong}")
        return values

    def strangers(self) -> None:
        """Complains of what stands at the top of the file and is none of the tables."""
        for name, value in self.root.items():
            if name in TABLES:
                continue
            if isinstance(value, dict):
                self.wrong((name,), f"there is no table {title((name,))}.{meant(name, TABLES)}")
            else:
                home = " It belongs under [server]." if name in TABLES["server"] else ""
                self.wrong((name,), f"the setting {name!r} stands outside any table.{home}")

    def raise_problems(self) -> None:
        """One `Fault` (bad_request) with a line for each mistake, in the order of the file."""
        if self.problems:
            told = [message for _, message in sorted(self.problems, key=lambda p: p[0])]
            raise Fault("bad_request", "\n".join(dict.fromkeys(told)), path=self.path)


def title(where: Place) -> str:
    """`[provider.house]`, `[model."house/gpt-x"]`; below a table, `[route.assistant] targets`."""
    parts = [str(key) if BARE_KEY.fullmatch(str(key)) else f'"{key}"' for key in where[:2]]
    return " ".join([f"[{'.'.join(parts)}]", *(str(key) for key in where[2:3])])


def meant(wrong: str, names: Collection[str]) -> str:
    """` Did you mean 'x'?`, or else all the names there are."""
    return nearest_name(wrong, names) or f" There are: {', '.join(sorted(names)) or 'none'}."


def text_of(path: str) -> str:
    """The file's text. Raises `Fault` (bad_request) for one that cannot be read."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Fault("bad_request", f"{path}: cannot be read: {error.strerror}.", path=path) from None
    if len(raw) > FILE_BYTES_MAX:
        raise Fault("bad_request", f"{path}: is longer than {FILE_BYTES_MAX} bytes.", path=path)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Fault(
            "bad_request", f"{path}:{line}: is not UTF-8 text. Save the file as UTF-8.", path=path
        ) from None


def _parsed(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        where = re.search(r"at line (\d+)", said)
        line = int(where[1]) if where else text.rstrip("\n").count("\n") + 1
        known = next((mend for start, mend in MENDS if said.startswith(start)), None)
        what = known or "not TOML: " + re.sub(r" \(at .*\)$", "", said)
    except (RecursionError, ArithmeticError):
        line, what = 1, "is nested too deeply, or has a number that is none"
    raise Fault("bad_request", f"{path}:{line}: {what}.", path=path)
