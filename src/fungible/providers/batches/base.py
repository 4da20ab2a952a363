"""What a batch API is: how many requests are handed over at once, asked after, and their answers read.

    put together    `line` for each request; `upload` where they go as a file of their own; `create`
    asked after     `look` at one job, `jobs` of a page of all; `cancel`
    read            `results` of what a finished job points to, in any order, each by its request's id

Pure: an `Errand` is what to send, whoever sends it. Paths go behind the provider's base URL, as those of its
dialect do. A job bears a mark of ours where the API has a place for one, so that it is found again by whoever
was killed before he was told its id; where it has none, the ids of its requests tell.

What each API calls things is from its maker's SDK and, where there are any, recorded answers.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from ...faults import Fault

JSON_TYPE = "application/json"
ERROR_CHARS_MAX = 400
COUNT_MAX = 10**15
IDENTITY = re.compile(r"[A-Za-z0-9_.:/-]{1,256}")
MARK = "fungible"
"""The name of our mark, in a job's metadata."""


class Errand(NamedTuple):
    """One request to a provider, beside those for answers."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = JSON_TYPE


State = Literal["running", "ended", "failed"]
Gone = Literal["", "expired", "canceled"]


class Job(NamedTuple):
    """A batch, as its provider tells of it.

    done, total:  requests; 0 where it does not tell yet
    outputs:      paths of what its results are read from; `leavings`: what to send for nothing to stay behind
    mark:         ours; None: the API has no place for one
    created_s:    Unix seconds
    why:          what went wrong with all of it
    rest:         what became of requests that have no result; `unsure`: whether they cost something
    """

    id: str
    state: State
    done: int = 0
    total: int = 0
    outputs: tuple[str, ...] = ()
    leavings: tuple[Errand, ...] = ()
    mark: str | None = None
    created_s: float = 0.0
    why: str = ""
    rest: Gone = ""
    unsure: bool = False


class Result(NamedTuple):
    """What came of one request.

    status, body:  as the provider would have answered it by itself
    gone:          why it was not answered at all: `expired` or `canceled`; then it costs nothing, but where
                   the provider does not say so (`unsure`)
    request_id:    the provider's
    """

    id: str
    status: int = 0
    body: bytes = b""
    gone: Gone = ""
    request_id: str = ""
    unsure: bool = False


class BatchApi(Protocol):
    """`url`: what a request's path is for the whole of its provider, such as /v1/messages."""

    @property
    def requests_max(self) -> int: ...

    @property
    def bytes_max(self) -> int: ...

    def line(self, id: str, url: str, body: bytes) -> bytes:
        """One request, without a line break in it."""

    def upload(self, mark: str, lines: bytes) -> Errand | None:
        """None: the lines go with `create`."""

    def uploaded(self, answer: bytes) -> str:
        """The file's id. Raises Fault (provider_answer)."""

    def create(self, mark: str, model: str, url: str, given: bytes) -> Errand:
        """`given`: the file's id, or the lines."""

    def look(self, id: str) -> Errand: ...

    def job(self, answer: bytes) -> Job:
        """What `create`, `look` and `cancel` are answered. Raises Fault (provider_answer)."""

    def cancel(self, id: str) -> Errand: ...

    def page(self, number: int, after: str) -> Errand:
        """Jobs, the newest first: the page of this number, from 0, after what the one before ended with."""

    def jobs(self, answer: bytes) -> tuple[list[Job], str]:
        """Those of a page, and what it ended with; "": there are no more. Raises Fault."""

    def results(self, lines: Iterable[bytes]) -> Iterator[Result]:
        """Of an output. A line that cannot be read is none; raises Fault where all is one and cannot be."""


def identity(said: Any, field: str, what: str) -> str:
    """An id that can stand in a path. Raises Fault for what is none."""
    value = said.get(field) if isinstance(said, dict) else None
    if not isinstance(value, str) or not is_identity(value):
        raise unread(f"{what} (it has no {field} that could be asked for)")
    return value


def is_identity(value: str) -> bool:
    return IDENTITY.fullmatch(value) is not None and ".." not in value


def count_of(value: Any) -> int:
    """A number of requests; protocol buffers write theirs as strings. 0 where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    return value if isinstance(value, int) and 0 <= value <= COUNT_MAX else 0


def seconds_of(value: Any) -> float:
    """Unix seconds of a number of them, or of an RFC 3339 time, cut to microseconds; 0 where it is none."""
    if not isinstance(value, str):
        return float(count_of(value))
    whole, _, rest = value.replace("Z", "+00:00").partition(".")
    digits = rest[:6] if rest[:6].isascii() and rest[:6].isdecimal() else ""
    zone = rest.lstrip("0123456789")
    try:
        return datetime.fromisoformat(whole + (f".{digits}" if digits else "") + zone).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def unread(what: str, error: Exception | None = None) -> Fault:
    said = f": {error}" if error is not None else ""
    return Fault("provider_answer", f"The provider's {what} cannot be read{said}.")


def one_line(body: bytes) -> bytes:
    """JSON without white space between its tokens; each of them stays as it is."""
    return msgspec.json.format(body, indent=-1)
