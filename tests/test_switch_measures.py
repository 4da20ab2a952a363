"""Measures of one answer and of two: each on answers that pass it, fail it, and that it does not apply to."""

import json
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.ir import (
    Choice,
    Message,
    Output,
    Part,
    Refusal,
    Reply,
    Request,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from fungible.switch.alone import OF_ONE, alone, language, refused
from fungible.switch.beside import OF_TWO, beside
from fungible.switch.measures import MEASURES, margins
from fungible.switch.shapes import alike, fits

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "days": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["city"],
}
WEATHER = Tool(name="weather", parameters=CITY)
MAIL = Tool(name="mail", parameters={"type": "object", "properties": {"to": {"type": "string"}}})


def asked(text: str = "What is the weather like in Paris?", **fields: Any) -> Request:
    return Request(model="m", messages=(Message(role="user", parts=(Text(text=text),)),), **fields)


def said(*parts: Part | str, stop: str | None = "end", n: int = 1) -> Reply:
    made = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    choice = Choice(parts=made, stop=Stop(reason=stop) if stop is not None else None)  # type: ignore[arg-type]
    return Reply(id="r", model="m", choices=(choice,) * n)


def call(name: str = "weather", text: str | None = None, **arguments: Any) -> ToolCall:
    return ToolCall(id="c", name=name, arguments=json.dumps(arguments) if text is None else text)


SCHEMA = Output(
    mode="json_schema",
    schema={"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}},
)
TOOLS = asked(tools=(WEATHER, MAIL))
FORCED = asked(tools=(WEATHER, MAIL), tool_choice=ToolChoice(mode="named", name="weather"))
GERMAN = "Wie wird das Wetter morgen in Berlin, und brauche ich einen Regenschirm dafür?"
IN_GERMAN = "Morgen wird es in Berlin sonnig und trocken, also brauchst du keinen Regenschirm."
IN_ENGLISH = "Tomorrow it will be sunny and dry in Berlin, so you will not need an umbrella at all."


@pytest.mark.parametrize(
    ("measure", "request_", "reply", "score"),
    [
        ("answered", asked(), said("Sunny."), 1.0),
        ("answered", asked(), said(" \n"), 0.0),
        ("answered", asked(), said(), 0.0),
        ("answered", asked(), Reply(id="r", model="m", choices=()), 0.0),
        ("answered", TOOLS, said(call(city="Paris")), 1.0),
        ("answered", asked(), Fault("provider_error", "x"), 0.0),
        ("answered", asked(), Fault("client_gone", "x"), None),
        ("answered", asked(), said(stop="content_filter"), 1.0),
        ("willing", asked(), said(stop="content_filter"), 0.0),
        ("willing", asked(), said("Sunny."), 1.0),
        ("willing", asked(), said(Refusal(text="No.")), 0.0),
        ("willing", asked(), said("Well", stop="refusal"), 0.0),
        ("willing", asked(), said("I\u2019m sorry, but I can\u2019t help with that."), 0.0),
        ("willing", asked(), said("Es tut mir leid, aber ich kann dabei nicht helfen."), 0.0),
        ("willing", asked(), said("I can help with that: take the A train."), 1.0),
        ("willing", asked(), said("I'm sorry to hear that. Restart the router first."), 1.0),
        ("willing", asked(), Fault("provider_error", "x"), None),
        ("finished", asked(), said("Sunny."), 1.0),
        ("finished", asked(), said("Sun", stop="length"), 0.0),
        ("finished", asked(), said("Sun", stop=None), None),
        ("schema", asked(output=SCHEMA), said('{"age": 3}'), 1.0),
        ("schema", asked(output=SCHEMA), said('{"age": "3"}'), 0.0),
        ("schema", asked(output=SCHEMA), said('```json\n{"age": 3}\n```'), 0.0),
        ("schema", asked(output=SCHEMA), said('{"age": '), 0.0),
        ("schema", asked(output=SCHEMA), said(Refusal(text="No.")), None),
        ("schema", asked(output=Output(mode="json_object")), said("[1]"), 0.0),
        ("schema", asked(output=Output(mode="json_object")), said("{}"), 1.0),
        ("schema", asked(), said('{"age": 3}'), None),
        ("schema", asked(output=Output(mode="json_schema", schema={"type": "objekt"})), said("{}"), None),
        ("calls", TOOLS, said(call(city="Paris")), 1.0),
        ("calls", TOOLS, said(call(town="Paris")), 0.0),
        ("calls", TOOLS, said(call("wether", city="Paris")), 0.0),
        ("calls", TOOLS, said(call(text='{"city": ')), 0.0),
        ("calls", TOOLS, said(call(city="Paris"), call(city=7)), 0.0),
        ("calls", TOOLS, said("Sunny."), None),
        ("calls", FORCED, said("Sunny."), 0.0),
        ("calls", FORCED, said(call("mail", to="a")), 0.0),
        ("calls", asked(), said(call(city="Paris")), 0.0),
        ("calls", asked(), said("Sunny."), None),
        ("language", asked(GERMAN), said(IN_GERMAN), 1.0),
        ("language", asked(GERMAN), said(IN_ENGLISH), 0.0),
        ("language", asked(GERMAN), said("Nein."), None),
    ],
)  # fmt: skip
def test_one_answer(measure: str, request_: Request, reply: Reply | Fault, score: float | None) -> None:
    assert alone(request_, reply)[measure] == score


def test_several_answers_count_by_their_share() -> None:
    whole = said("Sunny.").choices + said("Sun", stop="length").choices
    assert alone(asked(), Reply(id="r", model="m", choices=whole))["finished"] == 0.5


def test_an_answer_is_in_time_only_where_somebody_says_by_when() -> None:
    assert alone(asked(), said("Sunny."), duration_ms=10.0)["timely"] is None
    assert alone(asked(), said("Sunny."), duration_ms=10.0, timely_ms=9.0)["timely"] == 0.0
    assert alone(asked(), said("Sunny."), duration_ms=9.0, timely_ms=9.0)["timely"] == 1.0


def test_every_measure_of_the_table_is_told() -> None:
    one, two = alone(asked(), said("x")), beside(asked(), said("x"), said("x"))
    assert set(one) == {name for name, row in MEASURES.items() if row.kind == "one"}
    assert set(two) == {name for name, row in MEASURES.items() if row.kind == "two"}
    assert set(alone(asked(), Fault("timeout", "x"))) == set(one) and set(OF_ONE) < set(one)
    assert set(beside(asked(), said("x"), Fault("timeout", "x"))) == set(two) and set(OF_TWO) < set(two)


@pytest.mark.parametrize(
    ("measure", "request_", "recorded", "other", "score"),
    [
        ("tools", TOOLS, said(call(city="Paris")), said(call(city=" Paris", unit="C", days=None)), 1.0),
        ("tools", TOOLS, said(call(city="Paris")), said(call(city="Paris", unit="F")), 0.0),
        ("tools", TOOLS, said(call(city="Paris", days=2)), said(call(city="Paris", days=2.0)), 1.0),
        ("tools", TOOLS, said(call(city="P", tags=["a", "b"])), said(call(city="P", tags=["b", "a"])), 1.0),
        ("tools", TOOLS, said(call(city="Paris")), said("Sunny."), 0.0),
        ("tools", TOOLS, said("Sunny."), said("Rain."), 1.0),
        ("tools", TOOLS, said(call(city="Paris")), said(call(city="Paris"), call(city="Paris")), 0.0),
        ("tools", TOOLS, said(call(city="A"), call(city="B")), said(call(city="B"), call(city="A")), 1.0),
        ("tools", asked(tools=(WEATHER,), parallel_tool_calls=False), said(call(city="A"), call(city="B")),
         said(call(city="B"), call(city="A")), 0.0),
        ("tools", TOOLS, said(call(text="{nonsense")), said(call(text="{nonsense")), 1.0),
        ("tools", TOOLS, said(call(text="{nonsense")), said(call(city="A")), 0.0),
        ("tools", TOOLS, said(call(city="A")), Fault("timeout", "x"), None),
        ("tools", asked(), said("a"), said("b"), None),
        ("exact", asked(), said("a  b\n"), said("a b"), 1.0),
        ("exact", asked(), said("a b"), said("A b"), 0.0),
        ("exact", TOOLS, said(call(city="A")), said(call(city="A")), None),
        ("format", asked(), said("- a\n- b"), said("1. a"), 1.0),
        ("format", asked(), said("- a\n- b"), said("a and b"), 0.0),
        ("format", asked(), said('{"a": 1}'), said('```json\n{"a": 1}\n```'), 1.0),
        ("length", asked(), said("x" * 100), said("x" * 301), 0.0),
        ("length", asked(), said("x" * 100), said("x" * 300), 1.0),
        ("length", asked(), said("Yes"), said("Yes, it is."), 1.0),
    ],
)  # fmt: skip
def test_two_answers(
    measure: str, request_: Request, recorded: Reply, other: Reply | Fault, score: float | None
) -> None:
    assert beside(request_, recorded, other)[measure] == score
    if not isinstance(other, Fault):
        assert beside(request_, other, recorded)[measure] == score


def test_the_order_of_calls_counts_where_the_user_says_so() -> None:
    one, other = said(call(city="A"), call(city="B")), said(call(city="B"), call(city="A"))
    assert beside(TOOLS, one, other, ordered=True)["tools"] == 0.0
    assert beside(TOOLS, one, one, ordered=True)["tools"] == 1.0


def test_more_losses_than_the_incumbent_had() -> None:
    scores = [
        beside(asked(), said("a"), said("a"), recorded_losses=1, other_losses=n)["whole"] for n in (0, 1, 2)
    ]
    assert scores == [1.0, 1.0, 0.0]


REFERRED = {
    "type": "object",
    "properties": {"place": {"$ref": "#/$defs/place"}},
    "$defs": {"place": {"type": "object", "properties": {"zone": {"type": "string", "default": "UTC"}}}},
}


@pytest.mark.parametrize(
    ("one", "other", "schema", "same"),
    [
        ({"place": {}}, {"place": {"zone": "UTC"}}, REFERRED, True),
        ({"place": {}}, {"place": {"zone": "CET"}}, REFERRED, False),
        ({"a": None}, {}, {"properties": {"a": {"enum": [None, "x"]}}}, False),
        ({"a": None}, {}, {"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}, False),
        ({"a": None}, {}, {"properties": {"a": {"type": ["string", "null"]}}}, True),
        ({"a": True}, {"a": 1}, None, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, None, False),
        ({"caf\u00e9": "caf\u00e9"}, {"caf\u00e9": "cafe\u0301"}, None, True),
        ({"a": "Paris"}, {"a": "paris"}, None, False),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 1.0}]}}, None, True),
        ({"a": {}}, {"a": {"b": 5}},
         {"properties": {"a": {"allOf": [{"properties": {"b": {"default": 5}}}]}}}, True),
    ],
)  # fmt: skip
def test_values_that_mean_the_same(one: Any, other: Any, schema: Any, same: bool) -> None:
    assert alike(one, other, schema) is same
    assert alike(other, one, schema) is same


def test_a_schema_that_refers_to_itself_ends() -> None:
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert alike({"x": 1}, {"x": 1}, loop)


def test_a_schema_elsewhere_is_not_fetched() -> None:
    assert fits({}, {"$ref": "http://127.0.0.1:9/schema.json"}) is None


def test_languages_are_told_only_where_plain() -> None:
    assert language(IN_GERMAN) == "de" and language(IN_ENGLISH) == "en"
    assert language("```python\n" + "x = x + 1\n" * 30 + "```") is None


def test_refusals_begin_a_text() -> None:
    assert refused("I cannot assist with this request.")
    assert not refused("A long and helpful answer. " * 10 + "I cannot assist with anything else.")


def test_margins_come_from_the_table_and_the_user() -> None:
    assert margins({}, ["answered", "exact"]) == {"answered": 0.01}
    assert margins({"exact": 0.1, "answered": None}, ["answered", "exact"]) == {"exact": 0.1}
    with pytest.raises(Fault, match="Did you mean 'schema'"):
        margins({"shema": 0.1}, [])
    with pytest.raises(Fault, match="below 1"):
        margins({"schema": 1.5}, [])
