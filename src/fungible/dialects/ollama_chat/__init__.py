"""Ollama's own chat API: `POST /api/chat`, of the server on one's machine and of its cloud.

How it thinks. A conversation is messages, each a role and some fields: `content`, a string; `thinking`;
`images`, bare base64; `tool_calls`, whose arguments are objects. Results of tools name the tool. What samples
stands in `options`. An answer is streamed unless the request says otherwise: JSON, a line for each piece, of
which the last says `"done": true` and what it took.

Files: `names` (words), `shape` (JSON checked), `parts` (messages read), `request`, `blocks` and `asking`
(written), `reply`, `usage`, `stream` (read) and `chunks` (written), `watch` and `peek` (bytes that are only
moved), `errors`; `embed`, the same server's vectors, and
`generate`, its older API of one prompt.

What must not be here: another dialect, a socket, a clock.
"""

from collections.abc import Sequence

import msgspec

from .. import base
from ..base import Dialect
from ..checked import encode
from ..moved import readdress
from . import embed, generate
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

API_VERSION = "0.12.6"
"""The server version whose API this folder speaks; clients look at it to know what they may send."""


def _write_models(names: Sequence[str]) -> bytes:
    """`GET /api/tags`. Size, day and digest of a model that is elsewhere are not ours to say."""
    details = {"parent_model": "", "format": "", "family": "", "families": [], "parameter_size": "",
               "quantization_level": ""}  # fmt: skip
    listed = [
        {"name": name, "model": name, "modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": "",
         "details": details}
        for name in names
    ]  # fmt: skip
    return encode({"models": listed})


def _write_version(names: Sequence[str]) -> bytes:
    return encode({"version": API_VERSION})


def _no_remark(text: str) -> bytes:
    """Every line of a stream is an answer to its reader."""
    return b""


DIALECT = Dialect(
    name=NAME,
    path="/api/chat",
    client_paths=("/api/chat",),
    names=NAMES,
    quirks=QUIRKS,
    rewrites=REWRITES,
    stream_type="application/x-ndjson",
    remark=_no_remark,
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
    pages={"/api/tags": _write_models, "/api/version": _write_version},
    keepalives=(),
)

GENERATE = msgspec.structs.replace(
    DIALECT,
    name=generate.GENERATE,
    path="/api/generate",
    client_paths=("/api/generate",),
    names=generate.NAMES,
    pages={},
    read_request=generate.read_request,
    write_request=generate.write_request,
    bare=None,
    read_reply=generate.read_reply,
    write_reply=generate.write_reply,
    read_usage=generate.read_plain_usage,
    stream_reader=generate.Reader,
    stream_writer=generate.Writer,
)

EMBEDDINGS = base.embeddings(
    DIALECT,
    name="ollama.embed",
    path="/api/embed",
    client_paths=("/api/embed",),
    names=embed.NAMES,
    peek=embed.peek,
    read_request=embed.read_request,
    write_request=embed.write_request,
    read_reply=embed.read_reply,
    write_reply=embed.write_reply,
    read_usage=embed.read_plain_usage,
)
