"""What a call costs: the price of a provider's model at a moment, from a dated list, or None.

The list is a file that `pricelist` makes from the `genai-prices` package, once for each version of it, in a
process of its own. A server starts with whatever list the state folder has; without one, prices are unknown
until it is made (about a second), and unknown is None, never 0. What the operator's configuration says of
a model comes before any list; models on the user's own machines cost nothing, and say so (`LOCAL`).

A model is found as the package finds it: the provider's models in order, the first whose clause matches,
then those of the providers it falls back to, then the same with a compact date in the name written out.
The price is the last whose condition holds at that moment, a date it begins at or a part of the UTC day;
then, part by part, what a matching variant (a service tier) says instead.

Not here: arithmetic on money (`money`), any clock (moments are arguments), the network.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from .faults import Fault
from .money import Price, rate

FORMAT = 1
PACKAGE = "genai-prices"
LIST_NAME = "prices-{version}-{format}.msgpack"
COMPILE_SECONDS_MAX = 60
REMEMBERED_MAX = 4096
DAY_MS = 86_400_000
FOREVER_MS = 2**62

LOCAL = Price(id="local", source="runs on this machine", input=0, output=0)

Kind: TypeAlias = Literal["=", "^", "$", "*", "~", "|", "&"]
Context: TypeAlias = tuple[
    tuple[str, str], ...
]  # ("service_tier", "flex"): what a call asked for that is priced apart


class Clause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which model names are meant: = equal, ^ start, $ end, * contain, ~ expression, | any of, & all of."""

    kind: Kind
    text: str
    parts: "tuple[Clause, ...]" = ()


class Rates(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Femto-dollars a token; `request` femto-dollars a call. Holds where the input is over `above_tokens`."""

    above_tokens: int = 0
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    request: int | None = None


class ListedPrice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One price and its condition: from `start_ms` on, in a part of the day, under `when` (a variant).

    `rates` None: the provider bills by something that a count of tokens does not tell.
    """

    rates: tuple[Rates, ...] | None
    start_ms: int | None = None
    day_ms: tuple[int, int] | None = None
    when: Context = ()


class ListedModel(msgspec.Struct, frozen=True, array_like=True, gc=False):
    id: str
    match: Clause
    prices: tuple[ListedPrice, ...]
    name: str | None = None
    context_tokens: int | None = None
    deprecated: bool = False


class ListedProvider(msgspec.Struct, frozen=True, array_like=True, gc=False):
    fallback: tuple[str, ...]
    models: tuple[ListedModel, ...]


class PriceList(msgspec.Struct, frozen=True):
    """A whole list. `newest_ms`: the latest day that a price in it began, so it is no older than that."""

    format: int
    package: str
    version: str
    newest_ms: int
    providers: dict[str, msgspec.Raw]


EMPTY = PriceList(FORMAT, PACKAGE, "", 0, {})


class PriceBook:
    """Looks prices up. Remembers what it found; another list or configuration is another book."""

    __slots__ = ("_list", "_names", "_overrides", "_providers", "_remembered")

    def __init__(self, prices: PriceList = EMPTY, overrides: Mapping[str, Price] | None = None) -> None:
        self._list = prices
        self._overrides = dict(overrides or {})
        self._providers: dict[str, ListedProvider | None] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._remembered: dict[tuple[str, str, Context], tuple[int, int, Price | None]] = {}

    @classmethod
    def load(cls, state: str | Path, overrides: Mapping[str, Price] | None = None) -> "PriceBook":
        """From the newest list in the folder that can be read; with none, the book knows nothing."""
        paths = Path(state).glob(LIST_NAME.format(version="*", format=FORMAT))
        for path in sorted(paths, key=lambda p: (p.name != current_list(state).name, -p.stat().st_mtime_ns)):
            try:
                return cls(msgspec.msgpack.decode(path.read_bytes(), type=PriceList), overrides)
            except (OSError, msgspec.DecodeError):
                continue
        return cls(EMPTY, overrides)

    @property
    def version(self) -> str:
        """The package version the list was made from; "" for none."""
        return self._list.version

    @property
    def newest_ms(self) -> int:
        """Unix milliseconds: the list is no older than this."""
        return self._list.newest_ms

    def find(self, provider: str, model: str, at_ms: int, context: Context = ()) -> Price | None:
        """The price at a moment, None: not known. `provider` is its id in the price data. 0.3 us warm."""
        known = self._remembered.get((provider, model, context))
        if known is not None and known[0] <= at_ms < known[1]:
            return known[2]
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()  # names come from callers, who can make up any number
        own = self._overrides.get(f"{provider}/{model}")
        found = (0, FOREVER_MS, own) if own is not None else self._look(provider, model, at_ms, context)
        self._remembered[provider, model, context] = found
        return found[2]

    def model(self, provider: str, model: str) -> ListedModel | None:
        """What the list says of a model: its context, and whether it is being retired."""
        found = self._model(provider, model)
        return None if found is None else found[1]

    def serves(self, provider: str, model: str) -> bool:
        """Whether the provider itself is listed with a model of this name."""
        row = self._provider(provider)
        return row is not None and _first(row.models, model.lower()) is not None

    def names(self, provider: str) -> frozenset[str]:
        """The ids of the models a provider is listed with, less those that are no names (a family's, say)."""
        known = self._names.get(provider)
        if known is None:
            row = self._provider(provider)
            models = row.models if row is not None else ()
            known = frozenset(m.id for m in models if matches(m.match, m.id.lower()))
            self._names[provider] = known
        return known

    def _look(self, provider: str, model: str, at_ms: int, context: Context) -> tuple[int, int, Price | None]:
        found = self._model(provider, model)
        if found is None:
            return 0, FOREVER_MS, None
        owner, row = found
        standard = [p for p in row.prices if not p.when]
        price = next((p for p in reversed(standard) if _holds(p, at_ms)), standard[0] if standard else None)
        # a variant is the provider's own: one that only resells the model has its own terms
        matching = [
            p
            for p in row.prices
            if p.when and owner == provider and _matches(p, context) and _holds(p, at_ms)
        ]
        since, until = _bounds(row.prices, at_ms)
        if price is None or price.rates is None or any(p.rates is None for p in matching):
            return since, until, None
        rates = price.rates
        for variant in reversed(matching):
            rates = _overlaid(rates, variant.rates or ())
        name = f"{self._list.package}:{self._list.version}/{owner}/{row.id}{_condition(price, matching)}"
        return since, until, _price(name, f"{self._list.package} {self._list.version}", rates)

    def _provider(self, name: str) -> ListedProvider | None:
        if name in self._providers:
            return self._providers[name]
        raw = self._list.providers.get(name)
        row = None if raw is None else msgspec.msgpack.decode(raw, type=ListedProvider)
        if row is not None:
            self._providers[name] = row
        return row

    def _model(self, provider: str, model: str) -> tuple[str, ListedModel] | None:
        """(the provider in whose list it stands, the model)."""
        row = self._provider(provider)
        if row is None:
            return None
        lists = [(provider, row)]
        lists += [(name, other) for name in row.fallback if (other := self._provider(name)) is not None]
        name = model.lower()
        for text in dict.fromkeys((name, _dated(name))):
            for owner, models in lists:
                found = _first(models.models, text)
                if found is not None:
                    return owner, found
        return None


# --- finding -----------------------------------------------------------------------------------------


def matches(clause: Clause, name: str) -> bool:
    """Whether a clause means a model's name, which is in lower case."""
    match clause.kind:
        case "=":
            return name == clause.text
        case "^":
            return name.startswith(clause.text)
        case "$":
            return name.endswith(clause.text)
        case "*":
            return clause.text in name
        case "~":
            return re.search(clause.text, name) is not None
        case "|":
            return any(matches(part, name) for part in clause.parts)
        case "&":
            return all(matches(part, name) for part in clause.parts)


def _first(models: tuple[ListedModel, ...], name: str) -> ListedModel | None:
    return next((m for m in models if matches(m.match, name)), None)


_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")


def _dated(name: str) -> str:
    """claude-x-20251211 -> claude-x-2025-12-11."""
    return _COMPACT_DATE.sub(r"-\1-\2-\3", name)


def _holds(price: ListedPrice, at_ms: int) -> bool:
    if price.start_ms is not None and at_ms < price.start_ms:
        return False
    if price.day_ms is None:
        return True
    start, end = price.day_ms
    now = at_ms % DAY_MS
    return start <= now < end if start <= end else now >= start or now < end


def _matches(price: ListedPrice, context: Context) -> bool:
    return set(price.when) <= set(context)


def _bounds(prices: tuple[ListedPrice, ...], at_ms: int) -> tuple[int, int]:
    """From when and until when no condition of these changes."""
    midnight = at_ms - at_ms % DAY_MS
    turns = [p.start_ms for p in prices if p.start_ms is not None]
    for price in prices:
        if price.day_ms is not None:
            turns += [midnight, midnight + DAY_MS, *(midnight + part for part in price.day_ms)]
    before = [t for t in turns if t <= at_ms]
    after = [t for t in turns if t > at_ms]
    return max(before, default=0), min(after, default=FOREVER_MS)


def _overlaid(base: tuple[Rates, ...], over: tuple[Rates, ...]) -> tuple[Rates, ...]:
    """Each part of `over` that is said takes the place of `base`'s, tier by tier."""
    tiers = []
    for start in sorted({r.above_tokens for r in (*base, *over)}):
        tier = _tier(base, start)
        said = {f: v for f, v in msgspec.structs.asdict(_tier(over, start)).items() if v is not None}
        tiers.append(msgspec.structs.replace(tier, **said | {"above_tokens": start}))
    return tuple(tiers)


def _tier(rates: tuple[Rates, ...], start: int) -> Rates:
    return [r for r in rates if r.above_tokens <= start][-1]


def _condition(price: ListedPrice, variants: list[ListedPrice]) -> str:
    """How an id tells a model's prices apart: @ the day it began or its hours, # a variant's terms."""
    text = ""
    if price.start_ms is not None:
        text += f"@{_day(price.start_ms)}"
    if price.day_ms is not None:
        text += "@{}-{}Z".format(*(f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}" for ms in price.day_ms))
    for variant in variants:
        text += "#" + ",".join(f"{k}={v}" for k, v in variant.when)
        text += f"@{_day(variant.start_ms)}" if variant.start_ms is not None else ""
    return text


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).date().isoformat()


def _price(name: str, source: str, rates: tuple[Rates, ...]) -> Price | None:
    price: Price | None = None
    above: int | None = None
    for tier in reversed(rates):
        parts = msgspec.structs.asdict(tier)
        start = parts.pop("above_tokens")
        parts["request"] = parts["request"] or 0
        price = Price(id=name, source=source, **parts, above_tokens=above, above=price)
        above = start
    return price


def configured(
    name: str,
    *,
    input_usd_per_mtok: str | int | float | None,
    output_usd_per_mtok: str | int | float | None,
    cache_read_usd_per_mtok: str | int | float | None = None,
    cache_write_usd_per_mtok: str | int | float | None = None,
) -> Price:
    """A price as the operator wrote it for `provider/model`. Raises ValueError for what is no price."""
    said = (input_usd_per_mtok, output_usd_per_mtok, cache_read_usd_per_mtok, cache_write_usd_per_mtok)
    rates = [None if usd is None else rate(usd) for usd in said]
    return Price(
        id=f"config:{name}",
        source="configuration",
        input=rates[0],
        output=rates[1],
        cache_read=rates[2],
        cache_write=rates[3],
    )


# --- making the list ---------------------------------------------------------------------------------


def package_version() -> str:
    """Of the installed package, by the name of its folder of metadata: importlib.metadata takes 60 ms."""
    spec = find_spec("genai_prices")
    if spec is None or spec.origin is None:
        return ""
    site = Path(spec.origin).parent.parent
    names = sorted(site.glob("genai_prices-*.dist-info"))
    return names[-1].name.removeprefix("genai_prices-").removesuffix(".dist-info") if names else ""


def list_path(state: str | Path, version: str) -> Path:
    return Path(state) / LIST_NAME.format(version=version, format=FORMAT)


def current_list(state: str | Path) -> Path:
    """Where the list of the installed package is, or will be."""
    return list_path(state, package_version())


def start_compiling(state: str | Path) -> "subprocess.Popen[bytes] | None":
    """Begin to make the list, in another process; None where it is there. Poll, then load the book again."""
    if current_list(state).exists():
        return None
    return subprocess.Popen(  # noqa: S603 - our own module, and a folder's name as one argument
        [sys.executable, "-m", "fungible.pricelist", str(state)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def compile_list(state: str | Path) -> None:
    """Make the list and wait for it, where it is not there. Raises Fault `internal` with the reason."""
    running = start_compiling(state)
    if running is None:
        return
    try:
        _, said = running.communicate(timeout=COMPILE_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()
        said = b"it took too long"
    if running.returncode:
        last = (said.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise Fault("internal", f"The price list could not be made from {PACKAGE}: {last}")


def listed_models(book: PriceBook, provider: str, at_ms: int) -> Iterator[tuple[ListedModel, Price | None]]:
    """Every model a provider is listed with, and its price at a moment: for `fungible models`."""
    for name in sorted(book.names(provider)):
        row = book.model(provider, name)
        if row is not None:
            yield row, book.find(provider, name, at_ms)
