"""What routing and money need of a request, and what its address says: the model, and whether to stream.

A call's path is `/model/{model}/converse`, with the model's name percent-encoded, for it may be an ARN with
slashes. A body is the same for every model, so nothing has to be changed in it for another.
"""

import re
from urllib.parse import unquote

import msgspec

from ...faults import Fault
from ..base import Located, Peek
from ..checked import BROKEN, deep, not_json, parse, too_deep

PATH = "/model/{model}/converse"
STREAM_PATH = PATH + "-stream"
COUNT_PATH = "/model/{model}/count-tokens"

_PATH = re.compile(r"/model/(.+)/(converse|converse-stream|count-tokens)")


class _Config(msgspec.Struct, gc=False, rename="camel"):
    max_tokens: int | None = None


class _Asked(msgspec.Struct, gc=False, rename="camel"):
    inference_config: _Config | None = None


_asked = msgspec.json.Decoder(_Asked).decode


def peek(body: bytes) -> Peek:
    """Raises `Fault` (bad_request): not JSON, too deep, a wrong type of a field it reads."""
    try:
        asked = _asked(body)
    except msgspec.ValidationError as error:
        parse(body)
        at = "inferenceConfig.maxTokens" if "maxTokens" in str(error) else "inferenceConfig"
        mend = "a whole number" if "maxTokens" in str(error) else "an object"
        if "inferenceConfig" not in str(error):
            raise Fault("bad_request", f"The body cannot be read: {error}.") from None
        raise Fault("bad_request", f"{at} is of a wrong type. Send {mend}.", path=at) from None
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    config = asked.inference_config
    return Peek("", False, True, config.max_tokens if config is not None else None)


def readdress(body: bytes, peeked: Peek, model: str, usage: bool) -> bytes:
    """`usage` asks for nothing: every stream of this dialect tells it."""
    return body


def locate(path: str, query: bytes) -> Located | None:
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    model = unquote(found[1])
    if found[2] == "count-tokens":
        return Located("count", model)
    return Located("chat", model, found[2] == "converse-stream")
