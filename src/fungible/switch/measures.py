"""The table of measures: what is measured of an answer, and how much worse is still good enough.

A measure is a number in 0..1 and more is better, each of them: 1 is answered, valid, the same. None means
that it does not apply (no tool was asked for) or cannot be told (an extra is missing); it is neither good nor
bad, and the pair is left out of that measure. What counts a failure as 1, a guard, takes 1 minus it.

    of one      can be told of an answer alone, so also of live traffic
    of two      is told of an answer beside the incumbent's recorded one; the incumbent's own score is 1, or,
                where it was asked again, that of its new answer: models differ from themselves, too
    asked       only where the user gives the check, the scorer or the judge

`margin` is by how much the mean may be worse (0.01: one more in a hundred requests to which it applies).
None: it is shown and decides nothing, until the user gives it a margin.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from ..faults import Fault
from ..models import nearest_name

Kind = Literal["one", "two", "asked"]


class Measure(NamedTuple):
    kind: Kind
    margin: float | None
    title: str  # as a reader of the report sees it
    says: str


MEASURES: Mapping[str, Measure] = {
    "answered": Measure("one", 0.01, "Answered", "There is an answer with something in it, and no error."),
    "willing": Measure("one", 0.01, "Not refused", "The model did not decline, by mark or by its words."),
    "finished": Measure("one", 0.01, "Finished", "It ended by itself: no limit cut it, nothing withheld it."),
    "schema": Measure("one", 0.01, "Schema kept", "The answer fits the JSON Schema that was asked for."),
    "calls": Measure("one", 0.01, "Calls valid", "Each call is to a tool there is, and fits its schema."),
    "language": Measure("one", 0.02, "Language", "The answer is in the language it was asked in."),
    "timely": Measure("one", 0.02, "In time", "The answer was there within the time that the user set."),
    "tools": Measure("two", 0.05, "Same tools", "The same tools are called, with arguments that mean alike."),
    "exact": Measure("two", None, "Same text", "The texts are equal, white space aside."),
    "format": Measure("two", None, "Same format", "JSON, code, lists, tables, headings: both have the same."),
    "length": Measure("two", None, "Like length", "Neither text is thrice as long as the other."),
    "whole": Measure("two", None, "No loss", "Translation lost no more than it did for the incumbent."),
    "check": Measure("asked", 0.02, "Checks", "The answer passes the check that the user gave for it."),
    "scorer": Measure("asked", 0.02, "Own scorer", "What the user's own scorer says."),
    "closeness": Measure("asked", None, "Closeness", "How near the texts are, by an embedding model."),
    "judge": Measure("asked", 0.05, "Judge", "What a judging model prefers: 1 won, 0.5 a tie, 0 lost."),
}  # fmt: skip


def margins(given: Mapping[str, float | None], names: Iterable[str]) -> dict[str, float]:
    """The margin of each measure that decides, of those in `names`.

    `given` comes before the table; None there takes a measure out. Raises `Fault` for a name or a margin
    that is none.
    """
    for name, margin in given.items():
        if name not in MEASURES:
            raise Fault(
                "bad_request",
                f"There is no measure {name!r}.{nearest_name(name, list(MEASURES))} "
                f"There are: {', '.join(MEASURES)}.",
                path="margin",
            )
        if margin is not None and not 0.0 <= margin < 1.0:
            raise Fault(
                "bad_request",
                f"The margin of {name} must be at least 0 and below 1, such as 0.02, not {margin:g}.",
                path="margin",
            )
    chosen = {name: given[name] if name in given else MEASURES[name].margin for name in names}
    return {name: margin for name, margin in chosen.items() if margin is not None}
