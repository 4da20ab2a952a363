"""What the types do not say: values that readers look closely at, and the body around a field that needs one.

`VALUES`: for the end of a field's path, in one dialect, the value to put there; for an object or a list, the
least that stands there whatever else is tried.
`AROUND`: for the beginning of a field's path, what a body needs beside it to mean something.
"""

from typing import Any

from . import streams
from .specimens import Specimen

PNG = "iVBORw0KGgoAAAANSUhEUg=="
PDF = "JVBERi0xLjQ="
WAV = "UklGRg=="

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}

Key = tuple[str, str]

FUNCTION = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
ANTHROPIC_TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}

BLOB = {"mimeType": "image/png", "data": PNG}
FILE = {"fileUri": "https://example.com/a.png"}
GEMINI_PARTS: dict[str, Any] = {
    "functionCall": {"name": "look"},
    "functionResponse": {"name": "look", "response": {"output": "sun"}},
    "functionDeclarations[]": {"name": "look"},
    "inlineData": BLOB,
    "inlineData.mimeType": "image/png",
    "fileData": FILE,
    "mimeType": "image/png",
    "data": PNG,
    "contents[]": {"role": "user", "parts": [{"text": "Hello"}]},
    "systemInstruction": {"parts": [{"text": "Hello"}]},
    "contents[].role": "user",
    "content.role": "model",
    "systemInstruction.role": "user",
    "responseJsonSchema": SCHEMA,
    "parametersJsonSchema": SCHEMA,
    "topK": 3,
    "createTime": "2026-01-02T03:04:05Z",
    "usageMetadata": {"promptTokenCount": 30},
}
CONVERSE_PARTS: dict[str, Any] = {
    "image.source.bytes": PNG,
    "audio.source.bytes": WAV,
    "document.source.bytes": PDF,
    "image.source": {"bytes": PNG},
    "audio.source": {"bytes": WAV},
    "document.source": {"bytes": PDF},
    "jsonSchema.schema": '{"type": "object", "properties": {}}',
}
CONVERSE_TOOL = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
CALLED = {"name": "look", "arguments": "{}"}
COHERE_CALL = {"id": "call_1", "type": "function", "function": CALLED}

FIRST = dict.fromkeys(
    ("index", "output_index", "content_index", "summary_index", "annotation_index", "command_index"), 0
)
"""Events are of the first part of the first item."""

MISTRAL_PARTS: dict[str, Any] = {
    "function.arguments": "{}",
    "tool_calls[]": {"id": "call_1", "function": CALLED},
    "image_url": "https://example.com/a.png",
    "document_url": "https://example.com/a.pdf",
    "input_audio": WAV,
    "tool_choice": "auto",
    "tool_choice.type": "function",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
}

VALUES: dict[Key, dict[str, Any]] = {
    ("openai.chat", "request"): {
        "input_audio.data": WAV,
        "content[](file).file": {"file_data": f"data:application/pdf;base64,{PDF}"},
        "allowed_tools.tools[]": {"type": "function", "function": {"name": "look"}},
    },
    ("openai.responses", "request"): {
        "file_data": f"data:application/pdf;base64,{PDF}",
        "input_audio.data": WAV,
        "content[](input_file)": {"type": "input_file", "file_id": "file-1"},
        "output[](input_file)": {"type": "input_file", "file_id": "file-1"},
        "content[](input_image)": {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        "output[](input_image)": {"type": "input_image", "file_id": "file-1"},
        "tool_choice(allowed_tools).tools[]": {"type": "function", "name": "look"},
    },
    ("anthropic.messages", "request"): {
        "source(base64).data": PNG,
        "content[](document).source(base64).data": PDF,
        "content(document).source(base64).data": PDF,
    },
    ("gemini.generate_content", "request"): GEMINI_PARTS,
    ("gemini.generate_content", "response"): GEMINI_PARTS
    | {"candidates[]": {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}},
    ("ollama.chat", "request"): {
        "role": "user",
        "messages[]": {"role": "user"},
        "images[]": PNG,
        "tools[].function": {"name": "look"},
    },
    ("ollama.chat", "response"): {"role": "assistant"},
    ("cohere.chat", "request"): {
        "tool_calls[](function)": COHERE_CALL,
        "tool_calls[](function).function": CALLED,
        "tools[](function)": FUNCTION,
        "image_url.url": "https://example.com/a.png",
        "messages[]": {"role": "user", "content": "Hello"},
    },
    ("cohere.chat", "response"): {
        "tool_calls[](function)": COHERE_CALL,
        "tool_calls[](function).function": CALLED,
    }
    | {"billed_units.input_tokens": 3, "billed_units.output_tokens": 3},
    ("bedrock.converse", "request"): CONVERSE_PARTS | {"toolConfig": {"tools": [CONVERSE_TOOL]}},
    ("bedrock.converse", "response"): CONVERSE_PARTS,
    ("openai.responses", "response"): {"usage.input_tokens": 30, "created_at": 1_700_000_000},
    ("openai.chat", "stream"): FIRST
    | {"tool_calls[]": {"index": 0, "id": "call_1", "function": {"name": "look", "arguments": ""}}},
    ("openai.responses", "stream"): FIRST
    | {
        "usage.input_tokens": 30,
        "created_at": 1_700_000_000,
        "response.output": [],
        "steer.message": "another message",
    },
    ("anthropic.messages", "stream"): FIRST
    | {
        "message(message).content": [],
        "(message_delta).delta": {"stop_reason": "end_turn"},
        "source(base64).data": PNG,
    },
    ("gemini.generate_content", "stream"): GEMINI_PARTS
    | FIRST
    | {"partialArgs[]": {"jsonPath": "$.city"}, "jsonPath": "$.city"}
    | {"candidates[]": {"content": {"role": "model", "parts": [{"text": "Hello"}]}}},
    ("bedrock.converse", "stream"): CONVERSE_PARTS | {"contentBlockIndex": 0, "originalStatusCode": 418},
    ("ollama.chat", "stream"): {"role": "assistant"},
    ("mistral", "request"): MISTRAL_PARTS
    | {"messages[]": {"role": "user", "content": "Hello"}, "tools[](function)": FUNCTION},
    ("mistral", "response"): MISTRAL_PARTS
    | FIRST
    | {
        "choices[]": {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop",
        },
    },
    ("mistral", "stream"): MISTRAL_PARTS | FIRST,
    ("cohere.chat", "stream"): FIRST
    | {f"({frame['type']})": frame for frame in streams.COHERE.values()}
    | {
        "(content-delta)": streams.COHERE["delta"],
        "(tool-call-delta)": streams.COHERE_MORE,
        "(citation-start)": streams.COHERE_CITED,
        "(content-start).delta": {"message": {"content": {"type": "text", "text": ""}}},
        "(content-delta).delta": {"message": {"content": {"text": "Hello"}}},
        "(tool-call-start).delta": {"message": {"tool_calls": COHERE_CALL}},
        "(tool-call-delta).delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
        "(citation-start).delta": {"message": {"citations": {"start": 0, "end": 5, "text": "Hello"}}},
        "(citation-start).delta.message.citations": {"start": 0, "end": 5, "text": "Hello"},
        "tool_calls(function)": COHERE_CALL,
        "tool_calls(function).function": CALLED,
        "billed_units.input_tokens": 3,
        "billed_units.output_tokens": 3,
    },
}

AROUND: dict[Key, dict[str, Any]] = {
    ("openai.chat", "request"): {
        "tool_choice": {"tools": [FUNCTION]},
        "stream_options": {"stream": True},
    },
    ("anthropic.messages", "request"): {"tool_choice": {"tools": [ANTHROPIC_TOOL]}},
    ("openai.responses", "request"): {
        "": {"model": "m-1", "input": "Hello"},
        "tool_choice": {"tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]},
        "stream_options": {"stream": True},
    },
    ("cohere.chat", "request"): {"tool_choice": {"tools": [FUNCTION]}},
    ("anthropic.messages", "response"): {"(message).stop_sequence": {"stop_reason": "stop_sequence"}},
    ("gemini.generate_content", "response"): {
        "": {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
            ]
        },
    },
}


def settle(source: str, kind: str, specimen: Specimen) -> Specimen:
    """The specimen with what has to stand around it."""
    for start, more in AROUND.get((source, kind), {}).items():
        if specimen.field.startswith(start):
            specimen = specimen._replace(body={**more, **specimen.body})
    return specimen


WHOLE = "told again at the end, and walked where it is (response.completed)"
PASSED: dict[Key, dict[str, str]] = {
    ("openai.responses", "stream"): {
        **{
            f"(response.{kind}).response.{field}": WHOLE
            for kind in ("created", "in_progress", "queued", "incomplete", "failed")
            for field in ("output", "instructions", "tools")
        },
        **{
            f"(response.{kind}).response.{field}": "an answer that has begun has neither ended nor failed"
            for kind in ("created", "in_progress", "queued")
            for field in ("error", "status")
        },
    },
}
"""What is not entered, for it is walked elsewhere: the end of a field's path -> why."""

SYNONYMS: dict[Key, dict[str, str]] = {
    ("mistral", "request"): {
        "tool_choice = 'required'": "means what 'any' does (API reference, tool_choice)"
    },
    ("openai.responses", "stream"): {"(response.output_item.added)": "an item that begins is in progress"},
}
"""Words that may come out as another does."""

FAILED = "an answer that failed is read as the error it is, and told as one"
REFUSED: dict[Key, dict[str, str]] = {
    ("openai.responses", "response"): {
        "error": FAILED,
        "status = 'failed'": "likewise",
    },
    ("openai.responses", "stream"): {
        "(response.failed)": FAILED,
        "(error)": FAILED,
        "(response.completed).response.error": FAILED,
        "(response.completed).response.status = 'failed'": "likewise",
        "(response.incomplete).response.error": FAILED,
        "(response.incomplete).response.status = 'failed'": "likewise",
    },
    ("bedrock.converse", "stream"): {
        f"{name}Exception": FAILED
        for name in ("internalServer", "modelStreamError", "validation", "throttling", "serviceUnavailable")
    },
    ("cohere.chat", "stream"): {"(message-end).delta.error": FAILED},
}
"""Bodies of the SDK's types that a reader refuses: the beginning of a field's path, or a word -> why."""


def refused(source: str, kind: str, specimen: Specimen) -> bool:
    told = (specimen.field, f"{specimen.field} = {specimen.word!r}")
    return any(text.startswith(start) for start in REFUSED.get((source, kind), ()) for text in told)
