"""Messages read: who speaks and what is said, in the order that an answer of this wire has.

An assistant's message has fields and no order. Its parts are read as thinking, content, refusal, audio,
tool calls. A message of the retired role `function` rides whole.
"""

from ...faults import Fault
from ...ir import Audio, Citation, Json, Message, Native, Part, Refusal, Role, Source, Text, ToolResult
from ..checked import Wire, a_list, an_object, may, others, wrong
from . import thoughts
from .names import NAME, OURS, ours
from .parts import MEDIA, content, tool_call

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_SPEAKERS: tuple[Role, ...] = ("user", "assistant", "system", "developer")
_SPOKEN = frozenset({"role", "content", "name"})
_TOOL = _SPOKEN | {"tool_call_id"}
_ASSISTANT = _SPOKEN | thoughts.FIELDS | {"refusal", "audio", "tool_calls", "function_call"}
_ANSWER = (_ASSISTANT - {"name"}) | {"annotations"}
_PLAIN = frozenset({"role", "content", "refusal"})
_AUDIO = frozenset({"id", "data", "expires_at", "transcript"})


class Calls:
    """The tool calls of a conversation so far, so that calls and results without ids find each other."""

    __slots__ = ("_answered", "_seen")

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] = []
        self._answered: set[str] = set()

    def next_id(self) -> str:
        return f"call_{len(self._seen)}"

    def called(self, call_id: str, name: str) -> None:
        self._seen.append((call_id, name))

    def answered(self, given: str | None, name: str | None) -> str:
        """The id of the result's call: as given, or the first unanswered one, of that name if it says one."""
        found = given
        if not found:
            waiting = [(i, n) for i, n in self._seen if i not in self._answered]
            named = [i for i, n in waiting if n == name]
            found = (named or [i for i, _ in waiting] or ["call_0"])[0]
        self._answered.add(found)
        return found


def plain_message(value: Json, at: str) -> Message | None:
    """A message that is one text, as nearly every one is; None for any other."""
    if type(value) is dict and len(value) == 2:
        said, text = value.get("role"), value.get("content")
        if type(text) is str and said in _SPEAKERS:
            return Message(role=said, parts=(Text(text=text, at=at + ".content"),), at=at)
    return None


def message(value: Json, at: str, calls: Calls) -> Message:
    node = an_object(value, at)
    said = node.get("role")
    if said == "function":
        return Message(role="user", parts=(Native(dialect=NAME, body=node, at=at),), at=at)
    role = ROLES.get(said) if type(said) is str else None
    if role is None:
        raise Fault(
            "bad_request",
            f"{at}.role is {said!r:.40}. Send one of: {', '.join(ROLES)}.",
            path=f"{at}.role",
        )
    if role == "assistant":
        parts, unknown = assistant(node, at, calls)
        if node.get("annotations"):
            unknown["annotations"] = node["annotations"]
    elif role == "tool":
        call_id = calls.answered(may(node, "tool_call_id", str, at), may(node, "name", str, at))
        inner = content(node.get("content") or None, f"{at}.content")
        held = OURS if any(type(p) in MEDIA for p in inner) else None
        parts = [ToolResult(call_id=call_id, parts=tuple(inner), extras=held, at=at)]
        unknown = others(node, _TOOL)
    else:
        parts, unknown = content(node.get("content"), f"{at}.content"), others(node, _SPOKEN)
    return Message(
        role=role, parts=tuple(parts), name=may(node, "name", str, at), extras=ours(unknown), at=at
    )


def assistant(node: Wire, at: str, calls: Calls, asked: bool = True) -> tuple[list[Part], Wire]:
    """What an assistant's message says, and its unknown fields. `asked`: in a request, not an answer."""
    text = node.get("content")
    if type(text) is str and node.keys() <= _PLAIN and node.get("refusal") is None:
        return [Text(text=text, at=f"{at}.content")], {}
    parts: list[Part] = []
    unsaid: Wire = {}
    if not thoughts.FIELDS.isdisjoint(node):
        parts, unsaid = thoughts.read(node, at, asked)
    said = content(text, f"{at}.content", asked)
    if not asked:
        said = _cited(said, node, at, unsaid)
    parts += said
    refusal = may(node, "refusal", str, at)
    if refusal:
        parts.append(Refusal(text=refusal, at=f"{at}.refusal"))
    audio = node.get("audio")
    if audio is not None:
        spoken = _spoken(audio, f"{at}.audio")
        parts += spoken
        if not spoken:  # Snowflake's way to say that there is none
            unsaid["audio"] = audio
    called = node.get("tool_calls")
    if called is not None:
        for i, value in enumerate(a_list(called, f"{at}.tool_calls")):
            call = tool_call(value, f"{at}.tool_calls[{i}]", i, calls.next_id(), asked)
            calls.called(call.id, call.name)
            parts.append(call)
    legacy = node.get("function_call")
    if legacy is not None:
        unsaid["function_call"] = legacy
    return parts, unsaid | others(node, (_ASSISTANT | {"annotations"}) if asked else _ANSWER)


def _cited(said: list[Part], node: Wire, at: str, unsaid: Wire) -> list[Part]:
    """Annotations belong to the text; without one they ride along."""
    annotations = node.get("annotations")
    if not annotations:
        return said
    first = next((i for i, p in enumerate(said) if type(p) is Text), None)
    if first is None or type(annotations) is not list:
        unsaid["annotations"] = annotations
        return said
    held = said[first]
    assert type(held) is Text
    citations = tuple(citation(a, f"{at}.annotations[{i}]") for i, a in enumerate(annotations))
    cited = Text(text=held.text, citations=citations, cache=held.cache, extras=held.extras, at=held.at)
    return [*said[:first], cited, *said[first + 1 :]]


def citation(value: Json, at: str) -> Citation:
    node = value if type(value) is dict else {}
    found = node.get("url_citation")
    web = found if type(found) is dict else {}
    url, title = web.get("url"), web.get("title")
    return Citation(
        dialect=NAME,
        body=value,
        url=url if type(url) is str else None,
        title=title if type(title) is str else None,
        at=at,
    )


def _spoken(value: Json, at: str) -> list[Part]:
    """An answer's sound, or in a request the id by which the provider keeps it."""
    node = an_object(value, at)
    if not any(node.values()):
        return []
    data = may(node, "data", str, at)
    expires = node.get("expires_at")
    if expires is not None and type(expires) is not int:
        raise wrong(f"{at}.expires_at", "Unix seconds", expires)
    return [
        Audio(
            source=None if data is None else Source(data=data, at=at),
            id=may(node, "id", str, at),
            transcript=may(node, "transcript", str, at),
            expires_at=expires,
            extras=ours(others(node, _AUDIO)),
            at=at,
        )
    ]
