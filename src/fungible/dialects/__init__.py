"""The dialects by name. The one place that lists them; a new one is a folder and a row here."""

from ..faults import Fault
from .anthropic_messages import DIALECT as ANTHROPIC_MESSAGES
from .base import Dialect
from .bedrock_converse import DIALECT as BEDROCK_CONVERSE
from .cohere_chat import DIALECT as COHERE_CHAT
from .gemini_generate_content import DIALECT as GEMINI_GENERATE_CONTENT
from .ollama_chat import DIALECT as OLLAMA_CHAT
from .openai_chat import DIALECT as OPENAI_CHAT
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


def dialect(name: str) -> Dialect:
    """Raises `Fault` for a name that is none, with the names there are."""
    found = DIALECTS.get(name)
    if found is None:
        raise Fault(
            "bad_request", f"There is no dialect {name!r}. There are: {', '.join(DIALECTS)}.", path="dialect"
        )
    return found
