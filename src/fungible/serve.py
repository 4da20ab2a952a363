"""Running as a server: listening, workers, signals, and the ticks that drive the app.

One worker is this process. Several are children that share the port (SO_REUSEPORT); the parent only
watches them, passes signals on, and replaces one that dies. None outlives it: each reads a pipe whose
other end the parent holds. SIGTERM and SIGINT drain: no new calls, the
running ones may end within `drain_ms`. SIGHUP takes up a changed configuration.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from .admin import HOST as ADMIN_HOST
from .admin import Admin
from .app import App
from .config import Config
from .dialects import SPOKEN
from .dialects.base import MODEL
from .faults import Fault
from .http.limits import Limits
from .http.loop import listen, run
from .http.server import Server

SWEEP_S = 0.1
TEND_EVERY = 10  # sweeps
RESTART_PAUSE_S = 1.0
ADMIN_BODY_BYTES_MAX = 64 * 1024
GC_THRESHOLDS = (20_000, 20, 50)  # calls leave no cycles behind; the default looks for them every 700 objects

NAMED_UNDER = tuple(
    path.partition(MODEL)[0] for dialect in SPOKEN.values() for path in dialect.client_paths if MODEL in path
)
"""Path prefixes after which a model's name stands, with its slashes encoded or not."""

Say = Callable[[str], None]


def serve(config: Config, say: Say) -> int:
    """Serve until told to stop; gives the exit status. Raises `Fault` where it cannot start."""
    server = config.server
    admin = _admin_socket(server.admin_port, say)
    if server.workers == 1:
        with listen(server.host, server.port) as sock:
            run(work(config, sock, say, "0", admin=admin))
        return 0
    # Bound here first, so that a port in use is told once and not by every worker.
    held = [listen(server.host, server.port, reuse_port=True) for _ in range(server.workers)]
    return _watch(config, held, say, admin)


def _admin_socket(port: int, say: Say) -> socket.socket | None:
    """Of the worker 0. Calls are served all the same where another server has the port."""
    if port == 0:
        return None
    try:
        return listen(ADMIN_HOST, port)
    except Fault as fault:
        say(f"Without an admin listener: {fault.message.replace('--port', '--admin-port')}")
        return None


async def work(
    config: Config,
    sock: socket.socket,
    say: Say,
    name: str,
    parent: int | None = None,
    admin: socket.socket | None = None,
) -> None:
    """One worker, until SIGTERM or SIGINT, or until the pipe `parent` ends."""
    loop = asyncio.get_running_loop()
    app = App(config, worker=name, shared=config.server.workers > 1)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, app.reload)

    def orphaned() -> None:
        loop.remove_reader(parent)  # type: ignore[arg-type]  # it is called for a parent's pipe
        stopping.set()

    if parent is not None:
        loop.add_reader(parent, orphaned)
    limits = Limits(body_bytes_max=config.server.body_bytes_max, encoded_slash_under=NAMED_UNDER)
    edge = Server(app.front, limits, turn=app.pool.turn)
    await edge.start(sock)
    say(f"fungible serves on http://{config.server.host}:{sock.getsockname()[1]}")
    desk = office = None
    if admin is not None:
        desk = Admin(app)
        office = Server(desk, Limits(body_bytes_max=ADMIN_BODY_BYTES_MAX))
        await office.start(admin)
        say(f"Its admin listener is http://{ADMIN_HOST}:{admin.getsockname()[1]}")
    gc.freeze()  # what is there now stays; collections need not look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    ticking = asyncio.create_task(tick(app, say))
    try:
        await stopping.wait()
    finally:
        app.gateway.draining = True
        await edge.stop(config.server.drain_ms / 1000)
        if office is not None and desk is not None:
            await office.stop(0)
            desk.close()
        ticking.cancel()
        app.close()


async def tick(app: App, say: Say) -> None:
    """Drive the app's clock until cancelled."""
    count, last = 0, ""
    while True:
        await asyncio.sleep(SWEEP_S)
        count += 1
        try:
            app.gateway.sweep()
            if count % TEND_EVERY == 0:
                app.tend()
                last = ""
        except Exception as error:  # the clock goes on whatever happens: every deadline hangs on it
            told = error.message if isinstance(error, Fault) else repr(error)
            if told != last:
                app.said.append(f"Housekeeping failed and will be tried again: {told}")
            last = told
        while app.said:
            say(app.said.pop(0))


def _watch(config: Config, socks: list[socket.socket], say: Say, admin: socket.socket | None) -> int:
    """The parent of several workers."""
    children: dict[int, int] = {}
    stopping = False
    life = os.pipe()

    def stop(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = stopping or number != signal.SIGHUP
        for pid in children:
            os.kill(pid, signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    def start(place: int) -> None:
        pid = os.fork()
        if pid == 0:
            os.close(life[1])
            _child(config, socks, place, say, life[0], admin)
        children[pid] = place

    for place in range(len(socks)):
        start(place)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    while children:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        free = children.pop(pid, None)
        if free is None or stopping:
            continue
        say(f"Worker {free} has died ({_how(status)}); another takes its place.")
        time.sleep(RESTART_PAUSE_S)
        if not stopping:
            start(free)
            if stopping:  # the signal came in between, and the new one was not there to hear it
                stop(signal.SIGTERM, None)
    return 0


def _child(
    config: Config,
    socks: list[socket.socket],
    place: int,
    say: Say,
    parent: int,
    admin: socket.socket | None,
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        for other, sock in enumerate(socks):
            if other != place:
                os.close(sock.fileno())
        if admin is not None and place != 0:
            os.close(admin.fileno())
            admin = None
        run(work(config, socks[place], say, str(place), parent, admin))
        os._exit(0)
    except Fault as fault:
        say(fault.message)
        os._exit(1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"
