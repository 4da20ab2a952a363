#!/usr/bin/env python3
"""Cost of pure translation between every two dialects, in microseconds of CPU.

    ../.venv/bin/python codec.py [--quick] [--json]

No server and no socket: the dialects' own readers and writers on bytes, as a call in the
server walks them.  One conversation, its answer and its answer as a stream of 64 pieces of
text are written once in each dialect, so every pair carries the same.  A figure is CPU time
of this process per request, per reply or per stream event, the least of many short rounds
that each go through all pairs, so that a busy moment of the machine spoils none of them; on
the diagonal, in brackets, what looking at the bytes costs where they are only moved.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import msgspec
from scenarios import SCENARIOS, request_body
from tables import markdown

from fungible.dialects import DIALECTS
from fungible.events import StreamEvent, TextDelta, disassemble
from fungible.ir import Choice, Reply, Request, Stop, Text, Usage
from fungible.losses import Report

if TYPE_CHECKING:
    from fungible.dialects.base import Dialect

EVENTS = 64
WORDS = "the quick brown fox jumps over the lazy dog"
ROUNDS, ROUND_S = 24, 0.003
RATIO_MAX = 3.0  # of the dearest pair to the cheapest
QUIRKS: frozenset[str] = frozenset()
KINDS = {
    "request": "one request of 1 KB",
    "road": "the same request by the canonical form, as any that is more than texts goes",
    "reply": "one reply",
    "event": f"one event of {EVENTS}",
}


@dataclass(frozen=True)
class Cost:
    source: str
    target: str
    kind: str  # what one figure is of
    us: float


# --------------------------------------------------------------------------- what is translated


def request() -> Request:
    """The load's own 1 KB request."""
    body = request_body(SCENARIOS["a"], "gpt-4o-mini")
    return next(iter(DIALECTS.values())).read_request(body)


def reply() -> Reply:
    said = Choice(parts=(Text(text=" ".join([WORDS] * 3)),), stop=Stop(reason="end"))
    usage = Usage(input_tokens=210, output_tokens=31)
    return Reply(id="answer-1", model="some-model", created=1_760_000_000, choices=(said,), usage=usage)


def events() -> list[StreamEvent]:
    """The reply told in many pieces."""
    told: list[StreamEvent] = []
    for event in disassemble(reply()):
        if isinstance(event, TextDelta):
            told += [msgspec.structs.replace(event, text=f" {WORDS} {n}") for n in range(EVENTS)]
        else:
            told.append(event)
    return told


# --------------------------------------------------------------------------- what is timed


def jobs(source: Dialect, target: Dialect) -> dict[str, Callable[[], object]]:
    """A request of `source` to a provider of `target`; replies and streams of `source` to a client."""
    asked = source.write_request(request(), Report(source.names), QUIRKS)
    answer = source.write_reply(reply(), Report(source.names))
    writer = source.stream_writer(Report(source.names), True)
    frames = [writer.write([event]) for event in events()]

    def sent() -> object:
        assert source.bare is not None and target.bare is not None
        bare = source.bare.read(asked)
        assert bare is not None
        return target.bare.write(bare, "another-model", False, QUIRKS) or by_the_road()

    def by_the_road() -> object:
        return target.write_request(source.read_request(asked), Report(source.names), QUIRKS)

    def streamed() -> object:
        reader, writer = source.stream_reader(), target.stream_writer(Report(source.names), True)
        out = [writer.write(reader.gather(piece)) for piece in frames]
        return [*out, writer.write(reader.end())]

    def watched() -> object:
        watch = source.watch(True)
        return [watch.feed(piece) for piece in frames]

    if source is target:
        return {
            "request": lambda: source.readdress(asked, source.peek(asked), "another-model", False),
            "road": by_the_road,
            "reply": lambda: source.read_usage(answer),
            "event": watched,
        }
    return {
        "request": sent,
        "road": by_the_road,
        "reply": lambda: target.write_reply(source.read_reply(answer), Report(source.names)),
        "event": streamed,
    }


def measured(run: Callable[[], object], round_s: float) -> float:
    """Microseconds of CPU a run, over some `round_s`. The first run warms up."""
    run()
    begin = time.process_time()
    run()
    loops = max(1, int(round_s / max(time.process_time() - begin, 1e-6)))
    begin = time.process_time()
    for _ in range(loops):
        run()
    return (time.process_time() - begin) / loops * 1e6


def costs(rounds: int, round_s: float) -> list[Cost]:
    every = {
        (source.name, target.name, kind): run
        for source in DIALECTS.values()
        for target in DIALECTS.values()
        for kind, run in jobs(source, target).items()
    }
    found = [[measured(run, round_s) for run in every.values()] for _ in range(rounds)]
    return [
        Cost(source, target, kind, min(us) / (EVENTS if kind == "event" else 1))
        for (source, target, kind), us in zip(every, zip(*found, strict=True), strict=True)
    ]


# --------------------------------------------------------------------------- what is printed


def table(kind: str, found: list[Cost]) -> str:
    cells = {(c.source, c.target): c.us for c in found if c.kind == kind}
    names = list(DIALECTS)
    rows = [
        [source, *(f"[{cells[source, t]:.1f}]" if t == source else f"{cells[source, t]:.1f}" for t in names)]
        for source in names
    ]
    between = {pair: us for pair, us in cells.items() if pair[0] != pair[1]}
    least, most = min(between, key=between.__getitem__), max(between, key=between.__getitem__)
    ratio = between[most] / between[least]
    verdict = "met" if ratio <= RATIO_MAX else "not met"
    return (
        f"CPU us of {KINDS[kind]}, from the row's dialect to the column's\n\n"
        + markdown([kind, *names], rows)
        + f"\n\ndearest {most[0]} to {most[1]}, cheapest {least[0]} to {least[1]}: {ratio:.1f}x "
        f"(at most {RATIO_MAX:.0f}x: {verdict})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    args = parser.parse_args()
    found = costs(ROUNDS // 4 if args.quick else ROUNDS, ROUND_S)
    if args.json:
        print(json.dumps([asdict(cost) for cost in found], indent=1))
        return 0
    print("\n\n".join(table(kind, found) for kind in KINDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
