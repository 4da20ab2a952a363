"""Word lists of the corpus, and the words kept out of it.

Theory: copying is learned from variety, so real names are mixed with made-up word forms; what is in a
`HELD_*` list appears in no training conversation and is used by `measure.py` alone.

Prohibitions: only tables and pure functions of a given `Chance`; no file, no clock.
"""

# ruff: noqa: E501, SIM905 -- rows of a table, one to a line
# fmt: off
from __future__ import annotations

import re
from random import Random

import facts

FIRST = """Anna Bruno Clara David Elena Felix Greta Henrik Ines Jakob Karin Leo Mira Nils Olga Pavel Quinn Rosa Sven
Tara Ulla Victor Wanda Xenia Yusuf Zoe Amina Boris Chen Dalia Emeka Farid Gwen Hana Igor Julia Kofi Lena Mateo Nadia
Omar Priya Rafael Sofia Tomas Uma Vera Wei Ximena Yara Zack Alice Bob Carol Dan Emma Frank Grace Helen Ivan John Kate
Lucas Maria Noah Oscar Paula Rachel Samuel Theresa Vincent William Sarah Peter Laura James Linda Ahmed Fatima Diego
Ingrid Lars Marta Piotr Kenji Yuki Aisha Jonas Mary Tom""".split()
LAST = """Berg Costa Duarte Eriksen Fischer Garcia Hansen Ito Jensen Kowalski Lopez Moreau Novak Okafor Petrov Quist
Rossi Santos Tanaka Ueda Varga Weber Xu Yilmaz Zhang Adams Brown Clark Davis Evans Ford Green Hill Irwin Jones King
Lewis Miller Nelson Owen Parker Reed Smith Turner Usher Vance Walker Young Khan Singh Patel Nguyen Kim Lee Park Sato
Muller Schmidt Larsen Nilsen Dubois Martin Silva Romano""".split()
CITIES = """Paris Oslo Lagos Lima Rome Berlin Madrid London Tokyo Cairo Delhi Dublin Vienna Prague Athens Lisbon Milan
Munich Zurich Geneva Boston Chicago Denver Seattle Austin Toronto Montreal Sydney Perth Auckland Seoul Beijing Shanghai
Bangkok Hanoi Jakarta Manila Mumbai Karachi Tehran Baghdad Ankara Istanbul Sofia Budapest Warsaw Krakow Riga Vilnius
Tallinn Stockholm Copenhagen Bergen Malmo Hamburg Cologne Lyon Nice Bordeaux Porto Seville Valencia Naples Turin Accra
Dakar Tunis Rabat Luanda Kampala Bogota Santiago Caracas Havana Houston Dallas Miami Atlanta Phoenix Portland Osaka
Kyoto Leeds Glasgow Cardiff Ghent Antwerp Utrecht Basel Graz Split Kyiv Minsk Baku Doha Dubai Muscat""".split()
CITIES += ["New York", "San Francisco", "Los Angeles", "Cape Town", "Buenos Aires", "Hong Kong", "Tel Aviv"]
ITEMS = """apples pears lamps chairs books pencils bottles candles carpets tables shirts shoes hats mugs plates spoons
keyboards screens cables batteries tickets stamps envelopes notebooks bags boxes bricks nails hammers screws tiles
pillows blankets towels clocks watches cameras tripods bicycles helmets tyres tents ropes kettles pans forks
lemons onions carrots potatoes eggs loaves cakes cookies coffees teas umbrellas gloves scarves socks""".split()
TITLES = """planning review budget design launch hiring quarterly weekly sales marketing product strategy safety
training onboarding roadmap research press board team garden music chess book film cooking science history""".split()
GATHERINGS = "meeting workshop call dinner lunch party concert lecture seminar talk class festival conference".split()
MONTHS = """January February March April May June July August September October November December""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
PLACES = ["room 4", "the library", "the main hall", "the blue room", "the office", "the park", "the town hall",
          "the museum", "the station", "the cafe", "room 12", "the garden", "hall B", "the school", "the theatre"]
COMPANIES = "Acme Globex Initech Umbra Nordlys Helio Vectra Solum Kestrel Brightly Oakline Ferro Lumen".split()
COLOURS = "red blue green yellow black white orange purple brown grey pink silver".split()
JOBS = """engineer teacher nurse baker pilot doctor lawyer farmer painter plumber chemist driver cook writer
designer carpenter singer dentist""".split()
THINGS = ["the moon", "a cat", "the sea", "winter", "love", "a train", "dinosaurs", "a robot", "football", "the Romans",
          "gravity", "volcanoes", "bread", "the violin", "whales", "a castle", "black holes", "photosynthesis", "chess",
          "opera", "jazz", "coffee", "glaciers", "bees", "the stars", "trees", "money", "music", "the brain", "history"]

HELD_FIRST = "Astrid Benedikt Chiara Dmitri Eleni Fergus Giulia Hamza Isolde Joaquin Katya Lorcan".split()
HELD_LAST = "Abelard Bjornsson Castellan Drummond Eszterhazy Fontaine Grigoryan Halvorsen Ishikawa Jankovic".split()
HELD_CITIES = "Quito Tampere Nairobi Belgrade Marseille Adelaide Winnipeg Trondheim Kigali Bologna Gdansk Lusaka".split()
HELD_ITEMS = "violins ladders cushions whistles teapots magnets sandals lanterns ribbons compasses".split()
HELD_TITLES = "astronomy pottery logistics archery finance poetry".split()

ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl pr sh sk sl st th tr".split()
VOWELS = "a e i o u a e i o ai ea ee ia io oo ou y".split()
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "k", "d", "nd", "rt", "ck", "sk", "x", "ng", "ll", "th", "v"]
HELD_WORDS = frozenset(w.lower() for w in HELD_FIRST + HELD_LAST + HELD_CITIES + HELD_ITEMS + HELD_TITLES)


# Words of the facts: parts of some names, so that every token the model knows is also copied.
KNOWN = sorted({w for f in facts.FACTS for w in re.findall(r"[a-z]{3,}", " ".join((f.answer, *f.asks)).lower())})


Chance = Random
CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")


def choose(rng: Chance, phrasing: str) -> str:
    """Draw one wording of a phrasing with `(choices|in|brackets)`."""
    while found := CHOICE.search(phrasing):
        phrasing = phrasing[: found.start()] + rng.choice(found[1].split("|")) + phrasing[found.end() :]
    return phrasing


def spelled(rng: Chance) -> str:
    """A word no syllables explain: bare letters, or a known word run together with another."""
    kind = rng.random()
    if kind < 0.4:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 7)))
    if kind < 0.7:
        return rng.choice(KNOWN)
    return rng.choice(KNOWN)[: rng.randint(2, 5)] + rng.choice((rng.choice(KNOWN), rng.choice(ONSETS) + rng.choice(VOWELS)))


def made_up(rng: Chance) -> str:
    """A lower-case word form of one to three syllables, or a `spelled` one; never a held one."""
    while True:
        if rng.random() < 0.3:
            word = spelled(rng)
        else:
            syllables = rng.choice((1, 1, 2, 2, 2, 3))
            word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
        if word not in HELD_WORDS and len(word) > 2:
            return word


def pick(rng: Chance, real: list[str], strange: float = 0.45) -> str:
    """A word of the list or, with probability `strange`, a capitalised made-up one."""
    return made_up(rng).capitalize() if rng.random() < strange else rng.choice(real)


def person(rng: Chance) -> str:
    """One to three names."""
    first = pick(rng, FIRST)
    kind = rng.random()
    if kind < 0.25:
        return first
    if kind < 0.9:
        return f"{first} {pick(rng, LAST)}"
    return f"{first} {pick(rng, FIRST)} {pick(rng, LAST)}"


def city(rng: Chance) -> str:
    """A place name, seldom of two words."""
    name = pick(rng, CITIES)
    return f"{made_up(rng).capitalize()} {name}" if rng.random() < 0.05 else name


def item(rng: Chance) -> str:
    """A thing one orders, sometimes with a colour."""
    name = made_up(rng) if rng.random() < 0.35 else rng.choice(ITEMS)
    return f"{rng.choice(COLOURS)} {name}" if rng.random() < 0.25 else name


def number(rng: Chance, top: int = 999) -> int:
    """A whole number from 1, small ones more often."""
    return rng.randint(1, rng.choice((9, 30, 99, top)))


def code(rng: Chance) -> str:
    """An order or ticket number such as A-1042, 58213 or KX77."""
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 6)))
    letters = "".join(rng.choice("ABCDEFGHKLMNPQRSTVXZ") for _ in range(rng.randint(1, 3)))
    return rng.choice((f"{letters}-{digits}", digits, letters + digits, f"#{digits}"))


def day(rng: Chance) -> str:
    """A date in one of several spellings."""
    d, m = rng.randint(1, 28), rng.randint(1, 12)
    return rng.choice((
        f"{rng.choice(MONTHS)} {d}", f"{d} {rng.choice(MONTHS)}", rng.choice(DAYS),
        f"{rng.randint(2020, 2034)}-{m:02d}-{d:02d}", f"{d} {rng.choice(MONTHS)} {rng.randint(2020, 2034)}",
        f"{rng.choice(DAYS)} {d} {rng.choice(MONTHS)}"))


def email(rng: Chance, name: str) -> str:
    """An address that belongs to the name, or to nobody."""
    parts = [p.lower() for p in name.split()]
    user = rng.choice((".".join(parts), parts[0], parts[0][0] + parts[-1], made_up(rng), f"{parts[0]}{rng.randint(1, 99)}"))
    host = rng.choice((made_up(rng), "mail", "example", "post", rng.choice(COMPANIES).lower()))
    return f"{user}@{host}.{rng.choice(('com', 'org', 'net', 'io', 'no', 'de', 'fr', 'co'))}"
