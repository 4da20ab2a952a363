"""`fungible switch rehearse`: recorded traffic replayed on candidates, and a verdict."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ...asker import Asker
from ...batching.batcher import Batcher
from ...batching.journal import Asked, Journal
from ...engine import ENGINES, Cluster, asker_of
from ...faults import Fault
from ...money import NANO, usd
from ...recordings import Recordings
from ...statement import moment_ms
from ...switch.agenda import planned
from ...switch.batched import Batched
from ...switch.checks import read_checks
from ...switch.findings import said
from ...switch.forecast import Forecast
from ...switch.jury import read_labels
from ...switch.rehearsal import ENDINGS, Progress, Rehearsal
from ...switch.runs import Run, Settings, fresh_name
from ...switch.scorers import scorers_of
from ..options import config_option, json_option, load
from .batches import ALWAYS, AUTO, batched, digest, no_batches_with, no_other_way, same_under_way
from .files import lines_of
from .showing import show

DECIDED = "decided"
CANCELED = "its batches are stopped"


@click.command("rehearse")
@click.option("--route", help="The name that applications ask for, as it was recorded.")
@click.option(
    "--to", "targets", multiple=True, metavar="TARGET", help="A candidate, provider/model; repeatable."
)
@click.option("--from", "incumbent", metavar="TARGET", help="Only what this target answered; any by default.")
@click.option("--n", "count", type=click.IntRange(1), help="Replay this many recordings, all of them.")
@click.option(
    "--until", type=click.Choice([DECIDED]), help="Replay until the verdict is reached; so by default."
)
@click.option("--since", metavar="WHEN", help="Recorded since: a date or an age (24h, 7d).")
@click.option("--budget-usd", metavar="USD", help="Stop before this is spent.")
@click.option(
    "--batch", is_flag=False, flag_value=ALWAYS, type=click.Choice([ALWAYS, AUTO]),
    help="Ask the candidates by their providers' batch APIs: cheaper, within a day; auto: where they can.",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="With --resume: stop its batches, and keep what they answered.")
@click.option("--concurrency", type=click.IntRange(1, 256), default=8, show_default=True)
@click.option("--per-minute", type=float, help="At most so many calls a minute.")
@click.option(
    "--anew", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE",
    help="Ask the incumbent again for this share of the conversations, to know its own noise.",
)  # fmt: skip
@click.option(
    "--margin", "margins", multiple=True, metavar="NAME=0.02",
    help="How much worse a measure may be; NAME=off: it decides nothing. Repeatable.",
)  # fmt: skip
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="The probability of a wrong verdict."
)
@click.option("--timely-ms", type=float, help="An answer later than this is too late: measured as `timely`.")
@click.option("--ordered", is_flag=True, help="The calls of one turn have an order.")
@click.option("--prompt", "prompt_file", metavar="FILE", help="Tell the candidates this prompt variant.")
@click.option("--judge", metavar="MODEL", help="Let this model compare the answers, in both orders.")
@click.option("--judge-share", "judged", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option(
    "--labels", metavar="FILE", help="Your own judgements, to measure the judge by; a JSON line each."
)
@click.option("--scorer", metavar="WHAT", help="Your own scorer: module:function, or a command in quotes.")
@click.option("--checks", metavar="FILE", help="What answers have to be; a JSON object a line.")
@click.option("--run-code", is_flag=True, help="Checks may run the code that models wrote.")
@click.option("--embedder", metavar="MODEL", help="Measure how near the texts are, by this embedding model.")
@click.option(
    "--probes", type=click.IntRange(0, 10_000), default=0, help="Pairs of twin questions, for bias."
)
@click.option("--engine", type=click.Choice(list(ENGINES)), default="here", show_default=True)
@click.option(
    "--workers", type=click.IntRange(1, 1000), default=2, show_default=True, help="Of the engine ray."
)
@click.option("--ray-address", metavar="HOST:PORT", help="A Ray cluster; one on this machine by default.")
@click.option(
    "--own-probes", type=click.IntRange(0, 10_000), default=0,
    help="Of so many recordings a twin about somebody else.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Which recordings chance draws.")
@click.option("--run", "name", help="What to call it.")
@click.option("--resume", metavar="RUN", help="Go on with a run; what is answered is not asked again.")
@config_option
@json_option
def rehearse(
    route: str | None, incumbent: str | None, count: int | None, since: str | None, budget_usd: str | None,
    concurrency: int, per_minute: float | None, engine: str, workers: int, ray_address: str | None,
    batch: str | None, cancel: bool, resume: str | None, config_path: str | None, as_json: bool,
    **wanted: Any,
) -> None:  # fmt: skip
    """Replay recorded traffic on a candidate: safe, not safe, or not yet known.

    Each recorded request is put to each candidate as its caller sent it; both answers are measured alike.
    What it will cost is said beforehand. A look at any time is allowed: stop it and go on with --resume.
    """
    state = load(config_path).server.state
    budget = _nanousd(budget_usd)
    command = digest(route, incumbent, count, since, batch, wanted)
    no_batches_with(batch, cancel, resume, engine, wanted)
    if resume is None and batch is not None:
        resume = same_under_way(state, command, wanted["name"])
    if resume is not None:
        run = Run.opened(state, resume)
        no_other_way(run, batch, cancel, engine)
    else:
        if route is None:
            raise click.UsageError("--route is missing: the name that applications ask for.")
        settings = _settings(state, route, budget, count, **wanted)
        since_ms = moment_ms(since, time.time()) if since is not None else None
        settings, drawing = planned(Recordings(state), settings, count, incumbent, since_ms)
        try:
            settings = asyncio.run(batched(settings, batch, config_path)) if batch else settings
            run = Run.begun(state, settings, drawing)
        finally:
            drawing.close()
        if settings.batched:
            Journal(run.folder).add(Asked(command))
    pace = {"concurrency": concurrency, "per_minute": per_minute, "budget_nanousd": budget}

    def asker() -> Asker | Cluster:
        if engine == "here":
            return Asker(config_path)
        return Cluster(asker_of(config_path), run.settings, workers, ray_address)

    asyncio.run(_rehearse(run, asker, pace, as_json, cancel))


def _settings(
    state: str, route: str, budget: int | None, count: int | None, *,
    targets: tuple[str, ...], until: str | None, name: str | None, margins: tuple[str, ...],
    labels: str | None, checks: str | None, run_code: bool, prompt_file: str | None, **same: Any,
) -> Settings:  # fmt: skip
    """`same`: the options that are settings as they stand."""
    return Settings(
        run=name or fresh_name(state, route),
        route=route,
        targets=targets,
        begun_ms=int(time.time() * 1000),
        until="all" if count is not None and until is None else DECIDED,
        margins=_margins(margins),
        budget_nanousd=budget,
        prompt="".join(lines_of(prompt_file)).strip() if prompt_file is not None else None,
        labels=read_labels(lines_of(labels)) if labels is not None else {},
        checks=read_checks(lines_of(checks), run_code=run_code) if checks is not None else {},
        **same,
    )


async def _rehearse(
    run: Run, made: Callable[[], Asker | Cluster], pace: Mapping[str, Any], as_json: bool, cancel: bool
) -> None:
    asker, batcher = made(), None
    try:
        with _bar() as told:
            pace = {**pace, "told": told, "scorers": scorers_of(run.settings, asker)}
            if run.settings.batched and isinstance(asker, Asker):
                run.hold()
                batcher = Batcher(run.settings.run, run.folder, asker, _remark)
                rehearsal: Rehearsal = Batched(run, asker, batcher, **pace)
            else:
                hands = asker if isinstance(asker, Cluster) else None
                rehearsal = Rehearsal(run, asker, hands=hands, **pace)
            if cancel and isinstance(rehearsal, Batched):
                await rehearsal.cancel()
                ending = CANCELED
            else:
                _foretell(run, rehearsal.forecast(), rehearsal.purse.limit)
                ending = ENDINGS[await rehearsal.go()]
    except (asyncio.CancelledError, Fault) as stop:
        if batcher is not None or not isinstance(stop, Fault):
            _remark(f"Stopped. Go on with: fungible switch rehearse --resume {run.settings.run}")
        if batcher is not None and batcher.under_way:
            _remark("Its batches go on at the provider's. Add --cancel to stop them.")
        raise
    finally:
        if batcher is not None:
            batcher.close()
        run.close()
        await asker.close()
    _remark(f"{run.settings.run}: {ending}; {usd(rehearsal.purse.spent)} USD spent.")
    document = said(rehearsal.standing)
    if as_json:
        click.echo(json.dumps(document))
    else:
        show(document)


def _foretell(run: Run, forecast: Forecast, limit: int | None) -> None:
    """What it will cost, before anything is asked. Raises Fault where a limit could not be kept."""
    settings = run.settings
    if forecast.unknown and limit is not None:
        names = ", ".join(forecast.unknown)
        raise Fault(
            "bad_request",
            f"The price of {names} is not known, so --budget-usd cannot be kept. Give it one: "
            f'[model."{forecast.unknown[0]}"] input_usd_per_mtok, output_usd_per_mtok; then go on with '
            f"--resume {settings.run}.",
            path="budget_usd",
        )
    most = "at most " if settings.until == DECIDED else ""
    cost = (
        f"about {usd(forecast.total)} USD" if not forecast.unknown else f"{usd(forecast.total)} USD and more"
    )
    unknown = f" (the price of {', '.join(forecast.unknown)} is not known)" if forecast.unknown else ""
    _remark(f"{settings.run}: {most}{forecast.calls:,} calls, {cost}{unknown}.")


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error, where somebody looks on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks on
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (TextColumn("replayed"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(
        *columns, TextColumn("{task.fields[said]}"), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=None, said="")

        def told(progress: Progress) -> None:
            words = ", ".join(sorted({word.replace("_", " ") for word in progress.words.values()}))
            spent = f"{progress.spent / NANO:.4f} USD, {words}"
            bar.update(task, total=progress.all, completed=progress.done, said=spent)

        yield told


def _margins(given: tuple[str, ...]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = None if value.strip() == "off" else float(value)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is not NAME=0.02 or NAME=off.", param_hint="--margin"
            ) from None
    return found


def _nanousd(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{text!r} is no amount in USD, such as 2.50.", param_hint="--budget-usd")
    return int(amount * NANO)


def _remark(text: str) -> None:
    click.echo(text, err=True)
