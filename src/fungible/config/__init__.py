"""The configuration: one TOML file and the environment, read once into values that never change.

This is the only file that reads the environment. `load` either gives a whole `Config` or raises one
`Fault` with every mistake of the file, each with its line, its key and its mend, and changes nothing: a
running server that loads a broken file keeps what it has. A secret is fetched from where the file says
it is, goes into a `Secret`, and is in no message; a secret written into the file itself is refused.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..call import Deadlines, Settings
from ..models import Catalogue
from ..providers.signers import Secret
from ..recordings.rules import Rules
from . import providers, records, routes
from .credentials import Renewed
from .document import Document, text_of
from .retiring import Retiring, read_retirement
from .settings import SERVER, WrongError

FILE = providers.FILE
STATE = ".fungible"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`. Times in milliseconds, sizes in bytes; `state` is an absolute path."""

    host: str
    port: int
    admin_port: int
    workers: int
    auth: str
    state: str
    durable: str
    attempt_header: str | None
    body_bytes_max: int
    connect_ms: int
    first_ms: int
    idle_ms: int
    total_ms: int
    drain_ms: int
    attempts_max: int
    retries_per_s: int
    keep_days: int

    def settings(self) -> Settings:
        """What of it a call needs."""
        return Settings(
            open=self.auth == "open",
            attempt_header=self.attempt_header,
            deadlines=Deadlines(self.connect_ms, self.first_ms, self.idle_ms, self.total_ms),
            attempts_max=self.attempts_max,
            retries_per_s=self.retries_per_s,
            workers=self.workers,
        )


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All that was configured.

    path:          the file that was read, None where there was none
    watched:       files whose change means a reload: the file, and those that hold secrets
    local_models:  name -> GGUF file, for the embedded engine
    proxies:       `http`, `https`, `all` -> proxy URL, which may hold a password
    chains:        credentials to be renewed now and then, beside the loop
    retirement:    who tells when models retire
    no_proxy:      hosts that are reached without one, as in the variable of that name
    records:       which calls are recorded
    """

    path: str | None
    server: Server
    catalogue: Catalogue
    watched: tuple[str, ...]
    local_models: dict[str, str]
    proxies: dict[str, Secret]
    no_proxy: str
    chains: tuple[Renewed, ...] = ()
    retirement: Retiring = Retiring()
    records: Rules = Rules({})


def load(
    path: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Reads `path`, or `fungible.toml` in the working directory where it is, else only the environment.

    `overrides` are `[server]` settings from the command line; they are checked like the file's.
    Raises `Fault` (bad_request, path = the file) whose message has one line for each mistake.
    """
    doc = _document(path, environ)
    doc.strangers()
    server = _server(doc, overrides or {})
    found = providers.read(doc)
    models = routes.read_models(doc, found)
    plans = routes.read_routes(doc, found)
    retiring = read_retirement(doc, found, plans)
    rules = records.read_records(doc, plans)
    doc.raise_problems()
    through, no_proxy = proxies(doc.environ)
    return Config(
        path=doc.path,
        server=server,
        catalogue=Catalogue(found.enabled, plans, models, found.off),
        watched=tuple(doc.watched),
        local_models=found.local_models,
        proxies=through,
        no_proxy=no_proxy,
        chains=tuple(found.chains),
        retirement=retiring,
        records=rules,
    )


def load_server(path: str | None = None, environ: Mapping[str, str] | None = None) -> Server:
    """Only `[server]`: for whoever reads the state and asks no provider, so that no key has to be there."""
    doc = _document(path, environ)
    server = _server(doc, {})
    doc.raise_problems()
    return server


def load_records(path: str | None = None, environ: Mapping[str, str] | None = None) -> Rules:
    """Only what is recorded and redacted: likewise for whoever asks no provider."""
    doc = _document(path, environ)
    rules = records.read_records(doc, {})
    doc.raise_problems()
    return rules


def _document(path: str | None, environ: Mapping[str, str] | None) -> Document:
    if path is None and Path(FILE).is_file():
        path = FILE
    text = text_of(path) if path is not None else ""
    return Document(path, text, os.environ if environ is None else environ)


def proxies(environ: Mapping[str, str]) -> tuple[dict[str, Secret], str]:
    """The usual variables, lower case first; HTTP_PROXY is not believed under CGI (CVE-2016-1000110)."""
    said: dict[str, Secret] = {}
    for scheme in ("http", "https", "all"):
        upper = (
            ""
            if scheme == "http" and "REQUEST_METHOD" in environ
            else environ.get(f"{scheme.upper()}_PROXY", "")
        )
        url = environ.get(f"{scheme}_proxy", upper)
        if url:
            said[scheme] = Secret(url)
    return said, environ.get("no_proxy", environ.get("NO_PROXY", ""))


def _server(doc: Document, overrides: Mapping[str, Any]) -> Server:
    values = doc.table(("server",), doc.root.get("server", {}), SERVER)
    for name, value in overrides.items():
        try:
            values[name] = SERVER[name].kind(value)
        except WrongError as wrong:
            doc.problems.append((0, f"--{name.replace('_', '-')} {wrong}."))
    if values["auth"] == "open" and not _loopback(values["host"]):
        what = "[server] auth = 'open' answers anybody, so host must be a loopback address such as 127.0.0.1"
        doc.wrong(("server", "auth"), f"{what}, not {values['host']!r}. Use auth = 'keys' to serve others")
    state = values["state"]
    values["state"] = str(doc.folder / Path(state).expanduser() if state else Path.cwd() / STATE)
    return Server(**values)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
