"""The detector of silent losses is itself tested: by writers that forget something on purpose.

For every leaf of every golden output there is a writer that leaves just that leaf out. The detector has to
notice each of them, or the leaf is one that the writer makes up and no source body ever held.
"""

import json
from typing import Any

import pytest

from fungible.translate import Translation

from .golden import inputs
from .silence import GONE, GRAMMAR, Leaf, Stream, Words, at, leaves, replaced, silent, silent_in_stream
from .test_recorded_traffic import PAIRS

OWN = "the target wants it and no source body held it"
TWICE = "the output says it in a second place, which still depends on the source"
NEAR = "only the nearest thing is written, the same for other values; the loss says so"

TOTALS = {"prompt_tokens": TWICE, "completion_tokens": TWICE, "total_tokens": OWN}
ANSWER = {
    "id": OWN,
    "status": OWN,
    "parallel_tool_calls": OWN,
    "tool_choice": OWN,
    "input_tokens": TWICE,
    "output_tokens": TWICE,
    "total_tokens": OWN,
    "cache_write_tokens": TWICE,
}
"""What an answer says unasked, in the dialects that say so much."""

AGAIN = "a reader makes up the same again, or the other of the two places says it"

MISSED: dict[tuple[str, str], dict[str, str]] = {
    # story, target -> last name of a leaf -> why leaving it out makes no silent loss
    ("a-strict-schema-asked-for", "anthropic.messages"): {"max_tokens": OWN},
    ("an-answer-that-thought-searched-and-cited", "openai.chat"): {
        "reasoning_content": TWICE,
        "text": TWICE,
        "start_index": NEAR,
        "end_index": NEAR,
        "title": NEAR,
        "url": NEAR,
        "prompt_tokens": TWICE,
        "completion_tokens": TWICE,
        "total_tokens": OWN,
        "cached_tokens": TWICE,
        "cache_write_tokens": TWICE,
    },
    ("an-answer-with-text-calls-and-probabilities", "anthropic.messages"): {"cache_read_input_tokens": TWICE},
    ("cache-marks-at-every-level", "openai.chat"): {"mode": OWN, "ttl": NEAR},
    ("every-knob-there-is", "anthropic.messages"): {"stop_sequences": NEAR},
    ("media-inside-a-tool-result", "openai.chat"): {
        "tool_call_id": TWICE,
        "content": NEAR,
        "text": OWN,
        "filename": TWICE,
    },
    ("roles-names-and-media-anywhere", "anthropic.messages"): {
        "max_tokens": OWN,
        "media_type": "it was part of a data URL",
    },
    ("server-tools-and-citations", "openai.chat"): {
        "tool_choice": "without it disable_parallel_tool_use reads otherwise"
    },
    ("thinking-kept-through-a-tool-turn", "openai.chat"): {"reasoning_effort": NEAR},
    ("tool-history-without-tools-and-an-odd-id", "openai.chat"): {"content": OWN},
    ("tools-in-parallel-answered-out-of-order", "anthropic.messages"): {"properties": OWN},
    ("a-response-that-ran-out-of-tokens", "anthropic.messages"): {
        "thinking": "an empty one, which still says that there was some",
        "signature": OWN,
        "cache_read_input_tokens": TWICE,
    },
    ("a-response-that-ran-out-of-tokens", "openai.chat"): {"text": OWN, **TOTALS},
    ("an-answer-that-thought-searched-and-cited", "openai.responses"): {
        **ANSWER,
        "reasoning_tokens": OWN,
        "text": TWICE,
        "created_at": OWN,
        "start_index": NEAR,
        "end_index": NEAR,
        "title": NEAR,
        "url": NEAR,
        "cached_tokens": TWICE,
    },
    ("an-answer-with-text-calls-and-probabilities", "openai.responses"): ANSWER,
    ("built-in-tools-and-their-items", "anthropic.messages"): {
        "stop_reason": TWICE,
        "cache_creation_input_tokens": TWICE,
        "cache_read_input_tokens": TWICE,
    },
    ("built-in-tools-and-their-items", "openai.chat"): {
        **TOTALS,
        "content": TWICE,
        "finish_reason": TWICE,
        "start_index": NEAR,
        "end_index": NEAR,
        "title": NEAR,
        "url": NEAR,
    },
    ("cache-marks-at-every-level", "openai.responses"): {"mode": OWN, "ttl": NEAR, "strict": OWN},
    ("custom-tools-called-and-answered", "anthropic.messages"): {"max_tokens": OWN},
    ("everything-a-response-can-be-asked", "anthropic.messages"): {
        "ttl": NEAR,
        "name": TWICE,  # of the one tool that may be called
        "media_type": "it was part of a data URL",
    },
    ("everything-a-response-can-be-asked", "openai.chat"): {
        "include_usage": OWN,
        "stream": TWICE,
        "logprobs": "its word stands in a list whose other word is reported",
        "mode": OWN,
        "ttl": NEAR,
        "tool_call_id": TWICE,
        "text": OWN,
        "url": NEAR,
    },
    ("media-inside-a-tool-result", "openai.responses"): {"call_id": TWICE, "output": NEAR, "text": OWN},
    ("reasoning-items-through-a-tool-turn", "anthropic.messages"): {"max_tokens": OWN},
    ("server-tools-and-citations", "openai.responses"): {"strict": OWN, "tool_choice": OWN},
    ("thinking-kept-through-a-tool-turn", "openai.responses"): {"effort": NEAR},
    ("tool-history-without-tools-and-an-odd-id", "openai.responses"): {"output": OWN},
    ("tools-in-parallel-answered-out-of-order", "openai.responses"): {"strict": OWN},
    ("a-strict-schema-asked-for", "ollama.chat"): {"stream": OWN},
    ("an-answer-with-a-plan-and-what-is-billed", "ollama.chat"): {"content": OWN, "model": OWN},
    ("cache-marks-at-every-level", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "tool_name": AGAIN,
    },
    ("documents-given-and-cited", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "think": NEAR,
        "tool_name": AGAIN,
    },
    ("media-inside-a-tool-result", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "tool_name": AGAIN,
    },
    ("roles-names-and-media-anywhere", "ollama.chat"): {"stream": OWN},
    ("server-tools-and-citations", "ollama.chat"): {"stream": OWN},
    ("thinking-kept-through-a-tool-turn", "ollama.chat"): {
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "think": NEAR,
        "tool_name": AGAIN,
    },
    ("tool-history-without-tools-and-an-odd-id", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "tool_name": AGAIN,
    },
    ("tools-in-parallel-answered-out-of-order", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "properties": OWN,
        "stream": OWN,
        "tool_call_id": AGAIN,
        "tool_name": AGAIN,
    },
    ("a-strict-schema-asked-for", "cohere.chat"): {"tool_choice": NEAR},
    ("an-answer-that-thought-searched-and-cited", "cohere.chat"): {
        "cached_tokens": TWICE,
        "input_tokens": TWICE,
        "output_tokens": TWICE,
    },
    ("an-answer-with-text-calls-and-probabilities", "cohere.chat"): {
        "input_tokens": TWICE,
        "output_tokens": TWICE,
    },
    ("calls-and-results-without-ids", "cohere.chat"): {"id": AGAIN, "name": AGAIN},
    ("media-inside-a-tool-result", "cohere.chat"): {"content": NEAR, "text": OWN, "tool_call_id": TWICE},
    ("server-tools-and-citations", "cohere.chat"): {"tool_choice": NEAR},
    ("tool-history-without-tools-and-an-odd-id", "cohere.chat"): {"content": OWN},
    ("tools-in-parallel-answered-out-of-order", "cohere.chat"): {"properties": OWN},
    ("an-answer-with-a-plan-and-what-is-billed", "openai.chat"): {
        "completion_tokens": TWICE,
        "model": OWN,
        "prompt_tokens": TWICE,
        "total_tokens": OWN,
    },
    ("calls-and-results-without-ids", "openai.chat"): {"id": AGAIN, "name": AGAIN},
    ("documents-given-and-cited", "openai.chat"): {"reasoning_effort": NEAR, "text": TWICE},
    ("an-answer-with-a-plan-and-what-is-billed", "anthropic.messages"): {"model": OWN, "signature": OWN},
    ("calls-and-results-without-ids", "anthropic.messages"): {
        "id": AGAIN,
        "media_type": "the bytes show it",
        "name": AGAIN,
    },
    ("documents-given-and-cited", "anthropic.messages"): {"media_type": OWN},
    ("a-conversation-the-provider-keeps", "ollama.chat"): {"stream": OWN},
    ("a-response-that-ran-out-of-tokens", "cohere.chat"): {
        "input_tokens": TWICE,
        "output_tokens": TWICE,
        "thinking": "an empty one, which still says there was some",
    },
    ("an-answer-with-a-plan-and-what-is-billed", "openai.responses"): {
        **ANSWER,
        "cached_tokens": OWN,
        "created_at": OWN,
        "id": TWICE,
        "model": OWN,
        "reasoning_tokens": OWN,
    },
    ("built-in-tools-and-their-items", "cohere.chat"): {
        "finish_reason": OWN,
        "input_tokens": TWICE,
        "output_tokens": TWICE,
    },
    ("calls-and-results-without-ids", "openai.responses"): {"call_id": AGAIN, "name": AGAIN, "strict": OWN},
    ("custom-tools-called-and-answered", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "tool_name": AGAIN,
    },
    ("documents-given-and-cited", "openai.responses"): {"effort": NEAR, "text": TWICE},
    ("everything-a-response-can-be-asked", "cohere.chat"): {
        "logprobs": "its word stands in a list whose other word is reported",
        "name": TWICE,
        "text": OWN,
        "tool_call_id": TWICE,
        "url": NEAR,
    },
    ("everything-a-response-can-be-asked", "ollama.chat"): {
        "id": AGAIN,
        "logprobs": "its word stands in a list whose other word is reported",
        "name": AGAIN,
        "tool_name": AGAIN,
    },
    ("a-response-that-ran-out-of-tokens", "ollama.chat"): {"content": OWN},
    ("built-in-tools-and-their-items", "ollama.chat"): {"done_reason": OWN},
    ("reasoning-items-through-a-tool-turn", "ollama.chat"): {
        "content": OWN,
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "tool_name": AGAIN,
    },
}

DERIVES = "the API's own count is made of it and the others"
STANDS_IN = "it stands in for a tool that was called and not listed; its name is told twice"
STAYS = "it stands in a call and in its result, and one of them is enough"

MISSED_BY: dict[str, dict[str, dict[str, str]]] = {
    "ollama.chat": {
        "a-converse-answer-that-reasons-cites-and-was-guarded": {"model": OWN, "done_reason": OWN},
        "an-answer-with-text-calls-and-probabilities": {"bytes": "the token's text shows them"},
        "a-signed-call-and-its-result-without-ids": {
            "model": OWN,
            "stream": OWN,
            "content": OWN,
            "think": NEAR,
            "tool_name": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
        },
    },
    "cohere.chat": {
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            "id": OWN,
            "finish_reason": OWN,
            "input_tokens": DERIVES,
            "output_tokens": DERIVES,
            "cached_tokens": TWICE,
        },
        "cache-points-guards-and-results-in-json": {
            "model": OWN,
            "text": OWN,
            "content": OWN,
            "tool_call_id": TWICE,
        },
        "a-signed-call-and-its-result-without-ids": {
            "model": OWN,
            "tool_choice": NEAR,
            "thinking": OWN,
            "id": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
        },
    },
    # target -> the same, where it differs
    "openai.chat": {
        "a-signed-call-and-its-result-without-ids": {
            "id": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
            "reasoning_effort": NEAR,
        },
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            "id": OWN,
            "model": OWN,
            "content": TWICE,
            "reasoning_content": TWICE,
            "text": TWICE,
            "start_index": NEAR,
            "end_index": NEAR,
            "title": NEAR,
            "url": NEAR,
            "finish_reason": NEAR,
            "prompt_tokens": TWICE,
            "completion_tokens": TWICE,
            "total_tokens": OWN,
            "cached_tokens": TWICE,
            "cache_write_tokens": TWICE,
        },
        "cache-points-guards-and-results-in-json": {
            "mode": OWN,
            "ttl": NEAR,
            "text": NEAR,
            "tool_call_id": TWICE,
            "content": NEAR,
        },
    },
    "anthropic.messages": {
        "a-signed-call-and-its-result-without-ids": {
            "model": OWN,
            "media_type": "the data shows it, too",
            "thinking": OWN,
            "id": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
        },
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            "id": OWN,
            "model": OWN,
            "cache_creation_input_tokens": TWICE,
            "ephemeral_5m_input_tokens": TWICE,
            "ephemeral_1h_input_tokens": TWICE,
        },
        "cache-points-guards-and-results-in-json": {"media_type": NEAR, "model": OWN},
    },
    "openai.responses": {
        "a-signed-call-and-its-result-without-ids": {
            "call_id": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
            "effort": NEAR,
            "strict": OWN,
        },
        "an-answer-with-text-calls-and-probabilities": {**ANSWER, "bytes": "the token's text shows them"},
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            **ANSWER,
            "created_at": OWN,
            "model": OWN,
            "reason": NEAR,
            "text": TWICE,
            "start_index": NEAR,
            "end_index": NEAR,
            "title": NEAR,
            "url": NEAR,
            "cached_tokens": TWICE,
            "reasoning_tokens": OWN,
        },
        "cache-points-guards-and-results-in-json": {
            "mode": OWN,
            "ttl": NEAR,
            "text": NEAR,
            "call_id": TWICE,
            "output": NEAR,
        },
    },
    "gemini.generate_content": {
        "a-conversation-the-provider-keeps": {"id": STAYS, "name": STAYS},
        "everything-a-response-can-be-asked": {
            "id": STAYS,
            "name": STAYS,
            "includeThoughts": OWN,
            "responseLogprobs": "their number says it, too",
            "responseMimeType": OWN,
            "mimeType": "it was part of a data URL",
            "fileUri": TWICE,
        },
        "reasoning-items-through-a-tool-turn": {"id": STAYS, "name": STAYS, "thought": OWN},
        "a-response-that-ran-out-of-tokens": {
            "thought": TWICE,
            "text": OWN,
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "thoughtsTokenCount": DERIVES,
            "totalTokenCount": OWN,
        },
        "built-in-tools-and-their-items": {
            "finishReason": OWN,
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "thoughtsTokenCount": DERIVES,
            "totalTokenCount": OWN,
        },
        "custom-tools-called-and-answered": {"id": STAYS, "name": STAYS},
        "calls-and-results-without-ids": {
            "id": STAYS,
            "name": STAYS,
            "thought": OWN,
            "includeThoughts": OWN,
            "thinkingBudget": OWN,
            "responseMimeType": OWN,
            "mimeType": "the image's own first bytes say it",
        },
        "documents-given-and-cited": {
            "id": STAYS,
            "name": STAYS,
            "thought": OWN,
            "includeThoughts": OWN,
            "mimeType": OWN,
            "response": OWN,
        },
        "an-answer-with-a-plan-and-what-is-billed": {
            "thought": TWICE,
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "totalTokenCount": OWN,
        },
        "a-strict-schema-asked-for": {"mode": NEAR, "responseMimeType": OWN},
        "an-answer-that-thought-searched-and-cited": {
            "thought": TWICE,
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "cachedContentTokenCount": DERIVES,
            "totalTokenCount": OWN,
        },
        "an-answer-with-text-calls-and-probabilities": {
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "thoughtsTokenCount": DERIVES,
            "modality": OWN,
            "totalTokenCount": OWN,
        },
        "cache-marks-at-every-level": {"id": STAYS, "name": STAYS},
        "media-inside-a-tool-result": {"mimeType": NEAR, "fileUri": TWICE, "id": STAYS, "name": STAYS},
        "roles-names-and-media-anywhere": {"mimeType": "it was part of a data URL"},
        "server-tools-and-citations": {"mode": OWN},
        "thinking-kept-through-a-tool-turn": {
            "thought": OWN, "id": STAYS, "name": STAYS, "includeThoughts": OWN,
        },
        "tool-history-without-tools-and-an-odd-id": {"id": STAYS, "name": STAYS, "response": OWN},
        "tools-in-parallel-answered-out-of-order": {"id": STAYS, "name": STAYS},
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            "thought": TWICE,
            "promptTokenCount": DERIVES,
            "candidatesTokenCount": DERIVES,
            "cachedContentTokenCount": DERIVES,
            "totalTokenCount": OWN,
        },
        "cache-points-guards-and-results-in-json": {
            "mimeType": NEAR,
            "thought": OWN,
            "id": STAYS,
            "name": STAYS,
            "responseMimeType": OWN,
            "includeThoughts": OWN,
        },
    },
    "bedrock.converse": {
        "an-answer-with-a-plan-and-what-is-billed": {
            "inputTokens": DERIVES,
            "outputTokens": DERIVES,
            "totalTokens": OWN,
        },
        "calls-and-results-without-ids": {
            "toolUseId": STAYS,
            "name": STAYS,
            "format": "the image's own first bytes say it",
        },
        "documents-given-and-cited": {"format": OWN},
        "an-answer-that-thought-searched-and-cited": {
            "inputTokens": TWICE,
            "outputTokens": TWICE,
            "totalTokens": TWICE,
            "cacheReadInputTokens": TWICE,
            "cacheWriteInputTokens": TWICE,
            "ttl": NEAR,
        },
        "an-answer-with-text-calls-and-probabilities": {
            "inputTokens": TWICE,
            "outputTokens": TWICE,
            "totalTokens": TWICE,
            "cacheReadInputTokens": TWICE,
        },
        "every-knob-there-is": {"stopSequences": NEAR},
        "media-inside-a-tool-result": {
            "format": "the bytes show it",
            "name": STANDS_IN,
            "description": STANDS_IN,
            "properties": STANDS_IN,
        },
        "roles-names-and-media-anywhere": {"format": "the bytes show it"},
        "server-tools-and-citations": {
            "format": "a text is plain text",
            "any": "without it the tools are there all the same",
        },
        "tool-history-without-tools-and-an-odd-id": {
            "name": STANDS_IN,
            "description": STANDS_IN,
            "properties": STANDS_IN,
        },
        "tools-in-parallel-answered-out-of-order": {"properties": OWN},
        "a-conversation-the-provider-keeps": {
            "name": STANDS_IN,
            "description": STANDS_IN,
            "properties": STANDS_IN,
        },
        "a-response-that-ran-out-of-tokens": {
            "text": "an empty one, which still says that there was some",
            "inputTokens": TWICE,
            "outputTokens": TWICE,
            "totalTokens": TWICE,
            "cacheReadInputTokens": TWICE,
        },
        "a-signed-call-and-its-result-without-ids": {
            "format": "the bytes show it",
            "bytes": "an image of other bytes is left out, which is reported",
            "text": OWN,
            "toolUseId": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
        },
        "built-in-tools-and-their-items": {
            "stopReason": TWICE,
            "inputTokens": TWICE,
            "outputTokens": TWICE,
            "totalTokens": TWICE,
            "cacheReadInputTokens": TWICE,
            "cacheWriteInputTokens": TWICE,
        },
        "custom-tools-called-and-answered": {
            "name": STANDS_IN,
            "description": STANDS_IN,
            "properties": STANDS_IN,
        },
        "everything-a-response-can-be-asked": {
            "ttl": NEAR,
            "format": "the bytes show it",
            "name": TWICE,  # of the one tool that may be called
        },
    },
}  # fmt: skip


def missed_by(target: str, story: str) -> dict[str, str]:
    return MISSED_BY.get(target, {}).get(story) or MISSED.get((story, target), {})


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
