"""AWS Signature Version 4: how a request is signed, and whether one that came is signed well.

A signature is an HMAC over the request put in one canonical form: method, path, query, the signed headers and
the hash of the body, and over the time, the region and the service (IAM user guide, Create a signed AWS API
request). The key is derived from the secret for one day, region and service.

A caller who signs gives a whole fungible key as its access key id and the same key as its secret: the key is
known by its hash alone, as everywhere, and what came with it proves that the body is the one that was signed,
and when. Whoever could read such a header could read a bearer key, too.

Pure: the time is an argument.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple, NoReturn
from urllib.parse import quote, unquote

from ..faults import Fault
from ..world import Outgoing

SCHEME = b"AWS4-HMAC-SHA256"
PRESIGNED_S = 43_200  # how long a token that is a signed call may last at most
SKEW_MS_MAX = 15 * 60 * 1000
"""How far a signature's time may be from ours; AWS's own limits are 5 to 15 minutes."""

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""The environment's variables of a credential: access key id, secret access key, token of a temporary one."""

REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
PROFILE = "AWS_PROFILE"
CHAIN_MISSING = "needs botocore to look for credentials: pip install 'fungible[bedrock]'"

SERVICE = "bedrock"  # of bedrock-runtime, and of addresses that do not say
SERVICES = {"runtime.sagemaker.": "sagemaker"}

_REGION = re.compile(r"\.([a-z]{2,3}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws)")
_SIGNED = re.compile(r"host|content-type|x-amz-.*")

_DATE, _TOKEN = "x-amz-date", "x-amz-security-token"
HEADS_MAX = 256  # remembered by a signer; there is one for each model, and more where callers add headers

_STAMP = "%Y%m%dT%H%M%SZ"
_UNRESERVED = "-_.~"


class Scope(NamedTuple):
    """What a signature is good for. `day` is `20261125`."""

    day: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


class Signed(NamedTuple):
    """A request as it is signed. `path` as sent, percent-encoded; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def signature(asked: Signed, names: Sequence[str], scope: Scope, stamp: str, secret: str) -> str:
    """Of the headers `names`, which have `x-amz-date`, in hex. `stamp` is the value of that."""
    before, after = canonical(asked, names)
    text = f"{before}{stamp}{after}{sha256(asked.body).hexdigest()}"
    return seal(text, scope, stamp, day_key(scope, secret))


def canonical(asked: Signed, names: Sequence[str]) -> tuple[str, str]:
    """The form that is signed, but for the body's hash at its end: what stands before the time, and after."""
    lines = [f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in names]
    at = list(names).index(_DATE)
    path = quote(asked.path, safe="/" + _UNRESERVED)
    before = f"{asked.method}\n{path}\n{_query(asked.query)}\n{''.join(lines[:at])}{_DATE}:"
    return before, f"\n{''.join(lines[at + 1 :])}\n{';'.join(names)}\n"


def day_key(scope: Scope, secret: str) -> bytes:
    """What signs on one day, in one region, for one service."""
    key = f"AWS4{secret}".encode()
    for step in (*scope, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def seal(text: str, scope: Scope, stamp: str, key: bytes) -> str:
    told = f"{SCHEME.decode()}\n{stamp}\n{scope}\n{sha256(text.encode()).hexdigest()}"
    return hmac.digest(key, told.encode(), "sha256").hex()


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    coded = [(quote(unquote(n), safe=_UNRESERVED), quote(unquote(v), safe=_UNRESERVED)) for n, _, v in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(coded))


def service_of(host: str) -> str:
    """What requests to an address of AWS's are signed for (botocore's service models, signingName)."""
    return next((name for part, name in SERVICES.items() if part in host), SERVICE)


def region_of(host: str) -> str | None:
    """The region that an address of AWS's is in (General Reference, Service endpoints)."""
    found = _REGION.search(host)
    return found[1] if found is not None else None


class Credentials:
    """Whom requests are signed for. Renewed in one step, from whichever thread; shows nothing of itself."""

    __slots__ = ("_held",)

    def __init__(self, access: str, secret: str, token: str | None) -> None:
        self._held = (access, secret, token)

    def renew(self, access: str, secret: str, token: str | None) -> None:
        self._held = (access, secret, token)

    def reveal(self) -> tuple[str, str, str | None]:
        """Access key id, secret access key, and the token of a temporary credential."""
        return self._held

    def __repr__(self) -> str:
        return "Credentials(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Credentials are not copied or pickled")


class _Prepared(NamedTuple):
    """What of a signature is the same for many requests. `lines`: what is put on the head, up to it."""

    before: str
    after: str
    lines: str


class Signer:
    """Signs each request to one region: its host, its type, the fields of AWS's own, and its body.

    A head comes again and again, so its canonical form is remembered; so are the day's key and the second's
    stamp. All of it is forgotten with the credential it is of.
    """

    pending = False
    __slots__ = (
        "_credentials",
        "_heads",
        "_held",
        "_key",
        "_scope",
        "_second",
        "_service",
        "_stamp",
        "region",
    )

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        """`service`: what the address signs for (botocore's service model, signingName)."""
        self._credentials = credentials
        self.region, self._service = region, service
        self._forget(credentials.reveal())

    def _forget(self, held: tuple[str, str, str | None]) -> None:
        self._held = held
        self._heads: dict[tuple[str, bytes], _Prepared] = {}
        self._scope, self._key = Scope("", self.region, self._service), b""
        self._second, self._stamp = -1, ""

    def __call__(self, outgoing: Outgoing, now_ms: int) -> Outgoing:
        held = self._credentials.reveal()
        if held is not self._held:
            self._forget(held)
        second = now_ms // 1000
        if second != self._second:
            self._turn(second)
        known = self._heads.get((outgoing.path, outgoing.head))
        if known is None:
            known = self._prepare(outgoing)
        text = f"{known.before}{self._stamp}{known.after}{sha256(outgoing.body).hexdigest()}"
        made = seal(text, self._scope, self._stamp, self._key)
        head = outgoing.head + f"{_DATE}: {self._stamp}\r\n{known.lines}{made}\r\n".encode("latin-1")
        return Outgoing(outgoing.origin, outgoing.path, head, outgoing.body, outgoing.connect_ms)

    def _turn(self, second: int) -> None:
        """To another second, and perhaps another day."""
        stamp = datetime.fromtimestamp(second, UTC).strftime(_STAMP)
        if stamp[:8] != self._scope.day:
            self._scope = self._scope._replace(day=stamp[:8])
            self._key = day_key(self._scope, self._held[1])
            self._heads.clear()  # their lines tell the day
        self._second, self._stamp = second, stamp

    def _prepare(self, outgoing: Outgoing) -> _Prepared:
        access, _, token = self._held
        first, *lines = outgoing.head.decode("latin-1").split("\r\n")
        fields = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines) if n}
        kept = {name: value for name, value in fields.items() if _SIGNED.fullmatch(name)} | {_DATE: ""}
        if token:
            kept[_TOKEN] = token
        path, _, query = outgoing.path.partition("?")
        names = sorted(kept)
        before, after = canonical(Signed(first.partition(" ")[0], path, query, kept, b""), names)
        said = f"Credential={access}/{self._scope}, SignedHeaders={';'.join(names)}, Signature="
        more = f"{_TOKEN}: {token}\r\n" if token else ""
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        known = _Prepared(before, after, f"{more}authorization: {SCHEME.decode()} {said}")
        self._heads[outgoing.path, outgoing.head] = known
        return known

    def secrets(self) -> tuple[bytes, ...]:
        """What of the credentials a request shows, and an answer that refuses it may repeat."""
        _, _, token = self._credentials.reveal()
        return (token.encode(),) if token else ()


class Presigner:
    """Signs each request with a token that is itself a signed call, as long as it lasts.

    The token is made here and costs no request: the address of a call that is never made, signed in its
    query, in base64 (sagemaker-core, token_generator). It is forgotten with the credential it is of.
    """

    pending = False
    __slots__ = ("_credentials", "_ends_ms", "_held", "_region", "_service", "_token")

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        self._credentials, self._region, self._service = credentials, region, service
        self._held: tuple[str, str, str | None] | None = None
        self._token, self._ends_ms = b"", 0

    def __call__(self, outgoing: Outgoing, now_ms: int) -> Outgoing:
        held = self._credentials.reveal()
        if held is not self._held or self._ends_ms <= now_ms:
            self._held, self._ends_ms = held, now_ms + PRESIGNED_S * 500  # anew after half of its life
            self._token = presigned(held, self._region, self._service, now_ms).encode()
        head = outgoing.head + b"authorization: Bearer %b\r\n" % self._token
        return Outgoing(outgoing.origin, outgoing.path, head, outgoing.body, outgoing.connect_ms)

    def secrets(self) -> tuple[bytes, ...]:
        return (self._token,) if self._token else ()


def presigned(held: tuple[str, str, str | None], region: str, service: str, now_ms: int) -> str:
    """A token for `service`, good for PRESIGNED_S seconds (IAM user guide, authenticating by the query)."""
    access, secret, token = held
    stamp = datetime.fromtimestamp(now_ms // 1000, UTC).strftime(_STAMP)
    scope = Scope(stamp[:8], region, service)
    fields = {
        "Action": "CallWithBearerToken",
        "X-Amz-Algorithm": SCHEME.decode(),
        "X-Amz-Credential": f"{access}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(PRESIGNED_S),
        "X-Amz-SignedHeaders": "host",
    }
    if token:
        fields["X-Amz-Security-Token"] = token
    query = "&".join(f"{name}={quote(value, safe=_UNRESERVED)}" for name, value in fields.items())
    host = f"{service}.amazonaws.com"
    text = f"POST\n/\n{_query(query)}\nhost:{host}\n\nhost\n{sha256(b'').hexdigest()}"
    made = seal(text, scope, stamp, day_key(scope, secret))
    address = f"{host}/?{query}&X-Amz-Signature={made}&Version=1"
    return f"{service}-api-key-{b64encode(address.encode()).decode()}"


# --- what came -----------------------------------------------------------------------------------


def key_of(
    method: bytes, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes, now_ms: int
) -> bytes | None:
    """The key that a request was signed with, None where it was not signed.

    Raises `Fault` (authentication): malformed, too old, or not the signature of this request.
    """
    value = headers.get(b"authorization", b"")
    if not value.startswith(SCHEME):
        return None
    said = dict(part.strip().split("=", 1) for part in _parts(value))
    access, *rest = said["Credential"].rsplit("/", 4)
    stamp = headers.get(b"x-amz-date", b"").decode("latin-1")
    if len(rest) != 4 or rest[3] != "aws4_request" or stamp[:8] != rest[0]:
        raise _bad("Its Credential is KEY/DAY/REGION/SERVICE/aws4_request, of the day of x-amz-date.")
    try:
        at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise _bad("Its x-amz-date is no time such as 20261125T093000Z.") from None
    if abs(at.timestamp() * 1000 - now_ms) > SKEW_MS_MAX:
        raise _bad("It was signed more than 15 minutes from now; set the clock.")
    names = said["SignedHeaders"].split(";")
    if "host" not in names or "x-amz-date" not in names:
        raise _bad("It must cover the headers host and x-amz-date.")
    asked = Signed(
        method.decode("latin-1"),
        path,
        query.decode("latin-1"),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()},
        body,
    )
    made = signature(asked, names, Scope(*rest[:3]), stamp, access)
    if not hmac.compare_digest(made.encode(), said["Signature"].encode("utf-8", "replace")):
        raise _bad("It does not match. Give the same fungible key as access key id and as secret access key.")
    return access.encode("latin-1", "replace")


def _parts(value: bytes) -> list[str]:
    parts = value[len(SCHEME) :].decode("latin-1").split(",")
    named = sorted(part.partition("=")[0].strip() for part in parts)
    if named != ["Credential", "Signature", "SignedHeaders"]:
        raise _bad("The header authorization must have Credential, SignedHeaders and Signature.")
    return parts


def _bad(why: str) -> Fault:
    return Fault("authentication", f"The signature of this call cannot be accepted. {why}")
