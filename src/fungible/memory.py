"""Memory: answers that a later call may name, for providers that keep none.

How it thinks. A request of a dialect that has `keeping` may name an earlier answer or a conversation. Where
it is one of ours, what was said is put in front of what the request says, and from there on the call is any
other: every target can take it. Its answer goes to the client through a `Keeper`, which gives it an id of
ours and keeps it. Where all targets of a route speak the client's dialect they keep their own, and nothing
is done here.

An answer in the background is the same with nobody listening: the client is told that it is queued, and asks
for it by its id. A process that dies leaves it failed. Of one that streams the events are kept, too: who asks
for them, from whatever number on, is told what is kept and then what comes.

What is kept are prompts: `[server] keep_days = 0` keeps none. A key finds its own and no other's.
"""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from . import ledger
from .answer import STREAM_TYPE, Client
from .call import Call
from .dialects import DIALECTS
from .dialects.base import Asked, Keeping
from .faults import Fault
from .ir import Json
from .models import Target
from .store import Answer, Answers

DAY_MS = 86_400_000
EXPIRE_EVERY_MS = 3_600_000
JSON_HEAD = b"content-type: application/json\r\n"
TARGET = b"x-fungible-target: "


class Running(Protocol):
    """A call under way, as far as it can be cancelled."""

    def on_client_gone(self) -> None: ...


class Memory:
    """Of one process. `days`: how long things are kept; `boot`: the process, as its ledger is known."""

    def __init__(self, state: str | Path, boot: str, days: int, wall_ms: Callable[[], int]) -> None:
        self.days = days
        self._state = Path(state)
        self._boot = boot
        self.wall_ms = wall_ms
        self._answers: Answers | None = None
        self._expired_ms = 0
        self.behind: dict[tuple[str, str], Running] = {}  # answers in the background, by (owner, id)
        self.followers: list[Following] = []

    @property
    def answers(self) -> Answers:
        """Opened when first needed: most processes keep nothing."""
        if self._answers is None:
            self._answers = Answers(self._state)
        return self._answers

    @property
    def opened(self) -> bool:
        return self._answers is not None

    def tend(self) -> None:
        """Delete what has been kept long enough, now and then. Raises Fault."""
        now_ms = self.wall_ms()
        if now_ms - self._expired_ms > EXPIRE_EVERY_MS and (self._state / "answers.db").exists():
            self._expired_ms = now_ms
            self.answers.expire(now_ms - self.days * DAY_MS)

    def close(self) -> None:
        if self._answers is not None:
            self._answers.close()

    # --- calls

    def take(
        self, call: Call, keeping: Keeping, owner: str, client: Client, targets: Sequence[Target]
    ) -> "Keeper | None":
        """The client to answer the call through; None: nothing is to be kept of it.

        Sets the call's body where it names what is kept here. Raises Fault for a name that nobody knows.
        """
        spoken = [target.spoken(call.dialect.name) for target in targets]
        own = {t.name for t in spoken if t.dialect == call.dialect.name}
        if len(own) == len(spoken) and not any(word in call.body for word in keeping.words):
            return None
        asked = keeping.asked(call.body)
        earlier = self._earlier(asked, keeping, owner, bool(own))
        items = keeping.items(call.body)
        ours = earlier is not None or asked.background
        if not ours and len(own) == len(spoken):
            return None
        if self.days == 0 and asked.background:
            raise Fault("bad_request", "This server keeps no answers, so none can wait.", path="background")
        name = keeping.answer_prefix + secrets.token_hex(16)
        begun = keeping.begun(name, self.wall_ms() // 1000, call.body)
        if ours or not own:
            call.body = keeping.resumed(call.body, earlier or [], True)
        if not asked.store or self.days == 0:
            return None
        keeper = Keeper(self, keeping, client, owner, name, asked, items, frozenset() if ours else own)
        if asked.background:
            keeper.waiting = begun
        return keeper

    def tell(self) -> None:
        """What followers have not been told yet; to be called some ten times a second while there are any."""
        self.followers = [one for one in self.followers if not one.over and not one.told()]

    def _earlier(self, asked: Asked, keeping: Keeping, owner: str, others: bool) -> list[Json] | None:
        """What was said before; None: nothing is named, or what only a provider can know."""
        name = asked.earlier or asked.conversation
        if name is None:
            return None
        path = "previous_response_id" if asked.earlier else "conversation"
        if asked.earlier:
            chain = self.answers.chain(owner, name)
            if chain is not None and not chain:
                text = f"What was said before {name!r} is not kept any more. Send it in the input."
                raise Fault("bad_request", text, path=path, code="previous_response_not_found")
            if chain is not None:
                return [said for items, body in chain for said in (*items, *keeping.spoken(body))]
        elif self.answers.conversation(owner, name) is not None:
            return self.answers.said(owner, name)
        if others:  # it may be a provider's own
            return None
        text = f"There is no whole answer or conversation {name[:80]!r} of this key here. Send what was said."
        raise Fault("bad_request", text, path=path, code=f"{path.removesuffix('_id')}_not_found")

    def put(self, keeper: "Keeper", body: dict[str, Json]) -> None:
        """Keep an answer that is whole. Raises Fault where the disk cannot."""
        asked = keeper.asked
        body = {**body, "id": keeper.name}
        if asked.earlier is not None and not keeper.own:
            body["previous_response_id"] = asked.earlier
        if keeper.waiting is not None:
            body["background"] = True
            self.answers.end(keeper.owner, keeper.name, str(body.get("status")), body)
        else:
            kept = Answer(str(body.get("status")), self._boot, keeper.items, body)
            self.answers.put(keeper.owner, keeper.name, self.wall_ms(), asked.earlier, self._boot, kept)
        if asked.conversation is not None:
            said = [*keeper.items, *keeper.keeping.spoken(body)]
            self.answers.add(keeper.owner, asked.conversation, said)

    # --- in the background

    def began(self, keeper: "Keeper", client: Client, head: bytes, running: Running) -> None:
        """The call has been admitted and goes on by itself: tell its client so."""
        assert keeper.waiting is not None
        body = keeper.keeping.ended(keeper.waiting, "in_progress", b"")
        if not keeper.over:
            self.behind[keeper.owner, keeper.name] = running
        now_ms = self.wall_ms()
        kept = Answer("in_progress", self._boot, keeper.items, body)
        self.answers.put(keeper.owner, keeper.name, now_ms, keeper.asked.earlier, self._boot, kept)
        if keeper.asked.stream:
            self.answers.tell(keeper.owner, keeper.name, [(0, keeper.keeping.event(keeper.waiting, 0))])
            keeper.begin()
            Following(self, keeper.keeping, keeper.owner, keeper.name, -1).begin(client, head)
        else:
            client.reply(200, JSON_HEAD + head, msgspec.json.encode(keeper.waiting))
            keeper.begin()

    def heard(self, keeper: "Keeper", events: list[tuple[int, bytes]]) -> None:
        """Events of an answer in the background."""
        if events:
            self.answers.tell(keeper.owner, keeper.name, events)
            self.tell()

    def failed(self, keeper: "Keeper", error: bytes) -> None:
        assert keeper.waiting is not None
        self._failed(keeper.keeping, keeper.owner, keeper.name, keeper.waiting, error)
        self.tell()

    def _failed(self, keeping: Keeping, owner: str, name: str, answer: dict[str, Json], error: bytes) -> None:
        body, last = keeping.ended(answer, "failed", error), self.answers.last(owner, name)
        if last is not None:
            self.answers.tell(owner, name, [(last + 1, keeping.event(body, last + 1))])
        self.answers.end(owner, name, "failed", body)

    # --- what is kept, by its address

    def page(
        self, method: bytes, path: str, query: bytes, body: bytes, owner_of: Callable[[], str]
    ) -> "bytes | Following | None":
        """What a request for something kept is told; None: the address is none. Raises Fault."""
        for dialect in DIALECTS.values():
            keeping = dialect.keeping
            for kind in ("answer", "conversation") if keeping is not None else ():
                assert keeping is not None
                root = keeping.answers if kind == "answer" else keeping.conversations
                rest = path[len(root) :].strip("/").split("/") if f"{path}/".startswith(f"{root}/") else None
                if rest is None or (kind == "answer" and rest == [""]):
                    continue
                way = WAYS.get((kind, method, len(rest) if rest[0] else 0, _last(rest, keeping)))
                if way is None:
                    return None
                asked = dict(parse_qsl(query.decode("latin-1")))
                return way(self, keeping, owner_of(), rest[0], asked, body)
        return None

    def get(
        self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes
    ) -> "bytes | Following":
        found = self.stands(keeping, owner, name)
        if query.get("stream") != "true":
            return msgspec.json.encode(found.body)
        after = query.get("starting_after", "-1")
        if not after.removeprefix("-").isdecimal() or len(after) > 9:
            raise Fault("bad_request", "starting_after is the number of an event.", path="starting_after")
        if self.answers.last(owner, name) is None:
            text = "Only an answer that was asked for with background and stream is kept as events."
            raise Fault("bad_request", f"{text} Ask without stream.", path="stream")
        return Following(self, keeping, owner, name, int(after))

    def stands(self, keeping: Keeping, owner: str, name: str) -> Answer:
        """The answer; one whose process has ended under way has failed. Raises Fault: there is none."""
        found = self._found(owner, name)
        if found.status == "in_progress" and (owner, name) not in self.behind and self._dead(found.boot):
            lost = msgspec.json.encode({"error": {"message": "The process that made this answer has ended."}})
            self._failed(keeping, owner, name, found.body, lost)
            found = self._found(owner, name)
        return found

    def cancel(self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes) -> bytes:
        """Stop an answer in the background. One that another worker makes runs on, and is thrown away."""
        found = self._found(owner, name)
        if not found.body.get("background"):
            raise Fault("bad_request", "Only an answer in the background can be cancelled.")
        self.answers.end(owner, name, "cancelled", keeping.ended(found.body, "cancelled", b""))
        running = self.behind.pop((owner, name), None)
        if running is not None:
            running.on_client_gone()
        return msgspec.json.encode(self._found(owner, name).body)

    def delete(self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes) -> bytes:
        self._found(owner, name)
        running = self.behind.pop((owner, name), None)
        if running is not None:
            running.on_client_gone()
        self.answers.delete(owner, name)
        return keeping.deleted(name, "answer")

    def asked_with(
        self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes
    ) -> bytes:
        return keeping.listed(self._found(owner, name).items, name, query)

    def make(self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes) -> bytes:
        if self.days == 0:
            raise Fault("bad_request", "This server keeps no conversations: [server] keep_days is 0.")
        fresh, now_ms = keeping.conversation_prefix + secrets.token_hex(16), self.wall_ms()
        told, items = keeping.conversation(fresh, now_ms // 1000, body)
        self.answers.begin(owner, fresh, now_ms, told, items)
        return msgspec.json.encode(told)

    def conversation(
        self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes
    ) -> bytes:
        return msgspec.json.encode(self._talk(owner, name))

    def said(self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes) -> bytes:
        self._talk(owner, name)
        return keeping.listed(self.answers.said(owner, name), name, query)

    def forget(self, keeping: Keeping, owner: str, name: str, query: dict[str, str], body: bytes) -> bytes:
        self._talk(owner, name)
        self.answers.forget(owner, name)
        return keeping.deleted(name, "conversation")

    def _talk(self, owner: str, name: str) -> dict[str, Json]:
        found = self.answers.conversation(owner, name)
        if found is None:
            raise Fault("not_found", f"There is no conversation {name[:80]!r} of this key.")
        return found

    def _found(self, owner: str, name: str) -> Answer:
        found = self.answers.get(owner, name)
        if found is None:
            raise Fault(
                "not_found",
                f"No answer {name[:80]!r} of this key is kept here. A provider that keeps its own has"
                " those; none is kept that was asked for with store = false.",
            )
        return found

    def _dead(self, boot: str) -> bool:
        if boot == self._boot:
            return True  # it is not under way here
        writer = ledger.Boot(self._state / ledger.FOLDER, boot)
        writer.release()
        return writer.dead


class Shelf:
    """Implements `thoughts.Shelf` in the same file, where anything is kept at all.

    A call goes on without its thoughts where the file cannot be used: what is wrong is told by what needs it.
    """

    __slots__ = ("_bare", "_file", "_memory", "_seen")

    def __init__(self, memory: Memory, state: str | Path) -> None:
        self._memory, self._file = memory, str(Path(state) / "answers.db")
        self._seen, self._bare = -1, True

    @property
    def bare(self) -> bool:
        """As others left it; what this process puts there it remembers itself."""
        memory = self._memory
        if memory.days == 0 or (not memory.opened and not os.access(self._file, os.F_OK)):  # each call asks
            return True
        try:
            version = memory.answers.version()
            if version != self._seen:
                self._seen, self._bare = version, not memory.answers.has_thoughts()
        except Fault:
            return True
        return self._bare

    def put(self, names: Sequence[bytes], trace: bytes) -> None:
        if self._memory.days:
            with suppress(Fault):
                self._memory.answers.think(names, self._memory.wall_ms(), trace)
                self._bare = False

    def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        with suppress(Fault):
            return self._memory.answers.thoughts(names)
        return {}


def _last(rest: list[str], keeping: Keeping) -> str:
    """What is asked of the thing named, in our words."""
    return {keeping.items_path: "items"}.get(rest[1], rest[1]) if len(rest) > 1 else ""


class Following:
    """A client that is told an answer's events, as they are kept by whatever process makes them."""

    __slots__ = ("_after", "_client", "_keeping", "_memory", "_name", "_owner", "over")

    def __init__(self, memory: Memory, keeping: Keeping, owner: str, name: str, after: int) -> None:
        self._memory, self._keeping, self._owner, self._name = memory, keeping, owner, name
        self._after = after  # the number of the last event it knows
        self._client: Client | None = None
        self.over = False

    def begin(self, client: Client, head: bytes = b"") -> None:
        self._client = client
        client.start(200, head + STREAM_TYPE % b"text/event-stream; charset=utf-8")
        if not self.told():
            self._memory.followers.append(self)

    def told(self) -> bool:
        """Tell what is new. Whether that was the end; an answer that was deleted has one, too."""
        client = self._client
        assert client is not None
        try:
            status = self._memory.stands(self._keeping, self._owner, self._name).status
        except Fault:
            status = "deleted"
        events = self._memory.answers.told(self._owner, self._name, self._after)
        if events:
            self._after = events[-1][0]
            client.write(b"".join([frame for _, frame in events]))
        self.over = status != "in_progress"
        if self.over:
            client.end()
        return self.over


Way = Callable[[Memory, Keeping, str, str, dict[str, str], bytes], "bytes | Following"]
WAYS: dict[tuple[str, bytes, int, str], Way] = {
    # (kind, method, segments after the root, the last)
    ("answer", b"GET", 1, ""): Memory.get,
    ("answer", b"DELETE", 1, ""): Memory.delete,
    ("answer", b"POST", 2, "cancel"): Memory.cancel,
    ("answer", b"GET", 2, "items"): Memory.asked_with,
    ("conversation", b"POST", 0, ""): Memory.make,
    ("conversation", b"GET", 1, ""): Memory.conversation,
    ("conversation", b"DELETE", 1, ""): Memory.forget,
    ("conversation", b"GET", 2, "items"): Memory.said,
}


class Keeper:
    """Implements `answer.Client`: gives the answer its id, keeps it when it is whole, and tells the client.

    `own`: the targets that keep their answers themselves. `waiting`: the answer as it was before it was one,
    where nobody waits for it.
    """

    __slots__ = (
        "_began", "_client", "_early", "_error", "_last", "_memory", "_old", "_passes", "asked", "items",
        "keeping", "late", "name", "over", "own", "owner", "waiting", "whole",
    )  # fmt: skip

    def __init__(
        self,
        memory: Memory,
        keeping: Keeping,
        client: Client,
        owner: str,
        name: str,
        asked: Asked,
        items: list[Json],
        own: frozenset[str] | set[str],
    ) -> None:
        self._memory, self.keeping, self._client = memory, keeping, client
        self.owner, self.name, self.asked, self.items, self.own = owner, name, asked, items, own
        self.waiting: dict[str, Json] | None = None
        self.late: Callable[[], None] | None = None  # an end that came before the client was told a beginning
        self.over = False
        self.whole = False  # an answer in the background has been kept
        self._began = False  # so has its beginning
        self._early: list[bytes] = []  # what came before that
        self._last = 0  # the number of the last event
        self._error = b""
        self._old = b""
        self._passes = False

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        if self.waiting is not None:
            self.over = True
            if (self.owner, self.name) in self._memory.behind:
                del self._memory.behind[self.owner, self.name]
                self._end(status, body)
            elif status == 200:
                self.late = lambda: self._end(status, body)
            else:
                self._client.reply(status, head, body)  # it was refused at once
            return
        if status == 200 and not self._is_own(head):
            answer = self.keeping.answered(body)
            if answer is not None:
                body = self._renamed(body, str(answer.get("id")))
                self._memory.put(self, answer)
        self._client.reply(status, head, body)

    def _end(self, status: int, body: bytes) -> None:
        answer = self.keeping.answered(body) if status == 200 else None
        if answer is not None:
            self._memory.put(self, answer)
        else:
            self._memory.failed(self, body)

    def begin(self) -> None:
        """Of an answer in the background the beginning is kept: now the rest can be."""
        self._began = True
        early, self._early = self._early, []
        for data in early:
            self._hear(data)
        if self.late is not None:
            self.late()

    def _hear(self, data: bytes) -> None:
        """Events are kept before the answer is, so that who sees it ended has seen them all."""
        if not self._old:
            self._old = (self.keeping.identity(data) or "").encode()
        if self._old:
            data = self._renamed(data, self._old.decode())
        events = []
        for number, frame in self.keeping.numbered(data):
            if number > self._last:
                self._last = number
                events.append((number, frame))
            elif number == 0:
                self._error = frame
        self._memory.heard(self, events)
        answer = self.keeping.answered(data)
        if answer is not None:
            self.whole = True
            self._memory.put(self, answer)
            self._memory.tell()

    def _ended(self) -> None:
        if not self.whole:
            self._memory.failed(self, self._error[self._error.find(b"data: ") + 6 :] if self._error else b"")

    def start(self, status: int, head: bytes) -> None:
        if self.waiting is not None:
            return
        self._passes = self._is_own(head)
        self._client.start(status, head)

    def write(self, data: bytes) -> None:
        if self.waiting is not None:
            if self._began:
                self._hear(data)
            else:
                self._early.append(data)
            return
        if not self._passes:
            if not self._old:
                self._old = (self.keeping.identity(data) or "").encode()
            if self._old:
                data = self._renamed(data, self._old.decode())
            answer = self.keeping.answered(data)
            if answer is not None and answer.get("status") != "failed":
                self._memory.put(self, answer)
        self._client.write(data)

    def end(self) -> None:
        if self.waiting is None:
            self._client.end()
            return
        self.over = True
        if self._memory.behind.pop((self.owner, self.name), None) is not None:
            self._ended()
        else:
            self.late = self._ended

    def _is_own(self, head: bytes) -> bool:
        at = head.find(TARGET)
        return at >= 0 and head[at + len(TARGET) :].split(b"\r\n", 1)[0].decode("latin-1") in self.own

    def _renamed(self, data: bytes, old: str) -> bytes:
        return data.replace(msgspec.json.encode(old), b'"%b"' % self.name.encode())
