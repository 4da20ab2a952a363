"""`POST /api/embed`: a text or a list of them, and a vector for each.

Sources: the server's OpenAPI description, the types of the official SDK (ollama 0.6) and recorded answers. A
text that is too long is cut at its end, unless `truncate` is false. An answer is the vectors in their order.
"""

import msgspec

from ...faults import Fault
from ...ir import EmbeddingReply, EmbeddingRequest, Input, Json, Text, Usage, Vector
from ...losses import Report
from ..base import Peek, Quirks, numbers_of, numbers_read, one_text, unwanted, wanted
from ..checked import Wire, encode, may, merge, need, others, parse, parse_answer, wrong
from .errors import fault_inside
from .names import NAME, ours
from .peek import peek as peek_chat
from .usage import FIELDS, read_usage, write_usage

NAMES: dict[str, str] = {
    "inputs": "input",
    "task": "input",  # where it would have to be said
    "input_tokens": "prompt_eval_count",
    "output_tokens": "eval_count",
}

_ASKED = frozenset({"model", "input", "truncate", "dimensions"})
_REPLY = frozenset({"model", "embeddings", *FIELDS})


def peek(body: bytes) -> Peek:
    """As the chat's, of which it has the fields."""
    return Peek(peek_chat(body).model, False, False, 0, "float")


def read_request(body: bytes) -> EmbeddingRequest:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    given = node.get("input")
    alone = type(given) is str
    listed = [given] if alone else given
    if type(listed) is not list:
        raise wrong("input", "a text or a list of texts", given)
    cut = may(node, "truncate", bool, "")
    return EmbeddingRequest(
        model=need(node, "model", str, ""),
        inputs=tuple(_input(one, "input" if alone else f"input[{i}]") for i, one in enumerate(listed)),
        alone=alone,
        dimensions=may(node, "dimensions", int, ""),
        truncate=None if cut is None else "end" if cut else "none",
        extras=ours(others(node, _ASKED)),
    )


def _input(given: Json, at: str) -> Input:
    if type(given) is not str:
        raise wrong(at, "a text", given)
    return Input(parts=(Text(text=given, at=at),), at=at)


def write_request(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    """Never raises; what the request cannot carry is told to `report`."""
    texts = [one_text(given, report, NAME) for given in request.inputs]
    node: Wire = {"model": request.model, "input": texts[0] if request.alone and texts else texts}
    unwanted(request, "task", report, "task")
    dimensions = wanted(request, "dimensions", report, "dimensions")
    if dimensions is not None:
        node["dimensions"] = dimensions
    if any(form != "float" for form in request.forms):
        report.lose(request, "forms", "changed", "vector_form")
    if request.truncate is not None:
        node["truncate"] = request.truncate != "none"
        if request.truncate == "start":
            report.lose(request, "truncate", "approximated", "truncate")
    if request.user is not None:
        report.lose(request, "user", "dropped", "metadata")
    return encode(merge(node, report.extras(request, NAME)))


# --- replies -------------------------------------------------------------------------------------


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    node = parse_answer(body)
    vectors = []
    for i, one in enumerate(_embeddings(node)):
        numbers = numbers_read(one)
        if numbers is None:
            raise Fault("provider_answer", f"The provider's answer is none: embeddings[{i}] is no vector.")
        vectors.append(Vector(numbers=numbers, at=f"embeddings[{i}]"))
    model = node.get("model")
    return EmbeddingReply(
        model=model if type(model) is str else "",
        vectors=tuple(vectors),
        usage=_usage(node),
        extras=ours(others(node, _REPLY)),
    )


def _embeddings(node: Wire) -> list[Json]:
    fault = fault_inside(node)
    if fault is not None:
        raise fault
    listed = node.get("embeddings")
    if type(listed) is not list:
        raise Fault("provider_answer", "The provider's answer has no list of embeddings.")
    return listed


def _usage(node: Wire) -> Usage | None:
    try:
        usage = read_usage(node)
    except Fault as fault:
        raise Fault("provider_answer", f"The provider's answer is none: {fault.message}") from None
    return None if usage is None else msgspec.structs.replace(usage, output_tokens=0)


def read_plain_usage(body: bytes) -> Usage | None:
    """Of a plain answer that is moved. Raises like `read_reply` for an error inside it."""
    node = parse_answer(body)
    _embeddings(node)
    return _usage(node)


def write_reply(reply: EmbeddingReply, report: Report) -> bytes:
    node: Wire = {"model": reply.model, "embeddings": [_told(vector, report) for vector in reply.vectors]}
    if reply.id:
        report.lose(reply, "id", "dropped", "unknown_field")
    if reply.usage is not None:
        node |= write_usage(msgspec.structs.replace(reply.usage, output_tokens=None), report)
    return encode(merge(node, report.extras(reply, NAME)))


def _told(vector: Vector, report: Report) -> list[float]:
    for name in report.extras(vector, NAME):  # a vector is a list here, with no place for a field
        report.lose_at(f"{vector.at}.{name}", "dropped", "unknown_field")
    return numbers_of(vector, report)
