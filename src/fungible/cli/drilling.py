"""`fungible drill`: a provider is made to fail, and what its users felt is told."""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from ..account import Tried
from ..admin import HOST, token_of
from ..asker import Asker
from ..drill import plan
from ..drill.plan import HOW, Drill, Order
from ..drill.report import BEFORE_MS, Felt, Report, reported
from ..faults import Fault
from ..money import usd
from ..recording import Recording
from ..recordings import Recordings
from ..store import Store
from .options import config_option, console, json_option, load, styled

if TYPE_CHECKING:
    from rich.console import Console

LOOK_EVERY_S = 1.0
SETTLE_S = 3.0  # how long calls that were drilled last are waited for
TOGETHER = 8  # replays at a time
NUMBERS = ("drilled", "answered", "median ms", "added", "p95 ms", "added", "cost added", "losses added")
HERE = ""  # the configuration's own state


@click.command("drill")
@click.argument("provider", required=False)
@click.option("--route", default="", help="Only calls of this route; of any by default.")
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--share", type=float, help="Of the calls that go there: 0.1 by default, all of a replay.")
@click.option("--how", type=click.Choice(list(HOW)), default="refused", show_default=True)
@click.option("--slow-ms", type=int, default=10_000, show_default=True, help="How long `slow` waits.")
@click.option("--hurt-max", type=int, default=20, show_default=True, help="Stop when so many have failed.")
@click.option(
    "--tolerance", type=float, default=0.05, show_default=True, help="Stop when surely more than this fail."
)
@click.option(
    "--replay", is_flag=False, flag_value=HERE, metavar="[FOLDER]",
    help="Of recorded calls instead of live ones, in this process; of the state's, or of another folder.",
)  # fmt: skip
@click.option("--n", "count", type=int, default=100, show_default=True, help="Recordings to replay at most.")
@click.option("--stop", "ending", is_flag=True, help="End the drill that is running.")
@click.option("--report", "looking", is_flag=True, help="Tell of the last drill, running or over.")
@click.option("--admin-port", type=int, help="The server's, where it is not the configuration's.")
@config_option
@json_option
def command(
    provider: str | None, route: str, minutes: float, share: float | None, how: str, slow_ms: int,
    hurt_max: int, tolerance: float, replay: str | None, count: int, ending: bool, looking: bool,
    admin_port: int | None, config_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Make PROVIDER fail for a share of a running server's traffic, and tell what its users felt.

    It ends by itself at its time, whatever becomes of this command, and before it when too many calls fail.
    With --replay no server is needed: recorded calls are asked again, and what they then cost is spent.
    Ends with 1 if a drilled call was answered by nobody.
    """
    if looking:
        report = _last(config_path)
    elif ending:
        report = _stopped(Desk(config_path, admin_port), config_path)
    elif provider is None:
        raise click.UsageError("PROVIDER is missing: whose failure is drilled?")
    else:
        part = share if share is not None else (0.1 if replay is None else 1.0)
        order = Order(
            provider=provider, how=how, route=route, minutes=minutes, share=part, slow_ms=slow_ms,
            hurt_max=hurt_max, tolerance=tolerance,
        ).checked()  # fmt: skip
        if replay is None:
            report = _live(Desk(config_path, admin_port), order, config_path)
        else:
            report = asyncio.run(_replayed(order, config_path, replay, count))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report)))
    else:
        _show(console(), report)
    sys.exit(report.lost_count > 0 and not looking)


class Desk:
    """A running server's admin listener."""

    def __init__(self, config_path: str | None, port: int | None) -> None:
        server = load(config_path).server
        self._port = port if port is not None else server.admin_port
        self._token = token_of(Path(server.state)).decode()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Raises `Fault`: what the listener said, or that there is none."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        url = f"http://{HOST}:{self._port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or b"{}").get("error", {})
            kind = "not_found" if error.code == HTTPStatus.NOT_FOUND else "bad_request"
            raise Fault(kind, said.get("message", f"The admin listener answered {error.code}.")) from None
        except OSError as error:
            raise Fault(
                "unavailable",
                f"No server's admin listener answers on {HOST}:{self._port} ({error}). Start `fungible"
                " serve`, give --admin-port, or drill recorded calls with --replay.",
            ) from None


# --- of live traffic -----------------------------------------------------------------------------------


def _live(desk: Desk, order: Order, config_path: str | None) -> Report:
    told = desk.ask("POST", "/api/drill", msgspec.to_builtins(order))
    drill = msgspec.convert(told["drill"], Drill)
    _remark(f"Drill {drill.id}: {HOW[drill.how]} {drill.share:.0%} of {drill.provider}'s calls.")
    if told["routes_alone"]:
        _remark(f"These routes have no other provider, so their callers will feel it: {told['routes_alone']}")
    try:
        while True:
            report = desk.ask("GET", "/api/drill")
            felt = report["drilled"]
            _bar(f"{felt['calls']} drilled, {felt['answered']} answered, {felt['failed']} failed")
            if report["state"] != "running":
                break
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        desk.ask("DELETE", f"/api/drill/{drill.id}")
    _bar("")
    return _settled(config_path)


def _stopped(desk: Desk, config_path: str | None) -> Report:
    last = plan.load(Path(load(config_path).server.state))
    if last is None:
        raise Fault("not_found", "There was no drill yet.")
    desk.ask("DELETE", f"/api/drill/{last.id}")
    return _settled(config_path)


def _settled(config_path: str | None) -> Report:
    """The report, once the calls that were drilled have ended, or have had their time."""
    until = time.monotonic() + SETTLE_S
    report = _last(config_path)
    while report.drilled.open and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S / 4)
        report = _last(config_path)
    return report


def _last(config_path: str | None) -> Report:
    state = Path(load(config_path).server.state)
    last = plan.load(state)
    if last is None:
        raise Fault("not_found", "There was no drill yet.")
    return _of(state, last)


def _of(state: Path, drill: Drill) -> Report:
    store = Store(state)
    try:
        store.fold()
        rows = store.tried(drill.started_ms - BEFORE_MS, drill.ended_ms + 1)
    finally:
        store.close()
    return reported(drill, rows, int(time.time() * 1000))


# --- of recorded traffic -------------------------------------------------------------------------------


async def _replayed(order: Order, config_path: str | None, folder: str, count: int) -> Report:
    config = load(config_path)
    state = Path(config.server.state)
    if order.provider not in config.catalogue.providers:
        raise Fault("not_found", f"No provider {order.provider!r} is on here.")
    plan.undisturbed(state, order.provider, order.route)
    chosen = _chosen(Path(folder) if folder else state, order.route, count)
    asker = Asker(config_path)
    try:
        director = asker.app().director
        began_ms = int(time.time() * 1000)
        drill = order.drill(began_ms)
        director.begin(drill)
        _remark(f"Drill {drill.id}: {HOW[drill.how]} {len(chosen)} recorded calls.")
        gate = asyncio.Semaphore(TOGETHER)

        async def ask(recording: Recording) -> None:
            async with gate:
                if director.drill is not None and director.drill.running(int(time.time() * 1000)):
                    await asker.replay(recording, recording.route, f"drill={drill.id}")

        await asyncio.gather(*(ask(recording) for recording in chosen))
        director.end("all recordings were replayed")
        drill = director.drill or drill
    finally:
        await asker.close()
    store = Store(state)
    try:
        store.fold()
        rows = store.tried(began_ms, int(time.time() * 1000) + 1)
    finally:
        store.close()
    return reported(drill, [*_recorded(chosen, began_ms), *rows], int(time.time() * 1000), "recorded")


def _chosen(folder: Path, route: str, count: int) -> list[Recording]:
    chosen: list[Recording] = []
    for recording in Recordings(folder).read(route or None):
        if len(chosen) >= count:
            break
        chosen.append(recording)
    if not chosen:
        of = f" of {route!r}" if route else ""
        raise Fault("not_found", f"There are no recordings{of} in {folder}.")
    return chosen


def _recorded(chosen: list[Recording], began_ms: int) -> Iterator[Tried]:
    """Recordings as the attempts that they were, to be compared with."""
    for one in chosen:
        at_ms, state = began_ms - 1, "void" if one.fault or one.status != HTTPStatus.OK else "settled"
        fault = one.fault or (None if one.status == HTTPStatus.OK else "provider_error")
        yield Tried(
            f"recorded {one.id}", 1, one.route, one.provider, one.model, None, state, at_ms,
            at_ms + int(one.duration_ms), one.cost_nanousd, fault, one.losses, None,
        )  # fmt: skip


# --- for people ----------------------------------------------------------------------------------------


def _remark(text: str) -> None:
    click.echo(text, err=True)


def _bar(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", nl=False, err=True)


def _show(out: "Console", report: Report) -> None:
    drill, felt = report.drill, report.drilled
    why = f": {drill.stopped_why}" if drill.stopped_why else ""
    out.print(styled((drill.provider, "bold"), f" {drill.how}, {report.state}{why}"))
    if not felt.calls:
        out.print("No call was drilled: nothing went there in that time.")
        return
    out.print(
        f"{felt.calls:,} calls drilled: {felt.answered:,} answered, {felt.failed:,} failed, {felt.left:,}"
        f" left, {felt.open:,} still open.",
        highlight=False,
    )
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("route", overflow="fold")
    for column in NUMBERS:
        table.add_column(column, justify="right")
    table.add_column("answered by", overflow="fold")
    for one in report.routes:
        mine = one.drilled
        by = ", ".join(f"{name} {count:,}" for name, count in one.by.items()) or "-"
        table.add_row(
            one.route, f"{mine.calls:,}", _success(mine), _number(mine.median_ms),
            _number(one.added_median_ms, "+"), _number(mine.p95_ms), _number(one.added_p95_ms, "+"),
            _money(one.added_cost_nanousd), _number(one.added_losses, "+"), by,
        )  # fmt: skip
    out.print(table)
    words = {"now": "calls of the same minutes", "before": "the hour before", "recorded": "the recordings"}
    beside = ", ".join(words[word] for word in dict.fromkeys(one.beside for one in report.routes))
    out.print(f"Added: a call, compared with {beside}.", style="dim", highlight=False)
    diverted = sum(one.diverted.calls for one in report.routes)
    if diverted:
        told = "more calls did not meet it: breakers, or the route itself, sent them elsewhere."
        out.print(f"{diverted:,} {told}", style="dim", highlight=False)
    for lost in report.lost[:10]:
        what = "no other provider" if lost.alone else "nobody answered"
        tried = ", ".join(lost.tried)
        out.print(f"  lost: {lost.call} of {lost.route}: {lost.fault}; {what} ({tried})")
    if report.lost_count > 10:
        out.print(f"  ... and {report.lost_count - 10} more; --json has the first 50.", style="dim")


def _success(felt: Felt) -> str:
    success = felt.success
    return "-" if success is None else f"{success:.1%}"


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.1f}" if abs(value) < 10 else f"{value:{sign},.0f}"


def _money(nanousd: float | None) -> str:
    return "-" if nanousd is None else f"{'+' if nanousd >= 0 else ''}{usd(round(nanousd))}"
