"""Credentials of requests that are signed one by one: the environment's, or those a cloud's library finds.

Two kinds. A secret that signs, where it stands in the environment whole, needs nothing more; for any other (a
profile, single sign-on, a role of the machine or the container) botocore's chain is asked, once when the
configuration is read. A token is fetched from the identity that a cloud's library finds, first when whoever
serves has begun. Either may run out, so `renew` is called again and again beside the event loop: a call takes
what is there.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from importlib.util import find_spec
from typing import Any, Protocol

from ..providers.sigv4 import (
    CHAIN_MISSING,
    PROFILE,
    REGIONS,
    VARIABLES,
    Credentials,
    Presigner,
    Signer,
    region_of,
    service_of,
)
from ..providers.tokens import KINDS, Bearer, Kind
from .settings import WrongError

EARLY_MS = 5 * 60 * 1000  # a token is renewed from then on before it ends
FETCH_S = 10.0  # how long one request to a place that gives tokens may take
WHY_CHARS_MAX = 200


class Renewed(Protocol):
    """A credential that runs out."""

    @property
    def lacking(self) -> bool:
        """Whether there is none to call with, so that it is wanted soon."""

    def renew(self) -> str | None:
        """What went wrong, None where nothing did; the old one stays in use then. Does I/O."""


class Chain:
    """Where a credential came from, and comes from again. `renew` does I/O."""

    __slots__ = ("_found", "credentials")

    def __init__(self, found: Any) -> None:
        """`found`: botocore's credentials, which fetch new ones before the old run out."""
        self._found = found
        self.credentials = Credentials(*_frozen(found))

    @property
    def lacking(self) -> bool:
        return False

    def renew(self) -> str | None:
        try:
            self.credentials.renew(*_frozen(self._found))
        except Exception as error:  # the library raises what its backends raise
            return f"The credentials could not be renewed: {type(error).__name__}."
        return None


def _frozen(found: Any) -> tuple[str, str, str | None]:
    held = found.get_frozen_credentials()
    return held.access_key, held.secret_key, held.token


def signer(
    kind: str, service: str, host: str, environ: Mapping[str, str]
) -> tuple[Signer | Presigner, Chain | None]:
    """For requests to `host`. Raises `WrongError`: no region, no credentials, or nothing to look with."""
    makes, service = BY_SECRET[kind], service or service_of(host)
    said = next((environ[name].strip() for name in REGIONS if environ.get(name, "").strip()), None)
    region = region_of(host) or said
    if region is None:
        raise WrongError(f"needs a region to sign for: set {REGIONS[0]} in the environment")
    access, secret, token = (environ.get(name, "").strip() for name in VARIABLES)
    if access and secret:
        return makes(Credentials(access, secret, token or None), region, service), None
    chain = _chain(environ)
    return makes(chain.credentials, region, service), chain


def _chain(environ: Mapping[str, str]) -> Chain:
    try:
        library = importlib.import_module("botocore.session")
    except ImportError:
        raise WrongError(CHAIN_MISSING) from None
    try:
        found = library.Session(profile=environ.get(PROFILE) or None).get_credentials()
        if found is not None:
            return Chain(found)
    except Exception as error:  # as above; its words may quote a file
        raise WrongError(
            f"has credentials that cannot be used: botocore says {type(error).__name__}"
        ) from None
    raise WrongError(
        f"has no key and no credentials: set {VARIABLES[0]} and {VARIABLES[1]}, or {PROFILE}, there"
    )


BY_SECRET: dict[str, type[Signer] | type[Presigner]] = {"sigv4": Signer, "sigv4-token": Presigner}


# --- tokens ----------------------------------------------------------------------------------------


class Token:
    """Where a token comes from, and comes from again. `renew` does I/O."""

    __slots__ = ("_ask", "_kind", "_said", "bearer", "name")

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """Raises `WrongError` where its library is not installed."""
        self.name, self._kind = name, KINDS[name]
        if not _installed(self._kind.module):
            extra = self._kind.extra
            raise WrongError(f"needs {self._kind.module} to fetch a token: pip install 'fungible[{extra}]'")
        self._ask = ASK[name](self._kind, environ)
        self.bearer = Bearer(self._kind)
        self._said: str | None = None

    @property
    def lacking(self) -> bool:
        return not self.bearer.left_ms(_now_ms())

    def renew(self) -> str | None:
        """The same trouble is told once."""
        if self.bearer.left_ms(_now_ms()) > EARLY_MS:
            return None
        before, self._said = self._said, None
        try:
            self.bearer.put(*self._ask())
        except Exception as error:  # the library raises what its backends raise
            self.bearer.failed(f"Fetching one failed: {type(error).__name__}.")
            first = str(error).strip().partition("\n")[0][:WHY_CHARS_MAX]
            self._said = (
                f"A token of the kind {self.name!r} could not be fetched ({type(error).__name__}: {first})."
                f" It is tried again; if it stays so: {self._kind.mend}."
            )
        return self._said if self._said != before else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package it is in
        return False


Fetched = tuple[str, int, dict[str, str]]  # the token, when it ends, and headers that go with it


class _Web:
    """What the library fetches by: it has no HTTP of its own."""

    __slots__ = ("_http",)

    def __init__(self) -> None:
        self._http = importlib.import_module("httpx2")  # late, for most processes fetch nothing

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_Answer":
        wait = min(timeout or FETCH_S, FETCH_S)
        try:
            return _Answer(
                self._http.request(method, url, content=body, headers=dict(headers or {}), timeout=wait)
            )
        except self._http.HTTPError as error:
            errors = importlib.import_module("google.auth.exceptions")
            raise errors.TransportError(f"{type(error).__name__} at {url}") from error


class _Answer:
    __slots__ = ("data", "headers", "status")

    def __init__(self, answer: Any) -> None:
        self.status, self.headers, self.data = answer.status_code, answer.headers, answer.content


def _default_credentials(kind: Kind, environ: Mapping[str, str]) -> Callable[[], Fetched]:
    """The credential is looked for once, and renewed from then on."""
    library, web = importlib.import_module(kind.module), _Web()
    found: list[Any] = []

    def ask() -> Fetched:
        if not found:
            found.append(library.default(scopes=[kind.scope], request=web)[0])
        found[0].refresh(web)
        more: dict[str, str] = {}
        found[0].apply(more)
        more.pop("authorization", None)
        ends = found[0].expiry.replace(tzinfo=UTC).timestamp()
        return found[0].token, int(ends * 1000), more

    return ask


def _default_identity(kind: Kind, environ: Mapping[str, str]) -> Callable[[], Fetched]:
    """An authority that the environment names is one that the public directory need not know."""
    library = importlib.import_module(kind.module)
    own = bool(environ.get(kind.authority, "").strip())
    found: list[Any] = []

    def ask() -> Fetched:
        if not found:
            found.append(library.DefaultAzureCredential(disable_instance_discovery=own))
        token = found[0].get_token(kind.scope)
        return token.token, int(token.expires_on * 1000), {}

    return ask


ASK: dict[str, Callable[[Kind, Mapping[str, str]], Callable[[], Fetched]]] = {
    "google": _default_credentials,
    "entra": _default_identity,
}
