"""The Messages API, of Anthropic and of those who serve it: `POST /v1/messages`.

How it thinks. A conversation is turns of a user and an assistant, each a list of typed blocks; the system
text stands beside it. Results of tools are blocks of a user's turn. What a tool is called with is a JSON
object. The prompt is cached where the caller marks it. A stream is blocks, one after another. Usage counts
uncached input beside what was read from and written to the cache.

Files: `names` (words and differences), `shape` (JSON checked), `parts` and `blocks` (a block read and
written), `turns` (the order the API wants), `request`, `reply`, `usage`, `stream` and `stream_write`,
`watch` and `peek` (bytes that are only moved), `errors`.

What must not be here: another dialect, a socket, a clock. Where a model or a provider differs, that is a
row in `names`, and no `if` on its name anywhere.
"""

from collections.abc import Sequence

import msgspec

from ...faults import Fault
from ..base import SEAL, Counting, Dialect
from ..checked import need, only, parse_answer
from ..moved import readdress
from .bare import BARE
from .errors import read_error, write_error, write_stream_error
from .names import EMBODIED, NAME, NAMES, QUIRKS, REWRITES
from .peek import peek
from .reply import read_reply, read_usage, unlike, write_reply
from .request import read_request, write_request
from .stream import StreamReader
from .stream_write import StreamWriter
from .watch import Watch

__all__ = ["DIALECT"]

_LIMITS = (
    "ratelimit-requests",
    "ratelimit-tokens",
    "ratelimit-input-tokens",
    "ratelimit-output-tokens",
    "priority-input-tokens",
    "priority-output-tokens",
)
_GIVE_BACK = frozenset(
    {b"request-id", b"retry-after", b"x-should-retry"}
    | {f"anthropic-{what}-{told}".encode() for what in _LIMITS for told in ("limit", "remaining", "reset")}
)
"""API reference, Rate limits (response headers) and Errors (request id)."""


def _read_count(body: bytes) -> int:
    try:
        return need(parse_answer(body), "input_tokens", int, "")
    except Fault as fault:
        raise unlike(fault) from None


def _write_count(tokens: int) -> bytes:
    return msgspec.json.encode({"input_tokens": tokens})


_COUNTED = frozenset({
    "messages", "model", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
})  # fmt: skip
"""API reference, Count tokens in a Message: it takes no other field."""


def _write_models(names: Sequence[str]) -> bytes:
    """API reference, List models: one page of all. The day of a model's release is not ours to say."""
    listed = [
        {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        for name in names
    ]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return msgspec.json.encode({"data": listed, "has_more": False, **ends})


DIALECT = Dialect(
    name=NAME,
    path="/v1/messages",
    client_paths=("/v1/messages",),
    names=NAMES,
    signs=NAME,
    wary=(SEAL.encode(),),
    quirks=QUIRKS,
    rewrites=REWRITES,
    forward=frozenset({b"anthropic-beta", b"anthropic-version"}),
    telling=frozenset({b"anthropic-beta"}),
    embodied=EMBODIED,
    give_back=_GIVE_BACK,
    headers={"anthropic-version": "2023-06-01"},
    peek=peek,
    readdress=readdress,
    read_request=read_request,
    write_request=write_request,
    bare=BARE,
    read_reply=read_reply,
    write_reply=write_reply,
    read_usage=read_usage,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
    watch=Watch,
    read_error=read_error,
    write_error=write_error,
    write_stream_error=write_stream_error,
    write_models=_write_models,
    keepalives=(b":", b"event: ping"),
    counting=Counting(
        path="/v1/messages/count_tokens",
        read=_read_count,
        write=_write_count,
        asked=lambda body: body,
        asks=lambda body, model, quirks: only(body, _COUNTED),
    ),
)
