"""Times that a wire writes as text (RFC 3339), and Unix seconds."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_FRACTION = re.compile(r"\.\d+")


def unix_seconds(text: str) -> int | None:
    """Fractions of a second are not kept; a time without a zone is of UTC. None where it is no time."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text) if "." in text else text)
        return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def rfc_3339(seconds: int) -> str | None:
    """In UTC. None for a time that has no year of four digits."""
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat() + "Z"
    except OverflowError:
        return None
