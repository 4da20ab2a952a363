"""An answer is the same answer, streamed or plain: both are read as the same reply."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from fungible import events as ev
from fungible import ir
from fungible.dialects import DIALECTS
from fungible.losses import Report

from . import strategies
from .judge import tree
from .test_theorem import BRIEF

spoken = pytest.mark.parametrize("name", sorted(DIALECTS))


def plainly(name: str, reply: ir.Reply) -> ir.Reply:
    return DIALECTS[name].read_reply(DIALECTS[name].write_reply(reply, Report()))


def in_a_stream(name: str, reply: ir.Reply) -> ir.Reply:
    wire = DIALECTS[name].stream_writer(Report(), True).write(ev.disassemble(reply))
    reader = DIALECTS[name].stream_reader()
    return ev.assemble(reader.feed(wire) + reader.end())


@spoken
def test_streamed_and_plain_assemble_to_the_same_reply(name: str) -> None:
    def check(reply: ir.Reply) -> None:
        # What a dialect carries of `reply` at all, which is then what both ways must carry.
        carried = strategies.streamable(plainly(name, reply))
        assert tree(in_a_stream(name, carried)) == tree(carried)
        assert tree(plainly(name, in_a_stream(name, carried))) == tree(carried)

    BRIEF(given(strategies.replies)(check))()


def reply(*parts: ir.Part, **more: Any) -> ir.Reply:
    stop = ir.Stop(reason="tool" if any(isinstance(p, ir.ToolCall) for p in parts) else "end")
    return ir.Reply(id="r", model="m", choices=(ir.Choice(parts=parts, stop=stop),), **more)


PLAIN = {
    "nothing": reply(),
    "empty text": reply(ir.Text(text="")),
    "text": reply(ir.Text(text="Hello.")),
    "thought, text and two calls": reply(
        ir.Thinking(text="Hm.", signature="c2ln"),
        ir.Text(text="I will look."),
        ir.ToolCall(id="call_1", name="look", arguments='{"at": "sky"}'),
        ir.ToolCall(id="call_2", name="look", arguments="{}"),
    ),
    "a redacted thought": reply(ir.Thinking(redacted="b3BhcXVl"), ir.Text(text="Yes.")),
    "usage": reply(ir.Text(text="1"), usage=ir.Usage(input_tokens=3, output_tokens=1, cache_read_tokens=2)),
}


@pytest.mark.parametrize("story", PLAIN)
def test_taken_apart_and_put_together(story: str) -> None:
    assert ev.assemble(ev.disassemble(PLAIN[story])) == PLAIN[story]


def test_the_shortest_stream() -> None:
    told = ev.disassemble(PLAIN["a redacted thought"])
    assert [type(event).__name__ for event in told] == [
        "Begin",
        "PartBegin",
        "PartEnd",
        "PartBegin",
        "TextDelta",
        "PartEnd",
        "End",
        "Done",
    ]


def test_sound_is_taken_apart_too() -> None:
    sound = ir.Audio(
        id="audio_1",
        source=ir.Source(data="UklGRg=="),
        format="wav",
        transcript="Hello",
        expires_at=1_760_000_000,
    )
    assert ev.assemble(ev.disassemble(reply(sound))) == reply(sound)


def test_probabilities_ride_on_the_text() -> None:
    odds = {"content": [{"token": "a", "logprob": -0.5}], "refusal": None}
    whole = reply(ir.Text(text="a"))
    whole = msgspec.structs.replace(
        whole, choices=(msgspec.structs.replace(whole.choices[0], logprobs=odds),)
    )
    assert ev.assemble(ev.disassemble(whole)) == whole
