"""Results of measurements as Markdown tables.  Pure: dictionaries in, text out."""

from __future__ import annotations

from typing import Any

from gwbench import median
from scenarios import SCENARIOS, Scenario

Result = dict[str, Any]


def number(value: float | None, digits: int = 0, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:,.{digits}f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def failures(cell: dict[str, Any]) -> int:
    return sum(int(run[part]["failed"]) for run in cell["runs"] for part in ("closed", "open") if part in run)


def endless(cell: dict[str, Any]) -> int:
    """Streams that stopped without their API's end mark."""
    return sum(
        int(run[part]["unterminated"]) for run in cell["runs"] for part in ("closed", "open") if part in run
    )


def start_and_memory(results: list[Result]) -> str:
    rows = []
    for r in results:
        idle, loaded = (r.get(f"memory_{when}_mib", {}) for when in ("idle", "loaded"))
        rows.append(
            [
                r["name"],
                r["version"],
                number(r.get("cold_start_s"), 2),
                number(idle.get("rss")),
                number(loaded.get("rss")),
                number(loaded.get("pss")),
                str(r.get("processes", "-")),
            ]
        )
    head = [
        "gateway",
        "version",
        "cold start s",
        "RSS idle MiB",
        "RSS loaded MiB",
        "PSS loaded MiB",
        "processes",
    ]
    return markdown(head, rows)


def scenario_table(scenario: Scenario, results: list[Result]) -> str:
    paced = scenario.delay_us > 0
    head = [
        "gateway",
        "streams/s" if scenario.stream else "requests/s",
        "CPU us/request",
        "gateway CPU",
        "CPU us/request at fixed rate",
        ("added time to first chunk" if scenario.stream else "added latency") + " ms p50",
        "p99",
        ("chunk under way" if paced else "full answer") + " ms p50",
        "p99",
        "failed",
        "other CPU",
    ]
    rows = [_scenario_row(scenario, r, r["scenarios"][scenario.key], len(head)) for r in results]
    return markdown(head, rows)


def _scenario_row(scenario: Scenario, r: Result, cell: dict[str, Any], width: int) -> list[str]:
    if "problem" in cell:
        return [r["name"], f"not served: {cell['problem'][:80]}", *[""] * (width - 2)]
    runs = cell["runs"]
    added = "added_first" if scenario.stream else "added_latency"
    last = "transit" if scenario.delay_us > 0 else "latency"
    load = (cell.get("connections", scenario.connections), cell.get("rate", scenario.rate))
    unlike = load != (scenario.connections, scenario.rate)
    return [
        r["name"] + (" ({} conn., {:g}/s)".format(*load) if unlike else ""),
        number(median(runs, "closed", "rps")),
        number(median(runs, "closed", "gateway_cpu_us_per_request")),
        number(median(runs, "closed", "gateway_cpu"), 2),
        number(median(runs, "open", "gateway_cpu_us_per_request")),
        number(median(runs, added, "p50"), 2, 1e-3),
        number(median(runs, added, "p99"), 2, 1e-3),
        number(median(runs, "open", last, "p50"), 2, 1e-3),
        number(median(runs, "open", last, "p99"), 2, 1e-3),
        number(failures(cell)),
        number(median(runs, "open", "foreign_cpu"), 2),
    ]


def full_table(results: list[Result]) -> str:
    """Medians over the repetitions, one table a scenario."""
    parts = [start_and_memory(results)]
    for key, scenario in SCENARIOS.items():
        served = [r for r in results if key in r["scenarios"]]
        if served:
            load = f"{scenario.connections} connections; fixed rate {scenario.rate:.0f}/s"
            parts.append(f"**{key}: {scenario.title}** ({load})\n\n{scenario_table(scenario, served)}")
    return "\n\n".join(parts)


def cpu_table(results: list[Result], keys: str) -> str:
    """CPU us per request in the closed loop: a row a gateway, a column a scenario."""
    head = ["CPU us/request", *(f"{key}: {SCENARIOS[key].short}" for key in keys)]
    return markdown(head, [[r["name"], *(_cpu(r["scenarios"].get(key)) for key in keys)] for r in results])


def _cpu(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if "problem" in cell:
        return "" if cell["problem"].startswith("not offered") else "fails"
    text = number(median(cell["runs"], "closed", "gateway_cpu_us_per_request"))
    remarks = [f"{failed} failed"] if (failed := failures(cell)) else []
    remarks += ["no end mark"] if endless(cell) else []
    return f"{text} ({', '.join(remarks)})" if remarks else text
