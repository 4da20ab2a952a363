"""What routing and money need of a request, and what its address says.

The address names the model and the operation (API reference): `/v1beta/models/MODEL:generateContent`. On
Vertex AI a project, a location and a publisher stand before `models`. The body is the same for any model,
but for a whole request sent to count its tokens, which names the model again.
"""

import re
from urllib.parse import parse_qsl, unquote

import msgspec

from ...faults import Fault
from ..base import Dialect, Located, Peek
from ..checked import BROKEN, deep, not_json, too_deep
from .shape import parse

_PATH = re.compile(
    r"/v1(?:beta\d?|alpha)?/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?"
    r"(?:models|tunedModels)/(.+):(generateContent|streamGenerateContent|countTokens)"
)
OPERATIONS: dict[str, tuple[str, bool]] = {
    "generateContent": ("chat", False),
    "streamGenerateContent": ("chat", True),
    "countTokens": ("count", False),
}
_WHOLE = b"generateContentRequest"


class _Config(msgspec.Struct, gc=False, rename={"camel": "maxOutputTokens", "snake": "max_output_tokens"}):
    camel: int | None = None
    snake: int | None = None


class _Asked(msgspec.Struct, gc=False, rename={"camel": "generationConfig", "snake": "generation_config"}):
    camel: _Config | None = None
    snake: _Config | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_encode = msgspec.json.encode


def locate(path: str, query: bytes, as_list: Dialect | None = None) -> Located | None:
    """`as_list`: the form of the dialect for a stream that is not asked for as events (`alt=sse`)."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    operation, stream = OPERATIONS[found[2]]
    spoken = None
    if stream and ("alt", "sse") not in parse_qsl(query.decode("latin-1")):
        spoken = as_list
    return Located(operation, unquote(found[1]), stream, spoken)


def peek(body: bytes) -> Peek:
    """Without the model. Raises `Fault` (bad_request): not JSON, too deep, a wrong type of what it reads."""
    try:
        asked = _asked(body)
    except msgspec.ValidationError as error:
        parse(body)
        at = "generationConfig"
        if "axOutputTokens" in str(error) or "max_output" in str(error):
            at += ".maxOutputTokens"
        raise Fault("bad_request", f"{at} cannot be read: {error}.", path=at) from None
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    config = asked.camel or asked.snake
    limit = None
    if config is not None:
        limit = config.camel if config.camel is not None else config.snake
    return Peek("", False, True, limit)


def readdress(body: bytes, peeked: Peek, model: str, usage: bool) -> bytes:
    """`usage` asks for nothing: every stream of this dialect tells it."""
    if _WHOLE not in body and b"generate_content_request" not in body:
        return body
    wire = parse(body)
    whole = wire.get("generateContentRequest")
    if type(whole) is not dict or "model" not in whole:
        return body
    return _encode({**wire, "generateContentRequest": {**whole, "model": f"models/{model}"}})
