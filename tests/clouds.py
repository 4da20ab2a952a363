"""A cloud on loopback: it gives tokens, and models answer there."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fungible.dialects import DIALECTS
from fungible.events import disassemble
from fungible.ir import Choice, Reply, Stop, Text, Usage
from fungible.losses import Report
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

REPLY = Reply(
    id="r1",
    model="m",
    created=1,
    choices=(Choice(parts=(Text(text="Hello."),), stop=Stop(reason="end")),),
    usage=Usage(input_tokens=3, output_tokens=5),
)
CONFIG = """
[server]
state = "state"

[provider.vertex]
base_url = "{base}/v1/projects/p/locations/l"

[provider.vertexanthropic]
base_url = "{base}/v1/projects/p/locations/l"

[provider.vertexopenai]
base_url = "{base}/v1/projects/p/locations/l"

[provider.azure]
base_url = "{base}/openai/v1"
"""
SPOKEN = {
    ":generateContent": "gemini.generate_content",
    ":streamGenerateContent": "gemini.generate_content",
    ":rawPredict": "anthropic.messages",
    ":streamRawPredict": "anthropic.messages",
    "/chat/completions": "openai.chat",
}


def is_token(seen: Seen) -> bool:
    return seen.path.partition("?")[0].endswith("/token")


class Cloud:
    """A provider and the place that gives tokens for it, at one address. Each token is another."""

    def __init__(self) -> None:
        self.up = Upstream(self.respond)
        self.given = 0
        self.lives_s = 3600
        self.waits_s = 0.0
        self.let_go = threading.Event()  # a place that gives tokens answers nothing before
        self.let_go.set()
        self.refuses = False

    def respond(self, seen: Seen) -> Iterable[Step]:
        if is_token(seen):
            return self.token(seen)
        if "etadata" in seen.path or seen.path == "/":
            return answer(200, JSON, {"email": "default", "scopes": []}, {"metadata-flavor": "Google"})
        dialect = DIALECTS[next(name for part, name in SPOKEN.items() if part in seen.path)]
        if "stream" in seen.path or (seen.body and seen.json.get("stream")):
            return stream(dialect.stream_writer(Report(), True).write(disassemble(REPLY)))
        return answer(200, JSON, dialect.write_reply(REPLY, Report()))

    def token(self, seen: Seen) -> Iterable[Step]:
        if self.refuses:
            body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return answer(400, JSON, body)
        self.given += 1
        ends = {"expires_in": self.lives_s, "expires_on": str(int(time.time()) + self.lives_s)}
        body = {"access_token": f"token-{self.given}", "token_type": "Bearer", **ends}
        told = answer(200, JSON, body, {"metadata-flavor": "Google"})
        if not self.let_go.is_set():
            return self.held(told)
        return [self.waits_s, *told, "close"] if self.waits_s else told

    def held(self, told: Iterable[Step]) -> Iterator[Step]:
        while not self.let_go.is_set():
            yield 0.02
        yield from told

    def asked(self, *, tokens: bool = False) -> list[Seen]:
        return [seen for seen in self.up.seen if is_token(seen) is tokens]


@contextmanager
def clouded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """With a key file for one cloud and a managed identity at the other, and a configuration of both."""
    monkeypatch.chdir(tmp_path)
    made = Cloud()
    with made.up:
        key_file(tmp_path / "key.json", made.up.base + "/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        # A managed identity of App Service (Microsoft Entra, Managed identities, REST protocol).
        monkeypatch.setenv("IDENTITY_ENDPOINT", made.up.base + "/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "a-secret")
        Path("fungible.toml").write_text(CONFIG.format(base=made.up.base))
        yield made


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(path: Path, token_uri: str) -> None:
    """A service account's, as the console downloads it."""
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    said = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": pem.decode(),
        "client_email": "me@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(said))
