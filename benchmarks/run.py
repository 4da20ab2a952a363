#!/usr/bin/env python3
"""Measures fungible beside nginx, and the peers asked for, in one run; ratios first.

    ./run                          fungible and nginx, about three minutes
    ./run --quick                  shorter rounds, coarser figures
    ./run --peers all              every peer of peers/ that installs here
    ./run --peers litellm,portkey  these beside fungible and nginx

All gateways run beside each other on one core and take turns under load: a round goes
through the scenarios, and within a scenario through the gateways, so that what drifts
drifts under all of them.  See README.md for what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gwbench
from goals import judge_all, ratio_table, verdict_table
from gwbench import (
    HERE,
    RESULTS,
    WORK,
    Bench,
    BenchError,
    Gateway,
    added,
    memory,
    peer_script,
    peer_target,
)
from processes import Placement, bench_lock, first_core, realtime_allowed, second_core
from scenarios import SCENARIOS, Scenario
from tables import Result, cpu_table, full_table, start_and_memory

SUBJECT, FLOOR = "fungible", "nginx"
LATENCY_KEYS = "a"  # the scenarios whose fixed rate a goal looks at
OPEN_CONNECTIONS = 64
FIRST_PORT, UPSTREAM_PORT = 19200, 19100
INSTALL_WAIT_S = 900
SETTLE_S = 0.2  # pause before a gateway's turn, for work that was held up by the one before
FEW_PER_S = 300  # answers; fewer make a longer turn
QUIET_LOAD = 0.5
IDLE_S = 2.0  # between the starts and the idle memory


@dataclass(frozen=True)
class Pace:
    """How long each part lasts."""

    rounds: int
    starts: int
    closed_s: float
    open_s: float
    warm_up_s: float


# many short turns rather than few long ones: what disturbs a machine comes and goes within seconds
PACES = {"full": Pace(7, 3, 1.0, 2.0, 1.0), "quick": Pace(3, 1, 0.7, 1.0, 0.5)}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------- who takes part


def all_peers() -> list[str]:
    return sorted(p.name for p in (HERE / "peers").iterdir() if os.access(p, os.X_OK) and not p.suffix)


def entrants(asked: str, subject: str) -> list[str]:
    """The floor, the subject, and then the peers asked for, each once."""
    names = all_peers() if asked == "all" else [n for n in asked.split(",") if n]
    return [FLOOR, subject, *(n for n in dict.fromkeys(names) if n not in (FLOOR, SUBJECT, subject))]


def install(name: str, again: bool) -> str:
    """'' when the peer is there (installed now, if need be); else why it is not."""
    script = peer_script(name)
    if not script.exists():
        return f"no such peer; there are: {', '.join(all_peers())}"
    try:
        if not again:
            peer_target(script, 0)
            return ""
    except BenchError:
        say(f"{name}: installing")
    log = WORK / f"install-{script.name}.log"
    with log.open("wb") as out:
        try:
            subprocess.run(
                [str(script), "install"], stdout=out, stderr=out, check=True, timeout=INSTALL_WAIT_S
            )
        except (OSError, subprocess.SubprocessError):
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            return f"{last[0]} ({os.path.relpath(log)})"
    return ""


def start(bench: Bench, name: str, port: int, pace: Pace) -> tuple[Gateway, Result]:
    gateway = bench.gateway(peer_target(peer_script(name), port))
    target = gateway.target
    result: Result = {
        "name": target.name,
        "version": target.version,
        "work": target.work,
        "scenarios": {},
        **bench.cold_start(gateway, pace.starts),
    }
    say(f"{target.name} {target.version}: cold start {result['cold_start_s']:.2f} s")
    return gateway, result


# --------------------------------------------------------------------------- the rounds


def adapted(scenario: Scenario, gateway: Gateway) -> Scenario:
    target = gateway.target
    return replace(
        scenario,
        connections=target.connections or scenario.connections,
        rate=target.rate or scenario.rate,
    )


def turn(
    bench: Bench,
    gateway: Gateway,
    scenario: Scenario,
    pace: Pace,
    closed_s: float,
    direct: dict[str, Any] | None,
) -> dict[str, Any]:
    """One gateway's part of a round: the fixed rate where it is looked at, then the closed loop."""
    run: dict[str, Any] = {}
    time.sleep(SETTLE_S)
    if direct:
        run["open"] = bench.load(
            gateway, scenario, pace.open_s, rate=scenario.rate, connections=OPEN_CONNECTIONS
        )
        run |= added(run["open"], direct)
    run["closed"] = bench.load(gateway, scenario, closed_s)
    return run


def one_round(bench: Bench, field: list[tuple[Gateway, Result]], keys: str, nth: int, pace: Pace) -> None:
    for key in keys:
        scenario = SCENARIOS[key]
        with bench_lock():
            direct = None
            if key in LATENCY_KEYS:
                direct = bench.load(
                    None, scenario, pace.open_s, rate=scenario.rate, connections=OPEN_CONNECTIONS
                )
            for gateway, result in field:
                cell = result["scenarios"].get(key)
                if cell is None or "problem" in cell:
                    continue
                try:
                    run = turn(bench, gateway, adapted(scenario, gateway), pace, cell["closed_s"], direct)
                except BenchError as e:
                    result["scenarios"][key] = {"problem": str(e)}
                    say(f"  {nth} {key} {result['name']}: {e}")
                    continue
                cell["runs"].append({"round": nth, **run})
                say_turn(nth, key, result["name"], run["closed"])


def say_turn(nth: int, key: str, name: str, closed: dict[str, Any]) -> None:
    text = (
        f"  {nth} {key} {name}: {closed['gateway_cpu_us_per_request']:,.0f} us CPU/request,"
        f" {closed['rps']:,.0f}/s, gateway CPU {closed['gateway_cpu']:.2f}, other {closed['foreign_cpu']:.2f}"
    )
    if closed["failed"]:
        text += f"; {closed['failed']} of {closed['requests']} failed: {closed['error'][:200]}"
    say(text)


def window_s(scenario: Scenario, warm: dict[str, Any], pace: Pace) -> float:
    """Length of a closed loop: longer where a turn would otherwise hold few answers."""
    few = warm["requests"] / pace.warm_up_s < FEW_PER_S
    # a paced stream takes 0.63 s and leaves the core idle most of the time
    return pace.closed_s * (3 if few and not scenario.delay_us else 2 if scenario.delay_us else 1)


def warm_up(bench: Bench, field: list[tuple[Gateway, Result]], keys: str, pace: Pace) -> None:
    """Finds out who serves what, and loads it once unmeasured."""
    for gateway, result in field:
        for key in keys:
            scenario = adapted(SCENARIOS[key], gateway)
            problem = gateway.check(scenario)
            cell: dict[str, Any] = {"connections": scenario.connections, "rate": scenario.rate, "runs": []}
            if not problem:
                try:
                    warm = bench.load(gateway, scenario, pace.warm_up_s)
                    cell["closed_s"] = window_s(scenario, warm, pace)
                except BenchError as e:
                    problem = str(e)
            result["scenarios"][key] = {"problem": problem} if problem else cell
            if problem and not problem.startswith("not offered"):
                say(f"{result['name']}: {key} not served: {problem}")


def measure(names: list[str], keys: str, pace: Pace, placement: Placement) -> tuple[list[Result], list[str]]:
    """Results of those that took part, and a line about each that did not."""
    field: list[tuple[Gateway, Result]] = []
    absent = []
    with Bench(placement, UPSTREAM_PORT) as bench:
        for i, name in enumerate(names):
            try:
                field.append(start(bench, name, FIRST_PORT + 10 * i, pace))
            except (BenchError, RuntimeError) as e:
                absent.append(f"{name}: {e}")
                say(absent[-1])
        time.sleep(IDLE_S)
        for gateway, result in field:
            result["memory_idle_mib"] = memory(gateway)
        warm_up(bench, field, keys, pace)
        for nth in range(1, pace.rounds + 1):
            one_round(bench, field, keys, nth, pace)
        for gateway, result in field:
            result["memory_loaded_mib"] = memory(gateway)
            result["processes"] = len(gateway.pids)
    return [result for _, result in field], absent


# --------------------------------------------------------------------------- the report


def machine() -> dict[str, Any]:
    """What it is, and how much it had to do before we began."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = round(os.getloadavg()[0], 2)
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load_average": load}


def report(record: dict[str, Any]) -> str:
    """The run as Markdown: ratios, CPU, peers, memory and start, latency; then what was left out."""
    results, keys = record["gateways"], record["scenarios"]
    by_name = {r["name"]: r for r in results}
    subject, floor = by_name.get(record["subject"]), by_name.get(FLOOR)
    on = record["machine"]
    parts = [
        f"Measured {record['date']} on {on['cores']} cores of {on['cpu']}, Linux {on['kernel']},"
        f" load average {on['load_average']} before, {record['rounds']} rounds,"
        f" {'real-time' if record['realtime'] else 'ordinary'} priority:"
        f" `{record['command']}`"
    ]
    if subject:
        parts.append(verdict_table(judge_all(subject, floor), record["subject"], FLOOR))
    parts.append(cpu_table(results, keys))
    if floor and len(results) > 1:
        parts.append(ratio_table(results, floor, keys))
    parts.append(start_and_memory(results))
    parts.append("\n".join(f"- {r['name']} {r['work']}." for r in results if r["work"]))
    if record["codec"]:
        parts.append(record["codec"])
    if record["absent"]:
        parts.append("Not measured:\n" + "\n".join(f"- {line}" for line in record["absent"]))
    return "\n\n".join(parts)


def codec_table(quick: bool) -> str:
    """Cost of pure translation, measured by codec.py in a process of its own; '' when it cannot run."""
    venv = HERE.parent / ".venv/bin/python"
    python = str(venv) if venv.exists() else sys.executable
    command = [python, str(HERE / "codec.py"), *(["--quick"] if quick else [])]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    except subprocess.CalledProcessError as e:
        say("codec.py: " + (e.stderr.strip().splitlines() or ["failed"])[-1])
        return ""
    except (OSError, subprocess.TimeoutExpired) as e:
        say(f"codec.py: {e}")
        return ""
    return said.stdout.strip()


def save(record: dict[str, Any], text: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"run-{time.strftime('%Y%m%d-%H%M%S')}.json"
    out.write_text(json.dumps(record, indent=1))
    out.with_suffix(".md").write_text(text + "\n")
    return out


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peers", default=os.environ.get("PEERS", ""), help="names of peers/, comma between; or all")
    add("--quick", action="store_true", help="shorter rounds")
    add("--rounds", type=int, help="rounds (default 7; quick 3)")
    add("--scenarios", default="abcdCA", help="keys of scenarios.py, in order (default abcdCA)")
    add("--subject", default=SUBJECT, help="what the goals are for: a peer's name or script")
    add("--no-realtime", action="store_true", help="as root too, at ordinary priority")
    add("--no-install", action="store_true", help="measure only what is installed")
    add("--no-codec", action="store_true", help="leave out the cost of pure translation")
    add("--details", action="store_true", help="print all figures of every scenario too")
    add("--strict", action="store_true", help="exit 1 when a goal is not met or not judged")
    return parser.parse_args()


def prepared(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Those that can be started, and a line about each that cannot."""
    names, absent = [], []
    for name in entrants(args.peers, args.subject):
        # fungible's `install` empties its ledger and takes no time: begin afresh
        problem = "" if args.no_install else install(name, again=name == SUBJECT)
        if problem:
            absent.append(f"{name}: {problem}")
            say(absent[-1])
        else:
            names.append(name)
    return names, absent


def main() -> int:
    args = arguments()
    if unknown := [key for key in args.scenarios if key not in SCENARIOS]:
        say(f"run: no scenario {unknown[0]}; there are: {' '.join(SCENARIOS)}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    WORK.mkdir(exist_ok=True)
    on = machine()
    if on["load_average"] > QUIET_LOAD:
        say(f"this machine is busy (load average {on['load_average']}): expect figures that drift")
    try:
        gwbench.build()
    except BenchError as e:
        say(f"run: {e}")
        return 1
    names, absent = prepared(args)
    pace = PACES["quick" if args.quick else "full"]
    pace = replace(pace, rounds=args.rounds or pace.rounds)
    keys = "".join(dict.fromkeys(args.scenarios))
    placement = Placement(first_core(), second_core(), not args.no_realtime and realtime_allowed())
    try:
        results, failed = measure(names, keys, pace, placement)
    except (BenchError, RuntimeError) as e:
        say(f"run: {e}")
        return 1
    record = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "command": " ".join(["make bench" if not sys.argv[1:] else "benchmarks/run", *sys.argv[1:]]),
        "machine": on,
        "realtime": placement.realtime,
        "rounds": pace.rounds,
        "scenarios": keys,
        "subject": peer_script(args.subject).name,
        "gateways": results,
        "absent": absent + failed,
        "codec": "" if args.no_codec else codec_table(args.quick),
    }
    text = report(record)
    print(text)
    if args.details:
        print("\n" + full_table(results))
    say(f"\nsaved: {os.path.relpath(save(record, text))} and .md")
    subject = next((r for r in results if r["name"] == record["subject"]), None)
    floor = next((r for r in results if r["name"] == FLOOR), None)
    met = subject is not None and all(v.met for v in judge_all(subject, floor))
    return 1 if args.strict and not met else 0


if __name__ == "__main__":
    sys.exit(main())
