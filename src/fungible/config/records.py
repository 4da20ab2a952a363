"""Recording as configured: `[record.NAME]`, where NAME is what is asked for, or a pattern of such names."""

import re
from collections.abc import Mapping
from typing import Any

from ..models import Plan, nearest_name
from ..recordings.redaction import PATH, PATTERNS, Redaction
from ..recordings.rules import WILD, Rule, Rules
from .document import Document, meant, title
from .places import Place
from .settings import DAY_MS, RECORD

NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_records(doc: Document, plans: Mapping[str, Plan]) -> Rules:
    return Rules({name: _rule(doc, name, raw, plans) for name, raw in doc.named("record").items()})


def _rule(doc: Document, name: str, raw: Any, plans: Mapping[str, Plan]) -> Rule:
    where = ("record", name)
    values = doc.table(where, raw, RECORD)
    # A single model may be asked for by a name that only price data knows; a slip of the pen is near a route.
    near = nearest_name(name, plans) if name not in plans and not set(WILD + "/") & set(name) else ""
    if near:
        doc.wrong(where, f"{title(where)}: there is no route {name!r}.{near}")
    return Rule(
        share=values["share"],
        only=values["only"],
        tags=values["tags"],
        keep_ms=values["keep_days"] * DAY_MS,
        bytes_max=values["bytes_max"],
        redaction=_redaction(doc, where, values),
    )


def _redaction(doc: Document, where: Place, values: Mapping[str, Any]) -> Redaction:
    for kind in values["redact"]:
        if kind not in PATTERNS:
            doc.wrong((*where, "redact"), f"{title(where)} redact has {kind!r}.{meant(kind, PATTERNS)}")
    for path in values["drop"]:
        if not PATH.fullmatch(path):
            what = f"{title(where)} drop has {path!r}, which is no path: metadata, messages[].name, *.user"
            doc.wrong((*where, "drop"), what)
    own = []
    for name, pattern in values["patterns"].items():
        at = f"{title(where)} patterns: {name!r}"
        if not NAME.fullmatch(name):
            doc.wrong((*where, "patterns"), f"{at} is no name for a pattern: small letters, digits, _")
            continue
        try:
            own.append((name, compiled := re.compile(pattern)))
        except re.error as error:
            doc.wrong((*where, "patterns"), f"{at} is no regular expression: {error}")
            continue
        if compiled.match(""):
            doc.wrong((*where, "patterns"), f"{at} matches the empty text, and so would redact nothing")
    return Redaction(values["redact"], tuple(own), values["drop"])
