"""Requests to a provider that wants each signed: botocore's own signer, on the same request, is the judge."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore.auth
import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config as Settings
from botocore.credentials import Credentials

from fungible import config
from fungible.app import RENEW_EVERY_S, App
from fungible.config.credentials import Chain
from fungible.faults import Fault
from fungible.models import Target
from fungible.world import Outgoing
from tests.answering import alpha_reply, beta_reply
from tests.converse_wire import gamma_reply
from tests.serving import Running
from tests.upstream import Upstream

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "wJalr/EXAMPLE", "a-session/token=="
ENVIRON = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-central-1"}
NOW_MS = 1_795_000_000_000
BODY = '{"messages": [{"role": "user", "content": [{"text": "naïve"}]}]}'.encode()
MODELS = {
    "a model": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "an inference profile": "us.anthropic.claude-sonnet-4-6",
    "its ARN": "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-3-7-sonnet-v1:0",
    "a provisioned one": "arn:aws:bedrock:eu-central-1:000000000000:provisioned-model/abc",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str = "", **environ: str) -> config.Config:
    Path("fungible.toml").write_text(text)
    return config.load(None, environ)


def target_of(found: config.Config, name: str) -> Target:
    return found.catalogue.route(name).targets[0]


def sent(target: Target, now_ms: int = NOW_MS, stream: bool = False) -> Outgoing:
    assert target.sign is not None
    path, head = (target.stream_path, target.stream_head) if stream else (target.path, target.head)
    return target.sign(Outgoing(target.origin, path, head, BODY), now_ms)


def fields_of(outgoing: Outgoing) -> dict[str, str]:
    lines = outgoing.head.decode().split("\r\n")[1:-1]
    return dict(line.split(": ", 1) for line in lines)


def by_botocore(
    monkeypatch: pytest.MonkeyPatch, url: str, body: bytes, stamp: str, region: str, token: str | None = None
) -> str:
    """The `authorization` that botocore would send at that time."""
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)
    asked = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
    botocore.auth.SigV4Auth(Credentials(ACCESS, SECRET, token), "bedrock", region).add_auth(asked)
    return str(asked.headers["Authorization"])


# --- what is signed, and for whom ------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_request_is_signed_as_botocore_signs_it(
    model: str, stream: bool, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"AWS_SESSION_TOKEN": token} if token else {}
    made = sent(target_of(loaded(**ENVIRON, **more), f"bedrock/{model}"), stream=stream)
    fields = fields_of(made)
    assert fields["host"] == "bedrock-runtime.eu-central-1.amazonaws.com"
    assert fields.get("x-amz-security-token") == token
    url = f"https://{fields['host']}{made.path}"
    assert fields["authorization"] == by_botocore(
        monkeypatch, url, BODY, fields["x-amz-date"], "eu-central-1", token
    )


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_stands_in_the_address_as_boto3_writes_it(model: str) -> None:
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Settings(retries={"total_max_attempts": 1}),
    )
    asked: list[str] = []

    class Stop(Exception):
        pass

    def note(request: Any, **_: Any) -> None:
        asked.append(request.url)
        raise Stop

    client.meta.events.register("before-send", note)
    with pytest.raises(Stop):
        client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hello"}]}])
    made = sent(target_of(loaded(**ENVIRON), f"bedrock/{model}"))
    assert asked == [f"https://bedrock-runtime.eu-central-1.amazonaws.com{made.path}"]


def test_fields_that_a_caller_adds_need_no_signature_but_those_of_the_cloud_s_own_do() -> None:
    target = target_of(loaded(**ENVIRON), "bedrock/m")
    assert target.sign is not None
    head = target.head + b"x-amzn-bedrock-trace: ENABLED\r\nx-amz-odd: 1\r\n"
    fields = fields_of(target.sign(Outgoing(target.origin, target.path, head, BODY), NOW_MS))
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-odd," in fields["authorization"]
    assert fields["x-amzn-bedrock-trace"] == "ENABLED"


def test_nothing_shows_what_is_signed_with() -> None:
    found = loaded(**ENVIRON, AWS_SESSION_TOKEN=TOKEN)
    target = target_of(found, "bedrock/m")
    assert target.aim.redacted(f"x-amz-security-token:{TOKEN}".encode()) == b"x-amz-security-token:[secret]"
    assert SECRET not in repr(found) + repr(target) and TOKEN not in repr(found)
    assert SECRET.encode() not in sent(target).head


# --- where credentials come from -------------------------------------------------------------------

EUROPE = """
[provider.bedrock-eu]
dialect = "bedrock.converse"
base_url = "https://bedrock-runtime.eu-west-3.amazonaws.com"
signer = "sigv4"
"""


def test_a_second_region_is_a_table_of_its_own() -> None:
    found = loaded(EUROPE, **ENVIRON)
    for name, region in (("bedrock-eu", "eu-west-3"), ("bedrock", "eu-central-1")):
        fields = fields_of(sent(target_of(found, f"{name}/m")))
        assert fields["host"] == f"bedrock-runtime.{region}.amazonaws.com"
        assert f"/{region}/bedrock/aws4_request" in fields["authorization"]


HOSTS = {
    "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
    "https://vpce-1a2b-3c4d.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com": "ap-southeast-2",
    "https://bedrock.inside.example": "eu-central-1",
}


@pytest.mark.parametrize("url", HOSTS)
def test_the_region_is_the_address_s_or_the_environment_s(url: str) -> None:
    found = loaded(EUROPE.replace("https://bedrock-runtime.eu-west-3.amazonaws.com", url), **ENVIRON)
    assert f"/{HOSTS[url]}/bedrock/" in fields_of(sent(target_of(found, "bedrock-eu/m")))["authorization"]


def test_a_bedrock_key_goes_before_credentials() -> None:
    target = target_of(loaded(**ENVIRON, AWS_BEARER_TOKEN_BEDROCK="bedrock-api-key-x"), "bedrock/m")
    assert target.sign is None
    assert b"authorization: Bearer bedrock-api-key-x\r\n" in target.head


def test_the_older_name_of_the_region_s_variable_will_do() -> None:
    environ = {k: v for k, v in ENVIRON.items() if k != "AWS_REGION"}
    assert "bedrock" in loaded(**environ).catalogue.off
    target = target_of(loaded(**environ, AWS_DEFAULT_REGION="us-west-2"), "bedrock/m")
    assert target.origin.host == "bedrock-runtime.us-west-2.amazonaws.com"


def test_a_profile_is_looked_up_by_botocore(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"[work]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    (folder / "credentials").write_text(said)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    found = loaded(AWS_PROFILE="work", AWS_REGION="us-east-1")
    assert f"Credential={ACCESS}/" in fields_of(sent(target_of(found, "bedrock/m")))["authorization"]
    assert len(found.chains) == 1 and found.chains[0].renew() is None


WRONG = {
    "no such profile": (EUROPE, {"AWS_PROFILE": "nobody"}, "botocore says ProfileNotFound"),
    "a key": (
        EUROPE + 'key = "env:AWS_SECRET_ACCESS_KEY"\n',
        ENVIRON,
        r"\[provider.bedrock-eu\] signs by credentials, so it takes no key",
    ),
    "no region": (
        EUROPE.replace("bedrock-runtime.eu-west-3.amazonaws.com", "bedrock.example"),
        {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET},
        "needs a region to sign for: set AWS_REGION",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_signed_is_told_with_its_line(name: str) -> None:
    text, environ, why = WRONG[name]
    with pytest.raises(Fault, match=why) as caught:
        loaded(text, **environ)
    assert SECRET not in caught.value.message and caught.value.message.startswith("fungible.toml:")


def test_an_unusable_profile_leaves_the_provider_off() -> None:
    off = loaded(AWS_PROFILE="nobody", AWS_REGION="us-east-1").catalogue.off["bedrock"]
    assert "ProfileNotFound" in off.mend


class _Frozen(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


def test_renewed_credentials_sign_the_next_request_and_a_failure_keeps_the_old() -> None:
    class Role:
        """Credentials that change, as botocore's of a role do."""

        turn = 0

        def get_frozen_credentials(self) -> _Frozen:
            if self.turn == 2:
                raise OSError("no route to the metadata service")
            return _Frozen(f"ASIA{self.turn}", "secret", f"token{self.turn}")

    role = Role()
    chain = Chain(role)
    assert chain.credentials.reveal() == ("ASIA0", "secret", "token0")
    role.turn = 1
    assert chain.renew() is None
    assert chain.credentials.reveal() == ("ASIA1", "secret", "token1")
    role.turn = 2
    assert chain.renew() == "The credentials could not be renewed: OSError."
    assert chain.credentials.reveal() == ("ASIA1", "secret", "token1")


def test_an_app_renews_beside_its_loop_and_says_what_went_wrong(folder: Path) -> None:
    class Failing:
        asked = 0

        def get_frozen_credentials(self) -> _Frozen:
            self.asked += 1
            if self.asked > 1:
                raise OSError("no route to the metadata service")
            return _Frozen("ASIA0", "secret", None)

    async def ticked() -> list[str]:
        role = Failing()
        app = App(msgspec.structs.replace(loaded(), chains=(Chain(role), Chain(_Still()))))
        try:
            app.tend()
            assert role.asked == 1  # it is not time yet
            clock = app.gateway.clock
            app.gateway.clock = lambda: clock() + RENEW_EVERY_S + 1
            for _ in range(500):
                app.tend()
                if app.said:
                    break
                await asyncio.sleep(0.01)
            assert role.asked == 2
            return app.said
        finally:
            app.close()

    assert asyncio.run(ticked()) == ["The credentials could not be renewed: OSError."]


class _Still:
    def get_frozen_credentials(self) -> _Frozen:
        return _Frozen("AKID", "secret", None)


# --- over the wire ---------------------------------------------------------------------------------

SIGNED = """
[provider.gamma]
dialect = "bedrock.converse"
base_url = "{gamma}"
signer = "sigv4"
"""


class Stage(NamedTuple):
    running: Running
    gamma: Upstream


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        Upstream(alpha_reply) as alpha,
        Upstream(beta_reply) as beta,
        Upstream(gamma_reply) as gamma,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in ENVIRON.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("signing")
        running = Running(folder, alpha.base, beta.base, more=SIGNED.format(gamma=gamma.base))
        yield Stage(running, gamma)
        running.close()


def asked(stage: Stage, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    wire = http.client.HTTPConnection("127.0.0.1", stage.running.port, timeout=10)
    try:
        wire.request("POST", path, body, headers)
        answer = wire.getresponse()
        return answer.status, answer.read()
    finally:
        wire.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_arrives_at_the_provider_is_signed_well(
    stage: Stage, model: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = {"model": f"gamma/{model}", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    key = {"authorization": f"Bearer {stage.running.key}", "content-type": "application/json"}
    status, told = asked(stage, "/v1/chat/completions", json.dumps(chat).encode(), key)
    assert status == 200 and b"gamma" in told
    seen = stage.gamma.seen[-1]
    made = by_botocore(
        monkeypatch,
        f"http://{seen.headers['host']}{seen.path}",
        seen.body,
        seen.headers["x-amz-date"],
        "eu-central-1",
    )
    assert seen.headers["authorization"] == made


# --- signed calls that come in ---------------------------------------------------------------------


def signed_by_a_client(stage: Stage, path: str, body: bytes) -> dict[str, str]:
    url = f"http://127.0.0.1:{stage.running.port}{path}"
    asked = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
    key = stage.running.key
    botocore.auth.SigV4Auth(Credentials(key, key), "bedrock", "us-east-1").add_auth(asked)
    return dict(asked.headers.items())


def test_calls_that_share_a_head_are_each_verified(stage: Stage) -> None:
    """The head is remembered, its signature is not: a body is taken only with its own."""
    path = "/model/gamma%2Fm/converse"
    first, second = (
        json.dumps({"messages": [{"role": "user", "content": [{"text": text}]}]}).encode()
        for text in ("Hello", "Hullo")
    )
    assert len(first) == len(second)  # so that the very bytes of the head are the same
    head = signed_by_a_client(stage, path, first)
    for body, headers, status in (
        (first, head, 200),
        (second, head, 403),  # tampered
        (first, head, 200),
        (second, signed_by_a_client(stage, path, second), 200),
    ):
        told, answer = asked(stage, path, body, headers)
        assert told == status, answer
        if status == 403:
            assert b"does not match" in answer
    assert [seen.body for seen in stage.gamma.seen[-3:]] == [first, first, second]
