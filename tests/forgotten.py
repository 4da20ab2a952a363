"""What a writer may leave out and no silent loss comes of it: each leaf with its reason.

The target makes it up unasked, or says the same in a second place, or a loss already says that only the nearest
thing is written. `test_silence` demands that every other leaf is missed.
"""

from .forgotten_more import AGAIN, COUNTED, DERIVES, FIELD, MORE, NEAR, OWN, STAYS, TOTALS, TWICE, USED

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
CALLED = {"content": OWN, "id": AGAIN, "name": AGAIN, "stream": OWN, "tool_name": AGAIN}
"""A call and its result, in a dialect that names both by the tool."""
METERED = {"inputTokens": TWICE, "outputTokens": TWICE, "totalTokens": TWICE}

MISSED: dict[tuple[str, str], dict[str, str]] = {
    # story, target -> last name of a leaf -> why leaving it out makes no silent loss
    ("a-strict-schema-asked-for", "anthropic.messages"): {"max_tokens": OWN},
    ("an-answer-that-thought-searched-and-cited", "openai.chat"): {
        **TOTALS,
        "reasoning_content": TWICE,
        "text": TWICE,
        "start_index": NEAR,
        "end_index": NEAR,
        "title": NEAR,
        "url": NEAR,
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
    ("custom-tools-called-and-answered", "anthropic.messages"): {"max_tokens": OWN, "name": STAYS, **FIELD},
    ("custom-tools-called-and-answered", "cohere.chat"): {"name": STAYS, **FIELD},
    ("everything-a-response-can-be-asked", "anthropic.messages"): {
        "ttl": NEAR,
        "name": TWICE,  # of the one tool that may be called
        "media_type": "it was part of a data URL",
    },
    ("everything-a-response-can-be-asked", "openai.chat"): {
        "include_usage": OWN,
        "stream": TWICE,
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
    ("cache-marks-at-every-level", "ollama.chat"): CALLED,
    ("documents-given-and-cited", "ollama.chat"): {**CALLED, "think": NEAR},
    ("media-inside-a-tool-result", "ollama.chat"): CALLED,
    ("roles-names-and-media-anywhere", "ollama.chat"): {"stream": OWN},
    ("server-tools-and-citations", "ollama.chat"): {"stream": OWN},
    ("thinking-kept-through-a-tool-turn", "ollama.chat"): {
        "id": AGAIN,
        "name": AGAIN,
        "stream": OWN,
        "think": NEAR,
        "tool_name": AGAIN,
    },
    ("tool-history-without-tools-and-an-odd-id", "ollama.chat"): CALLED,
    ("tools-in-parallel-answered-out-of-order", "ollama.chat"): {
        **CALLED,
        "properties": OWN,
        "tool_call_id": AGAIN,
    },
    ("a-strict-schema-asked-for", "cohere.chat"): {"tool_choice": NEAR},
    ("an-answer-that-thought-searched-and-cited", "cohere.chat"): {**USED, "cached_tokens": TWICE},
    ("an-answer-with-text-calls-and-probabilities", "cohere.chat"): USED,
    ("calls-and-results-without-ids", "cohere.chat"): {"id": AGAIN, "name": AGAIN},
    ("media-inside-a-tool-result", "cohere.chat"): {"content": NEAR, "text": OWN, "tool_call_id": TWICE},
    ("server-tools-and-citations", "cohere.chat"): {"tool_choice": NEAR},
    ("tool-history-without-tools-and-an-odd-id", "cohere.chat"): {"content": OWN},
    ("tools-in-parallel-answered-out-of-order", "cohere.chat"): {"properties": OWN},
    ("an-answer-with-a-plan-and-what-is-billed", "openai.chat"): {**TOTALS, "model": OWN},
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
        **USED,
        "thinking": "an empty one, which still says there was some",
    },
    ("an-answer-with-a-plan-and-what-is-billed", "openai.responses"): {
        **ANSWER,
        "cached_tokens": OWN,
        "id": TWICE,
        "model": OWN,
        "reasoning_tokens": OWN,
    },
    ("built-in-tools-and-their-items", "cohere.chat"): {**USED, "finish_reason": OWN},
    ("calls-and-results-without-ids", "openai.responses"): {"call_id": AGAIN, "name": AGAIN, "strict": OWN},
    ("custom-tools-called-and-answered", "ollama.chat"): {**CALLED, **FIELD},
    ("documents-given-and-cited", "openai.responses"): {"effort": NEAR, "text": TWICE},
    ("everything-a-response-can-be-asked", "cohere.chat"): {
        "name": TWICE,
        "text": OWN,
        "tool_call_id": TWICE,
        "url": NEAR,
    },
    ("everything-a-response-can-be-asked", "ollama.chat"): {
        "id": AGAIN,
        "name": AGAIN,
        "tool_name": AGAIN,
    },
    ("a-response-that-ran-out-of-tokens", "ollama.chat"): {"content": OWN},
    ("built-in-tools-and-their-items", "ollama.chat"): {"done_reason": OWN},
    ("reasoning-items-through-a-tool-turn", "ollama.chat"): CALLED,
}

STANDS_IN = "it stands in for a tool that was called and not listed; its name is told twice"
MISSED_BY: dict[str, dict[str, dict[str, str]]] = {
    "ollama.chat": {
        "cache-points-guards-and-results-in-json": {
            "model": OWN,
            "stream": OWN,
            "content": NEAR,
            "id": STAYS,
            "tool_call_id": STAYS,
            "name": STAYS,
            "tool_name": STAYS,
        },
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
            **TOTALS,
            "model": OWN,
            "content": TWICE,
            "reasoning_content": TWICE,
            "text": TWICE,
            "start_index": NEAR,
            "end_index": NEAR,
            "title": NEAR,
            "url": NEAR,
            "finish_reason": NEAR,
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
            "id": STAYS,
            "name": STAYS,
            "type": "it was `nullable`",
        },
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
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
            "responseMimeType": OWN,
            "mimeType": "it was part of a data URL",
            "fileUri": TWICE,
        },
        "reasoning-items-through-a-tool-turn": {"id": STAYS, "name": STAYS, "thought": OWN},
        "a-response-that-ran-out-of-tokens": {
            **COUNTED,
            "thought": TWICE,
            "text": OWN,
            "thoughtsTokenCount": DERIVES,
        },
        "built-in-tools-and-their-items": {**COUNTED, "finishReason": OWN, "thoughtsTokenCount": DERIVES},
        "custom-tools-called-and-answered": {"id": STAYS, "name": STAYS, **FIELD},
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
        "an-answer-with-a-plan-and-what-is-billed": {**COUNTED, "thought": TWICE},
        "a-strict-schema-asked-for": {"mode": NEAR, "responseMimeType": OWN},
        "an-answer-that-thought-searched-and-cited": {
            **COUNTED,
            "thought": TWICE,
            "cachedContentTokenCount": DERIVES,
        },
        "an-answer-with-text-calls-and-probabilities": {
            **COUNTED,
            "thoughtsTokenCount": DERIVES,
            "modality": OWN,
        },
        "cache-marks-at-every-level": {"id": STAYS, "name": STAYS},
        "media-inside-a-tool-result": {"mimeType": NEAR, "fileUri": TWICE, "id": STAYS, "name": STAYS},
        "roles-names-and-media-anywhere": {"mimeType": "it was part of a data URL"},
        "server-tools-and-citations": {"mode": OWN},
        "thinking-kept-through-a-tool-turn": {
            "thought": OWN,
            "id": STAYS,
            "name": STAYS,
            "includeThoughts": OWN,
        },
        "tool-history-without-tools-and-an-odd-id": {"id": STAYS, "name": STAYS, "response": OWN},
        "tools-in-parallel-answered-out-of-order": {"id": STAYS, "name": STAYS},
        "a-converse-answer-that-reasons-cites-and-was-guarded": {
            **COUNTED,
            "thought": TWICE,
            "cachedContentTokenCount": DERIVES,
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
            **METERED,
            "cacheReadInputTokens": TWICE,
            "cacheWriteInputTokens": TWICE,
            "ttl": NEAR,
        },
        "an-answer-with-text-calls-and-probabilities": {**METERED, "cacheReadInputTokens": TWICE},
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
            **METERED,
            "text": "an empty one, which still says that there was some",
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
            **METERED,
            "stopReason": TWICE,
            "cacheReadInputTokens": TWICE,
            "cacheWriteInputTokens": TWICE,
        },
        "custom-tools-called-and-answered": {"name": STAYS, **FIELD},
        "everything-a-response-can-be-asked": {
            "ttl": NEAR,
            "format": "the bytes show it",
            "name": TWICE,  # of the one tool that may be called
        },
    },
}


def missed_by(target: str, story: str) -> dict[str, str]:
    told = MORE.get(story)
    if told is not None:
        return told.get(target, {})
    return MISSED_BY.get(target, {}).get(story) or MISSED.get((story, target), {})
