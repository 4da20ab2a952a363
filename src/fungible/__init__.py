"""fungible: neutral ground for language models.

    from fungible import translate          one body from one dialect to another, with its losses
    fungible.Client, fungible.AsyncClient   every provider in this process, without a server

`python -m fungible` is the command line.
"""

from typing import TYPE_CHECKING, Any

from .faults import Fault
from .translate import Translation, translate
from .version import VERSION

if TYPE_CHECKING:
    from .client import AsyncClient, Client

__version__ = VERSION

__all__ = ["AsyncClient", "Client", "Fault", "Translation", "__version__", "translate"]


def __getattr__(name: str) -> Any:
    """The clients bring an HTTP library with them, so they are imported when they are first asked for."""
    if name in ("Client", "AsyncClient"):
        from . import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module 'fungible' has no attribute {name!r}")
