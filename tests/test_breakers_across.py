"""What translators between these dialects are known to break in requests: from wire to wire, body and losses exact.

The model is of no known family, so that no model's own limits come in between.
"""

import json
from typing import Any

import pytest

from fungible.translate import translate

from .wires import (
    ANTHROPIC,
    OBJECT,
    OPENAI,
    PDF,
    PNG,
    answered,
    chat,
    claude,
    crosses,
    function,
    function_call,
    said,
    text,
    to_chat,
    to_claude,
    tool_result,
    tool_use,
    user,
)

# --- tools ---------------------------------------------------------------------------------------

CHAT_CALLS = said(
    None, tool_calls=[function_call("call_a", "f", '{"x":1}'), function_call("call_b", "g", "{}")]
)
CLAUDE_CALLS = said([tool_use("call_a", "f", {"x": 1}), tool_use("call_b", "g", {})])


def test_parallel_calls_answered_out_of_order_keep_their_ids_to_anthropic() -> None:
    to_claude(
        chat(
            user("Go."), CHAT_CALLS, answered("call_b", "second"), answered("call_a", "first"), user("Well?")
        ),
        claude(
            user("Go."),
            CLAUDE_CALLS,
            user([tool_result("call_b", "second"), tool_result("call_a", "first"), text("Well?")]),
        ),
    )


def test_parallel_calls_answered_out_of_order_keep_their_ids_to_openai() -> None:
    to_chat(
        claude(
            user("Go."),
            CLAUDE_CALLS,
            user([tool_result("call_b", "second"), tool_result("call_a", "first"), text("Well?")]),
        ),
        chat(
            user("Go."), CHAT_CALLS, answered("call_b", "second"), answered("call_a", "first"), user("Well?")
        ),
    )


def test_ids_with_odd_characters_are_mapped_alike_in_call_and_result() -> None:
    body = chat(
        user("Go."),
        said(None, tool_calls=[function_call("functions.f:0", "f", "{}")]),
        answered("functions.f:0", "1"),
    )
    done = translate(body, source=OPENAI, target=ANTHROPIC)
    called = done.body["messages"][1]["content"][0]["id"]
    assert called == done.body["messages"][2]["content"][0]["tool_use_id"]
    assert called != "functions.f:0"
    assert set(called) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert [(loss.path, loss.why) for loss in done.losses] == [
        ("messages[1].tool_calls[0].id", "tool_call_id"),
        ("messages[2].tool_call_id", "tool_call_id"),
    ]


def test_tool_history_without_tools() -> None:
    history = [user("Go."), CHAT_CALLS, answered("call_a", "1"), answered("call_b", "2")]
    done = translate(chat(*history), source=OPENAI, target=ANTHROPIC)
    assert done.body["messages"][1:] == [
        CLAUDE_CALLS,
        user([tool_result("call_a", "1"), tool_result("call_b", "2")]),
    ]
    # The Messages API takes tool blocks only beside tools: the called ones are declared.
    assert [tool["name"] for tool in done.body.get("tools", [])] in ([], ["f", "g"])


def test_empty_arguments_are_an_empty_object() -> None:
    for empty in ("", "{}"):
        to_claude(
            chat(user("Go."), said(None, tool_calls=[function_call("a", "f", empty)]), answered("a", "1")),
            claude(user("Go."), said([tool_use("a", "f", {})]), user([tool_result("a", "1")])),
        )


def test_arguments_cut_short_are_carried_as_text() -> None:
    done = translate(
        chat(user("Go."), said(None, tool_calls=[function_call("a", "f", '{"x": "Par')])),
        source=OPENAI,
        target=ANTHROPIC,
    )
    assert '{"x": "Par' in done.body["messages"][1]["content"][0]["input"].values()
    assert [(loss.path, loss.why) for loss in done.losses] == [
        ("messages[1].tool_calls[0].function.arguments", "tool_arguments")
    ]


def test_text_beside_calls() -> None:
    to_claude(
        chat(user("Go."), said("Looking.", tool_calls=[function_call("a", "f", "{}")]), answered("a", "1")),
        claude(user("Go."), said([text("Looking."), tool_use("a", "f", {})]), user([tool_result("a", "1")])),
    )
    to_chat(
        claude(user("Go."), said([text("Looking."), tool_use("a", "f", {})]), user([tool_result("a", "1")])),
        chat(user("Go."), said("Looking.", tool_calls=[function_call("a", "f", "{}")]), answered("a", "1")),
    )


def test_tools_and_their_choice_both_ways() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"type": "integer"}},
    } | {"additionalProperties": False}
    chats = chat(
        user("Go."),
        tools=[function("f", description="d", parameters=schema, strict=True)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    claudes = claude(
        user("Go."),
        tools=[{"name": "f", "description": "d", "input_schema": schema, "strict": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    to_claude(chats, claudes)
    to_chat(claudes, chats)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_every_tool_choice(ours: Any, theirs: Any) -> None:
    chats = chat(user("Go."), tools=[function("f", parameters=OBJECT)], tool_choice=ours)
    claudes = claude(user("Go."), tools=[{"name": "f", "input_schema": OBJECT}], tool_choice=theirs)
    to_claude(chats, claudes)
    to_chat(claudes, chats)


def test_auto_beside_a_word_on_parallel_calls_loses_nothing() -> None:
    tools, named = [function("f", parameters=OBJECT)], [{"name": "f", "input_schema": OBJECT}]
    theirs = {"type": "auto", "disable_parallel_tool_use": True}
    alone = chat(user("Go."), tools=tools, parallel_tool_calls=False)
    claudes = claude(user("Go."), tools=named, tool_choice=theirs)
    to_claude({**alone, "tool_choice": "auto"}, claudes)
    to_claude(alone, claudes)
    to_chat(claudes, alone)


# --- content -------------------------------------------------------------------------------------


def test_empty_text_is_left_out_where_it_is_refused_and_said() -> None:
    to_claude(
        chat(user([text(""), text("Hi")])),
        claude(user([text("Hi")])),
        ("messages[0].content[0]", "dropped", "empty_text"),
    )


def test_null_content_is_no_content() -> None:
    done = translate(chat(user("Hi"), said(None), user("Ho")), source=OPENAI, target=ANTHROPIC)
    assert "null" not in json.dumps(done.body)


def test_thinking_and_redacted_thinking_stay_on_the_way_back_to_their_maker() -> None:
    body = claude(
        user("Go."),
        said(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                text("Yes."),
            ]
        ),
        user("Why?"),
    )
    crosses(ANTHROPIC, ANTHROPIC, body, body, [], "request")
    to_chat(
        body,
        chat(user("Go."), said("Yes."), user("Why?")),
        ("messages[1].content[0]", "dropped", "thinking"),
        ("messages[1].content[1]", "dropped", "thinking"),
    )


def test_cache_marks_at_every_level() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    half = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}  # the nearest lifetime
    to_chat(
        claude(
            user([text("a", **hour)]),
            said([tool_use("t", "f", {}, **hour)]),
            user([tool_result("t", [text("r", **hour)], **hour)]),
            system=[text("s", **hour)],
            tools=[{"name": "f", "input_schema": OBJECT} | hour],
        ),
        chat(
            {"role": "system", "content": [text("s", **half)]},
            user([text("a", **half)]),
            said(None, tool_calls=[function_call("t", "f", "{}")]),
            answered("t", [text("r", **half)]),
            tools=[function("f", parameters=OBJECT)],
        ),
        ("messages[0].content[0].cache_control.ttl", "approximated", "cache_lifetime"),
        ("messages[1].content[0].cache_control", "dropped", "cache_mark"),
        ("messages[2].content[0].cache_control", "dropped", "cache_mark"),
        ("messages[2].content[0].content[0].cache_control.ttl", "approximated", "cache_lifetime"),
        ("system[0].cache_control.ttl", "approximated", "cache_lifetime"),
        ("tools[0].cache_control", "dropped", "cache_mark"),
    )


def test_a_mark_on_the_whole_prompt_of_a_message_stays_where_it_was() -> None:
    body = claude(user([text("a", cache_control={"type": "ephemeral"}), text("b")]))
    crosses(ANTHROPIC, ANTHROPIC, body, body, [], "request")


def test_images_and_documents_in_messages_both_ways() -> None:
    chats = chat(
        user(
            [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {
                    "type": "file",
                    "file": {"filename": "p.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                },
                text("What?"),
            ]
        )
    )
    claudes = claude(
        user(
            [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "p.pdf",
                },
                text("What?"),
            ]
        )
    )
    to_claude(chats, claudes)
    to_chat(claudes, chats)


def test_images_inside_tool_results_follow_as_a_users() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    done = translate(
        claude(user("Go."), said([tool_use("t", "f", {})]), user([tool_result("t", [text("See."), image])])),
        source=ANTHROPIC,
        target=OPENAI,
    )
    assert done.body["messages"][2] == answered("t", "See.")
    followed = done.body["messages"][3]
    assert followed["role"] == "user"
    assert {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}} in followed["content"]
    assert [(loss.path, loss.kind, loss.why) for loss in done.losses] == [
        ("messages[2].content[0].content[1]", "changed", "tool_result_media")
    ]


def test_a_failed_tool_is_marked_in_words() -> None:
    done = translate(
        claude(
            user("Go."), said([tool_use("t", "f", {})]), user([tool_result("t", "no door", is_error=True)])
        ),
        source=ANTHROPIC,
        target=OPENAI,
    )
    assert done.body["messages"][2]["content"].endswith("no door")
    assert done.body["messages"][2]["content"] != "no door"
    assert [(loss.path, loss.why) for loss in done.losses] == [
        ("messages[2].content[0]", "tool_result_error")
    ]


def test_system_and_developer_in_any_position() -> None:
    done = translate(
        chat(
            {"role": "system", "content": "A"},
            user("Hi"),
            said("Ho"),
            {"role": "developer", "content": "B"},
            user("Well?"),
        ),
        source=OPENAI,
        target=ANTHROPIC,
    )
    assert done.body["system"] == "A"
    assert "B" in json.dumps(done.body["messages"])
    assert {loss.path.partition(".")[0] for loss in done.losses} == {"messages[3]"}
    to_chat(
        claude(user("Hi"), system=[text("A"), text("B")]),
        chat({"role": "system", "content": [text("A"), text("B")]}, user("Hi")),
    )


def test_server_tools_and_unknown_blocks_are_lost_by_name() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    to_chat(
        claude(
            user("Hi"),
            said([use, found, {"type": "hologram", "z": 1}, text("Ho")]),
            user("?"),
            tools=[search],
        ),
        chat(user("Hi"), said("Ho"), user("?")),
        ("messages[1].content[0]", "dropped", "native_block"),
        ("messages[1].content[1]", "dropped", "native_block"),
        ("messages[1].content[2]", "dropped", "native_block"),
        ("tools[0]", "dropped", "native_block"),
    )


def test_unknown_fields_are_lost_by_name_at_every_level() -> None:
    to_claude(
        chat(
            {"role": "user", "content": [text("Hi", odd=1)], "odd": 2},
            tools=[function("f", parameters=OBJECT, odd=3) | {"odd": 4}],
            odd={"deep": 5},
        ),
        claude(user([text("Hi")]), tools=[{"name": "f", "input_schema": OBJECT}]),
        ("messages[0].content[0].odd", "dropped", "unknown_field"),
        ("messages[0].odd", "dropped", "unknown_field"),
        ("odd", "dropped", "unknown_field"),
        ("tools[0].function.odd", "dropped", "unknown_field"),
        ("tools[0].odd", "dropped", "unknown_field"),
    )


# --- the form of the answer ----------------------------------------------------------------------

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "boss": {"$ref": "#/$defs/boss"}},
    "required": ["name", "boss"],
    "additionalProperties": False,
    "$defs": {"boss": {"type": ["string", "null"]}},
}


def test_a_strict_schema_goes_over_whole() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    done = translate(chat(user("Who?"), response_format=form), source=OPENAI, target=ANTHROPIC)
    assert done.body["output_config"] == {"format": {"type": "json_schema", "schema": PERSON}}
    back = translate(
        claude(user("Who?"), output_config={"format": {"type": "json_schema", "schema": PERSON}}),
        source=ANTHROPIC,
        target=OPENAI,
    )
    assert back.body["response_format"]["json_schema"]["schema"] == PERSON


def test_a_json_object_is_said_to_be_asked_for_in_vain() -> None:
    done = translate(
        chat(user("Who?"), response_format={"type": "json_object"}), source=OPENAI, target=ANTHROPIC
    )
    assert [(loss.path, loss.why) for loss in done.losses] == [("response_format", "schema")]
