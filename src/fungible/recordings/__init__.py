"""Recordings on disk: written beside the calls, read by whoever replays them."""

from .segments import Block, Kept, Writer, kept, opened
from .shelf import Found, Recordings

__all__ = ["Block", "Found", "Kept", "Recordings", "Writer", "kept", "opened"]
