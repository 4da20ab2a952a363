"""Notices: one source's word about the end of one model, read from the shapes that sources have.

Shapes are told apart by the fields of their rows (`SHAPES`), not by where they came from, so that a mirror
or a file of one's own is read like the original:

- deprecations.info, `/v1/deprecations.json`: a list with `model_id`, `shutdown_date`, `replacement_models`
- modeldeprecations.dev, `/api/v1/models.json`: rows with `model`, `shutdown_on`, `earliest_shutdown_on`
- LiteLLM's `model_prices_and_context_window.json`: a table of models, some with `deprecation_date`
- a provider's own list of models (`GET /models`): `id` with `deprecation` (a moment, or a table whose
  `inference` is Unix seconds) and `deprecation_replacement_model`, or with `expiration_date`

Days are ISO texts (`2026-11-30`), without a time: sources tell none that could be relied on.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec

from ..faults import Fault


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """`provider` and `model` as the source writes them; "" for the provider that was asked itself.

    on:         the day it stops, None: none is told
    firm:       False: the source's `not sooner than`
    since:      the day it was declared deprecated or announced to end
    deprecated: whether the source calls it deprecated or retired, with or without a day
    replacements: (provider or "", model)
    """

    provider: str
    model: str
    aliases: tuple[str, ...] = ()
    on: str | None = None
    firm: bool = True
    since: str | None = None
    deprecated: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    page: str | None = None


Row = Mapping[str, Any]


def _of_deprecations_info(row: Row, _name: str) -> Notice:
    return Notice(
        provider=_text(row.get("provider")),
        model=_text(row["model_id"]),
        on=_day(row.get("shutdown_date")),
        since=_day(row.get("deprecation_date")) or _day(row.get("announcement_date")),
        deprecated=True,
        replacements=tuple(("", _text(name)) for name in _list(row.get("replacement_models"))),
        page=_page(row.get("url")),
    )


def _of_modeldeprecations(row: Row, _name: str) -> Notice:
    firm = _day(row.get("shutdown_on"))
    replacements = [r for r in _list(row.get("replacements")) if isinstance(r, dict) and r.get("model")]
    replacements.sort(key=lambda r: not r.get("recommended"))
    sources = [s.get("url") if isinstance(s, dict) else s for s in _list(row.get("sources"))]
    return Notice(
        provider=_text(row.get("provider")),
        model=_text(row["model"]),
        aliases=tuple(_text(alias) for alias in _list(row.get("aliases"))),
        on=firm or _day(row.get("earliest_shutdown_on")),
        firm=firm is not None,
        since=_day(row.get("deprecated_on")),
        deprecated=row.get("status") in ("deprecated", "retired"),
        replacements=tuple((_text(r.get("provider")), _text(r["model"])) for r in replacements),
        page=next((page for s in sources if (page := _page(s))), None),
    )


def _of_litellm(row: Row, name: str) -> Notice:
    provider = _text(row.get("litellm_provider") or row.get("provider"))
    model = name or _text(row.get("model"))
    first, slash, rest = model.partition("/")
    if slash and (first == provider or provider.startswith((f"{first}-", f"{first}_"))):
        model = rest
    return Notice(
        provider=provider,
        model=model,
        on=_day(row.get("deprecation_date")),
        deprecated=False,  # the day may be years away
        page=_page(row.get("source")),
    )


def _of_provider(row: Row, _name: str) -> Notice:
    said = row.get("deprecation")
    if isinstance(said, dict):
        said = said.get("inference")
    replacement = row.get("deprecation_replacement_model")
    return Notice(
        provider="",
        model=_text(row["id"]),
        on=_day(said) or _day(row.get("expiration_date")),
        deprecated=row.get("lifecycle_status") in ("deprecated", "deprecating"),
        replacements=(("", _text(replacement)),) if replacement else (),
    )


class Shape(NamedTuple):
    fields: frozenset[str]  # any of these, and `model` or a name
    read: Callable[[Row, str], Notice]


SHAPES: tuple[Shape, ...] = (
    Shape(frozenset({"model_id"}), _of_deprecations_info),
    Shape(frozenset({"shutdown_on", "earliest_shutdown_on", "status"}), _of_modeldeprecations),
    Shape(frozenset({"deprecation_date", "litellm_provider"}), _of_litellm),
    Shape(frozenset({"deprecation", "expiration_date", "lifecycle_status"}), _of_provider),
)
"""The first whose fields a row has; rows of another shape are told apart before (`_shape`)."""


def read(data: bytes, source: str) -> list[Notice]:
    """The notices of a source: rows that tell a day or a deprecation. Raises `Fault` (bad_request)."""
    try:
        whole = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault("bad_request", f"{source} is no JSON: {error}.") from None
    found, known = [], 0
    for name, row in _rows(whole):
        shape = _shape(row, name)
        if shape is None:
            continue
        known += 1
        try:
            notice = shape.read(row, name)
        except (KeyError, ValueError, TypeError):
            continue  # one row that is none takes no other with it
        if notice.model and (notice.on or notice.deprecated):
            found.append(notice)
    if not known:
        raise Fault(
            "bad_request",
            f"{source} has no rows of a known shape. There are: a list of notices with model_id and"
            " shutdown_date, one of models with shutdown_on, a table of models with deprecation_date, or a"
            " provider's list of models.",
        )
    return found


def _rows(whole: Any) -> Iterator[tuple[str, Row]]:
    """(name, row) where rows stand in a table, ("", row) in a list; under one name at the top or bare."""
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        if lists:
            whole = max(lists, key=len)
        else:
            yield from ((name, row) for name, row in whole.items() if isinstance(row, dict))
            return
    if isinstance(whole, list):
        yield from (("", row) for row in whole if isinstance(row, dict))


def _shape(row: Row, name: str) -> Shape | None:
    for shape in SHAPES:
        if shape.fields & row.keys():
            named = name or "model" in row or "model_id" in row or "id" in row
            return shape if named else None
    return None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _page(value: Any) -> str | None:
    text = _text(value)
    good = text.startswith(("https://", "http://")) and text.isascii() and text.isprintable()
    return text if good and not set(text) & set(' <>"') else None


def _day(value: Any) -> str | None:
    """An ISO day, from one, from a moment, or from Unix seconds; None for what is neither."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date().isoformat() if value > 0 else None
        return date.fromisoformat(_text(value)[:10]).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
