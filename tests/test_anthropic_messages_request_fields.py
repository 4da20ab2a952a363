"""Messages requests: cache marks, media, every knob, and bad input, read and written exactly."""

from typing import Any

import pytest

from fungible import ir
from fungible.dialects.anthropic_messages import DIALECT
from fungible.dialects.anthropic_messages.names import NAME, quirks_of
from fungible.faults import Fault

from .anthropic_wire import OBJECT, PDF, PNG, asked, message, read, request, there_and_back, user, written

# --- caching -------------------------------------------------------------------------------------


def test_cache_marks_at_every_level_with_their_lifetimes() -> None:
    hour, short, plain = (
        {"type": "ephemeral", "ttl": "1h"},
        {"type": "ephemeral", "ttl": "5m"},
        {"type": "ephemeral"},
    )
    body = asked(
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": short}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}, "cache_control": plain}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [{"type": "text", "text": "1", "cache_control": plain}],
                    "cache_control": hour,
                }
            ],
        },
        system=[{"type": "text", "text": "S", "cache_control": hour}],
        tools=[{"name": "f", "input_schema": OBJECT, "cache_control": hour}],
        cache_control=short,
    )
    assert there_and_back(body) == body
    seen = read(body)
    assert seen.cache == ir.Cache(ttl_seconds=300)
    assert seen.messages[0] == message("system", ir.Text(text="S", cache=ir.Cache(ttl_seconds=3600)))
    mark = seen.messages[3].parts[0].cache  # type: ignore[union-attr]
    assert mark == ir.Cache(ttl_seconds=3600)
    assert mark.at == "messages[2].content[0].cache_control"


@pytest.mark.parametrize(("seconds", "ttl"), [(1800, "5m"), (86_400, "1h"), (60, "5m")])
def test_another_lifetime_is_approximated(seconds: int, ttl: str) -> None:
    said = message("user", ir.Text(text="Hi", cache=ir.Cache(ttl_seconds=seconds, at="c")))
    wire, losses = written(request(said))
    assert wire["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": ttl}
    assert losses == {("c.ttl_seconds", "approximated", "cache_lifetime")}


def test_a_provider_without_cache_marks() -> None:
    said = message("user", ir.Text(text="Hi", cache=ir.Cache(), at="t"))
    wire, losses = written(request(said), "no_cache_control")
    assert wire["messages"][0]["content"] == [{"type": "text", "text": "Hi"}]
    assert losses == {("t.cache", "dropped", "cache_mark")}


# --- media ---------------------------------------------------------------------------------------


def test_images_and_documents_inside_tool_results() -> None:
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
            "context": "c",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
    ]
    body = asked(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": content}]}
    )
    assert there_and_back(body) == body
    held = read(body).messages[0].parts[0]
    assert isinstance(held, ir.ToolResult)
    assert held.parts == (
        ir.Image(source=ir.Source(media_type="image/png", data=PNG)),
        ir.Image(source=ir.Source(url="https://example.com/a.png")),
        ir.Document(
            source=ir.Source(media_type="application/pdf", data=PDF),
            name="a.pdf",
            context="c",
            citations=True,
        ),
        ir.Document(source=ir.Source(media_type="text/plain", text="x")),
        ir.Native(dialect=NAME, body=content[4]),
    )


MEDIA = [
    (ir.Image(source=ir.Source(data=PNG, media_type="image/bmp"), at="p"), None, {("p", "dropped", "image")}),
    (
        ir.Image(source=ir.Source(url="u"), detail="low", at="p"),
        {"type": "image", "source": {"type": "url", "url": "u"}},
        {("p.detail", "dropped", "image")},
    ),
    (
        ir.Document(source=ir.Source(data="UEsDBA==", media_type="application/x-docx"), at="p"),
        None,
        {("p", "dropped", "document")},
    ),
    (
        ir.Document(source=ir.Source(data="YSxi", media_type="text/csv", at="p.source"), at="p"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        {("p.source", "changed", "document")},
    ),
    (ir.Audio(source=ir.Source(data="UklGRg=="), format="wav", at="p"), None, {("p", "dropped", "audio")}),
    (ir.Native(dialect="other.wire", body={}, at="p"), None, {("p", "dropped", "native_block")}),
    (ir.Refusal(text="No.", at="p"), {"type": "text", "text": "No."}, {("p", "changed", "refusal")}),
]


@pytest.mark.parametrize(("part", "block", "losses"), MEDIA)
def test_media_of_other_kinds(part: ir.Part, block: Any, losses: set[tuple[str, str, str]]) -> None:
    wire, lost = written(request(message("user", ir.Text(text="Hi"), part)))
    content = wire["messages"][0]["content"]
    assert content == [{"type": "text", "text": "Hi"}] + ([block] if block else [])
    assert lost == losses


def test_server_tools_and_unknown_blocks_ride_whole() -> None:
    body = asked(
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                {"type": "of_tomorrow", "x": None},
                {
                    "type": "text",
                    "text": "Ho",
                    "citations": [
                        {"type": "char_location", "cited_text": "c", "document_title": "t", "x": 1}
                    ],
                },
            ],
        },
        {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}], "of_tomorrow": 1},
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        mcp_servers=[{"type": "url", "url": "u", "name": "n"}],
        container={"id": "c"},
    )
    assert there_and_back(body) == body
    seen = read(body)
    assert seen.tools == (ir.Native(dialect=NAME, body=body["tools"][0]),)
    assert seen.messages[1].parts[3] == ir.Text(
        text="Ho",
        citations=(
            ir.Citation(
                dialect=NAME,
                body={"type": "char_location", "cited_text": "c", "document_title": "t", "x": 1},
                title="t",
                cited_text="c",
            ),
        ),
    )


# --- knobs ---------------------------------------------------------------------------------------


def test_what_this_wire_has_no_place_for_is_reported_field_by_field() -> None:
    fields: dict[str, Any] = {
        "frequency_penalty": 0.5, "presence_penalty": 0.0, "seed": 1, "n": 2, "logprobs": True, "top_logprobs": 3,
        "metadata": {"a": "b"},
    }  # fmt: skip
    wire, losses = written(request(user("Hi"), **fields))
    assert wire == asked({"role": "user", "content": "Hi"})
    why = ["sampling", "sampling", "sampling", "choices", "logprobs", "logprobs", "metadata"]
    assert losses == {(f, "dropped", w) for f, w in zip(fields, why, strict=True)}


def test_a_missing_limit_gets_the_default_and_room_for_the_thinking() -> None:
    reasoning = ir.Reasoning(mode="enabled", budget_tokens=8000)
    wire, losses = written(request(user("Hi"), max_output_tokens=None, reasoning=reasoning))
    assert wire["max_tokens"] == 12_096
    assert losses == {("max_output_tokens", "approximated", "token_limit")}


def test_temperature_above_one_is_clamped() -> None:
    wire, losses = written(request(user("Hi"), temperature=1.5, top_p=0.5, top_k=3, stop=("a",), user="u"))
    assert (wire["temperature"], wire["top_p"], wire["top_k"], wire["stop_sequences"]) == (1.0, 0.5, 3, ["a"])
    assert wire["metadata"] == {"user_id": "u"}
    assert losses == {("temperature", "approximated", "sampling")}


def test_models_that_refuse_sampling_or_a_second_sampler() -> None:
    knobs: dict[str, Any] = {"temperature": 0.5, "top_p": 0.5, "top_k": 3}
    wire, losses = written(request(user("Hi"), model="claude-opus-5", **knobs))
    assert not wire.keys() & knobs.keys()
    assert losses == {(f, "dropped", "sampling") for f in knobs}
    wire, losses = written(request(user("Hi"), model="claude-haiku-4-5", **knobs))
    assert "top_p" not in wire
    assert losses == {("top_p", "dropped", "sampling")}


def test_blank_stop_sequences_are_refused_by_the_api_and_left_out() -> None:
    wire, losses = written(request(user("Hi"), stop=("\n\n", "END")))
    assert wire["stop_sequences"] == ["END"]
    assert losses == {("stop", "approximated", "stop_sequences")}


TIERS = {"auto": ("auto", None), "default": ("standard_only", "approximated"), "flex": (None, "dropped")}


@pytest.mark.parametrize("tier", TIERS)
def test_service_tiers(tier: str) -> None:
    expected, kind = TIERS[tier]
    wire, losses = written(request(user("Hi"), service_tier=tier))
    assert wire.get("service_tier") == expected
    assert losses == ({("service_tier", kind, "service_tier")} if kind else set())


def test_a_stream_always_tells_its_usage() -> None:
    body = asked({"role": "user", "content": "Hi"}, stream=True)
    assert read(body).stream_usage is True
    assert there_and_back(body) == body
    assert written(request(user("Hi"), stream=True))[1] == {("stream_usage", "changed", "stream_usage")}


MODELS = {
    "claude-3-5-sonnet-20241022": {"no_system_messages", "no_adaptive_thinking", "no_effort"},
    "claude-sonnet-4-20250514": {"no_system_messages", "no_adaptive_thinking", "no_effort"},
    "us.anthropic.claude-haiku-4-5-20251001-v1:0":
        {"no_system_messages", "no_adaptive_thinking", "no_effort", "one_sampler"},
    "claude-opus-4-5": {"no_system_messages", "no_adaptive_thinking", "one_sampler"},
    "anthropic/claude-sonnet-4.6": {"no_system_messages", "one_sampler"},
    "claude-opus-4-7": {"no_system_messages", "no_sampling", "no_thinking_budget"},
    "claude-opus-4-8": {"no_sampling", "no_thinking_budget"},
    "claude-fable-5-2": {"no_sampling", "no_thinking_budget"},
    "deepseek-chat": set(),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_what_a_models_name_says_of_it(model: str) -> None:
    assert quirks_of(model, frozenset({"x"})) == MODELS[model] | {"x"}
    assert MODELS[model] <= DIALECT.quirks.keys()


def test_extras_of_another_dialect_are_lost_by_name() -> None:
    foreign = ir.Extras(dialect="other.wire", fields={"z": 1})
    text = ir.Text(text="Hi", at="messages[0].content[0]", extras=foreign)
    wire, losses = written(request(message("user", text), extras=foreign))
    assert wire == asked({"role": "user", "content": [{"type": "text", "text": "Hi"}]})
    assert losses == {
        ("z", "dropped", "unknown_field"),
        ("messages[0].content[0].z", "dropped", "unknown_field"),
    }


# --- bad input -----------------------------------------------------------------------------------

HI = {"role": "user", "content": "Hi"}
BAD = {
    "messages": {"model": "m"},
    "model": {"messages": []},
    "messages[0]": asked("Hi"),
    "messages[0].role": asked({"role": "tool", "content": "x"}),
    "messages[0].content": asked({"role": "user", "content": 3}),
    "messages[0].content[0]": asked({"role": "user", "content": ["x"]}),
    "messages[0].content[0].type": asked({"role": "user", "content": [{}]}),
    "messages[0].content[0].text": asked({"role": "user", "content": [{"type": "text"}]}),
    "messages[0].content[0].input": asked(
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "{}"}]}
    ),
    "messages[0].content[0].source.data": asked(
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "no base64!"}}]}
    ),
    "messages[0].content[1].source.data": asked(
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}}]}
    ),
    "messages[0].content[0].cache_control.type": asked(
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}
    ),
    "tools[0].input_schema": asked(HI, tools=[{"name": "f"}]),
    "tools[0].input_schema.type": asked(HI, tools=[{"name": "f", "input_schema": {"type": "string"}}]),
    "tools[0].input_schema.properties": asked(HI, tools=[{"name": "f", "input_schema": {"properties": []}}]),
    "tool_choice.type": asked(HI, tool_choice={"type": "required"}),
    "max_tokens": asked(HI, max_tokens="9"),
    "temperature": asked(HI, temperature="hot"),
    "stop_sequences[1]": asked(HI, stop_sequences=["a", 1]),
    "thinking.budget_tokens": asked(HI, thinking={"type": "enabled", "budget_tokens": "1"}),
    "stream": asked(HI, stream=1),
}  # fmt: skip


@pytest.mark.parametrize("path", BAD)
def test_bad_requests_say_where_and_how_to_mend(path: str) -> None:
    with pytest.raises(Fault) as caught:
        read(BAD[path])
    assert (caught.value.kind, caught.value.path) == ("bad_request", path)
    assert path in caught.value.message
    assert (
        "Send" in caught.value.message
        or "It is one of" in caught.value.message
        or "write" in caught.value.message
    )
