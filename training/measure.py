"""Measure the exported model on what it was not trained on, through the engine that serves it.

Theory: phrasings, names, cities, things and sentence forms used here stand in `held.py` and in the held
rows of `facts.py`, and the corpus throws away whatever it draws that stands there. An answer counts only if
it is the whole right answer: the taught sentence, every field of a record, the tool and all its arguments.

Prohibitions: nothing is trained; no result is weighed or rounded up.

    python training/measure.py          # prints a table; --misses prints what went wrong too
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import facts
import held
import tasks
import words
from words import Chance

from fungible.faults import Fault
from fungible.fleet.embedded import Embedded
from fungible.world import Headers, Origin, Outgoing

MODEL = Path(__file__).parents[1] / "src" / "fungible" / "data" / "llama.gguf"
SEED, EACH = 4711, 40
NUMBERS = {"age", "quantity", "a", "b"}


class Case(NamedTuple):
    """A request, and a judgement of the answer's message."""

    group: str
    body: dict[str, Any]
    right: Callable[[dict[str, Any]], bool]


class Ear:
    """A sink that keeps the whole answer."""

    def __init__(self) -> None:
        self.body = b""
        self.over = asyncio.Event()

    def on_head(self, status: int, headers: Headers) -> None: ...

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.over.set()

    def on_lost(self, fault: Fault) -> None:
        raise fault


def leaks() -> list[str]:
    """Held-out questions among those written down to train on; what is drawn is checked as it is drawn."""
    taught = {held.plain(a) for a in (*(a for f in facts.FACTS for a in f.asks), *facts.OUTSIDE)}
    return sorted(held.QUESTIONS & taught)


def says(answer: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("content") == answer


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def held_values(rng: Chance) -> dict[str, Any]:
    name = f"{rng.choice(words.HELD_FIRST)} {rng.choice(words.HELD_LAST)}"
    return {
        "name": name,
        "age": rng.randint(1, 99),
        "city": rng.choice(words.HELD_CITIES),
        "item": rng.choice(words.HELD_ITEMS),
        "quantity": rng.randint(2, 400),
        "title": f"{rng.choice(words.HELD_TITLES)} {rng.choice(words.GATHERINGS)}",
        "date": words.day(rng),
        "place": rng.choice(words.HELD_CITIES),
        "email": f"{name.split(maxsplit=1)[0].lower()}@{words.made_up(rng)}.com",
        "order_id": words.code(rng),
        "query": f"{rng.choice(words.HELD_TITLES)} {rng.choice(words.HELD_ITEMS)}",
        "a": rng.randint(1, 99),
        "b": rng.randint(1, 99),
    }


def talk() -> Iterator[Case]:
    """What it says: itself, fungible, and what lies outside."""
    for number, fact in enumerate(facts.FACTS):
        for ask in fact.held:
            yield Case(
                "about itself, greetings" if number < 5 else "questions about fungible",
                {"messages": user(ask)},
                says(fact.answer),
            )
    for ask in facts.HELD_OUTSIDE:
        yield Case("refuses what is outside", {"messages": user(ask)}, says(facts.REFUSAL))


def records(rng: Chance) -> Iterator[Case]:
    """Fields to a JSON schema, from sentence forms that training never had."""
    for kind, fields, sentences in held.RECORDS:
        for turn in range(EACH):
            values = held_values(rng)
            wanted = {f: values[f] for f in fields}
            text = sentences[turn % len(sentences)].format(**values)
            yield Case(f"unseen wording: {kind}", asked_for(kind, wanted, text), holds(wanted))


def usual(rng: Chance) -> Iterator[Case]:
    """Fields again, in the sentence forms of training but with values that training never had."""
    for kind, fields, _ in held.RECORDS:
        forms = next(forms for kinds, known, forms in tasks.KINDS if kind in kinds and known == fields)
        for _ in range(EACH):
            values = held_values(rng)
            wanted = {f: values[f] for f in fields}
            yield Case(
                f"usual wording: {kind}",
                asked_for(kind, wanted, tasks.sentence_of(rng, forms).format(**values)),
                holds(wanted),
            )


def asked_for(kind: str, wanted: dict[str, Any], text: str) -> dict[str, Any]:
    """A request for the fields of `wanted` under a JSON schema."""
    schema = {
        "type": "object",
        "required": list(wanted),
        "additionalProperties": False,
        "properties": {f: {"type": "integer" if f in NUMBERS else "string"} for f in wanted},
    }
    shape = {"type": "json_schema", "json_schema": {"name": kind, "schema": schema}}
    return {"messages": user(text), "response_format": shape}


def holds(wanted: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    return lambda message: bool(json.loads(message["content"]) == wanted)


def offer(name: str, about: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    kinds = {a: {"type": "integer" if a in NUMBERS else "string"} for a in arguments}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": about,
            "parameters": {"type": "object", "properties": kinds, "required": list(arguments)},
        },
    }


def called(name: str, arguments: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    def right(message: dict[str, Any]) -> bool:
        calls = message.get("tool_calls") or []
        return (
            len(calls) == 1
            and calls[0]["function"]["name"] == name
            and json.loads(calls[0]["function"]["arguments"]) == arguments
        )

    return right


def calls(rng: Chance) -> Iterator[Case]:
    """Tools: the demo's, those with unseen names alone and among others, results, and none that fits."""
    weather = offer("get_weather", "Get the weather for a city", ("city",))
    everything = [offer(*tool[:3]) for tool in held.TOOLS]
    for city in [*words.CITIES[:20], *words.HELD_CITIES]:
        yield Case(
            "get_weather, the demo's wording",
            {"messages": user(f"What is the weather in {city}?"), "tools": [weather]},
            called("get_weather", {"city": city}),
        )
    for turn in range(EACH):
        name, about, arguments, asks = held.TOOLS[turn % len(held.TOOLS)]
        values = held_values(rng)
        wanted = {a: values[a] for a in arguments}
        ask = user(asks[turn // len(held.TOOLS) % len(asks)].format(**values))
        yield Case(
            "unseen tool, alone",
            {"messages": ask, "tools": [offer(name, about, arguments)]},
            called(name, wanted),
        )
        yield Case("unseen tool, among six", {"messages": ask, "tools": everything}, called(name, wanted))
        sky, warm = rng.choice(tasks.RESULT_WORDS), rng.randint(-9, 39)
        said = [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": name, "arguments": json.dumps(wanted)},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": f"{warm} degrees and {sky}"},
        ]
        yield Case(
            "reports a tool's result",
            {"messages": ask + said, "tools": everything},
            lambda m, sky=sky, warm=warm: f"{warm} degrees and {sky}" in (m["content"] or ""),
        )
    for fact in facts.FACTS[:24]:
        yield Case(
            "no tool fits: answers", {"messages": user(fact.held[0]), "tools": [weather]}, says(fact.answer)
        )


async def judge(engine: Embedded, case: Case) -> tuple[bool, str]:
    ear, body = Ear(), {"model": "llama", "max_tokens": 120, **case.body}
    engine.send(
        Outgoing(Origin("local", "local", 0), "/v1/chat/completions", b"", json.dumps(body).encode()), ear
    )
    await ear.over.wait()
    message = json.loads(ear.body)["choices"][0]["message"]
    try:
        return case.right(message), json.dumps(message.get("tool_calls") or message.get("content"))
    except (ValueError, KeyError):
        return False, json.dumps(message)


def cases() -> list[Case]:
    """Everything that is asked, the same each time."""
    rng = Chance(SEED)
    return [*talk(), *usual(rng), *records(rng), *calls(rng)]


async def measure(engine: Embedded, asked: list[Case], misses: bool = False) -> dict[str, tuple[int, int]]:
    """Ask, and count the right answers and all, by group."""
    table: dict[str, tuple[int, int]] = {}
    answers = await asyncio.gather(*(judge(engine, c) for c in asked))
    for case, (right, said) in zip(asked, answers, strict=True):
        rights, count = table.get(case.group, (0, 0))
        table[case.group] = rights + right, count + 1
        if misses and not right:
            print(f"- {case.group}: {case.body['messages'][0]['content']}\n    {said}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded model on what it was not trained on.")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--misses", action="store_true", help="print the wrong answers")
    options = parser.parse_args()
    if leaked := leaks():
        raise SystemExit(f"held-out phrasings that training may show: {leaked}")
    engine, asked, began = Embedded({"llama": options.model}, context_tokens=1024), cases(), time.monotonic()
    table = asyncio.run(measure(engine, asked, options.misses))
    engine.close()
    print("| unseen | right | of |\n|---|---|---|")
    for group, (right, count) in table.items():
        print(f"| {group} | {right} | {count} |")
    print(f"{len(asked)} requests in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
