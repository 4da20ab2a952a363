"""What a rehearsal of many recordings takes: time and memory, on made-up recordings and a scripted candidate.

    python -m benchmarks.rehearsal 10000 100000 1000000

Each size is planned, asked and measured, and read for a report, each in a process of its own, whose largest
resident memory is told. The candidate answers in the process without a socket, so what is timed is all that
fungible does beside the calls. Recordings are of three kinds (a chat, a JSON object by a schema, a tool), in
conversations of four turns; the shelf is made first and not timed. Texts are too short for their language to
be told, which takes the identifier some 0.3 ms a text.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fungible.money import Price
from fungible.recording import Recording
from fungible.recordings import Recordings
from fungible.switch.agenda import planned
from fungible.switch.findings import findings, said
from fungible.switch.rehearsal import Rehearsal
from fungible.switch.runs import Run, Settings
from fungible.switch.world import Replayed

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
KINDS: tuple[dict[str, Any], ...] = ({}, {"response_format": FORM}, {"tools": TOOLS})
TURNS = 4
PRICE = Price(id="p", source="benchmark", input=1_000_000_000, output=5_000_000_000)
TARGET = "new/two"


def message(n: int, wrong: bool) -> dict[str, Any]:
    """The answer to number `n`."""
    match n % 3:
        case 0:
            return {"role": "assistant", "content": "" if wrong else f"Number {n} is plain."}
        case 1:
            return {"role": "assistant", "content": json.dumps({"n": str(n) if wrong else n})}
    arguments = json.dumps({"city": "elsewhere" if wrong else f"C{n}"})
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def reply(n: int, wrong: bool = False) -> msgspec.Raw:
    finish = "tool_calls" if n % 3 == 2 else "stop"
    body = {
        "id": f"r{n}", "object": "chat.completion", "created": 1, "model": "one",
        "choices": [{"index": 0, "message": message(n, wrong), "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }  # fmt: skip
    return msgspec.Raw(json.dumps(body).encode())


def recordings(count: int) -> Iterator[Recording]:
    """Each asks its number, at the end of its text."""
    for n in range(count):
        asked = f"Do what has to be done, kind {n % 3}. #{n}"
        body = {"model": "assistant", "messages": [{"role": "user", "content": asked}], **KINDS[n % 3]}
        yield Recording(
            id=f"call-{n}", at_ms=1_000_000 + n, route="assistant", dialect="openai.chat",
            request=msgspec.Raw(json.dumps(body).encode()), provider="old", model="one", reply=reply(n),
            group=f"g{n // TURNS}", duration_ms=50.0, input_tokens=100, output_tokens=20,
            cost_nanousd=450_000,
        )  # fmt: skip


class Scripted:
    """Implements `switch.world.Asker`: answers as the incumbent did, but wrongly each `fault`th time.

    `pause_s`: how long an answer takes; which answer comes first is left to that.
    """

    def __init__(self, fault: int = 50, pause_s: float = 0.0) -> None:
        self.fault, self.pause_s = fault, pause_s

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        n = int(bytes(recording.request).partition(b"#")[2].partition(b'"')[0])
        await asyncio.sleep(self.pause_s * (1 + n % 7))
        answer = msgspec.structs.replace(
            recording,
            provider=target.partition("/")[0],
            model=target.partition("/")[2],
            reply=reply(n, target == TARGET and n // 3 % self.fault == 0),
            duration_ms=40.0 + n % 20,
            cost_nanousd=200_000,
            request=msgspec.Raw(b"null"),
        )
        return Replayed(answer, (("messages[0].name", "dropped"),) if n % 10 == 0 else ())

    async def embed(self, model: str, texts: Sequence[str], tags: str) -> Any:
        raise NotImplementedError

    def price(self, target: str) -> Price | None:
        return PRICE

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_s(self) -> float:
        return time.monotonic()

    async def close(self) -> None: ...


WANTED = Settings(run="r", route="assistant", targets=(TARGET,), begun_ms=1, until="all")


# --- the parts, each in a process of its own -----------------------------------------------------


def plan(state: Path) -> None:
    Run.begun(state, *planned(Recordings(state), WANTED)).close()


def ask(state: Path) -> None:
    run = Run.opened(state, "r")
    rehearsal = Rehearsal(run, Scripted(), concurrency=64)
    asyncio.run(rehearsal.go())
    said(rehearsal.standing)
    run.close()


def resume(state: Path) -> None:
    ask(state)


def report(state: Path) -> None:
    findings(Run.opened(state, "r"))


PARTS = {"plan": plan, "ask": ask, "resume": resume, "report": report}


def measured(part: str, state: Path) -> tuple[float, float]:
    """(CPU seconds, the start included; MB at the most)."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rehearsal", "--part", part, "--state", str(state)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    words.add_argument("--part", choices=list(PARTS))
    words.add_argument("--state", type=Path)
    words.add_argument("--folder", type=Path, help="Where the shelf is made.")
    given = words.parse_args()
    if given.part:
        PARTS[given.part](given.state)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
        return
    print("| recordings | part | CPU s | recordings a CPU s | MB at most |\n|---|---|---|---|---|")
    for size in given.sizes:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            state = Path(folder)
            Recordings(state).append(recordings(size))
            for part in PARTS:
                seconds, peak = measured(part, state)
                rate = f"{size / seconds:,.0f}"
                print(f"| {size:,} | {part} | {seconds:,.1f} | {rate} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
