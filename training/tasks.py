"""Copying tasks: sentences with fields to extract, and tools with arguments to fill in.

Theory: a task is drawn value first. The values are made, a sentence is built around them, and the answer
quotes them unchanged, so every answer is right by construction. Field and tool names have many spellings
and are often made up, so the model has to read them instead of knowing them.

Prohibitions: pure functions of a given `Chance`; no held-out word is drawn.
"""

# ruff: noqa: E501 -- rows of a table, one to a line
# fmt: off
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import words
from words import Chance

Values = dict[str, Any]

JSON_SYSTEMS = ("Extract the fields as JSON.", "Reply with JSON only.", "You extract data and answer in JSON.",
                "Return a JSON object that matches the schema.", "You are a parser. Output JSON.", "Answer in JSON.")
ASK_BARE = ("{text}", "{text}", "{text}", "Extract the fields: {text}", "Extract the {kind}: {text}", "{text} Return JSON.",
            "Extract the {kind} from this sentence: {text}", "Text: {text}", "Parse this: {text}", "{text} Extract the {kind}.",
            "Read this and fill in the {kind}: {text}", "Get the data out of: {text}", "Turn this into JSON: {text}",
            "Here is a text: {text} Give me the {kind} as JSON.", "\"{text}\"", "Extract from: {text}",
            "Give me the {kind} as JSON: {text}", "What is the {kind} in: {text}")
ASK_FIELDS = ("Extract {fields}: {text}", "Extract {fields} from: {text}", "Give me {fields} as JSON: {text}", "{text} Extract {fields}.",
              "Return JSON with {fields}. {text}", "Find {fields} in this text: {text}", "{text} What are {fields}?",
              "Extract the fields {fields} from the text: {text}", "Fields: {fields}. Text: {text}")

# A field's meaning, then the names a schema may give it.
NAMES: dict[str, tuple[str, ...]] = {
    "name": ("name", "name", "name", "full_name", "person", "fullName", "who"),
    "age": ("age", "age", "age", "years", "age_years"),
    "city": ("city", "city", "city", "town", "location", "place", "home"),
    "job": ("job", "occupation", "profession", "role"),
    "company": ("company", "employer", "organisation", "organization"),
    "email": ("email", "email", "email", "mail", "e_mail", "email_address"),
    "phone": ("phone", "phone", "telephone", "phone_number", "tel"),
    "item": ("item", "item", "item", "product", "article", "thing"),
    "quantity": ("quantity", "quantity", "quantity", "count", "amount", "qty", "number"),
    "price": ("price", "cost", "price_usd", "unit_price"),
    "code": ("order_id", "id", "order", "number", "ticket", "reference"),
    "title": ("title", "title", "title", "event", "name", "subject", "topic"),
    "date": ("date", "date", "date", "day", "when"),
    "place": ("place", "place", "location", "venue", "room", "where"),
    "time": ("time", "start", "hour", "start_time"),
    "from": ("from", "origin", "departure", "from_city"),
    "to": ("to", "destination", "arrival", "to_city"),
    "colour": ("color", "colour"),
}

# A kind of text: what it is called, its fields in usual order, and sentences that hold all or some of them.
KINDS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("person", "details", "person's details"), ("name", "age", "city"), (
        "{name}, {age}, lives in {city}.", "{name} is {age} years old and lives in {city}.", "{name} ({age}) from {city}.",
        "My name is {name}, I am {age} and I live in {city}.", "In {city} lives {name}, who is {age}.", "{name}, aged {age}, of {city}.",
        "At {age}, {name} moved to {city}.", "I met {name} in {city}; she is {age}.", "{city} is the home of {name}, {age}.",
        "{name} comes from {city} and turned {age} last week.", "This is {name}. He is {age}. His home is {city}.",
        "{age} year old {name} grew up in {city}.", "{name} | {age} | {city}", "Name: {name}, age: {age}, city: {city}",
        "{name} was born in {city} {age} years ago.", "We spoke with {name} from {city}, {age} years old.", "I'm {name} from {city}, {age}.")),
    (("person", "details", "employee"), ("name", "age", "job"), (
        "{name} is a {age} year old {job}.", "{name}, {age}, works as a {job}.", "The {job} {name} is {age}.",
        "At the age of {age}, {name} became a {job}.", "{name} ({age}), {job}.")),
    (("person", "employee", "contact"), ("name", "job", "company"), (
        "{name} works as a {job} at {company}.", "{name} is a {job} for {company}.", "{company} hired {name} as a {job}.",
        "{name}, {job}, {company}", "The {job} at {company} is {name}.")),
    (("order", "order details", "purchase"), ("item", "quantity"), (
        "I would like {quantity} {item}.", "Please send me {quantity} {item}.", "We need {quantity} {item} by Friday.",
        "Order: {quantity} x {item}", "Can I get {quantity} {item}?", "{quantity} {item}, please.", "I want to order {quantity} {item}.",
        "He bought {quantity} {item} yesterday.", "Add {quantity} {item} to my basket.", "Send {quantity} of the {item}.",
        "I'll take {quantity} {item}.", "The customer ordered {quantity} {item}.", "{item}: {quantity}", "Item {item}, quantity {quantity}",
        "Put me down for {quantity} {item}.", "We are out of {item}, get {quantity} more.")),
    (("order", "order details"), ("code", "item", "quantity"), (
        "Order {code}: {quantity} {item}.", "Please ship {quantity} {item} for order {code}.", "{quantity} {item}, reference {code}.",
        "My order {code} has {quantity} {item}.", "In order {code} there were {quantity} {item}.")),
    (("order", "invoice"), ("name", "item", "quantity"), (
        "{name} ordered {quantity} {item}.", "{quantity} {item} for {name}.", "{name} wants {quantity} {item}.",
        "Please send {name} {quantity} {item}.", "{name} bought {quantity} {item} from us.")),
    (("product", "item"), ("item", "price", "colour"), (
        "The {colour} {item} cost {price} dollars.", "{item} in {colour} for {price} dollars.", "We sell {item}, {colour}, at {price} each.",
        "You pay {price} for the {item} in {colour}.")),
    (("product", "price"), ("item", "price"), (
        "The {item} cost {price} dollars.", "{item} for {price} euros.", "I paid {price} for the {item}.", "{item}: {price} USD")),
    (("event", "meeting", "event details"), ("title", "date", "place"), (
        "The {title} is on {date} in {place}.", "{title} on {date} at {place}.", "Join us for the {title} in {place} on {date}.",
        "On {date} we hold the {title} in {place}.", "{title}, {date}, {place}", "Reminder: {title} takes place on {date} in {place}.",
        "Let us meet in {place} on {date} for the {title}.", "The {title} in {place} was moved to {date}.",
        "Please come to the {title} on {date}, {place}.", "{place} hosts the {title} on {date}.", "We meet on {date} in {place} for the {title}.")),
    (("event", "meeting", "appointment"), ("title", "date", "time"), (
        "The {title} is on {date} at {time}.", "{title} at {time} on {date}.", "On {date} at {time}: {title}.",
        "{title} starts at {time} on {date}.", "See you at the {title} on {date} at {time}.")),
    (("meeting", "appointment"), ("name", "date", "place"), (
        "Meet {name} on {date} in {place}.", "I have a meeting with {name} in {place} on {date}.", "{name} comes to {place} on {date}.",
        "On {date} I see {name} at {place}.")),
    (("contact", "contact details"), ("name", "email"), (
        "{name} can be reached at {email}.", "Write to {name} at {email}.", "Contact: {name}, {email}", "{name} <{email}>",
        "My name is {name} and my email is {email}.", "Send it to {email}, that is {name}.", "The address of {name} is {email}.",
        "Please mail {name} ({email}).", "{email} belongs to {name}.", "Ask {name} at {email} for help.", "I am {name}, {email}.")),
    (("contact", "contact details"), ("name", "email", "phone"), (
        "{name}, {email}, {phone}", "Call {name} on {phone} or write to {email}.", "{name} has the phone number {phone} and the email {email}.",
        "You reach {name} at {email} or {phone}.", "Contact {name}: {phone}, {email}.")),
    (("contact", "details"), ("name", "phone", "city"), (
        "{name} in {city} has the number {phone}.", "Call {name} in {city} on {phone}.", "{name}, {city}, phone {phone}.")),
    (("trip", "flight", "journey"), ("from", "to", "date"), (
        "A flight from {from} to {to} on {date}.", "I travel from {from} to {to} on {date}.", "On {date} we go from {from} to {to}.",
        "Book me a train to {to} from {from} on {date}.", "{from} to {to}, {date}", "Fly me to {to} on {date}; I leave from {from}.")),
    (("parcel", "delivery"), ("name", "code", "city"), (
        "Parcel {code} goes to {name} in {city}.", "{name} in {city} waits for parcel {code}.", "Send parcel {code} to {name}, {city}.")),
)

BEFORE = ("Good news today. ", "As you asked: ", "Hello all, ", "Note: ", "FYI. ", "Dear team, ", "Here is the update. ", "Hi. ")
AFTER = (" Thanks.", " See you soon.", " That is all.", " Let me know.", " Best wishes.", " Have a nice day.", " It is urgent.")


def money(rng: Chance) -> float | int:
    """A price, whole or with cents."""
    return rng.randint(1, 900) if rng.random() < 0.5 else round(rng.uniform(0.5, 250), 2)


def value(rng: Chance, field: str, name: str) -> Any:
    """A value for a field; `name` is the person an email address belongs to."""
    title = f"{words.made_up(rng) if rng.random() < 0.3 else rng.choice(words.TITLES)} {rng.choice(words.GATHERINGS)}"
    makers: dict[str, Callable[[], Any]] = {
        "name": lambda: name, "age": lambda: rng.randint(1, 99), "city": lambda: words.city(rng),
        "job": lambda: words.made_up(rng) if rng.random() < 0.2 else rng.choice(words.JOBS),
        "company": lambda: words.pick(rng, words.COMPANIES, 0.6), "email": lambda: words.email(rng, name),
        "phone": lambda: "".join(rng.choice("0123456789") for _ in range(rng.randint(5, 9))),
        "item": lambda: words.item(rng), "quantity": lambda: words.number(rng), "price": lambda: money(rng),
        "code": lambda: words.code(rng), "title": lambda: title.capitalize() if rng.random() < 0.4 else title,
        "date": lambda: words.day(rng), "from": lambda: words.city(rng), "to": lambda: words.city(rng),
        "place": lambda: words.city(rng) if rng.random() < 0.6 else rng.choice(words.PLACES),
        "time": lambda: rng.choice((f"{rng.randint(0, 23)}:{rng.choice(('00', '15', '30', '45'))}", f"{rng.randint(1, 12)} pm")),
        "colour": lambda: rng.choice(words.COLOURS)}
    return makers[field]()


def listed(rng: Chance, names: list[str]) -> str:
    """Field names as one writes them in a sentence."""
    if rng.random() < 0.3 or len(names) == 1:
        return ", ".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def paired(rng: Chance) -> tuple[str, Values]:
    """Made-up field names with made-up values: nothing to know, everything to copy."""
    names = list(dict.fromkeys(words.made_up(rng) for _ in range(rng.randint(2, 4))))
    values: Values = {}
    for n in names:
        word = words.made_up(rng)
        values[n] = rng.choice((rng.randint(0, 999), word, word.capitalize(), words.person(rng), words.city(rng)))
    form = rng.choice(("{k} is {v}", "the {k} is {v}", "{k}: {v}", "{k} = {v}", "{v} is the {k}", "{k} {v}", "its {k} was {v}"))
    order = list(values.items())
    rng.shuffle(order)
    text = rng.choice((", ", "; ", " and ", ". ")).join(form.format(k=k, v=v) for k, v in order) + "."
    kept = names if rng.random() < 0.6 else rng.sample(names, rng.randint(1, len(names)))
    record = {k: values[k] for k in kept}
    ask = rng.choice(ASK_FIELDS).format(fields=listed(rng, kept), text=text) if rng.random() < 0.5 else (
        rng.choice(ASK_BARE).format(kind="fields", text=text))
    return ask, record


def extract(rng: Chance) -> tuple[str, Values]:
    """A request to extract fields, and the record that answers it."""
    if rng.random() < 0.25:
        return paired(rng)
    names, fields, sentences = rng.choice(KINDS)
    who = words.person(rng)
    values = {f: value(rng, f, who) for f in fields}
    if values.get("from") is not None and values["from"] == values["to"]:
        values["to"] = words.made_up(rng).capitalize()
    sentence = rng.choice(sentences)
    text = sentence.format(**values)
    if rng.random() < 0.15:
        text = rng.choice(BEFORE) + text
    if rng.random() < 0.15:
        text += rng.choice(AFTER)
    asked = [f for f in fields if "{" + f + "}" in sentence]
    shape = rng.random()
    if shape < 0.25:
        asked = rng.sample(asked, rng.randint(1, len(asked)))
    elif shape < 0.35:
        rng.shuffle(asked)
    record: Values = {}
    for f in asked:
        key = rng.choice(NAMES[f]) if rng.random() < 0.5 else NAMES[f][0]
        record[key if key not in record else f] = values[f]
    frame = rng.choice(ASK_FIELDS if rng.random() < 0.3 else ASK_BARE)
    return frame.format(kind=rng.choice(names), fields=listed(rng, list(record)), text=text), record


@dataclass(frozen=True)
class Job:
    """A tool to call: the catalogue it stands in, what the user asks, and the right call."""

    ask: str
    tool: str
    arguments: Values
    catalogue: list[dict[str, Any]]
    forced: bool = False


@dataclass(frozen=True)
class Family:
    """Tools that do the same: their names, descriptions, argument names by meaning, and ways to ask."""

    tools: tuple[str, ...]
    about: tuple[str, ...]
    arguments: dict[str, tuple[str, ...]]
    asks: tuple[str, ...]


CITY = ("city", "city", "city", "location", "place", "town", "where")
FAMILIES: tuple[Family, ...] = (
    Family(("get_weather", "get_weather", "get_weather", "weather", "get_current_weather", "weather_lookup", "forecast", "fetch_weather", "getWeather"),
           ("Get the weather for a city", "Current weather in a place", "Weather for a city.", "Returns the weather", "Look up the weather", "Get the current weather of a city"),
           {"city": CITY},
           ("What is the weather in {city}?", "What's the weather like in {city}?", "How is the weather in {city}?", "Weather in {city}?", "Is it raining in {city}?",
            "Will it rain in {city} today?", "How warm is it in {city}?", "Tell me the weather in {city}.", "Is it cold in {city} right now?", "What is the temperature in {city}?",
            "Do I need an umbrella in {city}?", "Give me the weather for {city}.", "I am going to {city}, how is the weather there?", "Is it sunny in {city}?", "What is the forecast for {city}?",
            "Check the weather in {city}, please.", "What is the weather in {city} today?", "How hot is {city} today?", "weather {city}")),
    Family(("get_time", "current_time", "time_in", "get_local_time", "clock", "getTime", "world_time"),
           ("Get the time in a city", "Local time of a place", "Current time in a city.", "Returns the local time"), {"city": (*CITY, "timezone", "zone")},
           ("What time is it in {city}?", "What is the time in {city}?", "Tell me the time in {city}.", "Local time in {city}?", "How late is it in {city}?",
            "What is the local time in {city}?", "time in {city}", "Which hour is it in {city} now?")),
    Family(("add", "sum", "add_numbers", "plus", "sum_numbers"), ("Add two numbers", "Sum of two numbers.", "Adds a and b"),
           {"n": ("a", "x", "first", "left"), "m": ("b", "y", "second", "right")},
           ("What is {n} plus {m}?", "Add {n} and {m}.", "What is the sum of {n} and {m}?", "{n} + {m}", "How much is {n} and {m} together?", "Sum {n} and {m}.", "Compute {n} + {m}.")),
    Family(("multiply", "times", "product", "mul"), ("Multiply two numbers", "Product of two numbers."),
           {"n": ("a", "x", "first", "left"), "m": ("b", "y", "second", "right")},
           ("What is {n} times {m}?", "Multiply {n} by {m}.", "What is the product of {n} and {m}?", "{n} * {m}", "{n} x {m}", "How much is {n} times {m}?")),
    Family(("calculator", "calculate", "calc", "evaluate", "math"), ("Evaluate an arithmetic expression", "A calculator", "Calculate an expression."),
           {"expression": ("expression", "expression", "expr", "input", "formula")},
           ("What is {expression}?", "Calculate {expression}.", "Compute {expression}.", "How much is {expression}?", "Evaluate {expression}.", "{expression}", "Work out {expression}.")),
    Family(("search", "web_search", "search_web", "lookup", "find", "search_docs", "google", "query"),
           ("Search the web", "Search for a text", "Look up a topic.", "Full text search", "Search the documents"), {"topic": ("query", "query", "query", "q", "text", "topic", "term")},
           ("Search for {topic}.", "Look up {topic}.", "Find information about {topic}.", "Search the web for {topic}.", "Can you look up {topic}?", "Find {topic}.",
            "Please search {topic}.", "Google {topic}.", "What can you find about {topic}?", "Do a search for {topic}.")),
    Family(("get_stock_price", "stock_price", "quote", "stock", "share_price"), ("Price of a share", "Get the stock price of a company", "Stock quote by symbol."),
           {"symbol": ("symbol", "symbol", "ticker", "stock", "company")},
           ("What is the stock price of {symbol}?", "How much is {symbol} stock?", "Price of {symbol} shares?", "What does a share of {symbol} cost?", "Get the quote for {symbol}.",
            "How is {symbol} doing on the market?", "Stock price of {symbol}", "What is {symbol} trading at?")),
    Family(("order_status", "get_order_status", "get_order", "track_order", "check_order", "orderStatus", "lookup_order"),
           ("Status of an order", "Look up an order by its number", "Track an order."), {"code": ("order_id", "order_id", "id", "order", "number", "orderId")},
           ("Where is my order {code}?", "What is the status of order {code}?", "Has order {code} been shipped?", "Track order {code}.", "Check order {code} please.", "When does order {code} arrive?",
            "Status of {code}?", "I am waiting for order {code}.", "Look up order {code}.")),
    Family(("get_user", "find_user", "user_info", "lookup_user", "get_customer", "find_contact"), ("Look up a person", "Find a user by name", "Get a customer."),
           {"name": ("name", "name", "user", "customer", "person")},
           ("Who is the user {name}?", "Find the user {name}.", "Look up the customer {name}.", "Get the account of {name}.", "Show me the contact {name}.", "What do we know about the customer {name}?")),
    Family(("send_email", "send_mail", "mail", "email", "send_message"), ("Send an email", "Send a message to a person", "Mails a text."),
           {"email": ("to", "to", "recipient", "address"), "topic": ("subject", "subject", "text", "body", "message")},
           ("Send an email to {email} about {topic}.", "Mail {email} about {topic}.", "Write to {email} with the subject {topic}.", "Email {email}: {topic}.", "Tell {email} about {topic}.")),
    Family(("book_flight", "find_flights", "search_flights", "flights", "book_train", "get_route"), ("Book a flight", "Find flights between two cities", "Route from one city to another."),
           {"from": ("from", "origin", "from_city", "start"), "to": ("to", "destination", "to_city", "end")},
           ("Book a flight from {from} to {to}.", "I want to fly from {from} to {to}.", "Find flights from {from} to {to}.", "How do I get from {from} to {to}?", "Fly me from {from} to {to}.")),
    Family(("create_reminder", "set_reminder", "remind", "add_event", "create_event", "add_todo"), ("Create a reminder", "Add an event to the calendar", "Remind the user."),
           {"topic": ("title", "text", "what", "task"), "date": ("date", "when", "day", "due")},
           ("Remind me of {topic} on {date}.", "Set a reminder for {topic} on {date}.", "Add {topic} to my calendar on {date}.", "Create an event {topic} on {date}.", "On {date} remind me of {topic}.")),
    Family(("convert_currency", "convert", "exchange", "exchange_rate"), ("Convert money", "Convert an amount between currencies."),
           {"n": ("amount", "value", "sum"), "money": ("from", "from_currency", "source"), "other": ("to", "to_currency", "target")},
           ("Convert {n} {money} to {other}.", "How much is {n} {money} in {other}?", "What is {n} {money} in {other}?", "Exchange {n} {money} for {other}.")),
    Family(("get_population", "population", "city_info", "get_city_info", "get_hotels", "find_restaurants"), ("Facts about a city", "Population of a city", "Find places in a city."),
           {"city": CITY},
           ("What is the population of {city}?", "How many people live in {city}?", "Tell me about the city {city}.", "Find a restaurant in {city}.", "Find me a hotel in {city}.")),
)
CURRENCY = ("USD", "EUR", "GBP", "NOK", "SEK", "JPY", "CHF", "dollars", "euros", "pounds", "yen", "kroner")
NO_TOOL_FITS = ("Write (a poem|a story|a song|a joke) about {thing}.", "Tell me a joke.", "Who is the king of {word}?", "What is the meaning of life?",
                "Write a (Python|Java|Rust) program that prints {thing}.", "Explain {thing} to me.", "My (head|knee|back) hurts, what should I do?",
                "Which book should I read?", "Give me a recipe for (soup|bread|cake|{word}).", "Can you (sing|dance|draw {thing})?", "What do you think about {thing}?")


def schema(name: str, about: str | None, arguments: list[str]) -> dict[str, Any]:
    """A tool in OpenAI's shape, with what the template reads of it."""
    function: dict[str, Any] = {"name": name, "parameters": {"type": "object", "properties": {a: {} for a in arguments}}}
    if about:
        function["description"] = about
    return {"type": "function", "function": function}


def strange_tool(rng: Chance) -> tuple[str, str]:
    """A made-up verb and noun, and the tool's name made of them."""
    verb, noun = rng.choice((words.made_up(rng), "get", "find", "set", "check", "run")), words.made_up(rng)
    return f"{verb} {noun}", rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", noun))


def offered(rng: Chance, family: Family) -> tuple[dict[str, Any], dict[str, str]]:
    """A family's tool as one catalogue offers it, and the argument name for each meaning."""
    named = {meaning: rng.choice(names) for meaning, names in family.arguments.items()}
    about = rng.choice(family.about)
    made = rng.random() < 0.15
    name = strange_tool(rng)[1] if made else rng.choice(family.tools)
    arguments = list(named.values())
    if rng.random() < 0.15:
        arguments.append(rng.choice(("unit", "lang", "limit", "format", "verbose")))
    return schema(name, about if made or rng.random() < 0.75 else None, arguments), named


def catalogue(rng: Chance, own: list[dict[str, Any]], besides: Family | None = None) -> list[dict[str, Any]]:
    """The tools of a request: the right one, if any, among none to three others."""
    others = [f for f in FAMILIES if f is not besides]
    count = rng.choice((0, 0, 0, 1, 1, 2, 3)) if own else rng.choice((1, 1, 2, 3))
    if rng.late:
        count = rng.choice((0, 1, 2, 3, 4, 5)) if own else rng.choice((1, 1, 2, 4))
    tools = own + [offered(rng, f)[0] for f in rng.sample(others, count)]
    rng.shuffle(tools)
    seen: set[str] = {t["function"]["name"] for t in own}
    return (own and [t for t in tools if t in own or t["function"]["name"] not in seen]) or tools


def fill(rng: Chance, family: Family) -> Values:
    """Values for a family's meanings."""
    who = words.person(rng)
    topic = rng.choice((words.made_up(rng), f"{rng.choice(words.TITLES)} {rng.choice(words.GATHERINGS)}", rng.choice(words.ITEMS),
                        f"{words.made_up(rng)} {rng.choice(words.ITEMS)}", f"the {words.made_up(rng)}", words.city(rng), who))
    n, m = rng.randint(0, 999), rng.randint(0, 99)
    expression = f"{n} {rng.choice('+-*/')} {m}" if rng.random() < 0.8 else f"({n} + {m}) * {rng.randint(2, 9)}"
    symbol = "".join(rng.choice("ABCDEFGHIKLMNOPRSTVXZ") for _ in range(rng.randint(2, 4))) if rng.random() < 0.5 else words.pick(rng, words.COMPANIES)
    pool: Values = {"city": words.city(rng), "n": n, "m": m, "expression": expression, "topic": topic, "symbol": symbol,
                    "code": words.code(rng), "name": who, "email": words.email(rng, who), "from": words.city(rng), "to": words.city(rng),
                    "date": words.day(rng), "money": rng.choice(CURRENCY), "other": rng.choice(CURRENCY)}
    return {meaning: pool[meaning] for meaning in family.arguments}


def call(rng: Chance) -> Job:
    """A request that a tool of its catalogue fits.

    A quarter use a tool with a made-up name; weather comes oftenest.
    """
    if rng.random() < 0.15:
        said, name = strange_tool(rng)
        argument, given = rng.choice((words.made_up(rng), "id", "name", "value", "key")), rng.choice((words.made_up(rng), words.person(rng), words.code(rng)))
        ask = rng.choice((f"{said.capitalize()} {given}.", f"Please {said} {given}.", f"Use {name} with {given}.", f"Call {name} for {given}.", f"Can you {said} for {given}?"))
        own = schema(name, rng.choice((None, said.capitalize(), f"Will {said}")), [argument])
        return Job(ask, name, {argument: given}, catalogue(rng, [own]))
    family = FAMILIES[0] if rng.random() < 0.25 else rng.choice(FAMILIES)
    values = fill(rng, family)
    own, named = offered(rng, family)
    ask = rng.choice(family.asks).format(**values)
    return Job(ask, own["function"]["name"], {named[m]: v for m, v in values.items()}, catalogue(rng, [own], family))


def call_anyway(rng: Chance, ask: str) -> Job:
    """A call of the one tool there is, with what the user said as its argument."""
    own, named = offered(rng, rng.choice([f for f in FAMILIES if len(f.arguments) == 1]))
    return Job(ask, own["function"]["name"], dict.fromkeys(named.values(), ask), [own], forced=True)


RESULT_KEYS = ("temp_c", "temperature", "sky", "conditions", "status", "result", "time", "price", "total", "answer", "humidity",
               "wind", "state", "eta", "value", "city", "currency", "name", "email", "count")
RESULT_WORDS = ("sunny", "cloudy", "rain", "snow", "clear", "windy", "shipped", "delivered", "pending", "fog", "open", "closed", "warm", "cold", "mild")


def result(rng: Chance, job: Job) -> tuple[str, str]:
    """What the tool gives back, and the sentence that reports it."""
    subject = ", ".join(str(v) for v in job.arguments.values())

    def word() -> str:
        return rng.choice((rng.choice(RESULT_WORDS), rng.choice(RESULT_WORDS), words.made_up(rng), str(rng.randint(-20, 999))))

    if rng.random() < 0.5:
        text = rng.choice((f"{rng.randint(-15, 40)} degrees and {word()}", word(), f"{word()}, {rng.randint(-15, 40)} C", f"{rng.randint(0, 23)}:{rng.randint(10, 59)}",
                           f"{word()} and {word()}", str(rng.randint(0, 99999)), f"{word()} {word()} {word()}", f"{rng.randint(1, 35)}C {word()}", f"{word()} {words.made_up(rng)}, {word()}"))
        return text, f"For {subject}, {job.tool} says: {text}."
    keys = rng.sample(RESULT_KEYS, rng.randint(1, 3))
    if rng.random() < 0.3:
        keys[0] = words.made_up(rng)
    record: Values = {k: rng.choice((rng.randint(-20, 999), word(), words.pick(rng, words.CITIES), round(rng.uniform(0, 99), 1))) for k in keys}
    parts = [f"{k} is {v}" for k, v in record.items()]
    said = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return json.dumps(record, ensure_ascii=False, separators=rng.choice(((", ", ": "), (", ", ": "), (",", ":")))), f"For {subject}, {job.tool} says: {said}."
