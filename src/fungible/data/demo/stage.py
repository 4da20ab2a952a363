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
"""


class Stage:
    """Set up in a fresh `folder`. `url` is the server's address, `key` a virtual key for it."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.config = folder / "fungible.toml"
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._env = {**os.environ, "NO_PROXY": "127.0.0.1"}
        (folder / "provider.key").write_text("a-key-that-opens-nothing\n")
        ports = {name: self._provider(name) for name in PROVIDERS}
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config.write_text(CONFIG.format(port=self.port, **ports))
        self.key = json.loads(self.program("keys", "create", "--name", "demo", "--json"))["key"]
        began = time.monotonic()
        self._start_server()
        self.started_s = time.monotonic() - began

    def program(self, *words: str) -> str:
        """Run a command of `fungible` on the demo's state; gives what it printed."""
        command = [sys.executable, "-m", "fungible", *words, "--config", str(self.config)]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"fungible {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

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

    def _provider(self, name: str) -> int:
        words = [
            "-m",
            "fungible.data.demo.provider",
            PROVIDERS[name],
            "0",
            name,
            str(self.folder / f"{name}.log"),
        ]
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)  # noqa: S603
        self._processes[name] = process
        assert process.stdout is not None
        return int(process.stdout.readline())

    def _start_server(self) -> None:
        log = (self.folder / "server.log").open("w")
        words = ["-m", "fungible", "serve", "--config", str(self.config), "--admin-port", "0"]
        process = subprocess.Popen([sys.executable, *words], env=self._env, stderr=log, text=True)  # noqa: S603
        log.close()
        self._processes["server"] = process
        last = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < last and process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer:  # noqa: S310
                if answer.status == 200:
                    return
            time.sleep(0.02)
        self.close()
        raise RuntimeError(f"the server did not start: {(self.folder / 'server.log').read_text().strip()}")


def _free_port() -> int:

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
