"""What the official SDKs' own types say of a body: the nearest thing to each provider's schema.

A request must validate against the SDK's parameters, and have no field that they do not know. A reply and
each stream event must validate against the SDK's models.
"""

import base64
import json
import re
from typing import Annotated, Any, Literal

import anthropic.types as an
import botocore.session
import cohere
import ollama
import openai.types.chat as oa
from anthropic.types.message_create_params import MessageCreateParams
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.validate import ParamValidator
from google.genai import types as gt
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError


class GenerateContent(BaseModel):
    """The body that the SDK sends, of its own types; it has no type for the whole."""

    model_config = ConfigDict(extra="forbid")
    contents: list[gt.Content]
    systemInstruction: gt.Content | None = None
    tools: list[gt.Tool] | None = None
    toolConfig: gt.ToolConfig | None = None
    safetySettings: list[gt.SafetySetting] | None = None
    generationConfig: gt.GenerationConfig | None = None
    cachedContent: str | None = None
    labels: dict[str, str] | None = None
    serviceTier: str | None = None


def without_tier(body: Any) -> Any:
    """The API tells the tier in the usage, where the SDK's type has no field for it yet."""
    if isinstance(body, dict) and isinstance(body.get("usageMetadata"), dict):
        usage = {name: value for name, value in body["usageMetadata"].items() if name != "serviceTier"}
        return {**body, "usageMetadata": usage}
    return body


Generated = Annotated[gt.GenerateContentResponse, BeforeValidator(without_tier)]


class OllamaMessage(ollama.Message):
    """As it goes over the wire, where an image is a string."""

    images: list[str] | None = None  # type: ignore[assignment]


class OllamaReply(ollama.ChatResponse):
    message: OllamaMessage


class OllamaRequest(ollama._types.ChatRequest):
    """The SDK takes any mapping for a message."""

    model: str  # a body for an address with the model in its path has none
    messages: list[OllamaMessage]  # type: ignore[assignment]


TYPES: dict[tuple[str, str], TypeAdapter[Any]] = {
    ("openai.chat", "request"): TypeAdapter(CompletionCreateParams),
    ("openai.chat", "response"): TypeAdapter(oa.ChatCompletion),
    ("openai.chat", "stream"): TypeAdapter(oa.ChatCompletionChunk),
    ("openai.responses", "request"): TypeAdapter(ResponseCreateParams),
    ("openai.responses", "response"): TypeAdapter(Response),
    ("openai.responses", "stream"): TypeAdapter(ResponseStreamEvent),
    ("anthropic.messages", "request"): TypeAdapter(MessageCreateParams),
    ("anthropic.messages", "response"): TypeAdapter(an.Message),
    ("anthropic.messages", "stream"): TypeAdapter(an.RawMessageStreamEvent),
    ("gemini.generate_content", "request"): TypeAdapter(GenerateContent),
    ("gemini.generate_content", "response"): TypeAdapter(Generated),
    ("gemini.generate_content", "stream"): TypeAdapter(Generated),
    ("ollama.chat", "request"): TypeAdapter(OllamaRequest),
    ("ollama.chat", "response"): TypeAdapter(OllamaReply),
    ("ollama.chat", "stream"): TypeAdapter(OllamaReply),
}


class CohereRequest(BaseModel):
    """The keywords of the SDK's `V2Client.chat`."""

    model: str
    messages: list[cohere.ChatMessageV2]
    tools: list[cohere.ToolV2] | None = None
    strict_tools: bool | None = None
    documents: list[str | cohere.Document] | None = None
    citation_options: cohere.CitationOptions | None = None
    response_format: cohere.ResponseFormatV2 | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    k: int | None = None
    p: float | None = None
    logprobs: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    thinking: cohere.Thinking | None = None
    priority: int | None = None
    stream: bool | None = None


TYPES |= {
    ("cohere.chat", "request"): TypeAdapter(CohereRequest),
    ("cohere.chat", "response"): TypeAdapter(cohere.V2ChatResponse),
    ("cohere.chat", "stream"): TypeAdapter(cohere.V2ChatStreamResponse),
}

UNTYPED: dict[str, re.Pattern[str]] = {
    # Gone from the types, for the newest models refuse them; the models before still take them.
    "anthropic.messages": re.compile(r"\.(temperature|top_p|top_k): "),
    # The server's own types have the ids. Of a schema the SDK types no more than the commonest words.
    "ollama.chat": re.compile(r"\.tool_calls\[\d+\]\.id: |\.tool_call_id: |\.parameters\."),
}
"""Fields that an SDK's types lack and its API takes."""


NEWER = {("openai.chat", "stream"): "type: Input should be 'function' (custom)"}
"""What the API streams and the types do not know yet: calls of custom tools."""

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
CONVERSE = SERVICE.operation_model("Converse")
STREAMED = SERVICE.operation_model("ConverseStream").output_shape.members["stream"]

ALLOWED = ('parameter in input: "metrics"', 'parameter in input: "call"')
"""Only the service itself can say how long it took; the SDK does without."""


def converse_complaints(kind: str, body: Any) -> list[str]:
    """What botocore's validation of parameters has against a body, and what its parser makes of an answer."""
    if kind == "request":
        return _validated({**body, "modelId": "m"}, CONVERSE.input_shape)
    if kind == "response":
        wire = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
        unread = _unread(RestJSONParser().parse(wire, CONVERSE.output_shape))
        return unread + _validated(body, CONVERSE.output_shape)
    found = []
    for event in converse_events(body):
        parsed = EventStreamJSONParser().parse(event.to_response_dict(), STREAMED)
        told = {n: v for n, v in json.loads(event.payload).items() if n != "p"}
        name = event.headers.get(":exception-type")
        if name is not None:  # which the parser makes an error of
            found += _validated(told, STREAMED.members[name]) if "Error" in parsed else [f"{name}: no error"]
            continue
        name = event.headers[":event-type"]
        found += _unread(parsed) if name in parsed else [f"{name}: no such event"]
        found += _validated(told, STREAMED.members[name])
    return found


def converse_events(wire: str) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(base64.b64decode(wire))
    return list(buffer)


def _validated(body: Any, shape: Any) -> list[str]:
    report = ParamValidator().validate(body, shape).generate_report()
    return [line for line in report.splitlines() if not line.endswith(ALLOWED)]


def _unread(value: Any) -> list[str]:
    if isinstance(value, dict):
        unknown = ["a member that the SDK does not know"] if "SDK_UNKNOWN_MEMBER" in value else []
        return unknown + [c for inner in value.values() for c in _unread(inner)]
    return [c for inner in value for c in _unread(inner)] if isinstance(value, list) else []


def complaints(dialect: str, kind: str, body: Any) -> list[str]:
    """What the SDK's types have against `body`: parsed JSON, or for a stream its wire text."""
    if dialect == "bedrock.converse":
        return converse_complaints(kind, body)
    if kind == "stream":
        told = lines(body) if dialect in LINED else frames(body)
        found = [c for frame in told for c in _complaints(dialect, kind, frame)]
        return [c for c in found if not c.endswith(NEWER.get((dialect, kind), "nothing"))]
    return _complaints(dialect, kind, body)


def frames(wire: str) -> list[Any]:
    """The JSON of each `data:` line, read as simply as can be; end marks and pings left out."""
    told = [line[5:].strip() for line in wire.splitlines() if line.startswith("data:")]
    return [frame for text in told if text != "[DONE]" and (frame := json.loads(text)).get("type") != "ping"]


LINED = {"ollama.chat"}
"""Dialects whose streams are JSON, one a line."""


def lines(wire: str) -> list[Any]:
    return [json.loads(line) for line in wire.split("\n") if line.strip()]


def _complaints(dialect: str, kind: str, body: Any) -> list[str]:
    if (dialect, kind) == ("openai.responses", "request"):
        body = detailed(body)
    try:
        taken = plain(TYPES[dialect, kind].validate_python(body))
    except ValidationError as error:
        # Of a union's members, the one that comes nearest.
        by_member: dict[Any, list[str]] = {}
        for e in error.errors():
            words = f"{'.'.join(map(str, e['loc']))}: {e['msg']} ({str(e['input'])[:80]})"
            by_member.setdefault(e["loc"][:1] if kind == "stream" else None, []).append(words)
        return min(by_member.values(), key=len)
    untyped = UNTYPED.get(dialect)
    found = unknown(body, taken) if kind == "request" else []
    return [c for c in found if untyped is None or not untyped.search(c)]


def detailed(value: Any) -> Any:
    """With the `detail` that the type of an image wants and the API does not (its default is `auto`)."""
    if isinstance(value, dict):
        node = {name: detailed(inner) for name, inner in value.items()}
        return {"detail": "auto", **node} if value.get("type") == "input_image" else node
    return [detailed(inner) for inner in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Lists in the place of the lazy iterators that pydantic makes of `Iterable`, so that all is validated."""
    if isinstance(value, BaseModel):
        return {f.alias or n: plain(getattr(value, n)) for n, f in type(value).model_fields.items()}
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) or type(value).__name__ == "ValidatorIterator":
        return [plain(inner) for inner in value]
    return value


def unknown(body: Any, taken: Any, path: str = "") -> list[str]:
    """Fields of `body` that the types passed over."""
    if isinstance(body, dict) and isinstance(taken, dict):
        extra = [f"{path}.{name}: no such field" for name in body if name not in taken]
        return extra + [c for n, v in taken.items() for c in unknown(body.get(n), v, f"{path}.{n}")]
    if isinstance(body, list) and isinstance(taken, list):
        pairs = enumerate(zip(body, taken, strict=False))
        return [c for i, (a, b) in pairs for c in unknown(a, b, f"{path}[{i}]")]
    return []
