"""bedrock.converse: what translators are known to break, what its recorded traffic shows, and bad input."""

import pytest

from fungible.translate import translate

from .converse_bodies import (
    ANTHROPIC,
    CLAUDE_ON_BEDROCK,
    CONVERSE,
    OPENAI,
    POINT,
    asks,
    converse,
    gives,
    of,
    says,
    spec,
    to,
    uses,
)
from .wires import (
    OBJECT,
    PDF,
    PNG,
    answered,
    chat,
    claude,
    function,
    function_call,
    said,
    text,
    tool_result,
    tool_use,
    user,
)

# --- tools ---------------------------------------------------------------------------------------

USED = says(uses("call_a", "f", {"x": 1}), uses("call_b", "g", {}))
F_AND_G = {"tools": [spec("f"), spec("g")]}
CHAT_CALLS = said(
    None, tool_calls=[function_call("call_a", "f", '{"x":1}'), function_call("call_b", "g", "{}")]
)


def test_parallel_results_are_one_user_message_with_what_the_user_says_next() -> None:
    tools = [function("f", parameters=OBJECT), function("g", parameters=OBJECT)]
    to(
        OPENAI,
        chat(
            user("Go."),
            CHAT_CALLS,
            answered("call_b", "2"),
            answered("call_a", "1"),
            user("And?"),
            tools=tools,
        ),
        converse(
            asks("Go."),
            USED,
            asks(gives("call_b", {"text": "2"}), gives("call_a", {"text": "1"}), "And?"),
            toolConfig=F_AND_G,
        ),
    )


def test_a_history_of_calls_without_tools_gets_stand_ins_for_the_service_refuses_it_otherwise() -> None:
    done = translate(chat(user("Go."), CHAT_CALLS), source=OPENAI, target=CONVERSE)
    assert [t["toolSpec"]["name"] for t in done.body["toolConfig"]["tools"]] == ["f", "g"]
    assert [(loss.path, loss.why) for loss in done.losses] == [("tools", "tool_schema")]


def test_a_failed_tool_is_marked() -> None:
    of(
        ANTHROPIC,
        converse(
            asks("Go."),
            USED,
            asks(
                gives("call_a", {"text": "no"}, status="error"),
                gives("call_b", {"text": "yes"}, status="success"),
            ),
            toolConfig=F_AND_G,
        ),
        {
            "model": "",
            "max_tokens": 64,
            "messages": [
                user("Go."),
                said([tool_use("call_a", "f", {"x": 1}), tool_use("call_b", "g", {})]),
                user(
                    [
                        tool_result("call_a", "no", is_error=True),
                        tool_result("call_b", "yes", is_error=False),
                    ]
                ),
            ],
            "tools": [{"name": "f", "input_schema": OBJECT}, {"name": "g", "input_schema": OBJECT}],
        },
    )


def test_json_in_a_result_is_text_elsewhere_and_json_again_at_home() -> None:
    body = converse(asks("Go."), USED, asks(gives("call_a", {"json": {"n": [1, None]}})), toolConfig=F_AND_G)
    there = translate(body, source=CONVERSE, target=OPENAI)
    assert there.body["messages"][2]["content"][0]["text"] == '{"n":[1,null]}'
    assert there.losses == ()
    assert translate(body, source=CONVERSE, target=CONVERSE).body == body


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("functions.get:0", True),
        ("call_0123456789", True),
        ("a b/c", False),
        ("x" * 65, False),
    ],
)
def test_ids_of_calls_are_mapped_only_where_the_service_refuses_them(sent: str, kept: bool) -> None:
    calls = said(None, tool_calls=[function_call(sent, "f", "{}")])
    body = chat(user("Go."), calls, answered(sent, "1"), tools=[function("f", parameters=OBJECT)])
    done = translate(body, source=OPENAI, target=CONVERSE)
    used = done.body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert used == done.body["messages"][2]["content"][0]["toolResult"]["toolUseId"]
    assert (used == sent) is kept and len(used) <= 64
    assert {loss.why for loss in done.losses} == (set() if kept else {"tool_call_id"})


def test_no_tool_may_be_called_means_no_tools() -> None:
    to(
        OPENAI,
        chat(user("Go."), tools=[function("f", parameters=OBJECT)], tool_choice="none"),
        converse(asks("Go.")),
        ("tool_choice", "dropped", "tool_choice"),
        ("tools[0].function", "dropped", "tool_choice"),
    )


def test_choices_of_tools_cross() -> None:
    tools = [{"name": "f", "input_schema": OBJECT}]
    for theirs, ours in (
        ({"type": "auto"}, {"auto": {}}),
        ({"type": "any"}, {"any": {}}),
        ({"type": "tool", "name": "f"}, {"tool": {"name": "f"}}),
    ):
        to(
            ANTHROPIC,
            claude(user("Go."), tools=tools, tool_choice=theirs),
            converse(asks("Go."), toolConfig={"tools": [spec("f")], "toolChoice": ours}),
        )


# --- marks, media, order -------------------------------------------------------------------------


def test_a_cache_mark_is_a_block_after_what_it_marks_wherever_it_stands() -> None:
    mark = {"type": "ephemeral"}
    body = claude(
        user([text("Long.", cache_control=mark), text("Short.")]),
        said([tool_use("t1", "f", {}, cache_control={"type": "ephemeral", "ttl": "1h"})]),
        user([tool_result("t1", "x", cache_control=mark)]),
        system=[text("Rules.", cache_control=mark)],
        tools=[
            {"name": "f", "input_schema": OBJECT, "cache_control": mark},
            {"name": "g", "input_schema": OBJECT},
        ],
    )
    ours = converse(
        asks("Long.", POINT, "Short."),
        says(uses("t1", "f", {}), {"cachePoint": {"type": "default", "ttl": "1h"}}),
        asks(gives("t1", {"text": "x"}), POINT),
        system=[{"text": "Rules."}, POINT],
        toolConfig={"tools": [spec("f"), POINT, spec("g")]},
    )
    to(ANTHROPIC, body, ours)
    of(ANTHROPIC, ours, body | {"model": ""})


def test_a_lost_cache_point_is_reported_where_it_stands() -> None:
    done = translate(
        converse(asks("Long."), toolConfig={"tools": [spec("f"), POINT]}), source=CONVERSE, target=OPENAI
    )
    assert [loss.path for loss in done.losses] == ["toolConfig.tools[1].cachePoint"]


def test_a_cache_point_with_nothing_before_it_stays_where_it_is() -> None:
    body = converse(asks(POINT, "Hello", POINT, POINT))
    assert translate(body, source=CONVERSE, target=CONVERSE).body == body


@pytest.mark.parametrize(
    "model", ["meta.llama3-8b-instruct-v1:0", "us.meta.llama4-x-v1:0", "openai.gpt-oss-120b-1:0"]
)
def test_models_that_cache_nothing_are_sent_no_cache_points(model: str) -> None:
    body = claude(user([text("Long.", cache_control={"type": "ephemeral"})]))
    done = translate(body, source=ANTHROPIC, target=CONVERSE, model=model)
    assert (
        done.body["messages"] == [asks("Long.")]
        and done.path == f"/model/{model.replace(':', '%3A')}/converse"
    )
    assert [loss.why for loss in done.losses] == ["cache_mark"]


def test_pictures_and_documents_cross_both_ways() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    paper = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    theirs = claude(
        user([{"type": "image", "source": source}, {"type": "document", "source": paper, "title": "a paper"}])
    )
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    document = {"document": {"format": "pdf", "name": "a paper", "source": {"bytes": PDF}}}
    to(ANTHROPIC, theirs, converse(asks(image, document)))
    of(ANTHROPIC, converse(asks(image, document)), theirs | {"model": ""})


def test_a_document_is_given_a_name_that_the_service_takes() -> None:
    paper = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    body = claude(
        user(
            [
                {"type": "document", "source": paper, "title": "a  paper.v2.pdf"},
                {"type": "document", "source": paper},
            ]
        )
    )
    done = translate(body, source=ANTHROPIC, target=CONVERSE)
    names = [block["document"]["name"] for block in done.body["messages"][0]["content"]]
    assert names == ["a paper-v2-pdf", "document 1"]
    assert [loss.why for loss in done.losses] == ["document", "document"]


def test_an_image_at_an_address_is_a_reported_loss() -> None:
    content = [text("What?"), {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    to(OPENAI, chat(user(content)), converse(asks("What?")), ("messages[0].content[1]", "dropped", "image"))


def test_what_lies_in_s3_is_a_block_of_this_dialect_alone() -> None:
    image = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/a.png"}}}}
    of(
        OPENAI,
        converse(asks("What?", image)),
        {"messages": [user([text("What?")])], "max_completion_tokens": 64},
        ("messages[0].content[1]", "dropped", "native_block"),
    )


def test_users_and_assistants_take_turns() -> None:
    done = translate(chat(user("One."), user("Two."), said("A."), said("B.")), source=OPENAI, target=CONVERSE)
    assert done.body["messages"] == [asks("One.", "Two."), says("A.", "B.")]
    assert [(loss.path, loss.kind, loss.why) for loss in done.losses] == [
        ("messages[1]", "changed", "message_order"),
        ("messages[3]", "changed", "message_order"),
    ]


def test_blank_text_is_left_out_for_the_service_refuses_it() -> None:
    to(
        OPENAI,
        chat(
            user("Go."),
            said(" ", tool_calls=[function_call("c", "f", "{}")]),
            tools=[function("f", parameters=OBJECT)],
        ),
        converse(asks("Go."), says(uses("c", "f", {})), toolConfig={"tools": [spec("f")]}),
        ("messages[1].content", "dropped", "empty_text"),
    )


# --- thinking ------------------------------------------------------------------------------------

THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}


def test_signed_thinking_crosses_to_and_from_its_maker() -> None:
    theirs = claude(
        user("Go."),
        said([{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, text("Yes.")]),
        user("So?"),
    )
    ours = converse(asks("Go."), says(THOUGHT, "Yes."), asks("So?"))
    to(ANTHROPIC, theirs, ours)
    of(ANTHROPIC, ours, theirs | {"model": ""})


def test_unsigned_thinking_is_not_sent_to_a_claude() -> None:
    body = chat(user("Go."), said("Yes.", reasoning_content="Hm."), user("So?"))
    done = translate(body, source=OPENAI, target=CONVERSE, model=CLAUDE_ON_BEDROCK)
    assert done.body["messages"][1] == says("Yes.")
    assert [loss.why for loss in done.losses] == ["thinking"]


def test_effort_and_budget_go_where_the_model_takes_them() -> None:
    body = claude(user("Go."), thinking={"type": "enabled", "budget_tokens": 1024}, top_k=5, max_tokens=2048)
    more = translate(body, source=ANTHROPIC, target=CONVERSE, model=CLAUDE_ON_BEDROCK)
    assert more.body["additionalModelRequestFields"] == {
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert more.losses == ()
    none = translate(body, source=ANTHROPIC, target=CONVERSE, model="meta.llama3-8b-instruct-v1:0")
    assert "additionalModelRequestFields" not in none.body
    assert {loss.why for loss in none.losses} == {"reasoning", "sampling"}
    effort = translate(
        chat(user("Go."), reasoning_effort="high"),
        source=OPENAI,
        target=CONVERSE,
        model="anthropic.claude-opus-4-8",
    )
    assert effort.body["outputConfig"] == {"effort": "high"}
