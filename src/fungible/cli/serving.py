"""`fungible serve`: listen, and say where."""

import sys
import time

import click

from .. import config as configuration
from ..dialects import DIALECTS
from ..keys import create
from ..serve import serve
from ..store import Store
from .options import config_option


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port for calls.  [default: 4000]")
@click.option("--workers", type=int, help="Processes that share the port.  [default: 1]")
@click.option("--admin-port", type=int, help="Port of the admin API, on 127.0.0.1.  [default: 4001; 0: none]")
def command(
    config_path: str | None, host: str | None, port: int | None, workers: int | None, admin_port: int | None
) -> None:
    """Serve every model on one port, until told to stop."""
    said = {"host": host, "port": port, "workers": workers, "admin_port": admin_port}
    overrides = {name: value for name, value in said.items() if value is not None}
    config = configuration.load(config_path, overrides=overrides)
    if sys.stderr.isatty():
        _welcome(config)
    sys.exit(serve(config, _say))


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _welcome(config: configuration.Config) -> None:
    """For a person at a terminal: what is on, and the first key, which is shown once and nowhere kept."""
    on = ", ".join(config.catalogue.providers) or "none"
    print(f"Providers that are on: {on}. `fungible models` lists their models.", file=sys.stderr)
    for dialect in DIALECTS.values():
        base = dialect.client_paths[0].removesuffix(dialect.path)
        address = f"http://{config.server.host}:{config.server.port}{base}"
        print(f"Base URL for clients of {dialect.name}: {address}", file=sys.stderr)
    if config.server.auth == "open":
        print("No key is asked for (auth = 'open').", file=sys.stderr)
        return
    store = Store(config.server.state)
    if not store.keys():
        _, secret = create(store, "first", now_ms=time.time_ns() // 1_000_000)
        print(f"Your first key, shown this once: {secret}", file=sys.stderr)
    store.close()
