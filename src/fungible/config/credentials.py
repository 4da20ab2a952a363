"""Credentials of requests that are signed one by one: the environment's, or those a cloud's library finds.

A credential that stands in the environment whole needs nothing more. For any other (a profile, single
sign-on, a role of the machine or the container) botocore's chain is asked, once when the configuration is
read; what it found may run out, so `Chain.renew` is called again and again beside the event loop. A call
waits for neither.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from ..providers.sigv4 import CHAIN_MISSING, PROFILE, REGIONS, VARIABLES, Credentials, Signer, region_of
from .settings import WrongError


class Chain:
    """Where a credential came from, and comes from again. `renew` does I/O."""

    __slots__ = ("_found", "credentials")

    def __init__(self, found: Any) -> None:
        """`found`: botocore's credentials, which fetch new ones before the old run out."""
        self._found = found
        self.credentials = Credentials(*_frozen(found))

    def renew(self) -> str | None:
        """What went wrong, None where nothing did; the old ones stay in use then."""
        try:
            self.credentials.renew(*_frozen(self._found))
        except Exception as error:  # the library raises what its backends raise
            return f"The credentials could not be renewed: {type(error).__name__}."
        return None


def _frozen(found: Any) -> tuple[str, str, str | None]:
    held = found.get_frozen_credentials()
    return held.access_key, held.secret_key, held.token


def signer(host: str, environ: Mapping[str, str]) -> tuple[Signer, Chain | None]:
    """For requests to `host`. Raises `WrongError`: no region, no credentials, or nothing to look with."""
    said = next((environ[name].strip() for name in REGIONS if environ.get(name, "").strip()), None)
    region = region_of(host) or said
    if region is None:
        raise WrongError(f"needs a region to sign for: set {REGIONS[0]} in the environment")
    access, secret, token = (environ.get(name, "").strip() for name in VARIABLES)
    if access and secret:
        return Signer(Credentials(access, secret, token or None), region), None
    chain = _chain(environ)
    return Signer(chain.credentials, region), chain


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
