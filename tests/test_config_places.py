"""Where in a TOML text each key stands: `config.places` agrees with `tomllib` on what is there."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fungible.config.places import Place, places

DOCUMENT = '''# a comment with [brackets] = and "quotes"
top = 1
"quoted.key" = "a # no comment" # a comment
[server]   # here
text = """
two
lines"""
port.low = 3
port."high end" = [1, 2,
  # in the array
  {a = 1, b = "]}"},
 3]
day = 1979-05-27 07:32:00Z
literal = \'\'\'it\\'s "so"\'\'\'
[[route.x]]
a=1
[[route.x]]
a = 2
[route.x.sub]
empty = []
none = {}
escaped = "say \\"#\\" "
last = -1.5e3'''


def paths(value: Any, path: Place = ()) -> set[Place]:
    found = {path} if path else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


def test_lines_of_every_form_of_key() -> None:
    lines = places(DOCUMENT)
    wanted = {
        ("top",): 2,
        ("quoted.key",): 3,
        ("server",): 4,
        ("server", "text"): 5,
        ("server", "port", "low"): 8,
        ("server", "port", "high end"): 9,
        ("server", "port", "high end", 1): 9,
        ("server", "port", "high end", 2, "b"): 11,
        ("server", "port", "high end", 3): 12,
        ("server", "day"): 13,
        ("server", "literal"): 14,
        ("route", "x", 0): 15,
        ("route", "x", 1): 17,
        ("route", "x", 1, "a"): 18,
        ("route", "x", 1, "sub"): 19,
        ("route", "x", 1, "sub", "last"): 23,
    }
    assert {path: lines[path] for path in wanted} == wanted
    assert paths(tomllib.loads(DOCUMENT)) <= set(lines)


def test_windows_line_ends_count_once() -> None:
    assert places('a = 1\r\n[b]\r\nc = """x\r\ny"""\r\nd = 2\r\n')["b", "d"] == 5


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isalnum() or c in " []{}#='," else f"\\u{ord(c):04x}" for c in text) + '"'


KEYS = st.text(st.characters(max_codepoint=0xD7FF), max_size=6)
VALUES = st.recursive(
    st.integers(0, 99).map(str) | KEYS.map(quoted),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: "[\n" + ",\n".join(v) + "]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f"{quoted(k)} = {v}" for k, v in d.items()) + "}"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_path_that_tomllib_knows_has_a_line(tables: dict[str, dict[str, str]]) -> None:
    text = "".join(
        f"[{quoted(name)}] # {{\n" + "".join(f"{quoted(k)} = {v}\n" for k, v in table.items())
        for name, table in tables.items()
    )
    lines = places(text)
    assert set(lines) == paths(tomllib.loads(text))
    at = text.split("\n")
    for name, line in lines.items():
        if len(name) == 2:
            assert at[line - 1].startswith(quoted(str(name[1])))
