"""What a rollout's comparisons will cost, said before it begins: by the road, and the route's last week."""

from collections.abc import Sequence

import click

from ...account import Traffic
from ...ir import Usage
from ...money import NANO, Price, cost, usd
from ...switch.anew import added, judged
from ...switch.forecast import JUDGING_TOKENS
from ...switch.jury import akin
from ...switch.plan import Plan, road

WEEK_DAYS = 7


def foretell(plan: Plan, week: Sequence[Traffic], judge: Price | None) -> None:
    """On stderr; `week` is all that was asked in the last week, `judge` the price of the judging model."""
    mine = [row for row in week if row.route == plan.route]
    calls, paid = sum(row.calls for row in mine), sum(row.cost_nanousd for row in mine)
    sitting = _sitting(mine, judge) if plan.judge is not None else 0
    known = calls > 0 and sitting is not None and not any(row.cost_unknown for row in mine)
    said = []
    for stage in road(plan)[:-1]:
        more = added(plan, stage)
        a_week = paid * more + calls * judged(plan, stage) * (sitting or 0)
        money = f" (some ${a_week / WEEK_DAYS / NANO:.2f} a day)" if known else ""
        seen = f", {100 * judged(plan, stage):.3g} % judged" if plan.judge is not None else ""
        said.append(f"{stage.state} {100 * stage.share:.3g} %: {100 * more:.3g} % more calls{seen}{money}")
    why = "" if known else " What they cost is not known: the last week's calls, or the judge, have no price."
    cap = f" at most ${usd(plan.anew_nanousd)} in all" if plan.anew_nanousd is not None else " no budget"
    click.echo(f"The incumbent is asked anew,{cap}. {'; '.join(said)}.{why}", err=True)
    for name in dict.fromkeys(akin(plan.judge, [plan.candidate, *plan.incumbents]) if plan.judge else ()):
        click.echo(f"The judge {plan.judge} is of one family with {name}, and may favour it.", err=True)


def _sitting(mine: Sequence[Traffic], price: Price | None) -> int | None:
    """What one pair costs in both orders, at the mean length of the route's calls; None: not known."""
    calls = sum(row.attempts for row in mine)
    if price is None or not calls:
        return None
    read, wrote = (sum(getattr(row, name) for row in mine) for name in ("input_tokens", "output_tokens"))
    shown, says = JUDGING_TOKENS
    usage = Usage(input_tokens=(read + 2 * wrote) // calls + shown, output_tokens=says)
    amount = cost(price, usage)
    return 2 * amount if amount is not None else None
