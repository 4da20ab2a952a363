"""Tools of free text: carried between the two dialects that have them, stood in for by a function in the others.

The official openai SDK is the client, of both APIs; the providers are scripted, one in each dialect.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fungible
from fungible.dialects import DIALECTS
from fungible.dialects.freetext import HEAD, TAIL, Freeing, as_function_call, escaped, freed
from fungible.events import ArgumentsDelta, PartBegin, PartEnd, assemble, disassemble
from fungible.ir import Choice, Reply, Request, Stop, Text, Thinking, ToolCall, Usage
from fungible.losses import Report

from .strategies import texts
from .upstream import JSON, Seen, Step, Upstream, answer

PATCH = '*** Begin\n-x = "a"\n+y = "🌊\\n"\n*** End'
NAMES = frozenset({"patch"})

GRAMMAR = {"syntax": "lark", "definition": "start: /.+/s"}
CHAT_TOOL: Any = {
    "type": "custom",
    "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}},
}
RESPONSES_TOOL: Any = {"type": "custom", "name": "patch", "format": {"type": "grammar", **GRAMMAR}}

PROVIDERS = {  # provider -> its dialect, and whether it has tools of free text
    "whole": ("openai.chat", True),
    "compatible": ("openai.chat", False),
    "answering": ("openai.responses", True),
    "claude": ("anthropic.messages", False),
    "google": ("gemini.generate_content", False),
    "cloud": ("bedrock.converse", False),
    "llama": ("ollama.chat", False),
    "command": ("cohere.chat", False),
}
EVERY = pytest.mark.parametrize("name", PROVIDERS)
WHOLE_CALLS = {"google", "llama"}  # dialects whose streams tell a call in one piece
QUIRKS = {"compatible": 'quirks = ["no_custom_tools"]'}


class Provider:
    """Answers the first turn with a call and the next with words, in whatever dialect it is asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[Any] = []

    def __call__(self, seen: Seen) -> list[Step]:
        name, _, path = seen.path[1:].partition("/")
        spoken, has = PROVIDERS[name]
        dialect = DIALECTS[spoken]
        asked = dialect.read_request(seen.body)
        self.requests.append(asked)
        self.bodies.append(seen.json)
        streams = asked.stream or "stream" in path.casefold()
        reply = self.reply(asked, has)
        if not streams:
            return answer(200, JSON, dialect.write_reply(reply, Report()))
        events = [
            cut
            for event in disassemble(reply)
            for cut in (
                [msgspec.structs.replace(event, text=c) for c in event.text]
                if isinstance(event, ArgumentsDelta)
                else [event]
            )
        ]
        return answer(200, dialect.stream_type, dialect.stream_writer(Report(), True).write(events))

    def reply(self, asked: Request, has: bool) -> Reply:
        thought = Thinking(text="Hm.", signature="c2lnbmVk")
        call = ToolCall(id="call_1", name="patch", arguments=PATCH, custom=True)
        parts = (thought, call if has else as_function_call(call, Report()))
        if asked.messages[-1].role == "tool":
            parts = (Text(text="Applied."),)  # type: ignore[assignment]
        stop = Stop(reason="end" if len(parts) == 1 else "tool")
        return Reply(
            id="r1",
            model="m",
            choices=(Choice(parts=parts, stop=stop),),
            usage=Usage(input_tokens=11, output_tokens=7),
        )


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[openai.OpenAI]:
    folder: Path = tmp_path_factory.mktemp("free")
    with Upstream(provider) as upstream, pytest.MonkeyPatch.context() as patch:
        rows = [
            f'[provider.{name}]\ndialect = "{dialect}"\nbase_url = "{upstream.base}/{name}"\n'
            f'key = "env:TEST_KEY"\n{QUIRKS.get(name, "")}\n'
            for name, (dialect, _) in PROVIDERS.items()
        ]
        config = folder / "fungible.toml"
        config.write_text(f'[server]\nstate = "{folder / "state"}"\n' + "\n".join(rows))
        patch.setenv("TEST_KEY", "provider-secret")
        with fungible.Client(config=str(config)) as client:
            yield openai.OpenAI(
                api_key="x", base_url="http://fungible/v1", http_client=client.http(), max_retries=0
            )


# --- the SDK's two APIs, on every dialect -------------------------------------------------------------------


def sent_back(provider: Provider, name: str) -> tuple[bool, str]:
    """How the call of the first turn came to its provider in the second: as free text, or as JSON."""
    (call,) = [part for m in provider.requests[-1].messages for part in m.parts if isinstance(part, ToolCall)]
    assert (call.name, call.custom) == ("patch", PROVIDERS[name][1])
    assert provider.requests[-1].messages[-1].role == "tool"
    return call.custom, call.arguments if call.custom else json.loads(call.arguments)["input"]


CHAT_ASKED: list[Any] = [{"role": "user", "content": "Rename x to y."}]
CHAT_CHOICE: Any = {"type": "custom", "custom": {"name": "patch"}}


def again(call: Any, asked: list[Any]) -> list[Any]:
    called = {"id": call.id, "type": "custom", "custom": {"name": "patch", "input": call.custom.input}}
    return [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": call.id, "content": "done"},
    ]


@EVERY
def test_a_chat_completion_calls_in_free_text_and_goes_on(
    sdk: openai.OpenAI, provider: Provider, name: str
) -> None:
    chat = sdk.chat.completions
    asked = {"model": f"{name}/m", "tools": [CHAT_TOOL]}
    raw = chat.with_raw_response.create(**asked, messages=CHAT_ASKED, tool_choice=CHAT_CHOICE)
    message = raw.parse().choices[0].message
    (call,) = message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "patch", PATCH)
    assert GRAMMAR["definition"] in json.dumps(provider.bodies[-1])
    has = PROVIDERS[name][1]
    assert ("tools[0].custom;approximated" in raw.headers["x-fungible-losses"]) is not has
    reply = chat.create(**asked, messages=again(call, CHAT_ASKED))
    assert reply.choices[0].message.content == "Applied."
    assert sent_back(provider, name) == (has, PATCH)


@EVERY
def test_a_chat_completion_streams_free_text(sdk: openai.OpenAI, provider: Provider, name: str) -> None:
    with sdk.chat.completions.create(
        model=f"{name}/m", messages=CHAT_ASKED, tools=[CHAT_TOOL], stream=True
    ) as chunks:
        told = [c for chunk in chunks if chunk.choices for c in chunk.choices[0].delta.tool_calls or ()]
    assert (told[0].id, told[0].type) == ("call_1", "custom")
    pieces = [(c.model_extra or {}).get("custom", {}).get("input", "") for c in told]
    assert "".join(pieces) == PATCH
    if name not in WHOLE_CALLS:
        assert len(pieces) > 9


@EVERY
def test_a_response_calls_in_free_text_and_goes_on(sdk: openai.OpenAI, provider: Provider, name: str) -> None:
    asked: Any = {"model": f"{name}/m", "tools": [RESPONSES_TOOL], "store": False}
    first: Any = [{"role": "user", "content": "Rename x to y."}]
    reply = sdk.responses.create(**asked, input=first, tool_choice={"type": "custom", "name": "patch"})
    call = next(item for item in reply.output if item.type == "custom_tool_call")
    assert (call.name, call.input) == ("patch", PATCH)
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    back = [item.model_dump(exclude_none=True) for item in reply.output]
    assert sdk.responses.create(**asked, input=[*first, *back, result]).output_text == "Applied."
    assert sent_back(provider, name) == (PROVIDERS[name][1], PATCH)


@EVERY
def test_a_response_streams_free_text(sdk: openai.OpenAI, provider: Provider, name: str) -> None:
    with sdk.responses.stream(
        model=f"{name}/m", input="Rename x to y.", tools=[RESPONSES_TOOL], store=False
    ) as events:
        told = list(events)
        whole = events.get_final_response()
    pieces = [e.delta for e in told if e.type == "response.custom_tool_call_input.delta"]
    ends = [e.input for e in told if e.type == "response.custom_tool_call_input.done"]
    assert "".join(pieces) == PATCH and ends == [PATCH]
    if name not in WHOLE_CALLS:
        assert len(pieces) > 9
    (call,) = [item for item in whole.output if item.type == "custom_tool_call"]
    assert (call.call_id, call.name, call.input) == ("call_1", "patch", PATCH)


# --- what a stand-in's arguments say ------------------------------------------------------------------------

SAID = {  # the arguments a model wrote -> the text its caller is told
    '{"input": "abc"}': "abc",
    ' {\n "input" :"a\\nb" } ': "a\nb",
    '{"input":"\\ud83c\\udf0a"}': "🌊",
    '{"input":"cut sh': "cut sh",
    '{"input":"cut in an escape\\': "cut in an escape\\",
    '{"inp': "",
    '{"input":"\\d+"}': "\\d+",  # an escape that is none
    "": "",
    "{}": "",
    '{"input":""}': "",
    '{"\\u0069nput":"spelled otherwise"}': "spelled otherwise",
    "no JSON at all": "no JSON at all",
    '{"patch":"another field"}': '{"patch":"another field"}',
    '{"input":7}': '{"input":7}',
}


def _reply(arguments: str) -> Reply:
    return Reply(
        id="r",
        model="m",
        choices=(Choice(parts=(ToolCall(id="c", name="patch", arguments=arguments, at="p"),)),),
    )


@pytest.mark.parametrize("arguments", SAID)
def test_what_a_stand_in_was_told_is_the_text(arguments: str) -> None:
    report = Report()
    assert freed(_reply(arguments), NAMES, report).choices[0].parts == (
        ToolCall(id="c", name="patch", arguments=SAID[arguments], custom=True),
    )
    assert not report.losses


def test_what_stands_beside_the_field_is_told_as_lost() -> None:
    report = Report()
    (part,) = freed(_reply('{"input":"abc","why":"x"}'), NAMES, report).choices[0].parts
    assert isinstance(part, ToolCall) and part.arguments == "abc"
    assert [(loss.path, loss.kind, loss.why) for loss in report.losses] == [
        ("p.arguments", "dropped", "custom_tool")
    ]


def test_a_call_of_another_tool_is_left_alone() -> None:
    reply = _reply('{"input":"abc"}')
    assert freed(reply, frozenset({"other"}), Report()) is reply


WRITTEN = st.one_of(st.sampled_from(sorted(SAID)), texts.map(lambda text: HEAD + escaped(text) + TAIL))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # the alphabet is made at first use
@given(WRITTEN, st.lists(st.integers(0, 40), max_size=6))
def test_a_stream_says_what_a_plain_answer_says_wherever_it_is_cut(arguments: str, at: list[int]) -> None:
    cuts = sorted(min(n, len(arguments)) for n in at)
    pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
    begun = ToolCall(id="c", name="patch", arguments="", at="p")
    freeing = Freeing(NAMES, Report())
    events = [e for piece in pieces for e in freeing.all([ArgumentsDelta(piece, 1)])]
    assert events == [ArgumentsDelta(piece, 1) for piece in pieces]  # before it began it is nobody's
    events = freeing.all([PartBegin(begun)])
    for piece in pieces:
        events += freeing.all([ArgumentsDelta(piece)])
    events += freeing.all([PartEnd()])
    assert assemble(events).choices[0].parts == freed(_reply(arguments), NAMES, Report()).choices[0].parts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts)
def test_any_text_comes_back_from_its_stand_in(text: str) -> None:
    call = ToolCall(id="c", name="patch", arguments=text, custom=True)
    stand_in = as_function_call(call, Report())
    assert json.loads(stand_in.arguments) == {"input": text}
    (back,) = freed(_reply(stand_in.arguments), NAMES, Report()).choices[0].parts
    assert back == call


# --- what is refused ----------------------------------------------------------------------------------------

BAD = [
    ({"type": "custom"}, "tools[0].custom"),
    ({"type": "custom", "custom": {}}, "tools[0].custom.name"),
    ({"type": "custom", "custom": {"name": "n", "format": "text"}}, "tools[0].custom.format"),
    (
        {"type": "custom", "custom": {"name": "n", "format": {"type": "grammar"}}},
        "tools[0].custom.format.grammar",
    ),
]


@pytest.mark.parametrize(("tool", "path"), BAD)
def test_a_wrong_tool_is_refused_by_its_path(sdk: openai.OpenAI, tool: Any, path: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model="claude/m", messages=CHAT_ASKED, tools=[tool])
    assert refused.value.param == path


def test_a_form_that_nobody_knows_yet_goes_back_and_is_told_as_lost() -> None:
    form = {"type": "x_form", "depth": 3}
    body = {
        "model": "m",
        "messages": CHAT_ASKED,
        "tools": [{"type": "custom", "custom": {"name": "patch", "format": form}}],
    }
    same = fungible.translate(body, source="openai.chat", target="openai.chat")
    assert same.body == body and not same.losses
    other = fungible.translate(body, source="openai.chat", target="openai.responses")
    assert [loss.path for loss in other.losses] == ["tools[0].custom.format"]


def test_a_choice_says_the_kind_of_its_tool() -> None:
    chosen = {"mode": "required", "tools": [CHAT_CHOICE, {"type": "function", "function": {"name": "look"}}]}
    body = {
        "model": "m",
        "messages": CHAT_ASKED,
        "tools": [CHAT_TOOL, {"type": "function", "function": {"name": "look", "strict": True}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": chosen},
    }
    done = fungible.translate(body, source="openai.chat", target="openai.responses")
    assert not done.losses
    assert done.body["tool_choice"]["tools"] == [
        {"type": "custom", "name": "patch"},
        {"type": "function", "name": "look"},
    ]
    back = fungible.translate(done.body, source="openai.responses", target="openai.chat")
    assert back.body == body and not back.losses
