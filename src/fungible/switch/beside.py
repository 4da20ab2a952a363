"""Measures of two answers to the same request: the incumbent's recorded one, and another.

The other is the candidate's, or the incumbent's own when it was asked again, which tells how far the
incumbent is from itself. `beside` gives every measure of the kind `two` that `measures` has; None where it
does not apply, which is so whenever one of the two is no answer (`alone` counts that).

Tools. A turn's calls are compared as a set: they are asked for at once, and all wires let them run in any
order. Where the request forbids calls at once, or the user says so, their order counts. Arguments are
compared as their tool's schema reads them (`shapes`). Where neither calls a tool that was offered, the two
agree.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from ..faults import Fault
from ..ir import Reply, Request, Tool, ToolCall
from .reading import calls, looks, text, unfenced
from .shapes import ABSENT, alike, read

LENGTHS_MAX = 3.0
SHORT = 40  # characters below which texts are of like length


def beside(
    request: Request,
    recorded: Reply | Fault,
    other: Reply | Fault,
    *,
    recorded_losses: int = 0,
    other_losses: int = 0,
    ordered: bool = False,
) -> dict[str, float | None]:
    """Every measure of two answers. `ordered`: the calls of a turn have an order."""
    if isinstance(recorded, Fault) or isinstance(other, Fault):
        return {**dict.fromkeys(OF_TWO), "tools": None, "whole": None}
    scores = {name: of(recorded, other) for name, of in OF_TWO.items()}
    scores["tools"] = _tools(request, recorded, other, ordered)
    scores["whole"] = float(other_losses <= recorded_losses)
    return scores


def _tools(request: Request, recorded: Reply, other: Reply, ordered: bool) -> float | None:
    if not request.tools:
        return None
    schemas = {tool.name: tool.parameters for tool in request.tools if isinstance(tool, Tool)}
    ordered = ordered or request.parallel_tool_calls is False
    return float(same_calls(calls(recorded), calls(other), schemas, ordered=ordered))


def same_calls(
    one: tuple[ToolCall, ...], other: tuple[ToolCall, ...], schemas: Mapping[str, object], *, ordered: bool
) -> bool:
    """Whether both make the same calls, by name and meaning; ids are nobody's choice and do not count."""
    if Counter(call.name for call in one) != Counter(call.name for call in other):
        return False
    if ordered:
        return all(same_call(a, b, schemas) for a, b in zip(one, other, strict=True))
    left = list(other)
    for call in one:
        found = next((n for n, candidate in enumerate(left) if same_call(call, candidate, schemas)), None)
        if found is None:
            return False
        left.pop(found)
    return True


def same_call(one: ToolCall, other: ToolCall, schemas: Mapping[str, object]) -> bool:
    if one.name != other.name or one.custom != other.custom:
        return False
    if one.custom:
        return one.arguments.strip() == other.arguments.strip()
    first, second = read(one.arguments or "{}"), read(other.arguments or "{}")
    if first is ABSENT or second is ABSENT:
        return first is second and one.arguments.strip() == other.arguments.strip()
    return alike(first, second, schemas.get(one.name))


def _exact(recorded: Reply, other: Reply) -> float | None:
    one, two = text(recorded).split(), text(other).split()
    return float(one == two) if one or two else None


def _format(recorded: Reply, other: Reply) -> float | None:
    one, two = text(recorded), text(other)
    return float(looks(one) == looks(two)) if one.strip() and two.strip() else None


def _length(recorded: Reply, other: Reply) -> float | None:
    one, two = len(unfenced(text(recorded))), len(unfenced(text(other)))
    if not one or not two:
        return None
    return float(max(one, two) <= max(SHORT, LENGTHS_MAX * min(one, two)))


OF_TWO: dict[str, Callable[[Reply, Reply], float | None]] = {
    "exact": _exact,
    "format": _format,
    "length": _length,
}
