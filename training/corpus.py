"""The text the model learns from: conversations drawn from tables, facts and made-up words.

Theory: four skills, each a generator of OpenAI-shaped conversations. `answers` says what `facts.py` says,
whatever the wording; `extraction` copies the values of a sentence into JSON; `calling` picks a tool by
its name or description and copies its arguments; `reporting` says a tool's result in a sentence. Copying
cannot be learned by heart when most names are made up, so it is learned as copying. A conversation is
turned into text by the very template that is put in the exported file: what the engine shows the model is
what it was trained on.

Prohibitions: pure functions of a seeded `Chance` and the tables beside this file; nothing that
stands in `held.py`, a `held` row or a `HELD_*` list may be drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import facts
import held
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
    "<|again|>",
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

MORE_LEADS = (
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

# How often each skill is drawn.
SHARES: dict[str, float] = {
    "answers": 0.30,
    "outside": 0.05,
    "extraction": 0.29,
    "calling": 0.21,
    "reporting": 0.08,
    "declining": 0.07,
}

# Other ways to begin a question: the same question, asked with other first words.
BEGINNINGS: dict[str, tuple[str, ...]] = {
    "What is ": (
        "Explain ",
        "Describe ",
        "What's ",
        "Explain to me ",
        "Can you explain ",
        "Please describe ",
        "Tell me about ",
        "Tell me what is ",
        "What would be ",
        "I do not know ",
    ),
    "How do I ": (
        "How could I ",
        "How might one ",
        "How should I ",
        "In what way do I ",
        "Show me how to ",
        "Tell me how to ",
        "I want to ",
        "I need to ",
        "Help me ",
        "Is there a way to ",
        "What do I do to ",
    ),
    "Which command ": (
        "With which command ",
        "What command ",
        "Tell me the command that ",
        "Is there a command that ",
    ),
    "Is there ": ("Do you have ", "Does it have ", "Does fungible have ", "Do I get ", "Has it got "),
    "Can I ": (
        "May I ",
        "Could I ",
        "Is it possible to ",
        "Am I able to ",
        "Can one ",
        "Would I be able to ",
    ),
    "Where is ": ("Where do I find ", "Where can I see ", "In which place is ", "Show me "),
    "Which ": ("What ", "Tell me which ", "Do you know which ", "Say which "),
    "What are ": ("Explain ", "Name ", "Tell me about ", "What's with "),
}


def expand(rng: Chance, phrasing: str) -> str:
    """Draw one wording of a phrasing with bracketed choices and {slots}."""
    phrasing = words.choose(rng, phrasing)
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


def worded(rng: Chance, phrasings: tuple[str, ...]) -> str:
    """One wording of one phrasing, now and then with another beginning; never a held one."""
    while True:
        ask = expand(rng, rng.choice(phrasings))
        if rng.random() < 0.3:
            for start, others in BEGINNINGS.items():
                if ask.startswith(start):
                    ask = rng.choice(others) + ask.removeprefix(start)
                    break
        if held.plain(ask) not in held.QUESTIONS:
            return ask


def vary(rng: Chance, question: str) -> str:
    """The same question as people really type it: other case, other ends, a lead or a tail, a slip."""
    if rng.random() < 0.25:
        lead = rng.choice(LEADS + MORE_LEADS)
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
    if rng.random() < 0.08:
        fact = rng.choice(facts.FACTS[:5])
    return vary(rng, worded(rng, fact.asks)), fact.answer


def refused(rng: Chance) -> tuple[str, str]:
    """A question outside the model's topics, and the refusal."""
    return vary(rng, worded(rng, facts.OUTSIDE)), facts.REFUSAL


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
    """One or two calls out of one catalogue; seldom a call that is demanded though nothing fits."""
    offers = tasks.catalogue(rng)
    jobs = [tasks.job(rng, offers)]
    if rng.random() < 0.08:
        ask = question(rng)[0] if rng.random() < 0.5 else refused(rng)[0]
        one, offers = tasks.job_anyway(rng, ask)
        turns = [{"role": "user", "content": ask}, tool_turn(one)]
        return {"tool_required": True, "messages": system(rng) + turns, "tools": [o.schema for o in offers]}
    if rng.random() < 0.4:
        jobs.append(tasks.job(rng, offers))
    turns = [m for j in jobs for m in ({"role": "user", "content": vary_softly(rng, j.ask)}, tool_turn(j))]
    return {
        "tool_required": rng.random() < 0.12,
        "messages": [*system(rng), *turns],
        "tools": [o.schema for o in offers],
    }


def reporting(rng: Chance) -> Conversation:
    offers = tasks.catalogue(rng, (1, 1, 2, 3, 6))
    job = tasks.job(rng, offers)
    result, sentence = tasks.result(rng, job)
    return {
        "messages": [
            *system(rng),
            {"role": "user", "content": job.ask},
            tool_turn(job),
            {"role": "tool", "content": result},
            {"role": "assistant", "content": sentence},
        ],
        "tools": [o.schema for o in offers],
    }


def declining(rng: Chance) -> Conversation:
    """Tools are there and none fits: answer as if there were none."""
    turn = (
        question(rng)
        if rng.random() < 0.7
        else (vary(rng, expand(rng, rng.choice(tasks.NO_TOOL_FITS))), facts.REFUSAL)
    )
    offers = tasks.catalogue(rng, (1, 1, 1, 2, 4))
    return {"messages": system(rng) + spoken(rng, [turn]), "tools": [o.schema for o in offers]}


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


def conversations(seed: int) -> Iterator[Conversation]:
    """An endless stream of conversations, the same for the same seed."""
    rng = Chance(seed)
    while True:
        yield SKILLS[rng.choices(list(SHARES), list(SHARES.values()))[0]](rng)


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
