"""The provider table, row by row, and the page made from it.

Run as a program, this file writes `docs/providers.md`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fungible.config.providers import mend
from fungible.dialects import DIALECTS, embeddings_of
from fungible.dialects import SPOKEN as EVERY
from fungible.faults import Fault
from fungible.ir import Message, Request, Text
from fungible.losses import Report
from fungible.models import Catalogue, Enabled, Target
from fungible.providers.base import Provider
from fungible.providers.signers import EMBEDDED, SIGNERS, Address, Secret, address, aim, header_name, sendable
from fungible.providers.table import COMPATIBLE, PROVIDERS, ROWS, SIGNER_OF
from fungible.version import VERSION
from fungible.world import Origin, Outgoing

PAGE = Path(__file__).resolve().parent.parent / "docs" / "providers.md"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
KEY = "a-key"


def page() -> str:
    """`docs/providers.md`, as the table has it."""
    hosted = [row for row in ROWS if not row.local]
    own = [row for row in ROWS if row.local]
    quirks = [(d.name, quirk, says) for d in EVERY.values() for quirk, says in sorted(d.quirks.items())]
    return "\n".join(
        [
            "# Providers",
            "",
            "Made from `src/fungible/providers/table.py` by `python tests/test_providers.py`; change the table, not this",
            "page. Any other address that speaks one of these dialects is a `[provider.NAME]` of your own: see",
            "[configuration](configuration.md). A provider is asked for vectors as its dialect's owner is: see",
            "[embeddings](embeddings.md). How to add a row, and when one is taken out: CONTRIBUTING.md.",
            "",
            "## Hosted",
            "",
            "On when the variable is set, or when the configuration names them.",
            "",
            "| name | dialects | base URL | variable | key sent as | quirks |",
            "|---|---|---|---|---|---|",
            *(_row(row) for row in hosted),
            "",
            "## On machines of your own",
            "",
            "On when the configuration names them; a key is used where the variable is set. They cost nothing a token.",
            "`local` is the engine in fungible's own process, on wherever its package is installed.",
            "",
            "| name | dialects | base URL | variable | key sent as | quirks |",
            "|---|---|---|---|---|---|",
            *(_row(row) for row in own),
            "",
            "## Quirks",
            "",
            "| dialect | quirk | what it means |",
            "|---|---|---|",
            *(f"| `{dialect}` | `{quirk}` | {says} |" for dialect, quirk, says in quirks),
            "",
        ]
    )


def _row(row: Provider) -> str:
    without, shown = row.keyless
    variables = [*row.env, *shown, *row.variables.values()]
    cells = [
        f"[{row.name}]({row.site})",
        " ".join(f"`{name}`" for name in row.dialects),
        f"`{row.base_url}`",
        " ".join(f"`{v}`" for v in variables) or "none",
        f"`{row.signer}`" + (f", or `{without}` without a key" if without else ""),
        " ".join(f"`{q}`" for q in sorted(row.quirks)) or "none",
    ]
    return f"| {' | '.join(cells)} |"


def target(row: Provider, name: str) -> Target:
    """A target of the row in one of its dialects, its variables filled with something."""
    url = row.base_url
    for placeholder in row.variables:
        whole = url.startswith("{" + placeholder)
        url = url.replace("{" + placeholder + "}", "https://mine.example" if whole else "mine")
    fields = {f: getattr(row, f) for f in Provider.__struct_fields__} | {"base_url": url}
    provider = Provider(**fields)
    dialect = DIALECTS[row.dialect]
    enabled = Enabled(
        provider=provider,
        dialect=dialect,
        aim=aim(provider, dialect, Secret(KEY), {}),
        also=tuple((DIALECTS[d], aim(provider, DIALECTS[d], Secret(KEY), {})) for d in row.also),
        key_name="env:X",
    )
    return Catalogue({row.name: enabled}, {}, {}, {}).target(row.name, "some/model").spoken(name)


def fields_of(head: bytes) -> Mapping[str, str]:
    lines = head.decode("ascii").split("\r\n")
    assert lines[-1] == ""
    fields = dict(line.split(": ", 1) for line in lines[1:-1])
    assert len(fields) == len(lines) - 2, "a header stands twice"
    return fields


# --- every row -----------------------------------------------------------------------------------


SPOKEN = [pytest.param(row, name, id=f"{row.name}-{name}") for row in ROWS for name in row.dialects]


@pytest.mark.parametrize(("row", "name"), SPOKEN)
def test_every_row_makes_a_whole_request(row: Provider, name: str) -> None:
    made = target(row, name)
    dialect = DIALECTS[name]
    assert made.dialect == name
    request = Request(model="some/model", messages=(Message(role="user", parts=(Text(text="Hello"),)),))
    body = dialect.write_request(request, Report(), made.quirks)
    outgoing = Outgoing(made.origin, made.path, made.head, body)
    asked = outgoing.path + outgoing.body.decode()
    assert "some%2Fmodel" in asked or '"some/model"' in asked
    assert outgoing.head.startswith(b"POST " + outgoing.path.encode() + b" HTTP/1.1\r\n")
    here = row.paths[name].path if row.paths else dialect.path
    assert outgoing.path.endswith(here.replace("{model}", "some%2Fmodel"))
    if made.embedded:
        assert outgoing.head.count(b"\r\n") == 1
        return
    fields = fields_of(outgoing.head)
    assert fields["host"].startswith(outgoing.origin.host)
    assert fields["content-type"] == "application/json"
    assert fields["user-agent"] == f"fungible/{VERSION}"
    assert SIGNERS[row.signer](KEY).items() <= fields.items()
    assert {n.lower(): v for n, v in dialect.headers.items()}.items() <= fields.items()
    assert outgoing.origin.scheme == "https" or row.local
    assert "{" not in outgoing.path + outgoing.origin.host


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_says_what_it_must(row: Provider) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*", row.name)
    assert set(row.dialects) <= DIALECTS.keys() and len(set(row.dialects)) == len(row.dialects)
    assert row.signer in SIGNERS
    assert row.keyless[0] in ("", *SIGNERS) and bool(row.keyless[0]) == bool(row.keyless[1])
    spoken = (*(DIALECTS[name] for name in row.dialects), *embeddings_of(*row.dialects))
    assert row.quirks <= {quirk for dialect in spoken for quirk in dialect.quirks}
    assert row.on_abandon in ("cancel", "drain")
    for url in (row.base_url, *row.addresses.values()):
        assert set(PLACEHOLDER.findall(url)) <= set(row.variables)
    assert set(PLACEHOLDER.findall(row.base_url)) == set(row.variables)
    assert row.paths.keys() in (set(), set(row.dialects))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", v) for v in (*row.env, *row.variables.values()))
    assert row.local or row.env or row.keyless[1] or row.signer.startswith("sigv4"), (
        "a hosted provider is switched on by a variable"
    )
    assert row.site.startswith("https://")
    assert not row.base_url.endswith("/")
    assert mend(row).endswith(".")


def test_no_row_stands_twice() -> None:
    assert len(PROVIDERS) == len(ROWS)
    hosted = [row for row in ROWS if not row.local]
    assert len({(row.base_url, row.dialect, *row.paths.values()) for row in ROWS}) == len(ROWS)
    variables = [v for row in hosted for v in row.env]
    assert len(set(variables)) == len(variables), "a variable would switch on two providers"


def test_the_first_row_of_a_dialect_signs_as_its_owner() -> None:
    for dialect in DIALECTS:
        owner = next(row for row in ROWS if dialect in row.dialects)
        assert SIGNER_OF[dialect] == owner.signer
        assert not owner.quirks - {"checks_ids"}  # which says whose thinking it takes, and no difference


def test_compatible_is_made_of_quirks() -> None:
    assert not COMPATIBLE - DIALECTS["openai.chat"].quirks.keys()


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/test_providers.py"


def test_the_version_is_the_package_s() -> None:
    written = (PAGE.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{VERSION}"\n' in written


# --- addresses -----------------------------------------------------------------------------------

ADDRESSES = {
    "https://api.example.com/v1": (Origin("https", "api.example.com", 443), "/v1", ""),
    "https://api.example.com/v1/": (Origin("https", "api.example.com", 443), "/v1", ""),
    "https://api.example.com": (Origin("https", "api.example.com", 443), "", ""),
    "https://api.example.com//": (Origin("https", "api.example.com", 443), "", ""),
    "HTTP://API.Example.com:8080/a/b": (Origin("http", "api.example.com", 8080), "/a/b", ""),
    "http://127.0.0.1:9100/v1": (Origin("http", "127.0.0.1", 9100), "/v1", ""),
    "http://[::1]:8000/v1": (Origin("http", "::1", 8000), "/v1", ""),
    "https://x.example/v1?api-version=preview": (
        Origin("https", "x.example", 443),
        "/v1",
        "?api-version=preview",
    ),
    "https://x.example/a%20b": (Origin("https", "x.example", 443), "/a%20b", ""),
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address(url: str) -> None:
    assert address(url) == Address(*ADDRESSES[url])


def test_an_address_is_joined_with_the_dialect_s_path() -> None:
    provider = Provider(name="x", dialect="openai.chat", base_url="http://[::1]:8000/v1/?a=b")
    made = aim(provider, DIALECTS["openai.chat"], Secret(KEY), {})
    assert made.path("/chat/completions") == "/v1/chat/completions?a=b"
    assert b"\r\nhost: [::1]:8000\r\n" in made.head("/chat/completions")
    assert made.head("/else").startswith(b"POST /v1/else?a=b HTTP/1.1\r\nhost: ")


REFUSED = {
    "api.example.com/v1": "must begin with http:// or https://",
    "ws://x": "must begin with http:// or https://",
    "": "must begin with http:// or https://",
    "https://me@x.example/v1": "holds a user name or password",
    "https://me:hidden@x.example/v1": "holds a user name or password",
    "https:///v1": "has no valid host",
    "https://a b/v1": "has a character that a URL cannot hold",
    "https://x.example/\r\nx: y": "has a character that a URL cannot hold",
    "https://ex\u00e4mple/v1": "has a character that a URL cannot hold",
    "https://[::1/v1": "is no URL",
    "https://x:port/v1": "is no URL",
    "https://x:0/v1": "has no valid port",
    "https://x.example/v1#part": "has a fragment",
    "https://x.example/v1?key=hidden": "seems to hold a secret",
    "https://x.example/v1?a=b&access_token=hidden": "seems to hold a secret",
    "https://x.example/v1?sig=hidden": "seems to hold a secret",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(Fault, match=REFUSED[url]) as caught:
        address(url)
    assert (caught.value.kind, caught.value.path) == ("bad_request", "base_url")
    assert "hidden" not in caught.value.message


def test_the_embedded_engine_is_no_address() -> None:
    assert address(EMBEDDED + ":").origin == Origin(EMBEDDED, "", 0)


# --- headers -------------------------------------------------------------------------------------

HOUSE = Provider(name="house", dialect="openai.chat", base_url="https://x.example/v1")


@pytest.mark.parametrize(
    "key", ["two\nlines", "two\r\nx-evil: 1", "nul\0", "k\u00e9y", " padded", "tab\vhere"]
)
def test_a_key_that_no_header_can_hold(key: str) -> None:
    assert not sendable(key)
    with pytest.raises(Fault) as caught:
        aim(HOUSE, DIALECTS["openai.chat"], Secret(key), {"x-team": Secret(key)})
    assert key not in caught.value.message


def test_headers_of_the_operator_go_before_ours() -> None:
    made = aim(
        HOUSE, DIALECTS["openai.chat"], Secret(KEY), {"User-Agent": Secret("me/1"), "X-A": Secret("b")}
    )
    fields = fields_of(made.head("/x"))
    assert (fields["user-agent"], fields["x-a"], fields["authorization"]) == ("me/1", "b", f"Bearer {KEY}")


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "connection", "a b", "a:b", "", "a\r\nb"]
)
def test_headers_that_are_refused(name: str) -> None:
    with pytest.raises(Fault):
        header_name(name)


def test_without_a_key_nothing_is_signed() -> None:
    assert b"authorization" not in aim(HOUSE, DIALECTS["openai.chat"], None, {}).head("/x")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"wrote {PAGE}\n")
