"""Files as rows: JSON lines, one JSON document, or CSV; and the values that they are written in."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ..faults import Fault
from ..money import NANO
from ..recording import Recording

Json: TypeAlias = Any
LISTS = ("data", "items", "observations", "generations", "logs", "rows")
"""Where a document that is an object has its rows."""


class Entry(NamedTuple):
    """`make` raises Fault where no recording can be made of it."""

    path: str
    line: int
    make: Callable[[], Recording]


def entries(paths: Sequence[str], convert: Callable[[dict[str, Json]], Recording | None]) -> Iterator[Entry]:
    """One for each row; `convert` gives None for a row that is no call of a model, which is passed over."""
    for path in paths:
        for line, row in rows(path):
            if isinstance(row, Fault):
                yield Entry(path, line, refusing(row))
                continue
            try:
                made = convert(mapping(row, "A row"))
            except Fault as fault:
                yield Entry(path, line, refusing(fault))
                continue
            if made is not None:
                yield Entry(path, line, lambda made=made: made)  # type: ignore[misc]


def refusing(fault: Fault | str) -> Callable[[], Recording]:
    """What makes nothing, and says why."""

    def make() -> Recording:
        raise fault if isinstance(fault, Fault) else Fault("bad_request", fault)

    return make


def rows(path: str) -> Iterator[tuple[int, Json | Fault]]:
    """(line, value) of JSON lines or CSV, (number, value) of one JSON document; a Fault for what is none."""
    text = text_of(path)
    if Path(path).suffix.lower() == ".csv":
        yield from _csv(text)
        return
    whole: Json = None
    if text.lstrip()[:1] == "[" or text.lstrip()[:2] in ("{\n", "{\r") or text.strip().count("\n") == 0:
        whole = decoded(text)
    if whole is not None and not isinstance(whole, Fault):
        yield from enumerate(_listed(whole), 1)
        return
    for line, words in enumerate(text.split("\n"), 1):
        if words.strip():
            yield line, decoded(words)


def _listed(whole: Json) -> list[Json]:
    if isinstance(whole, list):
        return whole
    found = [whole[name] for name in LISTS if isinstance(whole, dict) and isinstance(whole.get(name), list)]
    return found[0] if found else [whole]


def _csv(text: str) -> Iterator[tuple[int, Json | Fault]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            extra = row.pop(None, None)
            if extra is not None:
                yield reader.line_num, Fault("bad_request", "It has more fields than the file's first line.")
            else:
                yield (
                    reader.line_num,
                    {name: _cell(value) for name, value in row.items() if value not in ("", None)},
                )
    except csv.Error as error:
        yield reader.line_num, Fault("bad_request", f"It is no CSV: {error}.")


def _cell(value: str) -> Json:
    """JSON where it is that; else the text. A number stays text: nothing says that it is one."""
    if value[:1] in ("{", "["):
        found = decoded(value)
        return value if isinstance(found, Fault) else found
    return value


def decoded(text: str | bytes) -> Json | Fault:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        return Fault("bad_request", f"It is no JSON: {error}.")


def text_of(path: str) -> str:
    """Raises Fault where the file cannot be read."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise Fault("not_found", f"{path} cannot be read: {error.strerror}.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Fault("bad_request", f"{path} is no UTF-8 text.") from None


# --- values ----------------------------------------------------------------------------------------


def mapping(value: Json, what: str) -> dict[str, Json]:
    """An object, also where it stands as text. Raises Fault."""
    found = decoded(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise Fault("bad_request", f"{what} is no object.")
    return found


def fields(value: Json) -> dict[str, Json]:
    """An object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def listed(value: Json) -> list[Json]:
    """A list, or an empty one in the place of anything else."""
    return value if isinstance(value, list) else []


def parsed(value: Json) -> Json:
    """The value of a text that is JSON; any other as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "[", '"'):
        found = decoded(value)
        return value if isinstance(found, Fault) else found
    return value


def first(row: dict[str, Json], *names: str) -> Json:
    """The first of these that is there and says something."""
    return next((row[name] for name in names if row.get(name) not in (None, "", {}, [])), None)


def time_ms(value: Json) -> int | None:
    """Unix milliseconds of ISO 8601 text (UTC where it says no zone), of seconds, or of milliseconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip().replace(" UTC", "+00:00"))
        except ValueError:
            pass  # perhaps a number
        else:
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    found = number(value)
    return None if found is None else int(found) if found > 1e11 else int(found * 1000)


def number(value: Json) -> float | None:
    """A finite number, also where it stands as text."""
    try:
        found = float(value) if value is not None and not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Json) -> int | None:
    """An integer of any length, also where it stands as text."""
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def count(value: Json) -> int | None:
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def nanousd(value: Json) -> int | None:
    """From USD, as number or text; rounded half up."""
    try:
        usd = Decimal(str(value)) if value is not None and not isinstance(value, bool) else None
    except InvalidOperation:
        return None
    return int((usd * NANO).to_integral_value(ROUND_HALF_UP)) if usd is not None and usd.is_finite() else None


def text(value: Json) -> str:
    return value if isinstance(value, str) else ""
