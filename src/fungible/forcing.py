"""Forced moves while a server runs: what is seen is said, and a rehearsal is opened where that is allowed.

One process looks, every five minutes, in a thread that ends with it, and only where `[retirement]` names
something. Its `rehearse` names the routes that may be rehearsed without being asked; each move is rehearsed
once, by the very command that a person would use, in a process of its own, up to `rehearse_usd`. A run's
folder says that it was opened, so that a restart opens nothing twice; what was broken off goes on with
`fungible switch rehearse --resume RUN`.

Switching is left to people: a rehearsal only spends money, a switch changes who answers.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .config import Config
from .faults import Fault
from .gateway import Prices
from .models import Catalogue
from .money import Price
from .moves import OUTAGE_LOOK_MS, Forced, PriceChange, forced, outages, price_changes
from .prices import PriceBook
from .recordings import Recordings
from .retirement import Calendar
from .retirement.affected import Affected, affected, pressing
from .store import Store
from .switch.runs import FOLDER

LOOK_EVERY_MS = 300_000  # it folds the journal, which is left alone while calls come
DAY_MS = 86_400_000
TRAFFIC_MS = 30 * DAY_MS


class Looked(NamedTuple):
    """`retiring`: all that is said to end; `pressing` those near enough to act."""

    retiring: tuple[Affected, ...]
    pressing: tuple[Affected, ...]
    changes: tuple[PriceChange, ...]
    moves: tuple[Forced, ...]


def looked(store: Store, config: Config, calendar: Calendar, since_ms: int, now_ms: int) -> Looked:
    """What forces a move, by what the store has seen since then; it is folded already."""
    book = PriceBook.load(config.server.state)
    catalogue, warn_days = config.catalogue.knowing(book), config.retirement.warn_days
    ending = affected(calendar, catalogue, store.traffic(since_ms), now_ms)
    near = pressing(ending, warn_days)
    price_at = _price_at(catalogue, Prices(catalogue, book.find))
    changes = price_changes(store.used(since_ms), price_at, now_ms, now_ms + warn_days * DAY_MS)
    failing = outages(store.tried(now_ms - OUTAGE_LOOK_MS, now_ms), now_ms)
    return Looked(ending, near, changes, forced(catalogue, near, changes, failing, now_ms))


def _price_at(catalogue: Catalogue, prices: Prices) -> Callable[[str, str, int], Price | None]:
    def price_at(provider: str, model: str, at_ms: int) -> Price | None:
        if provider not in catalogue.providers:
            return None
        return prices(catalogue.target(provider, model), at_ms)

    return price_at


def opened(state: str | Path, move: Forced) -> bool:
    """Whether a rehearsal of this move was begun, by whomever."""
    return (Path(state) / FOLDER / move.run).exists()


class Watch:
    """Looks for forced moves beside a server; `say` tells its operator."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()
        self._looked_ms = 0
        self._looking: threading.Thread | None = None
        self._rehearsing: subprocess.Popen[bytes] | None = None
        self._run = ""
        self._begun: set[str] = set()

    def tend(self, config: Config, calendar: Calendar, now_ms: int) -> None:
        """About once a second, in one process of a server."""
        child = self._rehearsing
        if child is not None and child.poll() is not None:
            how = "has ended" if child.returncode == 0 else f"was broken off ({child.returncode})"
            self._say(f"The rehearsal {self._run} {how}: fungible switch report {self._run}")
            self._rehearsing = None
        due = config.retirement
        if now_ms - self._looked_ms < LOOK_EVERY_MS or not (due.sources or due.rehearse):
            return
        if self._looking is not None and self._looking.is_alive():
            return
        self._looked_ms = now_ms
        self._looking = threading.Thread(target=self._look, args=(config, calendar, now_ms), daemon=True)
        self._looking.start()

    def close(self) -> None:
        if self._rehearsing is not None and self._rehearsing.poll() is None:
            self._rehearsing.terminate()
            self._rehearsing.wait()

    def _look(self, config: Config, calendar: Calendar, now_ms: int) -> None:
        try:
            store = Store(config.server.state)
            try:
                store.fold()
                moves = looked(store, config, calendar, now_ms - TRAFFIC_MS, now_ms).moves
            finally:
                store.close()
        except Fault:
            return  # the store's trouble is told by those who need it for a call
        urgent = {move.run: move for move in moves if move.urgent}
        for run, move in urgent.items():
            if run not in self._told:
                self._say(f"{move.says} To stay there: {move.commands[-1]}")
        self._told = set(urgent)
        if self._rehearsing is None:
            self._open(config, moves)

    def _open(self, config: Config, moves: tuple[Forced, ...]) -> None:
        """The first that may be rehearsed, has a candidate and recordings, and was not rehearsed before."""
        state = config.server.state
        recorded = None
        for move in moves:
            if move.route not in config.retirement.rehearse or not move.to:
                continue
            if move.run in self._begun or opened(state, move):
                continue
            if recorded is None:
                recorded = {found.route for found in Recordings(state).found()}
            if move.route not in recorded:
                continue
            words = ["switch", "rehearse", "--route", move.route, "--to", move.to, "--run", move.run]
            words += ["--budget-usd", f"{config.retirement.rehearse_usd:f}"]
            words += ["--config", str(Path(config.path).absolute())] if config.path is not None else []
            self._run = move.run
            self._begun.add(move.run)  # one that fails at once has no folder, and is not begun again
            self._rehearsing = subprocess.Popen(  # noqa: S603 - our own program, its words from our own state
                [sys.executable, "-m", "fungible", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._say(f"{move.says} Its rehearsal {move.run} has begun: {move.to} for {move.route}.")
            return
