"""OpenAI's Responses, and those who serve it: `POST /v1/responses`.

How it thinks. A conversation is a flat list of items: messages, reasoning, calls, results of calls, and
what the provider's own tools did. The answer is such a list again, which the client sends back with the
results beneath it, or names by the answer's id where the provider keeps it. Reasoning is opaque but for its
summary. A stream tells each item as it begins, grows and ends, every event numbered, and the whole answer
at its end.

In reading order: `names` (the tables), `shape` (JSON, checked), `parts` and `items` (read), `request` and
`reply`, `blocks` and `asking` (written), `stream` (read), `stream_write`, `peek` and `watch` (bytes that
are only moved), `usage`, `errors`.

What must not be here: another dialect, a socket, a clock, and what a conversation held before this call.
"""

from functools import partial

import msgspec

from ...faults import Fault
from ..base import Counting, Dialect
from ..checked import need, only, parse_answer
from ..error_objects import write_error, write_models
from ..moved import readdress
from .asking import write_request
from .bare import BARE
from .errors import read_error, write_stream_error
from .keeping import KEEPING
from .names import NAME, NAMES, QUIRKS, REWRITES
from .peek import peek
from .reply import read_plain_usage, read_reply, repeated, unlike, write_reply
from .request import read_request
from .stream import Reader
from .stream_write import Writer
from .watch import Watcher

__all__ = ["DIALECT"]


def _read_count(body: bytes) -> int:
    """API reference, Get input token counts."""
    try:
        return need(parse_answer(body), "input_tokens", int, "")
    except Fault as fault:
        raise unlike(fault) from None


def _write_count(tokens: int) -> bytes:
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})


_COUNTED = frozenset({
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id",
    "reasoning", "text", "tool_choice", "tools", "truncation",
})  # fmt: skip
"""API reference, Get input token counts: it takes no other field."""


def _repeating(body: bytes) -> Dialect:
    said = repeated(body)
    return msgspec.structs.replace(
        DIALECT, write_reply=partial(write_reply, said=said), stream_writer=partial(Writer, said=said)
    )


DIALECT = Dialect(
    name=NAME,
    path="/responses",
    client_paths=("/v1/responses",),
    names=NAMES,
    quirks=QUIRKS,
    rewrites=REWRITES,
    forward=frozenset({b"openai-beta", b"openai-organization", b"openai-project", b"x-client-request-id"}),
    telling=frozenset({b"openai-beta"}),
    give_back=frozenset({b"openai-processing-ms", b"openai-version", b"x-request-id"}),
    peek=peek,
    readdress=readdress,
    read_request=read_request,
    write_request=write_request,
    bare=BARE,
    read_reply=read_reply,
    write_reply=write_reply,
    read_usage=read_plain_usage,
    stream_reader=Reader,
    stream_writer=Writer,
    watch=Watcher,
    read_error=read_error,
    write_error=write_error,
    write_stream_error=write_stream_error,
    write_models=write_models,
    keepalives=(b":", b"event: keepalive"),
    keeping=KEEPING,
    repeating=_repeating,
    counting=Counting(
        path="/responses/input_tokens",
        read=_read_count,
        write=_write_count,
        asked=lambda body: body,
        asks=lambda body, model, quirks: only(body, _COUNTED),
    ),
)
