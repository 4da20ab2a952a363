"""What routing and money need of a request: a few fields are read and the rest is skipped."""

import msgspec

from ...faults import Fault
from ..base import Peek
from ..checked import BROKEN, deep, too_deep
from ..moved import refused


class _Asked(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None


_asked = msgspec.json.Decoder(_Asked).decode
_MENDS = {
    "model": "a model's name, a string",
    "stream": "true or false",
    "max_output_tokens": "a whole number",
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
        raise Fault(
            "bad_request",
            "The body names no model. Send `model`: a route's name, provider/model, or a model's own name.",
            path="model",
        )
    return Peek(asked.model, asked.stream is True, True, asked.max_output_tokens)
