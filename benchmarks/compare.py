#!/usr/bin/env python3
"""Prints what one gateway costs, against a mock upstream on this machine.

    ./compare --peer nginx                       a peer of peers/
    ./compare --direct                           the mock itself, without a gateway
    ./compare --name mine --port 19200 \\
        --start 'mine serve --port {port} --upstream http://127.0.0.1:{upstream}/v1' \\
        --openai-model gpt-4o-mini --anthropic-model claude-sonnet-4-5 \\
        --header 'Authorization: Bearer sk-test'
    ./compare --table results/*.json             a table of earlier results

See README.md for what each figure means.  `./run` measures several beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gwbench
from gwbench import RESULTS, Bench, BenchError, Gateway, Target, added, memory, peer_script, peer_target
from processes import Placement, bench_lock, first_core, second_core
from scenarios import SCENARIOS, Scenario
from tables import Result, full_table

SETTLE_S = 1.0  # pause before each repetition, for work that was held up by the one before
DIRECT_S = 2.0
OPEN_CONNECTIONS = 64


def custom_target(args: argparse.Namespace) -> Target:
    return Target(
        name=args.name or "gateway",
        command=shlex.split(args.start),
        port=args.port,
        models={"openai": args.openai_model, "anthropic": args.anthropic_model},
        headers={
            "openai": args.header + args.openai_header,
            "anthropic": args.header + args.anthropic_header,
        },
        paths={"openai": args.path, "anthropic": args.anthropic_path},
        version=args.version,
    )


def adapted(scenario: Scenario, target: Target | None, args: argparse.Namespace) -> Scenario:
    connections = args.connections or (target.connections if target else 0) or scenario.connections
    rate = args.rate or (target.rate if target else 0) or scenario.rate
    return replace(scenario, connections=connections, rate=rate)


def repetition(
    bench: Bench, gateway: Gateway | None, scenario: Scenario, args: argparse.Namespace
) -> dict[str, Any]:
    """A fixed rate straight to the mock, the same through the gateway, then the closed loop."""
    run: dict[str, Any] = {}
    with bench_lock():
        time.sleep(SETTLE_S)
        if gateway:
            run["direct"] = bench.load(
                None, scenario, DIRECT_S, rate=scenario.rate, connections=OPEN_CONNECTIONS
            )
        run["open"] = bench.load(
            gateway, scenario, args.open, rate=scenario.rate, connections=OPEN_CONNECTIONS
        )
        run["closed"] = bench.load(gateway, scenario, args.closed)
    if gateway:
        run |= added(run["open"], run["direct"])
    return run


def say_run(scenario: Scenario, nth: str, run: dict[str, Any]) -> None:
    closed, opened = run["closed"], run["open"]
    latency = opened["latency"]
    print(
        f"  {scenario.key} {nth}: {closed['rps']:.0f}/s,"
        f" {closed['gateway_cpu_us_per_request']:.0f} us CPU/request,"
        f" gateway CPU {closed['gateway_cpu']:.2f}, load CPU {closed['load_cpu']:.2f},"
        f" other {closed['foreign_cpu']:.2f}/{opened['foreign_cpu']:.2f};"
        f" at {scenario.rate:.0f}/s p50 {latency['p50']:.0f} p99 {latency['p99']:.0f} us",
        flush=True,
    )
    for part in (closed, opened):
        if part["failed"]:
            print(f"    ! {part['failed']} of {part['requests']} failed: {part['error'][:300]}")
        if part["unterminated"]:
            print(f"    ! {part['unterminated']} of {part['requests']} streams without a terminal event")


def served(bench: Bench, gateway: Gateway | None, result: Result, args: argparse.Namespace) -> list[Scenario]:
    """The scenarios asked for that the gateway serves, each warmed up."""
    wanted = []
    target = gateway.target if gateway else None
    for key in args.scenarios:
        scenario = adapted(SCENARIOS[key], target, args)
        if target and scenario.upstream not in target.models:
            continue
        if gateway and (problem := gateway.check(scenario)):
            print(f"  {key} not served: {problem}", flush=True)
            result["scenarios"][key] = {"problem": problem}
            continue
        wanted.append(scenario)
        with bench_lock():
            bench.load(gateway, scenario, args.warm_up)
    return wanted


def measure(target: Target | None, placement: Placement, args: argparse.Namespace) -> Result:
    result: Result = {
        "name": target.name if target else "direct",
        "version": target.version if target else "",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "gateway_cpus": placement.gateway_cpus,
        "load_cpus": placement.load_cpus,
        "realtime": placement.realtime,
        "scenarios": {},
    }
    with Bench(placement, args.upstream_port) as bench:
        gateway = bench.gateway(target) if target else None
        if gateway:
            result |= bench.cold_start(gateway, args.starts)
            time.sleep(2)
            result["memory_idle_mib"] = memory(gateway)
            print(
                f"{result['name']} {result['version']}: cold start {result['cold_start_s']:.2f} s", flush=True
            )
        for scenario in served(bench, gateway, result, args):
            runs = []
            for i in range(args.runs):
                runs.append(repetition(bench, gateway, scenario, args))
                say_run(scenario, f"{i + 1}/{args.runs}", runs[-1])
            cell = {"connections": scenario.connections, "rate": scenario.rate, "runs": runs}
            result["scenarios"][scenario.key] = cell
        if gateway:
            result["memory_loaded_mib"] = memory(gateway)
            result["processes"] = len(gateway.pids)
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--peer", help="one of peers/, or the path of a script like them")
    what.add_argument("--start", help="command that starts the gateway; {port} and {upstream} are filled in")
    what.add_argument("--direct", action="store_true", help="no gateway: load straight on the mock")
    what.add_argument("--table", nargs="+", metavar="JSON", help="print a table of saved results")
    add = parser.add_argument
    add("--name", help="name in the table and of the result file")
    add("--version", default="", help="version in the table")
    add("--port", type=int, default=19200, help="port of the gateway; 0: look it up")
    add("--upstream-port", type=int, default=19100, help="port of the mock")
    add("--openai-model", default="gpt-4o-mini", help="model that goes to the OpenAI upstream")
    add("--anthropic-model", default="claude-sonnet-4-5", help="... to the Anthropic upstream")
    add("--header", action="append", default=[], help="header sent to the gateway; may be repeated")
    add("--openai-header", action="append", default=[], help="... only for the OpenAI upstream")
    add("--anthropic-header", action="append", default=[], help="... only for the Anthropic upstream")
    add("--path", default="/v1/chat/completions", help="path of the gateway's chat endpoint")
    add("--anthropic-path", default="/v1/messages", help="path of its messages endpoint")
    add("--gateway-cpus", default=first_core(), help="cores of the gateway (default: the first)")
    add("--load-cpus", default=second_core(), help="cores of the mock and the load (default: the second)")
    add("--scenarios", default="aAbcCdD", help="keys of the scenarios (default aAbcCdD)")
    add("--connections", type=int, help="connections of the closed loop, in place of the scenarios'")
    add("--rate", type=float, help="requests/s at the fixed rate, in place of the scenarios'")
    add("--runs", type=int, default=3, help="repetitions of each scenario")
    add("--starts", type=int, default=3, help="cold starts timed")
    add("--closed", type=float, default=4, help="seconds of each closed-loop run")
    add("--open", type=float, default=5, help="seconds of each fixed-rate run")
    add("--realtime", action="store_true", help="run ahead of other work on the machine (as root)")
    add("--warm-up", type=float, default=2, help="seconds of load on each scenario beforehand")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.table:
        print(full_table([r for p in args.table if "scenarios" in (r := json.loads(Path(p).read_text()))]))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    target = None
    try:
        gwbench.build()
        if args.peer:
            target = peer_target(peer_script(args.peer), args.port)
            target.name = args.name or target.name
        elif args.start:
            target = custom_target(args)
        result = measure(target, Placement(args.gateway_cpus, args.load_cpus, args.realtime), args)
    except (BenchError, RuntimeError) as e:
        print(f"compare: {e}", file=sys.stderr)
        return 1
    out = RESULTS / f"{result['name']}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1))
    print(f"\n{full_table([result])}\n\nsaved: {os.path.relpath(out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
