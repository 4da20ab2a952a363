"""OpenAI's Chat Completions, and what the rest of the world has made of it.

Dozens of providers speak this dialect, each with fields of its own, so two rules hold in this folder. What
was read here goes back as it was: unknown fields ride in `extras`, and a node that was spelled in the rarer
of two ways is marked, so that its writer spells it so again. What comes from another dialect is written as
OpenAI has it, and as a provider's quirks say.

In reading order: `names` (the tables), `shape` (JSON, checked), `parts`, `thoughts` and `messages` (read),
`request` and `reply`, `blocks` and `asking` (written), `stream` with `choices` (read), `chunks` (written),
`peek` and `watch` (bytes that are only moved), `usage`, `errors`; and `embeddings`, the same API's vectors.
"""

from .. import base
from ..base import Dialect
from ..error_objects import write_error, write_models
from . import embeddings
from .asking import write_request
from .bare import BARE
from .chunks import Writer
from .errors import read_error, write_stream_error
from .names import NAME, NAMES, QUIRKS, REWRITES
from .peek import peek, readdress
from .reply import read_plain_usage, read_reply, write_reply
from .request import read_request
from .stream import Reader
from .watch import Watcher

DIALECT = Dialect(
    name=NAME,
    path="/chat/completions",
    client_paths=("/v1/chat/completions",),
    names=NAMES,
    signs=NAME,
    quirks=QUIRKS,
    rewrites=REWRITES,
    silent="no_stream_options",
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
)

EMBEDDINGS = base.embeddings(
    DIALECT,
    name="openai.embeddings",
    path="/embeddings",
    client_paths=("/v1/embeddings",),
    names=embeddings.NAMES,
    quirks=embeddings.QUIRKS,
    rewrites=embeddings.REWRITES,
    peek=embeddings.peek,
    read_request=embeddings.read_request,
    write_request=embeddings.write_request,
    read_reply=embeddings.read_reply,
    write_reply=embeddings.write_reply,
    read_usage=embeddings.read_usage,
)
