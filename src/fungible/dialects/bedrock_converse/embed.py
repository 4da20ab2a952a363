"""`POST /model/{modelId}/invoke`, asked for vectors. Converse has none, so each maker's models have a body.

    Titan's     one text a call; the answer tells its tokens
    Cohere's    a list of texts, and what the vectors are for; where nobody said, they are for documents that
                are searched. Its tokens are told in a header alone, and so are estimated

Which body a model wants its id says (`TITAN` in it, or else Cohere's); which one a body is, its fields.
Sources: the user guide (Model parameters: Titan Embeddings, Cohere Embed) and recorded answers.
"""

from ...faults import Fault
from ...ir import EmbeddingReply, EmbeddingRequest, Input, Json, Task, Text, Usage, Vector
from ...losses import Report
from ..base import Peek, Quirks, numbers_of, numbers_read, one_text, unwanted, wanted
from ..checked import Own, Wire, encode, may, merge, need, others, parse, parse_answer, strings

NAME = "bedrock.embed"
PATH = "/model/{model}/invoke"
TITAN, V4 = "titan-embed", "embed-v4"

NAMES: dict[str, str] = {
    "dimensions": "output_dimension",
    "forms": "embedding_types",
    "task": "input_type",
    "input_tokens": "inputTextTokenCount",
    "Usage.input_tokens": "inputTextTokenCount",
}

_TASKS: dict[str, Task] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
_WORDS = {task: word for word, task in _TASKS.items()}
_CUTS = {"none": "NONE", "start": "START", "end": "END"}
_CUTS_V4 = {"none": "NONE", "start": "LEFT", "end": "RIGHT"}
_SAID = {"NONE": "none", "LEFT": "start", "START": "start", "RIGHT": "end", "END": "end"}
_TITANS = frozenset({"inputText", "dimensions"})
_COHERES = frozenset({"texts", "input_type", "output_dimension", "embedding_types", "truncate"})
_REPLY = frozenset(
    {"id", "embedding", "embeddings", "embeddingsByType", "inputTextTokenCount", "response_type"}
)

ours = Own(NAME).extras


def peek(body: bytes) -> Peek:
    """The address names the model."""
    parse(body)
    return Peek("", False, False, 0, "float")


def read_request(body: bytes) -> EmbeddingRequest:
    """Raises `Fault` (bad_request) with the path of what is wrong."""
    node = parse(body)
    if "inputText" in node:
        text = Text(text=need(node, "inputText", str, ""), at="inputText")
        return EmbeddingRequest(
            model="",
            inputs=(Input(parts=(text,), at="inputText"),),
            alone=True,
            dimensions=may(node, "dimensions", int, ""),
            extras=ours(others(node, _TITANS)),
        )
    unknown = others(node, _COHERES)
    task, cut = may(node, "input_type", str, ""), may(node, "truncate", str, "")
    unknown |= {"input_type": task} if task is not None and task not in _TASKS else {}
    unknown |= {"truncate": cut} if cut is not None and cut not in _SAID else {}
    forms = node.get("embedding_types")
    texts = strings(need(node, "texts", list, ""), "texts")
    return EmbeddingRequest(
        model="",
        inputs=tuple([_input(text, f"texts[{i}]") for i, text in enumerate(texts)]),
        dimensions=may(node, "output_dimension", int, ""),
        forms=tuple(strings(forms, "embedding_types")) if forms is not None else (),
        task=_TASKS.get(task or ""),
        truncate=_SAID.get(cut or ""),  # type: ignore[arg-type]  # the table's words are these
        extras=ours(unknown),
    )


def _input(text: str, at: str) -> Input:
    return Input(parts=(Text(text=text, at=at),), at=at)


def write_request(request: EmbeddingRequest, report: Report, quirks: Quirks) -> bytes:
    """Raises `Fault` (bad_request): several inputs for a model that takes one."""
    node = _titan(request, report) if TITAN in request.model else _cohere(request, report)
    if request.user is not None:
        report.lose(request, "user", "dropped", "metadata")
    return encode(merge(node, report.extras(request, NAME)))


def _titan(request: EmbeddingRequest, report: Report) -> Wire:
    if len(request.inputs) != 1:
        at = request.inputs[1].at if request.inputs else None
        raise Fault("bad_request", f"{request.model} takes one text a call. Send each by itself.", path=at)
    node: Wire = {"inputText": one_text(request.inputs[0], report, NAME)}
    unwanted(request, "task", report, "task")
    dimensions = wanted(request, "dimensions", report, "dimensions")
    if dimensions is not None:
        node["dimensions"] = dimensions
    if any(form != "float" for form in request.forms):
        report.lose(request, "forms", "changed", "vector_form")
    if request.truncate is not None:
        report.lose(request, "truncate", "dropped", "truncate")
    return node


def _cohere(request: EmbeddingRequest, report: Report) -> Wire:
    node: Wire = {"texts": [one_text(given, report, NAME) for given in request.inputs]}
    own = request.extras.fields if request.extras is not None and request.extras.dialect == NAME else {}
    task = wanted(request, "task", report, "task")
    if task is not None or "input_type" not in own:
        node["input_type"] = _WORDS[task or "document"]
    if task is None and "input_type" not in own:
        report.lose(request, "task", "approximated", "task")
    dimensions = wanted(request, "dimensions", report, "dimensions")
    if dimensions is not None:
        node["output_dimension"] = dimensions
    node["embedding_types"] = list(request.forms or ("float",))
    if request.truncate is not None:
        node["truncate"] = (_CUTS_V4 if V4 in request.model else _CUTS)[request.truncate]
    return node


# --- replies -------------------------------------------------------------------------------------


def read_reply(body: bytes) -> EmbeddingReply:
    """Raises `Fault`: not JSON, or no answer (`provider_answer`)."""
    node = parse_answer(body)
    given, unknown = node.get("id"), others(node, _REPLY)
    for name in ("embeddings", "embeddingsByType"):
        kinds = node.get(name)
        unknown |= {f"{name}.{k}": v for k, v in kinds.items() if k != "float"} if type(kinds) is dict else {}
    return EmbeddingReply(
        id=given if type(given) is str else "",
        vectors=tuple([_vector(value, i) for i, value in enumerate(_vectors(node))]),
        usage=_usage(node),
        extras=ours(unknown),
    )


def _vectors(node: Wire) -> list[Json]:
    """Titan's one; Cohere's, as numbers alone or by their forms."""
    if "embedding" in node:
        return [node["embedding"]]
    found = node.get("embeddings")
    if type(found) is dict:
        found = found.get("float")
    if type(found) is not list:
        said = node.get("message")
        more = f" It says: {said[:200]}" if type(said) is str else ""
        raise Fault("provider_answer", f"The provider's answer has no embeddings.{more}")
    return found


def _vector(value: Json, place: int) -> Vector:
    numbers = numbers_read(value)
    if numbers is None:
        raise Fault("provider_answer", f"The provider's answer is none: embeddings[{place}] is no vector.")
    return Vector(numbers=numbers, at=f"embeddings[{place}]")


def _usage(node: Wire) -> Usage | None:
    count = node.get("inputTextTokenCount")
    return Usage(input_tokens=count, output_tokens=0) if type(count) is int else None


def read_usage(body: bytes) -> Usage | None:
    """Of a plain answer that is moved. Raises like `read_reply`."""
    node = parse_answer(body)
    _vectors(node)
    return _usage(node)


def write_reply(reply: EmbeddingReply, report: Report) -> bytes:
    """One vector as Titan tells it, with its tokens; several as Cohere does, who tells none."""
    vectors = [numbers_of(vector, report) for vector in reply.vectors]
    for vector in reply.vectors:
        report.extras(vector, "")
    tokens = reply.usage.input_tokens if reply.usage is not None else None
    if len(vectors) == 1:
        node: Wire = {"embedding": vectors[0]}
        if tokens is not None:
            node["inputTextTokenCount"] = tokens
    else:
        node = {"embeddings": {"float": vectors}, "response_type": "embeddings_by_type"}
        if reply.usage is not None and tokens is not None:
            report.lose(reply.usage, "input_tokens", "dropped", "usage_detail")
    if reply.usage is not None:
        report.extras(reply.usage, NAME)
    if reply.id:
        node["id"] = reply.id
    return encode(merge(node, report.extras(reply, NAME)))
