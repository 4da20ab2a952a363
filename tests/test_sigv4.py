"""Signature Version 4 against botocore's own: what it signs we take, what we sign is what it would have signed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fungible.faults import Fault
from fungible.providers.sigv4 import SKEW_MS_MAX, Signer, key_of
from fungible.providers.sigv4 import Credentials as Held
from fungible.world import Origin, Outgoing

KEY = "fk-0123456789-secret"
HOST = "127.0.0.1:4000"
BODY = '{"messages": [{"content": "naïve"}]}'.encode()
PATHS = {
    "a model": "/model/us.anthropic.claude-x-v1%3A0/converse",
    "an ARN": "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A000000000000%3Ainference-profile%2Fus.x/converse-stream",
    "a route": "/model/assistant/converse",
    "a provider's model": "/model/openai%2Fgpt-x/count-tokens",
    "odd letters": "/model/a~b_c-d.e%20f/converse",
}
QUERIES = ["", "b=2&a=1", "x=a%2Fb&empty="]


def by_botocore(
    path: str,
    query: str,
    access: str,
    secret: str,
    token: str | None = None,
    region: str = "us-east-1",
    **more: str,
) -> Any:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    headers = {"Content-Type": "application/json", **more}
    asked = AWSRequest("POST", url, headers=headers, data=BODY)
    SigV4Auth(Credentials(access, secret, token), "bedrock", region).add_auth(asked)
    return {"host": HOST, **{name.lower(): value for name, value in asked.headers.items()}}


def as_read(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.strip().encode() for name, value in headers.items()}


def when(headers: dict[str, str]) -> int:
    stamp = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(stamp.timestamp() * 1000)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_what_botocore_signs_is_taken(path: str, query: str) -> None:
    headers = by_botocore(path, query, KEY, KEY, **{"X-Spaced": "  a   b "})
    now_ms = when(headers)
    assert key_of(b"POST", path, query.encode(), as_read(headers), BODY, now_ms) == KEY.encode()


@pytest.mark.parametrize("token", [None, "session/token=="])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_what_we_sign_is_what_botocore_signs(path: str, token: str | None) -> None:
    headers = by_botocore(path, "", "AKIDEXAMPLE", "wJalr/EXAMPLE", token, region="eu-west-3")
    sign = Signer(Held("AKIDEXAMPLE", "wJalr/EXAMPLE", token), "eu-west-3", "bedrock")
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\nuser-agent: x\r\n".encode()
    outgoing = Outgoing(Origin("http", "127.0.0.1", 4000), path, head, BODY)
    for wait_ms in (-86_400_000, -1_000, 0, 0):  # what it remembers of other days and seconds is of no matter
        made = sign(outgoing, when(headers) + wait_ms)
    fields = dict(line.split(": ", 1) for line in made.head.decode().split("\r\n")[1:-1])
    assert fields["authorization"] == headers["authorization"]
    assert fields.get("x-amz-security-token") == token


def test_a_renewed_credential_signs_from_then_on() -> None:
    held = Held("AKIDOLD", "old", None)
    sign = Signer(held, "us-east-1", "bedrock")
    outgoing = Outgoing(Origin("http", "h", 80), "/a", b"POST /a HTTP/1.1\r\nhost: h\r\n", b"{}")
    before = sign(outgoing, 0).head
    held.renew("AKIDNEW", "new", "t")
    after = sign(outgoing, 0).head
    assert b"Credential=AKIDOLD/" in before and b"Credential=AKIDNEW/" in after
    assert after.replace(b"x-amz-security-token: t\r\n", b"") != before
    assert sign(outgoing, 0).head == after == Signer(held, "us-east-1", "bedrock")(outgoing, 0).head


GOOD = by_botocore(PATHS["a model"], "", KEY, KEY)
NOW_MS = when(GOOD)


def taken(
    path: str = PATHS["a model"], body: bytes = BODY, now_ms: int = NOW_MS, **more: str
) -> bytes | None:
    return key_of(b"POST", path, b"", as_read({**GOOD, **more}), body, now_ms)


def test_the_one_that_is_changed_below_is_good() -> None:
    assert taken() == KEY.encode()


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "another body": ({"body": BODY + b" "}, "does not match"),
    "another model": ({"path": PATHS["a route"]}, "does not match"),
    "another host": ({"host": "elsewhere"}, "does not match"),
    "a header that was signed is another": ({"content-type": "text/plain"}, "does not match"),
    "too late": ({"now_ms": NOW_MS + SKEW_MS_MAX + 1}, "15 minutes"),
    "too early": ({"now_ms": NOW_MS - SKEW_MS_MAX - 1}, "15 minutes"),
    "another day": ({"x-amz-date": "20200101T000000Z"}, "of the day"),
    "no signature": ({"authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request"}, "must have"),
    "nothing": ({"authorization": "AWS4-HMAC-SHA256 "}, "must have"),
    "no host covered": (
        {"authorization": GOOD["authorization"].replace(";host;", ";")},
        "must cover",
    ),
    "a short credential": (
        {"authorization": GOOD["authorization"].replace("/aws4_request", "")},
        "Credential is",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_not_what_was_signed_is_refused(name: str) -> None:
    change, why = CHANGED[name]
    with pytest.raises(Fault, match=why) as caught:
        taken(**change)
    assert caught.value.kind == "authentication" and KEY not in caught.value.message


def test_another_secret_is_refused() -> None:
    headers = by_botocore(PATHS["a model"], "", KEY, "another")
    with pytest.raises(Fault, match="does not match"):
        key_of(b"POST", PATHS["a model"], b"", as_read(headers), BODY, when(headers))


def test_a_call_that_is_not_signed_has_no_such_key() -> None:
    assert key_of(b"POST", "/", b"", {b"authorization": b"Bearer x"}, b"", 0) is None
    assert key_of(b"POST", "/", b"", {}, b"", 0) is None
