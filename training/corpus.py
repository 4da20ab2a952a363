"""The text the model learns from: conversations drawn from tables, facts and made-up words.

Theory: four skills, each a generator of OpenAI-shaped conversations. `answers` says what `facts.py` says,
whatever the wording; `extraction` copies the values of a sentence into JSON; `calling` picks a tool by
its name or description and copies its arguments; `reporting` says a tool's result in a sentence. Copying
cannot be learned by heart when most names are made up, so it is learned as copying. A conversation is
turned into text by the very template that is put in the exported file: what the engine shows the model is
what it was trained on.

Prohibitions: pure functions of a seeded `Chance` and the tables beside this file; nothing that
stands in a `held` row or a `HELD_*` list may be drawn (`measure.py` checks it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import facts
import tasks
import words
from jinja2.sandbox import ImmutableSandboxedEnvironment
from words import Chance

Message = dict[str, Any]
Conversation = dict[str, Any]

SPECIAL = (
    "<|begin|>",
    "<|end|>",
    "<|system|>",
    "<|tools|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<tool_call>",
    "</tool_call>",
    "<|pad|>",
)
TEMPLATE = Path(__file__).with_name("template.jinja").read_text(encoding="utf-8")

LEADS = (
    "Please tell me: ",
    "Quick question: ",
    "Hey, ",
    "Hi! ",
    "I have a question. ",
    "Can you tell me: ",
    "Tell me, ",
    "Sorry, ",
    "One more thing: ",
    "I wonder: ",
    "So, ",
    "Please: ",
    "OK. ",
    "Hello, ",
    "Question: ",
    "And ",
)
TAILS = (
    " Please.",
    " Thanks.",
    " Thank you!",
    " Be brief.",
    " In one sentence.",
    " Please be short.",
    " I am new here.",
)

LATE_LEADS = (
    "Could you explain: ",
    "Please explain: ",
    "I'd like to know: ",
    "Explain to me: ",
    "Say, ",
    "Help me: ",
    "Could you tell me: ",
    "Well, ",
    "My question: ",
    "Do you know: ",
    "Suppose I ask: ",
    "Now, ",
)

# How often each skill is drawn, early and late; copying gets the most because it is the hardest.
SHARES: dict[str, tuple[float, float]] = {
    "answers": (0.27, 0.36),
    "outside": (0.07, 0.05),
    "extraction": (0.30, 0.30),
    "calling": (0.22, 0.17),
    "reporting": (0.08, 0.06),
    "declining": (0.06, 0.06),
}

CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")


def expand(rng: Chance, phrasing: str) -> str:
    """Draw one wording of a phrasing with bracketed choices and {slots}."""
    while found := CHOICE.search(phrasing):
        phrasing = phrasing[: found.start()] + rng.choice(found[1].split("|")) + phrasing[found.end() :]
    slots: dict[str, Callable[[], str]] = {
        "{city}": lambda: words.city(rng),
        "{thing}": lambda: rng.choice(words.THINGS),
        "{person}": lambda: words.person(rng),
        "{word}": lambda: words.made_up(rng),
        "{n}": lambda: str(rng.randint(1, 999)),
        "{nn}": lambda: f"{rng.randint(0, 99):02d}",
    }
    for slot, draw in slots.items():
        while slot in phrasing:
            phrasing = phrasing.replace(slot, draw(), 1)
    return phrasing


def vary(rng: Chance, question: str) -> str:
    """The same question as people really type it: other case, other ends, a lead or a tail, a slip."""
    if rng.random() < 0.25:
        lead = rng.choice(LEADS + LATE_LEADS if rng.late else LEADS)
        question = lead + (question[0].lower() + question[1:] if rng.random() < 0.5 else question)
    if rng.random() < 0.1:
        question += rng.choice(TAILS)
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    if rng.random() < 0.2:
        question = question.lower()
    if rng.random() < 0.08 and len(question) > 12:
        at = rng.randrange(3, len(question) - 1)
        question = question[:at] + question[at + 1 :]
    return question


def system(rng: Chance) -> list[Message]:
    """Half the time nothing, else a system prompt of the usual kind."""
    return [] if rng.random() < 0.55 else [{"role": "system", "content": rng.choice(facts.SYSTEMS)}]


def question(rng: Chance) -> tuple[str, str]:
    """A question about fungible or the model, and its answer.

    The demo's question comes oftener than its share.
    """
    fact = facts.FACTS[5] if rng.random() < 0.04 else rng.choice(facts.FACTS)
    if rng.late and rng.random() < 0.15:
        fact = rng.choice(facts.FACTS[:5])
    return vary(rng, expand(rng, rng.choice(fact.asks))), fact.answer


def refused(rng: Chance) -> tuple[str, str]:
    """A question outside the model's topics, and the refusal."""
    return vary(rng, expand(rng, rng.choice(facts.OUTSIDE))), facts.REFUSAL


def spoken(rng: Chance, turns: list[tuple[str, str]]) -> list[Message]:
    """Question and answer pairs as messages."""
    return [
        m
        for ask, answer in turns
        for m in ({"role": "user", "content": ask}, {"role": "assistant", "content": answer})
    ]


def answers(rng: Chance) -> Conversation:
    count = rng.choice((1, 1, 1, 1, 1, 1, 2, 3))
    return {"messages": system(rng) + spoken(rng, [question(rng) for _ in range(count)])}


def outside(rng: Chance) -> Conversation:
    turns = [refused(rng)]
    if rng.random() < 0.2:
        turns.insert(0, question(rng))
    return {"messages": system(rng) + spoken(rng, turns)}


def extraction(rng: Chance) -> Conversation:
    ask, record = tasks.extract(rng)
    lead = (
        system(rng) if rng.random() < 0.6 else [{"role": "system", "content": rng.choice(tasks.JSON_SYSTEMS)}]
    )
    return {"messages": lead + spoken(rng, [(ask, json.dumps(record, ensure_ascii=False))])}


def calling(rng: Chance) -> Conversation:
    job = forced(rng) if rng.late and rng.random() < 0.12 else tasks.call(rng)
    required = rng.late and (job.forced or rng.random() < 0.15)
    return {
        "tool_required": required,
        "messages": [*system(rng), {"role": "user", "content": vary_softly(rng, job.ask)}, tool_turn(job)],
        "tools": job.catalogue,
    }


def forced(rng: Chance) -> tasks.Job:
    """A tool that has to be called though the question does not ask for it: it gets the question."""
    ask = question(rng)[0] if rng.random() < 0.5 else refused(rng)[0]
    return tasks.call_anyway(rng, ask)


def reporting(rng: Chance) -> Conversation:
    job = tasks.call(rng)
    result, sentence = tasks.result(rng, job)
    return {
        "messages": [
            *system(rng),
            {"role": "user", "content": job.ask},
            tool_turn(job),
            {"role": "tool", "content": result},
            {"role": "assistant", "content": sentence},
        ],
        "tools": job.catalogue,
    }


def declining(rng: Chance) -> Conversation:
    """Tools are there and none fits: answer as if there were none."""
    turn = (
        question(rng)
        if rng.random() < 0.6
        else (vary(rng, expand(rng, rng.choice(tasks.NO_TOOL_FITS))), facts.REFUSAL)
    )
    return {"messages": system(rng) + spoken(rng, [turn]), "tools": tasks.catalogue(rng, [])}


def vary_softly(rng: Chance, ask: str) -> str:
    """Other ends, leads and tails, but never a changed letter: what is asked has to be copied."""
    if rng.random() < 0.15:
        ask = rng.choice(LEADS) + ask
    if rng.random() < 0.15:
        ask = ask.rstrip("?.!")
    return ask + (rng.choice(TAILS) if rng.random() < 0.08 else "")


def tool_turn(job: tasks.Job) -> Message:
    """The assistant's message that calls the job's tool."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": "function", "function": {"name": job.tool, "arguments": job.arguments}}],
    }


SKILLS: dict[str, Callable[[Chance], Conversation]] = {
    "answers": answers,
    "outside": outside,
    "extraction": extraction,
    "calling": calling,
    "reporting": reporting,
    "declining": declining,
}


def conversations(seed: int, late: bool = False) -> Iterator[Conversation]:
    """An endless stream of conversations of the early or the late course, the same for the same seed."""
    rng = Chance(seed, late)
    weights = [shares[late] for shares in SHARES.values()]
    while True:
        yield SKILLS[rng.choices(list(SHARES), weights)[0]](rng)


def renderer() -> Callable[[Conversation], str]:
    """A function from a conversation to the text the model sees, by the exported template."""
    world = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    world.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = world.from_string(TEMPLATE)

    def render(conversation: Conversation) -> str:
        return template.render(
            add_generation_prompt=False, **{"tools": None, "tool_required": False, **conversation}
        )

    return render


if __name__ == "__main__":
    show, drawn = renderer(), conversations(1)
    for _ in range(40):
        print(show(next(drawn)))
