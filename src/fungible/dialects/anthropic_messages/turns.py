"""The order of a conversation as this wire wants it.

Rules of the API (reference, Messages; guide, Mid-conversation system messages):
* The system text stands at the top level. A later system message follows a user turn, comes last or
  before an assistant's turn, and has no second one beside it.
* All results of a turn's tool calls stand in the next user message, before anything else in it.
* No message is empty.
A message that was said in another place is put in the nearest allowed one and reported.

A system message with fields of its own (a directive) is taken anywhere and stays where it is.
"""

from typing import NamedTuple

from ...ir import Json, Message
from ..base import is_plain, plain_text
from .blocks import Block, Blocks
from .names import NAME

SYSTEM_ROLES = ("system", "developer")


class Turn(NamedTuple):
    """A message and what is written of it."""

    message: Message
    role: str  # user, assistant, tool, system or directive
    blocks: list[Block]
    content: Json  # the blocks, or a string for one text with nothing else, as most clients write it


def has_own_fields(message: Message) -> bool:
    extras = message.extras
    return extras is not None and extras.dialect == NAME


def _usual(messages: tuple[Message, ...]) -> tuple[Json, list[Block]] | None:
    """What most conversations are: texts of users and assistants, perhaps behind one system text.

    None for any other, and where a text has no visible character.
    """
    system: str | None = None
    wire: list[Block] = []
    for message in messages:
        text, role = plain_text(message), message.role
        if not text or text.isspace():
            return None
        if role in ("user", "assistant"):
            wire.append({"role": role, "content": text})
        elif role == "system" and system is None and not wire:
            system = text
        else:
            return None
    return system, wire


class Turns:
    """Writes the messages of one request."""

    __slots__ = ("blocks", "report", "system_anywhere", "wire")

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.report = blocks.report
        self.system_anywhere = "no_system_messages" not in blocks.quirks
        self.wire: list[Block] = []

    def write(self, messages: tuple[Message, ...]) -> tuple[Json, list[Block]]:
        """(the top-level system, None for none; the messages)."""
        usual = _usual(messages)
        if usual is not None:
            return usual
        turns: list[Turn] = []
        head, plain = 0, True  # the leading system texts; whether only users and assistants follow
        for message in messages:
            turn = self._turn(message)
            if turn is None:
                continue
            if turn.role == "system" and head == len(turns):
                head += 1
            elif turn.role not in ("user", "assistant"):
                plain = False
            turns.append(turn)
        system = self._joined(turns[:head]) if head else None
        if plain:
            for turn in turns[head:]:
                self._say(turn.role, turn)
            return system, self.wire
        run: list[Turn] = []
        for turn in turns[head:]:
            if turn.role in ("assistant", "directive"):
                self._run(run)
                run = []
                self._say("system" if turn.role == "directive" else "assistant", turn)
            else:
                run.append(turn)
        self._run(run)
        return system, self.wire

    def _turn(self, message: Message) -> Turn | None:
        """None for a message of which nothing can be written; that is one loss, not many."""
        report, parts = self.report, message.parts
        role: str = message.role
        if role in SYSTEM_ROLES:
            role = "directive" if has_own_fields(message) else "system"
        mark = len(report.losses)
        blocks = self.blocks.all(parts)
        if not blocks and role != "directive":
            lost = report.losses[mark:]
            del report.losses[mark:]
            report.lose(message, None, "dropped", lost[-1].why if lost else "empty_text")
            report.losses += [loss for loss in lost if not loss.path.startswith(report.path(message, None))]
            return None
        if message.name is not None:
            report.lose(message, "name", "dropped", "name")
        if message.extras is not None:
            report.extras(message, NAME)
        if message.role == "developer":
            report.lose(message, "role", "approximated", "role")
        plain = len(parts) == 1 and blocks and is_plain(parts[0])
        return Turn(message, role, blocks, blocks[0]["text"] if plain else blocks)

    def _joined(self, turns: list[Turn], moved: int = 0) -> Json:
        """The content of system texts that stand together, which the wire takes as one.

        The first `moved` of them were moved here, which was said; the others join the first that was not.
        """
        for turn in turns[moved + 1 :]:
            self._moved(turn)
        return turns[0].content if len(turns) == 1 else [block for turn in turns for block in turn.blocks]

    def _moved(self, turn: Turn) -> None:
        self.report.lose(turn.message, None, "changed", "message_order")

    # --- runs of messages between two of the assistant ---------------------------------------------

    def _run(self, run: list[Turn]) -> None:
        """Results first, then what users said, then system texts. A lone system text is a user's."""
        if not run:
            return
        results = [t for t in run if t.role == "tool"]
        rest = [t for t in run if t.role != "tool"]
        users = [t for t in rest if t.role == "user"]
        systems = [t for t in rest if t.role == "system"]
        stays = [  # a result moves past what users said; it need not move past a system text that moves
            t.role != "tool" or all(before.role != "user" for before in run[:i]) for i, t in enumerate(run)
        ]
        for turn, stayed in zip(run, stays, strict=True):
            if not stayed:
                self._moved(turn)
        if systems and self.system_anywhere and (results or users or self._after_server_tool()):
            moved = 0
            for i, turn in enumerate(run):
                later = zip(run[i + 1 :], stays[i + 1 :], strict=True)
                if turn.role == "system" and any(stayed and t.role != "system" for t, stayed in later):
                    self._moved(turn)
                    moved += 1
            self._results_and_users(results, users)
            self.wire.append({"role": "system", "content": self._joined(systems, moved)})
        else:
            self._results_and_users(results, [self._as_user(t) if t.role == "system" else t for t in rest])

    def _after_server_tool(self) -> bool:
        content = self.wire[-1]["content"] if self.wire and self.wire[-1]["role"] == "assistant" else None
        return type(content) is list and bool(content) and content[-1].get("type") == "server_tool_use"

    def _as_user(self, turn: Turn) -> Turn:
        """A system text where the wire takes none: a user's text, marked as what it is."""
        self.report.lose(turn.message, None, "changed", "role")
        marked = [
            {**block, "text": f"<system>\n{block['text']}\n</system>"}
            if block.get("type") == "text"
            else block
            for block in turn.blocks
        ]
        return Turn(Message(role="user", at=turn.message.at), "user", marked, marked)

    def _results_and_users(self, results: list[Turn], users: list[Turn]) -> None:
        """Results share a message, and the first user message after them joins it.

        A message with fields of its own ends the one it is in: they are that message's fields.
        """
        shared: list[Block] = []
        for turn in results:
            shared += turn.blocks
            if has_own_fields(turn.message):
                self._say("user", turn, shared)
                shared = []
        for turn in users:
            self._say("user", turn, shared + turn.blocks if shared else None)
            shared = []
        if shared:
            self.wire.append({"role": "user", "content": shared})

    def _say(self, role: str, turn: Turn, content: list[Block] | None = None) -> None:
        wire: Block = {"role": role, "content": content or turn.content}
        if turn.message.extras is not None and has_own_fields(turn.message):
            wire.update(turn.message.extras.fields)
        self.wire.append(wire)
