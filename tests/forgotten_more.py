"""The rest of `forgotten`: for a story, what each target's writer may leave out without a silent loss, and why."""

OWN = "the target wants it and no source body held it"
TWICE = "the output says it in a second place, which still depends on the source"
NEAR = "only the nearest thing is written, the same for other values; the loss says so"
AGAIN = "a reader makes up the same again, or the other of the two places says it"
DERIVES = "the API's own count is made of it and the others"
STAYS = "it stands in a call and in its result, and one of them is enough"
SHOWN = "the bytes show it, or the text"
MADE = "an id that is made up of it, or of the rest, still depends on it"

# What an answer says of its tokens, and the like, unasked.
RESPONSE = {
    "status": OWN,
    "parallel_tool_calls": OWN,
    "tool_choice": OWN,
    "input_tokens": TWICE,
    "output_tokens": TWICE,
    "total_tokens": OWN,
    "cache_write_tokens": OWN,
    "reasoning_tokens": OWN,
}
TOTALS = {"prompt_tokens": TWICE, "completion_tokens": TWICE, "total_tokens": OWN}
METERED = {"inputTokens": TWICE, "outputTokens": TWICE, "totalTokens": OWN}
COUNTED = {"promptTokenCount": DERIVES, "candidatesTokenCount": DERIVES, "totalTokenCount": OWN}
USED = {"input_tokens": TWICE, "output_tokens": TWICE}

FIELD = dict.fromkeys(
    ("description", "required", "additionalProperties"), "of the field that holds free text"
)
"""What the function of a tool of free text says of itself; the loss says that it only stands in."""

MORE: dict[str, dict[str, dict[str, str]]] = {
    "a-grammar-that-a-call-must-follow": {
        "anthropic.messages": {"max_tokens": OWN, "name": STAYS, **FIELD},
        "bedrock.converse": {"name": STAYS, **FIELD},
        "cohere.chat": {"name": STAYS, "tool_choice": NEAR, **FIELD},
        "gemini.generate_content": {"id": STAYS, "name": STAYS, "mode": TWICE, **FIELD},
        "ollama.chat": {
            "content": OWN,
            "id": AGAIN,
            "name": AGAIN,
            "stream": OWN,
            "tool_name": AGAIN,
            **FIELD,
        },
        "openai.responses": {"call_id": STAYS, "name": STAYS},
    },
    "an-answer-that-calls-with-free-text": {
        "bedrock.converse": METERED,
        "cohere.chat": USED,
        "gemini.generate_content": COUNTED,
        "openai.responses": {**RESPONSE, "cached_tokens": OWN, "id": OWN},
    },
    "a-plan-cut-at-the-limit": {
        "anthropic.messages": {"model": OWN, "signature": OWN},
        "bedrock.converse": METERED,
        "gemini.generate_content": {**COUNTED, "thought": OWN},
        "ollama.chat": {"content": OWN, "model": OWN},
        "openai.chat": {**TOTALS, "model": OWN},
        "openai.responses": {**RESPONSE, "cached_tokens": OWN, "id": OWN, "model": OWN, "reason": NEAR},
    },
    "a-plan-two-calls-and-their-results": {
        "anthropic.messages": {"media_type": SHOWN},
        "bedrock.converse": {"bytes": SHOWN, "format": SHOWN, "name": OWN},
        "gemini.generate_content": {
            "id": STAYS,
            "includeThoughts": OWN,
            "mimeType": SHOWN,
            "name": STAYS,
            "response": OWN,
            "thought": OWN,
        },
        "ollama.chat": {
            "content": OWN,
            "id": AGAIN,
            "name": AGAIN,
            "stream": OWN,
            "think": NEAR,
            "tool_call_id": AGAIN,
            "tool_name": AGAIN,
        },
        "openai.chat": {"reasoning_effort": NEAR, "text": TWICE},
        "openai.responses": {"effort": NEAR, "text": TWICE},
    },
    "a-prompt-that-was-blocked": {
        "anthropic.messages": {"output_tokens": OWN, "stop_reason": NEAR},
        "bedrock.converse": {**METERED, "stopReason": NEAR},
        "cohere.chat": {**USED, "finish_reason": NEAR},
        "ollama.chat": {"content": OWN, "done_reason": NEAR, "eval_count": OWN},
        "openai.chat": {**TOTALS, "finish_reason": NEAR},
        "openai.responses": {**RESPONSE, "cached_tokens": OWN, "reason": NEAR},
    },
    "a-schema-and-no-thinking": {
        "anthropic.messages": {"max_tokens": OWN},
        "gemini.generate_content": {"responseMimeType": OWN, "thinkingBudget": NEAR},
        "openai.chat": {"include_usage": OWN, "name": OWN, "stream": TWICE},
        "openai.responses": {"name": OWN},
    },
    "a-whole-answer-that-thinks-and-calls": {
        "anthropic.messages": {"id": AGAIN, "model": MADE, "signature": OWN},
        "bedrock.converse": {**METERED, "toolUseId": OWN},
        "cohere.chat": {**USED, "id": AGAIN},
        "gemini.generate_content": {
            **COUNTED,
            "createTime": MADE,
            "id": STAYS,
            "modelVersion": MADE,
            "responseId": OWN,
            "thought": OWN,
        },
        "openai.chat": {**TOTALS, "bytes": SHOWN, "created": MADE, "id": AGAIN, "model": MADE},
        "openai.responses": {
            **RESPONSE,
            "bytes": SHOWN,
            "cached_tokens": OWN,
            "call_id": TWICE,
            "created_at": MADE,
            "id": OWN,
            "model": MADE,
        },
    },
    "an-answer-that-thought-searched-and-was-rated": {
        "anthropic.messages": {
            "cache_read_input_tokens": TWICE,
            "id": MADE,
            "name": MADE,
            "signature": OWN,
            "thinking": TWICE,
            "thinking_tokens": TWICE,
        },
        "bedrock.converse": {
            **METERED,
            "cacheReadInputTokens": TWICE,
            "name": MADE,
            "text": TWICE,
            "toolUseId": MADE,
        },
        "cohere.chat": {**USED, "id": MADE, "name": MADE, "reasoning_tokens": OWN, "thinking": TWICE},
        "ollama.chat": {"id": MADE, "name": MADE},
        "openai.chat": {
            **TOTALS,
            "id": MADE,
            "name": MADE,
            "reasoning_content": TWICE,
            "reasoning_tokens": OWN,
            "text": TWICE,
        },
        "openai.responses": {**RESPONSE, "call_id": MADE, "id": MADE, "name": MADE},
    },
    "an-answer-that-was-refused": {
        "bedrock.converse": METERED,
        "cohere.chat": USED,
        "gemini.generate_content": COUNTED,
        "openai.chat": TOTALS,
        "openai.responses": {**RESPONSE, "cached_tokens": OWN, "id": OWN, "reason": NEAR},
    },
    "effort-a-schema-and-every-setting": {
        "bedrock.converse": {"format": SHOWN},
        "cohere.chat": {"tool_choice": NEAR},
        "gemini.generate_content": {
            "fileUri": TWICE,
            "includeThoughts": OWN,
            "mimeType": SHOWN,
            "mode": NEAR,
            "responseMimeType": OWN,
        },
        "ollama.chat": {"stream": OWN},
        "openai.chat": {"name": OWN},
        "openai.responses": {"name": OWN},
    },
    "every-setting-and-media-in-converse": {
        "anthropic.messages": {"media_type": SHOWN, "model": OWN},
        "cohere.chat": {"content": NEAR, "model": OWN, "tool_call_id": TWICE, "tool_choice": NEAR},
        "gemini.generate_content": {"id": STAYS, "mimeType": SHOWN, "mode": NEAR, "name": STAYS},
        "ollama.chat": {
            "content": OWN,
            "id": AGAIN,
            "model": OWN,
            "name": AGAIN,
            "stream": OWN,
            "tool_call_id": AGAIN,
            "tool_name": AGAIN,
        },
        "openai.chat": {"content": NEAR, "format": SHOWN, "tool_call_id": TWICE},
        "openai.responses": {"call_id": TWICE, "output": NEAR, "strict": OWN},
    },
    "everything-a-generation-can-be-asked": {
        "anthropic.messages": {"is_error": TWICE, "media_type": SHOWN, "model": OWN},
        "bedrock.converse": {"bytes": SHOWN, "format": SHOWN, "status": NEAR},
        "cohere.chat": {"content": NEAR, "model": OWN, "tool_call_id": TWICE, "tool_choice": NEAR},
        "ollama.chat": {
            "content": OWN,
            "id": AGAIN,
            "model": OWN,
            "name": AGAIN,
            "stream": OWN,
            "think": NEAR,
            "tool_call_id": AGAIN,
            "tool_name": AGAIN,
        },
        "openai.chat": {
            "content": NEAR,
            "format": SHOWN,
            "name": OWN,
            "reasoning_effort": NEAR,
            "tool_call_id": TWICE,
        },
        "openai.responses": {
            "call_id": TWICE,
            "effort": NEAR,
            "name": OWN,
            "output": NEAR,
            "strict": OWN,
            "summary": NEAR,
        },
    },
    "one-answer-withheld-and-one-cut-in-its-arguments": {
        "bedrock.converse": METERED,
        "cohere.chat": USED,
        "gemini.generate_content": COUNTED,
        "ollama.chat": {"content": OWN},
        "openai.responses": {**RESPONSE, "cached_tokens": OWN, "id": OWN, "reason": NEAR},
    },
    "options-a-schema-and-a-thinking-level": {
        "anthropic.messages": {"media_type": SHOWN},
        "bedrock.converse": {"format": SHOWN},
        "gemini.generate_content": {"mimeType": SHOWN, "responseMimeType": OWN},
        "openai.chat": {"include_usage": OWN, "name": OWN, "stream": TWICE},
        "openai.responses": {"name": OWN},
    },
    "thoughts-in-the-clear-and-marks-in-texts": {
        "gemini.generate_content": {"id": STAYS, "name": STAYS, "thought": OWN},
        "ollama.chat": {"content": OWN, "id": AGAIN, "name": AGAIN, "stream": OWN, "tool_name": AGAIN},
        "openai.responses": {"mode": OWN, "strict": OWN},
    },
}
