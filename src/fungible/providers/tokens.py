"""Providers that are asked with a token of an hour, and how one goes on a request.

A cloud's own library fetches the token, from whatever identity the machine has; it is an extra, named here
and used by `config.credentials`. A token is fetched before it is needed and renewed before it ends, beside
the calls: a call takes what is there. One that comes before the first fetch has ended waits for it; one that
finds no token after that is told so, and nothing is sent.

Pure: the time is an argument, and whoever fetches puts the token in.
"""

from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from ..faults import Fault
from ..world import Outgoing


class Kind(NamedTuple):
    """A row. `module`: what fetches; `extra`: how it is installed; `scope`: what a token is for.

    authority: the variable that names another place to fetch from, where the library asks the first about it
    mend:      what an operator does about a token that cannot be had
    """

    module: str
    extra: str
    scope: str
    authority: str
    mend: str


KINDS: dict[str, Kind] = {
    # Application Default Credentials: a file, the user's own login, or the machine's metadata server
    # (https://cloud.google.com/docs/authentication/application-default-credentials).
    "google": Kind(
        "google.auth",
        "google",
        "https://www.googleapis.com/auth/cloud-platform",
        "",
        "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth application-default login`",
    ),
    # DefaultAzureCredential: the environment, a workload's or a managed identity, the user's own login
    # (https://learn.microsoft.com/azure/ai-foundry/openai/how-to/managed-identity).
    "entra": Kind(
        "azure.identity",
        "azure",
        "https://cognitiveservices.azure.com/.default",
        "AZURE_AUTHORITY_HOST",
        "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run `az login`",
    ),
}
"""Signer -> how its token is had."""


class Bearer:
    """The token of the moment. Put in from whichever thread; it shows nothing of itself.

    `pending`: no fetch has ended yet, well or not.
    """

    __slots__ = ("_ends_ms", "_lines", "_mend", "_secret", "_why", "pending")

    def __init__(self, kind: Kind) -> None:
        self._mend = kind.mend
        self._lines, self._secret, self._ends_ms = b"", b"", 0
        self._why = ""
        self.pending = True

    def put(self, token: str, ends_ms: int, more: Mapping[str, str] | None = None) -> None:
        """`ends_ms`: Unix milliseconds. `more`: headers that go with it."""
        fields = {"authorization": f"Bearer {token}", **(more or {})}
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("ascii")
        self._secret, self._why, self._ends_ms = token.encode("ascii"), "", ends_ms
        self.pending = False

    def failed(self, why: str) -> None:
        """The token in use stays so until it ends."""
        self._why = why
        self.pending = False

    def left_ms(self, now_ms: int) -> int:
        return max(self._ends_ms - now_ms, 0)

    def __call__(self, outgoing: Outgoing, now_ms: int) -> Outgoing:
        if self._ends_ms <= now_ms:
            raise self._missing()
        head = outgoing.head + self._lines
        return Outgoing(outgoing.origin, outgoing.path, head, outgoing.body, outgoing.connect_ms)

    def _missing(self) -> Fault:
        why = self._why or "The last one has ended and a new one is being fetched."
        return Fault(
            "unreachable",
            f"Nothing was sent, for want of a token for the provider. {why} If it stays so: {self._mend}; "
            "`fungible doctor` says more.",
        )

    def secrets(self) -> tuple[bytes, ...]:
        return (self._secret,) if self._secret else ()

    def __repr__(self) -> str:
        return "Bearer(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Bearer is not copied or pickled")
