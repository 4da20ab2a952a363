"""Arguments that come in pieces: `functionCall.partialArgs`, each the value at a JSON path, or more of it.

Source: Vertex AI's reference, PartialArg, and the guide, Streaming function call arguments. A path is `$`,
then `.name`, `['name']` or `[index]` steps. A string grows with each piece of its path.
"""

import itertools
import re
from typing import Any

from ...ir import Json
from .shape import spelled

_STEP = re.compile(r"\.([^.\[]+)|\[(\d{1,4})\]|\['([^']*)'\]")
_VALUES = ("stringValue", "numberValue", "boolValue")


class Growing:
    """The arguments so far."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: dict[str, Json] = {}

    def take(self, pieces: Json) -> None:
        """Pieces that are none are passed over: a stream is not stopped for them."""
        for piece in pieces if type(pieces) is list else ():
            if type(piece) is not dict:
                continue
            told = spelled(piece)
            path = told.get("jsonPath")
            steps = _steps(path) if type(path) is str else []
            if not steps:
                continue
            for name in _VALUES:
                if name in told:
                    self._put(steps, told[name])
                    break
            else:
                if "nullValue" in told:
                    self._put(steps, None)

    def _put(self, steps: list[str | int], value: Json) -> None:
        holder: Any = self.value
        for step, after in itertools.pairwise(steps):
            holder = _inside(holder, step, [] if type(after) is int else {})
            if holder is None:
                return
        old = _inside(holder, steps[-1], None, read=True)
        if type(old) is str and type(value) is str:
            value = old + value
        _set(holder, steps[-1], value)


def _steps(path: str) -> list[str | int]:
    found: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return []
        found.append(int(step[2]) if step[2] is not None else step[1] if step[1] is not None else step[3])
        at = step.end()
    return found


def _inside(holder: Any, step: str | int, new: Any, read: bool = False) -> Any:
    """What stands at `step`; unless it is only read, something of the kind of `new` is made there."""
    if type(holder) is list and type(step) is int:
        old = holder[step] if step < len(holder) else None
    elif type(holder) is dict:
        old = holder.get(str(step))
    else:
        return None
    if read or type(old) in (list, dict):
        return old
    _set(holder, step, new)
    return new


def _set(holder: Any, step: str | int, value: Any) -> None:
    if type(holder) is dict:
        holder[str(step)] = value
    elif type(holder) is list and type(step) is int:
        holder.extend([None] * (step + 1 - len(holder)))
        holder[step] = value
