"""The order of a conversation as this wire wants it.

Rules of the service (API reference, Converse; its own refusals):
* The system text stands at the top level. A later one follows a user's turn, where the model takes it.
* Users and assistants take turns: what two of the same say one after another is one message.
* All results of a turn's tool calls stand in the next user message, before anything else in it.
* No message is empty.
A message that was said in another place is put in the nearest allowed one and reported.
"""

from typing import NamedTuple

from ...ir import Message
from .blocks import Blocks
from .names import NAME
from .parts import Block

SYSTEM_ROLES = ("system", "developer")


class Turn(NamedTuple):
    """A message and what is written of it. `told`: it was reported as something else than it was."""

    message: Message
    role: str  # user, assistant, tool or system
    blocks: list[Block]
    told: bool = False


class Turns:
    """Writes the messages of one request."""

    __slots__ = ("blocks", "report", "system_anywhere", "wire")

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.report = blocks.report
        self.system_anywhere = "no_system_messages" not in blocks.quirks
        self.wire: list[Block] = []

    def write(self, messages: tuple[Message, ...]) -> tuple[list[Block], list[Block]]:
        """(the top-level system blocks, the messages)."""
        turns = [turn for message in messages if (turn := self._turn(message)) is not None]
        head = 0
        while head < len(turns) and turns[head].role == "system":
            self._forget_fields(turns[head])
            head += 1
        for turn in turns[1:head]:
            self._moved(turn)
        run: list[Turn] = []
        for turn in turns[head:]:
            if turn.role != "assistant":
                run.append(turn)
                continue
            self._run(run)
            run = []
            if self.wire and self.wire[-1]["role"] == "assistant":
                self._moved(turn)
                self._forget_fields(turn)
                self.wire[-1]["content"] += turn.blocks
            else:
                self._say("assistant", turn.blocks, turn)
        self._run(run)
        return [block for turn in turns[:head] for block in turn.blocks], self.wire

    def _turn(self, message: Message) -> Turn | None:
        """None for a message of which nothing can be written; that is one loss, not many."""
        report = self.report
        mark = len(report.losses)
        blocks = self.blocks.all(message.parts)
        if not blocks:
            why = report.losses[-1].why if len(report.losses) > mark else "empty_text"
            del report.losses[mark:]
            report.lose(message, None, "dropped", why)
            return None
        if message.name is not None:
            report.lose(message, "name", "dropped", "name")
        if message.extras is not None:
            report.extras(message, NAME)
        if message.role == "developer":
            report.lose(message, "role", "approximated", "role")
        return Turn(message, "system" if message.role in SYSTEM_ROLES else message.role, blocks)

    def _moved(self, turn: Turn) -> None:
        if not turn.told:
            self.report.lose(turn.message, None, "changed", "message_order")

    def _forget_fields(self, turn: Turn) -> None:
        """Fields of a message that is none of its own here."""
        extras = turn.message.extras
        for name in extras.fields if extras is not None and extras.dialect == NAME else ():
            self.report.lose(turn.message, name, "dropped", "unknown_field")

    # --- runs of messages between two of the assistant ---------------------------------------------

    def _run(self, run: list[Turn]) -> None:
        """Results first, then what users said, then system texts. A lone system text is a user's."""
        if not run:
            return
        if len(run) == 1 and run[0].role != "system":
            self._say("user", run[0].blocks, run[0])
            return
        results = [t for t in run if t.role == "tool"]
        for i, turn in enumerate(run):
            if turn.role == "tool" and any(before.role == "user" for before in run[:i]):
                self._moved(turn)
        systems = [t for t in run if t.role == "system"]
        if systems and self.system_anywhere and len(systems) < len(run):
            self._group(results, [t for t in run if t.role == "user"])
            last = systems[-1] if run[-1].role == "system" else None
            for turn in systems:
                if turn is not last:
                    self._moved(turn)
                    self._forget_fields(turn)
            self._say("system", [block for turn in systems for block in turn.blocks], last)
        else:
            self._group(results, [self._as_user(t) for t in run if t.role != "tool"])

    def _as_user(self, turn: Turn) -> Turn:
        """A system text where the wire takes none: a user's text, marked as what it is."""
        if turn.role != "system":
            return turn
        self.report.lose(turn.message, None, "changed", "role")
        marked = [
            {**block, "text": f"<system>\n{block['text']}\n</system>"} if "text" in block else block
            for block in turn.blocks
        ]
        return Turn(turn.message, "user", marked, told=True)

    def _group(self, results: list[Turn], users: list[Turn]) -> None:
        """One message of a user. It is the first real user's, or where there is none the last result's."""
        said = [t for t in users if not t.told]
        owner = said[0] if said else results[-1] if results else users[0]
        for turn in said[1:]:
            self._moved(turn)
        for turn in results + users:
            if turn is not owner:
                self._forget_fields(turn)
        self._say("user", [block for turn in results + users for block in turn.blocks], owner)

    def _say(self, role: str, blocks: list[Block], owner: Turn | None) -> None:
        wire: Block = {"role": role, "content": blocks}
        extras = owner.message.extras if owner is not None else None
        if extras is not None and extras.dialect == NAME:
            wire.update(extras.fields)
        self.wire.append(wire)
