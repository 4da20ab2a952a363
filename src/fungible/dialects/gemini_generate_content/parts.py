"""Parts read: text, thoughts, media, calls and their results. A part of a kind that is not here rides whole.

Code that the provider runs, its searches, videos and whatever comes next are such parts: `Native`.

A signature may stand on any part (guide, Thought signatures). On a thought it is the thought's. On another
part it is read as a thought before it of which nothing was shown: so it finds a place in every dialect that
has thoughts, and comes back to the part that follows.

A call may have no id. It is given one by its place (`Ids`), the same each time it is read; a result without
an id is that of the first call of its name that has none yet.
"""

import base64
import binascii
from collections.abc import Callable

import msgspec

from ...ir import (
    Audio,
    Document,
    Image,
    Json,
    Native,
    Part,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ..checked import may, need, under, wrong
from .names import NAME, ours, rest
from .shape import inner, object_at, several

encode = msgspec.json.encode

UNSIGNED = "skip_thought_signature_validator"
"""What the guide says to send for a call that another model made."""

AUDIO: dict[str, str] = {
    "audio/wav": "wav",
    "audio/mp3": "mp3",
    "audio/aiff": "aiff",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
}
"""Guide, Audio understanding: media types -> formats."""

_OTHER_AUDIO = {"audio/mpeg": "mp3", "audio/x-wav": "wav"}

_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://")
_NUMBER_EXACT_MAX = 2**53  # the wire's numbers are doubles


class Ids:
    """Gives calls without an id one, and knows which call a result belongs to.

    `seed` tells the calls of one answer from those of another.
    """

    __slots__ = ("_made", "_names", "_seed", "_waiting")

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._made = 0
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, str]] = []  # (name, id) of calls that had none, unanswered

    def call(self, given: str | None, name: str) -> str:
        if given:
            self._names[given] = name
            return given
        made = f"call_{self._made}"
        if self._seed:
            made = f"call_{binascii.crc32(f'{self._seed}/{self._made}/{name}'.encode()):08x}"
        self._made += 1
        self._names[made] = name
        self._waiting.append((name, made))
        return made

    def result(self, given: str | None, name: str) -> str:
        if given:
            return given
        for n, (called, made) in enumerate(self._waiting):
            if called == name:
                del self._waiting[n]
                return made
        made = f"call_{self._made}"
        self._made += 1
        return made

    def name_of(self, call_id: str) -> str | None:
        return self._names.get(call_id)


def read_parts(content: dict[str, Json], at: str, ids: Ids) -> list[Part]:
    """The parts of a `spelled` content."""
    parts = content.get("parts")
    if type(parts) is not list:
        return [] if parts is None else read_part(parts, f"{at}.parts", ids)
    found: list[Part] = []
    for i, part in enumerate(parts):
        found += read_part(part, f"{at}.parts[{i}]", ids)
    return found


def read_part(body: Json, at: str, ids: Ids) -> list[Part]:
    """Usually one; none for an empty text; two where a part that is no thought is signed."""
    if type(body) is dict and len(body) == 1 and type(text := body.get("text")) is str:  # as most are
        return [Text(text=text, at=at)] if text else []
    node = object_at(body, at)
    if node.get("thought") is False:
        node = {name: value for name, value in node.items() if name != "thought"}
    if node.get("thought") is True and "text" in node:
        return [_thought(node, at)]
    kinds = [name for name in KINDS if name in node]
    if len(kinds) != 1 or "thought" in node:
        return [Native(dialect=NAME, body=node, at=at)]
    signature = may(node, "thoughtSignature", str, at)
    plain = node if signature is None else {k: v for k, v in node.items() if k != "thoughtSignature"}
    read = KINDS[kinds[0]](plain, at, ids)
    if type(read) is Native:
        return [Native(dialect=NAME, body=node, at=at)]
    if type(read) is Text and not read.text and read.extras is None and signature is None:
        return []
    if signature is None or signature == UNSIGNED:
        return [read]
    return [Thinking(signature=signature, at=under(at, "thoughtSignature")), read]


_TEXT = frozenset({"text"})
_THOUGHT = frozenset({"text", "thought", "thoughtSignature"})


def _thought(node: dict[str, Json], at: str) -> Thinking:
    return Thinking(
        text=need(node, "text", str, at),
        signature=may(node, "thoughtSignature", str, at),
        at=at,
        extras=rest(node, _THOUGHT),
    )


def _text(node: dict[str, Json], at: str, _: Ids) -> Part:
    return Text(text=need(node, "text", str, at), at=at, extras=rest(node, _TEXT))


# --- media ---------------------------------------------------------------------------------------

_BLOB = frozenset({"mimeType", "data", "displayName"})
_FILE = frozenset({"mimeType", "fileUri", "displayName"})


def _inline(node: dict[str, Json], at: str, _: Ids) -> Part:
    blob = object_at(node["inlineData"], under(at, "inlineData"))
    where = under(at, "inlineData")
    data, kind = need(blob, "data", str, where), need(blob, "mimeType", str, where)
    return _media(node, "inlineData", blob, Source(data=data, media_type=kind, at=where), at)


def _file(node: dict[str, Json], at: str, _: Ids) -> Part:
    where = under(at, "fileData")
    blob = object_at(node["fileData"], where)
    uri, kind = need(blob, "fileUri", str, where), may(blob, "mimeType", str, where)
    own = uri.startswith(_OWN_FILES) or not uri.startswith(("http://", "https://"))
    source = Source(media_type=kind, url=None if own else uri, file_id=uri if own else None, at=where)
    return _media(node, "fileData", blob, source, at)


def _media(node: dict[str, Json], field: str, blob: dict[str, Json], source: Source, at: str) -> Part:
    kind = (source.media_type or "").lower()
    extras = rest(node, frozenset({field}))
    more = {k: v for k, v in blob.items() if k not in (_BLOB | _FILE)}
    name = may(blob, "displayName", str, source.at)
    if kind.startswith("image/") or (kind.startswith("audio/") and source.data is not None):
        if name is not None:
            more["displayName"] = name
        source = msgspec.structs.replace(source, extras=ours(more))
        if kind.startswith("image/"):
            return Image(source=source, at=at, extras=extras)
        form = AUDIO.get(kind) or _OTHER_AUDIO.get(kind)
        if form is not None:
            told = None if kind in AUDIO else source.media_type
            return Audio(
                source=msgspec.structs.replace(source, media_type=told), format=form, at=at, extras=extras
            )
    elif kind == "application/pdf" or kind.startswith("text/"):
        words = _words(source)
        if words is not None:
            source = msgspec.structs.replace(source, data=None, text=words)
        source = msgspec.structs.replace(source, extras=ours(more))
        return Document(source=source, name=name, at=at, extras=extras)
    return Native(dialect=NAME, body=node, at=at)


def _words(source: Source) -> str | None:
    """The text of plain text in base64, where it is just that."""
    if source.data is None or source.media_type != "text/plain":
        return None
    try:
        words = base64.b64decode(source.data, validate=True).decode()
    except ValueError:
        return None
    return words if base64.b64encode(words.encode()).decode() == source.data else None


# --- calls and their results ---------------------------------------------------------------------

_CALL = frozenset({"id", "name", "args"})
_PART_OF_CALL = frozenset({"functionCall"})
_RESULT = frozenset({"id", "name", "response", "parts"})
_PART_OF_RESULT = frozenset({"functionResponse"})


def _call(node: dict[str, Json], at: str, ids: Ids) -> Part:
    where = under(at, "functionCall")
    call = object_at(node["functionCall"], where)
    name = need(call, "name", str, where)
    args = may(call, "args", dict, where)
    fields = {f"functionCall.{k}": v for k, v in call.items() if k not in _CALL}
    fields |= {k: v for k, v in node.items() if k not in _PART_OF_CALL}
    return ToolCall(
        id=ids.call(may(call, "id", str, where), name),
        name=name,
        arguments=encode(args).decode() if args else "{}",
        at=at,
        extras=ours(fields),
    )


def _result(node: dict[str, Json], at: str, ids: Ids) -> Part:
    where = under(at, "functionResponse")
    result = object_at(node["functionResponse"], where)
    name = may(result, "name", str, where) or ""
    call_id = ids.result(may(result, "id", str, where), name)
    said, is_error = _said(result.get("response"), under(where, "response"))
    parts: list[Part] = [said] if said is not None else []
    for i, part in enumerate(several(result, "parts", where)):
        parts += read_part(part, f"{where}.parts[{i}]", ids)
    fields = {f"functionResponse.{k}": v for k, v in result.items() if k not in _RESULT}
    if name and name != (ids.name_of(call_id) or call_id):
        fields["functionResponse.name"] = name
    fields |= {k: v for k, v in node.items() if k not in _PART_OF_RESULT}
    return ToolResult(
        call_id=call_id,
        parts=tuple(parts),
        is_error=is_error,
        at=at,
        extras=ours(fields),
    )


def _said(response: Json, at: str) -> tuple[Text | None, bool | None]:
    """API reference, FunctionResponse: `output` holds the output, `error` an error; else all is output."""
    if response is None or response == {}:
        return None, None
    if type(response) is not dict:
        raise wrong(at, 'an object, such as {"output": ...}', response)
    for name, failed in (("output", None), ("error", True)):
        if response.keys() == {name}:
            if type(response[name]) is str:
                return Text(text=response[name], at=under(at, name)), failed
            if failed and response[name] is None:
                return None, True
    return Text(text=encode(response).decode(), at=at), None


def is_response(text: str) -> dict[str, Json] | None:
    """The object that `_said` would read as this very text, where there is one."""
    if not text.startswith("{") or len(text) < 3:
        return None
    try:
        value = msgspec.json.decode(text)
        if encode(value).decode() != text or not _exact(value):
            return None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    said, failed = _said(value, "")
    return value if failed is None and said is not None and said.text == text else None


def _exact(value: Json) -> bool:
    if type(value) is dict:
        return all(_exact(one) for one in value.values())
    if type(value) is list:
        return all(_exact(one) for one in value)
    return type(value) is not int or abs(value) <= _NUMBER_EXACT_MAX


KINDS: dict[str, Callable[[dict[str, Json], str, Ids], Part]] = {
    "text": _text,
    "inlineData": _inline,
    "fileData": _file,
    "functionCall": _call,
    "functionResponse": _result,
}

__all__ = ["Ids", "inner", "read_part", "read_parts"]
