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
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote

from ..faults import Fault

SCHEME = b"AWS4-HMAC-SHA256"
SKEW_MS_MAX = 15 * 60 * 1000
"""How far a signature's time may be from ours; AWS's own limits are 5 to 15 minutes."""

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
    """Of the headers `names`, in hex. `stamp` is the value of `x-amz-date`."""
    lines = [f"{name}:{' '.join(asked.headers.get(name, '').split())}" for name in names]
    canonical = "\n".join(
        (
            asked.method,
            quote(asked.path, safe="/" + _UNRESERVED),
            _query(asked.query),
            *lines,
            "",
            ";".join(names),
            sha256(asked.body).hexdigest(),
        )
    )
    told = "\n".join((SCHEME.decode(), stamp, str(scope), sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for step in (*scope, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, told.encode(), "sha256").hex()


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    coded = [(quote(unquote(n), safe=_UNRESERVED), quote(unquote(v), safe=_UNRESERVED)) for n, _, v in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(coded))


def signed(
    asked: Signed, scope: tuple[str, str], access: str, secret: str, token: str | None, now_ms: int
) -> dict[str, str]:
    """The headers that sign a request. `scope`: region and service; `token`: of a temporary credential."""
    stamp = datetime.fromtimestamp(now_ms // 1000, UTC).strftime(_STAMP)
    more = {"x-amz-date": stamp} | ({"x-amz-security-token": token} if token else {})
    whole = asked._replace(headers={**asked.headers, **more})
    names, where = sorted(whole.headers), Scope(stamp[:8], *scope)
    made = signature(whole, names, where, stamp, secret)
    said = f"Credential={access}/{where}, SignedHeaders={';'.join(names)}, Signature={made}"
    return {"authorization": f"{SCHEME.decode()} {said}", **more}


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
