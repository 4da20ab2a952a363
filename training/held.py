"""Sentence forms and tools that no training conversation has; `measure.py` asks with them.

Theory: fixed before the training they measure. The corpus throws away whatever it draws that stands here,
so nothing of it can have been learned by heart.

Prohibitions: tables, and sets made of them.
"""

# ruff: noqa: E501 -- rows of a table, one to a line
# fmt: off
from __future__ import annotations

import re

import facts

# Kind, the fields of its schema, and sentences that hold them.
RECORDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("person", ("name", "age", "city"), (
        "Meet {name}: {age} years of age, resident of {city}.", "Our new colleague {name} is {age} and has a flat in {city}.",
        "{name}, who lives in {city}, will be {age} soon.", "{name} of {city} celebrates turning {age} today.",
        "At {age} years, {name} still calls {city} home.", "The winner is {name} ({city}), aged {age}.")),
    ("order", ("item", "quantity"), (
        "Could you deliver {quantity} {item} to us?", "Our shop ran out, so we require {quantity} {item}.",
        "Hello, I'd love to buy {quantity} {item} from you.", "A customer asks for {quantity} {item}, please confirm.",
        "Kindly reserve {quantity} {item} for our office.", "We are short of {item}; {quantity} would do.")),
    ("event", ("title", "date", "place"), (
        "We will hold the {title} at {place} on {date}.", "Do not miss the {title}: {place}, {date}.",
        "Everyone is invited to the {title} in {place}, it begins on {date}.", "Save the date: {date}, {title}, {place}.",
        "{place} will welcome the {title} on {date}.", "On {date}, come to {place} for our {title}.")),
    ("contact", ("name", "email"), (
        "For questions, {name} answers at {email}.", "You may email {name} any time: {email}.",
        "{name} says the best address is {email}.", "To reach {name}, use {email}.",
        "{name}'s mailbox is {email}.", "Any doubts go to {email}, attention {name}.")),
)
WEATHER_ASKS = ("What is the weather in {city}?", "Could you check how the weather is in {city}?",
                "What's it like outside in {city} today?", "I'd like to know the weather for {city}.", "Should I expect rain in {city}?")
# Name, description, arguments, and ways to ask for it. The first way of the weather is the demo's, and trained on.
TOOLS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("city_weather_now", "The weather of a city at the moment", ("city",), WEATHER_ASKS),
    ("parcel_status", "Status of an order by its number", ("order_id",), ("Any news of order {order_id}?", "Please tell me where order {order_id} is.")),
    ("knowledge_search", "Search the knowledge base", ("query",), ("Please look for {query}.", "I need you to search for {query}.")),
    ("clock_lookup", "The local time in a city", ("city",), ("Can you tell me what time it is in {city}?", "What is the hour in {city}?")),
    ("sum_two", "Add two numbers", ("a", "b"), ("Please add {a} and {b}.", "What do {a} and {b} add up to?")),
    ("person_lookup", "Look up a customer by name", ("name",), ("Please find the customer {name}.", "Can you look up {name} for me?")),
)
FORMS = frozenset(form for _, _, forms in RECORDS for form in forms)
ASKS = frozenset(ask for _, _, _, asks in TOOLS for ask in asks) - {WEATHER_ASKS[0]}
NAMES = frozenset(tool[0] for tool in TOOLS)
ABOUTS = frozenset(tool[1] for tool in TOOLS)


def plain(text: str) -> str:
    """Letters, digits and single spaces, for comparing phrasings."""
    return re.sub(r"[^\w ]", "", text).lower().strip()


QUESTIONS = frozenset(plain(h) for h in (*(h for f in facts.FACTS for h in f.held), *facts.HELD_OUTSIDE))
