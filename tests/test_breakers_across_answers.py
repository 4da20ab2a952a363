"""What translators between these dialects are known to break in answers: replies, streams and errors."""

import json
from typing import Any

import pytest

from fungible.faults import Fault
from fungible.translate import translate

from .wires import ANTHROPIC, OPENAI, function_call, text, tool_use

# --- answers -------------------------------------------------------------------------------------


def completion(message: Any, finish: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    return {"id": "r", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | more


def answer(content: Any, stop: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "r", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop,
        "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 2},
    } | more  # fmt: skip


SPENT = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}

STOPS_TO_CHAT = {
    "end_turn": ("stop", []),
    "max_tokens": ("length", []),
    "model_context_window_exceeded": ("length", ["stop"]),
    "stop_sequence": ("stop", ["stop"]),
    "tool_use": ("tool_calls", []),
    "refusal": ("content_filter", ["stop"]),
    "pause_turn": ("length", ["stop"]),  # the answer is not whole
    "a_reason_of_tomorrow": ("stop", ["stop"]),
}


@pytest.mark.parametrize("stop", STOPS_TO_CHAT)
def test_every_stop_reason_to_openai(stop: str) -> None:
    content = [tool_use("a", "f", {})] if stop == "tool_use" else [text("Hi")]
    done = translate(answer(content, stop), source=ANTHROPIC, target=OPENAI, kind="response")
    finish, whys = STOPS_TO_CHAT[stop]
    assert done.body["choices"][0]["finish_reason"] == finish
    assert [loss.why for loss in done.losses] == whys
    assert done.body["usage"] == SPENT


STOPS_TO_CLAUDE = {
    "stop": ("end_turn", []),
    "length": ("max_tokens", []),
    "tool_calls": ("tool_use", []),
    "content_filter": ("refusal", ["stop"]),
    "a_reason_of_tomorrow": ("end_turn", ["stop"]),
}


@pytest.mark.parametrize("finish", STOPS_TO_CLAUDE)
def test_every_stop_reason_to_anthropic(finish: str) -> None:
    calls = {"content": None, "tool_calls": [function_call("a", "f", "{}")]}
    message = calls if finish == "tool_calls" else {"content": "Hi"}
    done = translate(
        completion(message, finish, usage=SPENT), source=OPENAI, target=ANTHROPIC, kind="response"
    )
    stop, whys = STOPS_TO_CLAUDE[finish]
    assert done.body["stop_reason"] == stop
    assert [loss.why for loss in done.losses if loss.path != "created"] == whys
    assert done.body["usage"] == {"input_tokens": 5, "output_tokens": 2}


def test_usage_is_a_total_here_and_a_rest_there() -> None:
    cached = {
        "input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 7,
    }  # fmt: skip
    done = translate(
        answer([text("Hi")], "end_turn", usage=cached), source=ANTHROPIC, target=OPENAI, kind="response"
    )
    assert done.body["usage"]["prompt_tokens"] == 115
    assert done.body["usage"]["completion_tokens"] == 7
    assert done.body["usage"]["total_tokens"] == 122
    assert done.body["usage"]["prompt_tokens_details"]["cached_tokens"] == 100
    spent = {
        "prompt_tokens": 115,
        "completion_tokens": 7,
        "total_tokens": 122,
        "prompt_tokens_details": {"cached_tokens": 100},
    }
    back = translate(
        completion({"content": "Hi"}, "stop", usage=spent), source=OPENAI, target=ANTHROPIC, kind="response"
    )
    assert back.body["usage"]["input_tokens"] == 15
    assert back.body["usage"]["cache_read_input_tokens"] == 100


def test_a_refusal_is_told_as_text() -> None:
    done = translate(
        completion({"content": None, "refusal": "No."}, "stop"),
        source=OPENAI,
        target=ANTHROPIC,
        kind="response",
    )
    assert done.body["content"] == [text("No.")]
    assert ("choices[0].message.refusal", "changed", "refusal") in [
        (x.path, x.kind, x.why) for x in done.losses
    ]


def test_an_error_inside_a_200_is_an_error() -> None:
    for source, body in (
        (OPENAI, {"error": {"message": "Upstream fell over.", "code": 502}}),
        (ANTHROPIC, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ):
        with pytest.raises(Fault) as caught:
            translate(body, source=source, target=OPENAI, kind="response")
        assert caught.value.whose == "provider"


# --- streams -------------------------------------------------------------------------------------


def sse(*frames: Any, names: bool = False, end: str = "\n\n") -> str:
    lines = []
    for frame in frames:
        data = frame if isinstance(frame, str) else json.dumps(frame)
        named = f"event: {frame['type']}{end[: len(end) // 2]}" if names else ""
        lines.append(f"{named}data: {data}{end}")
    return "".join(lines)


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "r",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
    } | more


def started(**usage: int) -> dict[str, Any]:
    message = answer([], "end_turn", stop_reason=None, usage={"input_tokens": 5, "output_tokens": 1} | usage)
    return {"type": "message_start", "message": message}


def ended(stop: str, **usage: int) -> tuple[Any, Any]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}


def block(i: int, begun: Any, *deltas: Any) -> list[Any]:
    return [
        {"type": "content_block_start", "index": i, "content_block": begun},
        *({"type": "content_block_delta", "index": i, "delta": d} for d in deltas),
        {"type": "content_block_stop", "index": i},
    ]


def frames_of(wire: str) -> list[Any]:
    data = [line[6:] for line in wire.split("\n") if line.startswith("data: ")]
    return [d if d == "[DONE]" else json.loads(d) for d in data]


def as_stream(wire: str, source: str, target: str) -> list[Any]:
    return frames_of(translate(wire, source=source, target=target, kind="stream").body)


def usage_told(frames: list[Any]) -> Any:
    """The last usage of OpenAI's chunks."""
    return [f["usage"] for f in frames if f != "[DONE]" and f.get("usage")][-1]


def whole_text(frames: list[Any]) -> str:
    pieces = [c["delta"].get("content") or "" for f in frames if f != "[DONE]" for c in f["choices"]]
    return "".join(pieces)


USAGE_PLACES = {
    "in a chunk of its own": [
        chunk({"content": "Hi"}),
        chunk({}, "stop"),
        chunk({}) | {"choices": [], "usage": SPENT},
    ],
    "in the last chunk with choices": [chunk({"content": "Hi"}), chunk({}, "stop", usage=SPENT)],
    "beside the last content": [chunk({"content": "Hi"}, "stop", usage=SPENT)],
    "in every chunk, growing": [
        chunk({"content": "H"}, usage=SPENT | {"completion_tokens": 1, "total_tokens": 6}),
        chunk({"content": "i"}, "stop", usage=SPENT),
    ],
    "in a chunk after a second finish": [
        chunk({"content": "Hi"}, "stop"),
        chunk({"content": ""}, "stop", usage=SPENT),
    ],
}


@pytest.mark.parametrize("place", USAGE_PLACES)
def test_usage_in_all_the_places_streams_put_it(place: str) -> None:
    frames = as_stream(sse(*USAGE_PLACES[place], "[DONE]"), OPENAI, ANTHROPIC)
    assert [f["type"] for f in frames if f["type"] in ("message_start", "message_delta", "message_stop")] == [
        "message_start", "message_delta", "message_stop",
    ]  # fmt: skip
    delta = frames[-2]
    assert delta["delta"]["stop_reason"] == "end_turn"
    assert delta["usage"]["output_tokens"] == 2
    assert delta["usage"]["input_tokens"] == 5


def test_usage_at_the_start_and_revised_at_the_end() -> None:
    wire = sse(
        started(cache_read_input_tokens=100),
        *block(0, text(""), {"type": "text_delta", "text": "Hi"}),
        *ended("end_turn", input_tokens=50, output_tokens=9),
        names=True,
    )
    frames = as_stream(wire, ANTHROPIC, OPENAI)
    told = usage_told(frames)
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (150, 9, 159)
    assert frames[-1] == "[DONE]"


def test_a_stream_of_thought_text_and_calls_to_openai() -> None:
    wire = sse(
        started(),
        {"type": "ping"},
        *block(0, text(""), {"type": "text_delta", "text": "Look"}, {"type": "text_delta", "text": "ing."}),
        *block(
            1,
            tool_use("toolu_1", "f", {}),
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"x"'},
            {"type": "input_json_delta", "partial_json": ":1}"},
        ),
        *block(2, tool_use("toolu_2", "g", {})),
        *ended("tool_use", output_tokens=9),
        names=True,
    )
    frames = as_stream(wire, ANTHROPIC, OPENAI)
    assert whole_text(frames) == "Looking."
    calls: dict[int, dict[str, str]] = {}
    for frame in frames[:-1]:
        for choice in frame["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                mine = calls.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
                mine["id"] += call.get("id") or ""
                mine["name"] += call["function"].get("name") or ""
                mine["arguments"] += call["function"].get("arguments") or ""
    assert calls == {
        0: {"id": "toolu_1", "name": "f", "arguments": '{"x":1}'},
        1: {"id": "toolu_2", "name": "g", "arguments": "{}"},
    }
    finishes = [c["finish_reason"] for f in frames[:-1] for c in f["choices"] if c["finish_reason"]]
    assert finishes == ["tool_calls"]


def test_a_stream_of_text_and_parallel_calls_to_anthropic() -> None:
    def piece(i: int, arguments: str, **more: Any) -> Any:
        return chunk(
            {
                "tool_calls": [
                    {"index": i, "function": {"arguments": arguments} | more.pop("function", {})} | more
                ]
            }
        )

    wire = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Looking."}),
        piece(0, "", id="call_a", type="function", function={"name": "f"}),
        piece(0, '{"x"'),
        piece(0, ":1}"),
        piece(1, "", id="call_b", type="function", function={"name": "g"}),
        chunk({}, "tool_calls"),
        "[DONE]",
    )
    frames = as_stream(wire, OPENAI, ANTHROPIC)
    begun = [f["content_block"] for f in frames if f["type"] == "content_block_start"]
    assert begun == [text(""), tool_use("call_a", "f", {}), tool_use("call_b", "g", {})]
    partial = "".join(
        f["delta"].get("partial_json", "") for f in frames if f["type"] == "content_block_delta"
    )
    assert partial in ('{"x":1}', '{"x":1}{}')
    indexes = [f["index"] for f in frames if f["type"] == "content_block_stop"]
    assert indexes == [0, 1, 2]
    assert frames[-2]["delta"]["stop_reason"] == "tool_use"


FRAMES_BY_HAND = {
    "as sent": "\n\n",
    "with CRLF": "\r\n\r\n",
    "with CR": "\r\r",
}


@pytest.mark.parametrize("ending", FRAMES_BY_HAND)
def test_line_ends_pings_and_comments_say_nothing(ending: str) -> None:
    end = FRAMES_BY_HAND[ending]
    frames = [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), "[DONE]"]
    plain = as_stream(sse(*frames), OPENAI, ANTHROPIC)
    noisy = f": keep-alive{end}" + sse(*frames, end=end)
    assert as_stream(noisy, OPENAI, ANTHROPIC) == plain


def test_data_over_several_lines_is_one_frame() -> None:
    frames = [chunk({"content": "Hello"}), chunk({}, "stop")]
    broken = (
        "".join(f"data: {json.dumps(f)[:1]}\ndata: {json.dumps(f)[1:]}\n\n" for f in frames)
        + "data: [DONE]\n\n"
    )
    assert as_stream(broken, OPENAI, ANTHROPIC) == as_stream(sse(*frames, "[DONE]"), OPENAI, ANTHROPIC)


def test_an_error_in_a_stream_is_an_error_and_no_end() -> None:
    error = {"error": {"message": "Overloaded, sorry.", "type": "server_error", "code": None}}
    frames = as_stream(sse(chunk({"content": "Hel"}), error), OPENAI, ANTHROPIC)
    assert frames[-1]["type"] == "error"
    assert "Overloaded, sorry." in frames[-1]["error"]["message"]
    assert "message_stop" not in [f["type"] for f in frames]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    frames = as_stream(sse(started(), error, names=True), ANTHROPIC, OPENAI)
    assert "Overloaded" in frames[-1]["error"]["message"]
    assert "[DONE]" not in frames


def test_a_stream_cut_off_is_no_end() -> None:
    frames = as_stream(sse(chunk({"content": "Hel"})), OPENAI, ANTHROPIC)
    assert frames[-1]["type"] == "error"
    frames = as_stream(
        sse(started(), *block(0, text(""), {"type": "text_delta", "text": "Hi"})[:2], names=True),
        ANTHROPIC,
        OPENAI,
    )
    assert "error" in frames[-1]


# --- errors --------------------------------------------------------------------------------------

ERRORS = [
    (400, "invalid_request_error", "invalid_request_error"),
    (401, "authentication_error", "invalid_request_error"),
    (403, "permission_error", "invalid_request_error"),
    (404, "not_found_error", "invalid_request_error"),
    (429, "rate_limit_error", "rate_limit_error"),
    (529, "overloaded_error", "server_error"),
]


@pytest.mark.parametrize(("status", "ours", "theirs"), ERRORS)
def test_errors_keep_status_and_words_to_openai(status: int, ours: str, theirs: str) -> None:
    body = {"type": "error", "error": {"type": ours, "message": "Because."}}
    done = translate({"status": status, "body": body}, source=ANTHROPIC, target=OPENAI, kind="error")
    assert done.body["status"] == status or (status == 529 and done.body["status"] >= 500)
    assert done.body["body"]["error"]["message"] == "Because."
    assert isinstance(done.body["body"]["error"]["type"], str)
    assert done.losses == ()


@pytest.mark.parametrize(("status", "ours", "_"), ERRORS[:5])
def test_errors_keep_status_and_words_to_anthropic(status: int, ours: str, _: str) -> None:
    body = {"error": {"message": "Because.", "type": "invalid_request_error", "param": None, "code": None}}
    done = translate({"status": status, "body": body}, source=OPENAI, target=ANTHROPIC, kind="error")
    assert done.body["status"] == status
    assert done.body["body"]["type"] == "error"
    assert done.body["body"]["error"]["type"] == ours
    assert done.body["body"]["error"]["message"] == "Because."
    assert done.losses == ()
