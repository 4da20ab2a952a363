"""A request of openai.chat, read and written: the values exactly, the losses exactly."""

import json
from typing import Any

import pytest

from fungible import ir
from fungible.dialects.openai_chat import DIALECT
from fungible.faults import Fault
from fungible.losses import Report

NAME = "openai.chat"
PNG = "iVBORw0KGgoAAAANSUhEUg=="
SCHEMA = {
    "type": "object",
    "properties": {"who": {"$ref": "#/$defs/person"}},
    "$defs": {"person": {"type": "object", "additionalProperties": False}},
    "required": ["who"],
    "additionalProperties": False,
}


def read(*messages: Any, **more: Any) -> ir.Request:
    return DIALECT.read_request(json.dumps({"model": "m", "messages": messages, **more}).encode())


def write(request: ir.Request, *quirks: str) -> tuple[Any, list[str]]:
    report = Report()
    body = json.loads(DIALECT.write_request(request, report, frozenset(quirks)))
    return body, [f"{loss.path}: {loss.kind}, {loss.why}" for loss in report.losses]


def again(*messages: Any, **more: Any) -> Any:
    """Read and written, without a loss."""
    body, losses = write(read(*messages, **more))
    assert not losses
    return body


def asked(*parts: ir.Part, role: Any = "user", **more: Any) -> ir.Request:
    return ir.Request(model="m", messages=(ir.Message(role=role, parts=parts),), **more)


def user(text: str = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def call(id_: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


# --- messages ------------------------------------------------------------------------------------


def test_a_string_and_where_it_stood() -> None:
    (message,) = read(user("Hi")).messages
    assert message == ir.Message(role="user", parts=(ir.Text(text="Hi"),))
    assert (message.at, message.parts[0].at) == ("messages[0]", "messages[0].content")


def test_system_and_developer_anywhere_and_names() -> None:
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "system", "content": "In French."},
        {"role": "assistant", "content": "Salut", "name": "bot"},
    ]
    assert [(m.role, m.name) for m in read(*messages).messages] == [
        ("developer", None),
        ("user", "ada"),
        ("system", None),
        ("assistant", "bot"),
    ]
    assert again(*messages)["messages"] == messages


def test_parallel_calls_answered_out_of_order_keep_their_ids() -> None:
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call("call_b", "f"), call("call_a", "g", '{"x": 1}')]},
        {"role": "tool", "tool_call_id": "call_a", "content": "2"},
        {"role": "tool", "tool_call_id": "call_b", "content": "1"},
    ]  # fmt: skip
    request = read(*messages)
    assert request.messages[0].parts == (
        ir.ToolCall(id="call_b", name="f", arguments="{}"),
        ir.ToolCall(id="call_a", name="g", arguments='{"x": 1}'),
    )
    assert request.messages[0].parts[1].at == "messages[0].tool_calls[1]"
    assert [m.parts[0] for m in request.messages[1:]] == [
        ir.ToolResult(call_id="call_a", parts=(ir.Text(text="2"),)),
        ir.ToolResult(call_id="call_b", parts=(ir.Text(text="1"),)),
    ]
    assert again(*messages) == {"model": "m", "messages": messages}


def test_tool_history_without_tools_is_carried() -> None:
    messages = [
        user(),
        {"role": "assistant", "content": None, "tool_calls": [call("call_1", "f")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]
    assert "tools" not in again(*messages)


@pytest.mark.parametrize(
    ("given", "held"),
    [("", "{}"), (None, "{}"), ("{}", "{}"), ('{"a": ', '{"a": '), ({"a": 1}, '{"a":1}')],
)
def test_arguments_are_json_text_or_an_empty_object(given: Any, held: str) -> None:
    message = {"role": "assistant", "tool_calls": [call("call_1", "f", given)]}
    (part,) = read(message).messages[0].parts
    assert isinstance(part, ir.ToolCall) and part.arguments == held


def test_null_content_empty_text_and_empty_lists() -> None:
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call("call_1", "f")]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "x"}]},
    ]
    request = read(*messages)
    assert request.messages[1].parts == (ir.ToolResult(call_id="call_1"),)
    assert request.messages[2].parts == (ir.Text(text=""),)
    assert request.messages[3].parts == ()
    assert request.messages[4].parts == (ir.Text(text=""), ir.Text(text="x"))
    assert again(*messages)["messages"] == messages


def test_a_result_of_one_empty_text_is_no_result_without_parts() -> None:
    body, losses = write(asked(ir.ToolResult(call_id="c", parts=(ir.Text(text=""),)), role="tool"))
    assert body["messages"][0]["content"] == [{"type": "text", "text": ""}]
    body, more = write(asked(ir.ToolResult(call_id="c"), role="tool"))
    assert body["messages"][0]["content"] == ""
    assert losses == more == []


def test_calls_without_ids_find_their_results() -> None:
    nameless = [{"type": "function", "function": {"name": n, "arguments": "{}"}} for n in ("f", "g")]
    messages = [
        {"role": "assistant", "tool_calls": nameless},
        {"role": "tool", "name": "g", "content": "2"},
        {"role": "tool", "content": "1"},
    ]
    request = read(*messages)
    assert [p.id for p in request.messages[0].parts if isinstance(p, ir.ToolCall)] == ["call_0", "call_1"]
    assert [m.parts[0].call_id for m in request.messages[1:]] == ["call_1", "call_0"]  # type: ignore[union-attr]


def test_refusals_are_a_field_or_parts_in_their_order() -> None:
    field = {"role": "assistant", "content": "Well.", "refusal": "No."}
    parts = {
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "But"}],
    }
    said = (ir.Text(text="Well."), ir.Refusal(text="No."))
    assert read(field).messages[0].parts == said
    assert [type(p) for p in read(parts).messages[0].parts] == [ir.Refusal, ir.Text]
    assert again(field, parts)["messages"] == [field, parts]


def test_custom_tools_and_their_calls() -> None:
    made = {"id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    tool = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
    request = read({"role": "assistant", "content": None, "tool_calls": [made]}, tools=[tool])
    assert request.messages[0].parts == (
        ir.ToolCall(id="call_1", name="sql", arguments="select 1", custom=True),
    )
    assert request.tools == (ir.Tool(name="sql", custom=True, grammar=ir.Grammar()),)
    body, losses = write(request)
    assert (body["tools"], body["messages"][0]["tool_calls"], losses) == ([tool], [made], [])


def test_retired_functions_ride_along() -> None:
    messages = [
        user(),
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ]
    more = {"functions": [{"name": "f", "parameters": {}}], "function_call": "auto"}
    request = read(*messages, **more)
    assert request.extras == ir.Extras(dialect=NAME, fields=more)
    assert again(*messages, **more) == {"model": "m", "messages": messages, **more}


def test_unknown_fields_at_every_level_come_back() -> None:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x", "new": 1},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://example.com/a.png", "new": 2},
                    "other": 3,
                },
                {"type": "hologram", "hologram": {"z": 1}},
            ],
            "new": 4,
        },
        {"role": "assistant", "content": None, "tool_calls": [{**call("call_1", "f"), "new": 5, "index": 7}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1", "new": 6},
    ]
    messages[1]["tool_calls"][0]["function"]["deep"] = 8  # type: ignore[index]
    more = {
        "tools": [{"type": "function", "function": {"name": "f", "new": 9}, "other": 10}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "new": 11}},
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "brand_new": {"deep": [1, None]},
    }
    assert again(*messages, **more) == {"model": "m", "messages": messages, **more}


def test_another_dialects_fields_are_lost_by_name() -> None:
    theirs = ir.Extras(dialect="other", fields={"x": 1})
    request = ir.Request(
        model="m",
        messages=(ir.Message(role="user", parts=(ir.Text(text="a", extras=theirs, at="m[0].c[0]"),)),),
        tools=(ir.Native(dialect="other", body={}, at="tools[0]"), ir.Tool(name="f", extras=theirs, at="tools[1]")),
        extras=theirs,
    )  # fmt: skip
    body, losses = write(request)
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert sorted(losses) == [
        "m[0].c[0].x: dropped, unknown_field",
        "tools[0]: dropped, native_block",
        "tools[1].x: dropped, unknown_field",
        "x: dropped, unknown_field",
    ]


def test_parts_out_of_an_assistants_order_are_moved_and_said() -> None:
    parts = (
        ir.ToolCall(id="c", name="f", arguments="{}", at="p0"),
        ir.Text(text="After.", at="p1"),
        ir.Text(text="", at="p2"),
    )
    body, losses = write(asked(*parts, role="assistant"))
    assert body["messages"][0] == {"role": "assistant", "content": "After.", "tool_calls": [call("c", "f")]}
    assert losses == ["p1: changed, part_order", "p2: dropped, empty_text"]


# --- media ---------------------------------------------------------------------------------------


def test_images_files_and_sound() -> None:
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="},
        },
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    (message,) = read({"role": "user", "content": content}).messages
    assert message.parts == (
        ir.Image(source=ir.Source(media_type="image/png", data=PNG), detail="low"),
        ir.Image(source=ir.Source(url="https://example.com/a.png")),
        ir.Audio(source=ir.Source(data="UklGRg=="), format="wav"),
        ir.Document(source=ir.Source(media_type="application/pdf", data="JVBERi0xLjQ="), name="a.pdf"),
        ir.Document(source=ir.Source(file_id="file-1")),
    )
    assert again({"role": "user", "content": content})["messages"] == [{"role": "user", "content": content}]


def test_what_has_no_place_is_lost_or_said_in_text() -> None:
    body, losses = write(
        asked(
            ir.Document(source=ir.Source(text="North is up.", media_type="text/plain"), name="Legend", at="d0"),
            ir.Document(source=ir.Source(url="https://example.com/a.pdf"), at="d1"),
            ir.Document(source=ir.Source(data="JVBERi0xLjQ=", media_type="application/pdf"), context="c", at="d2"),
            ir.Image(source=ir.Source(file_id="file-1"), at="i"),
        )
    )  # fmt: skip
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Legend\n\nNorth is up."},
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjQ=", "filename": "unnamed"},
        },
    ]
    assert losses == [
        "d0: approximated, document",
        "d1: dropped, document",
        "d2.context: dropped, document",
        "i: dropped, image",
    ]


def test_media_inside_tool_results_follow_the_last_result() -> None:
    picture = ir.Image(source=ir.Source(media_type="image/png", data=PNG), at="picture")
    request = ir.Request(
        model="m",
        messages=(
            ir.Message(
                role="tool", parts=(ir.ToolResult(call_id="call_1", parts=(ir.Text(text="See."), picture)),)
            ),
            ir.Message(role="tool", parts=(ir.ToolResult(call_id="call_2", parts=(picture,)),)),
            ir.Message(role="user", parts=(ir.Text(text="Well?"),)),
        ),
    )
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    body, losses = write(request)
    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "call_1", "content": "See."},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of tool call call_1: image/png"},
                url,
                {"type": "text", "text": "From the result of tool call call_2: image/png"},
                url,
            ],
        },
        user("Well?"),
    ]
    assert losses == ["picture: changed, tool_result_media"] * 2
    body, losses = write(request, "tool_result_media")
    assert body["messages"][1] == {"role": "tool", "tool_call_id": "call_2", "content": [url]}
    assert losses == []


def test_a_failed_tool_says_so_in_its_text() -> None:
    failed = ir.ToolResult(
        call_id="c", parts=(ir.Text(text="No such city."),), is_error=True, at="messages[3]"
    )
    body, losses = write(asked(failed, role="tool"))
    assert body["messages"][0]["content"] == "Error: No such city."
    assert losses == ["messages[3]: approximated, tool_result_error"]


# --- tools, schemas, output ----------------------------------------------------------------------


def test_schemas_are_carried_to_the_letter() -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": "f", "parameters": SCHEMA, "strict": True, "description": "d"},
        },
        {"type": "function", "function": {"name": "g"}},
    ]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    request = read(user(), tools=tools, response_format=form)
    assert request.tools == (
        ir.Tool(name="f", description="d", parameters=SCHEMA, strict=True),
        ir.Tool(name="g"),
    )
    assert request.tools[0].at == "tools[0].function"
    assert request.output == ir.Output(mode="json_schema", name="n", schema=SCHEMA, strict=True)
    body = again(user(), tools=tools, response_format=form)
    assert (body["tools"], body["response_format"]) == (tools, form)


@pytest.mark.parametrize("mode", ["text", "json_object"])
def test_plain_forms(mode: Any) -> None:
    assert read(user(), response_format={"type": mode}).output == ir.Output(mode=mode)
    assert again(user(), response_format={"type": mode})["response_format"] == {"type": mode}


def test_a_schema_without_a_name_is_given_one_and_loses_it_again() -> None:
    body, losses = write(asked(ir.Text(text="x"), output=ir.Output(mode="json_schema", schema=SCHEMA)))
    assert (body["response_format"]["json_schema"]["name"], losses) == ("unnamed", [])
    again_read = DIALECT.read_request(json.dumps(body).encode())
    assert again_read.output == ir.Output(mode="json_schema", schema=SCHEMA)


@pytest.mark.parametrize(
    ("wire", "held"),
    [
        ("auto", ir.ToolChoice(mode="auto")),
        ("none", ir.ToolChoice(mode="none")),
        ("required", ir.ToolChoice(mode="required")),
        ({"type": "function", "function": {"name": "f"}}, ir.ToolChoice(mode="named", name="f")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            ir.ToolChoice(mode="required", allowed=("f",)),
        ),
    ],
)
def test_tool_choices(wire: Any, held: ir.ToolChoice) -> None:
    assert read(user(), tool_choice=wire).tool_choice == held
    assert again(user(), tool_choice=wire)["tool_choice"] == wire


@pytest.mark.parametrize(
    "wire",
    [
        "any",
        {"function": {"name": "f"}},
        {"type": "tool", "name": "f"},
        {"type": "custom", "custom": {"name": "f"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "f"}}]}},
    ],
)  # fmt: skip
def test_tool_choices_of_other_spellings_come_back(wire: Any) -> None:
    choice = read(user(), tool_choice=wire).tool_choice
    assert choice is not None and choice.mode in ("required", "named", "auto")
    assert again(user(), tool_choice=wire)["tool_choice"] == wire


# --- the rest ------------------------------------------------------------------------------------


def test_every_knob_is_read_and_written() -> None:
    more = {
        "temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": -0.1, "seed": 7, "n": 2,
        "logprobs": True, "top_logprobs": 3, "user": "u", "metadata": {"a": "b"}, "parallel_tool_calls": False,
        "service_tier": "flex", "stop": ["a", "b"], "max_completion_tokens": 9, "reasoning_effort": "low", "top_k": 5,
        "stream": True, "stream_options": {"include_usage": False},
    }  # fmt: skip
    request = read(user(), **more)
    assert (request.max_output_tokens, request.stream_usage, request.stop) == (9, False, ("a", "b"))
    assert request.reasoning == ir.Reasoning(effort="low")
    assert again(user(), **more) == {"model": "m", "messages": [user()], **more}


def test_both_names_of_the_token_limit() -> None:
    assert read(user(), max_tokens=5).max_output_tokens == 5
    both = again(user(), max_tokens=5, max_completion_tokens=6)
    assert (both["max_tokens"], both["max_completion_tokens"]) == (5, 6)
    body, losses = write(asked(max_output_tokens=5), "max_tokens")
    assert (body["max_tokens"], losses) == (5, [])


@pytest.mark.parametrize(
    ("quirk", "request_", "gone", "losses"),
    [
        ("no_stream_options", {"stream": True, "stream_options": {"include_usage": True}}, "stream_options", ["stream_usage: dropped, stream_usage"]),
        ("no_parallel_tool_calls", {"parallel_tool_calls": True}, "parallel_tool_calls", ["parallel_tool_calls: dropped, tool_choice"]),
    ],
)  # fmt: skip
def test_quirks_that_leave_out(quirk: str, request_: Any, gone: str, losses: list[str]) -> None:
    body, told = write(read(user(), **request_), quirk)
    assert gone not in body
    assert told == losses


def test_quirks_that_approximate() -> None:
    body, losses = write(read({"role": "developer", "content": "x"}), "no_developer_role")
    assert (body["messages"][0]["role"], losses) == ("system", ["messages[0].role: approximated, role"])
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    body, losses = write(read(user(), response_format=form), "no_json_schema")
    assert (body["response_format"], losses) == (
        {"type": "json_object"},
        ["response_format.json_schema: approximated, schema"],
    )
    tools = [{"type": "function", "function": {"name": "f", "strict": True}}]
    body, losses = write(read(user(), tools=tools), "no_strict")
    assert (body["tools"][0]["function"], losses) == (
        {"name": "f"},
        ["tools[0].function.strict: dropped, tool_strict"],
    )


def test_every_quirk_is_explained() -> None:
    assert all(text.endswith(".") for text in DIALECT.quirks.values())
    assert set(DIALECT.rewrites) <= set(DIALECT.quirks)


# --- what is refused -----------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str | None]] = {
    "no messages": ({"model": "m"}, "messages"),
    "a message that is a string": ({"messages": ["Hi"]}, "messages[0]"),
    "no such role": ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    "content that is a number": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    "a part without a type": ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    "a text without its text": ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    "an image without its address": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    "a call without a function": (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]}]},
        "messages[0].tool_calls[0].function",
    ),
    "a schema that is a list": (
        {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        "tools[0].function.parameters",
    ),
    "a schema of a string": (
        {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
        "tools[0].function.parameters.type",
    ),
    "no such tool choice": ({"messages": [], "tool_choice": "maybe"}, "tool_choice"),
    "a temperature in words": ({"messages": [], "temperature": "hot"}, "temperature"),
    "a seed that is yes": ({"messages": [], "seed": True}, "seed"),
    "metadata of numbers": ({"messages": [], "metadata": {"a": 1}}, "metadata.a"),
    "no base64": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/x;base64,%%%"}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    "another image than it says": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{PNG}"}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    "a file that is none": ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file"),
}  # fmt: skip


@pytest.mark.parametrize("story", WRONG)
def test_what_is_wrong_is_said_with_its_path(story: str) -> None:
    body, path = WRONG[story]
    with pytest.raises(Fault) as caught:
        DIALECT.read_request(json.dumps({"model": "m", **body}).encode())
    assert (caught.value.kind, caught.value.path) == ("bad_request", path)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"a": 1}x', b'{"model": "m", "messages": ' + b"[" * 100 + b"]" * 100 + b"}"]
)  # fmt: skip
def test_what_is_no_request_at_all(body: bytes) -> None:
    for read_it in (DIALECT.read_request, DIALECT.peek):
        with pytest.raises(Fault) as caught:
            read_it(body)
        assert caught.value.kind == "bad_request"
