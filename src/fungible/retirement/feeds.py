"""Fetching feeds, and keeping what they said in the state folder, with the day it was fetched.

A feed is an address or a file that the configuration names; a provider that is asked gets its own key, on its
own address, and no redirect is followed there. What cannot be fetched leaves what was kept before, and says
so. Nothing here is on the path of a call.
"""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec

from ..faults import Fault
from ..models import Enabled, Model
from ..version import VERSION
from .calendar import Calendar
from .notices import Notice, read

NAME = "retirement.json"
FEED_BYTES_MAX = 64 * 1024 * 1024
TIMEOUT_S = 15.0
LIST_PATH = "/models"
LOOK_EVERY_MS = 60_000
VERSIONED = re.compile(r"/v\d+[a-z0-9]*(?=/)")  # of a dialect whose base URLs do not hold it


class Source(msgspec.Struct, frozen=True):
    """Where notices come from: a URL, a file, or a provider that is asked for its models."""

    name: str
    url: str | None = None
    path: str | None = None
    provider: Enabled | None = None

    @property
    def asked(self) -> str:
        return self.provider.provider.name if self.provider is not None else ""


class Feed(msgspec.Struct, omit_defaults=True):
    """What one source said when it was last fetched. `problem`: why it could not be since."""

    fetched_ms: int
    asked: str = ""
    notices: tuple[Notice, ...] = ()
    tried_ms: int = 0
    problem: str | None = None


class Kept(msgspec.Struct):
    """All that was fetched, by source."""

    feeds: dict[str, Feed] = {}

    @classmethod
    def load(cls, state: str | Path) -> "Kept":
        """Empty where nothing was kept, or what was kept cannot be read: it can be fetched again."""
        try:
            return msgspec.json.decode((Path(state) / NAME).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return cls()

    def calendar(self, models: Mapping[str, Model], names: Iterable[str] | None = None) -> Calendar:
        """Of the sources of these names; of all, where none are given."""
        chosen = set(self.feeds) if names is None else set(names)
        kept = [(name, f.fetched_ms, f.asked, f.notices) for name, f in self.feeds.items() if name in chosen]
        return Calendar(kept, models)


def refresh(state: str | Path, sources: Iterable[Source], now_ms: int, max_age_ms: int) -> Kept:
    """Fetch what is older than `max_age_ms`, and keep it. A source that is not named any more is dropped.

    A source that failed is tried again after an hour. Raises `Fault` only where nothing can be written.
    """
    kept, feeds = Kept.load(state), {}
    for source in sources:
        old = kept.feeds.get(source.name)
        if old is not None and (
            now_ms - old.fetched_ms < max_age_ms or now_ms - old.tried_ms < min(max_age_ms, 3_600_000)
        ):
            feeds[source.name] = old
            continue
        try:
            notices = tuple(read(_fetch(source), source.name))
            feeds[source.name] = Feed(now_ms, source.asked, notices)
        except Fault as fault:
            before = old or Feed(0, source.asked)
            feeds[source.name] = Feed(before.fetched_ms, before.asked, before.notices, now_ms, fault.message)
    fresh = Kept(feeds)
    if fresh != kept:
        _write(Path(state), fresh)
    return fresh


class Keeper:
    """Keeps what was fetched fresh while a server runs: one process fetches, all read what it keeps.

    Fetching is done in a thread that ends with the process, so that a slow feed holds up nothing.
    """

    def __init__(self, state: str | Path) -> None:
        self._state = Path(state)
        self.kept = Kept.load(state)
        self._stamp = self._stamped()
        self._looked_ms = 0
        self._fetching: threading.Thread | None = None

    def tend(self, sources: tuple[Source, ...], max_age_ms: int, now_ms: int, fetches: bool) -> bool:
        """About once a second. True: something else is kept than before."""
        idle = self._fetching is None or not self._fetching.is_alive()
        if sources and fetches and idle and now_ms - self._looked_ms > LOOK_EVERY_MS:
            self._looked_ms = now_ms
            work = (self._state, sources, now_ms, max_age_ms)
            self._fetching = threading.Thread(target=_quietly, args=work, daemon=True)
            self._fetching.start()
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp, self.kept = stamp, Kept.load(self._state)
        return True

    def _stamped(self) -> int:
        try:
            return (self._state / NAME).stat().st_mtime_ns
        except OSError:
            return 0


def _quietly(state: Path, sources: tuple[Source, ...], now_ms: int, max_age_ms: int) -> None:
    with suppress(Fault):  # a folder that cannot be written is told by whatever else writes there
        refresh(state, sources, now_ms, max_age_ms)


def _write(state: Path, kept: Kept) -> None:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        bare = state / f"{NAME}.{id(kept):x}.new"
        bare.write_bytes(msgspec.json.encode(kept))
        bare.replace(state / NAME)
    except OSError as error:
        raise Fault("internal", f"{state / NAME} cannot be written: {error.strerror}.") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A key goes to the address it was given for, and nowhere else."""


def _fetch(source: Source) -> bytes:
    if source.path is not None:
        try:
            return Path(source.path).read_bytes()
        except OSError as error:
            raise Fault("not_found", f"{source.path} cannot be read: {error.strerror}.") from None
    headers = {"user-agent": f"fungible/{VERSION}", "accept": "application/json"}
    if source.provider is not None:
        aim = source.provider.aim
        version = VERSIONED.match(source.provider.dialect.path)
        path = (version[0] if version is not None else "") + LIST_PATH
        lines = aim.head(path).decode("latin-1").split("\r\n")[1:]
        told = (line.partition(": ") for line in lines if line)
        ours = ("host", "content-type", "accept-encoding", "connection")
        headers |= {name: value for name, _, value in told if name.lower() not in ours}
        host = f"[{aim.origin.host}]" if ":" in aim.origin.host else aim.origin.host
        url = f"{aim.origin.scheme}://{host}:{aim.origin.port}{aim.path(path)}"
        opener = urllib.request.build_opener(_NoRedirect)
    else:
        url = source.url or ""
        opener = urllib.request.build_opener()
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http and https, by the settings
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read(FEED_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        raise Fault("provider_error", f"{source.name} answered {error.code}.") from None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Fault("unreachable", f"{source.name} cannot be fetched: {reason}.") from None
    if len(data) > FEED_BYTES_MAX:
        raise Fault("provider_answer", f"{source.name} is longer than {FEED_BYTES_MAX} bytes.")
    return data
