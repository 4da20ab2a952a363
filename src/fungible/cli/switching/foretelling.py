"""What a rollout's comparisons will cost, said before it begins: by the road, and the route's last week."""

from collections.abc import Iterable

import click

from ...account import Traffic
from ...money import NANO, usd
from ...switch.anew import added
from ...switch.plan import Plan, road

WEEK_DAYS = 7


def foretell(plan: Plan, week: Iterable[Traffic]) -> None:
    """On stderr; `week` is all that was asked in the last seven days."""
    if not plan.anew:
        return
    mine = [row for row in week if row.route == plan.route]
    calls, cost = sum(row.calls for row in mine), sum(row.cost_nanousd for row in mine)
    priced = calls > 0 and not any(row.cost_unknown for row in mine)
    said = []
    for stage in road(plan)[:-1]:
        more = added(plan, stage)
        money = f" (some ${cost * more / WEEK_DAYS / NANO:.2f} a day)" if priced else ""
        said.append(f"{stage.state} {100 * stage.share:.3g} %: {100 * more:.3g} % more calls{money}")
    why = "" if priced else " What they cost is not known: the last week's calls have no price."
    cap = f" at most ${usd(plan.anew_nanousd)} in all" if plan.anew_nanousd is not None else " no budget"
    click.echo(f"The incumbent is asked anew,{cap}. {'; '.join(said)}.{why}", err=True)
