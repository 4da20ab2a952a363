"""Virtual keys: how they are made, kept, known again and taken back.

A key reads `fk-<id>-<secret><check>`: a prefix that scanners can find, a public id that may stand in a
ledger, 256 random bits, and a checksum that tells a key from a lookalike. Only the SHA-256 of the whole is
kept: from so much randomness that is enough, a slow hash protects only what can be guessed.

A `KeyRing` is a frozen picture of the keys in force. A key is found by its digest in a dict: how long that
takes says nothing about any secret, because no one can choose what a digest begins with.

An unknown key and a revoked one are answered alike, to the byte. Not here: limits, budgets, HTTP, clocks.
"""

import secrets
import zlib
from decimal import Decimal, InvalidOperation
from hashlib import sha256

from .account import WINDOWS, Key
from .faults import Fault
from .money import NANO
from .store import Store

PREFIX = "fk-"
ID_CHARS = 10
SECRET_CHARS = 43  # of 62: 256 bits
CHECK_CHARS = 6
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ALPHABET = _LETTERS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAME_CHARS_MAX = 128
INT64_MAX = 2**63 - 1
SEEN_MAX = 4_096

_MISSING = "This call carries no key. Send one as your client's API key; `fungible keys create` makes one."
_UNKNOWN = "This key is not known here, or has been revoked. `fungible keys create` makes one."


def new_secret(key_id: str) -> str:
    """A key's text, to be shown once."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARS))
    body = f"{PREFIX}{key_id}-{secret}"
    return body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of a key's text before it, in base 62, six digits."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECK_CHARS):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def looks_like_key(text: str) -> bool:
    """Whether a text is a whole fungible key, known or not: for scanners and redaction."""
    body, check = text[:-CHECK_CHARS], text[-CHECK_CHARS:]
    length = len(PREFIX) + ID_CHARS + 1 + SECRET_CHARS + CHECK_CHARS
    return len(text) == length and text.startswith(PREFIX) and checksum(body) == check


def digest(secret: str | bytes) -> bytes:
    return sha256(secret if isinstance(secret, bytes) else secret.encode("utf-8", "replace")).digest()


def create(
    store: Store,
    name: str,
    *,
    now_ms: int,
    budget_usd: str | None = None,
    window: str = "month",
    rpm: int | None = None,
    tpm: int | None = None,
    models: tuple[str, ...] = (),
    team: str | None = None,
) -> tuple[Key, str]:
    """Make a key. Gives its row and its text, which no one can tell again.

    Raises Fault `bad_request` for a limit that is none, `conflict` for a name in force.
    """
    if not name.strip() or len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise Fault(
            "bad_request", f"A key's name is 1 to {NAME_CHARS_MAX} printable characters.", path="name"
        )
    if window not in WINDOWS:
        raise Fault("bad_request", f"A window is one of {', '.join(WINDOWS)}; not {window!r}.", path="window")
    for path, limit in (("rpm", rpm), ("tpm", tpm)):
        if limit is not None and not 0 < limit <= INT64_MAX:
            raise Fault("bad_request", f"{path} must be a positive number; not {limit}.", path=path)
    if any(not m.strip() or "\n" in m for m in models):
        raise Fault("bad_request", "A model pattern is a name, or one such as provider/*.", path="models")
    key = Key(
        id="".join(secrets.choice(_LETTERS) for _ in range(ID_CHARS)),
        name=name,
        created_ms=now_ms,
        team=team or None,
        models=tuple(m.strip() for m in models),
        rpm=rpm,
        tpm=tpm,
        budget_nanousd=None if budget_usd is None else nanousd(budget_usd),
        window=window,
    )
    secret = new_secret(key.id)
    store.add_key(key, digest(secret))
    return key, secret


def nanousd(text: str) -> int:
    """Dollars as written, in nano-dollars, exactly. Raises Fault `bad_request`."""
    try:
        exact = Decimal(text) * NANO
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or not 0 < exact <= INT64_MAX or exact != exact.to_integral_value():
        raise Fault(
            "bad_request",
            f"A budget is a positive number of dollars such as 25 or 0.5; not {text!r}.",
            path="budget_usd",
        )
    return int(exact)


class KeyRing:
    """The keys in force, as they were when it was made. `version` tells whether the store has moved on."""

    __slots__ = ("_by_id", "_keys", "_seen", "version")

    def __init__(self, keys: dict[bytes, Key], version: int = 0) -> None:
        self._keys = keys
        self._by_id = {key.id: key for key in keys.values()}
        self._seen: dict[str | bytes | None, Key] = {}  # secrets that were found: each is hashed once
        self.version = version

    @classmethod
    def load(cls, store: Store) -> "KeyRing":
        version = store.keys_version()  # before the keys: a change in between is then seen next time
        rows = store.keys()
        return cls({kept: key for key, kept in rows if key.revoked_ms is None}, version)

    def __len__(self) -> int:
        return len(self._keys)

    def by_id(self, key_id: str) -> Key | None:
        return self._by_id.get(key_id)

    def check(self, secret: str | bytes | None) -> Key:
        """Whose key this is. Raises Fault `authentication`: none, unknown, or revoked."""
        known = self._seen.get(secret)
        if known is not None:
            return known
        if not secret:
            raise Fault("authentication", _MISSING)
        if isinstance(secret, str):
            secret = secret.encode("utf-8", "replace")
        key = self._keys.get(sha256(secret).digest())
        if key is None:
            raise Fault("authentication", _UNKNOWN)
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[secret] = key
        return key
