"""The conversation: contents of a user and a model, with the system text beside them.

Rules of the API (reference, Content; guide, Function calling):
* The system text stands in `systemInstruction`, all of it; its role is not looked at. A later system text
  becomes a user's, marked.
* A tool's result is a part of a user's content. All results of a turn's calls stand in one content.
* A content has at least one part, and there is at least one content.
"""

from ...faults import Fault
from ...ir import Json, Message, Part, Role, ToolResult
from ...losses import Report
from ..checked import wrong
from .blocks import Block, Blocks
from .names import NAME, rest
from .parts import Ids, read_parts
from .shape import object_at, spelled

ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user"}
"""A content's role -> who speaks; `function` is the older word for who brings results."""

SYSTEM_ROLES = ("system", "developer")
_CONTENT = frozenset({"role", "parts"})


# --- read ----------------------------------------------------------------------------------------


def read_system(value: Json, at: str, messages: list[Message]) -> None:
    """The system instruction, a content whose role says nothing; a string is a short form of the SDK's."""
    content = {"parts": [{"text": value}]} if type(value) is str else object_at(value, at)
    parts = tuple(read_parts(content, at, Ids()))
    extras = rest(content, _CONTENT)
    if parts or extras is not None:
        messages.append(Message(role="system", parts=parts, at=at, extras=extras))


def read_contents(value: Json, field: str, messages: list[Message]) -> None:
    """Raises `Fault` with the path of what is wrong."""
    if value is None:
        raise wrong(field, "a list of contents, each with `role` and `parts`", value)
    ids = Ids()
    listed = type(value) is list
    for i, one in enumerate(value if listed else (value,)):
        at = f"{field}[{i}]" if listed else field
        if type(one) is not dict:
            raise wrong(at, "a content, an object with `role` and `parts`", one)
        content = spelled(one)
        word = content.get("role") or "user"
        role = ROLES.get(word) if type(word) is str else None
        if role is None:
            raise Fault(
                "bad_request",
                f"{at}.role is {word!r}. It is user or model; a system text goes into systemInstruction.",
                path=f"{at}.role",
            )
        parts = read_parts(content, at, ids)
        extras = rest(content, _CONTENT)
        if extras is None and ToolResult not in map(type, parts):
            messages.append(Message(role=role, parts=tuple(parts), at=at))
            continue
        _add(role, parts, at, messages)
        if extras is not None:
            messages.append(Message(role=role, at=at, extras=extras))
            _join_last(messages, at)


def _add(role: Role, parts: list[Part], at: str, messages: list[Message]) -> None:
    """A result is a message of its own; what stands around it is one for each run."""
    run: list[Part] = []
    for part in parts:
        if type(part) is ToolResult:
            if run:
                messages.append(Message(role=role, parts=tuple(run), at=at))
                run = []
            messages.append(Message(role="tool", parts=(part,), at=part.at))
        else:
            run.append(part)
    if run or not parts:
        messages.append(Message(role=role, parts=tuple(run), at=at))


def _join_last(messages: list[Message], at: str) -> None:
    """A content's own fields go with its last message, where there is one."""
    if len(messages) > 1 and messages[-2].at.startswith(at):
        mark, last = messages.pop(), messages.pop()
        messages.append(
            Message(
                role=last.role,
                parts=last.parts,
                at=last.at if last.role == "tool" else at,
                extras=mark.extras,
            )
        )


# --- write ---------------------------------------------------------------------------------------


class Turns:
    """Writes the messages of one request."""

    __slots__ = ("_blocks", "_report", "_results", "wire")

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._report: Report = blocks.report
        self._results: list[Block] = []  # of the content of results under way
        self.wire: list[Block] = []

    def write(self, messages: tuple[Message, ...]) -> tuple[Block | None, list[Block]]:
        """(the system instruction, None for none; the contents)."""
        heads = 0
        while heads < len(messages) and messages[heads].role in SYSTEM_ROLES:
            heads += 1
        if heads == len(messages):
            heads = 0  # nobody else speaks, and somebody has to
        system = self._system(messages[:heads])
        for message in messages[heads:]:
            self._message(message)
        self._end_results()
        return system, self.wire

    def _written(self, message: Message) -> list[Block]:
        """Nothing for a message of which nothing can be written; that is one loss, not many."""
        report = self._report
        mark = len(report.losses)
        parts = self._blocks.all(message.parts)
        if not parts and not self._own(message):
            why = report.losses[-1].why if len(report.losses) > mark else "empty_text"
            del report.losses[mark:]
            report.lose(message, None, "dropped", why)
            return []
        if message.name is not None:
            report.lose(message, "name", "dropped", "name")
        return parts

    def _own(self, message: Message) -> dict[str, Json]:
        extras = message.extras
        return extras.fields if extras is not None and extras.dialect == NAME else {}

    def _system(self, messages: tuple[Message, ...]) -> Block | None:
        """One content of all; its own fields are those of the first that says anything."""
        system: Block = {}
        for message in messages:
            parts = self._written(message)
            if not parts and not self._own(message):
                continue
            if system and not parts:
                self._report.lose(message, None, "dropped", "unknown_field")
                continue
            if message.role == "developer":
                self._report.lose(message, "role", "approximated", "role")
            if system:
                self._report.lose(message, None, "changed", "message_order")
                self._report.homeless(message)
                system["parts"] += parts
            else:
                system = {"parts": parts}
                if message.extras is not None:
                    system.update(self._report.extras(message, NAME))
        return system or None

    def _message(self, message: Message) -> None:
        parts = self._written(message)
        own = self._own(message)
        if not parts and not own:
            return
        if message.role == "tool":
            self._results += parts
            if message.extras is not None and self._report.extras(message, NAME):
                self._end_results(own)
            return
        self._end_results()
        role = "model" if message.role == "assistant" else "user"
        if message.role in SYSTEM_ROLES:
            self._report.lose(message, None, "changed", "role")
            parts = [_marked(part) for part in parts]
        content: Block = {"role": role, "parts": parts}
        if message.extras is not None:
            content.update(self._report.extras(message, NAME))
        self.wire.append(content)

    def _end_results(self, own: dict[str, Json] | None = None) -> None:
        if self._results:
            self.wire.append({"role": "user", "parts": self._results, **(own or {})})
            self._results = []
        if self._blocks.moved:
            self.wire.append({"role": "user", "parts": self._blocks.moved})
            self._blocks.moved = []


def _marked(part: Block) -> Block:
    """A system text where the wire takes none: a user's, marked as what it is."""
    return {**part, "text": f"<system>\n{part['text']}\n</system>"} if "text" in part else part
