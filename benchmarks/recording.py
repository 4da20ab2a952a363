#!/usr/bin/env python3
"""What recording every call adds to the CPU of a call: servers with and without it, turn by turn.

    make && ./recording.py                     a, b, c and d; about three minutes
    ./recording.py --scenarios a --turns 40

The servers run beside each other and take turns under the same load, so that what drifts drifts under
all of them. CPU is that of the whole server process, the recorder's thread included, from /proc. Each turn
ends after the recorder has written. The figure is the median of the turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import cpu_us
from scenarios import PATHS, SCENARIOS, Scenario, request_body

HERE = Path(__file__).resolve().parent
MODELS = {"openai": "mock_openai/gpt-4o-mini", "anthropic": "mock_anthropic/claude-sonnet-4-5"}
CALLS = {False: 1_500, True: 300}  # a turn, by whether it streams
WRITTEN_S = 1.3  # the recorder writes once a second
WORDS = 400

CONFIG = """
[server]
port = {port}
admin_port = 0
auth = "open"
state = "{state}"
[provider.mock_openai]
dialect = "openai.chat"
base_url = "http://127.0.0.1:{upstream}/v1"
[provider.mock_anthropic]
dialect = "anthropic.messages"
base_url = "http://127.0.0.1:{upstream}"
{record}
"""
KINDS = {
    "none": "",
    "all": '[record."*"]',
    "redacted": '[record."*"]\nredact = ["keys", "emails", "cards", "phones"]',
}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


def body_of(scenario: Scenario, chance: random.Random) -> bytes:
    """The scenario's request, with words that no other turn has."""
    body = json.loads(request_body(scenario, MODELS[scenario.upstream]))
    letters = "etaoinshrdlu"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(WORDS)]
    body["messages"][-1]["content"] = " ".join(words)[:900]
    return json.dumps(body).encode()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.upstream = free_port()
        self.processes = [subprocess.Popen([str(HERE / "build" / "mock"), "-p", str(self.upstream)])]
        self.servers: dict[str, tuple[int, int]] = {}  # kind -> pid, port
        for kind, record in KINDS.items():
            port, path = free_port(), folder / f"{kind}.toml"
            path.write_text(
                CONFIG.format(port=port, upstream=self.upstream, state=folder / kind, record=record)
            )
            command = [sys.executable, "-m", "fungible", "serve", "--config", str(path)]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=folder)
            self.processes.append(process)
            self.servers[kind] = process.pid, port
        for _, port in self.servers.values():
            wait_for(port)

    def turn(self, kind: str, scenario: Scenario, body: bytes) -> float:
        """Microseconds of CPU a call."""
        pid, port = self.servers[kind]
        path = self.folder / "body"
        path.write_bytes(body)
        calls = CALLS[scenario.stream]
        before = cpu_us([pid])
        words = [
            "-u",
            f"http://127.0.0.1:{port}{PATHS[scenario.ingress]}",
            "-d",
            str(path),
            "-c",
            "8",
            "-t",
            "60",
        ]
        words += ["-n", str(calls), "-e", str(scenario.stamps)] + (["-S"] if scenario.stream else [])
        done = subprocess.run(
            [str(HERE / "build" / "loadgen"), *words], capture_output=True, text=True, check=True
        )
        told: Any = json.loads(done.stdout)
        if told.get("failed"):
            raise SystemExit(f"{kind} failed {told['failed']} of {calls} calls")
        time.sleep(WRITTEN_S)
        return (cpu_us([pid]) - before) / calls

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenarios", default="abcd")
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            for key in asked.scenarios:
                scenario = SCENARIOS[key]
                body = body_of(scenario, chance)
                for kind in KINDS:
                    bench.turn(kind, scenario, body)
                rows = []
                for _ in range(asked.turns):
                    body = body_of(scenario, chance)
                    rows.append({kind: bench.turn(kind, scenario, body) for kind in KINDS})
                told = [f"{kind} {statistics.median(r[kind] for r in rows):.0f} us" for kind in KINDS]
                added = [
                    f"{kind} +{statistics.median(r[kind] / r['none'] - 1 for r in rows):.1%}"
                    for kind in KINDS
                    if kind != "none"
                ]
                print(f"{key} {scenario.short}: {', '.join(told)}; {', '.join(added)}", flush=True)
        finally:
            bench.close()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
