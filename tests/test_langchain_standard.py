"""LangChain's standard tests of chat models, for its models of one dialect on targets of the other.

The suite is LangChain's own (`langchain-tests`); it passes over what a model class says that it cannot do. The targets do whatever a request asks for (`obliging`), so that a test passes only if it has arrived.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal
from unittest.mock import Mock

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models

from .obliging import alpha_obliges, beta_obliges
from .sdks import PNG
from .serving import Running
from .upstream import Upstream

MORE = """
[model."alpha/four"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00

[model."beta/three"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
"""
FETCHED = {".png": PNG, ".pdf": b"%PDF-1.4\n%%EOF", ".wav": b"RIFF\0\0\0\0WAVE"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Upstream(alpha_obliges) as alpha, Upstream(beta_obliges) as beta:
        running = Running(tmp_path_factory.mktemp("langchain"), alpha.base, beta.base, more=MORE)
        yield running
        running.close()


Detail = Literal[
    "audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"
]


class Standard(ChatModelIntegrationTests):
    """What all of them share. `two`: the model that is asked, and another of the same target."""

    two: ClassVar[tuple[str, str]]
    details: ClassVar[list[Detail]] = ["cache_read_input"]

    @pytest.fixture(autouse=True)
    def here(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = running
        fetched = Mock(side_effect=lambda url, **_: Mock(content=FETCHED[url[-4:]]))
        monkeypatch.setattr(chat_models.httpx, "get", fetched)  # the suite's pictures; nothing is fetched

    @property
    def model_override_value(self) -> str:
        return self.two[1]

    @property
    def supports_image_inputs(self) -> bool:
        return True

    supports_image_urls = supports_pdf_inputs = supports_image_tool_message = supports_image_inputs
    supports_pdf_tool_message = supports_image_inputs
    supports_anthropic_inputs = supports_image_inputs

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[Detail]]:
        return {"invoke": self.details, "stream": self.details}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = self.chat_model_class(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        whole = None
        for chunk in model.stream("Hello"):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        assert whole.usage_metadata is not None
        assert whole.usage_metadata["input_token_details"]["cache_read"] == 4
        return whole

    invoke_with_cache_creation_input = invoke_with_reasoning_output = invoke_with_cache_read_input


class TestChatOpenAI(Standard):
    """ChatOpenAI, by chat completions, on a target of anthropic.messages."""

    two = ("two", "three")

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        url = f"{self.running.url}/v1"
        return {"model": self.two[0], "base_url": url, "api_key": self.running.key, "stream_usage": True}

    @property
    def supports_json_mode(self) -> bool:
        return True

    supports_audio_inputs = supports_json_mode


class TestChatOpenAIByResponses(TestChatOpenAI):
    """ChatOpenAI, by responses, on a target of anthropic.messages."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "use_responses_api": True}


class TestChatAnthropic(Standard):
    """ChatAnthropic on a target of openai.chat."""

    two = ("one", "four")
    details: ClassVar[list[Detail]] = ["cache_read_input", "cache_creation_input"]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.two[0],
            "base_url": self.running.url,
            "api_key": self.running.key,
            "max_tokens": 64,
        }
