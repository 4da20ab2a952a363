"""The detector of silent losses is itself tested: by writers that forget something on purpose.

For every leaf of every golden output there is a writer that leaves just that leaf out. The detector has to
notice each of them, or the leaf is one that the writer makes up and no source body ever held.
"""

import json
from typing import Any

import pytest

from fungible.translate import Translation

from .forgotten import missed_by
from .golden import inputs
from .silence import GONE, GRAMMAR, Leaf, Words, at, leaves, replaced, silent
from .silence_streams import Stream, silent_in_stream
from .test_recorded_traffic import PAIRS


class Forgetful:
    """Translates, and then leaves one leaf out."""

    def __init__(self, words: Words, leaf: Leaf) -> None:
        self.words = words
        self.target, self.kind = words.target, words.kind
        self.leaf = leaf

    def translate(self, body: Any) -> Translation | None:
        done = self.words.translate(body)
        if done is None:
            return None
        steps = self.leaf.steps
        try:
            while len(steps) > 1 and len(at(done.body, steps[:-1])) == 1:
                steps = steps[:-1]  # nor does it leave an empty object behind
            return Translation(replaced(done.body, steps, GONE), done.losses, done.path)
        except (KeyError, IndexError, TypeError):
            return done


def stories(*kinds: str) -> list[Any]:
    found = []
    for given in inputs():
        source, _, kind = given.stem.rpartition(".")
        if kind in kinds:
            targets = [b for a, b in PAIRS if a == source]
            found += [
                pytest.param(given, Words(source, t, kind), id=f"{given.parent.name}-{t}") for t in targets
            ]
    return found


@pytest.mark.parametrize(("given", "words"), stories("request", "response", "error"))
def test_golden_inputs_lose_nothing_in_silence(given: Any, words: Words) -> None:
    assert silent(json.loads(given.read_text(encoding="utf-8")), words) == []


@pytest.mark.parametrize(("given", "words"), stories("request", "response"))
def test_a_forgetful_writer_is_caught(given: Any, words: Words) -> None:
    body = json.loads(given.read_text(encoding="utf-8"))
    done = words.translate(body)
    assert done is not None
    missed = {
        last_name(leaf)
        for leaf in leaves(done.body)
        if not leaf.inner and leaf.steps[-1] not in GRAMMAR and not silent(body, Forgetful(words, leaf))
    }
    assert missed == set(missed_by(words.target, given.parent.name))


def last_name(leaf: Leaf) -> str:
    return [step for step in leaf.steps if isinstance(step, str)][-1]


BODY = {"model": "m", "max_completion_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
TO_CLAUDE = Words("openai.chat", "anthropic.messages")


@pytest.mark.parametrize("field", ["model", "max_tokens", "temperature", "tools", "stop_sequences"])
def test_a_forgetful_writer_of_one_field_is_caught_by_name(field: str) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = BODY | {"temperature": 0.5, "tools": [tool], "stop": ["x"]}
    assert silent(body, TO_CLAUDE) == []
    assert silent(body, Forgetful(TO_CLAUDE, Leaf((field,), None))) != []


def test_a_writer_that_cuts_a_text_is_caught() -> None:
    class Cutting:
        target, kind = TO_CLAUDE.target, TO_CLAUDE.kind

        def translate(self, body: Any) -> Translation | None:
            done = TO_CLAUDE.translate(body)
            if done is not None:
                for message in done.body["messages"]:
                    message["content"] = message["content"][:4]
            return done

    assert silent(BODY, Cutting()) == ["messages[0].content = 'Hello'"]


def test_a_stream_that_is_changed_is_seen_frame_by_frame() -> None:
    wire = 'event: a\ndata: {"id":"1","n":1}\n\n: note\n\ndata: {"id":"1","n":2}\n\ndata: [DONE]\n\n'
    stream = Stream(wire)
    assert stream.text() == wire
    assert {key: len(places) for key, places in stream.said().items()} == {
        ("id", "'1'"): 2,
        ("n", "1"): 1,
        ("n", "2"): 1,
    }

    class Deaf:
        """Takes every id and no n."""

        target, kind = "nobody", "stream"

        def translate(self, body: Any) -> Translation:
            return Translation(
                [frame["id"] for _, frame in Stream(body).frames.values() if "id" in frame], ()
            )

    assert silent_in_stream(wire, Deaf(), lambda frame, path: path) == ["n = 1", "n = 2"]
