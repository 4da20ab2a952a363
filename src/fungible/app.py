"""The object graph, built once: from a configuration to everything that serves it.

The one file that knows every part by its class. `build` opens the state folder and connects the parts;
an `App` is what a worker, an in-process client or a test then drives. `tend` is its housekeeping, to be
called about once a second: new keys, a changed configuration, prices that have arrived, rows to fold.
"""

import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from . import config as configuration
from .account import Key, Opened, Settled
from .call import Local
from .config import Config
from .config.credentials import Renewed
from .drill.stage import Director
from .faults import Fault
from .fleet.embedded import Embedded
from .forcing import Watch
from .front import Front
from .gateway import Gateway, Prices
from .http.client import Pool
from .keys import KeyRing
from .ledger import Ledger
from .memory import Memory, Shelf
from .models import Catalogue
from .observe import Metrics
from .prices import PriceBook, start_compiling
from .providers.table import SHIPPED_MODELS
from .recordings.recorder import Recorder
from .retirement import Keeper
from .sitting import Sitting
from .store import Budgets, Store
from .switch.looker import Looker
from .switch.pilot import Autopilot

SHIPPED = Path(__file__).parent / "data"
PINNED = ("host", "port", "admin_port", "workers", "state", "durable", "body_bytes_max")
FOLD_IDLE_S = 10.0  # without a call for this long, the journal is folded
FOLD_EVERY_S = 300.0  # at the latest
RENEW_EVERY_S = 60.0  # the library fetches new credentials a quarter of an hour before the old run out
RENEW_SOON_S = 5.0  # where there is none to call with
FOLD_CHUNK_BYTES = 256 * 1024  # some hundred attempts: an idle server that is called stops between two


class Books:
    """Implements `gateway.Books`: attempts to the journal, budgets to their own small database."""

    def __init__(self, ledger: Ledger, state: Path) -> None:
        self.ledger = ledger
        self._state = state
        self._budgets: Budgets | None = None
        self.open: Callable[[Opened], None] = ledger.open  # the ledger's own: a call in between is two a call
        self.settle: Callable[[Settled], None] = ledger.settle

    @property
    def boot(self) -> str:
        return self.ledger.boot

    @property
    def rows(self) -> int:
        """Opened since `folded`."""
        return self.ledger.unfolded

    def folded(self, left: int = 0) -> None:
        self.ledger.unfolded = left

    def reserve(self, key: Key, attempt: str, nanousd: int, now_ms: int) -> bool:
        if self._budgets is None:
            self._budgets = Budgets(self._state, self.ledger.boot)
        return self._budgets.reserve(key, attempt, nanousd, now_ms)

    def post(self, attempt: str, nanousd: int | None) -> None:
        assert self._budgets is not None, "what is posted was reserved"
        self._budgets.post(attempt, nanousd)

    def close(self) -> None:
        self.ledger.close()
        if self._budgets is not None:
            self._budgets.close()


class App:
    """Everything of one process. Make it with `build`, inside the event loop that will drive it."""

    def __init__(
        self, config: Config, *, worker: str = "0", shared: bool = False, record: bool = True
    ) -> None:
        self._records = record
        state = Path(config.server.state)
        self.config = config
        self._first = worker == "0"
        self.store = Store(state)
        self.books = Books(Ledger(state, durable=config.server.durable), state)
        self.prices = PriceBook.load(state)
        self._compiling: subprocess.Popen[bytes] | None = None
        self._compiled_once = False
        self.retirements = Keeper(state)
        catalogue = self._known(config)
        self.local = Local(
            KeyRing.load(self.store), catalogue, config.server.settings(), Prices(catalogue, self.prices.find)
        )
        through = {scheme: secret.reveal() for scheme, secret in config.proxies.items()}
        around = tuple(host.strip() for host in config.no_proxy.split(",") if host.strip())
        self.pool = Pool(proxies=through, no_proxy=around)
        self.embedded = _engine(config)
        self.metrics = Metrics(state / "metrics" if shared else None, worker)
        self.gateway = Gateway(self.local, self.books, self.pool, self.embedded, self.metrics)
        self.memory = Memory(state, self.books.boot, config.server.keep_days, self.gateway.wall_ms)
        self.gateway.memory = self.memory
        self.local.thoughts.shelf = Shelf(self.memory, state)
        self.recorder = Recorder(state, config.records, self.gateway.wall_ms, self.gateway.clock)
        self.metrics.recorded = self.recorder.counts
        self._record(config)
        self.autopilot, self.looker = (
            Autopilot(state, self.gateway.wall_ms),
            Looker(state, self.gateway.wall_ms),
        )
        self.sitting = Sitting(self.gateway, self.looker)
        self.local.catalogue = catalogue.splitting(self.autopilot.splits)
        self._watch()
        self.front = Front(self.gateway, self.gauges)
        self.director = Director(state, self.gateway)
        self._open = False
        self.said: list[str] = []  # what an operator should read, taken by whoever runs this
        self.watch = Watch(self.said.append)
        self.taken_up_ms = self.gateway.wall_ms()  # when the configuration in force was
        self.refused: str | None = None  # why a changed one is not
        self._stamps = _stamps(config.watched)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="fungible")
        self._loading: Future[Config] | None = None
        self._folding: Future[None] | None = None
        self._folded = self._renewed = self.gateway.clock()
        self._renewing: Future[list[str]] | None = None
        if any(chain.lacking for chain in config.chains):
            self._renew()

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        shut = sum(b.open_until > self.gateway.clock() for b in self.local.breakers.values())
        return {
            "fungible_calls_active": (
                "Calls under way in the process that was asked.",
                len(self.gateway.active),
            ),
            "fungible_drill_running": (
                "Whether a provider is drilled in the process that was asked.",
                self.director.staged,
            ),
            "fungible_breakers_open": ("Targets that are left alone for the moment.", shut),
            **self.autopilot.gauges(),
        }

    def serve_anyone(self) -> None:
        """No key is asked for: the caller is this very process."""
        self._open = True
        self.local.settings = msgspec.structs.replace(self.local.settings, open=True)

    def _record(self, config: Config) -> None:
        self.recorder.rules = config.records
        if config.records and self._records:
            self.gateway.recorder = self.recorder
            self.recorder.start()

    # --- housekeeping

    def tend(self) -> None:
        """About once a second. Never raises for what an operator may have broken; it says so instead."""
        if self.store.keys_version() != self.local.keys.version:  # type: ignore[attr-defined]
            self.local.keys = KeyRing.load(self.store)
        stamps = _stamps(self.config.watched)
        if stamps != self._stamps:
            self._stamps = stamps
            self.reload()
        if not self._compiled_once:  # not while starting: the first answer comes before the first price
            self._compiled_once = True
            self._compiling = start_compiling(self.config.server.state)
        elif self._compiling is not None and self._compiling.poll() is not None:
            self._compiled(self._compiling)
            self._compiling = None
        self._take_up()
        self._heed_retirements()
        self.director.tend(self.gateway.wall_ms())
        if self._first and not self._open:  # in a program of its user's nobody would read it
            self.watch.tend(self.config, self.calendar, self.gateway.wall_ms())
        self._fold_when_due()
        if self.config.chains:
            self._renew_when_due()
        self._steer()
        try:
            self.memory.tend()
        except Fault as fault:
            self.said.append(f"What was kept long enough could not be deleted: {fault.message}")
        self.said += self.recorder.said()
        try:
            self.metrics.keep()
        except OSError as error:
            self.said.append(f"The metrics of this worker could not be written: {error.strerror}.")

    def _steer(self) -> None:
        """Divide the calls of switched routes by where the switches stand now."""
        try:
            moved = self.autopilot.tend()
        except Fault as fault:
            self.said.append(f"The switches could not be looked at and will be again: {fault.message}")
            return
        if moved:
            self.local.catalogue = self.local.catalogue.splitting(self.autopilot.splits)
            self._watch()
        if self.looker.pairs:
            paying = {split.id for split in self.autopilot.splits.values() if split.anew}
            self.sitting.tend(self.autopilot.judged, paying)
        self.said += self.autopilot.said() + self.sitting.said
        self.sitting.said = []

    def _watch(self) -> None:
        """Have the answers of switched routes looked at, where a guard wants that."""
        self.looker.plans = self.autopilot.judged
        self.recorder.looked = frozenset(
            route for route, split in self.autopilot.splits.items() if self.autopilot.judged.get(split.id)
        )
        if self.recorder.looked:
            self.recorder.onlooker, self.gateway.recorder = self.looker, self.recorder
            self.recorder.start()

    @property
    def loading(self) -> bool:
        """Whether a configuration is being read."""
        return self._loading is not None

    def reload(self) -> None:
        """Begin to read the configuration again, beside the loop: a secret may come from a command."""
        if self._loading is None:
            pinned = self._pinned()
            self._loading = self._beside.submit(_loaded, self.config.path, pinned)

    def _take_up(self) -> None:
        """Take up a configuration that has been read, whole, or keep the old one and say why."""
        if self._loading is None or not self._loading.done():
            return
        loading, self._loading = self._loading, None
        try:
            fresh = loading.result()
        except Fault as fault:
            self.refused = fault.message
            self.said.append(
                f"The configuration was not taken up; the old one stays in force.\n{fault.message}"
            )
            return
        if fresh.local_models != self.config.local_models:
            self.embedded.close()
            self.embedded = self.gateway.embedded = _engine(fresh)
        self.config = fresh
        self.memory.days = fresh.server.keep_days
        self._record(fresh)
        self.taken_up_ms, self.refused = self.gateway.wall_ms(), None
        self._stamps = _stamps(fresh.watched)
        anyone = self._open or fresh.server.auth == "open"
        self.local.settings = msgspec.structs.replace(fresh.server.settings(), open=anyone)
        self._price_anew(fresh)
        self.said.append("The changed configuration is in force.")

    def _heed_retirements(self) -> None:
        """What feeds say is fetched by one worker and taken up by all."""
        due, before = self.config.retirement, self.retirements.kept
        fetches = self._first
        if self.retirements.tend(due.sources, due.refresh_ms, self.gateway.wall_ms(), fetches):
            self._price_anew(self.config)
            said = {feed.problem for feed in before.feeds.values()}
            for name, feed in self.retirements.kept.feeds.items():
                if fetches and feed.problem is not None and feed.problem not in said:
                    self.said.append(f"Retirement dates of {name} are not fresh: {feed.problem}")

    def _renew_when_due(self) -> None:
        """New credentials before the old run out, beside the loop: they come over the network."""
        if self._renewing is not None and self._renewing.done():
            self.said += dict.fromkeys(self._renewing.result())
            self._renewing = None
        if self._renewing is None:
            lacking = any(chain.lacking for chain in self.config.chains)
            pause = RENEW_SOON_S if lacking else RENEW_EVERY_S
            if self.gateway.clock() - self._renewed > pause:
                self._renew()

    def _renew(self) -> None:
        self._renewed = self.gateway.clock()
        self._renewing = self._beside.submit(renewed, self.config.chains)

    def _fold_when_due(self) -> None:
        """When nobody calls, until somebody does; else now and then, to free the holds of the dead."""
        now = self.gateway.clock()
        idle = self._idle()
        due = idle or now - self._folded > FOLD_EVERY_S
        if self.books.rows and due and (self._folding is None or self._folding.done()):
            self.books.folded()
            self._folded = now
            go_on = self._idle if idle else _always
            self._folding = self._beside.submit(self._fold, self.config.server.state, go_on)

    def _idle(self) -> bool:
        gateway = self.gateway
        return not gateway.active and gateway.clock() - gateway.last_call > FOLD_IDLE_S

    def _fold(self, state: str, go_on: Callable[[], bool]) -> None:
        """In the thread beside the loop: carry the journal into the store, on a connection of its own."""
        store = Store(state)
        try:
            store.fold(chunk_bytes=FOLD_CHUNK_BYTES, go_on=go_on)
        finally:
            store.close()
        if not go_on():
            self.books.folded(self.books.rows + 1)  # it was broken off: there is more

    def _pinned(self) -> Mapping[str, Any]:
        """What a running process cannot change: where it listens, where it keeps its state, and how."""
        return {name: getattr(self.config.server, name) for name in PINNED}

    def _compiled(self, process: "subprocess.Popen[bytes]") -> None:
        _, said = process.communicate()
        if process.returncode:
            last = (said.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            self.said.append(f"The price list could not be made, so prices are unknown: {last}")
        self.prices = PriceBook.load(self.config.server.state)
        self._price_anew(self.config)

    def _known(self, config: Config) -> Catalogue:
        """What was configured, with what is known beside: prices, and when models retire."""
        self.calendar = self.retirements.kept.calendar(config.catalogue.models, config.retirement.names)
        return config.catalogue.knowing(self.prices, self.calendar.lines)

    def _price_anew(self, config: Config) -> None:
        catalogue = self._known(config).splitting(self.autopilot.splits)
        self.local.catalogue = catalogue
        self.local.price = Prices(catalogue, self.prices.find)

    def close(self) -> None:
        """Flush and release everything. Calls still under way become `unknown` in the ledger."""
        if self._compiling is not None:
            self._compiling.kill()
            self._compiling.communicate()
        # Nothing is tried again. A loop that has ended before has closed its sockets itself.
        self.local.settings = msgspec.structs.replace(self.local.settings, attempts_max=0)
        with suppress(RuntimeError):
            self.pool.close()
        self.embedded.close()
        self.sitting.close()
        self.recorder.close()
        self.autopilot.close()
        self.watch.close()
        self.memory.close()
        self.books.close()
        self._beside.shutdown()
        self.store.fold()
        self.store.close()


def _loaded(path: str | None, pinned: Mapping[str, Any]) -> Config:
    """A configuration with what it signs by, so that no call waits for that."""
    fresh = configuration.load(path, None, pinned)
    renewed(fresh.chains)
    return fresh


def renewed(chains: Iterable[Renewed]) -> list[str]:
    """What went wrong."""
    return [said for chain in chains if (said := chain.renew())]


def _always() -> bool:
    return True


def _engine(config: Config) -> Embedded:
    shipped = {name: SHIPPED / f"{name}.gguf" for name in SHIPPED_MODELS}
    return Embedded(shipped | {name: Path(path) for name, path in config.local_models.items()})


def _stamps(paths: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    found = []
    for path in paths:
        try:
            found.append((path, Path(path).stat().st_mtime_ns))
        except OSError:
            found.append((path, 0))
    return tuple(found)
