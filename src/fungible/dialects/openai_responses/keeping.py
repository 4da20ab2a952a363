"""What is kept of a call, so that a later one can go on from its answer: the shapes of it, and no place.

A request may name an earlier answer (`previous_response_id`) or a `conversation` instead of sending what was
said; `store` says whether the answer may be named later (it may, where nothing is said), `background` that
nobody waits for it. API reference: Responses (create, get, delete, cancel, list input items), Conversations.
"""

from ...faults import Fault
from ...ir import Json
from ..base import Asked, Keeping
from ..checked import Wire, decode, encode, may, parse

_OURS = frozenset({"previous_response_id", "conversation", "store", "background"})
WORDS = (b'"previous_response_id"', b'"conversation"', b'"background"', b"\\u00")  # a key may be spelled so
ENDS = tuple(b"event: response." + word for word in (b"completed", b"incomplete", b"failed"))
LIMIT, LIMIT_MAX = 20, 100  # API reference, List input items


def asked(body: bytes) -> Asked:
    """Raises `Fault` (bad_request) for fields of a wrong type, or both names of what was said."""
    node = parse(body)
    previous = may(node, "previous_response_id", str, "")
    named = node.get("conversation")
    if type(named) is dict:
        named = may(named, "id", str, "conversation")
    elif named is not None and type(named) is not str:
        named = may(node, "conversation", str, "")
    if previous is not None and named is not None:
        raise Fault(
            "bad_request", "Send previous_response_id or conversation, not both.", path="previous_response_id"
        )
    background = may(node, "background", bool, "") or False
    store = may(node, "store", bool, "") is not False
    if background and not store:
        raise Fault("bad_request", "An answer in the background is kept: leave store out.", path="store")
    return Asked(previous, named, store, background, node.get("stream") is True)


def resumed(body: bytes, earlier: list[Json], whole: bool) -> bytes:
    """The request with what was said before it in front of its input, and without the name of that.

    `whole`: `store` and `background` have been seen to and are taken out as well.
    """
    node = parse(body)
    if not earlier and node.keys().isdisjoint(_OURS):
        return body
    if earlier:
        node["input"] = earlier + items(body)
    for name in ("previous_response_id", "conversation", *(("store", "background") if whole else ())):
        node.pop(name, None)
    return encode(node)


def items(body: bytes) -> list[Json]:
    """The input as a list of items, as sent."""
    given = parse(body).get("input")
    if given is None:
        return []
    if type(given) is str:
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    if type(given) is not list:
        raise Fault(
            "bad_request", "input is of a wrong type. Send a string or a list of items.", path="input"
        )
    return given


def answered(data: bytes) -> Wire | None:
    """The whole answer, in the bytes of a plain one or at the end of a stream; None where it is not there."""
    if data[:1] == b"{":
        node = decode(data)
        return node if type(node) is dict and node.get("object") == "response" else None
    for end in ENDS:
        at = data.find(end)
        if at >= 0 and (at == 0 or data[at - 1 : at] == b"\n"):
            told: Wire = decode(data[data.index(b"data: ", at) + 6 :].split(b"\n", 1)[0])
            return told.get("response")
    return None


def identity(data: bytes) -> str | None:
    """The answer's id, from the first bytes of its stream."""
    at = data.find(b"data: ")
    if at < 0:
        return None
    told = decode(data[at + 6 :].split(b"\n", 1)[0])
    held = told.get("response") if type(told) is dict else None
    return held.get("id") if type(held) is dict else None


def spoken(answer: Wire) -> list[Json]:
    """What an answer said, as items of a later input."""
    output = answer.get("output")
    return output if type(output) is list else []


def begun(name: str, created_s: int, body: bytes) -> Wire:
    """An answer of which nothing is known yet."""
    node = parse(body)
    return {
        "id": name,
        "object": "response",
        "created_at": created_s,
        "status": "queued",
        "background": True,
        "error": None,
        "incomplete_details": None,
        "model": node.get("model"),
        "output": [],
        "instructions": node.get("instructions"),
        "metadata": node.get("metadata") or {},
        "parallel_tool_calls": node.get("parallel_tool_calls", True),
        "tool_choice": node.get("tool_choice", "auto"),
        "tools": node.get("tools") or [],
        "previous_response_id": node.get("previous_response_id"),
    }


def ended(answer: Wire, status: str, fault: bytes = b"") -> Wire:
    """The same with another status; `fault`: the error's body, for one that failed."""
    error = None
    if fault:
        said = decode(fault).get("error") or {}
        error = {"code": said.get("code") or "server_error", "message": said.get("message") or ""}
    return {**answer, "status": status, "error": error}


def numbered(data: bytes) -> list[tuple[int, bytes]]:
    """Comments are none; an error that ends a stream is always 0."""
    found = []
    for frame in data.split(b"\n\n"):
        at = frame.find(b"data: {")
        if at >= 0:
            number = decode(frame[at + 6 :].split(b"\n", 1)[0]).get("sequence_number")
            if type(number) is int:
                found.append((number, frame + b"\n\n"))
    return found


def event(answer: Wire, number: int) -> bytes:
    kind = "response.failed" if answer.get("status") == "failed" else "response.created"
    body = encode({"type": kind, "sequence_number": number, "response": answer})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)


def listed(said: list[Json], prefix: str, query: dict[str, str]) -> bytes:
    """A page of items. Raises `Fault` for a query that means nothing."""
    limit, order = query.get("limit", str(LIMIT)), query.get("order", "desc")
    if not limit.isdecimal() or not 0 < int(limit) <= LIMIT_MAX:
        raise Fault("bad_request", f"limit is a number from 1 to {LIMIT_MAX}.", path="limit")
    if order not in ("asc", "desc"):
        raise Fault("bad_request", "order is asc or desc.", path="order")
    rows = [_listed(item, f"{prefix}_{n}") for n, item in enumerate(said)]
    if order == "desc":
        rows.reverse()
    after = query.get("after")
    if after is not None:
        at = [n for n, row in enumerate(rows) if row["id"] == after]
        if not at:
            raise Fault("not_found", f"There is no item {after[:80]!r} here.", path="after")
        rows = rows[at[0] + 1 :]
    page = rows[: int(limit)]
    return encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(page) < len(rows),
        }
    )


def _listed(item: Json, name: str) -> Wire:
    node: Wire = {"id": f"msg_{name}", **item}
    node.setdefault("type", "message")
    if node["type"] == "message":
        node.setdefault("status", "completed")
        if type(node.get("content")) is str:
            kind = "output_text" if node.get("role") == "assistant" else "input_text"
            node["content"] = [{"type": kind, "text": node["content"]}]
    return node


def conversation(name: str, created_s: int, body: bytes) -> tuple[Wire, list[Json]]:
    """A conversation as asked for, and the items it begins with."""
    node = parse(body) if body.strip() else {}
    told = {
        "id": name,
        "object": "conversation",
        "created_at": created_s,
        "metadata": may(node, "metadata", dict, "") or {},
    }
    return told, may(node, "items", list, "") or []


def deleted(name: str, kind: str) -> bytes:
    """`kind`: answer or conversation."""
    told = "response" if kind == "answer" else "conversation.deleted"
    return encode({"id": name, "object": told, "deleted": True})


KEEPING = Keeping(
    answers="/v1/responses",
    conversations="/v1/conversations",
    answer_prefix="resp_",
    conversation_prefix="conv_",
    items_path="input_items",
    words=WORDS,
    asked=asked,
    resumed=resumed,
    items=items,
    answered=answered,
    identity=identity,
    spoken=spoken,
    begun=begun,
    ended=ended,
    numbered=numbered,
    event=event,
    listed=listed,
    conversation=conversation,
    deleted=deleted,
)
