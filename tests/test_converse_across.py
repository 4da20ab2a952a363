"""bedrock.converse with every other dialect: the known breakers there and back, and bodies that boto3 takes.

A breaker is said once, in Converse; each other dialect carries it, and what comes home still says it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fungible.dialects import DIALECTS
from fungible.translate import Translation, translate

from . import sdk_types
from .converse_bodies import CONVERSE, POINT, asks, converse, gives, says, spec, uses
from .golden import inputs
from .wires import PNG

OTHERS = sorted(set(DIALECTS) - {CONVERSE})
through = pytest.mark.parametrize("other", OTHERS)
TOOLS = {"tools": [spec("f"), spec("g")]}


def there(body: Any, other: str, kind: str = "request") -> Translation:
    done = translate(body, source=CONVERSE, target=other, kind=kind, model="m" if kind == "request" else None)
    assert sdk_types.complaints(other, kind, done.body) == []
    return done


def home(done: Translation, other: str, kind: str = "request") -> Any:
    body = translate(done.body, source=other, target=CONVERSE, kind=kind).body
    assert sdk_types.complaints(CONVERSE, kind, body) == []
    return body


def blocks(body: Any, kind: str) -> Iterator[Any]:
    for message in body["messages"]:
        yield from (block[kind] for block in message["content"] if kind in block)


@through
def test_parallel_calls_answered_out_of_order_stay_with_their_results(other: str) -> None:
    body = converse(
        asks("Go."),
        says(uses("call_a", "f", {"x": 1}), uses("call_b", "g", {})),
        asks(gives("call_b", {"text": "second"}), gives("call_a", {"text": "first"}), "And?"),
        toolConfig=TOOLS,
    )
    back = home(there(body, other), other)
    names = {call["toolUseId"]: call["name"] for call in blocks(back, "toolUse")}
    said = {names[r["toolUseId"]]: json.dumps(r["content"]) for r in blocks(back, "toolResult")}
    assert "first" in said["f"] and "second" in said["g"] and len(names) == 2
    assert [call["input"] for call in blocks(back, "toolUse")] == [{"x": 1}, {}]
    assert [m["role"] for m in back["messages"]] == ["user", "assistant", "user"]


@through
def test_a_history_of_calls_without_tools(other: str) -> None:
    body = converse(asks("Go."), says(uses("call_a", "f", {})), asks(gives("call_a", {"text": "1"}), "And?"))
    back = home(there(body, other), other)
    assert [t["toolSpec"]["name"] for t in back["toolConfig"]["tools"]] == ["f"]
    assert len(list(blocks(back, "toolResult"))) == 1


@through
def test_an_image_inside_a_result_arrives_or_is_reported(other: str) -> None:
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    body = converse(
        asks("Go."),
        says(uses("call_a", "f", {})),
        asks(gives("call_a", {"text": "see"}, image)),
        toolConfig=TOOLS,
    )
    done = there(body, other)
    at = "messages[2].content[0].toolResult.content[1]"
    dropped = [loss for loss in done.losses if loss.kind == "dropped" and at.startswith(loss.path)]
    assert (PNG in json.dumps(done.body)) is not bool(dropped)


@through
def test_a_failed_result_says_so(other: str) -> None:
    body = converse(
        asks("Go."),
        says(uses("call_a", "f", {})),
        asks(gives("call_a", {"text": "no such city"}, status="error")),
        toolConfig=TOOLS,
    )
    done = there(body, other)
    back = next(blocks(home(done, other), "toolResult"))
    assert back.get("status") == "error" or "rror" in json.dumps(back["content"])


@through
def test_cache_points_at_every_level_are_carried_or_reported(other: str) -> None:
    body = converse(
        asks("A long text.", POINT, "And now?"),
        system=[{"text": "Be brief."}, POINT],
        toolConfig={"tools": [spec("f"), POINT]},
    )
    done = there(body, other)
    marks = json.dumps(home(done, other)).count("cachePoint")
    reported = [loss for loss in done.losses if loss.why in ("cache_mark", "cache_lifetime")]
    assert marks + len(reported) >= 3 and marks <= 3


@through
def test_what_only_this_wire_has_is_reported_by_name(other: str) -> None:
    guard = {"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT", "trace": "enabled"}
    body = converse(
        asks("Hello"),
        guardrailConfig=guard,
        performanceConfig={"latency": "optimized"},
        promptVariables={"city": {"text": "Oslo"}},
        additionalModelRequestFields={"vendor_knob": 3},
        additionalModelResponseFieldPaths=["/x"],
    )
    lost = {loss.path for loss in there(body, other).losses if loss.kind == "dropped"}
    assert lost >= {
        "guardrailConfig",
        "performanceConfig",
        "promptVariables",
        "additionalModelRequestFields.vendor_knob",
        "additionalModelResponseFieldPaths",
    }
    assert translate(body, source=CONVERSE, target=CONVERSE).body == body


@through
def test_signed_reasoning_comes_home_or_its_signature_is_reported(other: str) -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}}
    body = converse(
        asks("Go."),
        says(thought, uses("call_a", "f", {})),
        asks(gives("call_a", {"text": "1"})),
        toolConfig=TOOLS,
    )
    done = there(body, other)
    lost = any(loss.why in ("thinking", "thinking_signature") for loss in done.losses)
    assert ("c2ln" in json.dumps(home(done, other))) is not lost


@through
@pytest.mark.parametrize("stop", ["guardrail_intervened", "content_filtered", "max_tokens", "tool_use"])
def test_a_stop_reason_is_not_mistaken_for_a_good_end(stop: str, other: str) -> None:
    content = [uses("call_a", "f", {})] if stop == "tool_use" else [{"text": "Hi"}]
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": usage,
    }
    done = translate(body, source=CONVERSE, target=other, kind="response")
    back = translate(done.body, source=other, target=CONVERSE, kind="response").body
    reported = any(loss.path.startswith("stopReason") for loss in done.losses)
    assert back["stopReason"] == stop or reported


@pytest.mark.parametrize("given", list(inputs()), ids=lambda p: p.parent.name)
def test_what_is_written_of_every_golden_story_is_what_boto3_takes(given: Path) -> None:
    source, _, kind = given.stem.rpartition(".")
    text = given.read_text(encoding="utf-8")
    done = translate(
        text if kind == "stream" else json.loads(text), source=source, target=CONVERSE, kind=kind
    )
    if kind == "error":
        assert done.body["status"] >= 400 and isinstance(done.body["body"]["message"], str)
    elif "failed" not in given.parent.name:  # a stream that ends with an exception has no end to be checked
        assert sdk_types.complaints(CONVERSE, kind, done.body) == []
