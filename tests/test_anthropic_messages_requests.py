"""Messages requests: tools, system texts, empty content and thinking, read and written exactly."""

from typing import Any

import msgspec
import pytest

from fungible import ir
from fungible.dialects.anthropic_messages import DIALECT
from fungible.dialects.anthropic_messages.names import NAME
from fungible.losses import Report

from .anthropic_wire import OBJECT, asked, message, read, request, result, there_and_back, user, written

# --- tools ---------------------------------------------------------------------------------------


def test_parallel_calls_answered_out_of_order_share_the_next_user_message_ids_kept() -> None:
    calls = message(
        "assistant",
        ir.ToolCall(id="a", name="f", arguments='{"x": 1}'),
        ir.ToolCall(id="b", name="f", arguments="{}"),
    )
    wire, losses = written(request(user("Hi"), calls, result("b", "2"), result("a", "1"), user("Go on")))
    assert wire["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "text", "text": "Go on"},
            ],
        },
    ]
    assert losses == set()


def test_a_result_after_a_users_words_moves_up_and_is_reported() -> None:
    call = message("assistant", ir.ToolCall(id="a", name="f", arguments="{}"))
    wire, losses = written(request(user("Hi"), call, user("Wait"), result("a", "1", at="messages[3]")))
    assert [block["type"] for block in wire["messages"][2]["content"]] == ["tool_result", "text"]
    assert losses == {("messages[3]", "changed", "message_order")}


def test_a_user_message_with_results_is_read_as_one_message_for_each() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        {"type": "text", "text": "Go on"},
    ]
    seen = read(asked({"role": "user", "content": content}))
    assert seen.messages == (
        message("tool", ir.ToolResult(call_id="a", parts=(ir.Text(text="1"),))),
        message("tool", ir.ToolResult(call_id="b", is_error=True)),
        user("Go on"),
    )
    assert [m.at for m in seen.messages] == [
        "messages[0].content[0]",
        "messages[0].content[1]",
        "messages[0]",
    ]


def test_tool_history_without_tools_is_kept_as_it_is() -> None:
    body = asked(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]},
    )
    assert there_and_back(body) == body


ARGUMENTS = {
    '{"b": 1.0,  "a": [1]}': ({"b": 1.0, "a": [1]}, None),
    "{}": ({}, None),
    "": ({}, "tool_arguments"),
    '{"city": "Par': ({"_text": '{"city": "Par'}, "tool_arguments"),
    "[1]": ({"_text": "[1]"}, "tool_arguments"),
    '"x"': ({"_text": '"x"'}, "tool_arguments"),
}


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_arguments_that_are_no_object_are_carried_as_text(arguments: str) -> None:
    value, why = ARGUMENTS[arguments]
    call = ir.ToolCall(id="a", name="f", arguments=arguments, at="p")
    wire, losses = written(request(user("Hi"), message("assistant", call)))
    assert wire["messages"][1]["content"][0]["input"] == value
    assert losses == ({("p.arguments", "changed", why)} if why else set())


def test_arguments_keep_the_text_the_model_wrote() -> None:
    text = '{ "b" : 1.50, "a":12345678901234567890123 }'
    body = (
        '{"model":"m","messages":[{"role":"assistant","content":[{"type":"text","text":"x"},'
        '{"type":"tool_use","id":"a","name":"f","input":' + text + "}]}]}"
    ).encode()
    seen = DIALECT.read_request(body)
    assert seen.messages[0].parts[1] == ir.ToolCall(id="a", name="f", arguments=text)
    assert text.encode() in DIALECT.write_request(seen, Report(), frozenset())


def test_ids_with_other_characters_are_mapped_alike_for_call_and_result() -> None:
    call = ir.ToolCall(id="functions.f:0", name="f", arguments="{}", at="c")
    answer = message("tool", ir.ToolResult(call_id="functions.f:0", at="r"))
    other = ir.ToolCall(id="functions_f:0", name="f", arguments="{}", at="d")
    wire, losses = written(request(user("Hi"), message("assistant", call, other), answer))
    ids = [block["id"] for block in wire["messages"][1]["content"]]
    assert ids[0] == wire["messages"][2]["content"][0]["tool_use_id"] != ids[1]
    assert all(id_.replace("_", "").replace("-", "").isalnum() for id_ in ids)
    assert losses == {
        ("c.id", "changed", "tool_call_id"),
        ("d.id", "changed", "tool_call_id"),
        ("r.call_id", "changed", "tool_call_id"),
    }


def test_schemas_with_defs_refs_and_strictness_are_carried_whole() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": ["integer", "null"]}},
        "additionalProperties": False,
    }
    body = asked(
        {"role": "user", "content": "Hi"},
        tools=[
            {"name": "f", "description": "d", "input_schema": schema, "strict": True, "defer_loading": True}
        ],
        output_config={
            "format": {"type": "json_schema", "schema": schema},
            "effort": "low",
            "task_budget": {"n": 1},
        },
    )
    assert there_and_back(body) == body
    seen = read(body)
    assert seen.tools == (
        ir.Tool(
            name="f",
            description="d",
            parameters=schema,
            strict=True,
            extras=ir.Extras(dialect=NAME, fields={"defer_loading": True}),
        ),
    )
    assert seen.output == ir.Output(mode="json_schema", schema=schema)
    assert seen.extras == ir.Extras(dialect=NAME, fields={"output_config.task_budget": {"n": 1}})


def test_a_tool_without_parameters_gets_an_empty_schema_and_says_so() -> None:
    tools = (ir.Tool(name="f", at="t"), ir.Tool(name="g", parameters=OBJECT))
    wire, losses = written(request(user("Hi"), tools=tools))
    assert [tool["input_schema"] for tool in wire["tools"]] == [OBJECT, OBJECT]
    assert losses == {("t.parameters", "changed", "tool_schema")}


def test_what_an_output_has_no_place_for() -> None:
    output = ir.Output(mode="json_schema", name="n", description="d", schema=OBJECT, strict=True, at="o")
    wire, losses = written(request(user("Hi"), output=output))
    assert wire["output_config"] == {"format": {"type": "json_schema", "schema": OBJECT}}
    assert losses == {(f"o.{f}", "dropped", "schema") for f in ("name", "description", "strict")}
    wire, losses = written(request(user("Hi"), output=ir.Output(mode="json_object", at="o")))
    assert "output_config" not in wire
    assert losses == {("o", "dropped", "schema")}


CHOICES = [
    ({"type": "auto"}, ir.ToolChoice(mode="auto"), None),
    ({"type": "any"}, ir.ToolChoice(mode="required"), None),
    ({"type": "none"}, ir.ToolChoice(mode="none"), None),
    ({"type": "tool", "name": "f"}, ir.ToolChoice(mode="named", name="f"), None),
    ({"type": "any", "disable_parallel_tool_use": True}, ir.ToolChoice(mode="required"), False),
    ({"type": "auto", "disable_parallel_tool_use": True}, None, False),
    ({"type": "auto", "disable_parallel_tool_use": False}, None, True),
]


@pytest.mark.parametrize(("wire", "choice", "parallel"), CHOICES)
def test_tool_choice(wire: Any, choice: Any, parallel: Any) -> None:
    body = asked(
        {"role": "user", "content": "Hi"}, tools=[{"name": "f", "input_schema": OBJECT}], tool_choice=wire
    )
    seen = read(body)
    assert (seen.tool_choice, seen.parallel_tool_calls) == (choice, parallel)
    assert there_and_back(body) == body


def test_allowed_tools_are_the_only_ones_written() -> None:
    tools = (ir.Tool(name="f", parameters=OBJECT, at="t0"), ir.Tool(name="g", parameters=OBJECT, at="t1"))
    choice = ir.ToolChoice(mode="required", allowed=("g",), at="tc")
    wire, losses = written(request(user("Hi"), tools=tools, tool_choice=choice))
    assert [tool["name"] for tool in wire["tools"]] == ["g"]
    assert wire["tool_choice"] == {"type": "any"}
    assert losses == {("t0", "dropped", "tool_choice"), ("tc.allowed", "approximated", "tool_choice")}


# --- system --------------------------------------------------------------------------------------


def test_system_and_developer_at_the_head_are_joined_at_the_top_level() -> None:
    system = message("system", ir.Text(text="A"), at="s0")
    developer = message("developer", ir.Text(text="B"), at="s1")
    wire, losses = written(request(system, developer, user("Hi")))
    assert wire["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert losses == {("s1", "changed", "message_order"), ("s1.role", "approximated", "role")}
    assert written(request(system, user("Hi")))[0]["system"] == "A"


def test_a_system_message_in_the_middle_stays_where_the_api_takes_it() -> None:
    body = asked(
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Ho"},
        system="A",
    )
    assert there_and_back(body) == body


def test_a_system_message_before_a_users_is_moved_behind_it() -> None:
    told = message("system", ir.Text(text="B"), at="s")
    wire, losses = written(request(user("Hi"), message("assistant", ir.Text(text="Ho")), told, user("?")))
    assert wire["messages"][2:] == [{"role": "user", "content": "?"}, {"role": "system", "content": "B"}]
    assert losses == {("s", "changed", "message_order")}


@pytest.mark.parametrize(("model", "quirks"), [("claude-haiku-4-5", ()), ("m", ("no_system_messages",))])
def test_a_system_message_is_a_marked_users_where_none_is_taken(model: str, quirks: tuple[str, ...]) -> None:
    told = message("system", ir.Text(text="B"), at="s")
    wire, losses = written(request(user("Hi"), told, model=model), *quirks)
    assert wire["messages"][1] == {
        "role": "user",
        "content": [{"type": "text", "text": "<system>\nB\n</system>"}],
    }
    assert losses == {("s", "changed", "role")}


def test_a_directive_stays_in_place_even_without_content() -> None:
    body = asked(
        {"role": "system", "content": [], "output_config": {"effort": "low"}},
        {"role": "user", "content": "Hi"},
    )
    assert there_and_back(body) == body


# --- empty content -------------------------------------------------------------------------------


def test_empty_text_is_left_out_and_reported() -> None:
    said = message("assistant", ir.Text(text="", at="t"), ir.ToolCall(id="a", name="f", arguments="{}"))
    wire, losses = written(request(user("Hi"), said))
    assert [block["type"] for block in wire["messages"][1]["content"]] == ["tool_use"]
    assert losses == {("t", "dropped", "empty_text")}


def test_a_message_of_which_nothing_is_left_is_left_out_as_one_loss() -> None:
    empty = message("assistant", ir.Text(text=" \n", at="m.t"), ir.Text(text="", at="m.u"), at="m")
    wire, losses = written(request(user("Hi"), empty, message("assistant", at="n"), user("?")))
    assert wire["messages"] == [{"role": "user", "content": "Hi"}, {"role": "user", "content": "?"}]
    assert losses == {("m", "dropped", "empty_text"), ("n", "dropped", "empty_text")}


def test_an_empty_tool_result_is_carried() -> None:
    for content in (
        {},
        {"content": ""},
        {"content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]},
    ):
        body = asked({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"} | content]})
        assert there_and_back(body) == body


# --- thinking ------------------------------------------------------------------------------------


def test_thinking_is_kept_across_turns_redacted_or_not() -> None:
    body = asked(
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s=="},
                {"type": "thinking", "thinking": "", "signature": "t=="},
                {"type": "redacted_thinking", "data": "r=="},
                {"type": "text", "text": "Ho"},
            ],
        },
        thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    )
    assert there_and_back(body) == body
    seen = read(body)
    assert seen.messages[1].parts[:3] == (
        ir.Thinking(text="Hm", signature="s=="),
        ir.Thinking(signature="t=="),
        ir.Thinking(redacted="r=="),
    )
    assert seen.reasoning == ir.Reasoning(mode="enabled", budget_tokens=1024, display="omitted")


def test_thinking_without_a_signature_is_not_taken_back() -> None:
    said = message("assistant", ir.Thinking(text="Hm", at="t"), ir.Text(text="Ho"))
    wire, losses = written(request(user("Hi"), said))
    assert wire["messages"][1]["content"] == [{"type": "text", "text": "Ho"}]
    assert losses == {("t", "dropped", "thinking")}
    wire, losses = written(request(user("Hi"), said), "unsigned_thinking")
    assert wire["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm", "signature": ""}
    assert losses == set()


REASONING = [
    (ir.Reasoning(effort="high"), {"output_config": {"effort": "high"}}, set()),
    (ir.Reasoning(effort="minimal"), {"output_config": {"effort": "low"}}, {("effort", "approximated")}),
    (ir.Reasoning(effort="none"), {"thinking": {"type": "disabled"}}, {(None, "changed")}),
    (ir.Reasoning(mode="adaptive"), {"thinking": {"type": "adaptive"}}, set()),
    (ir.Reasoning(mode="enabled"), {"thinking": {"type": "adaptive"}}, {("mode", "approximated")}),
    (
        ir.Reasoning(budget_tokens=2048),
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {("mode", "changed")},
    ),
    (
        ir.Reasoning(mode="disabled", display="omitted"),
        {"thinking": {"type": "disabled"}},
        {("display", "dropped")},
    ),
]


@pytest.mark.parametrize(("reasoning", "expected", "lost"), REASONING)
def test_reasoning(reasoning: ir.Reasoning, expected: dict[str, Any], lost: set[tuple[Any, str]]) -> None:
    wire, losses = written(request(user("Hi"), reasoning=msgspec.structs.replace(reasoning, at="r")))
    assert {k: v for k, v in wire.items() if k in ("thinking", "output_config")} == expected
    assert losses == {(f"r.{field}" if field else "r", kind, "reasoning") for field, kind in lost}


def test_between_tools_is_the_nearest_to_no_thinking_and_comes_back_as_it_was() -> None:
    body = asked(
        {"role": "user", "content": "Hi"}, thinking={"type": "between_tools"}, output_config={"effort": "max"}
    )
    assert there_and_back(body) == body
    reasoning = read(body).reasoning
    assert reasoning is not None
    assert (reasoning.mode, reasoning.effort) == ("disabled", "max")
    report = Report(DIALECT.names)
    report.lose(reasoning, "effort", "dropped", "reasoning")
    report.lose(reasoning, "mode", "dropped", "reasoning")
    assert [loss.path for loss in report.losses] == ["output_config.effort", "thinking.type"]
