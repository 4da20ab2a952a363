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

import held
import words
from words import Chance

Values = dict[str, Any]

JSON_SYSTEMS = ("Extract the fields as JSON.", "Reply with JSON only.", "You extract data and answer in JSON.",
                "Return a JSON object that matches the schema.", "You are a parser. Output JSON.", "Answer in JSON.")
ASK_BARE = (*["{text}"] * 12, "Extract the fields: {text}", "Extract the {kind}: {text}", "{text} Return JSON.",
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
        "{name}, {age}, (lives in|living in|based in|from|of|born in|works in|now in|at home in) {city}.",
        "{name} (is|is now|has turned|became|turned|just turned) {age}( years old|) and (lives|works|is living|is based|stays|was born|grew up|studies|has a house) in {city}.",
        "{name}(,| is) (aged|age|now|only|almost) {age}(,| and) (lives in|comes from|moved to|works in|is from|left for|grew up in|belongs to) {city}.",
        "(In|From) {city} (lives|comes|writes|is|we greet) {name}, (who is|aged|now|age) {age}.", "{name}(,| -|;) {age}(,| -|;) {city}(.|)",
        "{name} ({age}) (from|of|in|lives in|writes from) {city}.", "{name}, {age}, (from|of|in|lives in|writes from) {city}.", "{name} from {city} is {age}( years old| now| today|).",
        "My name is {name}(,| and) I am {age}( years old|) and I (live|work|grew up|study) in {city}.", "I am {name}, {age}( years old|), and my home is {city}.",
        "(At|At the age of|Aged|When she was|When he was) {age}, {name} (moved to|left for|came to|settled in|was sent to|lived in|went to) {city}.",
        "I met {name} in {city}(; she is|; he is|, who is|, aged) {age}.", "{city} is (the home|the town|the city|where) of {name}(, {age}|, aged {age}|, who is {age}).",
        "{city} is where {name}(, {age},| aged {age}) (lives|works|was born|comes from).", "{name} (comes from|hails from|is a native of|arrived from) {city} and (turned|became|is) {age}( last week| this year| in May|).",
        "This is {name}. (He|She) is {age}( years old|). (His|Her) (home|city|town) is {city}.", "(Our guest|A friend|My neighbour|The author|The teacher|A student) {name}, {age}, (lives in|comes from|is from|travels to|is in) {city}.",
        "(A|The) {age}( |-)year( |-)old (from|in) {city} (named|called|is) {name}.", "{age} year old {name} (grew up|lives|was seen|works|was born) in {city}.", "{age}-year-old {name} (lives|works|was born) in {city}.",
        "{name} | {age} | {city}", "Name: {name}(,|;|.) age: {age}(,|;|.) city: {city}", "(City|Place|Town): {city}(,|;) (name|person): {name}(,|;) age: {age}",
        "{name} (was born|lived|has lived|was raised) in {city} {age} years ago.", "We (spoke with|heard from|visited|know|saw|thank) {name} (from|of|in) {city}, (who is {age}|aged {age}|{age} years old).",
        "I'm {name} from {city}, {age}.", "{name}, (who|a person who) is {age}, (lives|works|is|was born) in {city}.", "{name}, (living|working|born|resident) in {city}, is {age}( years old|).",
        "{name} (has lived|has worked|has been) in {city} for years and is {age}.", "(Here is|There is|Let me present|Say hello to) {name}(:|,) {age}, {city}.", "{city}(:|,) {name}(,| is) {age}.")),
    (("person", "details", "employee"), ("name", "age", "job"), (
        "{name} is a {age} year old {job}.", "{name}, {age}, works as a {job}.", "The {job} {name} is {age}.",
        "At the age of {age}, {name} became a {job}.", "{name} ({age}), {job}.")),
    (("person", "employee", "contact"), ("name", "job", "company"), (
        "{name} works as a {job} at {company}.", "{name} is a {job} for {company}.", "{company} hired {name} as a {job}.",
        "{name}, {job}, {company}", "The {job} at {company} is {name}.")),
    (("order", "order details", "purchase"), ("item", "quantity"), (
        "(I|We|They) (would like|want|need|order|ordered|bought|require|take|must have|will have|asked for) {quantity} {item}( by Friday| today| please| as soon as possible| again| now|).",
        "(Please|Kindly|Could you|Can you|You may|You should) (send|bring|ship|pack|order|get|give|prepare) (me|us|him|them) {quantity} {item}(.|, please.|?)",
        "(Order|Purchase|Request|New order|Wanted)(:| -) {quantity}( x|) {item}", "(Can I|May I|Could I|Can we|Could we) (get|have|order|take|buy|see) {quantity} {item}( from the shop| tomorrow|)?",
        "{quantity} {item}(, please.|, thank you.| for me.| for the shop.|.| are needed.| were sold.| have arrived.|)", "(I|We) (want|would like|have|wish|plan|need) to (order|buy|get|have|purchase) {quantity} {item}.",
        "(He|She|The customer|Our client|My boss|The school|A neighbour) (bought|ordered|wants|needs|took|asked me for|paid for) {quantity} {item}( yesterday| last week| today| at once|).",
        "Add {quantity} {item} to (my|the|our) (basket|cart|order|list).", "(Send|Ship|Deliver|Give me|Pack) {quantity} of (the|your|those|these) {item}.", "I('ll|'d| will) (take|like|have|buy) {quantity} {item}.",
        "{item}(:| -| x|,) {quantity}", "(Item|Product|Article)(:|) {item}(,|;) (quantity|count|amount|number)(:|) {quantity}", "(Quantity|Count|Amount)(:|) {quantity}(,|;) (item|product)(:|) {item}",
        "Put (me|us) down for {quantity} {item}.", "We (are out of|have no more|ran low on|sold all|lack|miss) {item}(, get| and want|: please send|; order|, so order) {quantity}( more| of them|).",
        "For the (party|office|shop|school|kitchen) (we need|get|order|I want|please bring) {quantity} {item}.", "(The|This) (order|basket|parcel|invoice|list) (has|holds|is for|contains|says) {quantity} {item}.",
        "How much (are|would be|do you ask for) {quantity} {item}?", "(I am looking for|I am interested in|Our offer is|The bill is for|He came for) {quantity} {item}.", "Of the {item} (we want|send|I need|they took) {quantity}.")),
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
        "(The|Our|This|A|Your|My) {title} (is|will be|takes place|starts|was|happens|is planned|is held) (on {date} (in|at) {place}|(in|at) {place} on {date}).",
        "{title} (on {date} (at|in) {place}|(at|in) {place} on {date})(.|)", "(Join|Meet|See|Visit) us (for|at) the {title} (in {place} on {date}|on {date} in {place}|at {place} on {date}|on {date} at {place}).",
        "On {date} (we|they|you|I) (hold|have|give|start|run|attend|open) (the|a|our) {title} (in|at) {place}.", "(In|At) {place} (we|they|you) (hold|have|start|run|plan) (the|a|our) {title} on {date}.",
        "{title}(,| -|;) {date}(,| -|;) {place}(.|)", "{title}(,| -|;) {place}(,| -|;) {date}(.|)", "{date}(,|:| -) {title}(,| in| at| -) {place}(.|)", "{place}(,|:) {date}(,|:) {title}(.|)", "{date}(,|:) {place}(,|:) {title}(.|)",
        "(Reminder|Note|News|Invitation|Update|Coming soon|Do not forget)(:| -) (the |our |){title} (takes place|is|starts|will be) (on {date} (in|at) {place}|(in|at) {place} on {date}).",
        "(Reminder|Note|News|Invitation|Update|Coming soon|Do not forget)(:| -) (the |our |){title}(, |; |: )({date}, {place}|{place}, {date}|{date} at {place}|{date} in {place}).",
        "Let us meet (in {place} on {date}|on {date} in {place}|at {place} on {date}) for (the|a|our) {title}.", "We meet (in {place} on {date}|on {date} in {place}|at {place} on {date}) for (the|a|our) {title}.",
        "(The|Our) {title} (in|at) {place} (was moved to|is now on|will be on|starts on|has been set for|falls on) {date}.", "(The|Our) {title} (of|on) {date} (was moved to|is now in|will be in|happens at|has been moved to) {place}.",
        "(Please come|Come|You are welcome|We invite you|Do come) to the {title} (on {date}, {place}|on {date} in {place}|in {place} on {date}|at {place}, {date}|at {place} on {date}).",
        "{place} (hosts|holds|is the place of|has|sees|gets|expects) (the|a|our|its) {title} on {date}.", "On {date} {place} (hosts|holds|has|sees|expects) (the|a|our) {title}.",
        "(I|We) (will be|am|are) (in|at) {place} on {date} for the {title}.", "(Are you coming|Will you come|Can you make it) to the {title} (on {date} in {place}|in {place} on {date}|at {place} on {date})?",
        "(Event|Title|What): {title}(,|;) (date|when|day): {date}(,|;) (place|where|venue): {place}", "The (date|day) of the {title} (in|at) {place} is {date}.", "The (place|venue) of the {title} on {date} is {place}.",
        "(There is|There will be|I organise|We planned) (a|the) {title} (in|at) {place} on {date}.", "(Tickets|Seats|Places) for the {title} (in|at) {place} on {date}.")),
    (("event", "meeting", "appointment"), ("title", "date", "time"), (
        "The {title} is on {date} at {time}.", "{title} at {time} on {date}.", "On {date} at {time}: {title}.",
        "{title} starts at {time} on {date}.", "See you at the {title} on {date} at {time}.")),
    (("meeting", "appointment"), ("name", "date", "place"), (
        "Meet {name} on {date} in {place}.", "I have a meeting with {name} in {place} on {date}.", "{name} comes to {place} on {date}.",
        "On {date} I see {name} at {place}.")),
    (("contact", "contact details"), ("name", "email"), (
        "{name} (can be reached at|is reached at|reads mail at|has the address|uses|writes from|uses the email|is at|can be found at) {email}.",
        "(Write|Send mail|Send it|Send a note|Please write|Reply|Forward this|Talk) to {name}( at |, |: | under | via ){email}.", "(Contact|Person|Sender|Author|Manager|Owner)(:| -|) {name}(,|;| -|:) {email}", "{name} <{email}>", "{name} ({email})",
        "My name is {name} and my (email|mail|address|email address) is {email}.", "(Send|Mail|Forward) it to {email}, that is {name}.", "The (address|email|mail address|email address) of {name} is {email}.",
        "(Please|Kindly|Do|You can) (mail|write to|ask|contact|inform|invite) {name} ({email}).", "{email} (belongs to|is the address of|is for|reaches|goes to|is used by|leads to) {name}.",
        "(Ask|Contact|Mail|Inform|Tell|Invite) {name} (at|on|via|through|with) {email}( for help| about it| today|).", "I am {name}, {email}.", "I'm {name}(,| and you can write to| - mail me at| and I read) {email}.",
        "(Name|Contact|Person): {name}(,|;) (email|mail|address): {email}", "(Email|Mail|Address): {email}(,|;) (name|person|for): {name}", "{email}(,|:| -) {name}", "{name}(,|:| -) {email}",
        "(Here is|This is|Note) the (address|email|mail) of {name}(:|,) {email}.", "If you (have questions|need help|want to know more), (ask|write to|contact|mail) {name}(,| at| under) {email}.",
        "{name} (has a new address|changed the email|can help you|will help|is in charge|wrote to us|asked us to write)(:|, see|; use|, that is) {email}.", "Mail from {email}, (signed|written by|sent by|yours) {name}.",
        "(The manager|My colleague|Our director|The doctor) {name} (has|uses|reads|answers from) {email}.", "(Use|Take|Try|Note) {email} (for|to write to|to get|when you need|if you look for) {name}.")),
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

CLAIMED = (("name", "age", "city"), ("item", "quantity"), ("title", "date", "place"), ("name", "email"))  # kinds that have to be right
BEFORE = ("Good news today. ", "As you asked: ", "Hello! ", "Good morning. ", "By the way, ", "Please note: ", "Today: ", "Dear all, ", "Well, ", "Once more: ", "From the list: ", "As I said, ", "One line from my notes: ", "Hello all, ", "Note: ", "FYI. ", "Dear team, ", "Here is the update. ", "Hi. ")
AFTER = (" Thanks.", " Thank you!", " Please answer soon.", " More will follow.", " We look forward to it.", " Do not be late.", " Sorry for the trouble.", " This is all I know.", " See you soon.", " That is all.", " Let me know.", " Best wishes.", " Have a nice day.", " It is urgent.")


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


def sentence_of(rng: Chance, forms: tuple[str, ...]) -> str:
    """One wording of one of the forms, never a held one."""
    while (form := words.choose(rng, rng.choice(forms))) in held.FORMS:
        pass
    return form


def extract(rng: Chance) -> tuple[str, Values]:
    """A request to extract fields, and the record that answers it."""
    if rng.random() < 0.1:
        return paired(rng)
    names, fields, forms = rng.choice(KINDS if rng.random() < 0.25 else [k for k in KINDS if k[1] in CLAIMED])
    who = words.person(rng)
    values = {f: value(rng, f, who) for f in fields}
    if values.get("from") is not None and values["from"] == values["to"]:
        values["to"] = words.made_up(rng).capitalize()
    form = sentence_of(rng, forms)
    text = form.format(**values)
    if rng.random() < 0.12:
        text = rng.choice(BEFORE) + text
    if rng.random() < 0.12:
        text += rng.choice(AFTER)
    asked = [f for f in fields if "{" + f + "}" in form]
    shape = rng.random()
    if shape < 0.15:
        asked = rng.sample(asked, rng.randint(1, len(asked)))
    elif shape < 0.25:
        rng.shuffle(asked)
    record: Values = {}
    for f in asked:
        key = rng.choice(NAMES[f]) if rng.random() < 0.3 else NAMES[f][0]
        record[key if key not in record else f] = values[f]
    frame = rng.choice(ASK_FIELDS if rng.random() < 0.15 else ASK_BARE)
    return frame.format(kind=rng.choice(names), fields=listed(rng, list(record)), text=text), record


@dataclass(frozen=True)
class Offer:
    """A tool as a catalogue offers it, and a draw of what a user asks and the arguments that answer it."""

    schema: dict[str, Any]
    ask: Callable[[Chance], tuple[str, Values]]
    family: Family | None = None

    @property
    def name(self) -> str:
        return str(self.schema["function"]["name"])


@dataclass(frozen=True)
class Job:
    """A tool to call: what the user asks, and the right call."""

    ask: str
    tool: str
    arguments: Values


@dataclass(frozen=True)
class Family:
    """Tools that do the same: their names, descriptions, argument names by meaning, and ways to ask."""

    tools: tuple[str, ...]
    about: tuple[str, ...]
    arguments: dict[str, tuple[str, ...]]
    asks: tuple[str, ...]


CITY = ("city", "city", "city", "location", "place", "town", "where")
FAMILIES: tuple[Family, ...] = (
    Family(("get_weather", "get_weather", "get_weather", "weather", "(get|fetch|check|find|show|current)_(weather|forecast|city_weather|conditions)", "weather_(lookup|now|info|service|report|for_city|api)", "forecast", "getWeather"),
           ("Get the weather for a city", "(The |)(current |present |)weather (in|of|for|at) a (place|city|town)", "(Tells|Returns|Gets|Shows) the (weather|forecast|weather now)( of a city| in a place|)", "Weather for a city.", "Returns the weather", "Look up the weather", "Get the current weather of a city"),
           {"city": CITY},
           ("What is the weather in {city}?", "What's the weather like in {city}?", "How is the weather in {city}?", "Weather in {city}?", "Is it raining in {city}?",
            "Will it rain in {city} today?", "How warm is it in {city}?", "Tell me the weather in {city}.", "Is it cold in {city} right now?", "What is the temperature in {city}?",
            "Do I need an umbrella in {city}?", "Give me the weather for {city}.", "I am going to {city}, how is the weather there?", "Is it sunny in {city}?", "What is the forecast for {city}?",
            "Check the weather in {city}, please.", "(Can you|Could you|Please|Would you) (check|tell me|find out|look up|show me|get) (the weather|the forecast|the temperature|how warm it is|whether it rains) (in|for) {city}(.|?)", "(I want|I need|I would like|I wish) (to know |to see |)(the weather|the temperature|the forecast|if it rains) (in|for) {city}.", "(How|What) (is it|will it be|does it look) (outside |like |)in {city}( today| tomorrow| now|)?", "(Do I need|Should I take|Shall I bring) (a coat|a jacket|an umbrella|boots) (in|for) {city}?", "(Is|Will) (there|it be) (snow|wind|sun|fog|storms|sunny|rainy) in {city}( today| tomorrow|)?", "What is the weather in {city} today?", "How hot is {city} today?", "weather {city}")),
    Family(("get_time", "current_time", "time_in", "(get|fetch|check|city|find|show)_(local_time|time|clock|hour)", "clock", "getTime", "world_(time|clock)", "time_(lookup|now|in_city|service)"),
           ("Get the time in a city", "(The |)(local |current |)time (of|at|in|for) a (place|town|city)", "(Tells|Returns|Shows) the (time|hour|local time)( in a city|)", "Current time in a city.", "Returns the local time"), {"city": (*CITY, "timezone", "zone")},
           ("What time is it in {city}?", "What is the time in {city}?", "Tell me the time in {city}.", "Local time in {city}?", "How late is it in {city}?",
            "What is the local time in {city}?", "time in {city}", "Which hour is it in {city} now?", "(Can you|Could you|Please|Would you) (tell me|say|check|look up|find out) (the time|the local time|the hour|how late it is) in {city}(.|?)", "(I want|I need|I would like) (to know |)(the time|the local time|the hour) in {city}.", "(What|Which) (hour|clock time|time) (do they have|do people have|have they|is it now) in {city}?", "(How late|What time) is it (now |right now |)in {city}( now|)?", "(Is it|Is it already) (night|morning|evening|noon|late) in {city}?")),
    Family(("add", "sum", "(add|sum|plus)_(numbers|up|pair|integers|values)", "plus", "addition"), ("(Add|Sum|Adds|Sums) (two numbers|numbers|a and b|two values)(.|)", "(The s|S)um of two (numbers|values)(.|)"),
           {"n": ("a", "x", "first", "left"), "m": ("b", "y", "second", "right")},
           ("What is {n} plus {m}?", "Add {n} and {m}.", "What is the sum of {n} and {m}?", "How much is {n} and {m} together?", "Sum {n} and {m}.", "(Can you|Please|Could you) (add|sum up|add up|sum) {n} (and|to|with) {m}(.|?)", "Add {m} to {n}, the first number is {n}.", "What (is|are|do|makes|make) {n} and {m} (together|in sum|make|added)?", "(Tell me|Give me|I need) the sum of {n} and {m}.")),
    Family(("multiply", "times", "product", "mul", "multiply_(numbers|two|pair|values)"), ("Multiply two numbers", "Product of two numbers."),
           {"n": ("a", "x", "first", "left"), "m": ("b", "y", "second", "right")},
           ("What is {n} times {m}?", "Multiply {n} by {m}.", "What is the product of {n} and {m}?", "{n} x {m}", "How much is {n} times {m}?", "(Please|Can you) multiply {n} (by|with|and) {m}(.|?)")),
    Family(("calculator", "calculate", "calc", "evaluate", "math"), ("Evaluate an arithmetic expression", "A calculator", "Calculate an expression."),
           {"expression": ("expression", "expression", "expr", "input", "formula")},
           ("What is {expression}?", "Calculate {expression}.", "Compute {expression}.", "How much is {expression}?", "Evaluate {expression}.", "{expression}", "Work out {expression}.")),
    Family(("search", "web_search", "(search|query|scan)_(web|docs|documents|notes|wiki|library|index|text|files|articles)", "(doc|wiki|text|site|library|article|full_text)_search", "find", "google", "query"),
           ("Search the web", "(Search|Searches|Query|Look in) (the |our |)(documents|wiki|notes|library|files|articles|index|manuals|archive)", "Search for a (text|topic|word)", "Look up a topic.", "Full text search", "Search the documents"), {"topic": ("query", "query", "query", "q", "text", "topic", "term")},
           ("Search for {topic}.", "Look up {topic}.", "Find information about {topic}.", "Search the web for {topic}.", "Can you look up {topic}?", "Find {topic}.",
            "Please search {topic}.", "Google {topic}.", "(Please|Can you|Could you|I want you to|You should|Kindly) (search|look|google|search the web|do a search) for {topic}(.|?)", "(Search|Look|Query) (the documents|the notes|the wiki|our files|everything) for {topic}.", "I (want|need|would like) (to find|information about|to read about|articles on) {topic}.", "(Is there|Do we have|Have we got) anything (about|on) {topic}?", "What can you find about {topic}?", "Do a search for {topic}.")),
    Family(("get_stock_price", "stock_price", "quote", "stock", "share_price"), ("Price of a share", "Get the stock price of a company", "Stock quote by symbol."),
           {"symbol": ("symbol", "symbol", "ticker", "stock", "company")},
           ("What is the stock price of {symbol}?", "How much is {symbol} stock?", "Price of {symbol} shares?", "What does a share of {symbol} cost?", "Get the quote for {symbol}.",
            "How is {symbol} doing on the market?", "Stock price of {symbol}", "What is {symbol} trading at?")),
    Family(("order_status", "(get|check|track|find|lookup|fetch)_(order|order_status|parcel|shipment|delivery|package)", "orderStatus", "(shipment|delivery|package|order)_(state|info|tracker|lookup)"),
           ("(The s|S)tatus of an order", "Look up an order by (its|the) (number|id)", "(Track|Find|Check) an order( by id|)(.|)", "(Tells|Shows|Returns) (where an order is|the state of an order|the status of a parcel)"), {"code": ("order_id", "order_id", "id", "order", "number", "orderId")},
           ("Where is my order {code}?", "What is the status of order {code}?", "Has order {code} been shipped?", "Track order {code}.", "Check order {code} please.", "When does order {code} arrive?",
            "Status of {code}?", "I am waiting for order {code}.", "Look up order {code}.", "(Where is|What about|How is|What happened to|What became of) (order|my order|the order|parcel|my parcel) {code}?", "(Please|Can you|Could you) (check|track|find|look up|tell me about) (order|the order|my order|parcel) {code}(.|?)", "(Is there|Do you have|I want|I need) (an update on|the state of|something new on|the status of) (order|my order) {code}(.|?)")),
    Family(("get_user", "(find|lookup|get|search|show|fetch)_(user|customer|contact|person|client|member)", "(user|customer|contact|client|people|member)_(info|search|finder|details|by_name)"), ("(Look up|Find|Get|Search|Show) a (person|user|customer|contact|client|member)( by name|)(.|)", "(Details|Record|Account) of a (person|customer|user)"),
           {"name": ("name", "name", "user", "customer", "person")},
           ("Who is the user {name}?", "Find the user {name}.", "Look up the customer {name}.", "Get the account of {name}.", "Show me the contact {name}.", "What do we know about the customer {name}?", "(Please|Can you|Could you|Kindly) (find|get|show|look up|search|give me) (the customer |the user |the client |the person |customer |){name}(.|?)", "(Who is|Find|Get|Show|Look up|Open the record of) (the client |the member |customer |user |){name}(.|)", "(Do we have|Is there|Do you know) (a customer|a user|a client|someone) (called|named) {name}?")),
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


def strange_name(rng: Chance) -> tuple[str, str]:
    """A made-up verb and noun, and the tool's name made of them."""
    verb, noun = rng.choice((words.made_up(rng), "get", "find", "set", "check", "run")), words.made_up(rng)
    return f"{verb} {noun}", rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", noun))


def strange(rng: Chance) -> Offer:
    """A tool that has to be found by its name alone."""
    said, name = strange_name(rng)
    argument = rng.choice((words.made_up(rng), "id", "name", "value", "key"))

    def ask(rng: Chance) -> tuple[str, Values]:
        given = rng.choice((words.made_up(rng), words.person(rng), words.code(rng)))
        forms = (f"{said.capitalize()} {given}.", f"Please {said} {given}.", f"Use {name} with {given}.", f"Call {name} for {given}.", f"Can you {said} for {given}?")
        return rng.choice(forms), {argument: given}

    return Offer(schema(name, rng.choice((None, said.capitalize(), f"Will {said}")), [argument]), ask)


def offered(rng: Chance, family: Family) -> Offer:
    """A family's tool under one of its names."""
    named = {meaning: rng.choice(names) for meaning, names in family.arguments.items()}
    while (about := words.choose(rng, rng.choice(family.about))) in held.ABOUTS:
        pass
    made = rng.random() < 0.15
    while (name := strange_name(rng)[1] if made else words.choose(rng, rng.choice(family.tools))) in held.NAMES:
        pass
    arguments = list(named.values())
    if rng.random() < 0.1:
        arguments.append(rng.choice(("unit", "lang", "limit", "format", "verbose")))

    def ask(rng: Chance) -> tuple[str, Values]:
        values = fill(rng, family)
        while (form := words.choose(rng, rng.choice(family.asks))) in held.ASKS:
            pass
        return form.format(**values), {named[m]: v for m, v in values.items()}

    return Offer(schema(name, about if made or rng.random() < 0.85 else None, arguments), ask, family)


def catalogue(rng: Chance, counts: tuple[int, ...] = (1, 1, 1, 2, 2, 3, 4, 5, 6, 6)) -> list[Offer]:
    """Tools of a request, no two of one name. Weather comes oftenest."""
    count = rng.choice(counts)
    families = rng.sample(FAMILIES, count)
    if FAMILIES[0] not in families and rng.random() < 0.25:
        families[0] = FAMILIES[0]
    offers = [strange(rng) if rng.random() < 0.15 else offered(rng, f) for f in families]
    rng.shuffle(offers)
    return list({o.name: o for o in offers}.values())


def fill(rng: Chance, family: Family) -> Values:
    """Values for a family's meanings."""
    who = words.person(rng)
    topic = rng.choice((words.made_up(rng), f"{rng.choice(words.TITLES)} {rng.choice(words.GATHERINGS)}", rng.choice(words.ITEMS),
                        f"{words.made_up(rng)} {rng.choice(words.ITEMS)}", f"the {words.made_up(rng)}", f"{rng.choice(words.TITLES)} {rng.choice(words.ITEMS)}"))
    n, m = words.number(rng), words.number(rng)
    expression = f"{n} {rng.choice('+-*/')} {m}" if rng.random() < 0.8 else f"({n} + {m}) * {rng.randint(2, 9)}"
    symbol = "".join(rng.choice("ABCDEFGHIKLMNOPRSTVXZ") for _ in range(rng.randint(2, 4))) if rng.random() < 0.5 else words.pick(rng, words.COMPANIES)
    pool: Values = {"city": words.city(rng), "n": n, "m": m, "expression": expression, "topic": topic, "symbol": symbol,
                    "code": words.code(rng), "name": who, "email": words.email(rng, who), "from": words.city(rng), "to": words.city(rng),
                    "date": words.day(rng), "money": rng.choice(CURRENCY), "other": rng.choice(CURRENCY)}
    return {meaning: pool[meaning] for meaning in family.arguments}


def job(rng: Chance, offers: list[Offer]) -> Job:
    """A request that one of the tools fits."""
    offer = rng.choice(offers)
    ask, arguments = offer.ask(rng)
    return Job(ask, offer.name, arguments)


def job_anyway(rng: Chance, ask: str) -> tuple[Job, list[Offer]]:
    """A call of the one tool there is, with what the user said as its argument."""
    offer = offered(rng, rng.choice([f for f in FAMILIES if len(f.arguments) == 1]))
    return Job(ask, offer.name, {next(iter(offer.schema["function"]["parameters"]["properties"])): ask}), [offer]


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
