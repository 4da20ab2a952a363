"""What this wire calls things, and where its models differ. Tables only.

Sources: the API reference (ai.google.dev/api/generate-content), the discovery document of v1beta, the types
of the official SDK (google-genai), and the guides named at each row. A row of `MODELS` is removed when the
last model it names is shut down.
"""

import re

from ..base import Quirks
from ..checked import Own

NAME = "gemini.generate_content"
OWN = Own(NAME)
ours, rest = OWN.extras, OWN.rest

_CONFIG = "generationConfig"

NAMES: dict[str, str] = {
    "max_output_tokens": f"{_CONFIG}.maxOutputTokens",
    "temperature": f"{_CONFIG}.temperature",
    "top_p": f"{_CONFIG}.topP",
    "top_k": f"{_CONFIG}.topK",
    "frequency_penalty": f"{_CONFIG}.frequencyPenalty",
    "presence_penalty": f"{_CONFIG}.presencePenalty",
    "seed": f"{_CONFIG}.seed",
    "stop": f"{_CONFIG}.stopSequences",
    "n": f"{_CONFIG}.candidateCount",
    "Request.logprobs": f"{_CONFIG}.responseLogprobs",
    "top_logprobs": f"{_CONFIG}.logprobs",
    "output": f"{_CONFIG}.responseJsonSchema",
    "reasoning": f"{_CONFIG}.thinkingConfig",
    "budget_tokens": "thinkingBudget",
    "Reasoning.mode": f"{_CONFIG}.thinkingConfig.thinkingBudget",
    "effort": "thinkingLevel",
    "display": "includeThoughts",
    "tool_choice": "toolConfig.functionCallingConfig",
    "allowed": "allowedFunctionNames",
    "service_tier": "serviceTier",
    "messages": "contents",
    "call_id": "functionResponse.id",
    "is_error": "functionResponse.response.error",
    "signature": "thoughtSignature",
    "media_type": "mimeType",
    "file_id": "fileUri",
    "url": "fileUri",
    "parameters": "parametersJsonSchema",
    "ToolCall.id": "functionCall.id",
    "ToolCall.name": "functionCall.name",
    "Stop.reason": "finishReason",
    "Stop.raw": "finishReason",
    "usage": "usageMetadata",
    "choices": "candidates",
    "logprobs": "logprobsResult",
    "created": "createTime",
    "Reply.id": "responseId",
    "Reply.model": "modelVersion",
    "Reply.service_tier": "usageMetadata.serviceTier",
    "input_tokens": "promptTokenCount",
    "output_tokens": "candidatesTokenCount",
    "cache_read_tokens": "cachedContentTokenCount",
    "reasoning_tokens": "thoughtsTokenCount",
    "input_audio_tokens": "promptTokensDetails",
    "output_audio_tokens": "candidatesTokensDetails",
}

_FIELDS = (
    # of a request and a generationConfig
    "systemInstruction generationConfig safetySettings toolConfig cachedContent serviceTier "
    "generateContentRequest maxOutputTokens topP topK candidateCount stopSequences presencePenalty "
    "frequencyPenalty responseLogprobs responseMimeType responseSchema responseJsonSchema thinkingConfig "
    "thinkingBudget thinkingLevel includeThoughts responseModalities speechConfig mediaResolution "
    "imageConfig enableEnhancedCivicAnswers audioTimestamp routingConfig modelSelectionConfig "
    # of tools
    "functionDeclarations parametersJsonSchema responseJsonSchema functionCallingConfig "
    "allowedFunctionNames retrievalConfig googleSearch googleSearchRetrieval codeExecution urlContext "
    "fileSearch googleMaps computerUse enterpriseWebSearch mcpServers includeServerSideToolInvocations "
    # of parts
    "inlineData fileData functionCall functionResponse executableCode codeExecutionResult videoMetadata "
    "thoughtSignature mimeType fileUri displayName toolCall toolResponse partMetadata willContinue "
    "partialArgs jsonPath stringValue numberValue boolValue nullValue "
    # of schemas
    "anyOf oneOf allOf prefixItems additionalProperties propertyOrdering minItems maxItems minLength "
    "maxLength minProperties maxProperties "
    # of answers
    "promptFeedback blockReason blockReasonMessage usageMetadata modelVersion responseId createTime "
    "finishReason finishMessage safetyRatings citationMetadata groundingMetadata avgLogprobs tokenCount "
    "logprobsResult urlContextMetadata modelStatus promptTokenCount candidatesTokenCount totalTokenCount "
    "thoughtsTokenCount cachedContentTokenCount toolUsePromptTokenCount promptTokensDetails "
    "candidatesTokensDetails cacheTokensDetails toolUsePromptTokensDetails trafficType chosenCandidates "
    "topCandidates tokenId logProbability totalTokens "
    # of embeddings
    "taskType outputDimensionality embedContentConfig autoTruncate documentOcr audioTrackExtraction "
    "promptTokenDetails"
)
FIELDS = frozenset(_FIELDS.split())
"""The wire's names that may be written in snake_case as well."""

QUIRKS: dict[str, str] = {
    "no_thinking": "Takes no `thinkingConfig`; it is left out.",
    "no_thinking_level": "Takes no `thinkingLevel`; a budget of tokens stands for an effort.",
    "always_thinks": "Cannot be told not to think; it is asked to think as little as it can.",
    "no_result_media": "Takes no media in a tool's result; they follow it as a user's.",
    "counts_bare": "Counts a request that stands bare in the body, not inside `generateContentRequest`.",
    "signed_calls": "Refuses a tool call that it is said to have made without the signature of its thought.",
}

MODELS: tuple[tuple[int, int, str, Quirks], ...] = (
    # Guide, Thinking: it came with Gemini 2.5, the levels with Gemini 3.
    (0, 24, "", frozenset({"no_thinking"})),
    (0, 29, "", frozenset({"no_thinking_level"})),
    # Guide, Thinking: 2.5 Pro and the Gemini 3 models cannot stop thinking.
    (25, 29, "pro", frozenset({"always_thinks"})),
    (30, 999, "", frozenset({"always_thinks"})),
    # Guide, Function calling: multimodal function responses came with Gemini 3.
    (0, 29, "", frozenset({"no_result_media"})),
    # Guide, Thought signatures: Gemini 3 answers 400 where one is missing from the current turn.
    (30, 999, "", frozenset({"signed_calls"})),
)
"""From and to a version (2.5 is 25), a word in the name ("": any) -> the quirks a model adds."""

_MODEL = re.compile(r"gemini-(\d+)(?:\.(\d))?")


def quirks_of(model: str, quirks: Quirks) -> Quirks:
    """The provider's quirks and the model's. A name that is no Gemini's adds none."""
    found = _MODEL.search(model)
    if found is None:
        return quirks
    version = int(found[1]) * 10 + int(found[2] or 0)
    for low, high, word, more in MODELS:
        if low <= version <= high and word in model:
            quirks = quirks | more
    return quirks
