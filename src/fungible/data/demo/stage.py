"""The demo's stage: a folder, a configuration, two scripted providers and the server, each a process.

Everything is on loopback and ends with `Stage.close`, whatever happens in between.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from ...keys import create
from ...store import Store

CAST = """\
Two official SDKs talk to fungible; fungible talks to three targets:
[bold]alpha[/] and [bold]beta[/], scripted providers on this machine, one with OpenAI's API,
one with Anthropic's; and [bold]local/llama[/], a small real model in fungible
itself. No key, no account, no network."""

NEEDS = ("openai", "anthropic", "xllamacpp")  # the SDKs that ask, and the engine of local/llama
PROVIDERS = {"alpha": "openai.chat", "beta": "anthropic.messages"}
START_SECONDS_MAX = 20.0

CONFIG = """\
# The demo's configuration. A real one looks the same, with real providers.
[server]
port = {port}
state = "state"
attempt_header = "x-fungible-attempt"   # lets the demo compare the providers' bills with the ledger

[provider.alpha]                        # a scripted provider; it speaks the OpenAI dialect
dialect = "openai.chat"
base_url = "http://127.0.0.1:{alpha}/v1"
key = "file:provider.key"

[provider.beta]                         # another, which speaks the Anthropic dialect
dialect = "anthropic.messages"
base_url = "http://127.0.0.1:{beta}"
key = "file:provider.key"

[model."alpha/alpha-1"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."beta/beta-1"]
input_usd_per_mtok = 3.00
output_usd_per_mtok = 15.00

[route.assistant]                       # the name an application asks for
targets = ["alpha/alpha-1", "beta/beta-1", "local/llama"]

[record.assistant]                      # its calls are recorded, to rehearse a switch on
"""


class Stage:
    """Set up in a fresh `folder`. `url` is the server's address, `key` a virtual key for it.

    Its processes start beside whoever made it; `ready` waits for the server.
    """

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.config = folder / "fungible.toml"
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._env = {**os.environ, "NO_PROXY": "127.0.0.1"}
        (folder / "provider.key").write_text("a-key-that-opens-nothing\n")
        try:
            for name in PROVIDERS:
                self._start_provider(name)
            self.port = _free_port()
            self.url = f"http://127.0.0.1:{self.port}"
            store = self.store()
            _, self.key = create(store, "demo", now_ms=time.time_ns() // 1_000_000)
            store.close()
            ports = {name: self._port_of(name) for name in PROVIDERS}
            self.config.write_text(CONFIG.format(port=self.port, **ports))
            self._start_server()
        except BaseException:
            self.close()
            raise

    def store(self) -> Store:
        """What `fungible spend` and `fungible calls` read."""
        return Store(self.folder / "state")

    def ready(self) -> None:
        """Wait until the server answers."""
        process = self._processes["server"]
        last = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < last and process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer:  # noqa: S310
                if answer.status == 200:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"the server did not start: {(self.folder / 'server.log').read_text().strip()}")

    def bill(self, name: str) -> list[dict[str, object]]:
        """What a provider says that it has served, an entry an attempt."""
        path = self.folder / f"{name}.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def cut_off(self, name: str) -> None:
        """Kill a provider, as a power cut does."""
        process = self._processes[name]
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _start_provider(self, name: str) -> None:
        log = str(self.folder / f"{name}.log")
        words = ["-m", "fungible.data.demo.provider", PROVIDERS[name], "0", name, log]
        self._processes[name] = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)  # noqa: S603

    def _port_of(self, name: str) -> int:
        said = self._processes[name].stdout
        assert said is not None
        line = said.readline()
        if not line:
            raise RuntimeError(f"the scripted provider {name} did not start; what it said is above")
        return int(line)

    def _start_server(self) -> None:
        words = ["-m", "fungible", "serve", "--config", str(self.config), "--admin-port", "0"]
        with (self.folder / "server.log").open("w") as log:
            process = subprocess.Popen([sys.executable, *words], env=self._env, stderr=log, text=True)  # noqa: S603
        self._processes["server"] = process


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
