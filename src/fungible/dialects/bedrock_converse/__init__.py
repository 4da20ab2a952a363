"""The Converse API of Amazon Bedrock: `POST /model/{modelId}/converse`, and `converse-stream`.

How it thinks. The address names the model and whether to stream; the body is a conversation of users and
assistants who take turns, each a list of blocks, and a block is an object with one member that says its kind.
The system text stands beside it. A cache point is a block of its own after what it marks. What only some
models take goes in `additionalModelRequestFields`. Usage counts uncached input beside what was read from and
written to the cache. A stream is binary frames, and ends with a frame of its metadata.

Files: `names` (words and differences), `shape` (JSON checked), `parts` and `blocks` (a block read and
written), `turns` (the order the service wants), `request` and `asking` (a request read and written),
`reply`, `usage`, `stream` and `stream_write`, `watch` and `peek` (bytes that are only moved), `errors`; and
`embed`, the vectors, for which there is no such API.

What must not be here: another dialect, a socket, a clock. Where a model or a provider differs, that is a
row in `names`, and no `if` on its name anywhere.
"""

from collections.abc import Sequence

import msgspec

from ...faults import Fault
from ...providers.sigv4 import key_of
from .. import base
from ..base import SEAL, Counting, Dialect, Quirks
from ..checked import an_object, encode, need, only, parse, parse_answer
from . import embed
from .asking import write_request
from .bare import BARE
from .errors import read_error, write_error, write_stream_error
from .names import NAME, NAMES, QUIRKS, REWRITES, SIGNS
from .peek import COUNT_PATH, PATH, STREAM_PATH, locate, peek, readdress
from .reply import read_reply, read_usage, unlike, write_reply
from .request import read_request
from .stream import StreamReader
from .stream_write import StreamWriter, remark
from .watch import Watch

__all__ = ["DIALECT", "EMBEDDINGS"]


def _read_count(body: bytes) -> int:
    try:
        return need(parse_answer(body), "inputTokens", int, "")
    except Fault as fault:
        raise unlike(fault) from None


def _write_count(tokens: int) -> bytes:
    return msgspec.json.encode({"inputTokens": tokens})


def _asked(body: bytes) -> bytes:
    """CountTokensInput. One of InvokeModel is of its model's own dialect, and refused."""
    asked = an_object(an_object(parse(body).get("input"), "input").get("converse"), "input.converse")
    return encode(asked)


_COUNTED = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
"""ConverseTokensRequest."""


def _asks(body: bytes, model: str, quirks: Quirks) -> bytes:
    return b'{"input":{"converse":%b}}' % only(body, _COUNTED)


def _write_models(names: Sequence[str]) -> bytes:
    """API reference, ListFoundationModels, as far as a name says it."""
    return msgspec.json.encode({"modelSummaries": [{"modelId": name, "modelName": name} for name in names]})


DIALECT = Dialect(
    name=NAME,
    path=PATH,
    stream_path=STREAM_PATH,
    client_paths=(PATH, STREAM_PATH, COUNT_PATH),
    models_path="/foundation-models",
    locate=locate,
    signed=key_of,
    names=NAMES,
    signs=SIGNS,
    wary=(SEAL.encode(),),
    quirks=QUIRKS,
    rewrites=REWRITES,
    forward=frozenset({b"x-amzn-bedrock-trace", b"x-amzn-bedrock-guardrailidentifier"}),
    telling=frozenset({b"x-amzn-bedrock-guardrailidentifier"}),
    give_back=frozenset(
        {b"x-amzn-requestid", b"x-amzn-errortype", b"retry-after"}
        | {b"x-amzn-bedrock-input-token-count", b"x-amzn-bedrock-output-token-count"}
    ),
    stream_type="application/vnd.amazon.eventstream",
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
    keepalives=(),
    remark=remark,
    counting=Counting(path=COUNT_PATH, read=_read_count, write=_write_count, asked=_asked, asks=_asks),
)

EMBEDDINGS = base.embeddings(
    DIALECT,
    name=embed.NAME,
    path=embed.PATH,
    client_paths=(),
    signed=None,
    names=embed.NAMES,
    peek=embed.peek,
    read_request=embed.read_request,
    write_request=embed.write_request,
    read_reply=embed.read_reply,
    write_reply=embed.write_reply,
    read_usage=embed.read_usage,
)
