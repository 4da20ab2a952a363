#!/usr/bin/env python3
"""What recording every call takes, in instructions: the same figure on a busy machine as on an idle one.

    make && ./recording_counted.py             a and c; some ten minutes; needs valgrind
    ./recording_counted.py --scenarios ac --calls 1000

A whole server (sockets, journal, the recorder's thread; without the kernel's share) runs under callgrind,
once for each kind of recording. Counted is a turn of calls until the recorder has written them, less what the
same server takes in as long a time without a call.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import CONFIG, HERE, KINDS, body_of, free_port, wait_for
from scenarios import PATHS, SCENARIOS, Scenario

SETTLE_S = 8.0  # under callgrind a tick of the recorder takes as many times longer
WARM = 60
START_TRIES = 4


class Counted:
    """A server of one kind under callgrind, which counts when it is told to."""

    def __init__(self, folder: Path, kind: str, upstream: int) -> None:
        self.folder = folder / kind
        self.folder.mkdir()
        self.port = free_port()
        path = self.folder / "fungible.toml"
        text = CONFIG.format(
            port=self.port, upstream=upstream, state=self.folder / "state", record=KINDS[kind]
        )
        path.write_text(text)
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=counted.%p"]
        command += [sys.executable, "-m", "fungible", "serve", "--config", str(path)]
        self.process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL)
        for _ in range(START_TRIES):  # each waits half a minute
            with contextlib.suppress(SystemExit):
                wait_for(self.port)
                return
        raise SystemExit("the server did not start under callgrind")

    def ask(self, scenario: Scenario, body: bytes, calls: int) -> None:
        path = self.folder / "body"
        path.write_bytes(body)
        url = f"http://127.0.0.1:{self.port}{PATHS[scenario.ingress]}"
        words = ["-u", url, "-d", str(path), "-c", "4", "-t", "300", "-n", str(calls)]
        words += ["-e", str(scenario.stamps)] + (["-S"] if scenario.stream else [])
        done = subprocess.run([str(HERE / "build" / "loadgen"), *words], capture_output=True, check=True)
        if json.loads(done.stdout).get("failed"):
            raise SystemExit(f"calls have failed: {done.stdout.decode()}")

    def counted(self, scenario: Scenario, body: bytes, calls: int) -> float:
        """Instructions a call."""
        self.ask(scenario, body, WARM)
        time.sleep(SETTLE_S)
        self._control("-i", "on")
        began = time.monotonic()
        self.ask(scenario, body, calls)
        time.sleep(SETTLE_S)
        with_calls, at = self._dumped(), time.monotonic()
        time.sleep(at - began)
        idle_a_second = self._dumped() / (time.monotonic() - at)
        return (with_calls - idle_a_second * (at - began)) / calls

    def _control(self, *words: str) -> None:
        words = ("callgrind_control", *words, str(self.process.pid))
        subprocess.run(words, capture_output=True, check=True, cwd=self.folder)

    def _dumped(self) -> int:
        """Instructions since the last dump, of all threads."""
        before = set(self.folder.glob("counted.*"))
        self._control("-d")
        time.sleep(1.0)
        new = set(self.folder.glob("counted.*")) - before
        totals = [re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.M) for path in new]
        return sum(int(found[1]) for found in totals if found is not None)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenarios", default="ac")
    parser.add_argument("--calls", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, upstream = Path(name), free_port()
        mock = subprocess.Popen([str(HERE / "build" / "mock"), "-p", str(upstream)])
        try:
            found: dict[str, dict[str, float]] = {}
            for kind in KINDS:
                server = Counted(folder, kind, upstream)
                chance = random.Random(1)
                for key in asked.scenarios:
                    scenario = SCENARIOS[key]
                    took = server.counted(scenario, body_of(scenario, chance), asked.calls)
                    found.setdefault(key, {})[kind] = took
                    print(f"{key} {scenario.short}: {kind} {took:,.0f}", file=sys.stderr, flush=True)
                server.close()
            for key, row in found.items():
                added = ", ".join(f"{k} +{n / row['none'] - 1:.1%}" for k, n in row.items() if k != "none")
                print(f"{key} {SCENARIOS[key].short}: {row['none']:,.0f} instructions a call; {added}")
        finally:
            mock.kill()
            mock.wait()


if __name__ == "__main__":
    main()
