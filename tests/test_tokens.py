"""Providers that are asked with a token of an hour: fetched by the clouds' own libraries from a loopback endpoint."""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import anthropic
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from google import genai
from google.oauth2.credentials import Credentials as UserCredentials

import fungible
from fungible import config
from fungible.app import RENEW_SOON_S, App
from fungible.config.credentials import EARLY_MS, Token
from fungible.faults import Fault
from fungible.providers.tokens import KINDS, Bearer
from fungible.world import Origin, Outgoing
from tests.clouds import KEY, Cloud, clouded
from tests.upstream import JSON, SSE


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with clouded(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def client(cloud: Cloud) -> Iterator[fungible.Client]:
    made = fungible.Client()
    yield made
    made.close()


# --- calls -----------------------------------------------------------------------------------------

PLACES = {
    "vertex/gemini-3-flash": "/v1/projects/p/locations/l/publishers/google/models/gemini-3-flash:generateContent",
    "vertexanthropic/claude-sonnet-5@20260801": (
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5%4020260801:rawPredict"
    ),
    "vertexopenai/meta/llama-4": "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
    "azure/my-deployment": "/openai/v1/chat/completions",
}


@pytest.mark.parametrize("model", PLACES)
def test_a_call_goes_to_its_place_with_a_token_that_is_fetched_once(
    cloud: Cloud, client: fungible.Client, model: str
) -> None:
    for _ in range(3):
        assert client.chat(model, "Hello").text == "Hello."
    assert [seen.path for seen in cloud.asked()] == [PLACES[model]] * 3
    tokens = {seen.headers["authorization"] for seen in cloud.asked()}
    assert len(tokens) == 1 and tokens.pop().startswith("Bearer token-")
    assert all("x-goog-api-key" not in s.headers and "api-key" not in s.headers for s in cloud.asked())
    assert [s.path for s in cloud.asked(tokens=True)].count("/token") == 1


def test_what_is_asked_of_the_places_that_give_tokens(cloud: Cloud, client: fungible.Client) -> None:
    client.chat("vertex/m", "Hello")
    asked = {seen.path.partition("?")[0]: seen for seen in cloud.asked(tokens=True)}
    grant = parse_qs(asked["/token"].body.decode())
    assert grant["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = grant["assertion"][0].split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert (said["iss"], said["scope"]) == (
        "me@p.iam.gserviceaccount.com",
        "https://www.googleapis.com/auth/cloud-platform",
    )
    wanted = parse_qs(asked["/msi/token"].path.partition("?")[2])
    assert wanted["resource"] == ["https://cognitiveservices.azure.com"]
    assert asked["/msi/token"].headers["x-identity-header"] == "a-secret"


def test_a_machine_of_the_cloud_s_own_asks_its_metadata_server(cloud: Cloud, tmp_path: Path) -> None:
    """In a process of its own, for the library reads where that is when it is imported."""
    here = cloud.up.base.removeprefix("http://")
    environ = {**os.environ, "HOME": str(tmp_path), "GCE_METADATA_HOST": here, "GCE_METADATA_IP": here}
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        environ.pop(name)
    command = [sys.executable, "-m", "fungible", "chat", "vertex/m", "Hello"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and "Hello." in done.stdout, done.stderr
    (asked,) = cloud.asked(tokens=True)
    assert asked.path.startswith("/computeMetadata/v1/instance/service-accounts/")
    assert asked.headers["metadata-flavor"] == "Google"
    assert cloud.asked()[-1].headers["authorization"] == "Bearer token-1"


class Authority(BaseHTTPRequestHandler):
    """Of Microsoft Entra: what a client with a secret asks it (OAuth 2.0 client credentials flow)."""

    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        here = f"https://localhost:{self.server.server_address[1]}/a-tenant"  # type: ignore[attr-defined]
        self.told(
            {
                "issuer": f"{here}/v2.0",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                "token_endpoint": f"{here}/oauth2/v2.0/token",
            }
        )

    def do_POST(self) -> None:
        self.asked.append(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))
        self.told({"access_token": "of-entra", "token_type": "Bearer", "expires_in": 3600})

    def told(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", JSON)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def certificate(folder: Path) -> Path:
    """For localhost, signed by itself; with its key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(KEY, hashes.SHA256())
    )
    key = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "localhost.pem"
    path.write_bytes(key + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_client_secret_is_shown_to_the_authority_that_is_named(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name)
    environ = {
        "AZURE_TENANT_ID": "a-tenant",
        "AZURE_CLIENT_ID": "a-client",
        "AZURE_CLIENT_SECRET": "a-secret",
        "AZURE_AUTHORITY_HOST": f"https://localhost:{server.server_address[1]}",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "localhost.pem"),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    client = fungible.Client()
    try:
        assert client.chat("azure/m", "Hello").text == "Hello."
    finally:
        client.close()
        server.shutdown()
    (asked,) = Authority.asked
    assert asked["grant_type"] == ["client_credentials"] and asked["client_secret"] == ["a-secret"]
    assert "https://cognitiveservices.azure.com/.default" in asked["scope"][0].split()
    assert cloud.asked()[0].headers["authorization"] == "Bearer of-entra"


def test_a_call_before_the_first_token_waits_for_it(cloud: Cloud) -> None:
    cloud.waits_s = 0.6
    client = fungible.Client()
    try:
        told = client.chat("vertex/m", "Hello")
        assert (told.text, told.attempts) == ("Hello.", 1)
    finally:
        client.close()


def test_a_call_that_is_given_up_while_it_waits_is_not_sent(cloud: Cloud) -> None:
    cloud.waits_s = 0.6

    async def leave() -> None:
        async with fungible.AsyncClient() as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.chat("vertex/m", "Hello"), 0.2)
            await asyncio.sleep(0.8)
            assert cloud.given >= 1
            assert (await client.chat("vertex/m", "Hello again")).text == "Hello."

    asyncio.run(leave())
    assert [b"again" in seen.body for seen in cloud.asked()] == [True]


def test_without_a_token_nothing_is_sent_and_the_mend_is_told(cloud: Cloud) -> None:
    cloud.refuses = True
    client = fungible.Client()
    try:
        with pytest.raises(Fault) as caught:
            client.chat("vertex/m", "Hello")
    finally:
        client.close()
    assert caught.value.kind in ("unreachable", "provider_error", "unavailable")
    assert "RefreshError" in caught.value.message and "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message
    assert cloud.asked() == []


def ticked(app: App, until: Callable[[], bool], shift_s: float = 0.0) -> None:
    clock = app.gateway.clock
    if shift_s:
        app.gateway.clock = lambda: clock() + shift_s
    last = time.monotonic() + 20
    while not until():
        assert time.monotonic() < last, app.said
        app.tend()
        time.sleep(0.01)


def with_app(work: Callable[[App], None]) -> None:
    async def run() -> None:
        app = App(config.load())
        try:
            work(app)
        finally:
            app.close()

    asyncio.run(run())


def google(app: App) -> Token:
    (found,) = [c for c in app.config.chains if isinstance(c, Token) and c.name == "google"]
    return found


def test_what_goes_wrong_is_said_once_and_mends_by_itself(cloud: Cloud) -> None:
    cloud.refuses = True

    def work(app: App) -> None:
        ticked(app, lambda: len(app.said) >= 2)  # one of each cloud
        (told,) = [said for said in app.said if "'google'" in said]
        assert "invalid_grant" in told and "set GOOGLE_APPLICATION_CREDENTIALS" in told
        app.said.clear()
        asked = len(cloud.asked(tokens=True))
        ticked(app, lambda: len(cloud.asked(tokens=True)) > asked, RENEW_SOON_S + 1)
        cloud.refuses = False
        ticked(app, lambda: not google(app).lacking, 2 * RENEW_SOON_S + 2)
        assert not [said for said in app.said if "google" in said]

    with_app(work)


def test_a_token_is_renewed_before_it_ends_and_the_old_one_serves_until_then(cloud: Cloud) -> None:
    cloud.lives_s = EARLY_MS // 1000 - 60  # so that it is renewed at each look
    now_ms = int(time.time() * 1000)

    def sent(app: App) -> str:
        target = app.local.catalogue.route("vertex/m").targets[0]
        assert target.sign is not None
        made = target.sign(Outgoing(target.origin, target.path, target.head, b"{}"), now_ms)
        return made.head.decode().rsplit("authorization: Bearer ", 1)[1].strip()

    def work(app: App) -> None:
        ticked(app, lambda: not google(app).lacking)
        first = sent(app)
        cloud.refuses = True
        ticked(app, lambda: bool(app.said), 61)
        assert sent(app) == first
        cloud.refuses = False
        ticked(app, lambda: sent(app) != first, 122)

    with_app(work)


def test_a_changed_configuration_comes_with_its_tokens(cloud: Cloud) -> None:
    def work(app: App) -> None:
        ticked(app, lambda: not google(app).lacking)
        old = google(app)
        Path("fungible.toml").write_text(
            Path("fungible.toml").read_text() + "\n[route.a]\ntargets = ['vertex/m']\n"
        )
        app.reload()
        ticked(app, lambda: app.config.chains and google(app) is not old)
        assert not google(app).lacking

    with_app(work)


def test_a_token_shows_in_no_answer_and_no_repr() -> None:
    bearer = Bearer(KINDS["google"])
    bearer.put("ya29.secret", 2_000)
    assert bearer.secrets() == (b"ya29.secret",) and "ya29" not in repr(bearer)
    out = Outgoing(Origin("https", "x", 443), "/", b"POST / HTTP/1.1\r\n", b"")
    assert bearer(out, 1_999).head.endswith(b"authorization: Bearer ya29.secret\r\n")
    with pytest.raises(Fault, match="has ended") as caught:
        bearer(out, 2_000)
    assert caught.value.kind == "unreachable"


# --- the official SDKs, at the same place ----------------------------------------------------------


def test_claude_on_vertex_is_asked_as_the_official_sdk_asks(cloud: Cloud, client: fungible.Client) -> None:
    theirs = anthropic.AnthropicVertex(
        base_url=f"{cloud.up.base}/v1", region="l", project_id="p", access_token="x", max_retries=0
    )
    ours = anthropic.Anthropic(
        api_key="x", base_url="http://fungible", http_client=client.http(), max_retries=0
    )
    asked: Any = {
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hello"}],
        "stop_sequences": ["END"],
    }
    for streamed in (False, True):
        theirs.messages.create(model="claude-haiku-4-5@20251001", stream=streamed, **asked)
        made = ours.messages.create(
            model="vertexanthropic/claude-haiku-4-5@20251001", stream=streamed, **asked
        )
        said = (
            "".join(e.delta.text for e in made if e.type == "content_block_delta")
            if streamed
            else made.content[0].text
        )  # type: ignore[union-attr]
        assert said == "Hello."
        wanted, sent = cloud.asked()[-2:]
        assert sent.path.replace("%40", "@") == wanted.path.replace("%40", "@")
        assert sent.json["anthropic_version"] == "vertex-2023-10-16"  # the SDK says that of its own API
        named = {"stream", "anthropic_version"}
        assert {k: v for k, v in sent.json.items() if k not in named} == {
            k: v for k, v in wanted.json.items() if k not in named
        }
        assert bool(sent.json.get("stream")) is bool(wanted.json.get("stream")) is streamed


def test_gemini_on_vertex_is_asked_as_the_official_sdk_asks(cloud: Cloud, client: fungible.Client) -> None:
    theirs = genai.Client(
        vertexai=True,
        project="p",
        location="l",
        credentials=UserCredentials(token="x"),  # type: ignore[no-untyped-call]
        http_options=genai.types.HttpOptions(base_url=cloud.up.base, api_version="v1"),
    )
    theirs.models.generate_content(model="gemini-3-flash", contents="Hello")
    list(theirs.models.generate_content_stream(model="gemini-3-flash", contents="Hello"))
    client.chat("vertex/gemini-3-flash", "Hello")
    streamed = client.http().post(
        "http://fungible/v1beta/models/vertex%2Fgemini-3-flash:streamGenerateContent?alt=sse",
        json={"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
    )
    assert streamed.status_code == 200 and streamed.headers["content-type"].startswith(SSE)
    wanted, wanted_stream, sent, sent_stream = cloud.asked()
    assert (sent.path, sent_stream.path) == (wanted.path, wanted_stream.path)
    assert sent.json["contents"] == wanted.json["contents"] == sent_stream.json["contents"]
