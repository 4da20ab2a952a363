"""Where a stream's losses are: the path in the answer that a stream adds up to, for a path in one of its frames."""

import re
from typing import Any

from .silence_streams import Alias


def in_a_completion(frame: Any, path: str) -> str:
    """The path in the answer for one in a chunk: choices go by their index, not by their place."""
    place = re.match(r"choices\[(\d+)\]", path)
    if place:
        number = frame["choices"][int(place[1])].get("index", 0)
        path = f"choices[{number}]" + path[place.end() :]
    return path.replace(".delta", ".message", 1)


def in_a_message(frame: Any, path: str) -> str:
    """The path in the answer for one in an event."""
    for wrapper in ("message.", "delta.") if frame.get("type") in ("message_start", "message_delta") else ():
        path = path.removeprefix(wrapper)
    for wrapper in ("content_block", "delta"):
        if path.startswith(wrapper) and "index" in frame:
            inner = path.removeprefix(wrapper).replace(".citation.", ".citations[0].")
            return f"content[{frame['index']}]{inner}"
    return path


def in_a_line(frame: Any, path: str) -> str:
    """A line is an answer; the calls in it are the next of the answer's, by their index."""
    place = re.match(r"message\.tool_calls\[(\d+)\]", path)
    if place:
        number = frame["message"]["tool_calls"][int(place[1])]["function"].get("index", place[1])
        path = f"message.tool_calls[{number}]" + path[place.end() :]
    return path


def in_blocks(frame: Any, path: str) -> str:
    """An event's content is the block of its number, its call the call of its number."""
    if frame.get("type") == "debug":  # an event that only this dialect has goes by its name
        return f"debug.{path}"
    path = path.removeprefix("delta.")
    if path.startswith(("message.content", "message.tool_calls")):
        _, field, *rest = re.split(r"\.", path, maxsplit=2)
        path = ".".join([f"message.{field}[{frame.get('index', 0)}]", *rest])
    return path.replace("message.citations.", "message.citations[0].", 1)


def in_a_converse_answer(frame: Any, path: str) -> str:
    """The path in the answer for one in an event."""
    block = f"output.message.content[{frame.get('contentBlockIndex')}]"
    for wrapper, where in IN_A_BLOCK.items():
        if path.startswith(wrapper):
            return f"{block}.{where}{path.removeprefix(wrapper)}"
    return path


IN_A_BLOCK = {
    "start.": "",
    "delta.citation.": "citationsContent.citations[0].",
    "delta.reasoningContent.redacted": "reasoningContent.redacted",
    "delta.reasoningContent.": "reasoningContent.reasoningText.",
    "delta.toolResult": "toolResult.content",
    "delta.": "",
}


SHARED = tuple(
    f"response.{head}"
    for head in (
        "output_item",
        "content_part",
        "output_text",
        "refusal",
        "reasoning",
        "function_call",
        "custom_tool_call",
    )
)


def in_a_response(frame: Any, path: str) -> str:
    """The path in the answer for one in an event; events that only this dialect has go by their name."""
    kind, head = frame.get("type", ""), f"output[{frame.get('output_index')}]"
    if "logprobs[" in path and "instructions" not in path:
        return "output[0].content[0].logprobs[*]" + path.partition("logprobs[")[2].partition("]")[2]
    if kind == "error" or "response" in frame:
        return path.removeprefix("response.")
    if path.startswith("item."):
        return head + path.removeprefix("item")
    if not kind.startswith(SHARED):  # events that only this dialect has go by their name
        return f"{kind}.{path}"
    if path == "item_id":
        return f"{head}.id"
    n = frame.get("content_index", frame.get("summary_index"))
    field = f"{head}.{'summary' if 'summary_index' in frame else 'content'}[{n}]"
    if kind.endswith("annotation.added") and path.startswith("annotation"):
        return f"{field}.annotations[{frame['annotation_index']}]{path.removeprefix('annotation')}"
    if n is not None and path.startswith("part."):
        return field + path.removeprefix("part")
    if n is not None and kind.endswith(".done") and path in ("text", "refusal", "status"):
        return f"{field}.{path}"
    if kind.endswith((".done", ".delta")) and path in ("arguments", "input", "delta"):
        return f"{head}.{path}" if n is None else f"{field}.{path}"
    return f"{kind}.{path}"


def in_an_answer(frame: Any, path: str) -> str:
    """The path in the answer for one in a frame: candidates go by their index, not by their place."""
    place = re.match(r"candidates\[(\d+)\]", path)
    if place:
        number = frame["candidates"][int(place[1])].get("index", 0)
        path = f"candidates[{number}]" + path[place.end() :]
    return path


ALIAS: dict[str, Alias] = {
    "openai.chat": in_a_completion,
    "ollama.chat": in_a_line,
    "cohere.chat": in_blocks,
    "openai.responses": in_a_response,
    "anthropic.messages": in_a_message,
    "gemini.generate_content": in_an_answer,
    "bedrock.converse": in_a_converse_answer,
}
