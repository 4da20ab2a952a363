"""Where providers that are asked with tokens are, and how each signs: by the official SDKs and libraries."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from google import genai
from google.oauth2.credentials import Credentials as UserCredentials

import fungible
from fungible import config
from fungible.app import App
from fungible.faults import Fault
from fungible.providers.sigv4 import presigned
from tests.clouds import Cloud, clouded


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with clouded(tmp_path, monkeypatch) as made:
        yield made


# --- tokens that are signed calls ------------------------------------------------------------------


@pytest.mark.parametrize("session", [None, "a-session/token=="])
def test_a_token_of_signed_credentials_is_botocore_s(
    session: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge signs the call of which sagemaker-core makes its token."""
    now = 1_795_000_000
    asked = AWSRequest(
        "POST",
        "https://sagemaker.amazonaws.com/",
        headers={"host": "sagemaker.amazonaws.com"},
        params={"Action": "CallWithBearerToken"},
    )
    at = botocore.auth.get_current_datetime().fromtimestamp(now, botocore.auth.get_current_datetime().tzinfo)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)
    held = Credentials("AKID", "secret/x", session)
    botocore.auth.SigV4QueryAuth(held, "sagemaker", "eu-west-1", expires=43200).add_auth(asked)
    made = presigned(("AKID", "secret/x", session), "eu-west-1", "sagemaker", now * 1000)
    assert made.startswith("sagemaker-api-key-")
    host, _, query = base64.b64decode(made.removeprefix("sagemaker-api-key-")).decode().partition("/?")
    theirs = parse_qs(asked.url.partition("?")[2]) | {"Version": ["1"]}
    assert host == "sagemaker.amazonaws.com" and parse_qs(query) == theirs


def test_an_endpoint_of_sagemaker_s_is_named_in_the_address(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("fungible.toml").write_text(f'[provider.sagemaker]\nbase_url = "{cloud.up.base}"\n')
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = fungible.Client()
    try:
        assert client.chat("sagemaker/my-endpoint", "Hello").text == "Hello."
        made = client.http().post(
            "http://fungible/v1/chat/completions",
            json={
                "model": "sagemaker/my-endpoint",
                "stream": True,
                "messages": [{"role": "user", "content": "x"}],
            },
        )
        assert "Hello." in made.text
    finally:
        client.close()
    first, second = cloud.asked()
    assert first.path == second.path == "/endpoints/my-endpoint/openai/v1/chat/completions"
    assert first.json["model"] == second.json["model"] == ""
    assert first.headers["authorization"] == second.headers["authorization"]
    assert first.headers["authorization"].startswith("Bearer sagemaker-api-key-")


# --- configuration ---------------------------------------------------------------------------------

LOCATIONS = {
    "global": "https://aiplatform.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
    "europe-west1": "https://europe-west1-aiplatform.googleapis.com",
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_location_has_the_address_that_the_official_sdk_asks(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = genai.Client(
        vertexai=True, project="p", location=location, credentials=UserCredentials(token="x")
    )  # type: ignore[no-untyped-call]
    assert theirs._api_client._http_options.base_url == LOCATIONS[location] + "/"
    environ = {
        "GOOGLE_APPLICATION_CREDENTIALS": "key.json",
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "GOOGLE_CLOUD_LOCATION": location,
    }
    found = config.load(None, environ).catalogue.route("vertex/m").targets[0]
    assert f"https://{found.origin.host}" == LOCATIONS[location]
    assert (
        found.path
        == f"/v1/projects/my-project/locations/{location}/publishers/google/models/m:generateContent"
    )


def test_a_second_place_of_a_known_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fungible.toml").write_text(
        '[provider.far]\nlike = "vertexanthropic"\nbase_url = "https://us-east5-aiplatform.googleapis.com/v1/projects/q/locations/us-east5"\n'
    )
    found = config.load(None, {}).catalogue.route("far/m").targets[0]
    assert (found.provider, found.dialect) == ("far", "anthropic.messages")
    assert found.path.endswith("/q/locations/us-east5/publishers/anthropic/models/m:rawPredict")
    Path("fungible.toml").write_text('[provider.far]\nlike = "vertx"\n')
    with pytest.raises(Fault, match=r"'vertx' is no known provider. Did you mean 'vertex'"):
        config.load(None, {})


def test_without_its_library_a_provider_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fungible.config.credentials._installed", lambda module: False)
    for name, extra in {"vertex": "google", "azure": "azure"}.items():
        Path("fungible.toml").write_text(f'[provider.{name}]\nbase_url = "https://x.example/v1"\n')
        with pytest.raises(Fault, match=rf"pip install 'fungible\[{extra}\]'"):
            config.load(None, {})


def test_a_key_goes_before_an_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key")
    found = config.load().catalogue.route("azure/m").targets[0]
    assert found.sign is None and b"api-key: a-key\r\n" in found.head


def test_the_first_fetch_does_not_hold_up_a_start(cloud: Cloud) -> None:
    cloud.let_go.clear()
    done = threading.Event()

    async def start() -> None:
        app = App(config.load())
        app.tend()
        done.set()
        app.close()

    thread = threading.Thread(target=asyncio.run, args=(start(),))
    thread.start()
    assert done.wait(20.0)
    cloud.let_go.set()
    thread.join()
