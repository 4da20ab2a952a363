"""`POST /v1/embeddings`: an input or a list of them, each a text or its token ids, and a vector for each.

Sources: the API reference, the types of the official SDK (openai 3.54, mistralai 3.7) and recorded answers.
`dimensions` is `output_dimension` at Mistral, which is read here too. Usage is what was read; nothing is
written by such a model, so `completion_tokens`, where a server tells it, is 0 and says nothing.

The SDK asks for base64 unless its caller says otherwise, and takes numbers as well.
"""

from typing import Any

import msgspec

from ...faults import Fault
from ...ir import EmbeddingReply, EmbeddingRequest, Input, Json, Node, Text, Usage, Vector
from ...losses import Report
from ..base import Peek, Quirks, numbers_of, numbers_read, one_text, unwanted, wanted
from ..checked import (
    BROKEN,
    Wire,
    an_object,
    deep,
    encode,
    may,
    merge,
    need,
    not_json,
    others,
    parse,
    parse_answer,
    too_deep,
    wrong,
)
from .errors import fault_inside
from .names import NAME, ours
from .reply import as_text

NAMES: dict[str, str] = {
    "inputs": "input",
    "forms": "encoding_format",
    "task": "input",  # where it would have to be said
    "numbers": "embedding",
    "packed": "embedding",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}

QUIRKS: dict[str, str] = {
    "output_dimension": "Calls the length of vectors `output_dimension`, not `dimensions`.",
    "no_dimensions": "Makes vectors of one length only; `dimensions` is left out.",
}

REWRITES: dict[str, bytes] = dict.fromkeys(QUIRKS, b'"dimensions"')

_ASKED = frozenset({"model", "input", "dimensions", "output_dimension", "encoding_format", "user"})
_REPLY = frozenset({"id", "object", "data", "model", "usage"})
_VECTOR = frozenset({"object", "index", "embedding"})
_COUNTS = frozenset({"prompt_tokens", "total_tokens", "completion_tokens"})
_INPUT = "a text, a list of texts, token ids or a list of such lists"
_NO_FORMS = frozenset({"int8", "uint8", "binary", "ubinary"})
"""Words of other wires for what this one does not write. An unknown word is for the provider to refuse."""


class _Head(msgspec.Struct, gc=False):
    model: str | None = None
    encoding_format: str | None = None


_head = msgspec.json.Decoder(_Head).decode


def peek(body: bytes) -> Peek:
    """Raises `Fault` (bad_request): not JSON, too deep, no model, a wrong type of what it reads."""
    try:
        head = _head(body)
    except msgspec.ValidationError:
        wire = parse(body)
        may(wire, "encoding_format", str, "")
        need(wire, "model", str, "")
        raise Fault("bad_request", "The body must be a JSON object.") from None
    except RecursionError:
        raise deep() from None
    except BROKEN as error:
        raise not_json(error) from None
    if too_deep(body):
        raise deep()
    if not head.model:
        raise Fault(
            "bad_request",
            "The body names no model. Send `model`: a route's name, provider/model, or a model's own name.",
            path="model",
        )
    form = head.encoding_format
    return Peek(head.model, False, False, 0, "base64" if form == "base64" else "float" if form else None)


def read_request(body: bytes) -> EmbeddingRequest:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    given = node.get("input")
    alone = type(given) is str or (type(given) is list and bool(given) and type(given[0]) is int)
    form = may(node, "encoding_format", str, "")
    dimensions = may(node, "dimensions", int, "")
    if dimensions is None:
        dimensions = may(node, "output_dimension", int, "")
    return EmbeddingRequest(
        model=need(node, "model", str, ""),
        inputs=(_input(given, "input"),) if alone else _inputs(given),
        alone=alone,
        dimensions=dimensions,
        forms=(form,) if form is not None else (),
        user=may(node, "user", str, ""),
        extras=ours(others(node, _ASKED)),
    )


def _inputs(given: Json) -> tuple[Input, ...]:
    if type(given) is not list:
        raise wrong("input", _INPUT, given)
    return tuple(_input(one, f"input[{i}]") for i, one in enumerate(given))


def _input(given: Json, at: str) -> Input:
    if type(given) is str:
        return Input(parts=(Text(text=given, at=at),), at=at)
    if type(given) is list and all(type(token) is int for token in given):
        return Input(tokens=tuple(given), at=at)
    raise wrong(at, "a text, or its token ids", given)


def write_request(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    """Never raises; what the request cannot carry is told to `report`."""
    inputs: list[Any] = []
    for given in request.inputs:
        if given.tokens is not None:
            _lose_fields(given, report)
            inputs.append(list(given.tokens))
        else:
            inputs.append(one_text(given, report, NAME))
    node: Wire = {"model": request.model, "input": inputs[0] if request.alone and inputs else inputs}
    unwanted(request, "task", report, "task")
    dimensions = wanted(request, "dimensions", report, "dimensions")
    if dimensions is not None and "no_dimensions" in quirks:
        unwanted(request, "dimensions", report, "dimensions")
    elif dimensions is not None:
        node["output_dimension" if "output_dimension" in quirks else "dimensions"] = dimensions
    if request.forms:
        form = next((form for form in request.forms if form not in _NO_FORMS), None)
        if form is not None:
            node["encoding_format"] = form
        if len(request.forms) > 1 or form is None:
            report.lose(request, "forms", "approximated", "vector_form")
    if request.truncate not in (None, "none"):  # a text that is too long is refused
        report.lose(request, "truncate", "dropped", "truncate")
    if request.user is not None:
        node["user"] = request.user
    return encode(merge(node, report.extras(request, NAME)))


def _lose_fields(node: Node, report: Report) -> None:
    for name in report.extras(node, NAME):
        report.lose_at(f"{node.at}.{name}", "dropped", "unknown_field")


# --- replies -------------------------------------------------------------------------------------


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    node = parse_answer(body)
    try:
        vectors = [_vector(one, i) for i, one in enumerate(_data(node))]
    except Fault as fault:
        if fault.kind != "bad_request":
            raise
        raise Fault("provider_answer", f"The provider's answer is none: {fault.message}") from None
    vectors.sort(key=lambda found: found[0])
    return EmbeddingReply(
        id=as_text(node.get("id")),
        model=as_text(node.get("model")),
        vectors=tuple(vector for _, vector in vectors),
        usage=_usage(node.get("usage")),
        extras=ours(others(node, _REPLY)),
    )


def _data(node: Wire) -> list[Json]:
    fault = fault_inside(node)
    if fault is not None:
        raise fault
    data = node.get("data")
    if type(data) is not list:
        raise Fault("provider_answer", "The provider's answer has no list of data.")
    return data


def _vector(value: Json, place: int) -> tuple[int, Vector]:
    at = f"data[{place}]"
    node = an_object(value, at)
    index, held = may(node, "index", int, at), node.get("embedding")
    extras = ours(others(node, _VECTOR))
    if type(held) is str:
        vector = Vector(packed=held, at=at, extras=extras)
    else:
        numbers = numbers_read(held)
        if numbers is None:
            raise wrong(f"{at}.embedding", "a list of numbers or base64", held)
        vector = Vector(numbers=numbers, at=at, extras=extras)
    return (place if index is None else index), vector


def _usage(value: Json) -> Usage | None:
    if type(value) is not dict:
        return None
    read, total = value.get("prompt_tokens"), value.get("total_tokens")
    read = read if type(read) is int else total if type(total) is int else None
    fields = others(value, _COUNTS)
    if type(total) is int and total != read:
        fields["total_tokens"] = total
    if value.get("completion_tokens"):
        fields["completion_tokens"] = value["completion_tokens"]
    return Usage(input_tokens=read, output_tokens=0, at="usage", extras=ours(fields))


def read_usage(body: bytes) -> Usage | None:
    """Of a plain answer that is moved. Raises like `read_reply` for an error inside it."""
    node = parse_answer(body)
    _data(node)
    return _usage(node.get("usage"))


def write_reply(reply: EmbeddingReply, report: Report) -> bytes:
    node: Wire = {"object": "list", "data": [_told(v, i, reply, report) for i, v in enumerate(reply.vectors)]}
    if reply.id:
        node["id"] = reply.id
    node["model"] = reply.model
    usage = reply.usage
    if usage is not None:
        fields = report.extras(usage, NAME)
        if usage.input_tokens is not None:
            node["usage"] = {
                "prompt_tokens": usage.input_tokens,
                "total_tokens": usage.input_tokens,
                **fields,
            }
        elif fields:
            node["usage"] = fields
    return encode(merge(node, report.extras(reply, NAME)))


def _told(vector: Vector, index: int, reply: EmbeddingReply, report: Report) -> Wire:
    packed = None
    if reply.form == "base64" or (reply.form is None and vector.packed is not None):
        packed = vector.base64()
        if packed is None:
            report.lose(vector, "numbers", "changed", "vector_form")
    held = numbers_of(vector, report) if packed is None else packed
    return merge({"object": "embedding", "index": index, "embedding": held}, report.extras(vector, NAME))
