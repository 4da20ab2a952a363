"""`fungible doctor`: what is right and what is not, each with its mend."""

import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Literal, NamedTuple

import click

from ..config import Config
from ..faults import Fault
from ..models import Enabled
from ..prices import PriceBook, compile_list, package_version
from ..providers.signers import EMBEDDED
from ..retirement import Kept
from ..retirement.affected import affected, pressing
from ..store import Store
from .options import config_option, console, json_option, load, styled
from .retiring import calendar_of, sources, when

CONNECT_S = 3.0
STALE_DAYS = 120
TRAFFIC_DAYS = 30  # what was called since counts as used

Verdict = Literal["ok", "look", "wrong"]
STYLES: dict[Verdict, str] = {"ok": "green", "look": "yellow", "wrong": "red"}


class Finding(NamedTuple):
    verdict: Verdict
    about: str
    text: str


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Do not connect to providers.")
@config_option
@json_option
def command(offline: bool, config_path: str | None, as_json: bool) -> None:
    """Check the configuration, keys, providers, prices and the ledger; ends with 1 if something is wrong.

    Providers are connected to, and not asked anything: no call is made, nothing is spent.
    """
    found = list(examine(config_path, offline=offline))
    if as_json:
        click.echo(json.dumps({"findings": [f._asdict() for f in found]}))
    else:
        out = console()
        for finding in found:
            mark = (f"{finding.verdict:<5}", STYLES[finding.verdict])
            out.print(styled(mark, f" {finding.about}: {finding.text}"))
    sys.exit(any(f.verdict == "wrong" for f in found))


def examine(config_path: str | None, *, offline: bool) -> Iterator[Finding]:
    """Every finding, in the order they are made. Never raises for what it examines."""
    try:
        config = load(config_path)
    except Fault as fault:
        yield Finding("wrong", "configuration", fault.message)
        return
    yield Finding("ok", "configuration", config.path or "none: providers come from the environment")
    checks: tuple[tuple[str, Callable[[Config], Iterator[Finding]]], ...] = (
        ("ledger", _store),
        ("prices", _prices),
        ("embedded model", _engine),
        ("retirement", partial(_retirement, offline=offline)),
    )
    for about, check in checks:
        try:
            yield from check(config)
        except Fault as fault:
            yield Finding("wrong", about, fault.message)
    on = [row for row in config.catalogue.providers.values() if not row.provider.local]
    if not on:
        yield Finding(
            "look", "providers", "none is on: set a provider's usual variable, or add a [provider.NAME]"
        )
    if not offline:
        for row in on:
            yield _reach(row)


def _store(config: Config) -> Iterator[Finding]:
    store = Store(config.server.state)
    store.fold()
    wrong = store.check()
    for text in wrong:
        yield Finding("wrong", "ledger", text)
    if not wrong:
        yield Finding("ok", "ledger", f"{config.server.state} is whole, and its sums agree")
    keys = [key for key, _ in store.keys() if key.revoked_ms is None]  # noqa: SIM118 - a store is no dict
    if keys or config.server.auth == "open":
        yield Finding("ok", "keys", f"{len(keys)} in force, auth = {config.server.auth!r}")
    else:
        yield Finding("look", "keys", "none yet, so no call is let in: fungible keys create --name NAME")


def _prices(config: Config) -> Iterator[Finding]:
    compile_list(config.server.state)
    book = PriceBook.load(config.server.state)
    days = int((time.time() * 1000 - book.newest_ms) / 86_400_000)
    text = f"genai-prices {book.version}, its newest price {days} days old"
    if book.version != package_version() or days > STALE_DAYS:
        yield Finding("look", "prices", f"{text}: pip install -U genai-prices")
    else:
        yield Finding("ok", "prices", text)


def _retirement(config: Config, *, offline: bool) -> Iterator[Finding]:
    """What retires of what is used or named, within the days that `[retirement] warn_days` says."""
    due, now_ms = config.retirement, time.time_ns() // 1_000_000
    calendar = calendar_of(config, fetch=not offline)
    for name, feed in Kept.load(config.server.state).feeds.items():
        if feed.problem is not None:
            yield Finding("look", "retirement", f"{feed.problem} What {name} said before is still used.")
    rows = Store(config.server.state).traffic(now_ms - TRAFFIC_DAYS * 86_400_000)
    found = pressing(affected(calendar, config.catalogue, rows, now_ms), due.warn_days)
    for one in found:
        over = one.firm and one.days_left is not None and one.days_left <= 0
        mend = f" Rehearse its replacement: {one.rehearse[0]}" if one.rehearse else ""
        text = f"{one.target}: {when(one)}; {sources(one)}.{mend}"
        yield Finding("wrong" if over else "look", "retirement", text)
    if not due.sources:
        yield Finding("look", "retirement", "no feed is read: set [retirement] feeds to hear when models end")
    elif not found:
        yield Finding("ok", "retirement", f"nothing in use is said to end within {due.warn_days} days")


def _engine(config: Config) -> Iterator[Finding]:
    if find_spec("xllamacpp") is None:
        yield Finding("look", "embedded model", "its engine is not installed: pip install 'fungible[local]'")
    else:
        catalogue = config.catalogue
        own = [name for name, row in catalogue.providers.items() if row.aim.origin.scheme == EMBEDDED]
        names = ", ".join(f"{name}/{model}" for name in own for model in catalogue.of(name)) or "none"
        yield Finding("ok", "embedded model", names)


def _reach(row: Enabled) -> Finding:
    """Connect, with TLS where the address asks for it, and hang up."""
    origin, name = row.aim.origin, row.provider.name
    began = time.monotonic()
    try:
        with socket.create_connection((origin.host, origin.port), timeout=CONNECT_S) as sock:
            if origin.scheme == "https":
                ssl.create_default_context().wrap_socket(sock, server_hostname=origin.host).close()
    except (OSError, ssl.SSLError) as error:
        return Finding("wrong", f"provider {name}", f"{origin.host}:{origin.port} cannot be reached: {error}")
    took = (time.monotonic() - began) * 1000
    return Finding(
        "ok", f"provider {name}", f"{origin.host}:{origin.port} answers ({took:.0f} ms), {row.key_name}"
    )
