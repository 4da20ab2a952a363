"""The names of an answer's headers, as a provider spells them and in lower case.

A provider sends the same names in the same order with nearly every answer, so what was found of them is
kept: a dictionary that fills itself in.
"""

from typing import Final, TypeAlias

NAMES_MAX: Final = 256  # providers choose them, so there is a limit

Names: TypeAlias = tuple[bytes, ...]


class Spellings(dict[Names, tuple[Names, bool]]):
    """Names as sent -> (in lower case, whether they are usual: at most `count_max`, and no coding)."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max

    def __missing__(self, spelled: Names) -> tuple[Names, bool]:
        names = tuple([name.lower() for name in spelled])
        if len(self) >= NAMES_MAX:
            self.clear()
        found = self[spelled] = names, len(names) <= self._count_max and b"content-encoding" not in names
        return found
