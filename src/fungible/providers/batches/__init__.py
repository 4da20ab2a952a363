"""Batch APIs, by the name that a provider's row calls its own by: `base` says what one is."""

from collections.abc import Mapping

from .base import BatchApi
from .files import FILES, JOBS
from .inline import MESSAGES, OPERATIONS

BATCH_APIS: Mapping[str, BatchApi] = {
    "files": FILES,
    "jobs": JOBS,
    "messages": MESSAGES,
    "operations": OPERATIONS,
}
