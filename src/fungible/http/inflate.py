"""Answers that come compressed although nobody asked for it, decoded under a cap."""

import zlib
from typing import Final

from ..faults import Fault

GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS  # zlib tells the two apart by their headers
CODINGS: Final = frozenset([b"gzip", b"x-gzip", b"deflate"])


class Inflate:
    """Decodes one body. Raises `Fault` (provider_answer) for a coding that is not one of these."""

    __slots__ = ("_decoder", "_left")

    def __init__(self, coding: bytes, bytes_max: int) -> None:
        if coding.lower() not in CODINGS:
            shown = coding.decode("latin-1")[:40]
            raise Fault("provider_answer", f"The provider's answer is in the coding {shown!r}, unasked.")
        self._decoder = zlib.decompressobj(GZIP_OR_ZLIB)
        self._left = bytes_max

    def feed(self, data: bytes) -> tuple[bytes, Fault | None]:
        """What could be decoded, and what is wrong with the rest."""
        try:
            decoded = self._decoder.decompress(data, self._left + 1)
        except zlib.error as error:
            return b"", Fault("provider_answer", f"The provider's compressed answer is broken: {error}.")
        self._left -= len(decoded)
        if self._left < 0:
            return b"", Fault("provider_answer", "The provider's compressed answer is too large.")
        return decoded, None

    def end(self) -> Fault | None:
        """What to say of a body that has ended; None where it was whole."""
        if self._decoder.eof:
            return None
        return Fault("provider_answer", "The provider's compressed answer was cut short.")
