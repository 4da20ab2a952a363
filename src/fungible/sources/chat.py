"""What a source keeps in pieces, put together as a chat completion: the form that most of them think in."""

from collections.abc import Mapping

import msgspec

from ..faults import KINDS, Fault, kind_of_status
from ..recording import Recording
from .rows import Json, parsed

DIALECT = "openai.chat"
FAULTS = {
    "timeout": "timeout",
    "ratelimit": "rate_limited",
    "rate_limit": "rate_limited",
    "auth": "authentication",
    "notfound": "not_found",
    "overloaded": "overloaded",
    "connection": "unreachable",
    "badrequest": "bad_request",
    "invalid": "bad_request",
}
"""What an error's own name has in it -> our word for it."""


def request(model: str, messages: Json, **more: Json) -> msgspec.Raw:
    """Raises Fault: there are no messages."""
    messages = parsed(messages)
    if isinstance(messages, str) and messages:
        messages = [{"role": "user", "content": messages}]
    if isinstance(messages, dict) and isinstance(messages.get("messages"), list):
        more = {**{k: v for k, v in messages.items() if k not in ("messages", "model")}, **more}
        messages = messages["messages"]
    elif isinstance(messages, dict) and "role" in messages:
        messages = [messages]
    if not isinstance(messages, list) or not messages:
        raise Fault("bad_request", "It has no messages: prompts were not kept, or in another form.")
    body = {"model": model, "messages": messages} | {k: v for k, v in more.items() if v is not None}
    return msgspec.Raw(msgspec.json.encode(body))


def reply(
    id: str, model: str, said: Json, *, finish: str | None = None, created_ms: int = 0, usage: Json = None
) -> msgspec.Raw | None:
    """A chat completion of what was said: one whole, a message, several, or text. None: nothing was."""
    said = parsed(said)
    if said in (None, "", {}, []):
        return None
    if isinstance(said, dict) and isinstance(said.get("choices"), list):
        return msgspec.Raw(msgspec.json.encode(said))
    messages = said if isinstance(said, list) else [said]
    choices = [_choice(n, message, finish) for n, message in enumerate(messages)]
    body = {
        "id": id,
        "object": "chat.completion",
        "created": created_ms // 1000,
        "model": model,
        "choices": choices,
    }
    return msgspec.Raw(msgspec.json.encode(body | ({"usage": usage} if usage is not None else {})))


def _choice(index: int, said: Json, finish: str | None) -> dict[str, Json]:
    if isinstance(said, dict) and isinstance(said.get("message"), dict):
        finish, said = said.get("finish_reason") or finish, said["message"]
    if isinstance(said, str):
        said = {"content": said}
    if not isinstance(said, dict) or not (
        {"content", "tool_calls", "refusal", "function_call"} & said.keys()
    ):
        raise Fault("bad_request", "Its answer is neither a message, nor text, nor a chat completion.")
    message = {"role": "assistant", "content": None} | said
    ended = finish or ("tool_calls" if message.get("tool_calls") else "stop")
    return {"index": index, "message": message, "finish_reason": ended}


def usage(input_tokens: int | None, output_tokens: int | None) -> Json:
    if input_tokens is None and output_tokens is None:
        return None
    asked, said = input_tokens or 0, output_tokens or 0
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def usage_of(body: Json) -> dict[str, Json]:
    """What an answer says of its tokens."""
    told = body.get("usage") if isinstance(body, dict) else None
    return told if isinstance(told, dict) else {}


def fault_of(status: int | None, name: str) -> tuple[int, str]:
    """(HTTP status, row of `faults.KINDS`) of an error, by its status if there is one, else by its name."""
    if status is not None and 400 <= status < 600:
        return status, kind_of_status(status)
    plain = name.lower().replace(" ", "").replace("-", "_")
    kind = next((kind for part, kind in FAULTS.items() if part in plain), "provider_error")
    return KINDS[kind].status, kind


def named(recording: Recording, tags: Mapping[str, Json]) -> Recording:
    """With tags, of which only texts without commas and equals signs can be kept."""
    good = {k: v for k, v in tags.items() if isinstance(v, str) and v and not set(",=\r\n") & set(k + v)}
    return msgspec.structs.replace(recording, tags=good)
