"""An answer of openai.chat, read and written: the values exactly, the losses exactly, what SDK users expect."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion

from fungible import ir
from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault
from fungible.losses import Report

NAME = "openai.chat"
OURS = ir.Extras(dialect=NAME, fields={})


def body(message: dict[str, Any], finish: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "m",
        "choices": [choice],
        **more,
    }


def read(wire: dict[str, Any]) -> ir.Reply:
    return DIALECT.read_reply(json.dumps(wire).encode())


def choice(message: dict[str, Any], finish: Any = "stop") -> ir.Choice:
    return read(body(message, finish)).choices[0]


def write(*parts: ir.Part, stop: Any = "end", **more: Any) -> tuple[Any, list[str]]:
    held = stop if isinstance(stop, ir.Stop) else ir.Stop(reason=stop, at="stop")
    report = Report()
    reply = ir.Reply(id="c1", model="m", choices=(ir.Choice(parts=parts, stop=held),), **more)
    wire = json.loads(DIALECT.write_reply(reply, report))
    ChatCompletion.model_validate(wire)
    return wire, [f"{loss.path}: {loss.kind}, {loss.why}" for loss in report.losses]


def test_a_plain_answer() -> None:
    reply = read(
        body({"content": "Hello.", "refusal": None}, service_tier="default", system_fingerprint="fp_1")
    )
    assert reply == ir.Reply(
        id="c1",
        model="m",
        created=1_760_000_000,
        service_tier="default",
        choices=(ir.Choice(parts=(ir.Text(text="Hello."),), stop=ir.Stop(reason="end")),),
        extras=ir.Extras(dialect=NAME, fields={"system_fingerprint": "fp_1"}),
    )
    assert reply.choices[0].parts[0].at == "choices[0].message.content"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "end"), ("length", "length"), ("tool_calls", "tool"), ("content_filter", "content_filter")],
)
def test_every_stop_reason_there_and_back(finish: str, reason: Any) -> None:
    wire = body({"content": "x"}, finish)
    reply = read(wire)
    assert reply.choices[0].stop == ir.Stop(reason=reason)
    written = json.loads(DIALECT.write_reply(reply, report := Report()))
    assert (written["choices"][0]["finish_reason"], report.losses) == (finish, [])


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("context", "length"), ("pause", "length"), ("refusal", "content_filter"), ("other", "stop")],
)
def test_stop_reasons_of_others_are_told_by_the_nearest(reason: Any, finish: str) -> None:
    wire, losses = write(ir.Text(text="x"), stop=reason)
    assert wire["choices"][0]["finish_reason"] == finish
    assert losses == ["stop.reason: approximated, stop"]


def test_a_stop_sequence_that_was_hit() -> None:
    wire, losses = write(
        ir.Text(text="x"), stop=ir.Stop(reason="stop_sequence", sequence="END", at="choices[0]")
    )
    assert wire["choices"][0]["finish_reason"] == "stop"
    assert losses == ["choices[0].sequence: dropped, stop", "choices[0].reason: approximated, stop"]


def test_a_refusal_in_the_models_own_words_ends_in_stop() -> None:
    assert choice({"content": None, "refusal": "No."}) == ir.Choice(
        parts=(ir.Refusal(text="No."),), stop=ir.Stop(reason="refusal")
    )
    wire, losses = write(ir.Refusal(text="No."), stop="refusal")
    assert wire["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "No."}
    assert (wire["choices"][0]["finish_reason"], losses) == ("stop", [])


def test_a_word_of_another_server_comes_back() -> None:
    stop = choice({"content": "x"}, "eos").stop
    assert stop == ir.Stop(reason="other", raw="eos", extras=OURS)
    written = json.loads(DIALECT.write_reply(read(body({"content": "x"}, "eos")), Report()))
    assert written["choices"][0]["finish_reason"] == "eos"


def test_calls_that_end_in_stop_wait_for_results() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    wire = body({"content": None, "tool_calls": [call]}, "stop")
    reply = read(wire)
    assert reply.choices[0].stop == ir.Stop(reason="tool", extras=OURS)
    assert json.loads(DIALECT.write_reply(reply, Report()))["choices"][0]["finish_reason"] == "stop"
    wire, losses = write(ir.ToolCall(id="c", name="f", arguments="{}"))
    assert losses == ["stop.reason: approximated, stop"]


def test_calls_cut_short_keep_their_invalid_json() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Par'}}
    held = choice({"content": None, "tool_calls": [call]}, "length")
    assert held.parts == (ir.ToolCall(id="call_1", name="f", arguments='{"city": "Par'),)
    assert held.stop == ir.Stop(reason="length")


def test_a_clients_answer_holds_its_thinking_to_be_sent_back() -> None:
    wire, losses = write(ir.Thinking(text="Hm."), ir.Text(text="Yes."))
    assert wire["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert "reasoning_details" not in wire["choices"][0]["message"]
    wire, more = write(
        ir.Thinking(text="Hm.", signature="c2ln"), ir.Thinking(redacted="eA=="), ir.Text(text="Yes.")
    )
    assert wire["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Yes.",
        "refusal": None,
        "reasoning_content": "Hm.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln"},
            {"type": "reasoning.encrypted", "data": "eA=="},
        ],
    }  # fmt: skip
    assert losses == more == []
    thoughts = [p for p in read(wire).choices[0].parts if isinstance(p, ir.Thinking)]
    assert [(t.text, t.signature, t.redacted) for t in thoughts] == [
        ("Hm.", "c2ln", None),
        ("", None, "eA=="),
    ]


def test_texts_are_joined_and_what_has_no_place_is_lost() -> None:
    wire, losses = write(
        ir.Text(text="One.", at="content[0]"),
        ir.Native(dialect="other", body={}, at="content[1]"),
        ir.Text(text=" Two.", cache=ir.Cache(), at="content[2]"),
        ir.Image(source=ir.Source(url="https://example.com/a.png"), at="content[3]"),
    )
    assert wire["choices"][0]["message"]["content"] == "One. Two."
    assert losses == [
        "content[1]: dropped, native_block",
        "content[2]: changed, part_order",
        "content[3]: dropped, image",
        "content[2].cache: dropped, cache_mark",
    ]


def test_annotations_are_citations_of_the_text() -> None:
    web = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 3, "title": "T", "url": "https://e.com"},
    }
    file = {"type": "file", "file": {"name": "a.pdf"}}
    (text,) = choice({"content": "Yes.", "annotations": [web, file]}).parts
    assert isinstance(text, ir.Text)
    assert text.citations == (
        ir.Citation(dialect=NAME, body=web, url="https://e.com", title="T"),
        ir.Citation(dialect=NAME, body=file),
    )
    assert text.citations[1].at == "choices[0].message.annotations[1]"
    again = json.loads(
        DIALECT.write_reply(read(body({"content": "Yes.", "annotations": [web, file]})), Report())
    )
    assert again["choices"][0]["message"]["annotations"] == [web, file]  # fmt: skip


def test_another_dialects_citation_keeps_its_address() -> None:
    ground = {"type": "page", "url": "https://e.com", "title": "T", "cited_text": "x"}
    cited = ir.Citation(dialect="other", body=ground, url="https://e.com", title="T", at="cite")
    book = ir.Citation(dialect="other", body={"type": "book"}, at="book")
    wire, losses = write(ir.Text(text="Ab"), ir.Text(text="cde", citations=(cited, book)))
    place = {"start_index": 2, "end_index": 5, "title": "T", "url": "https://e.com"}
    assert wire["choices"][0]["message"]["annotations"] == [{"type": "url_citation", "url_citation": place}]
    assert losses[-3:] == [
        "cite: approximated, citations",
        "cite.cited_text: dropped, citations",
        "book: dropped, citations",
    ]


def test_sound_is_an_audio_part() -> None:
    sound = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1_760_000_000, "transcript": "Hi"}
    (part,) = choice({"content": None, "audio": sound}).parts
    assert part == ir.Audio(
        id="audio_1", source=ir.Source(data="UklGRg=="), expires_at=1_760_000_000, transcript="Hi"
    )
    again = json.loads(DIALECT.write_reply(read(body({"content": None, "audio": sound})), Report()))
    assert again["choices"][0]["message"]["audio"] == sound


def test_several_choices_by_their_index_and_probabilities() -> None:
    odds = {"content": [{"token": "b", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
    wire = body({"content": "a"})
    wire["choices"] = [
        {
            "index": 1,
            "message": {"role": "assistant", "content": "b"},
            "finish_reason": "stop",
            "logprobs": odds,
        },
        {
            "index": 0,
            "message": {"role": "assistant", "content": "a"},
            "finish_reason": "length",
            "logprobs": {"content": None},
        },
    ]
    first, second = read(wire).choices
    assert (first.parts, first.logprobs) == ((ir.Text(text="a"),), None)
    assert (second.parts, second.logprobs) == ((ir.Text(text="b"),), odds)


# --- usage ---------------------------------------------------------------------------------------

USAGES: dict[str, tuple[dict[str, Any], ir.Usage]] = {
    "totals": (
        {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        ir.Usage(input_tokens=3, output_tokens=2),
    ),
    "details": (
        {
            "prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4, "audio_tokens": 1, "image_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 6, "audio_tokens": 5},
        },
        ir.Usage(
            input_tokens=30, output_tokens=20, cache_read_tokens=8, cache_write_tokens=4, input_audio_tokens=1,
            reasoning_tokens=6, output_audio_tokens=5,
            extras=ir.Extras(dialect=NAME, fields={"prompt_tokens_details.image_tokens": 2}),
        ),
    ),
    "DeepSeek tells the cache twice": (
        {
            "prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31, "prompt_cache_hit_tokens": 8,
            "prompt_cache_miss_tokens": 22, "prompt_tokens_details": {"cached_tokens": 8},
        },
        ir.Usage(
            input_tokens=30, output_tokens=1, cache_read_tokens=8,
            extras=ir.Extras(dialect=NAME, fields={"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 22}),
        ),
    ),
    "the cache by DeepSeek's name alone": (
        {"prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31, "prompt_cache_hit_tokens": 8},
        ir.Usage(input_tokens=30, output_tokens=1, cache_read_tokens=8),
    ),
    "xAI keeps reasoning outside": (
        {"prompt_tokens": 10, "completion_tokens": 15, "total_tokens": 421, "completion_tokens_details": {"reasoning_tokens": 396}},
        ir.Usage(input_tokens=10, output_tokens=411, reasoning_tokens=396),
    ),
    "a total of its own": (
        {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
        ir.Usage(input_tokens=35, output_tokens=12, extras=ir.Extras(dialect=NAME, fields={"total_tokens": 109})),
    ),
    "nulls say nothing": ({"prompt_tokens": 4, "completion_tokens": None, "total_tokens": None}, ir.Usage(input_tokens=4)),
    "no numbers are no counts": (
        {"prompt_tokens": "4", "completion_tokens": 1, "total_tokens": 1},
        ir.Usage(output_tokens=1, extras=ir.Extras(dialect=NAME, fields={"prompt_tokens": "4"})),
    ),
}  # fmt: skip


def counts(usage: ir.Usage | None) -> ir.Usage | None:
    """What is billed: the counts without what rides along."""
    return None if usage is None else msgspec.structs.replace(usage, extras=None)


@pytest.mark.parametrize("story", USAGES)
def test_usage(story: str) -> None:
    wire, held = USAGES[story]
    data = json.dumps(body({"content": "x"}, usage=wire)).encode()
    assert DIALECT.read_reply(data).usage == held
    assert counts(DIALECT.read_usage(data)) == counts(held)
    again = json.dumps(json.loads(DIALECT.write_reply(DIALECT.read_reply(data), Report()))).encode()
    assert counts(DIALECT.read_usage(again)) == counts(held)


def test_no_usage_and_a_count_that_is_lost() -> None:
    assert DIALECT.read_usage(json.dumps(body({"content": "x"})).encode()) is None
    usage = ir.Usage(
        input_tokens=3, output_tokens=2, cache_write_tokens=2, cache_write_1h_tokens=1, at="usage"
    )
    wire, losses = write(ir.Text(text="x"), usage=usage)
    assert wire["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cache_write_tokens": 2},
    }
    assert losses == ["usage.cache_write_1h_tokens: dropped, usage_detail"]


# --- what is no answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (b"<html>", "provider_answer"),
        (b"[]", "provider_answer"),
        (b"{}", "provider_answer"),
        (b'{"choices": [{}]}', "provider_answer"),
        (b'{"choices": [{"message": {"content": 1, "tool_calls": 5}}]}', "provider_answer"),
        (b'{"error": {"code": 502, "message": "down"}}', "provider_error"),
        (b'{"error": {"code": 429, "message": "slow"}, "choices": []}', "rate_limited"),
        (b'{"error": "no"}', "provider_error"),
    ],
)
def test_what_is_no_answer(wire: bytes, kind: str) -> None:
    with pytest.raises(Fault) as caught:
        DIALECT.read_reply(wire)
    assert caught.value.kind == kind
    if kind != "provider_answer":
        with pytest.raises(Fault):
            DIALECT.read_usage(wire)
