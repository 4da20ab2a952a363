"""`fungible switch adapt`: other words for a candidate, and what they are worth."""

import asyncio
import json
import time
from pathlib import Path

import click
import msgspec

from ...asker import Asker
from ...faults import Fault
from ...switch.adaptation import RECORDINGS_MAX, Proposal, parted, proposed
from ...switch.findings import said
from ...switch.rehearsal import Rehearsal
from ...switch.runs import Run, fresh_name
from ...switch.scorers import scorers_of
from ..options import config_option, json_option, load
from .showing import show


@click.command("adapt")
@click.argument("run")
@click.option(
    "--reflect", required=True, metavar="MODEL", help="The model that reads the failures and writes."
)
@click.option("--to", "target", metavar="TARGET", help="The candidate; the run's only one by default.")
@click.option(
    "--calls", type=click.IntRange(10, 100_000), default=200, show_default=True, help="To try with."
)
@click.option("--out", type=click.Path(dir_okay=False), help="Write the proposed prompt to this file.")
@config_option
@json_option
def adapt(
    run: str,
    reflect: str,
    target: str | None,
    calls: int,
    out: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Propose a changed prompt for the candidate of the rehearsal RUN, and rehearse it on unseen recordings.

    It learns from one part of the run's conversations, chooses by a second, and is judged by the rest.
    """
    state = load(config_path).server.state
    before = Run.opened(state, run)
    chosen = target or before.settings.targets[0]
    if chosen not in before.settings.targets or (target is None and len(before.settings.targets) > 1):
        names = ", ".join(before.settings.targets)
        raise Fault("bad_request", f"Which candidate? --to one of {names}.", path="to")
    proposal, document = asyncio.run(_adapt(state, before, chosen, reflect, calls, config_path))
    if out is not None:
        try:
            Path(out).write_text(proposal.prompt + "\n", encoding="utf-8")
        except OSError as error:
            raise Fault("bad_request", f"{out} cannot be written: {error.strerror}.") from None
    if as_json:
        click.echo(json.dumps({"proposal": proposal._asdict(), "rehearsal": document}))
        return
    click.echo(f"Proposed (mark {proposal.before:.3f} -> {proposal.mark:.3f} where it was chosen):\n")
    click.echo(proposal.prompt + "\n")
    click.echo("On recordings that it has not seen:")
    show(document)
    click.echo(f"To use it: prompt = ... beside target = {chosen!r} in the route.")


async def _adapt(
    state: str, before: Run, target: str, reflect: str, calls: int, config_path: str | None
) -> tuple[Proposal, dict[str, object]]:
    try:
        parts = parted(list(before.recordings(RECORDINGS_MAX)), before.settings.seed)
    finally:
        before.close()
    asker = Asker(config_path)
    try:
        proposal = await proposed(asker, before.settings, target, parts, reflect=reflect, calls=calls)
        settings = msgspec.structs.replace(
            before.settings,
            run=fresh_name(state, f"{before.settings.run}-adapted"),
            targets=(target,),
            begun_ms=int(time.time() * 1000),
            until="all",
            prompt=proposal.prompt,
            probes=0,
        )
        after = Run.of(state, settings, parts.unseen)
        try:
            rehearsal = Rehearsal(after, asker, scorers=scorers_of(settings, asker))
            await rehearsal.go()
        finally:
            after.close()
    finally:
        await asker.close()
    return proposal, said(rehearsal.standing)
