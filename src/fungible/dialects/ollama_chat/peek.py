"""What routing and money need of a request: a few fields are read and the rest is skipped."""

import msgspec

from ...faults import Fault
from ..base import Peek
from ..checked import BROKEN, deep, too_deep
from ..moved import refused


class _Options(msgspec.Struct, gc=False):
    num_predict: int | None = None


class _Asked(msgspec.Struct, gc=False):
    model: str
    stream: bool | None = None
    options: _Options | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_MENDS = {
    "model": "a model's name, a string",
    "stream": "true or false",
    "options": "an object",
    "options.num_predict": "a whole number",
}


def peek(body: bytes) -> Peek:
    """Raises `Fault` (bad_request): not JSON, too deep, no model, a wrong type of a field it reads."""
    try:
        asked = _asked(body)
    except BROKEN as error:
        raise refused(error, body, _MENDS) from None
    if too_deep(body):
        raise deep()
    if not asked.model:
        raise Fault("bad_request", f"model is empty. Send {_MENDS['model']}.", path="model")
    limit = asked.options.num_predict if asked.options is not None else None
    return Peek(asked.model, asked.stream is not False, True, limit if limit is None or limit > 0 else None)
