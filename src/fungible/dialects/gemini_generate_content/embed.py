"""`:embedContent` and `:batchEmbedContents`: a content and its vector, or a list of them.

Sources: the API reference, the discovery document of v1beta, the types of the official SDK (google-genai 3.6)
and recorded answers. A content is one input however many parts it has. In a batch each request says by itself
what its vector is for and how long it is, and names the model again. `embedContentConfig` holds the same
fields on Vertex AI, and is read for them.
"""

import re
from functools import partial
from typing import Any
from urllib.parse import unquote

from ...faults import Fault
from ...ir import EmbeddingReply, EmbeddingRequest, Input, Json, Task, Usage, Vector
from ...losses import Report
from ..base import Located, Peek, Quirks, numbers_of, numbers_read
from ..checked import may, under
from .blocks import Blocks
from .errors import fault_of
from .names import NAME, ours
from .parts import Ids, encode, read_parts
from .shape import inner, object_at, parse, parse_answer, several, spelled
from .usage import read_usage_object

NAMES: dict[str, str] = {
    "task": "taskType",
    "dimensions": "outputDimensionality",
    "truncate": "embedContentConfig.autoTruncate",
    "media_type": "mimeType",
    "file_id": "fileUri",
    "url": "fileUri",
    "numbers": "values",
    "packed": "values",
    "input_tokens": "promptTokenCount",
}

TASKS: dict[str, Task] = {
    "RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_WORDS = {task: word for word, task in TASKS.items()}
_CONFIG = "embedContentConfig"
_PATH = re.compile(
    r"/v1(?:beta\d?|alpha)?/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/(.+):(\w+)"
)


def locate(operation: str, path: str, query: bytes) -> Located | None:
    found = _PATH.fullmatch(path)
    return Located("chat", unquote(found[1])) if found is not None and found[2] == operation else None


locate_one = partial(locate, "embedContent")
locate_batch = partial(locate, "batchEmbedContents")


def peek(body: bytes) -> Peek:
    """Without the model. Raises `Fault` (bad_request): not JSON, too deep."""
    parse(body)
    return Peek("", False, False, 0, "float")


def readdress(body: bytes, peeked: Peek, model: str, usage: bool) -> bytes:
    """Each request may name the model again."""
    if b'"model"' not in body:
        return body
    wire = parse(body)
    asked = wire.get("requests")
    for node in (wire, *(asked if type(asked) is list else ())):
        if type(node) is dict and "model" in node:
            node["model"] = f"models/{model}"
    return encode(wire)


# --- requests ------------------------------------------------------------------------------------


def _asked(node: dict[str, Any], at: str) -> dict[str, Any]:
    """What one request says beside its content: canonical fields, and `extras` of the others."""
    fields = {k: v for k, v in node.items() if k not in ("model", "content", _CONFIG)}
    config = inner(node, _CONFIG, at) or {}
    for name in ("taskType", "outputDimensionality", "title"):
        if name in config and name not in fields:
            fields[name] = config[name]
    told = {k: v for k, v in config.items() if k not in ("taskType", "outputDimensionality", "title")}
    cut = told.get("autoTruncate")
    if type(cut) is bool:
        del told["autoTruncate"]
    task, size = may(fields, "taskType", str, at), may(fields, "outputDimensionality", int, at)
    if task in TASKS:
        del fields["taskType"]
    fields.pop("outputDimensionality", None)
    fields |= {f"{_CONFIG}.{name}": value for name, value in told.items()}
    cut = None if type(cut) is not bool else "end" if cut else "none"
    return {"task": TASKS.get(task or ""), "dimensions": size, "truncate": cut, "fields": fields}


def _input(node: dict[str, Any], at: str) -> tuple[tuple[Any, ...], dict[str, Json]]:
    where = under(at, "content")
    held = inner(node, "content", at)
    if held is None:
        raise Fault("bad_request", f"{where} is missing. Send a content with parts.", path=where)
    more = {f"content.{k}": v for k, v in held.items() if k != "parts"}
    return tuple(read_parts(held, where, Ids())), more


def read_one(body: bytes) -> EmbeddingRequest:
    """Raises `Fault` (bad_request) with the path of what is wrong. The address names the model."""
    node = spelled(parse(body))
    told = _asked(node, "")
    parts, more = _input(node, "")
    return EmbeddingRequest(
        model="",
        inputs=(Input(parts=parts, at="content"),),
        alone=True,
        task=told["task"],
        dimensions=told["dimensions"],
        truncate=told["truncate"],
        extras=ours(told["fields"] | more),
    )


def read_batch(body: bytes) -> EmbeddingRequest:
    """The same of a batch."""
    node = spelled(parse(body))
    inputs, cuts = [], set()
    for i, one in enumerate(several(node, "requests", "")):
        at = f"requests[{i}]"
        asked = object_at(one, at)
        told = _asked(asked, at)
        parts, more = _input(asked, at)
        cuts.add(told["truncate"])
        fields = told["fields"] | more
        inputs.append(
            Input(
                parts=parts,
                task=told["task"],
                dimensions=told["dimensions"],
                at=at,
                extras=ours(fields),
            )
        )
    if len(cuts) > 1:
        message = "The requests of a batch say different things of autoTruncate. Send two batches."
        raise Fault("bad_request", message, path="requests")
    fields = {k: v for k, v in node.items() if k not in ("requests", "model")}
    return EmbeddingRequest(
        model="",
        inputs=tuple(inputs),
        truncate=cuts.pop() if cuts else None,
        extras=ours(fields),
    )


def write_one(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    """Never raises; what the request cannot carry is told to `report`."""
    _lose(request, report)
    for given in request.inputs[1:]:
        report.lose(given, None, "dropped", "choices")
    given = request.inputs[0] if request.inputs else Input()
    node = _written(request, given, report)
    return encode(_merged(node, report.extras(request, NAME)))


def write_batch(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    _lose(request, report)
    asked = [_written(request, given, report) for given in request.inputs]
    own = report.extras(request, NAME)
    if request.alone:  # read from one content: its fields are the one request's
        return encode({"requests": [_merged(one, own) for one in asked]})
    return encode({"requests": asked, **own})


def _written(request: EmbeddingRequest, given: Input, report: Report) -> dict[str, Any]:
    if given.tokens is not None:
        report.lose(given, None, "dropped", "tokens")
    node: dict[str, Any] = {
        "model": f"models/{request.model}",
        "content": {"parts": Blocks(report).all(given.parts)},
    }
    task, size = given.task or request.task, given.dimensions
    if task is not None:
        node["taskType"] = _WORDS[task]
    size = request.dimensions if size is None else size
    if size is not None:
        node["outputDimensionality"] = size
    if request.truncate is not None:
        node[_CONFIG] = {"autoTruncate": request.truncate != "none"}
    return _merged(node, report.extras(given, NAME))


def _merged(node: dict[str, Any], fields: dict[str, Json]) -> dict[str, Any]:
    for name, value in fields.items():
        outer, dot, name_in = name.partition(".")
        if dot:
            node.setdefault(outer, {}).setdefault(name_in, value)
        else:
            node.setdefault(name, value)
    return node


def _lose(request: EmbeddingRequest, report: Report) -> None:
    if any(form != "float" for form in request.forms):
        report.lose(request, "forms", "changed", "vector_form")
    if request.truncate == "start":
        report.lose(request, "truncate", "approximated", "truncate")
    if request.user is not None:
        report.lose(request, "user", "dropped", "metadata")


# --- replies -------------------------------------------------------------------------------------


def _answer(body: bytes) -> dict[str, Any]:
    node = spelled(parse_answer(body))
    if node.get("error") is not None:
        raise fault_of(node)
    if "embedding" not in node and "embeddings" not in node:
        raise Fault("provider_answer", "The provider's answer has no embeddings.")
    return node


def read_reply(body: bytes) -> EmbeddingReply:
    """Of one or of a batch. Raises `Fault`: not JSON, no answer (`provider_answer`), the error it holds."""
    node = _answer(body)
    one = "embedding" in node
    listed = [node["embedding"]] if one else several(node, "embeddings", "")
    vectors = []
    for i, held in enumerate(listed):
        at = "embedding" if one else f"embeddings[{i}]"
        numbers = numbers_read(held.get("values", [])) if type(held) is dict else None
        if numbers is None:
            raise Fault("provider_answer", f"The provider's answer is none: {at} is no vector.")
        fields = {k: v for k, v in held.items() if k != "values"}
        vectors.append(Vector(numbers=numbers, at=at, extras=ours(fields)))
    fields = {k: v for k, v in node.items() if k not in ("embedding", "embeddings", "usageMetadata")}
    return EmbeddingReply(vectors=tuple(vectors), usage=_usage(node), extras=ours(fields))


def _usage(node: dict[str, Any]) -> Usage | None:
    try:
        told = inner(node, "usageMetadata", "")
        found = read_usage_object(told) if told is not None else None
    except Fault as fault:
        raise Fault("provider_answer", f"The provider's answer is none: {fault.message}") from None
    if found is None:
        return None
    return Usage(input_tokens=found.input_tokens, output_tokens=0, at=found.at, extras=found.extras)


def read_usage(body: bytes) -> Usage | None:
    """Of a plain answer that is moved. Raises like `read_reply` for an error inside it."""
    return _usage(_answer(body))


def write_reply_one(reply: EmbeddingReply, report: Report) -> bytes:
    for vector in reply.vectors[1:]:
        report.lose(vector, None, "dropped", "choices")
    told = [_told(vector, report) for vector in reply.vectors[:1]]
    return encode({"embedding": told[0] if told else {}, **_rest(reply, report)})


def write_reply_batch(reply: EmbeddingReply, report: Report) -> bytes:
    return encode({"embeddings": [_told(v, report) for v in reply.vectors], **_rest(reply, report)})


def _told(vector: Vector, report: Report) -> dict[str, Json]:
    return {"values": numbers_of(vector, report), **report.extras(vector, NAME)}


def _rest(reply: EmbeddingReply, report: Report) -> dict[str, Json]:
    """The address names the model, so an answer does not."""
    made: dict[str, Json] = {}
    usage = reply.usage
    if reply.id:
        report.lose_at("id", "dropped", "unknown_field")
    if usage is not None:
        counts = {} if usage.input_tokens is None else {"promptTokenCount": usage.input_tokens}
        made["usageMetadata"] = counts | report.extras(usage, NAME)
    return made | report.extras(reply, NAME)
