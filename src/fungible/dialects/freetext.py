"""Tools of free text, for wires that have none: a function with one field of text stands in for each.

Such a tool's call is text, not JSON (OpenAI guide, Function calling, Custom tools). A wire without them is
told of a function whose one field holds that text; the text's grammar becomes the field's description, which
a model may not follow to the letter. Out: `as_function`, `as_function_call`, and the HEAD, `escaped` text and
TAIL of a call that streams. Back, for a client that asked for such tools: `freed` and `Freeing` make a call
of the stand-in the call of the tool, however its JSON was cut. A model that did not keep to the field is
told as it wrote: all its arguments are the text.

Everything carried so is a loss `custom_tool`.
"""

import re
from collections.abc import Callable, Iterable
from typing import TypeGuard

import msgspec

from ..events import ArgumentsDelta, PartBegin, PartEnd, PartEvent, StreamEvent
from ..ir import Extras, Grammar, Json, Native, Part, Reply, Tool, ToolCall
from ..losses import Report
from .checked import BROKEN, Wire, an_object, decode, encode, need, others

FIELD = "input"
SAYS = "The whole input of the tool, as text."
FOLLOWS = "It follows this grammar ({syntax}):\n{definition}"

HEAD, TAIL = '{"' + FIELD + '":"', '"}'

WHY = "custom_tool"

_replace = msgspec.structs.replace
_TYPED = frozenset({"type"})

Names = frozenset[str]
NONE: Names = frozenset()


def names_of(tools: Iterable[Tool | Native]) -> Names:
    """Of the tools of free text among them."""
    return frozenset([tool.name for tool in tools if type(tool) is Tool and tool.custom])


def read_grammar(
    value: Json, at: str, fields: Wire, ours: Callable[[Wire], Extras | None], inner: str = ""
) -> Grammar | None:
    """A tool's `format` on the wires that have one: text, or a grammar, whose fields may stand in `inner`.

    `fields` takes what is unknown. Raises `Fault` (bad_request): a field is missing, or of another type.
    """
    if value is None:
        return None
    form = an_object(value, at)
    kind, known = form.get("type"), _TYPED
    if kind == "text":
        return Grammar(extras=ours(others(form, _TYPED)), at=at)
    if kind != "grammar":
        fields["format"] = form
        return None
    if inner:
        fields |= others(form, _TYPED | {inner}, "format.")
        at, known = f"{at}.{inner}", frozenset()
        form = an_object(form.get(inner), at)
    return Grammar(
        syntax=need(form, "syntax", str, at),
        definition=need(form, "definition", str, at),
        extras=ours(others(form, known | {"syntax", "definition"})),
        at=at,
    )


# --- out -----------------------------------------------------------------------------------------


def as_function(tool: Tool, report: Report) -> Tool:
    """The function that stands in for a tool of free text."""
    report.lose(tool, None, "approximated", WHY)
    says, grammar = SAYS, tool.grammar
    if grammar is not None and grammar.syntax is not None:
        says = f"{SAYS} {FOLLOWS.format(syntax=grammar.syntax, definition=grammar.definition)}"
    if grammar is not None:
        report.homeless(grammar)
    schema = {
        "type": "object",
        "properties": {FIELD: {"type": "string", "description": says}},
        "required": [FIELD],
        "additionalProperties": False,
    }
    return _replace(tool, parameters=schema, custom=False, grammar=None)


def as_function_call(call: ToolCall, report: Report) -> ToolCall:
    """A call of free text as the one of its stand-in."""
    report.lose(call, None, "changed", WHY)
    return _replace(call, arguments=HEAD + escaped(call.arguments) + TAIL, custom=False)


def escaped(text: str) -> str:
    """As it stands between HEAD and TAIL; pieces of a text add up to the whole's."""
    return encode(text).decode()[1:-1]


# --- back ----------------------------------------------------------------------------------------

_BEGUN = re.compile(rf'\s*\{{\s*"{FIELD}"\s*:\s*"')
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ONE = r"\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u]"
_WHOLE = re.compile(rf'(?:[^"\\]+|{_PAIR}|{_ONE})*')
_ESCAPE = re.compile(rf"{_PAIR}|{_ONE}", re.DOTALL)
"""A JSON string (RFC 8259, section 7) as far as it can be read: to its end, or to an escape that is cut."""


class _Said:
    """The text in a stand-in's arguments: pieces of their JSON in, pieces of the text out.

    `rest`: what stood behind the field, once all is read; it has no place in the text.
    """

    __slots__ = ("_held", "_state", "rest")

    def __init__(self) -> None:
        self._state = "head"  # then text, then tail; or odd: not the JSON that was asked for
        self._held = ""
        self.rest = ""

    def feed(self, piece: str) -> str:
        self._held += piece
        if self._state == "head":
            begun = _BEGUN.match(self._held)
            if begun is not None:
                self._state, self._held = "text", self._held[begun.end() :]
            elif not HEAD.startswith("".join(self._held.split())):
                self._state = "odd"
        return self._more() if self._state == "text" else ""

    def _more(self) -> str:
        whole = _WHOLE.match(self._held)[0]  # type: ignore[index]  # it matches nothing, too
        self._held = self._held[len(whole) :]
        if self._held[:1] == '"':
            self._state, self._held = "tail", self._held[1:]
        return _ESCAPE.sub(_meant, whole) if "\\" in whole else whole

    def end(self) -> str:
        """What is left. A text that was cut short is all that was read of it."""
        held, self._held = self._held, ""
        if self._state == "tail":
            self.rest = "" if held.strip() in ("", "}") else held
        if self._state in ("tail", "head"):
            return ""
        return held if self._state == "text" else _odd(held)


def _meant(escape: re.Match[str]) -> str:
    """What escapes nothing stands for itself."""
    try:
        return str(decode(f'"{escape[0]}"'))
    except BROKEN:
        return escape[0]


def _odd(arguments: str) -> str:
    try:
        said = decode(arguments)
    except BROKEN:
        return arguments
    if type(said) is not dict or said.keys() - {FIELD} or type(said.get(FIELD, "")) is not str:
        return arguments
    return str(said.get(FIELD, ""))


def freed(reply: Reply, names: Names, report: Report) -> Reply:
    """An answer in which each call of a stand-in is the call of the tool it stands for."""
    if not any(_stands_in(part, names) for choice in reply.choices for part in choice.parts):
        return reply
    choices = [
        _replace(choice, parts=tuple([_freed(part, names, report) for part in choice.parts]))
        for choice in reply.choices
    ]
    return _replace(reply, choices=tuple(choices))


def _stands_in(part: Part, names: Names) -> TypeGuard[ToolCall]:
    return type(part) is ToolCall and not part.custom and part.name in names


def _freed(part: Part, names: Names, report: Report) -> Part:
    if not _stands_in(part, names):
        return part
    said = _Said()
    text = said.feed(part.arguments) + said.end()
    if said.rest:
        report.lose(part, "arguments", "dropped", WHY)
    return _replace(part, arguments=text, custom=True)


class Freeing:
    """The same of a stream's events."""

    __slots__ = ("_names", "_open", "_report")

    def __init__(self, names: Names, report: Report) -> None:
        self._names = names
        self._report = report
        self._open: dict[tuple[int, int], tuple[ToolCall, _Said]] = {}

    def all(self, events: list[StreamEvent]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for event in events:
            match event:
                case PartBegin(part=part) if _stands_in(part, self._names):
                    self._begin(event, part, out)
                case ArgumentsDelta() if (event.choice, event.index) in self._open:
                    self._tell(event, self._open[event.choice, event.index][1].feed(event.text), out)
                case PartEnd() if (event.choice, event.index) in self._open:
                    part, said = self._open.pop((event.choice, event.index))
                    self._tell(event, said.end(), out)
                    if said.rest:
                        self._report.lose(part, "arguments", "dropped", WHY)
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _begin(self, event: PartBegin, part: ToolCall, out: list[StreamEvent]) -> None:
        self._open[event.choice, event.index] = part, _Said()
        out.append(_replace(event, part=_replace(part, arguments="", custom=True)))
        if part.arguments not in ("", "{}"):  # more may follow either
            self._tell(event, self._open[event.choice, event.index][1].feed(part.arguments), out)

    def _tell(self, at: PartEvent, text: str, out: list[StreamEvent]) -> None:
        if text:
            out.append(ArgumentsDelta(text, at.index, at.choice))
