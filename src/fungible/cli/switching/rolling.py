"""`fungible switch start`, `status`, `promote`, `rollback`, `history`: a rollout, from the command line.

They write to the state folder; a server that runs there sees it within a second or two, and one that does
not, when it starts.
"""

import json
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import msgspec

from ... import config as configuration
from ...config import Config
from ...faults import Fault
from ...gateway import Prices
from ...models import Catalogue, Target
from ...money import NANO, Price
from ...policies.share import read_mark
from ...prices import PriceBook
from ...store import Switches, has_switches
from ...switch import account
from ...switch.alone import unmeasured
from ...switch.pilot import Flight, plan_of, row_of, standing_of
from ...switch.plan import BY, GUARDS, STEPS, Plan, guards_of, road, steps_of
from ...switch.rollout import LIVE, STATES, Event, Move, evidence, moved, start
from ..options import config_option, console, json_option, load, store_of, styled
from .foretelling import WEEK_DAYS, foretell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SALT_BYTES = 16
DAY_MS = 86_400_000
FINE, BAD, BUSY = "bold green", "bold red", "bold yellow"
LOOKS = {"done": FINE, "rolled_back": BAD, "waiting": BUSY}


def switches_of(config_path: str | None) -> Switches:
    """The state's switches. Raises `Fault` (not_found) where there has never been one."""
    state = Path(configuration.load_server(config_path).state)
    if not has_switches(state):
        raise Fault("not_found", "There has been no switch here yet: `fungible switch start` begins one.")
    return Switches(state)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@click.command("start")
@click.option("--route", required=True, help="The name that applications ask for.")
@click.option("--to", "candidate", required=True, metavar="TARGET", help="The candidate: provider/model.")
@click.option(
    "--steps",
    default=",".join(f"{100 * step:g}" for step in STEPS),
    show_default=True,
    help="Percent of the traffic, by steps.",
)
@click.option("--shadow", type=click.IntRange(0), default=0, help="First compare N answers, unserved.")
@click.option(
    "--shadow-share",
    type=click.FloatRange(0, 100, min_open=True),
    default=100.0,
    show_default=True,
    help="Percent of the traffic that is asked twice in shadow.",
)
@click.option("--shadow-budget-usd", type=click.FloatRange(0, min_open=True), help="What it may cost.")
@click.option(
    "--anew",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    help="Percent of the candidate's answers for which the incumbent is asked the same, to compare them.",
)
@click.option("--anew-budget-usd", type=click.FloatRange(0, min_open=True), help="What that may cost.")
@click.option("--judge", metavar="MODEL", help="Let this model compare the answers, too, in both orders.")
@click.option(
    "--judge-share",
    type=click.FloatRange(0, 100, min_open=True),
    default=100.0,
    show_default=True,
    help="Percent of what is compared that it is shown.",
)
@click.option(
    "--by",
    type=click.Choice(list(BY)),
    default="conversation",
    show_default=True,
    help="Who sticks to a model.",
)
@click.option("--auto/--ask", default=True, help="Promote by itself (default), or ask a person each time.")
@click.option(
    "--guard",
    "guards",
    multiple=True,
    metavar="GUARD",
    help=f"NAME, NAME=off or NAME:tolerance=0.01,margin=0.02,over=2s; of {', '.join(GUARDS)}.",
)
@click.option(
    "--min-calls",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Answers of the candidate that a step takes at least.",
)
@click.option(
    "--min-seconds",
    type=click.IntRange(0),
    default=60,
    show_default=True,
    help="How long a step takes at least.",
)
@click.option(
    "--window-seconds",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="How long after its first the answers of a conversation or user are waited for.",
)
@click.option(
    "--holdback",
    type=click.FloatRange(0, 50),
    default=0.0,
    help="Percent that the incumbent keeps at the end, for comparison.",
)
@click.option("--holdback-hours", type=click.FloatRange(0), default=24.0, show_default=True)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The probability of rolling back a candidate that is as good.",
)
@config_option
@json_option
def start_switch(route: str, candidate: str, config_path: str | None, as_json: bool, **said: Any) -> None:
    """Begin to move a route to another model, step by step, with a way back.

    A share of the route's conversations (or users, or calls) is answered by the candidate, beside the
    incumbent. Guards compare the two as answers come; when one has shown harm, everything goes back within
    seconds. All traffic goes over when every guard has shown that the candidate is no worse.
    """
    config = load(config_path)
    plan = planned(config, route, candidate, **said)
    switches = Switches(Path(config.server.state))
    _not_half_done(switches, plan)
    now = _now_ms()
    if plan.anew:
        foretell(plan, store_of(config_path).traffic(now - WEEK_DAYS * DAY_MS), _price(config, plan.judge))
    at = start(plan, now)
    move = row_of(Move(at, at, "start", "a person", f"From {plan.incumbents[0]} to {plan.candidate}.", {}))
    name = switches.begin(route, msgspec.json.encode(plan), secrets.token_bytes(SALT_BYTES), move, LIVE)
    for guard, mend in unmeasured().items():
        if any(guard == each.name for each in plan.guards):
            click.echo(f"The guard {guard!r} sees nothing until a library is installed: {mend}", err=True)
    _tell(switches, name, as_json)


def planned(
    config: Config,
    route: str,
    candidate: str,
    *,
    steps: str,
    shadow: int,
    shadow_share: float,
    shadow_budget_usd: float | None,
    anew: float,
    anew_budget_usd: float | None,
    judge: str | None,
    judge_share: float,
    by: str,
    auto: bool,
    guards: tuple[str, ...],
    min_calls: int,
    min_seconds: int,
    window_seconds: int,
    holdback: float,
    holdback_hours: float,
    alpha: float,
) -> Plan:
    """What was said, against the configuration. Raises `Fault` for what cannot be."""
    catalogue = config.catalogue.knowing(PriceBook.load(config.server.state))
    asked, wanted = catalogue.route(route), catalogue.route(candidate)
    if len(wanted.targets) != 1:
        raise Fault(
            "bad_request", f"--to must be one model, and {candidate!r} is a route of several.", path="to"
        )
    target = wanted.targets[0]
    if target.name == asked.targets[0].name:
        raise Fault("bad_request", f"{route!r} is answered by {target.name} already.", path="to")
    if shadow_budget_usd is not None:
        _priced(config, target, "shadow-budget-usd")
    if anew_budget_usd is not None:
        for each in (*asked.targets, *(catalogue.route(judge).targets if judge else ())):
            _priced(config, each, "anew-budget-usd")
    return Plan(
        route=route,
        candidate=target.name,
        incumbents=tuple(t.name for t in asked.targets),
        first=asked.strategy == "failover",
        by=by,
        steps=steps_of(steps),
        shadow=shadow,
        shadow_share=shadow_share / 100,
        shadow_nanousd=None if shadow_budget_usd is None else round(shadow_budget_usd * NANO),
        anew=anew / 100,
        anew_nanousd=None if anew_budget_usd is None else round(anew_budget_usd * NANO),
        judge=_judge(catalogue, judge, anew),
        judged=judge_share / 100,
        holdback=holdback / 100,
        holdback_s=round(holdback_hours * 3600),
        auto=auto,
        calls_min=min_calls,
        stage_s=min_seconds,
        window_s=window_seconds,
        guards=guards_of(guards, anew=anew > 0, judge=judge is not None),
        alpha=alpha,
    )


def _judge(catalogue: Catalogue, name: str | None, anew: float) -> str | None:
    """The one model meant. Raises `Fault`."""
    if name is None:
        return None
    if not anew:
        raise Fault(
            "bad_request",
            "--judge compares a sample of the answers with new ones of the incumbent's: say how many percent,"
            " such as --anew 20.",
            path="judge",
        )
    targets = catalogue.route(name).targets
    if len(targets) != 1:
        raise Fault(
            "bad_request", f"--judge must be one model, and {name!r} is a route of several.", path="judge"
        )
    return targets[0].name


def _priced(config: Config, target: Target, budget: str) -> None:
    if _price(config, target.name) is None:
        raise Fault(
            "bad_request",
            f"The price of {target.name} is not known, so no budget can be kept: set it in"
            f' [model."{target.name}"], or start without --{budget}.',
            path=budget,
        )


def _price(config: Config, target: str | None) -> Price | None:
    """Now, of one model. None: not known, or nobody is meant."""
    if target is None:
        return None
    book = PriceBook.load(config.server.state)
    catalogue = config.catalogue.knowing(book)
    return Prices(catalogue, book.find)(catalogue.route(target).targets[0], _now_ms())


def _not_half_done(switches: Switches, plan: Plan) -> None:
    """A switch that is done stays in force until the configuration says the same."""
    rows = [row for row in switches.all() if row.route == plan.route and row.state == "done"]
    if rows and plan_of(rows[-1]).candidate != plan.incumbents[0]:
        done = plan_of(rows[-1]).candidate
        raise Fault(
            "conflict",
            f"{plan.route!r} has gone to {done} (switch {rows[-1].id}) and its configuration does not say so:"
            f" put {done!r} first in [route.{plan.route}] targets, or roll the switch back, and start again.",
        )


@click.command("status")
@click.argument("switch", required=False)
@config_option
@json_option
def status(switch: str | None, config_path: str | None, as_json: bool) -> None:
    """Where switches stand: SWITCH is an id or a route; all of them by default."""
    state = Path(configuration.load_server(config_path).state)
    if switch is None and not has_switches(state):
        click.echo("[]" if as_json else "No route is, or was, on its way to another model.")
        return
    switches = switches_of(config_path)
    rows = switches.all() if switch is None else [account.found(switches.all(), switch)]
    told = [account.told(switches, row) for row in rows]
    if as_json:
        click.echo(json.dumps(told if switch is None else told[0]))
        return
    out = console()
    for one in told:
        _show(out, one)


@click.command("history")
@click.argument("switch", required=False)
@config_option
@json_option
def history(switch: str | None, config_path: str | None, as_json: bool) -> None:
    """Every move of a switch, with who made it, why, and the evidence at that moment."""
    switches = switches_of(config_path)
    row = account.found(switches.all(), switch)
    moves = account.history(switches, row.id)
    if as_json:
        click.echo(json.dumps(moves))
        return
    plan, out = plan_of(row), console()
    for move in moves:
        at = datetime.fromtimestamp(move["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        after = move["after"]
        place = f"{after['state'].replace('_', ' ')} {100 * road(plan)[after['stage']].share:g} %"
        out.print(styled((at, "dim"), f"  {move['event']} by {move['by']}: {place}"))
        if move["why"]:
            out.print(f"    {move['why']}", highlight=False)


@click.command("promote")
@click.argument("switch", required=False)
@click.option("--why", default="", help="A word for the history.")
@config_option
@json_option
def promote(switch: str | None, why: str, config_path: str | None, as_json: bool) -> None:
    """Go on to the next stage now, whatever is shown so far. SWITCH is an id or a route."""
    _by_hand("promote", LIVE, switch, why, config_path, as_json)


@click.command("rollback")
@click.argument("switch", required=False)
@click.option("--why", default="", help="A word for the history.")
@config_option
@json_option
def rollback(switch: str | None, why: str, config_path: str | None, as_json: bool) -> None:
    """Give everything back to the incumbent, within seconds. SWITCH is an id or a route."""
    _by_hand("rollback", (*LIVE, "done"), switch, why, config_path, as_json)


@click.command("score")
@click.option(
    "--scores", "path", required=True, metavar="FILE", help="One score a line; - is standard input."
)
@config_option
@json_option
def score(path: str, config_path: str | None, as_json: bool) -> None:
    """Tell the guard `judge` what calls of a switch were worth, as they are judged elsewhere.

    Each line is {"call": "the x-fungible-call header", "score": 0..1}, more is better; a sample is enough, if
    chance draws it. A call that was in no switch, or not answered by its first choice, is passed over.
    """
    switches = switches_of(config_path)
    store = store_of(config_path)
    rows, over = [], 0
    for number, line in enumerate(_lines(path), 1):
        call, value = _scored(line, number)
        attempt = next((row for row in store.attempts(call=call) if row["n"] == 1), None)
        mark = read_mark(attempt["tags"]) if attempt is not None else None
        if attempt is None or mark is None or attempt["state"] in ("open", "void", "unknown"):
            over += 1
            continue
        rows.append((attempt["attempt"], mark.tag(), _now_ms(), {"judge": 1.0 - value}))
    told = {"taken": switches.judge(rows, "judge"), "passed_over": over}
    told["again"] = len(rows) - told["taken"]
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"{told['taken']:,} taken, {told['again']:,} known already, {over:,} passed over.")


def _lines(path: str) -> list[str]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Fault("not_found", f"{path} cannot be read: {error}.") from None
    return [line for line in text.splitlines() if line.strip()]


class Scored(msgspec.Struct):
    call: str
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


def _scored(line: str, number: int) -> tuple[str, float]:
    try:
        read = msgspec.json.decode(line, type=Scored)
    except msgspec.DecodeError as error:
        raise Fault("bad_request", f"Line {number} is no score: {error}.", path=f"line {number}") from None
    return read.call, read.score


def _by_hand(
    event: Event, states: Any, name: str | None, why: str, config_path: str | None, as_json: bool
) -> None:
    switches = switches_of(config_path)
    for _ in range(3):  # the evidence may move it at the same moment
        row = account.found(switches.all(), name, states)
        seen = evidence(Flight(switches, row).tallies.values())
        move = moved(plan_of(row), standing_of(row), event, _now_ms(), "a person", why, seen)
        if switches.move(row.id, row_of(move)):
            break
    else:
        raise Fault("conflict", "The switch moved at the same moment: look at its status, and try again.")
    _tell(switches, row.id, as_json)


def _tell(switches: Switches, name: str, as_json: bool) -> None:
    told = account.told(switches, account.found(switches.all(), name))
    if as_json:
        click.echo(json.dumps(told))
    else:
        _show(console(), told)


def _show(out: "Console", told: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - as in `console`

    look = LOOKS.get(told["state"], "bold")
    title = f"{told['switch']}  {told['route']}: {told['from'][0]} -> {told['to']}  "
    out.print(styled(title, (told["state"].replace("_", " "), look), f" at {100 * told['share']:g} %"))
    out.print(f"    {STATES[told['state']]}", style="dim", highlight=False)
    table = Table(box=None, header_style="dim", pad_edge=True, padding=(0, 2, 0, 0))
    table.add_column("    guard")
    for column in ("candidate", "incumbent", "harm shown", "as good shown"):
        table.add_column(column, justify="right")
    for name, guard in told["guards"].items():
        rates = [
            "-" if guard[side] is None else f"{guard[side]:.2%} of {guard[f'{side}_outcomes']:,}"
            for side in ("candidate", "incumbent")
        ]
        table.add_row(f"    {name}", *rates, _bar(guard["harm"], BAD), _bar(guard["pass"], FINE))
    out.print(table, highlight=False)
    touched = told["touched"].get("candidate", {"calls": 0, "units": 0, "users": 0})
    served = f"served by the candidate: {touched['calls']:,} calls, {touched['users']:,} users"
    for side, count in told["passed_over"].items():
        served += f"; the {side} was not asked for {count:,}" if count else ""
    out.print(f"    {served}", highlight=False)


def _bar(progress: float, look: str) -> "Text":
    return styled(("yes", look) if progress >= 1 else f"{progress:.0%} of the way")
