"""`POST /v2/embed`: texts, images, or inputs of both, and for each a vector in every form asked for.

Sources: the API reference, the types of the official SDK (cohere 7.3, v2) and recorded answers. The API must
be told what the vectors are for (`input_type`); where nobody said, they are for documents that are searched.
Forms beside numbers and base64 (int8, binary, ...) are whole lists of the answer, and ride along.
"""

from typing import Any

from ...faults import Fault
from ...ir import EmbeddingReply, EmbeddingRequest, Image, Input, Json, Task, Text, Usage, Vector
from ...losses import Report
from ..base import Peek, Quirks, numbers_of, numbers_read, wanted
from ..checked import Wire, a_list, an_object, encode, may, merge, need, others, parse, parse_answer, strings
from .blocks import Blocks
from .names import NAME, OURS, is_ours, ours
from .parts import block, content
from .peek import peek as peek_chat
from .usage import read_usage as read_counts

NAMES: dict[str, str] = {
    "dimensions": "output_dimension",
    "forms": "embedding_types",
    "task": "input_type",
    "input_tokens": "meta.billed_units.input_tokens",
    "Usage.input_tokens": "meta.billed_units.input_tokens",
}

TASKS: dict[str, Task] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
_WORDS = {task: word for word, task in TASKS.items()}
_CUTS: dict[str, Any] = {"NONE": "none", "START": "start", "END": "end"}
_FORMS = frozenset({"float", "int8", "uint8", "binary", "ubinary", "base64"})
_ASKED = frozenset(
    {"model", "input_type", "texts", "images", "inputs", "output_dimension", "embedding_types", "truncate"}
)
_REPLY = frozenset({"id", "embeddings", "meta", "response_type"})
_SHOWN = (Text, Image)


def peek(body: bytes) -> Peek:
    """As the chat's, of which it has the fields."""
    found = peek_chat(body)
    types = parse(body).get("embedding_types") if b"base64" in body else None
    return Peek(found.model, False, False, 0, "base64" if types == ["base64"] else None)


def read_request(body: bytes) -> EmbeddingRequest:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    unknown = others(node, _ASKED)
    task, cut = may(node, "input_type", str, ""), may(node, "truncate", str, "")
    if task is not None and task not in TASKS:
        unknown["input_type"] = task
    if cut is not None and cut not in _CUTS:
        unknown["truncate"] = cut
    forms = node.get("embedding_types")
    return EmbeddingRequest(
        model=need(node, "model", str, ""),
        inputs=tuple(_inputs(node)),
        dimensions=may(node, "output_dimension", int, ""),
        forms=tuple(strings(forms, "embedding_types")) if forms is not None else (),
        task=TASKS.get(task or ""),
        truncate=_CUTS.get(cut or ""),
        extras=ours(unknown),
    )


def _inputs(node: Wire) -> list[Input]:
    """Images by themselves are marked as ours, so that they go back to their own list."""
    found = []
    for i, text in enumerate(strings(node["texts"], "texts") if node.get("texts") is not None else ()):
        at = f"texts[{i}]"
        found.append(Input(parts=(Text(text=text, at=at),), at=at))
    for i, url in enumerate(strings(node["images"], "images") if node.get("images") is not None else ()):
        at = f"images[{i}]"
        found.append(
            Input(parts=(block({"type": "image_url", "image_url": {"url": url}}, at),), at=at, extras=OURS)
        )
    for i, one in enumerate(a_list(node["inputs"], "inputs") if node.get("inputs") is not None else ()):
        at = f"inputs[{i}]"
        given = an_object(one, at)
        parts = tuple(content(given.get("content"), f"{at}.content"))
        found.append(Input(parts=parts, at=at, extras=ours(others(given, {"content"}))))
    return found


def write_request(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    """Never raises; what the request cannot carry is told to `report`."""
    own = dict(report.extras(request, NAME))
    node: Wire = {"model": request.model}
    task = wanted(request, "task", report, "task")
    if task is not None or "input_type" not in own:
        node["input_type"] = _WORDS[task or "document"]
        if task is None:
            report.lose(request, "task", "approximated", "task")
    node |= _written(request, report)
    dimensions = wanted(request, "dimensions", report, "dimensions")
    if dimensions is not None:
        node["output_dimension"] = dimensions
    if request.forms:
        node["embedding_types"] = list(request.forms)
    if request.truncate is not None:
        node["truncate"] = request.truncate.upper()
    if request.user is not None:
        report.lose(request, "user", "dropped", "metadata")
    return encode(merge(node, own))


def _written(request: EmbeddingRequest, report: Report) -> Wire:
    """In the field that holds what all inputs are."""
    inputs = request.inputs
    blocks = Blocks(report)
    if all(len(i.parts) == 1 and _is_text(i.parts[0]) and i.extras is None for i in inputs):
        return {"texts": [i.parts[0].text for i in inputs]}  # type: ignore[union-attr]
    if all(is_ours(i) and not (i.extras and i.extras.fields) and type(i.parts[0]) is Image for i in inputs):
        shown = [blocks.all(i.parts, _SHOWN) for i in inputs]
        return {"images": [made[0]["image_url"]["url"] for made in shown if made]}
    listed = []
    for given in inputs:
        if given.tokens is not None:
            report.lose(given, None, "dropped", "tokens")
        listed.append(merge({"content": blocks.all(given.parts, _SHOWN)}, report.extras(given, NAME)))
    return {"inputs": listed}


def _is_text(part: object) -> bool:
    return type(part) is Text and part.extras is None


# --- replies -------------------------------------------------------------------------------------


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Fault`: not JSON, or no answer (`provider_answer`)."""
    node = parse_answer(body)
    held = _embeddings(node)
    unknown = others(node, _REPLY) | {
        f"embeddings.{k}": v for k, v in held.items() if k not in ("float", "base64")
    }
    numbers, packed = held.get("float"), held.get("base64")
    count = max((len(kind) for kind in (numbers, packed) if type(kind) is list), default=0)
    given = node.get("id")
    return EmbeddingReply(
        id=given if type(given) is str else "",
        vectors=tuple(_vector(numbers, packed, i) for i in range(count)),
        usage=_usage(node),
        extras=ours({k: v for k, v in unknown.items() if v is not None}),
    )


def _embeddings(node: Wire) -> Wire:
    held = node.get("embeddings")
    if type(held) is not dict:
        said = node.get("message")
        more = f" It says: {said[:200]}" if type(said) is str else ""
        raise Fault("provider_answer", f"The provider's answer has no object of embeddings.{more}")
    return held


def _vector(numbers: Json, packed: Json, place: int) -> Vector:
    found = None
    text = packed[place] if type(packed) is list and place < len(packed) else None
    if type(numbers) is list and place < len(numbers):
        found = numbers_read(numbers[place])
    if found is None and type(text) is not str:
        raise Fault(
            "provider_answer", f"The provider's answer is none: embeddings.float[{place}] is no vector."
        )
    kind = "base64" if found is None else "float"
    return Vector(
        numbers=found or (), packed=text if type(text) is str else None, at=f"embeddings.{kind}[{place}]"
    )


def _usage(node: Wire) -> Usage | None:
    meta = node.get("meta")
    if type(meta) is not dict:
        return None
    try:
        told = read_counts(meta, "meta")
    except Fault as fault:
        raise Fault("provider_answer", f"The provider's answer is none: {fault.message}") from None
    return Usage(input_tokens=told.input_tokens, output_tokens=0, extras=told.extras, at="meta")


def read_usage(body: bytes) -> Usage | None:
    """Of a plain answer that is moved. Raises like `read_reply`."""
    node = parse_answer(body)
    _embeddings(node)
    return _usage(node)


def write_reply(reply: EmbeddingReply, report: Report) -> bytes:
    kinds: Wire = {}
    if reply.form == "base64" or (reply.form is None and any(v.packed is not None for v in reply.vectors)):
        texts = [vector.base64() for vector in reply.vectors]
        if None not in texts:
            kinds["base64"] = texts
        else:
            report.lose(reply, "vectors", "changed", "vector_form")
    if not kinds or (reply.form is None and all(vector.numbers for vector in reply.vectors)):
        kinds["float"] = [numbers_of(vector, report) for vector in reply.vectors]
    for vector in reply.vectors:
        report.extras(vector, "")
    node: Wire = {"id": reply.id, "embeddings": kinds, "response_type": "embeddings_by_type"}
    usage = reply.usage
    if usage is not None:
        units = {"input_tokens": usage.input_tokens} if usage.input_tokens is not None else {}
        node["meta"] = merge({"billed_units": units}, report.extras(usage, NAME))
    return encode(merge(node, report.extras(reply, NAME)))
