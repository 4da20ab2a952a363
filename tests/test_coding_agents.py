"""Coding agents as clients, on targets of other dialects: their way of calling, turn after turn, by the official SDKs.

One agent speaks anthropic.messages: tools, thinking, cache marks at the system, the last tool and the last message,
which moves on with each turn, and `count_tokens` before it asks. The other speaks openai.responses: nothing is stored,
and its reasoning comes back sealed in every turn. Each target thinks, calls a tool, and answers once it has the result;
what it signed it must get back.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.answering import alpha_chunks
from tests.converse_wire import streamed
from tests.serving import Running
from tests.test_sdks_responses import gamma_events
from tests.upstream import JSON, Seen, Step, Upstream, answer, stream

SIGNATURE = "c2lnbmVkIGJ5IGl0cyBtYWtlcg=="
THOUGHT = "The file has to be read first."
CALL: dict[str, Any] = {"path": "src/main.py"}
DONE = "Greets."
MORE = """
[provider.google]
dialect = "gemini.generate_content"
base_url = "{google}"
key = "env:TEST_KEY"

[provider.sealed]
dialect = "openai.responses"
base_url = "{sealed}/v1"
key = "env:TEST_KEY"

[model."sealed/four"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00

[provider.bed]
dialect = "bedrock.converse"
base_url = "{bed}"
key = "env:TEST_KEY"

[model."google/three"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00

[model."bed/us.anthropic.claude-x-v1:0"]
input_usd_per_mtok = 1.00
output_usd_per_mtok = 2.00
"""


def chat_reply(seen: Seen) -> list[Step]:
    """openai.chat, with the thought in the clear."""
    message: dict[str, Any] = {"role": "assistant", "content": DONE}
    if seen.json["messages"][-1]["role"] != "tool":
        function = {"name": "read_file", "arguments": json.dumps(CALL)}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "reasoning_content": THOUGHT, "tool_calls": calls}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return stream(*alpha_chunks(message, "tool_calls" if message["content"] is None else "stop", usage))


def google_reply(seen: Seen) -> list[Step]:
    """gemini.generate_content, with the signature at the call."""
    if ":countTokens" in seen.path:
        return answer(200, JSON, {"totalTokens": 42})
    parts: list[Any] = [{"text": DONE}]
    if "functionResponse" not in json.dumps(seen.json["contents"][-1]):
        call = {"functionCall": {"name": "read_file", "args": CALL}, "thoughtSignature": SIGNATURE}
        parts = [{"text": THOUGHT, "thought": True}, call]
    names = {"modelVersion": "three", "responseId": "r1"}
    frames: list[Any] = [
        {"candidates": [{"content": {"parts": [part], "role": "model"}}], **names} for part in parts
    ]
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    frames.append({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage, **names})
    return stream(*(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n" for frame in frames))


def bed_reply(seen: Seen) -> list[Step]:
    """bedrock.converse, with the signature at the thought."""
    if seen.path.endswith("count-tokens"):
        return answer(200, JSON, {"inputTokens": 42})
    if "toolResult" in json.dumps(seen.json["messages"][-1]):
        return streamed([{"text": DONE}], "end_turn", False)
    thought = {"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}}
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "read_file", "input": CALL}}
    return streamed([thought, use], "tool_use", False)


def sealed_reply(seen: Seen) -> list[Step]:
    """openai.responses."""
    text = {"type": "output_text", "text": DONE, "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    return stream(
        *gamma_events(
            {
                "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "four",
                "output": [message], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
                "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
            }
        )
    )  # fmt: skip


class Stage:
    def __init__(self, running: Running, upstreams: dict[str, Upstream]) -> None:
        self.running, self.upstreams = running, upstreams
        self.claude = anthropic.Anthropic(api_key=running.key, base_url=running.url, max_retries=0)
        self.codex = openai.OpenAI(api_key=running.key, base_url=f"{running.url}/v1", max_retries=0)

    def sent(self, model: str) -> Seen:
        return self.upstreams[model.partition("/")[0]].seen[-1]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        Upstream(chat_reply) as alpha,
        Upstream(google_reply) as google,
        Upstream(bed_reply) as bed,
        Upstream(sealed_reply) as sealed,
    ):
        more = MORE.format(google=google.base, bed=bed.base, sealed=sealed.base)
        running = Running(tmp_path_factory.mktemp("agents"), alpha.base, alpha.base, more=more)
        yield Stage(running, {"alpha": alpha, "google": google, "bed": bed, "sealed": sealed})
        running.close()


CHAT, GOOGLE, BED = "alpha/one", "google/three", "bed/us.anthropic.claude-x-v1:0"
SEALED = "sealed/four"  # openai.responses
TARGETS = pytest.mark.parametrize("model", [CHAT, GOOGLE, BED])

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def asks(*messages: Any) -> Any:
    """As an agent that speaks Messages asks, the mark on the last of what it sends."""
    history = json.loads(json.dumps(messages))
    history[-1]["content"][-1]["cache_control"] = MARK
    return {
        "system": [
            {"type": "text", "text": "You are a coding agent.", "cache_control": HOUR},
            {"type": "text", "text": "The working directory is /src.", "cache_control": HOUR},
        ],
        "tools": [
            {"name": "run", "description": "Run a command", "input_schema": SCHEMA},
            {
                "name": "read_file",
                "description": "Read a file",
                "input_schema": SCHEMA,
                "cache_control": HOUR,
            },
        ],
        "thinking": {"type": "enabled", "budget_tokens": 4096},
        "messages": history,
    }


def turn(stage: Stage, model: str, *messages: Any) -> tuple[anthropic.types.Message, str]:
    """The answer, and what the losses' header says."""
    with stage.claude.messages.stream(model=model, max_tokens=32_000, **asks(*messages)) as events:
        return events.get_final_message(), events.response.headers["x-fungible-losses"]


ASKED = {"role": "user", "content": [{"type": "text", "text": "What does src/main.py do?"}]}


def turns(stage: Stage, model: str) -> tuple[Any, Any, str]:
    """Both answers of an agent that speaks Messages, and the losses of the second."""
    first, _ = turn(stage, model, ASKED)
    said = {"role": "assistant", "content": [block.to_dict() for block in first.content]}
    use = next(block for block in first.content if block.type == "tool_use")
    result = {
        "type": "tool_result",
        "tool_use_id": use.id,
        "content": [{"type": "text", "text": "print('Hi')"}],
    }
    second, losses = turn(stage, model, ASKED, said, {"role": "user", "content": [result]})
    return first, second, losses


@TARGETS
def test_messages_with_tools_and_thinking_turn_after_turn(stage: Stage, model: str) -> None:
    first, second, _ = turns(stage, model)
    *thoughts, use = first.content
    assert "".join(t.thinking for t in thoughts) == THOUGHT and thoughts[0].type == "thinking"
    assert (use.type, use.name, use.input, first.stop_reason) == ("tool_use", "read_file", CALL, "tool_use")
    assert (second.content[0].text, second.stop_reason) == (DONE, "end_turn")
    assert second.usage.output_tokens == 7 and second.usage.input_tokens == 11
    sent = stage.sent(model).body.decode()
    assert "print('Hi')" in sent and "You are a coding agent." in sent and "Run a command" in sent


@pytest.mark.parametrize("model", [GOOGLE, BED])
def test_a_signed_thought_goes_home(stage: Stage, model: str) -> None:
    turns(stage, model)
    sent = stage.sent(model).body.decode()
    assert SIGNATURE in sent and THOUGHT in sent


def test_a_thought_that_a_target_takes_no_more_is_told(stage: Stage) -> None:
    _, _, losses = turns(stage, CHAT)
    assert THOUGHT not in stage.sent(CHAT).body.decode()
    assert "messages[1].content[0];dropped" in losses, losses


def test_cache_marks_stand_in_a_target_that_has_them(stage: Stage) -> None:
    _, _, losses = turns(stage, BED)
    sent = stage.sent(BED).json
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert sent["system"][1] == sent["system"][3] == hour
    assert sent["toolConfig"]["tools"][-1] == hour
    assert sent["messages"][-1]["content"][-1] == {"cachePoint": {"type": "default"}}
    assert "cache_control" not in losses, losses


def test_cache_marks_are_told_where_a_target_has_none(stage: Stage) -> None:
    _, _, losses = turns(stage, GOOGLE)
    marks = ("system[0]", "system[1]", "tools[1]", "messages[2].content[0]")
    assert all(f"{mark}.cache_control;dropped" in losses for mark in marks), losses


def test_cache_marks_that_a_target_has_only_in_texts(stage: Stage) -> None:
    _, _, losses = turns(stage, CHAT)
    system = stage.sent(CHAT).json["messages"][0]["content"]
    assert [part["prompt_cache_breakpoint"]["mode"] for part in system] == ["explicit", "explicit"]
    assert "system[1].cache_control.ttl;approximated" in losses, losses
    assert "tools[1].cache_control;dropped" in losses, losses


def test_a_count_of_tokens_that_nobody_made_is_said_to_be_an_estimate(stage: Stage) -> None:
    before = len(stage.upstreams["alpha"].seen)
    raw = stage.claude.messages.with_raw_response.count_tokens(model=CHAT, **asks(ASKED))
    assert raw.headers["x-fungible-estimated"] == "input_tokens"
    assert 50 < raw.parse().input_tokens < 400 and len(stage.upstreams["alpha"].seen) == before


@pytest.mark.parametrize("model", [GOOGLE, BED])
def test_tokens_are_counted_by_a_provider_of_another_dialect(stage: Stage, model: str) -> None:
    raw = stage.claude.messages.with_raw_response.count_tokens(model=model, **asks(ASKED))
    assert raw.parse().input_tokens == 42 and "x-fungible-estimated" not in raw.headers
    assert "You are a coding agent" in stage.sent(model).body.decode()


# --- an agent that speaks openai.responses ---------------------------------------------------------

FUNCTION: Any = {
    "type": "function",
    "name": "read_file",
    "description": "Read",
    "parameters": SCHEMA,
    "strict": False,
}
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Change a file",
    "format": {"type": "text"},
}


def answered(stage: Stage, model: str, history: list[Any]) -> tuple[Any, str]:
    with stage.codex.responses.stream(
        model=model,
        instructions="You are a coding agent.",
        input=history,
        tools=[FUNCTION, PATCH],
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
        parallel_tool_calls=True,
        prompt_cache_key="session-1",
    ) as events:
        return events.get_final_response(), events._response.headers["x-fungible-losses"]


@TARGETS
def test_responses_with_sealed_reasoning_turn_after_turn(stage: Stage, model: str) -> None:
    history: list[Any] = [{"type": "message", "role": "user", "content": "What does src/main.py do?"}]
    first, _ = answered(stage, model, history)
    *thoughts, call = first.output
    assert {item.type for item in thoughts} == {"reasoning"} and call.type == "function_call"
    assert thoughts[0].summary[0].text == THOUGHT and json.loads(call.arguments) == CALL
    history += [item.to_dict() for item in first.output]  # by no id of the answer: nothing is stored
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "print('Hi')"})
    second, losses = answered(stage, model, history)
    assert second.output_text == DONE
    sent = stage.sent(model).body.decode()
    assert "print('Hi')" in sent and (SIGNATURE in sent) is (model != CHAT)
    assert "Change a file" in sent and ("tools[1];approximated" in losses) is (model != CHAT)
    assert "prompt_cache_key;dropped" in losses and "include" not in losses, losses


@pytest.mark.parametrize("model", [GOOGLE, BED])
def test_a_seal_is_in_every_turn_s_items(stage: Stage, model: str) -> None:
    first, _ = answered(stage, model, [{"role": "user", "content": "What does src/main.py do?"}])
    sealed = [item.encrypted_content for item in first.output if item.type == "reasoning"]
    assert base64.b64decode(sealed[-1]).endswith(f":{SIGNATURE}".encode())  # with the name of its maker


def test_the_seals_of_thoughts_are_asked_for_where_they_do_not_come_unasked(stage: Stage) -> None:
    """A client that asks for thinking has to be given them, or they never go home."""
    turn(stage, SEALED, ASKED)
    assert stage.sent(SEALED).json["include"] == ["reasoning.encrypted_content"]


@TARGETS
def test_an_answer_that_is_not_stored_cannot_be_named(stage: Stage, model: str) -> None:
    first, _ = answered(stage, model, [{"role": "user", "content": "Hello"}])
    with pytest.raises(openai.NotFoundError):
        stage.codex.responses.retrieve(first.id)
