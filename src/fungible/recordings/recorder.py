"""The recorder: from the calls of one process to its segments, off their way.

How it thinks. A call whose name has a rule is answered through a `Tap`, which holds on to what its client is
told; a stream's pieces stay in their pieces. At the call's end the tap goes to a queue, and that is all the
loop does. A thread reads bodies, chooses, redacts and writes, a block at a time. The queue is bounded in
bytes: what finds no room is dropped and counted, never waited for. So is what the disk does not take.

A stream is written as it was sent, unless something has to be redacted: then it is made a plain answer
first, for a secret may be cut in two by its events.

Killed, a process loses what its thread had not written, `TICK_S` at most; what was written stays.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import msgspec

from ..account import Settled
from ..answer import Client
from ..call import Call
from ..dialects import dialect
from ..faults import Fault
from ..models import Target
from ..policies.share import TAG
from ..recording import grouped, plain
from .redaction import Redactor
from .rules import Rule, Rules
from .segments import Kept, Writer
from .shelf import Recordings

TICK_S = 1.0
OWN = (TAG + "=", "rehearsal=")  # a call that has one of these marks before it is admitted is a switch's own
QUEUE_BYTES_MAX = 64 * 1024 * 1024
EXCHANGE_BYTES_MAX = 16 * 1024 * 1024  # a longer one is not kept
BLOCK_ROWS = 256
BLOCK_BYTES = 1024 * 1024  # of bodies, before compression
SEGMENT_BYTES_MAX = 32 * 1024 * 1024
SEGMENT_MS_MAX = 6 * 3_600_000  # and so how much earlier than said a recording may be thrown away
TEND_EVERY_S = 60.0

OUTCOMES: dict[str, str] = {
    "written": "on disk",
    "queue": "dropped: the queue was full",
    "long": f"dropped: longer than {EXCHANGE_BYTES_MAX // 1024 // 1024} MiB",
    "disk": "dropped: the disk did not take it",
    "unread": "dropped: what was to be redacted could not be read",
}
"""What becomes of an exchange that has a rule and is of its share."""


class Tap(msgspec.Struct, eq=False):
    """Implements `answer.Client`: tells the client, and holds on to what it was told.

    Times are of the monotonic clock, in seconds. `row` and `target`: of the last attempt that ended.
    """

    call: Call
    client: Client
    rule: Rule | None  # None: only to be looked at
    clock: Callable[[], float]
    pieces: list[bytes] = []
    size: int = 0
    status: int = 0
    first: float | None = None
    ended: float | None = None
    row: Settled | None = None
    target: Target | None = None

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.size, self.ended = status, len(body), self.clock()
        self.pieces.append(body)
        self.client.reply(status, head, body)

    def start(self, status: int, head: bytes) -> None:
        self.status, self.first = status, self.clock()
        self.client.start(status, head)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= EXCHANGE_BYTES_MAX:
            self.pieces.append(data)
        self.client.write(data)

    def end(self) -> None:
        self.ended = self.clock()
        self.client.end()

    def kept(self, now: float, now_ms: int) -> Kept:
        """The exchange as it is to be written; `now`, `now_ms`: the same moment by both clocks."""
        call, target, started = self.call, self.target, self.call.started
        ended, first, peek = self.ended, self.first, call.peek
        return Kept(
            call.id,
            now_ms - (now - started) * 1000,
            peek.model,
            call.dialect.name,
            peek.stream,
            call.asking.tags,
            call.body,
            self.pieces,
            self.status,
            first is not None,
            ended is not None,
            (first - started) * 1000 if first is not None else None,
            ((ended if ended is not None else now) - started) * 1000,
            target.provider if target is not None else "",
            target.model if target is not None else "",
            self.row,
        )


class Onlooker(Protocol):
    """Whoever looks at exchanges that are over, recorded or not. Called in the recorder's thread."""

    def look(self, kept: Kept) -> None: ...

    def keep(self) -> None:
        """All that waited has been looked at."""

    def close(self) -> None: ...


class Pen:
    """What waits to be written of one route, and where it goes. The thread's alone."""

    __slots__ = ("begun_ms", "route", "rows", "rule", "size", "writer")

    def __init__(self, route: str) -> None:
        self.route = route
        self.rows: list[Kept] = []
        self.size = 0
        self.rule = Rule()
        self.writer: Writer | None = None
        self.begun_ms = 0


class Recorder:
    """Of one process. `start` begins its thread; without it `drain` does the same when called.

    `counts`: outcome -> how many, since the process began. `trouble`: why the disk takes nothing, "" if it
    does. `wall_ms`, `clock`: Unix milliseconds, monotonic seconds.
    """

    def __init__(
        self, state: str | Path, rules: Rules, wall_ms: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self.rules = rules
        self.onlooker: Onlooker | None = None
        self.looked: Collection[str] = frozenset()  # names whose exchanges it looks at
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.trouble = self._said = ""
        self._shelf = Recordings(state)
        self._wall_ms, self._clock = wall_ms, clock
        self._taps: dict[str, Tap] = {}  # by the call's id
        self._queue: deque[Tap] = deque()
        self._given = 0  # bytes, by the loop
        self._taken = 0  # bytes, by the thread
        self._refused = dict.fromkeys(("queue", "long"), 0)  # by the loop
        self._told = dict.fromkeys(OUTCOMES, 0)  # of the dropped, what was written down
        self._pens: dict[str, Pen] = {}
        self._tended = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # --- in the loop

    def tap(self, call: Call, client: Client) -> Client:
        """Whom the call is to be answered through."""
        name = call.peek.model
        rules = self.rules
        rule = rules.found[name] if name in rules.found else rules.of(name)
        if rule is not None and call.asking.tags.startswith(OWN):
            rule = None  # nobody heard that answer
        if (
            (rule is None and name not in self.looked)
            or call.asking.operation != "chat"
            or call.dialect.subject != "chat"
        ):
            return client
        tap = self._taps[call.id] = Tap(call, client, rule, self._clock)
        return tap

    def settled(self, call: str, row: Settled, target: Target) -> None:
        """An attempt of a call has ended."""
        tap = self._taps.get(call)
        if tap is not None:
            tap.row, tap.target = row, target

    def over(self, call: Call) -> None:
        """Nothing more will happen to the call."""
        tap = self._taps.pop(call.id, None)
        if tap is None or call.route is None:  # never admitted: a stranger's words are not kept
            return
        size = tap.size + len(call.body)
        if size > EXCHANGE_BYTES_MAX:
            self._refused["long"] += 1
        elif self._given - self._taken + size > QUEUE_BYTES_MAX:
            self._refused["queue"] += 1
        else:
            self._given += size
            self._queue.append(tap)

    def said(self) -> list[str]:
        """What an operator should read: that the disk takes nothing, once each time it begins to."""
        if self.trouble == self._said:
            return []
        self._said = self.trouble
        return [f"Recordings could not be written: {self.trouble}."] if self.trouble else []

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fungible-recorder", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.drain()
        if self.onlooker is not None:
            self.onlooker.close()
        for pen in self._pens.values():
            if pen.writer is not None:
                pen.writer.close()

    # --- in the thread

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self.drain()
            except Exception as problem:  # the next exchange may be one that can be kept
                self.trouble = f"{type(problem).__name__}: {problem}"

    def drain(self) -> None:
        """Write all that waits, and throw away what is too old."""
        queue, pens = self._queue, self._pens
        now, now_ms = self._clock(), self._wall_ms()
        known: Rule | None = None  # the rule of the row before, which nearly always is that of the next
        plain_rule = False
        for _ in range(len(queue)):
            tap = queue.popleft()
            size = tap.size + len(tap.call.body)
            self._taken += size
            rule, row = tap.rule, tap.kept(now, now_ms)
            if self.onlooker is not None and row.route in self.looked:
                self.onlooker.look(row)
            if rule is None:
                continue
            if rule is not known:
                known, plain_rule = rule, rule.plain
            if not plain_rule:
                prepared = self._prepared(row, rule)
                if prepared is None:
                    continue
                row = prepared
            pen = pens.get(row.route)
            if pen is None:
                pen = pens[row.route] = Pen(row.route)
            pen.rule = rule
            pen.rows.append(row)
            pen.size += size
            if pen.size >= BLOCK_BYTES or len(pen.rows) >= BLOCK_ROWS:
                self._flush(pen)
        for pen in pens.values():
            self._flush(pen)
        if self.onlooker is not None:
            self.onlooker.keep()
        self.counts.update(self._refused)
        self._tend()

    def _prepared(self, row: Kept, rule: Rule) -> Kept | None:
        try:
            return prepared(row, rule)
        except (Fault, ValueError, msgspec.MsgspecError, UnicodeError, RecursionError):
            self.counts["unread"] += 1
            return None

    def _flush(self, pen: Pen) -> None:
        rows, pen.rows, pen.size = pen.rows, [], 0
        now_ms = self._wall_ms()
        old = pen.writer
        if old is not None and (
            old.bytes >= SEGMENT_BYTES_MAX
            or now_ms - pen.begun_ms > min(SEGMENT_MS_MAX, pen.rule.keep_ms // 8)
        ):
            pen.writer = None
            old.close()
        if not rows:
            return
        for _ in range(2):  # a file that was thrown away meanwhile is followed by another
            if pen.writer is None:
                pen.writer, pen.begun_ms = self._shelf.begun(pen.route, now_ms), now_ms
            try:
                pen.writer.append(rows)
            except OSError as error:
                self.trouble = error.strerror or str(error)
                if not pen.writer.gone(error):
                    break
                pen.writer.close()
                pen.writer = None
            else:
                self.trouble = ""
                self.counts["written"] += len(rows)
                return
        self.counts["disk"] += len(rows)

    def _tend(self) -> None:
        now = self._clock()
        if now - self._tended < TEND_EVERY_S and not self._stop.is_set():
            return
        self._tended = now
        try:
            dropped = {name: n - self._told[name] for name, n in self.counts.items() if name != "written"}
            if any(dropped.values()):
                self._shelf.note_dropped(self._wall_ms(), dropped)
                self._told = dict(self.counts)
            for route in {*self._pens, *self._shelf.routes()}:
                rule = self.rules.of(route)
                if rule is not None:
                    self._shelf.expire(route, self._wall_ms() - rule.keep_ms, rule.bytes_max)
        except OSError as error:
            self.trouble = error.strerror or str(error)


def prepared(row: Kept, rule: Rule) -> Kept | None:
    """The row as its rule lets it be written; None: the rule does not want it.

    Raises Fault or `msgspec.DecodeError` for what cannot be read, and so not be redacted.
    """
    tags = row.tagged
    if not rule.wants(bool(row.fault), tags):
        return None
    if rule.share < 1:
        row = msgspec.structs.replace(row, group=_group(row))
        if not rule.chooses(row.group):
            return None
    return redacted(row, Redactor(rule.redaction)) if rule.redaction else row


def _group(row: Kept) -> str:
    return grouped(dialect(row.dialect).read_request(row.request), row.tagged)


def redacted(row: Kept, redactor: Redactor) -> Kept:
    """A stream is made a plain answer; of one that cannot be, or was cut short, nothing is kept.

    Whom it belongs to is found out before anything is taken out that may tell it, and else by who reads it.
    """
    reply: bytes | None = None
    if row.streamed and not row.fault:
        reply, _ = plain(row.dialect, row.answer)
    elif not row.streamed and row.whole:
        reply = row.answer or None
    request, tags = redactor.body(row.request), redactor.text(row.tags)
    changed = request is not row.request or tags != row.tags
    return msgspec.structs.replace(
        row,
        request=request,
        said=[redactor.body(reply)] if reply is not None else [],
        streamed=False,
        tags=tags,
        group=_group(row) if changed and not row.group else row.group,
    )
