"""The fields that only this wire has, and which of its nulls say nothing."""

from ...ir import Extras
from ..checked import Wire
from .names import NAME

_NULLABLE = frozenset(
    {
        "caller",
        "container",
        "context_management",
        "diagnostics",
        "eager_input_streaming",
        "inference_geo",
        "iterations",
        "mcp_servers",
        "provider",
        "server_tool_use",
        "speed",
        "stop_details",
        "toolset_name",
        "transformations",
    }
)
"""Fields that ride in extras and that this wire writes as null to say nothing."""


def others(node: Wire, known: frozenset[str]) -> Wire:
    """The fields that are none of `known` and say something."""
    if node.keys() <= known:
        return {}
    return {k: v for k, v in node.items() if k not in known and not (v is None and k in _NULLABLE)}


def rest(node: Wire, known: frozenset[str]) -> Extras | None:
    if node.keys() <= known:
        return None
    fields = others(node, known)
    return Extras(dialect=NAME, fields=fields) if fields else None
