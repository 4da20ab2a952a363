"""What is said of one target's end, from all sources, and how sure it is that this very model is meant.

A name is matched with care, for a wrong date costs a needless move and a missed one an outage:

    exact      the source names it as it is called (letters' case, date notation, geography aside)
    alias      the source lists the name among others of the model; a name such as `x-latest` may be moved on
    deployment the provider calls models by names of the user's own, so that even an equal name is a guess

A dated snapshot and its undated name are two models here: providers move the one and retire the other. So are
a maker's model and the same one at another provider, which has days of its own.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from fnmatch import fnmatchcase

import msgspec

from ..models import Model
from ..providers.base import Provider
from .notices import Notice

GEOGRAPHY = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|global)\.(?=[a-z0-9-]+\.)")
REGION = re.compile(r"^(?:us|eu|global|global-standard|[a-z]{2}-[a-z]+-\d)/")
COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=[-:]|$)")
MOVING = re.compile(r"(?:^|-)latest$")
OPERATOR = "the configuration"


class Said(msgspec.Struct, frozen=True):
    """One source's word. `fetched_ms` None: the configuration's."""

    source: str
    model: str
    on: str | None
    firm: bool
    since: str | None
    replacements: tuple[str, ...]
    page: str | None
    fetched_ms: int | None
    own: bool  # the provider's own word


class Retirement(msgspec.Struct, frozen=True):
    """What is known of the end of one target. `on`: the day it stops, where one is told.

    `firm` False: not sooner than that day. `conflict`: sources name different firm days.
    """

    provider: str
    model: str
    on: str | None
    firm: bool
    basis: str
    since: str | None
    replacements: tuple[str, ...]
    said: tuple[Said, ...]
    conflict: bool

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def sure(self) -> bool:
        """Whether a client may be told: a firm day of what is surely this model."""
        moving = self.basis == "alias" and MOVING.search(self.model.lower()) is not None
        return self.on is not None and self.firm and self.basis != "deployment" and not moving

    def days_left(self, now_ms: int) -> int | None:
        """Whole days until the day begins (UTC); 0 or less: it has."""
        return None if self.on is None else -((now_ms - day_ms(self.on)) // 86_400_000)

    def sources(self) -> str:
        """`2026-10-23 by a, b; 2026-11-01 by c`, the earliest first."""
        days: dict[str, list[str]] = {}
        for said in self.said:
            day = "no day" if said.on is None else said.on if said.firm else f"not before {said.on}"
            days.setdefault(day, []).append(said.source)
        return "; ".join(f"{day} by {', '.join(dict.fromkeys(who))}" for day, who in sorted(days.items()))


class Calendar:
    """All notices, looked up by target. Made whole, replaced whole."""

    __slots__ = ("_found", "_index", "_models", "newest_ms")

    def __init__(
        self,
        kept: Iterable[tuple[str, int, str, Iterable[Notice]]] = (),
        models: Mapping[str, Model] | None = None,
    ) -> None:
        """`kept`: (source, when it was fetched, the provider that was asked or "", its notices)."""
        self._models = models or {}
        self._index: dict[str, list[tuple[str, int, str, Notice, bool]]] = {}
        self._found: dict[tuple[str, str], Retirement | None] = {}
        self.newest_ms = 0
        for source, fetched_ms, asked, notices in kept:
            self.newest_ms = max(self.newest_ms, fetched_ms)
            for notice in notices:
                names = {normal(notice.model): False} | {normal(alias): True for alias in notice.aliases}
                names[normal(notice.model)] = False
                for name, alias in names.items():
                    self._index.setdefault(name, []).append((source, fetched_ms, asked, notice, alias))

    def find(self, provider: Provider, model: str) -> Retirement | None:
        """None: no source says that it ends."""
        known = (provider.name, model)
        if known not in self._found:
            self._found[known] = self._look(provider, model)
        return self._found[known]

    def _look(self, provider: Provider, model: str) -> Retirement | None:
        facts = self._models.get(f"{provider.name}/{model}")
        said, aliases = [], []
        for source, fetched_ms, asked, notice, alias in self._index.get(normal(model), ()):
            if asked == provider.name or (not asked and _means(provider, notice.provider)):
                said.append(_word(provider, source, fetched_ms, asked, notice))
                aliases.append(alias)
        if facts is not None and facts.retires is not None:
            said.insert(0, Said(OPERATOR, model, facts.retires, True, None, (), None, None, True))
        if not said:
            return None
        firm = [s for s in said if s.on is not None and s.firm]
        own = [s for s in firm if s.fetched_ms is None] or [s for s in firm if s.own]
        told = own or firm or [s for s in said if s.on is not None]
        days = {s.on for s in firm}
        basis = "alias" if aliases and all(aliases) else "exact"
        if provider.own_names and not own:
            basis = "deployment"
        return Retirement(
            provider.name,
            model,
            min((s.on for s in told if s.on is not None), default=None),
            bool(firm) or not told,
            basis,
            min((s.since for s in said if s.since is not None), default=None),
            tuple(dict.fromkeys(name for s in said for name in s.replacements)),
            tuple(sorted(said, key=lambda s: (s.on or "~", s.source))),
            len(days) > 1,
        )

    def lines(self, provider: Provider, model: str) -> str:
        """Header lines for clients that are answered by this target; "" where nothing is sure.

        `Sunset` is RFC 8594; `Deprecation`, where a day of it is told, and its link RFC 9745, which says that
        the first is never before the second.
        """
        found = self.find(provider, model)
        if found is None or not found.sure or found.on is None:
            return ""
        sunset_ms = day_ms(found.on)
        text = f"sunset: {http_date(sunset_ms)}\r\n"
        if found.since is not None and day_ms(found.since) <= sunset_ms:
            text = f"deprecation: @{day_ms(found.since) // 1000}\r\n" + text
        page = next((s.page for s in found.said if s.page is not None), None)
        if page is not None:
            text += f'link: <{page}>; rel="deprecation", <{page}>; rel="sunset"\r\n'
        return text


def normal(model: str) -> str:
    """A name as it is compared: case, `models/`, geography, region and the notation of dates aside."""
    name = model.lower().removeprefix("models/")
    if name.startswith("ft:"):
        name = ":".join(name.split(":")[:2])  # a fine-tuned model ends with its base
    name = REGION.sub("", name)
    name = GEOGRAPHY.sub("", name).replace("@", "-")
    return COMPACT_DATE.sub(r"-\1-\2-\3", name)


def _means(provider: Provider, named: str) -> bool:
    name = re.sub(r"[\s_]+", "-", named.strip().lower())
    return any(fnmatchcase(name, pattern) for pattern in provider.feeds or (provider.name,))


def _word(provider: Provider, source: str, fetched_ms: int, asked: str, notice: Notice) -> Said:
    """Replacements of another provider keep its name; of this one they can be asked for as they stand."""
    replacements = tuple(
        f"{provider.name}/{model}" if not maker or _means(provider, maker) else f"{maker}/{model}"
        for maker, model in notice.replacements
    )
    return Said(
        source,
        notice.model,
        notice.on,
        notice.firm,
        notice.since,
        replacements,
        notice.page,
        fetched_ms,
        asked == provider.name,
    )


def day_ms(day: str) -> int:
    """Unix milliseconds at which an ISO day begins (UTC)."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


def http_date(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)
