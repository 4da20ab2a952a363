"""Streams: around one event, the fewest others that make a whole stream of it.

The types of the SDKs say what an event is, not where it comes. Each dialect has a script: for an event, what comes
before it and what after. What an event begins, the script ends; what an event goes on with, the script has begun.
A stream's body is its frames, parsed; in a binary stream each is `{name: payload}`.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from fungible.frames.eventstream import frame as binary
from fungible.frames.eventstream import header_block

from .specimens import PNG, Specimen

Frame = dict[str, Any]
Around = tuple[list[Frame], list[Frame]]


def placed(dialect: str, specimen: Specimen) -> Specimen:
    """The specimen of an event as one of a stream."""
    before, after = SCRIPTS[dialect](specimen.body, specimen.field)
    body = [*before, specimen.body, *after]
    return specimen._replace(body=body, steps=(len(before), *specimen.steps))


def wire(dialect: str, frames: list[Frame]) -> str:
    """The text of a stream; of a binary one, base64."""
    if dialect == "bedrock.converse":
        return base64.b64encode(b"".join(_binary(*next(iter(frame.items()))) for frame in frames)).decode()
    told = [json.dumps(frame, separators=(",", ":")) for frame in frames]
    if dialect == "ollama.chat":
        return "".join(f"{data}\n" for data in told)
    if dialect in NAMED:
        pairs = zip(frames, told, strict=True)
        return "".join(f"event: {frame.get('type')}\ndata: {data}\n\n" for frame, data in pairs)
    end = "data: [DONE]\n\n" if dialect == "openai.chat" else ""
    return "".join(f"data: {data}\n\n" for data in told) + end


NAMED = {"openai.responses", "anthropic.messages", "cohere.chat"}
"""Whose frames say their event's name beside it."""


def _binary(name: str, payload: Any) -> bytes:
    kind = "exception" if name.endswith("Exception") else "event"
    head = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return binary(header_block(head), json.dumps(payload).encode())


# --- chunks of an answer ---------------------------------------------------------------------------


def chunks(frame: Frame, field: str) -> Around:
    """Any chunk may be the first, which tells what is told once."""
    text = {"index": 0, "delta": {"content": "Hello"}}
    more = {"id": "call_1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m-1"}
    if field.endswith("finish_reason"):
        return [more | {"choices": [text | {"finish_reason": None}]}], []
    return [], [
        more
        | {"choices": [text | {"finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": "stop"}]}
    ]


def answers(frame: Frame, field: str) -> Around:
    """Frames that are whole answers, of which the last has a reason to stop."""
    end = {"content": {"role": "model", "parts": [{"text": " there"}]}, "finishReason": "STOP"}
    if field.startswith("candidates") and field.endswith("jsonPath"):  # it says where, and needs a what
        call = frame["candidates"][0]["content"]["parts"][0]["functionCall"]
        call["partialArgs"][0]["stringValue"] = "Oslo"
    return [], [] if field.endswith("finishReason") else [{"candidates": [end]}]


def lines(frame: Frame, field: str) -> Around:
    """The last line tells why the answer ended and what it took."""
    said = {"role": "assistant", "content": ""}
    end = {
        "model": "m-1",
        "created_at": "2026-01-02T03:04:05Z",
        "message": said,
        "done": True,
        "done_reason": "stop",
    }
    last = field.startswith(LAST_LINE)
    if last:
        frame |= {"done": True}
    return [], [] if last else [end]


LAST_LINE = ("done_reason", "total_", "load_", "prompt_eval_", "eval_")

# --- events by their type --------------------------------------------------------------------------

CLAUDE: dict[str, Frame] = {
    "start": {
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    "text": {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    "delta": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    "stop": {"type": "content_block_stop", "index": 0},
    "end": {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    "over": {"type": "message_stop"},
}  # fmt: skip

CLAUDE_BLOCKS: dict[str, Frame] = {
    "input_json_delta": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
    "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
    "signature_delta": {"type": "thinking", "thinking": "", "signature": ""},
}
"""The block that a delta goes on with, where it is no text."""

ORDERS: dict[str, tuple[str, str]] = {
    "message_start": ("", "text delta stop end over"),
    "content_block_start": ("start", "stop end over"),
    "content_block_delta": ("start text", "stop end over"),
    "content_block_stop": ("start text delta", "end over"),
    "message_delta": ("start text delta stop", "over"),
    "message_stop": ("start text delta stop end", ""),
}


def blocks(frame: Frame, field: str) -> Around:
    before, after = ([CLAUDE[name] for name in order.split()] for order in ORDERS[frame["type"]])
    if ".stop_" in field and frame["type"] == "message_start":
        frame["message"].setdefault("stop_reason", "stop_sequence" if "sequence" in field else "refusal")
        after = [CLAUDE["over"]]
    block = CLAUDE_BLOCKS.get(frame.get("delta", {}).get("type"))
    if block is not None:
        before[1] = CLAUDE["text"] | {"content_block": block}
    return before, after


COHERE: dict[str, Frame] = {
    "start": {"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}},
    "text": {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    "delta": {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello"}}}},
    "stop": {"type": "content-end", "index": 0},
    "call": {
        "type": "tool-call-start", "index": 0,
        "delta": {"message": {"tool_calls": {
            "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""},
        }}},
    },
    "called": {"type": "tool-call-end", "index": 0},
    "cited": {"type": "citation-end", "index": 0},
    "end": {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
}  # fmt: skip

COHERE_MORE: Frame = {
    "type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
}  # fmt: skip
COHERE_CITED: Frame = {
    "type": "citation-start", "index": 0,
    "delta": {"message": {"citations": {"start": 0, "end": 5, "text": "Hello"}}},
}  # fmt: skip

COHERE_ORDERS: dict[str, tuple[str, str]] = {
    "message-start": ("", "text delta stop end"),
    "content-start": ("start", "stop end"),
    "content-delta": ("start text", "stop end"),
    "content-end": ("start text delta", "end"),
    "tool-plan-delta": ("start", "end"),
    "tool-call-start": ("start", "called end"),
    "tool-call-delta": ("start call", "called end"),
    "tool-call-end": ("start call", "end"),
    "citation-start": ("start text delta", "cited stop end"),
    "citation-end": ("start text delta", "stop end"),
    "message-end": ("start text delta stop", ""),
    "debug": ("start", "text delta stop end"),
}


def turns(frame: Frame, field: str) -> Around:
    before, after = COHERE_ORDERS[frame["type"]]
    start = COHERE["start"] | {name: frame[name] for name in ("id",) if name in frame}  # it is told twice
    if "thinking" in field and frame["type"] == "content-delta":
        content = {"message": {"content": {"type": "thinking", "thinking": ""}}}
        return [start, COHERE["text"] | {"delta": content}], [COHERE[n] for n in after.split()]
    told = COHERE | {"start": start}
    return [told[n] for n in before.split()], [told[n] for n in after.split()]


CONVERSE: dict[str, Frame] = {
    "start": {"messageStart": {"role": "assistant"}},
    "delta": {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hello"}}},
    "stop": {"contentBlockStop": {"contentBlockIndex": 0}},
    "end": {"messageStop": {"stopReason": "end_turn"}},
    "told": {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}}},
}

CONVERSE_STARTS: dict[str, Frame] = {
    "toolUse": {"toolUse": {"toolUseId": "call_1", "name": "look"}},
    "toolResult": {"toolResult": {"toolUseId": "call_1"}},
    "image": {"image": {"format": "png"}},
}
"""How the block of a delta begins, where it is none of text or reasoning."""

CONVERSE_ORDERS: dict[str, tuple[str, str]] = {
    "messageStart": ("", "delta stop end told"),
    "contentBlockStart": ("start", "stop end told"),
    "contentBlockDelta": ("start", "stop end told"),
    "contentBlockStop": ("start delta", "end told"),
    "messageStop": ("start delta stop", "told"),
    "metadata": ("start delta stop end", ""),
}


def converse(frame: Frame, field: str) -> Around:
    name, payload = next(iter(frame.items()))
    before, after = (
        [CONVERSE[n] for n in order.split()] for order in CONVERSE_ORDERS.get(name, ("start delta", ""))
    )
    if "image" in payload.get("start", {}):
        picture = {"image": {"source": {"bytes": PNG}}}
        after.insert(0, {"contentBlockDelta": {"contentBlockIndex": 0, "delta": picture}})
    for kind in payload.get("delta", {}):
        if kind in CONVERSE_STARTS:
            before.append({"contentBlockStart": {"contentBlockIndex": 0, "start": CONVERSE_STARTS[kind]}})
    return before, after


# --- a response and its items ----------------------------------------------------------------------

RESPONSE: Frame = {
    "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "model": "m-1", "output": [],
    "status": "in_progress", "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
}  # fmt: skip

ITEMS: dict[str, Frame] = {
    "message": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []},
    "reasoning": {"type": "reasoning", "id": "rs_1", "summary": []},
    "function_call": {
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "",
        "status": "in_progress",
    },
    "custom_tool_call": {
        "type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "look", "input": "",
    },
}  # fmt: skip

BELONGS: dict[str, str] = {
    "content_part": "message",
    "output_text": "message",
    "refusal": "message",
    "reasoning_summary_part": "reasoning",
    "reasoning_summary_text": "reasoning",
    "reasoning_text": "reasoning",
    "function_call_arguments": "function_call",
    "custom_tool_call_input": "custom_tool_call",
}
"""Which item an event goes on with; the others are about items that only this dialect has."""


def items(frame: Frame, field: str) -> Around:
    kind = frame["type"].removeprefix("response.")
    created = _event("response.created", response=RESPONSE)
    if kind == "error" or kind in ("completed", "incomplete", "failed"):
        return [], []
    if "response" in frame:  # what is told as it begins is told again as it ends
        whole = frame["response"] | {"status": "completed", "error": None}
        return [created] if kind == "in_progress" else [], [_event("response.completed", response=whole)]
    item = frame.get("item")
    if item is not None and kind.endswith("added"):
        done = _event("response.output_item.done", output_index=0, item=item)
        return [created], [done, _completed(item)]
    if item is not None:
        begun = [_added(ITEMS[item["type"]] | {"id": item.get("id")})] if item["type"] in ITEMS else []
        return [created, *begun], [_completed()]
    belongs = BELONGS.get(kind.partition(".")[0])
    if belongs == "message" and frame.get("part", {}).get("type") == "reasoning_text":
        belongs = "reasoning"
    if belongs is None:
        return [created], [_completed()]
    return [created, _added(ITEMS[belongs] | {"id": frame["item_id"]})], [_completed()]


def _event(kind: str, **more: Any) -> Frame:
    return {"type": kind, "sequence_number": 0, **more}


def _added(item: Frame) -> Frame:
    return _event("response.output_item.added", output_index=0, item=item)


def _completed(*output: Frame) -> Frame:
    return _event("response.completed", response=RESPONSE | {"status": "completed", "output": list(output)})


SCRIPTS: dict[str, Callable[[Frame, str], Around]] = {
    "openai.chat": chunks,
    "openai.responses": items,
    "anthropic.messages": blocks,
    "gemini.generate_content": answers,
    "bedrock.converse": converse,
    "ollama.chat": lines,
    "cohere.chat": turns,
}
