"""The judge of the theorem: `read(write(x)) == x` except exactly at the reported losses.

`violations(x, y, losses)` walks both values side by side. `losses` are paths in the canonical tree, so x
was `located` and the writer's report had an empty table of names.

* What is not at or under a reported path must be equal, and lists must pair up item by item.
* An item that was lost may be missing; one that was changed may stand elsewhere. An item that x does not
  have is allowed only if what it says comes from something reported as changed or approximated.
* `auto` beside a word on parallel calls is no choice of a tool: it is what holds without one, and one wire
  cannot say the second without the first.
* A reported loss must be a real one: without it, the rest must fail to hold.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from fungible import ir
from fungible.losses import Loss
from fungible.translate import tidy

KIND = "<kind>"


def tree(value: Any) -> Any:
    """Nodes as dicts of what they hold: absent fields left out, extras beside the fields, no `at`.

    Nor who signed a thought: a writer that may not write the signature reports the signature.
    """
    if isinstance(value, ir.Node):
        fields = {
            f: tree(getattr(value, f)) for f in value.__struct_fields__ if f not in ("at", "extras", "signer")
        }
        held = {KIND: type(value).__name__} | {f: v for f, v in fields.items() if v not in (None, [])}
        if value.extras is not None:
            held |= {name: [value.extras.dialect, v] for name, v in value.extras.fields.items()}
        return held
    if isinstance(value, tuple | list):
        return [tree(item) for item in value]
    return value


def without_bare_auto(request: dict[str, Any]) -> dict[str, Any]:
    """A choice left to the model, for a wire that says so to say `parallel_tool_calls` alone."""
    choice = request.get("tool_choice")
    if choice is None or choice["mode"] != "auto" or "allowed" in choice or "name" in choice:
        return request
    left = {name: v for name, v in choice.items() if name != "mode"}
    return {
        name: v if name != "tool_choice" else left
        for name, v in request.items()
        if name != "tool_choice" or len(left) > 1
    }


class Judge:
    """Whether two trees are equal but for `losses`."""

    def __init__(self, whole: Any, losses: Iterable[Loss], mapped: Collection[str]) -> None:
        self.lost: dict[str, set[str]] = {}
        for loss in losses:
            self.lost.setdefault(loss.path, set()).add(loss.kind)
        self.moved = self._moved(whole, "", False)
        self.mapped = mapped  # names of fields whose values were changed, also of what moved

    def _moved(self, x: Any, path: str, inside: bool) -> list[str]:
        """The texts of everything that was reported as changed or approximated."""
        inside = inside or bool(self.lost.get(path, set()) & {"changed", "approximated"})
        if isinstance(x, dict):
            return [t for k, v in x.items() if k != KIND for t in self._moved(v, join(path, k), inside)]
        if isinstance(x, list):
            return [t for i, v in enumerate(x) for t in self._moved(v, f"{path}[{i}]", inside)]
        if not inside or not isinstance(x, str | int | float) or not str(x):
            return []
        escaped = json.dumps(str(x), ensure_ascii=False)[1:-1]  # as it stands in arguments, a JSON text
        return [str(x)] if escaped == str(x) else [str(x), escaped]

    def same(self, x: Any, y: Any, path: str = "") -> bool:
        if path in self.lost:
            return True
        if isinstance(x, dict) and isinstance(y, dict):
            return all(self._same_field(x, y, name, join(path, name)) for name in {**x, **y})
        if isinstance(x, list) and isinstance(y, list):
            return self._pair(x, y, path, 0, 0)
        if isinstance(x, str) and isinstance(y, str) and x != y:
            return self._grown(x, y) or (path.endswith(".arguments") and same_json(x, y))
        return type(x) is type(y) and bool(x == y)

    def _same_field(self, x: dict[str, Any], y: dict[str, Any], name: str, path: str) -> bool:
        if path in self.lost:
            return True
        if name not in y:
            return self.gone(x[name], path)
        return name in x and self.same(x[name], y[name], path)

    def gone(self, x: Any, path: str, but: str = "") -> bool:
        """Whether nothing of `x` is left to be carried. `but`: a kind of loss that leaves something."""
        if path in self.lost:
            return self.lost[path] != {but}
        if isinstance(x, dict):
            return all(self.gone(v, join(path, k), but) for k, v in x.items() if k != KIND) and len(x) > 1
        return (
            isinstance(x, list)
            and bool(x)
            and all(self.gone(v, f"{path}[{i}]", but) for i, v in enumerate(x))
        )

    def _left_out(self, x: Any, at: str) -> bool:
        """Whether an item of a list may be missing: what is approximated inside it still needs its place."""
        return at in self.lost or self.gone(x, at, "approximated")

    def _pair(self, xs: list[Any], ys: list[Any], path: str, i: int, j: int) -> bool:
        if i == len(xs) and j == len(ys):
            return True
        if i < len(xs):
            at = f"{path}[{i}]"
            if self._left_out(xs[i], at) and self._pair(xs, ys, path, i + 1, j):
                return True
            kinds = self.lost.get(at, set())
            if j < len(ys):
                replaced = bool(kinds - {"dropped"})
                if (replaced or (at not in self.lost and self.same(xs[i], ys[j], at))) and self._pair(
                    xs, ys, path, i + 1, j + 1
                ):
                    return True
        return j < len(ys) and self._from_moved(ys[j]) and self._pair(xs, ys, path, i, j + 1)

    def _from_moved(self, y: Any) -> bool:
        texts = [t for t in texts_of(y, self.mapped) if t]
        told = bool(self.moved) or any(kinds - {"dropped"} for kinds in self.lost.values())
        return told and all(any(t in m or m in t for m in self.moved) for t in texts)

    def _grown(self, x: str, y: str) -> bool:
        """`y` is `x` and beside it only what moved there."""
        if not x or x not in y:
            return False
        rest = y.replace(x, "", 1)
        for text in sorted(self.moved, key=len, reverse=True):
            rest = rest.replace(text, "", 1)
        return bool(self.moved) and not rest.strip()


def covered(path: str, above: str) -> bool:
    return len(path) > len(above) and path.startswith(above) and path[len(above)] in ".["


def same_json(x: str, y: str) -> bool:
    """Arguments written as an object on the wire keep their value; spaces and escapes may be others."""
    try:
        return bool(json.loads(x) == json.loads(y))
    except ValueError:
        return False


def texts_of(value: Any, but: Collection[str]) -> list[str]:
    """What a node says, without the words that say what it is, and without the fields named in `but`."""
    if isinstance(value, dict):
        left = [v for k, v in value.items() if k not in (KIND, "role", "media_type") and k not in but]
        return [t for v in left for t in texts_of(v, but)]
    if isinstance(value, list):
        return [t for v in value for t in texts_of(v, but)]
    return [str(value)] if isinstance(value, str) else []


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


ORDER = "message_order"


def violations(x: ir.Node, y: ir.Node, losses: Iterable[Loss]) -> list[str]:
    """What is wrong with `y` as what is left of `x` after `losses`. Nothing: the theorem holds."""
    losses = tuple(losses)
    left, right, told = tree(x), tree(y), tidy(losses)
    if right.get("parallel_tool_calls") is not None and right.get("tool_choice") is None:
        left = without_bare_auto(left)
    mapped = {loss.path.rpartition(".")[2] for loss in losses}
    judge = Judge(left, told, mapped)
    if not judge.same(left, right):
        return ["differs where no loss is reported: " + first_difference(left, right, judge)]
    idle = []
    for loss in told:
        if any(covered(loss.path, other.path) for other in told):
            continue  # it went with what was moved or approximated as a whole
        rest = [other for other in told if other is not loss]
        if loss.why == ORDER and any(other.why == ORDER for other in rest):
            continue  # of two that changed places either may be said to have moved
        if not any(other.path == loss.path for other in rest) and Judge(left, rest, mapped).same(left, right):
            idle.append(f"reported and yet carried: {loss.path} ({loss.kind}, {loss.why})")
    return idle


def first_difference(x: Any, y: Any, judge: Judge, path: str = "") -> str:
    if isinstance(x, dict) and isinstance(y, dict):
        for name in {**x, **y}:
            at = join(path, name)
            if not judge._same_field(x, y, name, at):
                return first_difference(x.get(name), y.get(name), judge, at)
    if isinstance(x, list) and isinstance(y, list) and len(x) == len(y):
        for i, (a, b) in enumerate(zip(x, y, strict=True)):
            if not judge.same(a, b, f"{path}[{i}]"):
                return first_difference(a, b, judge, f"{path}[{i}]")
    return f"{path}: {x!r} became {y!r}"


def located(node: Any, at: str = "") -> Any:
    """The same value with `at` set to its place in the canonical tree."""
    fields: dict[str, Any] = {"at": at}
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if isinstance(value, ir.Node):
            fields[name] = located(value, join(at, name))
        elif isinstance(value, tuple):
            fields[name] = tuple(
                located(item, f"{join(at, name)}[{i}]") if isinstance(item, ir.Node) else item
                for i, item in enumerate(value)
            )
    return msgspec.structs.replace(node, **fields)
