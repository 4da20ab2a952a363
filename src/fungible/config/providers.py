"""Providers as configured: a known row with what the file overrides, or a row of the operator's own.

On are those that the file names and does not switch off, those whose usual key the environment holds,
and the engine in this process wherever its package is installed. The others are kept as `Off`, each
with a sentence on how to switch it on.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..dialects import DIALECTS, embeddings_of, prompted_of
from ..dialects.base import Dialect
from ..faults import Fault
from ..models import Enabled, Off, nearest_name, prices_id
from ..providers.base import Provider
from ..providers.signers import EMBEDDED, Secret, Sign, address, aim, header_name, sendable
from ..providers.table import ALSO_NAMED, ENGINE_PACKAGE, PROVIDERS, SHIPPED_MODELS, SIGNER_OF
from .credentials import ASK, BY_SECRET, Renewed, Token, signer
from .document import Document, meant, title
from .places import Place
from .references import fetch, is_reference, key_name
from .settings import PROVIDER, WrongError

FILE = "fungible.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
OVERRIDES = ("base_url", "signer", "prices", "on_abandon", "cloud", "region", "jurisdiction", "feeds")
SECRET_HEADER = re.compile(r"(?i).*(authorization|cookie|key|token|secret|password)")
SECRET_VALUE = re.compile(r"(?i)(bearer|basic) .*|sk-.*")
ENGINE_MISSING = "needs the embedded engine: pip install 'fungible[local]'"


class Providers(msgspec.Struct, frozen=True):
    """`broken`: names with a mistake of their own, so that what refers to them is no second mistake."""

    enabled: dict[str, Enabled] = {}
    off: dict[str, Off] = {}
    broken: set[str] = set()
    local_models: dict[str, str] = {}  # name -> GGUF file
    chains: list[Renewed] = []  # what signs, and has to be renewed

    def names(self) -> list[str]:
        return [*self.enabled, *self.off, *self.broken]


def read(doc: Document) -> Providers:
    """The file's first, in its order; then the environment's, in the table's."""
    found = Providers()
    named = doc.named("provider")
    for name, raw in named.items():
        problems = len(doc.problems)
        row = _named(doc, ("provider", name), raw, found)
        if len(doc.problems) > problems:
            found.broken.add(name)
        elif row is not None:
            found.enabled[name] = row
    for name, known in PROVIDERS.items():
        if name not in named:
            state = _unnamed(doc, known, found)
            if isinstance(state, Off):
                found.off[name] = state
            else:
                found.enabled[name] = state
    return found


def mend(row: Provider) -> str:
    """How to switch on a known provider."""
    table = f"[provider.{row.name}]"
    if is_embedded(row):
        return f"It {ENGINE_MISSING}."
    if row.local:
        return f"Add {table} to {FILE}; without base_url it is looked for at {row.base_url}."
    key = " or ".join([*row.env[:1], *row.keyless[1][:1]])
    if not key:
        return f"Add {table} to {FILE}."
    needed = " and ".join([key, *row.variables.values()])
    return f"Set {needed} in the environment, or add {table} to {FILE}."


def is_embedded(row: Provider) -> bool:
    return row.base_url.startswith(EMBEDDED + ":")


def _engine_installed() -> bool:
    return importlib.util.find_spec(ENGINE_PACKAGE) is not None


def _unnamed(doc: Document, row: Provider, found: Providers) -> Enabled | Off:
    """A known provider that the file does not name: on by the environment, or not on.

    A variable that cannot be used leaves its provider off: it may be there for another program.
    """
    if is_embedded(row):
        engine = _engine_installed()
        return _enabled(doc, row, None, "", {}, SHIPPED_MODELS, found) if engine else Off(row, mend(row))
    key, variable = None, _set_variable(doc, row)
    if variable is not None:
        key = Secret(doc.environ[variable].strip())
    else:
        without, shown = row.keyless
        variable = next((v for v in shown if doc.environ.get(v, "").strip()), None)
        row = msgspec.structs.replace(row, signer=without or row.signer)
    if variable is None or row.local or not all(_value(doc, v) for v in row.variables.values()):
        return Off(row, mend(row))
    held = " and ".join([variable, *row.variables.values()])
    try:
        return _enabled(doc, _filled(doc, row), key, f"env:{variable}", {}, (), found)
    except Fault as fault:
        return Off(row, f"The environment's {held} cannot be used: {fault.path} {fault.message}.")
    except WrongError as wrong:
        return Off(row, f"The environment's {held} cannot be used: it {wrong}.")


def _value(doc: Document, variable: str) -> str:
    """Of a variable that an address takes; "" where neither it nor the one that stands in for it is set."""
    said = doc.environ.get(variable, "").strip()
    return said or doc.environ.get(ALSO_NAMED.get(variable, ""), "").strip()


def _set_variable(doc: Document, row: Provider) -> str | None:
    return next((v for v in row.env if doc.environ.get(v, "").strip()), None)


def _named(doc: Document, where: Place, raw: Any, found: Providers) -> Enabled | None:
    name = str(where[1])
    values = doc.table(where, raw, PROVIDER)
    if not values["enabled"]:
        row = PROVIDERS.get(name) or Provider(name=name, dialect="", base_url="", prices="")
        found.off[name] = Off(row, f"{title(where)} in {FILE} says enabled = false.")
        return None
    merged = _merged(doc, where, values)
    if merged is None:
        return None
    if is_embedded(merged) and not _engine_installed():
        doc.wrong(where, f"{title(where)} {ENGINE_MISSING}")
        return None
    key, source = _key(doc, where, merged, values["key"])
    headers = _headers(doc, where, values["headers"] or {})
    served = _served(doc, where, merged, values["models"], found)
    missing = [v for v in merged.variables.values() if not _value(doc, v)]
    if missing:
        doc.wrong(where, f"{title(where)} needs {' and '.join(missing)} in the environment, or base_url")
        return None
    if key is None and merged.keyless[0]:
        merged = msgspec.structs.replace(merged, signer=merged.keyless[0])
    try:
        return _enabled(doc, _filled(doc, merged), key, source, headers, served, found)
    except Fault as fault:
        doc.wrong((*where, fault.path or ""), f"{title(where)} {fault.path} {fault.message}")
    except WrongError as wrong:
        doc.wrong(where, f"{title(where)} {wrong}")
    return None


def _merged(doc: Document, where: Place, values: dict[str, Any]) -> Provider | None:
    name, like = str(where[1]), values["like"]
    known = PROVIDERS.get(like or name)
    if like and known is None:
        meant_ = meant(like, PROVIDERS)
        doc.wrong((*where, "like"), f"{title(where)} like: {like!r} is no known provider.{meant_}")
        return None
    if not NAME.fullmatch(name):
        doc.wrong(where, f"{title(where)} is no name for a provider: letters, digits, '_', '-' and '.'")
        return None
    dialect = values["dialect"] or (known.dialect if known else None)
    if dialect is not None and dialect not in DIALECTS:
        doc.wrong(
            (*where, "dialect"), f"{title(where)} dialect {dialect!r} is none.{meant(dialect, DIALECTS)}"
        )
        return None
    own = known is None or dialect not in known.dialects
    missing = " and ".join(
        s for s in ("dialect", "base_url") if (dialect if s == "dialect" else values[s]) is None
    )
    if own and missing:
        why = "is no known provider, so it" if known is None else "speaks another dialect than its row, so it"
        near = nearest_name(name, PROVIDERS) if known is None else ""
        doc.wrong(where, f"{title(where)} {why} needs {missing}.{near}")
        return None
    spoken = known.dialects if known is not None and not own else (str(dialect),)
    quirks = _quirks(doc, where, spoken, values["quirks"])
    said = {s: values[s] for s in OVERRIDES if values[s] is not None}
    if quirks is not None:
        said["quirks"] = quirks
    if values["own_machine"] is not None:
        said["local"] = values["own_machine"]
    if "base_url" in said:
        said["variables"] = {}
    row = known
    if row is None:
        row = Provider(name=name, dialect=str(dialect), base_url="", signer=SIGNER_OF[str(dialect)])
    elif own:
        said = {
            "dialect": dialect,
            "also": (),
            "signer": SIGNER_OF[str(dialect)],
            "quirks": frozenset(),
            "headers": {},
            "paths": {},
            "keyless": ("", ()),
            "batch": None,
            **said,
        }
    elif values["dialect"] is not None:
        said |= {"dialect": dialect, "also": ()}  # whoever names one wants no other
    if like and known is not None:
        said = {"name": name, "prices": prices_id(known), **said}
    return msgspec.structs.replace(row, **said)


def _quirks(
    doc: Document, where: Place, dialects: tuple[str, ...], names: tuple[str, ...] | None
) -> frozenset[str] | None:
    if names is None:
        return None
    spoken = (*(DIALECTS[name] for name in dialects), *embeddings_of(*dialects))
    there = {quirk: says for dialect in spoken for quirk, says in dialect.quirks.items()}
    for number, name in enumerate(names):
        if name not in there:
            what = (
                f"{title(where)} quirks: {' and '.join(dialects)} has no quirk {name!r}.{meant(name, there)}"
            )
            doc.wrong((*where, "quirks", number), what)
    return frozenset(names)


def _filled(doc: Document, row: Provider) -> Provider:
    """The base URL with its variables, all set. One that is a whole address may hold the rest already."""
    said = [_value(doc, variable) for variable in row.variables.values()]
    url = next((row.addresses[value] for value in said if value in row.addresses), row.base_url)
    for placeholder, variable in row.variables.items():
        before, _, after = url.partition(f"{{{placeholder}}}")
        if placeholder not in PLACEHOLDER.findall(url):
            continue
        value = _value(doc, variable).rstrip("/")
        if not before and "://" not in value:
            value = f"https://{value}"
        url = before + (value if after and value.endswith(after) else value + after)
        url = url.replace(f"{{{placeholder}}}", value)
    return msgspec.structs.replace(row, base_url=url, variables={})


def _key(doc: Document, where: Place, row: Provider, said: str | None) -> tuple[Secret | None, str]:
    if row.signer in ASK or row.signer in BY_SECRET:
        if said is not None:
            doc.wrong((*where, "key"), f"{title(where)} signs by credentials, so it takes no key")
        return None, ""
    if said is not None:
        return _secret(doc, (*where, "key"), f"{title(where)} key", said), key_name(said)
    variable = _set_variable(doc, row)
    if variable is not None:
        return Secret(doc.environ[variable].strip()), f"env:{variable}"
    if row.env and not row.local and row.signer != "none" and not row.keyless[0]:
        doc.wrong(
            where, f"{title(where)} has no key: set {row.env[0]} in the environment, or key = 'env:NAME'"
        )
    return None, ""


def _headers(doc: Document, where: Place, said: Mapping[str, str]) -> dict[str, Secret]:
    out: dict[str, Secret] = {}
    for name, value in said.items():
        at, what = (*where, "headers", name), f"{title(where)} headers: {name!r}"
        try:
            lower = header_name(name)
        except Fault as fault:
            doc.wrong(at, f"{title(where)} headers: {fault.message}")
            continue
        if is_reference(value) or SECRET_HEADER.fullmatch(name) or SECRET_VALUE.fullmatch(value):
            found = _secret(doc, at, what, value)
            if found is not None:
                out[lower] = found
        elif not sendable(value):
            doc.wrong(at, f"{what} has a line break or another character that no header can hold")
        else:
            out[lower] = Secret(value)
    return out


def _secret(doc: Document, where: Place, what: str, said: str) -> Secret | None:
    try:
        found, file = fetch(said, doc.environ, doc.folder)
    except WrongError as wrong:
        doc.wrong(where, f"{what} {wrong}")
        return None
    if file is not None:
        doc.watched.append(file)
    if not sendable(found.reveal()):
        doc.wrong(
            where, f"{what} leads to a text with a line break or another character that no header can hold"
        )
        return None
    return found


def _served(doc: Document, where: Place, row: Provider, said: Any, found: Providers) -> tuple[str, ...]:
    at, what = (*where, "models"), f"{title(where)} models"
    if not is_embedded(row):
        if isinstance(said, dict):
            doc.wrong(at, f"{what} must be a list of names; only the embedded engine takes files")
            return ()
        return said or ()
    if isinstance(said, tuple):
        doc.wrong(at, f"{what} must be a table of files, as in {{ name = 'path.gguf' }}")
        return ()
    for name, file in (said or {}).items():
        path = doc.folder / Path(file).expanduser()
        trouble = _no_gguf(path)
        if trouble is not None:
            doc.wrong((*at, name), f"{what}: {name!r}: {trouble}")
        found.local_models[name] = str(path)
    return tuple(dict.fromkeys((*SHIPPED_MODELS, *found.local_models)))


def _no_gguf(path: Path) -> str | None:
    """What is wrong with a model file; its first four bytes name its format (the GGUF specification)."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if start == b"GGUF" else f"{path} is no GGUF file"


def _enabled(
    doc: Document,
    row: Provider,
    key: Secret | None,
    source: str,
    headers: Mapping[str, Secret],
    served: tuple[str, ...],
    found: Providers,
) -> Enabled:
    """Raises `Fault`: what cannot be sent; `WrongError`: what cannot be signed."""
    dialect = DIALECTS[row.dialect]
    sign: Sign | None = None
    if row.signer in BY_SECRET:
        sign, chain = signer(row.signer, row.service, address(row.base_url).origin.host, doc.environ)
        if chain is not None:
            found.chains.append(chain)
    elif row.signer in ASK:
        sign = _token(doc, row.signer, found).bearer
    if sign is not None:
        source = source or "credentials"
    beside = tuple(DIALECTS[name] for name in row.also)
    if not row.paths:
        beside += prompted_of(*row.dialects)
    return Enabled(
        provider=row,
        dialect=dialect,
        aim=aim(row, dialect, key, headers, sign),
        also=tuple((d, aim(row, d, key, headers, sign)) for d in beside),
        embeds=tuple((d, aim(row, d, key, headers, sign)) for d in _embeddings(row)),
        key_name=source or "none",
        models=served,
        closed=is_embedded(row),
    )


def _token(doc: Document, kind: str, found: Providers) -> Token:
    """One for all providers that are signed for alike: the identity is the machine's."""
    held = next((c for c in found.chains if isinstance(c, Token) and c.name == kind), None)
    if held is None:
        held = Token(kind, doc.environ)
        found.chains.append(held)
    return held


def _embeddings(row: Provider) -> tuple[Dialect, ...]:
    return () if row.paths else embeddings_of(*row.dialects)
