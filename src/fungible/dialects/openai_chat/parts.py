"""Content read into parts. A content part of an unknown type rides whole, as `Native`.

One reader for requests and answers: `asked` says which, for an answer is taken as it comes where a request
would be refused.
"""

from collections.abc import Callable

from ...faults import Fault
from ...ir import (
    Audio,
    Cache,
    Document,
    Extras,
    Image,
    Json,
    Native,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
)
from ..checked import Wire, a_list, an_object, encode, may, need, others, wrong
from ..media import check
from .names import NAME, OURS, UNNAMED_FILE, ours

MEDIA = frozenset({Image, Document, Audio})

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MARKS = frozenset({"type", "prompt_cache_breakpoint", "cache_control"})
_TEXT = _MARKS | {"text"}
_IMAGE = _MARKS | {"image_url"}
_AUDIO = _MARKS | {"input_audio"}
_FILE = _MARKS | {"file"}
_DOCUMENT = _MARKS | {"document_url", "document_name"}
_REFUSAL = frozenset({"type", "refusal"})
_THINKING = frozenset({"type", "thinking", "signature"})
_CALL = frozenset({"type", "id", "function", "custom", "index"})
_FUNCTION = frozenset({"name", "arguments"})
_CUSTOM = frozenset({"name", "input"})


def content(value: Json, at: str, asked: bool = True) -> list[Part]:
    """A string, a list of parts, or nothing."""
    if value is None:
        return []
    if type(value) is str:
        return [Text(text=value, at=at)]
    if type(value) is list:
        return [part(item, f"{at}[{i}]", asked) for i, item in enumerate(value)]
    if not asked:
        # Cloudflare answers a schema with the object itself in the place of its text.
        return [Text(text=encode(value).decode(), extras=OURS, at=at)]
    raise wrong(at, "a string or a list of parts", value)


def part(value: Json, at: str, asked: bool = True) -> Part:
    node = an_object(value, at)
    kind = node.get("type")
    if type(kind) is not str:
        raise wrong(f"{at}.type", "the part's type, such as text or image_url", kind)
    read = _READERS.get(kind)
    if read is None or (not asked and kind not in _ANSWERED):
        return Native(dialect=NAME, body=node, at=at)
    return read(node, at)


def cache(node: Wire, at: str) -> Cache | None:
    """The mark of either spelling; `cache_control` is marked as ours, so that it stays what it was."""
    mark = node.get("prompt_cache_breakpoint")
    if mark is not None:
        at = f"{at}.prompt_cache_breakpoint"
        seconds, fields = _lifetime(an_object(mark, at), {"mode": "explicit"}, at)
        return Cache(ttl_seconds=seconds, extras=ours(fields), at=at)
    mark = node.get("cache_control")
    if mark is None:
        return None
    at = f"{at}.cache_control"
    seconds, fields = _lifetime(an_object(mark, at), {"type": "ephemeral"}, at)
    return Cache(ttl_seconds=seconds, extras=ours(fields) or OURS, at=at)


def _lifetime(mark: Wire, implied: Wire, at: str) -> tuple[int | None, Wire]:
    fields = {k: v for k, v in mark.items() if v is not None and implied.get(k) != v}
    ttl = may(mark, "ttl", str, at)
    if ttl and ttl[-1] in _SECONDS and ttl[:-1].isdecimal() and ttl.isascii() and len(ttl) < 9:
        del fields["ttl"]
        return int(ttl[:-1]) * _SECONDS[ttl[-1]], fields
    return None, fields


def _text(node: Wire, at: str) -> Part:
    text = need(node, "text", str, at)
    if len(node) == 2:
        return Text(text=text, at=at)
    return Text(text=text, cache=cache(node, at), extras=ours(others(node, _TEXT)), at=at)


def _image(node: Wire, at: str) -> Part:
    image = node.get("image_url")
    inner = f"{at}.image_url"
    if type(image) is str:  # as Mistral writes it
        source, detail = _elsewhere(image, inner, OURS), None
    else:
        image = an_object(image, inner)
        unknown = ours(others(image, frozenset({"url", "detail"})))
        source = _elsewhere(need(image, "url", str, inner), inner, unknown)
        detail = may(image, "detail", str, inner)
    return Image(
        source=source, detail=detail, cache=cache(node, at), extras=ours(others(node, _IMAGE)), at=at
    )


def _elsewhere(url: str, at: str, extras: Extras | None) -> Source:
    """A `data:` URL (RFC 2397) in base64, or an address."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if comma and head.endswith(";base64"):
            kind = head[5:-7] or None
            check(data, kind, f"{at}.url")
            return Source(media_type=kind, data=data, extras=extras, at=at)
    return Source(url=url, extras=extras, at=at)


def _audio(node: Wire, at: str) -> Part:
    inner = f"{at}.input_audio"
    held = node.get("input_audio")
    if type(held) is str:  # as Mistral writes it
        extras = ours(others(node, _AUDIO) | _unmarked(node))
        return Audio(source=Source(data=held, extras=OURS, at=inner), extras=extras, at=at)
    audio = an_object(held, inner)
    data = need(audio, "data", str, inner)
    check(data.partition(";base64,")[2] if data.startswith("data:") else data, None, f"{inner}.data")
    return Audio(
        source=Source(data=data, extras=ours(others(audio, frozenset({"data", "format"}))), at=inner),
        format=may(audio, "format", str, inner),
        extras=ours(others(node, _AUDIO) | _unmarked(node)),
        at=at,
    )


def _unmarked(node: Wire) -> Wire:
    """Sound has no mark of its own in the canonical form."""
    return {k: node[k] for k in ("prompt_cache_breakpoint", "cache_control") if node.get(k) is not None}


def _document_url(node: Wire, at: str) -> Part:
    """Mistral's: an address, and perhaps a name."""
    source = Source(url=need(node, "document_url", str, at), extras=OURS, at=f"{at}.document_url")
    return Document(
        source=source,
        name=may(node, "document_name", str, at),
        cache=cache(node, at),
        extras=ours(others(node, _DOCUMENT)),
        at=at,
    )


def _file(node: Wire, at: str) -> Part:
    if "file" not in node and type(node.get("file_id")) is str:  # Mistral's, known to its provider alone
        return Native(dialect=NAME, body=node, at=at)
    inner = f"{at}.file"
    file = an_object(node.get("file"), inner)
    unknown = ours(others(file, frozenset({"file_data", "file_id", "filename"})))
    data, file_id = may(file, "file_data", str, inner), may(file, "file_id", str, inner)
    name = may(file, "filename", str, inner)
    if data is not None:
        if file_id is not None:
            unknown = ours(others(file, frozenset({"file_data", "filename"})))
        source = _file_data(data, inner, unknown)
    elif file_id is not None:
        source = Source(file_id=file_id, extras=unknown, at=inner)
    else:
        raise Fault("bad_request", f"{inner} has no file: send file_data or file_id.", path=inner)
    mark = ours(others(node, _FILE))
    if name is None and source.data is not None:
        mark = mark or OURS
    name = None if name == UNNAMED_FILE else name
    return Document(source=source, name=name, cache=cache(node, at), extras=mark, at=at)


def _file_data(data: str, at: str, extras: Extras | None) -> Source:
    """A data URL, an address (OpenRouter), or bare base64."""
    if data.startswith(("data:", "http://", "https://")):
        source = _elsewhere(data, at, extras)
        if source.data is not None or not data.startswith("data:"):
            return source
        raise Fault("bad_request", f"{at}.file_data is no data URL in base64.", path=f"{at}.file_data")
    check(data, None, f"{at}.file_data")
    return Source(data=data, extras=extras or OURS, at=at)


def _refusal(node: Wire, at: str) -> Part:
    return Refusal(text=need(node, "refusal", str, at), extras=ours(others(node, _REFUSAL)) or OURS, at=at)


def _thinking(node: Wire, at: str) -> Part:
    """Mistral's: {"type": "thinking", "thinking": [{"type": "text", "text": ...}], "closed": ...}."""
    said = node.get("thinking")
    if type(said) is str:
        text = said
    else:
        inner = f"{at}.thinking"
        pieces = [an_object(p, f"{inner}[{i}]") for i, p in enumerate(a_list(said, inner))]
        if any(p.get("type") != "text" for p in pieces):
            return Native(dialect=NAME, body=node, at=at)
        text = "".join(need(p, "text", str, f"{inner}[{i}]") for i, p in enumerate(pieces))
    signature = may(node, "signature", str, at)
    return Thinking(text=text, signature=signature, extras=ours(others(node, _THINKING)) or OURS, at=at)


_READERS: dict[str, Callable[[Wire, str], Part]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "document_url": _document_url,
    "refusal": _refusal,
    "thinking": _thinking,
}
_ANSWERED = frozenset({"text", "refusal", "thinking"})


def tool_call(value: Json, at: str, n: int, made_id: str, asked: bool = True) -> ToolCall:
    """`n`: its place in the list, which `index` repeats. `made_id`: for a call that has none."""
    call = an_object(value, at)
    custom = call.get("type") == "custom"
    inner, known = ("custom", _CUSTOM) if custom else ("function", _FUNCTION)
    said = an_object(call.get(inner), f"{at}.{inner}")
    if custom:
        arguments = may(said, "input", str, f"{at}.{inner}") or ""
    else:
        arguments = as_arguments(said.get("arguments"), f"{at}.{inner}.arguments")
    name = need(said, "name", str, f"{at}.{inner}") if asked else str(said.get("name") or "")
    fields = others(call, _CALL)
    if call.get("type") not in (None, "function", "custom"):
        fields["type"] = call["type"]
    if call.get("index") is not None and call["index"] != n:
        fields["index"] = call["index"]
    fields |= others(said, known, f"{inner}.")
    other = call.get("function" if custom else "custom")
    if other is not None:
        fields["function" if custom else "custom"] = other
    return ToolCall(
        id=may(call, "id", str, at) or made_id,
        name=name,
        arguments=arguments,
        custom=custom,
        extras=ours(fields),
        at=at,
    )


def as_arguments(value: Json, at: str) -> str:
    """JSON text. Nothing at all is no argument, and some servers send the object itself."""
    if type(value) is str:
        return value or "{}"
    if value is None:
        return "{}"
    if type(value) is dict:
        return encode(value).decode()
    raise wrong(at, "JSON text", value)
