"""Content parts read: what a message of a user's holds, and what a tool gave back.

A part of a type that is not in `PARTS` rides whole, as `Native`.
"""

from collections.abc import Callable

from ...faults import Fault
from ...ir import Cache, Document, Extras, Image, Json, Native, Part, Source, Text
from ..checked import Wire, an_object, may, need, others, wrong
from ..media import check
from .names import NAME, OURS, UNNAMED_FILE, ours

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TEXT = frozenset({"type", "text", "prompt_cache_breakpoint"})
_IMAGE = frozenset({"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"})
_FILE = frozenset({"type", "file_data", "file_id", "file_url", "filename", "prompt_cache_breakpoint"})


def content(value: Json, at: str) -> tuple[Part, ...]:
    """A string, a list of parts, or nothing."""
    if value is None:
        return ()
    if type(value) is str:
        return (Text(text=value, at=at),)
    if type(value) is list:
        return tuple([part(item, f"{at}[{i}]") for i, item in enumerate(value)])
    raise wrong(at, "a string or a list of parts", value)


def part(value: Json, at: str) -> Part:
    node = an_object(value, at)
    kind = node.get("type")
    if type(kind) is not str:
        raise wrong(f"{at}.type", "the part's type, such as input_text or input_image", kind)
    read = PARTS.get(kind)
    return Native(dialect=NAME, body=node, at=at) if read is None else read(node, at)


def cache(node: Wire, at: str) -> Cache | None:
    """The mark: {"mode": "explicit", "ttl": "30m"}."""
    mark = node.get("prompt_cache_breakpoint")
    if mark is None:
        return None
    at = f"{at}.prompt_cache_breakpoint"
    an_object(mark, at)
    fields = {k: v for k, v in mark.items() if v is not None and (k, v) != ("mode", "explicit")}
    ttl = may(mark, "ttl", str, at)
    seconds = None
    if ttl and ttl[-1] in _SECONDS and ttl[:-1].isdecimal() and ttl.isascii() and len(ttl) < 9:
        del fields["ttl"]
        seconds = int(ttl[:-1]) * _SECONDS[ttl[-1]]
    return Cache(ttl_seconds=seconds, extras=ours(fields), at=at)


def _text(node: Wire, at: str) -> Part:
    text = need(node, "text", str, at)
    if len(node) == 2:
        return Text(text=text, at=at)
    return Text(text=text, cache=cache(node, at), extras=ours(others(node, _TEXT)), at=at)


def _image(node: Wire, at: str) -> Part:
    url, file_id = may(node, "image_url", str, at), may(node, "file_id", str, at)
    unknown = others(node, _IMAGE)
    if url is not None:
        source = data_url(url, f"{at}.image_url") or Source(url=url, at=f"{at}.image_url")
        if file_id is not None:
            unknown["file_id"] = file_id
    elif file_id is not None:
        source = Source(file_id=file_id, at=at)
    else:
        raise Fault("bad_request", f"{at} has no image: send image_url or file_id.", path=at)
    detail = may(node, "detail", str, at)
    return Image(source=source, detail=detail, cache=cache(node, at), extras=ours(unknown), at=at)


def data_url(url: str, at: str) -> Source | None:
    """A `data:` URL (RFC 2397) in base64; None for anything else."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if comma and head.endswith(";base64"):
            kind = head[5:-7] or None
            check(data, kind, at)
            return Source(media_type=kind, data=data, at=at)
    return None


def _file(node: Wire, at: str) -> Part:
    data, file_id, url = (may(node, name, str, at) for name in ("file_data", "file_id", "file_url"))
    unknown = others(node, _FILE)
    bare: Extras | None = None
    if data is not None:
        found = data_url(data, f"{at}.file_data")
        if found is None:
            check(data, None, f"{at}.file_data")
            found, bare = Source(data=data, extras=OURS, at=f"{at}.file_data"), OURS
        source = found
        unknown |= {k: v for k, v in (("file_id", file_id), ("file_url", url)) if v is not None}
    elif file_id is not None:
        source = Source(file_id=file_id, at=at)
        unknown |= {"file_url": url} if url is not None else {}
    elif url is not None:
        source = Source(url=url, at=f"{at}.file_url")
    else:
        raise Fault("bad_request", f"{at} has no file: send file_data, file_url or file_id.", path=at)
    name = may(node, "filename", str, at)
    mark = ours(unknown) or bare
    if name is None and source.data is not None:
        mark = mark or OURS
    name = None if name == UNNAMED_FILE else name
    return Document(source=source, name=name, cache=cache(node, at), extras=mark, at=at)


PARTS: dict[str, Callable[[Wire, str], Part]] = {
    "input_text": _text,
    "input_image": _image,
    "input_file": _file,
}
