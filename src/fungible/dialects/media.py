"""Files in base64: whether they are that, and what their first bytes show."""

import binascii

from ..faults import Fault

MAGIC: tuple[tuple[str, str], ...] = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
)
"""How base64 of a kind of file begins -> its media type (each from the format's own first bytes)."""

IMAGES = frozenset(kind for _, kind in MAGIC if kind.startswith("image/"))

CHECKED_CHARS_MAX = 1 << 20  # beyond it only the first of them are looked at
_HEAD_CHARS = 4_096


def kind_of(data: str) -> str | None:
    """The media type that base64 shows by its first bytes, None where it shows none of ours."""
    return next((kind for head, kind in MAGIC if data.startswith(head)), None)


def flaw(data: str) -> str | None:
    """What is wrong with base64, in a few words; None for what is right, as far as it is looked at."""
    try:
        binascii.a2b_base64(data if len(data) <= CHECKED_CHARS_MAX else data[:_HEAD_CHARS], strict_mode=True)
    except ValueError as error:
        return str(error)
    return None


def check(data: str, kind: str | None, at: str) -> None:
    """Raises `Fault` for what is no base64, or shows itself as another image than it is said to be."""
    shown = kind_of(data)
    if kind in IMAGES and shown != kind:
        found = f"it begins as {shown}" if shown else f"it does not begin as {kind} does"
        raise Fault("bad_request", f"{at} is said to be {kind}, but {found}. Send what it says.", path=at)
    wrong = flaw(data)
    if wrong is not None:
        raise Fault("bad_request", f"{at} is no base64: {wrong}. Send the file's bytes in base64.", path=at)
