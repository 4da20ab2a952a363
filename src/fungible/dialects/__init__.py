"""The dialects by name. The one place that lists them; a new one is a folder and a row here."""

from ..faults import Fault
from .anthropic_messages import DIALECT as ANTHROPIC_MESSAGES
from .base import Dialect
from .bedrock_converse import DIALECT as BEDROCK_CONVERSE
from .openai_chat import DIALECT as OPENAI_CHAT

DIALECTS: dict[str, Dialect] = {d.name: d for d in (OPENAI_CHAT, ANTHROPIC_MESSAGES, BEDROCK_CONVERSE)}


def dialect(name: str) -> Dialect:
    """Raises `Fault` for a name that is none, with the names there are."""
    found = DIALECTS.get(name)
    if found is None:
        raise Fault(
            "bad_request", f"There is no dialect {name!r}. There are: {', '.join(DIALECTS)}.", path="dialect"
        )
    return found
