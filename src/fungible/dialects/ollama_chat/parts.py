"""Messages read: what is said, in the order in which a model of this wire is shown it.

A message has fields and no order. Its parts are read as thinking, images, content, tool calls, for the server
puts a message's images before its text. `content` always stands: empty beside something else it is no part.

Calls and results need no ids here, so the reader makes up what is left out, the same for the same
conversation: the n-th call is `call_n`, and a result is that of the first call that waits for one, of the
tool that it names. The writer leaves out exactly what this would make up.
"""

from hashlib import blake2b

import msgspec

from ...faults import Fault
from ...ir import Extras, Image, Json, Message, Part, Role, Source, Text, Thinking, ToolCall, ToolResult
from .. import media
from ..checked import BROKEN, Wire, a_list, an_object, encode, may, need, others, strings, wrong
from .names import NAME, ours

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}

_SAID = frozenset({"role", "content", "images", "thinking", "tool_calls"})
_RESULT = _SAID | {"tool_name", "tool_call_id"}
_CALL = frozenset({"id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments", "index"})


class Calls:
    """The tool calls of a conversation so far, by which calls and results without ids find each other."""

    __slots__ = ("_count", "_seen", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._seen: dict[str, str] = {}
        self._waiting: list[tuple[str, str]] = []

    def next_id(self) -> str:
        """What a call without an id is called."""
        return f"call_{self._count}"

    def called(self, call_id: str, name: str) -> None:
        self._count += 1
        self._seen[call_id] = name
        self._waiting.append((call_id, name))

    def waiting(self, name: str | None) -> str:
        """The id of the call that a result without one answers. A tool that nobody called is its own id."""
        for call_id, called in self._waiting:
            if name is None or name == called:
                return call_id
        return name or "call_0"

    def answered(self, call_id: str) -> None:
        found = next((w for w in self._waiting if w[0] == call_id), None)
        if found is not None:
            self._waiting.remove(found)

    def name_of(self, call_id: str) -> str | None:
        return self._seen.get(call_id)


class Conversation:
    """Reads the messages of one request."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = Calls()

    def message(self, value: Json, at: str) -> Message:
        node = an_object(value, at)
        said = node.get("role")
        if len(node) == 2 and type(text := node.get("content")) is str and said in ("user", "system"):
            return Message(role=ROLES[said], parts=(Text(text=text, at=f"{at}.content"),), at=at)
        role = ROLES.get(said) if type(said) is str else None
        if role is None:
            raise Fault(
                "bad_request",
                f"{at}.role is {said!r:.40}. Send one of: {', '.join(ROLES)}.",
                path=f"{at}.role",
            )
        if role == "tool":
            return self._result(node, at)
        parts = shown(node, at)
        called = node.get("tool_calls")
        for i, call in enumerate(a_list(called, f"{at}.tool_calls") if called is not None else ()):
            read = tool_call(call, f"{at}.tool_calls[{i}]", i, self.calls.next_id())
            self.calls.called(read.id, read.name)
            parts.append(read)
        if not parts and node.get("content") is not None:
            parts.append(Text(text="", at=f"{at}.content"))
        return Message(role=role, parts=tuple(parts), extras=ours(others(node, _SAID)), at=at)

    def _result(self, node: Wire, at: str) -> Message:
        name = may(node, "tool_name", str, at)
        call_id = may(node, "tool_call_id", str, at) or self.calls.waiting(name)
        self.calls.answered(call_id)
        fields = others(node, _RESULT)
        if name is not None and name != self.calls.name_of(call_id):
            fields["tool_name"] = name
        for field in ("thinking", "tool_calls"):
            if node.get(field):
                fields[field] = node[field]
        parts = shown({k: v for k, v in node.items() if k != "thinking"}, at)
        if not parts and node.get("content") is not None:
            parts.append(Text(text="", at=f"{at}.content"))
        result = ToolResult(call_id=call_id, parts=tuple(parts), at=at)
        return Message(role="tool", parts=(result,), extras=ours(fields), at=at)


def shown(node: Wire, at: str, asked: bool = True) -> list[Part]:
    """Thinking, images and text that is not empty. `asked`: in a request, where what is wrong is refused."""
    parts: list[Part] = []
    thought = may(node, "thinking", str, at)
    if thought:
        parts.append(Thinking(text=thought, at=f"{at}.thinking"))
    images = node.get("images")
    for i, data in enumerate(strings(images, f"{at}.images") if images is not None else ()):
        where = f"{at}.images[{i}]"
        if asked:
            _check_image(data, where)
        parts.append(Image(source=Source(data=data, media_type=kind_of(data), at=where), at=where))
    text = node.get("content")
    if text is not None and type(text) is not str:
        raise wrong(f"{at}.content", "a string; images go into `images`, in base64", text)
    if text:
        parts.append(Text(text=text, at=f"{at}.content"))
    return parts


def kind_of(data: str) -> str | None:
    """The media type of an image, by its first bytes; None where they show none."""
    kind = media.kind_of(data)
    return kind if kind in media.IMAGES else None


def _check_image(data: str, at: str) -> None:
    if media.flaw(data) is not None:
        raise Fault(
            "bad_request",
            f"{at} is not base64. Send the image's bytes in base64, without a data: prefix or an address.",
            path=at,
        )
    if not data:
        raise Fault("bad_request", f"{at} is empty. Send the image's bytes in base64.", path=at)


# --- calls ---------------------------------------------------------------------------------------


def tool_call(value: Json, at: str, n: int, made_id: str) -> ToolCall:
    """`n`: its place among the calls of its answer, which `index` repeats. `made_id`: for one without."""
    call = an_object(value, at)
    inner = f"{at}.function"
    function = an_object(call.get("function"), inner)
    given = function.get("arguments")
    if given is not None and type(given) not in (dict, msgspec.Raw):
        raise wrong(f"{inner}.arguments", "an object", given)
    written = b"{}" if given is None else bytes(given) if type(given) is msgspec.Raw else encode(given)
    fields = others(call, _CALL) | others(function, _FUNCTION, "function.")
    if call.get("type") not in (None, "function"):
        fields["type"] = call["type"]
    if function.get("index") not in (None, n):
        fields["function.index"] = function["index"]
    return ToolCall(
        id=may(call, "id", str, at) or made_id,
        name=need(function, "name", str, inner),
        arguments=written.decode(),
        extras=Extras(dialect=NAME, fields=fields) if fields else None,
        at=at,
    )


def made_of(*told: object) -> str:
    """Twelve characters that the same words always give: an id for what the wire gives none."""
    return blake2b("\n".join(map(str, told)).encode(), digest_size=6).hexdigest()


_ABSENT = msgspec.Raw(b"")


class _RawFunction(msgspec.Struct, gc=False):
    arguments: msgspec.Raw = _ABSENT


class _RawCall(msgspec.Struct, gc=False):
    function: _RawFunction


class _RawMessage(msgspec.Struct, gc=False):
    tool_calls: list[_RawCall] | None = None


class _RawBody(msgspec.Struct, gc=False):
    messages: list[_RawMessage] = []
    message: _RawMessage | None = None


_raw_body = msgspec.json.Decoder(_RawBody).decode


def keep_arguments(body: bytes, wire: Wire) -> None:
    """Put the text of each call's arguments, as it was written, in the place of the parsed object.

    wire: what `body` was parsed to. A body whose shape is not as it should be is left as it is: its readers
    say what is wrong.
    """
    try:
        raw = _raw_body(body)
    except BROKEN:
        return
    said = wire.get("messages") if raw.messages else [wire.get("message")]
    written = raw.messages or ([raw.message] if raw.message is not None else [])
    for message, texts in zip(said if type(said) is list else [], written, strict=False):
        for call, text in zip(message.get("tool_calls") or (), texts.tool_calls or (), strict=False):
            if type(call["function"].get("arguments")) is dict:
                call["function"]["arguments"] = text.function.arguments
