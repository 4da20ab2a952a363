"""Families of models: names that stand for one maker's line, whoever serves it.

Two targets of one family share its maker's decisions: what is retired, what an update changes, what a licence
allows. A name is matched without what comes before its last slash. A family that no row knows is None; an
operator names it with `[model."provider/model"] family`.
"""

import re

FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?<![a-z]){pattern}"), family)
    for pattern, family in (
        # (how a name of it looks, family); the first that is found
        (r"gpt-oss", "gpt-oss"),
        (r"(?:gpt|chatgpt|codex|davinci|babbage|computer-use|o[1345])(?=[-.\d]|$)", "GPT"),
        (r"(?:text-embedding|whisper|tts|dall-e|omni-moderation)(?=-|$)", "GPT"),
        (r"claude", "Claude"),
        (r"gemini|imagen|veo(?=-)|text-bison|chat-bison|learnlm", "Gemini"),
        (r"gemma|codegemma|medgemma", "Gemma"),
        (r"deepseek", "DeepSeek"),
        (r"nemotron", "Nemotron"),
        (r"hermes", "Hermes"),
        (r"(?:meta-)?(?:code)?llama", "Llama"),
        (
            r"(?:open-)?(?:mis|mix|minis|codes|magis|devs|pix|vox)tral",
            "Mistral",
        ),
        (r"qwen|qwq|qvq|tongyi|gte(?=-)", "Qwen"),
        (r"grok", "Grok"),
        (r"command|c4ai|aya|embed-(?:english|multilingual|v\d)|rerank", "Command"),
        (r"nova(?=-)", "Nova"),
        (r"titan", "Titan"),
        (r"phi(?=-?\d)", "Phi"),
        (r"kimi|moonshot", "Kimi"),
        (r"glm|chatglm|codegeex", "GLM"),
        (r"minimax|abab", "MiniMax"),
        (r"jamba|jurassic|j2(?=-)", "Jamba"),
        (r"granite", "Granite"),
        (r"solar", "Solar"),
        (r"mercury", "Mercury"),
        (r"palmyra", "Palmyra"),
        (r"ernie", "ERNIE"),
        (r"hunyuan", "Hunyuan"),
        (r"doubao|seed(?=-)", "Seed"),
        (r"step(?=-\d)", "Step"),
        (r"smollm", "SmolLM"),
        (r"olmo|tulu", "OLMo"),
        (r"mimo", "MiMo"),
        (r"falcon", "Falcon"),
    )
)


def family_of(model: str) -> str | None:
    """The family that a model's name stands for. A fine-tuned model's name keeps its base's."""
    name = model.lower().rpartition("/")[2]
    return next((family for pattern, family in FAMILIES if pattern.search(name)), None)
