"""Oddities of recorded traffic in openai.chat: each was seen, and each is read for what it means."""

import json
from functools import cache
from typing import Any

import pytest

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS
from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault
from fungible.losses import Report

from . import recordings

pytestmark = recordings.needs_recordings


@cache
def answers() -> dict[str, Any]:
    """id -> what was answered: the body, or a stream's text; Mistral's too, which differ in few things."""
    both = [*recordings.exchanges("openai.chat"), *recordings.exchanges("mistral.chat")]
    return {record["id"]: record["response"]["body"] for record in both}


def plain(id_: str) -> ir.Reply:
    return DIALECT.read_reply(json.dumps(answers()[id_]).encode())


def events(id_: str) -> list[ev.StreamEvent]:
    reader = DIALECT.stream_reader()
    return reader.feed(answers()[id_].encode()) + reader.end()


def streamed(id_: str) -> ir.Reply:
    return ev.assemble(events(id_))


def calls(reply: ir.Reply) -> list[tuple[str, str, str]]:
    return [(p.id, p.name, p.arguments) for p in reply.choices[0].parts if isinstance(p, ir.ToolCall)]


def words(reply: ir.Reply, kind: type[ir.Text] | type[ir.Thinking] = ir.Text) -> str:
    return "".join(p.text for p in reply.choices[0].parts if isinstance(p, kind))


def test_an_error_in_the_middle_of_a_stream_with_a_status_of_its_own() -> None:
    last = events("w1685f479e81bce")[-1]
    assert isinstance(last, ev.Failed)
    assert (last.fault.kind, last.fault.code, last.fault.status) == ("bad_request", "tool_use_failed", 400)


def test_an_error_as_the_first_event_of_a_stream() -> None:
    told = events("w3fdc27ad8d99fa")
    assert [type(e) for e in told] == [ev.Failed]
    assert isinstance(told[0], ev.Failed) and told[0].fault.kind == "provider_error"


def test_an_error_inside_a_200() -> None:
    for read in (DIALECT.read_reply, DIALECT.read_usage):
        with pytest.raises(Fault) as caught:
            read(json.dumps(answers()["w399c7b7e965c81"]).encode())
        assert (caught.value.kind, caught.value.status) == ("provider_error", 502)


@pytest.mark.parametrize(
    ("id_", "thought"), [("w1c234b1c6f99df", 277), ("w1ffb01704f02dc", 185), ("wdcc5456313a3f9", 22)]
)
def test_reasoning_outside_the_completion(id_: str, thought: int) -> None:
    usage, wire = plain(id_).usage, answers()[id_]["usage"]
    assert usage is not None
    assert (usage.reasoning_tokens, usage.output_tokens) == (thought, wire["completion_tokens"] + thought)


def test_sound_outside_the_prompt() -> None:
    """Voxtral: the total has the tokens of what it heard, and the prompt has not."""
    usage = plain("w5782d8ce7b1d04").usage
    assert usage is not None
    assert (usage.input_tokens, usage.input_audio_tokens, usage.output_tokens) == (11 + 375, 375, 15)


def test_usage_with_every_chunk() -> None:
    told = events("w3210f6c6841d21")
    assert sum(isinstance(e, ev.UsageSeen) for e in told) > 1
    usage = ev.assemble(told).usage
    assert usage is not None and (usage.input_tokens, usage.output_tokens) == (4365, 3)


def test_padding_says_nothing() -> None:
    for id_, text in recordings.streams("openai.chat"):
        if '"obfuscation"' in text:
            told = events(id_)
            assert not any(isinstance(e, ev.NativeEvent) and "obfuscation" in e.body for e in told)
            assert isinstance(told[-1], ev.Done)


def test_mistrals_padding_says_nothing() -> None:
    assert '"p":"' in answers()["w5f8aadec94371a"]
    told = events("w5f8aadec94371a")
    assert isinstance(told[-1], ev.Done) and not any(isinstance(e, ev.NativeEvent) for e in told)
    report = Report(DIALECT.names)
    wire = DIALECTS["anthropic.messages"].stream_writer(report, True).write(told)
    assert b'"p":' not in wire


def test_an_assistants_turn_of_calls_alone_has_no_empty_text() -> None:
    """OpenRouter: an empty content beside valid calls was refused by the model's own provider."""
    call = ir.ToolCall(id="call_1", name="f", arguments="{}")
    said = (ir.Message(role="user", parts=(ir.Text(text="q"),)), ir.Message(role="assistant", parts=(call,)))
    body = json.loads(DIALECT.write_request(ir.Request(model="m", messages=said), Report(), frozenset()))
    assert body["messages"][1].get("content") is None


def test_one_index_for_two_calls() -> None:
    found = calls(streamed("w4f5c913e939038"))
    assert len(found) > 1
    assert len({id_ for id_, _, _ in found}) == len(found)
    assert all(json.loads(arguments) is not None for _, _, arguments in found)


def test_no_index() -> None:
    found = calls(streamed("w388e98b9fa4773"))
    assert found
    assert all(isinstance(json.loads(arguments), dict) for _, _, arguments in found)


def test_several_calls_in_one_chunk() -> None:
    found = calls(streamed("w557561a835c7f2"))
    assert len(found) > 1
    assert all(name and isinstance(json.loads(arguments), dict) for _, name, arguments in found)


def test_an_empty_name_in_later_deltas() -> None:
    (found,) = calls(streamed("w12b3a58db00248"))
    assert found[1]
    assert isinstance(json.loads(found[2]), dict)


def test_no_id() -> None:
    reply = plain("w37e4dc1cd84022")
    assert [id_ for id_, _, _ in calls(reply)] == ["call_0"]
    extras = reply.choices[0].extras
    assert extras is not None and "message.extra_content" in extras.fields


@pytest.mark.parametrize("id_", ["w3210f6c6841d21", "w33bfec02c973f2", "w4a1d446bf73ed5", "w9a4bfc0c22e9bd"])
def test_a_message_beside_the_delta_and_no_end_mark(id_: str) -> None:
    text = answers()[id_]
    assert "[DONE]" not in text
    told = events(id_)
    assert isinstance(told[-1], ev.Done)
    last = [line for line in text.splitlines() if line.startswith("data:")][-1]
    assert words(ev.assemble(told)) == json.loads(last[5:])["choices"][0]["message"]["content"]


def test_writers_calls_beside_their_message() -> None:
    found = calls(streamed("w257b39d23d46f7"))
    assert len({id_ for id_, _, _ in found}) == len(found) == 7
    assert all(isinstance(json.loads(arguments), dict) for _, _, arguments in found)


def test_comments_and_a_second_finish_with_the_usage() -> None:
    told = events("w59474e8f13e271")
    assert sum(isinstance(e, ev.End) for e in told) == 1
    assert any(isinstance(e, ev.UsageSeen) for e in told)


def test_empty_objects_for_what_is_absent() -> None:
    reply = plain("w7273693bf7f1f4")
    assert reply.service_tier is None
    assert reply.choices[0].stop is None
    assert [type(p) for p in reply.choices[0].parts] == [ir.Text]
    wire = json.loads(DIALECT.write_reply(reply, Report()))
    assert wire["choices"][0]["message"]["function_call"] == {"arguments": "", "name": ""}


def test_a_notice_before_the_answer() -> None:
    begin = events("w140e6a3ad716b0")[0]
    assert isinstance(begin, ev.Begin)
    assert begin.id and begin.model
    assert begin.extras is not None and "prompt_filter_results" in begin.extras.fields


def test_content_after_the_finish() -> None:
    told = events("we5253f5682a740")
    assert sum(isinstance(e, ev.End) for e in told) == 1
    assert words(ev.assemble(told)).endswith("\n")


def test_an_object_for_a_text() -> None:
    reply = plain("w2cf5e86d7343f0")
    assert json.loads(words(reply)) == answers()["w2cf5e86d7343f0"]["choices"][0]["message"]["content"]
    wire = json.loads(DIALECT.write_reply(reply, Report()))
    assert (
        wire["choices"][0]["message"]["content"]
        == answers()["w2cf5e86d7343f0"]["choices"][0]["message"]["content"]
    )


def test_truncation_leaves_invalid_json() -> None:
    cut = 0
    for id_, body in recordings.replies("openai.chat"):
        if "error" in body:
            continue
        for choice in DIALECT.read_reply(json.dumps(body).encode()).choices:
            for call in (p for p in choice.parts if isinstance(p, ir.ToolCall)):
                try:
                    json.loads(call.arguments)
                except ValueError as error:
                    if choice.stop == ir.Stop(reason="length"):
                        cut += 1
                    else:  # two objects in a row
                        assert "Extra data" in str(error), id_
    assert cut


def test_thinking_of_every_spelling_is_found() -> None:
    spelled = ('"reasoning_content":"', '"reasoning":"', '"reasoning_details":[{')
    seen = 0
    for id_, text in recordings.streams("openai.chat"):
        if any(mark in text.replace('": ', '":').replace('":""', "") for mark in spelled):
            told = events(id_)
            if isinstance(told[-1], ev.Done):
                seen += 1
                assert any(isinstance(e, ev.PartBegin) and isinstance(e.part, ir.Thinking) for e in told), id_
    assert seen > 20


def test_mistrals_list_with_thinking() -> None:
    for id_ in ("w342f8f02101944", "w22937159e41791", "w4f7dd1f8db6e1e"):
        reply = streamed(id_)
        assert words(reply, ir.Thinking), id_
        assert words(reply), id_
    assert words(plain("we9b7ecaf507dc0"), ir.Thinking)


def test_mistrals_bodies_come_back_as_they_were() -> None:
    for id_, body in recordings.requests("mistral.chat"):
        request = DIALECT.read_request(json.dumps(body).encode())
        report = Report()
        wire = json.loads(
            DIALECT.write_request(request, report, frozenset({"thinking_parts", "max_tokens", "random_seed"}))
        )
        assert not report.losses, id_
        missing = {k for k, v in body.items() if v not in (None, False, [])} - set(wire)
        assert not missing, (id_, missing)
