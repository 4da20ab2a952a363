"""Cohere's Chat API, second version: `POST /v2/chat`.

How it thinks. A conversation is messages of typed blocks. A model's plan for its calls stands beside them,
results of tools may be documents, an answer cites what it was given by the place in its text. What is billed
is told beside what was counted. A stream is blocks and calls, each with its number.

Files: `names` (words), `shape` (JSON checked), `parts` (messages read), `request`, `blocks` and `asking`
(written), `reply`, `usage`, `stream` (read) and `chunks` (written), `watch` and `peek` (bytes that are only
moved), `errors`; and `embed`, the same API's vectors.

What must not be here: another dialect, a socket, a clock.
"""

from collections.abc import Sequence

from .. import base
from ..base import Dialect
from ..checked import encode
from ..moved import readdress
from . import embed
from .asking import write_request
from .bare import BARE
from .chunks import Writer
from .errors import read_error, write_error, write_stream_error
from .names import NAME, NAMES, QUIRKS, REWRITES
from .peek import peek
from .reply import read_plain_usage, read_reply, write_reply
from .request import read_request
from .stream import Reader
from .watch import Watch

__all__ = ["DIALECT"]


def _write_models(names: Sequence[str]) -> bytes:
    """API reference, List Models: one page of all."""
    listed = [{"name": name, "endpoints": ["chat"], "finetuned": False} for name in names]
    return encode({"models": listed, "next_page_token": ""})


DIALECT = Dialect(
    name=NAME,
    path="/v2/chat",
    client_paths=("/v2/chat",),
    names=NAMES,
    quirks=QUIRKS,
    rewrites=REWRITES,
    forward=frozenset({b"x-client-name"}),
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
    watch=Watch,
    read_error=read_error,
    write_error=write_error,
    write_stream_error=write_stream_error,
    write_models=_write_models,
)

EMBEDDINGS = base.embeddings(
    DIALECT,
    name="cohere.embed",
    path="/v2/embed",
    client_paths=("/v2/embed",),
    names=embed.NAMES,
    peek=embed.peek,
    read_request=embed.read_request,
    write_request=embed.write_request,
    read_reply=embed.read_reply,
    write_reply=embed.write_reply,
    read_usage=embed.read_usage,
)
