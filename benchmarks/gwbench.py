"""Measures LLM gateways against a mock upstream on this machine.

One `Bench` holds the mock and places the work; any number of `Gateway`s run beside each
other on the same core, one under load at a time, so that a round can go from one to the
next without a restart.  Only the standard library is needed; the programs `mock` and
`loadgen` are built from src/ by `make`.  `compare.py` and `run.py` are the command lines.

Must not know: any gateway by name, or any goal.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import (
    Placement,
    Server,
    bench_lock,
    cpu_us,
    listening_port,
    machine_busy_us,
    memory_mib,
    post,
    require_free,
)
from scenarios import PATHS, SCENARIOS, Scenario, request_body

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
RESULTS = HERE / "results"
START_WAIT_S = 120
LOAD_GRACE_S = 60  # loadgen waits up to 20 s for the last answers by itself
DESCRIBE_WAIT_S = 60


class BenchError(Exception):
    """A gateway, or the mock, did not do its part; the text says which and where its log is."""


# --------------------------------------------------------------------------- a gateway under test


@dataclass
class Target:
    """How a gateway is started and what it wants to be sent.

    In `command` {port} and {upstream} stand for the gateway's and the mock's port.
    With port 0 the gateway picks a port, which is then looked up.
    """

    name: str
    command: list[str]
    port: int
    models: dict[str, str]
    headers: dict[str, list[str]] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    version: str = ""
    work: str = ""  # what it does for a request, in words
    connections: int = 0  # at most so many in the closed loop; 0: as the scenario says
    rate: float = 0  # at most so many requests/s at the fixed rate; 0: as the scenario says

    def path(self, ingress: str) -> str:
        return self.paths.get(ingress, PATHS[ingress])

    def argv(self, upstream_port: int) -> list[str]:
        return [
            arg.replace("{port}", str(self.port)).replace("{upstream}", str(upstream_port))
            for arg in self.command
        ]


def peer_script(name: str) -> Path:
    return Path(name).resolve() if "/" in name else HERE / "peers" / name


def peer_target(script: Path, port: int) -> Target:
    """A target as `SCRIPT describe` tells it; BenchError when it is not installed."""
    try:
        said = subprocess.run(
            [str(script), "describe"], capture_output=True, text=True, check=True, timeout=DESCRIBE_WAIT_S
        )
        about = json.loads(said.stdout)
    except subprocess.CalledProcessError as e:
        raise BenchError(f"{script.name}: {(e.stderr or '').strip()[-300:] or 'describe failed'}") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as e:
        raise BenchError(f"{script.name}: {e}") from None
    return Target(
        name=script.name,
        command=[str(script), "start", "{port}", "{upstream}"],
        port=about.get("port", port),
        models=about["models"],
        headers=about.get("headers", {}),
        paths=about.get("paths", {}),
        version=about.get("version", ""),
        work=about.get("work", ""),
        connections=about.get("connections", 0),
        rate=about.get("rate", 0),
    )


class Gateway:
    """A target, its process while it runs, and the port it answers on."""

    def __init__(self, target: Target, upstream_port: int, placement: Placement, work: Path):
        self.target = target
        self.upstream_port = upstream_port
        self.placement = placement
        self.log = work / f"{target.name}.log"
        self.port = 0
        self.server: Server | None = None

    @property
    def pids(self) -> list[int]:
        return self.server.pids if self.server else []

    def start(self, timeout: float = START_WAIT_S) -> float:
        """Starts the gateway; seconds until it answered a chat request."""
        self.port = self.target.port
        if self.port:
            require_free(self.port)
        body = request_body(SCENARIOS["a"], self.target.models["openai"])
        headers = self.target.headers.get("openai", [])
        begin = time.monotonic()
        self.server = Server(self.target.argv(self.upstream_port), self.placement.gateway(), self.log)
        answer = b""
        while time.monotonic() - begin < timeout and self.server.alive:
            self.port = self.port or listening_port(self.pids)
            status, last = (
                post(self.port, self.target.path("openai"), body, headers) if self.port else (0, b"")
            )
            answer = last or answer
            if status == 200:
                return time.monotonic() - begin
            time.sleep(0.01)
        waited = time.monotonic() - begin
        self.stop()
        raise BenchError(
            f"{self.target.name} gave no good answer in {waited:.0f} s;"
            f" last: {answer[-400:]!r}; log: {self.log}"
        )

    def stop(self) -> None:
        if self.server:
            self.server.stop()
            self.server = None

    def check(self, scenario: Scenario) -> str:
        """'' when the gateway serves this scenario, else what went wrong."""
        if scenario.upstream not in self.target.models:
            return "not offered by this gateway"
        body = request_body(scenario, self.target.models[scenario.upstream])
        headers = self.target.headers.get(scenario.upstream, [])
        status, answer = post(self.port, self.target.path(scenario.ingress), body, headers)
        if status != 200:
            return f"status {status}: {answer[-300:]!r}"
        if not re.search(rb"@[0-9a-f]{16}@", answer):
            return f"not the mock's content: {answer[-300:]!r}"
        return ""


# --------------------------------------------------------------------------- measuring


class Bench:
    """The mock upstream, and runs of load against it or against gateways in front of it."""

    def __init__(self, placement: Placement, upstream_port: int, work: Path = WORK):
        self.placement = placement
        self.upstream_port = upstream_port
        self.work = work
        self.gateways: list[Gateway] = []
        self.mock: Server | None = None
        work.mkdir(exist_ok=True)

    def __enter__(self) -> Bench:
        require_free(self.upstream_port)
        log = self.work / "mock.log"
        self.mock = Server(
            [str(HERE / "build/mock"), "-p", str(self.upstream_port)], self.placement.load(), log
        )
        body = request_body(SCENARIOS["a"], "m")
        for _ in range(200):
            if not self.mock.alive:
                break
            if post(self.upstream_port, PATHS["openai"], body, [])[0] == 200:
                return self
            time.sleep(0.02)
        self.__exit__()
        raise BenchError(f"the mock did not start: {log}")

    def __exit__(self, *exc: object) -> None:
        for gateway in self.gateways:
            gateway.stop()
        if self.mock:
            self.mock.stop()
            self.mock = None

    def gateway(self, target: Target) -> Gateway:
        """A gateway in front of this mock; it is stopped when the bench ends."""
        gateway = Gateway(target, self.upstream_port, self.placement, self.work)
        self.gateways.append(gateway)
        return gateway

    def cold_start(self, gateway: Gateway, starts: int) -> dict[str, Any]:
        """Times the start; leaves the gateway running."""
        seconds = []
        for _ in range(max(1, starts)):
            with bench_lock():
                gateway.stop()
                seconds.append(gateway.start())
        return {"cold_start_s": statistics.median(seconds), "cold_starts_s": seconds}

    def load(
        self,
        gateway: Gateway | None,
        scenario: Scenario,
        seconds: float,
        *,
        rate: float = 0,
        connections: int = 0,
    ) -> dict[str, Any]:
        """One run of loadgen, with what the gateway and the machine spent meanwhile.

        Without a gateway the load goes straight to the mock.
        """
        target = gateway.target if gateway else None
        model = target.models[scenario.upstream] if target else "mock"
        port = gateway.port if gateway else self.upstream_port
        path = target.path(scenario.ingress) if target else PATHS[scenario.ingress]
        command = [str(HERE / "build/loadgen")]
        command += ["-u", f"http://127.0.0.1:{port}{path}", "-t", str(seconds), "-r", str(rate)]
        command += ["-c", str(connections or scenario.connections), "-e", str(scenario.stamps)]
        command += ["-S"] if scenario.stream else []
        for line in target.headers.get(scenario.upstream, []) if target else []:
            command += ["-H", line]
        pids = (gateway.pids if gateway else [], self.mock.pids if self.mock else [])
        with tempfile.NamedTemporaryFile(dir=self.work, suffix=".json") as body:
            body.write(request_body(scenario, model))
            body.flush()
            before = _spent(*pids)
            out = self._loadgen([*command, "-d", body.name], seconds)
            after = _spent(*pids)
        result: dict[str, Any] = json.loads(out)
        gateway_us, mock_us, load_us, busy_us, wall_us = (b - a for a, b in zip(before, after, strict=True))
        result["gateway_cpu_us_per_request"] = gateway_us / max(result["requests"], 1)
        result["gateway_cpu"] = gateway_us / wall_us
        result["load_cpu"] = (mock_us + load_us) / wall_us
        result["foreign_cpu"] = max(0.0, (busy_us - gateway_us - mock_us - load_us) / wall_us)
        result["failed"] = result["requests"] - result["ok"] + result["unanswered"]
        return result

    def _loadgen(self, command: list[str], seconds: float) -> str:
        try:
            return subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=True,
                timeout=seconds + LOAD_GRACE_S,
                preexec_fn=self.placement.load(),
            ).stdout
        except subprocess.CalledProcessError as e:
            raise BenchError(f"loadgen failed: {e.stderr.strip()[-300:]}") from None
        except subprocess.TimeoutExpired:
            raise BenchError(f"loadgen did not end within {seconds + LOAD_GRACE_S:.0f} s") from None


def _spent(gateway: list[int], mock: list[int]) -> tuple[float, ...]:
    """Microseconds so far: CPU of the gateway, the mock, our ended children, the machine; wall clock."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        cpu_us(gateway),
        cpu_us(mock),
        (children.ru_utime + children.ru_stime) * 1e6,
        machine_busy_us(),
        time.monotonic() * 1e6,
    )


def added(run: dict[str, Any], direct: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the gateway added to the time of a percentile, in microseconds."""
    return {
        f"added_{kind}": {q: run[kind][q] - direct[kind][q] for q in ("p50", "p90", "p99")}
        for kind in ("latency", "first")
    }


def values(runs: list[dict[str, Any]], *path: str) -> list[float]:
    """The number found at `path` in each run that has one."""
    found = []
    for run in runs:
        value: object = run
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, (int, float)):
            found.append(float(value))
    return found


def median(runs: list[dict[str, Any]], *path: str) -> float | None:
    numbers = values(runs, *path)
    return statistics.median(numbers) if numbers else None


def memory(gateway: Gateway) -> dict[str, float]:
    return memory_mib(gateway.pids)


def build() -> None:
    """Compiles the mock and the load generator, if their sources are newer.

    Where there is no C compiler, the one that a package index carries (ziglang) is put into work/.
    """
    make = ["make", "-s", "-C", str(HERE)]
    try:
        if subprocess.run([*make, "-q"], check=False, capture_output=True, timeout=60).returncode == 0:
            return
        compiler = [] if shutil.which(os.environ.get("CC", "cc")) else [f"CC={_packaged_compiler()}"]
        subprocess.run([*make, *compiler], check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as e:
        raise BenchError(f"the load programs were not built (they need make and a C compiler): {e}") from None


def _packaged_compiler() -> str:
    venv = WORK / "venv-ziglang"
    python = venv / "bin/python"
    if not (venv / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
        command = [str(python), "-m", "pip", "install", "-q", "ziglang"]
        subprocess.run(command, check=True, timeout=600)
        (venv / "ready").touch()
    return f"{python} -m ziglang cc"
