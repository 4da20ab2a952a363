"""Recordings on disk: written beside the calls, read by whoever replays them."""

from .segments import BROKEN, Block, Kept, Writer, kept, opened, packed, unpacked
from .shelf import Found, Recordings

__all__ = [
    "BROKEN", "Block", "Found", "Kept", "Recordings", "Writer", "kept", "opened", "packed", "unpacked",
]  # fmt: skip
