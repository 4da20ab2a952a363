"""Where in a TOML text each key stands, so that a complaint can name its line.

`tomllib` checks the text and gives its values; this walks the same text once more and notes lines. It
reads only texts that `tomllib` took, so it need not judge them: it knows just enough of the grammar
(TOML 1.0) to tell keys from strings, comments and brackets.
"""

import re
import tomllib
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]  # keys, and indexes into arrays

_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d[\d:.]*(?:Z|[+-][\d:]+)?)?")  # a date may hold one space
_SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")


def places(text: str) -> dict[Place, int]:
    """The line, from 1, of every table, key and array element; of a dotted table, its first key's."""
    walk = _Walk(text.replace("\r\n", "\n"))
    walk.document()
    return walk.lines


class _Walk:
    """One pass over the text. `at` is where it stands, `line` the line of that place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Place, int] = {}
        self.counts: dict[Place, int] = {}  # tables of an array of tables so far

    def document(self) -> None:
        table: Place = ()
        while self.skip(_BLANK) < len(self.text):
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> Place:
        line, several = self.line, self.text.startswith("[[", self.at)
        self.at += 2 if several else 1
        path = self.inside(self.key())
        self.at += 2 if several else 1
        if several:
            number = self.counts.get(path, 0)
            self.counts[path] = number + 1
            self.note(path, line)
            path = (*path, number)
        self.note(path, line)
        return path

    def inside(self, key: Place) -> Place:
        """A header's path, with the number of the latest table for each array of tables on the way."""
        path: Place = ()
        for name in key[:-1]:
            path = (*path, name)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path + key[-1:]

    def pair(self, table: Place) -> None:
        line = self.line
        path = table + self.key()
        self.note(path, line)
        self.at += 1  # the equals sign
        self.value(path)

    def key(self) -> Place:
        names: list[str] = []
        while True:
            self.skip(_SPACE)
            quoted = _STRING.match(self.text, self.at)
            if quoted:
                names.append(tomllib.loads(f"k = {quoted[0]}")["k"])
                self.at = quoted.end()
            else:
                bare = _BARE.match(self.text, self.at)
                assert bare, "tomllib took this text"
                names.append(bare[0])
                self.at = bare.end()
            self.skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return tuple(names)
            self.at += 1

    def value(self, path: Place) -> None:
        self.skip(_SPACE)
        match self.text[self.at : self.at + 1]:
            case "[":
                self.items(path, "]")
            case "{":
                self.items(path, "}")
            case '"' | "'":
                self.skip(_STRING)
            case _:
                self.skip(_SCALAR)

    def items(self, path: Place, close: str) -> None:
        """An array or an inline table, over as many lines as it takes."""
        self.at += 1
        number = 0
        while self.skip(_BLANK) < len(self.text) and self.text[self.at] != close:
            if close == "]":
                self.note((*path, number), self.line)
                self.value((*path, number))
                number += 1
            else:
                self.pair(path)
            self.skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
        self.at += 1

    def skip(self, what: re.Pattern[str]) -> int:
        found = what.match(self.text, self.at)
        if found:
            self.line += self.text.count("\n", self.at, found.end())
            self.at = found.end()
        return self.at

    def note(self, path: Place, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
