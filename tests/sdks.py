"""The SDKs that must work, each under one interface: what an application does with it, in its own words.

`Reach` is the way to fungible: its server, or this process. Each `Sdk` answers in plain values, so that one
table can ask all of them the same; what it raises is its own.
"""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import boto3
import openai
import pydantic
from botocore.config import Config

import fungible
from tests.serving import Running

PNG = bytes.fromhex("89504e470d0a1a0a") + b"\0" * 32
IMAGE = base64.b64encode(PNG).decode()
HELLO, WEATHER, LOOK = "Hello", "What is the weather in Paris and Oslo?", "What is it?"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather", "parameters": PARAMETERS},
}
MESSAGES_TOOL: Any = {"name": "get_weather", "description": "The weather", "input_schema": PARAMETERS}
BUDGET: Any = {"type": "enabled", "budget_tokens": 1024}


class Person(pydantic.BaseModel):
    """Somebody."""

    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    age: int


class Reach:
    """`client` None: by the server. `key` may be another than the right one."""

    def __init__(self, running: Running, client: fungible.Client | None) -> None:
        self.running, self.client = running, client
        self.base = running.url if client is None else "http://fungible"

    def http(self) -> dict[str, Any]:
        return {} if self.client is None else {"http_client": self.client.http()}

    @asynccontextmanager
    async def http_async(self) -> AsyncIterator[dict[str, Any]]:
        if self.client is None:
            yield {}
            return
        async with fungible.AsyncClient(config=str(self.running.config)) as client:
            yield {"http_client": client.http()}


class Sdk:
    """Each method asks `model` one thing and gives what the SDK made of the answer."""

    errors: dict[int, type[Exception]]
    in_process = True  # whether it can be given another transport

    def __init__(self, reach: Reach, key: str | None = None) -> None:
        self.reach = reach
        self.key = key or reach.running.key

    def chat(self, model: str, said: str = HELLO) -> str: ...  # type: ignore[empty-body]
    def stream(self, model: str) -> list[str]: ...  # type: ignore[empty-body]
    def tools(self, model: str) -> tuple[list[str], str]:  # type: ignore[empty-body]
        """The cities asked for in one answer, and what is said to their weather."""

    def structured(self, model: str) -> Person: ...  # type: ignore[empty-body]
    def image(self, model: str) -> str: ...  # type: ignore[empty-body]
    def thinking(self, model: str) -> str | None: ...  # type: ignore[empty-body]


# --- openai ------------------------------------------------------------------------------------------------


def _user(content: Any) -> Any:
    return [{"role": "user", "content": content}]


CHAT_IMAGE: Any = [
    {"type": "text", "text": LOOK},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
]
MESSAGES_IMAGE: Any = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
    {"type": "text", "text": LOOK},
]


class OpenAI(Sdk):
    errors = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }

    def _create(self, model: str, content: Any, **more: Any) -> Any:
        with openai.OpenAI(
            api_key=self.key, base_url=f"{self.reach.base}/v1", max_retries=0, **self.reach.http()
        ) as client:
            verb = (
                client.chat.completions.parse if "response_format" in more else client.chat.completions.create
            )
            made = verb(model=model, messages=_user(content) if isinstance(content, str) else content, **more)  # type: ignore[operator]
            return list(made) if more.get("stream") else made

    def chat(self, model: str, said: str = HELLO) -> str:
        return self._create(model, said).choices[0].message.content

    def stream(self, model: str) -> list[str]:
        chunks = self._create(model, HELLO, stream=True)
        return [text for c in chunks if c.choices and (text := c.choices[0].delta.content)]

    def tools(self, model: str) -> tuple[list[str], str]:
        first = self._create(model, WEATHER, tools=[CHAT_TOOL]).choices[0].message
        results = [{"role": "tool", "tool_call_id": c.id, "content": "sunny"} for c in first.tool_calls]
        history = [*_user(WEATHER), first.model_dump(exclude_none=True), *results]
        last = self._create(model, history, tools=[CHAT_TOOL]).choices[0].message
        return [json.loads(c.function.arguments)["city"] for c in first.tool_calls], last.content

    def structured(self, model: str) -> Person:
        return self._create(model, HELLO, response_format=Person).choices[0].message.parsed

    def image(self, model: str) -> str:
        return self._create(model, _user(CHAT_IMAGE)).choices[0].message.content

    def thinking(self, model: str) -> str | None:
        return self._create(model, HELLO, reasoning_effort="high").choices[0].message.reasoning_content


class OpenAIAsync(OpenAI):
    def _create(self, model: str, content: Any, **more: Any) -> Any:
        async def ask() -> Any:
            async with self.reach.http_async() as http:
                client = openai.AsyncOpenAI(
                    api_key=self.key, base_url=f"{self.reach.base}/v1", max_retries=0, **http
                )
                completions = client.chat.completions
                verb = completions.parse if "response_format" in more else completions.create
                messages = _user(content) if isinstance(content, str) else content
                made = await verb(model=model, messages=messages, **more)  # type: ignore[operator]
                return [chunk async for chunk in made] if more.get("stream") else made

        return asyncio.run(ask())


# --- anthropic ---------------------------------------------------------------------------------------------


class Anthropic(Sdk):
    errors = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
    }

    def _create(self, model: str, content: Any, **more: Any) -> Any:
        """A message; with `stream` (its texts as they came, the message)."""
        more = {
            "max_tokens": 2048,
            "messages": _user(content) if isinstance(content, str) else content,
            **more,
        }
        with anthropic.Anthropic(
            api_key=self.key, base_url=self.reach.base, max_retries=0, **self.reach.http()
        ) as client:
            if more.pop("stream", False):
                with client.messages.stream(model=model, **more) as events:
                    return list(events.text_stream), events.get_final_message()
            verb = client.messages.parse if "output_format" in more else client.messages.create
            return verb(model=model, **more)

    def chat(self, model: str, said: str = HELLO) -> str:
        return self._create(model, said).content[0].text

    def stream(self, model: str) -> list[str]:
        texts, final = self._create(model, HELLO, stream=True)
        assert final.stop_reason == "end_turn"
        return texts

    def tools(self, model: str) -> tuple[list[str], str]:
        first = self._create(model, WEATHER, tools=[MESSAGES_TOOL])
        calls = [b for b in first.content if b.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": "sunny"} for c in calls]
        said = [b.model_dump(exclude_none=True) for b in first.content]
        history = [*_user(WEATHER), {"role": "assistant", "content": said}, *_user(results)]
        last = self._create(model, history, tools=[MESSAGES_TOOL])
        return [c.input["city"] for c in calls], last.content[0].text

    def structured(self, model: str) -> Person:
        return self._create(model, HELLO, output_format=Person).parsed_output

    def image(self, model: str) -> str:
        return self._create(model, _user(MESSAGES_IMAGE)).content[0].text

    def thinking(self, model: str) -> str | None:
        return next(
            b.thinking for b in self._create(model, HELLO, thinking=BUDGET).content if b.type == "thinking"
        )


class AnthropicAsync(Anthropic):
    def _create(self, model: str, content: Any, **more: Any) -> Any:
        more = {
            "max_tokens": 2048,
            "messages": _user(content) if isinstance(content, str) else content,
            **more,
        }

        async def ask() -> Any:
            async with self.reach.http_async() as http:
                client = anthropic.AsyncAnthropic(
                    api_key=self.key, base_url=self.reach.base, max_retries=0, **http
                )
                if more.pop("stream", False):
                    async with client.messages.stream(model=model, **more) as events:
                        return [text async for text in events.text_stream], await events.get_final_message()
                verb = client.messages.parse if "output_format" in more else client.messages.create
                return await verb(model=model, **more)

        return asyncio.run(ask())


# --- boto3 -------------------------------------------------------------------------------------------------

AWS = boto3.Session()  # whose clients share their classes of exceptions


class Boto3(Sdk):
    """Its calls are signed with the key; it brings its own transport and takes no other."""

    in_process = False

    @property
    def client(self) -> Any:
        return AWS.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=self.reach.base,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    @property
    def errors(self) -> dict[int, type[Exception]]:  # type: ignore[override]
        known = self.client.exceptions
        return {
            400: known.ValidationException,
            401: known.AccessDeniedException,
            404: known.ResourceNotFoundException,
            429: known.ThrottlingException,
        }

    def _create(self, model: str, *messages: Any, **more: Any) -> list[Any]:
        told = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
        return self.client.converse(modelId=model, messages=told, **more)["output"]["message"]["content"]

    def chat(self, model: str, said: str = HELLO) -> str:
        return self._create(model, [{"text": said}])[0]["text"]

    def stream(self, model: str) -> list[str]:
        asked = [{"role": "user", "content": [{"text": HELLO}]}]
        events = list(self.client.converse_stream(modelId=model, messages=asked)["stream"])
        assert [e["messageStop"]["stopReason"] for e in events if "messageStop" in e] == ["end_turn"]
        deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
        return [delta["text"] for delta in deltas if "text" in delta]

    def tools(self, model: str) -> tuple[list[str], str]:
        spec = {"name": "get_weather", "description": "The weather", "inputSchema": {"json": PARAMETERS}}
        asked, config = [{"text": WEATHER}], {"tools": [{"toolSpec": spec}]}
        first = self._create(model, asked, toolConfig=config)
        calls = [block["toolUse"] for block in first if "toolUse" in block]
        results = [
            {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "sunny"}]}} for call in calls
        ]
        said = {"role": "assistant", "content": first}
        last = self._create(model, asked, said, results, toolConfig=config)
        return [call["input"]["city"] for call in calls], last[0]["text"]

    def structured(self, model: str) -> Person:
        schema = {"name": "Person", "schema": json.dumps(Person.model_json_schema())}
        form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
        told = self._create(model, [{"text": HELLO}], outputConfig={"textFormat": form})
        return Person.model_validate_json(told[0]["text"])

    def image(self, model: str) -> str:
        picture = {"image": {"format": "png", "source": {"bytes": PNG}}}
        return self._create(model, [picture, {"text": LOOK}])[0]["text"]

    def thinking(self, model: str) -> str | None:
        told = self._create(
            model,
            [{"text": HELLO}],
            inferenceConfig={"maxTokens": 2048},
            additionalModelRequestFields={"thinking": BUDGET},
        )
        return told[0]["reasoningContent"]["reasoningText"]["text"]


# --- LangChain ---------------------------------------------------------------------------------------------


class LangChain(Sdk, ABC):
    @abstractmethod
    def _model(self, model: str, **more: Any) -> Any:
        """LangChain's chat model of one provider, reaching fungible."""

    def chat(self, model: str, said: str = HELLO) -> str:
        return self._model(model).invoke(said).text

    def stream(self, model: str) -> list[str]:
        return [chunk.text for chunk in self._model(model).stream(HELLO) if chunk.text]

    def tools(self, model: str) -> tuple[list[str], str]:
        from langchain_core.messages import HumanMessage, ToolMessage
        from langchain_core.tools import tool

        @tool
        def get_weather(city: str) -> str:
            """The weather in a city."""
            return "sunny"

        chat = self._model(model).bind_tools([get_weather])
        first = chat.invoke(WEATHER)
        results = [ToolMessage("sunny", tool_call_id=call["id"]) for call in first.tool_calls]
        last = chat.invoke([HumanMessage(WEATHER), first, *results])
        return [call["args"]["city"] for call in first.tool_calls], last.text

    def structured(self, model: str) -> Person:
        return self._model(model).with_structured_output(Person, method="json_schema").invoke(HELLO)

    def image(self, model: str) -> str:
        from langchain_core.messages import HumanMessage

        picture = {"type": "image", "base64": IMAGE, "mime_type": "image/png"}
        return self._model(model).invoke([HumanMessage([{"type": "text", "text": LOOK}, picture])]).text


class LangChainOpenAI(LangChain):
    errors = OpenAI.errors

    def _model(self, model: str, **more: Any) -> Any:
        from langchain_openai import ChatOpenAI

        url = f"{self.reach.base}/v1"
        return ChatOpenAI(
            model=model, api_key=self.key, base_url=url, max_retries=0, **self.reach.http(), **more
        )

    def thinking(self, model: str) -> str | None:
        answer = self._model(model, reasoning_effort="high").invoke(HELLO)
        assert answer.text == f"Hello from {model.partition('/')[0]}"
        found = [b["reasoning"] for b in answer.content_blocks if b["type"] == "reasoning"]
        return found[0] if found else None


class LangChainAnthropic(LangChain):
    errors = Anthropic.errors

    def _model(self, model: str, **more: Any) -> Any:
        from langchain_anthropic import ChatAnthropic

        chat = ChatAnthropic(
            model=model, api_key=self.key, base_url=self.reach.base, max_retries=0, max_tokens=2048, **more
        )
        if self.reach.client is not None:  # it takes no HTTP client, only the SDK's client in its place
            inner = anthropic.Anthropic(
                api_key=self.key, base_url=self.reach.base, max_retries=0, **self.reach.http()
            )
            chat.__dict__["_client"] = inner
        return chat

    def thinking(self, model: str) -> str | None:
        answer = self._model(model, thinking=BUDGET).invoke(HELLO)
        return next(b["reasoning"] for b in answer.content_blocks if b["type"] == "reasoning")


# --- pydantic-ai -------------------------------------------------------------------------------------------


class PydanticAI(Sdk, ABC):
    @abstractmethod
    def _model(self, model: str, http: dict[str, Any]) -> Any:
        """pydantic-ai's model of one provider, reaching fungible."""

    settings: dict[str, Any]

    def _ask(self, model: str, ask: Callable[[Any], Coroutine[Any, Any, Any]], **more: Any) -> Any:
        from pydantic_ai import Agent

        async def asked() -> Any:
            async with self.reach.http_async() as http:
                return await ask(Agent(self._model(model, http), **more))

        return asyncio.run(asked())

    def chat(self, model: str, said: str = HELLO) -> str:
        return self._ask(model, lambda agent: agent.run(said)).output

    def stream(self, model: str) -> list[str]:
        async def pieces(agent: Any) -> list[str]:
            async with agent.run_stream(HELLO) as result:
                return [text async for text in result.stream_text(delta=True, debounce_by=None)]

        return self._ask(model, pieces)

    def tools(self, model: str) -> tuple[list[str], str]:
        cities: list[str] = []

        def get_weather(city: str) -> str:
            """The weather in a city."""
            cities.append(city)
            return "sunny"

        said = self._ask(model, lambda agent: agent.run(WEATHER), tools=[get_weather]).output
        return sorted(cities, reverse=True), said

    def structured(self, model: str) -> Person:
        from pydantic_ai import NativeOutput

        return self._ask(model, lambda agent: agent.run(HELLO), output_type=NativeOutput(Person)).output

    def image(self, model: str) -> str:
        from pydantic_ai import BinaryContent

        return self._ask(model, lambda a: a.run([LOOK, BinaryContent(PNG, media_type="image/png")])).output

    def thinking(self, model: str) -> str | None:
        from pydantic_ai.messages import ThinkingPart

        result = self._ask(model, lambda agent: agent.run(HELLO), model_settings=self.settings)
        return next(p.content for m in result.all_messages() for p in m.parts if isinstance(p, ThinkingPart))


def _model_errors() -> dict[int, type[Exception]]:
    from pydantic_ai import exceptions

    return {
        400: exceptions.ModelHTTPError,
        401: exceptions.ModelAuthenticationError,
        404: exceptions.ModelNotFoundError,
        429: exceptions.ModelRateLimitError,
    }


class PydanticAIOpenAI(PydanticAI):
    errors = _model_errors()
    settings = {"openai_reasoning_effort": "high"}

    def _model(self, model: str, http: dict[str, Any]) -> Any:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        client = openai.AsyncOpenAI(api_key=self.key, base_url=f"{self.reach.base}/v1", max_retries=0, **http)
        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))


class PydanticAIAnthropic(PydanticAI):
    errors = _model_errors()
    settings = {"anthropic_thinking": BUDGET}

    def _model(self, model: str, http: dict[str, Any]) -> Any:
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.profiles.anthropic import AnthropicModelProfile
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = anthropic.AsyncAnthropic(api_key=self.key, base_url=self.reach.base, max_retries=0, **http)
        # It goes by the names it knows in what a model can do; of others it has to be told.
        profile = AnthropicModelProfile(supports_json_schema_output=True)
        return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client), profile=profile)
