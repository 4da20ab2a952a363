"""The Gemini API, of Google's AI Studio and of Vertex AI: `POST /v1beta/models/MODEL:generateContent`.

How it thinks. A conversation is contents of a user and a model, each a list of parts; the system text stands
beside it. A part is one of text, media, a call, a result, or something the provider did itself; that it was
thought, and the signature of the thought, stand beside that. Arguments and results of tools are JSON objects,
and a call need not have an id. The address names the model and says whether to stream. A stream is answers,
each with the next parts, and ends without a mark. Thoughts are counted beside the answer.

Files: `names` (words and differences), `shape` (JSON checked, and its two spellings), `schema`, `parts` and
`blocks` (a part read and written), `contents` (the conversation), `config` (how to answer), `request`,
`reply`, `logprobs`, `usage`, `stream` and `stream_write`, `partial` (arguments in pieces), `listed` (a stream
as a list), `watch` and `peek` (bytes that are only moved, and addresses), `errors`; and
`embed`, the same API's vectors.

What must not be here: another dialect, a socket, a clock. Where a model or a provider differs, that is a
row in `names`, and no `if` on its name anywhere.
"""

from collections.abc import Sequence

import msgspec

from ...faults import Fault
from .. import base
from ..base import SEAL, Counting, Dialect, Located, Quirks
from ..checked import may, only
from . import embed
from .bare import BARE
from .errors import read_error, write_error, write_stream_error
from .listed import ListWriter, no_remark, write_list_error
from .names import NAME, NAMES, QUIRKS
from .peek import OPERATIONS, locate, peek, readdress
from .reply import read_reply, read_usage, unlike, write_reply
from .request import read_request, write_request
from .shape import parse, parse_answer
from .stream import StreamReader
from .stream_write import StreamWriter
from .watch import Watch

__all__ = ["DIALECT"]

_MODELS = "/v1beta/models"


def _read_count(body: bytes) -> int:
    try:
        return may(parse_answer(body), "totalTokens", int, "") or 0
    except Fault as fault:
        raise unlike(fault) from None


def _write_count(tokens: int) -> bytes:
    return msgspec.json.encode({"totalTokens": tokens})


def _asked(body: bytes) -> bytes:
    wire = parse(body)
    whole = wire.get("generateContentRequest") or wire.get("generate_content_request")
    if type(whole) is not dict:
        return body
    return msgspec.json.encode({name: value for name, value in whole.items() if name != "model"})


_BARE = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
"""Vertex AI's CountTokensRequest."""


def _asks(body: bytes, model: str, quirks: Quirks) -> bytes:
    """API reference, models.countTokens: with system instruction and tools only as a whole request."""
    if "counts_bare" in quirks:
        return only(body, _BARE)
    whole = {"model": f"models/{model}", **msgspec.json.decode(body)}
    return msgspec.json.encode({"generateContentRequest": whole})


def _write_models(names: Sequence[str]) -> bytes:
    """API reference, models.list: one page of all."""
    listed = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": list(OPERATIONS)}
        for name in names
    ]
    return msgspec.json.encode({"models": listed})


def _locate(path: str, query: bytes) -> Located | None:
    return locate(path, query, LISTED)


DIALECT = Dialect(
    name=NAME,
    path=f"{_MODELS}/{{model}}:generateContent",
    stream_path=f"{_MODELS}/{{model}}:streamGenerateContent?alt=sse",
    client_paths=tuple(f"{_MODELS}/{{model}}:{operation}" for operation in OPERATIONS),
    models_path=_MODELS,
    known_by=frozenset({b"x-goog-api-key", b"x-goog-api-client"}),
    key_query="key",
    locate=_locate,
    names=NAMES,
    signs=NAME,
    wary=(SEAL.encode(),),
    quirks=QUIRKS,
    give_back=frozenset({b"retry-after", b"x-goog-request-id", b"server-timing"}),
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
    remark=no_remark,  # the official SDK takes every line of a stream for JSON
    counting=Counting(
        path=f"{_MODELS}/{{model}}:countTokens",
        read=_read_count,
        write=_write_count,
        asked=_asked,
        asks=_asks,
    ),
)

LISTED = msgspec.structs.replace(
    DIALECT,
    stream_type="application/json",
    stream_writer=ListWriter,
    write_stream_error=write_list_error,
)
"""For clients that ask for a stream without `alt=sse`; a provider is always asked for events."""

EMBEDDINGS = base.embeddings(
    DIALECT,
    name="gemini.batch_embed_contents",
    path=f"{_MODELS}/{{model}}:batchEmbedContents",
    client_paths=(f"{_MODELS}/{{model}}:batchEmbedContents",),
    locate=embed.locate_batch,
    names=embed.NAMES,
    peek=embed.peek,
    readdress=embed.readdress,
    read_request=embed.read_batch,
    write_request=embed.write_batch,
    read_reply=embed.read_reply,
    write_reply=embed.write_reply_batch,
    read_usage=embed.read_usage,
)
ONE_EMBEDDING = msgspec.structs.replace(
    EMBEDDINGS,
    name="gemini.embed_content",
    path=f"{_MODELS}/{{model}}:embedContent",
    client_paths=(f"{_MODELS}/{{model}}:embedContent",),
    locate=embed.locate_one,
    read_request=embed.read_one,
    write_request=embed.write_one,
    write_reply=embed.write_reply_one,
)
