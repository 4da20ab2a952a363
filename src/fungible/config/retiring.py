"""`[retirement]`: which feeds and providers tell when models retire, and what that may set off."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ..models import Plan, nearest_name
from ..retirement import Source
from .document import Document
from .providers import Providers
from .settings import RETIREMENT

HOUR_MS = 3_600_000


class Retiring(msgspec.Struct, frozen=True):
    """`rehearse`: the routes that may be rehearsed without being asked."""

    sources: tuple[Source, ...] = ()
    refresh_ms: int = 24 * HOUR_MS
    warn_days: int = 180
    rehearse: frozenset[str] = frozenset()
    rehearse_usd: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.sources)


def read_retirement(doc: Document, providers: Providers, plans: Mapping[str, Plan]) -> Retiring:
    values = doc.table(("retirement",), doc.root.get("retirement", {}), RETIREMENT)
    sources = []
    for number, feed in enumerate(values["feeds"]):
        if "://" not in feed:
            sources.append(Source(feed, path=str(doc.folder / Path(feed).expanduser())))
        elif _is_address(feed):
            sources.append(Source(feed, url=feed))
        else:
            shown = "..@" + feed.rpartition("@")[2] if "@" in feed else feed
            what = f"[retirement] feeds: {shown!r} must be a file, or an http or https URL without a password"
            doc.wrong(("retirement", "feeds", number), what)
    for number, name in enumerate(values["ask"]):
        row, where = providers.enabled.get(name), ("retirement", "ask", number)
        if name in providers.broken:
            continue
        if row is None:
            near = nearest_name(name, providers.names())
            doc.wrong(where, f"[retirement] ask: the provider {name!r} is not on.{near}")
        elif row.closed or row.aim.sign is not None:
            doc.wrong(where, f"[retirement] ask: {name!r} has no list of models that a key could ask for")
        else:
            sources.append(Source(f"{name}'s models", provider=row))
    routes = values["rehearse"]
    for name in routes if isinstance(routes, tuple) else ():
        if name not in plans:
            near = nearest_name(name, plans)
            doc.wrong(("retirement", "rehearse"), f"[retirement] rehearse: there is no route {name!r}.{near}")
    chosen = routes if isinstance(routes, tuple) else plans if routes else ()
    return Retiring(
        tuple(sources),
        values["refresh_hours"] * HOUR_MS,
        values["warn_days"],
        frozenset(chosen),
        values["rehearse_usd"],
    )


def _is_address(text: str) -> bool:
    """An http or https URL that holds no password."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and "@" not in url.netloc
