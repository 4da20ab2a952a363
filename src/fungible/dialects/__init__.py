"""The dialects by name. The one place that lists them; a new one is a folder and a row here."""

from ..faults import Fault
from .anthropic_messages import DIALECT as ANTHROPIC_MESSAGES
from .base import Dialect
from .bedrock_converse import DIALECT as BEDROCK_CONVERSE
from .bedrock_converse import EMBEDDINGS as BEDROCK_EMBED
from .cohere_chat import DIALECT as COHERE_CHAT
from .cohere_chat import EMBEDDINGS as COHERE_EMBED
from .gemini_generate_content import DIALECT as GEMINI_GENERATE_CONTENT
from .gemini_generate_content import EMBEDDINGS as GEMINI_BATCH_EMBED_CONTENTS
from .gemini_generate_content import ONE_EMBEDDING as GEMINI_EMBED_CONTENT
from .ollama_chat import DIALECT as OLLAMA_CHAT
from .ollama_chat import EMBEDDINGS as OLLAMA_EMBED
from .ollama_chat import GENERATE as OLLAMA_GENERATE
from .openai_chat import DIALECT as OPENAI_CHAT
from .openai_chat import EMBEDDINGS as OPENAI_EMBEDDINGS
from .openai_responses import DIALECT as OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {
    d.name: d
    for d in (
        OPENAI_CHAT,
        OPENAI_RESPONSES,
        ANTHROPIC_MESSAGES,
        GEMINI_GENERATE_CONTENT,
        BEDROCK_CONVERSE,
        OLLAMA_CHAT,
        COHERE_CHAT,
    )
}

"""Those in which models are talked to."""

EMBEDDINGS: dict[str, Dialect] = {
    d.name: d
    for d in (
        OPENAI_EMBEDDINGS,
        GEMINI_BATCH_EMBED_CONTENTS,
        GEMINI_EMBED_CONTENT,
        OLLAMA_EMBED,
        COHERE_EMBED,
        BEDROCK_EMBED,
    )
}
"""Those in which models are asked for vectors; of one owner, the first is the one for clients of others."""

PROMPTED: dict[str, Dialect] = {d.name: d for d in (OLLAMA_GENERATE,)}
"""Older APIs of one prompt, beside their owner's chat: for its clients, and of its providers."""

SPOKEN: dict[str, Dialect] = DIALECTS | EMBEDDINGS | PROMPTED


def prompted_of(*names: str) -> tuple[Dialect, ...]:
    """The older APIs that providers of these dialects have too."""
    owners = {name.partition(".")[0] for name in names}
    return tuple(d for d in PROMPTED.values() if d.name.partition(".")[0] in owners)


def embeddings_of(*names: str) -> tuple[Dialect, ...]:
    """How providers of these dialects are asked for vectors: as the dialects' owners are.

    A name begins with its owner's. A provider that has no such models answers that for itself.
    """
    owners = {name.partition(".")[0] for name in names}
    return tuple(d for d in EMBEDDINGS.values() if d.name.partition(".")[0] in owners)


def dialect(name: str) -> Dialect:
    """Raises `Fault` for a name that is none, with the names there are."""
    found = SPOKEN.get(name)
    if found is None:
        raise Fault(
            "bad_request", f"There is no dialect {name!r}. There are: {', '.join(SPOKEN)}.", path="dialect"
        )
    return found
