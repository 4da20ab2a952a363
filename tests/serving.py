"""A real server in a process of its own, on a configuration made for one test module."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from fungible.http.loop import listen
from fungible.store import Store

CONFIG = """
[server]
port = {port}
state = "state"
attempt_header = "x-fungible-attempt"
{server}

[provider.alpha]
dialect = "openai.chat"
base_url = "{alpha}/v1"
key = "env:TEST_KEY"

[provider.beta]
dialect = "anthropic.messages"
base_url = "{beta}"
key = "env:TEST_KEY"

[model."alpha/one"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."beta/two"]
input_usd_per_mtok = 3.00
output_usd_per_mtok = 15.00

[route.both]
targets = ["alpha/one", "beta/two"]

[route.reverse]
targets = ["beta/two", "alpha/one"]
{more}
"""


def free_port() -> int:
    with listen("127.0.0.1", 0) as sock:
        port: int = sock.getsockname()[1]
    return port


class Running:
    """`fungible serve` in `folder`, with providers at the addresses `alpha` and `beta`."""

    def __init__(
        self,
        folder: Path,
        alpha: str,
        beta: str,
        *,
        server: str = "",
        more: str = "",
        key: bool = True,
        admin_port: int = 0,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_port = admin_port
        self.config = folder / "fungible.toml"
        self.config.write_text(
            CONFIG.format(port=self.port, alpha=alpha, beta=beta, server=server, more=more)
        )
        self.env = {**os.environ, "TEST_KEY": "provider-secret", "NO_PROXY": "127.0.0.1"}
        self.key = self.program("keys", "create", "--name", "test")["key"] if key else ""
        self.log = (folder / "server.log").open("a+")
        self.start()

    def start(self, *, wait: bool = True) -> None:
        command = [
            sys.executable,
            "-m",
            "fungible",
            "serve",
            "--config",
            str(self.config),
            "--admin-port",
            str(self.admin_port),
        ]
        self.process = subprocess.Popen(command, env=self.env, stderr=self.log, cwd=self.folder)
        last = time.monotonic() + 30
        while wait and time.monotonic() < last:
            assert self.process.poll() is None, self.said()
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                return
            time.sleep(0.02)
        assert not wait, f"not ready: {self.said()}"

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def program(self, *words: str, json_option: bool = True) -> Any:
        command = [sys.executable, "-m", "fungible", *words, "--config", str(self.config)]
        if json_option:
            command.append("--json")
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if json_option else done.stdout

    def attempts(self) -> list[dict[str, Any]]:
        lines = self.program("calls", "--attempts", "--json-lines", json_option=False).splitlines()
        return [json.loads(line) for line in lines]

    def rows(self) -> list[dict[str, Any]]:
        """The same, without a process for it."""
        store = Store(self.folder / "state")
        try:
            store.fold()
            return list(store.attempts())
        finally:
            store.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
