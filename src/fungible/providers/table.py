"""The providers fungible knows, one row each. Adding a provider is adding a row; CONTRIBUTING says how.

A row's address and variable are those of the provider's own documentation or SDK, which `site` names. A
quirk is a difference that its dialects have a name for; a row has those that were seen in the provider's
documentation or in its recorded answers. `docs/providers.md` is made from this table.

A row is on when its variable is set, but for those marked `local`: servers that users run themselves need
no key, so they are on only when a configuration names them.

Not here, so that nobody adds them again: GitHub Models (retired on 2026-07-30) and Perplexity's chat
completions (retired on 2026-09-27 for an API of another dialect).
"""

from .base import Provider
from .signers import EMBEDDED

ENGINE_PACKAGE = "xllamacpp"  # what the embedded engine is installed as
SHIPPED_MODELS = ("llama",)  # what the embedded engine serves without any configuration

SIGNER_OF: dict[str, str] = {  # dialect -> how its owner takes a key, for providers of one's own
    "openai.chat": "bearer",
    "openai.responses": "bearer",
    "anthropic.messages": "x-api-key",
    "gemini.generate_content": "x-goog-api-key",
    "bedrock.converse": "bearer",
    "ollama.chat": "bearer",
    "cohere.chat": "bearer",
}

COMPATIBLE = frozenset({"max_tokens", "no_developer_role", "no_cache_marks"})
"""What every server that calls itself compatible with `openai.chat` takes. A row has less of it, or more of
other quirks, where its provider was seen to."""

ROWS: tuple[Provider, ...] = (
    Provider(
        name="openai",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="https://api.openai.com/v1",
        env=("OPENAI_API_KEY",),
        quirks=frozenset({"checks_ids"}),
        site="https://platform.openai.com/docs/api-reference/chat",
    ),
    Provider(
        name="anthropic",
        dialect="anthropic.messages",
        base_url="https://api.anthropic.com",
        env=("ANTHROPIC_API_KEY",),
        signer="x-api-key",
        site="https://platform.claude.com/docs/en/api/messages",
    ),
    Provider(
        name="bedrock",
        dialect="bedrock.converse",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        env=("AWS_BEARER_TOKEN_BEDROCK",),
        keyless=(
            "sigv4",
            (
                "AWS_ACCESS_KEY_ID",
                "AWS_PROFILE",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
        ),
        variables={"region": "AWS_REGION"},
        prices="aws",
        site="https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html",
    ),
    Provider(
        name="azure",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="{endpoint}/openai/v1",
        env=("AZURE_OPENAI_API_KEY",),
        signer="api-key",
        variables={"endpoint": "AZURE_OPENAI_ENDPOINT"},
        quirks=frozenset({"no_cache_marks", "checks_ids"}),
        site="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
    ),
    Provider(
        name="gemini",
        dialect="gemini.generate_content",
        base_url="https://generativelanguage.googleapis.com",
        env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        signer="x-goog-api-key",
        prices="google",
        site="https://ai.google.dev/api/generate-content",
    ),
    Provider(
        name="mistral",
        dialect="openai.chat",
        base_url="https://api.mistral.ai/v1",
        env=("MISTRAL_API_KEY",),
        quirks=COMPATIBLE | {"no_stream_options", "thinking_parts", "random_seed", "output_dimension"},
        site="https://docs.mistral.ai/api",
    ),
    Provider(
        name="groq",
        dialect="openai.chat",
        base_url="https://api.groq.com/openai/v1",
        env=("GROQ_API_KEY",),
        quirks=COMPATIBLE,
        site="https://console.groq.com/docs/openai",
    ),
    Provider(
        name="together",
        dialect="openai.chat",
        base_url="https://api.together.ai/v1",
        env=("TOGETHER_API_KEY",),
        quirks=COMPATIBLE | {"top_k"},
        site="https://docs.together.ai/docs/inference/openai-compatibility",
    ),
    Provider(
        name="fireworks",
        dialect="openai.chat",
        base_url="https://api.fireworks.ai/inference/v1",
        env=("FIREWORKS_API_KEY",),
        quirks=COMPATIBLE | {"top_k"},
        site="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
    ),
    Provider(
        name="deepseek",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="https://api.deepseek.com",
        env=("DEEPSEEK_API_KEY",),
        quirks=COMPATIBLE | {"no_json_schema", "reasoning_content", "thinking_object"},
        site="https://api-docs.deepseek.com",
    ),
    Provider(
        name="xai",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="https://api.x.ai/v1",
        env=("XAI_API_KEY",),
        prices="x-ai",
        quirks=frozenset({"no_developer_role", "no_cache_marks", "checks_ids"}),
        site="https://docs.x.ai/docs/api-reference",
    ),
    Provider(
        name="openrouter",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="https://openrouter.ai/api/v1",
        env=("OPENROUTER_API_KEY",),
        quirks=frozenset(
            {"max_tokens", "cache_control", "reasoning_details", "reasoning_object", "file_url", "top_k"}
        ),
        site="https://openrouter.ai/docs/api-reference/overview",
    ),
    Provider(
        name="nvidia",
        dialect="openai.chat",
        base_url="https://integrate.api.nvidia.com/v1",
        env=("NVIDIA_API_KEY",),
        quirks=COMPATIBLE,
        site="https://docs.api.nvidia.com/nim/reference/llm-apis",
    ),
    Provider(
        name="cerebras",
        dialect="openai.chat",
        base_url="https://api.cerebras.ai/v1",
        env=("CEREBRAS_API_KEY",),
        quirks=COMPATIBLE | {"reasoning"},
        site="https://inference-docs.cerebras.ai/resources/openai",
    ),
    Provider(
        name="huggingface",
        dialect="openai.chat",
        base_url="https://router.huggingface.co/v1",
        env=("HF_TOKEN",),
        quirks=COMPATIBLE,
        site="https://huggingface.co/docs/inference-providers",
    ),
    Provider(
        name="moonshot",
        dialect="openai.chat",
        base_url="https://api.moonshot.ai/v1",
        env=("MOONSHOT_API_KEY",),
        prices="moonshotai",
        quirks=COMPATIBLE | {"reasoning_content", "thinking_object"},
        site="https://platform.kimi.ai/docs/api/chat",
    ),
    Provider(
        name="zai",
        dialect="openai.chat",
        base_url="https://api.z.ai/api/paas/v4",
        env=("ZAI_API_KEY",),
        quirks=COMPATIBLE | {"no_json_schema", "reasoning_content", "thinking_object"},
        site="https://docs.z.ai/api-reference/introduction",
    ),
    Provider(
        name="alibaba",
        dialect="openai.chat",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        env=("DASHSCOPE_API_KEY",),
        quirks=COMPATIBLE | {"top_k"},
        site="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
    ),
    Provider(
        name="sambanova",
        dialect="openai.chat",
        base_url="https://api.sambanova.ai/v1",
        env=("SAMBANOVA_API_KEY",),
        quirks=COMPATIBLE | {"top_k"},
        site="https://docs.sambanova.ai/docs/en/features/openai-compatibility",
    ),
    Provider(
        name="novita",
        dialect="openai.chat",
        base_url="https://api.novita.ai/openai/v1",
        env=("NOVITA_API_KEY",),
        quirks=COMPATIBLE | {"top_k"},
        site="https://novita.ai/docs/guides/llm-api",
    ),
    Provider(
        name="nebius",
        dialect="openai.chat",
        base_url="https://api.tokenfactory.nebius.com/v1",
        env=("NEBIUS_API_KEY",),
        quirks=COMPATIBLE,
        site="https://docs.tokenfactory.nebius.com/api-reference/introduction",
    ),
    Provider(
        name="hyperbolic",
        dialect="openai.chat",
        base_url="https://api.hyperbolic.xyz/v1",
        env=("HYPERBOLIC_API_KEY",),
        quirks=COMPATIBLE,
        site="https://docs.hyperbolic.ai/inference/overview",
    ),
    Provider(
        name="deepinfra",
        dialect="openai.chat",
        base_url="https://api.deepinfra.com/v1/openai",
        env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        quirks=COMPATIBLE,
        site="https://deepinfra.com/docs/advanced/openai_api",
    ),
    Provider(
        name="cohere",
        dialect="cohere.chat",
        base_url="https://api.cohere.com",
        env=("CO_API_KEY", "COHERE_API_KEY"),
        site="https://docs.cohere.com/v2/reference/chat",
    ),
    Provider(
        name="cloudflare",
        dialect="openai.chat",
        base_url="https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        env=("CLOUDFLARE_API_KEY", "CLOUDFLARE_API_TOKEN"),
        variables={"account": "CLOUDFLARE_ACCOUNT_ID"},
        quirks=COMPATIBLE,
        site="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
    ),
    Provider(
        name="databricks",
        dialect="openai.chat",
        base_url="{host}/serving-endpoints",
        env=("DATABRICKS_TOKEN",),
        variables={"host": "DATABRICKS_HOST"},
        quirks=COMPATIBLE,
        site="https://docs.databricks.com/machine-learning/model-serving/score-foundation-models.html",
    ),
    Provider(
        name="vllm",
        dialect="openai.chat",
        base_url="http://127.0.0.1:8000/v1",
        env=("VLLM_API_KEY",),
        local=True,
        quirks=frozenset({"no_developer_role", "no_cache_marks", "top_k"}),
        site="https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html",
    ),
    Provider(
        name="sglang",
        dialect="openai.chat",
        base_url="http://127.0.0.1:30000/v1",
        local=True,
        quirks=frozenset({"no_developer_role", "no_cache_marks", "top_k"}),
        site="https://docs.sglang.ai/basic_usage/openai_api_completions.html",
    ),
    Provider(
        name="llamacpp",
        dialect="openai.chat",
        also=("openai.responses",),
        base_url="http://127.0.0.1:8080/v1",
        env=("LLAMA_API_KEY",),
        local=True,
        quirks=COMPATIBLE | {"reasoning_content", "top_k", "no_dimensions"},
        site="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    ),
    Provider(
        name="lmstudio",
        dialect="openai.chat",
        base_url="http://127.0.0.1:1234/v1",
        env=("LM_API_TOKEN",),
        local=True,
        quirks=COMPATIBLE | {"top_k"},
        site="https://lmstudio.ai/docs/developer/openai-compat",
    ),
    Provider(
        name="ollama",
        dialect="ollama.chat",
        base_url="http://127.0.0.1:11434",
        env=("OLLAMA_API_KEY",),
        local=True,
        site="https://docs.ollama.com/api/chat",
    ),
    Provider(
        name="local",
        dialect="openai.chat",
        base_url=EMBEDDED + ":",
        signer="none",
        prices="",
        local=True,
        quirks=COMPATIBLE | {"top_k", "no_dimensions"},
        site="https://github.com/xorbitsai/xllamacpp",
    ),
)

ALSO_NAMED = {"AWS_REGION": "AWS_DEFAULT_REGION"}
"""A variable that an address takes -> the one that is looked at where it is not set."""

PROVIDERS: dict[str, Provider] = {row.name: row for row in ROWS}
